# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The main job on real tomograms: slices -> training -> 3D volumes -> errors beside their floors.

    python benchmarks/main_job.py separator_pp nmc_cal_cbd_bridge --data ../shared/data --runs
    runs/main

Resumable: training goes on from its checkpoint, and a volume that is on disk is not made again.
Stages: train, slices (the 2D network alone), fast, paper, table.  The table is written to
RUNS/NAME/table.json and, with --record, appended to benchmarks/results.csv.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

import micro3d_fast as m3
from micro3d_fast._atomic import atomic_write
from micro3d_fast.diffusion import sample_slices

PLANES = ("xy", "xz", "yz")
PHASES = {
    "separator_pp": ("pore", "polymer"),
    "nmc_cal_cbd_bridge": ("pore", "active material", "binder"),
    "sand_pack": ("pore", "grain"),
    "ud_fibre_ply": ("matrix", "fibre"),
}


def train(name: str, labels: np.ndarray, arguments: argparse.Namespace) -> m3.Model:
    """Train on random slices of the tomogram, at most 300 a plane (the paper's protocol)."""
    micrographs = m3.Micrographs.from_volume(
        labels, images_per_plane=300, seed=0, phase_names=PHASES.get(name)
    )

    def say(event: dict) -> None:
        if event["step"] % 50 == 0:
            print(
                f"{name}: step {event['step']}/{event['steps']}, loss {event['loss']:.4f}, "
                f"{event['seconds']:.0f} s, {event['eta']:.0f} s to go",
                flush=True,
            )

    return m3.train(
        micrographs,
        arguments.runs / name,
        preset=arguments.preset,
        steps=arguments.steps,
        device=arguments.device,
        callback=say,
    )


def volumes(
    name: str, model: m3.Model, sampler: str, edge: int, count: int, arguments: argparse.Namespace
) -> list[m3.Microstructure]:
    """`count` volumes with seeds 0, 1, ...; those on disk are read."""
    made = []
    for seed in range(count):
        file = arguments.runs / name / "volumes" / f"{sampler}-{edge}-seed{seed}.npz"
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and m3.Microstructure.load(file).provenance["model"] != model.hash:
            file.unlink()  # of another model
        if not file.exists():
            volume = m3.reconstruct(
                (edge,) * 3,
                model,
                sampler=sampler,
                seed=seed,
                device=arguments.device,
                # "paper" is raw by definition; its matched form is shown beside it all the same
                volume_fractions=model.volume_fractions,
                keep_raw=True,
            )
            volume.save(file)
            print(f"{name}: {file.name}, {volume.provenance['seconds']:.0f} s", flush=True)
        made.append(m3.Microstructure.load(file))
    return made


def errors(generated: object, reference: object) -> dict:
    """Mean errors of S2 and L per plane over phases and directions, beside floor and scatter."""
    comparison = m3.compare(generated, reference)
    table = {}
    for function in ("S2", "L"):
        for plane in PLANES:
            table[f"{function} {plane}"] = {
                "error": comparison.error(function, plane=plane),
                "floor": comparison.floor(function, plane=plane),
                "scatter": comparison.scatter(function, plane=plane),
            }
    return table


