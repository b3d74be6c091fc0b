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
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._checks import boolean, refuse
from ._call import Call
from ._fibres import checked_directions, fibre_thermal_work
from ._hex8 import Hex8Results, solve_unit_loads
from ._phase_arguments import checked_materials
from ._unit_elements import UnitElements
from ._voigt import COMPONENTS, VOIGT_NAMES, dyads, strain_tensor
from .bounds import ElasticBounds, elastic_bounds
from .connectivity import solid_connectivity
from .local_fields import LocalFields, UnitDisplacements, local_elastic_fields
from .materials import Material, TransverselyIsotropic
from .solver import SolverProgress, solver_options

__all__ = ["ElasticProperties", "homogenize_elasticity"]


@dataclass(frozen=True, eq=False)
class ElasticProperties:
    """Effective elastic properties; stresses in the unit of the phases.

    Attributes
    ----------
    stiffness : array (6, 6)
        C*, Voigt order 11, 22, 33, 23, 13, 12 (1, 2, 3 = x, y, z), engineering shear strain.
    thermal_expansion : array (3, 3)
        Symmetric tensor (tensor shear), components x, y, z, per kelvin. NaN without stiffness.
    E : array (3,)
        Young's moduli along x, y, z; 0 without stiffness.
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
        As requested.
    contrast : float
        Largest over smallest stiffness of the phases; inf with a pore.
    warnings : tuple of str
        Opposite faces that do not match, floating islands, pieces connected by edges alone,
        directions without a connection.
    seconds : float
        Wall time of the whole call.
    bytes : int
        Memory of the solver's fields, for the loads solved together.
    device : str
        Where the solver ran.
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
    _displacements: UnitDisplacements | None = field(default=None, repr=False)

    @property
    def boundary(self) -> str:
        """The boundary condition."""
        return "periodic"

    @property
    def compliance(self) -> np.ndarray:
        """Inverse of the stiffness (pseudo-inverse if it is singular), shape (6, 6)."""
        return _compliance(self.stiffness)[0]

    def young(self, direction: Any) -> np.ndarray:
        """Return Young's modulus along directions (..., 3) in (x, y, z)."""
        n = np.asarray(direction, dtype=np.float64)
        n = n / np.linalg.norm(n, axis=-1, keepdims=True)
        sigma = dyads(n)  # Voigt stress; strain energy = sigma S sigma
        return 1.0 / np.einsum("...i,ij,...j->...", sigma, self.compliance, sigma)

    def local(
        self, *, strain: Any = None, stress: Any = None, names: Sequence[str] = ("von_mises",)
    ) -> LocalFields:
        """Compute local fields under a mean strain or stress; needs a call with ``fields=True``.

        Parameters
        ----------
        strain, stress : six numbers
            Voigt order 11, 22, 33, 23, 13, 12, engineering shear strain; one of the two.
        names : sequence of {"von_mises", "stress", "strain", "displacement"}
            Which fields to keep; phase averages are always computed.
        """
        if self._displacements is None:
            wanted = "follow homogenize_elasticity(..., fields=True)"
            raise refuse("local", wanted, "a result without displacements")
        if (strain is None) == (stress is None):
            got = "neither" if strain is None else "both"
            raise refuse("strain", "be given, or `stress`, and not both", got)
        name, given = ("strain", strain) if stress is None else ("stress", stress)
        mean = np.asarray(given, dtype=np.float64)
        if mean.shape != (6,) or not np.isfinite(mean).all():
            raise refuse(name, "be six finite numbers in Voigt order", repr(given))
        if stress is not None:
            mean = self.compliance @ mean
        return local_elastic_fields(mean, tuple(names), self._displacements)

    def __repr__(self) -> str:
        with np.printoptions(precision=5, suppress=False, linewidth=100):
            lines = [
                f"ElasticProperties ({self.boundary}; stresses in the unit of the phases; "
                "1, 2, 3 = x, y, z)",
                "  stiffness, Voigt 11, 22, 33, 23, 13, 12:",
                *("    " + " ".join(f"{v:12.5g}" for v in row) for row in _tidy(self.stiffness)),
                "  E   "
                + ", ".join(f"{a} {v:.6g}" for a, v in zip(COMPONENTS, self.E, strict=True)),
                "  nu  " + ", ".join(f"{k} {v:.4g}" for k, v in self.nu.items()),
                "  G   " + ", ".join(f"{k} {v:.6g}" for k, v in self.G.items()),
            ]
        alpha = _tidy(self.thermal_expansion)
        if alpha.any():
            diagonal = ", ".join(f"{a} {alpha[i, i]:.5g}" for i, a in enumerate(COMPONENTS))
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
    r"""Compute the effective stiffness and thermal expansion of a periodic labelled image.

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
        An argument is not accepted; the message names it and the requirement.
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
    array([ 7.5,  7.5, 20.5])
    """
    options = solver_options(tol, max_iterations, precision, callback)
    call = Call.of(labels, voxel_size, options, device, threads)
    problem = _checked(call, materials, directions, bbar, fields)
    warnings = call.warn_of_seams() + _connectivity_warnings(problem)
    elements = UnitElements(
        problem.phase_codes,
        problem.stiffness,
        call.voxels.voxel_size,
        bbar=problem.bbar,
        directions=problem.fibre_directions,
        fibre_phases=problem.fibre_phases,
    )
    results = solve_unit_loads(
        call, "elasticity", elements, keep_fields=problem.fields, together=160**3
    )
    result = _properties(problem, results, warnings)
    results.require_convergence(
        "homogenize_elasticity",
        VOIGT_NAMES,
        options,
        result.contrast,
        partial=result,
        warnings=warnings,
    )
    return result


