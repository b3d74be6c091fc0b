# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What every section of gpu_check.py uses: steps, rows, files, the card."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _results

CONTEXT_LOST = 4  # exit status of a section whose CUDA context died: go on in a new process
LEFT = 3  # exit status of a section that had no time for all of its steps
#: words of errors after which a CUDA context answers nothing any more
DEADLY = (
    "illegal memory access",
    "unspecified launch failure",
    "misaligned address",
    "device-side assert",
    "illegal instruction",
    "hardware stack error",
    "invalid program counter",
    "uncorrectable",
)


class State:
    """state.json: what became of each section."""

    def __init__(self, file: Path, *, kind: str) -> None:
        self.file, self.kind = file, kind
        self.sections: dict[str, dict[str, Any]] = {}
        if file.exists():
            there = json.loads(file.read_text())
            if there["kind"] != kind:
                raise SystemExit(
                    f"--out must be another folder: {file.parent} holds {there['kind']}"
                )
            self.sections = there["sections"]

    def get(self, section: str) -> dict[str, Any]:
        return self.sections.get(section, {})

    def set(self, section: str, **entry: Any) -> None:
        self.sections[section] = {**self.sections.get(section, {}), **entry}
        write_json(self.file, {"kind": self.kind, "sections": self.sections})


class Job:
    """One section at work.

    A step is a function with a name: what it raises is written down and the next one goes on, and a
    step that passed is not run again.  Rows of a step are written when it has passed.
    """

    def __init__(self, section: str, chosen: Any, root: Path) -> None:
        self.section, self.root = section, root
        self.out: Path = chosen.out
        self.rehearse: bool = chosen.rehearse  # on the CPU
        self.toy: bool = chosen.toy or chosen.rehearse  # so small that no number says anything
        self.chosen = chosen
        self.deadline: float = chosen.deadline
        self.run_id: str = chosen.run
        self.commit = _results.commit()
        self.device = "cpu" if self.rehearse else "cuda"
        self._steps_file = self.out / f"{section}.steps.json"
        self._steps: dict[str, dict[str, Any]] = {}
        if self._steps_file.exists():
            there = json.loads(self._steps_file.read_text())
            # what failed or was left in an earlier call is tried again
            keep = {k: v for k, v in there.items() if v["status"] == "passed"}
            self._steps = keep | {k: v for k, v in there.items() if v["run"] == self.run_id}
        self._rows: list[dict[str, Any]] = []
        self._lost = False

    # ------------------------------------------------------------------------------------ steps

    def step(self, name: str, function: Callable[..., Any], *args: Any, expect: float = 5) -> Any:
        """Run a step unless it passed before, there is no time for it, or nothing can run."""
        before = self._steps.get(name, {})
        if before.get("status") == "passed":
            return None
        if before.get("status") in ("failed", "running"):
            if before["status"] == "running":  # of this call: a process died in it
                self._note(name, status="failed", message="the process died in this step")
            return None
        if self._lost:
            return None
        if time.time() + expect > self.deadline:
            self._note(name, status="left", message="no time was left")
            return None
        started = time.time()
        self._note(name, status="running", message="")
        print(f"--- {self.section}: {name}", flush=True)
        self._rows = []
        try:
            result = function(*args)
        except Exception as error:
            self.fail(name, error)
            return None
        finally:
            self._tidy()
        for row in self._rows:
            self._write(row)
        self._note(name, status="passed", message="", seconds=round(time.time() - started, 2))
        return result

    def fail(self, name: str, error: BaseException) -> None:
        """Write down that a step failed, and why."""
        traceback.print_exception(error)
        text = f"{type(error).__name__}: {error}".strip()
        self._note(name, status="failed", message=text.splitlines()[0][:300])
        self._lost = self._lost or any(words in text for words in DEADLY)

    def close(self) -> int:
        """Exit status of the section's process."""
        if self._lost:
            return CONTEXT_LOST
        found = [entry["status"] for entry in self._steps.values()]
        if "failed" in found:
            return 1
        return LEFT if "left" in found else 0

    def _note(self, name: str, **entry: Any) -> None:
        self._steps[name] = {**entry, "run": self.run_id, "commit": self.commit}
        write_json(self._steps_file, self._steps)

    def _tidy(self) -> None:
        """Give the card's memory back."""
        torch = sys.modules.get("torch")
        if torch is not None and torch.cuda.is_initialized() and not self._lost:
            gc.collect()
            torch.cuda.empty_cache()

    @property
    def time_left(self) -> float:
        return self.deadline - time.time()

    # ------------------------------------------------------------------------------------- rows

    def row(
        self, case: str, metric: str, value: float, unit: str, *, notes: str = "", **more: Any
    ) -> None:
        """A row of results.csv; written when the step has passed."""
        print(f"{case:44s} {metric:34s} {value:11.5g} {unit}  {notes}", flush=True)
        self._rows.append(
            {"case": case, "metric": metric, "value": value, "unit": unit, "notes": notes, **more}
        )

    def _write(self, row: dict[str, Any]) -> None:
        if self.rehearse:
            row["notes"] = f"rehearsal on the CPU; {row['notes']}".rstrip("; ")
        elif self.toy:
            row["notes"] = f"rehearsal at toy sizes; {row['notes']}".rstrip("; ")
        _results.record(
            bench=f"gpu_{self.section}",
            gpu="" if self.rehearse else self.card["text"],
            path=self.out / "results.csv",
            **row,
        )

    # --------------------------------------------------------------------------------- the card

    def require_card(self) -> None:
        """Stop here if the native operators and torch do not both see a GPU."""
        if self.rehearse:
            return
        import torch

        from micro3d_fast import cuda_status
        from micro3d_fast.ops import cuda_is_available

        if not cuda_is_available():
            raise RuntimeError(f"a GPU is needed, but {cuda_status()}")
        if not torch.cuda.is_available():
            raise RuntimeError(f"a GPU is needed, but torch {torch.__version__} finds none")
        print(f"{cuda_status()} torch {torch.__version__}", flush=True)

    @property
    def card(self) -> dict[str, Any]:
        """Name, compute capability and driver of the card."""
        if not hasattr(self, "_card"):
            self._card = card()
        return self._card

    def ceilings(self) -> dict[str, float]:
        """What the card copies (bytes/s) and multiplies (bf16 FLOP/s), measured once a run."""
        from .timing import measured_ceilings

        file = self.out / "ceilings.json"
        there = json.loads(file.read_text()) if file.exists() else {}
        if there.get("run") != self.run_id:
            there = {**measured_ceilings(self.device, self.toy), "run": self.run_id}
            write_json(file, there)
        return there


def card() -> dict[str, Any]:
    """The first GPU, asked of nvidia-smi: it answers without a CUDA context."""
    fields = "name,compute_cap,driver_version,memory.total"
    try:
        said = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(f"a GPU is needed, but nvidia-smi does not answer: {error}") from error
    name, capability, driver, memory = (part.strip() for part in said.splitlines()[0].split(","))
    return {
        "name": name,
        "capability": capability,
        "driver": driver,
        "memory": memory,
        "text": f"{name}, driver {driver}",
    }


def write_json(file: Path, value: Any) -> None:
    """The whole file or none of it."""
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    temporary.replace(file)
