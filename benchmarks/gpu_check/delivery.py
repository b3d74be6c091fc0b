# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The report of a run, and the folder that receives copies of its results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

MOST_FILES = 8
MOST_BYTES = 15 << 20
#: files of a run that are worth keeping, the first ones first
WANTED = ("results.csv", "report.txt", "log.txt", "counters.csv", "*.png", "*.npz")


def read_json(file: Path) -> dict[str, Any]:
    """Return the content of a file; nothing if it does not exist."""
    return json.loads(file.read_text()) if file.exists() else {}


def write_report(out: Path) -> str:
    """Write report.txt: each section and its steps; return the lines of the sections."""
    state = read_json(out / "state.json")
    short, long = [], []
    for name, entry in state.get("sections", {}).items():
        short.append(f"{name:11s} {entry.get('status', '-'):7s} {entry.get('message', '')}")
        long.append(short[-1])
        for step, found in read_json(out / f"{name}.steps.json").items():
            seconds = f"{found['seconds']:.1f} s" if "seconds" in found else ""
            long.append(f"    {step:44s} {found['status']:7s} {seconds}{found['message']}")
    rows = out / "results.csv"
    count = rows.read_text().count("\n") - 1 if rows.exists() else 0
    kind = state.get("kind", "")
    last = f"{count} rows in {rows}{'' if kind == 'a real run' else f' ({kind})'}"
    (out / "report.txt").write_text("\n".join([*long, last]) + "\n")
    return "\n".join([*short, last])


def deliver(out: Path, target: Path | None) -> None:
    """Write the report, and copy what is worth keeping flat into a folder."""
    write_report(out)
    if target is None:
        return
    target.mkdir(parents=True, exist_ok=True)
    files = [file for pattern in WANTED for file in sorted(out.glob(pattern))][:MOST_FILES]
    for file in files:
        if file.stat().st_size <= MOST_BYTES:
            shutil.copyfile(file, target / file.name)
        elif file.suffix == ".txt":  # the end of a long log
            (target / file.name).write_bytes(file.read_bytes()[-MOST_BYTES:])
