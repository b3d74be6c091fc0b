# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Make the pictures of the bundled models and of the README. Run it after training the models.

    python scripts/make_pictures.py

It writes volume.png into the directory of each bundled model, which `micro3d models` lists, and
docs/overview.png: micrographs of specimens that the model has not seen, a volume, and its curves.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from PIL import Image

import micro3d_fast as m3
from micro3d_fast import _demo
from micro3d_fast._palette import PHASE_COLOURS
from micro3d_fast._planes import AXIS_NAMES, IMAGE_AXES, PLANES
from micro3d_fast.report._pictures import render_block

ROOT = Path(__file__).resolve().parents[1]
OVERVIEW = ROOT / "docs" / "overview.png"
EDGE, SEED, PIXELS = 64, 1, 1400
REAL, MADE = "0.35", "#c8321e"  # curves of the micrographs and of the volume


def main() -> None:
    """Make all pictures."""
    for name in m3.diffusion.BUNDLED:
        model = m3.load_model(name)
        volume = m3.reconstruct(EDGE, model, seed=SEED)
        picture = Image.fromarray(render_block(volume.labels, pixels=2 * 360))
        file = m3.diffusion.model.bundled_directory(name) / "volume.png"
        picture.resize((360, 360), Image.Resampling.LANCZOS).quantize(48).save(file, optimize=True)
        print(f"{file}: {volume}")
        if name == "fibre-composite":
            draw_overview(name, model, volume)
            print(OVERVIEW)


def draw_overview(name: str, model: m3.Model, volume: m3.Microstructure) -> None:
    """Draw the picture at the top of the README."""
    with tempfile.TemporaryDirectory() as folder:
        micrographs = _demo.make_micrographs(name, model, Path(folder))
    comparison = m3.compare(volume, micrographs)
    print(comparison.verdict)
    plt.rcParams.update({"font.size": 10.5, "font.family": "sans-serif"})
    figure = plt.figure(figsize=(10, 4.5), facecolor="white")
    images, view, curves = figure.subfigures(1, 3, width_ratios=(0.8, 2.0, 1.75))
    draw_micrographs(images, micrographs)
    draw_volume(view, volume)
    draw_curves(curves, comparison, 1e6 * volume.voxel_size[0])
    figure.savefig(OVERVIEW, dpi=150)
    picture = Image.open(OVERVIEW).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    picture.save(OVERVIEW, optimize=True)


def draw_micrographs(figure: Any, micrographs: m3.Micrographs) -> None:
    """Draw one image of each plane."""
    figure.suptitle("2D micrographs", weight="bold", y=0.97)
    colours = ListedColormap(PHASE_COLOURS[:2])
    axes = figure.subplots(3, 1, gridspec_kw={"top": 0.9, "bottom": 0.03, "hspace": 0.08})
    for ax, plane in zip(axes, PLANES, strict=True):
        ax.imshow(micrographs.images[plane][0][:EDGE, :EDGE], colours, origin="lower")
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(plane, rotation=0, labelpad=12, va="center")


def draw_volume(figure: Any, volume: m3.Microstructure) -> None:
    """Draw the volume, without its matrix in the upper third."""
    edge = EDGE * 1e6 * volume.voxel_size[0]
    figure.suptitle(f"→  3D volume, {EDGE}³ voxels, {edge:.0f} µm  →", weight="bold", y=0.97)
    labels = volume.labels.copy()
    top = labels[2 * EDGE // 3 :]
    top[top == 0] = 2
    ax = figure.add_axes((0.0, 0.0, 1.0, 0.93))
    ax.imshow(render_block(labels, (2,), pixels=PIXELS), interpolation="antialiased")
    ax.axis("off")
    margin = 0.04 * PIXELS
    ax.set(xlim=(margin, PIXELS - margin), ylim=(PIXELS - margin, margin))


def draw_curves(figure: Any, comparison: m3.Comparison, micrometres: float) -> None:
    """Draw S2 and L of the fibres along x and z, with the band of real specimens."""
    figure.suptitle("measured against the micrographs", weight="bold", y=0.97)
    names = {"S2": "two-point correlation $S_2$", "L": "lineal path $L$"}
    space = {"top": 0.87, "bottom": 0.12, "left": 0.13, "right": 0.97, "hspace": 0.38}
    axes = figure.subplots(2, 1, gridspec_kw=space, sharex=True)
    for ax, (function, title) in zip(axes, names.items(), strict=True):
        for direction, dash in (("x", "-"), ("z", "--")):
            axis = AXIS_NAMES.index(direction)
            plane = next(p for p in PLANES if axis in IMAGE_AXES[p])
            (curve,) = comparison.select(function, phase=1, plane=plane, direction=direction)
            lag = micrometres * curve.lag
            low, high = (curve.reference + side * curve.real_std for side in (-2, 2))
            ax.fill_between(lag, low, high, color=REAL, alpha=0.15, linewidth=0, label="± 2 σ")
            place = 0.37 * lag[-1], np.interp(0.37 * lag[-1], lag, curve.reference - 0.08)
            ax.text(*np.maximum(place, 0.02), f"along {direction}", fontsize=9)
            ax.plot(lag, curve.reference, dash, color=REAL, label="micrographs")
            ax.plot(lag, curve.generated, dash, color=MADE, label="volume")
        ax.set_title(f"{title} of the fibres", fontsize=10)
        ax.set(xlim=(0, lag[-1]), ylim=(0, None))
        ax.spines[["top", "right"]].set_visible(False)
    axes[1].set_xlabel("distance (µm)")
    handles, labels = axes[0].get_legend_handles_labels()
    order = [labels.index(label) for label in ("micrographs", "volume", "± 2 σ")]
    names = ["micrographs", "volume", "real specimens, ± 2 σ"]
    axes[1].legend([handles[k] for k in order], names, fontsize=9, frameon=False, loc=(0.43, 0.12))


if __name__ == "__main__":
    main()
