# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Scatter of phase fractions, of materials whose covariance is known, and of real blocks."""

from __future__ import annotations

import functools
import itertools
import json
import math

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import synthetic
from micro3d_fast._planes import IMAGE_AXES, PLANES
from micro3d_fast.statistics import FractionScatter, fraction_scatter

P2, P3 = (0.7, 0.3), (0.55, 0.35, 0.1)


def cells(rng, shape, cell, shares):
    """An image of random cells (rows, columns) at a random offset."""
    counts = [n // c + 2 for n, c in zip(shape, cell, strict=True)]
    image = rng.choice(len(shares), size=counts, p=shares).astype(np.uint8)
    for axis, (n, c) in enumerate(zip(shape, cell, strict=True)):
        start = rng.integers(c)
        image = np.repeat(image, c, axis=axis).take(range(start, start + n), axis=axis)
    return image


def cell_images(n, side, cell, shares, seed=0):
    """Independent images of the three planes of a material of random cells (z, y, x)."""
    rng = np.random.default_rng(seed)
    return {
        plane: [cells(rng, (side, side), [cell[a] for a in axes], shares) for _ in range(n)]
        for plane, axes in IMAGE_AXES.items()
    }


@functools.cache
def law_of_cells(cell, shares):
    return fraction_scatter(cell_images(60, 96, cell, shares))


def of_cells(shape, cell, shares):
    """The covariance: cells at a random offset overlap with probability (1 - r / c)+."""
    p, factor = np.array(shares), 1.0
    for length, c in zip(shape, cell, strict=True):
        r = np.arange(1, min(c, length))
        factor *= (1 + 2 * np.sum((1 - r / length) * (1 - r / c))) / length
    return (np.diag(p) - np.outer(p, p)) * factor


@pytest.mark.parametrize("shares", [P2, P3])
@pytest.mark.parametrize("cell", [(1, 1, 1), (3, 4, 6)])
@pytest.mark.parametrize("shape", [(16, 16, 16), (8, 32, 12), (1, 16, 20), (128, 16, 16)], ids=str)
def test_covariance_of_random_cells(shares, cell, shape):
    """Of single voxels it is (diag(p) - p p') / V; the fourth shape is larger than the images."""
    found = law_of_cells(cell, shares).covariance(shape)
    want = of_cells(shape, cell, shares)
    scale = np.sqrt(np.outer(np.diag(want), np.diag(want)))
    np.testing.assert_allclose(found / scale, want / scale, atol=0.17)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-12)
    assert np.linalg.eigvalsh(found).min() > -1e-15


def test_one_image_per_plane():
    """The mean of few images is no mean of the material: the variance is not underestimated."""
    shape, cell = (12, 12, 12), (6, 6, 6)
    found = [
        fraction_scatter(cell_images(1, 48, cell, P2, seed)).covariance(shape)[0, 0]
        for seed in range(40)
    ]
    want = of_cells(shape, cell, P2)[0, 0]
    assert np.mean(found) == pytest.approx(want, rel=0.2)


def test_images_that_differ_as_a_whole():
    """The scatter between images counts: half of the pixels of an image share one phase."""
    rng = np.random.default_rng(1)
    planes = {}
    for plane in PLANES:
        base = rng.random((60, 1, 1)) < 0.3
        own = rng.random((60, 64, 64)) < 0.3
        planes[plane] = list(np.where(rng.random((60, 64, 64)) < 0.5, base, own).astype(np.uint8))
    law = fraction_scatter(planes)
    # a slice of 64 x 64 pixels has the variance of its base, at half weight
    assert law.std((1, 64, 64))[0] == pytest.approx((0.21 / 4) ** 0.5, rel=0.15)


def test_isotropic_covariance():
    """Overlapping spheres: the sum of the known covariance over all lags in the box."""
    radius, fraction, n = 5.0, 0.3, 24
    lags = np.arange(1 - n, n)
    z, y, x = np.meshgrid(lags, lags, lags, indexing="ij", sparse=True)
    distance = np.sqrt(z**2 + y**2 + x**2)
    covariance = synthetic.overlapping_spheres_two_point(fraction, radius, distance) - fraction**2
    overlap = math.prod(1 - np.abs(lag) / n for lag in (z, y, x))
    want = math.sqrt(np.sum(covariance * overlap) / n**3)
    volume = synthetic.overlapping_spheres((144, 144, 144), fraction, radius, seed=2)
    law = fraction_scatter(m3.Micrographs.from_volume(volume, seed=0))
    np.testing.assert_allclose(law.std((n, n, n)), want, rtol=0.15)


@pytest.mark.parametrize("name", ["separator_pp", "sand_pack", "trabecular_bone56"])
@pytest.mark.parametrize("side", [32, 64])
def test_real_blocks(shared_data, name, side):
    """Within a factor of 1.5 of the standard deviation of disjoint blocks of a tomogram."""
    with np.load(shared_data / f"{name}.npz") as file:
        labels = file["labels"]
    counts = [n // side for n in labels.shape]
    pore = labels[tuple(slice(n * side) for n in counts)] == 0
    sides = [k for n in counts for k in (n, side)]
    blocks = pore.reshape(sides).mean(axis=(1, 3, 5)).ravel()
    if blocks.size < 8:
        pytest.skip("too few blocks")
    law = fraction_scatter(m3.Micrographs.from_volume(labels, seed=1))
    assert 1 / 1.5 < law.std((side,) * 3)[0] / np.std(blocks, ddof=1) < 1.5


def test_relative_error():
    """Of N independent sections in each plane it is 1 / sqrt(N)."""
    law = fraction_scatter(cell_images(10, 64, (1, 1, 1), P2))
    assert law.relative_error((32, 32, 32)) == pytest.approx(1 / math.sqrt(40), rel=0.1)
    mean = (1 / 5 + 1 / 10 + 1 / 20) / 3  # sections of 64 x 128, 32 x 128 and 32 x 64
    assert law.relative_error((32, 64, 128)) == pytest.approx(math.sqrt(mean), rel=0.1)


def test_record_keeps_the_law():
    law = fraction_scatter(cell_images(5, 40, (2, 3, 2), P3))
    again = FractionScatter.from_record(json.loads(json.dumps(law.to_record())), 3)
    for shape in itertools.product((1, 24, 100), repeat=3):
        np.testing.assert_allclose(again.covariance(shape), law.covariance(shape), rtol=1e-3)
    assert "64 x 64 x 64" in repr(law)
    assert again == FractionScatter.from_record(again.to_record(), 3)


def test_phase_that_is_absent_from_a_plane():
    images = cell_images(8, 32, (2, 2, 2), P3)
    images["xy"] = [np.minimum(image, 1) for image in images["xy"]]
    assert np.isfinite(fraction_scatter(images).std((16, 16, 16))).all()


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (np.zeros((4, 4, 4), np.uint8), "`images` must be Micrographs or a mapping"),
        ({"xy": [np.zeros((8, 8), np.uint8)]}, "got no images of 'xz', 'yz': Micrographs.load"),
        ({p: np.zeros((2, 8, 8)) for p in PLANES}, "`images` must"),
    ],
)
def test_refusals(images, words):
    with pytest.raises((TypeError, ValueError), match=words):
        fraction_scatter(images)
