# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""group_norm and channel_affine: kernel = torch's layers one after the other, in float64."""

from __future__ import annotations

import pytest

from micro3d_fast import ops

torch = pytest.importorskip("torch")

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]
TYPES = {torch.float32: 3e-6, torch.bfloat16: 8e-3, torch.float16: 1e-3}  # relative to largest


def images(shape, dtype, device, seed=0):
    """Random images with a mean, channels last."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator) * 2 + 3
    return x.to(device, dtype).contiguous(memory_format=torch.channels_last)


def numbers(shape, dtype, device, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(device, dtype)


def close(got, want, tolerance):
    error = (got.double().cpu() - want.cpu()).abs().max() / want.abs().max().cpu()
    assert error <= tolerance


def partials(x, groups):
    count = len(x) * groups * ops.GROUP_NORM_PARTIALS
    return torch.full((count,), float("nan"), device=x.device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize(
    ("shape", "groups"),
    [
        ((3, 48, 9, 7), 8),  # groups of 6 channels
        ((2, 64, 33, 16), 8),
        ((1, 2560, 3, 2), 8),  # more channels than threads
        ((5, 12, 1, 1), 4),
        ((2, 10, 5, 3), 2),  # no multiple of 16 bytes
    ],
    ids=str,
)
def test_group_norm_is_that_of_torch(device, dtype, shape, groups):
    x = images(shape, dtype, device)
    c = shape[1]
    weight, bias, before = (numbers((c,), dtype, device, s) for s in (1, 2, 3))
    scale, shift = numbers((shape[0], 2 * c), dtype, device, 4).chunk(2, dim=1)
    norm = torch.nn.functional.group_norm
    d = [t.double() for t in (x, weight, bias, before, scale, shift)]
    plain = norm(d[0], groups, d[1], d[2], 1e-5)
    out = torch.full_like(x, float("nan"))
    keys = {"groups": groups, "weight": weight, "bias": bias, "partials": partials(x, groups)}
    close(ops.group_norm(x, out=out, **keys), plain, TYPES[dtype])

    full = norm(d[0] + d[3][:, None, None], groups, d[1], d[2], 1e-5)
    full = torch.nn.functional.silu(full * (1 + d[4][..., None, None]) + d[5][..., None, None])
    keys |= {"before": before, "scale": scale, "shift": shift, "silu": True}
    close(ops.group_norm(x, out=out, **keys), full, TYPES[dtype])
    again = ops.group_norm(x, out=x, **keys)  # in place
    assert torch.equal(again, out)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(3, 48, 9, 7), (1, 2560, 3, 2), (2, 10, 5, 3)], ids=str)
def test_channel_affine_is_the_terms_one_by_one(device, dtype, shape):
    x, add = images(shape, dtype, device), images(shape, dtype, device, 1)
    bias = numbers(shape[1:2], dtype, device, 2)
    scale = numbers(shape[:2], torch.float32, device, 3)
    out = torch.full_like(x, float("nan"))
    close(ops.channel_affine(x, out=out, bias=bias), x.double() + bias[:, None, None], TYPES[dtype])
    want = (x.double() + bias[:, None, None]) * scale[..., None, None] + add
    close(ops.channel_affine(x, out=out, bias=bias, scale=scale, add=add), want, TYPES[dtype])
    want = torch.nn.functional.silu(x.double() + add)
    close(ops.channel_affine(x, out=add, add=add, silu=True), want, TYPES[dtype])


def test_arguments_are_refused():
    x = torch.zeros(2, 8, 4, 4).contiguous(memory_format=torch.channels_last)
    one = torch.ones(8)
    keys = {"out": x, "groups": 2, "weight": one, "bias": one}
    with pytest.raises(ValueError, match="channels-last"):
        ops.group_norm(x.contiguous(), **keys)
    with pytest.raises(ValueError, match=r"`groups` must divide the channels, .*3 for 8"):
        ops.group_norm(x, **{**keys, "groups": 3})
    with pytest.raises(ValueError, match=r"`weight` must be \(C,\) or \(1 or B, C\), got \(7,\)"):
        ops.group_norm(x, **{**keys, "weight": torch.ones(7)})
    with pytest.raises(ValueError, match="`scale` and `shift` together"):
        ops.group_norm(x, scale=one, **keys)
    with pytest.raises(TypeError, match="`add` must be float32, got bfloat16"):
        ops.channel_affine(x, out=x, add=x.bfloat16())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("shape", [(3, 70, 64), (501, 32), (2, 3, 7), (4, 1, 1)], ids=str)
def test_unit_rows_are_those_of_torch(device, dtype, shape):
    x = numbers(shape, dtype, device, 0)
    x.view(-1, shape[-1])[0] = 0
    scale = numbers(shape[-1:], dtype, device, 1)
    want = torch.nn.functional.normalize(x.double(), dim=-1) * scale.double()
    out = torch.full_like(x, float("nan"))
    close(ops.unit_rows(x, out=out, scale=scale), want, TYPES[dtype])
    assert torch.equal(ops.unit_rows(x, out=x, scale=scale), out)
