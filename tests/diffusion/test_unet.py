# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The network: the paper's size and cost, shapes, periodic borders, conditions, group norm."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from micro3d_fast.diffusion import layers
from micro3d_fast.diffusion.device import channels_last
from micro3d_fast.diffusion.layers import (
    Condition,
    Conv,
    Downsample,
    GroupNormSilu,
    group_norm,
    pad_periodic,
)
from micro3d_fast.diffusion.unet import NO_PLANE, PRESETS, UNet, UNetConfig

TINY = UNetConfig(
    dim=8,
    multipliers=(1, 2),
    blocks=(1, 2),
    attention=(False, True),
    cross_attention=(False, True),
    heads=2,
    head_dim=8,
    cond_dim=16,
    stem=(3, 7),
)


def randomized(config: UNetConfig, seed: int = 0) -> UNet:
    """Return a network with a random output layer, which starts at zero by default."""
    torch.manual_seed(seed)
    net = UNet(config).eval()
    torch.nn.init.normal_(net.head.weight, std=0.1)
    return net


def cost(name: str) -> tuple[float, float]:
    """Return (parameters, FLOP of one 64 x 64 slice), counted on the meta device."""
    with torch.device("meta"):
        net = UNet(PRESETS[name])
        x, t, plane = torch.empty(1, 1, 64, 64), torch.empty(1), torch.zeros(1, dtype=torch.long)
        counter = FlopCounterMode(display=False)
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
            net(x, net.condition(t, plane))
    return sum(p.numel() for p in net.parameters()), counter.get_total_flops()


def test_paper_preset_has_the_size_and_cost_of_table_1():
    parameters, flop = cost("paper")
    assert parameters == pytest.approx(260e6, rel=0.05)
    assert flop == pytest.approx(92.65e9, rel=0.05)


def test_small_and_base_presets_have_their_documented_sizes():
    small, base = cost("small")[0], cost("base")[0]
    assert 1e6 <= small <= 3e6
    assert 10e6 <= base <= 25e6


@pytest.mark.parametrize("config", [TINY, PRESETS["small"]], ids=["tiny", "small"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (24, 40)])
def test_output_has_the_shape_of_the_input(config, channels, size):
    net = randomized(UNetConfig(**{**vars(config), "channels": channels}))
    x = torch.randn(2, channels, *size)
    cond = net.condition(torch.tensor([7, 900]), torch.tensor([0, NO_PLANE]))
    out = net(x, cond)
    assert out.shape == x.shape
    assert torch.isfinite(out).all()


def test_condition_of_batch_one_broadcasts():
    net = randomized(TINY)
    x = torch.randn(3, 1, 16, 16)
    with torch.no_grad():
        one = net.condition(torch.tensor([50]), torch.tensor([1]))
        three = net.condition(torch.full((3,), 50), torch.full((3,), 1))
        torch.testing.assert_close(net(x, one), net(x, three), rtol=1e-4, atol=1e-5)


def test_time_and_plane_matter():
    net = randomized(TINY)
    x = torch.randn(1, 1, 16, 16)

    def out(t: int, plane: int) -> torch.Tensor:
        with torch.no_grad():
            return net(x, net.condition(torch.tensor([t]), torch.tensor([plane])))

    base = out(500, 0)
    for other in (out(100, 0), out(500, 1), out(500, NO_PLANE)):
        assert (other - base).abs().max() > 1e-4


@pytest.mark.parametrize("axis", [2, 3])
def test_periodic_network_commutes_with_shifts_by_its_stride(axis):
    """Periodic convolutions: a rolled image gives the rolled output, along that axis only."""
    net = randomized(TINY)
    x = torch.randn(1, 1, 16, 24)
    cond = net.condition(torch.tensor([300]), torch.tensor([2]))
    shift = 3 * net.config.stride
    with torch.no_grad():
        net.set_periodic(axis == 2, axis == 3)
        rolled = net(x.roll(shift, axis), cond)
        torch.testing.assert_close(rolled, net(x, cond).roll(shift, axis), rtol=1e-4, atol=1e-5)
        net.set_periodic(False, False)
        assert (net(x.roll(shift, axis), cond) - net(x, cond).roll(shift, axis)).abs().max() > 1e-3


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_pad_periodic_is_circular_padding_in_the_same_memory_format(axis, form):
    x = torch.randn(2, 5, 6, 7).contiguous(memory_format=form)
    for p in (1, 3, 6):
        got = pad_periodic(x, axis, p)
        sides = (0, 0, p, p) if axis == 2 else (p, p, 0, 0)
        assert torch.equal(got, torch.nn.functional.pad(x, sides, mode="circular"))
        assert got.is_contiguous(memory_format=form)
    far = pad_periodic(x, axis, 17)  # more than twice around
    index = torch.arange(-17, x.shape[axis] + 17) % x.shape[axis]
    assert torch.equal(far, x.index_select(axis, index))


