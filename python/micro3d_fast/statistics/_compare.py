# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Errors of generated microstructures against a reference, and the errors expected by chance.

Each (phase, plane, in-plane direction) has a curve of S2, of the lineal path L and of the scaled
autocovariance on either side, averaged over every row of every slice and never periodic, so that
images of any size compare.  The error of a curve is ``Σ_r |f_gen - f_ref| / Σ_r |f_ref|`` over
lags 0 … half the (smaller) image.

Two errors to compare it with come from the reference alone:

floor
    The split-half floor: the error between two random halves of the reference, averaged over
    many random halvings.  The halves of a set of 2D images are images.  Those of a volume cannot
    be slices, because neighbouring slices show the same grains; they are disjoint blocks of the
    size of the generated volume.  Where fewer than `MIN_UNITS` blocks fit, the blocks are
    made thinner across the direction of the curve, never along it.
scatter
    The error of as many *real* blocks as volumes were generated, against the rest of the
    reference: that of a perfect generator.  It needs blocks of the generated size, more of them
    than generated volumes.

Blocks of one sample may depend on each other: structure longer than a block makes both errors too
small, which cannot be detected from a single volume.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .. import _checks
from .._phases import grey_hint, listed, warn_of_absent
from .._planes import AXIS_NAMES, IMAGE_AXES, PLANES
from ..typing import Specimens
from ._deviation_law import Material, Place
from ._judge import judge
from ._resampling import bootstrap_interval, curves, error_of_parts
from ._samples import Counts, Sample, sample_of
from ._specimen_law import Quantities, sparse_lags
from .comparison import FUNCTIONS, Comparison, Curve
from .measures import relative_error
from .tilt import tilt_lags
from .verdict import Verdict

_LONGEST_STEP = 16  # voxels of either side in a step of the common lags
_SAME_SIZE = 1e-4  # relative difference of voxel sizes that counts as rounding


@dataclass(frozen=True)
class _Request:
    """Checked arguments of `compare`."""

    phases: tuple[int, ...]
    max_lag: int | None
    splits: int
    bootstrap: int
    confidence: float
    seed: int


