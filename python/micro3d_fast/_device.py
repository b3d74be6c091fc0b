# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The ``device`` argument: None, "cpu", "cuda" or "cuda:N"; CUDA graphs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _checks

if TYPE_CHECKING:
    import torch

_WANTED = "be None, 'cpu', 'cuda' or 'cuda:N'"


def device_name(device: Any) -> str:
    """Check the name of a device, from a string or a torch.device."""
    if not isinstance(device, str) and type(device).__name__ != "device":
        raise _checks.refuse_type("device", _WANTED, _checks.shown_with_type(device))
    name = str(device)
    if re.fullmatch(r"cpu(:0)?|cuda(:[0-9]+)?", name) is None:
        raise _checks.refuse("device", _WANTED, repr(name))
    return name


def torch_device(name: str) -> torch.device:
    """Return the device of a checked name; refused if torch does not have it."""
    import torch

    try:
        found = torch.device(name)
    except RuntimeError:  # such as cuda:01
        raise _checks.refuse("device", _WANTED, repr(name)) from None
    if found.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise _checks.refuse("device", _WANTED, repr(name), "torch finds no CUDA device here")
        if (found.index or 0) >= count:
            raise _checks.refuse("device", f"be one of the {count} CUDA devices", repr(name))
    return found


def find_device(device: Any) -> torch.device:
    """Check the device of torch work; None is CUDA if it is available, else the CPU.

    A request for CUDA that cannot be met is refused, never run on the CPU instead.
    """
    import torch

    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch_device(device_name(device))


def captured(
    body: Callable[[], Any], device: Any, *, pool: Any = None, generator: Any = None
) -> tuple[Any, Any]:
    """Capture the CUDA work of ``body`` in a graph; return the graph and what body returned.

    Not by `torch.cuda.graph`, which collects garbage, empties the cache of memory, and takes a
    stream of the first device that was used.  Other threads may allocate meanwhile.

    Parameters
    ----------
    body : callable
        It has run before, so that kernels are loaded and plans made.
    device : torch.device
    pool : optional
        Memory of another graph, shared with it.
    generator : torch.Generator, optional
        That ``body`` draws from.
    """
    import torch

    graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream(device)
    if generator is not None:
        graph.register_generator_state(generator)
    current = torch.cuda.current_stream(device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        graph.capture_begin(pool=pool, capture_error_mode="thread_local")
        try:
            result = body()
        except BaseException:
            with contextlib.suppress(RuntimeError):
                graph.capture_end()
            raise
        graph.capture_end()
    current.wait_stream(stream)
    return graph, result
