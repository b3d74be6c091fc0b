# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Figures of volumes, micrographs and properties with matplotlib, which is imported here alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._checks import refuse
from ._lengths import length_unit
from ._notebook import Picture
from ._palette import PHASE_COLOURS, phase_colour
from ._planes import AXIS_NAMES, IMAGE_AXES, NORMAL, PLANES

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

_MIDDLE = 400  # pixels along each side of an image that are drawn one by one


def plot_labels(
    pictures: Sequence[Picture],
    voxel_size: Sequence[float],
    phase_names: Sequence[str],
    axes: Any = None,
) -> np.ndarray:
    """Draw label images side by side in the colours of their phases; return their axes."""
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Patch

    own = axes is None
    found = grid_of_axes(axes, len(pictures))
    unit = length_unit(voxel_size, max(max(p.edges(voxel_size)) for p in pictures))
    colours = ListedColormap([phase_colour(phase) for phase in range(256)])
    for ax, picture in zip(found, pictures, strict=True):
        height, width = (unit(edge) for edge in picture.edges(voxel_size))
        extent = (0.0, width, height, 0.0)
        ax.imshow(picture.labels, colours, vmin=0, vmax=255, interpolation="nearest", extent=extent)
        rows, columns = (AXIS_NAMES[axis] for axis in IMAGE_AXES[picture.plane])
        ax.set(
            title=picture.title, xlabel=f"{columns} ({unit.name})", ylabel=f"{rows} ({unit.name})"
        )
    occur = np.unique(np.concatenate([np.unique(p.labels) for p in pictures]))[: len(PHASE_COLOURS)]
    keys = [Patch(facecolor=phase_colour(p), label=phase_names[p]) for p in occur]
    if own:
        found[0].figure.legend(handles=keys, ncols=len(keys), loc="outside lower center")
    else:
        found[-1].legend(handles=keys)
    return found


def save_segmentation(
    path: Path,
    grey: Sequence[np.ndarray] | None,
    labels: Sequence[np.ndarray],
    titles: Sequence[str],
    phase_names: Sequence[str],
) -> None:
    """Save images, one per row, beside their labels as PNG; of large ones the middle."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    columns = [labels] if grey is None else [grey, labels]
    heights = [min(image.shape[0], _MIDDLE) / min(image.shape[1], _MIDDLE) for image in labels]
    size = (4.2 * len(columns), sum(4.2 * height + 0.4 for height in heights) + 0.4)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(len(labels), len(columns), squeeze=False, height_ratios=heights)
    colours = ListedColormap([phase_colour(phase) for phase in range(256)])
    for row, title in enumerate(titles):
        shape = labels[row].shape
        middle = tuple(slice((n - min(n, _MIDDLE)) // 2, (n + min(n, _MIDDLE)) // 2) for n in shape)
        part = "" if max(shape) <= _MIDDLE else f"\nthe middle of {shape[0]} × {shape[1]} pixels"
        for ax, stack in zip(axes[row], columns, strict=True):
            image = stack[row][middle]
            style: dict[str, Any] = {"cmap": "gray"}
            if stack is labels:
                style = {"cmap": colours, "vmin": 0, "vmax": 255}
            ax.imshow(image, interpolation="nearest", **style)
            ax.set_xticks([])
            ax.set_yticks([])
            ax.set_title("segmentation", size=8)
        axes[row, 0].set_title(title.rsplit("/")[-1][-45:] + part, size=8)
    few = range(min(len(phase_names), len(PHASE_COLOURS)))
    keys = [Patch(facecolor=phase_colour(p), label=phase_names[p]) for p in few]
    figure.legend(handles=keys, ncols=min(len(keys), 4), loc="outside lower center")
    figure.savefig(path, format="png", dpi=150)


def plot_flow(
    concentration: np.ndarray, flux: np.ndarray, axis: str, axes: Any = None
) -> np.ndarray:
    """Draw concentration and size of the flux in the middle of a volume; return both axes.

    The slice holds ``axis``, from plate to plate.
    """
    plane = "xz" if axis == "z" else "xy"
    middle = concentration.shape[NORMAL[plane]] // 2
    rows, columns = (AXIS_NAMES[k] for k in IMAGE_AXES[plane])
    size = np.where(np.isnan(concentration), np.nan, np.linalg.norm(flux, axis=-1))
    drawn = {"concentration": concentration, "size of the flux": size}
    found = grid_of_axes(axes, 2)
    for ax, (title, field) in zip(found, drawn.items(), strict=True):
        image = ax.imshow(field.take(middle, axis=NORMAL[plane]), "viridis")
        ax.set_facecolor("0.85")
        ax.set(title=title, xlabel=f"{columns} (voxels)", ylabel=f"{rows} (voxels)")
        ax.figure.colorbar(image, ax=ax, shrink=0.7)
    return found


def plot_groups(
    title: str, components: Sequence[str], groups: Mapping[str, np.ndarray], axes: Axes
) -> None:
    """Draw values (n, components) of several groups as points, with mean and deviation."""
    for number, (label, values) in enumerate(groups.items()):
        colour, side = f"C{number}", 0.3 * (number - (len(groups) - 1) / 2)
        for place, column in enumerate(np.asarray(values, dtype=float).T):
            known = column[np.isfinite(column)]
            axes.plot(
                np.full(len(known), place + side), known, "o", color=colour, alpha=0.35, ms=4,
                label=None if place else label,
            )  # fmt: skip
            if len(known) == len(column):  # else no mean is finite
                spread = known.std(ddof=1) if len(known) > 1 else 0.0
                axes.errorbar(
                    place + side + 0.1, known.mean(), spread, fmt="_", color=colour, capsize=3
                )
    axes.set_xticks(range(len(components)), components)
    axes.set_xlim(-0.6, len(components) - 0.4)
    axes.set_title(title, fontsize=10)


def grid_of_axes(axes: Any, count: int) -> np.ndarray:
    """Return the given axes, of which there must be ``count``, or those of a new figure."""
    if axes is None:
        import matplotlib.pyplot as plt

        columns = min(count, 3)
        rows = -(-count // columns)
        size = (3.2 * columns, 3.6 * rows)
        _, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
        for ax in axes.flat[count:]:
            ax.remove()
        axes = axes.flat[:count]
    found = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(found) != count:
        raise refuse("axes", f"be {count} axes", str(len(found)))
    return found


def plot_directions(
    value: Callable[[np.ndarray], np.ndarray], title: str, axes: Axes | None = None
) -> Axes:
    """Draw a property of directions (..., 3) in (x, y, z) in the three planes; return the axes."""
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(subplot_kw={"projection": "polar"}, layout="constrained")
    angle = np.linspace(0.0, 2.0 * np.pi, 361)
    for plane, dash in zip(PLANES, ("-", "--", ":"), strict=True):
        rows, columns = IMAGE_AXES[plane]
        direction = np.zeros((len(angle), 3))
        direction[:, 2 - columns], direction[:, 2 - rows] = np.cos(angle), np.sin(angle)
        label = f"{AXIS_NAMES[columns]} → {AXIS_NAMES[rows]}"
        axes.plot(angle, value(direction), dash, label=label)
    axes.set_title(title)
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False)
    return axes
