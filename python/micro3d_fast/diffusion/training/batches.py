# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The batch of a training step: a pure function of (seed, step)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..._phases import phase_counts
from ..model import encode
from .options import TrainingOptions

if TYPE_CHECKING:
    import torch

    from ...micrographs import Micrographs

__all__ = [
    "FRACTION_DROPOUT",
    "Batch",
    "HostBatches",
    "fraction_spread",
    "fractions_of",
    "make_batch",
]

FRACTION_DROPOUT = 0.5  # probability of dropping the fraction condition: both uses are learned
SPREAD_CROPS = 512  # whose fractions are compared


@dataclass(frozen=True)
class Batch:
    """The data of one step."""

    x_t: torch.Tensor  # (B, C, H, W)
    target: torch.Tensor  # (B, C, H, W)
    t: torch.Tensor  # (B,), as the network is told
    plane: torch.Tensor  # (B,)
    fractions: torch.Tensor | None  # (B, P), for a network with a fraction condition
    kept: torch.Tensor | None  # (B,), whether the fractions are given

    def rows(self, chosen: slice) -> Batch:
        """Return some rows, without a copy."""
        given = {name: tensor for name, tensor in vars(self).items() if tensor is not None}
        return replace(self, **{name: tensor[chosen] for name, tensor in given.items()})


def make_batch(micrographs: Micrographs, options: TrainingOptions, step: int) -> Batch:
    """Return the batch of a step, on the device."""
    import torch

    from ..unet import NO_PLANE

    schedule, device, phases = options.schedule, options.device, micrographs.n_phases
    rng = np.random.default_rng([options.seed, step])
    labels, plane = micrographs.sample(rng, options.batch_size, options.patch, options.mirrored)
    plane = np.where(rng.random(len(plane)) < options.condition_dropout, NO_PLANE, plane)
    # Stratified over the batch: the same uniform law of t with less scatter of the loss.
    n = len(plane)
    u = (rng.permutation(n) + rng.random(n)) / n
    t = 1 + np.minimum((u * schedule.steps).astype(np.int64), schedule.steps - 1)

    generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
    x0 = encode(torch.from_numpy(labels), phases)
    noise = torch.randn(x0.shape, generator=generator)
    bar = torch.from_numpy(schedule.alpha_bar[t]).float()[:, None, None, None]
    x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * noise  # Eq. 3
    target = schedule.target(bar, x0, noise, options.prediction)
    fractions = kept = None
    if options.fraction_condition:  # drawn last, so that the rest is the same without it
        fractions = torch.from_numpy(fractions_of(labels, phases)).to(device)
        kept = torch.from_numpy(rng.random(n) >= FRACTION_DROPOUT).to(device)
    return Batch(
        x_t.to(device, memory_format=torch.channels_last),
        target.to(device),
        torch.from_numpy(schedule.network_time[t]).float().to(device),
        torch.from_numpy(plane.astype(np.int64)).to(device),
        fractions,
        kept,
    )


class HostBatches:
    """Batches made on the host."""

    def __init__(self, micrographs: Micrographs, options: TrainingOptions) -> None:
        self._micrographs, self._options = micrographs, options
        self._batch: Batch | None = None

    def prepare(self, step: int) -> None:
        """Make the batch of a step, on CUDA in the memory of the one before: a graph reads it."""
        batch = make_batch(self._micrographs, self._options, step)
        if self._batch is None or self._options.device.type != "cuda":
            self._batch = batch
            return
        for name, new in vars(batch).items():
            if new is not None:
                getattr(self._batch, name).copy_(new)

    def draw(self) -> Batch:
        """Return the batch of the step given to `prepare`."""
        assert self._batch is not None
        return self._batch


def fractions_of(images: np.ndarray, n_phases: int) -> np.ndarray:
    """Return the phase fractions of each image (B, H, W), float32, shape (B, P)."""
    counts = [phase_counts(image, n_phases) for image in images]
    return (np.stack(counts) / images[0].size).astype(np.float32)


def fraction_spread(micrographs: Micrographs, patch: int) -> list[float]:
    """Return the standard deviation of the phase fractions between random crops, per phase."""
    labels, _ = micrographs.sample(np.random.default_rng(0), SPREAD_CROPS, patch)
    return [round(float(s), 6) for s in fractions_of(labels, micrographs.n_phases).std(axis=0)]
