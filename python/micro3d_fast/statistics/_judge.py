# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Verdict of a comparison: the largest standardized deviation, with its law for real specimens.

If the generated side is a real specimen, its deviation from the reference has the variance of a
specimen plus that of the reference (`_deviation_law`).  Deviations of that variance are drawn, with
the dependence between lags, phases and functions that windows of the images show; they are
multivariate t, because the variances are estimated from a limited number of windows.  Each
quantity's deviation, the weighted sum of its absolute values over the lags, is divided by the 95 %
quantile of its draws, and the largest of all quantities is compared with the largest of each draw
(the maximum statistic of Westfall and Young [1]_).  Axes and planes are drawn independently of each
other, which makes the test slightly conservative.

.. [1] P. H. Westfall and S. S. Young, Resampling-Based Multiple Testing, Wiley 1993.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .._planes import AXIS_NAMES, IMAGE_AXES
from ._deviation_law import DeviationLaw, Material, Place
from ._samples import Sample
from ._specimen_law import Quantities, surface
from .verdict import OF_PLANE, Deviation, Verdict

DRAWS = 1000
DIFFERENT, DOUBTFUL = 0.05, 0.10  # levels of the outcomes
RESOLUTION = 0.5  # nothing is decided if a relative error larger than this could pass unnoticed
FEWEST = 64  # voxels of the generated side, below which nothing is decided
# Of phases of which fewer independent parts are shown, and of all if it is so of the typical one,
# the law of real specimens is too narrow: real blocks deviate by up to 3.3 of its 95 % quantiles,
# white noise and speckle by 5 and more.
PARTS, WIDER = 8, 4.0
_NAMED = 0.01  # level of a quantity alone at which it is named as a reason
_QUANTILE = 0.95  # of its own law that a deviation is divided by
_TOLERANCE = 1e-3  # relative standard deviation that is never undercut
_DEPENDENT = 0.7  # share of independent images below which a stack is called dependent


@dataclass(frozen=True)
class Judged:
    """One quantity: its deviation, and the same standardized, of real specimens and observed."""

    deviation: Deviation
    draws: np.ndarray  # (DRAWS,) over the quantile
    observed: float  # over the quantile
    quantile: float  # relative to the reference
    reference_share: float  # of the variance that is the reference's


@dataclass(frozen=True)
class _Evidence:
    """How much both sides show."""

    voxels: int  # of the generated side
    parts: dict[int, float]  # independent parts of each phase that it shows
    names: Sequence[str]
    absent: set[int]  # phases that neither side has
    constant: str | None  # a sentence where no phase varies on either side
    independent: dict[str, float]  # images of the reference, by plane
    dependent: list[str]  # sentences on planes whose images depend on each other
    freedom: float  # of the law
    of_volume: bool  # the reference


def judge(
    generated: Sample,
    material: Material,
    curves: Mapping[Place, tuple[np.ndarray, np.ndarray]],
    laws: Mapping[Place, DeviationLaw],
    names: Sequence[str],
    raw: np.ndarray | None,
    same_pixels: bool,
    seed: int,
) -> Verdict:
    """Return the verdict.

    Parameters
    ----------
    generated : Sample
    material : Material
        Laws of the reference.
    curves : dict from plane and axis to arrays (3, P, lags)
        S2, L and autocovariance at all lags, generated and reference.
    laws : dict from plane and axis to DeviationLaw
    names : sequence of str
        Of the phases, by label.
    raw : array (P,), optional
        Volume fractions before they were matched.
    same_pixels : bool
        The pixels of both sides have the same size; otherwise `OF_PLANE` is not compared.
    seed : int
        Of the draws.
    """
    rng = np.random.default_rng([seed, DRAWS])
    judged: list[Judged] = []
    for plane in dict.fromkeys(plane for plane, _ in curves):
        of_plane = material.of_plane(generated, plane), material.pixels[plane]
        for axis in IMAGE_AXES[plane]:
            pair, law = curves[plane, axis], laws[plane, axis]
            quantities = material.quantities[axis]
            found = _judge_axis((plane, axis), pair, of_plane, law, quantities, names, rng)
            judged += [j for j in found if same_pixels or j.deviation.quantity not in OF_PLANE]
    independent = {plane: material.independent_images(plane) for plane, _ in curves}
    dependent = _dependent(independent, material)
    fractions = _fractions(curves, laws, material)
    if raw is not None:
        own = [] if dependent else [plane for plane in independent if plane in material.own]
        freedom = float(np.mean([law.freedom for law in laws.values()]))
        sources = max(1, len(own))
        judged += _judge_fractions(raw, fractions, material.phases, sources, freedom, names, rng)
    real, specimen, _ = fractions
    made = np.mean([pair[0][0, :, 0] for pair in curves.values()], axis=0)
    parts = {
        phase: float((phi - phi**2) / max(variance, 1e-300))
        for phase, phi, variance in zip(material.phases, real, specimen, strict=True)
        if 0 < phi < 1
    }
    freedom = float(np.median([law.freedom for law in laws.values()]))
    absent = {p for p, a, b in zip(material.phases, made, real, strict=True) if a == b == 0}
    evidence = _Evidence(
        voxels=generated.voxels,
        parts=parts,
        names=names,
        absent=absent,
        constant=_nothing_varies(made, real, [names[p] for p in material.phases]),
        independent=independent,
        dependent=dependent,
        freedom=freedom,
        of_volume=material.of_volume,
    )
    return _verdict(judged, evidence)


