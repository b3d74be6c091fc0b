# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Curves and descriptors of one volume, measured and laid out for its report."""

from __future__ import annotations

import csv
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import _checks, statistics
from .._atomic import atomic_write
from .._lengths import LengthUnit, length_unit
from .._planes import AXIS_NAMES
from .._printable import csv_text
from .._results import Result
from ..microstructure import Microstructure
from ._document import Figure, Line, Part, Plot, Section, Table

__all__ = ["Descriptors", "Measured", "measure", "sections", "summary", "write_csv"]

AXES = AXIS_NAMES[::-1]  # x, y, z


@dataclass(frozen=True, eq=False)
class Measured(Result):
    """Curves and descriptors of every phase of a volume.

    Attributes
    ----------
    phases : tuple of int
        Phases that occur.
    phase_names : tuple of str
        One per phase of the volume.
    voxel_size : (dz, dy, dx)
        In metres, or 1.0 for voxels.
    shape : (nz, ny, nx)
        In voxels.
    fractions : array, shape (P,)
        Volume fractions.
    two_point, lineal_path : dict of (phase, axis) to array
        S2 and L along ``"x"``, ``"y"``, ``"z"``, by lag in voxels.
    radial : dict of phase to RadialCorrelation
        S2 over all directions, in bins as wide as the smallest voxel size.
    descriptors : dict of phase to Descriptors
        Correlation lengths, chords, surface, percolation, local fractions.
    periodic : bool
        Whether opposite faces were joined.
    """

    phases: tuple[int, ...]
    phase_names: tuple[str, ...]
    voxel_size: tuple[float, float, float]
    shape: tuple[int, int, int]
    fractions: np.ndarray
    two_point: dict[tuple[int, str], np.ndarray]
    lineal_path: dict[tuple[int, str], np.ndarray]
    radial: dict[int, statistics.RadialCorrelation]
    descriptors: dict[int, Descriptors]
    unit: LengthUnit
    periodic: bool = False

    def spacing(self, axis: str) -> float:
        """Return the voxel size along an axis."""
        return self.voxel_size[AXIS_NAMES.index(axis)]


@dataclass(frozen=True)
class Descriptors:
    """Descriptors of one phase.

    Attributes
    ----------
    lengths : CorrelationLengths
    chords : dict of axis to ChordLengths
    surface : float
        Specific surface by Crofton's formula, per metre (or per voxel edge).
    percolation : Percolation
    local : LocalFractions
    """

    lengths: statistics.CorrelationLengths
    chords: dict[str, statistics.ChordLengths]
    surface: float
    percolation: statistics.Percolation
    local: statistics.LocalFractions


def measure(
    volume: Microstructure, *, max_lag: int | None = None, periodic: bool = False
) -> Measured:
    """Measure curves and descriptors of every phase.

    Parameters
    ----------
    volume : Microstructure
    max_lag : int, optional
        In voxels, less than the longest axis has; default half of each axis.  It is cut on shorter
        axes, with a warning unless they are one voxel long.
    periodic : bool
        The volume is periodic along all axes.
    """
    lags = _lags(volume, max_lag)
    present = tuple(int(p) for p in np.flatnonzero(volume.volume_fractions))
    two_point, paths = (
        {
            (phase, axis): function(volume, phase, axis=axis, max_lag=lags[axis], periodic=periodic)
            for phase in present
            for axis in AXES
        }
        for function in (statistics.two_point_correlation, statistics.lineal_path)
    )
    size: dict[str, Any] = {"periodic": periodic, "voxel_size": volume.voxel_size}
    edges = [n * d for n, d in zip(volume.shape, volume.voxel_size, strict=True)]
    return Measured(
        phases=present,
        phase_names=volume.phase_names,
        voxel_size=volume.voxel_size,
        shape=volume.shape,
        fractions=volume.volume_fractions,
        two_point=two_point,
        lineal_path=paths,
        radial={
            phase: statistics.two_point_radial(volume, phase, max_lag=max_lag, **size)
            for phase in present
        },
        descriptors={
            phase: Descriptors(
                statistics.correlation_lengths(volume, phase, **size),
                {axis: statistics.chord_lengths(volume, phase, axis=axis, **size) for axis in AXES},
                statistics.specific_surface(volume, phase, **size),
                statistics.percolation(volume, phase, periodic=periodic),
                statistics.local_fractions(volume, phase, periodic=periodic),
            )
            for phase in present
        },
        unit=length_unit(volume.voxel_size, max(edges)),
        periodic=periodic,
    )


