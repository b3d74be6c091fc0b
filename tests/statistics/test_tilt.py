# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Tilt: S2 along one diagonal less that along the other, and what the verdict makes of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import micro3d_fast as m3
from _tilted import tilted
from micro3d_fast.statistics.tilt import tilt_lags, tilt_map


def test_map_is_its_definition():
    image = np.random.default_rng(0).integers(0, 3, (2, 9, 11)).astype(np.uint8)
    lags = (1, 2)
    got = tilt_map(image, (0, 2), lags)
    assert got.shape == (2, 2, 7, 9)
    for p, n, y, x in itertools.product(range(2), range(2), range(7), range(9)):
        inside = image[n] == (0, 2)[p]
        sums = [
            int(inside[y, x] and inside[y + k, x + m]) - int(inside[y, x + m] and inside[y + k, x])
            for k in lags
            for m in lags
        ]
        assert got[p, n, y, x] == np.mean(sums)


def test_stripes_along_a_diagonal():
    """Of stripes of width 4, (x + y) mod 8 < 4, S2(k, l) is |1/2 - (k + l mod 8) / 8|."""
    y, x = np.mgrid[:34, :34]
    image = ((x + y) % 8 < 4).astype(np.uint8)
    lags = (1, 2)

    def s2(lag):
        return abs(0.5 - lag % 8 / 8)

    exact = np.mean([s2(k + m) - s2(k - m) for k in lags for m in lags])
    assert tilt_map(image, (1,), lags).mean() == pytest.approx(exact)
    assert tilt_map(image[:, ::-1], (1,), lags).mean() == pytest.approx(-exact)


def test_lags_of_small_images():
    assert [tilt_lags(n) for n in (12, 16, 32, 200)] == [(), (1, 2), (1, 2, 4), (1, 2, 4, 8)]


def test_mirror_images_of_tilted_structure_are_different():
    truth = tilted(64, 1)
    found = m3.compare(tilted(32, 2), truth).verdict
    assert found.outcome == "consistent"
    mirrored = np.ascontiguousarray(tilted(32, 2)[::-1])
    found = m3.compare(mirrored, truth).verdict
    assert found.outcome == "different"
    assert found.worst.quantity == "tilt"
    assert found.worst.plane == "yz"
    assert found.worst.direction == ""
    assert found.worst.generated * found.worst.reference < 0
    assert str(found).startswith("different: the tilt against the axes of phase ")


def test_other_voxels_have_no_tilt_in_common():
    with pytest.warns(UserWarning, match="common distances"):
        found = m3.compare(
            m3.Microstructure(tilted(32, 2), voxel_size=1e-6),
            m3.Microstructure(tilted(64, 1), voxel_size=2e-6),
        ).verdict
    assert "tilt" not in {d.quantity for d in found.deviations}
