# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Effective stiffness and thermal expansion of a periodic voxel image.

The asymptotic homogenization of the paper (Eq. A.9-A.11): six unit strains, trilinear hexahedra
with full 2 x 2 x 2 integration, conjugate gradients preconditioned with the discrete Green operator
of the mean stiffness. The thermal expansion (Eq. A.12) needs no seventh solve: alpha* = C*^-1
<A^T C alpha>, with the strain concentration A of the six (for two phases: Levin's formula).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from micro3d_fast._checks import boolean, integer, to_host

from ._compute import compute_for
from ._hex8 import Hex8Problem, Hex8Results, compact
from ._image import Image, as_image
from ._phase_arguments import checked_materials
from ._voigt import VOIGT, strain_tensor, strain_voigt
from .bounds import ElasticBounds, elastic_bounds
from .connectivity import solid_connectivity
from .local_fields import LocalFields, local_elastic_fields
from .materials import Material, TransverselyIsotropic
from .solver import SolverProgress, solver_options

__all__ = ["ElasticProperties", "homogenize_elasticity"]

_LOADS = ("xx", "yy", "zz", "yz", "xz", "xy")


@dataclass(frozen=True, eq=False)
class ElasticProperties:
    """Effective elastic properties; stresses in the unit that the phases were given in.

    Attributes
    ----------
    stiffness : array (6, 6)
        C*, Voigt order 11, 22, 33, 23, 13, 12 (1, 2, 3 = x, y, z), engineering shear strain.
    thermal_expansion : array (3, 3)
        Symmetric tensor (tensor shear), components x, y, z, per kelvin. NaN without stiffness.
    E : array (3,)
        Young's moduli along x, y, z; 0 where there is no stiffness.
    nu : dict
        Poisson's ratios ``"xy"``, ``"xz"``, ``"yx"``, ...: load along the first axis, contraction
        along the second.
    G : dict
        Shear moduli ``"yz"``, ``"xz"``, ``"xy"``.
    bounds : ElasticBounds
        Voigt, Reuss and (isotropic phases) Hashin-Shtrikman, from the volume fractions.
    volume_fractions : array (P,)
        By label.
    phase_strain : array (6, P, 6)
        Mean strain of every phase (Voigt, engineering shear) under the six unit strains; NaN for a
        phase that does not occur. The strain concentration.
    iterations, residuals : tuples of int and float
        Of the six loads xx, yy, zz, yz, xz, xy; the true relative residuals, at most ``tol``.
    tol, precision, bbar : float, str, bool
        As asked for.
    contrast : float
        Largest over smallest stiffness of the phases; inf with a pore.
    warnings : tuple of str
        What to know: floating islands, pieces that hang by an edge, missing connections.
    seconds : float
        Wall time of the whole call.
    bytes : int
        Memory of the solver's fields, for the loads that it solves together.
    device : str
        Where it ran.
    """

    stiffness: np.ndarray
    thermal_expansion: np.ndarray
    E: np.ndarray
    nu: dict[str, float]
    G: dict[str, float]
    bounds: ElasticBounds
    volume_fractions: np.ndarray
    phase_strain: np.ndarray
    iterations: tuple[int, ...]
    residuals: tuple[float, ...]
    tol: float
    precision: str
    bbar: bool
    contrast: float
    warnings: tuple[str, ...]
    seconds: float
    bytes: int
    device: str
    _fields: dict[str, Any] | None = field(default=None, repr=False)

    @property
    def compliance(self) -> np.ndarray:
        """Inverse of the stiffness (pseudo-inverse where there is none), shape (6, 6)."""
        return _compliance(self.stiffness)[0]

    def young(self, direction: Any) -> np.ndarray:
        """Young's modulus along directions (..., 3) in (x, y, z): the stiffness surface E(n)."""
        n = np.asarray(direction, dtype=np.float64)
        n = n / np.linalg.norm(n, axis=-1, keepdims=True)
        pairs = np.stack([n[..., i] * n[..., j] for i, j in VOIGT], axis=-1)
        s = self.compliance  # sigma = n n: Voigt stress; strain energy = sigma S sigma
        return 1.0 / np.einsum("...i,ij,...j->...", pairs, s, pairs)

    def local(
        self, *, strain: Any = None, stress: Any = None, names: Sequence[str] = ("von_mises",)
    ) -> LocalFields:
        """Local fields under a mean strain or a mean stress; needs ``fields=True`` in the call.

        Parameters
        ----------
        strain, stress : six numbers
            Voigt order 11, 22, 33, 23, 13, 12, engineering shear strain; one of the two.
        names : sequence of {"von_mises", "stress", "strain", "displacement"}
            Which fields to keep; phase averages come always.
        """
        if self._fields is None:
            raise ValueError("`local` must follow homogenize_elasticity(..., fields=True)")
        if (strain is None) == (stress is None):
            raise ValueError("`strain` or `stress` must be given, and not both")
        name, given = ("strain", strain) if stress is None else ("stress", stress)
        mean = np.asarray(given, dtype=np.float64)
        if mean.shape != (6,) or not np.isfinite(mean).all():
            raise ValueError(f"`{name}` must be six finite numbers in Voigt order, got {given!r}")
        if stress is not None:
            mean = self.compliance @ mean
        return local_elastic_fields(mean, tuple(names), **self._fields)

    def __repr__(self) -> str:
        with np.printoptions(precision=5, suppress=False, linewidth=100):
            lines = [
                "ElasticProperties (stresses in the unit of the phases; 1, 2, 3 = x, y, z)",
                "  stiffness, Voigt 11, 22, 33, 23, 13, 12:",
                *("    " + " ".join(f"{v:12.5g}" for v in row) for row in _tidy(self.stiffness)),
                "  E   " + ", ".join(f"{a} {v:.6g}" for a, v in zip("xyz", self.E, strict=True)),
                "  nu  " + ", ".join(f"{k} {v:.4g}" for k, v in self.nu.items()),
                "  G   " + ", ".join(f"{k} {v:.6g}" for k, v in self.G.items()),
            ]
        alpha = _tidy(self.thermal_expansion)
        if alpha.any():
            diagonal = ", ".join(f"{a} {alpha[i, i]:.5g}" for i, a in enumerate("xyz"))
            lines.append(f"  thermal expansion (1/K)  {diagonal}")
        worst = max(self.residuals)
        lines.append(
            f"  {sum(self.iterations)} iterations {self.iterations}, residuals <= {worst:.1e}, "
            f"{self.seconds:.2f} s on {self.device}"
        )
        lines.extend(f"  warning: {w}" for w in self.warnings)
        return "\n".join(lines)


def homogenize_elasticity(
    labels: Any,
    materials: Sequence[Material],
    *,
    tol: float = 1e-6,
    device: Any = None,
    voxel_size: Any = None,
    precision: str = "mixed",
    bbar: bool = False,
    directions: Any = None,
    fields: bool = False,
    max_iterations: int = 2000,
    callback: Callable[[SolverProgress], None] | None = None,
    threads: int = 0,
) -> ElasticProperties:
    r"""Effective stiffness and thermal expansion of a periodic labelled image.

    Solves :math:`\mathrm{div}\, C (\bar\varepsilon + \nabla^s u) = 0` for six unit mean strains on
    trilinear hexahedra (one per voxel, full integration, matrix-free) with periodic fluctuations,
    and takes :math:`C^*_{IJ} = \langle (\bar\varepsilon_I + \nabla u_I) : C :
    (\bar\varepsilon_J + \nabla u_J) \rangle`, symmetric by construction.

    Parameters
    ----------
    labels : array of bool or integers, shape (nz, ny, nx) or (ny, nx), or Microstructure
        Phase of every voxel, one period; a 2D image is a prism along z.
    materials : sequence of Material, indexed by label
        Must cover every label present. ``Isotropic(E=0)`` is a pore.
    tol : float
        Bound of the true relative residual of every load, in (0, 1). The relative error of the
        stiffness is of the order of its square.
    device : None, "cpu" or "cuda"
        Default: where ``labels`` are.
    voxel_size : float or (dz, dy, dx), optional
        Default: that of the Microstructure, or cubes. Only ratios matter. Where voxels are not
        cubes the residual is measured on forces weighted with the inverse spacings.
    precision : {"mixed", "float64"}
        Storage in float32 with float64 sums and refinement, or float64 throughout.
    bbar : bool
        B-bar elements: no volumetric locking as ν → 1/2.
    directions : array (nz, ny, nx, 3), optional
        Direction (x, y, z) of the fibre in every voxel, of any length; phases that are
        TransverselyIsotropic follow it instead of their ``axis``. Cubic voxels only.
    fields : bool
        Keep the displacements, for :meth:`ElasticProperties.local`.
    max_iterations : int
        Per load; then :class:`ConvergenceError`, with the partial result.
    callback : callable, optional
        Called with a :class:`SolverProgress` after every iteration.
    threads : int
        CPU threads, 0 for all.

    Returns
    -------
    ElasticProperties

    Raises
    ------
    ValueError, TypeError
        An argument is not what it must be; the message says which and why.
    ConvergenceError
        The tolerance was not met.

    Examples
    --------
    >>> import numpy as np
    >>> import micro3d_fast as m3
    >>> labels = np.zeros((8, 8, 8), dtype=np.uint8)
    >>> labels[:, 2:6, 2:6] = 1  # a square fibre along z
    >>> phases = [m3.Isotropic(E=4e9, nu=0.35), m3.Isotropic(E=70e9, nu=0.2)]
    >>> m3.homogenize_elasticity(labels, phases).E.round(-8) / 1e9  # x, y, z
    array([ 7.2,  7.2, 20.6])
    """
    started = time.perf_counter()
    image = as_image(labels, voxel_size)
    options = solver_options(tol, max_iterations, precision, callback)
    phases = checked_materials(materials, image.present)
    bbar = boolean(bbar, name="bbar")
    fields = boolean(fields, name="fields")
    threads = integer(threads, name="threads", minimum=0)
    unit, fibre = _checked_directions(directions, image, phases, bbar)
    compute = compute_for(labels, device, threads)

    codes, of_code = compact(image.labels, image.present)
    own = [phases[label] for label in of_code]
    along_z = [_along_z(m) if f else m.stiffness for m, f in zip(own, fibre[of_code], strict=True)]
    stiffness = np.stack(along_z)
    solid = np.array([not m.is_pore for m in own])
    warnings: tuple[str, ...] = ()
    if not solid.all() and solid.any():
        solid_mask = solid[codes]
        warnings = solid_connectivity(solid_mask).warnings(int(solid_mask.sum()))
    if not solid.any():
        results = Hex8Results(
            np.zeros((6, 6)), np.zeros((6, len(own), 6)), (0,) * 6, (0.0,) * 6, True, 0, None
        )
    else:
        problem = Hex8Problem(
            "elasticity",
            codes,
            stiffness,
            image.voxel_size,
            compute,
            options,
            bbar=bbar,
            directions=unit,
            fibre=fibre[of_code] if unit is not None else None,
        )
        batch = 1 if compute.name == "cpu" or codes.size > 160**3 else 6
        results = problem.solve_all(keep_fields=fields, batch=batch)

    fractions = image.fractions(len(phases))
    strain = np.full((6, len(phases), 6), np.nan)
    counts = image.counts[of_code]
    strain[:, of_code] = np.eye(6)[:, None, :] + results.phase_strains / counts[:, None]
    thermal = _thermal_work(image, phases, own, of_code, strain, unit, fibre, results, options)
    compliance, connected = _compliance(results.effective)
    constants = _engineering_constants(results.effective, compliance, connected)
    kept = None
    if fields and results.fields is not None:
        kept = {
            "displacements": results.fields,
            "codes": codes,
            "of_code": of_code,
            "stiffness": stiffness,
            "n_phases": len(phases),
            "voxel_size": image.voxel_size,
            "directions": unit,
            "fibre": fibre[of_code],
        }
    contrast = _contrast(stiffness)
    result = ElasticProperties(
        stiffness=results.effective,
        thermal_expansion=_expansion(compliance, connected, thermal),
        **constants,
        bounds=elastic_bounds(phases, fractions),
        volume_fractions=fractions,
        phase_strain=strain,
        iterations=results.iterations,
        residuals=results.residuals,
        tol=options.tol,
        precision=options.precision,
        bbar=bbar,
        contrast=contrast,
        warnings=warnings,
        seconds=time.perf_counter() - started,
        bytes=results.nbytes,
        device=compute.name,
        _fields=kept,
    )
    results.require_convergence(
        "homogenize_elasticity", _LOADS, options, contrast, partial=result, warnings=warnings
    )
    return result


# ------------------------------------------------------------------------------------- helpers


def _checked_directions(
    directions: Any, image: Image, phases: Sequence[Material], bbar: bool
) -> tuple[np.ndarray | None, np.ndarray]:
    """Unit vectors (nz, ny, nx, 3) or None, and which labels follow them (256,)."""
    follows = np.zeros(256, dtype=bool)
    if directions is None:
        return None, follows
    wanted = "an array (nz, ny, nx, 3) of directions (x, y, z), one per voxel"
    array = to_host(directions, name="directions", wanted=f"be {wanted}")
    if array.dtype.kind not in "iuf":
        raise TypeError(f"`directions` must be {wanted}, got dtype {array.dtype}")
    if array.ndim == image.ndim + 1 and image.ndim == 2:
        array = array[None]
    if array.shape != (*image.labels.shape, 3):
        raise ValueError(f"`directions` must be {wanted}, got shape {array.shape}")
    if len({round(s / image.voxel_size[0], 9) for s in image.voxel_size}) > 1:
        raise ValueError(f"`directions` must come with cubic voxels, got {image.voxel_size}")
    if bbar:
        raise ValueError("`directions` must come with bbar=False, got True")
    for label, material in enumerate(phases):
        follows[label] = isinstance(material, TransverselyIsotropic)
    follows &= image.present
    if not follows.any():
        raise ValueError(
            "`directions` must come with a TransverselyIsotropic phase, got none present"
        )
    length = np.linalg.norm(array.astype(np.float64), axis=-1)
    where = follows[image.labels]
    if not (np.isfinite(length).all() and (length[where] > 0.0).all()):
        raise ValueError(
            "`directions` must be finite and not zero where a fibre is, got one that is"
        )
    unit = np.zeros(array.shape)
    np.divide(array, length[..., None], out=unit, where=where[..., None])
    return unit, follows


def _along_z(material: Material) -> np.ndarray:
    assert isinstance(material, TransverselyIsotropic)
    return material.along_z


def _thermal_work(
    image: Image,
    phases: Sequence[Material],
    own: Sequence[Material],
    of_code: np.ndarray,
    strain: np.ndarray,
    unit: np.ndarray | None,
    fibre: np.ndarray,
    results: Hex8Results,
    options: Any,
) -> np.ndarray:
    """<A^T C alpha>, the mean thermal stress that the concentration passes on, (6,)."""
    work = np.zeros(6)
    for material, label in zip(own, of_code, strict=True):
        if unit is not None and fibre[label]:
            continue
        share = image.counts[label] / image.labels.size
        work += share * strain[:, label] @ material.thermal_stress
    if unit is not None and any(m.thermal_expansion.any() for m in own):
        work += _turned_thermal_work(image, own, of_code, unit, fibre, results)
    return work


def _turned_thermal_work(
    image: Image,
    own: Sequence[Material],
    of_code: np.ndarray,
    unit: np.ndarray,
    fibre: np.ndarray,
    results: Hex8Results,
) -> np.ndarray:
    """The same of the phases whose axis is a field: C alpha = a I + b n n, voxel by voxel."""
    from .local_fields import voxel_strain

    if results.fields is None:
        raise ValueError("`fields` must be True for thermal expansion with `directions`, got False")
    work = np.zeros(6)
    for material, label in zip(own, of_code, strict=True):
        if not fibre[label]:
            continue
        assert isinstance(material, TransverselyIsotropic)
        stress = material.along_z @ strain_voigt(
            np.diag([material.alpha_transverse] * 2 + [material.alpha_axial])
        )
        where = image.labels == label
        n = unit[where]
        pairs = np.stack([n[:, i] * n[:, j] for i, j in VOIGT], axis=1)
        tau = stress[0] * np.r_[1, 1, 1, 0, 0, 0] + (stress[2] - stress[0]) * pairs
        work += tau.sum(axis=0) / image.labels.size
        for load in range(6):
            e = voxel_strain(results.fields[load], image.voxel_size)[where]
            work[load] += np.vdot(e, tau) / image.labels.size
    return work


def _compliance(stiffness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pseudo-inverse, and which strains (6,) the structure resists."""
    top = np.abs(stiffness).max()
    if top == 0.0:
        return np.zeros((6, 6)), np.zeros(6, bool)
    values, vectors = np.linalg.eigh(stiffness / top)
    resists = values > 1e-9
    inverse = (vectors[:, resists] / values[resists]) @ vectors[:, resists].T / top
    outside = 1.0 - (vectors[:, resists] ** 2).sum(axis=1)  # part of e_i that meets no stiffness
    return inverse, outside < 1e-6


def _engineering_constants(
    stiffness: np.ndarray, compliance: np.ndarray, connected: np.ndarray
) -> dict[str, Any]:
    diagonal = np.diag(compliance)
    modulus = np.array(
        [1.0 / d if ok and d > 0.0 else 0.0 for d, ok in zip(diagonal, connected, strict=True)]
    )
    nu = {}
    for i, j in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
        value = -compliance[j, i] / diagonal[i] if modulus[i] > 0.0 else math.nan
        nu["xyz"[i] + "xyz"[j]] = float(value)
    g = {name: float(modulus[k]) for name, k in (("yz", 3), ("xz", 4), ("xy", 5))}
    return {"E": modulus[:3].copy(), "nu": nu, "G": g}


def _expansion(compliance: np.ndarray, connected: np.ndarray, thermal: np.ndarray) -> np.ndarray:
    alpha = np.where(connected, compliance @ thermal, np.nan)
    return strain_tensor(alpha)


def _contrast(stiffness: np.ndarray) -> float:
    """Largest over smallest eigenvalue of the phases (Kelvin form, as of the tensor)."""
    root = np.sqrt(np.array([1, 1, 1, 2, 2, 2]))
    values = np.linalg.eigvalsh(stiffness * np.outer(root, root))
    low, high = values.min(), values.max()
    return float(high / low) if low > 1e-14 * high else math.inf


def _tidy(a: np.ndarray) -> np.ndarray:
    """Zeros for what rounding and tolerance left; for printing only."""
    top = np.nanmax(np.abs(a)) if np.isfinite(a).any() else 0.0
    return np.where(np.abs(a) < 1e-6 * top, 0.0, a)
