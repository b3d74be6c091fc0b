# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Shapes that results are allocated by; the compiled core checks all else about its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .._checks import refuse, refuse_type, shown


def shape_of(array: Any, name: str, *ndim: int) -> tuple[int, ...]:
    """Return the shape of an array with one of the allowed numbers of axes."""
    shape = getattr(array, "shape", None)
    if not isinstance(shape, tuple):
        raise refuse_type(name, "be an array", type(array).__name__)
    if len(shape) not in ndim:
        raise refuse(name, f"have {' or '.join(map(str, ndim))} axes", f"shape {tuple(shape)}")
    return tuple(int(n) for n in shape)


def require_mask(mask: Any, shape: tuple[int, ...]) -> None:
    """Refuse a mask whose shape is not that of the labels; None is no mask."""
    if mask is not None and tuple(getattr(mask, "shape", ())) != shape:
        got = tuple(getattr(mask, "shape", ()))
        raise refuse("mask", f"have the shape of `labels` {shape}", str(got))


def three(values: Any, name: str) -> tuple[Any, Any, Any]:
    """Return the three items of a sequence, one per axis."""
    if not isinstance(values, Sequence) or len(values) != 3:
        raise refuse(name, "be three, for z, y and x", shown(values))
    z, y, x = values
    return z, y, x
