# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Ctrl-C that stops the work between two steps, and the bar of the library."""

from __future__ import annotations

import signal
import threading
from typing import Any

from .._progress import Progress, clock

__all__ = ["CtrlC", "Progress", "clock"]


class CtrlC:
    """Context in which the first Ctrl-C stops after the current step, the second immediately.

    SIGTERM, which batch systems and containers send, and SIGHUP of a terminal that is closed
    count as Ctrl-C, unless these two are ignored (``nohup``).

    Call ``check`` after each step.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> CtrlC:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _on_signal(self, *_: Any) -> None:
        if self.pressed:
            raise KeyboardInterrupt
        self.pressed = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.pressed:
            raise KeyboardInterrupt
