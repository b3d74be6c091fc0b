# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Effective properties as parts of a report: tensors, bounds, Young's modulus against direction;
and how the phases connect, which decides on transport."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._planes import AXIS_NAMES, PLANES
from .._spread import with_spread
from ..homogenization import (
    ConductivityProperties,
    Diffusivity,
    ElasticProperties,
    MaterialSet,
    PropertyScatter,
)
from ..statistics import Connectivity
from ._document import Figure, Part, Polar, Section, Surface, Table, Text
from ._format import duration, percent

__all__ = [
    "conductivity_parts",
    "connectivity_section",
    "diffusivity_parts",
    "elastic_parts",
    "materials_parts",
    "scaled_unit",
    "scatter_parts",
    "young_parts",
]

VOIGT = ("11", "22", "33", "23", "13", "12")
AXES = AXIS_NAMES[::-1]  # x, y, z: the order of tensors
MAIN = ("E", "thermal_expansion", "tensor", "relative", "tortuosity", "value")  # shown first
RINGS, SPOKES = 61, 60  # of the surface


def elastic_parts(result: ElasticProperties, name: str = "") -> list[Part]:
    """Return stiffness, engineering constants, bounds, thermal expansion and E(n)."""
    scale, unit = scaled_unit(float(np.abs(result.stiffness).max()), result.unit)
    stiffness = np.asarray(result.stiffness) / scale
    E = np.asarray(result.E) / scale
    head = f"{name}: " if name else ""
    moduli = Table(
        ["Quantity", *AXES],
        [
            [f"Young's modulus E ({unit})", *map(float, E)],
            *(
                [
                    f"Poisson's ratio, load along {first}",
                    *(
                        None if first == second else float(result.nu[first + second])
                        for second in AXES
                    ),
                ]
                for first in AXES
            ),
        ],
        f"{head}Young's moduli, and Poisson's ratios by the direction of contraction.",
        ["", ".4g", ".4g", ".4g"],
    )
    shear = Table(
        ["Shear modulus", "yz", "xz", "xy"],
        [[f"G ({unit})", *(float(result.G[plane]) / scale for plane in PLANES[::-1])]],
        f"{head}Shear moduli.",
        ["", ".4g", ".4g", ".4g"],
    )
    matrix = _matrix(stiffness, VOIGT, f"{head}Stiffness ({unit}); 1, 2, 3 are x, y, z.")
    voigt, reuss = (
        np.diag(np.asarray(b)) / scale for b in (result.bounds.voigt, result.bounds.reuss)
    )
    bounds = Table(
        ["Component", "Reuss", "Effective", "Voigt"],
        [
            [f"C{k}{k}", float(low), float(value), float(high)]
            for k, (low, value, high) in enumerate(
                zip(reuss, np.diag(stiffness), voigt, strict=True), start=1
            )
        ],
        f"{head}Diagonal of the stiffness between its bounds ({unit}).",
        ["", ".4g", ".4g", ".4g"],
    )
    parts: list[Part] = [moduli, shear, matrix, bounds]
    expansion = np.asarray(result.thermal_expansion)
    if np.isfinite(expansion).all() and np.abs(expansion).max() > 0:
        parts.append(_matrix(expansion * 1e6, AXES, f"{head}Thermal expansion (10⁻⁶ per kelvin)."))
    if np.abs(stiffness).max() > 0:
        parts += young_parts(result, scale, unit)
    parts += [Text(str(warning), "warning") for warning in result.warnings]
    parts.append(_solver(result, head))
    return parts