def _judge_axis(
    place: Place,
    pair: tuple[np.ndarray, np.ndarray],
    of_plane: tuple[np.ndarray, np.ndarray],
    law: DeviationLaw,
    quantities: Quantities,
    names: Sequence[str],
    rng: np.random.Generator,
) -> Iterator[Judged]:
    """Yield the quantities along one axis of a plane; those of the plane with its second axis."""
    plane, axis = place
    made, real = (
        _features(c[..., quantities.lags], r) for c, r in zip(pair, of_plane, strict=True)
    )
    variance = law.specimen + law.reference + (_TOLERANCE * real) ** 2
    drawn = quantities.sums(np.abs(_draws(law, rng) * np.sqrt(variance)))
    observed = quantities.sums(np.abs(made - real))
    examined = quantities.sums(np.abs(real))
    sides = [_sums(c, r) for c, r in zip(pair, of_plane, strict=True)]  # over all lags
    apart = np.abs(_sums(pair[0] - pair[1], of_plane[0] - of_plane[1]))
    phi = pair[1][0, :, 0]
    spread = dict(zip(quantities.phases, phi - phi**2, strict=True))
    shares = quantities.sums(law.reference) / np.maximum(quantities.sums(variance), 1e-300)
    for k, (name, phase) in enumerate(quantities.names):
        if name in OF_PLANE and axis != IMAGE_AXES[plane][1]:
            continue
        if name == "euler" and math.isnan(observed[k]):  # a side has no square of four pixels
            continue
        direction = "" if name in OF_PLANE else AXIS_NAMES[axis]
        given, seen = abs(sides[1][k]), examined[k]
        if name == "tilt":  # which may be 0
            given = seen = spread[phase]
        yield _judged(
            (name, phase, names[phase], plane, direction, float(sides[0][k]), float(sides[1][k])),
            _ratio(float(apart[k]), float(given)),
            float(observed[k]),
            drawn[:, k],
            float(seen),
            float(shares[k]),
        )


