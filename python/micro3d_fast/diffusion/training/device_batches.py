# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Batches drawn on the device from labels that stay there, by the law of `make_batch`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..._planes import PLANES
from ..device import free_memory_bytes
from ..model import encode
from ..unet import NO_PLANE
from .batches import FRACTION_DROPOUT, Batch
from .options import TrainingOptions

if TYPE_CHECKING:
    from ...micrographs import Micrographs

__all__ = ["DeviceBatches"]

_SHARE = 1 / 4  # of the free memory of the device that the labels may take
_ONE = 2**31  # random numbers are integers below it: products with lengths are exact


class DeviceBatches:
    """Batches whose random numbers come from a generator of the device.

    The generator is seeded by (seed, step) before each step, also before the replay of a graph: a
    batch is a function of these two alone.  All else is computed without the host.
    """

    def __init__(self, micrographs: Micrographs, options: TrainingOptions) -> None:
        self._options, self._phases = options, micrographs.n_phases
        device = options.device
        self.generator = torch.Generator(device)
        images = _distinct(micrographs)
        place = {id(image): number for number, image in enumerate(images)}
        starts = np.cumsum([0, *(image.size for image in images)])[:-1]
        stacks = [micrographs.images[plane] for plane in PLANES]
        most = max(map(len, stacks))
        # An image of a plane is found by a number below _ONE: these are the ends of their shares.
        ends = np.full((len(PLANES), most), _ONE)
        tables = np.zeros((3, len(PLANES), most), dtype=np.int64)  # start, rows, columns
        for k, stack in enumerate(stacks):
            area = np.cumsum([float(image.size) for image in stack])
            ends[k, : len(stack) - 1] = area[:-1] / area[-1] * _ONE
            for i, image in enumerate(stack):
                tables[:, k, i] = (starts[place[id(image)]], *image.shape)
        self._labels = torch.from_numpy(np.concatenate([image.ravel() for image in images]))
        self._labels = self._labels.to(device)
        self._ends = torch.from_numpy(ends).to(device)
        self._start, self._rows, self._columns = torch.from_numpy(tables).to(device).unbind()
        mirrored = [plane in options.mirrored for plane in PLANES]
        self._mirrored = torch.tensor(mirrored, device=device)
        self._bar = torch.from_numpy(options.schedule.alpha_bar).float().to(device)
        self._time = torch.from_numpy(options.schedule.network_time).float().to(device)

    @staticmethod
    def fit(micrographs: Micrographs, device: torch.device) -> bool:
        """Return whether the labels take little enough of the free memory of the device."""
        size = sum(image.size for image in _distinct(micrographs))
        return size <= _SHARE * free_memory_bytes(device)

    def prepare(self, step: int) -> None:
        """Make the next batch that of a step."""
        seed = np.random.SeedSequence([self._options.seed, step]).generate_state(1, np.uint64)
        self.generator.manual_seed(int(seed[0]))

    def crops(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw labels (B, patch, patch) and planes (B,) by the law of `Micrographs.sample`."""
        draw = self._uniform(6)  # plane, image, row, column, flip, flip
        plane = draw[0] * len(PLANES) // _ONE
        number = torch.searchsorted(self._ends, draw[1:2].repeat(len(PLANES), 1), right=True)
        number = number.gather(0, plane[None])[0]
        columns = self._columns[plane, number]
        row = self._along(draw[2], draw[4], self._rows[plane, number])
        flip = torch.where(self._mirrored[plane], draw[5], draw[4])
        column = self._along(draw[3], flip, columns)
        row = self._start[plane, number][:, None] + row * columns[:, None]
        return self._labels[row[:, :, None] + column[:, None, :]], plane

    def _along(self, place: torch.Tensor, flip: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        """Return the pixels of crops along one axis of their images, shape (B, patch)."""
        side = self._options.patch
        pixel = torch.arange(side, device=place.device)
        pixel = torch.where(flip[:, None] < _ONE // 2, side - 1 - pixel, pixel)
        return (place * (length - side + 1) // _ONE)[:, None] + pixel

    def _uniform(self, rows: int) -> torch.Tensor:
        """Draw integers from 0 to _ONE - 1, one a crop in each row."""
        shape, device = (rows, self._options.batch_size), self._options.device
        return torch.randint(_ONE, shape, generator=self.generator, device=device)

    def draw(self) -> Batch:
        """Return the batch of the step given to `prepare`."""
        options, schedule = self._options, self._options.schedule
        labels, plane = self.crops()
        drop, within, keep = self._uniform(3)
        plane = torch.where(drop < options.condition_dropout * _ONE, NO_PLANE, plane)
        # Stratified over the batch; crops are independent, so that no permutation is needed.
        stratum = torch.arange(options.batch_size, device=within.device)
        t = 1 + (stratum * _ONE + within) * schedule.steps // (options.batch_size * _ONE)

        x0 = encode(labels, self._phases)
        noise = torch.randn(x0.shape, generator=self.generator, device=x0.device)
        bar = self._bar[t][:, None, None, None]
        x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * noise  # Eq. 3
        fractions = kept = None
        if options.fraction_condition:
            phases = torch.arange(self._phases, device=labels.device)
            fractions = (labels.flatten(1)[:, None] == phases[:, None]).float().mean(2)
            kept = keep >= FRACTION_DROPOUT * _ONE
        return Batch(
            x_t.contiguous(memory_format=torch.channels_last),
            schedule.target(bar, x0, noise, options.prediction),
            self._time[t],
            plane,
            fractions,
            kept,
        )


def _distinct(micrographs: Micrographs) -> list[np.ndarray]:
    """Return all images; those that a plane borrows once."""
    found = {id(image): image for plane in PLANES for image in micrographs.images[plane]}
    return list(found.values())
