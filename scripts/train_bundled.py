# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Train the bundled models on micrographs of three planes of synthetic volumes.

    python scripts/train_bundled.py fibre-composite separator cathode --runs runs/bundled

    python scripts/train_bundled.py separator --calibrate
    python scripts/train_bundled.py separator --judge

``--calibrate`` finds the passes and the coupling of the bundled network again.  An interrupted run
resumes.  The script writes the calibrated model, its settings (model.json) and its loss curve
(history.csv) to python/micro3d_fast/models/NAME/.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import micro3d_fast as m3
from micro3d_fast._demo import GENERATORS
from micro3d_fast._planes import PLANES

MODELS = Path(__file__).resolve().parents[1] / "python" / "micro3d_fast" / "models"
VOLUME_SHAPE = (192, 192, 192)  # of the synthetic volumes
TRAINING_SEED = 2026  # of the volume to train on; the demo uses another
JUDGE_SEED = 99  # of the volume that --judge compares with
BLOCK = 64  # edge of the volumes and real blocks of --judge
BLOCK_STARTS = ((0, 0, 0), (64, 64, 64), (128, 128, 128), (0, 128, 64))
#: Metres: fibres of 7 µm, pores of half a µm, particles of 7 µm.
VOXEL_SIZES = {"fibre-composite": 0.8e-6, "separator": 0.05e-6, "cathode": 0.5e-6}


def main() -> None:
    """Train or judge the models named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="+", choices=list(VOXEL_SIZES))
    parser.add_argument("--runs", type=Path, default=Path("runs/bundled"))
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--calibrate", action="store_true", help="keep the bundled networks")
    parser.add_argument("--judge", action="store_true", help="measure the bundled models instead")
    arguments = parser.parse_args()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    for name in arguments.names:
        if arguments.judge:
            judge(name)
        elif arguments.calibrate:
            report(name, m3.calibrate(name, micrographs_of(name)))
        else:
            train(name, arguments.runs / name)


def specimen(name: str, seed: int) -> m3.Microstructure:
    """Make a synthetic specimen of the material of a model."""
    return GENERATORS[name](VOLUME_SHAPE, seed=seed, voxel_size=VOXEL_SIZES[name])


def micrographs_of(name: str) -> m3.Micrographs:
    """Return the micrographs that a model is trained on."""
    volume = specimen(name, TRAINING_SEED)
    return m3.Micrographs.from_volume(volume, images_per_plane=300, seed=0)


def train(name: str, run_directory: Path) -> None:
    """Train and calibrate a model and save it in the package."""
    micrographs = micrographs_of(name)
    model = m3.train(
        micrographs,
        run_directory,
        preset="small",
        callback=progress_printer(name),
    )
    calibration = m3.calibrate(model, micrographs, effort="full", out=run_directory / "calibration")
    report(name, calibration)
    shutil.copyfile(run_directory / "history.csv", MODELS / name / "history.csv")


def report(name: str, calibration: m3.Calibration) -> None:
    """Save a calibrated model in the package and print what was found."""
    calibration.model.save(MODELS / name)
    print(f"{name}: {calibration.model}\n{calibration}", flush=True)


def progress_printer(name: str) -> Callable[[dict[str, Any]], None]:
    """Return a callback that prints the progress of training every 50 steps."""

    def print_progress(event: dict[str, Any]) -> None:
        if event["step"] % 50 == 0:
            print(
                f"{name}: step {event['step']}/{event['steps']}, loss {event['loss']:.4f}, "
                f"{event['seconds']:.0f} s, {event['eta']:.0f} s to go",
                flush=True,
            )

    return print_progress


def judge(name: str) -> None:
    """Print the errors of three volumes and of four real blocks against a fresh synthetic volume.

    Per function the mean error of the curves of each plane is printed.
    """
    fresh = specimen(name, JUDGE_SEED)
    model = m3.load_model(name)
    blocks = [
        fresh.labels[tuple(slice(start, start + BLOCK) for start in starts)]
        for starts in BLOCK_STARTS
    ]
    volumes = [m3.reconstruct((BLOCK,) * 3, model, seed=seed) for seed in range(3)]
    for label, judged in {"real blocks": blocks, "volumes": volumes}.items():
        comparison = m3.compare(judged, fresh, splits=2, bootstrap=2)
        parts = []
        for function in ("S2", "L"):
            curves = [comparison.select(function, plane=plane) for plane in PLANES]
            errors = [sum(c.error for c in of_plane) / len(of_plane) for of_plane in curves]
            parts.append(f"{function} " + " ".join(f"{error:.3f}" for error in errors))
        print(f"{name}, {len(judged)} {label}: {'; '.join(parts)}", flush=True)


if __name__ == "__main__":
    main()
