# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Independent 2D samples of one plane."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from .. import _checks
from .._device import find_device
from .._planes import PLANES
from .labelling import labels_of
from .model import Model, mean_field
from .reconstruction import check_model, requested_fractions


def sample_slices(
    model: Model,
    plane: str,
    n: int = 16,
    *,
    size: int | tuple[int, int] | None = None,
    steps: int = 32,
    guidance: float = 1.0,
    volume_fractions: Any = None,
    seed: int = 0,
    device: str | None = None,
    precision: str = "auto",
) -> np.ndarray:
    """Sample independent 2D images of one plane: the network alone, to judge beside a 3D result.

    Deterministic reverse process (DDIM, Song et al. 2021) with ``steps`` steps.

    Parameters
    ----------
    model : Model
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
    import torch

    from .copies import borrowed
    from .device import compute_dtype
    from .unet import NO_PLANE

    check_model(model)
    index = PLANES.index(_checks.choice(plane, PLANES, name="plane"))
    guidance = _checks.real(guidance, name="guidance", minimum=0.0)
    if volume_fractions is not None and not model.fraction_condition:
        raise _checks.refuse(
            "volume_fractions",
            "be None for a model that was trained without `fraction_condition`",
            repr(volume_fractions),
        )
    fractions = requested_fractions(volume_fractions, model)
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

    schedule, stride = model.schedule, model.config.stride
    times = schedule.respaced(steps)
    generator = torch.Generator().manual_seed(seed)
    padded = (-(-h // stride) * stride, -(-w // stride) * stride)
    z = torch.randn((n, model.config.channels, *padded), generator=generator).to(where)
    bar = float(schedule.alpha_bar[times[0]])
    mean = mean_field(model.volume_fractions if fractions is None else fractions)
    mean_image = torch.from_numpy(mean).float().to(where)[None, :, None, None]
    x = bar**0.5 * mean_image + (1 - bar) ** 0.5 * z
    given = None if fractions is None else torch.from_numpy(fractions[None]).float().to(where)
    with borrowed(model, where, dtype) as network, torch.inference_mode():

        def output(t: int, plane: int) -> torch.Tensor:
            embedding = network.net.condition(
                torch.tensor([t], device=where),
                torch.tensor([plane], device=where),
                None if plane == NO_PLANE else given,  # Eq. 9: without any condition
            )
            images = x.to(dtype).contiguous(memory_format=torch.channels_last)
            return network.net(images, embedding).float()

        for t, s in itertools.pairwise([*times, 0]):
            net = output(t, index)
            if guidance != 1:
                net = guidance * net + (1 - guidance) * output(t, NO_PLANE)
            p, q = schedule.x0_from(t, model.prediction)
            x0 = p * x + q * net
            if s > 0:
                # `Schedule.posterior(deterministic=True)` written with the noise that x holds: the
                # other form rounds differently, and a seed would give other samples.
                bar_t, bar_s = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
                x0 = x0.clamp(-1, 1)
                noise = (x - bar_t**0.5 * x0) / (1 - bar_t) ** 0.5
                x0 = bar_s**0.5 * x0 + (1 - bar_s) ** 0.5 * noise
            x = x0
    return np.stack([labels_of(image, model.n_phases) for image in x[..., :h, :w].cpu().numpy()])
