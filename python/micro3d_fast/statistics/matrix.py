# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""All two-point correlations of n phases at once, from n - 1 forward transforms."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import _checks
from .._arrays import to_numpy
from . import _fourier, _image
from .two_point import field_of, float_type


def two_point_matrix(
    labels: Any,
    *,
    n_phases: int | None = None,
    periodic: Any = False,
    mask: Any = None,
    max_lag: int | None = None,
    dtype: Any = np.float64,
    threads: int = 0,
) -> np.ndarray:
    r"""Two-point correlations of every pair of phases: ``S[i, j]`` is ``two_point_map(…, i, j)``.

    The phases fill the image, so those of the last one follow from the others: n phases cost
    n - 1 forward transforms (one more with a mask), and ``S_ji(r) = S_ij(-r)`` spares half of the
    transforms back.

    Parameters
    ----------
    labels : array of bool or integers 0 ... 255, 2D or 3D, or Microstructure
        Phase of each voxel, axes (z, y, x) or (y, x).
    n_phases : int, optional
        Number of phases; default the largest label + 1.
    periodic, mask, max_lag, dtype, threads
        As of `two_point_map`.

    Returns
    -------
    array, shape (n, n, ...)
        The maps, zero lag at index 0; nan where the mask leaves no pair.

    Examples
    --------
    >>> two_point_matrix(np.array([[0, 1, 2]]), periodic=True)[0, 1] * 3
    array([[0., 1., 0.]])
    """
    image = _image.load(labels, mask, on_device=True)
    least = int(image.labels.max()) + 1
    n = least
    if n_phases is not None:
        n = _checks.integer(n_phases, name="n_phases", minimum=least, maximum=256)
    wrap = image.periodic3(periodic)
    kind = float_type(dtype)
    number = _image.thread_count(threads)
    if max_lag is not None:
        max_lag = _checks.lag_limit(max_lag, max(image.space))
    win = _fourier.windows(image.shape, wrap, max_lag)
    shape = tuple(w.size for w in win)
    mirror = np.ix_(*(w.mirror for w in win))
    out = np.empty((n, n, *shape), kind)
    engine = _fourier.engine_for(image.labels, kind, number)

    def counted(run: Any, *spectra: Any, **keys: Any) -> np.ndarray:
        counts = _fourier.Map(image.labels, win, engine.real)
        run(*spectra, win, counts, engine, **keys)
        return to_numpy(counts.out)

    cross, auto = _fourier.crosscorrelate, _fourier.autocorrelate
    spectra = [_fourier.plane_spectra(field_of(image, i), win, engine) for i in range(n - 1)]
    for i in range(n - 1):
        for j in range(i + 1, n - 1):
            out[i, j] = counted(cross, spectra[i], spectra[j], overwrite=False)
            out[j, i] = out[i, j][mirror]
    if image.mask is None:
        z, y, x = _fourier.pair_numbers(win, wrap)
        pairs = z[:, None, None] * y[:, None] * x
        rows = [_ends_inside(to_numpy(image.labels == i), win, wrap) for i in range(n - 1)]
    else:
        inside = _fourier.plane_spectra(field_of(image, None), win, engine)
        rows = [counted(cross, spectrum, inside, overwrite=False) for spectrum in spectra]
        pairs = counted(auto, inside)
    for i in range(n - 1):  # these overwrite the spectra
        out[i, i] = counted(auto, spectra[i])
    last = n - 1
    for i in range(n - 1):
        np.subtract(rows[i], out[i, :last].sum(0), out=out[i, last], casting="same_kind")
        out[last, i] = out[i, last][mirror]
    out[last, last] = pairs - out[:last].sum((0, 1)) - out[last, :last].sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        out /= np.where(pairs > 0, pairs, np.nan)
    return out.reshape(n, n, *shape[image.lead :])


def _ends_inside(inside: np.ndarray, win: Any, wrap: tuple[bool, ...]) -> np.ndarray:
    """How many voxels x of a phase have x + r in the image, for every lag r; float64, exact."""
    out = inside.astype(float)
    for axis, (w, periodic) in enumerate(zip(win, wrap, strict=True)):
        if periodic:
            out = np.repeat(out.sum(axis, keepdims=True), w.size, axis=axis)
            continue
        ahead = np.cumsum(out, axis=axis)
        back = np.cumsum(np.flip(out, axis), axis=axis)
        lags = w.lags
        positive = np.take(ahead, w.n - 1 - lags[: w.positive], axis=axis)
        negative = np.take(back, w.n - 1 + lags[w.positive :], axis=axis)
        out = np.concatenate([positive, negative], axis=axis)
    return out
