# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Progress on stderr, and Ctrl-C that stops the work between two steps."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Any

from .errors import to_stderr

__all__ = ["CtrlC", "Progress", "clock"]


class CtrlC:
    """Context in which the first Ctrl-C stops after the current step, the second immediately.

    SIGTERM, which batch systems and containers send, counts as Ctrl-C.

    Call ``check`` after each step.
    """

    def __init__(self) -> None:
        self.pressed = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> CtrlC:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
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


class Progress:
    """A progress bar with loss and remaining time; plain lines if stderr is not a terminal.

    Called with the events of ``train`` (step, steps, loss, eta) and ``reconstruct`` (pass_index,
    passes, eta).  ``check`` is called after each event and may raise to stop the work.
    """

    def __init__(self, title: str, check: Callable[[], None] = lambda: None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self.title, self.check = title, check
        console = Console(stderr=True)
        self.bar: Any = None
        if console.is_terminal:
            self.bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=32),
                MofNCompleteColumn(),
                TextColumn("{task.fields[details]}"),
                console=console,
                transient=False,
            )
            self.task = self.bar.add_task(title, total=None, details="")
        self.printed_tenth = -1

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        """Show an event, then stop if Ctrl-C was pressed."""
        done = int(event.get("step", event.get("pass_index", 0)))
        total = int(event.get("steps", event.get("passes", 0))) or None
        parts = []
        if event.get("loss") is not None:
            parts.append(f"loss {event['loss']:.4f}")
        if event.get("eta") is not None:
            parts.append(f"{clock(float(event['eta']))} left")
        details = "  ".join(parts)
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total, details=details)
        elif total:
            tenth = 10 * done // total
            if tenth > self.printed_tenth:
                self.printed_tenth = tenth
                to_stderr(f"{self.title} {done}/{total}  {details}")
        self.check()

    def line(self, text: str, colour: str) -> None:
        """Print a line, above the bar if there is one."""
        if self.bar is not None:
            self.bar.console.print(text, style=colour, markup=False, highlight=False)
        else:
            to_stderr(text)

    def solver(self, event: Any) -> None:
        """Show the progress of a solver (problem, loads, iteration, residual), then check."""
        if self.bar is not None:
            description = f"{event.problem} {', '.join(event.loads)}"
            details = (
                f"iteration {event.iteration}, residual {event.residual:.1e} of {event.tol:.0e}"
            )
            self.bar.update(self.task, description=description, details=details)
        self.check()


def clock(seconds: float) -> str:
    """Return a time as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
