# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Choose the repeats of the fast sampler for one model, from its micrographs alone.

Which repeats are best depends on the material, its resolution and the network (docs/study.md): too
few leave the slices in disagreement, too many at high noise make structure coarse.  Each candidate
reconstructs small volumes, and their S2 and L are compared with those of the micrographs.
"""

from __future__ import annotations

import functools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from . import _checks
from .diffusion import Model, reconstruct
from .diffusion.progress import as_one_job
from .diffusion.reconstruction import Reconstruction, check_model
from .diffusion.settings import RISING, SamplerSettings, fast_settings
from .micrographs import Micrographs
from .microstructure import Microstructure
from .statistics import Verdict, compare

__all__ = ["CANDIDATES", "Calibration", "Candidate", "calibrate"]

# Harmonizing passes of each step.  The third is the default of a model without calibration: few at
# high noise.
CANDIDATES: tuple[tuple[int, ...], ...] = (
    (2, 2, 2, 2, 2, 2, 2, 0),
    (5, 5, 5, 5, 5, 5, 5, 0),
    RISING,
)
_CHOSEN_HERE = ("harmonize", "passes", "quality", "sampler", "settings", "n")


@dataclass(frozen=True)
class Candidate:
    """Measurements of one choice of repeats."""

    harmonize: tuple[int, ...]  # harmonizing passes of each step
    passes: int
    S2: float  # relative error of S2 against the micrographs, mean over planes and phases
    L: float  # of the lineal path
    spread: float  # of S2 + L between single volumes, standard deviation; nan for one volume
    seconds: float  # per volume


@dataclass(frozen=True)
class Calibration:
    """Result of `calibrate`."""

    harmonize: tuple[int, ...]  # of the best candidate
    candidates: tuple[Candidate, ...]
    volumes: int  # reconstructed per candidate
    model: Model  # with these repeats as its default: to reconstruct with, or to save
    verdict: Verdict  # on the volumes of the best candidate

    def __str__(self) -> str:
        return f"Verdict: {self.verdict}.\n{self.table()}"

    def table(self) -> str:
        """Return the candidates, one per line, and what limits the choice."""
        lines = [
            f"Repeats of each step, {self.volumes} volumes each; mean relative errors of S2 and L "
            "against the micrographs:"
        ]
        for c in self.candidates:
            chosen = "  <- best" if c.harmonize == self.harmonize else ""
            repeats = " ".join(map(str, c.harmonize))
            lines.append(
                f"  {repeats}: {c.passes} passes, S2 {c.S2:.3f}, L {c.L:.3f}, "
                f"{c.seconds:.1f} s per volume{chosen}"
            )
        first, *others = sorted(self.candidates, key=lambda c: c.S2 + c.L)
        if others and not first.S2 + first.L + first.spread < others[0].S2 + others[0].L:  # or nan
            lines.append(
                "The best two candidates are within sampling noise; increase `volumes` to separate "
                "them."
            )
        if self.verdict.outcome == "different":
            lines.append(
                "No candidate makes this model's volumes real: train it for more steps or on more "
                "images, rather than calibrate it."
            )
        return "\n".join(lines)


def calibrate(
    model: Model,
    micrographs: Micrographs,
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
        What the volumes should agree with, usually those of training.
    candidates : sequence of sequences of int
        Harmonizing passes of each step, 0 for the last.
    volume_shape : (nz, ny, nx), optional
        Shape of the volumes; default a cube of the model's training patch.
    volumes : int
        Volumes reconstructed per candidate, with the same seeds.
    seed : int
        The first seed.
    callback : callable, optional
        Called after each pass with `reconstruct`'s dict, in which pass_index, passes, seconds and
        eta are those of all volumes together, and with harmonize, volume, volumes (of all
        candidates).
    **options
        Others of `reconstruct`, such as ``periodic`` or ``device``.  The result is valid for them;
        the model stores only the repeats.

    Returns
    -------
    Calibration
        ``harmonize`` of the candidate with the least mean error of S2 and L (each the mean of
        `compare` over its curves), the measurements of all, the model with these repeats as its
        default, and the verdict on the volumes of the best candidate.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range; the message names it.

    Examples
    --------
    >>> found = calibrate(model, micrographs)  # doctest: +SKIP
    >>> volume = reconstruct((64, 64, 64), found.model)  # doctest: +SKIP
    >>> found.model.save("run/model")  # doctest: +SKIP
    """
    for name in options:
        if name in _CHOSEN_HERE:
            raise TypeError(f"`{name}` is set by calibrate itself, or has no meaning there")
        if name not in Reconstruction.options():
            raise TypeError(f"`{name}` is not an argument of calibrate or reconstruct")
    _check_micrographs(micrographs, model)
    _checks.callback(callback)
    volumes = _checks.integer(volumes, name="volumes", minimum=1, maximum=10_000)
    seed = _checks.integer(seed, name="seed", minimum=0, maximum=2**64 - volumes)
    shape = (model.patch,) * 3 if volume_shape is None else _checked_shape(volume_shape)
    choices = _checked_candidates(candidates, model)

    job = as_one_job(callback, passes=volumes * sum(settings.passes for settings in choices))
    measured, volumes_of = [], []
    for k, settings in enumerate(choices):
        started, made = time.perf_counter(), []
        for i in range(volumes):
            follow = None
            if job is not None:
                follow = functools.partial(
                    job,
                    harmonize=settings.harmonize,
                    volume=k * volumes + i + 1,
                    volumes=len(choices) * volumes,
                )
            made.append(
                reconstruct(
                    shape,
                    model,
                    harmonize=settings.harmonize,
                    seed=seed + i,
                    callback=follow,
                    **options,
                )
            )
        seconds = (time.perf_counter() - started) / volumes
        measured.append(_measured(settings, made, micrographs, seconds))
        volumes_of.append(made)
    number, best = min(enumerate(measured), key=lambda pair: pair[1].S2 + pair[1].L)
    chosen = replace(model, harmonize=best.harmonize)
    verdict = compare(volumes_of[number], micrographs, splits=2, bootstrap=2).verdict
    assert verdict is not None
    return Calibration(best.harmonize, tuple(measured), volumes, chosen, verdict)


