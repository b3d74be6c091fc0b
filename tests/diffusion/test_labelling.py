# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Labels of the final field: matched fractions, islands, faces."""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.calibration._surface import island_rates
from micro3d_fast.diffusion import (
    labelling,
)
from micro3d_fast.diffusion.labelling import (
    UNKNOWN,
    face_mismatch,
    final_labels,
    islands,
    labels_of,
    match_fractions,
    smoothed,
    smoothing_widths,
    unlike_neighbours,
)

OPEN = (False,) * 3


@pytest.mark.parametrize("phases", [2, 3, 4])
def test_matched_fractions_are_exact(phases, rng):
    x = rng.standard_normal((1 if phases == 2 else phases, 11, 13, 7)).astype(np.float32)
    x[0] += 0.7
    fractions = rng.dirichlet(np.ones(phases))
    labels = match_fractions(x, fractions)
    counts = np.bincount(labels.ravel(), minlength=phases)
    assert np.abs(counts - fractions * labels.size).max() < 1
    assert labels.shape == (11, 13, 7)


@pytest.mark.parametrize("fractions", [(1.0, 0.0), (0.0, 1.0), (0.25, 0.75)])
def test_matched_fractions_two_phases_take_the_largest(fractions, rng):
    x = rng.standard_normal((1, 6, 6, 6)).astype(np.float32)
    labels = match_fractions(x, np.array(fractions))
    assert labels.mean() == fractions[1]
    if 0 < fractions[1] < 1:
        assert x[0][labels == 1].min() > x[0][labels == 0].max()


def test_matched_fractions_of_ties_and_absent_phases():
    x = np.zeros((3, 4, 4, 4), dtype=np.float32)
    labels = match_fractions(x, np.array([0.5, 0.0, 0.5]))
    assert np.bincount(labels.ravel(), minlength=3).tolist() == [32, 0, 32]


def test_matching_moves_surfaces_and_scatters_no_voxels(rng):
    """A saturated field whose fraction is off by a fifth: what changes is close to the phase."""
    from scipy.ndimage import binary_dilation

    x = np.full((1, 20, 20, 20), -1.0, dtype=np.float32)
    x[0, :, :10] = 1
    x += 0.05 * rng.standard_normal(x.shape).astype(np.float32)
    labels = match_fractions(smoothed(x, (False,) * 3, (2, 2, 2)), np.array([0.4, 0.6]))
    assert labels.mean() == 0.6
    changed = labels.astype(bool) & (x[0] < 0)
    near = binary_dilation(x[0] > 0, iterations=3)
    assert changed.sum() == 800
    assert not (changed & ~near).any()


def test_widths_follow_the_lengths_of_the_phases(rng):
    """Fibres along z, whose fraction is off: matching it leaves them straight."""
    from scipy.ndimage import gaussian_filter

    shape = (32, 32, 32)
    noise = gaussian_filter(rng.standard_normal(shape), (12, 1.5, 1.5), mode="wrap")
    x = np.sign(noise / noise.std() + 0.02 * rng.standard_normal(shape))[None].astype(np.float32)
    x *= 1 + 0.02 * rng.standard_normal(x.shape)
    raw = labels_of(x, 2)
    z, y, x_width = widths = smoothing_widths(raw)
    assert z > 5
    assert max(y, x_width) < 1.6
    target = np.array([0.5, 0.5]) + np.array([-0.02, 0.02]) + (raw.mean() - 0.5) * np.array([-1, 1])
    along, equal = (
        unlike_neighbours([(match_fractions(smoothed(x, OPEN, w), target), range(3))])[0]
        for w in (widths, (2, 2, 2))
    )
    assert along < 0.8 * equal
    assert smoothing_widths(raw * 0) == (2, 2, 2)
    assert smoothing_widths(np.zeros((1, 4, 4), np.uint8)) == (2, 2, 2)
    layers = np.indices((8, 8, 8))[0].astype(np.uint8) // 4
    assert smoothing_widths(layers) == (0.5, 8, 8)


def test_matching_keeps_the_arg_max_where_fractions_are_right(rng):
    x = rng.standard_normal((3, 12, 12, 12)).astype(np.float32)
    raw = x.argmax(axis=0)
    fractions = np.bincount(raw.ravel(), minlength=3) / raw.size
    assert (match_fractions(x, fractions) == raw).mean() > 0.995


def test_matching_over_the_rest(rng):
    x = rng.standard_normal((3, 6, 6, 6)).astype(np.float32)
    known = np.full((6, 6, 6), UNKNOWN, dtype=np.uint8)
    known[0] = 2
    labels = match_fractions(x, np.array([0.5, 0.3, 0.2]), known)
    assert (labels[0] == 2).all()
    assert np.bincount(labels.ravel()).tolist() == [108, 65, 43]
    with pytest.raises(ValueError, match="`known` must hold no more voxels"):
        match_fractions(x, np.array([0.5, 0.45, 0.05]), known)


@pytest.mark.parametrize(
    "target", [(0.5, 0.3, 0.2), (0.02, 0.0, 0.98), (0.0002, 0.4998, 0.5)], ids=str
)
def test_weights_of_a_large_field_come_from_a_part_of_it(target, rng, monkeypatch):
    """Exact fractions, and the labels that the whole field gives but for a few voxels."""
    from scipy.ndimage import gaussian_filter

    x = rng.standard_normal((3, 32, 32, 32))
    x = np.stack([np.tanh(20 * gaussian_filter(c, 2.0)) for c in x]).astype(np.float32)
    target = np.array(target)
    whole = match_fractions(x, target)
    monkeypatch.setattr(labelling, "_SAMPLE", 2**12)
    part = match_fractions(x, target)
    counts = np.bincount(part.ravel(), minlength=3)
    assert counts.tolist() == labelling.whole_counts(target, part.size).tolist()
    assert (part == whole).mean() > 0.99
    assert (part == match_fractions(x, target)).all()
    assert part.dtype == np.uint8
    gain = np.take_along_axis(x, part[None].astype(np.int64), 0).sum(dtype=np.float64)
    best = np.take_along_axis(x, whole[None].astype(np.int64), 0).sum(dtype=np.float64)
    assert gain > best - 1e-3 * part.size
    ties = match_fractions(np.zeros_like(x), target)
    assert np.bincount(ties.ravel(), minlength=3).tolist() == counts.tolist()


