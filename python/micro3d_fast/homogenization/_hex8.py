# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Effective coefficients of a periodic voxel problem from its unit loads, on hex8 elements.

Elasticity and conduction share it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._arrays import Array
from ._call import Call
from ._compute import Compute
from ._hex8_operator import GreenPreconditioner, Hex8Operator
from ._unit_elements import UnitElements
from .solver import Solution, Solver, SolverOptions, convergence_error, precision_hint


@dataclass(eq=False)
class Hex8Results:
    """Results of the solves of all unit loads; nan of loads that were never run."""

    effective: np.ndarray  # (n, n), n = 6 or 3, symmetric
    residual_work: np.ndarray  # (n, n): errors of <C (e_I + u_I)>, which the energy is free of
    phase_strains: np.ndarray  # (loads, phases, n): sums over voxels of the fluctuation, physical
    iterations: tuple[int, ...]
    residuals: tuple[float, ...]
    converged: bool
    nbytes: int
    fields: np.ndarray | None  # (loads, components, nz, ny, nx), physical, float32 or float64

    @classmethod
    def zero(cls, n: int, phases: int) -> Hex8Results:
        """Return the results of phases whose coefficients are all zero."""
        strains = np.zeros((n, phases, n))
        return cls(np.zeros((n, n)), np.zeros((n, n)), strains, (0,) * n, (0.0,) * n, True, 0, None)

    def phase_means(
        self, counts: np.ndarray, labels_of_code: np.ndarray, n_phases: int
    ) -> np.ndarray:
        """Return the mean strain (loads, labels, n) of every label; NaN where it does not occur."""
        n = len(self.effective)
        means = np.full((n, n_phases, n), np.nan)
        fluctuation = self.phase_strains / counts[labels_of_code][:, None]
        means[:, labels_of_code] = np.eye(n)[:, None, :] + fluctuation
        return means

    def require_convergence(
        self,
        function: str,
        loads: Sequence[str],
        options: SolverOptions,
        contrast: float,
        *,
        partial: Any,
        warnings: Sequence[str] = (),
    ) -> None:
        """Raise a ConvergenceError with the partial result, if a load missed ``tol``."""
        if self.converged:
            return
        worst = int(np.nanargmax(self.residuals))
        hints = "".join(f"; {w}" for w in warnings) + precision_hint(options, contrast)
        raise convergence_error(
            function,
            options,
            residual=self.residuals[worst],
            iterations=self.iterations[worst],
            contrast=contrast,
            partial=partial,
            under=f" under load {loads[worst]}",
            hints=hints,
        )


