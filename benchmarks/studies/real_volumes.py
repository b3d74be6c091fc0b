# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Properties of real volumes: a fibre ply, a battery cathode, trabecular bone.

    python benchmarks/studies real_volumes --data ../shared/data --out real_volumes --pictures docs

Every case writes OUT/<case>.json and the fields of its picture, and is not computed again while
these files exist; rows go to results.csv when a case is computed. Pictures are drawn each time.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import micro3d_fast as m3
from _measure import THREADS, row
from micro3d_fast._planes import AXIS_NAMES
from micro3d_fast.homogenization import load_materials

from .property_pictures import pictures, young

BENCH = "real volumes"
TOL = 1e-6
ELASTIC = {  # case: volume, set of materials
    "ply, carbon-epoxy": ("ud_fibre_ply", "carbon-epoxy"),
    "ply, paper-table-a1": ("ud_fibre_ply", "paper-table-a1"),
    "bone": ("trabecular_bone56", "trabecular-bone"),
}
STRESS = {  # volume: mean stress of its picture, and the axis that its section cuts
    "ud_fibre_ply": ((1.0, 0, 0, 0, 0, 0), 0),
    "trabecular_bone56": ((0, 0, -1.0, 0, 0, 0), 1),
}
CATHODE = "nmc_cal_cbd_bridge"
PHASES = ("pore", "active material", "binder")


def volume(data: Path, name: str) -> np.ndarray:
    """Read the labels of a volume."""
    return np.load(data / f"{name}.npz")["labels"]


def cathode_cases() -> dict[str, tuple[int, str]]:
    """Return phase and axis of each case of the cathode, by name."""
    return {f"cathode, {n}, {a}": (p, a) for p, n in enumerate(PHASES) for a in AXIS_NAMES}


def elastic(case: str, data: Path, out: Path) -> dict[str, Any]:
    """Compute the stiffness of a case, save the fields of its picture and record rows."""
    name, materials = ELASTIC[case]
    labels = volume(data, name)
    phases = load_materials(materials).materials
    assert phases is not None
    got = m3.homogenize_elasticity(labels, phases, tol=TOL, threads=THREADS)
    top = np.abs(got.stiffness).max()
    assert max(got.residuals) <= TOL
    assert np.linalg.eigvalsh(got.bounds.voigt - got.stiffness).min() > -1e-9 * top
    assert np.linalg.eigvalsh(got.stiffness - got.bounds.reuss).min() > -1e-9 * top
    reuss = [0.0, 0.0, 0.0]  # with a pore
    if got.bounds.reuss.any():
        reuss = (young(got.bounds.reuss, np.eye(3)) / 1e9).tolist()
    save_stress(out / f"{case}.npz", name, labels, phases, got.stiffness)
    record_elastic(case, got)
    return {
        "shape": labels.shape,
        "fractions": got.volume_fractions.tolist(),
        "stiffness_GPa": (got.stiffness / 1e9).tolist(),
        "E_GPa": (got.E / 1e9).tolist(),
        "G_GPa": {k: v / 1e9 for k, v in got.G.items()},
        "nu": got.nu,
        "alpha_1e-6": (1e6 * np.diag(got.thermal_expansion)).tolist(),
        "voigt_E_GPa": (young(got.bounds.voigt, np.eye(3)) / 1e9).tolist(),
        "reuss_E_GPa": reuss,
        "iterations": got.iterations,
        "seconds": got.seconds,
        "bytes_per_voxel": got.bytes / labels.size,
        "warnings": got.warnings,
    }


def save_stress(file: Path, name: str, labels: np.ndarray, phases: Any, stiffness: Any) -> None:
    """Save the stiffness, and labels and von Mises stress of the middle section."""
    stress, axis = STRESS[name]
    with_fields = m3.homogenize_elasticity(labels, phases, tol=1e-4, fields=True, threads=THREADS)
    von_mises = with_fields.local(stress=stress).fields["von_mises"]
    middle = labels.shape[axis] // 2
    np.savez_compressed(
        file,
        labels=labels.take(middle, axis),
        von_mises=von_mises.take(middle, axis),
        stiffness=stiffness,
    )


def record_elastic(case: str, got: m3.ElasticProperties) -> None:
    """Append time and engineering constants to results.csv."""
    common = {"bench": BENCH, "precision": "mixed", "tolerance": f"{TOL:g}"}
    row(case, "time", got.seconds, "s", notes=f"iterations {list(got.iterations)}", **common)
    for axis, value in zip("xyz", got.E, strict=True):
        row(case, f"E_{axis}", value / 1e9, "GPa", **common)
    for plane, value in got.G.items():
        row(case, f"G_{plane}", value / 1e9, "GPa", **common)
    if got.thermal_expansion.any():
        for i, axis in enumerate("xyz"):
            row(case, f"alpha_{axis}", 1e6 * got.thermal_expansion[i, i], "1e-6/K", **common)


