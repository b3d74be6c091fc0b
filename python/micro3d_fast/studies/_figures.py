# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The figures of a study in the composition of the paper's, as SVG and PDF."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._atomic import atomic_write
from .._palette import phase_colour, phase_rgb
from .._planes import NORMAL, PLANES
from ..homogenization import homogenize_elasticity
from ..statistics.figures import GENERATED as RED
from ..statistics.figures import REFERENCE as BLUE
from ._errors import FUNCTIONS, GroupErrors
from ._measure import DESCRIPTORS, NORMAL_PAIRS, SHEAR_PAIRS
from ._page import stills
from ._plan import GENERATED, REAL

if TYPE_CHECKING:
    from ..statistics import Curve
    from ._result import Study

LOADS = ("xx", "yy", "zz", "xy", "xz", "yz")  # of Figure A2, in its order
MATH = {"S2": "$S_2$", "L": "$L$"}
LINES = {"S2": "-", "L": "--"}
TOP = 2.9  # inches of the rows of pictures in the composition
#: Figures of distributions, and the quantities that each shows.
DISTRIBUTIONS = {
    "elastic-constants": ("E", "nu", "G"),  # Figure 9
    "thermal-expansion": ("alpha",),  # Figure 10
    "conductivity": ("conductivity",),
    "fractions-and-diffusivity": ("fraction", "D"),  # Figure 12
    "descriptors": DESCRIPTORS,
}


def write_figures(study: Study) -> list[Path]:
    """Draw every figure that the study has data for; return the files."""
    import matplotlib as mpl

    folder = study.out / "figures"
    folder.mkdir(exist_ok=True)
    files = []
    style: dict[Any, Any] = {
        "font.size": 8,
        "axes.titlesize": 8,
        "svg.hashsalt": "micro3d",
        "pdf.fonttype": 42,
    }
    with mpl.rc_context(style):
        for name, draw in _figures(study):
            figure = draw()
            figure.get_layout_engine().execute(figure)
            figure.set_layout_engine("none")  # once for both files: it takes most of the time
            for suffix in (".svg", ".pdf"):
                dated = {"Date": None} if suffix == ".svg" else {"CreationDate": None}
                with atomic_write(folder / f"{name}{suffix}") as path:
                    figure.savefig(path, format=suffix[1:], metadata=dated, dpi=200)
                files.append(folder / f"{name}{suffix}")
    return files


