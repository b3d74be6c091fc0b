# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How far generated microstructures lie from their reference, beside what chance alone gives.

Each (phase, plane, in-plane direction) has a curve of S2, of the lineal path L and of the scaled
autocovariance on either side, averaged over every row of every slice and never periodic, so that
images of any size compare.  The error of a curve is ``Σ_r |f_gen - f_ref| / Σ_r |f_ref|`` over
lags 0 … half the (smaller) image.

Two yardsticks stand beside it, both from the reference alone:

floor
    The split-half floor: the same error between two random halves of the reference, averaged
    over many random halvings.  Of a set of 2D images the halves are images.  Of a volume they
    cannot be slices, because neighbouring slices show the same grains; they are disjoint blocks
    of the size of the generated volume.  Where fewer than `MIN_UNITS` blocks fit, the blocks are
    made thinner across the direction of the curve, never along it.
scatter
    The error of as many *real* blocks as volumes were generated, against the rest of the
    reference: what a perfect generator would show.  Only where the blocks have the generated
    size and there are more of them than generated volumes.

Blocks of one sample are not independent of each other beyond doubt: structure longer than a block
makes both yardsticks too small, and no single volume can tell.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from .. import _checks
from .._phases import phase_counts
from ._curves import LatticeLine, line_counts, ratio
from ._volume import LabelVolume

PLANES = {"xy": ("y", "x"), "xz": ("z", "x"), "yz": ("z", "y")}  # image axes of each plane
FUNCTIONS = ("S2", "L", "autocovariance")
MIN_UNITS = 8  # blocks or images below which a volume or a set is cut finer

_AXES = ("z", "y", "x")
_NORMALS = {"xy": 0, "xz": 1, "yz": 2}


@dataclass(frozen=True)
class Curve:
    """One curve of the generated and of the reference side.

    Attributes
    ----------
    function : str
        ``"S2"``, ``"L"`` or ``"autocovariance"`` (``(S2 - φ²) / (φ - φ²)``).
    phase : int
    plane, direction : str
        Plane (``"xy"``, ``"xz"``, ``"yz"``) and the axis in it along which the lag runs.
    lag : array of int
        0 … half the image, in voxels.
    generated, reference : array of float64
        The two curves.
    generated_std, reference_std : array of float64
        Standard deviation between the volumes (or blocks, or images) of each side.
    error : float
        ``Σ |generated - reference| / Σ |reference|``.
    floor : float
        The same between two random halves of the reference; nan if it cannot be halved.
    scatter : float
        The same of real blocks against the rest of the reference; nan where not available.
    interval : tuple of float
        Bootstrap interval of ``error`` (both sides resampled, so it leans upward).
    """

    function: str
    phase: int
    plane: str
    direction: str
    lag: np.ndarray
    generated: np.ndarray
    reference: np.ndarray
    generated_std: np.ndarray
    reference_std: np.ndarray
    error: float
    floor: float
    scatter: float
    interval: tuple[float, float]

    def __repr__(self) -> str:
        return (
            f"Curve({self.function} of phase {self.phase}, plane {self.plane} along "
            f"{self.direction}: error {_percent(self.error)}, floor {_percent(self.floor)})"
        )


