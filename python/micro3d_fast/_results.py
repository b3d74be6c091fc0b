# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Equality of results that hold arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


class Result:
    """Base of dataclasses (``eq=False``) that hold arrays: equal if all their values are.

    NaN equals NaN, so that a result equals its copy.  Not hashable, like the arrays.
    """

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return _same(self, other) if type(self) is type(other) else NotImplemented


def _same(a: Any, b: Any) -> bool:
    """Return whether two values are equal, item by item; NaN equals NaN."""
    if a is b:
        return True
    if is_dataclass(a) and type(a) is type(b):
        names = [f.name for f in fields(a) if f.compare]
        return all(_same(getattr(a, name), getattr(b, name)) for name in names)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple) and type(a) is type(b):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, np.ndarray | float) and isinstance(b, np.ndarray | float):
        a, b = np.asarray(a), np.asarray(b)
        # NaN differs from itself; types without NaN have no isnan
        return a.shape == b.shape and bool(np.all((a == b) | ((a != a) & (b != b))))
    return bool(a == b)
