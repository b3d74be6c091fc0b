# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""reverse_step: the float64 reference in every layout; noise by global voxel."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

from micro3d_fast import ops
from micro3d_fast.reference.reverse_step import reverse_step as reference

# The batch of slices of a plane, (N, C, H, W), as a (C, Z, Y, X) view.
FROM_BATCH = {"xy": (1, 0, 2, 3), "xz": (1, 2, 0, 3), "yz": (1, 2, 3, 0)}
PLANES = list(FROM_BATCH)
# two float32 roundings of each of up to five terms of size 1 ... 6.7, and Box-Muller to a few ulp
TOLERANCE = {"rtol": 2e-6, "atol": 4e-6}


def field(values, plane, channels_last=False):
    """The values (C, Z, Y, X), laid out in memory as the batch of a plane."""
    order = np.argsort(FROM_BATCH[plane])
    if channels_last:
        order = [order[0], order[2], order[3], order[1]]
    memory = np.ascontiguousarray(values.transpose(order))
    return memory.transpose(np.argsort(order))


def random_fields(rng, shape, names="x net net_uncond h0"):
    return {name: rng.standard_normal(shape).astype(np.float32) for name in names.split()}


def native(x, net, out=None, **arguments):
    out = np.full_like(x, np.nan) if out is None else out
    return ops.reverse_step(x, net, out=out, **arguments)


MODES = {
    "step": {},
    "noise": {"noise": 0.7, "seed": 2**63 + 12345, "draw": 99},
    "guided": {"guidance": 2.5, "noise": 0.3, "seed": 5},
    "blend": {"h": 0.5, "noise": 0.3, "seed": 6, "draw": 2**32 - 1},
    "clip": {"clip": (1.7, -1.2), "noise": 0.1, "seed": 1},
    "all": {"clip": (1.1, -0.6), "guidance": 0.3, "h": -0.25, "noise": 1.0, "seed": 8},
}


def with_fields(fields, mode):
    """The arguments of a mode; arrays that it does not use are left out."""
    arguments = {"a": 1.01, "b": -0.35, "x": fields["x"], "net": fields["net"], **mode}
    if "guidance" in mode:
        arguments["net_uncond"] = fields["net_uncond"]
    if "h" in mode:
        arguments["h0"] = fields["h0"]
    return arguments


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("shape", [(1, 8, 33, 70), (3, 5, 7, 9), (1, 1, 1, 1)], ids=str)
def test_equals_reference(rng, mode, shape):
    arguments = with_fields(random_fields(rng, shape), MODES[mode])
    want = reference(**arguments)
    np.testing.assert_allclose(native(**arguments), want, **TOLERANCE)


@pytest.mark.parametrize("layouts", list(itertools.product(PLANES, repeat=3)), ids="-".join)
def test_every_layout_of_state_network_and_output(rng, layouts):
    for shape, noise in itertools.product([(2, 6, 37, 41), (1, 40, 5, 35)], [0.0, 0.6]):
        f = random_fields(rng, shape, "x net")
        plane_x, plane_net, plane_out = layouts
        out = field(np.full(shape, np.nan, np.float32), plane_out)
        arguments = {"a": 0.9, "b": 0.4, "noise": noise, "seed": 4, "draw": 3}
        got = native(field(f["x"], plane_x), field(f["net"], plane_net), out, **arguments)
        assert got is out
        np.testing.assert_allclose(got, reference(**f, **arguments), **TOLERANCE)
        np.testing.assert_array_equal(got, native(**f, **arguments))


@pytest.mark.parametrize("layouts", list(itertools.product(PLANES, repeat=2)), ids="-".join)
@pytest.mark.parametrize("origin", [(0, 0, 0), (1, 2, 4), (1, 2, 3)], ids=str)
def test_large_volumes(rng, layouts, origin):
    """Several tiles along y and x, whole and in part."""
    shape = (1, 48, 80, 260)
    f = random_fields(rng, shape, "x net")
    arguments = {"a": 0.9, "b": 0.4, "noise": 0.6, "seed": 4, "origin": origin}
    x, net = (field(f[name], layouts[0]) for name in ("x", "net"))
    out = field(np.full(shape, np.nan, np.float32), layouts[1])
    native(x, net, out, **arguments)
    np.testing.assert_array_equal(out, native(**f, **arguments))
    np.testing.assert_allclose(out, reference(**f, **arguments), **TOLERANCE)


