# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes against the whole truth that their micrographs were cut from; docs/study.md.

    python benchmarks/studies truth --data ../shared/data --runs runs/truth
    python benchmarks/studies truth --materials separator_pp-half --table --picture sections.png

For each material a network is trained on 2D slices, and volumes are made by it as it is
("trained"), after `calibrate` ("quick") and after `calibrate(effort="full")` ("full"); of the last
also with natural fractions ("natural").  Errors of S2 and L are those of the mean curves of all
volumes against the whole truth, of the worst phase in each plane; beside them the scatter, the same
error of as many real blocks.  Diffusivities (every phase and axis) and Young's moduli are compared
with the quartiles of real blocks, which weigh all places of the truth alike.  Nothing is chosen by
the truth.  Networks, calibrations and volumes are kept in RUNS and made once; numbers are in
RUNS/truth.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
import warnings
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import micro3d_fast as m3
from micro3d_fast import statistics
from micro3d_fast._planes import AXIS_NAMES, PLANES

from .figures import draw_section
from .judging import Table
from .materials import MATERIALS, Material, real_blocks, training_progress

BLOCKS = 24  # real blocks, at most
IMAGES = 300  # per plane, at most
KINDS = ("trained", "quick", "full", "natural")
SEED = 500  # of the first volume; calibrations use others
DEFAULT = (
    "level-cut",
    "fibres",
    "separator_pp",
    "nmc_cal_cbd_bridge",
    "fibres-half",
    "separator_pp-half",
    "sand_pack",
    "trabecular_bone56-half",
)


class Case:
    """A material with its micrographs, models and volumes on disk."""

    def __init__(self, name: str, arguments: argparse.Namespace) -> None:
        self.name, self.arguments = name, arguments
        self.material: Material = MATERIALS[name]
        self.truth = self.material.truth(arguments.data)
        few = "" if arguments.images == IMAGES else f"-of-{arguments.images}"
        self.row = f"{name}{few}"
        self.folder: Path = arguments.runs / self.row
        self.micrographs = m3.Micrographs.from_volume(
            self.truth, images_per_plane=arguments.images, seed=0, phase_names=self.material.names
        )

    def model(self, kind: str) -> tuple[m3.Model, float]:
        """Return the model of a kind, made if needed, and the seconds that it took."""
        file = self.folder / kind
        if (file / "model.json").exists():
            model = m3.load_model(file)
            return model, model.details["study_seconds"]
        started = time.perf_counter()
        if kind == "trained":
            model = m3.train(
                self.micrographs,
                self.folder / "run",
                patch=self.material.patch,
                steps=self.arguments.steps,
                samples_every=0,
                callback=training_progress(self.name, 100),
            )
        else:
            effort = "full" if kind == "natural" else kind
            out = self.folder / "calibration" if effort == "full" else None
            options = {"volume_shape": (self.material.box,) * 3, "effort": effort, "out": out}
            found = m3.calibrate(self.model("trained")[0], self.micrographs, **options)
            print(f"{self.name}, {kind}\n{found}", flush=True)
            model = found.model
        seconds = round(time.perf_counter() - started, 1)
        details = {**model.details, "study_seconds": seconds}
        model = dataclasses.replace(model, details=details)
        model.save(file)
        return model, seconds

    def volumes(self, kind: str, count: int) -> list[m3.Microstructure]:
        """Return the volumes of a kind, made if needed."""
        model, _ = self.model("full" if kind == "natural" else kind)
        fractions = "natural" if kind == "natural" else "auto"
        made = []
        search = zlib.crc32(repr((model.harmonize, model.coupling, model.agreement)).encode())
        for seed in range(SEED, SEED + count):
            file = self.folder / "volumes" / f"{kind}-{model.hash}-{search:08x}-{seed}.npz"
            if not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                shape = (self.material.box,) * 3
                volume = m3.reconstruct(shape, model, seed=seed, volume_fractions=fractions)
                volume.save(file)
            made.append(m3.Microstructure.load(file))
        return made


