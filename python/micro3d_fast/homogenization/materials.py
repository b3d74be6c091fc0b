# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Elastic materials of phases: a stiffness (6, 6) and a thermal expansion (3, 3) each.

Conventions: tensor indices 1, 2, 3 are x, y, z (component 1 runs along the LAST array axis); Voigt
order 11, 22, 33, 23, 13, 12 with engineering shear strain; ``nu_ij`` is the contraction along j
under a load along i, so ``nu_ij / E_i = nu_ji / E_j``. Any consistent set of units: a stiffness
comes back in the unit that the phases were given in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from micro3d_fast._checks import real

__all__ = [
    "PORE",
    "VOIGT",
    "Anisotropic",
    "Isotropic",
    "Material",
    "Orthotropic",
    "TransverselyIsotropic",
    "checked_conductivities",
    "conductivity_tensor",
    "rotate_stiffness",
    "tensor_from_voigt",
    "voigt_from_tensor",
]

#: tensor indices of the six Voigt components (0 = x, 1 = y, 2 = z)
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_AXES = "xyz"


class Material:
    """What every material has: ``stiffness``, ``thermal_expansion``, ``is_pore``, ``rotated``."""

    @property
    def stiffness(self) -> np.ndarray:
        """Stiffness in Voigt order 11, 22, 33, 23, 13, 12, shape (6, 6)."""
        raise NotImplementedError

    @property
    def thermal_expansion(self) -> np.ndarray:
        """Symmetric expansion tensor (tensor shear), shape (3, 3), per kelvin."""
        raise NotImplementedError

    @property
    def is_pore(self) -> bool:
        """Whether the stiffness is zero."""
        return not self.stiffness.any()

    @property
    def thermal_stress(self) -> np.ndarray:
        """``C : alpha``, the stress that suppresses one kelvin of expansion, Voigt, shape (6,)."""
        return self.stiffness @ strain_voigt(self.thermal_expansion)

    def rotated(self, rotation: Any) -> Anisotropic:
        """The same material turned by a rotation matrix (3, 3): new = R old, in (x, y, z)."""
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
                raise ValueError("`nu` must be given unless `E` is 0, got None")
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
        Shear modulus of the planes that hold the axis (G12), positive.
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
    axis: Any = "z"

    def __post_init__(self) -> None:
        for name in ("E_axial", "E_transverse", "G_axial"):
            _set(self, name, _positive(getattr(self, name), name))
        for name in ("nu_axial", "alpha_axial", "alpha_transverse"):
            _set(self, name, real(getattr(self, name), name=name))
        nu, g = self.nu_transverse, self.G_transverse
        if nu is None and g is None:
            raise ValueError("`nu_transverse` or `G_transverse` must be given, got neither")
        if nu is not None:
            nu = real(nu, name="nu_transverse", minimum=-1.0, maximum=1.0, open_ends=True)
            implied = self.E_transverse / (2.0 * (1.0 + nu))
            if g is not None:
                g = _positive(g, "G_transverse")
                if abs(g - implied) > 1e-6 * implied:
                    raise ValueError(
                        "`G_transverse` must be E_transverse / (2 (1 + nu_transverse)) = "
                        f"{implied:.6g}, got {g:.6g}; leave one of the two out, or use Orthotropic"
                    )
            g = implied
        else:
            g = _positive(g, "G_transverse")
            nu = self.E_transverse / (2.0 * g) - 1.0
        _set(self, "nu_transverse", nu)
        _set(self, "G_transverse", g)
        _set(self, "axis", _direction(self.axis))
        _require_positive_definite(self.along_z, "TransverselyIsotropic")

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
        return _clean(rotate_stiffness(self.along_z, _rotation_from_z(self.direction)))

    @property
    def thermal_expansion(self) -> np.ndarray:
        n = self.direction
        spread = self.alpha_axial - self.alpha_transverse
        return self.alpha_transverse * np.eye(3) + spread * np.outer(n, n)


