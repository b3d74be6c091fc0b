# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The voxel size of micrographs: as given, or as their files state it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from .. import _checks
from .._checks import refuse_content
from .._grey_images import GreyImage
from .._pixel_size import SAME_SIZE
from .._planes import AXIS_NAMES, NORMAL

Size = tuple[float, float, float]


class _Stated(NamedTuple):
    """The length of a pixel along one axis, and where it stands."""

    axis: int
    length: float
    file: str
    where: str


def voxel_size_of(planes: Mapping[str, list[GreyImage]], given: Any) -> tuple[Size, str]:
    """Return the voxel size in metres and where it comes from, empty if it was given.

    A size that was given wins, with a warning where a file states another one.  Files that
    contradict each other are refused if none was given: their images would have to be resampled.
    """
    if given is not None:
        size = _checks.lengths3(given, ndim=2 if len(planes) == 1 else 3)
        _warn_of_contradictions(_stated(planes, known=True), size)
        return size, ""
    stated = _stated(planes, known=False)
    first: dict[int, _Stated] = {}
    for here in stated:
        other = first.setdefault(here.axis, here)
        if not _same(other.length, here.length):
            axis = AXIS_NAMES[here.axis]
            wanted = f"have pixels of {other.length:.6g} m along {axis}, as {other.file} states"
            hint = "bring the images to one pixel size, or give `voxel_size`"
            raise refuse_content(here.file, wanted, f"{here.length:.6g} m", hint)
    if not first:
        return (1.0, 1.0, 1.0), ""
    last = first[max(first)]
    lengths = [first.get(axis, last).length for axis in range(3)]
    z, y, x = (last.length if _same(length, last.length) else length for length in lengths)
    return (z, y, x), f"{last.where} of {last.file}"


def _stated(planes: Mapping[str, list[GreyImage]], known: bool) -> list[_Stated]:
    """Return what the files state, image by image; without a ``known`` size refuse nonsense."""
    found = []
    for plane, images in planes.items():
        axes = [axis for axis in range(3) if axis != NORMAL[plane]]
        for image in images:
            pixel = image.pixel_size
            if pixel is None:
                continue
            if pixel.problem and not known:
                raise pixel.refusal(image.source)
            for axis, length in zip(axes, pixel.size[1:], strict=True):
                if length:
                    found.append(_Stated(axis, length, image.source, pixel.source))
    return found


def _warn_of_contradictions(stated: list[_Stated], size: Size) -> None:
    seen: dict[tuple[int, float], _Stated] = {}
    for here in stated:
        if not _same(here.length, size[here.axis]):
            seen.setdefault((here.axis, here.length), here)
    if seen:
        texts = [
            f"{here.length:.6g} m along {AXIS_NAMES[here.axis]} in {here.file} ({here.where})"
            for here in seen.values()
        ]
        warnings.warn(
            f"`voxel_size` {tuple(size)} m is used, but the files state {', '.join(texts)}",
            stacklevel=4,
        )


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=SAME_SIZE)
