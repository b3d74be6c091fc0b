# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Atomic writing of files and directories.

Everything is written under a temporary name in the same directory, flushed to the disk, and then
renamed, which POSIX guarantees to be atomic.  A full disk, an exception or a ``kill -9`` leaves the
old content under the final name, and at worst a ``.NAME.XXXX.tmp`` beside it (see ``sweep``).  A
symbolic link stays one: what it points to is replaced.  Two guarantees differ:

* a file replaces an older one in one step;
* a directory can replace an older one only in two renames (old one aside, new one in), so a kill
  between them leaves the final name absent, never half-written; ``atomic_directory`` puts the old
  one back when it next runs, and ``restore_directory`` does so for a reader.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_TEMPORARY = ".tmp"
_OLD = ".old"


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
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=_TEMPORARY, dir=path.parent))
    old = _aside(path)
    try:
        os.chmod(temporary, 0o777 & ~_umask())
        yield temporary
        for folder, _, names in os.walk(temporary):
            for name in names:
                fsync_file(Path(folder, name))
            fsync_directory(Path(folder))
        if path.exists():
            os.rename(path, old)
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
    remove(old)


def restore_directory(path: str | os.PathLike[str]) -> None:
    """Undo a replacement of directory ``path`` that was killed between its two renames."""
    path = _target(path)
    old = _aside(path)
    if not old.exists():
        return
    if path.exists():
        remove(old)
    else:
        os.rename(old, path)


def sweep(directory: str | os.PathLike[str]) -> list[Path]:
    """Remove the temporary files of killed writers; call only while nobody writes there."""
    left = [
        entry
        for entry in Path(directory).iterdir()
        if entry.name.startswith(".") and _TEMPORARY in entry.suffixes[-2:]
    ]
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


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}{_OLD}")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
