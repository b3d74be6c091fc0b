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

Only what a writer itself made or moved is removed.  A full disk raises `DiskFullError`, which says
how much room is missing; `rescued` then writes into the temporary folder.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from ._errors import ArgumentError, DiskFullError

T = TypeVar("T")

_TEMPORARY = ".tmp"
_OLD = ".old"
_ASIDE = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.old")
_LONGEST = 255 - len(".") - len(".12345678.tmp.safetensors")  # bytes of a name between these
_FULL = (errno.ENOSPC, errno.EDQUOT)
_NOTHING = 1 << 16  # bytes free on a disk that a library found full without saying so


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    The block creates and closes the file at the yielded path.  The suffix of ``path`` is kept,
    for writers that depend on it.
    """
    suffix = _TEMPORARY + Path(path).suffix
    path = _target(path)
    temporary = _fresh_file(path, suffix)
    try:
        os.chmod(temporary, _mode(path, 0o666))  # mkstemp gives 0600
        with _full_disk(path, temporary):
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
        os.chmod(temporary, _mode(path, 0o777))
        with _full_disk(path, temporary):
            yield temporary
            fsync_tree(temporary)
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


def try_write(path: str | os.PathLike[str]) -> None:
    """Raise the OSError that writing a file of this name would raise; leave nothing."""
    _fresh_file(_target(path), _TEMPORARY + Path(path).suffix).unlink()


def rescued(path: Path, write: Callable[[Path], T]) -> T:
    """Return ``write(path)``; on a full disk write into the temporary folder, then raise.

    The `DiskFullError` names the file or directory that was kept, if the temporary folder has room.
    """
    try:
        return write(path)
    except DiskFullError as error:
        place = Path(tempfile.mkdtemp(prefix="micro3d-"))
        try:
            write(place / path.name)
        except Exception:
            shutil.rmtree(place, ignore_errors=True)
            raise error from None
        kept = place / path.name
        raise DiskFullError(
            str(path), _size(kept), error.free, str(kept), error.errno or errno.ENOSPC
        ) from None


@contextlib.contextmanager
def locked(directory: Path, name: str, what: str) -> Iterator[None]:
    """Hold the lock of a directory; refuse the argument ``name`` if another process holds it."""
    directory.mkdir(parents=True, exist_ok=True)
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        wanted = f"be a directory that no other {what} writes to"
        raise ArgumentError(name, wanted, str(directory)) from None
    finally:
        os.close(handle)  # which unlocks it


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
    aside = f".{glob.escape(_short(target.name))}.{'?' * 8}{_OLD}"
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


def fsync_tree(path: Path) -> None:
    """Flush all files in a directory, and their names, to the disk."""
    for folder, _, names in os.walk(path):
        for name in names:
            fsync_file(Path(folder, name))
        fsync_directory(Path(folder))


def fsync_directory(path: Path) -> None:
    """Flush the names in a directory to the disk, if the platform supports it."""
    with contextlib.suppress(OSError):
        fsync_file(path)


def _target(path: str | os.PathLike[str]) -> Path:
    """Return the path itself, or what a symbolic link of this name points to."""
    return Path(os.path.realpath(path)) if os.path.islink(path) else Path(path)


def _fresh_directory(path: Path, suffix: str) -> Path:
    """Make an empty directory beside a path, under a name that nobody else has."""
    return Path(tempfile.mkdtemp(prefix=f".{_short(path.name)}.", suffix=suffix, dir=path.parent))


def _fresh_file(path: Path, suffix: str) -> Path:
    """Make an empty file beside a path, under a name that nobody else has."""
    prefix = f".{_short(path.name)}."
    handle, name = tempfile.mkstemp(prefix=prefix, suffix=suffix, dir=path.parent)
    os.close(handle)
    return Path(name)


def _short(name: str) -> str:
    """Return a name, or of a long one its beginning and a digest, so that more can be added."""
    data = os.fsencode(name)
    if len(data) <= _LONGEST:
        return name
    digest = hashlib.blake2b(data, digest_size=8).hexdigest()
    return data[: _LONGEST - len(digest)].decode(errors="ignore") + digest


def _mode(path: Path, usual: int) -> int:
    """Return the permissions of a file or directory that is replaced, or those of a new one."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode) & 0o777
    return usual & ~_umask()


def _umask() -> int:
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(status.split("Umask:")[1].split()[0], 8)
    except (OSError, IndexError, ValueError):  # not Linux
        mask = os.umask(0)  # for a moment also of other threads
        os.umask(mask)
        return mask


@contextlib.contextmanager
def _full_disk(path: Path, temporary: Path) -> Iterator[None]:
    """Turn the errors of libraries on a full disk into `DiskFullError`."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        number = getattr(error, "errno", None)
        free = shutil.disk_usage(path.parent).free
        if number not in _FULL and (number is not None or free > _NOTHING):
            raise
        number = errno.ENOSPC if number is None else number
        raise DiskFullError(str(path), None, free + _size(temporary), number=number) from error


def _size(path: Path) -> int:
    """Return the bytes that a file, or all files in a directory, take on the disk."""
    files = path.rglob("*") if path.is_dir() else [path]
    found = [file.stat() for file in files if file.is_file()]
    return sum(min(one.st_size, 512 * one.st_blocks) for one in found)