def _fractions(
    curves: Mapping[Place, tuple[np.ndarray, np.ndarray]],
    laws: Mapping[Place, DeviationLaw],
    material: Material,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the volume fractions of the reference, their variance as specimen and as reference."""
    first = {place: material.quantities[place[1]].at_lag_0 for place in laws}
    real = np.mean([pair[1][0, :, 0] for pair in curves.values()], axis=0)
    specimen = np.mean([law.specimen[first[place]] for place, law in laws.items()], axis=0)
    reference = np.mean([law.reference[first[place]] for place, law in laws.items()], axis=0)
    return real, specimen, reference


def _judge_fractions(
    raw: np.ndarray,
    fractions: tuple[np.ndarray, np.ndarray, np.ndarray],
    phases: Sequence[int],
    sources: int,
    freedom: float,
    names: Sequence[str],
    rng: np.random.Generator,
) -> Iterator[Judged]:
    """Yield the volume fractions before matching.

    They are compared with the mean of all planes, of which so many are independent ``sources``.
    """
    real, specimen, reference = fractions
    reference = reference / sources
    variance = specimen + reference + (_TOLERANCE * real) ** 2
    for k, phase in enumerate(phases):
        drawn = np.abs(rng.standard_t(freedom, DRAWS)) * math.sqrt(variance[k])
        made, given = float(raw[phase]), float(real[k])
        yield _judged(
            ("fraction", phase, names[phase], "", "", made, given),
            _ratio(abs(made - given), given),
            abs(made - given),
            drawn,
            given,
            float(reference[k] / max(variance[k], 1e-300)),
        )


def _sums(curves: np.ndarray, of_plane: np.ndarray) -> np.ndarray:
    """Return the absolute sums over all lags of curves, and the other quantities."""
    return np.concatenate([np.abs(curves).sum(-1).ravel(), surface(curves[0]), of_plane])


def _features(curves: np.ndarray, of_plane: np.ndarray) -> np.ndarray:
    """Return the features of curves (3, P, lags), and those of the plane."""
    return np.concatenate([curves.ravel(), surface(curves[0]), of_plane])


def _draws(law: DeviationLaw, rng: np.random.Generator) -> np.ndarray:
    """Return deviations (DRAWS, F) of unit variance with the dependence of the windows."""
    norm = np.sqrt((law.windows**2).sum(0))
    found = rng.standard_normal((DRAWS, len(law.windows)), dtype=np.float32) @ law.windows
    alone = rng.standard_normal((DRAWS, 1), dtype=np.float32)
    found = np.where(norm > 1e-7, found / np.maximum(norm, 1e-7), alone)
    return found / np.sqrt(rng.chisquare(law.freedom, (DRAWS, 1)) / law.freedom)


def _judged(
    what: tuple[str, int, str, str, str, float, float],
    error: float,
    observed: float,
    drawn: np.ndarray,
    examined: float,
    share: float,
) -> Judged:
    """Return a quantity judged by its own draws.

    ``error`` is that over all lags; ``observed``, ``drawn`` and the reference's sum ``examined``
    are over the lags examined.
    """
    expected, quantile = float(drawn.mean()), float(np.quantile(drawn, _QUANTILE))
    p = float((1 + np.sum(drawn >= observed)) / (1 + len(drawn)))
    mean_error = _ratio(expected, examined)
    ratio = _ratio(error, mean_error) if math.isfinite(mean_error) else _ratio(observed, expected)
    deviation = Deviation(*what, error, mean_error, ratio, p)
    tiny = max(quantile, 1e-300)
    return Judged(deviation, drawn / tiny, observed / tiny, _ratio(quantile, examined), share)


def _ratio(a: float, b: float) -> float:
    """Return a / b; 0 / 0 is 0."""
    return a / b if b > 0 else math.inf if a > 0 else 0.0


def _verdict(judged: list[Judged], shown: _Evidence) -> Verdict:
    """Return the verdict on all quantities together."""
    typical = float(np.median([*shown.parts.values()])) if shown.parts else math.inf
    few = {p for p, parts in shown.parts.items() if min(parts, typical) < PARTS}
    judged = [_widened(j) if j.deviation.phase in few else j for j in judged]
    order = sorted(judged, key=lambda j: j.observed, reverse=True)
    largest = np.max([j.draws for j in judged], axis=0)
    p = float((1 + np.sum(largest >= order[0].observed)) / (1 + len(largest)))
    critical = float(np.quantile(largest, 1 - DIFFERENT))
    curves = [
        j
        for j in judged
        if j.deviation.quantity in ("S2", "surface") and j.deviation.phase not in shown.absent
    ]
    errors = [j.quantile for j in curves if math.isfinite(j.quantile)]
    unnoticed = critical * float(np.median(errors)) if errors else math.inf
    needed, limits = None, shown.dependent
    if shown.voxels < FEWEST:
        outcome = "undecided"
        limits = [f"{shown.voxels} voxels show too little of the material", *limits]
    elif shown.constant is not None and p > DOUBTFUL:
        outcome = "undecided"
        limits = [shown.constant, *limits]
    elif p <= DIFFERENT:
        outcome = "different"
    elif p <= DOUBTFUL:
        outcome = "doubtful"
    elif unnoticed <= RESOLUTION:
        outcome = "consistent"
    else:
        outcome = "undecided"
        share = float(np.median([j.reference_share for j in curves])) if curves else 1.0
        level = 1 - DIFFERENT / 2 / len(judged)
        if few:
            needed, text = None, _too_few_parts(shown)
        else:
            needed, text = _images_needed(unnoticed, share, level, shown)
        limits = [text, *limits]
    if outcome in ("different", "doubtful"):
        limits = [*_noticeable(order), *limits]
    elif outcome == "consistent":
        limits = [
            f"errors of S2 and of the surface above {unnoticed:.0%} would be noticed",
            *limits,
        ]
    return Verdict(
        outcome=outcome,
        p_value=p,
        worst=order[0].deviation,
        deviations=tuple(j.deviation for j in order),
        reasons=tuple(limits),
        independent_images=shown.independent,
        images_needed=needed,
    )


def _widened(one: Judged) -> Judged:
    """Return a quantity judged by a wider law."""
    return replace(one, observed=one.observed / WIDER, quantile=one.quantile * WIDER)


def _too_few_parts(shown: _Evidence) -> str:
    """Return a sentence on the phase that is shown least."""
    phase = min(shown.parts, key=shown.parts.__getitem__)
    parts = shown.parts[phase]
    return (
        f"about {parts:.1f} independent parts of {shown.names[phase]} show too little of the "
        f"material; a set of about {math.ceil(PARTS / parts)} volumes of this size, or a larger "
        "one, would decide"
    )


def _nothing_varies(made: np.ndarray, real: np.ndarray, names: Sequence[str]) -> str | None:
    """Return a sentence where each phase fills all of both sides or none; else None."""
    if not np.array_equal(made, real) or np.any((real > 0) & (real < 1)):
        return None
    filling = [name for name, phi in zip(names, real, strict=True) if phi == 1]
    if filling:
        return f"both sides show nothing but {filling[0]}, so nothing can be compared"
    return f"neither side shows {' or '.join(names)}, so nothing was compared"


def _noticeable(order: list[Judged]) -> list[str]:
    """Return sentences on the worst place of each quantity that deviates."""
    found: dict[str, str] = {}
    for j in order:
        if j.deviation.p_value <= _NAMED:
            found.setdefault(j.deviation.quantity, str(j.deviation))
    return list(found.values())


def _dependent(independent: dict[str, float], material: Material) -> list[str]:
    """Return sentences on planes whose images depend on each other."""
    found = []
    for plane, number in independent.items():
        images = material.stacks[plane].count
        if number < _DEPENDENT * images:
            thing = "slices" if material.of_volume else "images"
            found.append(f"the {images} {thing} of {plane} amount to {number:.1f} independent ones")
    return found


def _images_needed(
    unnoticed: float, share: float, level: float, shown: _Evidence
) -> tuple[int | None, str]:
    """Return how many independent images per plane would decide, and what is missing.

    No number is returned for a reference volume, which has no images to add to.

    ``share``: of the variance that is the reference's.  More images make it smaller, and add
    degrees of freedom, few of which widen the law's quantile ``level``.  The law of a few
    images is uncertain itself, so some more are asked for than just enough.
    """
    from scipy import stats

    text = f"errors of S2 and of the surface up to {unnoticed:.0%} could pass unnoticed"
    independent, freedom = min(shown.independent.values()), shown.freedom
    counts = np.unique(np.geomspace(max(independent, 3) + 1, 1e5, 1000).astype(int))
    times = counts / independent
    narrower = stats.t.ppf(level, freedom * times) / stats.t.ppf(level, freedom)
    enough = unnoticed * narrower * np.sqrt(1 - share + share / times) <= 0.8 * RESOLUTION
    if not enough.any():
        least = stats.norm.ppf(level) / stats.t.ppf(level, freedom)
        volumes = 1 + math.ceil((1 - share) * (least * unnoticed / RESOLUTION) ** 2)
        return None, (
            f"one volume shows too little of the material, {text}; "
            f"a set of about {volumes} volumes of this size would decide"
        )
    needed = int(counts[enough.argmax()])
    if shown.of_volume:
        return None, (
            f"the reference volume shows too little of the material, {text}; "
            f"one about {math.ceil(needed / independent)} times as large would decide"
        )
    return needed, (
        f"too few independent micrographs ({independent:.1f} in a plane), {text}; "
        f"about {needed} independent ones per plane would decide"
    )
