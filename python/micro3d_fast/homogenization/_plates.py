# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Finite volumes between two plates: the system, and its two preconditioners.

Cell-centred 7-point finite volumes: harmonic conductance of a face, half a cell to the plates, so
cells conduct through faces alone (6-connectivity). The matrix is solved on the percolating
clusters. The preconditioners are a multigrid cycle, and the solution of the homogeneous box by fast
sine and cosine (or Fourier) transforms, restricted to the clusters. The first takes a third of the
iterations, and each is cheaper; the second is the default on CUDA.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from .. import ops
from .._arrays import Array, framework, zeros_like
from .._phases import phase_counts
from .._planes import AXIS_NAMES
from ._compute import Compute
from ._voxels import LabelledVoxels
from .connectivity import percolating
from .solver import Solution, SolverOptions


class Plates:
    """The percolating cells on the device, with the axis from plate to plate first."""

    def __init__(
        self,
        voxels: LabelledVoxels,
        axis: int,
        periodic: bool,
        conductivities: dict[int, float],
        compute: Compute,
    ) -> None:
        self.axis, self.compute = axis, compute
        self.order = (axis, *(a for a in range(3) if a != axis))
        size = np.array(voxels.voxel_size)
        self.spacing = (size / size[axis])[list(self.order)]
        area = self.spacing.prod() / self.spacing
        wz, wy, wx = (float(w) for w in area / self.spacing)
        self.weights = (wz, wy, wx)
        self.periodic = (periodic, periodic)
        self.phase_codes = _codes(
            compute.send_labels(voxels.labels), self.order, tuple(conductivities)
        )
        self.phase_codes *= percolating(self.phase_codes != 0, self.periodic)
        self.counts = phase_counts(self.phase_codes, len(conductivities) + 1)
        self.percolating = int(self.counts[1:].sum())
        nz, ny, nx = self.phase_codes.shape
        self.grid: tuple[int, int, int] = (nz, ny, nx)
        self.scale = max(conductivities.values())
        self.k = np.array([0.0, *(v / self.scale for v in conductivities.values())])
        self.binary = bool(np.isin(self.k, (0.0, 1.0)).all())

    def fields(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Return concentration and flux at the centres: the mean of the two faces of each axis."""
        codes = self.compute.fetch(self.phase_codes)
        k = self.k[codes]
        back = np.argsort(self.order)
        concentration = np.where(codes != 0, x, np.nan).transpose(back)
        flux = np.zeros((*concentration.shape, 3), dtype=np.float32)
        for a in range(3):
            with np.errstate(invalid="ignore", divide="ignore"):
                forward = np.roll(k, -1, a)
                face = np.where(k + forward > 0, 2 * k * forward / (k + forward), 0.0)
            through = face * (x - np.roll(x, -1, a)) / self.spacing[a]
            last = [slice(None)] * 3
            last[a] = slice(-1, None)
            first = [slice(None)] * 3
            first[a] = slice(0, 1)
            before = np.roll(through, 1, a)
            if a == 0:
                through[tuple(last)] = 2 * k[-1:] * x[-1:]
                before[tuple(first)] = 2 * k[:1] * (1.0 - x[:1])
            elif not self.periodic[a - 1]:
                through[tuple(last)] = 0.0
                before[tuple(first)] = 0.0
            mean = (0.5 * self.scale * x.shape[0] * (through + before)).transpose(back)
            flux[..., 2 - self.order[a]] = mean
        return {"concentration": np.ascontiguousarray(concentration), "flux": flux}


def _codes(labels: Array, order: tuple[int, ...], phases: tuple[int, ...]) -> Array:
    """Return 1, 2, ... in the voxels of the conducting phases, else 0, with axes in ``order``."""
    on_host = framework(labels) == "numpy"
    if on_host:
        labels = np.ascontiguousarray(labels.transpose(order))
    else:
        labels = labels.permute(order).contiguous()
    codes = zeros_like(labels, labels.shape, "uint8")
    for code, phase in enumerate(phases, start=1):
        if on_host:
            np.putmask(codes, labels == phase, code)
        else:
            codes.masked_fill_(labels == phase, code)
    return codes


class PlateSystem(ABC):
    """System protocol: diffusion between the plates, one load.

    Fields are (1, ...); ``cells`` views one of them as (nz, ny, nx).
    """

    name = "relative diffusivity"
    mask: Array | None = None
    shape: tuple[int, ...]
    extra_bytes: int  # of the preconditioner

    def __init__(self, plates: Plates, compute: Compute, options: SolverOptions) -> None:
        self.plates, self.compute, self.storage = plates, compute, options.storage
        self.loads: tuple[str, ...] = (AXIS_NAMES[plates.axis],)
        self.phase_codes = plates.phase_codes
        self.table = compute.send(plates.k.astype(self.storage))
        self.table64 = compute.send(plates.k)
        self.partials = compute.partials(ops.REDUCE_PARTIALS)
        self.rounding = np.zeros(1)

    @abstractmethod
    def cells(self, field: Array) -> Array:
        """Return a view of a field as (nz, ny, nx)."""

    @abstractmethod
    def precondition(self, r: Array, rz: Array) -> Array:
        """Return ``z = M r``; write ``rz = r . z``."""

    def residual(self, x: Array | None, low: Array | None, r: Array, rr: Array) -> None:
        self._operator(self.table64, x, low, r, rr, plate=1.0, sign=-1.0, kind="output")

    def apply(self, p: Array, q: Array, pq: Array) -> None:
        self._operator(self.table, p, None, q, pq, plate=0.0, sign=1.0, kind="input")

    def _operator(
        self,
        table: Array,
        u: Array | None,
        low: Array | None,
        out: Array,
        dot: Array,
        *,
        plate: float,
        sign: float,
        kind: str,
    ) -> None:
        ops.seven_point(
            self.phase_codes,
            table,
            out=self.cells(out),
            weights=self.plates.weights,
            u=None if u is None else self.cells(u),
            u_low=None if low is None else self.cells(low),
            periodic=self.plates.periodic,
            binary=self.plates.binary,
            plate=plate,
            sign=sign,
            dot=dot,
            dot_kind=kind,
            partials=self.partials,
            threads=self.compute.threads,
        )

    def conductance(self, solution: Solution) -> float:
        """Return the effective conductivity, from the dissipation: its error is of second order.

        Dissipation / area = beta - b.x - x.r with r = b - A x.
        """
        c, work = self.compute, self.compute.zeros((1,), "float64")
        plates = self.plates
        inlet = 2.0 * plates.weights[0] * plates.k[c.fetch(plates.phase_codes[0])]
        energy = float(inlet.sum())
        for part in (solution.x, solution.low):
            if part is None:
                continue
            first = np.asarray(c.fetch(self.cells(part)[0]), dtype=np.float64)
            ops.dot(part, solution.r, out=work, partials=self.partials, threads=c.threads)
            energy -= float((inlet * first).sum()) + float(c.fetch(work)[0])
        # per unit gradient: times length over area; the spacing along the axis is 1
        nz, ny, nx = plates.grid
        return plates.scale * (energy * nz / (plates.weights[0] * ny * nx))

    def concentration(self, solution: Solution) -> np.ndarray:
        """Return the solution as float64 (nz, ny, nx)."""
        x = np.array(self.compute.fetch(self.cells(solution.x)), dtype=np.float64)
        if solution.low is not None:
            x += self.compute.fetch(self.cells(solution.low))
        return x


class TransformSystem(PlateSystem):
    """Preconditioned by the homogeneous box: sine transform from plate to plate, cosine or Fourier
    transforms across."""

    def __init__(self, plates: Plates, compute: Compute, options: SolverOptions) -> None:
        super().__init__(plates, compute, options)
        self.mask = self.phase_codes
        self.shape = (1, *plates.grid)
        nz, ny, nx = plates.grid
        # with the mean conductivity of the conducting cells
        mean = float(plates.k @ plates.counts / max(plates.percolating, 1))
        eigen = [2.0 - 2.0 * np.cos(np.pi * np.arange(1, nz + 1) / nz)]
        for n, wraps in zip((ny, nx), plates.periodic, strict=True):
            eigen.append(2.0 - 2.0 * np.cos((2.0 if wraps else 1.0) * np.pi * np.arange(n) / n))
        z, y, x = (
            compute.send((mean * w * e).astype(self.storage))
            for w, e in zip(plates.weights, eigen, strict=True)
        )
        self.eigen = (z, y, x)
        self.extra_bytes = 2 * math.prod(plates.grid) * np.dtype(self.storage).itemsize

    def cells(self, field: Array) -> Array:
        return field[0]

    def precondition(self, r: Array, rz: Array) -> Array:
        c, periodic = self.compute, self.plates.periodic
        spectrum = c.forward_box(r[0], periodic)
        ops.separable_inverse(
            spectrum, self.eigen, rz=rz, partials=self.partials, threads=c.threads
        )
        return c.backward_box(spectrum, periodic)[None]


class MultigridSystem(PlateSystem):
    """Preconditioned by a multigrid cycle, on padded fields."""

    def __init__(self, plates: Plates, compute: Compute, options: SolverOptions) -> None:
        super().__init__(plates, compute, options)
        floats, self.padded = ops.multigrid_layout(plates.grid, plates.binary)
        self.shape = (1, int(np.prod(self.padded)))
        self.matrix: dict[str, Any] = {
            "weights": plates.weights,
            "periodic": plates.periodic,
            "binary": plates.binary,
        }
        buffer = np.empty(floats, np.float32)
        codes = compute.fetch(plates.phase_codes)
        levels = ops.multigrid_setup(codes, plates.k, **self.matrix, buffer=buffer)
        self.levels = compute.send(levels)
        self.z = compute.zeros(self.shape, "float32")
        self.r = compute.zeros(self.shape, "float32") if self.storage == "float64" else None
        self.visits = 2 if compute.name == "cpu" else 1  # small levels are slow on a GPU
        self.extra_bytes = 4 * (floats + self.shape[1] * (1 if self.r is None else 2))

    def cells(self, field: Array) -> Array:
        nz, ny, nx = self.plates.grid
        return field.reshape(self.padded)[1 : nz + 1, 1 : ny + 1, 1 : nx + 1]

    def precondition(self, r: Array, rz: Array) -> Array:
        if self.r is None:
            return self._cycle(r, rz)
        c = self.compute
        c.copy(self.r, r)
        self._cycle(self.r, rz)
        z = c.zeros(self.shape, "float64")
        c.copy(z, self.z)
        ops.dot(r, z, out=rz, partials=self.partials, threads=c.threads)
        return z

    def _cycle(self, r: Array, rz: Array) -> Array:
        return ops.multigrid_cycle(
            self.levels,
            self.plates.grid,
            **self.matrix,
            r=r,
            z=self.z,
            rz=rz,
            visits=self.visits,
            partials=self.partials,
            threads=self.compute.threads,
        )