# ------------------------------------------------------------------------------------- check


@dataclass(frozen=True, eq=False)
class _Problem:
    """The checked arguments of a call, and the phases that occur, by code."""

    call: Call
    materials: tuple[Material, ...]  # by label
    bbar: bool
    fields: bool
    phase_codes: np.ndarray
    labels_of_code: np.ndarray
    phase_materials: list[Material]
    stiffness: np.ndarray  # (P, 6, 6); with its axis along z where a phase follows the directions
    fibre_directions: np.ndarray | None
    fibre_phases: np.ndarray


def _checked(call: Call, materials: Any, directions: Any, bbar: Any, fields: Any) -> _Problem:
    voxels = call.voxels
    phases = checked_materials(materials, voxels.present)
    bbar, fields = boolean(bbar, name="bbar"), boolean(fields, name="fields")
    unit_vectors, fibre_labels = checked_directions(directions, voxels, phases, bbar, fields)
    phase_codes, labels_of_code = voxels.phase_codes()
    present = [phases[label] for label in labels_of_code]
    fibre_phases = fibre_labels[labels_of_code]
    return _Problem(
        call=call,
        materials=phases,
        bbar=bbar,
        fields=fields,
        phase_codes=phase_codes,
        labels_of_code=labels_of_code,
        phase_materials=present,
        stiffness=np.stack(
            [
                m.along_z if follows and isinstance(m, TransverselyIsotropic) else m.stiffness
                for m, follows in zip(present, fibre_phases, strict=True)
            ]
        ),
        fibre_directions=unit_vectors,
        fibre_phases=fibre_phases,
    )


def _connectivity_warnings(problem: _Problem) -> tuple[str, ...]:
    solid = np.array([not m.is_pore for m in problem.phase_materials])
    if solid.all() or not solid.any():
        return ()
    mask = solid[problem.phase_codes]
    return solid_connectivity(mask).warnings(int(mask.sum()))


# ----------------------------------------------------------------------------------- assemble


