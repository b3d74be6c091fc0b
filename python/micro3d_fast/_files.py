# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Files of others: only regular ones are opened, and no header is believed beyond its file.

Every reader of the package asks here before it allocates what a header promises: a promise must be
met by the bytes that are stored, times what the compression can gain at most.
"""

from __future__ import annotations

import os
import stat
import zlib
from typing import Any

from ._checks import refuse_content
from ._printable import printable

#: Bytes that a byte of deflate, or of the usual image compressions, holds at most, rounded up.
DEFLATE = 1100
#: The same of Zstandard, Blosc and LZMA, which count repeated bytes.
ZSTD = 40_000
_ALWAYS_READ = 1 << 24  # bytes that are read whatever is stored


def regular_size(path: str | os.PathLike[str], source: Any = None) -> int:
    """Return the size of a file in bytes; refuse pipes, devices and sockets, which may never end.

    A missing file raises FileNotFoundError.  ``source`` names the file in the refusal.
    """
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        raise refuse_content(path if source is None else source, "be a regular file", _kind(status))
    return status.st_size


def _kind(status: os.stat_result) -> str:
    kinds = {
        stat.S_IFDIR: "a directory",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a character device",
        stat.S_IFBLK: "a block device",
    }
    return kinds.get(stat.S_IFMT(status.st_mode), "something else")


def first_line(error: BaseException) -> str:
    """Return the message of another library's error, in one short line."""
    line = printable(next(iter(str(error).splitlines()), "")) or type(error).__name__
    return line if len(line) <= 200 else line[:197] + "..."


class UnreadableFileError(ValueError):
    """A file could not be read."""

    @classmethod
    def of(cls, path: str | os.PathLike[str], kind: str, error: Exception) -> UnreadableFileError:
        """Return the error for a file whose reader raised ``error``.

        Plain ValueErrors and those of the system are sentences already; what else a library raises
        is its internals.
        """
        words = first_line(error)
        if type(error) is not ValueError and getattr(error, "errno", None) is None:
            suffix = os.path.splitext(path)[1].lower()
            words = f"it may be damaged, cut short or no {suffix} file ({words})"
        return cls(f"{path} cannot be read as {kind}: {words}")


def require_fit(source: Any, promised: int, stored: int, gain: int = 1) -> None:
    """Refuse a header that promises more bytes than the stored ones can hold.

    ``gain``: the bytes that one stored byte holds at most; 1 without compression.
    """
    most = stored if gain == 1 else gain * stored + _ALWAYS_READ
    if not 0 <= promised <= most:
        wanted = "hold the values that its header describes"
        got = f"{promised} bytes of values described and {stored} bytes stored"
        raise refuse_content(source, wanted, got)


def require_inflated(source: Any, data: bytes, most: int) -> None:
    """Refuse data of zlib or gzip that hold more than ``most`` bytes; little memory is taken."""
    inflater = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header
    found = 0
    while data and found <= most:
        found += len(inflater.decompress(data, 1 << 20))
        data = inflater.unconsumed_tail
    if found > most:
        raise refuse_content(source, f"hold at most {most} bytes in one piece", "more")
