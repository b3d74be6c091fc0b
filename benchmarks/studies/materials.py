# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The materials of the studies: truths, the networks trained on them, and real blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from micro3d_fast import synthetic
from micro3d_fast._blocks import even_windows, spread_evenly

#: correlation lengths of the level cut along z, y, x, in voxels
LEVEL_CUT_LENGTHS = (5.0, 1.5, 1.5)


@dataclass(frozen=True)
class Material:
    """A truth, the networks trained on its slices, and the box of the volumes made."""

    truth: Callable[[Path], np.ndarray]
    box: int
    patch: int = 64
    steps: int = 1500
    batch: int = 32
    rate: float = 1.5e-3  # peak learning rate; the default of "small" is higher (docs/study.md)
    names: tuple[str, ...] | None = None
    conducting: int = 0  # the phase whose relative diffusivity is compared
    # Stiffness of each phase for the comparison of moduli (contrast 10)
    moduli: tuple[float, ...] = (0.1, 1.0)


def level_cut(edge: int, fraction: float, seed: int) -> np.ndarray:
    """Return a level cut of a Gaussian field, correlated longest along z."""
    shape = (edge, edge, edge)
    return synthetic.level_cut(shape, (1 - fraction, fraction), LEVEL_CUT_LENGTHS, seed).labels


def tomogram(name: str) -> Callable[[Path], np.ndarray]:
    """Return a function that reads the labels of NAME.npz from the data folder."""
    return lambda data: np.load(data / f"{name}.npz")["labels"]


def halved(truth: Callable[[Path], np.ndarray]) -> Callable[[Path], np.ndarray]:
    """Return a function that takes every other voxel of a truth along each axis."""
    return lambda data: np.ascontiguousarray(truth(data)[::2, ::2, ::2])


MATERIALS = {
    "level-cut": Material(lambda data: level_cut(160, 0.35, seed=1), box=32, patch=32),
    "fibres": Material(
        lambda data: synthetic.fibre_composite((192, 192, 192), seed=2026).labels,
        box=64,
        steps=1200,
        batch=16,
        names=("matrix", "fibre"),
    ),
    "separator_pp": Material(
        tomogram("separator_pp"), box=64, steps=2600, names=("pore", "polymer")
    ),
    "nmc_cal_cbd_bridge": Material(
        tomogram("nmc_cal_cbd_bridge"),
        box=64,
        steps=1400,
        names=("pore", "active material", "binder"),
        moduli=(0.1, 1.0, 0.3),
    ),
    "sand_pack": Material(tomogram("sand_pack"), box=64, steps=1400),
    "trabecular_bone56": Material(tomogram("trabecular_bone56"), box=64, steps=1400),
    "deepore_rock300": Material(tomogram("deepore_rock300"), box=64, steps=1400),
}
# Half the resolution: the boxes hold as much material in an eighth of the voxels, which makes the
# paper's 4996 passes affordable.
MATERIALS |= {
    f"{name}-half": replace(
        m, truth=halved(m.truth), box=m.box // 2, patch=32, steps=750, batch=32, rate=6e-3
    )
    for name, m in MATERIALS.items()
    if m.box == 64
}

# Prediction, schedule and learning rate: for the comparison of networks with "v-linear".
NETWORKS = {
    "v-linear": {"prediction": "v", "schedule": "linear"},
    "noise-linear": {"prediction": "noise", "schedule": "linear"},
    "x0-linear": {"prediction": "x0", "schedule": "linear"},
    "v-cosine": {"prediction": "v", "schedule": "cosine"},
    "v-cosine-zero": {"prediction": "v", "schedule": "cosine-zero"},
    "v-linear-6e-3": {"prediction": "v", "schedule": "linear", "learning_rate": 6e-3},
}


def real_blocks(truth: np.ndarray, box: int, count: int) -> list[np.ndarray]:
    """Return cubes of a truth that give all its places about the same weight."""
    places = even_windows(truth.shape, (box,) * 3)
    return [np.ascontiguousarray(truth[places[k]]) for k in spread_evenly(len(places), count)]


def training_progress(name: str, every: int) -> Callable[[dict[str, Any]], None]:
    """Return a training callback that prints a line every some steps."""

    def callback(event: dict[str, Any]) -> None:
        if event["step"] % every == 0:
            print(
                f"{name}: step {event['step']}/{event['steps']}, loss {event['loss']:.4f}, "
                f"{event['eta']:.0f} s to go",
                flush=True,
            )

    return callback
