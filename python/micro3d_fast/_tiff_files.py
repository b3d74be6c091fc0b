# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""TIFF files that are whole.

tifffile repairs much and only logs it: planes of an OME set whose files are missing and tiles that
are not stored become zeros.  Here such files are refused.
"""

from __future__ import annotations

import contextlib
import logging
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ._checks import refuse_content
from ._files import DEFLATE, ZSTD, regular_size, require_fit, require_inflated

#: Messages about tags that say nothing of the pixels.
_HARMLESS = re.compile(r"GDAL_NODATA|GeoKey|Datetime|get_resolution|<\w+_tags>|coercing invalid")
_TAG = re.compile(r"TiffTag (\d+)")
#: Tags of the layout, the description and the resolution of the pixels, and those of ImageJ.
_NEEDED_TAGS = {*range(254, 301), 317, 320, *range(322, 326), 338, 339, 50838, 50839}
_DEFLATED = (8, 32946)
_SUB_PAGES = 330  # tag
_MOST_OME = 1 << 26  # characters


@contextlib.contextmanager
def open_tiff(path: Path) -> Iterator[Any]:
    """Open a TIFF file as ``tifffile.TiffFile``; refuse, at the end, what had to be repaired."""
    import tifffile

    _require_finite(path, regular_size(path))
    with _tifffile_log() as messages, tifffile.TiffFile(path) as file:
        renamed = _require_ome_set(file, path)
        yield file
    for text in messages:
        tag = _TAG.search(text)
        unneeded = tag is not None and int(tag[1]) not in _NEEDED_TAGS
        own_name = renamed and "OME series failed to read" in text
        if not (unneeded or own_name or _HARMLESS.search(text)):
            got = f"one that is damaged or cut short ({' '.join(text.split())[:200]})"
            raise refuse_content(path, "be a whole TIFF file", got)


def _require_finite(path: Path, size: int) -> None:
    """Refuse pages that form a circle, which tifffile would follow without end."""
    with open(path, "rb") as file:
        head = file.read(16).ljust(16, b"\0")
        order = {b"II": "<", b"MM": ">"}.get(head[:2], "<")
        (version,) = struct.unpack_from(f"{order}H", head, 2)
        if version not in (42, 43):
            return  # no TIFF, or a variant of cameras
        count, word, start = ("H", "I", 4) if version == 42 else ("Q", "Q", 8)
        waiting = list(struct.unpack_from(order + word, head, start))
        seen: set[int] = set()
        while waiting:
            offset = waiting.pop()
            if offset in seen:
                raise refuse_content(path, "be a whole TIFF file", "pages in a circle")
            if 0 < offset < size:
                seen.add(offset)
                file.seek(offset)
                waiting += _next_pages(file, struct.Struct(order + count), order + word, size)


def _next_pages(file: BinaryIO, count: struct.Struct, word: str, size: int) -> list[int]:
    """Return the offsets of the page after the one at this place, and of the pages inside it."""
    width = struct.calcsize(word)
    (n,) = count.unpack(file.read(count.size).ljust(count.size, b"\0"))
    if n * (4 + 2 * width) > size:
        return []  # damaged, as tifffile reports
    entries = file.read(n * (4 + 2 * width) + width).ljust(n * (4 + 2 * width) + width, b"\0")
    found = list(struct.unpack_from(word, entries, n * (4 + 2 * width)))
    for at in range(0, n * (4 + 2 * width), 4 + 2 * width):
        if struct.unpack_from(word[0] + "H", entries, at)[0] == _SUB_PAGES:
            (many,) = struct.unpack_from(word, entries, at + 4)
            inside = entries[at + 4 + width : at + 4 + 2 * width]
            if many > 1:
                file.seek(min(struct.unpack(word, inside)[0], size))
                inside = file.read(min(many * width, size))
            whole = len(inside) - len(inside) % width
            found += [offset for (offset,) in struct.iter_unpack(word, inside[:whole])]
    return found


@contextlib.contextmanager
def _tifffile_log() -> Iterator[list[str]]:
    """Collect what tifffile logs rather than raises."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


def require_whole(series: Any, path: Path) -> None:
    """Refuse a series of pages unless all its strips and tiles are stored in the file."""
    size = regular_size(path)
    page = series.keyframe
    gain = {1: 1}.get(int(page.compression), DEFLATE if _is_deflated(page) else ZSTD)
    require_fit(path, math.prod(series.shape) * int(page.bitspersample) // 8, size, gain)
    for page in series.pages:
        if page is None:
            raise refuse_content(path, "hold all its pages", "some of them")
        parts = list(zip(page.dataoffsets, page.databytecounts, strict=False))
        layout = page.keyframe
        wanted = math.prod(layout.chunked) if layout.is_tiled else 1
        own = page.parent.filehandle.size  # of this file of a set
        whole = all(start > 0 and 0 < count <= own - start for start, count in parts)
        if not whole or len(parts) < wanted or len(page.dataoffsets) != len(page.databytecounts):
            raise refuse_content(path, "hold all its strips and tiles", "some of them")
        if _is_deflated(layout):
            _require_bounded(page, parts, path)


def _is_deflated(page: Any) -> bool:
    return int(page.compression) in _DEFLATED


def _require_bounded(page: Any, parts: list[tuple[int, int]], path: Path) -> None:
    """Refuse a strip or tile that inflates to much more than its pixels."""
    most = 2 * math.prod(page.keyframe.chunks) * page.keyframe.dtype.itemsize + 4096
    for start, count in parts:
        if DEFLATE * count > most + (1 << 27):
            file = page.parent.filehandle
            file.seek(start)
            require_inflated(path, file.read(count), most)


def _require_ome_set(file: Any, path: Path) -> bool:
    """Refuse an OME set unless all its files lie beside this one; return whether it was renamed.

    A set names its files in OME-XML; the planes of absent ones would be read as zeros.
    """
    text = file.ome_metadata or ""
    if len(text) > _MOST_OME or "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise refuse_content(path, "have OME metadata without entities", "such metadata")
    root = re.search(r"<(?:\w+:)?OME\b([^<>]*)>", text)
    own = re.search(r"""(?<!\w)UUID\s*=\s*["']([^"']*)["']""", root[1] if root else "")
    own_id = own[1] if own else None
    others = {}
    for attributes, identity in re.findall(r"<(?:\w+:)?UUID\b([^<>]*)>([^<]*)<", text):
        named = re.search(r"""(?<!\w)FileName\s*=\s*["']([^"']*)["']""", attributes)
        name = named[1] if named else ""
        if own_id is None and name.lower() == file.filename.lower():
            own_id = identity
        if identity != own_id:
            others[identity] = name
    missing = [name for name in others.values() if not _is_beside(path, name)]
    if missing and (own_id is not None or len(others) > 1):
        hint = "its other files must lie beside it"
        got = f"an OME set of {len(others) + 1} without {missing[0][:60]!r}"
        raise refuse_content(path, "come with all files of its set", got, hint)
    return bool(missing)


def _is_beside(path: Path, name: str) -> bool:
    """Return whether a plain file name is that of a regular file in the folder of the path."""
    return name == Path(name).name and bool(name) and (path.parent / name).is_file()