def young_parts(result: ElasticProperties, scale: float, unit: str) -> list[Part]:
    """Return Young's modulus against direction: a surface, and its cuts by the planes."""
    polar = np.linspace(0.0, np.pi, RINGS)[:, None]
    azimuth = np.linspace(0.0, 2 * np.pi, SPOKES, endpoint=False)[None, :]
    n = np.stack(
        np.broadcast_arrays(
            np.sin(polar) * np.cos(azimuth), np.sin(polar) * np.sin(azimuth), np.cos(polar)
        ),
        axis=-1,
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.nan_to_num(result.young(n) / scale, nan=0.0, posinf=0.0)
        angle = np.linspace(0.0, 2 * np.pi, 145)
        cuts = []
        for plane in PLANES:
            first, second = (AXES.index(axis) for axis in plane)
            direction = np.zeros((angle.size, 3))
            direction[:, first], direction[:, second] = np.cos(angle), np.sin(angle)
            radius = np.nan_to_num(result.young(direction) / scale, nan=0.0, posinf=0.0)
            cuts.append(
                Polar(
                    angle,
                    radius,
                    title=f"{plane} plane",
                    names=(plane[0], plane[1]),
                    alt=f"Young's modulus in the {plane} plane, from {radius.min():.3g} to "
                    f"{radius.max():.3g} {unit}.",
                )
            )
    low, high = float(values.min()), float(values.max())
    at_low, at_high = (
        n[np.unravel_index(k, values.shape)] for k in (values.argmin(), values.argmax())
    )
    extent = (
        f"from {low:.4g} {unit} along {_direction(at_low)} "
        f"to {high:.4g} {unit} along {_direction(at_high)}"
    )
    return [
        Surface(
            values,
            unit,
            f"Young's modulus against direction, {extent}.",
            alt=f"Surface E(n), {extent}.",
        ),
        Figure(
            cuts, caption=f"Young's modulus in the three planes ({unit}), each at its own scale."
        ),
    ]


def conductivity_parts(result: ConductivityProperties, name: str = "") -> list[Part]:
    """Return the conductivity tensor and its bounds."""
    head = f"{name}: " if name else ""
    units = f" ({result.unit})" if result.unit else ""
    tensor = np.asarray(result.tensor)
    voigt, reuss = (np.diag(np.asarray(b)) for b in (result.bounds.voigt, result.bounds.reuss))
    rows = [
        [axis, float(low), float(value), float(high)]
        for axis, low, value, high in zip(AXES, reuss, np.diag(tensor), voigt, strict=True)
    ]
    return [
        *(Text(warning, "warning") for warning in result.warnings),
        _matrix(tensor, AXES, f"{head}Effective conductivity{units}."),
        Table(
            ["Along", "Reuss", "Effective", "Voigt"],
            rows,
            f"{head}Diagonal of the conductivity between its bounds{units}.",
            ["", ".4g", ".4g", ".4g"],
        ),
        _solver(result, head),
    ]


def diffusivity_parts(
    results: Sequence[Diffusivity], phase_names: Sequence[str] = (), name: str = ""
) -> list[Part]:
    """Return relative diffusivities and tortuosities, one row per phase and axis."""
    rows = []
    for result in results:
        phases = "+".join(
            phase_names[p] if p < len(phase_names) else f"phase {p}" for p in result.phases
        )
        rows.append(
            [
                phases,
                result.axis,
                float(result.relative),
                float(result.tortuosity),
                float(result.volume_fraction),
                float(result.percolating_fraction),
                int(result.iterations),
                float(result.residual),
            ]
        )
    columns = [
        "Phase", "Along", "Relative diffusivity", "Tortuosity", "Fraction", "Percolating",
        "Iterations", "Residual",
    ]  # fmt: skip
    formats = ["", "", ".4f", ".4g", ".4f", ".4f", "d", ".1e"]
    head = f"{name}: " if name else ""
    boundary = "; ".join(dict.fromkeys(result.boundary for result in results))
    caption = f"{head}Relative diffusivity and tortuosity ({boundary})."
    said = dict.fromkeys(warning for result in results for warning in result.warnings)
    table = Table(columns, rows, caption, formats, row_headers=2)
    return [*(Text(warning, "warning") for warning in said), table]


def scatter_parts(result: PropertyScatter, name: str = "") -> list[Part]:
    """Return mean and standard deviation of the properties of volumes, and of real blocks."""
    main: list[list[str]] = []
    others: list[list[str]] = []
    for key, found in result.properties.items():
        scale, unit = found.printed_unit
        rows = main if key.rpartition(": ")[2] in MAIN else others
        for component, *texts in found.rows(scale):
            rows.append([f"{found.title} {component}".rstrip() + unit, *texts])
    size = " × ".join(map(str, result.shape))
    boundary = f"; boundary condition: {'; '.join(result.boundary)}" if result.boundary else ""
    head = f"{name}: " if name else ""
    caption = f"{head}Mean ± standard deviation of a single volume of {size} voxels{boundary}."
    columns = ["Property", *result.sources]
    tables = [Table(columns, main or others, caption)]
    if main and others:
        tables.append(Table(columns, others, f"{head}Further components and properties."))
    return [*tables, *(Text(warning, "warning") for warning in result.warnings)]


def materials_parts(found: MaterialSet) -> list[Part]:
    """Return what a set of materials gives each phase, with units, and its note."""
    columns, cells = ["Phase"], [list(found.phase_names)]
    if found.materials is not None:
        columns.append(f"Elastic (stresses in {found.stress_unit}, expansion α per K)")
        cells.append([_material_text(material) for material in found.materials])
    if found.conductivities is not None:
        unit = f" ({found.conductivity_unit})" if found.conductivity_unit else ""
        columns.append(f"Conductivity{unit}")
        cells.append([_tensor_text(tensor) for tensor in found.conductivities])
    rows = [list(row) for row in zip(*cells, strict=True)]
    table = Table(columns, rows, f"Materials of the phases: {found.name}.")
    return [table, Text(found.note, "note")] if found.note else [table]


def _material_text(material: Any) -> str:
    """Return ``"isotropic: E 4e+09, nu 0.35, alpha 5.5e-05"``."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(material).__name__).lower()
    values = {f.name: getattr(material, f.name) for f in dataclasses.fields(material)}
    shown = (f"{name} {_tensor_text(v)}" for name, v in values.items() if v is not None)
    return f"{kind}: {', '.join(shown)}"


def _tensor_text(value: Any) -> str:
    """Return a number or a word; of a tensor one number, those along x, y, z, or its rows."""
    if isinstance(value, str):
        return value
    array = np.asarray(value, dtype=float)
    if array.ndim == 2 and not (array - np.diag(np.diag(array))).any():
        array = np.diag(array)
        if len(array) == 3 and (array == array[0]).all():
            array = array[0]
    rows = [array] if array.ndim < 2 else list(array)
    return "; ".join(" ".join(f"{number:.5g}" for number in np.atleast_1d(row)) for row in rows)


def connectivity_section(found: Connectivity, reference: str) -> Section:
    """Return percolating shares, particles and islands of slices of each phase."""
    rows: list[list[str]] = []
    for phase in found.phases:
        shares = [percent(phase.percolating[axis]) for axis in AXES]
        islands = [f"{phase.islands[plane][0]:.3g}" for plane in PLANES]
        particles = [str(phase.particles), f"{phase.per_megavoxel:.3g}"]
        rows.append([phase.name, "volume", *shares, *particles, *islands])
        beside = [_spread_or_dash(phase.reference_islands.get(plane)) for plane in PLANES]
        if any(text != "–" for text in beside):
            real = phase.reference_particles
            shares = [
                _spread_or_dash(phase.reference_percolating.get(axis), 100.0, " %") for axis in AXES
            ]
            density = _spread_or_dash(real, 1e6 / math.prod(found.shape))
            rows.append([phase.name, reference, *shares, _spread_or_dash(real), density, *beside])
    columns = ["Phase", "Of", *(f"through {axis}" for axis in AXES)]
    columns += ["Particles", "per 100³ voxels", *(f"islands {plane}" for plane in PLANES)]
    sizes = {plane: f"{h} × {w}" for plane, (h, w) in found.windows.items()}
    windows = [f"{size} in {plane}" for plane, size in sizes.items()]
    if len(set(sizes.values())) == 1:
        windows = [sizes[PLANES[0]]]
    caption = (
        "Share of each phase in clusters that reach from face to face, connected clusters "
        f"(particles), and connected islands in slices of {', '.join(windows)} pixels. "
        "Opposite faces are not joined, not even those of periodic volumes. "
        f"{reference.capitalize()}: mean ± standard deviation of one block or slice."
    )
    return Section(
        "Connectivity",
        (Table(columns, rows, caption, row_headers=2),),
        "Sections do not determine how a phase connects in 3D. Islands in slices can be compared "
        "with micrographs; percolation and particles only with a tomogram.",
        anchor="connectivity",
    )


def _spread_or_dash(pair: tuple[float, float] | None, factor: float = 1.0, unit: str = "") -> str:
    return "–" if pair is None else with_spread(factor * pair[0], factor * pair[1]) + unit


def scaled_unit(largest: float, unit: str) -> tuple[float, str]:
    """Return factor and name of the unit in which stresses of this size read best."""
    if unit != "Pa" or not largest > 0:
        return 1.0, unit or "unit of the phases"
    for factor, name in ((1e9, "GPa"), (1e6, "MPa"), (1e3, "kPa")):
        if largest >= factor:
            return factor, name
    return 1.0, "Pa"


def _matrix(values: np.ndarray, names: Sequence[str], caption: str) -> Table:
    top = np.abs(values).max()
    tidy = np.where(np.abs(values) < 3e-5 * top, 0.0, values)
    rows = [[name, *map(float, row)] for name, row in zip(names, tidy, strict=True)]
    return Table(["", *names], rows, caption, ["", *[".4g"] * len(names)])


def _solver(result: ElasticProperties | ConductivityProperties, head: str) -> Table:
    residual = f"{max(result.residuals):.1e} (requested {result.tol:.1e})"
    rows = [
        ["Boundary condition", result.boundary],
        ["Iterations of each load", ", ".join(map(str, result.iterations))],
        ["Largest true relative residual", residual],
        ["Precision", str(result.precision)],
        ["Contrast of the phases", f"{result.contrast:.4g}"],
        ["Time", f"{duration(result.seconds)} on {result.device}"],
        ["Memory of the solver's fields", f"{result.bytes / 1e6:.3g} MB"],
    ]
    return Table(["Solver", "Value"], rows, f"{head}Solver and convergence.")


def _direction(n: np.ndarray) -> str:
    for axis, value in zip(AXES, np.abs(n), strict=True):
        if value > 0.9995:
            return axis
    return "(" + ", ".join(f"{round(value, 2) + 0.0:.2f}" for value in n) + ")"
