# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The periodic hex8 problem that elasticity and conduction share, in the kernel's unit elements.

With spacings h_j (divided by their geometric mean), g_j = 1 / (4 h_j) and V = h_1 h_2 h_3,
components are scaled as u_i = g_i u'_i, strains as e'_I = e_I / w_I with w_I = g_i g_j (gradients:
w_j = g_j), and coefficients as C'_IJ = V w_I w_J C_IJ / scale, so that energies agree up to
``scale``. Residuals are measured on the scaled forces: for cubic voxels these are the forces.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from micro3d_fast import ops
from micro3d_fast._arrays import Array

from ._compute import Compute
from ._voigt import VOIGT, tensor_from_voigt
from .solver import ConvergenceError, Solution, SolverOptions, precision_hint, solve

__all__ = ["Hex8Problem", "Hex8Results", "compact"]


@dataclass(eq=False)
class Hex8Results:
    """What the solves of all unit loads leave."""

    effective: np.ndarray  # (n, n), n = 6 or 3, symmetric
    phase_strains: np.ndarray  # (loads, phases, n): sums over voxels of the fluctuation, physical
    iterations: tuple[int, ...]
    residuals: tuple[float, ...]
    converged: bool
    nbytes: int
    fields: np.ndarray | None  # (loads, components, nz, ny, nx), physical, float32 or float64

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
        """Raise a ConvergenceError that keeps the partial result, if a load missed ``tol``."""
        if self.converged:
            return
        worst = int(np.argmax(self.residuals))
        hints = "".join(f"; {w}" for w in warnings) + precision_hint(options, contrast)
        raise ConvergenceError(
            f"{function} reached a relative residual of {self.residuals[worst]:.2e} and not `tol` "
            f"{options.tol:g} under load {loads[worst]} in {self.iterations[worst]} iterations "
            f"(contrast of the phases {contrast:.3g}{hints}); the partial result is in `.partial`",
            partial=partial,
            residual=self.residuals[worst],
            iterations=self.iterations[worst],
            contrast=contrast,
        )


