# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Progress of long work: a bar in a terminal or a notebook, or lines; always on stderr.

The bar in a terminal is that of rich, on which the command line depends already.  In a notebook it
is an HTML element that is updated in place, which needs IPython alone; rich and tqdm need
ipywidgets there.
"""

from __future__ import annotations

import contextlib
import html
import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeAlias

from ._printable import printable

LONG = 4.0  # seconds of work from which on a bar is shown where none is requested
TIMED = 1.0  # seconds of work after which its duration is estimated
_REDRAW = 0.2  # seconds between two updates of a notebook
_SILENCE = 60.0  # seconds after which a line is printed

#: The argument ``progress`` of public functions.  The command line passes its own `Progress`.
Shown: TypeAlias = "bool | Progress | None"


def checked(progress: Any) -> Shown:
    """Refuse what is neither None, True, False nor a `Progress`."""
    if progress is None or isinstance(progress, bool | Progress):
        return progress
    from . import _checks  # loads numpy, which `micro3d --help` does not need

    got = _checks.shown_with_type(progress)
    raise _checks.refuse_type("progress", "be None, True or False", got)


@contextlib.contextmanager
def following(
    progress: Shown, title: str, *, on: str = "", faster: Sequence[str] = (), at_most: bool = False
) -> Iterator[Progress]:
    """Yield the `Progress` of a job: the given one, or one that ends with the job.

    Parameters
    ----------
    progress : bool, Progress or None
        None shows a bar in a terminal or notebook, for work that takes more than a few seconds.
    title : str
        Of the bar.
    on : str
        The device that works.
    faster : sequence of str
        What would take less time.
    at_most : bool
        The work may end earlier than it is expected to.
    """
    progress = checked(progress)
    if isinstance(progress, Progress):
        progress.begin(title, on, faster, at_most)
        yield progress
        return
    with Progress(title, show=progress) as own:
        own.begin(title, on, faster, at_most)
        yield own


class Progress:
    """Shows the events of ``train``, ``reconstruct``, ``calibrate`` and the solvers.

    Once a second of the work is done, a line says how long all of it takes, if that is more than a
    few seconds, and what would be faster.

    Parameters
    ----------
    title : str
        Of the bar; that of the work if empty.
    check : callable
        Called after each event; may raise to stop the work.
    show : bool or None
        True: a bar, or lines where stderr is no terminal.  None: a bar, once the work is known to
        be long; nothing in CI, pipes and tests, and beside another bar.
    """

    _open: ClassVar[int] = 0  # bars on the screen

    def __init__(
        self, title: str = "", check: Callable[[], None] = lambda: None, *, show: bool | None = True
    ) -> None:
        self.title, self.check = title, check
        self._own_title = bool(title)
        self._make = _view_for(show) if show is not None or not Progress._open else None
        self._at_once = show is True
        self._view: _View | None = None
        self._announced: set[str] = set()
        self.begin(title)

    def begin(
        self, title: str, on: str = "", faster: Sequence[str] = (), at_most: bool = False
    ) -> None:
        """Begin with another job on the same bar."""
        if not self._own_title:
            self.title = title
        self._on, self._faster, self._about = on, faster, "at most" if at_most else "about"
        self._started, self._long = time.perf_counter(), False

    def __enter__(self) -> Progress:
        if self._at_once:
            self._show()
        return self

    def __exit__(self, *_: object) -> None:
        if self._view is not None:
            self._view.close()
            self._view, self._make = None, None
            Progress._open -= 1

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Show an event of ``train``, ``reconstruct``, ``calibrate`` or ``study``."""
        unit = event.get("unit") or ("step" if "step" in event else "pass")
        done = int(event.get("step", event.get("pass_index", 0)))
        total = int(event.get("steps", event.get("passes", 0)))
        loss = event.get("loss")
        facts = [str(event["stage"])] if event.get("stage") else []
        facts += [] if loss is None or math.isnan(loss) else [f"loss {loss:.4f}"]
        self._report(done, total, f"{done}/{total}", facts, event.get("eta"), unit)

    def part(self, done: int, parts: int) -> None:
        """Show that ``done`` of so many equal parts are done."""
        eta = (time.perf_counter() - self._started) * (parts - done) / done
        self._report(done, parts, f"{done}/{parts}", [], eta, "block")

    def solver(self, loads: int) -> Callable[[Any], None]:
        """Return a callback that shows the events of a solver with so many loads.

        The residual falls by about the same factor in each iteration, so the share of its
        logarithm is the share of the work.
        """
        solved, share = 0, 0.0
        now: tuple[str, ...] = ()

        def show(event: Any) -> None:
            nonlocal solved, share, now
            if event.loads != now:
                solved, share, now = solved + len(now), 0.0, event.loads
            if 0.0 < event.residual < 1.0:
                share = max(share, min(1.0, math.log(event.residual) / math.log(event.tol)))
            done = (solved + share * len(now)) / loads
            seconds = time.perf_counter() - self._started
            eta = seconds * (1.0 - done) / done if done > 0.01 else None
            residual = f"residual {event.residual:.1e} of {event.tol:.0e}"
            facts = [", ".join(now), f"iteration {event.iteration}", residual]
            typical = solved > 0 or (len(now) == loads and share >= 0.5)  # the start is faster
            self._report(done, 1.0, f"{100 * done:.0f} %", facts, eta, typical=typical)

        return show

    def beside(
        self, callback: Callable[..., None] | None, show: Callable[[Any], None] | None = None
    ) -> Callable[[Any], None] | None:
        """Return a callback that calls ``callback`` and then shows the event, by ``show``."""
        if self._make is None:
            return callback
        own = self if show is None else show
        if callback is None:
            return own
        given = callback

        def both(event: Any) -> None:
            given(event)
            own(event)

        return both

    def line(self, text: str, colour: str = "") -> None:
        """Write a line, above the bar if there is one."""
        if self._view is not None:
            self._view.line(printable(text), colour)

    def _show(self) -> None:
        if self._view is None and self._make is not None:
            self._view = self._make(self.title)
            Progress._open += 1

    def _report(
        self,
        done: float,
        total: float,
        count: str,
        facts: Sequence[str],
        eta: float | None,
        unit: str = "",
        typical: bool = True,
    ) -> None:
        seconds = time.perf_counter() - self._started
        if eta is not None and seconds >= TIMED and seconds + eta > LONG:
            self._long = True
            self._show()
            if typical:
                self._announce(seconds + eta, eta / max(total - done, 1), unit)
        if self._view is not None and total and (unit or self._long or self._view.redraws):
            left = [] if eta is None else [f"{clock(eta)} left"]
            details = "  ".join([count, *facts, clock(seconds), *left])
            self._view.update(self.title, done / total, details)
        self.check()

    def _announce(self, seconds: float, each: float, unit: str) -> None:
        """Say once how long a job takes and what would be faster."""
        if self.title in self._announced:
            return
        self._announced.add(self.title)
        where = [*([self._on] if self._on else []), *([f"{each:.2g} s per {unit}"] if unit else [])]
        text = (
            f"{self.title}: {self._about} {duration(seconds)} on this machine ({', '.join(where)})"
        )
        if self._faster:
            text += f"; faster: {', '.join(self._faster)}"
        self.line(text)


