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
from ..typing import Axis, Labels, Periodic, VoxelSize
from ._threads import thread_count
from ._volume import Flags3, LabelVolume, neighbours

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
    survival : array of float64
        Share of the counted chords that are longer than ``length``; zeros without chords.
    unbiased_survival : array of float64
        The same for chords that no face cuts: a chord with one end in sight is known to be at least
        as long as it is seen (Kaplan and Meier [2]_).  nan beyond the longest chord if that is cut.
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
    survival: np.ndarray
    unbiased_survival: np.ndarray
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
    labels: Labels,
    phase: int | str,
    *,
    axis: Axis,
    periodic: Periodic = False,
    mask: Labels | None = None,
    cut: str = "keep",
    voxel_size: VoxelSize | None = None,
    threads: int = 0,
) -> ChordLengths:
    """Compute the chord-length distribution of a phase along an axis.

    A chord is a maximal run of voxels of the phase.  All chords have the same weight, so a ball of
    radius R has mean chord 4R/3 (weights by length, as in some codes, would give 3R/2).

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    phase : int or str
        The phase: its label, or its name in a `Microstructure`.
    axis : int or str
        0, 1, 2 or "z", "y", "x".
    periodic : bool or one per axis
        Let chords cross the faces.
    mask : array of bool, optional
        Chords end where the mask does.
    cut : {"keep", "drop"}
        Whether to count chords that reach a non-periodic face of the image or the border of the
        mask.  Dropping them favours short chords, keeping them shortens long ones;
        ``unbiased_mean`` and ``unbiased_survival`` have neither bias.
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
    .. [2] E. L. Kaplan and P. Meier, J. Am. Stat. Assoc. 53, 457 (1958).

    Examples
    --------
    >>> chord_lengths(np.array([[0, 1, 1, 0, 1]]), 1, axis="x")
    ChordLengths(phase 1 along x: 2 chords, mean 1.5 voxels)
    """
    volume = LabelVolume.of(labels, mask, by_blocks=True)
    number = volume.phase(phase)
    along = _checks.axis_number(axis, volume.ndim) + volume.lead
    wrap = volume.periodic_axes(periodic)
    cut = _checks.choice(cut, ("keep", "drop"), name="cut")
    spacing, unit = volume.spacing(voxel_size)
    step = spacing[along]
    runs = _counted(volume, number, along, wrap, thread_count(threads))
    (count, one_end, no_end), (whole, twice, changes) = runs
    unbiased_survival = _kaplan_meier(count, one_end, no_end)
    if cut == "drop":
        count = count - one_end - no_end
    n = len(count)
    length = step * np.arange(1, n + 1)
    chords = int(count.sum())
    return ChordLengths(
        length,
        count,
        density=count / (chords * step) if chords else np.zeros(n),
        survival=_longer(count) / max(chords, 1),
        unbiased_survival=unbiased_survival,
        mean=float(count @ length / chords) if chords else float("nan"),
        unbiased_mean=step * twice / changes if changes else float("inf"),
        whole=whole,
        phase=number,
        axis=AXIS_NAMES[along],
        unit=unit,
    )


def _counted(
    volume: LabelVolume, phase: int, along: int, wrap: Flags3, threads: int
) -> tuple[np.ndarray, list[int]]:
    """Return the runs of a phase by length - 1, and counts of what is not in them.

    The runs, int64 (3, n), are all, those with one and those with no end in sight; the counts are
    the lines entirely in the phase and those of `_voxels_and_changes`.
    """

    def measure(part: LabelVolume, periodic: Flags3) -> np.ndarray:
        inside, wraps = part.indicator(phase), periodic[along]
        counts, full = ops.run_lengths(
            inside.view(np.uint8), axis=along, n_phases=2, periodic=wraps, threads=threads
        )
        ends = _cut_runs(inside, part.mask, along, wraps)
        others = _voxels_and_changes(inside, part.mask, along, wraps)
        return np.array([*counts[1, 1:], *ends.ravel(), full[1], *others])

    found = volume.total(measure, whole=(along == 0, along == 1, along == 2), periodic=wrap)
    return found[:-3].reshape(3, -1), found[-3:].tolist()


