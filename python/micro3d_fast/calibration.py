# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How often to harmonize, found for one model from its micrographs alone.

Which repeats of the fast sampler are best depends on the material, its resolution and the network
(docs/study.md): too few leave the slices in disagreement, too many at high noise make structure
coarse.  The micrographs tell which: small volumes are made by each candidate, and their S2 and
L are compared with those of the micrographs.
"""

from __future__ import annotations

import inspect
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from . import _checks
from .diffusion.sampling import RISING, _called, fast_settings

if TYPE_CHECKING:
    from .diffusion import Model

# Of each step.  `reconstruct` takes the third for a model not calibrated: few at high noise.
CANDIDATES: tuple[tuple[int, ...], ...] = (
    (2, 2, 2, 2, 2, 2, 2, 0),
    (5, 5, 5, 5, 5, 5, 5, 0),
    RISING,
)


@dataclass(frozen=True)
class Candidate:
    """What was measured of one choice of repeats."""

    harmonize: tuple[int, ...]  # harmonizing passes of each step
    passes: int
    S2: float  # relative error of S2 against the micrographs, mean over planes and phases
    L: float  # of the lineal path
    spread: float  # of S2 + L between single volumes, standard deviation; nan of one volume
    seconds: float  # a volume


@dataclass(frozen=True)
class Calibration:
    """What `calibrate` found."""

    harmonize: tuple[int, ...]  # of the best candidate
    candidates: tuple[Candidate, ...]
    volumes: int  # made by each candidate
    model: Model  # with these repeats as its default: to reconstruct with, or to save

    def __str__(self) -> str:
        lines = [
            f"Repeats of each step, {self.volumes} volumes each; mean relative errors of S2 and L "
            "against the micrographs:"
        ]
        for c in self.candidates:
            chosen = "  <- best" if c.harmonize == self.harmonize else ""
            repeats = " ".join(map(str, c.harmonize))
            lines.append(
                f"  {repeats}: {c.passes} passes, S2 {c.S2:.3f}, L {c.L:.3f}, "
                f"{c.seconds:.1f} s a volume{chosen}"
            )
        first, *others = sorted(self.candidates, key=lambda c: c.S2 + c.L)
        if others and not first.S2 + first.L + first.spread < others[0].S2 + others[0].L:  # or nan
            lines.append("The best two differ by less than two volumes do: more volumes tell them.")
        return "\n".join(lines)


def calibrate(
    model: Any,
    micrographs: Any,
    *,
    candidates: Sequence[Sequence[int]] = CANDIDATES,
    volume_shape: Sequence[int] | None = None,
    volumes: int = 2,
    seed: int = 0,
    callback: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> Calibration:
    """Choose the harmonizing passes of the fast sampler for one model, from its micrographs alone.

    Parameters
    ----------
    model : Model
    micrographs : Micrographs
        What the volumes shall agree with, as a rule those of training.
    candidates : sequence of sequences of int
        Harmonizing passes of each step, 0 for the last.
    volume_shape : (nz, ny, nx), optional
        Of the volumes that are made; default a cube of the model's training patch.
    volumes : int
        Made by each candidate, of the same seeds.
    seed : int
        The first of them.
    callback : callable, optional
        Called after each pass with `reconstruct`'s dict, whose pass_index, passes, seconds and eta
        are those of all volumes together, and harmonize, volume, volumes (of all candidates).
    **options
        Others of `reconstruct`, such as ``periodic`` or ``device``.  What is found holds for them:
        the model keeps the repeats alone.

    Returns
    -------
    Calibration
        ``harmonize`` of the candidate whose mean error of S2 and L (each `compare`'s mean over its
        curves) is least, what was measured of all, and the model that has them as its default.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range; the sentence names it.

    Examples
    --------
    >>> found = calibrate(model, micrographs)  # doctest: +SKIP
    >>> volume = reconstruct((64, 64, 64), found.model)  # doctest: +SKIP
    >>> found.model.save("run/model")  # doctest: +SKIP
    """
    from .diffusion import Model, reconstruct
    from .micrographs import Micrographs
    from .statistics import compare

    unknown = sorted(set(options) - set(inspect.signature(reconstruct).parameters))
    if unknown:
        raise TypeError(f"`{unknown[0]}` is no argument of calibrate or reconstruct")
    if not isinstance(model, Model):
        raise TypeError(f"`model` must be a Model, got {type(model).__name__}: see load_model")
    if not isinstance(micrographs, Micrographs):
        raise TypeError(f"`micrographs` must be a Micrographs, got {type(micrographs).__name__}")
    if micrographs.n_phases != model.n_phases:
        raise ValueError(
            f"`micrographs` must have the {model.n_phases} phases of the model, "
            f"got {micrographs.n_phases}"
        )
    for plane, images in micrographs.images.items():
        for phase, name in enumerate(model.phase_names):
            if not any((image == phase).any() for image in images):
                raise ValueError(
                    f"`micrographs` must show every phase of the model in every plane, but {name} "
                    f"is not in {plane}"
                )
    callback = _called(callback)
    volumes = _checks.integer(volumes, name="volumes", minimum=1, maximum=10_000)
    seed = _checks.integer(seed, name="seed", minimum=0, maximum=2**64 - volumes)
    for name in ("harmonize", "passes", "quality", "sampler", "settings", "n"):
        if name in options:
            raise TypeError(f"`{name}` is what calibrate chooses, or no option of it")
    repeats = [_checks.repeats(c, name=f"candidates[{k}]") for k, c in enumerate(candidates)]
    if not repeats:
        raise ValueError("`candidates` must hold at least one sequence of repeats, got none")
    for k, found_steps in enumerate(map(len, repeats)):
        if found_steps > model.schedule.steps:
            raise ValueError(
                f"`candidates[{k}]` must have at most the {model.schedule.steps} steps of the "
                f"model, got {found_steps}"
            )
    passes = [fast_settings(harmonize=c).passes for c in repeats]
    if volume_shape is not None:
        volume_shape = _checks.shape3(volume_shape, name="volume_shape")
        if min(volume_shape) < 8:
            raise ValueError(
                "`volume_shape` must be at least 8 voxels along each axis, for its correlations "
                f"to say something, got {volume_shape}"
            )
    shape = (model.patch,) * 3 if volume_shape is None else volume_shape

    def errors(volumes: Sequence[Any]) -> tuple[float, float]:
        found = compare(volumes, micrographs, splits=2, bootstrap=2)
        S2, L = ([c.error for c in found.select(function)] for function in ("S2", "L"))
        return sum(S2) / len(S2), sum(L) / len(L)

    measured: list[Candidate] = []
    began = time.perf_counter()
    for k, harmonize in enumerate(repeats):
        started, made = time.perf_counter(), []
        for i in range(volumes):
            before = volumes * sum(passes[:k]) + i * passes[k]
            told = _together(
                callback,
                before,
                volumes * sum(passes),
                began,
                harmonize=harmonize,
                volume=k * volumes + i + 1,
                volumes=len(repeats) * volumes,
            )
            made.append(
                reconstruct(
                    shape, model, harmonize=harmonize, seed=seed + i, callback=told, **options
                )
            )
        seconds = (time.perf_counter() - started) / volumes
        spread = math.nan
        if volumes > 1:
            spread = statistics.stdev(sum(errors([one])) for one in made)
        measured.append(Candidate(harmonize, passes[k], *errors(made), spread, seconds))
    best = min(measured, key=lambda c: c.S2 + c.L)
    chosen = replace(model, harmonize=best.harmonize)
    return Calibration(best.harmonize, tuple(measured), volumes, chosen)


def _together(
    callback: Callable[[dict[str, Any]], None] | None,
    before: int,
    passes: int,
    began: float,
    **more: Any,
) -> Callable[[dict[str, Any]], None] | None:
    """The callback told of one volume among others: ``before`` of all ``passes`` were done."""
    if callback is None:
        return None

    def told(event: dict[str, Any]) -> None:
        done, seconds = before + event["pass_index"], time.perf_counter() - began
        eta = seconds / done * (passes - done)
        together = {"pass_index": done, "passes": passes, "seconds": seconds, "eta": eta}
        callback({**event, **together, **more})

    return told
