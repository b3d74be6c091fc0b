# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Operators run on the caller's current stream, never wait, and can be captured in a CUDA graph."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from micro3d_fast import ops

pytestmark = pytest.mark.cuda

SHAPE = (40, 64, 70)
STEP = {"a": 0.9, "b": 0.4, "noise": 0.6, "seed": 4, "draw": 3}
BUSY = 100_000_000  # clock cycles, some 50 ms: the stream is late when the operator is launched


def step(x, out):
    return ops.reverse_step(x[None], x[None], out=out[None], **STEP)[0]


#: operator of (input, place for the result), its good input and its poison
OPERATORS: dict[str, tuple[Callable, np.ndarray, float]] = {
    "reverse_step": (
        step,
        np.random.default_rng(3).standard_normal(SHAPE, dtype=np.float32),
        float("nan"),
    ),
    "run_lengths": (
        lambda labels, out: ops.run_lengths(labels, axis=2, n_phases=3)[0],
        np.random.default_rng(3).integers(0, 3, SHAPE, dtype=np.uint8),
        0,
    ),
    "pair_counts": (
        lambda labels, out: ops.pair_counts(labels, 1, 2, direction=(0, 1, 0), max_lag=9),
        np.random.default_rng(3).integers(0, 3, SHAPE, dtype=np.uint8),
        0,
    ),
}


def expected(name):
    operator, good, _ = OPERATORS[name]
    return operator(good, np.empty_like(good))


def close(got, want):
    if want.dtype == np.float32:
        np.testing.assert_allclose(got, want, rtol=2e-6, atol=4e-6)
    else:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", OPERATORS)
def test_runs_on_the_current_stream_of_torch(name):
    torch = pytest.importorskip("torch")
    operator, good, poison = OPERATORS[name]
    source = torch.from_numpy(good).cuda()
    given, out = torch.full_like(source, poison), torch.full_like(source, poison)
    operator(given, out)  # a first launch loads the kernel, which may wait for the device
    torch.cuda._sleep(1)
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.cuda._sleep(BUSY)
        given.copy_(source)  # pending: an operator on any other stream reads the poison
        got = operator(given, out)
        late = not side.query()  # it did not wait
        later = got + 0  # and what follows on this stream sees the result
    side.synchronize()
    close(later.cpu().numpy(), expected(name))
    assert late


@pytest.mark.parametrize("name", OPERATORS)
def test_tensors_of_the_current_stream_need_no_event(monkeypatch, name):
    """-1: no wait, not even where torch takes the handle of a side stream for another stream."""
    torch = pytest.importorskip("torch")
    operator, good, _ = OPERATORS[name]
    given = torch.from_numpy(good).cuda()
    export, streams = torch.Tensor.__dlpack__, []

    def exported(self, *, stream, **keys):
        streams.append(stream)
        return export(self, stream=stream, **keys)

    monkeypatch.setattr(torch.Tensor, "__dlpack__", exported)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        got = operator(given, torch.empty_like(given))
    side.synchronize()
    close(got.cpu().numpy(), expected(name))
    on_device = {stream for stream in streams if stream is not None}  # None: of the CPU
    assert on_device == {-1}


@pytest.mark.parametrize("name", OPERATORS)
def test_runs_on_the_current_stream_of_cupy(name):
    cupy = pytest.importorskip("cupy")
    operator, good, poison = OPERATORS[name]
    source = cupy.asarray(good)
    given, out = cupy.full_like(source, poison), cupy.full_like(source, poison)
    big = cupy.zeros(1 << 28, dtype=cupy.uint8)
    cupy.cuda.Device().synchronize()
    with cupy.cuda.Stream(non_blocking=True) as side:
        for _ in range(200):  # keeps the stream busy for some 20 ms
            big += 1
        given[...] = source
        got = operator(given, out)
        later = got + 0
    side.synchronize()
    close(cupy.asnumpy(later), expected(name))


@pytest.mark.parametrize("name", OPERATORS)
def test_two_streams_at_once(name):
    torch = pytest.importorskip("torch")
    operator, good, _ = OPERATORS[name]
    turned = good[::-1].copy()
    wants = [expected(name), operator(turned, np.empty_like(turned))]
    inputs = [torch.from_numpy(a).cuda() for a in (good, turned)]
    torch.cuda.synchronize()
    streams = [torch.cuda.Stream(), torch.cuda.Stream()]
    results: list[list] = [[], []]
    for _ in range(20):
        for k, stream in enumerate(streams):
            with torch.cuda.stream(stream):
                results[k].append(operator(inputs[k], torch.empty_like(inputs[k])))
    torch.cuda.synchronize()
    for got, want in zip(results, wants, strict=True):
        for one in got:
            close(one.cpu().numpy(), want)


def test_two_threads_with_a_stream_each():
    torch = pytest.importorskip("torch")
    failures: list[BaseException] = []

    def work(name):
        try:
            operator, good, _ = OPERATORS[name]
            stream = torch.cuda.Stream()
            with torch.cuda.stream(stream):
                given = torch.from_numpy(good).cuda()
                got = [operator(given, torch.empty_like(given)) for _ in range(50)]
            stream.synchronize()
            for one in got:
                close(one.cpu().numpy(), expected(name))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(name,)) for name in OPERATORS for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("name", OPERATORS)
def test_captured_in_a_graph(name):
    torch = pytest.importorskip("torch")
    operator, good, poison = OPERATORS[name]
    source = torch.from_numpy(good).cuda()
    given, out = torch.full_like(source, poison), torch.full_like(source, poison)
    warm = torch.cuda.Stream()
    with torch.cuda.stream(warm):
        operator(given, out)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        got = operator(given, out)
    given.copy_(source)
    for _ in range(2):
        graph.replay()
        torch.cuda.synchronize()
        close(got.cpu().numpy(), expected(name))


def test_the_device_stays_the_callers():
    torch = pytest.importorskip("torch")
    before = torch.cuda.current_device()
    operator, good, _ = OPERATORS["reverse_step"]
    for index in range(torch.cuda.device_count()):
        x = torch.from_numpy(good).to(f"cuda:{index}")
        got = operator(x, torch.empty_like(x))
        assert torch.cuda.current_device() == before
        close(got.cpu().numpy(), expected("reverse_step"))