@pytest.mark.parametrize("periodic", [(True, False), (False, True), (True, True)])
@pytest.mark.parametrize("size", [(2, 3), (8, 5)], ids=["smaller than the padding", "larger"])
@pytest.mark.parametrize("training", [False, True])
def test_periodic_convolution_is_that_of_the_repeated_image(periodic, size, training):
    """Compare with the middle of a convolved image that repeats along its periodic axes."""
    torch.manual_seed(0)
    conv = Conv(3, 4, 7).to(memory_format=torch.channels_last).train(training)
    x = torch.randn(2, 3, *size).contiguous(memory_format=torch.channels_last)
    x.requires_grad_(training)
    conv.periodic = periodic
    got = conv(x)
    h, w = size
    repeats = [9 if wraps else 1 for wraps in periodic]
    conv.periodic = (False, False)
    tiled = conv(x.repeat(1, 1, *repeats))
    top, left = (n * (m // 2) for n, m in zip(size, repeats, strict=True))
    want = tiled[:, :, top : top + h, left : left + w]
    torch.testing.assert_close(got, want)
    assert got.is_contiguous(memory_format=torch.channels_last)
    if training:  # the gradient is periodic as well
        weight = torch.randn_like(got)
        gradients = [torch.autograd.grad((y * weight).sum(), x)[0] for y in (got, want)]
        torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_halving_is_pixel_unshuffle_and_a_pointwise_convolution(form):
    torch.manual_seed(0)
    down = Downsample(6, 5).to(memory_format=form)
    x = torch.randn(2, 6, 8, 12).contiguous(memory_format=form)
    got, want = down(x), torch.nn.Sequential.forward(down, x)
    torch.testing.assert_close(got, want)
    assert got.is_contiguous(memory_format=form)


def test_config_survives_json():
    import json
    from dataclasses import asdict

    assert UNetConfig(**json.loads(json.dumps(asdict(TINY)))) == TINY


def without_gradient(net):
    """Return the parameters whose gradient is absent or zero.

    The bias of the logits of `GlobalContext` is left out: a softmax does not depend on it, so its
    gradient is zero but for rounding.
    """
    return [
        name
        for name, p in net.named_parameters()
        if not name.endswith("gate.to_weight.bias") and (p.grad is None or not p.grad.any())
    ]


def test_gradient_reaches_every_parameter():
    net = randomized(TINY).train()
    cond = net.condition(torch.tensor([10, 20]), torch.tensor([0, 1]))
    assert isinstance(cond, Condition)
    net(torch.randn(2, 1, 16, 16), cond).square().mean().backward()
    assert without_gradient(net) == []


FRACTIONS = UNetConfig(**{**vars(TINY), "fractions": 3})


def test_fractions_are_an_optional_condition():
    net = randomized(FRACTIONS)
    torch.nn.init.normal_(net.fraction.project[2].weight, std=0.5)
    torch.nn.init.normal_(net.fraction.null, std=0.5)
    x, t, plane = torch.randn(2, 1, 16, 16), torch.tensor([300, 300]), torch.tensor([0, 1])
    fractions = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    with torch.no_grad():
        without = net.condition(t, plane)
        given = net.condition(t, plane, fractions)
        half = net.condition(t, plane, fractions, torch.tensor([True, False]))
        assert (net(x, given) - net(x, without)).abs().amax((1, 2, 3)).min() > 1e-4
    torch.testing.assert_close(half.embedding[0], given.embedding[0])
    torch.testing.assert_close(half.embedding[1], without.embedding[1])  # dropped = null


def test_gradient_reaches_the_fraction_condition():
    net = randomized(FRACTIONS).train()
    torch.nn.init.normal_(net.fraction.project[2].weight, std=0.5)
    fractions = torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]])
    cond = net.condition(
        torch.tensor([10, 20]), torch.tensor([0, 1]), fractions, torch.tensor([True, False])
    )
    net(torch.randn(2, 1, 16, 16), cond).square().mean().backward()
    assert without_gradient(net) == []


