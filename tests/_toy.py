# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Networks for tests of the samplers: one whose output is known, one of the smallest kind."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import nn

from micro3d_fast.diffusion.copies import make
from micro3d_fast.diffusion.field import Field
from micro3d_fast.diffusion.layers import Condition
from micro3d_fast.diffusion.model import Model
from micro3d_fast.diffusion.network_pass import NetworkPass
from micro3d_fast.diffusion.schedule import Schedule
from micro3d_fast.diffusion.training import pictures
from micro3d_fast.diffusion.unet import PRESETS, UNet, UNetConfig

GAIN = {0: 0.8, 1: 0.5, 2: 0.3, 3: 0.6}  # of the linear network, by plane (3: none)


class LinearNet(nn.Module):
    """A network whose output is known: gain(plane) * x."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.periodic = (False, False)
        self.seen: list[tuple[int, int]] = []

    def condition(self, t, plane, fractions=None, kept=None):
        return Condition(t[:, None], plane[:, None, None])

    def set_periodic(self, rows, columns):
        self.periodic = (rows, columns)

    def forward(self, x, cond):
        t, plane = int(cond.embedding[0, 0]), int(cond.tokens[0, 0, 0])
        self.seen.append((t, plane))
        return x * GAIN[plane]


def linear_model(steps: int = 40, prediction: str = "noise") -> Model:
    return Model(
        net=LinearNet(),
        config=PRESETS["small"],
        schedule=Schedule(steps=steps),
        prediction=prediction,
        phase_names=("a", "b"),
        volume_fractions=(0.5, 0.5),
        patch=32,
    )


TINY = UNetConfig(
    channels=1,
    dim=8,
    multipliers=(1, 2),
    blocks=(1, 1),
    attention=(False, True),
    cross_attention=(False, False),
    heads=2,
    head_dim=8,
    cond_dim=16,
    stem=(3,),
    global_context=False,
    final_block=False,
    tapered=True,
)


def tiny_model(phases: int = 2, fractions=None) -> Model:
    """An untrained network with non-zero output."""
    torch.manual_seed(0)
    config = replace(TINY, channels=1 if phases == 2 else phases)
    net = UNet(config).eval().requires_grad_(False)
    nn.init.normal_(net.head.weight, std=0.2)
    return Model(
        net=net,
        config=config,
        schedule=Schedule(),
        prediction="v",
        phase_names=tuple("abcd"[:phases]),
        volume_fractions=fractions or tuple([1 / phases] * phases),
        patch=16,
        voxel_size=(1e-6, 1e-6, 1e-6),
    )


def calm_model(phases: int = 2, fractions=None) -> Model:
    """`tiny_model` with a fifth of its output, for comparisons of one device with another.

    Its output moves the field by .1 on average.  As it is, the tiny network doubles a
    rounding error with every pass and more, and another order of summation leaves nothing of the
    field (measured: 1e-7 of the weights becomes .03 to 2 of the field).
    """
    model = tiny_model(phases, fractions)
    model.net.head.weight.data.mul_(0.2)
    return model


@contextlib.contextmanager
def quick_samples() -> Iterator[None]:
    """Draw the 2D samples of trainings in 2 passes, not 32: they take most of a short training."""
    with pytest.MonkeyPatch.context() as patch:
        quick = functools.partial(pictures.sample_slices, steps=2)
        patch.setattr(pictures, "sample_slices", quick)
        yield


def field_and_network(
    model: Model,
    shape: tuple[int, int, int],
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    window: int | None = None,
    compiled: bool = False,
    **options,
) -> tuple[Field, NetworkPass]:
    """A field of the model, with its options, and the network that denoises it."""
    where = torch.device(device)
    field = Field(shape, model, where, dtype, **options)
    network = NetworkPass(field, make(model, where, dtype, compiled), window=window)
    if isinstance(model.net, LinearNet):  # it takes one condition for all slices
        network.chunk_pixels = 32 * 64 * 64
    return field, network