def cathode(case: str, data: Path, out: Path) -> dict[str, Any]:
    """Compute the relative diffusivity of a case, save the flux of the picture, record rows."""
    phase, axis = cathode_cases()[case]
    labels = volume(data, CATHODE)
    got = m3.relative_diffusivity(labels, phase, axis=axis, tol=TOL, threads=THREADS)
    assert got.residual <= TOL
    assert 0.0 <= got.relative <= got.volume_fraction
    if (phase, axis) == (0, "z"):  # of the picture: a corner, whose fields are small
        corner = labels[:, :150, :150]
        flux = m3.relative_diffusivity(
            corner, phase, axis=axis, tol=1e-4, flux=True, threads=THREADS
        ).flux
        assert flux is not None
        np.savez_compressed(
            out / f"{case}.npz",
            labels=corner[:, 75],
            flux=np.linalg.norm(flux[:, 75], axis=-1).astype(np.float32),
        )
    common = {"bench": BENCH, "precision": "mixed", "tolerance": f"{TOL:g}"}
    row(case, "time", got.seconds, "s", notes=f"{got.iterations} iterations", **common)
    row(case, "relative diffusivity", got.relative, "1", **common)
    return {
        "shape": labels.shape,
        "fraction": got.volume_fraction,
        "percolating": got.percolating_fraction,
        "relative": got.relative,
        "tortuosity": got.tortuosity if np.isfinite(got.tortuosity) else None,
        "iterations": got.iterations,
        "seconds": got.seconds,
        "bytes_per_voxel": got.bytes / labels.size,
    }


def result_of(case: str, data: Path, out: Path) -> dict[str, Any]:
    """Return the result of a case, computed unless its file exists."""
    path = out / f"{case}.json"
    if not path.exists():
        result = elastic(case, data, out) if case in ELASTIC else cathode(case, data, out)
        partial = path.with_suffix(".part")
        partial.write_text(json.dumps(result, indent=1))
        partial.replace(path)
    return dict(json.loads(path.read_text()))


def table(results: dict[str, dict[str, Any]]) -> str:
    """Return the tables of docs/homogenize.md."""
    lines = [
        "| volume, materials | E x, y, z (GPa) | G yz, xz, xy | α x, y, z (1e-6/K) | iterations "
        "| s |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for case in ELASTIC:
        r = results[case]
        e = ", ".join(f"{v:.3g}" for v in r["E_GPa"])
        g = ", ".join(f"{v:.3g}" for v in r["G_GPa"].values())
        a = ", ".join(f"{v:.3g}" for v in r["alpha_1e-6"]) if any(r["alpha_1e-6"]) else ""
        lines.append(
            f"| {case} | {e} | {g} | {a} | {', '.join(map(str, r['iterations']))} "
            f"| {r['seconds']:.0f} |"
        )
    lines += [
        "",
        "| cathode phase | fraction | percolating | relative z, y, x | tortuosity z, y, x "
        "| iterations | s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for phase in PHASES:
        rs = [results[f"cathode, {phase}, {a}"] for a in AXIS_NAMES]
        relative = ", ".join(f"{r['relative']:.3g}" for r in rs)
        tau = ", ".join("∞" if r["tortuosity"] is None else f"{r['tortuosity']:.2f}" for r in rs)
        percolating = ", ".join(f"{r['percolating']:.3f}" for r in rs)
        lines.append(
            f"| {phase} | {rs[0]['fraction']:.3f} | {percolating} | {relative} | {tau} "
            f"| {', '.join(str(r['iterations']) for r in rs)} "
            f"| {', '.join('{:.1f}'.format(r['seconds']) for r in rs)} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("real_volumes"))
    parser.add_argument("--pictures", type=Path, default=None, help="folder of the pictures")
    parser.add_argument("--case", default="", help="compute only cases whose name contains this")
    arguments = parser.parse_args()
    if not (arguments.data / f"{CATHODE}.npz").is_file():
        parser.error(f"--data must be the folder of the real volumes, got {arguments.data}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    cases = [c for c in (*ELASTIC, *cathode_cases()) if arguments.case in c]
    results = {}
    for case in cases:
        print(case)
        results[case] = result_of(case, arguments.data, arguments.out)
    if arguments.case:
        return
    print(table(results))
    if arguments.pictures is not None:
        pictures(arguments.out, arguments.pictures)