def _cut_runs(inside: np.ndarray, mask: np.ndarray | None, axis: int, periodic: bool) -> np.ndarray:
    """Count the runs with one and with no end in sight, by length - 1: int64 (2, n).

    An end is out of sight at an open face and at the border of the mask.
    """
    if mask is not None:
        return _runs_at_mask(inside, mask, axis, periodic)
    lines = np.moveaxis(inside, axis, 0)
    n = len(lines)
    found = np.zeros((2, n), dtype=np.int64)
    if periodic:
        return found
    for view in (lines, lines[::-1]):
        at_least = np.zeros(n + 1, dtype=np.int64)  # of the runs at this face
        alive = np.ones(view.shape[1:], dtype=bool)
        for k in range(n):
            alive &= view[k]
            at_least[k] = np.count_nonzero(alive)
            if not at_least[k]:
                break
        found[0] -= np.diff(at_least)
        found[:, n - 1] = 0, at_least[n - 1]
    return found


def _runs_at_mask(inside: np.ndarray, mask: np.ndarray, axis: int, periodic: bool) -> np.ndarray:
    """Return `_cut_runs` of a phase inside a mask."""
    n = inside.shape[axis]
    lines: Any
    seen: Any
    lines, seen = (np.moveaxis(a, axis, -1).reshape(-1, n) for a in (inside, mask))
    if periodic:  # turn each line so that it begins and ends with the same voxel outside
        ends = ~lines.all(axis=1)
        turn = (np.argmin(lines[ends], axis=1)[:, None] + np.arange(n + 1)) % n
        lines, seen = (np.take_along_axis(a[ends], turn, axis=1) for a in (lines, seen))
    else:
        lines, seen = (np.pad(a, ((0, 0), (1, 1))) for a in (lines, seen))
    flat, seen = lines.ravel(), seen.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    before, last = changes[::2], changes[1::2]
    hidden = 2 - seen[before].astype(np.int64) - seen[last + 1]
    found = np.bincount(hidden * (n + 1) + last - before, minlength=3 * (n + 1))
    return found.reshape(3, n + 1)[1:, 1:]


def _longer(count: np.ndarray) -> np.ndarray:
    """Return how many runs are longer than 1, 2, … voxels."""
    return int(count.sum()) - np.cumsum(count)  # type: ignore[no-any-return]


def _kaplan_meier(count: np.ndarray, one_end: np.ndarray, no_end: np.ndarray) -> np.ndarray:
    """Return the share of chords longer than 1, 2, … voxels, from whole and from cut ones.

    Each end in sight is the start of a chord, so whole ones are seen twice.
    """
    if not count.any():
        return np.zeros(len(count))
    ending = 2 * (count - one_end - no_end)
    on = _longer(ending + one_end)
    known = on + ending  # a chord cut after k voxels may have k or more
    share = np.divide(on, known, out=np.full(len(on), np.nan), where=known > 0)
    survival = np.cumprod(share)
    if 0.0 in share:  # the longest ends in sight
        survival[np.isnan(survival)] = 0.0
    return survival


def _voxels_and_changes(
    inside: np.ndarray, mask: np.ndarray | None, axis: int, periodic: bool
) -> tuple[int, int]:
    """Return the ends of neighbour pairs in the phase, and the pairs with one end in it."""
    here, ahead = neighbours(inside, axis, periodic)
    changes = here != ahead
    if mask is not None:
        first, second = neighbours(mask, axis, periodic)
        both = first & second
        changes &= both
        here, ahead = here & both, ahead & both
    ends = np.count_nonzero(here) + np.count_nonzero(ahead)
    return int(ends), int(np.count_nonzero(changes))
