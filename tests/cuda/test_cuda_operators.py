# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Operators on a GPU against the same operators on the CPU: odd shapes, strides, nothing at all.

Small enough for compute-sanitizer, which `benchmarks/gpu_check.py` runs over this file.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from micro3d_fast import _core, ops

pytestmark = pytest.mark.cuda

DEVICE = "cuda"
# two float32 roundings of each of up to five terms of size 1 ... 6.7, and Box-Muller to a few ulp
TOLERANCE = {"rtol": 2e-6, "atol": 4e-6}
STEP = {"a": 1.01, "b": -0.35, "noise": 0.7, "seed": 2**63 + 5, "draw": 9}


@pytest.fixture(params=["torch", "cupy"])
def gpu(request):
    """(send, fetch) of one array library."""
    module = pytest.importorskip(request.param)
    if request.param == "torch":
        return lambda a: module.from_numpy(a).to(DEVICE), lambda t: t.cpu().numpy()
    return module.asarray, module.asnumpy


def fields(shape, names="x net"):
    rng = np.random.default_rng([1, *shape])
    return {name: rng.standard_normal(shape, dtype=np.float32) for name in names.split()}


def on_cpu(arrays, **arguments):
    out = np.full_like(arrays["x"], np.nan)
    return ops.reverse_step(out=out, **arrays, **{**STEP, **arguments})


def labels_of(shape, phases=3, smooth=3):
    """Labels with runs of some length along every axis."""
    rng = np.random.default_rng([2, *shape])
    coarse = rng.integers(0, phases, tuple(-(-n // smooth) for n in shape), dtype=np.uint8)
    for axis in range(len(shape)):
        coarse = np.repeat(coarse, smooth, axis=axis)
    return np.ascontiguousarray(coarse[tuple(slice(n) for n in shape)])


# --------------------------------------------------------------------------------- the reverse step


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 1, 1),
        (2, 3, 5, 7),
        (256, 1, 2, 3),
        (1, 1, 1, 4099),
        (1, 70001, 1, 3),
        (3, 33, 32, 31),
    ],
    ids=str,
)
@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_reverse_step_of_any_shape(gpu, shape, noise):
    send, fetch = gpu
    f = fields(shape)
    out = send(np.full(shape, np.nan, np.float32))
    keys = {**STEP, "noise": noise}
    ops.reverse_step(send(f["x"]), send(f["net"]), out=out, **keys)
    np.testing.assert_allclose(fetch(out), on_cpu(f, noise=noise), **TOLERANCE)


@pytest.mark.parametrize(
    "mode",
    [
        {"guidance": 2.5},
        {"h": 0.5},
        {"clip": (1.7, -1.2)},
        {"clip": (1.1, -0.6), "guidance": 0.3, "h": -0.25},
    ],
    ids=str,
)
def test_reverse_step_in_every_mode(gpu, mode):
    send, fetch = gpu
    f = fields((2, 9, 37, 41), "x net net_uncond h0")
    used = [
        "x",
        "net",
        *(["net_uncond"] if "guidance" in mode else []),
        *(["h0"] if "h" in mode else []),
    ]
    f = {name: f[name] for name in used}
    out = send(np.full_like(f["x"], np.nan))
    ops.reverse_step(out=out, **{k: send(v) for k, v in f.items()}, **STEP, **mode)
    np.testing.assert_allclose(fetch(out), on_cpu(f, **mode), **TOLERANCE)


@pytest.mark.parametrize("noise", [0.0, 0.7])
@pytest.mark.parametrize(
    "view",
    [np.s_[:, ::2, 1:, ::3], np.s_[:, 1:, ::3, 1:], np.s_[:, :, :, 2:-1], np.s_[:, ::-1, :, ::-1]],
    ids=str,
)
def test_reverse_step_reads_and_writes_views_in_place(gpu, view, noise):
    send, fetch = gpu
    big = fields((2, 12, 40, 45), "x net out")
    there = {name: send(values) for name, values in big.items()}
    try:
        views = {name: array[view] for name, array in there.items()}
    except ValueError:  # torch has no negative strides: turn the sizes around instead
        views = {name: array[:, ::3, ::2, 5:] for name, array in there.items()}
        view = np.s_[:, ::3, ::2, 5:]
    ops.reverse_step(**views, **{**STEP, "noise": noise})
    want = on_cpu({n: np.ascontiguousarray(big[n][view]) for n in ("x", "net")}, noise=noise)
    got = fetch(there["out"])
    np.testing.assert_allclose(got[view], want, **TOLERANCE)
    untouched = np.ones(got.shape, bool)
    untouched[view] = False
    np.testing.assert_array_equal(got[untouched], big["out"][untouched])


