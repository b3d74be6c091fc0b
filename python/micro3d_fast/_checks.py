# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Argument checks: every public function sends its arguments through here once.

Each function returns the value in its plain form, or raises `ArgumentTypeError` for kinds and
dtypes and `ArgumentError` for values and shapes.  Nothing here imports torch
or cupy; arrays of either are recognized by their attributes.
"""

from __future__ import annotations

import math
import operator
import os
import sys
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ._arrays import dtype_name, is_stored
from ._errors import ArgumentError, ArgumentTypeError
from ._planes import AXIS_NAMES

_PILLOW_MODES = ("1", "L", "P", "I", "I;16", "F")  # of images with one value per pixel
_LARGE_VOXEL = 1e-2  # metres, from which a voxel size is questioned
_LABELS = "be an array of bool or integers 0 ... 255"
_READ_WHOLE = 1 << 28  # voxels of a zarr or dask array up to which it is read where all are needed


def refuse(name: str, wanted: str, got: str, hint: str = "") -> ArgumentError:
    """Return the error for an argument of the wrong value or shape, to be raised.

    The message is "`name` must ``wanted``, got ``got``: ``hint``".
    """
    return ArgumentError(name, wanted, got, hint)


def refuse_type(name: str, wanted: str, got: str, hint: str = "") -> ArgumentTypeError:
    """Return the error for an argument of the wrong kind or dtype, to be raised."""
    return ArgumentTypeError(name, wanted, got, hint)


def refuse_content(source: Any, wanted: str, got: str, hint: str = "") -> ArgumentError:
    """Return the error for the content of a file or of one of several images, to be raised.

    The message is "source must ``wanted``, got ``got``: ``hint``".
    """
    return ArgumentError("", wanted, got, hint, source=str(source))


def shown(value: Any) -> str:
    """Return a short text of a value, for the ``got`` of a refusal."""
    if hasattr(value, "shape") and getattr(value, "shape", ()) != ():
        return f"an array of shape {tuple(value.shape)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def shown_with_type(value: Any) -> str:
    """Return `shown` with the name of the type, for refusals of the type."""
    return f"{shown(value)} ({type(value).__name__})"


# ------------------------------------------------------------------------------------- scalars


def integer(
    value: Any, *, name: str, minimum: int | None = None, maximum: int | None = None
) -> int:
    """Return a plain ``int`` within ``minimum ... maximum``; bool and floats are refused."""
    wanted = f"be {_integer_range(minimum, maximum)}"
    if isinstance(value, bool | np.bool_) or _is_bool_array(value):
        raise refuse_type(name, wanted, shown_with_type(value))
    try:
        number = operator.index(value)
    except TypeError:
        raise refuse_type(name, wanted, shown_with_type(value)) from None
    if (minimum is not None and number < minimum) or (maximum is not None and number > maximum):
        raise refuse(name, wanted, str(number))
    return number


def repeats(value: Any, *, name: str, steps: int | None = None) -> tuple[int, ...]:
    """Return the harmonizing passes of each of ``steps`` steps (at least one), 0 for the last."""
    each = "per step" if steps is None else f"for each of {steps} steps"
    wanted = f"be one number {each}, 0 ... 1000, and 0 for the last"
    try:
        found = tuple(integer(n_h, name=name, minimum=0, maximum=1000) for n_h in value)
    except (TypeError, ValueError):
        raise refuse(name, wanted, shown(value)) from None
    if not found or found[-1] != 0 or (steps is not None and len(found) != steps):
        raise refuse(name, wanted, repr(found))
    return found


def real(
    value: Any,
    *,
    name: str,
    minimum: float | None = None,
    maximum: float | None = None,
    open_ends: bool | tuple[bool, bool] = False,
) -> float:
    """Return a finite ``float`` within the interval; NaN, infinities, complex and bool are refused.

    ``open_ends``: whether the interval excludes its ends, one bool or one per end.
    """
    low_open, high_open = (open_ends, open_ends) if isinstance(open_ends, bool) else open_ends
    wanted = f"be {_real_range(minimum, maximum, low_open, high_open)}"
    plain = value
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        plain = value.item()  # numpy, torch and cupy scalars
    if isinstance(plain, bool) or not (
        isinstance(plain, int | float) or hasattr(plain, "__float__")
    ):
        raise refuse_type(name, wanted, shown_with_type(value))
    if isinstance(plain, str | bytes | complex) or hasattr(plain, "shape"):
        raise refuse_type(name, wanted, shown_with_type(value))
    try:
        number = float(plain)
    except (TypeError, ValueError, OverflowError):
        raise refuse(name, wanted, shown(value)) from None
    below = minimum is not None and (number <= minimum if low_open else number < minimum)
    above = maximum is not None and (number >= maximum if high_open else number > maximum)
    if not math.isfinite(number) or below or above:
        raise refuse(name, wanted, f"{number:.12g}")
    return number


def rows(value: Any, columns: int, *, name: str, wanted: str) -> tuple[tuple[float, ...], ...]:
    """Return at least one row of so many finite numbers."""
    value = value.tolist() if isinstance(value, np.ndarray) else value
    found = value if isinstance(value, Sequence) and not isinstance(value, str | bytes) else ()
    for row in found or [None]:
        if isinstance(row, str | bytes) or not isinstance(row, Sequence) or len(row) != columns:
            raise refuse(name, wanted, shown(value))
    return tuple(tuple(real(number, name=name) for number in row) for row in found)


def voxel_size_of_model(found: Sequence[float], own: Sequence[float], *, name: str) -> None:
    """Refuse another voxel size than the model's, where both are known."""
    in_voxels = (1.0, 1.0, 1.0) in (tuple(found), tuple(own))
    if not in_voxels and not np.allclose(found, own, rtol=1e-3, atol=0.0):
        wanted = f"have the voxel size of the model, {tuple(own)}"
        hint = "resample to it, or give the voxel size 1 to count in voxels whatever their size"
        raise refuse(name, wanted, str(tuple(found)), hint)


