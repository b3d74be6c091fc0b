# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A training step as one CUDA graph, and losses that are read late."""

from __future__ import annotations

import contextlib
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch

from ..._device import captured

__all__ = ["CapturedStep", "Losses", "repeatable"]

_WARM_UP = 3  # steps launched one by one, which load kernels and make plans
_LATE = 2  # steps on CUDA: while a loss is read, the next steps are launched already


class CapturedStep:
    """A step on CUDA, replayed from a graph.

    The host takes 60 to 100 ms to launch the 1500 to 3000 kernels of a step one by one, the GPU 3
    to 8 ms to run them.  The first steps are launched as usual; then one is captured.

    Parameters
    ----------
    run : callable
        Makes one step and returns the loss.  All that changes between steps must be in tensors, and
        the state of the generator.
    generator : torch.Generator, optional
        That ``run`` draws from; its state before a replay decides what the replay draws.
    """

    def __init__(
        self, run: Callable[[], torch.Tensor], generator: torch.Generator | None = None
    ) -> None:
        self._run, self._generator = run, generator
        self._left = _WARM_UP
        self._graph: Any = None
        self._loss: Any = None

    def __call__(self) -> torch.Tensor:
        """Make a step; return the loss, which the next step overwrites."""
        if self._graph is None and self._left == 0:
            self._capture()
        if self._graph is None:
            self._left -= 1  # never 0 again where a step cannot be captured
            return self._run()
        self._graph.replay()
        return self._loss

    def _capture(self) -> None:
        torch.cuda.synchronize()
        torch.cuda.empty_cache()  # a graph has memory of its own
        device = torch.device("cuda", torch.cuda.current_device())
        try:
            self._graph, self._loss = captured(self._run, device, generator=self._generator)
        except torch.OutOfMemoryError as error:  # others would leave torch's generators unusable
            warnings.warn(
                "the training step could not be captured in a CUDA graph, so its kernels are "
                f"launched one by one, which takes longer: {error}",
                stacklevel=2,
            )


class Losses:
    """The losses of the last steps, on their way to the host through pinned memory."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self.late = _LATE if self._cuda else 0  # losses to leave on their way between steps
        self._ring = torch.zeros(_LATE + 1, 2, pin_memory=self._cuda)
        self._pending: deque[tuple[int, torch.Tensor, Any]] = deque()

    def put(self, step: int, loss: torch.Tensor) -> None:
        """Send the loss of a step; or two numbers: also the processes that wish to stop."""
        slot, sent = self._ring[step % len(self._ring)], None
        slot[: loss.numel()].copy_(loss.view(-1), non_blocking=True)
        if self._cuda:
            sent = torch.cuda.Event()
            sent.record()
        self._pending.append((step, slot, sent))

    def take(self, late: int = 0) -> Iterator[tuple[int, float, bool]]:
        """Wait for all losses but the last few; return (step, loss, whether to stop)."""
        while len(self._pending) > late:
            step, slot, sent = self._pending.popleft()
            if sent is not None:
                sent.synchronize()
            loss, stop = slot.tolist()
            yield step, loss, stop > 0


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """Let cuDNN use only convolutions that repeat bit for bit, inside the with block."""
    before = torch.backends.cudnn.deterministic
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before