def test_reverse_step_of_a_slab_has_the_bits_of_the_whole(gpu):
    send, fetch = gpu
    f = {name: send(values) for name, values in fields((2, 12, 40, 75)).items()}
    whole = send(np.full((2, 12, 40, 75), np.nan, np.float32))
    ops.reverse_step(**f, out=whole, **STEP)
    for z, y, x in [(3, 0, 0), (0, 17, 0), (5, 11, 34), (2, 1, 1), (0, 0, 67), (1, 39, 74)]:
        part = np.s_[:, z:, y:, x:]
        out = send(np.full(fetch(whole)[part].shape, np.nan, np.float32))
        slab = {name: array[part] for name, array in f.items()}
        ops.reverse_step(**slab, out=out, origin=(z, y, x), **STEP)
        np.testing.assert_array_equal(fetch(out), fetch(whole)[part])


@pytest.mark.parametrize("noise", [0.0, 0.7])
@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 1, 3, 2)], ids=["rows", "columns"])
def test_reverse_step_of_slices_far_apart(order, noise):
    torch = pytest.importorskip("torch")
    shape, apart = (1, 2, 37, 41), 1 << 25  # 32 bits do not hold offsets within such tiles
    f = fields(shape)
    want = on_cpu(f, noise=noise)
    nz, ny, nx = (shape[k] for k in order[1:])
    memory = torch.empty(apart + ny * nx, dtype=torch.float32, device=DEVICE)
    far = memory.as_strided((1, nz, ny, nx), (1, apart, nx, 1)).permute(order)
    far.copy_(torch.from_numpy(f["x"]))
    net = torch.from_numpy(f["net"]).to(DEVICE)
    got = ops.reverse_step(x=far, net=net, out=torch.empty_like(net), **{**STEP, "noise": noise})
    np.testing.assert_allclose(got.cpu().numpy(), want, **TOLERANCE)


def test_reverse_step_has_the_same_bits_in_every_layout():
    torch = pytest.importorskip("torch")
    f = {name: torch.from_numpy(v).to(DEVICE) for name, v in fields((2, 20, 37, 41)).items()}
    outs = []
    for order_in, order_out in itertools.product(itertools.permutations((1, 2, 3)), repeat=2):
        arrays = {}
        for name, value in {**f, "out": torch.full_like(f["x"], float("nan"))}.items():
            order = (0, *(order_out if name == "out" else order_in))
            memory = value.permute(order).contiguous()
            arrays[name] = memory.permute(tuple(int(i) for i in np.argsort(order)))
        ops.reverse_step(**arrays, **STEP)
        outs.append(arrays["out"].cpu())
    assert all(torch.equal(out, outs[0]) for out in outs)


