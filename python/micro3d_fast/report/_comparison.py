# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Sections that compare the volume with its reference: curves, errors, the verdict's table."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._planes import AXIS_NAMES
from ..micrographs import Micrographs
from ..statistics import Comparison, Curve
from ..statistics.verdict import QUANTITIES, Deviation, Verdict
from ._document import Figure, Line, Plot, Section, Table
from ._format import percent, ratio
from ._subject import Subject

_NAMES = {
    "S2": "two-point correlation S₂",
    "L": "lineal path L",
    "autocovariance": "scaled autocovariance",
}
_SYMBOLS = {"S2": "S₂", "L": "L", "autocovariance": "autocov."}
#: Quantities of one of two phases that follow from those of the other.
SHARED = ("S2", "autocovariance", "surface", "tilt")
_ROLES = {"S2": "first", "L": "second", "autocovariance": "third"}  # styles of the lines


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


def complementary_phase(comparison: Comparison) -> int | None:
    """Return the phase of two whose `SHARED` follow from the other's; None if there is none."""
    phases = sorted({int(c.phase) for c in comparison.curves})
    both = (comparison.fractions_generated, comparison.fractions_reference)
    if len(phases) == 2 and all(float(f[phases].sum()) > 1 - 1e-9 for f in both):
        return phases[0]
    return None


def worst_curve(comparison: Comparison) -> tuple[Curve | None, Deviation | None]:
    """Return the worst curve and its deviation; without a verdict, that of the largest error."""
    places = {(c.function, c.phase, c.plane, c.direction): c for c in comparison.curves}
    verdict = comparison.verdict
    for d in () if verdict is None else (verdict.worst, *verdict.deviations):
        found = places.get((d.quantity, d.phase, d.plane, d.direction))
        if found is not None:
            return found, d
    known = [c for c in comparison.select("S2") + comparison.select("L") if c.error >= 0]  # not nan
    return (max(known, key=lambda c: c.error) if known else None), None


def worst_figure(comparison: Comparison, subject: Subject, reference: str) -> Figure | None:
    """Return the figure of the worst curve, with what real specimens scatter."""
    curve, deviation = worst_curve(comparison)
    if curve is None:
        return None
    place = (
        f"{_NAMES[curve.function]} of {subject.phase_name(int(curve.phase))} in {curve.plane} "
        f"along {curve.direction}"
    )
    if deviation is None:
        caption = f"The curve of the largest error: {place}. Its error is {percent(curve.error)}."
    else:
        caption = (
            f"The worst curve: {place}. Its error is {percent(deviation.error)}, "
            f"{ratio(deviation.ratio)} the {percent(deviation.expected)} expected of a real "
            "specimen of this size."
        )
    legend = [(_ROLES[curve.function], "volume"), _band_legend([curve], reference)]
    plot = dataclasses.replace(_panel([curve], subject), note="", size=(400.0, 230.0))
    return Figure([plot], caption, columns=1, legend=legend)


def deviations_section(comparison: Comparison, verdict: Verdict) -> Section:
    """Return the table of the quantities that the verdict looked at, the worst first."""
    left_out = complementary_phase(comparison)
    rows = [
        [
            QUANTITIES.get(d.quantity, d.quantity),
            d.phase_name,
            d.plane or None,
            d.direction or None,
            d.ratio,
            d.error,
            d.expected,
            d.generated,
            d.reference,
        ]
        for d in verdict.deviations
        if d.phase != left_out or d.quantity not in SHARED or d == verdict.worst
    ]
    table = Table(
        [
            *("Quantity", "Phase", "Plane", "Along", "ratio", "error", "real specimen"),
            *("volume", "reference"),
        ],
        rows,
        "The deviations, the least likely of a real specimen first. Error: relative to the "
        "reference, of the tilt to φ - φ². Real specimen: the error expected of a real specimen of "
        "this size. Ratio: the one over the other. Values of curves are sums over all lags. What "
        "two phases share is shown of one.",
        ["", "", "", "", ".3g", "%", "%", ".4g", ".4g"],
    )
    lead = f"A real specimen would deviate as much in any of these with p = {verdict.p_value:.2g}."
    if verdict.independent_images:
        images = ", ".join(f"{plane} {n:.3g}" for plane, n in verdict.independent_images.items())
        lead += f" The images amount to this many independent ones: {images}."
    if verdict.images_needed is not None:
        lead += f" {verdict.images_needed} independent images per plane would decide."
    return Section("What the verdict rests on", (table,), lead, "deviations")


