# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Sections that compare the volume with its reference: curves, errors beside floors, fractions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._planes import AXIS_NAMES
from ..micrographs import Micrographs
from ..statistics import Comparison
from ._document import Figure, Line, Plot, Section, Table
from ._format import percent, ratio
from ._subject import Subject

#: Functions that are drawn and named in the verdict, and their symbols.
FUNCTIONS = {"S2": "S₂", "L": "L"}
_NAMES = {
    "S2": "two-point correlation S₂",
    "L": "lineal path L",
    "autocovariance": "scaled autocovariance",
}
_SYMBOLS = {**FUNCTIONS, "autocovariance": "autocov."}
_ROLES = ("first", "second")  # styles of the lines, in the order of FUNCTIONS


class Error(NamedTuple):
    """The error of one curve beside its floor."""

    phase: int
    plane: str
    direction: str
    function: str  # "S2", "L", ...
    error: float
    floor: float
    scatter: float = float("nan")  # of real blocks, where known

    @property
    def ratio(self) -> float:
        """Error over floor; 0/0 is 0."""
        return _ratio(self.error, self.floor)


class PlaneError(NamedTuple):
    """Error and floor of one function, averaged over the phases and directions of a plane."""

    function: str
    plane: str
    error: float
    floor: float
    ratio: float


def _ratio(error: float, floor: float) -> float:
    if floor != 0:
        return error / floor  # nan without a floor
    return 0.0 if error == 0 else float("inf")


def errors_of(comparison: Comparison | None) -> list[Error]:
    """Return the rows of a comparison's table; none without a comparison."""
    if comparison is None:
        return []
    return [
        Error(
            int(row["phase"]),
            str(row["plane"]),
            str(row["direction"]),
            str(row["function"]),
            float(row["error"]),
            float(row["floor"]),
            float(row["scatter"]),
        )
        for row in comparison.table()
    ]


def plane_errors(errors: Sequence[Error]) -> list[PlaneError]:
    """Return the mean error and floor of every function and plane."""
    groups: dict[tuple[str, str], list[Error]] = {
        (function, plane): []
        for function in dict.fromkeys(e.function for e in errors)
        for plane in dict.fromkeys(e.plane for e in errors)
    }
    for e in errors:
        groups[e.function, e.plane].append(e)
    found = []
    for (function, plane), group in groups.items():
        if group:
            error = float(np.mean([e.error for e in group]))
            floor = float(np.mean([e.floor for e in group]))
            found.append(PlaneError(function, plane, error, floor, _ratio(error, floor)))
    return found


def worst(planes: Sequence[PlaneError], function: str) -> PlaneError | None:
    """Return the plane with the largest ratio of error to floor."""
    known = [p for p in planes if p.function == function and not np.isnan(p.ratio)]
    return max(known, key=lambda p: p.ratio) if known else None


def verdict_of(errors: Sequence[Error], reference: str = "micrographs") -> str:
    """Return the errors of the worst planes in one sentence."""
    planes = plane_errors(errors)
    s2, path = worst(planes, "S2"), worst(planes, "L")
    if s2 is None:
        return ""
    sentence = (
        f"On the worst plane ({s2.plane}) the error of S₂ is {percent(s2.error)}, "
        f"{ratio(s2.ratio)} the split-half floor of the {reference}"
    )
    if path is not None:
        sentence += (
            f"; that of the lineal path is {percent(path.error)}, {ratio(path.ratio)} its floor"
            f" (plane {path.plane})"
        )
    return sentence + "."


def errors_section(
    errors: Sequence[Error],
    subject: Subject,
    errors_2d: Sequence[Error] = (),
    errors_raw: Sequence[Error] = (),
    reference: str = "micrographs",
) -> Section:
    """Return the tables of errors beside floors."""
    lead = (
        f"The error of a curve is the sum of its absolute deviations from that of the {reference}, "
        "over the sum of the latter, from lag 0 to half the image. The split-half floor is the "
        f"same error between two random halves of the {reference}: smaller errors are not "
        "significant. A volume that holds less material than all of them together scatters more "
        "than that, even with exact statistics."
    )
    tables = (_plane_table(errors, errors_2d, errors_raw), _curve_table(errors, subject))
    return Section("Errors beside their floor", tables, lead, "errors")


def _plane_table(
    errors: Sequence[Error], errors_2d: Sequence[Error], errors_raw: Sequence[Error]
) -> Table:
    raw, alone = (
        {(p.function, p.plane): p.error for p in plane_errors(some)}
        for some in (errors_raw, errors_2d)
    )
    columns, formats = ["Function", "Plane", "error"], ["", "", "%"]
    caption = "Means over phases and directions, plane by plane. Ratio: error over floor."
    if raw:
        columns.append("error, raw")
        formats.append("%")
        caption += " Raw: before the phase fractions were matched."
    columns += ["floor", "ratio"]
    formats += ["%", ".2f"]
    if alone:
        columns.append("2D network alone")
        formats.append("%")
        caption += " 2D network alone: the error of its 2D samples."
    rows = []
    for p in plane_errors(errors):
        row = [_NAMES.get(p.function, p.function), p.plane, p.error, p.floor, p.ratio]
        if raw:
            row.insert(3, raw.get((p.function, p.plane)))
        if alone:
            row.append(alone.get((p.function, p.plane)))
        rows.append(row)
    return Table(columns, rows, caption, formats, row_headers=2)


