# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Relative diffusivity and tortuosity between two plates, in TauFactor's sense.

Cell-centred 7-point finite volumes: harmonic conductance of a face, half a cell to the plates, so
cells conduct through faces alone (6-connectivity). The matrix is solved on the percolating clusters
by conjugate gradients. Two preconditioners: a multigrid cycle, or the solution of the homogeneous
box by fast sine and cosine (or Fourier) transforms, restricted to the clusters. The first takes a
third of the iterations, and each is cheaper.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from micro3d_fast import ops
from micro3d_fast._arrays import Array
from micro3d_fast._checks import axis_number, boolean, choice, integer, phase_number, real

from ._compute import Compute, compute_for
from ._image import Image, as_image
from .connectivity import percolating
from .solver import (
    ConvergenceError,
    Solution,
    SolverOptions,
    SolverProgress,
    solve,
    solver_options,
)

__all__ = ["Diffusivity", "relative_diffusivity"]


@dataclass(frozen=True, eq=False)
class Diffusivity:
    """Relative diffusivity of conducting phases along one axis, dimensionless.

    Attributes
    ----------
    relative : float
        Effective over intrinsic diffusivity, 0 ... 1; with ``conductivities`` the effective one, in
        their unit. 0 if no cluster percolates.
    tortuosity : float
        Volume fraction (weighted with ``conductivities``) over ``relative``; inf if that is 0.
    volume_fraction : float
        Of the whole phase, clusters that do not percolate included.
    percolating_fraction : float
        Volume fraction of the clusters that reach from plate to plate.
    phases : tuple of int
        The conducting phases.
    axis : {"z", "y", "x"}
        From plate to plate.
    sides : {"no-flux", "periodic"}
        The other two axes.
    iterations : int
        Conjugate gradient steps.
    residual : float
        True relative residual, at most ``tol``.
    tol, precision : float, str
        As asked for.
    seconds : float
        Wall time of the whole call.
    bytes : int
        Memory of the solver's fields.
    device : str
        Where it ran.
    concentration : array (nz, ny, nx) or None
        On request: 1 at the first plate, 0 at the last, NaN where nothing flows.
    flux : array (nz, ny, nx, 3) or None
        On request: components x, y, z at the centres of voxels, in units of the mean flux that the
        box would carry if it were all conducting with conductivity 1.
    """

    relative: float
    tortuosity: float
    volume_fraction: float
    percolating_fraction: float
    phases: tuple[int, ...]
    axis: str
    sides: str
    iterations: int
    residual: float
    tol: float
    precision: str
    seconds: float
    bytes: int
    device: str
    concentration: np.ndarray | None = None
    flux: np.ndarray | None = None

    def __repr__(self) -> str:
        phases = "phase " + "+".join(map(str, self.phases))
        head = f"Diffusivity of {phases} along {self.axis} ({self.sides} sides): "
        if self.relative == 0.0:
            return (
                f"{head}relative 0, tortuosity inf; volume fraction {self.volume_fraction:.4f}, "
                "nothing percolates"
            )
        return (
            f"{head}relative {self.relative:.6g}, tortuosity {self.tortuosity:.6g}; "
            f"volume fraction {self.volume_fraction:.4f}, "
            f"percolating {self.percolating_fraction:.4f}; "
            f"{self.iterations} iterations to {self.residual:.1e} in {self.seconds:.2f} s"
        )