def compare(
    generated: Specimens,
    reference: Specimens,
    *,
    phases: Iterable[int | str] | None = None,
    max_lag: int | None = None,
    splits: int = 100,
    bootstrap: int = 200,
    confidence: float = 0.95,
    seed: int = 0,
    verdict: bool = True,
) -> Comparison:
    """Compare generated microstructures with their reference, curve by curve.

    Parameters
    ----------
    generated, reference : volume, sequence of volumes, Micrographs, or dict of planes
        Labels (nz, ny, nx) or Microstructure; several of them, which are pooled; or sets of 2D
        images of planes: an object with ``images``, or a dict from ``"xy"``, ``"xz"``, ``"yz"`` to
        sequences of 2D labels.  Sizes may differ.  A 2D array is one xy image.  Where both sides
        have voxel sizes that differ, they are compared at the lags that both have in metres.
    phases : iterable of int or str, optional
        Phases to compare, by label or name; default: all that occur on either side.
    max_lag : int, optional
        Longest lag, in voxels of ``generated``; default and maximum: half the smallest image on
        either side, per direction.
    splits : int
        Number of random halvings for the floor, and of random choices of blocks for the scatter.
    bootstrap : int
        Number of resamplings for the intervals.
    confidence : float
        Level of the intervals.
    seed : int
        Seed of the random halvings, choices, resamplings and draws.
    verdict : bool
        Judge whether the generated side could be real (`Comparison.verdict`), and give the scatter
        of real specimens also where the reference holds no blocks of that size.

    Returns
    -------
    Comparison
        Prints as a table; ``summary()``, ``table()``, ``to_pandas()``, ``curves``, ``plot()``.

    Raises
    ------
    TypeError, ValueError
        A side does not hold labels, the two sides share no plane, their phases have other names,
        or their voxel sizes no ratio of small whole numbers.

    Examples
    --------
    >>> truth = np.random.default_rng(0).random((32, 32, 32)) < 0.3
    >>> result = compare(truth[:16, :16, :16], truth)
    >>> result.error("S2", plane="xy") < 0.1
    True
    """
    ours = sample_of(generated, "generated")
    theirs = sample_of(reference, "reference")
    planes = [plane for plane in PLANES if plane in ours.planes and plane in theirs.planes]
    if not planes:
        got = f"{', '.join(ours.planes)} and {', '.join(theirs.planes)}"
        raise _checks.refuse("generated", "show a plane that `reference` shows too", got)
    if max_lag is not None:
        max_lag = _checks.integer(max_lag, name="max_lag", minimum=0)
    splits = _checks.integer(splits, name="splits", minimum=1)
    bootstrap = _checks.integer(bootstrap, name="bootstrap", minimum=1)
    level = _checks.real(confidence, name="confidence", minimum=0.0, maximum=1.0, open_ends=True)
    seed = _checks.seed_number(seed)
    verdict = _checks.boolean(verdict, name="verdict")
    names = _common_names(generated, reference)
    chosen, count = _chosen_phases(phases, ours, theirs, names)
    request = _Request(chosen, max_lag, splits, bootstrap, level, seed)
    places = [(plane, axis) for plane in planes for axis in IMAGE_AXES[plane]]
    scale = _Scale.of(ours, theirs)
    if not scale.same:
        warnings.warn(
            f"`generated` has voxels of {_metres(ours)} and `reference` of {_metres(theirs)}: they "
            "are compared at their common distances",
            stacklevel=2,
        )
    unsized = " without a voxel size, so compared in voxels"
    note, note_ref = (
        unsized if mine is None and other is not None else ""
        for mine, other in ((ours.voxel, theirs.voxel), (theirs.voxel, ours.voxel))
    )
    pairs = {place: _counts(ours, theirs, scale, place, request) for place in places}
    names = tuple(names[p] if p < len(names) else f"phase {p}" for p in range(count))
    laws: dict[Place, _AxisLaw] = {}
    judgement = None
    if verdict:
        raw = _raw_fractions(generated, count)
        laws, judgement = _judged(ours, theirs, scale, pairs, request, names, raw)
    found = [
        curve
        for place in places
        for curve in _curves(place, pairs[place], scale, laws.get(place), request)
    ]
    return Comparison(
        curves=tuple(sorted(found, key=lambda c: (c.phase, PLANES.index(c.plane)))),
        generated=ours.text + note,
        reference=theirs.text + note_ref,
        units={plane: pair[1].unit_text for (plane, _), pair in pairs.items()},
        fractions_generated=ours.fractions(count),
        fractions_reference=theirs.fractions(count),
        phase_names=names,
        confidence=level,
        seed=seed,
        verdict=judgement,
    )


def _chosen_phases(
    phases: Any, ours: Sample, theirs: Sample, names: Sequence[str]
) -> tuple[tuple[int, ...], int]:
    """Return the phases to compare and the number of phases in the result.

    Warn the caller's caller of phases that neither side has, and of grey values left as labels.
    """
    count = max(ours.n_phases, theirs.n_phases)
    found = (ours.fractions(count) > 0) | (theirs.fractions(count) > 0)
    present = np.flatnonzero(found).astype(np.uint8)
    if phases is None:
        if hint := grey_hint(present):
            warnings.warn(f"the labels are {listed(present)}{hint}", stacklevel=3)
        return tuple(present.tolist()), count
    if isinstance(phases, str) or not isinstance(phases, Iterable):
        raise _checks.refuse_type("phases", "be a sequence of phases 0 ... 255", repr(phases))
    chosen = tuple(_checks.phase_number(p, name="phases", names=names) for p in phases)
    if not chosen:
        raise _checks.refuse("phases", "hold at least one phase 0 ... 255", "none")
    warn_of_absent(present, *chosen, stacklevel=3)
    return chosen, max(count, *(p + 1 for p in chosen))