class Hex8Problem:
    """Periodic problem of voxels with a coefficient matrix (6, 6) or (3, 3) per phase.

    Parameters
    ----------
    codes : array of uint8 (nz, ny, nx)
        0 ... P - 1 without gaps.
    coefficients : array (P, n, n)
        In the user's unit; n = 6 (Voigt) or 3.
    spacing : (dz, dy, dx)
    bbar : bool
        Elasticity: volumetric strain of the mean in every point.
    directions : array (nz, ny, nx, 3) or None
        Unit vectors of the fibres (cubic voxels only).
    fibre : array (P,) of bool, optional
        Phases that follow them.
    """

    def __init__(
        self,
        problem: str,
        codes: np.ndarray,
        coefficients: np.ndarray,
        spacing: tuple[float, float, float],
        compute: Compute,
        options: SolverOptions,
        *,
        bbar: bool = False,
        directions: np.ndarray | None = None,
        fibre: np.ndarray | None = None,
    ) -> None:
        self.problem, self.compute, self.options = problem, compute, options
        self.grid: tuple[int, int, int] = codes.shape  # type: ignore[assignment]
        self.voxels = codes.size
        self.n = coefficients.shape[-1]
        self.components = 3 if self.n == 6 else 1
        h = np.array(spacing, dtype=np.float64)[::-1]
        h = h / h.prod() ** (1 / 3)
        self.h, self.volume, self.g = h, float(h.prod()), 1.0 / (4.0 * h)
        if self.n == 6:
            self.w = np.array([self.g[i] * self.g[j] for i, j in VOIGT])
            self.names = tuple("xyz"[i] + "xyz"[j] for i, j in VOIGT)
        else:
            self.w, self.names = self.g, ("x", "y", "z")

        scaled = self.volume * self.w[:, None] * self.w * coefficients
        self.scale = float(np.abs(scaled).max())
        self.c = scaled / self.scale  # (P, n, n)
        self.c_rest = self.c
        if bbar:
            dev = np.eye(6)
            dev[:3, :3] -= 1.0 / 3.0
            rest = dev @ coefficients @ dev
            self.c_rest = self.volume * self.w[:, None] * self.w * rest / self.scale
        self.counts = np.bincount(codes.reshape(-1), minlength=len(coefficients))
        self.fibre_columns = None
        means = self.c
        if directions is not None:
            assert fibre is not None
            self.fibre_columns = _fibre_columns(self.c, fibre)
            means = self.c.copy()
            for p in np.flatnonzero(fibre & (self.counts > 0)):
                means[p] = _mean_fibre(self.fibre_columns[:, p], directions[codes == p])
        shares = self.counts / self.voxels
        self.c_mean = np.einsum("p,pij->ij", shares, means)
        self.c_mean_rest = np.einsum("p,pij->ij", shares, self.c_rest if bbar else means)
        self.bbar = bbar
        self.directions = directions
        self.work: tuple[Array, Array] | None = None  # of the preconditioner, made on first use
        self._send(codes)

    def _send(self, codes: np.ndarray) -> None:
        c, storage = self.compute, self.options.storage
        self.codes = c.send(codes)
        fibres = self.fibre_columns is not None
        self.model, columns = _columns(self.c, self.n, single=storage == "float32", fibres=fibres)
        _, rest = _columns(self.c_rest, self.n, single=storage == "float32", model=self.model)
        self.model64, columns64 = _columns(self.c, self.n, single=False, fibres=fibres)
        _, rest64 = _columns(self.c_rest, self.n, single=False, model=self.model64)
        self.mean = c.send(columns.astype(storage))
        self.rest = c.send(rest.astype(storage)) if self.bbar else self.mean
        self.mean64 = c.send(columns64)
        self.rest64 = c.send(rest64) if self.bbar else self.mean64
        self.unit, self.fibre, self.fibre64 = None, None, None
        if self.directions is not None:
            assert self.fibre_columns is not None
            self.unit = c.send(np.moveaxis(self.directions, -1, 0).astype(storage))
            self.fibre = c.send(self.fibre_columns.astype(storage))
            self.fibre64 = c.send(self.fibre_columns)
        tables = []
        nz, ny, nx = self.grid
        for count, n in ((nz, nz), (ny, ny), (nx // 2 + 1, nx)):
            cos = np.cos(2 * np.pi * np.arange(count) / n)
            sin = np.sin(2 * np.pi * np.arange(count) / n)
            half = np.sin(np.pi * np.arange(count) / n)
            table = np.stack([4 * half**2, (8 + 4 * cos) / 3, 2 * sin, 2 + 2 * cos])
            tables.append(c.send(table.astype(storage)))
        self.tables = (tables[0], tables[1], tables[2])
        self.symbol = _symbol(self.c_mean_rest).reshape(-1).tolist()
        self.first = None
        if self.bbar:
            self.first = (_symbol(self.c_mean) - _symbol(self.c_mean_rest)).reshape(-1).tolist()
        self.partials = c.partials(max(ops.HEX8_PARTIALS, 6 * (ops.REDUCE_PARTIALS + 1)))

    # ---------------------------------------------------------------------------------- solving

    def solve_all(self, *, keep_fields: bool = False, batch: int = 1) -> Hex8Results:
        """Solve the n unit loads, ``batch`` at a time, and assemble the effective coefficients.

        The bilinear energy form of loads I and J, whose error is of second order and which is
        symmetric by construction:
        a(e_I + u_I, e_J + u_J) = e_I <C> e_J + u_J . f_I - u_I . r_J, with f_I = forces of the
        uniform strain and r_J = -f_J - A u_J the residual that is left.
        """
        c, n = self.compute, self.n
        energy = np.zeros((n, n))
        strains = np.zeros((n, len(self.c), n))  # scaled sums of the fluctuation, per phase
        iterations, residuals, converged = [0] * n, [0.0] * n, True
        nbytes, kept = 0, list[Array]()
        for start in range(0, n, batch):
            loads = list(range(start, min(start + batch, n)))
            system = _Loads(self, loads)
            solution = solve(system, self.options)
            converged = converged and solution.converged
            nbytes = max(nbytes, solution.nbytes + self._other_bytes(len(loads)))
            sums = c.zeros((len(loads), len(self.c), n), "float64")
            ops.phase_strain(
                solution.x,
                self.codes,
                out=sums,
                u_low=solution.low,
                partials=self.partials,
                threads=c.threads,
            )
            strains[loads] = c.fetch(sums)
            for place, j in enumerate(loads):
                energy[: j + 1, j] = self._work(solution, place, strains[j], j)
                residuals[j] = float(solution.residuals[place])
                iterations[j] = solution.iterations if residuals[j] > 0.0 else 0
            self._subtract_residual_work(energy, solution, loads, kept)
            kept.append(solution.x if c.name == "cpu" else c.fetch(solution.x))
            if keep_fields and solution.low is not None:
                kept[-1] = kept[-1] + c.fetch(solution.low)
            del solution  # its fields but x make room for those of the next load
            if not converged:
                break
        upper = np.triu(energy) + np.triu(energy, 1).T
        uniform = self.voxels * self.c_mean / (self.w[:, None] * self.w)
        effective = (uniform + upper) * self.scale / (self.volume * self.voxels)
        fields = None
        if keep_fields:
            fields = np.concatenate([np.asarray(k) for k in kept])
            if self.components == 3:
                fields = fields * self.g[:, None, None, None].astype(fields.dtype)
        return Hex8Results(
            effective,
            strains * self.w,
            tuple(iterations),
            tuple(residuals),
            converged,
            nbytes,
            fields,
        )

    def _macro(self, load: int) -> np.ndarray:
        """The unit load in unit elements."""
        e = np.zeros(self.n)
        e[load] = 1.0 / self.w[load]
        return e

    def _work(self, solution: Solution, place: int, sums: np.ndarray, j: int) -> np.ndarray:
        """u_J . f_I for I = 0 ... J."""
        if self.unit is None:
            stress = np.einsum("pij,pj->i", self.c, sums)
            return stress[: j + 1] / self.w[: j + 1]
        # per-voxel stiffness: from the operator itself, u.(A u + f_I) - u.A u
        c = self.compute
        x = solution.x[place : place + 1]
        low = None if solution.low is None else solution.low[place : place + 1]
        out, dot = c.empty(tuple(x.shape), self.options.storage), c.zeros((1,), "float64")
        work = np.zeros(j + 2)
        for i in range(-1, j + 1):
            macro = np.zeros((1, self.n)) if i < 0 else self._macro(i)[None]
            self._operator(x, low, out, macro, 1.0, dot, "input")
            work[i + 1] = float(c.fetch(dot)[0])
        return work[1:] - work[0]

    def _subtract_residual_work(
        self, energy: np.ndarray, solution: Solution, loads: list[int], kept: list[Array]
    ) -> None:
        """- u_I . r_J for I <= J."""
        c = self.compute
        dot = c.zeros((1,), "float64")
        for place, j in enumerate(loads):
            r = solution.r[place : place + 1]
            for i in range(j + 1):
                if i in loads:
                    k = loads.index(i)
                    x = solution.x[k : k + 1]
                else:
                    block = kept[i // len(kept[0])]
                    k = i % len(kept[0])
                    x = block[k : k + 1]
                    if c.name != "cpu":
                        x = c.send(x)
                    if x.dtype != r.dtype:
                        x = x.astype(r.dtype)
                ops.dot(x, r, out=dot, partials=self.partials, threads=c.threads)
                energy[i, j] -= float(c.fetch(dot)[0])

    def _other_bytes(self, loads: int) -> int:
        """Labels, and the spectrum and its inverse of the preconditioner."""
        size = 4 if self.options.storage == "float32" else 8
        half = self.grid[2] // 2 + 1
        spectrum = 2 * size * loads * self.components * self.grid[0] * self.grid[1] * half
        field = size * loads * self.components * self.voxels
        fibres = 0 if self.unit is None else 3 * size * self.voxels
        return self.voxels + spectrum + field + fibres

    def _operator(
        self,
        x: Array | None,
        low: Array | None,
        out: Array,
        macro: np.ndarray,
        sign: float,
        dot: Array,
        kind: str,
    ) -> None:
        """In float64 arithmetic."""
        c = self.compute
        ops.hex8(
            self.codes,
            self.model64,
            self.mean64,
            out=out,
            macro=c.send(macro),
            u=x,
            u_low=low,
            rest=self.rest64,
            directions=self.unit,
            fibre=self.fibre64,
            sign=sign,
            dot=dot,
            dot_kind=kind,
            partials=self.partials,
            threads=c.threads,
        )


class _Loads:
    """System protocol: some of the unit loads."""

    mask = None

    def __init__(self, problem: Hex8Problem, loads: list[int]) -> None:
        self.parent, self.problem, self.compute = problem, problem.problem, problem.compute
        self.loads = tuple(problem.names[i] for i in loads)
        self.shape: tuple[int, ...] = (len(loads), problem.components, *problem.grid)
        self.macro = np.stack([problem._macro(i) for i in loads])
        self.no_macro = self.compute.zeros((len(loads), problem.n), problem.options.storage)
        # what rounding leaves of forces that cancel
        stress = np.abs(np.einsum("pij,lj->lpi", problem.c, self.macro)).max(axis=(1, 2))
        self.rounding = 64 * 2.2e-16 * np.sqrt(problem.components * problem.voxels) * stress

    def residual(self, x: Array | None, low: Array | None, r: Array, rr: Array) -> None:
        self.parent._operator(x, low, r, self.macro, -1.0, rr, "output")

    def apply(self, p: Array, q: Array, pq: Array) -> None:
        a = self.parent
        ops.hex8(
            a.codes,
            a.model,
            a.mean,
            out=q,
            macro=self.no_macro,
            u=p,
            rest=a.rest,
            directions=a.unit,
            fibre=a.fibre,
            dot=pq,
            partials=a.partials,
            threads=self.compute.threads,
        )

    def precondition(self, r: Array, rz: Array) -> Array:
        a, c = self.parent, self.compute
        if c.convolves(a.grid):
            if a.work is None or a.work[0].shape != r.shape:
                nz, ny, nx = a.grid
                half = (r.shape[0], ny // 2 + 1, r.shape[1], nz, 2, nx)
                a.work = c.empty(self.shape, a.options.storage), c.empty(half, a.options.storage)
            return ops.green_convolve(
                r,
                a.symbol,
                z=a.work[0],
                spectrum=a.work[1],
                rz=rz,
                first=a.first,
                threads=c.threads,
            )
        spectrum = c.rfft3(r)
        ops.green(
            spectrum,
            a.grid[2],
            a.tables,
            a.symbol,
            rz=rz,
            first=a.first,
            partials=a.partials,
            threads=c.threads,
        )
        return c.irfft3(spectrum, a.grid)


# ------------------------------------------------------------------------------------- helpers


def _columns(
    c: np.ndarray, n: int, *, single: bool, model: str | None = None, fibres: bool = False
) -> tuple[str, np.ndarray]:
    """The model of the kernel that fits all phases, and its coefficients (coefficients, phases)."""
    if model is None:
        model = _model(c, n, single, fibres)
    if model == "conduction_isotropic":
        rows = [c[:, 0, 0]]
    elif model == "conduction_anisotropic":
        rows = [c[:, i, j] for i, j in VOIGT]
    elif model == "elasticity_isotropic":
        rows = [c[:, 0, 1], c[:, 3, 3]]
    elif model == "elasticity_orthotropic":
        rows = [c[:, i, j] for i, j in VOIGT] + [c[:, i, i] for i in (3, 4, 5)]
    else:
        rows = [c[:, i, j] for i in range(6) for j in range(i, 6)]
    return model, np.ascontiguousarray(np.stack(rows))


def _model(c: np.ndarray, n: int, single: bool, fibres: bool) -> str:
    tiny = 1e-14 * np.abs(c).max()
    if n == 3:
        isotropic = np.abs(c - c[:, :1, :1] * np.eye(3)).max() <= tiny
        return "conduction_isotropic" if single and isotropic else "conduction_anisotropic"
    if fibres:
        return "elasticity_anisotropic"
    coupling = c.copy()
    coupling[:, :3, :3] = 0.0
    coupling[:, range(3, 6), range(3, 6)] = 0.0
    if np.abs(coupling).max() > tiny:
        return "elasticity_anisotropic"
    lam, mu = c[:, 0, 1], c[:, 3, 3]
    isotropic = np.zeros_like(c)
    isotropic[:, :3, :3] = lam[:, None, None]
    isotropic[:, range(3), range(3)] += 2 * mu[:, None]
    isotropic[:, range(3, 6), range(3, 6)] = mu[:, None]
    same = np.abs(c - isotropic).max() <= 4e-15 * np.abs(c).max()
    return "elasticity_isotropic" if single and same else "elasticity_orthotropic"


def _symbol(c: np.ndarray) -> np.ndarray:
    """Rows 11, 22, 33, 23, 13, 12 of the symbol over the products M in the same order."""
    if len(c) == 3:
        return np.array([[c[i, j] * (1.0 if i == j else 2.0) for i, j in VOIGT]])
    t = tensor_from_voigt(c)
    rows = []
    for i, k in VOIGT:
        rows.append([t[i, j, k, m] + (t[i, m, k, j] if j != m else 0.0) for j, m in VOIGT])
    return np.array(rows)


def _fibre_columns(c: np.ndarray, fibre: np.ndarray) -> np.ndarray:
    """lambda, mu_T, a, mu_L - mu_T, b, applies: of phases whose stiffness has its axis along z."""
    lam, mu = c[:, 0, 1], c[:, 5, 5]
    a = c[:, 0, 2] - lam
    shear = c[:, 3, 3] - mu
    b = c[:, 2, 2] - lam - 2 * mu - 2 * a - 4 * shear
    return np.where(fibre, np.stack([lam, mu, a, shear, b, np.ones_like(lam)]), 0.0)


def _mean_fibre(k: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Mean stiffness over unit vectors n (count, 3), from their second and fourth moments."""
    n = n.astype(np.float64)
    pairs = np.stack([n[:, i] * n[:, j] for i, j in VOIGT], axis=1)
    second = pairs.mean(axis=0)
    fourth = pairs.T @ pairs / len(n)
    s = np.zeros((3, 3))
    for value, (i, j) in zip(second, VOIGT, strict=True):
        s[i, j] = s[j, i] = value
    lam, mu, a, shear, b = k[:5]
    delta = np.eye(3)
    out = b * fourth
    for q, (i, j) in enumerate(VOIGT):
        for p, (l, m) in enumerate(VOIGT):  # noqa: E741
            out[q, p] += (
                lam * delta[i, j] * delta[l, m]
                + mu * (delta[i, l] * delta[j, m] + delta[i, m] * delta[j, l])
                + a * (s[i, j] * delta[l, m] + delta[i, j] * s[l, m])
                + shear
                * (
                    s[i, l] * delta[j, m]
                    + s[i, m] * delta[j, l]
                    + s[j, l] * delta[i, m]
                    + s[j, m] * delta[i, l]
                )
            )
    return out


def compact(labels: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes 0 ... P - 1 without gaps, and the label of every code."""
    of_code = np.flatnonzero(present)
    if np.array_equal(of_code, np.arange(len(of_code))):
        return labels, of_code
    table = np.zeros(256, dtype=np.uint8)
    table[of_code] = np.arange(len(of_code))
    return table[labels], of_code
