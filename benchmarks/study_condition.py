# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Does a fraction condition in training hold the raw volume fraction of a reconstruction?

    python benchmarks/study_condition.py --runs ../runs/condition

Material: a level-cut Gaussian field, correlation lengths (5, 1.5, 1.5) voxels.  Two sets of
micrographs: "one", slices of one volume of fraction .35, whose crops of 32 x 32 alone vary; and
"several", slices of five volumes of fractions .25 to .45.  A network is trained on each with the
condition and without.  Volumes of 32^3 are asked for fractions .25, .35 and .45 and judged raw:
their fraction and its spread between seeds, the spread between slices, and the errors of S2 and L
against a fresh truth of the asked fraction.
The sampler is spelt out, so that another default does not change the study.

Resumable: networks train on from their checkpoints, and volumes on disk are not made again.
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
from micro3d_fast.diffusion import SamplerSettings
from micro3d_fast.synthetic import level_cut

LENGTHS = (5.0, 1.5, 1.5)
SEEN = (0.25, 0.30, 0.35, 0.40, 0.45)
ASKED = (0.25, 0.35, 0.45)
EDGE = 32
PLANES = ("xy", "xz", "yz")
NETWORKS = {  # name: (micrographs, fraction_condition)
    "one-crop": ("one", True),
    "one-none": ("one", False),
    "several-crop": ("several", True),
    "several-none": ("several", False),
}
# 24 steps, one harmonizing pass each in the next plane
HELD = SamplerSettings(24, 1, 1.0, rotate=True, clip=True, true_terminal=True, hold_mean=True)
FREE = SamplerSettings(24, 1, 1.0, rotate=True, clip=True, true_terminal=True, hold_mean=False)


def truth(fraction: float, seed: int, edge: int = 96) -> np.ndarray:
    """A volume of the material."""
    return level_cut((edge,) * 3, (1 - fraction, fraction), LENGTHS, seed=seed).labels


def micrographs(name: str) -> m3.Micrographs:
    """The training images of a set."""
    if name == "one":
        return m3.Micrographs.from_volume(truth(0.35, seed=1), images_per_plane=96)
    volumes = [truth(f, seed=10 + i, edge=64) for i, f in enumerate(SEEN)]
    images = {
        "xy": [slice_ for v in volumes for slice_ in v[::2]],
        "xz": [slice_ for v in volumes for slice_ in v.transpose(1, 0, 2)[::2]],
        "yz": [slice_ for v in volumes for slice_ in v.transpose(2, 0, 1)[::2]],
    }
    return m3.Micrographs.load(images, phases="labels")


def train(name: str, arguments: argparse.Namespace) -> m3.Model:
    """The network of that name, from its checkpoint if there is one."""
    data, condition = NETWORKS[name]

    def say(event: dict) -> None:
        if event["step"] % 50 == 0:
            print(
                f"{name}: step {event['step']}/{event['steps']}, loss {event['loss']:.4f}, "
                f"{event['seconds']:.0f} s, {event['eta']:.0f} s to go",
                flush=True,
            )

    return m3.train(
        micrographs(data),
        arguments.runs / name,
        patch=EDGE,
        batch_size=32,
        steps=arguments.steps,
        device=arguments.device,
        fraction_condition=condition,
        samples_every=0,
        callback=say,
    )


def volumes(
    name: str, model: m3.Model, held: bool, told: bool, asked: float, arguments: argparse.Namespace
) -> list[np.ndarray]:
    """Raw volumes of seeds 0, 1, ..."""
    file = arguments.runs / f"{name}-{model.hash}-{held:d}{told:d}-{asked}.npz"
    made = list(np.load(file)["labels"]) if file.exists() else []
    while len(made) < arguments.seeds:
        volume = m3.reconstruct(
            (EDGE,) * 3,
            model,
            settings=HELD if held else FREE,
            volume_fractions=(1 - asked, asked),
            fraction_condition=told,
            seed=len(made),
            device=arguments.device,
            keep_raw=True,
        )
        made.append(volume.fields["raw_labels"])
        with atomic_write(file) as path, path.open("wb") as stream:
            np.savez_compressed(stream, labels=np.stack(made))
    return made[: arguments.seeds]


def spreads(made: list[np.ndarray]) -> dict[str, float]:
    """Mean and spread of the fraction between volumes, and between the slices of a volume."""
    fractions = np.array([v.mean() for v in made])
    slices = [
        np.sqrt(np.mean([np.moveaxis(v, axis, 0).mean(axis=(1, 2)).var() for v in made]))
        for axis in range(3)
    ]
    return {
        "n": len(made),
        "fraction": float(fractions.mean()),
        "spread of the fraction": float(fractions.std(ddof=1)),
    } | {f"spread of {p} slices": float(s) for p, s in zip(PLANES, slices, strict=True)}


def judge(made: list[np.ndarray], asked: float) -> dict[str, float]:
    """Numbers of one case, raw."""
    reference = truth(asked, seed=100)
    comparison = m3.compare(made, reference)
    out = spreads(made)
    for function in ("S2", "L"):
        for plane in PLANES:
            out[f"{function} {plane}"] = comparison.error(function, plane=plane)
            out[f"{function} {plane} floor"] = comparison.floor(function, plane=plane)
    return out


def told_or_not(model: m3.Model, arguments: argparse.Namespace) -> tuple[bool, ...]:
    """Whether volumes are made with the condition, without, or both."""
    if not model.fraction_condition:
        return (False,)
    return (True,) if arguments.told_only else (True, False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("../runs/condition"))
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS))
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--told-only", action="store_true", help="leave the condition out nowhere")
    parser.add_argument("--device", default=None)
    parser.add_argument("--record", action="store_true", help="append rows to results.csv")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", UserWarning)  # planes that differ by what a sample scatters
    table: dict[str, dict] = {}
    for asked in ASKED:
        big = truth(asked, seed=100)
        blocks = [
            big[z : z + EDGE, y : y + EDGE, x : x + EDGE]
            for z in range(0, 96, EDGE)
            for y in range(0, 96, EDGE)
            for x in range(0, 96, EDGE)
        ]
        table[f"truth {asked}"] = spreads(blocks)
    for name in arguments.networks:
        model = train(name, arguments)
        for held in (True, False):
            for told in told_or_not(model, arguments):
                for asked in ASKED:
                    case = (
                        f"{name}, {'told' if told else 'not told'}, "
                        f"{'mean held' if held else 'mean free'}, asked {asked}"
                    )
                    made = volumes(name, model, held, told, asked, arguments)
                    table[case] = judge(made, asked)
                    r = table[case]
                    parts = [
                        head + " ".join(f"{r[key.format(p)]:.3f}" for p in PLANES)
                        for head, key in (
                            ("S2 ", "S2 {}"),
                            ("L ", "L {}"),
                            ("slices ", "spread of {} slices"),
                        )
                    ]
                    print(
                        f"{case}: {r['fraction']:.3f} +- {r['spread of the fraction']:.3f}; "
                        + "; ".join(parts),
                        flush=True,
                    )
                    with atomic_write(arguments.runs / "table.json") as path:
                        path.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")
    if arguments.record:
        for case, numbers in table.items():
            for metric in ("fraction", "spread of the fraction"):
                note = f"raw, {numbers['n']} volumes of {EDGE}^3, {arguments.steps} steps"
                record(
                    bench="condition",
                    case=f"level-cut, {case}",
                    metric=metric,
                    value=numbers[metric],
                    unit="1",
                    notes=note,
                )


if __name__ == "__main__":
    main()