def relative_diffusivity(
    labels: Any,
    phase: int | Sequence[int],
    *,
    axis: int | str,
    sides: str = "no-flux",
    tol: float = 1e-6,
    conductivities: float | Sequence[float] | Mapping[int, float] | None = None,
    voxel_size: Any = None,
    flux: bool = False,
    device: Any = None,
    precision: str = "mixed",
    max_iterations: int = 5000,
    preconditioner: str = "auto",
    callback: Callable[[SolverProgress], None] | None = None,
    threads: int = 0,
) -> Diffusivity:
    r"""Relative diffusivity and tortuosity of phases between two plates, as TauFactor defines them.

    Fixed concentrations 1 and 0 on the faces of ``axis``, half a voxel from the first and last
    centres; all other phases insulate:

    .. math:: D_\mathrm{rel} = \frac{J L}{A\, \Delta c\, D_0}, \qquad
              \tau = \frac{\varphi}{D_\mathrm{rel}} .

    Parameters
    ----------
    labels : array of bool or integers, shape (nz, ny, nx) or (ny, nx), or Microstructure
        Phase of every voxel.
    phase : int or sequence of int
        The phase, or phases, that conduct.
    axis : int or {"z", "y", "x"}
        From plate to plate, an axis of ``labels``.
    sides : {"no-flux", "periodic"}
        The other axes.
    tol : float
        Bound of the true relative residual, in (0, 1). The error of ``relative`` is of the order of
        its square (it is computed from the energy).
    conductivities : number(s), optional
        Intrinsic diffusivity of each of ``phase``, in its order or as a mapping; default 1.
    voxel_size : float or (dz, dy, dx), optional
        Default: that of the Microstructure, or cubes. Only ratios matter.
    flux : bool
        Return the fields of concentration and flux too.
    device : None, "cpu" or "cuda"
        Default: where ``labels`` are.
    precision : {"mixed", "float64"}
        Storage in float32 with float64 refinement, or float64 throughout.
    max_iterations : int
        Then :class:`ConvergenceError`, with the partial result.
    preconditioner : {"auto", "multigrid", "transforms"}
        A multigrid W-cycle, or fast sine and cosine transforms of the whole box. ``"auto"`` is
        multigrid on the CPU and transforms on CUDA.
    callback : callable, optional
        Called with a :class:`SolverProgress` after every iteration.
    threads : int
        CPU threads, 0 for all.

    Returns
    -------
    Diffusivity

    References
    ----------
    .. [1] S. J. Cooper et al., SoftwareX 5, 203 (2016); S. Kench et al., JOSS 8, 5358 (2023).

    Examples
    --------
    A straight channel in half of the cross-section:

    >>> import numpy as np
    >>> labels = np.zeros((6, 4, 4), dtype=np.uint8)
    >>> labels[:, :2] = 1
    >>> channel = relative_diffusivity(labels, 1, axis="z")
    >>> round(channel.relative, 6), round(channel.tortuosity, 6)
    (0.5, 1.0)
    """
    started = time.perf_counter()
    image = as_image(labels, voxel_size)
    along = axis_number(axis, image.ndim) + (3 - image.ndim)
    sides = choice(sides, ("no-flux", "periodic"), name="sides")
    options = solver_options(tol, max_iterations, precision, callback)
    phases = _phases(phase)
    values = _conductivities(conductivities, phases)
    flux = boolean(flux, name="flux")
    threads = integer(threads, name="threads", minimum=0)
    wished = choice(preconditioner, ("auto", "multigrid", "transforms"), name="preconditioner")
    compute = compute_for(labels, device, threads)
    multigrid = wished == "multigrid" or (wished == "auto" and compute.name == "cpu")
    kind = _Multigrid if multigrid else _Transforms
    return kind(image, along, sides, values, compute).solve(options, flux, started)


def _phases(phase: Any) -> tuple[int, ...]:
    many = isinstance(phase, Sequence | np.ndarray) and not isinstance(phase, str | bytes)
    phases = tuple(phase_number(p) for p in (phase if many else (phase,)))
    if not phases or len(set(phases)) != len(phases):
        raise ValueError(f"`phase` must be one or several distinct phases, got {phase!r}")
    return phases


def _conductivities(values: Any, phases: tuple[int, ...]) -> dict[int, float]:
    wanted = "one positive number for each of `phase`"
    if values is None:
        return dict.fromkeys(phases, 1.0)
    if isinstance(values, Mapping):
        if set(values) != set(phases):
            raise ValueError(f"`conductivities` must hold {wanted}, got {dict(values)!r}")
        given = [values[p] for p in phases]
    elif isinstance(values, Sequence | np.ndarray) and not isinstance(values, str | bytes):
        given = list(values)
    else:
        given = [values]
    if len(given) != len(phases):
        raise ValueError(f"`conductivities` must hold {wanted}, got {len(given)} of {len(phases)}")
    return {
        p: real(v, name="conductivities", minimum=0.0, open_ends=True)
        for p, v in zip(phases, given, strict=True)
    }


