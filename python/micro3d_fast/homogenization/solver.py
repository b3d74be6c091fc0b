# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Preconditioned conjugate gradients whose stated tolerance is met by the true residual.

``precision="float64"`` is the plain method. ``precision="mixed"`` stores everything in float32,
sums in float64, and keeps the solution as a sum of two floats, ``x + low``: corrections accumulate
in ``low``; whenever the residual has fallen by a factor of 1000, ``low`` is folded into ``x`` and
the residual is recomputed from the sum in float64 ("reliable updates": the search direction is
kept, so convergence does not suffer). The recursive residual of float32 alone would be 1e-7 where
the true one is 1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from .. import _checks, ops
from .._arrays import Array
from ._compute import Compute

__all__ = [
    "ConvergenceError",
    "Solution",
    "Solver",
    "SolverOptions",
    "SolverProgress",
    "System",
    "solve",
]

_DROP = 1e-3  # decrease of the residual after which it is recomputed
_LARGE = 1 << 23  # unknowns from which on an iteration takes longer than to wait for it


class ConvergenceError(RuntimeError):
    """The tolerance was not met; ``partial`` is the result reached so far.

    Attributes
    ----------
    partial : object
        The result computed so far, or None.
    residual : float
        True relative residual reached.
    iterations : int
        Iterations spent on the load that failed.
    contrast : float
        Largest over smallest coefficient of the phases, inf with a pore.
    """

    def __init__(
        self,
        message: str,
        *,
        partial: Any = None,
        residual: float = math.nan,
        iterations: int = 0,
        contrast: float = math.nan,
    ) -> None:
        super().__init__(message)
        self.partial = partial
        self.residual = residual
        self.iterations = iterations
        self.contrast = contrast


@dataclass(frozen=True)
class SolverProgress:
    """State of a solve, passed to the callback after every check of the residual."""

    problem: str
    loads: tuple[str, ...]  # solved together
    iteration: int
    residual: float  # the largest relative residual of these loads
    tol: float


@dataclass(frozen=True)
class SolverOptions:
    """Checked options of every solve."""

    tol: float
    max_iterations: int
    precision: str
    callback: Callable[[SolverProgress], None] | None

    @property
    def storage(self) -> str:
        return "float64" if self.precision == "float64" else "float32"


def solver_options(tol: Any, max_iterations: Any, precision: Any, callback: Any) -> SolverOptions:
    """Check the options that all three problems share."""
    return SolverOptions(
        _checks.real(tol, name="tol", minimum=0.0, maximum=1.0, open_ends=True),
        _checks.integer(max_iterations, name="max_iterations", minimum=1),
        _checks.choice(precision, ("mixed", "float64"), name="precision"),
        _checks.callback(callback),
    )


def convergence_error(
    function: str,
    options: SolverOptions,
    *,
    residual: float,
    iterations: int,
    contrast: float,
    partial: Any,
    under: str = "",
    phases: str = "phases",
    hints: str = "",
) -> ConvergenceError:
    """Return the error of a function that did not meet ``tol``, to be raised."""
    return ConvergenceError(
        f"{function} reached a relative residual of {residual:.2e} and not `tol` {options.tol:g}"
        f"{under} in {iterations} iterations (contrast of the {phases} {contrast:.3g}{hints}); "
        "the partial result is in `.partial`",
        partial=partial,
        residual=residual,
        iterations=iterations,
        contrast=contrast,
    )


def precision_hint(options: SolverOptions, contrast: float) -> str:
    """Return the hint to use float64 where float32 may be why the solve did not converge."""
    if options.precision == "mixed" and (contrast > 1e4 or options.tol < 1e-12):
        return "; precision='float64' gets further"
    return ""


class System(Protocol):
    """A batch of symmetric systems ``A x = b`` of one operator; fields are (loads, ...)."""

    name: str
    loads: tuple[str, ...]
    compute: Compute
    shape: tuple[int, ...]  # of a field, first axis loads
    rounding: np.ndarray  # per load: |b| below which b is zero except for rounding
    mask: Array | None  # of the unknowns; None: everywhere

    def residual(self, x: Array | None, low: Array | None, r: Array, rr: Array) -> None:
        """Write ``r = b - A (x + low)``, computed in float64; ``rr = r . r``."""

    def apply(self, p: Array, q: Array, pq: Array) -> None:
        """Write ``q = A p``; ``pq = p . q``."""

    def precondition(self, r: Array, rz: Array) -> Array | list[list[Array]]:
        """Return ``z = M r``, as an array or by loads and components; write ``rz = r . z``."""


@dataclass
class Solution:
    """Fields (loads, ...): the solution ``x + low`` (``low`` None in float64) and ``b - A x``."""

    x: Array
    low: Array | None
    r: Array
    iterations: int
    residuals: np.ndarray  # true relative residual of every load
    converged: bool
    nbytes: int = 0