def errors_section(
    comparison: Comparison,
    subject: Subject,
    errors_2d: Sequence[Error] = (),
    errors_raw: Sequence[Error] = (),
    reference: str = "micrographs",
) -> Section:
    """Return the tables of errors, with the errors of real specimens and the split-half floor."""
    lead = (
        f"The error of a curve is the sum of its absolute deviations from that of the {reference}, "
        "over the sum of the latter, from lag 0 to half the image. Real: the mean error of a real "
        f"specimen of the size of the volume. The split-half floor of the {reference} is the error "
        f"between two random halves of the {reference}; one volume shows less material than all of "
        "them together and scatters more, even with exact statistics."
    )
    errors = errors_of(comparison)
    left_out = complementary_phase(comparison)
    shown = [e for e in errors if e.function not in SHARED or e.phase != left_out]
    tables = (_plane_table(errors, errors_2d, errors_raw), _curve_table(shown, subject))
    return Section("Errors of all curves", tables, lead, "errors")


def _plane_table(
    errors: Sequence[Error], errors_2d: Sequence[Error], errors_raw: Sequence[Error]
) -> Table:
    raw, alone = (
        {(p.function, p.plane): p.error for p in plane_errors(some)}
        for some in (errors_raw, errors_2d)
    )
    columns, formats = ["Function", "Plane", "error"], ["", "", "%"]
    caption = "Means over phases and directions, plane by plane."
    if raw:
        columns.append("error, raw")
        caption += " Raw: before the phase fractions were matched."
    columns.append("floor")
    if alone:
        columns.append("2D network alone")
        caption += " 2D network alone: the error of its 2D samples."
    formats += ["%"] * (len(columns) - len(formats))
    rows = []
    for p in plane_errors(errors):
        row = [_NAMES.get(p.function, p.function), p.plane, p.error]
        row += [raw.get((p.function, p.plane))] if raw else []
        row += [p.floor]
        row += [alone.get((p.function, p.plane))] if alone else []
        rows.append(row)
    return Table(columns, rows, caption, formats, row_headers=2)


def _curve_table(errors: Sequence[Error], subject: Subject) -> Table:
    functions = [f for f in _SYMBOLS if any(e.function == f for e in errors)]
    scattered = any(np.isfinite(e.scatter) for e in errors)
    columns, formats = ["Phase", "Plane", "Along"], [""] * 3
    for function in functions:
        columns += [f"{_SYMBOLS.get(function, function)} error", "floor"]
        columns += ["real"] if scattered else []
    formats += ["%"] * (len(columns) - len(formats))
    by_place = {(e.phase, e.plane, e.direction, e.function): e for e in errors}
    rows = []
    for place in dict.fromkeys((e.phase, e.plane, e.direction) for e in errors):
        row: list[Any] = [subject.phase_name(place[0]), *place[1:]]
        for function in functions:
            e = by_place.get((*place, function))
            row += [e.error, e.floor] if e else [None] * 2
            if scattered:
                row.append(e.scatter if e else None)
        rows.append(row)
    caption = "Every curve. Of two phases, S₂ of one follows from that of the other."
    return Table(columns, rows, caption, formats, row_headers=3)