def test_a_network_without_the_condition_refuses_fractions_and_gives_the_same_output():
    net, conditioned = randomized(TINY), randomized(FRACTIONS)
    with pytest.raises(ValueError, match="`fractions` must be None for a network without"):
        net.condition(torch.tensor([1]), torch.tensor([0]), torch.tensor([[0.2, 0.3, 0.5]]))
    extra = set(conditioned.state_dict()) - set(net.state_dict())
    assert extra == {k for k in conditioned.state_dict() if k.startswith("fraction.")}
    x, t, plane = torch.randn(1, 1, 16, 16), torch.tensor([5]), torch.tensor([1])
    conditioned.load_state_dict({**conditioned.state_dict(), **net.state_dict()})
    with torch.no_grad():  # before training the fractions have no effect
        fractions = torch.tensor([[0.2, 0.3, 0.5]])
        assert torch.equal(
            net(x, net.condition(t, plane)),
            conditioned(x, conditioned.condition(t, plane, fractions)),
        )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("size", [(8, 16), (32, 32)])
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_group_norm_equals_that_of_torch(dtype, size, rows):
    """A scale that all images share joins the weights."""
    torch.manual_seed(0)
    norm = torch.nn.GroupNorm(8, 24)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = (torch.randn(3, 24, *size) + 0.5).to(dtype).contiguous(memory_format=torch.channels_last)
    scale, shift = torch.randn(2, max(rows, 1), 24).unbind()
    expected = norm(x.float())
    if rows:
        expected = expected * (scale + 1)[..., None, None] + shift[..., None, None]
    got = group_norm(x, norm.to(dtype), (scale.to(dtype), shift.to(dtype)) if rows else None)
    assert got.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 0.03
    torch.testing.assert_close(got.float(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("preset", ["small", "base", "paper"])
@pytest.mark.parametrize("periodic", [False, True])
def test_the_fused_layers_are_the_plain_ones(preset, periodic, monkeypatch):
    """Images stay channels-last."""
    torch.manual_seed(1)
    config = dataclasses.replace(PRESETS[preset], dim=16, cond_dim=16, head_dim=8, heads=2)
    net = channels_last(UNet(config)).eval().requires_grad_(False)
    for weights in net.parameters():  # biases and gains that are zero or one hide their absence
        weights += 0.1 * torch.randn_like(weights)
    net.set_periodic(periodic, False)
    x = torch.randn(3, config.channels, 32, 16).contiguous(memory_format=torch.channels_last)
    fused = []

    def fuses(x):
        fused.append(layers_fuse(x))
        return fused[-1]

    layers_fuse = layers.fuses
    with torch.inference_mode():
        cond = net.condition(torch.tensor([300]), torch.tensor([2]))
        with monkeypatch.context() as plain:
            plain.setattr(layers, "_has_operators", lambda x: False)
            want = net(x, cond)
        monkeypatch.setattr(layers, "fuses", fuses)
        got = net(x, cond)
    assert len(fused) > 20
    assert all(fused)
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-4 * float(want.abs().max()))


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("modulated", [False, True])
def test_gradients_of_the_fused_norm_are_those_of_torch(device, dtype, modulated):
    torch.manual_seed(2)
    b, c = 3, 48
    norm = torch.nn.GroupNorm(8, c).to(device, dtype)
    x = (torch.randn(b, c, 9, 7) * 2 + 1).to(device, dtype)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    rows = torch.randn(b, 2 * c).to(device, dtype).requires_grad_()
    up = torch.randn(b, c, 9, 7).to(device, dtype)
    with torch.no_grad():
        norm.weight.add_(0.3 * torch.randn_like(norm.weight))
        norm.bias.add_(0.3 * torch.randn_like(norm.bias))
    inputs = [x, norm.weight, norm.bias] + [rows] * modulated
    scale, shift = rows.chunk(2, dim=1) if modulated else (None, None)
    got = GroupNormSilu.apply(x, norm, norm.weight, norm.bias, scale, shift)
    found = torch.autograd.grad(got, inputs, up)

    exact = [t.detach().double().requires_grad_() for t in inputs]
    want = torch.nn.functional.group_norm(exact[0], 8, exact[1], exact[2], norm.eps)
    if modulated:
        s, t = exact[3].chunk(2, dim=1)
        want = want * (1 + s[..., None, None]) + t[..., None, None]
    want = torch.nn.functional.silu(want)
    wanted = torch.autograd.grad(want, exact, up.double())
    for a, e in zip([got, *found], [want, *wanted], strict=True):
        error = (a.double() - e).abs().max() / e.abs().max()
        assert error <= (1e-5 if dtype == torch.float32 else 1.5e-2)
