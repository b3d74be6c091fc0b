# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Hard data: known voxels are returned, have the right noise, and change their neighbours."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import micro3d_fast as m3
from _toy import field_and_network, linear_model, tiny_model
from micro3d_fast.diffusion import field as field_module
from micro3d_fast.diffusion.labelling import (
    UNKNOWN,
)


@pytest.fixture(scope="module")
def separator():
    return m3.load_model("separator")


def test_the_buffers_of_known_voxels_count_as_memory(monkeypatch):
    model = tiny_model()
    known = np.full((16, 16, 16), UNKNOWN, dtype=np.uint8)
    known[2, 3, 4] = known[9, 15, 8] = 1
    part = field_module._known_part(known, (range(16),) * 3)
    assert part == (range(2, 10), range(3, 16), range(4, 9))
    asked = []
    monkeypatch.setattr(field_module, "_refuse_memory", lambda need, *rest: asked.append(need))
    for k in (None, known):
        field_and_network(model, (16,) * 3, known=k)
    assert asked[1] - asked[0] == 8 * 13 * 5 * 13


@pytest.mark.parametrize("phases", [2, 3])
def test_known_voxels_come_back_and_fractions_are_exact(phases, rng):
    model = tiny_model(phases)
    known = np.full((12, 17, 20), UNKNOWN, dtype=np.uint8)
    known[:, 5] = rng.integers(0, phases, (12, 20))
    known[rng.random(known.shape) < 0.02] = 1
    volume = m3.reconstruct(
        known.shape, model, passes=5, known=known, remove_islands=True, keep_raw=True
    )
    given = known != UNKNOWN
    assert (volume.labels == known)[given].all()
    assert (volume.fields["raw_labels"] == known)[given].all()
    counts = np.bincount(volume.labels.ravel(), minlength=phases)
    np.testing.assert_allclose(counts / known.size, model.volume_fractions, atol=1 / known.size)
    assert volume.provenance["known"]["voxels"] == given.sum()


def test_nothing_known_is_no_hard_data():
    model, nothing = tiny_model(), np.full((12, 12, 12), UNKNOWN)
    a, b = (m3.reconstruct((12,) * 3, model, passes=4, known=k) for k in (None, nothing))
    assert (a.labels == b.labels).all()
    assert b.provenance["known"] is None


def test_known_voxels_have_the_noise_of_their_step():
    """The law of Eq. 3 at the known voxels, whichever box they lie in; others are left alone."""
    model = linear_model(40)
    known = np.full((40, 40, 40), UNKNOWN, dtype=np.uint8)
    known[3:37, 5, 2:] = 1
    fields = []
    for k in (known, None):
        field, _ = field_and_network(model, (40,) * 3, known=k)
        field.start("xy", 30, True)
        fields.append(field.result()[0])
    given, bar = known != UNKNOWN, model.schedule.alpha_bar[30]
    z = (fields[0][given] - bar**0.5) / (1 - bar) ** 0.5
    assert abs(z.mean()) < 4 / given.sum() ** 0.5
    assert abs(z.std() - 1) < 4 / (2 * given.sum()) ** 0.5
    assert (fields[0] == fields[1])[~given].all()
    assert abs(np.corrcoef(fields[0][given], fields[1][given])[0, 1]) < 0.12


def test_neighbours_agree_with_a_known_slice(separator):
    """They resemble it as neighbouring slices of a free volume do, which it does not resemble."""

    def alike(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    truth = m3.synthetic.separator((1, 32, 32), seed=9).labels[0]
    known = np.full((32, 32, 32), UNKNOWN, dtype=np.uint8)
    known[16] = truth
    volume = m3.reconstruct((32,) * 3, separator, known=known, seed=1).labels
    free = m3.reconstruct((32,) * 3, separator, seed=1).labels
    usual = np.mean([alike(a, b) for a, b in itertools.pairwise(free)])
    beside = (alike(volume[15], truth) + alike(volume[17], truth)) / 2
    assert (volume[16] == truth).all()
    assert beside > 0.6 * usual
    assert beside > 0.3 + abs(np.mean([alike(image, truth) for image in free]))
