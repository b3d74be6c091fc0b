# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The bar of long work: where it is shown, what it says, and that callbacks work beside it."""

from __future__ import annotations

import io
import itertools
import re
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import _progress
from micro3d_fast._progress import Progress, clock, duration, following
from micro3d_fast.diffusion import volumes
from micro3d_fast.diffusion.reconstruction import Reconstruction


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that makes stderr a fake terminal, outside CI and pytest as bars see it.

    To be called in the test: pytest sets stderr and its variable anew after the fixtures.
    """

    def turn_on(file=None):
        fake = Terminal() if file is None else file
        monkeypatch.setattr(sys, "stderr", fake)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "160")
        for name in ("CI", "PYTEST_CURRENT_TEST", "NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name, raising=False)
        return fake

    return turn_on


@pytest.fixture
def time(monkeypatch):
    """Return the clock of the bars, which stands until it is moved."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(_progress.time, "perf_counter", lambda: clock.now)
    return clock


@pytest.fixture
def notebook(monkeypatch):
    """Return what is displayed in a fake Jupyter kernel."""
    shown = []

    class Handle:
        def update(self, page):
            shown[-1] = page

    def display(page, display_id):
        assert display_id is True
        shown.append(page)
        return Handle()

    ipython, of_display = ModuleType("IPython"), ModuleType("IPython.display")
    ipython.get_ipython = lambda: SimpleNamespace(kernel=object())
    of_display.HTML, of_display.display = str, display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", of_display)
    return shown


def passes(bar, time, total, each, **more):
    """Send the events of passes that take ``each`` seconds."""
    for k in range(1, total + 1):
        time.now += each
        bar({"pass_index": k, "passes": total, "eta": each * (total - k), **more})


