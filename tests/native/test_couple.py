# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""couple: the float64 definition for every layout and element type, of one volume or several."""

from __future__ import annotations

import numpy as np
import pytest

from _slice_batches import float64, slice_batches
from micro3d_fast import ops
from micro3d_fast.reference.coupling import couple as reference

torch = pytest.importorskip("torch")

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
#: of the result, half a unit in the last place; in float32 that of x0, times exp(2 |w|)
ROUNDING = {torch.float32: 1e-5, torch.bfloat16: 2.0**-8, torch.float16: 2.0**-11}
STRENGTH = {1: [[0.3, -0.2]], 3: [[0.3, -0.2], [0.0, 0.5], [-0.6, 0.0]]}
KEYS = {"p": 0.8, "q": -0.6, "periodic": (False, True)}


def native(x, outputs, **arguments):
    scratch = torch.full(tuple(x.shape), torch.nan, device=x.device)
    strength = torch.tensor(STRENGTH[x.shape[2]], device=x.device)
    ops.couple(x, *outputs, **{"x0": scratch, "strength": strength, **KEYS, **arguments})


def passes(rng, x):
    """What earlier passes need, for x of shape (N, S, C, H, W)."""
    earlier = torch.from_numpy(rng.normal(0, 0.4, tuple(x.shape))).float().to(x.device)
    prior = torch.from_numpy(rng.uniform(-1, 1, (x.shape[0], x.shape[2]))).float().to(x.device)
    return {"earlier": earlier, "prior": prior, "evidence": 1.7, "agreement": 0.4}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", ROUNDING, ids=str)
@pytest.mark.parametrize(
    "shape",
    [(1, 16, 1, 20, 32), (2, 9, 3, 12, 14), (1, 5, 3, 7, 300), (2, 1, 1, 1, 2), (1, 2, 3, 2, 1)],
    ids=str,
)
@pytest.mark.parametrize("guidance", [None, 1.7])
@pytest.mark.parametrize("counts", [False, True], ids=["alone", "earlier passes"])
@pytest.mark.parametrize("periodic", [(False, True), (True, False)], ids=str)
def test_equals_the_definition(rng, device, dtype, shape, guidance, counts, periodic):
    x = slice_batches(rng, shape, device)
    outputs = [
        slice_batches(rng, shape, device, dtype, channels_last=True)
        for _ in range(1 if guidance is None else 2)
    ]
    keys = {"periodic": periodic, **({} if guidance is None else {"guidance": guidance})}
    keys |= passes(rng, x) if counts else {}
    as64 = {k: float64(v) if torch.is_tensor(v) else v for k, v in keys.items()}
    given = [float64(t) for t in (x, *outputs)]
    want, left = reference(*given, **{**KEYS, **as64, "strength": np.array(STRENGTH[shape[2]])})
    native(x, outputs, **keys)
    for got, one in zip(outputs, want, strict=True):
        assert np.abs(float64(got) - one).max() <= ROUNDING[dtype] * np.abs(one).max()
    if counts:
        np.testing.assert_allclose(float64(keys["earlier"]), left, atol=1e-5)


@pytest.mark.parametrize("device", DEVICES)
def test_large_odds_stay_finite_and_certain(rng, device):
    """exp(2 w) overflows float32 from w = 44 on."""
    x = torch.zeros(1, 1, 1, 2, 4, device=device)
    net = torch.tensor([[0.0, 0.5, -0.5, 0.999]] * 2, device=device).reshape(1, 1, 1, 2, 4)
    earlier = torch.tensor([[1e4] * 4, [-1e4] * 4], device=device).reshape(1, 1, 1, 2, 4)
    keys = {"earlier": earlier, "prior": torch.zeros(1, 1, device=device), "p": 0.0, "q": 1.0}
    native(x, [net], **keys, agreement=0.4)
    np.testing.assert_allclose(float64(net[0, 0, 0, 0]), 1, atol=1e-6)
    np.testing.assert_allclose(float64(net[0, 0, 0, 1]), -1, atol=1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_slices_and_volumes_do_not_depend_on_others(rng, device):
    x = slice_batches(rng, (3, 8, 3, 20, 24), device)
    net = slice_batches(rng, x.shape, device, torch.bfloat16, channels_last=True)
    keys = passes(rng, x)
    alone, own = net[1:2, 3:5].clone(), {k: v for k, v in keys.items() if k != "earlier"}
    own |= {"earlier": keys["earlier"][1:2, 3:5].clone(), "prior": keys["prior"][1:2]}
    native(x, [net], **keys)
    native(x[1:2, 3:5], [alone], **own)
    assert torch.equal(net[1:2, 3:5], alone)
    assert torch.equal(keys["earlier"][1:2, 3:5], own["earlier"])


def test_threads_do_not_matter(rng):
    x = slice_batches(rng, (1, 30, 3, 20, 24), "cpu")
    net, keys = slice_batches(rng, x.shape, "cpu", channels_last=True), passes(rng, x)
    found = []
    for threads in (1, 2, 3):
        coupled, earlier = net.clone(), keys["earlier"].clone()
        native(x, [coupled], **{**keys, "earlier": earlier}, threads=threads)
        found.append((coupled, earlier))
    for coupled, earlier in found[1:]:
        assert torch.equal(coupled, found[0][0])
        assert torch.equal(earlier, found[0][1])


def test_refusals(rng):
    x = slice_batches(rng, (2, 4, 1, 5, 6), "cpu")
    keys = passes(rng, x)
    with pytest.raises(ValueError, match="`net` must not share memory with `x`"):
        native(x, [x])
    with pytest.raises(ValueError, match="`x0` must have shape \\(2, 4, 1, 5, 6\\)"):
        native(x, [x.clone()], x0=torch.zeros(4))
    with pytest.raises(ValueError, match="`strength` must have shape \\(1, 2\\)"):
        native(x, [x.clone()], strength=torch.zeros(2, 1))
    with pytest.raises(ValueError, match="`prior` must be given with `earlier`, got None"):
        native(x, [x.clone()], **{**keys, "prior": None})
    with pytest.raises(ValueError, match="`earlier` must be C-contiguous"):
        native(x, [x.clone()], **{**keys, "earlier": torch.zeros(2, 4, 1, 6, 5).mT})
    with pytest.raises(ValueError, match="`agreement`"):
        native(x, [x.clone()], **{**keys, "agreement": float("nan")})