def phase_names_of_model(
    found: Sequence[str], own: Sequence[str], *, name: str, of: str = "the model"
) -> None:
    """Refuse other phase names than the model's, where both have names of their own."""
    unnamed = tuple(f"phase {label}" for label in range(len(own)))
    if len({tuple(found), tuple(own)} - {unnamed}) > 1:
        wanted = f"have the phases of {of}, {', '.join(own)}"
        hint = "rename or relabel the phases of one side"
        raise refuse(name, wanted, ", ".join(found), hint)


def boolean(value: Any, *, name: str) -> bool:
    """Return a plain ``bool``; numbers and strings are refused."""
    if not isinstance(value, bool | np.bool_):
        raise refuse_type(name, "be True or False", shown_with_type(value))
    return bool(value)


def choice(value: Any, options: Iterable[str], *, name: str) -> str:
    """Return the value, one of the given strings."""
    options = tuple(options)
    wanted = "be " + " or ".join(repr(option) for option in options)
    if not isinstance(value, str):
        raise refuse_type(name, wanted, shown_with_type(value))
    if value not in options:
        raise refuse(name, wanted, repr(value))
    return str(value)


def path(value: Any, *, name: str = "path") -> Path:
    """Return the ``pathlib.Path`` of a string or path-like; ``~`` is the home directory."""
    if not isinstance(value, str | os.PathLike) or isinstance(os.fspath(value), bytes):
        raise refuse_type(name, "be a path", shown_with_type(value))
    if not os.fspath(value):
        raise refuse(name, "be a path", "an empty string")
    found = Path(value)
    if found.parts[:1] and found.parts[0].startswith("~") and not found.exists():
        return Path(os.path.expanduser(found))
    return found


def callback(value: Any, *, name: str = "callback") -> Any:
    """Return a callable, or None."""
    if value is not None and not callable(value):
        raise refuse_type(name, "be callable", type(value).__name__)
    return value


