# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Relative diffusivity and tortuosity between two plates, as TauFactor defines them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _figures, _notebook
from .._checks import (
    axis_number,
    boolean,
    by_phase,
    choice,
    phase_number,
    real,
    refuse,
    refuse_type,
)
from .._phases import warn_of_absent
from .._planes import AXIS_NAMES
from .._progress import Shown, checked
from .._results import Result
from ..typing import Device, Labels, VoxelSize
from ._call import Call
from ._phase_arguments import conductivities_by_label
from ._plates import MultigridSystem, Plates, TransformSystem
from .solver import SolverProgress, convergence_error, solve, solver_options

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Diffusivity", "relative_diffusivity"]


@dataclass(frozen=True, eq=False)
class Diffusivity(Result):
    """Relative diffusivity of conducting phases along one axis, dimensionless.

    Attributes
    ----------
    relative : float
        Effective over intrinsic diffusivity, 0 ... 1; with ``conductivities`` the effective one, in
        their unit. 0 if no cluster percolates.
    tortuosity : float
        Volume fraction over ``relative``; with ``conductivities`` the mean of these over the whole
        volume, insulators included, over ``relative``. inf if that is 0.
    volume_fraction : float
        Of the whole phase, clusters that do not percolate included.
    percolating_fraction : float
        Volume fraction of the clusters that reach from plate to plate.
    phases : tuple of int
        The conducting phases.
    axis : {"z", "y", "x"}
        From plate to plate.
    sides : {"no-flux", "periodic"}
        The other two axes.
    iterations : int
        Conjugate gradient steps.
    residual : float
        True relative residual, at most ``tol``.
    tol, precision : float, str
        As requested.
    seconds : float
        Wall time of the whole call.
    bytes : int
        Memory of the solver's fields.
    device : str
        Where the solver ran.
    concentration : array (nz, ny, nx) or None
        On request: 1 at the first plate, 0 at the last, NaN where nothing flows.
    flux : array (nz, ny, nx, 3) or None
        On request: components x, y, z at the centres of voxels, in units of the mean flux that the
        box would carry if it were all conducting with conductivity 1.
    warnings : tuple of str
        Opposite sides that do not match, if they are periodic.
    """

    relative: float
    tortuosity: float
    volume_fraction: float
    percolating_fraction: float
    phases: tuple[int, ...]
    axis: str
    sides: str
    iterations: int
    residual: float
    tol: float
    precision: str
    seconds: float = field(compare=False)
    bytes: int
    device: str
    concentration: np.ndarray | None = None
    flux: np.ndarray | None = None
    warnings: tuple[str, ...] = ()

    @property
    def boundary(self) -> str:
        """The boundary condition."""
        return f"two plates, {self.sides} sides"

    def plot(self, axes: Sequence[Axes] | np.ndarray | None = None) -> np.ndarray:
        """Draw concentration and flux in a slice through the middle, along the axis.

        Parameters
        ----------
        axes : sequence of two matplotlib axes, optional
            Where to draw; default a new figure.

        Returns
        -------
        array of matplotlib.axes.Axes

        Raises
        ------
        ValueError
            The fields were not requested.
        """
        if self.concentration is None or self.flux is None:
            hint = "call relative_diffusivity(..., flux=True)"
            raise refuse("concentration", "be computed for a figure", "None", hint)
        return _figures.plot_flow(self.concentration, self.flux, self.axis, axes)

    def _repr_html_(self) -> str:
        rows = [
            ["relative diffusivity", f"{self.relative:.6g}"],
            ["tortuosity", f"{self.tortuosity:.6g}"],
            ["volume fraction", f"{self.volume_fraction:.4f}"],
            ["percolating volume fraction", f"{self.percolating_fraction:.4f}"],
        ]
        phases = "+".join(map(str, self.phases))
        title = f"Diffusivity of phase {phases} along {self.axis}"
        return _notebook.properties_html(title, self, {}, rows)

    def __repr__(self) -> str:
        phases = "phase " + "+".join(map(str, self.phases))
        head = f"Diffusivity of {phases} along {self.axis} ({self.boundary}): "
        tail = "".join(f"\n  warning: {w}" for w in self.warnings)
        if self.relative == 0.0:
            return (
                f"{head}relative 0, tortuosity inf; volume fraction {self.volume_fraction:.4f}, "
                f"nothing percolates{tail}"
            )
        return (
            f"{head}relative {self.relative:.6g}, tortuosity {self.tortuosity:.6g}; "
            f"volume fraction {self.volume_fraction:.4f}, "
            f"percolating {self.percolating_fraction:.4f}; "
            f"{self.iterations} iterations to {self.residual:.1e} in {self.seconds:.2f} s{tail}"
        )


