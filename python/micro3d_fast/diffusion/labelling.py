# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""From the final field to labels: exact phase fractions, known voxels, no single voxels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from .. import _checks
from .._phases import phase_counts
from .._planes import NORMAL, PLANES
from .slabs import Whole

__all__ = [
    "UNKNOWN",
    "IslandRates",
    "check_island_rates",
    "face_mismatch",
    "final_labels",
    "islands",
    "labels_of",
    "left_to_give",
    "match_fractions",
    "prepare_labelling",
    "smoothed",
    "smoothing_widths",
    "unlike_neighbours",
    "whole_counts",
]

IslandRates = tuple[tuple[float, ...], ...]  # of each phase, in the slices of xy, xz and yz

UNKNOWN = 255  # in an array of known labels

_WIDTH, _WIDTHS = 2.0, (0.5, 8.0)  # voxels: of the smoothing, its mean and its limits by axis
_TRUNCATED = 2.0  # widths to each side that are averaged over

_SAMPLE = 2**21  # voxels that the weights of `match_fractions` are found on, at most


def labels_of(x: np.ndarray, n_phases: int) -> np.ndarray:
    """Return the phases of a field (C, ...): its sign for two phases, the arg max for more."""
    if n_phases == 2:
        return (x[0] > 0).astype(np.uint8)
    return x.argmax(axis=0).astype(np.uint8)


def unlike_neighbours(
    images: Iterable[tuple[np.ndarray, Sequence[int]]], n_phases: int = 1
) -> np.ndarray:
    """Return the share of neighbours of another phase along the axes z, y, x; nan without pairs.

    ``images`` are label arrays with the axes of the volume that theirs are.  Of more than two
    phases the result has a row for each: the share of neighbours one of which alone is the phase.
    """
    own_phases = range(n_phases) if n_phases > 2 else (None,)
    counts = np.zeros((len(own_phases), 2, 3))
    for image, axes in images:
        for row, phase in zip(counts, own_phases, strict=True):
            seen = image if phase is None else image == phase
            for own, axis in enumerate(axes):
                row[:, axis] += _unlike(seen, own)
    shares = _rates(counts[:, 0], counts[:, 1])
    return shares if n_phases > 2 else shares[0]


def _unlike(image: np.ndarray, axis: int) -> np.ndarray:
    """Return how many neighbours along an axis are of another phase, and how many there are."""
    along = np.moveaxis(image, axis, 0)
    return np.array([np.count_nonzero(along[1:] != along[:-1]), along[1:].size])


