# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Checks at the door: every public function sends its arguments through here once.

Each function returns the value in its plain form, or refuses it in one sentence that names the
argument in backquotes, says what it must be, and what came.  ``TypeError`` for kinds and dtypes,
``ValueError`` for values and shapes.  Nothing here imports torch or cupy; arrays of either are
recognized by what they can do.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

AXIS_NAMES = ("z", "y", "x")  # of array axes 0, 1, 2 of a volume


# ------------------------------------------------------------------------------------- scalars


def integer(
    value: Any, *, name: str, minimum: int | None = None, maximum: int | None = None
) -> int:
    """Plain ``int`` within ``minimum ... maximum``; bool and floats are refused."""
    wanted = _integer_range(minimum, maximum)
    if isinstance(value, bool | np.bool_) or _is_bool_array(value):
        raise TypeError(f"`{name}` must be {wanted}, got {_show(value)} (bool)")
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(
            f"`{name}` must be {wanted}, got {_show(value)} ({type(value).__name__})"
        ) from None
    if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        raise ValueError(f"`{name}` must be {wanted}, got {number}")
    return number


def repeats(value: Any, *, name: str, steps: int | None = None) -> tuple[int, ...]:
    """Harmonizing passes of each of ``steps`` steps (at least one), 0 for the last, as a tuple."""
    each = "a step" if steps is None else f"for each of {steps} steps"
    wanted = f"`{name}` must be one number {each}, 0 ... 1000, and 0 for the last"
    try:
        found = tuple(integer(n_h, name=name, minimum=0, maximum=1000) for n_h in value)
    except (TypeError, ValueError):
        raise ValueError(f"{wanted}, got {_show(value)}") from None
    if not found or found[-1] != 0 or (steps is not None and len(found) != steps):
        raise ValueError(f"{wanted}, got {found!r}")
    return found


def real(
    value: Any,
    *,
    name: str,
    minimum: float | None = None,
    maximum: float | None = None,
    open_ends: bool | tuple[bool, bool] = False,
) -> float:
    """Plain finite ``float`` within the interval; NaN, infinities, complex and bool are refused.

    ``open_ends`` says whether the interval excludes its ends: one bool, or one per end.
    """
    low_open, high_open = (open_ends, open_ends) if isinstance(open_ends, bool) else open_ends
    wanted = _real_range(minimum, maximum, low_open, high_open)
    plain = value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        plain = value.item()  # numpy, torch and cupy scalars
    if isinstance(plain, bool) or not (
        isinstance(plain, int | float) or hasattr(plain, "__float__")
    ):
        raise TypeError(f"`{name}` must be {wanted}, got {_show(value)} ({type(value).__name__})")
    if isinstance(plain, str | bytes | complex) or hasattr(plain, "shape"):
        raise TypeError(f"`{name}` must be {wanted}, got {_show(value)} ({type(value).__name__})")
    try:
        number = float(plain)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"`{name}` must be {wanted}, got {_show(value)}") from None
    below = minimum is not None and (number <= minimum if low_open else number < minimum)
    above = maximum is not None and (number >= maximum if high_open else number > maximum)
    if not math.isfinite(number) or below or above:
        raise ValueError(f"`{name}` must be {wanted}, got {number:.12g}")
    return number


