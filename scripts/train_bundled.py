# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Train the bundled models: synthetic truth -> micrographs of three planes -> model in the package.

    python scripts/train_bundled.py fibre-composite separator cathode --runs runs/bundled

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
BATCH = 16
MATERIALS = {  # and steps; three phases take twice as many, more did nothing for the fibres
    "fibre-composite": (synthetic.fibre_composite, 1200),
    "separator": (synthetic.separator, 1200),
    "cathode": (synthetic.cathode, 2400),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=list(MATERIALS))
    parser.add_argument("--runs", type=Path, default=Path("runs/bundled"))
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    for name in arguments.names:
        generator, steps = MATERIALS[name]
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
