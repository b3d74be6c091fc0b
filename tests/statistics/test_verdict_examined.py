# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The verdict where only some images or slices are examined, and where sides have other planes."""

import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

import micro3d_fast as m3
from micro3d_fast.statistics import _deviation_law
from micro3d_fast.statistics._samples import VolumeSample


def smooth(rng, shape):
    return (gaussian_filter(rng.standard_normal(shape), 1.2, mode="wrap") > 0).astype(np.uint8)


def verdict(generated, reference):
    return m3.compare(generated, reference, splits=1, bootstrap=1).verdict


def test_real_images_of_which_few_are_examined_are_seldom_called_different(rng, monkeypatch):
    """With the variance of the mean of all images eight of ten were."""
    monkeypatch.setattr(_deviation_law, "EXAMINED_PIXELS", 8 * 48 * 48)  # of 64 images
    found = [
        verdict(*({"xy": [smooth(rng, (48, 48)) for _ in range(64)]} for _ in range(2)))
        for _ in range(6)
    ]
    assert sum(v.outcome == "different" for v in found) <= 2


def test_the_slices_of_a_flat_slab_are_examined_by_their_own_area():
    slab = [(4, 1024, 1024)]
    assert _deviation_law._slices_seen(slab, 1) == 1024
    assert _deviation_law._slices_seen([(1024, 1024, 1024)] * 2, 0) == 2


@pytest.mark.parametrize(("runs", "spacing"), [([40, 7, 1, 40], 1.0), ([30], 0.3), ([9], 1e9)])
def test_pairs_of_slices_are_counted_by_their_distance(runs, spacing):
    stack = _deviation_law.Stack.at([], runs, spacing, {})
    positions = np.concatenate([1e12 * k + spacing * np.arange(n) for k, n in enumerate(runs)])
    pairs = np.abs(positions[:, None] - positions)
    distances, weights = np.unique(pairs[pairs < 1e10].round(9), return_counts=True)
    np.testing.assert_allclose(stack.distances[: len(distances)], distances, rtol=1e-12)
    assert stack.weights[: len(distances)].tolist() == weights.tolist()
    assert stack.weights.sum() == pairs.size == stack.count**2


def test_pairs_of_the_slices_of_many_volumes_take_little_memory():
    """Of 2560 slices, whose pairs one by one take 118 MB."""
    sample = VolumeSample((np.zeros((64, 4, 4), np.uint8),) * 40)
    tracemalloc.start()
    try:
        stack = _deviation_law._stack(sample, "xy")
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert stack.weights.sum() == 2560**2
    assert taken < 5e6


@pytest.mark.parametrize("shape", [(64, 10), (64, 32), (10, 64), (3, 64)])
def test_a_plane_of_one_side_alone_may_have_a_short_side(rng, shape):
    """No lag is longer than its rows: that divided by zero."""
    images = [[rng.integers(2, size=(64, 64), dtype=np.uint8) for _ in range(8)] for _ in range(2)]
    short = [rng.integers(2, size=shape, dtype=np.uint8) for _ in range(8)]
    for sides in (
        ({"xy": images[0]}, {"xy": images[1], "xz": short}),
        ({"xy": images[0], "xz": short}, {"xy": images[1]}),
    ):
        found = verdict(*sides)
        assert np.isfinite([d.ratio for d in found.deviations]).all()
        assert found.p_value > 0.001


@pytest.mark.filterwarnings("ignore:`generated` has voxels")
def test_a_volume_thinner_than_a_voxel_of_the_reference(rng):
    def volume(shape, voxel_size):
        labels = rng.integers(2, size=shape, dtype=np.uint8)
        return m3.Microstructure(labels, voxel_size=voxel_size)

    found = verdict(volume((3, 32, 32), 0.25e-6), volume((32, 32, 32), 2e-6))
    assert found.outcome == "undecided"
