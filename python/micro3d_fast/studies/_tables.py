# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The numbers of a study as CSV tables, and ``study.json``."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .._atomic import atomic_write
from ._errors import FUNCTIONS
from ._plan import GENERATED, REAL

if TYPE_CHECKING:
    from ._result import Study

#: Names of the tables and what each holds.
TABLES = {
    "volumes.csv": "every descriptor and property of every volume and real block",
    "quantities.csv": "quartiles on both sides, and the tests",
    "errors.csv": "errors of S2 and L of every single volume and real block, plane by plane",
    "curves.csv": "mean curves of the volumes and of the reference, with standard deviations",
}


def write_tables(study: Study) -> list[Path]:
    """Write the CSV tables and ``study.json``; return their files."""
    rows = {
        "volumes.csv": _volumes(study),
        "quantities.csv": _quantities(study),
        "errors.csv": _errors(study),
        "curves.csv": _curves(study),
    }
    files = []
    for name, lines in rows.items():
        with (
            atomic_write(study.out / name) as path,
            open(path, "w", encoding="utf-8", newline="") as stream,
        ):
            csv.writer(stream).writerows(lines)
        files.append(study.out / name)
    with atomic_write(study.out / "study.json") as path:
        text = json.dumps(study.to_dict(), indent=1, allow_nan=False)
        path.write_text(text + "\n", encoding="utf-8")
    return [*files, study.out / "study.json"]


def _volumes(study: Study) -> Iterator[Sequence[Any]]:
    quantities = study.quantities.properties
    columns = [
        f"{name} {component}"
        for name, found in quantities.items()
        for component in found.components
    ]
    yield ["group", "number", "seed", *columns, "verdict"]
    for group in (GENERATED, REAL):
        if group not in study.plan.groups:
            continue
        for task in study.plan.done_tasks(group):
            result = study.plan.result(task)
            values = [v for name in quantities for v in result["quantities"][name]["values"]]
            yield [group, task.number, result["seed"], *values, result["verdict"]]


def _quantities(study: Study) -> Iterator[Sequence[Any]]:
    quarters = ("25 %", "50 %", "75 %")
    yield [
        *("quantity", "component", "unit"),
        *(f"volumes {q}" for q in quarters),
        *(f"real blocks {q}" for q in quarters),
        *("Mann-Whitney p", "Kolmogorov-Smirnov p", "larger", "differs", "inside"),
    ]
    for test in study.tests:
        found = study.quantities[test.quantity]
        yield [
            *(test.quantity, test.component, found.unit),
            *test.generated,
            *test.reference,
            *(test.location_p, test.shape_p, test.larger, test.differs, test.inside),
        ]


def _errors(study: Study) -> Iterator[Sequence[Any]]:
    yield ["group", "title", "gamma", "harmonize", "function", "plane", "volume", "error"]
    for one in study.errors:
        own = (one.options.get("gamma"), one.options.get("harmonize"))
        grid = own if one.kind == "grid" else (None, None)
        for function in FUNCTIONS:
            for plane in _planes(one.errors, function):
                for number, error in enumerate(one.errors[function, plane]):
                    yield [one.group, one.title, *grid, function, plane, number, error]


def _planes(errors: Iterable[tuple[str, str]], function: str) -> list[str]:
    return [plane for name, plane in errors if name == function]


def _curves(study: Study) -> Iterator[Sequence[Any]]:
    yield [
        *("function", "phase", "name", "plane", "direction", "lag"),
        *("volumes", "volumes std", "reference", "real specimen std"),
    ]
    for curve in study.comparison.curves:
        name = study.comparison.phase_names[curve.phase]
        real = curve.real_std if curve.real_std is not None else [None] * len(curve.lag)
        sides = (curve.lag, curve.generated, curve.generated_std, curve.reference, real)
        for lag, *values in zip(*sides, strict=True):
            place = (curve.function, curve.phase, name, curve.plane, curve.direction)
            yield [*place, int(lag), *(None if v is None else float(v) for v in values)]
