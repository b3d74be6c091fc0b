# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The package's own error classes. Each inherits from what a caller would catch anyway."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from typing import Any

from ._printable import printable

_BACKQUOTED = re.compile(r"`([^`]+)`")


def rename_arguments(text: str, rename: Callable[[str], str]) -> str:
    """Return a text with every argument in backquotes written as ``rename(argument)``."""
    return _BACKQUOTED.sub(lambda match: rename(match[1]), text)


class _Refusal(Exception):
    """An argument is refused; the message is "`name` must ``wanted``, got ``got``: ``hint``".

    Attributes
    ----------
    name : str
        The argument, without backquotes.
    wanted : str
        What it must be: the words after "must".
    got : str
        The value received.
    hint : str
        What to do about it; often empty.
    source : str
        The file that the value came from; empty for an argument.
    """

    def __init__(
        self, name: str, wanted: str, got: str, hint: str = "", *, source: str = ""
    ) -> None:
        self.name, self.wanted, self.got = name, wanted, got
        self.hint, self.source = hint, source
        super().__init__(printable(self.sentence()))

    def sentence(self, rename: Callable[[str], str] = "`{}`".format) -> str:
        """Return the message with every argument it names written as ``rename(argument)``.

        A name that belongs to a file (``source``) is not an argument of the caller and stays;
        those of the hint are.
        """
        hint = f": {rename_arguments(self.hint, rename)}" if self.hint else ""
        wanted, tail = (
            _short(self.wanted),
            f", got {_short(self.got)}",
        )  # quoted from the input, so it is left as it is
        if self.source:
            subject = f"{self.source}: `{self.name}`" if self.name else self.source
            return f"{subject} must {wanted}{tail}{hint}"
        return f"{rename(self.name)} must {rename_arguments(wanted, rename)}{tail}{hint}"

    def in_source(self, source: str, *, named: bool = True) -> _Refusal:
        """Return the same refusal about what a file holds: "source: `name` must ...".

        Without ``named`` the source itself is the subject: "source must ...".
        """
        name = self.name if named else ""
        return type(self)(name, self.wanted, self.got, self.hint, source=source)

    def __reduce__(self) -> Any:
        return _rebuild, (type(self), self.name, self.wanted, self.got, self.hint, self.source)


def _short(text: str) -> str:
    """Return at most 300 characters of a text, which a file may have made long."""
    return text if len(text) <= 300 else f"{text[:297]}..."


def _rebuild(kind: type, name: str, wanted: str, got: str, hint: str, source: str) -> Any:
    return kind(name, wanted, got, hint, source=source)


class ArgumentError(_Refusal, ValueError):
    """An argument has a value or a shape that is not accepted."""


class ArgumentTypeError(_Refusal, TypeError):
    """An argument is of a kind or dtype that is not accepted."""


class DiskFullError(OSError):
    """A file does not fit on its disk; what the file was before is still there.

    Attributes
    ----------
    path : str
        The file or directory that was to be written.
    needed : int or None
        Its size in bytes, where it is known.
    free : int
        Bytes that are free on its disk.
    kept : str or None
        The file or directory in the temporary folder that was written instead.
    """

    def __init__(
        self,
        path: str,
        needed: int | None,
        free: int,
        kept: str | None = None,
        number: int = errno.ENOSPC,
    ) -> None:
        self.path, self.needed, self.free, self.kept = path, needed, free, kept
        size = "more than" if needed is None else f"{_bytes(needed)}, not"
        place = f"; it is kept as {kept}" if kept else ""
        text = f"{path} needs {size} the {_bytes(free)} that are free{place}"
        super().__init__(number, printable(f"{os.strerror(number)}: {text}"))

    def __str__(self) -> str:
        return str(self.strerror)

    def __reduce__(self) -> Any:
        return type(self), (
            self.path,
            self.needed,
            self.free,
            self.kept,
            self.errno,
        )


def _bytes(number: int) -> str:
    return f"{number / 1e6:.1f} MB" if number >= 1e6 else f"{number / 1e3:.0f} kB"


class CudaError(RuntimeError):
    """A CUDA call failed while an operator ran."""


class CudaUnavailableError(CudaError, ValueError):
    """CUDA was requested but is not available: not built in, or no usable device.

    The device is an argument, so this is a ValueError too.
    """
