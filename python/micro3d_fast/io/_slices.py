# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A volume as a folder, a pattern or a list of images, one per slice along z."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from .. import _checks
from .._checks import refuse, refuse_content
from .._grey_images import SUFFIXES, GreyImage, find, natural_key, read, without_palettes
from ._format import Content
from ._registry import READERS

_SLICES = tuple(suffix for suffix in SUFFIXES if suffix not in (".npy", ".npz"))


def files_of(given: Any, name: str = "path") -> Path | list[Path]:
    """Return the path of one volume file, or the files of its slices in natural order."""
    if isinstance(given, list | tuple):
        if not given:
            raise refuse(name, "name at least one slice", "an empty list")
        return [_checks.path(item, name=name) for item in given]
    path = _checks.path(given, name=name)
    if path.is_dir() and path.suffix.lower() not in READERS:
        return _in_folder(path)
    if not path.exists() and any(sign in str(path) for sign in "*?["):
        files = find(path, name=name)
        return files[0] if len(files) == 1 and files[0].suffix.lower() in READERS else files
    return path


def _in_folder(folder: Path) -> list[Path]:
    """Return the images in a folder, which must be of one format; other files are no slices."""
    files = [
        file
        for file in sorted(folder.iterdir(), key=natural_key)
        if file.suffix.lower() in _SLICES and not file.name.startswith(".") and file.is_file()
    ]
    kinds = sorted({file.suffix.lower() for file in files})
    if len(kinds) != 1:
        got = f"files ending in {' and '.join(kinds)}" if kinds else "none"
        hint = f"give a pattern such as {folder}/*{kinds[0]}" if kinds else ""
        raise refuse_content(folder, f"hold slices ending in {', '.join(_SLICES)}", got, hint)
    return files


def read_slices(files: list[Path]) -> Content:
    """Return the volume of some images, along z in this order."""
    images = without_palettes([image for file in files for image in read(file)])
    first = images[0]
    for image in images:
        if image.values.shape != first.values.shape or image.values.dtype != first.values.dtype:
            wanted = f"be {_kind(first.values)} as {first.source}"
            raise refuse_content(image.source, wanted, _kind(image.values))
        if _pixels(image) != _pixels(first):
            wanted = f"have pixels of {_pixels(first)} m as {first.source}"
            raise refuse_content(image.source, wanted, f"{_pixels(image)} m")
    _warn_of_missing(files)
    meta = {} if first.pixel_size is None else {"pixel_size": first.pixel_size}
    return Content(np.stack([image.values for image in images]), meta)


def _kind(values: np.ndarray) -> str:
    return f"{values.shape[0]} x {values.shape[1]} {values.dtype}"


def _pixels(image: GreyImage) -> str:
    size = (None, None) if image.pixel_size is None else image.pixel_size.size[1:]
    return " x ".join(f"{length:.4g}" if length else "unknown" for length in size)


def _warn_of_missing(files: list[Path]) -> None:
    """Warn of a gap in the numbers of the slices."""
    found = [re.findall(r"\d+", os.path.basename(file.stem)) for file in files]
    if len(files) < 3 or not all(found):
        return
    steps = np.diff([int(numbers[-1]) for numbers in found])
    usual = int(np.median(steps))
    if usual > 0 and (odd := np.flatnonzero(steps != usual)).size:
        k = int(odd[0])
        warnings.warn(
            f"the numbers of the slices jump from {files[k].name} to {files[k + 1].name}, but the "
            "volume has no gap there",
            stacklevel=4,
        )