@pytest.mark.parametrize("layouts", list(itertools.product(PLANES, repeat=2)), ids="-".join)
@pytest.mark.parametrize("element", ["float32", "bfloat16", "float16"])
def test_sixteen_bit_channels_last_network(rng, layouts, element):
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, element)
    shape = (3, 6, 37, 21)
    f = random_fields(rng, shape)
    arguments = with_fields(f, MODES["all"])
    for name in ("net", "net_uncond"):  # what the network gives: rounded, in its own layout
        rounded = torch.from_numpy(f[name]).to(dtype)
        f[name] = rounded.float().numpy()
        batch = rounded.permute(tuple(np.argsort(FROM_BATCH[layouts[0]])))
        batch = batch.contiguous(memory_format=torch.channels_last)
        arguments[name] = batch.permute(FROM_BATCH[layouts[0]])
    for name in ("x", "h0"):
        arguments[name] = torch.from_numpy(field(f[name], layouts[0]))
    want = reference(**with_fields(f, MODES["all"]))
    out = torch.from_numpy(field(np.zeros(shape, np.float32), layouts[1]))
    batch = torch.zeros([shape[i] for i in np.argsort(FROM_BATCH[layouts[1]])], dtype=dtype)
    batch = batch.contiguous(memory_format=torch.channels_last)
    out_net = batch.permute(FROM_BATCH[layouts[1]])
    native(out=out, out_net=out_net, **arguments)
    np.testing.assert_allclose(out.numpy(), want, **TOLERANCE)
    assert torch.equal(out_net, out.to(dtype))  # the same values, rounded as torch rounds
    assert batch.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("element", ["bfloat16", "float16"])
def test_sixteen_bit_numbers_convert_as_torch_does(element):
    torch = pytest.importorskip("torch")
    dtype = getattr(torch, element)
    every = torch.arange(2**16, dtype=torch.int32).to(torch.int16).view(dtype)
    shape = (1, 1, 256, 256)
    net = every.reshape(shape)
    out = torch.empty(shape)
    native(torch.zeros(shape), net, out, a=0, b=1)
    assert torch.equal(out.nan_to_num(1.5), net.float().nan_to_num(1.5))
    assert torch.equal(out.isnan(), net.isnan())
    # every float32 exponent with mantissas about the rounding ties
    bits = (np.arange(2**9, dtype=np.uint32) << 23)[:, None] + np.array(
        [0, 1, 0xFFF, 0x1000, 0x1001, 0x2FFF, 0x3000, 0x7FFF, 0x8000, 0x8001, 0x18000, 0x7FFFFF],
        dtype=np.uint32,
    )
    x = torch.from_numpy(bits.view(np.float32).reshape(1, 1, 512, 12))
    out_net = torch.zeros(x.shape, dtype=dtype)
    native(x, torch.zeros(x.shape), torch.empty(x.shape), a=1, b=0, out_net=out_net)
    assert torch.equal(out_net.nan_to_num(1.5), x.to(dtype).nan_to_num(1.5))
    assert torch.equal(out_net.isnan(), x.isnan())


def test_backends(backend, rng):
    send, fetch = backend
    f = random_fields(rng, (2, 33, 17, 40), "x net")
    out = send(np.empty_like(f["x"]))
    arguments = {"a": 0.9, "b": 0.4, "noise": 0.6, "seed": 4, "draw": 3}
    ops.reverse_step(send(f["x"]), send(f["net"]), out=out, **arguments)
    np.testing.assert_allclose(fetch(out), reference(**f, **arguments), **TOLERANCE)


@pytest.mark.cuda
@pytest.mark.parametrize("layouts", list(itertools.product(PLANES, repeat=3)), ids="-".join)
def test_cuda_in_every_layout(rng, layouts):
    torch = pytest.importorskip("torch")
    for shape in [(3, 6, 37, 41), (1, 64, 64, 64), (1, 40, 5, 35)]:
        f = random_fields(rng, shape, "x net")
        out = torch.from_numpy(field(np.zeros(shape, np.float32), layouts[2])).cuda()
        out_net = torch.zeros(shape, dtype=torch.bfloat16, device="cuda")
        arguments = {"a": 0.9, "b": 0.4, "noise": 0.6, "seed": 4, "draw": 3}
        ops.reverse_step(
            torch.from_numpy(field(f["x"], layouts[0])).cuda(),
            torch.from_numpy(field(f["net"], layouts[1], channels_last=True)).cuda(),
            out=out,
            out_net=out_net,
            **arguments,
        )
        np.testing.assert_allclose(out.cpu().numpy(), reference(**f, **arguments), **TOLERANCE)
        assert torch.equal(out_net, out.to(torch.bfloat16))


