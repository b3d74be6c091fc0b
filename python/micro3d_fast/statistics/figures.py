# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Figures of correlation curves, in the style of the paper's Figures 5, 8 and 11 (d)–(f).

matplotlib is imported when a figure is made, and no display is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks

if TYPE_CHECKING:
    from .comparison import Comparison, Curve

__all__ = ["plot_comparison", "plot_errors"]

REFERENCE = "#1f4e9c"  # ground truth blue, generated red, as in the paper's Figures 9, 10, 12
GENERATED = "#c8321e"
_STYLE = {"S2": ("-", "--"), "L": ("-.", ":"), "autocovariance": ("-", "--")}
_LABEL = {"S2": "$S_2$", "L": "$L$", "autocovariance": "$(S_2-φ^2)/(φ-φ^2)$"}


def plot_comparison(
    comparison: Comparison,
    function: str | None = None,
    *,
    phase: int | str | None = None,
    plane: str | None = None,
    voxel_size: float | None = None,
) -> Any:
    """Draw the curves of both sides, one row of panels per phase and one column per plane.

    Two phases have the same S2, so only the last one is drawn unless ``phase`` names the other; of
    three or more phases all are drawn.  Solid and dashed lines (L: dash-dotted and dotted) are the
    two directions of the plane, named in its panel; the bands are one standard deviation between
    the volumes, blocks or images of each side.

    Parameters
    ----------
    comparison : Comparison
    function : str, optional
        ``"S2"``, ``"L"`` or ``"autocovariance"``; default S2 and L in one panel.
    phase : int or str, optional
    plane : str, optional
    voxel_size : float, optional
        Metres per voxel; the lag is then drawn in micrometres.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    functions = ("S2", "L") if function is None else (function,)
    curves = [c for f in functions for c in comparison.select(f, phase=phase, plane=plane)]
    if not curves:
        compared = ", ".join(map(str, sorted({c.phase for c in comparison.curves})))
        planes = ", ".join(map(repr, sorted({c.plane for c in comparison.curves})))
        wanted = f"be one of {compared} and `plane` one of {planes}, which were compared"
        raise _checks.refuse("phase", wanted, f"{phase!r} and {plane!r}")
    phases = sorted({c.phase for c in curves})
    if phase is None and len(phases) == 2:
        phases = phases[-1:]
    columns = list(dict.fromkeys(c.plane for c in curves))
    figure = Figure(
        figsize=(3.6 * len(columns) + 0.4, 2.9 * len(phases) + 0.3), layout="constrained"
    )
    axes = figure.subplots(len(phases), len(columns), squeeze=False, sharey="row")
    scale, unit = (1.0, "voxels") if voxel_size is None else (1e6 * voxel_size, "µm")
    for row, p in zip(axes, phases, strict=True):
        for ax, name in zip(row, columns, strict=True):
            _draw(ax, [c for c in curves if (c.phase, c.plane) == (p, name)], scale)
            ax.set_title(f"{comparison.phase_names[p]}, {name}-plane", fontsize=10)
            ax.set_xlabel(f"r ({unit})")
            ax.set_xlim(0, None)
            ax.axhline(0, color="0.7", linewidth=0.6, zorder=0)
            ax.legend(fontsize=6, frameon=False, ncols=len(functions), loc="upper right")
        row[0].set_ylabel(" and ".join(_LABEL[f] for f in functions))
        row[0].set_ylim(top=1.3 * row[0].get_ylim()[1])  # room for the legends
    return figure


def _draw(ax: Any, curves: list[Curve], scale: float) -> None:
    """Draw the curves of one phase and plane, lags times ``scale``."""
    directions = list(dict.fromkeys(c.direction for c in curves))
    for c in curves:
        line = _STYLE[c.function][directions.index(c.direction)]
        for values, spread, colour, side in (
            (c.reference, c.reference_std, REFERENCE, "reference"),
            (c.generated, c.generated_std, GENERATED, "generated"),
        ):
            ax.fill_between(
                scale * c.lag, values - spread, values + spread,
                color=colour, alpha=0.12, linewidth=0,
            )  # fmt: skip
            ax.plot(
                scale * c.lag, values, line, color=colour, linewidth=1.3,
                marker="." if len(c.lag) == 1 else None,  # a line of one point is not seen
                label=f"{_LABEL[c.function]} {side}, {c.direction}",
            )  # fmt: skip


def plot_errors(comparison: Comparison, function: str = "S2") -> Any:
    """Draw the relative error of every curve beside its split-half floor, as bars.

    An error is infinite where the reference is zero, and is then written as ∞.

    Returns
    -------
    matplotlib.figure.Figure
    """
    from matplotlib.figure import Figure

    curves = comparison.select(function)
    figure = Figure(figsize=(max(4.0, 0.55 * len(curves) + 1.5), 3.0), layout="constrained")
    ax = figure.subplots()
    place = np.arange(len(curves))
    error = np.array([c.error for c in curves])
    finite = np.isfinite(error)
    at, height = place[finite], 100 * error[finite]
    ends = 100 * np.array([c.interval for c in curves])[finite].T
    whisker = np.where(np.isfinite(ends), np.abs(ends - height), 0.0)
    ax.bar(at, height, 0.6, color=GENERATED, alpha=0.75, label="generated")
    ax.errorbar(at, height, whisker, fmt="none", color="0.2", linewidth=0.8)
    for k in place[~finite]:
        text = "∞" if np.isposinf(error[k]) else "–"
        ax.text(k, 0.02, text, transform=ax.get_xaxis_transform(), ha="center", color=GENERATED)
    floors = [(k, 100 * c.floor) for k, c in enumerate(curves) if np.isfinite(c.floor)]
    for k, floor in floors:
        ax.plot([k - 0.4, k + 0.4], [floor] * 2, color=REFERENCE, linewidth=2.0,
                label="split-half floor" if k == floors[0][0] else None)  # fmt: skip
    ax.set_xticks(place, [f"{c.phase} {c.plane}\n{c.direction}" for c in curves], fontsize=7)
    ax.set_ylabel(f"relative error of {_LABEL[function]} (%)")
    ax.legend(fontsize=8, frameon=False)
    return figure