class Hex8Problem:
    """The operator of a voxel problem, its preconditioner, and the solves of its unit loads."""

    def __init__(
        self, name: str, elements: UnitElements, compute: Compute, options: SolverOptions
    ) -> None:
        self.name, self.elements, self.compute, self.options = name, elements, compute, options
        storage = options.storage
        self.operator = Hex8Operator(elements, compute, storage)
        self.precondition = GreenPreconditioner(elements, compute, storage, self.operator.partials)

    def solve_all(self, *, keep_fields: bool = False, batch: int = 1) -> Hex8Results:
        """Solve the n unit loads, ``batch`` at a time, and assemble the effective coefficients.

        The bilinear energy form of loads I and J, whose error is of second order and which is
        symmetric by construction:
        a(e_I + u_I, e_J + u_J) = e_I <C> e_J + u_J . f_I - u_I . r_J, with f_I = forces of the
        uniform strain and r_J = -f_J - A u_J the residual that is left.
        """
        c, n = self.compute, self.elements.n
        energy, lost = np.full((n, n), np.nan), np.zeros((n, n))
        strains = np.full((n, len(self.elements.c), n), np.nan)  # scaled sums of the fluctuation
        iterations, residuals, converged = [0] * n, [math.nan] * n, True
        nbytes, kept, solver = 0, list[Array](), Solver(self.options)
        for start in range(0, n, batch):
            loads = list(range(start, min(start + batch, n)))
            solution = solver.solve(UnitLoads(self, loads))
            converged = converged and solution.converged
            nbytes = max(nbytes, solution.nbytes + self._other_bytes(len(loads)))
            sums = c.zeros((len(loads), *strains.shape[1:]), "float64")
            self.operator.phase_strain(solution.x, solution.low, sums)
            strains[loads] = c.fetch(sums)
            for place, j in enumerate(loads):
                energy[: j + 1, j] = self._work(solution, place, strains[j], j)
                residuals[j] = float(solution.residuals[place])
                iterations[j] = solution.iterations if residuals[j] > 0.0 else 0
            lost += self._residual_work(solution, loads, kept)
            more = converged and loads[-1] + 1 < n
            if more or keep_fields:
                kept += self._fields_of(solution, more)
            if not converged:
                break
        return Hex8Results(
            effective=self._effective(energy - lost),
            residual_work=(lost + np.triu(lost, 1).T) * self._per_volume,
            phase_strains=strains * self.elements.w,
            iterations=tuple(iterations),
            residuals=tuple(residuals),
            converged=converged,
            nbytes=nbytes,
            fields=self._physical(kept) if keep_fields else None,
        )

    def _effective(self, energy: np.ndarray) -> np.ndarray:
        """Return the effective coefficients, from the upper triangle of the energy form."""
        el = self.elements
        upper = np.triu(energy) + np.triu(energy, 1).T
        uniform = el.voxels * el.c_mean / (el.w[:, None] * el.w)
        return (uniform + upper) * self._per_volume

    @property
    def _per_volume(self) -> float:
        el = self.elements
        return el.scale / (el.volume * el.voxels)

    def _fields_of(self, solution: Solution, more: bool) -> list[Array]:
        """Return the fields of every load; ``more``: the solver will write to their memory.

        They stay on the device while there is room for them and another one. The low part of a
        sum of two floats, less than the rounding of the other, is left out.
        """
        c, x = self.compute, solution.x
        if more and c.has_room(2 * x.nbytes):
            kept = c.empty(tuple(x.shape), self.options.storage)
            c.copy(kept, x)
            x = kept
        elif more:
            x = c.fetch(x)
        return [x[k : k + 1] for k in range(len(x))]

    def _physical(self, kept: list[Array]) -> np.ndarray:
        """Return the fields of all loads in units of the mean voxel spacing; nan if never run."""
        el = self.elements
        fields = np.full((el.n, el.components, *el.grid), np.nan, self.options.storage)
        for to, field in zip(fields, kept, strict=False):
            to[...] = field[0] if isinstance(field, np.ndarray) else self.compute.fetch(field[0])
        if el.components == 3:
            fields *= el.g[:, None, None, None].astype(fields.dtype)
        return fields

    def _work(self, solution: Solution, place: int, sums: np.ndarray, j: int) -> np.ndarray:
        """Return u_J . f_I for I = 0 ... J."""
        if self.operator.fibre_directions is None:
            stress = np.einsum("pij,pj->i", self.elements.c, sums)
            return stress[: j + 1] / self.elements.w[: j + 1]
        # per-voxel stiffness: from the operator itself, u.(A u + f_I) - u.A u
        c = self.compute
        x = solution.x[place : place + 1]
        low = None if solution.low is None else solution.low[place : place + 1]
        out, dots = c.empty(tuple(x.shape), self.options.storage), c.zeros((j + 2,), "float64")
        for i in range(-1, j + 1):
            macro = np.zeros(self.elements.n) if i < 0 else self.elements.unit_load(i)
            dot = dots[i + 1 : i + 2]
            self.operator.apply64(
                x, low, out, c.send(macro[None]), sign=1.0, dot=dot, dot_kind="input"
            )
        work = c.fetch(dots)
        return work[1:] - work[0]

    def _residual_work(self, solution: Solution, loads: list[int], kept: list[Array]) -> np.ndarray:
        """Return u_I . r_J at (I, J) for J in ``loads`` and I <= J; 0 elsewhere.

        ``kept`` holds the fields of the loads before these. All is computed before any is fetched.
        """
        c, n, first, count = self.compute, self.elements.n, loads[0], len(loads)
        dots = c.zeros((n, n), "float64")  # at (J - I, I): neighbours for a given distance
        for apart in range(count):
            to = dots[apart, first : first + count - apart]
            self.operator.dot(solution.x[: count - apart], solution.r[apart:], to)
        for i, x in enumerate(kept):
            x = c.send(x) if isinstance(x, np.ndarray) else x
            for place, j in enumerate(loads):
                self.operator.dot(x, solution.r[place : place + 1], dots[j - i, i : i + 1])
        fetched = c.fetch(dots)
        work = np.zeros((n, n))
        for j in loads:
            for i in range(j + 1):
                work[i, j] = fetched[j - i, i]
        return work

    def _other_bytes(self, loads: int) -> int:
        """Return the bytes of the labels, and of the preconditioner's spectrum and its inverse."""
        el = self.elements
        size = 4 if self.options.storage == "float32" else 8
        half = el.grid[2] // 2 + 1
        spectrum = 2 * size * loads * el.components * el.grid[0] * el.grid[1] * half
        field = size * loads * el.components * el.voxels
        fibres = 0 if self.operator.fibre_directions is None else 3 * size * el.voxels
        return el.voxels + spectrum + field + fibres


class UnitLoads:
    """System protocol: some of the unit loads of a problem."""

    mask = None

    def __init__(self, problem: Hex8Problem, loads: list[int]) -> None:
        self.problem, self.name, self.compute = problem, problem.name, problem.compute
        elements = problem.elements
        self.loads = tuple(elements.load_names[i] for i in loads)
        self.shape: tuple[int, ...] = (len(loads), elements.components, *elements.grid)
        macro = np.stack([elements.unit_load(i) for i in loads])
        self.macro = self.compute.send(macro)
        # rounding errors of forces that cancel
        stress = np.abs(np.einsum("pij,lj->lpi", elements.c, macro)).max(axis=(1, 2))
        self.rounding = 64 * 2.2e-16 * np.sqrt(elements.components * elements.voxels) * stress

    def residual(self, x: Array | None, low: Array | None, r: Array, rr: Array) -> None:
        self.problem.operator.apply64(x, low, r, self.macro, sign=-1.0, dot=rr, dot_kind="output")

    def apply(self, p: Array, q: Array, pq: Array) -> None:
        self.problem.operator.apply(p, q, pq)

    def precondition(self, r: Array, rz: Array) -> Array | list[list[Array]]:
        return self.problem.precondition(r, rz)


def solve_unit_loads(
    call: Call, name: str, elements: UnitElements, *, keep_fields: bool, together: int
) -> Hex8Results:
    """Solve the unit loads of a call; on a GPU all at once up to ``together`` voxels."""
    if not elements.c.any():
        return Hex8Results.zero(elements.n, len(elements.c))
    batch = 1 if call.compute.name == "cpu" or elements.voxels > together else elements.n
    problem = Hex8Problem(name, elements, call.compute, call.options)
    return problem.solve_all(keep_fields=keep_fields, batch=batch)