def _check_micrographs(micrographs: Any, model: Model) -> None:
    """Refuse micrographs that the model's volumes cannot be compared with."""
    check_model(model)
    if not isinstance(micrographs, Micrographs):
        raise _checks.refuse_type("micrographs", "be a Micrographs", type(micrographs).__name__)
    if micrographs.n_phases != model.n_phases:
        wanted = f"have the {model.n_phases} phases of the model"
        raise _checks.refuse("micrographs", wanted, str(micrographs.n_phases))
    for plane, images in micrographs.images.items():
        for phase, name in enumerate(model.phase_names):
            if not any((image == phase).any() for image in images):
                raise _checks.refuse(
                    "micrographs",
                    "show every phase of the model in every plane",
                    f"no {name} in {plane}",
                )


def _checked_shape(volume_shape: Any) -> tuple[int, int, int]:
    shape = _checks.shape3(volume_shape, name="volume_shape")
    if min(shape) < 8:
        raise _checks.refuse(
            "volume_shape",
            "be at least 8 voxels along each axis, for meaningful correlations",
            str(shape),
        )
    return shape


def _checked_candidates(candidates: Any, model: Model) -> list[SamplerSettings]:
    """Return the settings of each candidate."""
    repeats = [_checks.repeats(c, name=f"candidates[{k}]") for k, c in enumerate(candidates)]
    if not repeats:
        raise _checks.refuse("candidates", "hold at least one sequence of repeats", "none")
    for k, steps in enumerate(map(len, repeats)):
        if steps > model.schedule.steps:
            wanted = f"have at most the {model.schedule.steps} steps of the model"
            raise _checks.refuse(f"candidates[{k}]", wanted, str(steps))
    return [fast_settings(harmonize=c) for c in repeats]


def _measured(
    settings: SamplerSettings,
    made: Sequence[Microstructure],
    micrographs: Micrographs,
    seconds: float,
) -> Candidate:
    """Return the errors of a candidate's volumes, together and apart."""

    def errors(volumes: Sequence[Microstructure]) -> tuple[float, float]:
        found = compare(volumes, micrographs, splits=2, bootstrap=2, verdict=False)
        S2, L = ([c.error for c in found.select(function)] for function in ("S2", "L"))
        return sum(S2) / len(S2), sum(L) / len(L)

    spread = math.nan
    if len(made) > 1:
        spread = statistics.stdev(sum(errors([one])) for one in made)
    harmonize = settings.harmonize
    assert isinstance(harmonize, tuple)
    return Candidate(harmonize, settings.passes, *errors(made), spread, seconds)