def clock(seconds: float) -> str:
    """Return a time as ``m:ss`` or ``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def duration(seconds: float) -> str:
    """Return a rounded time in words: ``40 s``, ``12 min``, ``2.5 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# --------------------------------------------------------------------------------------- views


class _View(Protocol):
    """Where progress is shown."""

    redraws: bool  # or adds a line for each update

    def update(self, title: str, share: float, details: str) -> None: ...

    def line(self, text: str, colour: str) -> None: ...

    def close(self) -> None: ...


def _view_for(show: bool | None) -> Callable[[str], _View] | None:
    """Return what shows progress here; None for nothing."""
    if show is False:
        return None
    if show is None and ("CI" in os.environ or "PYTEST_CURRENT_TEST" in os.environ):
        return None
    if _in_notebook():
        return _Notebook
    if sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return _Terminal
    return _Lines if show else None


def _in_notebook() -> bool:
    """Return whether this is a kernel of Jupyter, not IPython in a terminal."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


class _Terminal:
    """A bar that is redrawn in place."""

    redraws = True

    def __init__(self, title: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[details]}", markup=False),
            console=Console(stderr=True),
            redirect_stdout=sys.stdout is not None and sys.stdout.isatty(),  # else it is a file
        )
        self.task = self.bar.add_task(title, total=None, details="")
        self.bar.start()

    def update(self, title: str, share: float, details: str) -> None:
        self.bar.update(self.task, description=title, completed=share, total=1, details=details)

    def line(self, text: str, colour: str) -> None:
        self.bar.console.print(text, style=colour or None, markup=False, highlight=False)

    def close(self) -> None:
        self.bar.stop()


class _Notebook:
    """A bar below the cell, updated in place, with its lines above."""

    redraws = True

    def __init__(self, title: str) -> None:
        from IPython.display import HTML, display

        self._html, self._lines, self._bar, self._drawn = HTML, "", "", 0.0
        self._handle = display(HTML(html.escape(title)), display_id=True)

    def update(self, title: str, share: float, details: str) -> None:
        bar = f'<progress value="{share:.4f}" max="1"></progress>'
        self._bar = f"<div>{html.escape(title)} {bar} {html.escape(details)}</div>"
        if time.perf_counter() - self._drawn > _REDRAW:
            self._draw()

    def line(self, text: str, colour: str) -> None:
        style = f' style="color: {colour}"' if colour else ""
        self._lines += f"<div{style}>{html.escape(text)}</div>"
        self._draw()

    def close(self) -> None:
        self._draw()

    def _draw(self) -> None:
        self._drawn = time.perf_counter()
        self._handle.update(self._html(self._lines + self._bar))


class _Lines:
    """A line for each tenth of the work, and each minute."""

    redraws = False

    def __init__(self, title: str) -> None:
        self._printed = (title, -1)  # the last tenth
        self._last = time.perf_counter()

    def update(self, title: str, share: float, details: str) -> None:
        tenth = int(10 * share + 1e-9)
        silent = time.perf_counter() - self._last >= _SILENCE
        if title != self._printed[0] or tenth > self._printed[1] or silent:
            self._printed, self._last = (title, tenth), time.perf_counter()
            self.line(f"{title} {details}", "")

    def line(self, text: str, colour: str) -> None:
        print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        pass
