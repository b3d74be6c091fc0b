# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How the commands print a verdict: one coloured line, and what it rests on."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import typer

from .._printable import printable

if TYPE_CHECKING:
    from ..diffusion import Model
    from ..statistics import Verdict

__all__ = ["COLOURS", "print_coloured", "print_training", "print_verdict"]

COLOURS = {
    "consistent": typer.colors.GREEN,
    "doubtful": typer.colors.YELLOW,
    "undecided": typer.colors.YELLOW,
    "different": typer.colors.RED,
}


def print_verdict(verdict: Verdict) -> None:
    """Print a verdict to stdout, green, yellow or red on a terminal, and its reasons below."""
    sentence = verdict.sentence
    print_coloured(f"Verdict: {sentence} (p = {verdict.p_value:.2g}).", verdict.outcome)
    for reason in verdict.reasons:
        if reason not in sentence:
            print(f"  {reason}")


def print_coloured(line: str, outcome: str) -> None:
    """Print a line to stdout; on a terminal in the colour of an outcome, unless NO_COLOR is set."""
    colour = False if os.environ.get("NO_COLOR") else None
    typer.secho(line, fg=COLOURS[outcome], bold=True, color=colour)


def print_training(model: Model) -> None:
    """Print how well a model trained, in the colour of the verdict on its 2D samples."""
    sentence = model.details.get("training", "not recorded by the version that trained the model")
    line, verdict = f"Training: {printable(str(sentence))}.", model.details.get("verdict")
    outcome = verdict.get("outcome") if isinstance(verdict, dict) else None
    if outcome in COLOURS:
        print_coloured(line, outcome)
    else:
        print(line)
