# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What surrounds the Fourier transforms, and the route of arrays on a GPU.

The GPU route (torch's transforms, native kernels on torch tensors, everything left where it lives)
runs here on tensors of the CPU, with the question "is this on a GPU?" answered by yes; `-m cuda`
runs it on a GPU.
"""

import itertools
import sys

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import _core, statistics
from micro3d_fast.ops import current_stream
from micro3d_fast.statistics import _transforms

torch = pytest.importorskip("torch")


def image(shape, phases=3, seed=0):
    rng = np.random.default_rng([seed, *shape])
    return rng.integers(0, phases, shape).astype(np.uint8), rng.random(shape) < 0.8


@pytest.fixture
def as_if_on_gpu(monkeypatch):
    def yes(array):
        return isinstance(array, torch.Tensor)

    for name in ("_volume", "_transforms", "two_point", "lineal_path"):
        module = sys.modules[f"micro3d_fast.statistics.{name}"]
        monkeypatch.setattr(module, "is_cuda", yes)
    monkeypatch.setattr(_transforms.TorchFFT, "piece_bytes", 4096)  # several pieces
    return torch.from_numpy


@pytest.fixture(params=["as if", pytest.param("cuda", marks=pytest.mark.cuda)])
def send(request):
    if request.param == "cuda":
        return lambda a: torch.from_numpy(np.ascontiguousarray(a)).cuda()
    return request.getfixturevalue("as_if_on_gpu")


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (5, 4), (1, 1, 1), (9, 8, 10), (7, 1, 11)], ids=str)
def test_device_route_gives_the_same_numbers(send, shape, whole, monkeypatch):
    if not whole:
        monkeypatch.setattr(_transforms.TorchFFT, "takes_whole", lambda *_: False)
    labels, mask = image(shape)
    sent, inside = send(labels), send(mask)
    for periodic, masked in itertools.product((False, True), (False, True)):
        ours = {"periodic": periodic, "mask": mask if masked else None}
        theirs = {"periodic": periodic, "mask": inside if masked else None}
        for i, j in ((1, None), (0, 2)):
            want = m3.two_point_map(labels, i, j, **ours)
            np.testing.assert_array_equal(m3.two_point_map(sent, i, j, **theirs), want)
            want = m3.two_point_radial(labels, i, j, **ours)
            got = m3.two_point_radial(sent, i, j, **theirs)
            np.testing.assert_array_equal(got.value, want.value)
            np.testing.assert_array_equal(got.count, want.count)
        want = statistics.two_point_matrix(labels, **ours)
        np.testing.assert_array_equal(statistics.two_point_matrix(sent, **theirs), want)
        for axis in range(len(shape)):
            want = m3.two_point_correlation(labels, 0, 1, axis=axis, **ours)
            got = m3.two_point_correlation(sent, 0, 1, axis=axis, **theirs)
            np.testing.assert_array_equal(got, want)
            want = m3.lineal_path(labels, 0, axis=axis, **ours)
            np.testing.assert_array_equal(m3.lineal_path(sent, 0, axis=axis, **theirs), want)
            want = statistics.lineal_paths(labels, axis=axis, **ours)
            np.testing.assert_array_equal(statistics.lineal_paths(sent, axis=axis, **theirs), want)
    np.testing.assert_array_equal(m3.volume_fractions(sent), m3.volume_fractions(labels))


def test_device_route_takes_any_integers_and_batches(send):
    labels, mask = image((4, 6, 7))
    want = m3.two_point_map(labels, 1, batch=True, max_lag=2)
    np.testing.assert_array_equal(m3.two_point_map(send(labels), 1, batch=True, max_lag=2), want)
    wide = send(labels.astype(np.int32))
    np.testing.assert_array_equal(m3.two_point_map(wide, 1, batch=True, max_lag=2), want)
    half = m3.two_point_map(send(labels), 1, dtype=np.float32)
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, m3.two_point_map(labels, 1), atol=1e-6)
    with pytest.raises(TypeError, match="`labels` must be an array of bool or integers"):
        m3.two_point_map(send(labels.astype(np.float32)), 1)
    with pytest.raises(ValueError, match=r"`labels` must hold values 0 \.\.\. 255"):
        m3.two_point_map(send(labels.astype(np.int32) - 1), 1)
    with pytest.raises(ValueError, match="`labels` must have 2 or 3 dimensions"):
        m3.two_point_map(send(labels[0, 0]), 1)
    with pytest.raises(ValueError, match="`mask` must have the shape"):
        m3.two_point_map(send(labels), 1, mask=send(mask[0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_load_and_multiply(backend, dtype):
    send, fetch = backend
    labels, mask = image((3, 5, 7))
    out = send(np.full((3, 6, 9), 7, dtype))
    stream = current_stream(out)
    moved = send(np.ascontiguousarray(labels.transpose(2, 1, 0)))
    moved = moved.permute(2, 1, 0) if hasattr(moved, "permute") else moved.transpose(2, 1, 0)
    _core.load_phase(moved, send(mask.view(np.uint8)), out, 2, False, stream, 2)
    np.testing.assert_array_equal(fetch(out)[:, :5, :7], (labels == 2) & mask)
    assert not fetch(out)[:, 5:].any()
    assert not fetch(out)[..., 7:].any()

    kind = np.complex64 if dtype == np.float32 else np.complex128
    rng = np.random.default_rng(1)
    a, b = ((rng.random((4, 6)) - 0.5 + 1j * rng.random((4, 6))).astype(kind) for _ in range(2))
    power = send(np.zeros((4, 6), dtype))
    _core.multiply_spectra(send(a), None, power, stream, 1)
    np.testing.assert_allclose(fetch(power), np.abs(a) ** 2, rtol=1e-6)
    product = send(b.copy())
    _core.multiply_spectra(send(a), product, None, stream, 2)
    np.testing.assert_allclose(fetch(product), np.conj(a) * b, rtol=1e-5)


def test_core_refuses_planes_that_do_not_hold_the_lags():
    planes, out = np.zeros((2, 5, 8)), np.zeros((3, 5, 5))
    with pytest.raises(ValueError, match="`planes` must hold the lags"):
        _core.store_counts(planes, out, 2, (5, 3, 5), (5, 3, 8), 1.0, None, False, None, 1)
    with pytest.raises(ValueError, match="`planes` must have shape"):
        _core.store_counts(planes, out, 0, (5, 3, 5), (5, 3, 9), 1.0, None, False, None, 1)
    for short in ((2, 3, 3), (2, 2, 4)):
        with pytest.raises(ValueError, match="`out` must be at least as long"):
            _core.load_phase(
                np.zeros((2, 3, 4), np.uint8), None, np.zeros(short), 1, False, None, 1
            )
