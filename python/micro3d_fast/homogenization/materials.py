# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Elastic materials of phases: a stiffness (6, 6) and a thermal expansion (3, 3) per material.

Conventions: tensor indices 1, 2, 3 are x, y, z (component 1 runs along the LAST array axis); Voigt
order 11, 22, 33, 23, 13, 12 with engineering shear strain; ``nu_ij`` is the contraction along j
under a load along i, so ``nu_ij / E_i = nu_ji / E_j``. Any consistent set of units: a stiffness
comes back in the unit that the phases were given in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import KW_ONLY, InitVar, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._checks import real, refuse
from .._results import Result
from ..typing import Axis
from ._voigt import (
    COMPONENTS,
    isotropic_stiffness,
    real_array,
    rotate_stiffness,
    rotation_from_z,
    rotation_matrix,
    strain_voigt,
    symmetric_tensor,
)

__all__ = [
    "PORE",
    "Anisotropic",
    "Isotropic",
    "Material",
    "Orthotropic",
    "TransverselyIsotropic",
]


class Material(ABC):
    """What every material has: ``stiffness``, ``thermal_expansion``, ``is_pore``, ``rotated``."""

    @property
    @abstractmethod
    def stiffness(self) -> np.ndarray:
        """Stiffness in Voigt order 11, 22, 33, 23, 13, 12, shape (6, 6)."""

    @property
    @abstractmethod
    def thermal_expansion(self) -> np.ndarray:
        """Symmetric expansion tensor (tensor shear), shape (3, 3), per kelvin."""

    @property
    def is_pore(self) -> bool:
        """Whether the stiffness is zero."""
        return not self.stiffness.any()

    @property
    def thermal_stress(self) -> np.ndarray:
        """``C : alpha``, the stress that suppresses one kelvin of expansion, Voigt, shape (6,)."""
        return self.stiffness @ strain_voigt(self.thermal_expansion)

    def rotated(self, rotation: ArrayLike) -> Anisotropic:
        """Return the material turned by a rotation matrix (3, 3): new = R old, in (x, y, z)."""
        r = rotation_matrix(rotation)
        return Anisotropic(
            C=rotate_stiffness(self.stiffness, r), alpha=r @ self.thermal_expansion @ r.T
        )


@dataclass(frozen=True)
class Isotropic(Material):
    """Isotropic solid, or a pore where ``E = 0``.

    Parameters
    ----------
    E : float
        Young's modulus, ``>= 0``; 0 is a pore.
    nu : float
        Poisson's ratio, ``-1 < nu < 0.5``; may be left out for a pore.
    alpha : float
        Linear thermal expansion, per kelvin.

    Examples
    --------
    >>> steel = Isotropic(E=210e9, nu=0.3, alpha=12e-6)
    >>> float(steel.stiffness[5, 5]) == steel.G
    True
    """

    E: float
    nu: float | None = None
    alpha: float = 0.0

    def __post_init__(self) -> None:
        _set(self, "E", real(self.E, name="E", minimum=0.0))
        if self.nu is None:
            if self.E > 0.0:
                raise refuse("nu", "be given unless `E` is 0", "None")
            _set(self, "nu", 0.0)
        _set(self, "nu", real(self.nu, name="nu", minimum=-1.0, maximum=0.5, open_ends=True))
        _set(self, "alpha", real(self.alpha, name="alpha"))

    @property
    def G(self) -> float:
        """Shear modulus."""
        assert self.nu is not None
        return self.E / (2.0 * (1.0 + self.nu))

    @property
    def K(self) -> float:
        """Bulk modulus."""
        assert self.nu is not None
        return self.E / (3.0 * (1.0 - 2.0 * self.nu))

    @property
    def stiffness(self) -> np.ndarray:
        return isotropic_stiffness(self.K, self.G)

    @property
    def thermal_expansion(self) -> np.ndarray:
        return self.alpha * np.eye(3)