def _figures(study: Study) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield names and functions that draw."""
    names = set(study.quantities)
    yield "volumes-and-curves", partial(composition, study)
    if grid := study.of_kind("grid"):
        yield "grid-errors", partial(grid_errors, study, grid)
        yield "grid-curves", partial(grid_curves, study, grid)
    for name, wanted in DISTRIBUTIONS.items():
        if set(wanted) <= names:
            yield name, partial(distributions, study, wanted)
    if "E" in names:
        yield "equivalent-stress", partial(stress, study)
    for kind, name in (("ablation", "ablation"), ("model", "models")):
        if groups := study.of_kind(kind):
            yield name, partial(variants, study, groups)


# ----------------------------------------------------------------------- Figures 5, 8, 11


def composition(study: Study) -> Any:
    """Return volumes (a), micrographs (b), slices (c) and curves (d-f) (Figures 5, 8, 11).

    With two phases the curves stand by plane, with more by phase, as in the paper.
    """
    from matplotlib.figure import Figure

    phases = len(study.comparison.phase_names)
    rows = 1 if phases <= 2 else phases
    figure = Figure(figsize=(7.2, TOP + 1.9 * rows), layout="constrained")
    grid: Any = figure.add_gridspec(
        2, 3, height_ratios=[TOP, 1.9 * rows], width_ratios=[1.05, 1, 1]
    )
    volumes, images, slices = (figure.add_subfigure(grid[0, k]) for k in range(3))
    below = figure.add_subfigure(grid[1, :])
    _letters(volumes, "(a)")
    for axes, (_, picture) in zip(np.ravel(volumes.subplots(2, 2)), stills(study), strict=False):
        seen = np.transpose(np.nonzero(picture[..., 3]))
        (top, left), (bottom, right) = seen.min(axis=0), seen.max(axis=0) + 1
        axes.imshow(picture[top:bottom, left:right])
    _letters(images, "(b)")
    _letters(slices, "(c)")
    _image_grid(images, {p: study.micrographs.images[p] for p in PLANES}, study.volume_shape)
    made = [np.asarray(study.volume(n).labels) for n in study.numbers[:3]]
    middles = {p: [v.take(v.shape[NORMAL[p]] // 2, axis=NORMAL[p]) for v in made] for p in PLANES}
    _image_grid(slices, middles, study.volume_shape)
    for axes in [*volumes.axes]:
        axes.set_axis_off()
    _curve_grid(study, below, rows)
    return figure


def _letters(figure: Any, text: str) -> None:
    figure.suptitle(text, x=0.02, ha="left", fontsize=9, fontweight="bold")


def _image_grid(
    figure: Any, planes: Mapping[str, Sequence[np.ndarray]], shape: tuple[int, int, int]
) -> None:
    """Draw images of every plane, a row each, cropped to the size of a slice."""
    axes = figure.subplots(len(planes), 3, squeeze=False)
    for row, (plane, images) in zip(axes, planes.items(), strict=True):
        size = [n for axis, n in enumerate(shape) if axis != NORMAL[plane]]
        chosen = np.linspace(0, len(images) - 1, min(3, len(images))).round().astype(int)
        for k, ax in enumerate(row):
            ax.set(xticks=[], yticks=[])
            if k < len(chosen):
                image = images[chosen[k]][: size[0], : size[1]]
                ax.imshow(phase_rgb()[image], interpolation="nearest")
            else:
                ax.set_axis_off()
        row[0].set_ylabel(plane)


def _curve_grid(study: Study, figure: Any, rows: int) -> None:
    """Draw the curves, one column per plane and one row per phase."""
    comparison = study.comparison
    phases = range(len(comparison.phase_names))
    shown = list(phases)[-1:] if rows == 1 else list(phases)
    axes = figure.subplots(rows, 3, squeeze=False, sharey="row")
    letters = iter("defghijklmnop")
    for row, phase in zip(axes, shown, strict=True):
        for ax, plane in zip(row, PLANES, strict=True):
            for function in FUNCTIONS:
                for curve in comparison.select(function, phase=phase, plane=plane):
                    _draw_curve(ax, curve)
            name = comparison.phase_names[phase]
            ax.set_title(f"({next(letters)}) {name}, {plane}", loc="left", fontweight="bold")
            ax.set_xlim(0, None)
            ax.set_ylim(0, None)
        row[0].set_ylabel("$S_2$ (solid), $L$ (dashed)")
    for ax in axes[-1]:
        ax.set_xlabel("lag (voxels)")
    from matplotlib.lines import Line2D

    keys = [
        Line2D([], [], color=BLUE, label=f"{study.against} ± real specimens"),
        Line2D([], [], color=RED, label="volumes"),
    ]
    axes[0][-1].legend(handles=keys, frameon=False, fontsize=7)


def _draw_curve(ax: Any, curve: Curve) -> None:
    style = LINES[curve.function]
    spread = curve.real_std if curve.real_std is not None else curve.reference_std
    low, high = curve.reference - spread, curve.reference + spread
    ax.fill_between(curve.lag, low, high, color=BLUE, alpha=0.12, linewidth=0)
    ax.plot(curve.lag, curve.reference, style, color=BLUE, linewidth=1.2)
    ax.plot(curve.lag, curve.generated, style, color=RED, linewidth=1.2)


# ----------------------------------------------------------------------------- Figures 6, 7


def _cells(grid: Sequence[GroupErrors]) -> tuple[list[float], list[int]]:
    gammas = sorted({float(one.options["gamma"]) for one in grid})
    return gammas, sorted({int(one.options["harmonize"]) for one in grid})


def _colours(count: int) -> list[Any]:
    from matplotlib import colormaps

    return [colormaps["viridis"](0.9 * k / max(count - 1, 1)) for k in range(count)]


def grid_errors(study: Study, grid: Sequence[GroupErrors]) -> Any:
    """Return the errors of S2 and L over γ for each n_h, plane by plane (Figure 6)."""
    from matplotlib.figure import Figure

    gammas, repeats = _cells(grid)
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots(2, 3, sharex=True, sharey="row")
    for row, function in zip(axes, FUNCTIONS, strict=True):
        for ax, plane in zip(row, PLANES, strict=True):
            for n, colour in zip(repeats, _colours(len(repeats)), strict=True):
                own = [one for one in grid if one.options["harmonize"] == n and one.count]
                own.sort(key=lambda one: float(one.options["gamma"]))
                means = [one.mean(function, plane) for one in own]
                ax.errorbar(
                    [float(one.options["gamma"]) for one in own],
                    [100 * m for m, _ in means],
                    [0.0 if np.isnan(s) else 100 * s for _, s in means],
                    marker="o", markersize=3, color=colour, linewidth=1.1, capsize=2,
                    label=f"$n_h$ = {n}",
                )  # fmt: skip
            if study.real_errors is not None:
                level = 100 * study.real_errors.mean(function, plane)[0]
                ax.axhline(level, color=BLUE, linestyle=":", label="real blocks")
            ax.set_title(f"{MATH[function]}, {plane}")
            ax.set_ylim(0, None)
        row[0].set_ylabel("relative error (%)")
    for ax in axes[-1]:
        ax.set_xlabel("γ")
        ax.set_xticks(gammas)
    axes[0][-1].legend(frameon=False, fontsize=7)
    return figure


def grid_curves(study: Study, grid: Sequence[GroupErrors]) -> Any:
    """Return S2 and L of every cell beside the reference, plane by plane (Figure 7)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 6.4), layout="constrained")
    axes = figure.subplots(3, 2)
    phase = len(study.comparison.phase_names) - 1
    for row, plane in zip(axes, PLANES, strict=True):
        for ax, function in zip(row, FUNCTIONS, strict=True):
            curve = study.comparison.select(function, phase=phase, plane=plane)[0]
            key = (function, phase, plane, curve.direction)
            for one, colour in zip(grid, _colours(len(grid)), strict=True):
                if key in one.curves:
                    ax.plot(
                        curve.lag, one.curves[key], color=colour, linewidth=0.9, label=one.title
                    )
            ax.plot(curve.lag, curve.reference, color="black", linestyle="--", label=study.against)
            ax.set_title(f"{MATH[function]}, {plane} along {curve.direction}")
            ax.set(xlim=(0, None), ylim=(0, None), xlabel="lag (voxels)")
            ax.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside right upper", frameon=False, fontsize=6,
        ncols=1 + len(grid) // 24,
    )  # fmt: skip
    return figure


