# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Division, random words and normals of csrc/core, which the emulated _core exposes (units.cpp)."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from micro3d_fast import _core
from micro3d_fast.reference import philox

pytestmark = pytest.mark.cuda  # what run.py selects


@pytest.fixture
def core():
    if not hasattr(_core, "divide"):
        pytest.skip("needs the emulated _core: python tests/emulated_cuda/run.py")
    return _core


def test_division_by_multiplication(core, rng):
    """Quotients and remainders of what is below 2^31, at its bounds, and beyond."""
    by = [
        1,
        2,
        3,
        5,
        7,
        31,
        32,
        33,
        255,
        641,
        65535,
        65537,
        10**9,
        2**30 + 1,
        2**31 - 1,
        2**31,
        10**10,
    ]
    by += rng.integers(1, 2**31, 50).tolist()
    for d in by:
        near = [k * d + e for k in (0, 1, 2, (2**31 - 1) // d) for e in (-1, 0, 1)]
        for n in [*near, 2**31 - 1, 2**31, 2**40 + 5, *rng.integers(0, 2**31, 50).tolist()]:
            if n >= 0:
                assert tuple(core.divide(n, d)) == divmod(n, d), (n, d)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [  # the vectors of Random123 1.09, tests/kat_vectors, philox4x32 10
        ((0, 0, 0, 0), 0, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        (
            (0xFFFFFFFF,) * 4,
            0xFFFFFFFFFFFFFFFF,
            (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
        ),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            0x299F31D0A4093822,
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_known_answers(core, counter, key, words):
    assert tuple(core.philox_words(counter, key)) == words
    assert tuple(int(w) for w in philox.philox(counter, key)) == words


def test_box_muller_is_finite_and_accurate_at_its_corners(core):
    corners = [0, 1, 2, 3, 2**29, 2**30, 2**31 - 1, 2**31, 3 * 2**30, 2**32 - 2, 2**32 - 1]
    for v, w in itertools.product(corners, repeat=2):
        got = core.box_muller(v, w)
        want = philox.box_muller(np.uint64(v), np.uint64(w))
        assert np.isfinite(got).all()
        # the cosine and sine of float32 angles err by half an ulp of 1, seen near their zeros
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
    assert max(abs(n) for n in core.box_muller(0, 0)) < 6.67