@dataclass(frozen=True)
class _Scale:
    """Voxels of both sides per step of the common lags, along each axis."""

    generated: tuple[int, int, int] = (1, 1, 1)
    reference: tuple[int, int, int] = (1, 1, 1)

    @classmethod
    def of(cls, ours: Sample, theirs: Sample) -> _Scale:
        """Return the shortest common steps; refuse voxels that have none."""
        if ours.voxel is None or theirs.voxel is None:
            return cls()
        steps = []
        for made, real in zip(ours.voxel, theirs.voxel, strict=True):
            ratio = Fraction(real / made).limit_denominator(_LONGEST_STEP)
            if ratio.numerator > _LONGEST_STEP or abs(ratio * made / real - 1) > _SAME_SIZE:
                wanted = (
                    "have the voxel size of `reference`, or one in a ratio of whole numbers up to "
                    f"{_LONGEST_STEP} to it: {theirs.voxel}"
                )
                raise _checks.refuse("generated", wanted, str(ours.voxel), "resample one of them")
            steps.append((ratio.numerator, ratio.denominator))
        (z, z_ref), (y, y_ref), (x, x_ref) = steps
        return cls((z, y, x), (z_ref, y_ref, x_ref))

    @property
    def same(self) -> bool:
        """Whether the voxels of both sides have the same size."""
        return self.generated == self.reference

    @property
    def factors(self) -> list[float]:
        """Voxels of the reference per voxel of the generated side, along each axis."""
        return [b / a for a, b in zip(self.generated, self.reference, strict=True)]


def _metres(sample: Sample) -> str:
    return " x ".join(f"{v:g}" for v in sample.voxel or ()) + " m"


