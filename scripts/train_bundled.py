# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Train the bundled models: synthetic truth -> micrographs of three planes -> model in the package.

    python scripts/train_bundled.py fibre-composite separator cathode --runs runs/bundled

    python scripts/train_bundled.py separator --judge

Each run resumes where it was killed.  What lands in python/micro3d_fast/models/NAME/ is the model,
calibrated, its settings (model.json) and its loss curve (history.csv).
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import micro3d_fast as m3
from micro3d_fast import synthetic

MODELS = Path(__file__).resolve().parents[1] / "python" / "micro3d_fast" / "models"
TRUTH = (192, 192, 192)
SEED = 2026  # of the training volume; the demo draws its micrographs from another
FRESH = 99  # of the volume that --judge compares with
BATCH = 16
MATERIALS = {  # and steps; three phases take twice as many, more did nothing for the fibres
    "fibre-composite": (synthetic.fibre_composite, 1200),
    "separator": (synthetic.separator, 1200),
    "cathode": (synthetic.cathode, 2400),
}


def judge(name: str, truth: m3.Microstructure) -> None:
    """Three volumes of 64^3, and four blocks of a fresh truth, against that truth."""
    model = m3.load_model(name)
    starts = ((0, 0, 0), (64, 64, 64), (128, 128, 128), (0, 128, 64))
    cases = {
        "real blocks": [truth.labels[z : z + 64, y : y + 64, x : x + 64] for z, y, x in starts],
        "volumes": [m3.reconstruct((64, 64, 64), model, seed=seed) for seed in range(3)],
    }
    for words, volumes in cases.items():
        found = m3.compare(volumes, truth, splits=2, bootstrap=2)
        errors = {
            function: [
                sum(of_plane) / len(of_plane)
                for plane in ("xy", "xz", "yz")
                if (of_plane := [c.error for c in found.select(function) if c.plane == plane])
            ]
            for function in ("S2", "L")
        }
        shown = "; ".join(f"{k} " + " ".join(f"{e:.3f}" for e in v) for k, v in errors.items())
        print(f"{name}, {len(volumes)} {words}: {shown}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=list(MATERIALS))
    parser.add_argument("--runs", type=Path, default=Path("runs/bundled"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--judge", action="store_true", help="measure what is bundled, no training")
    arguments = parser.parse_args()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    for name in arguments.names:
        generator, steps = MATERIALS[name]
        if arguments.judge:
            judge(name, generator(TRUTH, seed=FRESH))
            continue
        truth = generator(TRUTH, seed=SEED)
        micrographs = m3.Micrographs.from_volume(truth, images_per_plane=300, seed=0)

        def say(event: dict, name: str = name) -> None:
            if event["step"] % 50 == 0:
                print(
                    f"{name}: step {event['step']}/{event['steps']}, loss {event['loss']:.4f}, "
                    f"{event['seconds']:.0f} s, {event['eta']:.0f} s to go",
                    flush=True,
                )

        out = arguments.runs / name
        model = m3.train(
            micrographs,
            out,
            preset="small",
            steps=steps,
            batch_size=BATCH,
            callback=say,
        )
        found = m3.calibrate(model, micrographs)
        found.model.save(MODELS / name)
        shutil.copyfile(out / "history.csv", MODELS / name / "history.csv")
        print(f"{name}: {found.model}\n{found}", flush=True)


if __name__ == "__main__":
    main()