class _Plates:
    """The finite-volume system with the axis from plate to plate first; one load.

    Fields are (1, ...); ``cells`` views one of them as (nz, ny, nx).
    """

    problem = "relative diffusivity"
    mask: Array | None = None
    shape: tuple[int, ...]

    def __init__(
        self, image: Image, along: int, sides: str, values: dict[int, float], compute: Compute
    ) -> None:
        self.image, self.along, self.sides, self.values = image, along, sides, values
        self.compute = compute
        self.loads: tuple[str, ...] = ("zyx"[along],)
        self.order = (along, *(a for a in range(3) if a != along))
        size = np.array(image.voxel_size)
        spacing = (size / size[along])[list(self.order)]
        area = spacing.prod() / spacing
        wz, wy, wx = (float(w) for w in area / spacing)
        self.weights = (wz, wy, wx)
        wrap = sides == "periodic"
        # code 0: takes no part; 1, 2, ...: the conducting phases
        table = np.zeros(256, dtype=np.uint8)
        for code, label in enumerate(values, start=1):
            table[label] = code
        codes = table[np.ascontiguousarray(image.labels.transpose(self.order))]
        through = percolating(codes != 0, (wrap, wrap))
        codes[~through] = 0
        self.codes_host = codes
        self.periodic = (wrap, wrap)
        self.scale = max(values.values())
        self.k = np.array([0.0, *(v / self.scale for v in values.values())])
        self.binary = bool(np.isin(self.k, (0.0, 1.0)).all())
        self.percolating = int(through.sum())
        self.rounding = np.zeros(1)
        self.extra_bytes = 0

    def prepare(self, options: SolverOptions) -> None:
        c = self.compute
        self.storage = options.storage
        self.grid: tuple[int, int, int] = self.codes_host.shape
        self.codes = c.send(self.codes_host)
        self.table = c.send(self.k.astype(options.storage))
        self.table64 = c.send(self.k)
        self.partials = c.partials(ops.REDUCE_PARTIALS)

    def cells(self, field: Array) -> Array:
        raise NotImplementedError

    # ------------------------------------------------------------------------ System protocol

    def residual(self, x: Array | None, low: Array | None, r: Array, rr: Array) -> None:
        self._operator(self.table64, x, low, r, rr, plate=1.0, sign=-1.0, kind="output")

    def apply(self, p: Array, q: Array, pq: Array) -> None:
        self._operator(self.table, p, None, q, pq, plate=0.0, sign=1.0, kind="input")

    def precondition(self, r: Array, rz: Array) -> Array:
        raise NotImplementedError

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
            self.codes,
            table,
            out=self.cells(out),
            weights=self.weights,
            u=None if u is None else self.cells(u),
            u_low=None if low is None else self.cells(low),
            periodic=self.periodic,
            binary=self.binary,
            plate=plate,
            sign=sign,
            dot=dot,
            dot_kind=kind,
            partials=self.partials,
            threads=self.compute.threads,
        )

    # --------------------------------------------------------------------------------- results

    def solve(self, options: SolverOptions, flux: bool, started: float) -> Diffusivity:
        labels = self.image.labels
        weighted = sum(v * self.image.counts[p] for p, v in self.values.items()) / labels.size
        fraction = sum(int(self.image.counts[p]) for p in self.values) / labels.size
        common: dict[str, Any] = {
            "volume_fraction": fraction,
            "percolating_fraction": self.percolating / labels.size,
            "phases": tuple(self.values),
            "axis": "zyx"[self.along],
            "sides": self.sides,
            "tol": options.tol,
            "precision": options.precision,
            "device": self.compute.name,
        }
        if self.percolating == 0:
            blocked = self._blocked_fields() if flux else {}
            return Diffusivity(
                relative=0.0,
                tortuosity=math.inf,
                iterations=0,
                residual=0.0,
                seconds=time.perf_counter() - started,
                bytes=0,
                **common,
                **blocked,
            )
        self.prepare(options)
        solution = solve(self, options)
        c = self.compute
        relative = self.scale * self._energy(solution)
        fields: dict[str, Any] = {}
        if flux:
            x = np.array(c.fetch(self.cells(solution.x)), dtype=np.float64)
            if solution.low is not None:
                x += c.fetch(self.cells(solution.low))
            fields = self._fields(x)
        result = Diffusivity(
            relative=relative,
            tortuosity=weighted / relative,
            iterations=solution.iterations,
            residual=float(solution.residuals[0]),
            seconds=time.perf_counter() - started,
            bytes=solution.nbytes + self.extra_bytes + self.codes_host.size,
            **common,
            **fields,
        )
        if not solution.converged:
            k = [v for v in self.values.values()]
            raise ConvergenceError(
                f"relative_diffusivity reached a relative residual of {result.residual:.2e} and "
                f"not `tol` {options.tol:g} in {solution.iterations} iterations (contrast of the "
                f"conducting phases {max(k) / min(k):.3g}); the partial result is in `.partial`",
                partial=result,
                residual=result.residual,
                iterations=solution.iterations,
                contrast=max(k) / min(k),
            )
        return result

    def _energy(self, solution: Solution) -> float:
        """Dissipation / area, whose error is of second order: beta - b.x - x.r with r = b - A x."""
        c, work = self.compute, self.compute.zeros((1,), "float64")
        inlet = 2.0 * self.weights[0] * self.k[self.codes_host[0]]
        energy = float(inlet.sum())
        for part in (solution.x, solution.low):
            if part is None:
                continue
            first = np.asarray(c.fetch(self.cells(part)[0]), dtype=np.float64)
            partials = c.partials(ops.REDUCE_PARTIALS)
            ops.dot(part, solution.r, out=work, partials=partials, threads=c.threads)
            energy -= float((inlet * first).sum()) + float(c.fetch(work)[0])
        # per unit gradient: times length over area; the spacing along the axis is 1
        nz, ny, nx = self.grid
        return energy * nz / (self.weights[0] * ny * nx)

    def _blocked_fields(self) -> dict[str, Any]:
        shape = self.image.labels.shape
        return {
            "concentration": np.full(shape, np.nan),
            "flux": np.zeros((*shape, 3), dtype=np.float32),
        }

    def _fields(self, x: np.ndarray) -> dict[str, Any]:
        """Concentration and flux at the centres: the mean of the two faces along each axis."""
        k = self.k[self.codes_host]
        size = np.array(self.image.voxel_size)
        spacing = (size / size[self.along])[list(self.order)]
        flux = np.zeros((*self.image.labels.shape, 3), dtype=np.float32)
        back = np.argsort(self.order)
        for a in range(3):
            with np.errstate(invalid="ignore", divide="ignore"):
                forward = np.roll(k, -1, a)
                face = np.where(k + forward > 0, 2 * k * forward / (k + forward), 0.0)
            through = face * (x - np.roll(x, -1, a)) / spacing[a]
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
        concentration = np.where(self.codes_host != 0, x, np.nan).transpose(back)
        return {"concentration": np.ascontiguousarray(concentration), "flux": flux}