def _lags(volume: Microstructure, max_lag: int | None) -> dict[str, int]:
    """Return the longest lag along each axis."""
    sizes = dict(zip(AXIS_NAMES, volume.shape, strict=True))
    if max_lag is None:
        return {axis: min(n // 2, n - 1) for axis, n in sizes.items()}
    max_lag = _checks.integer(max_lag, name="max_lag", minimum=0, maximum=max(volume.shape) - 1)
    for axis, n in sizes.items():
        if 1 < n <= max_lag:
            warnings.warn(
                f"`max_lag` {max_lag} is cut to {n - 1} along {axis}, where the volume has "
                f"{n} voxels",
                stacklevel=3,
            )
    return {axis: min(max_lag, n - 1) for axis, n in sizes.items()}


def sections(measured: Measured) -> list[Section]:
    """Return the curves and lengths as sections of a report."""
    figures = [_figure(measured, phase) for phase in measured.phases]
    joined = "are joined (--periodic)" if measured.periodic else "are not joined"
    lead = f"{_LEAD}; opposite faces of the volume {joined}."
    return [
        Section("Two-point correlation and lineal path", figures, anchor="curves-of-volume"),
        Section("Lengths, surface, connectivity", _tables(measured), lead, anchor="descriptors"),
        Section(
            "Chords and local fractions",
            [_chord_figure(measured), _local_figure(measured)],
            anchor="chords",
        ),
    ]


_LEAD = (
    "A correlation length is the lag at which the scaled autocovariance (S₂ − φ²)/(φ − φ²) falls "
    "to 1/e; a mean chord is that of all straight runs through the phase, corrected for those cut "
    "by the faces of the volume. Clusters consist of voxels that share faces"
)


def _tables(measured: Measured) -> list[Part]:
    unit = measured.unit
    lengths, connected = [], []
    for phase in measured.phases:
        name, found = measured.phase_names[phase], measured.descriptors[phase]
        correlation = (unit(found.lengths.length.get(axis, np.nan)) for axis in AXES)
        chords = (unit(found.chords[axis].unbiased_mean) for axis in AXES)
        surface = found.surface * unit.metres
        lengths.append([name, *correlation, found.lengths.anisotropy, *chords, surface])
        shares = (float(found.percolation.fraction.get(axis, np.nan)) for axis in AXES)
        largest = float(found.percolation.largest)
        connected.append([name, found.percolation.clusters, largest, *shares])
    per = "per voxel edge" if unit.name == "voxels" else f"1/{unit.name}"
    return [
        Table(
            [
                "Phase",
                *(f"correlation {axis}" for axis in AXES),
                "longest / shortest",
                *(f"chord {axis}" for axis in AXES),
                f"surface ({per})",
            ],
            lengths,
            f"Correlation lengths and mean chords ({unit.name}), and surface per volume (Crofton).",
            ["", *[".3g"] * 8],
        ),
        Table(
            ["Phase", "Clusters", "Largest", *(f"reaches through {axis}" for axis in AXES)],
            connected,
            "Clusters, and the share of each phase in the largest one and in those that reach from "
            "face to face.",
            ["", "d", "%", "%", "%", "%"],
        ),
    ]


_ROLES = ("first", "second", "third")  # styles of the lines along x, y, z


def _chord_figure(measured: Measured) -> Figure:
    unit = measured.unit
    plots = []
    for phase in measured.phases:
        lines = []
        for role, axis in zip(_ROLES, AXES, strict=True):
            chords = measured.descriptors[phase].chords[axis]
            last = int(np.flatnonzero(chords.count)[-1]) + 1 if chords.count.any() else 1
            x, density = unit(chords.length[:last]), chords.density[:last] * unit.metres
            lines.append(Line(x, density, axis, role))
        name = measured.phase_names[phase]
        plots.append(
            Plot(
                lines,
                title=name,
                x_label=f"chord ({unit.name})",
                y_label=f"density (1/{unit.name})",
                alt=f"Chord-length densities of {name} along x, y and z",
            )
        )
    return Figure(
        plots,
        caption=f"Chord-length densities by number (1/{unit.name}), along x, y and z.",
        legend=[(role, f"along {axis}") for role, axis in zip(_ROLES, AXES, strict=True)],
    )


def _local_figure(measured: Measured) -> Figure:
    plots = []
    for phase in measured.phases[_complementary(measured) :]:
        local = measured.descriptors[phase].local
        name = measured.phase_names[phase]
        plots.append(
            Plot(
                [Line(local.size, np.sqrt(local.variance), "", "first")],
                title=name,
                x_label="window (voxels)",
                y_label="standard deviation",
                alt=f"Standard deviation of the local fraction of {name} against window size",
            )
        )
    caption = "Standard deviation of the phase fraction in cubic windows, against their edge."
    if _complementary(measured):
        caption += " It is the same for both phases."
    return Figure(plots, caption)


def _complementary(measured: Measured) -> int:
    """Return 1 if S2 and the local fractions of the first of two phases are those of the other."""
    return int(len(measured.phases) == 2)


def _figure(measured: Measured, phase: int) -> Figure:
    """Return S2 and L of a phase; of the first of two phases L alone."""
    name, unit = measured.phase_names[phase], measured.unit
    both = phase in measured.phases[_complementary(measured) :]
    x_label, y_label = f"lag ({unit.name})", "S₂ and L" if both else "lineal path L"
    square = float(measured.fractions[phase]) ** 2
    plots = []
    for axis in AXES:
        path = measured.lineal_path[phase, axis]
        x = unit(np.arange(path.size) * measured.spacing(axis))
        lines = [Line(x, path, "L", "second")]
        if both:
            s2 = Line(x, measured.two_point[phase, axis], "S₂", "first")
            lines = [Line(x[[0, -1]], [square, square], "", "faint"), s2, *lines]
        alt = f"Two-point correlation and lineal path of {name} along {axis}"
        plots.append(Plot(lines, f"along {axis}", x_label, y_label, alt=alt))
    caption = f"Lineal path L of {name}; its S₂ follows from that of the other phase."
    legend = [("second", "L")]
    if both:
        radial = measured.radial[phase]
        good = np.isfinite(radial.value)
        x = unit(radial.lag[good])
        lines = [
            Line(x[[0, -1]], [square, square], "", "faint"),
            Line(x, radial.value[good], "S₂", "first"),
        ]
        alt = f"Radial two-point correlation of {name}"
        plots.append(Plot(lines, "over all directions", x_label, "S₂", alt=alt))
        caption = f"Two-point correlation S₂ and lineal path L of {name}; the dotted line is φ²."
        legend = [("first", "S₂"), ("second", "L"), ("faint", "φ²")]
    return Figure(plots, title=name.capitalize(), caption=caption, legend=legend)


def summary(measured: Measured) -> str:
    """Return fractions and the range of correlation lengths in one sentence."""
    phases = ", ".join(
        f"{measured.phase_names[p]} {float(measured.fractions[p]):.4f}" for p in measured.phases
    )
    lengths = {
        (phase, axis): measured.unit(measured.descriptors[phase].lengths.length.get(axis, np.nan))
        for phase in measured.phases
        for axis in AXES
    }
    known = {place: value for place, value in lengths.items() if np.isfinite(value)}
    sentence = f"Fractions: {phases}"
    if known:
        low, high = min(known, key=lambda k: known[k]), max(known, key=lambda k: known[k])
        sentence += (
            f"; correlation lengths from {known[low]:.3g} {measured.unit.name} "
            f"({measured.phase_names[low[0]]}, along {low[1]}) to {known[high]:.3g} "
            f"{measured.unit.name} ({measured.phase_names[high[0]]}, along {high[1]})"
        )
    undecayed = [
        f"{measured.phase_names[phase]} along {axis}"
        for phase, axis in lengths
        if not np.isfinite(lengths[phase, axis])
        and measured.fractions[phase] < 1
        and measured.shape[AXIS_NAMES.index(axis)] > 1
    ]
    if undecayed:
        sentence += f"; not decayed to 1/e within half the volume: {', '.join(undecayed)}"
    return sentence + "."


def write_csv(path: Path, measured: Measured) -> None:
    """Write every curve as rows of function, phase, direction, lag, distance, value."""
    with atomic_write(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as f:
        rows = csv.writer(f)
        rows.writerow(["function", "phase", "name", "direction", "lag", "distance", "value"])
        for function, curves in (("S2", measured.two_point), ("L", measured.lineal_path)):
            for (phase, axis), values in curves.items():
                name, step = csv_text(measured.phase_names[phase]), measured.spacing(axis)
                for lag, value in enumerate(values):
                    rows.writerow(
                        [function, phase, name, axis, lag, lag * step, repr(float(value))]
                    )
        for phase, radial in measured.radial.items():
            smallest, name = min(measured.voxel_size), csv_text(measured.phase_names[phase])
            for lag, value in zip(radial.lag, radial.value, strict=True):
                numbers = [repr(float(number)) for number in (lag / smallest, lag, value)]
                rows.writerow(["S2", phase, name, "radial", *numbers])