class _ConjugateGradients:
    """Fields and scalars of the method; `iterate` is one iteration."""

    def __init__(self, system: System, storage: str) -> None:
        c, shape = system.compute, system.shape
        self.compute, self.storage = c, storage
        loads = shape[0]
        self.x, self.r, self.p = (c.zeros(shape, storage) for _ in range(3))
        self.low = c.zeros(shape, storage) if storage == "float32" else None
        self.accumulate = self.x if self.low is None else self.low
        self.rz, self.rz_before, self.pq, self.rr = (c.zeros((loads,), "float64") for _ in range(4))
        self.partials = c.partials(loads * ops.REDUCE_PARTIALS)
        self.q: Array | None = None  # allocated on first use
        self.graph: Callable[[], None] | None = None  # of the iteration, for all systems
        self._begin(system)

    def restart_with(self, system: System) -> None:
        """Begin with another system of the same operator and shape."""
        for field in (self.x, self.p, self.low):
            if field is not None:
                field[...] = 0.0
        self.restart()
        self._begin(system)

    def _begin(self, system: System) -> None:
        c = self.compute
        self.system = system
        system.residual(None, None, self.r, self.rr)
        self.norm = np.sqrt(np.array(c.fetch(self.rr)))
        self.at_rest = self.norm <= system.rounding  # b = 0 except for rounding: x = 0 solves it
        if not self.at_rest.all():
            self.norm[self.at_rest] = np.inf
            self._clear_loads_at_rest()
            if self.q is None:  # fields may have padding that stays zero
                self.q = c.zeros(system.shape, self.storage)

    def iterate(self) -> None:
        system, threads = self.system, self.compute.threads
        r, p, q, rz = self.r, self.p, self.q, self.rz
        self._turn(system.precondition(r, rz))
        system.apply(p, q, self.pq)
        ops.cg_update(
            self.accumulate,
            r,
            p,
            q,
            rz=rz,
            pq=self.pq,
            rr=self.rr,
            partials=self.partials,
            threads=threads,
        )
        self.compute.copy(self.rz_before, rz)

    def _turn(self, z: Array | list[list[Array]]) -> None:
        """Set the next direction, from one array of loads or field by field."""
        p, rz, before, mask = self.p, self.rz, self.rz_before, self.system.mask
        threads = self.compute.threads
        if not isinstance(z, list):
            ops.cg_direction(p, z, rz=rz, rz_before=before, mask=mask, threads=threads)
            return
        for load, fields in enumerate(z):
            one = slice(load, load + 1)
            for i, field in enumerate(fields):
                ops.cg_direction(
                    p[one, i],
                    field[None],
                    rz=rz[one],
                    rz_before=before[one],
                    mask=mask,
                    threads=threads,
                )

    def advance(self) -> None:
        """Do an iteration, after the first one as a graph."""
        if self.graph is not None:
            self.graph()
            return
        self.iterate()
        self.graph = self.compute.graph(self.iterate)

    def relative(self) -> np.ndarray:
        """Return the relative residual of every load, of the recursion or as last recomputed."""
        return np.where(self.at_rest, 0.0, np.sqrt(self.compute.fetch(self.rr)) / self.norm)

    def recompute_residual(self) -> None:
        """Fold ``low`` into ``x`` and replace the residual of the recursion by the true one."""
        self.fold()
        self.system.residual(self.x, self.low, self.r, self.rr)
        self._clear_loads_at_rest()

    def restart(self) -> None:
        """Begin the next iteration along the residual."""
        self.rz_before[...] = 0.0

    def fold(self) -> None:
        if self.low is not None:
            ops.two_sum(self.x, self.low, threads=self.compute.threads)

    def solution(self, iterations: int, residuals: np.ndarray, converged: bool) -> Solution:
        fields = 4 if self.low is None else 5
        size = 8 if self.low is None else 4
        nbytes = 0 if self.q is None else fields * size * int(np.prod(self.system.shape))
        return Solution(self.x, self.low, self.r, iterations, residuals, converged, nbytes)

    def _clear_loads_at_rest(self) -> None:
        for load in np.flatnonzero(self.at_rest):
            self.r[int(load)] = 0.0


class Solver:
    """Solves systems of one operator one after the other, in the same memory."""

    def __init__(self, options: SolverOptions) -> None:
        self.options = options
        self._cg: _ConjugateGradients | None = None

    def solve(self, system: System) -> Solution:
        """Solve all loads of the system to the tolerance, or as far as possible.

        The fields of the solution are those of the solver, which writes to them again.
        """
        if self._cg is None or self._cg.x.shape != system.shape:
            self._cg = _ConjugateGradients(system, self.options.storage)
        else:
            self._cg.restart_with(system)
        if self._cg.at_rest.all():
            return self._cg.solution(0, np.zeros(len(self._cg.at_rest)), True)
        return _iterated(self._cg, system, self.options)


def solve(system: System, options: SolverOptions) -> Solution:
    """Solve one system, as :class:`Solver` does."""
    return Solver(options).solve(system)


def _iterated(cg: _ConjugateGradients, system: System, options: SolverOptions) -> Solution:
    """Iterate to the tolerance, or as far as possible."""
    # a GPU waits for the host at every check, and does up to `every - 1` iterations too many
    every = 1 if system.compute.name == "cpu" else 2 if math.prod(system.shape) > _LARGE else 4
    count, lowest, last_true, failures = 0, 1.0, 1.0, 0
    target = options.tol  # of the residual of the recursion
    while True:
        cg.advance()
        count += 1
        if count % every and count < options.max_iterations:
            continue
        relative = float(cg.relative().max())
        if options.callback is not None:
            options.callback(
                SolverProgress(system.name, system.loads, count, relative, options.tol)
            )
        at_end = count >= options.max_iterations or not math.isfinite(relative)
        done = relative <= target or at_end
        if not done and not (cg.low is not None and relative <= _DROP * last_true):
            continue
        cg.recompute_residual()
        residuals = cg.relative()
        last_true = true = float(residuals.max())
        converged = true <= options.tol
        if converged or count >= options.max_iterations or not math.isfinite(true):
            break
        if done:  # the recursive residual met the target but the true one did not
            failures = failures + 1 if true > 0.5 * lowest else 0
            if failures >= 3:
                break
            target = min(target, options.tol * max(0.1, 0.5 * relative / true))
            lowest = min(lowest, true)
        if abs(true - relative) > 0.1 * relative:
            cg.restart()  # p.r = r.z no longer holds, and the steps would grow
    cg.fold()
    return cg.solution(count, residuals, converged)