def _properties(
    problem: _Problem, results: Hex8Results, warnings: tuple[str, ...]
) -> ElasticProperties:
    """Return the effective properties of the solved unit loads."""
    call, voxels = problem.call, problem.call.voxels
    fractions = voxels.fractions(len(problem.materials))
    strain = results.phase_means(voxels.counts, problem.labels_of_code, len(problem.materials))
    compliance, connected = _compliance(results.effective)
    alpha = np.where(connected, compliance @ _thermal_work(problem, strain, results), np.nan)
    displacements = None
    if problem.fields and results.fields is not None:
        displacements = UnitDisplacements(
            displacements=results.fields,
            phase_codes=problem.phase_codes,
            labels_of_code=problem.labels_of_code,
            stiffness=problem.stiffness,
            n_phases=len(problem.materials),
            voxel_size=voxels.voxel_size,
            fibre_directions=problem.fibre_directions,
            fibre_phases=problem.fibre_phases,
        )
    return ElasticProperties(
        stiffness=results.effective,
        thermal_expansion=strain_tensor(alpha),
        **_engineering_constants(compliance, connected),
        bounds=elastic_bounds(problem.materials, fractions),
        volume_fractions=fractions,
        phase_strain=strain,
        iterations=results.iterations,
        residuals=results.residuals,
        tol=call.options.tol,
        precision=call.options.precision,
        bbar=problem.bbar,
        contrast=_contrast(problem.stiffness),
        warnings=warnings,
        seconds=call.seconds(),
        bytes=results.nbytes,
        device=call.compute.name,
        _displacements=displacements,
    )


def _thermal_work(problem: _Problem, strain: np.ndarray, results: Hex8Results) -> np.ndarray:
    """Return <A^T C alpha>, (6,), with the strain concentration A of the six unit loads."""
    voxels = problem.call.voxels
    work, fibres = np.zeros(6), dict[int, TransverselyIsotropic]()
    for material, label, follows in zip(
        problem.phase_materials, problem.labels_of_code, problem.fibre_phases, strict=True
    ):
        if follows and isinstance(material, TransverselyIsotropic):
            fibres[int(label)] = material
        else:
            share = voxels.counts[label] / voxels.labels.size
            work += share * strain[:, label] @ material.thermal_stress
    if fibres and any(m.thermal_expansion.any() for m in problem.phase_materials):
        assert problem.fibre_directions is not None
        assert results.fields is not None
        work += fibre_thermal_work(voxels, problem.fibre_directions, fibres, results.fields)
    return work


def _compliance(stiffness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the pseudo-inverse, and which strains (6,) the structure resists."""
    top = np.abs(stiffness).max()
    if top == 0.0:
        return np.zeros((6, 6)), np.zeros(6, bool)
    values, vectors = np.linalg.eigh(stiffness / top)
    resists = values > 1e-9
    inverse = (vectors[:, resists] / values[resists]) @ vectors[:, resists].T / top
    outside = 1.0 - (vectors[:, resists] ** 2).sum(axis=1)  # part of e_i without stiffness
    return inverse, outside < 1e-6


def _engineering_constants(compliance: np.ndarray, connected: np.ndarray) -> dict[str, Any]:
    """Return the arguments ``E``, ``nu`` and ``G`` of `ElasticProperties`."""
    diagonal = np.diag(compliance)
    modulus = np.array(
        [1.0 / d if ok and d > 0.0 else 0.0 for d, ok in zip(diagonal, connected, strict=True)]
    )
    nu = {}
    for i, j in ((0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)):
        value = -compliance[j, i] / diagonal[i] if modulus[i] > 0.0 else math.nan
        nu[COMPONENTS[i] + COMPONENTS[j]] = float(value)
    g = {VOIGT_NAMES[k]: float(modulus[k]) for k in (3, 4, 5)}
    return {"E": modulus[:3].copy(), "nu": nu, "G": g}


def _contrast(stiffness: np.ndarray) -> float:
    """Return the largest over the smallest eigenvalue of the phases, in Kelvin's form."""
    root = np.sqrt(np.array([1, 1, 1, 2, 2, 2]))
    values = np.linalg.eigvalsh(stiffness * np.outer(root, root))
    low, high = values.min(), values.max()
    return float(high / low) if low > 1e-14 * high else math.inf


def _tidy(a: np.ndarray) -> np.ndarray:
    """Return zeros for values that are rounding errors; for printing only."""
    top = np.nanmax(np.abs(a)) if np.isfinite(a).any() else 0.0
    return np.where(np.abs(a) < 1e-6 * top, 0.0, a)
