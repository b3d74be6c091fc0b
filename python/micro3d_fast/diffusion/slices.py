# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Independent 2D samples of one plane."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from .._device import find_device
from .._planes import PLANES
from ..typing import Device, Fractions
from .labelling import labels_of
from .model import Model, check_model, mean_field
from .reconstruction import requested_fractions, warn_of_unusual_fractions

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .copies import Copy

__all__ = ["sample_slices"]


def sample_slices(
    model: Model | str | Path,
    plane: str,
    n: int = 16,
    *,
    size: int | tuple[int, int] | None = None,
    steps: int = 32,
    guidance: float = 1.0,
    volume_fractions: Fractions = None,
    seed: int = 0,
    device: Device = None,
    precision: str = "auto",
) -> np.ndarray:
    """Sample independent 2D images of one plane: the network alone, to judge beside a 3D result.

    Deterministic reverse process (DDIM, Song et al. 2021) with ``steps`` steps.

    Parameters
    ----------
    model : Model, path or bundled name
    plane : {"xy", "xz", "yz"}
    n : int
        Number of images.
    size : int or (height, width), optional
        In pixels; default the training patch.
    steps : int
        Network passes.
    guidance : float
        Classifier-free guidance weight (Eq. 9).
    volume_fractions : sequence of float, optional
        Phase fractions that the network is conditioned on; needs a model trained with
        ``fraction_condition``.
    seed : int
    device, precision
        As in `reconstruct` and `Runtime`.

    Returns
    -------
    array of uint8, shape (n, height, width)
        Raw labels; no fraction is matched.
    """
    from .copies import borrowed
    from .device import compute_dtype, computing

    model = check_model(model)
    _checks.choice(plane, PLANES, name="plane")
    guidance = _checks.real(guidance, name="guidance", minimum=0.0)
    if volume_fractions is not None and not model.fraction_condition:
        wanted = "be None for a model that was trained without `fraction_condition`"
        raise _checks.refuse("volume_fractions", wanted, repr(volume_fractions))
    fractions = requested_fractions(volume_fractions, model)
    warn_of_unusual_fractions(fractions, model, stacklevel=2)
    seed = _checks.integer(seed, name="seed", minimum=0, maximum=2**63 - 1)
    n = _checks.integer(n, name="n", minimum=1)
    steps = _checks.integer(steps, name="steps", minimum=1, maximum=model.schedule.steps)
    sides = size if isinstance(size, tuple) else (size, size)
    h, w = (
        model.patch if side is None else _checks.integer(side, name="size", minimum=1)
        for side in sides
    )
    where = find_device(device)
    dtype = compute_dtype(precision, where)
    times = model.schedule.respaced(steps)
    x = _terminal_images(model, (n, h, w), times[0], seed, fractions, where)
    with computing(where, dtype), borrowed(model, where, dtype) as network:
        predict = _predictor(network, plane, guidance, fractions, dtype)
        for t, s in itertools.pairwise([*times, 0]):
            x = _step(model, x, predict(x, model.schedule.network_time[t]), t, s)
    return np.stack([labels_of(image, model.n_phases) for image in x[..., :h, :w].cpu().numpy()])


def _terminal_images(
    model: Model,
    size: tuple[int, int, int],
    t: int,
    seed: int,
    fractions: np.ndarray | None,
    device: torch.device,
) -> Tensor:
    """Draw x_T of n images whose sides are rounded up to the network's stride (Eq. 3)."""
    import torch

    n, *sides = size
    padded = [-(-side // model.config.stride) * model.config.stride for side in sides]
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn((n, model.config.channels, *padded), generator=generator).to(device)
    bar = float(model.schedule.alpha_bar[t])
    mean = mean_field(model.volume_fractions if fractions is None else fractions)
    mean_image = torch.from_numpy(mean).float().to(device)[None, :, None, None]
    return bar**0.5 * mean_image + (1 - bar) ** 0.5 * z


def _predictor(
    network: Copy,
    plane: str,
    guidance: float,
    fractions: np.ndarray | None,
    dtype: torch.dtype,
) -> Callable[[Tensor, float], Tensor]:
    """Return the network's output for images and a time, with guidance (Eq. 9)."""
    import torch

    from .unet import NO_PLANE

    def output(x: Tensor, time: float, condition: int) -> Tensor:
        given = None
        if fractions is not None and condition != NO_PLANE:
            given = torch.from_numpy(fractions[None]).float().to(x.device)
        told = torch.tensor([time], dtype=torch.float32, device=x.device)
        embedding = network.net.condition(told, torch.tensor([condition], device=x.device), given)
        images = x.to(dtype).contiguous(memory_format=torch.channels_last)
        return network.forward(images, embedding).float()

    def predict(x: Tensor, time: float) -> Tensor:
        with torch.inference_mode():
            net = output(x, time, PLANES.index(plane))
            if guidance != 1:
                net = guidance * net + (1 - guidance) * output(x, time, NO_PLANE)
            return net

    return predict


def _step(model: Model, x: Tensor, net: Tensor, t: int, s: int) -> Tensor:
    """Return x_s from x_t without noise; at s = 0 the predicted x0."""
    p, q = model.schedule.x0_from(t, model.prediction)
    x0 = p * x + q * net
    if s == 0:
        return x0
    # `Schedule.posterior(deterministic=True)`, written with the noise that x holds: the other form
    # rounds differently, and a seed would give other samples.
    bar_t, bar_s = float(model.schedule.alpha_bar[t]), float(model.schedule.alpha_bar[s])
    x0 = x0.clamp(-1, 1)
    noise = (x - bar_t**0.5 * x0) / (1 - bar_t) ** 0.5
    return bar_s**0.5 * x0 + (1 - bar_s) ** 0.5 * noise
