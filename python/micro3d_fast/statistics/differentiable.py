# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Two-point correlation and lineal path of phase fields in [0, 1], differentiable by torch.

Building blocks for losses and guidance.  A field is a torch tensor of phase indicators that may be
soft; its last ``ndim`` axes are space, all others are batch.  Of fields of 0 and 1 the values equal
those of `two_point_map`, `two_point_correlation` and `lineal_path`, to the last bit in float64.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from .._phases import warn_of_absent

if TYPE_CHECKING:
    import torch

__all__ = ["indicator", "lineal_path", "two_point_correlation", "two_point_map"]


def two_point_map(
    field: torch.Tensor,
    other: torch.Tensor | None = None,
    *,
    ndim: int = 3,
    periodic: Any = False,
) -> torch.Tensor:
    """Return ``S_ij(r) = ⟨f_i(x) f_j(x + r)⟩`` of all lags; see `statistics.two_point_map`.

    Parameters
    ----------
    field, other : tensor of float, shape (..., [nz,] ny, nx)
        Phase fields f_i and f_j; f_j is f_i by default.
    ndim : int
        Axes of space, 1, 2 or 3: the last ones.
    periodic : bool or one per axis of space
        Let pairs cross the faces.

    Returns
    -------
    tensor, shape (..., lags of z, y, x)
        Zero lag at index 0.  Of 0/1 fields the counts are rounded to integers, which does not
        change the gradient; in float32 they are exact up to about 10^5 voxels.

    Examples
    --------
    >>> import torch
    >>> two_point_map(torch.tensor([[0.0, 1.0, 0.0, 1.0]]), ndim=1, periodic=True)
    tensor([[0.5000, 0.0000, 0.5000, 0.0000]])
    """
    import torch

    f, g, axes = _fields(field, other, ndim)
    wrap = _checks.per_axis_bool(periodic, ndim)
    space = [f.shape[a] for a in axes]
    sizes = [n if w else 2 * n - 1 for n, w in zip(space, wrap, strict=True)]
    spectrum = torch.fft.rfftn(f, s=sizes, dim=axes)
    product = spectrum.conj() * (spectrum if g is f else torch.fft.rfftn(g, s=sizes, dim=axes))
    counts = torch.fft.irfftn(product, s=sizes, dim=axes)
    if _is_binary(f) and (g is f or _is_binary(g)):
        counts = counts + (counts.round() - counts).detach()
    pairs = torch.ones((), dtype=f.dtype, device=f.device)
    for n, size, w in zip(space, sizes, wrap, strict=True):
        lag = torch.fft.fftfreq(size, 1 / size, dtype=f.dtype, device=f.device).abs().round()
        along = torch.full_like(lag, float(n)) if w else n - lag
        pairs = pairs[..., None] * along
    return counts / pairs


def two_point_correlation(
    field: torch.Tensor,
    other: torch.Tensor | None = None,
    *,
    axis: int | str,
    ndim: int = 3,
    max_lag: int | None = None,
    periodic: Any = False,
) -> torch.Tensor:
    """Return ``S_ij(r)`` along one axis of space; see `statistics.two_point_correlation`.

    Parameters
    ----------
    field, other, ndim
        As of `two_point_map`.
    axis : int or str
        Axis of space: 0 ... ndim - 1, or "z", "y", "x".
    max_lag : int, optional
        Longest lag; default half the axis.
    periodic : bool or one per axis of space
        Let pairs cross the faces.

    Returns
    -------
    tensor, shape (..., max_lag + 1)

    Examples
    --------
    >>> import torch
    >>> two_point_correlation(torch.tensor([[0.0, 1.0, 0.5, 1.0]]), axis="x", ndim=1)
    tensor([[0.5625, 0.3333, 0.5000]])
    """
    import torch

    f, g, axes = _fields(field, other, ndim)
    dim, lag, wrap = _line(f, axis, axes, max_lag, periodic)
    values = [_product(f, g, dim, r, wrap).mean(dim=axes) for r in range(lag + 1)]
    return torch.stack(values, dim=-1)