def relative_diffusivity(
    labels: Labels,
    phase: int | str | Sequence[int | str] | None = None,
    *,
    axis: int | str,
    sides: str = "no-flux",
    tol: float = 1e-6,
    conductivities: float | Sequence[float] | Mapping[int | str, float] | None = None,
    voxel_size: VoxelSize | None = None,
    flux: bool = False,
    device: Device = None,
    precision: str = "mixed",
    max_iterations: int = 5000,
    preconditioner: str = "auto",
    callback: Callable[[SolverProgress], None] | None = None,
    progress: Shown = None,
    threads: int = 0,
) -> Diffusivity:
    r"""Compute relative diffusivity and tortuosity of phases between two plates, as TauFactor does.

    Fixed concentrations 1 and 0 on the faces of ``axis``, half a voxel from the first and last
    centres; all other phases insulate:

    .. math:: D_\mathrm{rel} = \frac{J L}{A\, \Delta c\, D_0}, \qquad
              \tau = \frac{\varphi}{D_\mathrm{rel}} .

    With ``conductivities`` :math:`D_0` is 1 in their unit, and :math:`\tau = \langle k \rangle /
    D_\mathrm{rel}` with their mean over the whole volume, where insulators count 0.

    Parameters
    ----------
    labels : array of bool or integers, shape (nz, ny, nx) or (ny, nx), or Microstructure
        Phase of every voxel.
    phase : int, str or sequence of these
        The phase, or phases, that conduct: labels, or names in a `Microstructure`. Default: those
        whose ``conductivities`` are positive.
    axis : int or {"z", "y", "x"}
        From plate to plate, an axis of ``labels``.
    sides : {"no-flux", "periodic"}
        The other axes.
    tol : float
        Bound of the true relative residual, in (0, 1). The error of ``relative`` is of the order of
        its square (it is computed from the energy).
    conductivities : number(s), optional
        Intrinsic diffusivities of ``phase``, in its order or as a mapping of labels or names,
        where other phases may have 0; default 1. Without ``phase``: those of all phases, as of
        :func:`homogenize_conductivity`, a sequence indexed by label or a mapping. Phases of 0
        insulate.
    voxel_size : float or one per axis, optional
        Default: that of the Microstructure, or cubes. Only ratios matter.
    flux : bool
        Return the fields of concentration and flux too.
    device : None, "cpu" or "cuda"
        Default: where ``labels`` are.
    precision : {"mixed", "float64"}
        Storage in float32 with float64 refinement, or float64 throughout.
    max_iterations : int
        Then :class:`ConvergenceError`, with the partial result.
    preconditioner : {"auto", "multigrid", "transforms"}
        A multigrid W-cycle, or fast sine and cosine transforms of the whole box. ``"auto"`` is
        multigrid on the CPU and transforms on CUDA.
    callback : callable, optional
        Called with a :class:`SolverProgress` after every iteration.
    progress : bool, optional
        Show a bar with the remaining time, on stderr. Default: in a terminal or notebook, if the
        work takes more than a few seconds; lines instead of a bar where True is given elsewhere.
    threads : int
        CPU threads, 0 for all.

    Returns
    -------
    Diffusivity

    References
    ----------
    .. [1] S. J. Cooper et al., SoftwareX 5, 203 (2016); S. Kench et al., JOSS 8, 5358 (2023).

    Examples
    --------
    A straight channel in half of the cross-section:

    >>> import numpy as np
    >>> labels = np.zeros((6, 4, 4), dtype=np.uint8)
    >>> labels[:, :2] = 1
    >>> channel = relative_diffusivity(labels, 1, axis="z")
    >>> round(channel.relative, 6), round(channel.tortuosity, 6)
    (0.5, 1.0)
    """
    checked(progress)
    options = solver_options(tol, max_iterations, precision, callback)
    call = Call.of(labels, voxel_size, options, device, threads)
    voxels = call.voxels
    along = axis_number(axis, voxels.ndim) + (3 - voxels.ndim)
    sides = choice(sides, ("no-flux", "periodic"), name="sides")
    if phase is None:
        if conductivities is None:
            wanted = "be a label, a name or several of these, unless `conductivities` are given"
            raise refuse_type("phase", wanted, "None")
        values = _conducting(conductivities_by_label(conductivities, voxels))
    else:
        values = _conductivities(conductivities, _phases(phase, voxels.names), voxels.names)
    flux = boolean(flux, name="flux")
    warn_of_absent(voxels.labels, *values, stacklevel=2)
    preconditioner = choice(
        preconditioner, ("auto", "multigrid", "transforms"), name="preconditioner"
    )
    if preconditioner == "auto":
        preconditioner = "multigrid" if call.compute.name == "cpu" else "transforms"
    plates = Plates(voxels, along, sides == "periodic", values, call.compute)
    warnings = call.warn_of_seams(plates.order[1:]) if sides == "periodic" else ()
    if plates.percolating == 0:
        fields = _blocked_fields(voxels.labels.shape) if flux else {}
        return _result(call, plates, values, sides, warnings, relative=0.0, fields=fields)
    kind = MultigridSystem if preconditioner == "multigrid" else TransformSystem
    system = kind(plates, call.compute, options)
    with call.followed(progress, "diffusivity", 1) as followed:
        solution = solve(system, followed.options)
    result = _result(
        call,
        plates,
        values,
        sides,
        warnings,
        relative=system.conductance(solution),
        iterations=solution.iterations,
        residual=float(solution.residuals[0]),
        nbytes=solution.nbytes + system.extra_bytes + math.prod(plates.grid),
        fields=plates.fields(system.concentration(solution)) if flux else {},
    )
    if not solution.converged:
        raise convergence_error(
            "relative_diffusivity",
            options,
            residual=result.residual,
            iterations=solution.iterations,
            contrast=max(values.values()) / min(values.values()),
            phases="conducting phases",
            partial=result,
        )
    return result