@dataclass(frozen=True)
class TransverselyIsotropic(Material):
    """One axis of symmetry: a fibre, a layered rock.

    Parameters
    ----------
    E_axial, E_transverse : float
        Young's moduli along and across the axis, positive.
    G_axial : float
        Shear modulus of the planes that contain the axis (G12), positive.
    nu_axial : float
        Major Poisson's ratio ν12: load along the axis, contraction across it.
    nu_transverse, G_transverse : float
        Poisson's ratio and shear modulus within the transverse plane (ν23, G23); one of the two,
        or both if they agree, ``G = E_transverse / (2 (1 + nu))``.
    alpha_axial, alpha_transverse : float
        Thermal expansion along and across the axis, per kelvin.
    axis : {"x", "y", "z"}, 0, 1, 2 (array axes) or three numbers
        Direction of the axis; three numbers are its (x, y, z) components, of any length.
    """

    E_axial: float
    E_transverse: float
    G_axial: float
    nu_axial: float
    nu_transverse: float | None = None
    G_transverse: float | None = None
    alpha_axial: float = 0.0
    alpha_transverse: float = 0.0
    axis: Axis | Sequence[float] = "z"

    def __post_init__(self) -> None:
        for name in ("E_axial", "E_transverse", "G_axial"):
            _set(self, name, _positive(getattr(self, name), name))
        for name in ("nu_axial", "alpha_axial", "alpha_transverse"):
            _set(self, name, real(getattr(self, name), name=name))
        nu, g = self._transverse_pair()
        _set(self, "nu_transverse", nu)
        _set(self, "G_transverse", g)
        _set(self, "axis", _direction(self.axis))
        _require_positive_definite(self.along_z, "TransverselyIsotropic")

    def _transverse_pair(self) -> tuple[float, float]:
        """Return Poisson's ratio and shear modulus of the transverse plane, from either."""
        nu, g = self.nu_transverse, self.G_transverse
        if nu is None:
            if g is None:
                raise refuse("nu_transverse", "be given, or `G_transverse`", "neither")
            g = _positive(g, "G_transverse")
            return self.E_transverse / (2.0 * g) - 1.0, g
        nu = real(nu, name="nu_transverse", minimum=-1.0, maximum=1.0, open_ends=True)
        implied = self.E_transverse / (2.0 * (1.0 + nu))
        if g is not None:
            g = _positive(g, "G_transverse")
            if abs(g - implied) > 1e-6 * implied:
                raise refuse(
                    "G_transverse",
                    f"be E_transverse / (2 (1 + nu_transverse)) = {implied:.6g}",
                    f"{g:.6g}",
                    "leave one of the two out, or use Orthotropic",
                )
        return nu, implied

    @property
    def direction(self) -> np.ndarray:
        """Unit vector of the axis, (x, y, z)."""
        return np.array(self.axis)

    @property
    def along_z(self) -> np.ndarray:
        """Stiffness (6, 6) of the same material with its axis along z."""
        assert self.nu_transverse is not None
        et, ea = self.E_transverse, self.E_axial
        s = np.zeros((6, 6))
        s[0, 0] = s[1, 1] = 1.0 / et
        s[2, 2] = 1.0 / ea
        s[0, 1] = s[1, 0] = -self.nu_transverse / et
        s[0, 2] = s[2, 0] = s[1, 2] = s[2, 1] = -self.nu_axial / ea
        s[3, 3] = s[4, 4] = 1.0 / self.G_axial
        s[5, 5] = 1.0 / self.G_transverse  # type: ignore[operator]
        return _inverse(s, "TransverselyIsotropic")

    @property
    def stiffness(self) -> np.ndarray:
        c = rotate_stiffness(self.along_z, rotation_from_z(self.direction))
        # zeros where the rotation left rounding errors, so that orthotropy is recognized
        c = np.where(np.abs(c) < 1e-14 * np.abs(c).max(), 0.0, c)
        return (c + c.T) / 2.0

    @property
    def thermal_expansion(self) -> np.ndarray:
        n = self.direction
        spread = self.alpha_axial - self.alpha_transverse
        return self.alpha_transverse * np.eye(3) + spread * np.outer(n, n)