@pytest.mark.parametrize("view", [np.s_[:, ::2, 1:, ::3], np.s_[:, ::-1, :, ::-1]], ids=str)
def test_strided_views_are_read_and_written_in_place(rng, view):
    big = {n: rng.standard_normal((2, 12, 20, 45)).astype(np.float32) for n in ("x", "net", "out")}
    f = {name: values[view] for name, values in big.items()}
    before = big["out"].copy()
    arguments = {"a": 0.5, "b": 2.0, "noise": 0.2, "seed": 9}
    want = reference(f["x"], f["net"], **arguments)
    native(**f, **arguments)
    np.testing.assert_allclose(f["out"], want, **TOLERANCE)
    touched = np.zeros(before.shape, bool)
    touched[view] = True
    np.testing.assert_array_equal(big["out"][~touched], before[~touched])


def test_a_broadcast_input_is_fine(rng):
    x = rng.standard_normal((1, 4, 5, 6)).astype(np.float32)
    net = np.broadcast_to(np.float32(2.0), x.shape)
    np.testing.assert_allclose(native(x, net, a=1, b=0.5), x + 1, **TOLERANCE)


@pytest.mark.parametrize("plane", PLANES)
def test_a_slab_with_its_origin_equals_the_slab_of_the_whole(rng, plane):
    shape = (2, 12, 40, 75)
    f = {n: field(v, plane) for n, v in random_fields(rng, shape, "x net").items()}
    arguments = {"a": 0.9, "b": 0.4, "noise": 0.6, "seed": 77, "draw": 2}
    whole = native(**f, **arguments)
    for z, y, x in [(3, 0, 0), (0, 17, 0), (5, 11, 34), (2, 1, 1), (0, 0, 67), (1, 39, 74)]:
        part = np.s_[:, z:, y:, x:]
        slab = {name: values[part] for name, values in f.items()}
        got = native(**slab, origin=(z, y, x), **arguments)
        np.testing.assert_array_equal(got, whole[part])


def test_neither_threads_nor_layout_change_a_bit(rng):
    shape = (1, 40, 50, 60)
    f = random_fields(rng, shape)
    arguments = with_fields(f, MODES["all"])
    want = native(threads=1, **arguments)
    for threads in (2, 5):
        np.testing.assert_array_equal(native(threads=threads, **arguments), want)
    turned = {k: field(v, "yz") if k in f else v for k, v in arguments.items()}
    np.testing.assert_array_equal(native(threads=3, **turned), want)


def test_instruction_sets_agree():
    """The bits of older processors, in a process of their own (the choice is made once)."""
    code = """
import hashlib
import numpy as np
from micro3d_fast import ops
rng = np.random.default_rng(5)
x, net, net_uncond, h0 = rng.standard_normal((4, 2, 6, 37, 141)).astype(np.float32)
for mode in {MODES}:
    more = {"net_uncond": net_uncond} if "guidance" in mode else {}
    more.update({"h0": h0} if "h" in mode else {})
    out = np.empty((2, 6, 141, 37), np.float32).transpose(0, 1, 3, 2)
    ops.reverse_step(x, net, out=out, a=1.01, b=-0.35, origin=(1, 2, 3), **more, **mode)
    print(hashlib.sha256(out.tobytes()).hexdigest())
""".replace("{MODES}", repr(list(MODES.values())))
    digests = [
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "MICRO3D_ISA": isa},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for isa in ("baseline", "best")
    ]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == len(MODES)


def test_normals_are_normal():
    from scipy import stats

    shape = (1, 64, 64, 64)
    zero = np.zeros(shape, np.float32)
    z = native(x=zero, net=zero, a=0, b=0, noise=1, seed=2026).ravel().astype(np.float64)
    n = z.size
    assert abs(z.mean()) < 4 / np.sqrt(n)
    assert abs(z.var() - 1) < 4 * np.sqrt(2 / n)
    assert abs(stats.skew(z)) < 4 * np.sqrt(6 / n)
    assert abs(stats.kurtosis(z)) < 4 * np.sqrt(24 / n)
    assert stats.kstest(z, "norm").pvalue > 1e-3
    lanes = z.reshape(-1, 4)  # the four normals of a block, and neighbours, are independent
    correlation = np.corrcoef(lanes.T) - np.eye(4)
    assert np.abs(correlation).max() < 5 / np.sqrt(n / 4)
    for lag in (1, 4, 64, 4096):
        assert abs(np.mean(z[lag:] * z[:-lag])) < 5 / np.sqrt(n)


def test_draws_and_seeds_differ():
    zero = np.zeros((1, 4, 4, 64), np.float32)
    draws = [
        native(x=zero, net=zero, a=0, b=0, noise=1, seed=s, draw=d).ravel()
        for s, d in [(0, 0), (0, 1), (1, 0), (2**32, 0)]
    ]
    for one, other in itertools.combinations(draws, 2):
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.2
        assert (one != other).all()


