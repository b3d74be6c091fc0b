# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Public correlations of arrays on a GPU equal those of the CPU."""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import _arrays

pytestmark = pytest.mark.cuda

DEVICE = "cuda"
SHAPES = [(1, 1, 1), (5, 4, 3), (24, 17, 33), (9, 40)]


@pytest.fixture(params=["torch", "cupy"])
def send(request):
    module = pytest.importorskip(request.param)
    if request.param == "torch":
        return lambda a: module.from_numpy(a).to(DEVICE)
    return module.asarray


def image(shape, phases=3):
    rng = np.random.default_rng([4, *shape])
    labels, inside = rng.integers(0, phases, shape, dtype=np.uint8), rng.random(shape) < 0.8
    inside.flat[0] = True
    return labels, inside


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_maps_and_radial_averages(send, shape, periodic, masked):
    labels, inside = image(shape)
    mask, sent = (inside, send(inside)) if masked else (None, None)
    there = send(labels)
    for pair in ((1, None), (0, 2)):
        for keys in ({}, {"max_lag": min(shape) // 2}):
            got = m3.two_point_map(there, *pair, periodic=periodic, mask=sent, **keys)
            want = m3.two_point_map(labels, *pair, periodic=periodic, mask=mask, **keys)
            assert isinstance(got, np.ndarray)
            np.testing.assert_allclose(got, want, rtol=1e-15)  # counts are exact, one division
        got = m3.two_point_radial(there, *pair, periodic=periodic, mask=sent)
        want = m3.two_point_radial(labels, *pair, periodic=periodic, mask=mask)
        np.testing.assert_array_equal(got.count, want.count)
        np.testing.assert_allclose(got.value, want.value, rtol=1e-13)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
def test_curves(send, shape, periodic, masked):
    labels, inside = image(shape)
    mask, sent = (inside, send(inside)) if masked else (None, None)
    there = send(labels)
    for axis in range(len(shape)):
        keys = {"axis": axis, "periodic": periodic}
        for function, phases in (
            (m3.two_point_correlation, (1,)),
            (m3.two_point_correlation, (0, 2)),
            (m3.lineal_path, (1,)),
        ):
            got = function(there, *phases, mask=sent, **keys)
            np.testing.assert_array_equal(got, function(labels, *phases, mask=mask, **keys))
    np.testing.assert_array_equal(
        m3.volume_fractions(there, mask=sent), m3.volume_fractions(labels, mask=mask)
    )


def test_a_lattice_direction(send):
    labels, _ = image((24, 17, 33))
    keys = {"axis": (1, -1, 2), "max_lag": 5}
    for function in (m3.two_point_correlation, m3.lineal_path):
        np.testing.assert_array_equal(
            function(send(labels), 1, **keys), function(labels, 1, **keys)
        )


def test_float32_maps_are_near(send):
    labels, _ = image((24, 17, 33))
    got = m3.two_point_map(send(labels), 1, dtype=np.float32)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, m3.two_point_map(labels, 1), atol=1e-5)


def test_integers_bools_and_views(send):
    labels, inside = image((24, 17, 33))
    want = m3.lineal_path(labels, 1, axis=0)
    np.testing.assert_array_equal(m3.lineal_path(send(labels.astype(np.int64)), 1, axis=0), want)
    np.testing.assert_array_equal(
        m3.lineal_path(send(inside), 1, axis=2), m3.lineal_path(inside, 1, axis=2)
    )
    view = send(labels)[1::2, :, ::3]
    np.testing.assert_allclose(
        m3.two_point_map(view, 1), m3.two_point_map(labels[1::2, :, ::3], 1), rtol=1e-15
    )


def test_comparison(send):
    one, _ = image((24, 24, 24), 2)
    other, _ = image((25, 24, 24), 2)
    got = m3.compare(send(one), send(other))
    assert got.summary() == m3.compare(one, other).summary()


def test_large_arrays_reach_the_host_in_pieces(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(_arrays, "_STAGE", 1000)
    for shape, order in (((10007,), (0,)), ((20, 30, 40), (2, 0, 1))):
        want = np.arange(np.prod(shape), dtype=np.float64).reshape(shape).transpose(order)
        array = torch.from_numpy(want.transpose(np.argsort(order))).cuda().permute(order)
        np.testing.assert_array_equal(_arrays.to_numpy(array), want)


def test_the_current_stream_is_taken():
    torch = pytest.importorskip("torch")
    labels, _ = image((24, 17, 33))
    source = torch.from_numpy(labels).to(DEVICE)
    given = torch.zeros_like(source)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda._sleep(50_000_000)
        given.copy_(source)
        got = m3.two_point_map(given, 1, periodic=True)
    np.testing.assert_allclose(got, m3.two_point_map(labels, 1, periodic=True), rtol=1e-15)
