# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Passes of the network as CUDA graphs: one launch in place of hundreds."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .._device import captured
from .device import memory_bytes
from .layers import Condition

__all__ = ["CapturedNetwork"]

_MOST_PIXELS = 2**22  # in a batch: the GPU takes longer for more than the host for its launches
_MOST_GRAPHS = 8  # one for each shape of a batch
_KEPT_SHARE = 1 / 8  # of the memory of the device, kept for the next call


class _Graph(NamedTuple):
    """A captured pass: the memory that it reads and writes."""

    replay: Callable[[], None]
    images: Tensor
    condition: Condition
    output: Tensor


class CapturedNetwork:
    """A network on CUDA whose passes are replayed from graphs.

    The host takes 8 to 50 ms to launch the kernels of a pass one by one, often longer than the GPU
    takes to run them.  The first pass on a batch of some shape is launched as usual, which loads
    kernels and makes plans; the second is captured (0.03 s).

    Parameters
    ----------
    net : UNet
        Its weights must stay where they are.
    forward : callable
        Runs ``net``; it may be compiled.
    """

    def __init__(self, net: Any, forward: Callable[..., Tensor]) -> None:
        self._net, self._forward = net, forward
        self._seen: set[tuple[Any, ...]] = set()
        self._graphs: dict[tuple[Any, ...], _Graph] = {}
        self._pool: Any = None  # memory that all graphs share: each result is copied out of it
        self._bytes = 0

    def __call__(self, images: Tensor, condition: Condition) -> Tensor:
        """Return the prediction for a batch of noisy images."""
        b, _, h, w = images.shape
        if b * h * w > _MOST_PIXELS:
            return self._forward(images, condition)
        shapes = (images.shape, condition.embedding.shape, condition.tokens.shape)
        key = (*shapes, self._net.periodic)
        graph = self._graphs.get(key)
        if graph is None:
            if key not in self._seen:
                self._seen.add(key)
                return self._forward(images, condition)
            graph = self._graphs[key] = self._capture(images, condition)
            if len(self._graphs) > _MOST_GRAPHS:
                del self._graphs[next(iter(self._graphs))]
        graph.images.copy_(images)
        graph.condition.embedding.copy_(condition.embedding)
        graph.condition.tokens.copy_(condition.tokens)
        graph.replay()
        return graph.output.clone()  # the next pass writes to the same memory

    def _capture(self, images: Tensor, condition: Condition) -> _Graph:
        images = images.clone()
        condition = Condition(condition.embedding.clone(), condition.tokens.clone())
        before = torch.cuda.memory_reserved(images.device)
        run = functools.partial(self._forward, images, condition)
        graph, output = captured(run, images.device, pool=self._pool)
        self._pool = graph.pool()
        self._bytes += torch.cuda.memory_reserved(images.device) - before
        return _Graph(graph.replay, images, condition, output)

    def rest(self, device: torch.device) -> None:
        """Give back the memory of the graphs if it is much."""
        if self._bytes > _KEPT_SHARE * memory_bytes(device):
            self._graphs.clear()
            self._pool, self._bytes = None, 0
