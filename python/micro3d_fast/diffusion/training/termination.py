# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The signals by which batch systems, containers and terminals end a program."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

__all__ = ["Termination"]


class Termination:
    """Context in which SIGTERM and SIGHUP wait for the end of a step, so that it is saved.

    At the end of the context they take effect.  A signal that the program handles or ignores is
    left to it.  Call ``check`` after each step.
    """

    def __init__(self) -> None:
        self.received = 0
        self._changed: list[signal.Signals] = []

    def __enter__(self) -> Termination:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) == signal.SIG_DFL:
                    signal.signal(number, self._on_signal)
                    self._changed.append(number)
        return self

    def __exit__(self, *_: Any) -> None:
        for number in self._changed:
            signal.signal(number, signal.SIG_DFL)
        if self.received:
            os.kill(os.getpid(), self.received)

    def _on_signal(self, number: int, _: Any) -> None:
        self.received = number

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal was received."""
        if self.received:
            raise KeyboardInterrupt