def seed_number(seed: Any, *, name: str = "seed") -> int:
    """Return a seed: an integer ``0 ... 2**64 - 1``."""
    return integer(seed, name=name, minimum=0, maximum=2**64 - 1)


# ---------------------------------------------------------------- phases, axes, shapes, voxel sizes


def phase_number(phase: Any, *, name: str = "phase", names: Sequence[str] = ()) -> int:
    """Return a phase label ``0 ... 255`` from a label or one of the names of the phases."""
    if not isinstance(phase, str):
        return integer(phase, name=name, minimum=0, maximum=255)
    if not names:
        hint = "only a Microstructure, Micrographs or a Model has names of phases"
        raise refuse_type(name, "be an integer 0 ... 255", shown_with_type(phase), hint)
    if phase not in names:
        known = ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")
        raise refuse(name, f"be a label 0 ... 255 or one of the names {known}", repr(phase))
    return names.index(phase)


def by_phase(values: Mapping[Any, Any], *, name: str, names: Sequence[str] = ()) -> dict[int, Any]:
    """Return a mapping of labels or names to values as one of labels; each phase is given once."""
    found: dict[int, Any] = {}
    for key, value in values.items():
        phase = phase_number(key, name=name, names=names)
        if phase in found:
            raise refuse(name, "give each phase once", f"two values for {shown(key)}")
        found[phase] = value
    return found


def names_of_phases(owner: Any) -> tuple[str, ...]:
    """Return the phase names of a Microstructure, Micrographs or Model; none of other objects."""
    return tuple(getattr(owner, "phase_names", None) or ())


def axis_number(axis: Any, ndim: int, *, name: str = "axis") -> int:
    """Return an array axis from its number or name: ``"z"``, ``"y"``, ``"x"``; 2D has no z."""
    names = AXIS_NAMES[3 - ndim :]
    numbers = ", ".join(map(str, range(ndim)))
    wanted = f"be {numbers} or {', '.join(repr(n) for n in names)}"
    if isinstance(axis, str):
        if axis not in names:
            raise refuse(name, wanted, repr(axis))
        return names.index(axis)
    try:
        number = integer(axis, name=name)
    except TypeError:
        raise refuse_type(name, wanted, shown_with_type(axis)) from None
    if not 0 <= number < ndim:
        raise refuse(name, wanted, str(number))
    return number


