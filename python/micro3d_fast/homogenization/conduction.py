# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Effective conductivity (thermal, electric, diffusion) of a periodic voxel image, on the same
elements as elasticity."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from .. import _figures, _notebook
from .._checks import boolean
from .._progress import Shown, checked
from .._results import Result
from ..typing import Device, Labels, VoxelSize
from ._call import Call
from ._hex8 import solve_unit_loads
from ._phase_arguments import checked_conductivities
from ._resistance import carried_fluxes, projected
from ._unit_elements import UnitElements
from ._voigt import COMPONENTS
from .bounds import ConductivityBounds, conductivity_bounds
from .connectivity import solid_connectivity
from .local_fields import voxel_gradient
from .material_sets import MaterialSet
from .solver import SolverProgress, solver_options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["ConductivityProperties", "homogenize_conductivity"]


@dataclass(frozen=True, eq=False)
class ConductivityProperties(Result):
    """Effective conductivity, in the unit of the phases.

    Attributes
    ----------
    tensor : array (3, 3)
        Symmetric, components x, y, z; 0 where no conductor connects.
    bounds : ConductivityBounds
        Voigt, Reuss and (isotropic phases) Hashin-Shtrikman, from the volume fractions.
    volume_fractions : array (P,)
        By label.
    phase_gradient : array (3, P, 3)
        Mean gradient of every phase under the three unit gradients; NaN for a phase that does not
        occur.
    iterations, residuals : tuples of int and float
        Of the three loads x, y, z; true relative residuals, at most ``tol``. In a partial result
        NaN for loads that were never run, as is what depends on them.
    tol, precision : float, str
        As requested.
    contrast : float
        Largest over smallest conductivity of the phases; inf with an insulator.
    seconds : float
        Wall time of the whole call.
    bytes : int
        Memory of the solver's fields, for the loads solved together.
    device : str
        Where the solver ran.
    flux : array (3, nz, ny, nx, 3) or None
        On request: minus conductivity times gradient at the centres of voxels, components x, y, z,
        under unit gradients (-1) along x, y, z.
    warnings : tuple of str
        Opposite faces that do not match.
    unit : str
        That of a `MaterialSet`; empty for other conductivities, whose unit it is.
    """

    tensor: np.ndarray
    bounds: ConductivityBounds
    volume_fractions: np.ndarray
    phase_gradient: np.ndarray
    iterations: tuple[int, ...]
    residuals: tuple[float, ...]
    tol: float
    precision: str
    contrast: float
    seconds: float = field(compare=False)
    bytes: int
    device: str
    flux: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    unit: str = ""

    @property
    def boundary(self) -> str:
        """The boundary condition."""
        return "periodic"

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw the conductivity along all directions of the planes xy, xz and yz.

        Parameters
        ----------
        axes : matplotlib polar axes, optional
            Where to draw; default new ones.

        Returns
        -------
        matplotlib.axes.Axes
        """
        return _figures.plot_directions(
            lambda n: np.einsum("...i,ij,...j->...", n, self.tensor, n), "Conductivity", axes
        )

    def _repr_html_(self) -> str:
        tensors = {
            f"Conductivity, in {self.unit or 'the unit of the phases'}": (self._tidy, COMPONENTS)
        }
        return _notebook.properties_html("ConductivityProperties", self, tensors)

    @property
    def _tidy(self) -> np.ndarray:
        """The tensor without components that are rounding errors."""
        top = np.abs(self.tensor).max()
        return np.where(np.abs(self.tensor) < 1e-6 * top, 0.0, self.tensor)

    def __repr__(self) -> str:
        tidy = self._tidy
        unit = self.unit or "the unit of the phases"
        lines = [f"ConductivityProperties ({self.boundary}; in {unit}; x, y, z)"]
        lines += ["    " + " ".join(f"{v:12.6g}" for v in row) for row in tidy]
        lines.append(
            f"  {sum(self.iterations)} iterations {self.iterations}, residuals <= "
            f"{max(self.residuals):.1e}, {self.seconds:.2f} s on {self.device}"
        )
        lines.extend(f"  warning: {w}" for w in self.warnings)
        return "\n".join(lines)


def homogenize_conductivity(
    labels: Labels,
    conductivities: Sequence[ArrayLike] | Mapping[int | str, ArrayLike] | MaterialSet,
    *,
    tol: float = 1e-6,
    device: Device = None,
    voxel_size: VoxelSize | None = None,
    precision: str = "mixed",
    fields: bool = False,
    max_iterations: int = 2000,
    callback: Callable[[SolverProgress], None] | None = None,
    progress: Shown = None,
    threads: int = 0,
) -> ConductivityProperties:
    """Compute the effective conductivity tensor of a periodic labelled image.

    Trilinear hexahedra, one per voxel, conduct through edges and corners too; for the finite-volume
    diffusivity between two plates see :func:`micro3d_fast.relative_diffusivity`.

    Parameters
    ----------
    labels : array of bool or integers, shape (nz, ny, nx) or (ny, nx), or Microstructure
        Phase of every voxel, one period; a 2D image is a prism along z.
    conductivities : sequence indexed by label, mapping of label or name, or MaterialSet
        Per phase: a number, three numbers along (x, y, z), or a symmetric positive definite (3, 3)
        tensor; 0 insulates. Must cover every label present.
    tol : float
        Bound of the true relative residual of every load, in (0, 1).
    device : None, "cpu" or "cuda"
        Default: where ``labels`` are.
    voxel_size : float or one per axis, optional
        Default: that of the Microstructure, or cubes. Only ratios matter.
    precision : {"mixed", "float64"}
        Storage in float32 with float64 sums and refinement, or float64 throughout.
    fields : bool
        Return the flux at the centres of voxels too.
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
    ConductivityProperties

    Examples
    --------
    Layers along z, in series there and in parallel along x and y:

    >>> import numpy as np
    >>> labels = np.zeros((4, 3, 3), dtype=np.uint8)
    >>> labels[2:] = 1
    >>> np.diag(homogenize_conductivity(labels, [1.0, 3.0]).tensor).round(6)
    array([2. , 2. , 1.5])
    """
    checked(progress)
    options = solver_options(tol, max_iterations, precision, callback)
    call = Call.of(labels, voxel_size, options, device, threads)
    voxels = call.voxels
    phases = checked_conductivities(conductivities, voxels)
    fields = boolean(fields, name="fields")
    warnings = call.warn_of_seams()

    phase_codes, labels_of_code = voxels.phase_codes()
    tensors = np.stack([phases[label] for label in labels_of_code])
    counts = voxels.counts[labels_of_code]
    elements = UnitElements(phase_codes, tensors, voxels.voxel_size, counts=counts)
    with call.followed(progress, "conductivity", 3) as followed:
        results = solve_unit_loads(
            followed, "conductivity", elements, keep_fields=fields, together=256**3
        )
    flux = None
    if fields and results.fields is not None:
        flux = _flux(results.fields, tensors, phase_codes, voxels.voxel_size)
    values = np.linalg.eigvalsh(tensors)
    low, high = float(values.min()), float(values.max())
    contrast = high / low if low > 0.0 else math.inf
    fractions = voxels.fractions(len(phases))
    result = ConductivityProperties(
        tensor=_connected(call, results.effective, tensors, phase_codes),
        bounds=conductivity_bounds(phases, fractions),
        volume_fractions=fractions,
        phase_gradient=results.phase_means(voxels.counts, labels_of_code, len(phases)),
        iterations=results.iterations,
        residuals=results.residuals,
        tol=options.tol,
        precision=options.precision,
        contrast=contrast,
        seconds=call.seconds(),
        bytes=results.nbytes,
        device=call.compute.name,
        flux=flux,
        warnings=warnings,
        unit=conductivities.conductivity_unit if isinstance(conductivities, MaterialSet) else "",
    )
    results.require_convergence(
        "homogenize_conductivity", COMPONENTS, options, contrast, partial=result, warnings=warnings
    )
    return result


def _connected(
    call: Call, effective: np.ndarray, tensors: np.ndarray, phase_codes: np.ndarray
) -> np.ndarray:
    """Return the tensor, zero along directions that no conductor reaches around the cell along.

    Only conductors among insulators have such directions, and only if little is conducted.
    """
    conducts = np.array([tensor.any() for tensor in tensors])
    if conducts.all() or not conducts.any() or not np.isfinite(effective).all():
        return effective
    least = np.linalg.eigvalsh(tensors[conducts]).min()
    if np.linalg.eigvalsh(effective).min() > 1e-3 * least:
        return effective
    connectivity = solid_connectivity(conducts[phase_codes])
    return projected(effective, carried_fluxes(connectivity.spans(call.voxels.voxel_size)))


def _flux(
    potentials: np.ndarray,
    tensors: np.ndarray,
    phase_codes: np.ndarray,
    voxel_size: tuple[float, float, float],
) -> np.ndarray:
    """Return the flux (3, nz, ny, nx, 3) at the centres of voxels under the three unit loads."""
    fluxes = []
    for load in range(3):
        gradient = voxel_gradient(potentials[load], voxel_size)[..., 0, :] + np.eye(3)[load]
        flux = np.einsum("...ij,...j->...i", tensors[phase_codes], gradient)
        fluxes.append(flux.astype(np.float32))
    return np.stack(fluxes)