def lineal_path(
    field: torch.Tensor,
    *,
    axis: int | str,
    ndim: int = 3,
    max_lag: int | None = None,
    periodic: Any = False,
) -> torch.Tensor:
    """Return the soft lineal path ``⟨f(x) f(x + d) ... f(x + r d)⟩``; see `statistics.lineal_path`.

    Parameters
    ----------
    field, ndim
        As of `two_point_map`.
    axis, max_lag, periodic
        As of `two_point_correlation`.

    Returns
    -------
    tensor, shape (..., max_lag + 1)

    Examples
    --------
    >>> import torch
    >>> lineal_path(torch.tensor([[1.0, 1.0, 0.5, 1.0]]), axis="x", ndim=1)
    tensor([[0.8750, 0.6667, 0.5000]])
    """
    import torch

    f, _, axes = _fields(field, None, ndim)
    dim, lag, wrap = _line(f, axis, axes, max_lag, periodic)
    values = [f.mean(dim=axes)]
    path = f
    for r in range(1, lag + 1):
        path = _product(path, f, dim, r, wrap)
        values.append(path.mean(dim=axes))
    return torch.stack(values, dim=-1)


def _fields(field: Any, other: Any, ndim: Any) -> tuple[Any, Any, tuple[int, ...]]:
    """Check the fields and return both, the second being the first by default, and their axes."""
    ndim = _checks.integer(ndim, name="ndim", minimum=1, maximum=3)
    _require_field(field, "field", ndim)
    if other is not None:
        _require_field(other, "other", ndim)
        if other.shape != field.shape:
            wanted = f"have the shape of `field` {tuple(field.shape)}"
            raise _checks.refuse("other", wanted, str(tuple(other.shape)))
    return field, field if other is None else other, tuple(range(-ndim, 0))


def _require_field(value: Any, name: str, ndim: int) -> None:
    import torch

    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        got = str(value.dtype) if isinstance(value, torch.Tensor) else type(value).__name__
        raise _checks.refuse_type(name, "be a torch tensor of floats", got)
    if value.ndim < ndim or 0 in value.shape:
        wanted = f"have at least {ndim} axes and no empty one"
        raise _checks.refuse(name, wanted, f"shape {tuple(value.shape)}")


def _line(
    f: Any, axis: Any, axes: tuple[int, ...], max_lag: Any, periodic: Any
) -> tuple[int, int, bool]:
    """Return the axis of the tensor, the longest lag, and whether that axis is periodic."""
    ndim = len(axes)
    if isinstance(axis, str) and ndim == 1:
        axis = 0 if axis == "x" else axis
    number = axis if ndim == 1 and axis == 0 else _checks.axis_number(axis, ndim)
    dim = axes[number]
    wrap = _checks.per_axis_bool(periodic, ndim)[dim]
    return dim, _checks.lag_limit(max_lag, int(f.shape[dim])), wrap


def _product(f: Any, g: Any, dim: int, r: int, periodic: bool) -> Any:
    """Return f(x) g(x + r) at every x with x + r in the image."""
    if periodic:
        return f * g.roll(-r, dims=dim)
    n = g.shape[dim] - r
    return f.narrow(dim, 0, n) * g.narrow(dim, r, n)


def _is_binary(f: Any) -> bool:
    """Return whether all values are 0 or 1."""
    values = f.detach()
    return bool(((values == 0) | (values == 1)).all())


def indicator(labels: Any, phase: int | str, *, dtype: Any = None) -> torch.Tensor:
    """Return the 0/1 field of a phase.

    Examples
    --------
    >>> indicator(np.array([[0, 1, 1]]), 1)
    tensor([[0., 1., 1.]], dtype=torch.float64)
    """
    import torch

    array = _checks.as_labels(labels)
    number = _checks.phase_number(phase, names=_checks.names_of_phases(labels))
    warn_of_absent(array, number, stacklevel=2)
    return torch.from_numpy(np.asarray(array == number)).to(dtype or torch.float64)