def lag_limit(max_lag: Any, n: int, *, name: str = "max_lag") -> int:
    """Return the longest lag of an axis of ``n`` voxels, ``0 ... n - 1``; None is ``n // 2``."""
    if max_lag is None:
        return min(n // 2, n - 1)
    return integer(max_lag, name=name, minimum=0, maximum=n - 1)


def shape3(shape: Any, *, name: str = "volume_shape") -> tuple[int, int, int]:
    """Return ``(nz, ny, nx)``, from three positive integers or, for a cube, from one."""
    wanted = "be one or three positive integers (nz, ny, nx)"
    if isinstance(shape, int | np.integer) and not isinstance(shape, bool):
        shape = (shape,) * 3
    if isinstance(shape, str | bytes) or not isinstance(shape, Iterable):
        raise refuse_type(name, wanted, shown(shape))
    sizes = tuple(shape)
    if len(sizes) != 3:
        raise refuse(name, wanted, shown(sizes))
    try:
        nz, ny, nx = (integer(size, name=name, minimum=1) for size in sizes)
    except (ArgumentError, ArgumentTypeError) as error:
        raise type(error)(name, wanted, shown(sizes)) from None
    return nz, ny, nx


def voxel_size3(voxel_size: Any, *, ndim: int = 3) -> tuple[float, float, float]:
    """Return ``(dz, dy, dx)`` in metres, see `lengths3`; warn of centimetres and more.

    An edge of exactly 1.0 stands for sizes in voxels, which do not warn.
    """
    size = lengths3(voxel_size, ndim=ndim)
    if max(size) >= _LARGE_VOXEL and 1.0 not in size:
        warnings.warn(
            f"`voxel_size` is in metres, not micrometres: is a voxel really {max(size):g} m long?",
            stacklevel=_levels_to_caller(),
        )
    return size


def _levels_to_caller() -> int:
    """Return the ``stacklevel`` of the first caller outside the package, for the caller of this."""
    package = __name__.partition(".")[0]
    frame, level = sys._getframe(1), 1
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        frame, level = frame.f_back, level + 1
    return level


def lengths3(
    value: Any, *, name: str = "voxel_size", axes: str = "(dz, dy, dx)", ndim: int = 3
) -> tuple[float, float, float]:
    """Return three positive lengths, from one per axis or from one for all axes.

    Two lengths of a 2D image are those of y and x, and z takes that of y.
    """
    wanted = f"be a positive number or three {axes}"
    if ndim == 2:
        wanted = "be a positive number, two (dy, dx) or three (dz, dy, dx)"
    is_one = not isinstance(value, Iterable) or getattr(value, "shape", None) == ()
    lengths = (value,) * 3 if is_one else tuple(value)
    if isinstance(value, str | bytes):
        raise refuse_type(name, wanted, shown(value))
    if ndim == 2 and len(lengths) == 2:
        lengths = (lengths[0], *lengths)
    if len(lengths) != 3:
        raise refuse(name, wanted, shown(value))
    try:
        z, y, x = (real(length, name=name, minimum=0.0, open_ends=True) for length in lengths)
    except (ArgumentError, ArgumentTypeError) as error:
        raise type(error)(name, wanted, shown(value)) from None
    return z, y, x


def per_axis_bool(value: Any, ndim: int = 3, *, name: str = "periodic") -> tuple[bool, ...]:
    """Return one bool per axis, from one for all or from a sequence of ``ndim``."""
    wanted = f"be True, False or one of them for each of the {ndim} axes"
    if isinstance(value, bool | np.bool_):
        return (bool(value),) * ndim
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise refuse_type(name, wanted, shown_with_type(value))
    flags = tuple(value)
    if not all(isinstance(flag, bool | np.bool_) for flag in flags):
        raise refuse_type(name, wanted, shown(value))
    if len(flags) != ndim:
        raise refuse(name, wanted, f"{len(flags)} of them")
    return tuple(bool(flag) for flag in flags)


# -------------------------------------------------------------------------------------- arrays


def as_labels(
    labels: Any,
    *,
    name: str = "labels",
    ndim: int | Sequence[int] = (2, 3),
    bytes_per_voxel: int = 1,
) -> np.ndarray:
    """Return labels on the host as C-contiguous ``uint8``, without a copy if they already are.

    Large zarr and dask arrays are refused; see `_stored` for what is done with them by blocks.

    Parameters
    ----------
    labels : array of bool or integers
        numpy, torch or cupy (any device), a ``Microstructure``, or anything with ``__array__``
        or ``__dlpack__``; values ``0 ... 255``.
    name : str
        Argument name for the refusal.
    ndim : int or sequence of int
        Allowed numbers of dimensions.
    bytes_per_voxel : int
        Memory that the caller needs at least, to be named where a large array is refused.

    Returns
    -------
    array of uint8, C-contiguous
        May share memory with ``labels``.
    """
    held = getattr(labels, "labels", labels)
    if is_stored(held) and math.prod(held.shape) > _READ_WHOLE:
        voxels = " x ".join(map(str, held.shape))
        size = math.prod(held.shape) * bytes_per_voxel / 1e9
        wanted = f"be in memory, because all voxels are needed at once (at least {size:.3g} GB)"
        hint = f"give a part of it, or numpy.asarray(`{name}`) if that fits"
        raise refuse(name, wanted, f"{voxels} voxels that are not", hint)
    array = to_host(labels, name=name, wanted=_LABELS)
    require_labels(array, name=name, ndim=ndim)
    if array.dtype == np.bool_:
        return np.ascontiguousarray(array).view(np.uint8)
    return np.ascontiguousarray(array, dtype=np.uint8)


def require_labels(array: Any, *, name: str, ndim: int | Sequence[int] = (2, 3)) -> None:
    """Refuse a numpy array or torch tensor that does not hold labels (see `as_labels`)."""
    require_label_kind(array, name=name, ndim=ndim)
    if dtype_name(array) not in ("bool", "uint8"):
        low, high = int(array.min()), int(array.max())
        if low < 0 or high > 255:
            raise refuse(name, "hold values 0 ... 255", f"{low} ... {high}")


def require_label_kind(array: Any, *, name: str, ndim: int | Sequence[int] = (2, 3)) -> None:
    """Refuse an array that by its dtype or shape does not hold labels."""
    allowed = (ndim,) if isinstance(ndim, int) else tuple(ndim)
    shape = tuple(array.shape)
    if hasattr(array.dtype, "kind"):
        whole = array.dtype.kind in "bui"
    else:  # torch
        whole = not (array.is_floating_point() or array.is_complex())
    if not whole:
        raise refuse_type(name, _LABELS, f"dtype {array.dtype}")
    if len(shape) not in allowed:
        dimensions = " or ".join(map(str, allowed))
        plural = "s" if allowed != (1,) else ""
        raise refuse(name, f"have {dimensions} dimension{plural}", f"shape {shape}")
    if 0 in shape:
        raise refuse(name, "not be empty", f"shape {shape}")


def inside_of_mask(mask: Any, *, name: str = "mask", values: set[int] | None = None) -> Any:
    """Return a numpy or torch mask as bool: what is not 0 lies inside, as 1, 255 or another number.

    Refuse labels, which have several.  ``values`` holds the numbers of other parts of the mask.
    """
    if dtype_name(mask) == "bool":
        return mask
    inside = mask != 0
    found = {int(mask.min()), int(mask.max())} - {0}
    value = max(found, default=0)
    within = found | (set() if values is None else values)
    if len(within) > 1 or (abs(value) > 1 and bool((inside & (mask != value)).any())):
        hint = f"compare it with what lies inside, such as `{name} == {max(within)}`"
        got = f"several values up to {max(within)}"
        raise refuse(name, "be bool or hold 0 and one other value", got, hint)
    if values is not None:
        values |= found
    return inside


def to_host(array: Any, *, name: str, wanted: str = "be an array") -> np.ndarray:
    """Return any array as a numpy array on the host, dtype untouched."""
    if isinstance(array, np.ma.MaskedArray):
        raise refuse_type(name, wanted, "a masked array")
    try:
        host = _on_host(array)
    except Exception as error:
        raise refuse_type(name, wanted, f"{type(array).__name__} ({error})") from error
    if host is None:
        raise refuse_type(name, wanted, type(array).__name__)
    return plain_bool(host)


def _on_host(array: Any) -> np.ndarray | None:
    if isinstance(array, np.ndarray):
        return np.asarray(array)
    if hasattr(array, "detach") and hasattr(array, "cpu"):  # torch
        if dtype_name(array) == "bfloat16":  # which numpy lacks
            array = array.float()
        return np.asarray(array.detach().cpu().numpy())
    if hasattr(array, "__cuda_array_interface__") and hasattr(array, "get"):  # cupy
        return np.asarray(array.get())
    if hasattr(array, "__array__") and not isinstance(array, np.generic):
        return np.asarray(array)
    if hasattr(array, "__array_interface__") and getattr(array, "mode", "") in _PILLOW_MODES:
        return np.asarray(array)
    if hasattr(array, "__dlpack__"):
        return np.asarray(np.from_dlpack(array))
    return None


def plain_bool(array: np.ndarray) -> np.ndarray:
    """Return an array of bool with 1 for true; Pillow, among others, stores 0xFF."""
    if array.dtype != np.bool_ or array.size == 0 or array.view(np.uint8).max() <= 1:
        return array
    return array.view(np.uint8) != 0


def _is_bool_array(value: Any) -> bool:
    return str(getattr(value, "dtype", "")).endswith("bool")


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