class _Transforms(_Plates):
    """Preconditioned by the homogeneous box: sine transform from plate to plate, cosine or Fourier
    transforms across."""

    def prepare(self, options: SolverOptions) -> None:
        super().prepare(options)
        c = self.compute
        self.mask = self.codes
        self.shape = (1, *self.grid)
        nz, ny, nx = self.grid
        # with the mean conductivity of the conducting cells
        mean = float(self.k[self.codes_host].sum() / max(self.percolating, 1))
        eigen = [2.0 - 2.0 * np.cos(np.pi * np.arange(1, nz + 1) / nz)]
        for n, wraps in zip((ny, nx), self.periodic, strict=True):
            eigen.append(2.0 - 2.0 * np.cos((2.0 if wraps else 1.0) * np.pi * np.arange(n) / n))
        z, y, x = (
            c.send((mean * w * e).astype(self.storage))
            for w, e in zip(self.weights, eigen, strict=True)
        )
        self.eigen = (z, y, x)
        self.extra_bytes = 2 * self.codes_host.size * np.dtype(self.storage).itemsize

    def cells(self, field: Array) -> Array:
        return field[0]

    def precondition(self, r: Array, rz: Array) -> Array:
        c = self.compute
        spectrum = c.forward_box(r[0], self.periodic)
        ops.separable_inverse(
            spectrum, self.eigen, rz=rz, partials=self.partials, threads=c.threads
        )
        return c.backward_box(spectrum, self.periodic)[None]


class _Multigrid(_Plates):
    """Preconditioned by a multigrid cycle, on padded fields."""

    def prepare(self, options: SolverOptions) -> None:
        super().prepare(options)
        c = self.compute
        floats, self.padded = ops.multigrid_layout(self.grid, self.binary)
        self.shape = (1, int(np.prod(self.padded)))
        self.options: dict[str, Any] = {
            "weights": self.weights,
            "periodic": self.periodic,
            "binary": self.binary,
            "partials": self.partials,
            "threads": c.threads,
        }
        levels = ops.multigrid_setup(
            self.codes_host,
            self.k,
            weights=self.weights,
            periodic=self.periodic,
            binary=self.binary,
            buffer=np.empty(floats, np.float32),
        )
        self.levels = c.send(levels)
        self.z = c.zeros(self.shape, "float32")
        self.r = c.zeros(self.shape, "float32") if self.storage == "float64" else None
        self.visits = 2 if c.name == "cpu" else 1  # small levels are slow on a GPU
        self.extra_bytes = 4 * (floats + self.shape[1] * (1 if self.r is None else 2))

    def cells(self, field: Array) -> Array:
        nz, ny, nx = self.grid
        return field.reshape(self.padded)[1 : nz + 1, 1 : ny + 1, 1 : nx + 1]

    def precondition(self, r: Array, rz: Array) -> Array:
        c = self.compute
        if self.r is None:
            return ops.multigrid_cycle(
                self.levels, self.grid, r=r, z=self.z, rz=rz, visits=self.visits, **self.options
            )
        c.copy(self.r, r)
        ops.multigrid_cycle(
            self.levels, self.grid, r=self.r, z=self.z, rz=rz, visits=self.visits, **self.options
        )
        z = c.zeros(self.shape, "float64")
        c.copy(z, self.z)
        ops.dot(r, z, out=rz, partials=self.partials, threads=c.threads)
        return z