@dataclass(frozen=True, init=False)
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
    G_xy: float
    G_xz: float
    G_yz: float
    nu_xy: float
    nu_xz: float
    nu_yz: float
    alpha_x: float
    alpha_y: float
    alpha_z: float

    def __init__(
        self,
        E_x: float,
        E_y: float,
        E_z: float,
        *,
        G_xy: float,
        G_xz: float,
        G_yz: float,
        nu_xy: float | None = None,
        nu_xz: float | None = None,
        nu_yz: float | None = None,
        nu_yx: float | None = None,
        nu_zx: float | None = None,
        nu_zy: float | None = None,
        alpha_x: float = 0.0,
        alpha_y: float = 0.0,
        alpha_z: float = 0.0,
    ) -> None:
        moduli = {"E_x": E_x, "E_y": E_y, "E_z": E_z, "G_xy": G_xy, "G_xz": G_xz, "G_yz": G_yz}
        for name, value in moduli.items():
            _set(self, name, _positive(value, name))
        _set(self, "nu_xy", self._poisson("x", "y", nu_xy, nu_yx))
        _set(self, "nu_xz", self._poisson("x", "z", nu_xz, nu_zx))
        _set(self, "nu_yz", self._poisson("y", "z", nu_yz, nu_zy))
        for name, value in {"alpha_x": alpha_x, "alpha_y": alpha_y, "alpha_z": alpha_z}.items():
            _set(self, name, real(value, name=name))
        _require_positive_definite(self.stiffness, "Orthotropic")

    def _poisson(self, i: str, j: str, nu_ij: float | None, nu_ji: float | None) -> float:
        ratio = getattr(self, f"E_{i}") / getattr(self, f"E_{j}")
        if nu_ij is None and nu_ji is None:
            raise ValueError(f"`nu_{i}{j}` or `nu_{j}{i}` must be given, got neither")
        if nu_ji is not None:
            implied = real(nu_ji, name=f"nu_{j}{i}") * ratio
            if nu_ij is None:
                return implied
            nu_ij = real(nu_ij, name=f"nu_{i}{j}")
            if abs(nu_ij - implied) > 1e-6 * max(abs(implied), 1e-3):
                raise ValueError(
                    f"`nu_{i}{j}` must be nu_{j}{i} E_{i} / E_{j} = {implied:.6g}, got "
                    f"{nu_ij:.6g}; leave one of the two out"
                )
        return real(nu_ij, name=f"nu_{i}{j}")

    @property
    def stiffness(self) -> np.ndarray:
        s = np.diag(
            [1 / self.E_x, 1 / self.E_y, 1 / self.E_z, 1 / self.G_yz, 1 / self.G_xz, 1 / self.G_xy]
        )
        s[0, 1] = s[1, 0] = -self.nu_xy / self.E_x
        s[0, 2] = s[2, 0] = -self.nu_xz / self.E_x
        s[1, 2] = s[2, 1] = -self.nu_yz / self.E_y
        return _inverse(s, "Orthotropic")

    @property
    def thermal_expansion(self) -> np.ndarray:
        return np.diag([self.alpha_x, self.alpha_y, self.alpha_z])


@dataclass(frozen=True, eq=False)
class Anisotropic(Material):
    """Any symmetric positive definite stiffness.

    Parameters
    ----------
    C : array, shape (6, 6)
        Stiffness in Voigt order 11, 22, 33, 23, 13, 12; all zeros is a pore.
    alpha : float, three numbers or array (3, 3)
        Thermal expansion: isotropic, along (x, y, z), or the symmetric tensor.
    """

    C: Any
    alpha: Any = 0.0

    def __post_init__(self) -> None:
        c = _real_array(self.C, "C", "a symmetric positive definite array of shape (6, 6)")
        if c.shape != (6, 6):
            raise ValueError(
                "`C` must be a symmetric positive definite array of shape (6, 6), "
                f"got shape {c.shape}"
            )
        if c.any():
            if np.abs(c - c.T).max() > 1e-8 * np.abs(c).max():
                raise ValueError("`C` must be symmetric, got a matrix that is not")
            c = (c + c.T) / 2.0
            _require_positive_definite(c, "C", argument=True)
        c.flags.writeable = False
        _set(self, "C", c)
        a = _real_array(self.alpha, "alpha", "a number, three numbers (x, y, z) or a (3, 3) tensor")
        if a.shape == ():
            a = float(a) * np.eye(3)
        elif a.shape == (3,):
            a = np.diag(a)
        elif a.shape != (3, 3):
            raise ValueError(
                "`alpha` must be a number, three numbers (x, y, z) or a (3, 3) tensor, "
                f"got shape {a.shape}"
            )
        if np.abs(a - a.T).max() > 1e-8 * max(np.abs(a).max(), 1e-300):
            raise ValueError("`alpha` must be symmetric, got a tensor that is not")
        a = (a + a.T) / 2.0
        a.flags.writeable = False
        _set(self, "alpha", a)

    @property
    def stiffness(self) -> np.ndarray:
        return np.array(self.C)

    @property
    def thermal_expansion(self) -> np.ndarray:
        return np.array(self.alpha)


