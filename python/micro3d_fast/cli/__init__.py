# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The command ``micro3d``: check, train, calibrate, reconstruct, characterize, view, ...

One module per command.  Results go to stdout, progress and errors to stderr.  Exit codes: 0 done,
1 failed, 2 bad input, 3 a verdict that --fail-on names, 130 stopped by Ctrl-C.  Bad input is
refused with one sentence; ``--debug`` shows the traceback instead.  The commands import everything
heavy when they run, so that ``--help`` is quick.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from .calibrate import calibrate
from .characterize import characterize
from .check import check
from .demo import demo
from .errors import BAD_INPUT, INTERRUPTED, to_stderr
from .homogenize import homogenize
from .info import info
from .materials import help_on_files, materials
from .models import models
from .reconstruct import reconstruct
from .study import study
from .train import train
from .view import view

__all__ = ["app", "main"]

app = typer.Typer(
    name="micro3d",
    help=(
        "Reconstruct 3D microstructures from 2D micrographs and verify them.\n\n"
        "\b\nA first look:\n  micro3d demo --out demo/"
    ),
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command(short_help="Check micrographs and their segmentation before training.")(check)
app.command(short_help="Train a model on micrographs.")(train)
app.command(short_help="Fit the volumes of a model to its micrographs.")(calibrate)
app.command(short_help="Reconstruct volumes with a model.")(reconstruct)
app.command(short_help="Measure the statistics of a volume.")(characterize)
app.command("report", short_help="Another name of characterize.")(characterize)
app.command(short_help="Compute effective properties of a volume.", epilog=help_on_files())(
    homogenize
)
app.command(short_help="Print a file of materials to start from.")(materials)
app.command(short_help="Validate a model by many volumes, as the paper does.")(study)
app.command(short_help="Open the 3D view of a volume in the browser.")(view)
app.command(short_help="List the bundled models.")(models)
app.command(short_help="Run the whole workflow with the bundled models.")(demo)
app.command(short_help="Show versions, devices and bundled models.")(info)


def _print_version(requested: bool) -> None:
    if requested:
        from .. import __version__

        print(f"micro3d-fast {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    del version


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; without arguments, print the help."""
    command = typer.main.get_command(app)
    words = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an ASCII terminal lacks some characters
            stream.reconfigure(errors="replace")
    try:
        code = command.main(args=words, prog_name="micro3d", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        to_stderr("micro3d: Stopped.")
        return INTERRUPTED
    except Exception as error:
        message = getattr(error, "format_message", None)  # typer's own refusals
        if message is None:
            raise
        where = getattr(getattr(error, "ctx", None), "command_path", "micro3d")
        text = " ".join(message().split())
        if "unexpected extra argument" in text:  # of a pattern that the shell has expanded
            text += "; quote patterns, such as --xy 'xy/*.png'"
        if "No such command 'compare'" in text:
            text += " micro3d report VOLUME --reference OTHER --out DIR compares two volumes."
        to_stderr(f"{where}: {text} (see {where} --help)")
        return int(getattr(error, "exit_code", BAD_INPUT))
    return code if isinstance(code, int) else 0
