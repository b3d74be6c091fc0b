# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Errors of the commands: one sentence, an exit code, and options instead of Python arguments."""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import typer

from .._errors import ArgumentError, ArgumentTypeError, rename_arguments
from .._printable import printable
from .._torchrun import torchrun_processes

__all__ = [
    "BAD_INPUT",
    "DEVIATES",
    "FAILED",
    "INTERRUPTED",
    "Stopped",
    "fail",
    "guarded",
    "options_of",
    "sentence",
    "to_stderr",
    "to_stdout",
]

BAD_INPUT, FAILED, DEVIATES, INTERRUPTED = 2, 1, 3, 130

_MAPPING = re.compile(r"\{([\d.]+: \d+(?:, [\d.]+: \d+)*)\}")
_FALSE = re.compile(r"--([\w-]+) is False\b")
_NONE = re.compile(r"(--[\w-]+ must be) None\b")

Rename = Callable[[str], str]


class Stopped(KeyboardInterrupt):
    """Ctrl-C, with a message about what to do next."""


def to_stderr(line: str) -> None:
    """Print lines to stderr, without control characters of file names and the like."""
    print("\n".join(map(printable, line.split("\n"))), file=sys.stderr, flush=True)


def to_stdout(*lines: object) -> None:
    """Print lines to stdout, without control characters of file names and the like."""
    print(*("\n".join(map(printable, str(line).split("\n"))) for line in lines), sep="\n")


def fail(message: str, code: int = BAD_INPUT) -> NoReturn:
    """Print one sentence and leave the command with an exit code."""
    rank = f" (rank {os.environ['RANK']})" if torchrun_processes() > 1 else ""
    to_stderr(f"micro3d{rank}: {' '.join(message.split())}")
    raise typer.Exit(code)


def guarded(**arguments: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn what a command raises into one sentence and an exit code.

    ``arguments`` maps a Python argument to the parameter of the command that sets it, where their
    names differ, so that messages of the library name the option.
    """

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(command)
        def run(*args: Any, **options: Any) -> None:
            debug = options.get("debug") or os.environ.get("MICRO3D_DEBUG", "0") not in ("", "0")
            try:
                with _plain_warnings(command, arguments):
                    command(*args, **options)
            except (typer.Exit, BrokenPipeError):
                raise
            except KeyboardInterrupt as error:
                if debug and not isinstance(error, Stopped):
                    raise
                fail(str(error) or "Stopped; nothing was written.", INTERRUPTED)
            except Exception as error:
                if debug or getattr(error, "format_message", None):  # typer's own refusals
                    raise
                own = getattr(error, "parameters", {})
                _exit_with(error, sentence(error, renaming(command, {**arguments, **own})))

        return run

    return decorated


def _exit_with(error: Exception, message: str) -> NoReturn:
    if isinstance(error, ValueError | TypeError | FileNotFoundError | IsADirectoryError):
        fail(message)
    if isinstance(error, OSError | ImportError | ArithmeticError | RuntimeError):
        fail(message, FAILED)
    if isinstance(error, MemoryError):
        fail(f"Not enough memory: {message}", FAILED)
    fail(f"Unexpected {type(error).__name__}: {message} (--debug shows where)", FAILED)


@contextlib.contextmanager
def _plain_warnings(command: Callable[..., None], arguments: Mapping[str, str]) -> Iterator[None]:
    shown = set()

    def show(message: Warning | str, category: type[Warning], *_: Any) -> None:
        text = _as_typed(rename_arguments(str(message), renaming(command, arguments)))
        if text not in shown:
            shown.add(text)
            to_stderr(f"warning: {' '.join(text.split())}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def sentence(error: BaseException, rename: Rename) -> str:
    """Return the message of an error with its arguments written by ``rename``."""
    if isinstance(error, ArgumentError | ArgumentTypeError):
        return _as_typed(error.sentence(rename))
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.strerror}: {error.filename}"
    message = str(error).removesuffix("; the partial result is in `.partial`")  # no result here
    return _as_typed(rename_arguments(message, rename)) or type(error).__name__


def renaming(command: Callable[..., None], arguments: Mapping[str, str]) -> Rename:
    """Return the function that writes an argument of the library as an option of the command.

    An argument that no option sets keeps its backquotes.  A value of ``arguments`` that is no
    parameter of the command is written as it is.
    """
    options = options_of(command)
    options |= {name: options.get(parameter, parameter) for name, parameter in arguments.items()}

    def rename(argument: str) -> str:
        name, bracket, index = argument.partition("[")
        if argument in options:
            return options[argument]
        return options[name] + bracket + index if name in options else f"`{argument}`"

    return rename


def options_of(command: Callable[..., None]) -> dict[str, str]:
    """Return each parameter of a command as it is typed: ``--option``, or the name in its usage."""
    app = typer.Typer(add_completion=False)
    app.command()(command)
    return {
        parameter.name or "": parameter.opts[0]
        if parameter.opts[0].startswith("-")
        else str(parameter.metavar)
        for parameter in typer.main.get_command(app).params
    }


def _as_typed(message: str) -> str:
    """Write mappings, None and False as they are typed: ``0:0,255:1``, "left out", ``--no-x``."""
    message = _MAPPING.sub(lambda found: found[1].replace(" ", ""), message)
    message = _FALSE.sub(r"--no-\1 is given", message)
    return _NONE.sub(r"\1 left out", message)