# ------------------------------------------------------------------------------------- tensors


def isotropic_stiffness(bulk: float, shear: float) -> np.ndarray:
    """Stiffness (6, 6) of bulk modulus K and shear modulus G."""
    c = np.zeros((6, 6))
    c[:3, :3] = bulk - 2.0 * shear / 3.0
    c[range(3), range(3)] += 2.0 * shear
    c[range(3, 6), range(3, 6)] = shear
    return c


def tensor_from_voigt(stiffness: np.ndarray) -> np.ndarray:
    """C_ijkl, shape (3, 3, 3, 3), of a Voigt stiffness (6, 6)."""
    c = np.zeros((3, 3, 3, 3))
    for a, (i, j) in enumerate(VOIGT):
        for b, (k, m) in enumerate(VOIGT):
            c[i, j, k, m] = c[j, i, k, m] = c[i, j, m, k] = c[j, i, m, k] = stiffness[a, b]
    return c


def voigt_from_tensor(c: np.ndarray) -> np.ndarray:
    """Voigt stiffness (6, 6) of C_ijkl."""
    return np.array([[c[i, j, k, m] for k, m in VOIGT] for i, j in VOIGT])


def rotate_stiffness(stiffness: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """C'_ijkl = R_ip R_jq R_kr R_ls C_pqrs, in Voigt form."""
    r = rotation
    c = np.einsum("ip,jq,kr,ls,pqrs->ijkl", r, r, r, r, tensor_from_voigt(stiffness), optimize=True)
    return voigt_from_tensor(c)


def strain_voigt(tensor: np.ndarray) -> np.ndarray:
    """Voigt strain (engineering shear), shape (6,), of a symmetric (3, 3) tensor."""
    return np.array([tensor[i, j] * (1.0 if i == j else 2.0) for i, j in VOIGT])


def strain_tensor(voigt: np.ndarray) -> np.ndarray:
    """Symmetric (3, 3) tensor of a Voigt strain (engineering shear)."""
    tensor = np.zeros((3, 3))
    for value, (i, j) in zip(voigt, VOIGT, strict=True):
        tensor[i, j] = tensor[j, i] = value if i == j else value / 2.0
    return tensor


def rotation_matrix(rotation: Any, *, name: str = "rotation") -> np.ndarray:
    """Checked rotation (or reflection) matrix (3, 3)."""
    r = _real_array(rotation, name, "an orthogonal array of shape (3, 3)")
    if r.shape != (3, 3) or np.abs(r @ r.T - np.eye(3)).max() > 1e-9:
        raise ValueError(f"`{name}` must be an orthogonal array of shape (3, 3), got {rotation!r}")
    return r


# -------------------------------------------------------------------------------------- checks


def checked_materials(
    materials: Any, present: np.ndarray, *, name: str = "materials"
) -> tuple[Material, ...]:
    """Materials by label; every label present must have one."""
    if isinstance(materials, Material):
        materials = (materials,)
    if isinstance(materials, str | bytes | Mapping) or not isinstance(materials, Sequence):
        raise TypeError(
            f"`{name}` must be a sequence of materials indexed by label, "
            f"got {type(materials).__name__}"
        )
    for label, material in enumerate(materials):
        if not isinstance(material, Material):
            raise TypeError(
                f"`{name}[{label}]` must be Isotropic, TransverselyIsotropic, Orthotropic or "
                f"Anisotropic, got {type(material).__name__}"
            )
    require_cover(len(materials), present, name=name)
    return tuple(materials)


def conductivity_tensor(value: Any, *, name: str = "conductivity") -> np.ndarray:
    """Symmetric conductivity (3, 3) in (x, y, z) from a number, three numbers or a tensor."""
    wanted = "a number >= 0, three numbers (x, y, z) or a symmetric positive definite (3, 3) tensor"
    k = _real_array(value, name, wanted)
    if k.shape == ():
        k = float(k) * np.eye(3)
    elif k.shape == (3,):
        k = np.diag(k)
    elif k.shape != (3, 3):
        raise ValueError(f"`{name}` must be {wanted}, got shape {k.shape}")
    if np.abs(k - k.T).max() > 1e-8 * max(np.abs(k).max(), 1e-300):
        raise ValueError(f"`{name}` must be {wanted}, got a tensor that is not symmetric")
    k = (k + k.T) / 2.0
    if k.any() and np.linalg.eigvalsh(k).min() <= 0.0:
        raise ValueError(f"`{name}` must be {wanted}, got {np.array(value).tolist()}")
    return k


def checked_conductivities(
    values: Any, present: np.ndarray, *, name: str = "conductivities"
) -> tuple[np.ndarray, ...]:
    """Conductivities (3, 3) by label; every label present must have one."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Sequence):
        raise TypeError(
            f"`{name}` must be a sequence of conductivities indexed by label, "
            f"got {type(values).__name__}"
        )
    tensors = tuple(conductivity_tensor(k, name=f"{name}[{i}]") for i, k in enumerate(values))
    require_cover(len(tensors), present, name=name)
    return tensors


def require_cover(count: int, present: np.ndarray, *, name: str) -> None:
    """Every label present needs an entry."""
    highest = int(np.flatnonzero(present).max())
    if highest >= count:
        raise ValueError(
            f"`{name}` must cover every label present (0 ... {highest}), got {count} "
            f"entr{'y' if count == 1 else 'ies'}"
        )


def _set(instance: Any, name: str, value: Any) -> None:
    object.__setattr__(instance, name, value)


def _positive(value: Any, name: str) -> float:
    return real(value, name=name, minimum=0.0, open_ends=True)


def _real_array(value: Any, name: str, wanted: str) -> np.ndarray:
    try:
        array = np.array(value)
    except ValueError:
        raise ValueError(f"`{name}` must be {wanted}, got {value!r}") from None
    if array.dtype.kind not in "iuf":
        raise TypeError(f"`{name}` must be {wanted}, got dtype {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` must be {wanted}, got values that are not finite")
    return array


def _direction(axis: Any) -> tuple[float, float, float]:
    wanted = "'x', 'y', 'z', 0, 1, 2 (array axes) or three numbers (x, y, z)"
    if isinstance(axis, str):
        if axis not in tuple(_AXES):
            raise ValueError(f"`axis` must be {wanted}, got {axis!r}")
        n = np.eye(3)[_AXES.index(axis)]
    elif isinstance(axis, int | np.integer) and not isinstance(axis, bool):
        if not 0 <= axis <= 2:
            raise ValueError(f"`axis` must be {wanted}, got {axis}")
        n = np.eye(3)[2 - int(axis)]
    else:
        n = _real_array(axis, "axis", wanted)
        length = float(np.linalg.norm(n))
        if n.shape != (3,) or length == 0.0:
            raise ValueError(f"`axis` must be {wanted}, got {axis!r}")
        n = n / length
    return float(n[0]), float(n[1]), float(n[2])


def _rotation_from_z(n: np.ndarray) -> np.ndarray:
    """A rotation that takes z to the unit vector n."""
    helper = np.eye(3)[int(np.argmin(np.abs(n)))]
    a = np.cross(helper, n)
    a /= np.linalg.norm(a)
    return np.stack([a, np.cross(n, a), n], axis=1)


def _clean(c: np.ndarray) -> np.ndarray:
    """Zeros where a rotation left rounding, so that orthotropy is seen as such."""
    c = np.where(np.abs(c) < 1e-14 * np.abs(c).max(), 0.0, c)
    return (c + c.T) / 2.0


def _inverse(compliance: np.ndarray, what: str) -> np.ndarray:
    _require_positive_definite(compliance, what)
    c = np.zeros((6, 6))  # block by block: no rounding where the coupling is zero
    c[:3, :3] = np.linalg.inv(compliance[:3, :3])
    c[range(3, 6), range(3, 6)] = 1.0 / compliance[range(3, 6), range(3, 6)]
    return (c + c.T) / 2.0


def _require_positive_definite(c: np.ndarray, what: str, *, argument: bool = False) -> None:
    scale = np.sqrt(np.abs(np.diag(c)))
    if not scale.all():
        lowest = 0.0
    else:
        lowest = float(np.linalg.eigvalsh(c / np.outer(scale, scale)).min())
    if lowest > 1e-9:
        return
    if argument:
        raise ValueError(
            f"`{what}` must be positive definite, got a smallest eigenvalue (of the matrix scaled "
            f"to a unit diagonal) of {lowest:.3g}"
        )
    raise ValueError(
        f"{what} must have a positive definite stiffness, but its Poisson's ratios contradict its "
        f"moduli (smallest eigenvalue of the scaled compliance {lowest:.3g})"
    )


#: a phase without stiffness
PORE = Isotropic(E=0.0, nu=0.0)
