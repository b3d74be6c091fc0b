# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Train the universal network, from which `train(init="universal")` starts.

    python scripts/train_universal.py --out runs/universal --save

It learns the slices of several hundred random materials of two phases; a material of more phases
starts from it too (`diffusion/training/start.py`).  An interrupted run resumes.  With --save the
model goes to python/micro3d_fast/models/universal/.

A plane has no common meaning in materials whose axes are permuted at random.  The planes are
nevertheless given, and dropped as often as in any training: so the network learns to do the same
for all four conditions, and fine-tuning finds none of them untrained.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import micro3d_fast as m3
from micro3d_fast import synthetic
from micro3d_fast._planes import NORMAL, PLANES
from micro3d_fast.diffusion.model import bundled_directory

UNIVERSAL = bundled_directory("universal")
FIRST_SEED = 1_000_000  # of the materials: small seeds are left for tests and studies
FEW_IMAGES = 100  # per plane


@dataclass(frozen=True, eq=False, repr=False)
class RandomMaterials(m3.Micrographs):
    """Random materials as the micrographs of a run on a CPU: `images` are a few of the slices."""

    volumes: tuple[np.ndarray, ...] = ()

    @classmethod
    def draw(cls, count: int, edge: int) -> RandomMaterials:
        """Make the materials: 0.9 MB and about 0.4 s each at an edge of 96 voxels."""
        shape, seeds = (edge,) * 3, range(FIRST_SEED, FIRST_SEED + count)
        volumes = tuple(synthetic.random_material(seed, shape).labels for seed in seeds)
        few = volumes[:FEW_IMAGES]
        return cls(
            images={
                plane: [v.take(edge // 2, axis=NORMAL[plane]) for v in few] for plane in PLANES
            },
            n_phases=2,
            phase_names=("phase 0", "phase 1"),
            voxel_size=(1.0, 1.0, 1.0),
            borrowed={},
            sources={
                plane: [f"synthetic.random_material({seed})" for seed in seeds[: len(few)]]
                for plane in PLANES
            },
            volumes=volumes,
        )

    def sample(
        self,
        rng: np.random.Generator,
        batch_size: int,
        patch: int,
        mirrored: Collection[str] | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw patches of all slices: flipped, rows for columns, phases for each other."""
        plane = rng.integers(0, len(PLANES), size=batch_size)
        labels = np.empty((batch_size, patch, patch), dtype=np.uint8)
        for b, p in enumerate(plane):
            volume = self.volumes[rng.integers(len(self.volumes))]
            image = volume.take(rng.integers(len(volume)), axis=NORMAL[PLANES[p]])
            row, column = rng.integers(0, len(volume) - patch + 1, size=2)
            rows, columns = rng.choice([-1, 1], size=2)
            crop = image[row : row + patch, column : column + patch][::rows, ::columns]
            crop = crop.T if rng.random() < 0.5 else crop
            labels[b] = rng.permutation(self.n_phases)[crop]
        return labels, plane

    @property
    def mirrored(self) -> tuple[str, ...]:
        """Return all planes: patches are flipped at random."""
        return PLANES

    def check(self, patch: int | None = None) -> Any:
        """Compare nothing: planes of many materials need not agree."""
        return SimpleNamespace(patch=None)

    def plane_fractions(self, plane: str) -> np.ndarray:
        """Return the fractions of all phases: labels are permuted at random."""
        return np.full(self.n_phases, 1 / self.n_phases)

    @functools.cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(b"random materials 1 phases 2")
        for volume in self.volumes:
            digest.update(volume)
        return digest.hexdigest()


def main(words: Sequence[str] | None = None) -> None:
    """Train the network that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="directory of the run")
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--materials", type=int, default=500)
    parser.add_argument("--edge", type=int, default=96, help="of the volumes, in voxels")
    parser.add_argument("--learning-rate", type=float, default=None)
    parser.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--save", action="store_true", help="make it the bundled model")
    arguments = parser.parse_args(words)
    started = time.monotonic()
    materials = RandomMaterials.draw(arguments.materials, arguments.edge)
    print(f"{arguments.materials} materials in {time.monotonic() - started:.0f} s", flush=True)
    model = m3.train(
        materials,
        arguments.out,
        preset="small",
        patch=arguments.patch,
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        device="cpu",  # on CUDA batches are drawn from `images` alone
        resume=arguments.resume,
        samples_every=0,  # samples of no one material have nothing to be compared with
        callback=print_progress,
    )
    print(model)
    if arguments.save:
        model.save(UNIVERSAL)


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