def boolean(value: Any, *, name: str) -> bool:
    """Plain ``bool``; numbers and strings are refused."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(
            f"`{name}` must be True or False, got {_show(value)} ({type(value).__name__})"
        )
    return bool(value)


def choice(value: Any, options: Iterable[str], *, name: str) -> str:
    """One of the given strings."""
    options = tuple(options)
    wanted = " or ".join(repr(option) for option in options)
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be {wanted}, got {_show(value)} ({type(value).__name__})")
    if value not in options:
        raise ValueError(f"`{name}` must be {wanted}, got {value!r}")
    return str(value)


def path(value: Any, *, name: str = "path") -> Path:
    """``pathlib.Path`` of a string or path-like."""
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise TypeError(f"`{name}` must be a path, got {_show(value)} ({type(value).__name__})")
    if not os.fspath(value):
        raise ValueError(f"`{name}` must be a path, got an empty string")
    return Path(value)


def seed_number(seed: Any, *, name: str = "seed") -> int:
    """Seed of the counter-based generator: an integer ``0 ... 2**64 - 1``."""
    return integer(seed, name=name, minimum=0, maximum=2**64 - 1)


# ------------------------------------------------------------------------- words of this project


def phase_number(phase: Any, *, name: str = "phase") -> int:
    """Phase label ``0 ... 255``."""
    return integer(phase, name=name, minimum=0, maximum=255)


def axis_number(axis: Any, ndim: int, *, name: str = "axis") -> int:
    """Array axis from its number or its name: ``"z"``, ``"y"``, ``"x"`` (2D: ``"y"``, ``"x"``)."""
    names = AXIS_NAMES[3 - ndim :]
    numbers = ", ".join(map(str, range(ndim)))
    wanted = f"{numbers} or {', '.join(repr(n) for n in names)}"
    if isinstance(axis, str):
        if axis not in names:
            raise ValueError(f"`{name}` must be {wanted}, got {axis!r}")
        return names.index(axis)
    try:
        number = integer(axis, name=name)
    except TypeError:
        raise TypeError(
            f"`{name}` must be {wanted}, got {_show(axis)} ({type(axis).__name__})"
        ) from None
    if not 0 <= number < ndim:
        raise ValueError(f"`{name}` must be {wanted}, got {number}")
    return number


def lag_limit(max_lag: Any, n: int, *, name: str = "max_lag") -> int:
    """Longest lag along an axis of ``n`` voxels: ``None`` is ``n // 2``, else ``0 ... n - 1``."""
    if max_lag is None:
        return min(n // 2, n - 1)
    return integer(max_lag, name=name, minimum=0, maximum=n - 1)


def shape3(shape: Any, *, name: str = "volume_shape") -> tuple[int, int, int]:
    """``(nz, ny, nx)``, three positive integers."""
    wanted = "three positive integers (nz, ny, nx)"
    if isinstance(shape, str | bytes) or not isinstance(shape, Iterable):
        raise TypeError(f"`{name}` must be {wanted}, got {_show(shape)}")
    sizes = tuple(shape)
    if len(sizes) != 3:
        raise ValueError(f"`{name}` must be {wanted}, got {_show(sizes)}")
    try:
        nz, ny, nx = (integer(size, name=name, minimum=1) for size in sizes)
    except (TypeError, ValueError) as error:
        raise type(error)(f"`{name}` must be {wanted}, got {_show(sizes)}") from None
    return nz, ny, nx


def voxel_size3(voxel_size: Any, *, name: str = "voxel_size") -> tuple[float, float, float]:
    """``(dz, dy, dx)`` in metres, from three positive numbers or from one for all axes."""
    wanted = "a positive number or three (dz, dy, dx)"
    is_one = not isinstance(voxel_size, Iterable) or getattr(voxel_size, "shape", None) == ()
    sizes = (voxel_size,) * 3 if is_one else tuple(voxel_size)
    if isinstance(voxel_size, str | bytes):
        raise TypeError(f"`{name}` must be {wanted}, got {_show(voxel_size)}")
    if len(sizes) != 3:
        raise ValueError(f"`{name}` must be {wanted}, got {_show(voxel_size)}")
    try:
        dz, dy, dx = (real(size, name=name, minimum=0.0, open_ends=True) for size in sizes)
    except (TypeError, ValueError) as error:
        raise type(error)(f"`{name}` must be {wanted}, got {_show(voxel_size)}") from None
    return dz, dy, dx


def per_axis_bool(value: Any, ndim: int = 3, *, name: str = "periodic") -> tuple[bool, ...]:
    """One bool per axis, from one for all or from a sequence of ``ndim``."""
    wanted = f"True, False or one of them for each of the {ndim} axes"
    if isinstance(value, bool | np.bool_):
        return (bool(value),) * ndim
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise TypeError(f"`{name}` must be {wanted}, got {_show(value)} ({type(value).__name__})")
    flags = tuple(value)
    if not all(isinstance(flag, bool | np.bool_) for flag in flags):
        raise TypeError(f"`{name}` must be {wanted}, got {_show(value)}")
    if len(flags) != ndim:
        raise ValueError(f"`{name}` must be {wanted}, got {len(flags)} of them")
    return tuple(bool(flag) for flag in flags)


# -------------------------------------------------------------------------------------- arrays


def as_labels(
    labels: Any, *, name: str = "labels", ndim: int | Sequence[int] = (2, 3)
) -> np.ndarray:
    """Labels on the host as C-contiguous ``uint8``, without a copy where they already are.

    Parameters
    ----------
    labels : array of bool or integers
        numpy, torch or cupy (any device), a ``Microstructure``, or anything with ``__array__``
        or ``__dlpack__``; values ``0 ... 255``.
    name : str
        Argument name for the refusal.
    ndim : int or sequence of int
        Allowed numbers of dimensions.

    Returns
    -------
    array of uint8, C-contiguous
        May share memory with ``labels``.
    """
    allowed = (ndim,) if isinstance(ndim, int) else tuple(ndim)
    array = to_host(labels, name=name, wanted="an array of bool or integers 0 ... 255")
    if array.dtype.kind not in "bui":
        raise TypeError(
            f"`{name}` must be an array of bool or integers 0 ... 255, got dtype {array.dtype}"
        )
    if array.ndim not in allowed:
        dimensions = " or ".join(map(str, allowed))
        raise ValueError(
            f"`{name}` must have {dimensions} dimension{'s' if allowed != (1,) else ''}, "
            f"got shape {array.shape}"
        )
    if array.size == 0:
        raise ValueError(f"`{name}` must not be empty, got shape {array.shape}")
    if array.dtype == np.bool_:
        return np.ascontiguousarray(array).view(np.uint8)
    if array.dtype != np.uint8:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 255:
            raise ValueError(f"`{name}` must hold values 0 ... 255, got {low} ... {high}")
        array = array.astype(np.uint8)
    return np.ascontiguousarray(array)


def to_host(array: Any, *, name: str, wanted: str = "an array") -> np.ndarray:
    """Any array as a numpy array on the host, dtype untouched."""
    if isinstance(array, np.ma.MaskedArray):
        raise TypeError(f"`{name}` must be {wanted}, got a masked array")
    if isinstance(array, np.ndarray):
        return np.asarray(array)
    try:
        if hasattr(array, "detach") and hasattr(array, "cpu"):  # torch
            if getattr(array.dtype, "is_floating_point", False):
                array = array.float()  # numpy knows no bfloat16
            return np.asarray(array.detach().cpu().numpy())
        if hasattr(array, "__cuda_array_interface__") and hasattr(array, "get"):  # cupy
            return np.asarray(array.get())
        if hasattr(array, "__array__") and not isinstance(array, np.generic):
            return np.asarray(array)
        if hasattr(array, "__dlpack__"):
            return np.asarray(np.from_dlpack(array))
    except Exception as error:
        raise TypeError(
            f"`{name}` must be {wanted}, got {type(array).__name__} ({error})"
        ) from error
    raise TypeError(f"`{name}` must be {wanted}, got {type(array).__name__}")


# --------------------------------------------------------------------------------------- words


def _is_bool_array(value: Any) -> bool:
    return str(getattr(value, "dtype", "")).endswith("bool")


def _show(value: Any) -> str:
    if hasattr(value, "shape") and getattr(value, "shape", ()) != ():
        return f"an array of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _integer_range(minimum: int | None, maximum: int | None) -> str:
    if minimum is None and maximum is None:
        return "an integer"
    if maximum is None:
        return f"an integer of at least {minimum}"
    if minimum is None:
        return f"an integer of at most {maximum}"
    return f"an integer {minimum} ... {maximum}"


def _real_range(
    minimum: float | None, maximum: float | None, low_open: bool, high_open: bool
) -> str:
    if minimum is None and maximum is None:
        return "a finite number"
    if maximum is None:
        if minimum == 0 and low_open:
            return "a positive number"
        return f"a finite number {'above' if low_open else 'of at least'} {minimum:g}"
    if minimum is None:
        return f"a finite number {'below' if high_open else 'of at most'} {maximum:g}"
    left, right = "(" if low_open else "[", ")" if high_open else "]"
    return f"a number in {left}{minimum:g}, {maximum:g}{right}"
