# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The loop between the slices of volumes and the micrographs.

The slices of a made volume are 2D images.  Where their law differs from that of the micrographs,
the composition of the three planes is at fault, and a copy of the network that is trained on such
slices knows how.  Guiding the network away from its copy, at all noise levels,
network + w (network - copy), brings the volumes back; a student learns what the pair says, so that
the result is one network again.  Relatives of this loop are autoguidance (Karras et al. 2024) and
self-improving diffusion with synthetic data (Alemohammad et al. 2024).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from ..diffusion import Model
from ..diffusion.settings import default_repeats
from ..diffusion.training import Teacher
from ..microstructure import Microstructure
from ..statistics import Verdict
from ._surface import TRIALS, Trial, enough_volumes
from ._volumes import Volumes, with_trial

STEPS = 500  # of the copy, and of the student
WEIGHTS = (0.5, 1.0, 2.0)
LATER_WEIGHTS = (0.25, 0.5, 1.0)  # a second round with more overshoots
TRIED = 4  # volumes of each weight
JUDGED = 8  # volumes that decide whether a correction is taken
ENOUGH = ("consistent", "undecided")  # outcomes for all lessons together that end the loop
_SEEDS = 100_000  # seeds of a round lie this far from those of the one before


@dataclass(frozen=True)
class Round:
    """One round of the loop.

    Attributes
    ----------
    outcome : str
        Of the verdict on all lessons together.
    before : float
        Mean deviation of the volumes before it, in deviations of real specimens (1 is best).
    weights : dict of float to float
        The same for each weight of the guidance, 0 for none; of fewer volumes, so smaller, and
        without the surface, which is fitted afterwards.
    weight : float or None
        That of the least deviation, 0 if none was better; None if none was tried.
    after : float or None
        The mean deviation of volumes of the corrected network.
    accepted : bool
        Whether the corrected network replaces the one before.
    """

    outcome: str
    before: float
    weights: dict[float, float]
    weight: float | None
    after: float | None
    accepted: bool

    def record(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "weights": {f"{w:g}": d for w, d in self.weights.items()}}

    def __str__(self) -> str:
        start = (
            f"mean deviation {self.before:.2f} × that of real specimens, all volumes "
            f"together {self.outcome}"
        )
        if not self.weights:
            return f"{start}: nothing to correct, the network stays as it is."
        tried = ", ".join(f"{w:g}: {d:.2f}" for w, d in self.weights.items())
        start += f"; guided by weight {tried}"
        if self.after is None:
            return f"{start}: no weight is better, the network stays as it is."
        end = "" if self.accepted else "; that is no better, so the network stays as it is"
        return f"{start}; corrected network {self.after:.2f}{end}."


def close_loop(
    model: Model, made: Volumes, *, lessons: int, rounds: int
) -> tuple[Model, Verdict, tuple[Trial, ...], tuple[Round, ...], int]:
    """Return the corrected model, the verdict, the trials, the rounds, the volumes judged."""
    made.open(
        {
            "model": model.hash,
            "agreement": model.agreement or 0.0,
            "volume_fractions": list(model.volume_fractions),
            "micrographs": made.micrographs.fingerprint(),
            "volume_shape": list(made.shape),
            "seed": made.seed,
            "lessons": lessons,
        }
    )
    done: list[Round] = []
    made.expect(_work(model, made, lessons))
    trials = made.find_surface(model, _of_a_trial(made, lessons))
    model, volumes = with_trial(model, trials[-1]), made.latest
    for number in range(1, rounds + 1):
        if number > 1:
            made.expect(_work(model, made, lessons))
        found, result, tried, latest = _round(model, made, lessons, number)
        done.append(result)
        if not result.accepted:
            break
        model, trials, volumes = found, tried, latest
    made.finish()
    earlier = model.details.get("calibration", {}).get("rounds", [])  # of calls before this one
    record = {"effort": "full", "rounds": [*earlier, *(one.record() for one in done)]}
    model = replace(model, details={**model.details, "calibration": record})
    return model, made.verdict(volumes), tuple(trials), tuple(done), len(volumes)