def curves_section(
    comparison: Comparison,
    subject: Subject,
    reference: str = "micrographs",
    generated: str = "volume",
) -> Section | None:
    """Return the curves, one figure per phase, one panel per plane and direction; None if none.

    ``generated`` and ``reference`` are the words for the two sides.
    """
    panels: dict[int, dict[tuple[str, str], list[Curve]]] = {}
    left_out = complementary_phase(comparison)
    for curve in comparison.curves:
        if curve.function == "L" or (curve.function == "S2" and curve.phase != left_out):
            of_phase = panels.setdefault(int(curve.phase), {})
            of_phase.setdefault((curve.plane, curve.direction), []).append(curve)
    if not panels:
        return None
    figures = [
        _phase_figure(list(of_phase.values()), subject, (generated, reference), phase == left_out)
        for phase, of_phase in panels.items()
    ]
    return Section("Correlations", tuple(figures), anchor="curves")


def _phase_figure(
    panels: Sequence[Sequence[Curve]], subject: Subject, sides: tuple[str, str], follows: bool
) -> Figure:
    """Return the figure of a phase; S2 of it ``follows`` from that of another."""
    generated, reference = sides
    curves = [curve for panel in panels for curve in panel]
    name = subject.phase_name(int(curves[0].phase))
    functions = [f for f in _SYMBOLS if any(c.function == f for c in curves)]
    drawn = " and ".join(_NAMES[function] for function in functions)
    caption = (
        f"{drawn[0].upper()}{drawn[1:]} of {name}, the {generated} against the {reference}; the "
        "numbers are the relative errors."
    )
    if follows:
        caption += " S₂ follows from that of the other phase."
    legend = [(_ROLES[f], f"{_SYMBOLS[f]}, {generated}") for f in functions]
    legend.append(_band_legend(curves, reference))
    plots = [_panel(panel, subject) for panel in panels]
    return Figure(plots, title=name.capitalize(), caption=caption, legend=legend)


def _band_legend(curves: Sequence[Curve], reference: str) -> tuple[str, str]:
    if any(c.real_std is not None for c in curves):
        band = "± 2 standard deviations of real specimens"
    else:
        band = "with a band whose edge is the split-half floor"
    return "band", f"{reference}, {band}"


def _panel(curves: Sequence[Curve], subject: Subject) -> Plot:
    """Return the plot of the curves of one phase, plane and direction."""
    phase, plane, direction = curves[0].phase, curves[0].plane, curves[0].direction
    spacing, unit = subject.voxel_size[AXIS_NAMES.index(direction)], subject.unit
    lines, notes, descriptions = [], [], []
    for curve in curves:
        x = unit(np.asarray(curve.lag, dtype=float) * spacing)
        symbol = _SYMBOLS[curve.function]
        low, high = band_of(curve)
        if low is not None and curve.function != "autocovariance":
            low = np.maximum(low, 0.0)
        lines.append(Line(x, curve.reference, "", "reference", low, high))
        label = symbol if len(curves) > 1 else ""
        lines.append(Line(x, curve.generated, label, _ROLES[curve.function]))
        notes.append(f"{symbol} {percent(curve.error)}")
        descriptions.append(f"error of {symbol} {percent(curve.error)}")
    title = f"{plane}, along {direction}"
    name = subject.phase_name(int(phase))
    return Plot(
        lines,
        title=title,
        x_label=f"lag ({unit.name})",
        y_label=" and ".join(_SYMBOLS[c.function] for c in curves)
        if len(curves) > 1
        else _NAMES[curves[0].function],
        note=" · ".join(notes),
        alt=f"Correlations of {name}, plane {title}: " + "; ".join(descriptions),
    )


def band_of(curve: Curve) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return the band around the reference curve: of real specimens, or else of the floor."""
    if curve.real_std is not None:
        return curve.reference - 2 * curve.real_std, curve.reference + 2 * curve.real_std
    return floor_band(curve.reference, curve.reference_std, curve.floor)


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
