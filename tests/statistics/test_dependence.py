# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Dependence between the images of a stack, against stacks of a known correlation."""

import numpy as np
import pytest

from micro3d_fast import synthetic
from micro3d_fast.statistics._dependence import (
    independent_images,
    pair_correlations,
    pixel_correlations,
    stack_correlations,
)


def chain(n, keep, shape=(96, 80), shares=(0.5, 0.3, 0.2), seed=0):
    """Images that keep each pixel of the one before with probability ``keep``, else draw it."""
    rng = np.random.default_rng(seed)
    images = [rng.choice(len(shares), size=shape, p=shares).astype(np.uint8)]
    for _ in range(n - 1):
        fresh = rng.choice(len(shares), size=shape, p=shares).astype(np.uint8)
        images.append(np.where(rng.random(shape) < keep, images[-1], fresh))
    return images


@pytest.mark.parametrize("shares", [(0.7, 0.3), (0.5, 0.3, 0.2), (0.0, 0.6, 0.0, 0.4)])
def test_correlation_over_distance_is_that_of_the_chain(shares):
    got = pixel_correlations(chain(60, 0.8, shares=shares))
    assert got[0] == pytest.approx(1, abs=1e-5)  # single precision
    np.testing.assert_allclose(got[:6], 0.8 ** np.arange(6), atol=0.02)


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_independent_images_of_a_chain(keep):
    n = 80
    k = np.arange(1, n)
    want = n**2 / (n + 2 * np.sum((n - k) * keep**k))
    assert independent_images(chain(n, keep)) == pytest.approx(want, rel=0.05)


def test_equal_images_are_one():
    (image,) = chain(1, 0.0)
    assert independent_images([image] * 7) == pytest.approx(1, abs=1e-5)
    assert independent_images([image]) == 1
    # one phase: nothing is known of the dependence
    assert independent_images([np.zeros((8, 8), np.uint8)] * 3) == 3


def test_noise_is_the_scatter_of_independent_pairs():
    images = [
        synthetic.level_cut((1, 128, 96), (0.6, 0.4), 4.0, seed=s).labels[0] for s in range(60)
    ]
    pairs = pair_correlations(images)
    scatter = np.std(pairs.matrix[np.triu_indices(60, 1)])
    assert pairs.noise == pytest.approx(scatter, rel=0.05)
    assert independent_images(images) > 55


def test_images_of_other_sizes():
    images = chain(20, 0.9, shape=(96, 80))
    want = pixel_correlations(images)
    cropped = [i[: 96 - k % 5, : 80 - k % 3] for k, i in enumerate(images)]
    np.testing.assert_allclose(pixel_correlations(cropped)[:4], want[:4], atol=0.02)
    # a scrap is left out, and the images beside it keep their distance
    scrap = [*images[:10], images[10][:9, :9], *images[11:]]
    np.testing.assert_allclose(pixel_correlations(scrap)[:4], want[:4], atol=0.02)
    assert independent_images(scrap) == pytest.approx(independent_images(images), rel=0.1)


@pytest.mark.parametrize("shares", [(0.7, 0.3), (0.5, 0.3, 0.2), (1.0,)])
def test_correlations_by_transforms_are_those_of_all_pairs(shares):
    images = chain(25, 0.8, shares=shares)
    images[7] = images[7][:20]  # left out
    pairs, stack = pair_correlations(images), stack_correlations(images)
    np.testing.assert_allclose(stack.by_distance(), pairs.by_distance(), atol=1e-5)
    np.testing.assert_array_equal(stack.used, pairs.used)
    assert stack.noise == pytest.approx(pairs.noise, nan_ok=True)
    assert stack.independent() == pytest.approx(pairs.independent(), rel=1e-5)
