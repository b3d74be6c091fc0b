# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Tensors of elasticity and their Voigt forms.

Tensor indices 0, 1, 2 are x, y, z (x runs along the LAST array axis); Voigt order is 11, 22, 33,
23, 13, 12 with engineering shear strain.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .._checks import refuse, refuse_type, shown
from .._planes import AXIS_NAMES

#: Names of the tensor indices.
COMPONENTS = AXIS_NAMES[::-1]
#: Tensor indices of the six Voigt components.
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
#: Names of the six Voigt components: "xx", "yy", "zz", "yz", "xz", "xy".
VOIGT_NAMES = tuple(COMPONENTS[i] + COMPONENTS[j] for i, j in VOIGT)


def isotropic_stiffness(bulk: float, shear: float) -> np.ndarray:
    """Return the stiffness (6, 6) of bulk modulus K and shear modulus G."""
    c = np.zeros((6, 6))
    c[:3, :3] = bulk - 2.0 * shear / 3.0
    c[range(3), range(3)] += 2.0 * shear
    c[range(3, 6), range(3, 6)] = shear
    return c


def transverse_constants(along_z: np.ndarray) -> tuple[Any, Any, Any, Any, Any]:
    """Return lambda, mu_T, a, mu_L - mu_T and b of stiffnesses (..., 6, 6) with their axis along z.

    With the axis n, C e = lambda tr(e) I + 2 mu_T e + a (n.e.n I + tr(e) n n) + b (n.e.n) n n
    + 2 (mu_L - mu_T) (n (e n) + (e n) n).
    """
    lam, mu = along_z[..., 0, 1], along_z[..., 5, 5]
    a = along_z[..., 0, 2] - lam
    shear = along_z[..., 3, 3] - mu
    b = along_z[..., 2, 2] - lam - 2 * mu - 2 * a - 4 * shear
    return lam, mu, a, shear, b


def tensor_from_voigt(stiffness: np.ndarray) -> np.ndarray:
    """Return C_ijkl, shape (3, 3, 3, 3), of a Voigt stiffness (6, 6)."""
    c = np.zeros((3, 3, 3, 3))
    for a, (i, j) in enumerate(VOIGT):
        for b, (k, m) in enumerate(VOIGT):
            c[i, j, k, m] = c[j, i, k, m] = c[i, j, m, k] = c[j, i, m, k] = stiffness[a, b]
    return c


def voigt_from_tensor(c: np.ndarray) -> np.ndarray:
    """Return the Voigt stiffness (6, 6) of C_ijkl."""
    return np.array([[c[i, j, k, m] for k, m in VOIGT] for i, j in VOIGT])


def rotate_stiffness(stiffness: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Return C'_ijkl = R_ip R_jq R_kr R_ls C_pqrs, in Voigt form."""
    r = rotation
    c = np.einsum("ip,jq,kr,ls,pqrs->ijkl", r, r, r, r, tensor_from_voigt(stiffness), optimize=True)
    return voigt_from_tensor(c)


def dyads(n: np.ndarray) -> np.ndarray:
    """Return n_i n_j of vectors (..., 3) in Voigt order, shape (..., 6)."""
    return np.stack([n[..., i] * n[..., j] for i, j in VOIGT], axis=-1)


def strain_voigt(tensor: np.ndarray) -> np.ndarray:
    """Return the Voigt strain (engineering shear), shape (6,), of a symmetric (3, 3) tensor."""
    return np.array([tensor[i, j] * (1.0 if i == j else 2.0) for i, j in VOIGT])


def strain_tensor(voigt: np.ndarray) -> np.ndarray:
    """Return the symmetric (3, 3) tensor of a Voigt strain (engineering shear)."""
    tensor = np.zeros((3, 3))
    for value, (i, j) in zip(voigt, VOIGT, strict=True):
        tensor[i, j] = tensor[j, i] = value if i == j else value / 2.0
    return tensor


def rotation_from_z(n: np.ndarray) -> np.ndarray:
    """Return a rotation that takes z to the unit vector n."""
    helper = np.eye(3)[int(np.argmin(np.abs(n)))]
    a = np.cross(helper, n)
    a /= np.linalg.norm(a)
    return np.stack([a, np.cross(n, a), n], axis=1)


# -------------------------------------------------------------------------------------- checks


def real_array(value: Any, name: str, wanted: str) -> np.ndarray:
    """Return finite float64 values of any shape."""
    try:
        array = np.array(value)
    except ValueError:
        raise refuse(name, wanted, shown(value)) from None
    if array.dtype.kind not in "iuf":
        raise refuse_type(name, wanted, f"dtype {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise refuse(name, wanted, "values that are not finite")
    return array


def symmetric_tensor(value: Any, name: str, wanted: str) -> np.ndarray:
    """Return a symmetric (3, 3) tensor from a number, three numbers (x, y, z) or a tensor."""
    tensor = real_array(value, name, wanted)
    if tensor.shape == ():
        tensor = float(tensor) * np.eye(3)
    elif tensor.shape == (3,):
        tensor = np.diag(tensor)
    elif tensor.shape != (3, 3):
        raise refuse(name, wanted, f"shape {tensor.shape}")
    if np.abs(tensor - tensor.T).max() > 1e-8 * max(np.abs(tensor).max(), 1e-300):
        raise refuse(name, wanted, "a tensor that is not symmetric")
    return (tensor + tensor.T) / 2.0


def rotation_matrix(rotation: Any, *, name: str = "rotation") -> np.ndarray:
    """Return a rotation (or reflection) matrix (3, 3)."""
    wanted = "be an orthogonal array of shape (3, 3)"
    r = real_array(rotation, name, wanted)
    if r.shape != (3, 3) or np.abs(r @ r.T - np.eye(3)).max() > 1e-9:
        raise refuse(name, wanted, repr(rotation))
    return r


def conductivity_tensor(value: Any, *, name: str = "conductivity") -> np.ndarray:
    """Return the symmetric conductivity (3, 3) of a number, three numbers (x, y, z) or a tensor."""
    wanted = (
        "be a number >= 0, three numbers (x, y, z) or a symmetric positive definite (3, 3) tensor"
    )
    k = symmetric_tensor(value, name, wanted)
    if k.any() and np.linalg.eigvalsh(k).min() <= 0.0:
        raise refuse(name, wanted, str(np.array(value).tolist()))
    return k
