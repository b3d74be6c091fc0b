# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Images of the planes that were not given, from those that were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import _checks
from .._blocks import spread_evenly
from .._checks import refuse
from .._planes import AXIS_NAMES, IMAGE_AXES, NORMAL, PLANES
from ..statistics.lengths import pooled_correlation_length

Images = dict[str, list[np.ndarray]]
Sources = dict[str, list[str]]
Size = tuple[float, float, float]


def complete_planes(
    given: Images, sources: Sources, size: Size, symmetry_axis: Any
) -> tuple[Images, Sources, dict[str, str]]:
    """Return images and sources of all three planes, and what each borrowed plane shows."""
    axis = _checks.choice(symmetry_axis, ("auto", "x", "y", "z"), name="symmetry_axis")
    images = {plane: [_frozen(image) for image in stack] for plane, stack in given.items()}
    sources = dict(sources)
    borrowed = {}
    if len(given) == 1:
        borrowed = _borrow_isotropic(images, sources, size, axis)
    elif len(given) == 2:
        borrowed = _borrow_transverse(images, sources, size, axis)
    elif axis != "auto":
        wanted = "be 'auto' where all three planes are given"
        raise refuse("symmetry_axis", wanted, repr(axis))
    ordered = {plane: images[plane] for plane in PLANES}
    return ordered, {plane: list(sources[plane]) for plane in PLANES}, borrowed


def _frozen(image: np.ndarray) -> np.ndarray:
    """Return a contiguous image, made read-only: nobody else holds it."""
    image = np.ascontiguousarray(image)
    image.flags.writeable = False
    return image


def isotropic_plane(given: Sequence[str], borrowed: dict[str, str]) -> str:
    """Return the plane whose two directions the borrowing takes as equal, or an empty string."""
    if len(given) == 1:
        return given[0]
    for text in borrowed.values():
        source = text.split()[0]
        return next(plane for plane in given if plane != source)
    return ""


def _borrow_isotropic(images: Images, sources: Sources, size: Size, axis: str) -> dict[str, str]:
    """Add the two missing planes to ``images`` and ``sources``: those of the plane given."""
    (source,) = images
    if axis != "auto":
        wanted = "be 'auto' where one plane is given (it is taken as isotropic)"
        raise refuse("symmetry_axis", wanted, repr(axis), "give the images of two planes")
    if len(set(size)) != 1:
        wanted = "be the same along all axes where one plane stands for three"
        raise refuse("voxel_size", wanted, str(size))
    borrowed = {}
    for plane in PLANES:
        if plane != source:
            images[plane], sources[plane] = images[source], sources[source]
            borrowed[plane] = f"{source}, taken as isotropic"
    return borrowed


def _borrow_transverse(images: Images, sources: Sources, size: Size, axis: str) -> dict[str, str]:
    """Add the missing plane to ``images`` and ``sources``, by symmetry about an axis."""
    given = [plane for plane in PLANES if plane in images]
    (missing,) = (plane for plane in PLANES if plane not in images)
    if axis == "auto":
        isotropic = min(given, key=lambda plane: _anisotropy(images[plane], plane, size))
    else:
        (isotropic,) = (p for p in PLANES if AXIS_NAMES[NORMAL[p]] == axis)
        if isotropic == missing:
            wanted = f"be normal to one of the planes given, {given[0]} and {given[1]}"
            hint = f"plane {missing} cannot be borrowed from them"
            raise refuse("symmetry_axis", wanted, repr(axis), hint)
    (source,) = (plane for plane in given if plane != isotropic)
    (shared,) = set(IMAGE_AXES[source]) & set(IMAGE_AXES[isotropic])
    (replaced,) = set(IMAGE_AXES[isotropic]) - {shared}
    s, b = AXIS_NAMES[shared], AXIS_NAMES[replaced]
    if size[shared] != size[replaced]:
        raise refuse(
            "voxel_size",
            f"be the same along {s} and {b}, the directions of the isotropic plane {isotropic} "
            f"that stands for plane {missing}",
            str(size),
        )
    axes = tuple(replaced if a == shared else a for a in IMAGE_AXES[source])
    transposed = axes != IMAGE_AXES[missing]
    images[missing] = images[source]
    if transposed:
        images[missing] = [_frozen(image.T) for image in images[source]]
    sources[missing] = sources[source]
    text = f"{source} with {s} read as {b}{', transposed' if transposed else ''}"
    return {missing: f"{text}: {isotropic} is taken as isotropic"}


def _anisotropy(images: list[np.ndarray], plane: str, size: Size) -> float:
    """Return ``|log|`` of the ratio of the two correlation lengths of a plane, in metres."""
    lengths = [
        correlation_length(images, row_or_column) * size[axis]
        for row_or_column, axis in enumerate(IMAGE_AXES[plane])
    ]
    return abs(float(np.log(lengths[0] / lengths[1])))


def correlation_length(images: Sequence[np.ndarray], axis: int, most: int = 16) -> float:
    """Return the lag in pixels at which the pooled autocorrelation of some images falls to 1/e.

    If it never does within half an image, return half the image.
    """
    return pooled_correlation_length(spread(images, most), axis)


def spread(items: Sequence[Any], most: int) -> list[Any]:
    """Return at most ``most`` of the items, evenly spread."""
    return [items[i] for i in spread_evenly(len(items), most)]
