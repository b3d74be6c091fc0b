# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Bounds of effective properties from volume fractions: Voigt, Reuss, Hashin-Shtrikman."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .._results import Result
from .materials import Isotropic, Material

__all__ = [
    "ConductivityBounds",
    "ElasticBounds",
    "HashinShtrikman",
    "conductivity_bounds",
    "elastic_bounds",
]


@dataclass(frozen=True)
class HashinShtrikman:
    """Bounds of the moduli of any isotropic mixture of isotropic phases (Walpole's form).

    ``K`` and ``G`` are (lower, upper), in the unit of the phases.
    """

    K: tuple[float, float]
    G: tuple[float, float]


@dataclass(frozen=True, eq=False)
class ElasticBounds(Result):
    """Bounds of the stiffness, in the unit of the phases.

    Attributes
    ----------
    voigt, reuss : array (6, 6)
        Mean stiffness and inverse of the mean compliance: ``reuss <= C* <= voigt`` as quadratic
        forms. With a pore the lower one is zero.
    hashin_shtrikman : HashinShtrikman or None
        None unless every phase is isotropic. Holds for isotropic mixtures only.
    """

    voigt: np.ndarray
    reuss: np.ndarray
    hashin_shtrikman: HashinShtrikman | None


@dataclass(frozen=True, eq=False)
class ConductivityBounds(Result):
    """Bounds of the conductivity, in the unit of the phases.

    Attributes
    ----------
    voigt, reuss : array (3, 3)
        ``reuss <= k* <= voigt`` as quadratic forms. With an insulator the lower one is zero.
    hashin_shtrikman : (lower, upper) or None
        None unless every phase is isotropic. Holds for isotropic mixtures only.
    """

    voigt: np.ndarray
    reuss: np.ndarray
    hashin_shtrikman: tuple[float, float] | None


def elastic_bounds(
    materials: Sequence[Material], fractions: Sequence[float] | np.ndarray
) -> ElasticBounds:
    """Compute the bounds of the stiffness of phases with the given volume fractions."""
    phases = [(m, float(f)) for m, f in zip(materials, fractions, strict=False) if f > 0.0]
    voigt = sum((f * m.stiffness for m, f in phases), np.zeros((6, 6)))
    reuss = _harmonic([(m.stiffness, f) for m, f in phases])
    hs = None
    if all(isinstance(m, Isotropic) for m, _ in phases):
        k = np.array([m.K for m, _ in phases])  # type: ignore[attr-defined]
        g = np.array([m.G for m, _ in phases])  # type: ignore[attr-defined]
        f = np.array([f for _, f in phases])
        hs = HashinShtrikman(
            K=(_walpole(k, f, 4 / 3 * g.min()), _walpole(k, f, 4 / 3 * g.max())),
            G=(_walpole(g, f, _zeta(k.min(), g.min())), _walpole(g, f, _zeta(k.max(), g.max()))),
        )
    return ElasticBounds(voigt, reuss, hs)


def conductivity_bounds(
    conductivities: Sequence[np.ndarray], fractions: Sequence[float] | np.ndarray
) -> ConductivityBounds:
    """Compute the bounds of the conductivity of phases (3, 3) with given volume fractions."""
    phases = [(k, float(f)) for k, f in zip(conductivities, fractions, strict=False) if f > 0.0]
    voigt = sum((f * k for k, f in phases), np.zeros((3, 3)))
    reuss = _harmonic(phases)
    hs = None
    if all(np.array_equal(k, k[0, 0] * np.eye(3)) for k, _ in phases):
        k = np.array([k[0, 0] for k, _ in phases])
        f = np.array([f for _, f in phases])
        hs = (_walpole(k, f, 2 * k.min()), _walpole(k, f, 2 * k.max()))
    return ConductivityBounds(voigt, reuss, hs)


def _harmonic(phases: Sequence[tuple[np.ndarray, float]]) -> np.ndarray:
    """Return the weighted harmonic mean of matrices; zero if one of them is singular."""
    if any(np.linalg.matrix_rank(c) < len(c) for c, _ in phases):
        return np.zeros_like(phases[0][0])
    inverse = np.linalg.inv(sum(f * np.linalg.inv(c) for c, f in phases))
    return (inverse + inverse.T) / 2.0


def _walpole(values: np.ndarray, fractions: np.ndarray, star: float) -> float:
    """Return (sum f / (v + star))^-1 - star, the common form of all these bounds."""
    if star == 0.0 and (values == 0.0).any():
        return 0.0
    return float(1.0 / (fractions / (values + star)).sum() - star)


def _zeta(k: float, g: float) -> float:
    """Return the reference modulus of the bounds of the shear modulus."""
    return float(g / 6 * (9 * k + 8 * g) / (k + 2 * g)) if k + 2 * g > 0.0 else 0.0
