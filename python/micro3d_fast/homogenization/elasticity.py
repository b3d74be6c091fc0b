# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Effective stiffness and thermal expansion of a periodic voxel image.

The asymptotic homogenization of the paper (Eq. A.9-A.11): six unit strains, trilinear hexahedra
with full 2 x 2 x 2 integration, conjugate gradients preconditioned with the discrete Green operator
of the mean stiffness. The thermal expansion (Eq. A.12) needs no seventh solve: alpha* = C*^-1
<A^T C alpha>, with the strain concentration A of the six (for two phases: Levin's formula).
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from .. import _figures, _notebook
from .._checks import boolean, refuse
from .._progress import Shown, checked
from .._results import Result
from ..typing import Device, Labels, VoxelSize
from ._call import Call
from ._fibres import checked_directions, fibre_thermal_work
from ._hex8 import Hex8Results, solve_unit_loads
from ._phase_arguments import checked_materials, stress_unit
from ._resistance import Resistance, carried_stresses, consistent_strains, kelvin_values
from ._unit_elements import UnitElements
from ._voigt import COMPONENTS, VOIGT_NAMES, strain_tensor
from .bounds import ElasticBounds, elastic_bounds
from .connectivity import Connectivity, solid_connectivity
from .local_fields import LocalFields, UnitDisplacements, local_elastic_fields
from .material_sets import MaterialSet
from .materials import Material, TransverselyIsotropic
from .solver import SolverProgress, solver_options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ElasticProperties", "homogenize_elasticity"]

_EXPANSION_ERROR = 1e-3  # relative error of the thermal expansion that warns


@dataclass(frozen=True, eq=False)
class ElasticProperties(Result):
    """Effective elastic properties.

    Attributes
    ----------
    stiffness : array (6, 6)
        C*, Voigt order 11, 22, 33, 23, 13, 12 (1, 2, 3 = x, y, z), engineering shear strain.
    thermal_expansion : array (3, 3)
        Symmetric tensor (tensor shear), components x, y, z, per kelvin. NaN without stiffness.
    thermal_expansion_error : float
        Estimated error of ``thermal_expansion``, relative to its largest component: it is of the
        order of ``tol`` and grows with the contrast of three or more phases. 0 for one or two,
        whose expansion follows from the stiffness. With ``directions`` from the residuals and the
        largest expansion of a phase, which is rather too large. Above 0.001 it warns.
    E : array (3,)
        Young's moduli along x, y, z; 0 without stiffness.
    nu : dict
        Poisson's ratios ``"xy"``, ``"xz"``, ``"yx"``, ...: load along the first axis, contraction
        along the second; NaN where one of the two is without stiffness.
    G : dict
        Shear moduli ``"yz"``, ``"xz"``, ``"xy"``.
    bounds : ElasticBounds
        Voigt, Reuss and (isotropic phases) Hashin-Shtrikman, from the volume fractions.
    volume_fractions : array (P,)
        By label.
    phase_strain : array (6, P, 6)
        Mean strain of every phase (Voigt, engineering shear) under the six unit strains; NaN for a
        phase that does not occur. The strain concentration; consistent with ``stiffness``, so for
        two phases its error is of the order of the square of ``tol``, otherwise of ``tol``.
    iterations, residuals : tuples of int and float
        Of the six loads xx, yy, zz, yz, xz, xy; the true relative residuals, at most ``tol``. In a
        partial result NaN for loads that were never run, as is what depends on them.
    tol, precision, bbar : float, str, bool
        As requested.
    contrast : float
        Largest over smallest stiffness of the phases; inf with a pore.
    warnings : tuple of str
        Opposite faces that do not match, floating islands, pieces connected by edges alone,
        directions without a connection, volumetric locking.
    seconds : float
        Wall time of the whole call.
    bytes : int
        Memory of the solver's fields, for the loads solved together.
    device : str
        Where the solver ran.
    unit : str
        Of the stresses: that of a `MaterialSet`; of other materials ``"Pa"`` where one is stiffer
        than 1e9, as solids are in no other usual unit, and otherwise empty: their own.
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
    seconds: float = field(compare=False)
    bytes: int
    device: str
    unit: str
    thermal_expansion_error: float
    _resistance: Resistance = field(repr=False, compare=False)
    _displacements: UnitDisplacements | None = field(default=None, repr=False, compare=False)

    @property
    def boundary(self) -> str:
        """The boundary condition."""
        return "periodic"

    @property
    def compliance(self) -> np.ndarray:
        """Inverse of the stiffness, shape (6, 6).

        NaN in the rows and columns of strains that the stress does not determine.
        """
        return self._resistance.compliance

    def young(self, direction: ArrayLike) -> np.ndarray:
        """Return Young's modulus along directions (..., 3) in (x, y, z); 0 without stiffness."""
        n = np.asarray(direction, dtype=np.float64)
        return self._resistance.young(n / np.linalg.norm(n, axis=-1, keepdims=True))

    def local(
        self,
        *,
        strain: ArrayLike | None = None,
        stress: ArrayLike | None = None,
        names: str | Sequence[str] = ("von_mises",),
    ) -> LocalFields:
        """Compute local fields under a mean strain or stress; needs a call with ``fields=True``.

        Parameters
        ----------
        strain, stress : six numbers
            Voigt order 11, 22, 33, 23, 13, 12, engineering shear strain; one of the two. A stress
            that the structure does not carry is refused.
        names : one or a sequence of {"von_mises", "stress", "strain", "displacement"}
            Which fields to keep; phase averages are always computed.

        Notes
        -----
        Fields are values at the centres of voxels.  The mean of stress times strain there is less
        than the energy (.87 of it for random voxels): form energies from ``stiffness``.
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
        if not self._resistance.solved:
            wanted = "follow a call that converged for all six loads"
            raise refuse("local", wanted, "a partial result")
        if stress is not None:
            if not self._resistance.carries(mean):
                wanted = "be a stress that the structure carries"
                raise refuse("stress", wanted, repr(given), "its stiffness is 0 there")
            mean = self._resistance.inverse @ mean
        chosen = (names,) if isinstance(names, str) or not isinstance(names, Iterable) else names
        return local_elastic_fields(mean, tuple(chosen), self._displacements)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw Young's modulus along all directions of the planes xy, xz and yz.

        Parameters
        ----------
        axes : matplotlib polar axes, optional
            Where to draw; default new ones.

        Returns
        -------
        matplotlib.axes.Axes
        """
        return _figures.plot_directions(self.young, "Young's modulus", axes)

    def _repr_html_(self) -> str:
        tensors = {
            f"Stiffness, in {self.unit or 'the unit of the phases'}": (
                _tidy(self.stiffness),
                VOIGT_NAMES,
            )
        }
        alpha = _tidy(self.thermal_expansion)
        if alpha.any():
            tensors["Thermal expansion, 1/K"] = (alpha, COMPONENTS)
        rows = [
            [f"E ({', '.join(COMPONENTS)})", ", ".join(f"{v:.5g}" for v in self.E)],
            *(
                [f"{symbol} ({', '.join(of)})", ", ".join(f"{v:.4g}" for v in of.values())]
                for symbol, of in (("G", self.G), ("ν", self.nu))
            ),
        ]
        return _notebook.properties_html("ElasticProperties", self, tensors, rows)

    def __repr__(self) -> str:
        with np.printoptions(precision=5, suppress=False, linewidth=100):
            lines = [
                f"ElasticProperties ({self.boundary}; stresses in "
                f"{self.unit or 'the unit of the phases'}; 1, 2, 3 = x, y, z)",
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
    labels: Labels,
    materials: Sequence[Material] | Mapping[int | str, Material] | MaterialSet,
    *,
    tol: float = 1e-6,
    device: Device = None,
    voxel_size: VoxelSize | None = None,
    precision: str = "mixed",
    bbar: bool = False,
    directions: ArrayLike | None = None,
    fields: bool = False,
    max_iterations: int = 2000,
    callback: Callable[[SolverProgress], None] | None = None,
    progress: Shown = None,
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
    materials : sequence of Material indexed by label, mapping of label or name, or MaterialSet
        Must cover every label present. ``Isotropic(E=0)`` is a pore.
    tol : float
        Bound of the true relative residual of every load, in (0, 1). The error of the stiffness,
        relative to its largest component, is of the order of its square.
    device : None, "cpu" or "cuda"
        Default: where ``labels`` are.
    voxel_size : float or one per axis, optional
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
    progress : bool, optional
        Show a bar with the remaining time, on stderr. Default: in a terminal or notebook, if the
        work takes more than a few seconds; lines instead of a bar where True is given elsewhere.
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
    checked(progress)
    options = solver_options(tol, max_iterations, precision, callback)
    call = Call.of(labels, voxel_size, options, device, threads, bytes_per_voxel=145)
    problem = _checked(call, materials, directions, bbar, fields)
    found = call.warn_of_seams() + _locking_warning(problem)
    elements = UnitElements(
        problem.phase_codes,
        problem.stiffness,
        call.voxels.voxel_size,
        counts=call.voxels.counts[problem.labels_of_code],
        bbar=problem.bbar,
        directions=problem.fibre_directions,
        fibre_phases=problem.fibre_phases,
    )
    with (
        ThreadPoolExecutor(1) as beside,  # the host, while a GPU solves
        call.followed(progress, "stiffness", 6) as followed,
    ):
        finding = beside.submit(_connectivity, problem)
        if call.compute.name == "cpu":
            finding.result()
        results = solve_unit_loads(
            followed, "elasticity", elements, keep_fields=problem.fields, together=160**3
        )
    connectivity = finding.result()
    if connectivity is not None:
        found += connectivity.warnings(problem.solid_voxels)
    result = _properties(problem, results, connectivity, found)
    results.require_convergence(
        "homogenize_elasticity",
        VOIGT_NAMES,
        options,
        result.contrast,
        partial=result,
        warnings=found,
    )
    return result


# ------------------------------------------------------------------------------------- check


@dataclass(frozen=True, eq=False)
class _Problem:
    """The checked arguments of a call, and the phases that occur, by code."""

    call: Call
    materials: tuple[Material, ...]  # by label
    unit: str  # of their stresses, if known
    bbar: bool
    fields: bool
    phase_codes: np.ndarray
    labels_of_code: np.ndarray
    phase_materials: list[Material]
    stiffness: np.ndarray  # (P, 6, 6); with its axis along z where a phase follows the directions
    fibre_directions: np.ndarray | None
    fibre_phases: np.ndarray

    @property
    def solid(self) -> np.ndarray:
        """Which phases are no pores, (P,)."""
        return np.array([not m.is_pore for m in self.phase_materials])

    @property
    def solid_voxels(self) -> int:
        return int(self.call.voxels.counts[self.labels_of_code[self.solid]].sum())


def _checked(call: Call, materials: Any, directions: Any, bbar: Any, fields: Any) -> _Problem:
    voxels = call.voxels
    phases = checked_materials(materials, voxels)
    bbar, fields = boolean(bbar, name="bbar"), boolean(fields, name="fields")
    unit_vectors, fibre_labels = checked_directions(directions, voxels, phases, bbar, fields)
    phase_codes, labels_of_code = voxels.phase_codes()
    present = [phases[label] for label in labels_of_code]
    fibre_phases = fibre_labels[labels_of_code]
    return _Problem(
        call=call,
        materials=phases,
        unit=stress_unit(materials, phases),
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


def _connectivity(problem: _Problem) -> Connectivity | None:
    """Return the pieces of the solid; None without pores, or without a solid."""
    solid = problem.solid
    if solid.all() or not solid.any():
        return None
    return solid_connectivity(solid[problem.phase_codes])


def _locking_warning(problem: _Problem) -> tuple[str, ...]:
    """Warn of nearly incompressible phases in full integration, beside other phases."""
    c = problem.stiffness
    bulk = c[:, :3, :3].sum(axis=(1, 2)) / 9.0
    shear = (np.trace(c[:, :3, :3], axis1=1, axis2=2) - 3.0 * bulk) / 10.0
    shear += np.trace(c[:, 3:, 3:], axis1=1, axis2=2) / 5.0  # of the isotropic part
    locking = problem.labels_of_code[bulk > 49.6 * shear]  # Poisson's ratio above 0.49
    if problem.bbar or len(c) == 1 or not len(locking):
        return ()
    labels = ", ".join(map(str, locking))
    sentence = (
        f"phase {labels} is nearly incompressible (Poisson's ratio above 0.49), where these "
        "elements lock and the result is too stiff: use `bbar=True`"
    )
    warnings.warn(sentence, stacklevel=3)
    return (sentence,)


# ----------------------------------------------------------------------------------- assemble


def _resistance(
    problem: _Problem, effective: np.ndarray, connectivity: Connectivity | None
) -> Resistance:
    """Return the effective stiffness, zero where the solid does not connect, and its inverse."""
    call, solid = problem.call, problem.solid
    if connectivity is None:
        return Resistance.of(effective, None if solid.any() else np.zeros((6, 0)), 0.0)
    basis = carried_stresses(connectivity.spans(call.voxels.voxel_size))
    tol = call.options.tol
    share = problem.solid_voxels / call.voxels.labels.size
    softest = kelvin_values(problem.stiffness[solid]).min()
    # the error of the energy is of the order of tol^2; single wires carry a share of the solid
    return Resistance.of(effective, basis, max(min(tol, 1e-6), tol**2) * softest * share)


def _properties(
    problem: _Problem,
    results: Hex8Results,
    connectivity: Connectivity | None,
    found: tuple[str, ...],
) -> ElasticProperties:
    """Return the effective properties of the solved unit loads."""
    call, voxels = problem.call, problem.call.voxels
    fractions = voxels.fractions(len(problem.materials))
    resistance = _resistance(problem, results.effective, connectivity)
    strain = results.phase_means(voxels.counts, problem.labels_of_code, len(problem.materials))
    alpha, error = _expansion(problem, resistance, strain, results)
    if error > _EXPANSION_ERROR:
        sentence = (
            f"the thermal expansion is known to about {error:.1g} of its largest component only "
            f"(contrast of the phases {_contrast(problem.stiffness):.3g}): use a lower `tol`, with "
            "`precision`='float64'"
        )
        warnings.warn(sentence, stacklevel=3)
        found = (*found, sentence)
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
        stiffness=resistance.stiffness,
        thermal_expansion=strain_tensor(alpha),
        thermal_expansion_error=error,
        **_engineering_constants(resistance),
        bounds=elastic_bounds(problem.materials, fractions),
        volume_fractions=fractions,
        phase_strain=strain,
        iterations=results.iterations,
        residuals=results.residuals,
        tol=call.options.tol,
        precision=call.options.precision,
        bbar=problem.bbar,
        contrast=_contrast(problem.stiffness),
        warnings=found,
        seconds=call.seconds(),
        bytes=results.nbytes,
        device=call.compute.name,
        unit=problem.unit,
        _resistance=resistance,
        _displacements=displacements,
    )


def _expansion(
    problem: _Problem, resistance: Resistance, strain: np.ndarray, results: Hex8Results
) -> tuple[np.ndarray, float]:
    """Make the phase ``strain`` consistent; return the expansion (6,) and its relative error.

    The error is estimated by the change of the expansion: it is about the error that is left where
    three or more phases occur. The strains of two follow from the stiffness. Phases that follow a
    field of directions have no stiffness to agree with; there the residuals give the error.
    """
    computed = resistance.inverse @ _thermal_work(problem, strain, results)
    error = math.nan
    if resistance.solved and not problem.fibre_phases.any():
        occur = problem.labels_of_code
        shares = problem.call.voxels.counts[occur] / problem.call.voxels.labels.size
        strain[:, occur] = consistent_strains(
            strain[:, occur], shares, problem.stiffness, resistance.stiffness
        )
        alpha = resistance.inverse @ _thermal_work(problem, strain, results)
        change, largest = np.abs(alpha - computed).max(), np.abs(alpha).max()
        error = float(change / largest) if len(occur) > 2 and largest > 0.0 else 0.0
        computed = alpha
    elif resistance.solved and results.converged:
        # exact for one expansion everywhere; the others are no larger
        own = max(np.abs(m.thermal_expansion).max() for m in problem.phase_materials)
        lost = np.abs(resistance.inverse @ results.residual_work).max() * own
        largest = np.abs(computed).max()
        error = float(lost / largest) if largest > 0.0 else 0.0
    computed[~resistance.determined] = math.nan
    return computed, error


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


def _engineering_constants(resistance: Resistance) -> dict[str, Any]:
    """Return the arguments ``E``, ``nu`` and ``G`` of `ElasticProperties`."""
    if not resistance.solved:
        names = [a + b for a, b in itertools.permutations(COMPONENTS, 2)]
        g = {VOIGT_NAMES[k]: math.nan for k in (3, 4, 5)}
        return {"E": np.full(3, math.nan), "nu": dict.fromkeys(names, math.nan), "G": g}
    compliance, known = resistance.inverse, resistance.determined
    diagonal = np.diag(compliance)
    modulus = np.divide(1.0, diagonal, out=np.zeros(6), where=known)
    nu = {
        COMPONENTS[i] + COMPONENTS[j]: float(0.0 - compliance[j, i] / diagonal[i])  # no -0.0
        if known[i] and known[j]
        else math.nan
        for i, j in itertools.permutations(range(3), 2)
    }
    g = {VOIGT_NAMES[k]: float(modulus[k]) for k in (3, 4, 5)}
    return {"E": modulus[:3].copy(), "nu": nu, "G": g}


def _contrast(stiffness: np.ndarray) -> float:
    """Return the largest over the smallest eigenvalue of the phases, in Kelvin's form."""
    values = kelvin_values(stiffness)
    low, high = values.min(), values.max()
    return float(high / low) if low > 1e-14 * high else math.inf


def _tidy(a: np.ndarray) -> np.ndarray:
    """Return zeros for values that are rounding errors; for printing only."""
    top = np.nanmax(np.abs(a)) if np.isfinite(a).any() else 0.0
    return np.where(np.abs(a) < 1e-6 * top, 0.0, a)