@dataclass(frozen=True)
class Orthotropic(Material):
    """Three planes of symmetry, along the axes of the volume.

    Of each pair of Poisson's ratios give either (``nu_xy`` or ``nu_yx``, ...), or both if they
    agree: ``nu_ij / E_i = nu_ji / E_j``, load along i, contraction along j.

    Parameters
    ----------
    E_x, E_y, E_z : float
        Young's moduli, positive.
    G_xy, G_xz, G_yz : float
        Shear moduli, positive.
    nu_xy, nu_xz, nu_yz, nu_yx, nu_zx, nu_zy : float
        Poisson's ratios.
    alpha_x, alpha_y, alpha_z : float
        Thermal expansion, per kelvin.
    """

    E_x: float
    E_y: float
    E_z: float
    _: KW_ONLY
    G_xy: float
    G_xz: float
    G_yz: float
    nu_xy: float | None = None
    nu_xz: float | None = None
    nu_yz: float | None = None
    nu_yx: InitVar[float | None] = None
    nu_zx: InitVar[float | None] = None
    nu_zy: InitVar[float | None] = None
    alpha_x: float = 0.0
    alpha_y: float = 0.0
    alpha_z: float = 0.0

    def __post_init__(self, nu_yx: float | None, nu_zx: float | None, nu_zy: float | None) -> None:
        for name in ("E_x", "E_y", "E_z", "G_xy", "G_xz", "G_yz"):
            _set(self, name, _positive(getattr(self, name), name))
        _set(self, "nu_xy", self._poisson("x", "y", self.nu_xy, nu_yx))
        _set(self, "nu_xz", self._poisson("x", "z", self.nu_xz, nu_zx))
        _set(self, "nu_yz", self._poisson("y", "z", self.nu_yz, nu_zy))
        for name in ("alpha_x", "alpha_y", "alpha_z"):
            _set(self, name, real(getattr(self, name), name=name))
        _require_positive_definite(self.stiffness, "Orthotropic")

    def _poisson(self, i: str, j: str, nu_ij: float | None, nu_ji: float | None) -> float:
        """Return ``nu_ij`` from either of the pair."""
        ratio = getattr(self, f"E_{i}") / getattr(self, f"E_{j}")
        if nu_ij is None and nu_ji is None:
            raise refuse(f"nu_{i}{j}", f"be given, or `nu_{j}{i}`", "neither")
        if nu_ji is not None:
            implied = real(nu_ji, name=f"nu_{j}{i}") * ratio
            if nu_ij is None:
                return implied
            nu_ij = real(nu_ij, name=f"nu_{i}{j}")
            if abs(nu_ij - implied) > 1e-6 * max(abs(implied), 1e-3):
                raise refuse(
                    f"nu_{i}{j}",
                    f"be nu_{j}{i} E_{i} / E_{j} = {implied:.6g}",
                    f"{nu_ij:.6g}",
                    "leave one of the two out",
                )
        return real(nu_ij, name=f"nu_{i}{j}")

    @property
    def stiffness(self) -> np.ndarray:
        s = np.diag(
            [1 / self.E_x, 1 / self.E_y, 1 / self.E_z, 1 / self.G_yz, 1 / self.G_xz, 1 / self.G_xy]
        )
        s[0, 1] = s[1, 0] = -self.nu_xy / self.E_x  # type: ignore[operator]
        s[0, 2] = s[2, 0] = -self.nu_xz / self.E_x  # type: ignore[operator]
        s[1, 2] = s[2, 1] = -self.nu_yz / self.E_y  # type: ignore[operator]
        return _inverse(s, "Orthotropic")

    @property
    def thermal_expansion(self) -> np.ndarray:
        return np.diag([self.alpha_x, self.alpha_y, self.alpha_z])