def _passes(model: Model) -> int:
    pattern = default_repeats(model.schedule)
    return len(pattern) + sum(pattern)


def _search(model: Model, made: Volumes, lessons: int) -> float:
    """Return the passes that a search for the surface takes at most."""
    return TRIALS * _of_a_trial(made, lessons) * _passes(model)


def _work(model: Model, made: Volumes, lessons: int) -> float:
    """Return the passes of one round."""
    tried = min(TRIED, lessons)
    guided = 2 * (len(WEIGHTS) * tried + lessons - tried)
    steps = STEPS * (made.cost_of_step(model) + made.cost_of_step(model, taught=True))
    volumes = lessons + guided + min(JUDGED, lessons)
    return _passes(model) * volumes + steps + _search(model, made, lessons)


def _of_a_trial(made: Volumes, lessons: int) -> int:
    return min(max(TRIED, enough_volumes(made.shape)), lessons)


def _round(
    model: Model, made: Volumes, lessons: int, number: int
) -> tuple[Model, Round, list[Trial], list[Microstructure]]:
    """Make one round; return the corrected model, what was done, its trials and volumes.

    Lessons, guided volumes and those that judge the result have seeds of their own: networks know
    the volumes that they were trained on, and those of the same noise.
    """
    first, name = number * _SEEDS, f"round-{number}"
    guided_first, judged_first = first + lessons, first + 2 * lessons
    taught = made.make(model, lessons, f"{name}/lessons", first=first, keep=True)
    together = made.verdict(taught)
    before = deviation(made.verdict(taught[:JUDGED]))
    if together.outcome in ENOUGH:
        return model, Round(together.outcome, before, {}, None, None, False), [], []
    copy = made.train(model, taught, f"{name}/copy", STEPS)

    def guided(weight: float, count: int) -> list[Microstructure]:
        stage = f"{name}/guided-{weight:g}"
        return made.make(
            model, count, stage, first=guided_first, keep=True, against=copy, weight=weight
        )

    # The scatter of volumes that are judged together falls with their number, so the ratio to it
    # grows: only as many volumes can be compared.  Their surface is fitted afterwards.
    tried = min(TRIED, lessons)
    choices = WEIGHTS if number == 1 else LATER_WEIGHTS
    volumes_of = {0.0: taught[:tried]} | {w: guided(w, tried) for w in choices}
    weights = {w: deviation(made.verdict(v), but="surface") for w, v in volumes_of.items()}
    weight = min(weights, key=weights.__getitem__)
    if weight == 0:
        return model, Round(together.outcome, before, weights, weight, None, False), [], []
    teacher = Teacher(model, copy, weight)
    student = made.train(model, guided(weight, lessons), f"{name}/student", STEPS, teacher)
    student = replace(model, net=student.net)  # what else a model knows stays as it is
    made.expect(-_search(model, made, lessons))  # the search adds what it takes
    trials = made.find_surface(student, _of_a_trial(made, lessons), first=judged_first)
    student = with_trial(student, trials[-1])
    first, count = judged_first + lessons, min(JUDGED, lessons)
    volumes = made.make(student, count, f"{name}/result", first=first, keep=True)
    after = deviation(made.verdict(volumes))
    result = Round(together.outcome, before, weights, weight, after, after < before)
    return student, result, trials, volumes


def deviation(verdict: Verdict, *, but: str = "") -> float:
    """Return the mean deviation in those of real specimens, each at most 10.

    Every kind of quantity weighs the same, ``but`` one: curves along all axes outnumber others.
    """
    kinds: dict[str, list[float]] = {}
    for one in verdict.deviations:
        if one.quantity != but:
            kinds.setdefault(one.quantity, []).append(min(one.ratio, 10.0))
    return float(np.mean([np.mean(ratios) for ratios in kinds.values()]))
