# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The pictures of the study of real volumes: fields on sections, surfaces of Young's modulus."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def young(stiffness: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return Young's modulus 1 / (n n : S : n n) along directions (..., 3)."""
    s = np.linalg.inv(stiffness)
    i, j = [0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]
    p = n[..., i] * n[..., j]
    return 1.0 / np.einsum("...i,ij,...j->...", p, s, p)


def draw_surface(axes: Any, stiffness: np.ndarray, title: str) -> None:
    """Draw E(n) in GPa as a surface."""
    from matplotlib import cm

    polar, azimuth = np.linspace(0, np.pi, 61), np.linspace(0, 2 * np.pi, 97)
    n = np.stack(
        [
            np.outer(np.sin(polar), np.cos(azimuth)),
            np.outer(np.sin(polar), np.sin(azimuth)),
            np.outer(np.cos(polar), np.ones_like(azimuth)),
        ],
        axis=-1,
    )
    e = young(stiffness, n) / 1e9
    p = n * e[..., None]
    axes.plot_surface(
        *np.moveaxis(p, -1, 0), facecolors=cm.viridis(e / e.max()), rstride=1, cstride=1,
        linewidth=0, antialiased=False, shade=True,
    )  # fmt: skip
    reach = np.abs(p).reshape(-1, 3).max(axis=0)
    top = reach.max()
    axes.set(xlim=(-top, top), ylim=(-top, top), zlim=(-top, top), title=title)
    axes.set_box_aspect((1, 1, 1))
    axes.set_xlabel("x", labelpad=-6)
    axes.set_ylabel("y", labelpad=-6)
    axes.set_zlabel("z", labelpad=-6)
    axes.locator_params(nbins=3)
    axes.tick_params(labelsize=6, pad=-2)


def section(
    figure: Any, axes: Any, values: np.ndarray, solid: np.ndarray, label: str, axis: str
) -> None:
    """Draw a field on a section, grey outside the phase."""
    import matplotlib as mpl

    colours = mpl.colormaps["inferno"].with_extremes(bad="#c8c8c8")
    shown = np.where(solid, values, np.nan)
    top = float(np.nanquantile(shown, 0.995))
    image = axes.imshow(
        shown, cmap=colours, vmin=0, vmax=top, origin="lower", interpolation="nearest"
    )
    axes.set(xlabel="x (voxels)", ylabel=f"{axis} (voxels)")
    figure.colorbar(image, ax=axes, label=label, shrink=0.85, extend="max")


def pictures(out: Path, to: Path) -> None:
    """Draw the pictures of docs/homogenize.md."""
    import matplotlib as mpl

    to.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"font.size": 8, "axes.titlesize": 8}):
        for name, picture in (("ply", ply), ("bone", bone), ("cathode", cathode)):
            picture(out).savefig(to / f"homogenize_{name}.png", dpi=110)


def ply(out: Path) -> Any:
    """Draw the stress of the ply and the surfaces of Young's modulus of two sets of materials."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 4.2), layout="constrained")
    grid = figure.add_gridspec(2, 2, height_ratios=[1, 1.7])
    case = np.load(out / "ply, carbon-epoxy.npz")
    axes = figure.add_subplot(grid[0, :])
    everywhere = np.ones(case["labels"].shape, bool)
    section(figure, axes, case["von_mises"], everywhere, "von Mises / mean", "y")
    axes.contour(case["labels"], [0.5], colors="white", linewidths=0.3)
    axes.set_title("Carbon-epoxy ply, mean tension along x; fibres outlined in white")
    for k, name in enumerate(("carbon-epoxy", "paper-table-a1")):
        axes = figure.add_subplot(grid[1, k], projection="3d")
        c = np.load(out / f"ply, {name}.npz")["stiffness"]
        draw_surface(axes, c, f"{name}: Young's modulus E(n), GPa")
    return figure


def bone(out: Path) -> Any:
    """Draw the stress of the bone and the surface of its Young's modulus."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.6, 3.4), layout="constrained")
    case = np.load(out / "bone.npz")
    axes = figure.add_subplot(1, 2, 1)
    section(figure, axes, case["von_mises"], case["labels"] == 1, "von Mises / mean", "z")
    axes.set_title("Trabecular bone, mean compression along z")
    axes = figure.add_subplot(1, 2, 2, projection="3d")
    draw_surface(axes, case["stiffness"], "Young's modulus E(n), GPa")
    return figure


def cathode(out: Path) -> Any:
    """Draw the flux through the pores of the cathode."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2, 4.8), layout="constrained")
    axes = figure.subplots()
    case = np.load(out / "cathode, pore, z.npz")
    section(figure, axes, case["flux"], case["labels"] == 0, "flux / that of the open box", "z")
    axes.set_title("Cathode, diffusion through the pores along z")
    return figure