@pytest.mark.parametrize("shape", [(1, 0, 3, 4), (0, 2, 2, 2)], ids=str)
def test_empty_volumes(shape):
    x = np.zeros(shape, np.float32)
    assert native(x=x, net=x, a=1, b=1, noise=1).shape == shape


def test_unread_arrays_are_not_read(rng):
    f = random_fields(rng, (1, 3, 4, 5), "x net")
    nan = np.full((1, 3, 4, 5), np.nan, np.float32)
    got = native(**f, a=1, b=1, net_uncond=nan, guidance=1.0, h0=nan, h=0.0)
    np.testing.assert_array_equal(got, f["x"] + f["net"])


GOOD = np.zeros((1, 2, 3, 4), np.float32)
SHARED = np.zeros((1, 2, 3, 8), np.float32)
READ_ONLY = np.zeros_like(GOOD)
READ_ONLY.flags.writeable = False
REPEATED = np.lib.stride_tricks.as_strided(np.zeros(4, np.float32), (1, 2, 3, 4), (0, 0, 0, 4))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"x": GOOD[0]}, ValueError, r"`x` must have 4 axes, got shape \(2, 3, 4\)"),
        ({"x": GOOD.astype(np.float64)}, TypeError, "`x` must be float32, got float64"),
        ({"x": 1.0}, TypeError, "`x` must be an array .* got float"),
        ({"net": GOOD[:, :1]}, ValueError, r"`net` must have shape \(1, 2, 3, 4\), got \(1, 1"),
        (
            {"net": GOOD.astype(np.int32)},
            TypeError,
            "`net` must be float32, bfloat16 or float16, got int32",
        ),
        ({"net_uncond": GOOD[..., :3], "guidance": 2.0}, ValueError, "`net_uncond` must have sh"),
        ({"h0": GOOD.astype(np.float16), "h": 1.0}, TypeError, "`h0` must be float32"),
        ({"out": np.zeros((1, 2, 3, 5), np.float32)}, ValueError, "`out` must have shape"),
        ({"out": GOOD}, ValueError, "`out` must not share memory with `x`"),
        (
            {"x": SHARED[..., :4], "out": SHARED[..., 1:5]},
            ValueError,
            "`out` must not share memory with `x`",
        ),
        ({"out_net": GOOD}, ValueError, "`out_net` must not share memory with `x`"),
        (
            {"out": SHARED[..., :4], "out_net": SHARED[..., 4:]},
            ValueError,
            "`out_net` must not share memory with `out`",
        ),
        ({"out": READ_ONLY}, ValueError, "`out` must be writable, got a read-only array"),
        (
            {
                "out": np.lib.stride_tricks.as_strided(
                    np.zeros(4, np.float32), (1, 2, 3, 4), (0, 0, 0, 4)
                )
            },
            ValueError,
            "`out` must have an element of its own .* along axis 1",
        ),
        ({"out_net": GOOD.astype(np.float64)}, TypeError, "`out_net` must be float32, bfloat16 or"),
        ({"a": float("nan")}, ValueError, "`a`"),
        ({"b": "1"}, TypeError, "`b`"),
        ({"noise": -0.1}, ValueError, "`noise`"),
        ({"guidance": 2.0}, ValueError, "`net_uncond` must be given with `guidance`"),
        ({"h": 0.5}, ValueError, "`h0` must be given with `h`"),
        ({"clip": (1.0, 2.0, 3.0)}, ValueError, "`clip` must be"),
        ({"clip": (1.0, float("inf"))}, ValueError, r"`clip\[1\]`"),
        ({"seed": -1}, ValueError, "`seed`"),
        ({"seed": 2**64}, ValueError, "`seed`"),
        ({"seed": 1.5}, TypeError, "`seed`"),
        ({"draw": 2**32}, ValueError, "`draw`"),
        ({"origin": (0, 0)}, ValueError, "`origin` must be"),
        ({"origin": (0, 0, -4)}, ValueError, "`origin`"),
        ({"origin": (0, 0, 2**26 - 3)}, ValueError, "`origin` must keep the global index below"),
        ({"threads": -1}, ValueError, "`threads`"),
    ],
)
def test_refusals_name_the_argument(change, error, words):
    arguments = {"x": GOOD, "net": np.ones_like(GOOD), "out": np.empty_like(GOOD), "a": 1, "b": 1}
    arguments.update(change)
    with pytest.raises(error, match=words):
        ops.reverse_step(arguments.pop("x"), arguments.pop("net"), **arguments)


def test_too_many_channels():
    x = np.zeros((257, 1, 1, 1), np.float32)
    with pytest.raises(ValueError, match="at most 256 channels"):
        native(x=x, net=x, a=1, b=1)
