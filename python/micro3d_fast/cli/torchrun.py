# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Commands that torchrun starts in several processes: rank 0 prints, the others print errors."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager

import typer

from .._torchrun import torchrun_processes
from .errors import FAILED, INTERRUPTED

__all__ = ["joined", "together"]


@contextlib.contextmanager
def joined(device: str | None) -> Iterator[tuple[str | None, bool]]:
    """Join the processes that torchrun has started; yield the device, and whether this is rank 0.

    The other ranks print nothing in the with block but the errors that leave it.  Without torchrun
    nothing is done.
    """
    if torchrun_processes() == 1:
        yield device, True
        return
    from ..diffusion.process_group import OtherProcessError, current_group, torchrun_group

    with contextlib.ExitStack() as stack:
        own_device = stack.enter_context(torchrun_group(device))
        first = current_group().first
        if not first:
            nothing = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(contextlib.redirect_stdout(nothing))
            stack.enter_context(contextlib.redirect_stderr(nothing))
        try:
            yield own_device, first
        except OtherProcessError:  # that process prints it
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            if first:
                raise
            raise typer.Exit(INTERRUPTED) from None


def together() -> AbstractContextManager[None]:
    """Return a context that all processes leave together: if one fails in it, all fail."""
    if torchrun_processes() == 1:
        return contextlib.nullcontext()
    from ..diffusion.process_group import current_group

    return current_group().together()