@dataclass(frozen=True)
class Comparison:
    """Generated microstructures against their reference (see `compare`).

    Attributes
    ----------
    curves : tuple of Curve
        Everything that was compared, for tables and figures.
    generated, reference : str
        What was compared, in words.
    units : dict of str to str
        What the floor halves, in words, for each plane.
    fractions_generated, fractions_reference : array, shape (P,)
        Volume fractions; planes of a set of images weigh the same.
    phase_names : tuple of str
    confidence : float
        Level of the bootstrap intervals.
    seed : int
        Seed of the random halves and of the bootstrap.
    """

    curves: tuple[Curve, ...]
    generated: str
    reference: str
    units: dict[str, str]
    fractions_generated: np.ndarray
    fractions_reference: np.ndarray
    phase_names: tuple[str, ...]
    confidence: float
    seed: int

    def select(
        self,
        function: str | None = None,
        *,
        phase: int | None = None,
        plane: str | None = None,
        direction: str | None = None,
    ) -> tuple[Curve, ...]:
        """Curves of that function, phase, plane and direction; None stands for all.

        Raises
        ------
        ValueError
            A name that no comparison has, or a phase that this one has not.
        """
        known = {
            "function": (function, FUNCTIONS),
            "phase": (phase, range(len(self.phase_names))),
            "plane": (plane, PLANES),
            "direction": (direction, _AXES),
        }
        for name, (value, values) in known.items():
            if value is not None and value not in values:
                words = ", ".join(map(repr, values))
                raise ValueError(f"`{name}` must be one of {words}, got {value!r}")
        return tuple(
            c
            for c in self.curves
            if function in (None, c.function)
            and phase in (None, c.phase)
            and plane in (None, c.plane)
            and direction in (None, c.direction)
        )

    def error(self, function: str = "S2", **selection: Any) -> float:
        """Mean relative error of the selected curves (see `select`)."""
        return _mean(c.error for c in self.select(function, **selection))

    def floor(self, function: str = "S2", **selection: Any) -> float:
        """Mean split-half floor of the selected curves."""
        return _mean(c.floor for c in self.select(function, **selection))

    def scatter(self, function: str = "S2", **selection: Any) -> float:
        """Mean error of as many real blocks; nan where not available."""
        return _mean(c.scatter for c in self.select(function, **selection))

    def table(self) -> list[dict[str, Any]]:
        """One row (dict) per curve: what, error, floor, scatter and bootstrap interval."""
        return [
            {
                "phase": c.phase,
                "plane": c.plane,
                "direction": c.direction,
                "function": c.function,
                "error": c.error,
                "floor": c.floor,
                "scatter": c.scatter,
                "low": c.interval[0],
                "high": c.interval[1],
                "max_lag": int(c.lag[-1]),
            }
            for c in self.curves
        ]

    def to_pandas(self) -> Any:
        """`table` as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self.table())

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain lists, numbers and strings (nan as None), ready for JSON."""
        rows = []
        for row, curve in zip(self.table(), self.curves, strict=True):
            lists = {
                name: getattr(curve, name).tolist()
                for name in ("lag", "generated", "reference", "generated_std", "reference_std")
            }
            rows.append({k: _plain(v) for k, v in {**row, **lists}.items()})
        return {
            "summary": self.summary(),
            "generated": self.generated,
            "reference": self.reference,
            "units": dict(self.units),
            "phase_names": list(self.phase_names),
            "fractions_generated": self.fractions_generated.tolist(),
            "fractions_reference": self.fractions_reference.tolist(),
            "confidence": self.confidence,
            "seed": self.seed,
            "curves": rows,
        }

    def summary(self) -> str:
        """One line that a person can read."""
        parts = [
            f"{name} error {_percent(self.error(name))} (floor {_percent(self.floor(name))})"
            for name in ("S2", "L")
        ]
        text = ", ".join(parts)
        s2 = self.select("S2")
        judged = [c for c in s2 if c.floor > 0]
        if judged:
            worst = max(judged, key=lambda c: c.error / c.floor)
            text += (
                f"; worst S2 {_percent(worst.error)} = {worst.error / worst.floor:.1f} × floor "
                f"({self.phase_names[worst.phase]}, {worst.plane} along {worst.direction})"
            )
        made, given = self.fractions_generated > 0, self.fractions_reference > 0
        for only, side in ((made & ~given, "generated"), (given & ~made, "reference")):
            names = [name for name, alone in zip(self.phase_names, only, strict=True) if alone]
            if names:
                text += f"; in the {side} alone: {', '.join(names)}"
        ours = " / ".join(f"{v:.3f}" for v in self.fractions_generated)
        theirs = " / ".join(f"{v:.3f}" for v in self.fractions_reference)
        return f"{text}; fractions {ours} against {theirs}"

    def __str__(self) -> str:
        lines = [
            f"{self.generated} against {self.reference}",
            f"{'phase':<16} {'plane':<5} {'along':<5} {'function':<14} "
            f"{'error':>8} {'floor':>8} {'scatter':>8} {'interval':>17}",
        ]
        lines += [
            f"{self.phase_names[c.phase][:16]:<16} {c.plane:<5} {c.direction:<5} {c.function:<14} "
            f"{_percent(c.error):>8} {_percent(c.floor):>8} {_percent(c.scatter):>8} "
            f"{_percent(c.interval[0]) + ' … ' + _percent(c.interval[1]):>17}"
            for c in self.curves
        ]
        return "\n".join([*lines, self.summary()])

    def plot(self, function: str | None = None, **selection: Any) -> Any:
        """matplotlib Figure of the curves (see `statistics.figures.plot_comparison`)."""
        from .figures import plot_comparison

        return plot_comparison(self, function, **selection)


