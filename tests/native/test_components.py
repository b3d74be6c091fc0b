# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""connected_components against scipy on every backend, and the cells that reach both plates."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import ndimage

import micro3d_fast as m3
from micro3d_fast import ops
from micro3d_fast.homogenization import connectivity

SHAPES = [(1, 1, 1), (1, 1, 70), (65, 1, 3), (2, 40, 1), (9, 13, 17), (33, 18, 20)]
DENSITIES = [0.0, 0.2, 0.3116, 0.5, 0.6884, 0.95, 1.0]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def spiral(n):
    """A path one voxel wide through all of a square, wound around its centre."""
    image = np.zeros((n, n), dtype=np.uint8)
    y, x, dy, dx = 0, -1, 0, 1
    for length in [n, *itertools.chain(*((k, k) for k in range(n - 1, 0, -2)))]:
        for _ in range(length):
            y, x = y + dy, x + dx
            image[y, x] = 1
        dy, dx = dx, -dy
    return image


def reference(mask, periodic):
    """The first voxel of every component: those of scipy, joined over the faces until all agree."""
    clusters, count = ndimage.label(mask)
    first = np.full(count + 1, mask.size)
    np.minimum.at(first, clusters.reshape(-1), np.arange(mask.size))
    first[0] = -1
    while True:
        before = first.copy()
        for axis in np.flatnonzero(periodic):
            a, b = (np.take(clusters, end, axis) for end in (0, -1))
            both = (a > 0) & (b > 0)
            least = np.minimum(first[a[both]], first[b[both]])
            np.minimum.at(first, a[both], least)
            np.minimum.at(first, b[both], least)
        if np.array_equal(first, before):
            return first[clusters]


def check(mask, periodic, device):
    mask = np.ascontiguousarray(mask)
    given = mask
    if device == "cuda":
        given = pytest.importorskip("torch").tensor(mask, device=device)
    got = ops.connected_components(given, periodic=periodic)
    got = got if device == "cpu" else got.cpu().numpy()
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, reference(mask, periodic))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", SHAPES)
def test_random_masks(shape, device, rng):
    for density in DENSITIES:
        mask = rng.random(shape) < density
        for periodic in ((False,) * 3, (True,) * 3, (False, True, False)):
            check(mask, periodic, device)


@pytest.mark.parametrize("device", DEVICES)
def test_spirals(device):
    image = spiral(23)
    for shape in ((1, 23, 23), (23, 1, 23), (23, 23, 1)):
        check(image.reshape(shape), (False,) * 3, device)
        check(1 - image[::-1, ::-1].reshape(shape), (True,) * 3, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("sides", list(itertools.product((False, True), repeat=2)))
def test_cells_between_the_plates(device, sides, rng):
    torch = pytest.importorskip("torch")
    for shape, density in itertools.product(SHAPES, DENSITIES):
        mask = rng.random(shape) < density
        got = connectivity.percolating(torch.tensor(mask, device=device), sides)
        assert got.dtype == torch.bool
        np.testing.assert_array_equal(got.cpu().numpy(), connectivity.percolating(mask, sides))


@pytest.mark.cuda
@pytest.mark.parametrize("axis", "zyx")
@pytest.mark.parametrize("preconditioner", ["multigrid", "transforms"])
def test_relative_diffusivity_is_that_of_the_cpu(axis, preconditioner, rng):
    labels = ndimage.gaussian_filter(rng.random((14, 17, 12)), 1.0)
    labels = np.digitize(labels, np.quantile(labels, [0.4, 0.7])).astype(np.uint8)
    keys = {"axis": axis, "conductivities": [1.0, 3.0], "preconditioner": preconditioner}
    keys |= {"flux": True, "tol": 1e-7}
    got = m3.relative_diffusivity(labels, [1, 2], device="cuda", **keys)
    want = m3.relative_diffusivity(labels, [1, 2], device="cpu", **keys)
    assert got.relative == pytest.approx(want.relative, rel=1e-9)
    assert got.percolating_fraction == want.percolating_fraction
    np.testing.assert_allclose(got.concentration, want.concentration, atol=1e-5)
    np.testing.assert_allclose(got.flux, want.flux, atol=1e-4)


def test_refusals():
    with pytest.raises(ValueError, match="contiguous"):
        ops.connected_components(np.ones((4, 4, 4), np.uint8)[:, ::2])
    with pytest.raises(TypeError, match="mask"):
        ops.connected_components(np.ones((4, 4, 4), np.float32))
