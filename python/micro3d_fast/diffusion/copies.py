# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Compute copies of a model's network: on a device, in a precision, perhaps compiled.

A copy is lent to one user at a time and reused, so that a second volume neither copies the weights
nor compiles again.  It is replaced when the model's own weights have changed.
"""

from __future__ import annotations

import copy
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from .device import channels_last
from .graphs import CapturedNetwork
from .model import Model

__all__ = ["Copy", "Key", "borrowed", "make"]


@dataclass(frozen=True)
class Copy:
    """A compute copy, and the callable that runs it: the network, compiled, in CUDA graphs."""

    net: Any
    forward: Callable[..., torch.Tensor]
    content: tuple[Any, ...]  # of the model's own network when it was copied
    device: torch.device

    def rest(self) -> None:
        """Make the copy ready for its next user."""
        self.net.set_periodic(False, False)
        if isinstance(self.forward, CapturedNetwork):
            self.forward.rest(self.device)


Key = tuple[torch.device, torch.dtype, bool]  # the last: whether it is compiled
_idle: weakref.WeakKeyDictionary[Any, dict[Key, Copy]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()
_MOST = 3  # copies kept per model, which differ in device, precision or compilation
_COMPILATIONS = 64  # of one network: which axes wrap (4), slices and windows, sizes of batches


def make(model: Model, device: torch.device, dtype: torch.dtype, compiled: bool = False) -> Copy:
    """Return a new copy; the model keeps its network."""
    net = channels_last(copy.deepcopy(model.net).to(device, dtype)).eval().requires_grad_(False)
    forward = net
    if compiled:
        _allow_compilations()
        forward = torch.compile(net)
    if device.type == "cuda":
        forward = CapturedNetwork(net, forward)
    return Copy(net, forward, _content(model.net), device)


def _allow_compilations() -> None:
    """Raise torch's limit of 8 compilations of a function, beyond which it would run eagerly."""
    from torch._dynamo import config

    # torch 2.7 renamed it and keeps the old name as an alias.
    name = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    setattr(config, name, max(getattr(config, name), _COMPILATIONS))


@contextmanager
def borrowed(
    model: Model, device: torch.device, dtype: torch.dtype, compiled: bool = False
) -> Iterator[Copy]:
    """Lend a copy to this block alone and keep it for the next of the same kind."""
    if device.type == "cuda" and device.index is None:
        device = torch.device("cuda", torch.cuda.current_device())
    key = (device, dtype, compiled)
    with _lock:
        found = _idle.get(model.net, {}).pop(key, None)
    if found is None or found.content != _content(model.net):
        found = make(model, device, dtype, compiled)
    try:
        yield found
    finally:
        found.rest()
        with _lock:
            kept = _idle.setdefault(model.net, {})
            kept.pop(key, None)  # the last that was used is the last in the dictionary
            kept[key] = found
            for other in [k for k, c in kept.items() if c.content != found.content]:
                del kept[other]
            while len(kept) > _MOST:  # the oldest; a compiled copy only if there are no others
                plain = (k for k in kept if not k[2])
                del kept[next(plain, next(iter(kept)))]


def _content(net: Any) -> tuple[Any, ...]:
    """Return what identifies the copied state: the modules, and each weight and its version.

    A change through ``.data`` has no version; one number of each weight shows that.
    """
    weights = []
    with torch.inference_mode():
        for t in net.state_dict().values():
            some = float(t.reshape(-1)[t.numel() // 2]) if t.numel() else 0.0
            version = 0 if t.is_inference() else t._version
            weights.append((t.data_ptr(), version, some))
    return tuple(name for name, _ in net.named_modules()), tuple(weights)