@pytest.mark.parametrize("element", ["bfloat16", "float16"])
@pytest.mark.parametrize("offset", [0, 1], ids=["aligned", "unaligned"])
def test_sixteen_bit_numbers_convert_as_torch_does(element, offset):
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, element)
    every = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(dtype)
    memory = torch.zeros(2**16 + 8, dtype=dtype, device=DEVICE)
    net = memory[offset : offset + 2**16]
    net.copy_(every)
    net = net.view(1, 1, 256, 256)
    out = torch.empty((1, 1, 256, 256), device=DEVICE)
    ops.reverse_step(torch.zeros_like(out), net, out=out, a=0, b=1)
    assert torch.equal(out.isnan(), net.isnan())
    assert torch.equal(out.nan_to_num(1.5), net.float().nan_to_num(1.5))
    # every float32 exponent with mantissas about the rounding ties
    mantissas = [0, 1, 0xFFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x7FFF, 0x8000, 0x8001, 0x18000]
    bits = (np.arange(2**9, dtype=np.uint32) << 23)[:, None] + np.array(mantissas, np.uint32)
    x = torch.from_numpy(bits.view(np.float32)[None, None].copy()).to(DEVICE)
    out_net = torch.zeros(x.shape, dtype=dtype, device=DEVICE)
    ops.reverse_step(x, torch.zeros_like(x), out=torch.empty_like(x), a=1, b=0, out_net=out_net)
    assert torch.equal(out_net.isnan(), x.isnan())
    assert torch.equal(out_net.nan_to_num(1.5), x.to(dtype).nan_to_num(1.5))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("planes", list(itertools.product(range(3), repeat=2)), ids=str)
def test_reverse_step_between_the_batches_of_a_network(channels, planes):
    """As the sampler calls it: float32 batches, bfloat16 channels-last network, next plane."""
    torch = pytest.importorskip("torch")
    shape = (channels, 6, 37, 21)
    to_field = [(1, 0, 2, 3), (1, 2, 0, 3), (1, 2, 3, 0)]
    here, there = (to_field[p] for p in planes)

    def batch(values, order, dtype=torch.float32, **memory):
        slices = torch.from_numpy(values).permute(tuple(int(i) for i in np.argsort(order)))
        return slices.to(DEVICE, dtype).contiguous(**memory)

    last = {"memory_format": torch.channels_last}
    f = fields(shape, "x net h0")
    net = batch(f["net"], here, torch.bfloat16, **last)
    nan = np.full(shape, np.nan, np.float32)
    out, out_net = batch(nan, there), batch(nan, there, torch.bfloat16, **last)
    keys = {**STEP, "h": 0.4}
    ops.reverse_step(
        batch(f["x"], here).permute(here),
        net.permute(here),
        h0=batch(f["h0"], here).permute(here),
        out=out.permute(there),
        out_net=out_net.permute(there),
        **keys,
    )
    rounded = torch.from_numpy(f["net"]).bfloat16().float().numpy()
    want = ops.reverse_step(f["x"], rounded, h0=f["h0"], out=np.empty_like(f["x"]), **keys)
    np.testing.assert_allclose(out.permute(there).cpu().numpy(), want, **TOLERANCE)
    assert torch.equal(out_net, out.bfloat16())


# ----------------------------------------------------------------------------- run lengths and bits


@pytest.mark.parametrize(
    ("shape", "phases"),
    [
        ((1, 1, 1), 2),
        ((5, 4, 3), 3),
        ((3, 70, 129), 3),
        ((70, 32, 64), 3),  # eight bytes a load along x, four rows a thread along y and z
        ((2, 3, 5000), 256),  # a histogram too large for shared memory
        ((1, 2, 65536), 2),  # the longest row of the packed walk
        ((2, 1, 65537), 2),  # and one beyond it
    ],
    ids=str,
)
@pytest.mark.parametrize("periodic", [False, True], ids=["open", "periodic"])
def test_run_lengths(gpu, shape, phases, periodic):
    send, fetch = gpu
    labels, mask = labels_of(shape, phases), labels_of(shape[::-1], 2, 2).T
    for axis, m in itertools.product(range(3), (None, np.ascontiguousarray(mask))):
        keys = {"axis": axis, "n_phases": phases, "periodic": periodic}
        want = ops.run_lengths(labels, mask=m, **keys)
        got = ops.run_lengths(send(labels), mask=None if m is None else send(m), **keys)
        for g, w in zip(got, want, strict=True):
            np.testing.assert_array_equal(fetch(g), w)