def curves_of(volumes: Sequence[Any], phases: int) -> dict[tuple[str, int, int], np.ndarray]:
    """Return the mean S2 and L of volumes, by function, phase and axis, to half the shortest."""
    lag = min(min(np.shape(v)) for v in volumes) // 2
    functions = {"S2": m3.two_point_correlation, "L": m3.lineal_path}
    return {
        (name, p, axis): np.mean([f(v, p, axis=axis, max_lag=lag) for v in volumes], axis=0)
        for name, f in functions.items()
        for p in range(phases)
        for axis in range(3)
    }


def errors_of(
    made: dict[tuple[str, int, int], np.ndarray], truth: dict[tuple[str, int, int], np.ndarray]
) -> dict[str, list[float]]:
    """Return the error of the worst phase in each plane, for S2 and L."""
    phases = 1 + max(p for _, p, _ in made)
    out: dict[str, list[float]] = {}
    for name in ("S2", "L"):
        error = {
            (p, a): statistics.relative_error(
                made[name, p, a], truth[name, p, a][: made[name, p, a].size]
            )
            for p in range(phases)
            for a in range(3)
        }
        out[name] = [
            max(np.mean([error[p, AXIS_NAMES.index(a)] for a in plane]) for p in range(phases))
            for plane in PLANES
        ]
    return out


def numbers_of(labels: np.ndarray, material: Material, phases: int) -> dict[str, float]:
    """Return fractions, diffusivities, moduli and percolating shares of a volume."""
    out: dict[str, float] = {}
    for p in range(phases):
        out[f"fraction {p}"] = float((labels == p).mean())
        for axis in AXIS_NAMES:
            if (labels == p).any():
                found = m3.relative_diffusivity(labels, p, axis=axis, tol=1e-3).relative
                share = statistics.percolation(labels, p).fraction[axis]
            else:
                found, share = 0.0, 0.0
            out[f"D {p} {axis}"], out[f"percolating {p} {axis}"] = float(found), float(share)
    solids = [m3.Isotropic(E=E, nu=0.3) for E in material.moduli]
    moduli = m3.homogenize_elasticity(labels, solids, tol=1e-3).E
    return out | {f"E {axis}": float(E) for axis, E in zip("xyz", moduli, strict=True)}


def judge(case: Case, kind: str, count: int, blocks: dict[str, Any]) -> dict[str, Any]:
    """Return all numbers of the volumes of a kind."""
    volumes = case.volumes(kind, count)
    phases = case.micrographs.n_phases
    labels = [np.asarray(v.labels) for v in volumes]
    numbers = [numbers_of(x, case.material, phases) for x in labels]
    verdicts = [m3.compare(v, case.micrographs, splits=2, bootstrap=2).verdict for v in volumes]
    outcomes = [v.outcome for v in verdicts if v is not None]
    inside: dict[str, list[int]] = {}
    for name, (low, _, high) in blocks["quartiles"].items():
        median = float(np.median([n[name] for n in numbers]))
        slack = 1e-9 + 1e-6 * abs(high)
        found = inside.setdefault(name.split()[0], [0, 0])
        found[0] += low - slack <= median <= high + slack
        found[1] += 1
    spread = {}
    for name in ("fraction", "D", "E"):
        ratios = [
            np.std([n[k] for n in numbers], ddof=1) / max(blocks["deviation"][k], 1e-12)
            for k in numbers[0]
            if k.split()[0] == name and blocks["deviation"][k] > 1e-3 * blocks["quartiles"][k][1]
        ]
        spread[name] = float(np.median(ratios)) if ratios else float("nan")
    return {
        **errors_of(curves_of(labels, phases), blocks["curves"]),
        "inside": inside,
        "spread": spread,
        "outcomes": outcomes,
        "seconds": float(np.mean([v.provenance["seconds"] for v in volumes])),
        "passes": volumes[0].provenance["passes"],
        "making": case.model("full" if kind == "natural" else kind)[1],
        "numbers": numbers,
    }