def _phases(phase: Any, names: tuple[str, ...]) -> tuple[int, ...]:
    many = isinstance(phase, Sequence | np.ndarray) and not isinstance(phase, str | bytes)
    phases = tuple(phase_number(p, names=names) for p in (phase if many else (phase,)))
    if not phases or len(set(phases)) != len(phases):
        raise refuse("phase", "be one or several distinct phases", repr(phase))
    return phases


def _conductivities(
    values: Any, phases: tuple[int, ...], names: tuple[str, ...]
) -> dict[int, float]:
    """Return the intrinsic diffusivity of every conducting phase."""
    wanted = "hold one number for each of `phase`"
    if values is None:
        return dict.fromkeys(phases, 1.0)
    if isinstance(values, Mapping):
        of_phase = by_phase(values, name="conductivities", names=names)
        others = [value for p, value in of_phase.items() if p not in phases]
        if not of_phase.keys() >= set(phases) or any(map(_number, others)):
            raise refuse("conductivities", f"{wanted}, and 0 for others", repr(dict(values)))
        given = [of_phase[p] for p in phases]
    elif isinstance(values, Sequence | np.ndarray) and not isinstance(values, str | bytes):
        given = list(values)
    else:
        given = [values]
    if len(given) != len(phases):
        raise refuse("conductivities", wanted, f"{len(given)} of {len(phases)}")
    return _conducting(dict(zip(phases, given, strict=True)))


def _conducting(values: Mapping[int, Any]) -> dict[int, float]:
    """Return the values that are positive, of which there must be one."""
    found = {phase: _number(value) for phase, value in values.items()}
    if not any(found.values()):
        raise refuse("conductivities", "be positive for a phase", repr(list(found.values())))
    return {phase: value for phase, value in found.items() if value}


def _number(value: Any) -> float:
    return real(value, name="conductivities", minimum=0.0)


def _result(
    call: Call,
    plates: Plates,
    conductivities: dict[int, float],
    sides: str,
    warnings: tuple[str, ...],
    *,
    relative: float,
    iterations: int = 0,
    residual: float = 0.0,
    nbytes: int = 0,
    fields: dict[str, np.ndarray],
) -> Diffusivity:
    voxels = call.voxels
    size = voxels.labels.size
    weighted = float(sum(v * voxels.counts[p] for p, v in conductivities.items())) / size
    return Diffusivity(
        relative=relative,
        tortuosity=weighted / relative if plates.percolating else math.inf,
        volume_fraction=sum(int(voxels.counts[p]) for p in conductivities) / size,
        percolating_fraction=plates.percolating / size,
        phases=tuple(conductivities),
        axis=AXIS_NAMES[plates.axis],
        sides=sides,
        iterations=iterations,
        residual=residual,
        tol=call.options.tol,
        precision=call.options.precision,
        seconds=call.seconds(),
        bytes=nbytes,
        device=call.compute.name,
        warnings=warnings,
        **fields,
    )


def _blocked_fields(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {
        "concentration": np.full(shape, np.nan),
        "flux": np.zeros((*shape, 3), dtype=np.float32),
    }