@pytest.mark.parametrize("length", [1, 7, 8, 31, 32, 33, 40, 64, 1100, 20000])
@pytest.mark.parametrize("across", [4, 8, 9], ids=lambda n: f"{n} rows")
def test_run_lengths_across_rows_of_any_length(gpu, length, across):
    """Four rows per thread or one; 256 rows per block down to 3."""
    send, fetch = gpu
    labels = np.random.default_rng(length).integers(0, 3, (length, 2, across), dtype=np.uint8)
    for rows, axis in ((labels, 0), (labels.transpose(1, 2, 0).copy(), 2)):
        keys = {"axis": axis, "n_phases": 2, "periodic": True}
        want = ops.run_lengths(rows, **keys)
        for g, w in zip(ops.run_lengths(send(rows), **keys), want, strict=True):
            np.testing.assert_array_equal(fetch(g), w)


VIEWS = [np.s_[:, :, ::2], np.s_[::2, 1:, 3:], np.s_[1::3, :, 1:-1], np.s_[:, :, 1:]]
VIEWS += [np.s_[::2, ::2, 4:]]


@pytest.mark.parametrize("view", VIEWS, ids=str)
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_run_lengths_of_views(gpu, view, order):
    send, fetch = gpu
    labels, mask = labels_of((12, 15, 70)), labels_of((12, 15, 70), 2, 4)

    def turned(array):
        array = array[view]
        return array.permute(order) if hasattr(array, "permute") else array.transpose(order)

    for axis in range(3):
        keys = {"axis": axis, "n_phases": 3, "periodic": True}
        want = ops.run_lengths(turned(labels), mask=turned(mask), **keys)
        unlike = send(np.ascontiguousarray(turned(mask)))  # a mask in another layout
        for there in (turned(send(mask)), unlike):
            got = ops.run_lengths(turned(send(labels)), mask=there, **keys)
            for g, w in zip(got, want, strict=True):
                np.testing.assert_array_equal(fetch(g), w)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
def test_run_lengths_of_reversed_views(order):
    """cupy has negative strides, torch does not."""
    cupy = pytest.importorskip("cupy")
    labels, mask = labels_of((12, 15, 70)), labels_of((12, 15, 70), 2, 4)

    def reversed_view(array):
        return array[::-1, 1:, ::-3].transpose(order)

    for axis in range(3):
        keys = {"axis": axis, "n_phases": 3, "periodic": True}
        want = ops.run_lengths(reversed_view(labels), mask=reversed_view(mask), **keys)
        there = [reversed_view(cupy.asarray(array)) for array in (labels, mask)]
        for g, w in zip(ops.run_lengths(there[0], mask=there[1], **keys), want, strict=True):
            np.testing.assert_array_equal(cupy.asnumpy(g), w)


DIRECTIONS = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1), (0, -1, 0), (1, 1, 0), (0, -1, 1)]
DIRECTIONS += [(1, -1, 2), (-1, 0, 1), (1, 1, 1), (3, 0, -2)]


@pytest.mark.parametrize("direction", DIRECTIONS, ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["whole", "masked"])
@pytest.mark.parametrize("shape", [(7, 65, 67), (6, 64, 96)], ids=str)  # odd, whole words
def test_pairs_and_segments(gpu, direction, masked, shape):
    send, fetch = gpu
    labels, mask = labels_of(shape), labels_of(shape, 2, 5)
    mask = mask if masked else None
    there = {"mask": None if mask is None else send(mask)}
    for wrap in [(False,) * 3, (True,) * 3, (True, False, True)]:
        keys = {"direction": direction, "max_lag": 3, "periodic": wrap}
        want = ops.pair_counts(labels, 1, 2, mask=mask, **keys)
        got = ops.pair_counts(send(labels), 1, 2, **there, **keys)
        np.testing.assert_array_equal(fetch(got), want)
        want = ops.segment_counts(labels, 0, mask=mask, **keys)
        got = ops.segment_counts(send(labels), 0, **there, **keys)
        np.testing.assert_array_equal(fetch(got), want)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
