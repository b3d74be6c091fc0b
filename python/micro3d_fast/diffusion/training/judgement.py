# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How well a run trained: its steps, the fall of its loss, the verdict on its 2D samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ...statistics import Verdict

__all__ = [
    "loss_still_falls",
    "outcome_of",
    "poor",
    "recent_losses",
    "samples_sentence",
    "verdict_record",
]

FEW_STEPS = 1 / 4  # of the recipe's: fewer are warned of
LARGE_RATIO = 50  # of a deviation to that of real crops; the bundled models have 11 to 17
_SHORTEST = 50  # losses compared with as many before, where a run has so many
_FEWEST = 20
_NOISE = 2.33  # standard errors: 1 % of stationary losses seem to fall
_RELEVANT = 0.01  # a relative fall below this is not mentioned
_NOTICEABLE = 0.05  # one above this must be noticed, or nothing is said


def recent_losses(steps: int) -> int:
    """Return the number of last losses to keep: two tenths of the run, more of a short one."""
    return 2 * max(steps // 10, min(_SHORTEST, steps // 2))


def loss_still_falls(losses: Sequence[float]) -> bool | None:
    """Return whether the second half of losses lies below the first by more than their noise.

    None if it is unknown because they are too few or too noisy.
    """
    half = len(losses) // 2
    if half < _FEWEST:
        return None
    before, last = np.asarray(losses[:half]), np.asarray(losses[-half:])
    fall = float(before.mean() - last.mean())
    error = math.sqrt((before.var(ddof=1) + last.var(ddof=1)) / half)
    mean = float(before.mean())
    if fall > max(_NOISE * error, _RELEVANT * mean):
        return True
    quiet = _NOISE * error <= _NOTICEABLE * mean and fall <= _RELEVANT * mean
    return False if quiet else None


def samples_sentence(verdict: Verdict) -> str:
    """Return the verdict on 2D samples as a part of a sentence."""
    if verdict.outcome == "consistent":
        return "its 2D samples are consistent with the micrographs"
    if verdict.outcome == "undecided":
        few = "too few independent micrographs" if verdict.images_needed else "too few samples"
        return f"{few} to judge its 2D samples"
    return f"its 2D samples are {verdict.outcome}: {verdict.worst}"


def verdict_record(step: int, verdict: Verdict) -> dict[str, Any]:
    """Return what is recorded of the verdict on the samples of a step, in plain JSON types."""
    worst = verdict.worst
    return {
        "step": step,
        "outcome": verdict.outcome,
        "p_value": verdict.p_value,
        "quantity": worst.quantity,
        "phase": worst.phase_name,
        "plane": worst.plane,
        "direction": worst.direction,
        "ratio": worst.ratio if math.isfinite(worst.ratio) else None,
        "sentence": samples_sentence(verdict),
    }


def outcome_of(
    steps: int, recommended: int, losses: Sequence[float], verdict: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the record of a finished run, with one sentence in ``"training"``."""
    falls = loss_still_falls(losses)
    parts = [f"{steps} of the recommended {recommended} steps"]
    if steps > recommended:
        parts = [f"{steps} steps, {recommended} are recommended"]
    if falls is not None:
        parts.append("the loss is still falling" if falls else "the loss no longer falls")
    if verdict is not None:
        parts.append(verdict["sentence"])
    return {
        "recommended_steps": recommended,
        "loss_still_falls": falls,
        "verdict": verdict,
        "training": "; ".join(parts),
    }


def poor(outcome: Mapping[str, Any]) -> bool:
    """Return whether a run has far too few steps or far too different samples.

    A run without a verdict is not judged; one of few steps may be good: its samples decide.
    """
    verdict = outcome["verdict"]
    if verdict is None or verdict["outcome"] == "consistent":
        return False
    large = verdict["ratio"] is None or verdict["ratio"] >= LARGE_RATIO
    few = verdict["step"] < FEW_STEPS * outcome["recommended_steps"]
    return few or (verdict["outcome"] == "different" and large)
