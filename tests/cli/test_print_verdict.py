# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How the commands print a verdict."""

from __future__ import annotations

import io

import pytest

from micro3d_fast.cli.verdict import print_verdict
from micro3d_fast.statistics import Deviation, Verdict

WORST = Deviation("S2", 1, "solid", "xy", "x", 0.5, 1.0, 0.5, 0.1, 5.0, 0.001)
SECOND = "the lineal path of solid in xz along z deviates 3 × as much as that of real specimens"


def verdict(outcome: str, *reasons: str) -> Verdict:
    return Verdict(outcome, 0.0123, WORST, (WORST,), reasons, {"xy": 4.0})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("outcome", "colour"),
    [("consistent", 32), ("doubtful", 33), ("undecided", 33), ("different", 31)],
)
def test_a_terminal_shows_the_outcome_in_colour(monkeypatch, outcome, colour):
    monkeypatch.setattr("sys.stdout", terminal := Terminal())
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_verdict(verdict(outcome, "too few images"))
    assert terminal.getvalue().startswith(f"\x1b[{colour}m\x1b[1mVerdict: {outcome}")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout", plain := Terminal())
    print_verdict(verdict(outcome, "too few images"))
    assert plain.getvalue().startswith(f"Verdict: {outcome}")


def test_a_file_gets_plain_text_and_no_reason_twice(capsys):
    print_verdict(verdict("different", str(WORST), SECOND))
    assert capsys.readouterr().out.splitlines() == [
        f"Verdict: different: {WORST} (p = 0.012).",
        f"  {SECOND}",
    ]
    print_verdict(verdict("undecided", "too few images"))
    assert capsys.readouterr().out == "Verdict: undecided: too few images (p = 0.012).\n"
