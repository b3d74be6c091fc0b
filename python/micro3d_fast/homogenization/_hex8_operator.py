# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The hex8 operator of a voxel problem and its Green preconditioner, on the device of the solve."""

from __future__ import annotations

import numpy as np

from .. import ops
from .._arrays import Array
from ._compute import Compute
from ._unit_elements import UnitElements
from ._voigt import VOIGT, tensor_from_voigt


class Hex8Operator:
    """Matrix-free operator: in the precision of the storage, or in float64 on a pair of fields."""

    def __init__(self, elements: UnitElements, compute: Compute, storage: str) -> None:
        self.compute, send = compute, compute.send
        self.phase_codes = compute.send_labels(elements.phase_codes)
        self.model, mean, rest = elements.kernel_columns(float32=storage == "float32")
        self.model64, mean64, rest64 = elements.kernel_columns(float32=False)
        self.mean, self.mean64 = send(mean.astype(storage)), send(mean64)
        self.rest, self.rest64 = self.mean, self.mean64
        if elements.bbar:
            self.rest, self.rest64 = send(rest.astype(storage)), send(rest64)
        self.fibre_directions, self.fibre, self.fibre64 = None, None, None
        if elements.directions is not None:
            assert elements.fibre_columns is not None
            self.fibre_directions = send(np.moveaxis(elements.directions, -1, 0).astype(storage))
            self.fibre = send(elements.fibre_columns.astype(storage))
            self.fibre64 = send(elements.fibre_columns)
        self.partials = compute.partials(max(ops.HEX8_PARTIALS, elements.n * ops.REDUCE_PARTIALS))
        self.no_macro = compute.zeros((elements.n, elements.n), storage)

    def apply(self, u: Array, out: Array, dot: Array) -> None:
        """Write ``out = A u`` and ``dot = u . out``."""
        ops.hex8(
            self.phase_codes,
            self.model,
            self.mean,
            out=out,
            macro=self.no_macro[: u.shape[0]],
            u=u,
            rest=self.rest,
            directions=self.fibre_directions,
            fibre=self.fibre,
            dot=dot,
            partials=self.partials,
            threads=self.compute.threads,
        )

    def apply64(
        self,
        u: Array | None,
        low: Array | None,
        out: Array,
        macro: Array,
        *,
        sign: float,
        dot: Array,
        dot_kind: str,
    ) -> None:
        """Write ``out = sign * (A (u + low) + f)``, f the forces of ``macro``, in float64."""
        ops.hex8(
            self.phase_codes,
            self.model64,
            self.mean64,
            out=out,
            macro=macro,
            u=u,
            u_low=low,
            rest=self.rest64,
            directions=self.fibre_directions,
            fibre=self.fibre64,
            sign=sign,
            dot=dot,
            dot_kind=dot_kind,
            partials=self.partials,
            threads=self.compute.threads,
        )

    def dot(self, x: Array, y: Array, out: Array) -> None:
        """Write x . y of every load."""
        ops.dot(x, y, out=out, partials=self.partials, threads=self.compute.threads)

    def phase_strain(self, u: Array, low: Array | None, out: Array) -> None:
        """Write the sums of the strain over the voxels of every phase."""
        ops.phase_strain(
            u,
            self.phase_codes,
            out=out,
            u_low=low,
            partials=self.partials,
            threads=self.compute.threads,
        )


class GreenPreconditioner:
    """The inverse of the hex8 operator of the mean coefficients, by Fourier transforms."""

    def __init__(
        self, elements: UnitElements, compute: Compute, storage: str, partials: Array | None
    ) -> None:
        self.grid, self.compute, self.storage = elements.grid, compute, storage
        self.partials = partials
        nz, ny, nx = self.grid
        z, y, x = (
            compute.send(_wave_table(count, n).astype(storage))
            for count, n in ((nz, nz), (ny, ny), (nx // 2 + 1, nx))
        )
        self.tables = (z, y, x)
        self.symbol = _symbol(elements.c_mean_rest).reshape(-1).tolist()
        self.first = None  # what the mean strain adds with B-bar
        if elements.bbar:
            first = _symbol(elements.c_mean) - _symbol(elements.c_mean_rest)
            self.first = first.reshape(-1).tolist()
        self._work: tuple[Array, Array] | None = None  # allocated on first use

    def __call__(self, r: Array, rz: Array) -> Array | list[list[Array]]:
        """Return z = G r; ``rz = r . z``."""
        c = self.compute
        if c.convolves(self.grid):
            z, spectrum = self._workspace(r)
            return ops.green_convolve(
                r, self.symbol, z=z, spectrum=spectrum, rz=rz, first=self.first, threads=c.threads
            )
        spectrum = c.rfft3(r)
        ops.green(
            spectrum,
            self.grid[2],
            self.tables,
            self.symbol,
            rz=rz,
            first=self.first,
            divide=True,
            partials=self.partials,
            threads=c.threads,
        )
        return c.irfft3(spectrum, self.grid)

    def _workspace(self, r: Array) -> tuple[Array, Array]:
        if self._work is None or self._work[0].shape != r.shape:
            nz, ny, nx = self.grid
            half = (r.shape[0], ny // 2 + 1, r.shape[1], nz, 2, nx)
            empty = self.compute.empty
            self._work = empty(tuple(r.shape), self.storage), empty(half, self.storage)
        return self._work


def _wave_table(count: int, n: int) -> np.ndarray:
    """Return the functions of the wave angles 2 pi k / n, k < count, that `ops.green` needs."""
    cos = np.cos(2 * np.pi * np.arange(count) / n)
    sin = np.sin(2 * np.pi * np.arange(count) / n)
    half = np.sin(np.pi * np.arange(count) / n)
    return np.stack([4 * half**2, (8 + 4 * cos) / 3, 2 * sin, 2 + 2 * cos])


def _symbol(c: np.ndarray) -> np.ndarray:
    """Return rows 11, 22, 33, 23, 13, 12 of the symbol over the products M in the same order."""
    if len(c) == 3:
        return np.array([[c[i, j] * (1.0 if i == j else 2.0) for i, j in VOIGT]])
    t = tensor_from_voigt(c)
    rows = []
    for i, k in VOIGT:
        rows.append([t[i, j, k, m] + (t[i, m, k, j] if j != m else 0.0) for j, m in VOIGT])
    return np.array(rows)