@pytest.mark.parametrize("columns", [5, 64, 96, 130])
def test_packing(order, columns):
    """Bits of every layout, aligned to eight bytes or not, wrapped around or not, are the CPU's."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(columns)
    labels = rng.integers(0, 3, (24, columns, 40), dtype=np.uint8).transpose(order)
    inside = (rng.random((24, columns, 40)) < 0.8).astype(np.uint8).transpose(order)
    for view, (rows, wrap) in itertools.product(
        (np.s_[:], np.s_[:, :, 1:], np.s_[::2, 1:, ::3]), ((0, 0), (5, 0), (60, 200))
    ):
        voxels = labels[view]
        slabs, i, b = voxels.shape
        words = -(-(b + wrap) // 64)
        shape = (slabs, (i + rows + 1) * words + 16)
        for phase, mask in itertools.product((1, None), (None, inside)):
            keys = (phase or 0, phase is None, words, i + rows, b + wrap)
            want, got = np.full(shape, -1), torch.full(shape, -1, device=DEVICE)
            _core.pack_bits(voxels, None if mask is None else mask[view], want, *keys, None, 1)
            there = torch.from_numpy(labels).to(DEVICE)[view]
            masked = None if mask is None else torch.from_numpy(mask).to(DEVICE)[view]
            _core.pack_bits(there, masked, got, *keys, ops.current_stream(got), 1)
            np.testing.assert_array_equal(got.cpu().numpy(), want)


def test_pairs_and_segments_of_many_lags(gpu):
    """More lags than a block has counters in shared memory (8192)."""
    send, fetch = gpu
    labels = (np.arange(9000) % 1999 != 7).astype(np.uint8).reshape(1, 1, 9000)
    keys = {"direction": (0, 0, 1), "max_lag": 8999}
    for count, phases in ((ops.pair_counts, (1, 1)), (ops.segment_counts, (1,))):
        want = count(labels, *phases, **keys)
        np.testing.assert_array_equal(fetch(count(send(labels), *phases, **keys)), want)


# ------------------------------------------------------------------------------------ the boundary


def test_nothing_in_nothing_out(gpu):
    send, fetch = gpu
    for shape in [(0, 2, 3, 4), (1, 0, 3, 4), (1, 2, 3, 0)]:
        x = send(np.zeros(shape, np.float32))
        out = send(np.zeros(shape, np.float32))
        assert tuple(ops.reverse_step(x, x, out=out, **STEP).shape) == shape
    for shape in [(0, 3, 4), (3, 0, 4), (3, 4, 0)]:
        counts, full = ops.run_lengths(send(np.zeros(shape, np.uint8)), axis=0, n_phases=2)
        assert counts.shape == (2, shape[0] + 1)
        assert not fetch(counts).any()
        assert not fetch(full).any()


def test_arrays_of_two_devices_are_refused(gpu):
    send, _ = gpu
    x = np.zeros((1, 2, 3, 4), np.float32)
    with pytest.raises(ValueError, match=r"`net` must be on the same device as `x` \(cuda:0\)"):
        ops.reverse_step(send(x), x, out=send(x), a=1, b=1)
    with pytest.raises(ValueError, match="`out` must be on the same device as `x`"):
        ops.reverse_step(x, x, out=send(x), a=1, b=1)
    labels = np.zeros((2, 3, 4), np.uint8)
    with pytest.raises(ValueError, match="`mask` must be on the same device as `labels`"):
        ops.run_lengths(send(labels), axis=0, n_phases=2, mask=labels)


def test_a_gpu_can_be_shared_by_two_libraries():
    torch, cupy = pytest.importorskip("torch"), pytest.importorskip("cupy")
    f = fields((1, 5, 33, 40))
    out = cupy.full(f["x"].shape, cupy.nan, dtype="float32")
    torch.cuda.synchronize()
    ops.reverse_step(torch.from_numpy(f["x"]).to(DEVICE), cupy.asarray(f["net"]), out=out, **STEP)
    np.testing.assert_allclose(cupy.asnumpy(out), on_cpu(f), **TOLERANCE)


def test_pinned_memory_is_the_host():
    torch = pytest.importorskip("torch")
    f = {name: torch.from_numpy(v).pin_memory() for name, v in fields((1, 5, 33, 40)).items()}
    out = torch.empty_like(f["x"]).pin_memory()
    ops.reverse_step(**f, out=out, **STEP)
    np.testing.assert_allclose(out.numpy(), on_cpu(fields((1, 5, 33, 40))), rtol=0, atol=0)