@dataclass(frozen=True, eq=False)
class Anisotropic(Result, Material):
    """Any symmetric positive definite stiffness.

    Parameters
    ----------
    C : array, shape (6, 6)
        Stiffness in Voigt order 11, 22, 33, 23, 13, 12; all zeros is a pore.
    alpha : float, three numbers or array (3, 3)
        Thermal expansion: isotropic, along (x, y, z), or the symmetric tensor.
    """

    C: ArrayLike
    alpha: ArrayLike = 0.0

    def __post_init__(self) -> None:
        wanted = "be a symmetric positive definite array of shape (6, 6)"
        c = real_array(self.C, "C", wanted)
        if c.shape != (6, 6):
            raise refuse("C", wanted, f"shape {c.shape}")
        if c.any():
            if np.abs(c - c.T).max() > 1e-8 * np.abs(c).max():
                raise refuse("C", "be symmetric", "a matrix that is not")
            c = (c + c.T) / 2.0
            lowest = _lowest_scaled_eigenvalue(c)
            if not lowest > 1e-9:
                got = "a smallest eigenvalue (of the matrix scaled to a unit diagonal) of"
                raise refuse("C", "be positive definite", f"{got} {lowest:.3g}")
        wanted = "be a number, three numbers (x, y, z) or a symmetric (3, 3) tensor"
        a = symmetric_tensor(self.alpha, "alpha", wanted)
        for name, array in (("C", c), ("alpha", a)):
            array.flags.writeable = False
            _set(self, name, array)

    @property
    def stiffness(self) -> np.ndarray:
        return np.array(self.C)

    @property
    def thermal_expansion(self) -> np.ndarray:
        return np.array(self.alpha)


# ------------------------------------------------------------------------------------- helpers


def _set(instance: Any, name: str, value: Any) -> None:
    """Set a field of a frozen dataclass."""
    object.__setattr__(instance, name, value)


def _positive(value: Any, name: str) -> float:
    return real(value, name=name, minimum=0.0, open_ends=True)


def _direction(axis: Any) -> tuple[float, float, float]:
    """Return the unit vector (x, y, z) of a named axis, an array axis or any vector."""
    wanted = "be 'x', 'y', 'z', 0, 1, 2 (array axes) or three numbers (x, y, z)"
    if isinstance(axis, str):
        if axis not in COMPONENTS:
            raise refuse("axis", wanted, repr(axis))
        n = np.eye(3)[COMPONENTS.index(axis)]
    elif isinstance(axis, int | np.integer) and not isinstance(axis, bool):
        if not 0 <= axis <= 2:
            raise refuse("axis", wanted, str(axis))
        n = np.eye(3)[2 - int(axis)]
    else:
        n = real_array(axis, "axis", wanted)
        length = float(np.linalg.norm(n))
        if n.shape != (3,) or length == 0.0:
            raise refuse("axis", wanted, repr(axis))
        n = n / length
    return float(n[0]), float(n[1]), float(n[2])


def _inverse(compliance: np.ndarray, material: str) -> np.ndarray:
    """Return the inverse, block by block: nothing is rounded where the coupling is zero."""
    _require_positive_definite(compliance, material)
    c = np.zeros((6, 6))
    c[:3, :3] = np.linalg.inv(compliance[:3, :3])
    c[range(3, 6), range(3, 6)] = 1.0 / compliance[range(3, 6), range(3, 6)]
    return (c + c.T) / 2.0


def _lowest_scaled_eigenvalue(c: np.ndarray) -> float:
    """Return the smallest eigenvalue of a matrix scaled to a unit diagonal."""
    scale = np.sqrt(np.abs(np.diag(c)))
    if not scale.all():
        return 0.0
    return float(np.linalg.eigvalsh(c / np.outer(scale, scale)).min())


def _require_positive_definite(c: np.ndarray, material: str) -> None:
    lowest = _lowest_scaled_eigenvalue(c)
    if not lowest > 1e-9:
        raise refuse(
            material,
            "have a positive definite stiffness",
            "Poisson's ratios that contradict the moduli (smallest eigenvalue of the scaled "
            f"compliance {lowest:.3g})",
        )


#: A phase without stiffness.
PORE = Isotropic(E=0.0, nu=0.0)
