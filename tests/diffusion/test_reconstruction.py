# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The public functions: arguments, provenance, several volumes, refusals."""

from __future__ import annotations

import dataclasses
import itertools
import re
import shutil
import warnings

import numpy as np
import pytest
import torch

import micro3d_fast as m3
from _toy import linear_model, tiny_model
from micro3d_fast.diffusion import (
    device,
    reconstruct,
)
from micro3d_fast.diffusion.labelling import (
    UNKNOWN,
    face_mismatch,
)
from micro3d_fast.diffusion.reconstruction import requested_fractions

KNOWN = np.full((16, 16, 16), UNKNOWN, dtype=np.uint8)


@pytest.fixture(scope="module")
def separator():
    return m3.load_model("separator")


@pytest.mark.filterwarnings("ignore:`volume_fractions` requests")
def test_volume_fractions_argument():
    model = tiny_model(3, (0.2, 0.5, 0.3))
    n = 16**3
    auto = reconstruct((16,) * 3, model, passes=4)
    np.testing.assert_allclose(auto.volume_fractions, (0.2, 0.5, 0.3), atol=1 / n)
    asked = reconstruct((16,) * 3, model, passes=4, volume_fractions=(0.1, 0.1, 0.8))
    np.testing.assert_allclose(asked.volume_fractions, (0.1, 0.1, 0.8), atol=1 / n)
    raw = reconstruct((16,) * 3, model, passes=4, volume_fractions=None)
    np.testing.assert_allclose(raw.volume_fractions, raw.provenance["raw_volume_fractions"])
    np.testing.assert_allclose(asked.provenance["asked_volume_fractions"], (0.1, 0.1, 0.8))
    assert raw.provenance["asked_volume_fractions"] is None


def test_fractions_by_name():
    model = tiny_model(3, (0.2, 0.5, 0.3))  # of a, b, c
    wanted = requested_fractions((0.3, 0.4, 0.3), model)
    for given in ({"a": 0.3, "b": 0.4, "c": 0.3}, {"b": 0.4, "c": 0.3}, {0: 0.3, "c": 0.3}):
        np.testing.assert_allclose(requested_fractions(given, model), wanted)
    for given, words in (
        ({"fibre": 0.4}, "be a label 0 ... 255 or one of the names 'a', 'b', 'c', got 'fibre'"),
        ({"a": 0.4}, r"give the fractions of a, b, c, or of all but one of them, got \{'a': 0.4\}"),
        ({"a": 0.4, "b": 0.7}, "be 3 non-negative numbers that sum to 1"),
        ({"a": 0.4, "b": 0.3, 7: 0.3}, "give the fractions of a, b, c"),
    ):
        with pytest.raises(ValueError, match=f"`volume_fractions` must {words}"):
            requested_fractions(given, model)


def test_a_cube_of_a_bundled_model_by_name():
    volume = reconstruct(8, "separator", passes=2)
    same = reconstruct((8, 8, 8), m3.load_model("separator"), passes=2)
    assert np.array_equal(volume, same)
    assert volume.provenance["model_name"] == "separator"
    assert "model_name" not in same.provenance


def test_an_unfinished_model_by_its_path_warns_at_the_call(tmp_path):
    model = dataclasses.replace(tiny_model(), details={"unfinished": True, "training": "stopped"})
    model.save(tmp_path)
    with pytest.warns(UserWarning, match="train again to resume") as caught:
        reconstruct(8, tmp_path, passes=2)
    assert [w.filename for w in caught] == [__file__]


@pytest.mark.parametrize(
    ("spread", "requested", "seen"),
    [
        (None, (0.25, 0.45, 0.3), None),
        (None, (0.08, 0.52, 0.4), "0.080 of a, far .* micrographs: 0.200 .of unknown spread"),
        (None, (0.2, 0.35, 0.45), "0.350 of b, far .* micrographs: 0.500 .of unknown spread"),
        ((0.05, 0.05, 0.05), (0.2, 0.36, 0.44), None),
        ((0.01, 0.01, 0.01), (0.22, 0.44, 0.34), "0.440 of b, far .* 0.500 ± 0.010 between crops"),
    ],
)
def test_fractions_far_outside_the_micrographs_warn(spread, requested, seen):
    """More than three standard deviations of the crops, or else .1 or a factor of two."""
    details = {} if spread is None else {"volume_fraction_std": list(spread)}
    model = dataclasses.replace(tiny_model(3, (0.2, 0.5, 0.3)), details=details)
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        reconstruct((8,) * 3, model, passes=2)  # of "auto" there is nothing to warn
        reconstruct((8,) * 3, model, passes=2, volume_fractions=requested)
    assert len(found) == (seen is not None)
    if seen is not None:
        assert re.search(f"`volume_fractions` requests {seen}", str(found[0].message))
        assert found[0].filename == __file__


