# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Numbers that judge volumes against a truth, and the table that keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

import micro3d_fast as m3
from micro3d_fast import statistics
from micro3d_fast._atomic import atomic_write
from micro3d_fast._planes import AXIS_NAMES, PLANES

from .materials import Material


def curve_errors(generated: Any, truth: Any) -> dict[str, Any]:
    """Return `comparison_errors` of volumes and their truth."""
    return comparison_errors(m3.compare(generated, truth, bootstrap=100))


def comparison_errors(comparison: m3.Comparison) -> dict[str, Any]:
    """Return error, bootstrap interval and both floors of S2 and L per plane, phases averaged."""
    out: dict[str, Any] = {}
    for function in ("S2", "L"):
        for plane in PLANES:
            curves = comparison.select(function, plane=plane)
            out[f"{function} {plane}"] = {
                "error": float(np.mean([c.error for c in curves])),
                "low": float(np.mean([c.interval[0] for c in curves])),
                "high": float(np.mean([c.interval[1] for c in curves])),
                "floor": float(np.mean([c.floor for c in curves])),
                "scatter": float(np.mean([c.scatter for c in curves])),
            }
    tails = []
    for c in comparison.select("autocovariance"):  # beyond the first 1/e length of the truth
        start = int(np.argmax(c.reference < np.exp(-1))) or 1
        tails.append(float(np.sqrt(np.mean((c.generated[start:] - c.reference[start:]) ** 2))))
    out["S2 tail"] = float(np.mean(tails))
    return out


def plane_mean(errors: dict[str, Any], function: str, key: str) -> float:
    """Return a number of `curve_errors`, averaged over the planes."""
    return float(np.mean([errors[f"{function} {p}"][key] for p in PLANES]))


def plane_errors(errors: dict[str, Any], function: str) -> str:
    """Format the errors of a function in the planes xy, xz and yz."""
    return " ".join(f"{errors[f'{function} {p}']['error']:.3f}" for p in PLANES)


def islands(labels: np.ndarray) -> float:
    """Return the share of voxels with no face neighbour of their own phase."""
    cross = ndimage.generate_binary_structure(3, 1)
    cross[1, 1, 1] = False
    count = 0
    for p in np.unique(labels):
        here = labels == p
        count += int((here & ~ndimage.binary_dilation(here, cross)).sum())
    return count / labels.size


def shape_numbers(labels: np.ndarray, phase: int) -> dict[str, float]:
    """Return the descriptors of a single volume beyond its curves."""
    blocks = 8
    n = (min(labels.shape) // blocks) * blocks
    here = (labels[:n, :n, :n] == phase).astype(float)
    means = here.reshape(n // blocks, blocks, n // blocks, blocks, n // blocks, blocks).mean(
        (1, 3, 5)
    )
    return {
        "fraction": float((labels == phase).mean()),
        "block deviation": float(means.std()),
        "specific surface": float(statistics.specific_surface(labels, phase, method="faces")),
        "islands": islands(labels),
        "percolating share": float(
            np.mean(list(statistics.percolation(labels, phase).fraction.values()))
        ),
    }


def property_numbers(labels: np.ndarray, material: Material) -> dict[str, float]:
    """Return the relative diffusivity of one phase and Young's moduli along the axes."""
    out = {}
    for axis in AXIS_NAMES:
        found = m3.relative_diffusivity(labels, material.conducting, axis=axis, tol=1e-4)
        out[f"D {axis}"] = float(found.relative)
    phases = [m3.Isotropic(E=E, nu=0.3) for E in material.moduli]
    moduli = m3.homogenize_elasticity(labels, phases, tol=1e-4).E
    return out | {f"E {axis}": float(E) for axis, E in zip("xyz", moduli, strict=True)}


def quartiles(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Return the quartiles of each number."""
    return {k: np.percentile([r[k] for r in rows], (25, 50, 75)).tolist() for k in rows[0]}


class Table:
    """A JSON file of rows by key, which several processes may extend."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows = self._stored()

    def put(self, key: str, row: dict[str, Any]) -> None:
        """Add or replace a row, and write the file."""
        self.rows = {**self._stored(), key: row}
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.file) as path:
            path.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")

    def _stored(self) -> dict[str, Any]:
        return json.loads(self.file.read_text(encoding="utf-8")) if self.file.exists() else {}
