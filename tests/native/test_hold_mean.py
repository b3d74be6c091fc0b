# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""hold_mean: the float64 definition for every layout and element type, of one volume or several."""

from __future__ import annotations

import numpy as np
import pytest

from _slice_batches import float64, slice_batches
from micro3d_fast import ops
from micro3d_fast.reference.mean_hold import hold_mean as reference

torch = pytest.importorskip("torch")

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
#: of the result, half a unit in the last place; in float32 that of x0, times exp(2 |w|)
ROUNDING = {torch.float32: 5e-6, torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}
P, Q = 0.8, -0.6
MEAN = {1: [-0.3], 3: [-0.7, 0.1, -0.4]}


def native(x, outputs, tilt, **arguments):
    mean = torch.tensor(MEAN[x.shape[2]], device=x.device)
    partials = torch.full(
        (tilt.numel() * ops.MEAN_HOLD_PARTIALS,), torch.nan, dtype=torch.float64, device=x.device
    )
    keys = {"p": P, "q": Q, "part": (x.shape[1], *x.shape[3:]), "partials": partials, **arguments}
    ops.hold_mean(x, *outputs, mean=mean, tilt=tilt, **keys)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize(
    ("shape", "part", "every"),
    [
        ((1, 16, 1, 20, 32), (16, 20, 32), 1),
        ((2, 9, 3, 12, 14), (7, 12, 13), 1),
        ((3, 20, 1, 33, 44), (20, 31, 41), 4),
        ((1, 5, 3, 40, 300), (5, 40, 300), 2),
        ((2, 1, 1, 3, 2), (1, 2, 1), 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("guidance", [None, 1.7])
def test_equals_the_definition(rng, device, dtype, shape, part, every, guidance):
    x = slice_batches(rng, shape, device)
    outputs = [
        slice_batches(rng, shape, device, dtype, channels_last=True)
        for _ in range(1 if guidance is None else 2)
    ]
    tilt = torch.from_numpy(rng.uniform(-0.5, 0.5, (shape[0], shape[2]))).float().to(device)
    keys = {"part": part, "every": every, **({} if guidance is None else {"guidance": guidance})}
    given = [float64(t) for t in (x, *outputs)]
    want, wanted_tilt = reference(*given, mean=MEAN[shape[2]], tilt=float64(tilt), p=P, q=Q, **keys)
    native(x, outputs, tilt, **keys)
    # a sum may be rounded to the other side
    np.testing.assert_allclose(float64(tilt), wanted_tilt, rtol=0, atol=1.01 / 4096)
    same = float64(tilt) == wanted_tilt
    assert same.mean() > 0.5
    for got, one in zip(outputs, want, strict=True):
        scale = np.abs(one).max()
        difference = np.abs(float64(got) - one)
        for i, c in zip(*same.nonzero(), strict=True):
            assert difference[i, :, c].max() <= ROUNDING[dtype] * scale


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_mean_becomes_the_wanted_one(rng, device, channels):
    """Voxels whose prediction is clamped to 0.999 stay there: fewer than one in ten here."""
    x = slice_batches(rng, (2, 16, channels, 24, 20), device)
    net = 0.5 * slice_batches(rng, x.shape, device, channels_last=True)
    tilt = torch.zeros(2, channels, device=device)
    for _ in range(3):
        held = net.clone()
        native(0.3 * x, [held], tilt)
    means = (P * 0.3 * x + Q * held).mean((1, 3, 4)).cpu()
    np.testing.assert_allclose(means, np.broadcast_to(MEAN[channels], means.shape), atol=0.002)


@pytest.mark.parametrize("device", DEVICES)
def test_a_volume_does_not_depend_on_the_others(rng, device):
    x = slice_batches(rng, (3, 8, 1, 20, 24), device)
    net = slice_batches(rng, x.shape, device, torch.bfloat16, channels_last=True)
    alone, tilt = net[1:2].clone(), torch.zeros(3, 1, device=device)
    native(x, [net], tilt)
    tilt_alone = torch.zeros(1, 1, device=device)
    native(x[1:2], [alone], tilt_alone)
    assert torch.equal(tilt[1:2], tilt_alone)
    assert torch.equal(net[1:2], alone)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("guidance", [None, 1.7])
def test_sums_of_slabs_are_those_of_the_volume(rng, device, guidance):
    shape, part, every, blocks = (2, 13, 3, 20, 70), (11, 17, 67), 3, 1 if device == "cpu" else 5
    x = slice_batches(rng, shape, device)
    outputs = [
        slice_batches(rng, shape, device, torch.bfloat16, channels_last=True)
        for _ in range(1 if guidance is None else 2)
    ]
    tilt = torch.from_numpy(rng.uniform(-0.5, 0.5, (2, 3))).float().to(device)
    keys = {"tilt": tilt, "p": P, "q": Q, "every": every, "guidance": guidance or 1.0}

    def sums(first, stop, counted):
        out = torch.full((2, 3, counted, blocks, 2), torch.nan, dtype=torch.float64, device=device)
        given = [each[:, first:stop] for each in (x, *outputs)]
        slab = (min(stop, part[0]) - first, *part[1:])
        return ops.mean_hold_sums(*given, out=out, part=slab, **keys)

    whole = sums(0, 13, 4)
    assert torch.equal(whole, torch.cat([sums(0, 5, 2), sums(6, 13, 2)], 2))
    e = outputs[0].double()
    if guidance is not None:
        e = guidance * e + (1 - guidance) * outputs[1].double()
    x0 = (P * x.double() + Q * e).clamp(-0.999, 0.999)[:, :11:3, :, :17, :67]
    t = tilt.double().tanh()[:, None, :, None, None]
    y = (x0 + t) / (1 + x0 * t)
    want = torch.stack([y.sum((3, 4)), (y**2).sum((3, 4))], -1).transpose(1, 2)
    np.testing.assert_allclose(float64(whole.sum(3)), float64(want), rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("device", DEVICES)
def test_a_given_tilt_is_taken_as_it_is(rng, device):
    x = slice_batches(rng, (2, 8, 3, 20, 24), device)
    net = slice_batches(rng, x.shape, device, torch.bfloat16, channels_last=True)
    found, given, tilt = net.clone(), net.clone(), torch.zeros(2, 3, device=device)
    native(x, [found], tilt)
    kept = tilt.clone()
    native(x, [given], tilt, given=True, part=(1, 1, 1))
    assert torch.equal(found, given)
    assert torch.equal(tilt, kept)
    assert not torch.equal(found, net)


def test_threads_do_not_matter(rng):
    x = slice_batches(rng, (1, 30, 3, 20, 24), "cpu")
    net = slice_batches(rng, x.shape, "cpu", channels_last=True)
    found = []
    for threads in (1, 2, 3):
        held, tilt = net.clone(), torch.zeros(1, 3)
        native(x, [held], tilt, threads=threads)
        found.append((held, tilt))
    for held, tilt in found[1:]:
        assert torch.equal(held, found[0][0])
        assert torch.equal(tilt, found[0][1])


def test_refusals(rng):
    x, tilt = slice_batches(rng, (1, 4, 1, 5, 6), "cpu"), torch.zeros(1, 1)
    with pytest.raises(ValueError, match="`part` must lie within the slices, got \\(5, 5, 6\\)"):
        native(x, [x.clone()], tilt, part=(5, 5, 6))
    with pytest.raises(ValueError, match="`net` must not share memory with `x`"):
        native(x, [x], tilt)
    with pytest.raises(ValueError, match="`tilt` must have shape \\(1, 1\\)"):
        native(x, [x.clone()], torch.zeros(2, 1))
    sums = torch.zeros(1, 1, 3, 1, 2, dtype=torch.float64)
    keys = {"p": P, "q": Q, "part": (4, 5, 6)}
    with pytest.raises(ValueError, match="`out` must have shape \\(1, 1, 4, 1, 2\\)"):
        ops.mean_hold_sums(x, x.clone(), tilt=tilt, out=sums, **keys)
    with pytest.raises(ValueError, match="`every`"):
        native(x, [x.clone()], tilt, every=0)