def words(screen) -> str:
    """Return what was written, without the codes that move the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())


def test_long_work_shows_a_bar_and_how_long_it_will_take(terminal, time):
    screen = terminal()
    with following(None, "reconstructing", on="cpu", faster=["a GPU", "fewer voxels"]) as bar:
        passes(bar, time, total=30, each=2.0)
    text = words(screen)
    sentence = (
        "reconstructing: about 60 s on this machine (cpu, 2 s per pass); "
        "faster: a GPU, fewer voxels"
    )
    assert text.count(sentence) == 1
    assert "30/30  1:00  0:00 left" in text
    assert Progress._open == 0


def test_short_work_shows_nothing(terminal, time):
    screen = terminal()
    with following(None, "reconstructing", on="cpu") as bar:
        passes(bar, time, total=30, each=0.1)
    assert screen.getvalue() == ""


def test_a_requested_bar_is_shown_for_short_work_too(terminal, time):
    screen = terminal()
    with following(True, "training") as bar:
        for step in (1, 2):
            bar({"step": step, "steps": 2, "loss": 0.25, "eta": 0.0})
    assert "2/2  loss 0.2500  0:00  0:00 left" in words(screen)
    assert "about" not in words(screen)


def test_the_estimate_is_of_timed_steps(terminal, time):
    """The first second says nothing; then the remaining time of the event counts."""
    screen = terminal()
    with following(None, "training", on="cuda:0") as bar:
        time.now += 0.5
        bar({"step": 1, "steps": 1000, "loss": float("nan"), "eta": 500.0})
        assert screen.getvalue() == ""
        time.now += 0.5
        bar({"step": 2, "steps": 1000, "loss": 0.5, "eta": 499.0})
    assert "about 8 min on this machine (cuda:0, 0.5 s per step)" in words(screen)


@pytest.mark.parametrize("name", ["CI", "PYTEST_CURRENT_TEST"])
def test_silent_in_ci_and_tests(terminal, time, monkeypatch, name):
    screen = terminal()
    monkeypatch.setenv(name, "true")
    with following(None, "reconstructing") as bar:
        passes(bar, time, total=30, each=2.0)
    assert screen.getvalue() == ""


def test_silent_in_a_pipe_but_for_lines_on_request(terminal, time, capsys):
    pipe = terminal(io.StringIO())
    with following(None, "reconstructing") as bar:
        passes(bar, time, total=30, each=2.0)
    assert pipe.getvalue() == ""
    with following(True, "reconstructing", on="cpu") as bar:
        passes(bar, time, total=30, each=2.0)
    lines = pipe.getvalue().splitlines()
    assert lines[0] == "reconstructing: about 60 s on this machine (cpu, 2 s per pass)"
    assert lines[1] == "reconstructing 1/30  0:02  0:58 left"
    assert lines[-1] == "reconstructing 30/30  1:00  0:00 left"
    assert len(lines) == 12  # one for each tenth
    assert capsys.readouterr().out == ""


def test_slow_work_prints_a_line_each_minute(terminal, time):
    pipe = terminal(io.StringIO())
    with following(True, "calibrating", on="cpu", at_most=True) as bar:
        passes(bar, time, total=30, each=70.0)
    lines = pipe.getvalue().splitlines()
    assert lines[0] == "calibrating: at most 35 min on this machine (cpu, 70 s per pass)"
    assert len(lines) == 31


def test_false_shows_nothing_and_leaves_the_callback_alone(terminal):
    screen = terminal()
    callback = print
    with following(False, "training") as bar:
        assert bar.beside(callback) is callback
        assert bar.beside(None) is None
    assert screen.getvalue() == ""


def test_a_notebook_shows_one_element_that_is_updated(terminal, time, notebook):
    screen = terminal()
    with following(None, "calibrating", on="cpu", faster=["<b>"]) as bar:
        passes(bar, time, total=30, each=2.0, stage="repeats")
    assert len(notebook) == 1
    assert "calibrating: about 60 s" in notebook[0]
    assert "faster: &lt;b&gt;" in notebook[0]
    assert '<progress value="1.0000" max="1">' in notebook[0]
    assert "30/30  repeats  1:00  0:00 left" in notebook[0]
    assert screen.getvalue() == ""


def test_ipython_in_a_terminal_is_no_notebook(monkeypatch, notebook):
    assert _progress._in_notebook()
    sys.modules["IPython"].get_ipython = lambda: SimpleNamespace()
    assert not _progress._in_notebook()
    sys.modules["IPython"].get_ipython = lambda: None
    assert not _progress._in_notebook()


def test_the_share_of_a_solver_is_that_of_the_logarithm(terminal, time):
    screen = terminal()
    with following(None, "stiffness", on="cpu") as bar:
        show = bar.solver(loads=2)
        for load, exponent in itertools.product(("xx", "yy"), (1, 2, 3, 4)):
            time.now += 10.0
            state = SimpleNamespace(
                loads=(load,), iteration=exponent, residual=10.0**-exponent, tol=1e-4
            )
            show(state)
            assert ("about" in words(screen)) == (load == "yy")  # once a load is solved
    assert "stiffness: about 80 s on this machine (cpu)" in words(screen)
    assert "100 %  yy  iteration 4  residual 1.0e-04 of 1e-04  1:20  0:00 left" in words(screen)


def test_a_bar_beside_another_stays_silent(terminal, time):
    screen = terminal()
    with following(True, "outer"):
        before = screen.getvalue()
        with following(None, "inner") as bar:
            passes(bar, time, total=30, each=2.0)
        assert "inner" not in screen.getvalue()[len(before) :]


def test_the_callback_comes_first_and_its_error_closes_the_bar(terminal, time):
    screen = terminal()

    def fail(event):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), following(True, "training") as bar:
        bar.beside(fail)({"step": 1, "steps": 2})
    assert Progress._open == 0
    assert "1/2" not in words(screen)


def test_one_bar_takes_several_jobs(terminal, time):
    screen = terminal()
    with Progress() as bar:
        for title in ("stiffness", "conductivity", "stiffness"):
            with following(bar, title, on="cpu") as same:
                assert same is bar
                passes(bar, time, total=3, each=10.0)
    assert words(screen).count("stiffness: about 30 s") == 1
    assert words(screen).count("conductivity: about 30 s") == 1


def test_times_are_written_shortly():
    assert [clock(s) for s in (5, 75, 3700)] == ["0:05", "1:15", "1:01:40"]
    assert [duration(s) for s in (42, 300, 9000)] == ["42 s", "5 min", "2.5 h"]


@pytest.fixture
def every_bar(monkeypatch):
    """Show every bar at its first event."""
    monkeypatch.setattr(_progress, "TIMED", 0.0)
    monkeypatch.setattr(_progress, "LONG", -1.0)


def test_functions_show_their_progress_on_stderr_alone(terminal, every_bar, capsys):
    screen = terminal()
    events = []
    model = m3.load_model("separator")
    volume = m3.reconstruct((8, 8, 8), model, passes=3, callback=events.append, progress=None)
    assert [event["pass_index"] for event in events] == [1, 2, 3]
    assert "reconstructing: about" in words(screen)
    assert "3/3" in words(screen)
    assert len(m3.reconstruct((8, 8, 8), model, passes=3, n=2)) == 2
    assert "6/6" in words(screen)  # of both volumes
    labels = np.random.default_rng(0).random((6, 6, 6)) < 0.5
    solids = [m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=2.0, nu=0.3)]
    found = []
    m3.homogenize_elasticity(labels, solids, callback=found.append)
    assert found[-1].loads == ("xy",)
    m3.homogenize_conductivity(labels, [1.0, 2.0])
    m3.relative_diffusivity(volume, [0, 1], axis="z")
    for title in ("stiffness", "conductivity", "diffusivity"):
        assert f"{title}: about" in words(screen)
    assert capsys.readouterr().out == ""


def test_the_draft_is_named_where_it_has_fewer_passes(terminal):
    model = m3.load_model("separator")
    for passes, hint in ((38, 'the sampler "draft" (22 of 38 passes), '), (22, "")):
        screen = terminal()
        request = Reconstruction.of((8, 8, 8), model, passes=passes, device="cpu")
        with volumes._shown(request, True) as bar:
            bar._announce(60.0, 1.0, "pass")
        assert f"faster: a GPU, {hint}fewer voxels" in words(screen)


@pytest.mark.parametrize("progress", ["yes", 1, 0.5])
def test_other_values_are_refused(progress):
    labels = np.indices((4, 4, 4)).sum(0) % 2
    with pytest.raises(TypeError, match="`progress` must be None, True or False, got "):
        m3.homogenize_conductivity(labels, [1.0, 2.0], progress=progress)
    with pytest.raises(TypeError, match="`progress` must be None, True or False, got "):
        m3.reconstruct_many((8, 8, 8), m3.load_model("separator"), [0], progress=progress)