# ------------------------------------------------------------------------ Figures 9, 10, 12


def distributions(study: Study, names: Sequence[str]) -> Any:
    """Return distributions of quantities side by side, three components a row.

    Real blocks are blue and volumes red, as in the paper; boxes hold the middle half.
    """
    from matplotlib.figure import Figure

    panels = [(name, k) for name in names for k in range(len(study.quantities[name].components))]
    columns = 3
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(7.2, 1.9 * rows + 0.2), layout="constrained")
    axes = np.ravel(figure.subplots(rows, columns, squeeze=False))
    tests = {(t.quantity, t.component): t for t in study.tests}
    for ax, (name, k) in zip(axes, panels, strict=False):
        found = study.quantities[name]
        scale, unit = found.printed_unit
        sides = [("volumes", found.values[:, k] / scale, RED)]
        if found.reference is not None:
            sides.insert(0, ("real blocks", found.reference[:, k] / scale, BLUE))
        _boxes(ax, sides)
        title = textwrap.fill(f"{found.title} {found.components[k]}{unit}", 34)
        ax.set_title(title, loc="left")
        test = tests.get((name, found.components[k]))
        if test is not None:
            ax.set_xlabel(f"p = {test.location_p:.2g}", color="0.35")
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    return figure


def _boxes(ax: Any, sides: Sequence[tuple[str, Any, str]]) -> None:
    """Draw a box and all values of each side."""
    for place, (_, values, colour) in enumerate(sides):
        finite = np.asarray(values, dtype=float)
        finite = finite[np.isfinite(finite)]
        if not finite.size:
            continue
        ax.boxplot(
            [finite], positions=[place], widths=0.5, showfliers=False, patch_artist=True,
            boxprops={"facecolor": colour, "alpha": 0.25, "edgecolor": colour},
            medianprops={"color": colour, "linewidth": 2.0},
            whiskerprops={"color": colour}, capprops={"color": colour},
        )  # fmt: skip
        spread = 0.12 * np.sin(2.4 * np.arange(finite.size))
        ax.plot(place + spread, finite, ".", color=colour, markersize=3, alpha=0.6)
    ax.set_xticks(range(len(sides)), [name for name, _, _ in sides])
    ax.set_xlim(-0.6, len(sides) - 0.4)