def _counts(
    ours: Sample, theirs: Sample, scale: _Scale, place: Place, request: _Request
) -> tuple[Counts, Counts]:
    """Return the counts of both sides along one axis of one plane, at their common lags."""
    plane, axis = place
    step, step_ref = scale.generated[axis], scale.reference[axis]
    longest = min(
        int(ours.extents.least[place]) // 2 // step,
        int(theirs.extents.least[place]) // 2 // step_ref,
    )
    if request.max_lag is not None:
        longest = min(longest, request.max_lag // step)
    generated = ours.counts(plane, axis, longest * step, request.phases, None)
    of_size = ours.extents.rescaled(scale.factors)
    reference = theirs.counts(plane, axis, longest * step_ref, request.phases, of_size)
    return generated.every(step), reference.every(step_ref)


@dataclass(frozen=True)
class _AxisLaw:
    """Scatter of real specimens along one axis of one plane."""

    lags: np.ndarray  # (R,)
    std: np.ndarray  # (functions, P, R)


def _judged(
    ours: Sample,
    theirs: Sample,
    scale: _Scale,
    pairs: Mapping[Place, tuple[Counts, Counts]],
    request: _Request,
    names: Sequence[str],
    raw: np.ndarray | None,
) -> tuple[dict[Place, _AxisLaw], Verdict]:
    """Return the scatter of real specimens and the verdict."""
    longest: dict[int, int] = {}
    for (_, axis), (counts, _) in pairs.items():
        lag = len(counts.lines) - 1
        longest[axis] = min(lag, longest.get(axis, lag))
    size, default = ours.extents.rescaled(scale.factors), min(longest.values())
    for axis in {axis for plane in theirs.planes for axis in IMAGE_AXES[plane]}:
        room = [
            int(n) // 2 // scale.reference[axis]
            for side in (size, theirs.extents)
            for (_, along), n in side.least.items()
            if along == axis
        ]
        longest[axis] = min(longest.get(axis, default), *room)
    tilted = tilt_lags(min([*size.least.values(), *theirs.extents.least.values()]))
    quantities = {
        axis: Quantities(request.phases, sparse_lags(lag), scale.reference[axis], tilted)
        for axis, lag in longest.items()
    }
    material = Material(theirs, size, quantities)
    laws = {place: material.law(size, *place) for place in pairs}
    chosen, scatter = {}, {}
    for place, law in laws.items():
        lags = quantities[place[1]].lags
        first, second = (curves(c.whole, c.lines) for c in pairs[place])
        chosen[place] = first, second
        variance = (law.specimen + law.reference)[: first[..., 0].size * len(lags)]
        scatter[place] = _AxisLaw(lags, np.sqrt(variance).reshape(*first.shape[:2], -1))
    verdict = judge(ours, material, chosen, laws, names, raw, scale.same, request.seed)
    return scatter, verdict


def _curves(
    place: Place,
    pair: tuple[Counts, Counts],
    scale: _Scale,
    law: _AxisLaw | None,
    request: _Request,
) -> Iterator[Curve]:
    """Yield the curves of all phases and functions along one axis with their errors."""
    plane, axis = place
    generated, reference = pair
    direction = AXIS_NAMES[axis]
    rng = np.random.default_rng([request.seed, *direction.encode()])
    ours = curves(generated.whole, generated.lines)  # (functions, phases, lags)
    theirs = curves(reference.whole, reference.lines)
    ours_std = curves(generated.unit, generated.unit_lines).std(0)
    theirs_std = curves(reference.unit, reference.unit_lines).std(0)
    error = relative_error(ours, theirs)
    floor = error_of_parts(reference, len(reference.unit) // 2, request.splits, rng)
    scatter = error_of_parts(reference, reference.matching, request.splits, rng)
    low, high = bootstrap_interval(
        error, generated, reference, request.bootstrap, request.confidence, rng
    )
    lag = np.arange(ours.shape[-1])
    for p, phase in enumerate(request.phases):
        for f, function in enumerate(FUNCTIONS):
            real_std = None if law is None else np.interp(lag, law.lags, law.std[f, p])
            expected = float(scatter[f, p])
            if real_std is not None and math.isnan(expected):  # no real blocks: by the law
                expected = _mean_error(real_std, theirs[f, p])
            yield Curve(
                function=function,
                phase=phase,
                plane=plane,
                direction=direction,
                lag=lag * scale.generated[axis],
                generated=ours[f, p],
                reference=theirs[f, p],
                generated_std=ours_std[f, p],
                reference_std=theirs_std[f, p],
                error=float(error[f, p]),
                floor=float(floor[f, p]),
                scatter=expected,
                interval=(float(low[f, p]), float(high[f, p])),
                real_std=real_std,
            )


def _mean_error(std: np.ndarray, reference: np.ndarray) -> float:
    """Return the mean relative error of normal deviations from a curve."""
    total = float(np.abs(reference).sum())
    return math.sqrt(2 / math.pi) * float(std.sum()) / total if total > 0 else math.nan


def _raw_fractions(side: Any, count: int) -> np.ndarray | None:
    """Return the fractions before matching, mean over the volumes; None if one has none."""
    volumes = side if isinstance(side, Sequence) else [side]
    found = []
    for volume in volumes:
        raw = getattr(volume, "provenance", {}).get("raw_volume_fractions")
        if not isinstance(raw, Sequence) or not 0 < len(raw) <= count:
            return None
        found.append(np.pad(np.asarray(raw, dtype=float), (0, count - len(raw))))
    return np.mean(found, axis=0) if found else None


def _common_names(generated: Any, reference: Any) -> tuple[str, ...]:
    """Return the phase names of the sides that have them; refuse sides that differ."""
    ours, theirs = _phase_names(generated), _phase_names(reference)
    if ours and theirs:
        _checks.phase_names_of_model(ours, theirs, name="generated", of="`reference`")
    return theirs or ours


def _phase_names(side: Any) -> tuple[str, ...]:
    """Return the phase names of one side; none where they are the default ones."""
    if isinstance(side, Sequence) and not isinstance(side, str | bytes) and side:
        side = side[0]
    names = tuple(str(n) for n in getattr(side, "phase_names", None) or ())
    return () if names == tuple(f"phase {k}" for k in range(len(names))) else names
