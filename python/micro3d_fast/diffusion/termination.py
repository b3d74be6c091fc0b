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

    Parameters
    ----------
    interrupt : bool
        Ctrl-C waits too.
    patient : bool
        So does a second Ctrl-C: processes that work together end after the same step.
    """

    def __init__(self, interrupt: bool = False, patient: bool = False) -> None:
        self.received = 0
        self._patient = patient
        self._waiting = (signal.SIGTERM, signal.SIGHUP, *((signal.SIGINT,) if interrupt else ()))
        self._changed: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Termination:
        if threading.current_thread() is threading.main_thread():
            for number in self._waiting:
                if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                    self._changed[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: Any) -> None:
        for number, handler in self._changed.items():
            signal.signal(number, handler)
        if self.received not in (0, signal.SIGINT):
            os.kill(os.getpid(), self.received)
        elif self.received and kind is None and not self._patient:  # after the last check
            raise KeyboardInterrupt

    def _on_signal(self, number: int, _: Any) -> None:
        if self.received and number == signal.SIGINT and not self._patient:
            raise KeyboardInterrupt
        self.received = number

    def check(self) -> None:
        """Raise KeyboardInterrupt if a signal was received."""
        if self.received:
            raise KeyboardInterrupt
