# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Which strains a structure resists: its effective coefficients without mechanisms, their inverse.

A piece of the solid that reaches around the periodic cell along the vectors w resists strains with
w . e . w' other than 0 for some of them, and no others; a floating piece resists none. What is left
of the stiffness elsewhere is the error of the solver, and its inverse is a large wrong number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ._voigt import dyads

_KELVIN = np.sqrt([1.0, 1.0, 1.0, 2.0, 2.0, 2.0])


def carried_stresses(spans: Iterable[np.ndarray]) -> np.ndarray:
    """Return an orthonormal basis (6, k), in Kelvin's form, of the stresses that pieces carry.

    ``spans``: per piece, orthonormal vectors (x, y, z) that it reaches around the cell along.
    """
    stresses = [np.zeros(6)]
    for span in spans:
        for a, b in itertools.combinations_with_replacement(span, 2):
            stresses.append(dyads(a + b) - dyads(a) - dyads(b) if a is not b else dyads(a))
    return _range(np.array(stresses) * _KELVIN)


def carried_fluxes(spans: Iterable[np.ndarray]) -> np.ndarray:
    """Return an orthonormal basis (3, k) of the fluxes that pieces carry."""
    return _range(np.array([np.zeros(3), *(a for span in spans for a in span)]))


def _range(vectors: np.ndarray) -> np.ndarray:
    """Return an orthonormal basis, in columns, of the span of row vectors."""
    _, values, rows = np.linalg.svd(vectors, full_matrices=False)
    return rows[values > 1e-9].T


def projected(coefficients: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Return symmetric coefficients without what lies outside of the span of ``basis``."""
    projector = basis @ basis.T
    for exact in (0.0, 1.0):
        projector[np.abs(projector - exact) < 1e-12] = exact
    return projector @ coefficients @ projector


def kelvin_values(stiffness: np.ndarray) -> np.ndarray:
    """Return the eigenvalues of stiffnesses (..., 6, 6) in Kelvin's form, ascending."""
    return np.linalg.eigvalsh(stiffness * np.outer(_KELVIN, _KELVIN))


@dataclass(frozen=True, eq=False)
class Resistance:
    """An effective stiffness without mechanisms, and its inverse on the stresses it carries."""

    stiffness: np.ndarray  # (6, 6), Voigt
    basis: np.ndarray  # (6, k), Kelvin: the stresses that are carried
    slack: float = 1e-6  # sine of the angle between a stress and the span, when it counts as inside

    @classmethod
    def of(cls, stiffness: np.ndarray, basis: np.ndarray | None, smallest: float) -> Resistance:
        """Drop what lies outside of ``basis`` (None: nothing), and eigenvalues below ``smallest``.

        A stiffness with nan (of loads that were not solved) is left as it is.
        """
        if not np.isfinite(stiffness).all():
            return cls(stiffness, np.eye(6))
        if basis is None:
            return cls(stiffness, np.eye(6))
        scale = np.outer(_KELVIN, _KELVIN)
        kelvin = projected(stiffness * scale, basis)
        values, vectors = np.linalg.eigh(basis.T @ kelvin @ basis)
        kept = values > smallest
        if not kept.all():
            basis = basis @ vectors[:, kept]
            kelvin = projected(kelvin, basis)
        lowest = values[kept].min(initial=np.inf)
        return cls(kelvin / scale, basis, max(1e-6, smallest / lowest if lowest > 0 else 1.0))

    @property
    def solved(self) -> bool:
        return bool(np.isfinite(self.stiffness).all())

    @cached_property
    def inverse(self) -> np.ndarray:
        """Compliance (6, 6), Voigt: the strain of a carried stress, without a free motion."""
        if not self.solved:
            return np.full((6, 6), np.nan)
        k = self.basis.T @ (self.stiffness * np.outer(_KELVIN, _KELVIN)) @ self.basis
        # a unit diagonal, so that a soft direction beside a stiff one is not rounded away
        root = np.sqrt(np.diag(k))
        inverse = np.linalg.inv(k / np.outer(root, root)) / np.outer(root, root)
        return (self.basis @ inverse @ self.basis.T) * np.outer(_KELVIN, _KELVIN)

    def carries(self, stress: np.ndarray) -> np.ndarray:
        """Return whether Voigt stresses (..., 6) are carried: their strain energy is finite."""
        kelvin = stress * _KELVIN
        outside = kelvin - (kelvin @ self.basis) @ self.basis.T
        return np.linalg.norm(outside, axis=-1) <= self.slack * np.linalg.norm(kelvin, axis=-1)

    @property
    def determined(self) -> np.ndarray:
        """Which components of the strain (6,) follow from the stress."""
        return self.carries(np.eye(6))

    @property
    def compliance(self) -> np.ndarray:
        """The inverse, nan in rows and columns of components that the stress does not determine."""
        known = self.determined
        return np.where(np.outer(known, known), self.inverse, np.nan)

    def young(self, direction: np.ndarray) -> np.ndarray:
        """Return Young's modulus along unit vectors (..., 3); 0 where a mechanism gives way."""
        stress = dyads(direction)
        energy = np.einsum("...i,ij,...j->...", stress, self.inverse, stress)
        carried = self.carries(stress)
        out = np.zeros(np.shape(energy))
        return np.divide(1.0, energy, out=out, where=carried)


def consistent_strains(
    strains: np.ndarray, shares: np.ndarray, stiffness: np.ndarray, effective: np.ndarray
) -> np.ndarray:
    """Return mean strains (6, P, 6) of phases under unit loads that agree with the effective C*.

    Their error is of the order of tol, that of C* of its square, and <C A> = C*, <A> = 1 hold
    exactly: the smallest change that meets both. For two phases it is Hill's solution, which
    does not depend on the strains that were computed.
    """
    mean = np.einsum("p,pij->ij", shares, stiffness)
    spread = stiffness - mean
    variance = np.einsum("p,pij,pjk->ik", shares, spread, spread)
    defect = effective - np.einsum("p,pij,lpj->li", shares, stiffness, strains)
    change = defect @ np.linalg.pinv(variance, rcond=1e-12, hermitian=True)
    return strains + np.einsum("li,pij->lpj", change, spread)
