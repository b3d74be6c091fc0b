# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A periodic voxel problem in the unit elements of the hex8 kernels.

With spacings h_j (divided by their geometric mean), g_j = 1 / (4 h_j) and V = h_1 h_2 h_3,
components are scaled as u_i = g_i u'_i, strains as e'_I = e_I / w_I with w_I = g_i g_j (gradients:
w_j = g_j), and coefficients as C'_IJ = V w_I w_J C_IJ / scale, so that energies agree up to
``scale``. Residuals are measured on the scaled forces: for cubic voxels these are the forces.
"""

from __future__ import annotations

import numpy as np

from .. import ops
from .._phases import phase_counts
from ._voigt import COMPONENTS, VOIGT, VOIGT_NAMES, dyads, transverse_constants


class UnitElements:
    """Scaled coefficients of every phase, and their means.

    Parameters
    ----------
    phase_codes : array of uint8 (nz, ny, nx)
        0 ... P - 1 without gaps.
    coefficients : array (P, n, n)
        In the user's unit; n = 6 (Voigt) or 3.
    spacing : (dz, dy, dx)
    counts : array (P,), optional
        Voxels of every phase, if they are known.
    bbar : bool
        Elasticity: the mean volumetric strain of the element in every point.
    directions : array (nz, ny, nx, 3), optional
        Unit vectors of the fibres (cubic voxels only).
    fibre_phases : array (P,) of bool, optional
        Phases whose axis follows ``directions``.
    """

    def __init__(
        self,
        phase_codes: np.ndarray,
        coefficients: np.ndarray,
        spacing: tuple[float, float, float],
        *,
        counts: np.ndarray | None = None,
        bbar: bool = False,
        directions: np.ndarray | None = None,
        fibre_phases: np.ndarray | None = None,
    ) -> None:
        self.phase_codes, self.directions, self.bbar = phase_codes, directions, bbar
        self.grid: tuple[int, int, int] = phase_codes.shape  # type: ignore[assignment]
        self.voxels = phase_codes.size
        self.n = coefficients.shape[-1]
        self.components = 3 if self.n == 6 else 1
        h = np.array(spacing, dtype=np.float64)[::-1]
        h = h / h.prod() ** (1 / 3)
        self.h, self.volume, self.g = h, float(h.prod()), 1.0 / (4.0 * h)
        if self.n == 6:
            self.w = np.array([self.g[i] * self.g[j] for i, j in VOIGT])
            self.load_names = VOIGT_NAMES
        else:
            self.w, self.load_names = self.g, COMPONENTS

        scaled = self.volume * self.w[:, None] * self.w * coefficients
        self.scale = float(np.abs(scaled).max()) or 1.0
        self.c = scaled / self.scale  # (P, n, n), of the mean strain of an element
        self.c_rest = self.c  # of its other modes
        if bbar:
            deviator = np.eye(6)
            deviator[:3, :3] -= 1.0 / 3.0
            rest = deviator @ coefficients @ deviator
            self.c_rest = self.volume * self.w[:, None] * self.w * rest / self.scale
        if counts is None:
            counts = phase_counts(phase_codes, len(coefficients))
        self.fibre_columns: np.ndarray | None = None
        means = self.c
        if directions is not None:
            assert fibre_phases is not None
            self.fibre_columns = _fibre_columns(self.c, fibre_phases)
            means = self.c.copy()
            for p in np.flatnonzero(fibre_phases & (counts > 0)):
                means[p] = _mean_fibre(self.fibre_columns[:, p], directions[phase_codes == p])
        shares = counts / self.voxels
        self.c_mean = np.einsum("p,pij->ij", shares, means)
        self.c_mean_rest = np.einsum("p,pij->ij", shares, self.c_rest if bbar else means)

    def unit_load(self, load: int) -> np.ndarray:
        """Return the unit strain or gradient number ``load``, scaled."""
        e = np.zeros(self.n)
        e[load] = 1.0 / self.w[load]
        return e

    def kernel_columns(self, *, float32: bool) -> tuple[str, np.ndarray, np.ndarray]:
        """Return the smallest kernel model for all phases, and its coefficients (rows, phases).

        The second table is that of the modes beside the mean strain.
        """
        fitting = {
            model.coefficients: name
            for name, model in ops.HEX8_MODELS.items()
            if model.strains == self.n
            and (float32 or not model.float32_only)
            and self._fits(model.coefficients)
        }
        smallest = min(fitting)
        i, j = np.transpose(_ENTRIES[smallest])
        mean, rest = (np.ascontiguousarray(c[:, i, j].T) for c in (self.c, self.c_rest))
        return fitting[smallest], mean, rest

    def _fits(self, coefficients: int) -> bool:
        """Whether a model with so many coefficients represents all phases."""
        c, top = self.c, np.abs(self.c).max()
        if coefficients == self.n * (self.n + 1) // 2:
            return True
        if self.n == 3:
            return bool(np.abs(c - c[:, :1, :1] * np.eye(3)).max() <= 1e-14 * top)
        if self.fibre_columns is not None:
            return False
        coupling = c.copy()
        coupling[:, :3, :3] = 0.0
        coupling[:, range(3, 6), range(3, 6)] = 0.0
        if np.abs(coupling).max() > 1e-14 * top:
            return False
        if coefficients == len(_ORTHOTROPIC):
            return True
        lam, mu = c[:, 0, 1], c[:, 3, 3]
        isotropic = np.zeros_like(c)
        isotropic[:, :3, :3] = lam[:, None, None]
        isotropic[:, range(3), range(3)] += 2 * mu[:, None]
        isotropic[:, range(3, 6), range(3, 6)] = mu[:, None]
        return bool(np.abs(c - isotropic).max() <= 4e-15 * top)


_ORTHOTROPIC = (*VOIGT, (3, 3), (4, 4), (5, 5))
_ANISOTROPIC = tuple((i, j) for i in range(6) for j in range(i, 6))
#: Entries of the matrices that the kernels take, in their order, by number of coefficients.
_ENTRIES = {
    len(entries): entries
    for entries in (((0, 0),), ((0, 1), (3, 3)), VOIGT, _ORTHOTROPIC, _ANISOTROPIC)
}


def _fibre_columns(c: np.ndarray, fibre_phases: np.ndarray) -> np.ndarray:
    """Return lambda, mu_T, a, mu_L - mu_T, b, 1 of the phases with fibres, and 0 of the others."""
    lam, mu, a, shear, b = transverse_constants(c)
    columns = np.stack([lam, mu, a, shear, b, np.ones_like(lam)])
    return np.where(fibre_phases, columns, 0.0)


def _mean_fibre(constants: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return the mean stiffness over unit vectors n (count, 3), from their moments."""
    pairs = dyads(n.astype(np.float64))
    second = pairs.mean(axis=0)
    fourth = pairs.T @ pairs / len(n)
    s = np.zeros((3, 3))
    for value, (i, j) in zip(second, VOIGT, strict=True):
        s[i, j] = s[j, i] = value
    lam, mu, a, shear, b = constants[:5]
    delta = np.eye(3)
    out = b * fourth
    for q, (i, j) in enumerate(VOIGT):
        for p, (k, m) in enumerate(VOIGT):
            out[q, p] += (
                lam * delta[i, j] * delta[k, m]
                + mu * (delta[i, k] * delta[j, m] + delta[i, m] * delta[j, k])
                + a * (s[i, j] * delta[k, m] + delta[i, j] * s[k, m])
                + shear
                * (
                    s[i, k] * delta[j, m]
                    + s[i, m] * delta[j, k]
                    + s[j, k] * delta[i, m]
                    + s[j, m] * delta[i, k]
                )
            )
    return out