def _rates(unlike: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return np.divide(unlike, pairs, out=np.full(unlike.shape, np.nan), where=pairs > 0)


def smoothing_widths(raw: np.ndarray, slab: Whole | None = None) -> tuple[float, float, float]:
    """Return the widths of `smoothed` along z, y and x: longer where phases are longer.

    They are two voxels in the geometric mean, and in the proportions of the mean distances between
    surfaces.  Equal widths roughen long phases: on a composite of fibres, whose fraction was
    matched by .4 %, they made 12 % more surface along the fibres, these 3 %.
    """
    slab = slab or Whole()
    counts = [_unlike(slab.with_next(raw, axis), axis) for axis in range(3)]
    rates = _rates(*slab.total(np.transpose(counts)))
    if not (rates > 0).any():
        return _WIDTH, _WIDTH, _WIDTH
    rates = np.maximum(np.nan_to_num(rates, nan=np.nanmax(rates)), 1e-9)
    z, y, x = np.clip(_WIDTH * np.exp(np.log(rates).mean()) / rates, *_WIDTHS)
    return float(z), float(y), float(x)


def smoothed(
    x: np.ndarray,
    periodic: Sequence[bool],
    widths: Sequence[float],
    slab: Whole | None = None,
) -> np.ndarray:
    """Return the clipped field plus its average over a neighbourhood (Gaussian, of these widths).

    The final field is near -1 or +1 almost everywhere, and the order of the voxels inside a phase
    is noise.  With the neighbourhood added, the voxels at interfaces change phase first, so that
    matching a fraction moves surfaces instead of scattering single voxels.
    """
    from scipy.ndimage import gaussian_filter  # imported by `prepare_labelling`

    reach = [math.ceil(_TRUNCATED * width) for width in widths]
    wide, own = (slab or Whole()).widened(np.clip(x, -1, 1), reach, periodic)
    if not wide.size:
        return wide
    mode = ["wrap" if p else "nearest" for p in periodic]
    smooth = [c + gaussian_filter(c, widths, mode=mode, truncate=_TRUNCATED) for c in wide]
    return np.stack([c[own] for c in smooth])


def prepare_labelling() -> None:
    """Import what matching fractions needs, which takes up to a second, beside the passes."""
    import scipy.ndimage  # noqa: F401


def match_fractions(
    x: np.ndarray,
    fractions: np.ndarray,
    known: np.ndarray | None = None,
    slab: Whole | None = None,
) -> np.ndarray:
    """Return labels of a field with the given phase fractions, to one voxel.

    Two phases: the quantile of the field.  More: arg max of x_p + w_p, with the weights w that give
    the right counts (the dual of the assignment of voxels to phases with the largest total of x).
    The weights of a large field are found on a part of it.

    Parameters
    ----------
    x : array of float, shape (C, ...)
    fractions : array, shape (P,)
        Of the whole volume, known voxels included.
    known : array of uint8, shape (...), optional
        Given labels, `UNKNOWN` elsewhere; the other voxels compensate for them.
    slab : Whole, optional
        Which voxels of the volume these are; default all.

    Returns
    -------
    array of uint8

    Raises
    ------
    ValueError
        The known voxels alone exceed the fraction of a phase.
    """
    slab = slab or Whole()
    values = x.reshape(len(x), -1)
    if known is None:
        counts = whole_counts(fractions, int(slab.total(values.shape[1])))
        return _match(values, counts, slab).reshape(x.shape[1:])
    labels = known.flatten()
    counts = left_to_give(fractions, labels, slab)
    if counts.min() < 0:
        raise _checks.refuse(
            "known",
            "hold no more voxels of a phase than its fraction allows",
            f"{-counts.min()} too many of phase {counts.argmin()}",
        )
    free = np.flatnonzero(labels == UNKNOWN)
    labels[free] = _match(values, counts, slab, free)
    return labels.reshape(x.shape[1:])


def left_to_give(fractions: np.ndarray, known: np.ndarray, slab: Whole | None = None) -> np.ndarray:
    """Return how many of the unknown voxels go to each phase; negative if too many are known."""
    slab, given = slab or Whole(), phase_counts(known, len(fractions))
    left: np.ndarray = whole_counts(fractions, int(slab.total(known.size))) - slab.total(given)
    return left


def whole_counts(fractions: np.ndarray, n: int) -> np.ndarray:
    """Return the voxel counts with sum n nearest to the fractions (largest remainders)."""
    exact = np.asarray(fractions, dtype=np.float64) * n
    counts = np.floor(exact).astype(np.int64)
    short = n - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts


def _match(
    values: np.ndarray, counts: np.ndarray, slab: Whole, free: np.ndarray | None = None
) -> np.ndarray:
    """Return labels with the given counts of each phase.

    ``free`` are those of the values (C, n) that are labelled; default all.
    """
    x, n = values if free is None else values[:, free], int(counts.sum())

    def smallest(of: np.ndarray, here: np.ndarray | slice, count: int) -> np.ndarray:
        """Return which are the smallest, of one value for each voxel ``here``."""

        def places(chosen: np.ndarray) -> np.ndarray:
            at = chosen if isinstance(here, slice) else here[chosen]
            return slab.places(at if free is None else free[at])

        return _smallest(of, count, slab, places)

    if len(counts) == 2:
        return 1 - smallest(x[0], slice(None), int(counts[0])).astype(np.uint8)
    present = np.flatnonzero(counts)
    wanted = counts[present]
    weights = _weights(_sample(values, slab, free)[present].astype(np.float64), wanted)
    scores: np.ndarray = x[present].astype(np.float64 if n <= _SAMPLE else np.float32)
    scores += weights[:, None]
    flat = scores.argmax(axis=0).astype(np.uint8) if n else np.empty(0, np.uint8)
    # Ties and unfinished iterations leave a remainder: move the voxels that lose least.
    won = slab.total(np.bincount(flat, minlength=len(present)))
    while (won != wanted).any():
        to, source = int(np.argmax(wanted - won)), int(np.argmax(won - wanted))
        k = min(wanted[to] - won[to], won[source] - wanted[source])
        here = np.flatnonzero(flat == source)
        loss = scores[source, here] - scores[to, here]
        flat[here[smallest(loss, here, int(k))]] = to
        won = slab.total(np.bincount(flat, minlength=len(present)))
    return present.astype(np.uint8)[flat]


def _sample(values: np.ndarray, slab: Whole, free: np.ndarray | None) -> np.ndarray:
    """Return at most `_SAMPLE` of the values (C, n) of all ranks, always the same."""
    at = _spread(int(slab.total(values.shape[1])))
    found = slab.sampled(values, at)
    if free is None:
        return found
    mask = np.zeros(values.shape[1], np.uint8)
    mask[free] = 1
    return found[:, slab.sampled(mask, at) == 1]


def _smallest(
    values: np.ndarray, count: int, slab: Whole, places: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return which values are the ``count`` smallest of all ranks.

    Of equal ones they are the first in the volume, where ``places`` finds them.
    """
    if count == 0:
        return np.zeros(values.shape, dtype=bool)
    keys = _sortable(values)
    cut, left = _kth(keys, count, slab)
    chosen = keys < cut
    equal = np.flatnonzero(keys == cut)
    where = places(equal).astype(np.uint64)
    chosen[equal[where <= _kth(where, left, slab)[0]]] = True
    return chosen


def _sortable(values: np.ndarray) -> np.ndarray:
    """Return unsigned integers in the order of numbers of floating point."""
    bits = (values + 0).view(f"u{values.itemsize}")  # -0 becomes 0
    top = bits.dtype.type(1 << (8 * values.itemsize - 1))
    return np.where(bits < top, bits | top, ~bits)


def _kth(keys: np.ndarray, k: int, slab: Whole) -> tuple[Any, int]:
    """Return the k-th smallest of the keys of all ranks, and the how manieth of its equals it is.

    Each round counts one more byte of the keys that begin with those found.
    """
    value, kind = 0, keys.dtype.type
    for shift in range(8 * keys.itemsize - 8, -8, -8):
        digits = (keys >> kind(shift)).astype(np.uint8)
        ends = np.cumsum(slab.total(phase_counts(digits, 256)))
        digit = int(np.searchsorted(ends, k))
        k -= int(ends[digit - 1]) if digit else 0
        keys, value = keys[digits == digit], value << 8 | digit
    return kind(value), k


def _weights(values: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return w (P,) for which the arg max of values + w, values (P, n), nears the wanted counts.

    Of a part of all voxels the counts are in the same proportion.
    """
    n = values.shape[1]
    weights = np.zeros(len(wanted))
    if n != wanted.sum():
        wanted = _share(wanted, n)
    for _ in range(200):  # each weight in turn takes the value that gives its phase its count
        for p in range(len(wanted)):
            others = np.delete(values + weights[:, None], p, axis=0).max(axis=0, initial=-np.inf)
            margin = others - values[p]  # phase p wins where its weight exceeds this
            if 0 < wanted[p] < n:
                cut = np.partition(margin, (wanted[p] - 1, wanted[p]))[
                    wanted[p] - 1 : wanted[p] + 1
                ]
                weights[p] = cut.mean()
        won = np.bincount((values + weights[:, None]).argmax(axis=0), minlength=len(wanted))
        if np.abs(won - wanted).max() <= max(1, n // 100_000):
            break
    return weights


def _spread(n: int) -> np.ndarray:
    """Return at most `_SAMPLE` of n indices, always the same: one per stride, at random places, so
    that they are not aligned with the rows of the volume."""
    stride = -(-n // _SAMPLE)
    at = np.arange(0, n - stride + 1, stride)
    return at + np.random.default_rng(0).integers(stride, size=len(at))


def _share(counts: np.ndarray, n: int) -> np.ndarray:
    """Return counts of n voxels in the same proportion, at least one of each phase."""
    share = np.maximum(whole_counts(counts / counts.sum(), n), 1)
    share[share.argmax()] -= share.sum() - n
    return share


# ------------------------------------------------------------------------------------- islands


def _neighbours(labels: np.ndarray, periodic: Sequence[bool]) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of the face neighbours, one array each, and the axis of each.

    Beyond a face that is not periodic a voxel has its own label as neighbour, so that it is no
    island: it may continue outside.  An axis of one voxel has no neighbours.
    """
    out, axes = [], []
    for axis, n in enumerate(labels.shape):
        for step in (1, -1) if n > 1 else ():
            neighbours = np.roll(labels, step, axis)
            if not periodic[axis]:
                edge = 0 if step == 1 else n - 1
                here = tuple(edge if a == axis else slice(None) for a in range(labels.ndim))
                neighbours[here] = labels[here]
            out.append(neighbours)
            axes.append(axis)
    stacked = np.stack(out) if out else np.empty((0, *labels.shape), dtype=labels.dtype)
    return stacked, np.array(axes, dtype=int)


def _alone(labels: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """Return a mask of the voxels whose neighbours, of which there are some, all differ."""
    if not len(neighbours):
        return np.zeros(labels.shape, dtype=bool)
    found: np.ndarray = (neighbours != labels).all(axis=0)
    return found


def islands(labels: np.ndarray, periodic: Sequence[bool]) -> np.ndarray:
    """Return a mask of the voxels whose face neighbours are all of other phases."""
    return _alone(labels, _neighbours(labels, periodic)[0])


def check_island_rates(value: Any, n_phases: int) -> IslandRates:
    """Check the islands per pixel of the slices of xy, xz and yz."""
    wanted = f"be {n_phases} numbers from 0 to 1 for each of {', '.join(PLANES)}"
    rates = _checks.rows(value, n_phases, name="island_rates", wanted=wanted)
    if len(rates) != len(PLANES) or not all(0 <= rate <= 1 for row in rates for rate in row):
        raise _checks.refuse("island_rates", wanted, _checks.shown(value))
    return rates


def _too_many(
    labels: np.ndarray,
    neighbours: np.ndarray,
    axes: np.ndarray,
    rates: IslandRates,
    slab: Whole,
) -> np.ndarray:
    """Return a mask of as many islands in slices as exceed the rates, at places that are random.

    They depend on the place alone, so that the order of the voxels does not matter.
    """
    voxels = int(slab.total(labels.size))
    out = np.zeros(labels.shape, dtype=bool)
    for plane, row in zip(PLANES, rates, strict=True):
        both = len(set(axes[axes != NORMAL[plane]].tolist())) == 2
        if not slab.total(int(both)):  # a row of voxels has no islands of a slice
            continue
        alone = _alone(labels, neighbours[axes != NORMAL[plane]])
        for phase, rate in enumerate(row):
            at = np.flatnonzero(alone & (labels == phase))
            found = int(slab.total(len(at)))
            share = 1 - rate * voxels / max(found, 1)
            out.ravel()[at[_chance(slab.places(at)) < share]] = True
    return out


def _chance(places: np.ndarray) -> np.ndarray:
    """Return a number from 0 to 1 for each place, always the same."""
    mixed = places.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio
    return (mixed >> np.uint64(40)) / 2**24


def final_labels(
    raw: np.ndarray,
    smooth: np.ndarray | None,
    n_phases: int,
    target: np.ndarray | None,
    *,
    periodic: Sequence[bool],
    known: np.ndarray | None = None,
    remove_islands: bool | IslandRates = False,
    slab: Whole | None = None,
) -> tuple[np.ndarray, int]:
    """Return the labels of the final field, and the number of islands removed.

    An island goes to the other phase of most of its neighbours.  Matched fractions are then matched
    again over the other voxels, until no island is left to remove (a few rounds suffice; after the
    eighth the rest stays).

    Parameters
    ----------
    raw : array of uint8, shape (nz, ny, nx)
        `labels_of` the field.
    smooth : array of float32, shape (C, nz, ny, nx), optional
        The `smoothed` field; not needed without a target.
    n_phases : int
    target : array, shape (P,), or None
        Fractions to match; None leaves the field as it is.
    periodic : (bool, bool, bool)
    known : array of uint8, shape (nz, ny, nx), optional
        Voxels that keep their label, `UNKNOWN` elsewhere.
    remove_islands : bool or sequence of sequence of float
        All single voxels, none, or single pixels in slices beyond these rates of islands per pixel.
    slab : Whole, optional
        Which voxels of the volume all these are; default all.

    Returns
    -------
    labels : array of uint8, shape (nz, ny, nx)
    removed : int
    """
    slab = slab or Whole()

    def labelled(fixed: np.ndarray | None) -> np.ndarray:
        if smooth is not None and target is not None:
            return match_fractions(smooth, target, fixed, slab)
        return raw.copy() if fixed is None else np.where(fixed == UNKNOWN, raw, fixed)

    labels, removed = labelled(known), 0
    if remove_islands is False:
        return labels, removed
    fixed = np.full(labels.shape, UNKNOWN, dtype=np.uint8) if known is None else known.copy()
    for _ in range(8):
        wide, own = slab.widened(labels, (1, 1, 1), periodic)
        neighbours, axes = _neighbours(wide, periodic)
        neighbours = neighbours[(slice(None), *own)]
        if remove_islands is True:
            alone = _alone(labels, neighbours)
        else:
            alone = _too_many(labels, neighbours, axes, remove_islands, slab)
        if known is not None:
            alone &= known == UNKNOWN
        count = int(slab.total(alone.sum()))
        if not count:
            break
        around, own_phase = neighbours[:, alone], labels[alone]
        counts = np.stack([(around == phase).sum(axis=0) for phase in range(n_phases)])
        counts[own_phase, np.arange(len(own_phase))] = -1  # never the most
        fixed[alone] = counts.argmax(axis=0)
        if target is not None and left_to_give(target, fixed, slab).min() < 0:
            break
        labels = labelled(fixed)
        removed += count
    return labels, removed


def face_mismatch(labels: Any, axis: int | str) -> tuple[float, float]:
    """Return how much more opposite faces differ than neighbouring slices inside.

    Parameters
    ----------
    labels : array or Microstructure, shape (nz, ny, nx)
        At least three voxels along the axis.
    axis : {0, 1, 2, "z", "y", "x"}

    Returns
    -------
    ratio : float
        Share of voxels that differ between the last slice and the first, over its mean between
        neighbouring slices inside; 1 for a volume that is periodic along the axis.
    noise : float
        Standard deviation of the same ratio over the pairs inside.  Both are nan if no slices
        inside differ.
    """
    number = _checks.axis_number(axis, 3)
    slices = np.moveaxis(_checks.as_labels(labels, ndim=3), number, 0)
    if len(slices) < 3:
        raise _checks.refuse("labels", f"have at least 3 voxels along {axis!r}", str(len(slices)))
    inside = np.array([(a != b).mean() for a, b in itertools.pairwise(slices)])
    if not inside.any():
        return float("nan"), float("nan")
    return (
        float((slices[-1] != slices[0]).mean() / inside.mean()),
        float(inside.std() / inside.mean()),
    )