def study(name: str, arguments: argparse.Namespace) -> dict:
    """Everything asked for of one material."""
    labels = np.load(arguments.data / f"{name}.npz")["labels"]
    out = arguments.runs / name
    stages = arguments.stages.split(",")
    if "train" in stages:
        started = time.process_time()
        train(name, labels, arguments)
        print(f"{name}: {time.process_time() - started:.0f} CPU seconds of training in this run")
    model = m3.load_model(out)
    result: dict = {"material": name, "model": model.hash, "details": model.details}
    result["reference_fractions"] = list(model.volume_fractions)
    if "slices" in stages:
        file = out / f"slices-{model.hash}-{arguments.slices}.npz"
        if not file.exists():
            samples = {
                p: sample_slices(model, p, arguments.slices, seed=1, device=arguments.device)
                for p in PLANES
            }
            with atomic_write(file) as path:
                np.savez_compressed(path, **samples)
        stored = np.load(file)
        samples = {p: list(stored[p]) for p in PLANES}
        truth = m3.Micrographs.from_volume(labels, images_per_plane=300, seed=0)
        result["2D network alone"] = {
            "images": arguments.slices,
            "fractions": {p: m3.volume_fractions(np.stack(samples[p])).tolist() for p in PLANES},
            "errors": errors(samples, truth),
        }
    for sampler, edge, count in (
        ("fast", 64, arguments.fast),
        ("paper", arguments.paper_edge, arguments.paper),
    ):
        if sampler not in stages or count == 0:
            continue
        made = volumes(name, model, sampler, edge, count, arguments)
        raw = [v.fields["raw_labels"] for v in made]
        seconds = [v.provenance["seconds"] for v in made]
        outside = [1 - v.provenance["network_seconds"] / v.provenance["seconds"] for v in made]
        fractions = np.array([v.provenance["raw_volume_fractions"] for v in made])
        result[sampler] = {
            "edge": edge,
            "volumes": count,
            "passes": made[0].provenance["passes"],
            "seconds": float(np.median(seconds)),
            "share outside the network": float(np.median(outside)),
            "raw fractions": fractions.mean(axis=0).tolist(),
            "spread of raw fractions": fractions.std(axis=0, ddof=min(1, count - 1)).tolist(),
            "raw": errors(raw, labels),
            "matched": errors([v.labels for v in made], labels),
        }
    return result


def rows(result: dict) -> list[tuple[str, str, float, str, str]]:
    """(case, metric, value, unit, notes) of a result, for results.csv."""
    name, out = result["material"], []
    for sampler in ("fast", "paper"):
        if sampler not in result:
            continue
        r = result[sampler]
        case = f"{name} {sampler} {r['edge']}^3"
        note = f"{r['volumes']} volumes, {r['passes']} passes, {result['details']['preset']} preset"
        out.append((case, "seconds a volume", r["seconds"], "s", note))
        out.append((case, "share outside the network", r["share outside the network"], "1", note))
        for kind in ("raw", "matched"):
            for curve, e in r[kind].items():
                beside = (
                    f"floor {e['floor']:.4f}, scatter of real blocks {e['scatter']:.4f}; {note}"
                )
                out.append((case, f"{kind} {curve} error", e["error"], "1", beside))
        for phase, (mean, spread) in enumerate(
            zip(r["raw fractions"], r["spread of raw fractions"], strict=True)
        ):
            beside = (
                f"spread {spread:.4f}, truth {result['reference_fractions'][phase]:.4f}; {note}"
            )
            out.append((case, f"raw fraction of phase {phase}", mean, "1", beside))
    if "2D network alone" in result:
        for curve, e in result["2D network alone"]["errors"].items():
            note = f"floor {e['floor']:.4f}; {result['2D network alone']['images']} images a plane"
            out.append((f"{name} 2D network alone", f"{curve} error", e["error"], "1", note))
    seconds = result["details"]["training_seconds"]
    note = f"{result['details']['steps']} steps, batch {result['details']['batch_size']}"
    out.append((f"{name} training", "seconds", seconds, "s", note))
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/main"))
    parser.add_argument("--stages", default="train,slices,fast,table")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--device", default=None)
    parser.add_argument("--slices", type=int, default=64)
    parser.add_argument("--fast", type=int, default=8, help="volumes of 64^3 by sampler 'fast'")
    parser.add_argument("--paper", type=int, default=8, help="volumes by sampler 'paper'")
    parser.add_argument("--paper-edge", type=int, default=32)
    parser.add_argument("--record", action="store_true", help="append rows to results.csv")
    arguments = parser.parse_args()
    for name in arguments.names:
        result = study(name, arguments)
        if "table" not in arguments.stages:
            continue
        with atomic_write(arguments.runs / name / "table.json") as path:
            path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        for case, metric, value, unit, notes in rows(result):
            print(f"{case:40s} {metric:32s} {value:9.4f} {unit:3s} {notes}")
            if arguments.record:
                from _results import record

                record(
                    bench="main_job", case=case, metric=metric, value=value, unit=unit, notes=notes
                )


if __name__ == "__main__":
    main()
