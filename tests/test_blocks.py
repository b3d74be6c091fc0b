# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Blocks of a reference: their places, and the weight that each voxel has in them."""

import numpy as np
import pytest

from micro3d_fast._blocks import even_windows


@pytest.mark.parametrize(
    ("n", "size", "starts"),
    [
        (64, 64, [0]),
        (63, 64, []),
        (95, 64, [15]),  # in the middle
        (96, 64, [0, 32]),
        (100, 64, [0, 36]),
        (128, 64, [0, 64]),
        (150, 64, [0, 86]),
        (200, 64, [0, 68, 136]),
        (3, 1, [0, 1, 2]),
    ],
)
def test_places_along_an_axis(n, size, starts):
    assert [w.start for (w,) in even_windows((n,), (size,))] == starts
    assert all(w.stop - w.start == size for (w,) in even_windows((n,), (size,)))


@pytest.mark.parametrize("n", range(24, 90, 3))
def test_no_place_is_left_out_widely_or_counts_more_than_twice(n):
    weight = np.zeros(n, int)
    for (window,) in even_windows((n,), (16,)):
        weight[window] += 1
    assert weight.max() <= 2
    assert weight[0] == weight[-1] == 1
    gaps = np.diff(np.flatnonzero(weight)) - 1
    assert gaps.max() <= 8


def test_windows_of_a_volume_are_those_of_its_axes():
    found = even_windows((10, 6, 4), (4, 3, 4))
    assert len(found) == 3 * 2 * 1
    assert [w.start for w in found[0]] == [0, 0, 0]
    assert [w.start for w in found[-1]] == [6, 3, 0]


def test_mean_of_blocks_is_near_that_of_the_whole():
    """A denser border: blocks at random places would see the middle most."""
    truth = np.full((25, 25, 25), 0.3)
    truth[5:20, 5:20, 5:20] = 0.1
    blocks = [truth[w] for w in even_windows(truth.shape, (16, 16, 16))]
    random = [
        truth[z : z + 16, y : y + 16, x : x + 16].mean() for z, y, x in np.ndindex(10, 10, 10)
    ]
    even, middle = (abs(np.mean(b) - truth.mean()) for b in (blocks, random))
    assert len(blocks) == 8
    assert even < 0.5 * middle