def _curve_table(errors: Sequence[Error], subject: Subject) -> Table:
    functions = list(dict.fromkeys(e.function for e in errors))
    scattered = any(np.isfinite(e.scatter) for e in errors)
    columns, formats = ["Phase", "Plane", "Along"], [""] * 3
    for function in functions:
        columns += [f"{_SYMBOLS.get(function, function)} error", "floor", "ratio"]
        formats += ["%", "%", ".2f"]
        if scattered:
            columns.append("truth")
            formats.append("%")
    by_place = {(e.phase, e.plane, e.direction, e.function): e for e in errors}
    rows = []
    for place in dict.fromkeys((e.phase, e.plane, e.direction) for e in errors):
        row: list[Any] = [subject.phase_name(place[0]), *place[1:]]
        for function in functions:
            e = by_place.get((*place, function))
            row += [e.error, e.floor, e.ratio] if e else [None] * 3
            if scattered:
                row.append(e.scatter if e else None)
        rows.append(row)
    caption = "Every curve."
    if scattered:
        caption += " Truth: the error of blocks of the reference of the size of the volume."
    return Table(columns, rows, caption, formats, row_headers=3)


def curves_section(
    comparison: Comparison, subject: Subject, reference: str = "micrographs"
) -> Section | None:
    """Return the curves, one figure per phase, one panel per plane and direction; None if none."""
    panels: dict[int, dict[tuple[str, str], list[Any]]] = {}
    for curve in comparison.curves:
        if curve.function in FUNCTIONS:
            of_phase = panels.setdefault(int(curve.phase), {})
            of_phase.setdefault((curve.plane, curve.direction), []).append(curve)
    if not panels:
        return None
    figures = []
    for phase, of_phase in panels.items():
        name = subject.phase_name(phase)
        figures.append(
            Figure(
                [_panel(curves, subject) for curves in of_phase.values()],
                title=name.capitalize(),
                caption=(
                    f"Two-point correlation S₂ and lineal path L of {name}, the volume against the "
                    f"{reference}; the numbers are the relative errors."
                ),
                legend=[
                    ("first", "S₂, volume"),
                    ("second", "L, volume"),
                    ("band", f"{reference}, with a band whose edge is the split-half floor"),
                ],
            )
        )
    return Section("Correlations", tuple(figures), anchor="curves")


def _panel(curves: Sequence[Any], subject: Subject) -> Plot:
    """Return the plot of the curves of one phase, plane and direction."""
    phase, plane, direction = curves[0].phase, curves[0].plane, curves[0].direction
    spacing, unit = subject.voxel_size[AXIS_NAMES.index(direction)], subject.unit
    lines, notes, descriptions = [], [], []
    for role, curve in zip(_ROLES, curves, strict=False):
        x = unit(np.asarray(curve.lag, dtype=float) * spacing)
        symbol = FUNCTIONS[curve.function]
        low, high = floor_band(curve.reference, curve.reference_std, curve.floor)
        low = None if low is None else np.maximum(low, 0.0)
        lines.append(Line(x, curve.reference, "", "reference", low, high))
        lines.append(Line(x, curve.generated, symbol, role))
        notes.append(f"{symbol} {percent(curve.error)}")
        descriptions.append(
            f"error of {symbol} {percent(curve.error)} beside a floor of {percent(curve.floor)}"
        )
    title = f"{plane}, along {direction}"
    name = subject.phase_name(int(phase))
    return Plot(
        lines,
        title=title,
        x_label=f"lag ({unit.name})",
        note=" · ".join(notes),
        alt=f"Correlations of {name}, plane {title}: " + "; ".join(descriptions),
    )


def floor_band(
    reference: np.ndarray, spread: np.ndarray, floor: float
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return a band around a curve, at each lag in proportion to its spread between images.

    It is scaled so that a curve along its edge has exactly the error ``floor``.
    """
    total = float(np.sum(spread))
    if not np.isfinite(floor) or total <= 0:
        return None, None
    width = floor * np.sum(np.abs(reference)) * np.asarray(spread) / total
    return reference - width, reference + width


def fractions_section(
    subject: Subject, micrographs: Micrographs | None, raw: Sequence[float] | None
) -> Section:
    """Return the phase fractions of the micrographs, of the raw and of the final volume."""
    columns: list[tuple[str, Any]] = []
    if micrographs is not None:
        columns.append(("Micrographs", np.asarray(micrographs.volume_fractions(), dtype=float)))
    if raw is not None:
        columns.append(("Volume, raw", raw))
    columns.append(("Volume" if raw is None else "Volume, matched", subject.fractions))
    rows = [
        [name, *(float(values[p]) if p < len(values) else None for _, values in columns)]
        for p, name in enumerate(subject.phase_names)
    ]
    lead = ""
    if raw is not None:
        lead = (
            "Raw: as denoised by the network. Matched: after the threshold was set to give the "
            "requested fractions. Errors and curves on this page are of the matched volume."
        )
    titles = ["Phase", *(title for title, _ in columns)]
    table = Table(titles, rows, "Phase fractions.", ["", *[".4f"] * len(columns)])
    return Section("Phase fractions", (table,), lead, "fractions")