def real(case: Case, count: int) -> dict[str, Any]:
    """Return the numbers of real blocks, and their scatter about the truth."""
    phases, box = case.micrographs.n_phases, case.material.box
    blocks = real_blocks(case.truth, box, BLOCKS)
    lag = box // 2
    functions = {"S2": m3.two_point_correlation, "L": m3.lineal_path}
    truth = {
        (name, p, axis): f(case.truth, p, axis=axis, max_lag=lag)
        for name, f in functions.items()
        for p in range(phases)
        for axis in range(3)
    }
    rng = np.random.default_rng(0)
    size = min(count, len(blocks))
    drawn = [
        errors_of(
            curves_of([blocks[i] for i in rng.choice(len(blocks), size, False)], phases), truth
        )
        for _ in range(8)
    ]
    numbers = [numbers_of(b, case.material, phases) for b in blocks]
    return {
        "scatter": {n: np.mean([d[n] for d in drawn], axis=0).tolist() for n in ("S2", "L")},
        "quartiles": {
            k: np.percentile([n[k] for n in numbers], (25, 50, 75)).tolist() for k in numbers[0]
        },
        "deviation": {k: float(np.std([n[k] for n in numbers], ddof=1)) for k in numbers[0]},
        "blocks": len(blocks),
        "curves": truth,
    }


def line(name: str, kind: str, row: dict[str, Any]) -> str:
    """Return the line of the table of docs/study.md."""

    def three(values: Sequence[float]) -> str:
        return " ".join(f"{v:.3f}".removeprefix("0") for v in values)

    inside = ", ".join(f"{n} {a} of {b}" for n, (a, b) in row["inside"].items() if n != "fraction")
    spread = ", ".join(f"{n} {v:.2f}" for n, v in row["spread"].items())
    good = row["outcomes"].count("consistent")
    return (
        f"| {name} | {kind}, {row['passes']} | {three(row['S2'])}, {three(row['scatter']['S2'])} "
        f"| {three(row['L'])}, {three(row['scatter']['L'])} | {inside} | {spread} "
        f"| {good} of {len(row['outcomes'])} | {row['making']:.0f} | {row['seconds']:.1f} |"
    )


def picture(cases: Sequence[Case], count: int) -> Any:
    """Draw middle sections of a real block, and of the first volume before and after "full"."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 1.75 * len(cases)), layout="constrained")
    axes = figure.subplots(len(cases), 6, squeeze=False)
    for case, row in zip(cases, axes, strict=True):
        box, phases = case.material.box, case.micrographs.n_phases
        shown = {"real block": real_blocks(case.truth, box, BLOCKS)[0]}
        shown |= {kind: case.volumes(kind, count)[0].labels for kind in ("trained", "full")}
        images = [(n, plane, x) for n, x in shown.items() for plane in (PLANES[0], PLANES[-1])]
        for ax, (name, plane, labels) in zip(row, images, strict=True):
            draw_section(ax, name, labels, plane, phases)
        row[0].set_ylabel(case.name.replace("_cal_cbd_bridge", ""), fontsize=8)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/truth"))
    parser.add_argument("--materials", nargs="+", choices=list(MATERIALS), default=list(DEFAULT))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--images", type=int, default=IMAGES, help="micrographs per plane")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="print what is there, make nothing")
    parser.add_argument("--picture", type=Path, help="also draw sections of --materials here")
    arguments = parser.parse_args()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    table = Table(arguments.runs / "truth.json")
    for name in () if arguments.table else arguments.materials:
        case = Case(name, arguments)
        blocks = real(case, arguments.count)
        for kind in arguments.kinds:
            row = judge(case, kind, arguments.count, blocks)
            rest = {k: v for k, v in blocks.items() if k != "curves"}
            table.put(f"{case.row} {kind}", {**row, **rest})
            print(line(case.row, kind, table.rows[f"{case.row} {kind}"]), flush=True)
    if arguments.picture:
        cases = [Case(name, arguments) for name in arguments.materials]
        picture(cases, arguments.count).savefig(arguments.picture, dpi=130)
    print(
        "| truth | model, passes | S2 xy xz yz, scatter | L xy xz yz, scatter | medians inside "
        "the quartiles | spread over that of blocks | consistent | s to make | s a volume |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for key, row in table.rows.items():
        print(line(*key.split(), row))


if __name__ == "__main__":
    main()