def compare(
    generated: Any,
    reference: Any,
    *,
    phases: Iterable[int] | None = None,
    max_lag: int | None = None,
    splits: int = 100,
    bootstrap: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare generated microstructures with their reference, curve by curve.

    Parameters
    ----------
    generated, reference : volume, sequence of volumes, Micrographs, or dict of planes
        Labels (nz, ny, nx) or Microstructure; several of them, pooled; or sets of 2D images of
        planes: anything with ``images``, or a dict from ``"xy"``, ``"xz"``, ``"yz"`` to sequences
        of 2D labels.  Sizes may differ.  A 2D array is one xy image.
    phases : iterable of int, optional
        Phases to compare; default all that occur on either side.
    max_lag : int, optional
        Longest lag; default, and at most, half the smallest image on either side, by direction.
    splits : int
        Random halvings behind the floor (and choices of blocks behind the scatter).
    bootstrap : int
        Resamplings behind the intervals.
    confidence : float
        Level of the intervals.
    seed : int
        Seed of all of these.

    Returns
    -------
    Comparison
        Prints as a table; ``summary()``, ``table()``, ``to_pandas()``, ``curves``, ``plot()``.

    Raises
    ------
    TypeError, ValueError
        A side is not labels, or the two sides share no plane.

    Examples
    --------
    >>> truth = np.random.default_rng(0).random((32, 32, 32)) < 0.3
    >>> result = compare(truth[:16, :16, :16], truth)
    >>> result.error("S2", plane="xy") < 0.1
    True
    """
    ours = _sample(generated, "generated")
    theirs = _sample(reference, "reference")
    planes = [plane for plane in PLANES if plane in ours.planes and plane in theirs.planes]
    if not planes:
        raise ValueError(
            "`generated` must show a plane that `reference` shows too, got "
            f"{_words(ours.planes)} and {_words(theirs.planes)}"
        )
    if max_lag is not None:
        max_lag = _checks.integer(max_lag, name="max_lag", minimum=0)
    splits = _checks.integer(splits, name="splits", minimum=1)
    bootstrap = _checks.integer(bootstrap, name="bootstrap", minimum=1)
    level = _checks.real(confidence, name="confidence", minimum=0.0, maximum=1.0, open_ends=True)
    seed = _checks.seed_number(seed)
    count = max(ours.n_phases, theirs.n_phases)
    if phases is None:
        present = (ours.fractions(count) > 0) | (theirs.fractions(count) > 0)
        chosen = tuple(int(p) for p in np.flatnonzero(present))
    else:
        if isinstance(phases, str) or not isinstance(phases, Iterable):
            raise TypeError(f"`phases` must be a sequence of phases 0 ... 255, got {phases!r}")
        chosen = tuple(_checks.phase_number(p, name="phases") for p in phases)
        if not chosen:
            raise ValueError("`phases` must hold at least one phase 0 ... 255, got none")
        count = max(count, *(p + 1 for p in chosen))

    curves: list[Curve] = []
    units: dict[str, str] = {}
    for plane in planes:
        for direction in PLANES[plane]:
            half = min(ours.extent(plane, direction), theirs.extent(plane, direction)) // 2
            lag = half if max_lag is None else min(half, max_lag)
            gen = ours.counts(plane, direction, lag, chosen, None)
            ref = theirs.counts(plane, direction, lag, chosen, ours)
            units[plane] = ref.words
            rng = np.random.default_rng([seed, *direction.encode()])
            curves += _curves(gen, ref, plane, direction, chosen, splits, bootstrap, level, rng)
    names = _names(reference) or _names(generated) or ()
    return Comparison(
        tuple(sorted(curves, key=lambda c: (c.phase, list(PLANES).index(c.plane)))),
        ours.words,
        theirs.words,
        units,
        ours.fractions(count),
        theirs.fractions(count),
        tuple(names[p] if p < len(names) else f"phase {p}" for p in range(count)),
        level,
        seed,
    )


def relative_error(curve: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """``Σ |curve - reference| / Σ |reference|`` over the last axis; 0 where both are zero.

    Examples
    --------
    >>> float(relative_error(np.array([0.5, 0.25]), np.array([0.25, 0.25])))
    0.5
    """
    difference = np.abs(curve - reference).sum(-1)
    scale = np.broadcast_to(np.abs(reference).sum(-1), np.shape(difference))
    out = np.where(difference == 0, 0.0, np.inf)
    return np.divide(difference, scale, out=out, where=scale > 0)


def scaled_autocovariance(s2: np.ndarray) -> np.ndarray:
    """``(S2 - φ²) / (φ - φ²)`` of curves along the last axis, φ = S2(0); zeros if φ is 0 or 1.

    Examples
    --------
    >>> scaled_autocovariance(np.array([0.5, 0.25, 0.0]))
    array([ 1.,  0., -1.])
    """
    s2 = np.asarray(s2, dtype=float)
    fraction = s2[..., :1]
    variance = np.broadcast_to(fraction - fraction**2, s2.shape)
    return np.divide(s2 - fraction**2, variance, out=np.zeros(s2.shape), where=variance > 0)


# ------------------------------------------------------------------------------------- the sides


@dataclass(frozen=True)
class _Counts:
    """Counts along one direction of one plane: the whole side, and its units."""

    whole: np.ndarray  # (2, P, lags): pairs in the phase (S2), segments in the phase (L)
    lines: np.ndarray  # (lags,): all pairs
    unit: np.ndarray  # (U, 2, P, lags)
    unit_lines: np.ndarray  # (U, lags)
    words: str  # what a unit is
    like: int  # volumes generated, where the units have their size; else 0


@dataclass(frozen=True)
class _Volumes:
    """Volumes, pooled."""

    volumes: tuple[np.ndarray, ...]
    memory: dict[Any, _Counts] = field(default_factory=dict)

    @property
    def planes(self) -> tuple[str, ...]:
        shapes = np.array([v.shape for v in self.volumes])
        flat = (shapes == 1).any(axis=0)
        if not flat.any():
            return tuple(PLANES)
        # images of one plane: the others would be lines
        return tuple(p for p, k in _NORMALS.items() if flat[k] and flat.sum() == 1) or tuple(PLANES)

    @property
    def n_phases(self) -> int:
        return 1 + max(int(v.max()) for v in self.volumes)

    @property
    def words(self) -> str:
        return _described("volume", [v.shape for v in self.volumes])

    @property
    def smallest(self) -> tuple[int, ...]:
        """Smallest extent of each axis."""
        return tuple(np.min([v.shape for v in self.volumes], axis=0).tolist())

    def fractions(self, n_phases: int) -> np.ndarray:
        counts = [phase_counts(v, n_phases) for v in self.volumes]
        return np.sum(counts, axis=0) / sum(v.size for v in self.volumes)

    def extent(self, plane: str, direction: str) -> int:
        return self.smallest[_AXES.index(direction)]

    def counts(
        self, plane: str, direction: str, lag: int, phases: tuple[int, ...], like: Any
    ) -> _Counts:
        axis = _AXES.index(direction)
        size: tuple[int, ...] | None = None
        if isinstance(like, _Volumes):
            size = like.smallest
        elif like is not None:  # images: their extents in the plane, all slices across it
            extents = dict(zip(_AXES, self.smallest, strict=True))
            extents.update({name: like.extent(plane, name) for name in PLANES[plane]})
            size = tuple(extents[name] for name in _AXES)
        key = (axis, lag, phases, size)
        if key in self.memory:
            return self.memory[key]
        whole = [_count(v, axis, lag, phases) for v in self.volumes]
        lines = [_lines(v.shape, axis, lag) for v in self.volumes]
        alike = 0
        if like is None and len(self.volumes) > 1:
            unit, unit_lines, words = whole, lines, "volumes"
        else:
            parts = [_parts(v.shape, size, axis, len(self.volumes)) for v in self.volumes]
            blocks = [b for v, (p, _) in zip(self.volumes, parts, strict=True) for b in _cut(v, p)]
            unit = [_count(b, axis, lag, phases) for b in blocks]
            unit_lines = [_lines(b.shape, axis, lag) for b in blocks]
            words = _described("block", [b.shape for b in blocks])
            if isinstance(like, _Volumes) and not any(thinner for _, thinner in parts):
                alike = len(like.volumes)
        found = _Counts(
            np.sum(whole, axis=0), np.sum(lines, axis=0), np.array(unit), np.array(unit_lines),
            words, alike,
        )  # fmt: skip
        self.memory[key] = found
        return found


@dataclass(frozen=True)
class _Images:
    """Sets of 2D images of planes."""

    images: dict[str, list[np.ndarray]]

    @property
    def planes(self) -> tuple[str, ...]:
        return tuple(self.images)

    @property
    def n_phases(self) -> int:
        return 1 + max(int(i.max()) for images in self.images.values() for i in images)

    @cached_property
    def words(self) -> str:
        return "images, " + ", ".join(f"{len(v)} {plane}" for plane, v in self.images.items())

    def fractions(self, n_phases: int) -> np.ndarray:
        each = [
            np.sum([phase_counts(i, n_phases) for i in images], axis=0)
            / sum(i.size for i in images)
            for images in self.images.values()
        ]
        return np.mean(each, axis=0)

    def extent(self, plane: str, direction: str) -> int:
        axis = PLANES[plane].index(direction)
        return min(i.shape[axis] for i in self.images[plane])

    def counts(
        self, plane: str, direction: str, lag: int, phases: tuple[int, ...], like: Any
    ) -> _Counts:
        axis = PLANES[plane].index(direction)
        images = self.images[plane]
        words = f"{len(images)} image{'s' if len(images) > 1 else ''}"
        if len(images) < MIN_UNITS:  # cut them into strips along the direction
            pieces = []
            for image in images:
                size = (1, *image.shape)
                parts, _ = _parts(size, size, axis + 1, len(images))
                pieces += [block[0] for block in _cut(image[None], parts)]
            words = f"{len(pieces)} strips of {words}"
        else:
            pieces = images
        unit, unit_lines = _count_images(pieces, axis, lag, phases)
        whole, lines = unit, unit_lines
        if pieces is not images:
            whole, lines = _count_images(images, axis, lag, phases)
        return _Counts(whole.sum(0), lines.sum(0), unit, unit_lines, words, 0)


def _sample(side: Any, name: str) -> _Volumes | _Images:
    images = side if isinstance(side, Mapping) else getattr(side, "images", None)
    if isinstance(images, Mapping):
        found: dict[str, list[np.ndarray]] = {}
        for plane in PLANES:
            of_plane = images.get(plane)
            if of_plane is None:
                continue
            if hasattr(of_plane, "ndim") and of_plane.ndim == 2:
                of_plane = [of_plane]
            found[plane] = [
                _checks.as_labels(i, name=f"{name}[{plane!r}]", ndim=2) for i in of_plane
            ]
        found = {plane: i for plane, i in found.items() if i}
        if not found:
            raise ValueError(
                f"`{name}` must hold images of plane 'xy', 'xz' or 'yz', got {list(images)}"
            )
        return _Images(found)
    if isinstance(side, Sequence) and not isinstance(side, str | bytes):
        if not side:
            raise ValueError(f"`{name}` must hold at least one volume, got an empty sequence")
        volumes = [_checks.as_labels(v, name=f"{name}[{k}]") for k, v in enumerate(side)]
    else:
        array = _checks.as_labels(side, name=name, ndim=(2, 3, 4))
        volumes = list(array) if array.ndim == 4 else [array]
    return _Volumes(tuple(v if v.ndim == 3 else v[None] for v in volumes))


def _parts(
    shape: Sequence[int], size: Sequence[int] | None, axis: int, samples: int
) -> tuple[tuple[int, ...], bool]:
    """Blocks along each axis, and whether they had to be thinner than ``size``."""
    size = shape if size is None else size
    parts = [max(1, n // m) for n, m in zip(shape, size, strict=True)]
    thinner = any(n < m for n, m in zip(shape, size, strict=True))
    while samples * math.prod(parts) < MIN_UNITS:
        widths = [
            0 if k == axis else n // p for k, (n, p) in enumerate(zip(shape, parts, strict=True))
        ]
        widest = int(np.argmax(widths))
        if widths[widest] < 2:
            break
        parts[widest] = min(2 * parts[widest], shape[widest])
        thinner = True
    return tuple(parts), thinner


def _cut(volume: np.ndarray, parts: tuple[int, ...]) -> Iterator[np.ndarray]:
    """Disjoint blocks of nearly the same size that fill the volume."""
    edges = [
        np.linspace(0, n, p + 1).astype(int).tolist()
        for n, p in zip(volume.shape, parts, strict=True)
    ]
    for index in np.ndindex(*parts):
        yield volume[tuple(slice(e[i], e[i + 1]) for e, i in zip(edges, index, strict=True))]


def _lines(shape: Sequence[int], axis: int, lag: int) -> np.ndarray:
    z, y, x = (int(k == axis) for k in range(3))
    return line_counts(shape, (z, y, x), lag)


def _count(
    volume: np.ndarray, axis: int, lag: int, phases: tuple[int, ...], per_slice: bool = False
) -> np.ndarray:
    """Pairs and segments in each phase along one axis: (2, P, lag + 1), or that for each slice."""
    z, y, x = (int(k == axis) for k in range(3))
    line = LatticeLine(LabelVolume(volume, None, 3, per_slice), (z, y, x), lag)
    pairs = [line.pairs(p, p) for p in phases]
    segments = [line.segments(p) for p in phases]
    counts = np.array([pairs, segments])  # (2, P, lags), or (2, P, images, lags)
    return np.moveaxis(counts, 2, 0) if per_slice else counts


def _count_images(
    images: list[np.ndarray], axis: int, lag: int, phases: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Counts (U, 2, P, lags) and pairs (U, lags) of each image."""
    counts = np.empty((len(images), 2, len(phases), lag + 1), dtype=np.int64)
    lines = np.empty((len(images), lag + 1), dtype=np.int64)
    shapes = [i.shape for i in images]
    for shape in set(shapes):  # one call for all images of a size
        which = [k for k, s in enumerate(shapes) if s == shape]
        stack = np.stack([images[k] for k in which])
        counts[which] = _count(stack, axis + 1, lag, phases, per_slice=True)
        lines[which] = _lines((1, *shape), axis + 1, lag)
    return counts, lines


# ---------------------------------------------------------------------------- curves and errors


def _three(hits: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """S2, L, autocovariance (..., 3, P, lags) of counts (..., 2, P, lags) and pairs (..., lags)."""
    values = ratio(hits, np.broadcast_to(lines[..., None, None, :], hits.shape))
    s2, path = values[..., 0, :, :], values[..., 1, :, :]
    return np.stack([s2, path, scaled_autocovariance(s2)], axis=-3)


def _pooled(weights: np.ndarray, counts: _Counts) -> np.ndarray:
    """Curves (K, 3, P, lags) of units taken ``weights`` (K, U) times."""
    units = len(counts.unit)
    hits = weights @ counts.unit.reshape(units, -1).astype(float)
    lines = weights @ counts.unit_lines.astype(float)
    return _three(hits.reshape(len(weights), *counts.unit.shape[1:]), lines)


def _choices(rng: np.random.Generator, times: int, units: int, taken: int) -> np.ndarray:
    """0/1 weights (times, units) with ``taken`` ones each."""
    order = np.argsort(rng.random((times, units)), axis=1)
    return (order < taken).astype(float)


def _curves(
    gen: _Counts,
    ref: _Counts,
    plane: str,
    direction: str,
    phases: tuple[int, ...],
    splits: int,
    bootstrap: int,
    level: float,
    rng: np.random.Generator,
) -> Iterator[Curve]:
    ours, theirs = _three(gen.whole, gen.lines), _three(ref.whole, ref.lines)  # (3, P, lags)
    error = relative_error(ours, theirs)
    floor = scatter = np.full(error.shape, np.nan)
    units = len(ref.unit)
    if units >= 2:
        half = _choices(rng, splits, units, units // 2)
        floor = relative_error(_pooled(half, ref), _pooled(1 - half, ref)).mean(0)
    if 0 < ref.like < units:
        some = _choices(rng, splits, units, ref.like)
        scatter = relative_error(_pooled(some, ref), _pooled(1 - some, ref)).mean(0)

    def resampled(counts: _Counts) -> np.ndarray:
        number = len(counts.unit)
        return _pooled(rng.multinomial(number, [1 / number] * number, bootstrap), counts)

    errors = relative_error(resampled(gen), resampled(ref))
    errors.sort(axis=0)  # by rank, since an error can be infinite
    low = errors[int((1 - level) / 2 * (bootstrap - 1))]
    high = errors[math.ceil((1 + level) / 2 * (bootstrap - 1))]
    ours_std = _three(gen.unit, gen.unit_lines).std(0)
    theirs_std = _three(ref.unit, ref.unit_lines).std(0)
    lag = np.arange(ours.shape[-1])
    for p, phase in enumerate(phases):
        for f, function in enumerate(FUNCTIONS):
            yield Curve(
                function, phase, plane, direction, lag, ours[f, p], theirs[f, p],
                ours_std[f, p], theirs_std[f, p], float(error[f, p]), float(floor[f, p]),
                float(scatter[f, p]), (float(low[f, p]), float(high[f, p])),
            )  # fmt: skip


# ---------------------------------------------------------------------------------------- words


def _names(side: Any) -> tuple[str, ...] | None:
    if isinstance(side, Sequence) and not isinstance(side, str | bytes) and side:
        side = side[0]
    names = getattr(side, "phase_names", None)
    return tuple(str(n) for n in names) if names else None


def _described(thing: str, shapes: list[tuple[int, ...]]) -> str:
    sizes = sorted({" × ".join(map(str, s)) for s in shapes})
    size = sizes[0] if len(sizes) == 1 else f"about {sizes[0]}"
    return f"{len(shapes)} {thing}{'s' if len(shapes) > 1 else ''} of {size}"


def _percent(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.2f} %"


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.mean(found)) if found else float("nan")


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _words(planes: Iterable[str]) -> str:
    return ", ".join(planes)
