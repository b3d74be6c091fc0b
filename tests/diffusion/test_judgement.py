# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The sentence on a finished training: steps, fall of the loss, verdict on the 2D samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from micro3d_fast import synthetic
from micro3d_fast.diffusion.training import pictures
from micro3d_fast.diffusion.training.judgement import (
    loss_still_falls,
    outcome_of,
    poor,
    recent_losses,
    samples_sentence,
    verdict_record,
)
from micro3d_fast.micrographs import Micrographs
from micro3d_fast.statistics import Deviation, Verdict

WORST = Deviation("surface", 1, "fibre", "xy", "x", 2.0, 1.0, 1.0, 0.01, 100.0, 0.001)
SENTENCE = (
    "its 2D samples are different: the specific surface of fibre in xy along x deviates 100 × as "
    "much as that of real specimens"
)


def verdict(outcome: str, ratio: float = 100.0, needed: int | None = None) -> Verdict:
    worst = Deviation(**{**vars(WORST), "ratio": ratio})
    return Verdict(outcome, 0.001, worst, (worst,), ("why",), {"xy": 5.0}, needed)


@pytest.mark.parametrize(("steps", "kept"), [(1, 0), (60, 60), (300, 100), (3000, 600)])
def test_losses_kept(steps, kept):
    assert recent_losses(steps) == kept


@pytest.mark.parametrize(
    ("slope", "falls"), [(0.0, False), (-2e-4, True), (2e-4, False), (-1e-6, False)]
)
def test_a_falling_loss_is_told_from_noise(slope, falls):
    """Of 600 losses .3 ± .003 the halves differ by 150 slopes, known to ± .00024."""
    noise = np.random.default_rng(1).normal(0, 0.003, 600)
    assert loss_still_falls(0.3 + slope * np.arange(600) / 2 + noise) is falls


def test_a_stationary_loss_seldom_seems_to_fall():
    rng = np.random.default_rng(0)
    found = [loss_still_falls(rng.normal(1, 0.1, 200)) for _ in range(2000)]
    assert 0.002 < np.mean([f is True for f in found]) < 0.025  # 1 % is expected
    assert np.mean([f is None for f in found]) < 0.3  # seems to fall, but less than the noise


def test_too_few_or_too_noisy_losses_tell_nothing():
    assert loss_still_falls([1.0, 0.9, 0.8, 0.7, 0.6, 0.5]) is None
    assert loss_still_falls([1.0, 0.5] * 10) is None
    assert loss_still_falls([1.0] * 30) is None  # of a warm-up


def test_the_sentence():
    falling = list(np.linspace(1, 0.5, 60))
    record = verdict_record(60, verdict("different"))
    outcome = outcome_of(60, 3000, falling, record)
    assert outcome["training"] == (
        f"60 of the recommended 3000 steps; the loss is still falling; {SENTENCE}"
    )
    assert poor(outcome)
    outcome = outcome_of(4000, 3000, [0.3, 0.31] * 50, None)
    assert outcome["training"] == "4000 steps, 3000 are recommended; the loss no longer falls"
    assert not poor(outcome)
    assert outcome_of(1, 3000, [1.0], None)["training"] == "1 of the recommended 3000 steps"


@pytest.mark.parametrize(
    ("steps", "outcome", "ratio", "expected"),
    [
        (700, "undecided", 2.0, True),  # steps
        (700, "consistent", 2.0, False),
        (800, "different", 20.0, False),
        (800, "different", 60.0, True),
        (800, "different", math.inf, True),
        (800, "doubtful", 60.0, False),
        (3000, "undecided", 2.0, False),
    ],
)
def test_what_is_poor(steps, outcome, ratio, expected):
    record = verdict_record(steps, verdict(outcome, ratio))
    assert poor(outcome_of(steps, 3000, [], record)) is expected


def test_samples_in_words():
    assert samples_sentence(verdict("different")) == SENTENCE
    assert samples_sentence(verdict("consistent")).endswith("consistent with the micrographs")
    assert samples_sentence(verdict("undecided", needed=20)).startswith("too few independent micro")
    assert samples_sentence(verdict("undecided")) == "too few samples to judge its 2D samples"


def test_crops_are_told_from_noise(monkeypatch):
    """Crops of another specimen are not different, also against some of many micrographs."""
    specimens = [synthetic.level_cut((64,) * 3, (0.6, 0.4), 3.0, seed=seed) for seed in (1, 2)]
    data = Micrographs.from_volume(specimens[0], 40)
    other = specimens[1].labels
    crops = {
        "xy": [other[k, :32, :32] for k in range(0, 64, 8)],
        "xz": [other[:32, k, 32:] for k in range(0, 64, 8)],
        "yz": [other[32:, 32:, k] for k in range(0, 64, 8)],
    }
    rng = np.random.default_rng(0)
    noise = {p: [rng.permutation(i.ravel()).reshape(i.shape) for i in s] for p, s in crops.items()}
    sizes = []

    def compare(samples, reference, **options):
        sizes.append({plane: len(stack) for plane, stack in reference.images.items()})
        return actual(samples, reference, **options)

    actual = pictures.compare
    monkeypatch.setattr(pictures, "compare", compare)
    for pixels, images in ((1 << 24, 40), (10 * 64 * 64, 10)):
        monkeypatch.setattr(pictures, "REFERENCE_PIXELS", pixels)
        assert pictures.judge_samples(crops, data).outcome in ("consistent", "undecided")
        judged = pictures.judge_samples(noise, data)
        assert judged.outcome == "different"
        assert judged.worst.ratio > 10
        assert set(sizes[-1].values()) == {images}