# ------------------------------------------------------------------------------- Figure A2


def stress(study: Study) -> Any:
    """Return the von Mises stress on three faces of a volume under six mean strains (Figure A2)."""
    from matplotlib.figure import Figure

    materials = study.materials
    assert materials is not None
    assert materials.materials is not None
    volume = study.volume(study.numbers[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the task of this volume has kept them
        solved = homogenize_elasticity(volume, materials.materials, tol=1e-3, fields=True)
    figure = Figure(figsize=(7.2, 4.8), layout="constrained")
    for k, pair in enumerate(LOADS):
        axes = figure.add_subplot(2, 3, k + 1, projection="3d")
        strain = np.zeros(6)
        strain[(NORMAL_PAIRS + SHEAR_PAIRS).index(pair)] = 1.0
        field = solved.local(strain=strain).fields["von_mises"]
        mean = float(field.mean()) or 1.0
        shown = _draw_faces(axes, field / mean)
        axes.set_title(f"({'abcdef'[k]}) {pair}-direction")
        figure.colorbar(shown, ax=axes, shrink=0.6, label="von Mises / mean", extend="max")
    return figure


def _draw_faces(axes: Any, field: np.ndarray) -> Any:
    """Draw a field (z, y, x) on the faces at the largest x and z and the smallest y."""
    from matplotlib import cm, colormaps, colors

    nz, ny, nx = field.shape
    norm = colors.Normalize(0.0, float(np.quantile(field, 0.99)) or 1.0)
    x, y, z = (np.arange(n + 1) for n in (nx, ny, nz))
    for values, place in (
        (field[-1].T, (*np.meshgrid(x, y, indexing="ij"), np.full((nx + 1, ny + 1), nz))),
        (field[:, 0].T, _face(x, z, 0, 1)),
        (field[:, :, -1].T, _face(y, z, nx, 0)),
    ):
        axes.plot_surface(
            *place, facecolors=colormaps["inferno"](norm(values)), shade=False, rstride=1,
            cstride=1, linewidth=0, antialiased=False, rasterized=True,
        )  # fmt: skip
    axes.set_box_aspect((nx, ny, nz))
    axes.set_axis_off()
    return cm.ScalarMappable(norm, "inferno")


def _face(across: np.ndarray, up: np.ndarray, at: int, axis: int) -> tuple[np.ndarray, ...]:
    """Return x, y, z of the corners of a vertical face at ``at`` along x (0) or y (1)."""
    first, second = np.meshgrid(across, up, indexing="ij")
    fixed = np.full(first.shape, at)
    return (fixed, first, second) if axis == 0 else (first, fixed, second)


# ------------------------------------------------------------------------------- Figure B1


def variants(study: Study, groups: Sequence[GroupErrors]) -> Any:
    """Return the errors of variants beside those of the study, plane by plane (Figure B1)."""
    from matplotlib.figure import Figure

    base = [one for one in study.errors if one.group in (REAL, GENERATED)]
    shown = [one for one in [*base, *groups] if one.count]
    figure = Figure(figsize=(7.2, 1.4 + 0.42 * len(shown)), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    places = np.arange(len(shown))
    for ax, function in zip(axes, FUNCTIONS, strict=True):
        for k, plane in enumerate(PLANES):
            means = np.array([one.mean(function, plane) for one in shown])
            spread = 100 * np.nan_to_num(means[:, 1])
            ax.barh(
                places + 0.26 * (k - 1), 100 * means[:, 0], 0.24, xerr=spread,
                color=phase_colour(k + 1), label=plane, error_kw={"linewidth": 0.8},
            )  # fmt: skip
        ax.set_xlabel(f"relative error of {MATH[function]} (%)")
        ax.set_xlim(0, None)
    axes[0].set_yticks(places, [one.title for one in shown])
    axes[0].invert_yaxis()
    axes[-1].legend(frameon=False, fontsize=7)
    return figure
