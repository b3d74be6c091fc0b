# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Preconditioned conjugate gradients whose stated tolerance is met by the true residual.

``precision="float64"`` is the plain method. ``precision="mixed"`` stores everything in float32,
sums in float64, and keeps the solution as a sum of two floats, ``x + low``: corrections accumulate
in ``low``; whenever the residual has fallen by a factor of 1000, ``low`` is folded into ``x`` and
the residual is recomputed from the sum in float64 ("reliable updates": the search direction lives
on, so nothing is lost of the convergence). The recursive residual of float32 alone would say 1e-7
where the true one is 1e-6.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from micro3d_fast import ops
from micro3d_fast._arrays import Array
from micro3d_fast._checks import choice, integer, real

from ._compute import Compute

__all__ = ["ConvergenceError", "Solution", "SolverOptions", "SolverProgress", "System", "solve"]

_DROP = 1e-3  # fall of the residual after which the solution is folded and the residual recomputed


class ConvergenceError(RuntimeError):
    """The tolerance was not met; ``partial`` is the result as far as it got (or None).

    Attributes
    ----------
    partial : object
        The result with what has been computed, or None.
    residual : float
        True relative residual that was reached.
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
    """What a callback is told after every check of the residual."""

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
    """The options that all three problems share, checked."""
    if callback is not None and not callable(callback):
        raise TypeError(f"`callback` must be callable or None, got {type(callback).__name__}")
    return SolverOptions(
        real(tol, name="tol", minimum=0.0, maximum=1.0, open_ends=True),
        integer(max_iterations, name="max_iterations", minimum=1),
        choice(precision, ("mixed", "float64"), name="precision"),
        callback,
    )


def precision_hint(options: SolverOptions, contrast: float) -> str:
    """What to try where float32 may be what a ConvergenceError is due to."""
    if options.precision == "mixed" and (contrast > 1e4 or options.tol < 1e-12):
        return "; precision='float64' gets further"
    return ""


class System(Protocol):
    """A batch of symmetric systems ``A x = b`` of one operator; fields are (loads, ...)."""

    problem: str
    loads: tuple[str, ...]
    compute: Compute
    shape: tuple[int, ...]  # of a field, first axis loads
    rounding: np.ndarray  # per load: |b| below which b is zero but for rounding
    mask: Array | None  # where the unknowns are; None: everywhere

    def residual(self, x: Array | None, low: Array | None, r: Array, rr: Array) -> None:
        """``r = b - A (x + low)``, computed in float64; ``rr = r . r``."""

    def apply(self, p: Array, q: Array, pq: Array) -> None:
        """``q = A p``; ``pq = p . q``."""

    def precondition(self, r: Array, rz: Array) -> Array:
        """``z = M r``, returned; ``rz = r . z``."""


@dataclass
class Solution:
    """Fields (loads, ...): the solution ``x + low`` (``low`` None in float64) and ``b - A x``."""

    x: Array
    low: Array | None
    r: Array
    iterations: int
    residuals: np.ndarray  # true relative residual of every load
    converged: bool
    history: list[float] = field(default_factory=list)
    nbytes: int = 0


def solve(system: System, options: SolverOptions) -> Solution:
    """Solve all loads of the system to the tolerance, or as far as it goes."""
    c, shape, dtype = system.compute, system.shape, options.storage
    mixed = dtype == "float32"
    loads, c_threads = shape[0], c.threads
    x, r, p = (c.zeros(shape, dtype) for _ in range(3))
    low = c.zeros(shape, dtype) if mixed else None
    accumulate = x if low is None else low
    rz, rz_before, pq, rr = (c.zeros((loads,), "float64") for _ in range(4))
    partials = c.partials(loads * ops.REDUCE_PARTIALS)

    system.residual(None, None, r, rr)
    norm = np.sqrt(np.array(c.fetch(rr)))
    at_rest = norm <= system.rounding  # b = 0 but for rounding: x = 0 is the solution
    if at_rest.all():
        return Solution(x, low, r, 0, np.zeros(loads), True)
    for load in np.flatnonzero(at_rest):
        r[int(load)] = 0.0
    norm[at_rest] = np.inf
    q = c.zeros(shape, dtype)  # fields may have padding that stays zero

    def iteration() -> None:
        z = system.precondition(r, rz)
        ops.cg_direction(p, z, rz=rz, rz_before=rz_before, mask=system.mask, threads=c_threads)
        system.apply(p, q, pq)
        ops.cg_update(
            accumulate, r, p, q, rz=rz, pq=pq, rr=rr, partials=partials, threads=c_threads
        )
        c.copy(rz_before, rz)

    history: list[float] = [1.0]
    step, every = iteration, 1 if c.name == "cpu" else 4
    count, worst_true, since, failures = 0, 1.0, 1.0, 0
    target = options.tol
    converged = False
    while True:
        step()
        count += 1
        if count == 1:
            step = c.graph(iteration)
        if count % every and count < options.max_iterations:
            continue
        relative = float((np.sqrt(c.fetch(rr)) / norm).max())
        history.append(relative)
        if options.callback is not None:
            options.callback(
                SolverProgress(system.problem, system.loads, count, relative, options.tol)
            )
        done = relative <= target or count >= options.max_iterations or not math.isfinite(relative)
        if not done and not (mixed and relative <= _DROP * since):
            continue
        if low is not None:
            ops.two_sum(x, low, threads=c_threads)
        system.residual(x, low, r, rr)
        for load in np.flatnonzero(at_rest):
            r[int(load)] = 0.0
        residuals = np.where(at_rest, 0.0, np.sqrt(c.fetch(rr)) / norm)
        true = float(residuals.max())
        since = true
        if true <= options.tol:
            converged = True
            break
        if count >= options.max_iterations or not math.isfinite(true):
            break
        if done:  # the recursion said so, the truth does not: a lower target, and no more lies
            failures = failures + 1 if true > 0.5 * worst_true else 0
            if failures >= 3:
                break
            target = min(target, options.tol * max(0.1, 0.5 * relative / true))
            worst_true = min(worst_true, true)
        if abs(true - relative) > 0.1 * relative:
            # the old direction p no longer has p.r = r.z, and the steps would grow
            c.copy(rz_before, c.zeros((loads,), "float64"))  # restart along the residual
    if low is not None:
        ops.two_sum(x, low, threads=c_threads)
    arrays = [x, r, p, q] + ([low] if low is not None else [])
    nbytes = sum(int(np.prod(shape)) * (4 if mixed else 8) for _ in arrays)
    return Solution(x, low, r, count, residuals, converged, history, nbytes)
