# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Atomic writing of files and directories.

Everything is written under a temporary name in the same directory, flushed to the disk, and then
renamed, which POSIX guarantees to be atomic.  A full disk, an exception or a ``kill -9`` leaves the
old content under the final name, and at worst a ``.NAME.XXXX.tmp`` beside it (see ``sweep``).  A
symbolic link stays one: what it points to is replaced.  Two guarantees differ:

* a file replaces an older one in one step;
* a directory can replace an older one only in two renames (old one aside, new one in), so a kill
  between them leaves the final name absent, never half-written.  The old one is then found under
  ``.NAME.XXXXXXXX.old``: ``atomic_directory`` puts it back when it next runs, and a reader, who
  moves nothing, takes it from there (``present_directory``).

Only what a writer itself made or moved is removed.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_TEMPORARY = ".tmp"
_OLD = ".old"
_ASIDE = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.old")


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    The block creates and closes the file at the yielded path.  The suffix of ``path`` is kept,
    for writers that depend on it.
    """
    suffix = _TEMPORARY + Path(path).suffix
    path = _target(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp gives 0600
        yield temporary
        fsync_file(temporary)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


@contextlib.contextmanager
def atomic_directory(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a fresh directory beside ``path``; rename it to ``path`` if the block succeeds."""
    path = _target(path)
    restore_directory(path)
    temporary = _fresh_directory(path, _TEMPORARY)
    old = None
    try:
        os.chmod(temporary, 0o777 & ~_umask())
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                fsync_file(Path(folder, name))
            fsync_directory(Path(folder))
        if path.exists():
            old = _fresh_directory(path, _OLD)
            os.rename(path, old)  # over an empty directory
            try:
                os.rename(temporary, path)
            except BaseException:
                os.rename(old, path)
                raise
        else:
            os.rename(temporary, path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    fsync_directory(path.parent)
    if old is not None:
        remove(old)


def restore_directory(path: str | os.PathLike[str]) -> None:
    """Undo a replacement of directory ``path`` that was killed between its two renames."""
    present = present_directory(path)
    if present != Path(path) and present.exists():
        os.rename(present, _target(path))


def present_directory(path: str | os.PathLike[str]) -> Path:
    """Return where a directory is: aside, if its replacement is under way or was killed."""
    path = Path(path)
    target = _target(path)
    if target.exists():
        return path
    aside = f".{glob.escape(target.name)}.{'?' * 8}{_OLD}"
    found = [entry for entry in target.parent.glob(aside) if any(entry.iterdir())]
    return max(found, key=lambda entry: entry.stat().st_mtime) if found else path


def sweep(directory: str | os.PathLike[str]) -> list[Path]:
    """Remove what killed writers left; call only while nobody writes there.

    That is temporary files, and old directories whose replacement is in place.
    """
    directory = Path(directory)
    left = []
    for entry in directory.iterdir():
        aside = _ASIDE.fullmatch(entry.name)
        temporary = entry.name.startswith(".") and _TEMPORARY in entry.suffixes[-2:]
        if temporary or (aside is not None and (directory / aside[1]).exists()):
            left.append(entry)
    for entry in left:
        remove(entry)
    return left


def remove(path: Path) -> None:
    """Remove a file or a whole directory, if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def fsync_file(path: Path) -> None:
    """Flush a closed file, or the names in a directory, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def fsync_directory(path: Path) -> None:
    """Flush the names in a directory to the disk, if the platform supports it."""
    with contextlib.suppress(OSError):
        fsync_file(path)


def _target(path: str | os.PathLike[str]) -> Path:
    """Return the path itself, or what a symbolic link of this name points to."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)


def _fresh_directory(path: Path, suffix: str) -> Path:
    """Make an empty directory beside a path, under a name that nobody else has."""
    return Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=suffix, dir=path.parent))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
