# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The emulation of CUDA finds the faults that it is there for: faults/faults.cu."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).resolve().parent
COMPILER = os.environ.get("CXX") or shutil.which("g++") or ""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not COMPILER or platform.machine() != "x86_64" or sys.platform != "linux",
        reason="needs a C++ compiler on x86-64 Linux",
    ),
]


def compiled(folder: Path, checks: bool) -> Path:
    subprocess.run([sys.executable, HERE / "translate.py", HERE / "faults", folder], check=True)
    common = [COMPILER, "-std=c++17", "-O1", "-g1", "-fPIC", "-fvisibility=hidden", f"-I{HERE}"]
    common += ["-DEMULATED_CUDA_CHECKS"] if checks else []
    kernels, library = folder / "faults.o", folder / "faults.so"
    special = ["-fsanitize=thread"] if checks else []
    language = ["-D__CUDACC__", "-include", "cuda_runtime.h"]
    translated = folder / "faults.cu.cpp"
    subprocess.run([*common, *language, *special, "-c", translated, "-o", kernels], check=True)
    sources = [HERE / name for name in ["runtime.cpp", "api.cpp", *["check.cpp"][:checks]]]
    subprocess.run([*common, "-shared", *sources, kernels, "-o", library], check=True)
    return library


class EmulatedGpu:
    def __init__(self, library: Path) -> None:
        self.c = ctypes.CDLL(str(library))
        self.c.emulated_cuda_error_text.restype = ctypes.c_char_p
        self.c.launch.argtypes = [
            ctypes.c_char_p,
            *[ctypes.c_uint * 3] * 2,
            *[ctypes.c_size_t] * 2,
            *[ctypes.c_void_p, ctypes.c_int],
        ]
        self.c.emulated_cuda_register_stream.argtypes = [ctypes.c_int, ctypes.c_size_t]
        self.c.emulated_cuda_register_allocation.argtypes = [
            *[ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
        ]
        self.c.emulated_cuda_unregister_allocation.argtypes = [ctypes.c_void_p]

    def order(self, threads: str, blocks: str, seed: int = 0) -> None:
        ok = self.c.emulated_cuda_set_order(
            threads.encode(), blocks.encode(), ctypes.c_uint64(seed)
        )
        assert ok == 0

    def launch(self, name, grid=1, block=1, *, bytes=0, stream=0, n=0, out=None, device=0):
        """The error, its words and what was written."""
        values = np.zeros(4096, np.int32) if out is None else out
        self.c.emulated_cuda_register_allocation(device, values.ctypes.data, values.nbytes)
        sizes = [(*((s,) if isinstance(s, int) else s), 1, 1)[:3] for s in (grid, block)]
        arrays = [(ctypes.c_uint * 3)(*size) for size in sizes]
        error = self.c.launch(name.encode(), *arrays, bytes, stream, values.ctypes.data, n)
        text = self.c.emulated_cuda_error_text().decode()
        self.c.emulated_cuda_unregister_allocation(values.ctypes.data)
        assert error >= 0, name
        return error, text if error else "", values


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> EmulatedGpu:
    return EmulatedGpu(compiled(tmp_path_factory.mktemp("plain"), False))


@pytest.fixture(scope="module")
def access(tmp_path_factory) -> EmulatedGpu:
    return EmulatedGpu(compiled(tmp_path_factory.mktemp("access"), True))


@pytest.fixture(params=["plain", "access"])
def gpu(request) -> EmulatedGpu:
    gpu = request.getfixturevalue(request.param)
    gpu.order("forward", "forward")
    return gpu


ORDERS = [("forward", "forward"), ("reverse", "reverse"), ("random", "random")]


@pytest.mark.parametrize("order", ORDERS, ids=lambda o: o[0])
def test_right_kernels_give_the_same_in_every_order(gpu, order):
    for seed in range(3):
        gpu.order(*order, seed)
        for block in (1, 31, 32, 33, 1000, 1024, (8, 4), (4, 3, 7), (1, 1, 64)):
            error, text, out = gpu.launch("right", (3, 2, 5), block, n=30)
            count = int(np.prod(block))
            assert error == 0, text
            np.testing.assert_array_equal(out[:30], count * (count + 1) // 2)
            assert not out[30:].any()
        error, text, out = gpu.launch("right_warps", 7, 256, bytes=4)
        assert (error, out[0]) == (0, 7 * 256 * 257 // 2), text


def test_order_shows_a_missing_barrier(plain):
    results = []
    for threads, blocks in ORDERS:
        plain.order(threads, blocks)
        error, _, out = plain.launch("missing_barrier", 1, 64, n=64)
        assert error == 0
        results.append(out)
    assert (results[0] == -1).any()  # poison: not written yet
    assert any((results[0] != other).any() for other in results[1:])


def test_order_shows_that_blocks_depend_on_each_other(plain):
    plain.order("forward", "forward")
    _, _, first = plain.launch("depends_on_blocks", 9)
    plain.order("forward", "reverse")
    _, _, last = plain.launch("depends_on_blocks", 9)
    assert first[8] == 9
    assert last[8] == 1


def test_repeating_shows_both(plain):
    plain.order("forward", "forward")
    plain.c.emulated_cuda_set_repeat(1)
    try:
        for name, given in (
            ("missing_barrier", {"block": 64, "n": 64}),
            ("depends_on_blocks", {"grid": 9}),
            ("zeroed_by_one_block", {"grid": 9}),
        ):
            error, text, _ = plain.launch(name, **given)
            assert error == 719
            assert f"`{name}`: the result depends on the order of threads or blocks" in text
        error, text, out = plain.launch("right_warps", 7, 256, bytes=4)
        assert (error, out[0]) == (0, 7 * 256 * 257 // 2), text
    finally:
        plain.c.emulated_cuda_set_repeat(0)


@pytest.mark.parametrize(
    ("name", "grid", "block", "words"),
    [
        ("missing_barrier", 1, 64, "another thread of the block read there since"),
        ("depends_on_blocks", 9, 1, "another block wrote there"),
        ("lost_update", 1, 2, "another thread of the block wrote there since"),
        ("lost_update", 2, 1, "another block wrote there"),
        ("zeroed_by_one_block", 2, 1, "another block wrote there"),
        ("beyond_global", 1, 1, "past the end of an allocation"),
        ("not_aligned", 1, 1, "not aligned"),
    ],
)
def test_access_is_looked_at(access, name, grid, block, words):
    access.order("forward", "forward")
    out = np.zeros(64, np.int32)
    if name == "beyond_global":
        out = np.zeros(2 * 64 + 1, np.uint16)  # ends in half a place
    error, text, _ = access.launch(name, grid, block, n=64, out=out)
    assert error == 719
    assert name in text
    assert words in text


@pytest.mark.parametrize(
    ("name", "block", "bytes", "words"),
    [
        ("left_before_the_barrier", 64, 0, "32 (first: 0) wait at __syncthreads in faults.cu:"),
        ("left_before_the_barrier", 64, 0, "32 (first: 32) have returned"),
        ("two_barriers", 64, 0, "cannot continue"),
        ("missing_lane", 32, 0, "31 (first: 0) wait at a warp intrinsic in faults.cu:"),
        ("mask_without_itself", 32, 0, "with a mask without it"),
        ("beyond_shared", 1, 8, "shared"),
    ],
)
def test_a_block_that_goes_wrong_is_reported(gpu, name, block, bytes, words):
    error, text, _ = gpu.launch(name, 1, block, bytes=bytes, n=2)
    assert error == 719
    assert f"`{name}`" in text
    assert words in text
    error, text, out = gpu.launch("right", 1, 256, n=1)  # and the next kernel runs
    assert (error, out[0]) == (0, 256 * 257 // 2), text


def test_shared_memory_begins_poisoned(gpu):
    for _ in range(2):
        error, _, out = gpu.launch("not_initialized", 1, 256)
        assert error == 0
        assert (out[:256] == -1).all()


@pytest.mark.parametrize(
    ("name", "given", "error", "words"),
    [
        ("right", {"grid": 0}, 9, "a grid of (0, 1, 1) blocks"),
        ("right", {"grid": 2**31}, 9, "a grid"),
        ("right", {"grid": (1, 65536)}, 9, "a grid of (1, 65536, 1)"),
        ("right", {"grid": (1, 1, 65536)}, 9, "a grid"),
        ("right", {"block": 0}, 9, "blocks of (0, 1, 1) threads"),
        ("right", {"block": 1025}, 9, "blocks"),
        ("right", {"block": (32, 33)}, 9, "blocks"),
        ("right", {"block": (1, 1, 65)}, 9, "blocks"),
        ("bounded", {"block": 257}, 701, "__launch_bounds__ of 256"),
        ("bounded", {"bytes": 48 * 1024 + 1}, 1, "49153 bytes of shared memory"),
        ("right", {"bytes": 45 * 1024}, 719, "asks for 50176 bytes of shared memory"),
        ("bounded", {"stream": 5}, 400, "stream 5, which there is not"),
        ("bounded", {"stream": 77}, 400, "a stream of device 1, device 0 is current"),
        ("bounded", {"device": 1}, 700, "points into memory of device 1"),
    ],
)
def test_launches_are_checked(gpu, name, given, error, words):
    gpu.c.emulated_cuda_register_stream(1, 77)
    got, text, out = gpu.launch(name, **given)
    assert got == error
    assert words in text
    assert not out.any()
    gpu.c.emulated_cuda_unregister_stream(ctypes.c_size_t(77))


def test_launches_that_a_gpu_accepts(gpu):
    for given in ({"block": 256}, {"bytes": 48 * 1024}, {"stream": 2}, {"grid": (1, 65535)}):
        error, text, _ = gpu.launch("bounded" if "grid" not in given else "right", **given)
        assert error == 0, text


def test_a_held_stream_and_a_graph(plain):
    c = plain.c
    plain.order("forward", "forward")
    c.emulated_cuda_capture_end.restype = ctypes.c_void_p
    out = np.zeros(4, np.int32)
    c.emulated_cuda_hold(ctypes.c_size_t(2))
    plain.launch("lost_update", stream=2, out=out)
    assert c.emulated_cuda_pending(ctypes.c_size_t(2)) == 1
    assert out[0] == 0
    plain.launch("lost_update", stream=1, out=out)
    assert out[0] == 1
    assert c.emulated_cuda_synchronize(ctypes.c_size_t(2)) == 0
    assert out[0] == 2
    c.emulated_cuda_capture_begin(ctypes.c_size_t(2))
    plain.launch("lost_update", stream=2, out=out)
    graph = ctypes.c_void_p(c.emulated_cuda_capture_end(ctypes.c_size_t(2)))
    assert out[0] == 2
    for _ in range(3):
        assert c.emulated_cuda_graph_launch(graph, ctypes.c_size_t(1)) == 0
    assert out[0] == 5
    c.emulated_cuda_graph_destroy(graph)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("__global__ void k() { __syncwarp(); }", "`__syncwarp` is unknown"),
        ("__constant__ int table[3];", "`__constant__` is unknown"),
        ("void f() { other<<<1, 1>>>(); }", "a launch of what is no known kernel"),
        ("__global__ void k();\nvoid f() { k<<<1, 1>>>; }", "a launch that is not understood"),
        ("__global__ void k() { __shared__ int a[2], b[2]; }", "a __shared__ variable"),
        ("__global__ void k() { extern __shared__ int a[3]; }", "a __shared__ variable"),
        ("__global__ int* k();", "a kernel that is not understood"),
    ],
)
def test_what_is_not_understood_is_refused(tmp_path, text, words):
    source = tmp_path / "in" / "one.cu"
    source.parent.mkdir()
    source.write_text(text)
    command = [sys.executable, str(HERE / "translate.py"), str(source.parent), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert words in done.stderr
    assert f"one.cu:{2 if 'f()' in text and words.endswith('understood') else 1}:" in done.stderr
