# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Repeats of the sampler that are found from the micrographs alone."""

import dataclasses
import json

import numpy as np
import pytest

import micro3d_fast as m3
from _toy import tiny_model


@pytest.fixture(scope="module")
def micrographs():
    labels = m3.synthetic.level_cut((24, 24, 24), (0.6, 0.4), (2, 2, 2), 1)
    return m3.Micrographs.from_volume(labels, images_per_plane=8, seed=0)


def test_the_candidate_nearest_to_the_micrographs_is_chosen(micrographs):
    model, events = tiny_model(), []
    found = m3.calibrate(
        model,
        micrographs,
        candidates=[(0, 0), [1, 0], (1, 1, 0)],
        volume_shape=(16, 16, 16),
        callback=events.append,
        seed=3,
    )
    assert [c.harmonize for c in found.candidates] == [(0, 0), (1, 0), (1, 1, 0)]
    assert [c.passes for c in found.candidates] == [2, 3, 5]
    assert found.harmonize == min(found.candidates, key=lambda c: c.S2 + c.L).harmonize
    assert [t["volume"] for t in events] == [1] * 2 + [2] * 2 + [3] * 3 + [4] * 3 + [5] * 5 + [
        6
    ] * 5
    assert [t["pass_index"] for t in events] == list(range(1, 21))
    assert {t["passes"] for t in events} == {20}
    assert events[-1]["eta"] == 0
    made = [
        m3.reconstruct((16, 16, 16), model, harmonize=found.harmonize, seed=3 + i) for i in range(2)
    ]
    errors = [c.error for c in m3.compare(made, micrographs).select("S2")]
    chosen = next(c for c in found.candidates if c.harmonize == found.harmonize)
    assert np.mean(errors) == pytest.approx(chosen.S2)
    assert "<- best" in str(found)
    assert found.verdict == m3.compare(made, micrographs, splits=2, bootstrap=2).verdict
    assert found.verdict.outcome == "different"  # the network is not trained
    assert str(found).startswith("Verdict: different: the ")
    assert "train it for more steps" in str(found)
    first, second, _ = sorted(found.candidates, key=lambda c: c.S2 + c.L)
    near = first.S2 + first.L + first.spread >= second.S2 + second.L
    assert ("increase `volumes`" in str(found)) == near
    wide = dataclasses.replace(first, spread=second.S2 + second.L)
    close = dataclasses.replace(found, candidates=(wide, second))
    assert "increase `volumes`" in str(close)
    again = m3.reconstruct((16, 16, 16), found.model, seed=3)
    np.testing.assert_array_equal(again.labels, made[0].labels)


def test_phases_that_no_micrograph_shows_are_refused():
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[:, ::3] = 1  # layers normal to y: a slice normal to it shows one phase
    micrographs = m3.Micrographs.from_volume(labels, images_per_plane=1, seed=0)
    with pytest.raises(
        ValueError, match=r"every phase of the model in every plane, got no .* in xz"
    ):
        m3.calibrate(tiny_model(), micrographs)


def test_a_model_keeps_what_was_found(tmp_path):
    model = dataclasses.replace(tiny_model(), harmonize=(1, 2, 0))
    loaded = m3.load_model(model.save(tmp_path / "m"))
    assert loaded.harmonize == (1, 2, 0)
    assert "harmonizing passes 1 2 0" in repr(loaded)
    for options, passes in (
        ({}, 6),
        ({"passes": 4}, 4),
        ({"quality": "draft"}, 22),
        ({"harmonize": (1, 0)}, 3),
    ):
        made = m3.reconstruct((8, 8, 8), loaded, **options)
        assert made.provenance["passes"] == passes


@pytest.mark.parametrize("wrong", [4, (1, 2), (1.5, 0), (), (0,) * 5000])
def test_repeats_of_a_model_are_checked(wrong):
    with pytest.raises(ValueError, match="`harmonize` must"):
        dataclasses.replace(tiny_model(), harmonize=wrong)


def test_repeats_of_numpy_can_be_saved(tmp_path):
    model = dataclasses.replace(tiny_model(), harmonize=np.array([1, 0]))
    assert m3.load_model(model.save(tmp_path)).harmonize == (1, 0)


@pytest.mark.parametrize("wrong", ["[1, 2]", "[]", "[-1, 0]", "[0.5, 0]", "[true, 0]", "3"])
def test_a_damaged_record_of_it_is_refused(tmp_path, wrong):
    file = dataclasses.replace(tiny_model(), harmonize=(7, 0)).save(tmp_path) / "model.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "harmonize": json.loads(wrong)}))
    with pytest.raises(ValueError, match="failed: `harmonize` must be one number per step"):
        m3.load_model(tmp_path)


def test_the_default_of_reconstruct_is_a_candidate():
    from micro3d_fast.calibration import CANDIDATES
    from micro3d_fast.diffusion.settings import fast_settings

    default = fast_settings()
    steps = range(default.steps)
    assert tuple(default.repeats_at(k) for k in steps) in CANDIDATES
    assert [sum(c) + len(c) for c in CANDIDATES] == [22, 43, 38]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": 1}, TypeError, "`model` must be a Model"),
        ({"micrographs": 1}, TypeError, "`micrographs` must be a Micrographs"),
        ({"model": tiny_model(3)}, ValueError, "`micrographs` must have the 3 phases"),
        ({"volumes": 0}, ValueError, "`volumes`"),
        ({"candidates": []}, ValueError, "`candidates` must hold at least one"),
        ({"volumes": 10**30}, ValueError, "`volumes`"),
        ({"candidates": [(1, 1)]}, ValueError, r"`candidates\[0\]` must be one number per step"),
        ({"candidates": [(0,), ()]}, ValueError, r"`candidates\[1\]` must be one number per step"),
        ({"candidates": [5]}, ValueError, r"`candidates\[0\]` must be one number per step"),
        ({"candidates": [(0,) * 5000]}, ValueError, r"`candidates\[0\]` must have at most the"),
        ({"callback": 5}, TypeError, "`callback` must be callable"),
        ({"shape": (8, 8, 8)}, TypeError, "`shape` is not an argument of calibrate"),
        ({"volume_shape": (4, 8, 8)}, ValueError, "`volume_shape` must be at least 8"),
        ({"passes": 3}, TypeError, "`passes` is set by calibrate"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(micrographs, change, error, words):
    arguments = {"model": tiny_model(), "micrographs": micrographs, **change}
    with pytest.raises(error, match=words):
        m3.calibrate(**arguments)
