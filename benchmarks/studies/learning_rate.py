# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The loss of a network on fresh crops and noise, for several peak learning rates.

    python benchmarks/studies learning_rate --material level-cut --steps 400 --rates 1.5e-3 6e-3

One line per rate: rate, steps, loss (mean squared error of v, Eq. 6, uniformly random t), seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import micro3d_fast as m3
from micro3d_fast.diffusion.model import encode
from micro3d_fast.diffusion.schedule import Schedule

from .materials import MATERIALS


@torch.inference_mode()
def loss_on(model: m3.Model, micrographs: m3.Micrographs, crops: int = 512) -> float:
    """Return the mean squared error of the predicted v on crops of the micrographs, all planes."""
    schedule: Schedule = model.schedule
    rng, generator = np.random.default_rng(1), torch.Generator().manual_seed(1)
    losses = []
    for _ in range(crops // 64):
        labels, plane = micrographs.sample(rng, 64, model.patch)
        t = rng.integers(1, schedule.steps + 1, size=64)
        x0 = encode(torch.from_numpy(labels), model.n_phases)
        noise = torch.randn(x0.shape, generator=generator)
        bar = torch.from_numpy(schedule.alpha_bar[t]).float()[:, None, None, None]
        target = bar.sqrt() * noise - (1 - bar).sqrt() * x0
        cond = model.net.condition(torch.from_numpy(t), torch.from_numpy(plane).long())
        predicted = model.net(bar.sqrt() * x0 + (1 - bar).sqrt() * noise, cond)
        losses.append(float((predicted - target).square().mean()))
    return float(np.mean(losses))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--material", choices=list(MATERIALS), default="level-cut")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rates", type=float, nargs="+", default=[1.5e-3, 6e-3])
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=32)
    parser.add_argument("--preset", default="small")
    parser.add_argument("--device", default=None)
    arguments = parser.parse_args()
    truth = MATERIALS[arguments.material].truth(arguments.data)
    seen, fresh = (
        m3.Micrographs.from_volume(truth, images_per_plane=300, seed=seed) for seed in (0, 77)
    )
    for rate in arguments.rates:
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as out:
            model = m3.train(
                seen,
                out,
                preset=arguments.preset,
                patch=arguments.patch,
                steps=arguments.steps,
                batch_size=arguments.batch,
                learning_rate=rate,
                prediction="v",
                device=arguments.device,
                samples_every=0,
            )
        print(
            f"{arguments.material}: rate {rate:g}, {arguments.steps} steps of {arguments.batch}, "
            f"loss {loss_on(model, fresh):.4f}, {time.perf_counter() - started:.0f} s",
            flush=True,
        )