def test_provenance_and_callback():
    events = []
    volume = reconstruct((16,) * 3, tiny_model(), passes=7, seed=9, callback=events.append)
    p = volume.provenance
    assert p["seed"] == 9
    assert p["passes"] == len(events) == events[-1]["passes"]
    assert [e["pass_index"] for e in events] == list(range(1, len(events) + 1))
    assert p["sampler"] == "fast"
    assert len(p["model"]) == 16


@pytest.mark.parametrize("shape", [(32, 40, 24), (30, 37, 26)], ids=["stride", "no stride"])
def test_periodic_faces_join(separator, shape):
    """Periodic faces are as similar as neighbouring slices inside; open faces are not."""
    volume = m3.reconstruct(shape, separator, periodic=(True, True, False), passes=23, seed=3)
    for axis in (0, 1):
        ratio, noise = face_mismatch(volume.labels, axis)
        assert abs(ratio - 1) < 4 * noise
    ratio, noise = face_mismatch(volume.labels, 2)
    assert ratio > 1 + 4 * noise


def test_many_are_those_of_their_seeds():
    model = tiny_model(3)
    singles = [m3.reconstruct((12, 16, 20), model, passes=5, seed=s).labels for s in (7, 8, 9)]
    events = []
    volumes = m3.reconstruct((12, 16, 20), model, passes=5, seed=7, n=3, callback=events.append)
    assert [v.provenance["seed"] for v in volumes] == [7, 8, 9]
    for volume, labels in zip(volumes, singles, strict=True):
        assert (volume.labels == labels).mean() > 0.999
    assert events[-1]["pass_index"] == events[-1]["passes"] == 15
    windowed = m3.reconstruct((12, 16, 20), model, passes=5, seed=8, window=8).labels
    both = m3.reconstruct((12, 16, 20), model, passes=5, seed=7, window=8, n=2)
    assert (both[1].labels == windowed).mean() > 0.999


def test_volumes_of_many_are_made_on_demand():
    model, events = linear_model(10), []
    volumes = m3.reconstruct_many(
        (16, 16, 16), model, itertools.count(3), batch=2, passes=3, callback=events.append
    )
    assert not events
    first = [next(volumes) for _ in range(2)]
    assert len(events) == 3
    assert [v.provenance["seed"] for v in first] == [3, 4]
    assert first[0].provenance["volumes_at_once"] == 2
    assert next(volumes).provenance["seed"] == 5


