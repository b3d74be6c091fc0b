# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Train the universal networks, from which `train(init="universal")` starts.

    python scripts/train_universal.py --phases 2 --out runs/universal-2 --save

    python scripts/train_universal.py --phases 3 --out runs/universal-3 --save

One network per number of phases (1 or 3 channels; more phases start from that of three) learns the
slices of several hundred random materials.  An interrupted run resumes.  With --save the model goes
to python/micro3d_fast/models/universal/.

A plane has no common meaning in materials whose axes are permuted at random.  The planes are
nevertheless given, and dropped as often as in any training: so the network learns to do the same
for all four conditions, and fine-tuning finds none of them untrained.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import micro3d_fast as m3
from micro3d_fast import synthetic
from micro3d_fast._planes import NORMAL, PLANES

MODELS = Path(__file__).resolve().parents[1] / "python" / "micro3d_fast" / "models" / "universal"
FIRST_SEED = 1_000_000  # of the materials: small seeds are left for tests and studies


class RandomMaterials(m3.Micrographs):
    """All slices of random materials, as the micrographs of one run."""

    @classmethod
    def draw(cls, count: int, n_phases: int, edge: int) -> RandomMaterials:
        """Make the materials: 0.9 MB and about 0.4 s each at an edge of 96 voxels."""
        images: dict[str, list[np.ndarray]] = {plane: [] for plane in PLANES}
        sources = [f"synthetic.random_material({FIRST_SEED + k})" for k in range(count)]
        for k in range(count):
            labels = synthetic.random_material(FIRST_SEED + k, (edge,) * 3, n_phases).labels
            for plane in PLANES:
                images[plane] += list(np.moveaxis(labels, NORMAL[plane], 0))  # views
        return cls(
            images=images,
            n_phases=n_phases,
            phase_names=tuple(f"phase {phase}" for phase in range(n_phases)),
            voxel_size=(1.0, 1.0, 1.0),
            borrowed={},
            sources={plane: np.repeat(sources, edge).tolist() for plane in PLANES},
        )

    def sample(
        self, rng: np.random.Generator, batch_size: int, patch: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw patches, also with rows for columns and phases for each other."""
        labels, plane = super().sample(rng, batch_size, patch)
        for b in range(batch_size):
            crop = labels[b].T if rng.random() < 0.5 else labels[b]
            labels[b] = rng.permutation(self.n_phases).astype(np.uint8)[crop]
        return labels, plane

    def check(self, patch: int | None = None) -> Any:
        """Compare nothing: planes of many materials need not agree."""
        return SimpleNamespace(patch=None)

    def plane_fractions(self, plane: str) -> np.ndarray:
        """Return the fractions of all phases: labels are permuted at random."""
        return np.full(self.n_phases, 1 / self.n_phases)

    @functools.cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"random materials 1 phases {self.n_phases}".encode())
        for image in self.images["xy"]:  # they hold every voxel
            digest.update(np.ascontiguousarray(image))
        return digest.hexdigest()


def main(words: Sequence[str] | None = None) -> None:
    """Train the network that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phases", type=int, choices=(2, 3), default=2)
    parser.add_argument("--out", type=Path, required=True, help="directory of the run")
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--materials", type=int, default=500)
    parser.add_argument("--edge", type=int, default=96, help="of the volumes, in voxels")
    parser.add_argument("--learning-rate", type=float, default=None)
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--save", action="store_true", help="make it the bundled model")
    arguments = parser.parse_args(words)
    started = time.monotonic()
    materials = RandomMaterials.draw(arguments.materials, arguments.phases, arguments.edge)
    print(f"{arguments.materials} materials in {time.monotonic() - started:.0f} s", flush=True)
    model = m3.train(
        materials,
        arguments.out,
        preset="small",
        patch=arguments.patch,
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        resume=arguments.resume,
        samples_every=0,  # samples of no one material have nothing to be compared with
        callback=print_progress,
    )
    print(model)
    if arguments.save:
        model.save(MODELS / f"{arguments.phases}-phases")


def print_progress(event: dict[str, Any]) -> None:
    """Print the progress of training every 50 steps."""
    if event["step"] % 50 == 0 or event["step"] == event["steps"]:
        print(
            f"step {event['step']}/{event['steps']}, loss {event['loss']:.4f}, "
            f"{event['seconds']:.0f} s, {event['eta']:.0f} s to go",
            flush=True,
        )


if __name__ == "__main__":
    main()