def test_islands_are_voxels_alone():
    labels = np.zeros((5, 5, 5), dtype=np.uint8)
    labels[2, 2, 2] = labels[0, 2, 2] = 1
    assert np.argwhere(islands(labels, OPEN)).tolist() == [[2, 2, 2]]
    assert islands(labels, (True, False, False)).sum() == 2
    labels[2, 2, 3] = 1
    assert not islands(labels, OPEN).any()
    flat = np.zeros((1, 5, 5), dtype=np.uint8)
    flat[0, 2, 2] = 2
    assert islands(flat, OPEN).sum() == 1


@pytest.mark.parametrize("phases", [2, 3])
def test_islands_are_left_as_often_as_in_the_micrographs(phases, rng):
    shape = (40, 40, 40)
    labels = np.repeat(np.arange(phases, dtype=np.uint8), 40 // phases + 1)[:40]
    labels = np.tile(labels, (40, 40, 1))
    speckled = labels.copy()
    sown = rng.random(shape) < 0.004
    speckled[sown] = (speckled[sown] + 1) % phases

    def rates_of(volume):
        return island_rates(m3.Micrographs.from_volume(volume, images_per_plane=40, seed=0))

    rates = rates_of(speckled)
    assert np.shape(rates) == (3, phases)
    assert np.sum(rates[0]) == pytest.approx(0.004, rel=0.3)
    few = tuple(tuple(rate / 4 for rate in row) for row in rates)
    found = {}
    for name, asked in {"few": few, "all": rates, "none": ((0.0,) * phases,) * 3}.items():
        final, removed = final_labels(
            speckled, None, phases, None, periodic=OPEN, remove_islands=asked
        )
        found[name] = np.sum(rates_of(final), axis=1)
        assert (removed == 0) == (name == "all")
    np.testing.assert_allclose(found["few"], np.sum(few, axis=1), rtol=0.35)
    np.testing.assert_array_equal(found["all"], np.sum(rates, axis=1))
    assert not found["none"].any()


def test_an_island_goes_to_another_phase_where_its_own_ties():
    """A wire between two phases has as many neighbours of each, its own along it."""
    labels = np.full((5, 5, 5), 1, np.uint8)
    labels[:, :, :2] = 2
    labels[:, 2, 2] = 0
    labels[:, 1, 2] = 2
    final, removed = final_labels(
        labels, None, 3, None, periodic=OPEN, remove_islands=((0.0,) * 3,) * 3
    )
    assert removed == 5
    assert (final[:, 2, 2] == 1).all()
    assert (final != labels).sum() == 5


@pytest.mark.parametrize("shape", [(1, 40, 40), (40, 1, 40), (40, 40, 1), (1, 1, 40), (1, 40, 1)])
def test_a_row_of_voxels_has_no_islands(shape, rng):
    """A slice of one row shows no islands of the plane: its wisps are cuts through layers."""
    labels = (rng.random(shape) < 0.5).astype(np.uint8)
    some = ((0.02,) * 2,) * 3
    final, removed = final_labels(labels, None, 2, None, periodic=OPEN, remove_islands=some)
    two_axes = sum(n > 1 for n in shape) == 2
    assert 0 < removed < 0.05 * labels.size if two_axes else removed == 0
    assert (final != labels).sum() == removed


@pytest.mark.parametrize("phases", [2, 3])
def test_without_islands_fractions_stay_exact(phases, rng):
    from scipy.ndimage import gaussian_filter

    x = rng.standard_normal((1 if phases == 2 else phases, 24, 24, 24)).astype(np.float32)
    x = np.stack([3 * gaussian_filter(c, 2.0) for c in x])
    sown = rng.random(x.shape[1:]) < 0.01
    x[0][sown] *= -8
    target = np.array([0.6, 0.4] if phases == 2 else [0.5, 0.3, 0.2])
    given = labels_of(x, phases), smoothed(x, OPEN, (2, 2, 2)), phases
    with_them, none = final_labels(*given, target, periodic=OPEN)
    labels, removed = final_labels(*given, target, periodic=OPEN, remove_islands=True)
    assert none == 0
    assert removed >= islands(with_them, OPEN).sum() > 0
    assert not islands(labels, OPEN).any()
    counts = np.bincount(labels.ravel(), minlength=phases)
    assert np.abs(counts - target * labels.size).max() < 1
    raw, removed = final_labels(given[0], None, phases, None, periodic=OPEN, remove_islands=True)
    assert removed > 0
    assert not islands(raw, OPEN).any()


def test_face_mismatch_of_known_volumes():
    ramp = np.zeros((8, 4, 6), dtype=np.uint8)
    ramp[:, :2] = 1  # two slabs: the faces of y differ, inside one pair of three does
    assert face_mismatch(ramp, "y") == face_mismatch(ramp, 1)
    assert face_mismatch(ramp, 1)[0] == pytest.approx(3)
    assert np.isnan(face_mismatch(ramp, "z")).all()
    with pytest.raises(ValueError, match="`axis` must be"):
        face_mismatch(ramp, "w")
    with pytest.raises(ValueError, match="at least 3 voxels along 'x'"):
        face_mismatch(ramp[:, :, :2], "x")
