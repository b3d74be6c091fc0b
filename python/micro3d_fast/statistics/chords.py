# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Chord lengths: the straight intercepts of a phase along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _checks, ops
from .._planes import AXIS_NAMES
from .._results import Result
from ._threads import thread_count
from ._volume import LabelVolume

__all__ = ["ChordLengths", "chord_lengths"]


@dataclass(frozen=True, eq=False)
class ChordLengths(Result):
    """Chords of one phase along one axis (see `chord_lengths`).

    Attributes
    ----------
    length : array of float64
        Lengths 1, 2, … voxels, times the voxel size.
    count : array of int64
        Chords of each length.
    density : array of float64
        Probability density by number: ``Σ density · spacing = 1``; zeros without chords.
    mean : float
        Mean of the counted chords, all with the same weight; nan without chords.
    unbiased_mean : float
        Voxels of the phase per chord end: 2 φ / (changes of phase per voxel).  Unlike ``mean`` it
        is not shortened by chords that the faces of the image cut; inf without chord ends.
    whole : int
        Number of lines entirely in the phase along a periodic axis; such a line has no chord length
        and is not counted.
    phase : int
    axis : str
        "z", "y" or "x".
    unit : str
        Unit of the lengths.
    """

    length: np.ndarray
    count: np.ndarray
    density: np.ndarray
    mean: float
    unbiased_mean: float
    whole: int
    phase: int
    axis: str
    unit: str

    def __repr__(self) -> str:
        return (
            f"ChordLengths(phase {self.phase} along {self.axis}: {self.count.sum()} chords, "
            f"mean {self.mean:.4g} {self.unit})"
        )


def chord_lengths(
    labels: Any,
    phase: int,
    *,
    axis: Any,
    periodic: Any = False,
    mask: Any = None,
    cut: str = "keep",
    voxel_size: Any = None,
    threads: int = 0,
) -> ChordLengths:
    """Compute the chord-length distribution of a phase along an axis.

    A chord is a maximal run of voxels of the phase.  All chords have the same weight, so a ball of
    radius R has mean chord 4R/3 (weights by length, as in some codes, would give 3R/2).

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase : int
        The phase.
    axis : int or str
        0, 1, 2 or "z", "y", "x".
    periodic : bool or one per axis
        Let chords cross the faces.
    mask : array of bool, optional
        Chords end where the mask does.
    cut : {"keep", "drop"}
        Whether to count chords that reach a non-periodic face of the image.  Dropping them favours
        short chords, keeping them shortens long ones; ``unbiased_mean`` has neither bias.
    voxel_size : float or one per axis, optional
        Spacing in metres; default: that of a Microstructure; of an array, lengths in voxels.
    threads : int
        CPU threads, 0 for all.

    Returns
    -------
    ChordLengths

    References
    ----------
    .. [1] S. Torquato and B. Lu, Phys. Rev. E 47, 2950 (1993).

    Examples
    --------
    >>> chord_lengths(np.array([[0, 1, 1, 0, 1]]), 1, axis="x")
    ChordLengths(phase 1 along x: 2 chords, mean 1.5 voxels)
    """
    volume = LabelVolume.of(labels, mask)
    number = volume.phase(phase)
    along = _checks.axis_number(axis, volume.ndim) + volume.lead
    wrap = volume.periodic_axes(periodic)[along]
    cut = _checks.choice(cut, ("keep", "drop"), name="cut")
    spacing, unit = volume.spacing(voxel_size)
    step = spacing[along]
    inside = volume.indicator(number)
    counts, full = ops.run_lengths(
        inside.view(np.uint8),
        axis=along,
        n_phases=2,
        periodic=wrap,
        threads=thread_count(threads),
    )
    count = counts[1, 1:].copy()
    if cut == "drop" and not wrap:
        count -= _runs_at_faces(inside, along)
    n = len(count)
    length = step * np.arange(1, n + 1)
    chords = int(count.sum())
    voxels, changes = _voxels_and_changes(inside, volume.mask, along, wrap)
    return ChordLengths(
        length,
        count,
        density=count / (chords * step) if chords else np.zeros(n),
        mean=float(count @ length / chords) if chords else float("nan"),
        unbiased_mean=2.0 * step * voxels / changes if changes else float("inf"),
        whole=int(full[1]),
        phase=number,
        axis=AXIS_NAMES[along],
        unit=unit,
    )


def _runs_at_faces(inside: np.ndarray, axis: int) -> np.ndarray:
    """Count the runs that touch the first or the last voxel of their line, by length - 1."""
    lines = np.moveaxis(inside, axis, -1)
    n = lines.shape[-1]
    whole = lines.all(-1)
    out = np.zeros(n, dtype=np.int64)
    out[n - 1] = np.count_nonzero(whole)
    for view in (lines, lines[..., ::-1]):
        first = np.argmin(view, axis=-1)[~whole]  # length of the run at the face; 0 if none
        out += np.bincount(first, minlength=n + 1)[1:]
    return out


def _voxels_and_changes(
    inside: np.ndarray, mask: np.ndarray | None, axis: int, periodic: bool
) -> tuple[float, int]:
    """Return the voxels of the phase in neighbour pairs (half per pair) and the phase changes."""
    here, ahead = _neighbours(inside, axis, periodic)
    changes = here != ahead
    if mask is not None:
        first, second = _neighbours(mask, axis, periodic)
        both = first & second
        changes &= both
        here, ahead = here & both, ahead & both
    voxels = 0.5 * (np.count_nonzero(here) + np.count_nonzero(ahead))
    return voxels, int(np.count_nonzero(changes))


def _neighbours(volume: np.ndarray, axis: int, periodic: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the second ends of the neighbour pairs along an axis."""
    lines = np.moveaxis(volume, axis, 0)
    return (lines, np.roll(lines, -1, axis=0)) if periodic else (lines[:-1], lines[1:])
