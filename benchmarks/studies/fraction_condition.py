# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Does a fraction condition in training hold the raw volume fraction of a reconstruction?

    python benchmarks/studies fraction_condition --runs runs/condition

Material: the level cut of `materials.py`. Two sets of micrographs: "one", slices of one volume of
fraction .35, whose fraction varies only between crops of 32 x 32; and "several", slices of five
volumes of fractions .25 to .45. A network is trained on each with the condition and without.
Volumes of 32^3 are requested with fractions .25, .35 and .45 and judged raw: their fraction and its
spread between seeds, the spread between slices, and the errors of S2 and L against a fresh truth of
the requested fraction. The settings of the sampler are explicit, so that a new default does not
change the study.

Resumable: networks continue from their checkpoints, and volumes on disk are reused.
"""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path

import numpy as np

import micro3d_fast as m3
from _results import record
from micro3d_fast._atomic import atomic_write
from micro3d_fast._planes import NORMAL, PLANES
from micro3d_fast.diffusion import SamplerSettings

from .materials import level_cut, real_blocks, training_progress

FRACTIONS_OF_TRAINING = (0.25, 0.30, 0.35, 0.40, 0.45)
REQUESTED = (0.25, 0.35, 0.45)
EDGE = 32
NETWORKS = {  # name: (micrographs, fraction_condition)
    "one-crop": ("one", True),
    "one-none": ("one", False),
    "several-crop": ("several", True),
    "several-none": ("several", False),
}
# 24 steps, one harmonizing pass each in the next plane
HELD = SamplerSettings(24, 1, 1.0, rotate=True, clip=True, true_terminal=True, hold_mean=True)
FREE = SamplerSettings(24, 1, 1.0, rotate=True, clip=True, true_terminal=True, hold_mean=False)


def truth(fraction: float) -> np.ndarray:
    """Return the volume that results of a requested fraction are compared with."""
    return level_cut(96, fraction, seed=100)


def micrographs(name: str) -> m3.Micrographs:
    """Return the training images of a set."""
    if name == "one":
        return m3.Micrographs.from_volume(level_cut(96, 0.35, seed=1), images_per_plane=96)
    volumes = [level_cut(64, f, seed=10 + i) for i, f in enumerate(FRACTIONS_OF_TRAINING)]
    images = {
        plane: [image for v in volumes for image in np.moveaxis(v, NORMAL[plane], 0)[::2]]
        for plane in PLANES
    }
    return m3.Micrographs.load(images, phases="labels")


def train(name: str, arguments: argparse.Namespace) -> m3.Model:
    """Return the network of that name, trained from its checkpoint on."""
    data, condition = NETWORKS[name]
    return m3.train(
        micrographs(data),
        arguments.runs / name,
        patch=EDGE,
        batch_size=32,
        steps=arguments.steps,
        device=arguments.device,
        fraction_condition=condition,
        samples_every=0,
        callback=training_progress(name, every=50),
    )


def volumes(
    name: str,
    model: m3.Model,
    held: bool,
    conditioned: bool,
    requested: float,
    arguments: argparse.Namespace,
) -> list[np.ndarray]:
    """Return the raw volumes of seeds 0, 1, ..."""
    file = arguments.runs / f"{name}-{model.hash}-{held:d}{conditioned:d}-{requested}.npz"
    made = list(np.load(file)["labels"]) if file.exists() else []
    while len(made) < arguments.seeds:
        volume = m3.reconstruct(
            (EDGE,) * 3,
            model,
            settings=HELD if held else FREE,
            volume_fractions=(1 - requested, requested),
            fraction_condition=conditioned,
            seed=len(made),
            device=arguments.device,
            keep_raw=True,
        )
        made.append(volume.fields["raw_labels"])
        with atomic_write(file) as path, path.open("wb") as stream:
            np.savez_compressed(stream, labels=np.stack(made))
    return made[: arguments.seeds]


def spreads(made: list[np.ndarray]) -> dict[str, float]:
    """Return mean and spread of the fraction between volumes, and between the slices of each."""
    fractions = np.array([v.mean() for v in made])
    slices = {
        plane: np.sqrt(
            np.mean([np.moveaxis(v, NORMAL[plane], 0).mean(axis=(1, 2)).var() for v in made])
        )
        for plane in PLANES
    }
    return {
        "n": len(made),
        "fraction": float(fractions.mean()),
        "spread of the fraction": float(fractions.std(ddof=1)),
    } | {f"spread of {p} slices": float(s) for p, s in slices.items()}


def judge(made: list[np.ndarray], requested: float) -> dict[str, float]:
    """Return the numbers of one case, raw."""
    comparison = m3.compare(made, truth(requested))
    out = spreads(made)
    for function in ("S2", "L"):
        for plane in PLANES:
            out[f"{function} {plane}"] = comparison.error(function, plane=plane)
            out[f"{function} {plane} floor"] = comparison.floor(function, plane=plane)
    return out


def study_network(name: str, table: dict[str, dict], arguments: argparse.Namespace) -> None:
    """Train a network, judge its volumes, and write the table after every case."""
    model = train(name, arguments)
    ways = (True,) if arguments.conditioned_only else (True, False)
    for held in (True, False):
        for conditioned in ways if model.fraction_condition else (False,):
            for requested in REQUESTED:
                case = (
                    f"{name}, {'' if conditioned else 'not '}conditioned, "
                    f"mean {'held' if held else 'free'}, requested {requested}"
                )
                made = volumes(name, model, held, conditioned, requested, arguments)
                numbers = table[case] = judge(made, requested)
                print(f"{case}: {as_text(numbers)}", flush=True)
                with atomic_write(arguments.runs / "table.json") as path:
                    path.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


def as_text(numbers: dict[str, float]) -> str:
    """Format the numbers of a case."""
    parts = [f"{numbers['fraction']:.3f} +- {numbers['spread of the fraction']:.3f}"]
    for label, key in (("S2", "S2 {}"), ("L", "L {}"), ("slices", "spread of {} slices")):
        parts.append(" ".join([label, *(f"{numbers[key.format(p)]:.3f}" for p in PLANES)]))
    return "; ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/condition"))
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument(
        "--conditioned-only", action="store_true", help="always use the condition of a network"
    )
    parser.add_argument("--device", default=None)
    parser.add_argument("--record", action="store_true", help="append rows to results.csv")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # planes that differ by sampling noise
    table = {f"truth {f}": spreads(real_blocks(truth(f), EDGE, 27)) for f in REQUESTED}
    for name in arguments.networks:
        study_network(name, table, arguments)
    if not arguments.record:
        return
    for case, numbers in table.items():
        for metric in ("fraction", "spread of the fraction"):
            record(
                bench="condition",
                case=f"level-cut, {case}",
                metric=metric,
                value=numbers[metric],
                unit="1",
                notes=f"raw, {numbers['n']} volumes of {EDGE}^3, {arguments.steps} steps",
            )