def test_volumes_too_large_together_are_refused_as_a_batch(monkeypatch):
    model = tiny_model()
    monkeypatch.setattr(device, "memory_bytes", lambda where: 10 * 16**3 * 20)
    words = r"`batch` must be so small that .* got 12 of \(16, 16, 16\)"
    with pytest.raises(ValueError, match=words):
        next(m3.reconstruct_many((16,) * 3, model, range(12), batch=12, precision="float32"))
    with pytest.raises(ValueError, match="`volume_shape` must fit into the memory of cpu"):
        next(m3.reconstruct_many((48,) * 3, model, range(12), batch=12, precision="float32"))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"volume_shape": (16, 16)}, ValueError, "`volume_shape`"),
        ({"volume_shape": (16, 0, 16)}, ValueError, "`volume_shape`"),
        ({"volume_shape": (10**5,) * 3}, ValueError, "`volume_shape` must fit into the memory"),
        ({"volume_shape": (16.0, 16, 16)}, TypeError, "`volume_shape`"),
        ({"model": 3}, TypeError, "`model` must be a Model, or the path or bundled name of one"),
        ({"model": "seperator"}, FileNotFoundError, "`model` must be .* one of .* separator,"),
        ({"sampler": "slow"}, ValueError, "`sampler`"),
        ({"passes": 0}, ValueError, "`passes`"),
        ({"passes": 10, "sampler": "paper"}, ValueError, "`passes` must be None for sampler"),
        ({"passes": 9999}, ValueError, "`passes` must visit at most the 1000 steps"),
        ({"settings": {}}, TypeError, "`settings` must be a SamplerSettings"),
        ({"harmonize": -1}, ValueError, "`harmonize`"),
        ({"gamma": 1.5}, ValueError, "`gamma`"),
        ({"gamma": float("nan")}, ValueError, "`gamma`"),
        ({"guidance": "high"}, TypeError, "`guidance`"),
        ({"guidance": -1.0}, ValueError, "`guidance` must be a finite number of at least 0"),
        ({"periodic": (True, False)}, ValueError, "`periodic`"),
        ({"seed": -1}, ValueError, "`seed`"),
        ({"seed": 2**64}, ValueError, "`seed`"),
        ({"volume_fractions": "equal"}, ValueError, "`volume_fractions`"),
        ({"volume_fractions": (0.5, 0.6)}, ValueError, "`volume_fractions` must be 2"),
        ({"volume_fractions": (1.5, -0.5)}, ValueError, "`volume_fractions` must be 2"),
        ({"volume_fractions": 0.5}, ValueError, "`volume_fractions` must be 2"),
        ({"device": "gpu"}, ValueError, "`device`"),
        ({"callback": 1}, TypeError, "`callback`"),
        ({"precision": "half"}, ValueError, "`precision`"),
        ({"compile": "yes"}, ValueError, "`compile` must be 'auto', True or False, got 'yes'"),
    ],
)
def test_refusals(change, error, words):
    arguments = {"volume_shape": (16, 16, 16), "model": tiny_model(), "passes": 4, **change}
    with pytest.raises(error, match=words):
        m3.reconstruct(arguments.pop("volume_shape"), arguments.pop("model"), **arguments)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"quality": "best"}, ValueError, "`quality` must be 'draft' or 'standard' or 'high'"),
        ({"quality": "draft", "passes": 9}, ValueError, "`quality` must be None where `passes`"),
        ({"quality": "draft", "sampler": "paper"}, ValueError, "`quality` must be None for sam"),
        ({"window": 0}, ValueError, "`window` must be an integer of at least 1"),
        ({"window": 9}, ValueError, "`window` must be 'auto', None or a multiple of the network"),
        ({"window": "wide"}, ValueError, "`window` must be 'auto'"),
        ({"window": 16.0}, TypeError, "`window`"),
        ({"known": KNOWN[1:]}, ValueError, "`known` must have the shape of the volume"),
        ({"known": KNOWN * 1.0}, TypeError, "`known` must be an array of bool or integers"),
        ({"known": KNOWN // 10}, ValueError, "`known` must hold phases 0 ... 1 and 255 where"),
        ({"known": KNOWN * 0}, ValueError, "`known` must leave room for `volume_fractions`"),
        ({"remove_islands": 1}, TypeError, "`remove_islands` must be 'auto', True or False"),
        ({"remove_islands": "all"}, ValueError, "`remove_islands` must be 'auto', True or"),
        ({"keep_raw": "no"}, TypeError, "`keep_raw` must be True or False"),
        ({"n": 0}, ValueError, "`n` must be an integer of at least 1"),
        ({"n": 2, "seed": 2**64 - 1}, ValueError, "`seed`"),
        ({"n": 2, "callback": 3}, TypeError, "`callback`"),
    ],
)
def test_options_out_of_range_are_refused(change, error, words):
    with pytest.raises(error, match=words):
        m3.reconstruct((16, 16, 16), tiny_model(), **change)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"seeds": 3}, TypeError, "`seeds` must be an iterable of integers, got int"),
        ({"batch": 0}, ValueError, "`batch`"),
        ({"n": 3}, TypeError, "`n` is not an option of reconstruct_many"),
        ({"quality": "best"}, ValueError, "`quality`"),
        ({"callback": "yes"}, TypeError, "`callback`"),
    ],
)
def test_refusals_of_many(change, error, words):
    arguments = {"seeds": range(2), **change}
    with pytest.raises(error, match=words):
        m3.reconstruct_many((16, 16, 16), tiny_model(), arguments.pop("seeds"), **arguments)


def test_a_bad_seed_of_many_is_refused():
    with pytest.raises(ValueError, match="`seeds`"):
        list(m3.reconstruct_many((16, 16, 16), tiny_model(), [-1], passes=3))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_is_refused_where_there_is_none():
    with pytest.raises(ValueError, match="torch finds no CUDA device here"):
        m3.reconstruct((16,) * 3, tiny_model(), device="cuda")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_network_is_the_same_network():
    model = tiny_model()
    arguments = {"passes": 3, "precision": "float32", "keep_raw": True}
    a = reconstruct((16, 16, 16), model, **arguments)
    b = reconstruct((16, 16, 16), model, compile=True, **arguments)
    assert b.provenance["compiled"]
    assert (a.fields["raw_labels"] == b.fields["raw_labels"]).mean() > 0.99


def test_compiling_without_a_compiler_is_refused(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="where a C"):
        reconstruct((16, 16, 16), tiny_model(), passes=3, compile=True, device="cpu")
