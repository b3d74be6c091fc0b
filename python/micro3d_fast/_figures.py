# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Figures of volumes, micrographs and properties with matplotlib, which is imported here alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._checks import refuse
from ._lengths import length_unit
from ._notebook import Picture
from ._palette import PHASE_COLOURS, phase_colour
from ._planes import AXIS_NAMES, IMAGE_AXES, PLANES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


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
    if own:
        import matplotlib.pyplot as plt

        count = len(pictures)
        _, axes = plt.subplots(1, count, figsize=(3.2 * count, 3.6), layout="constrained")
    found = np.atleast_1d(np.asarray(axes, dtype=object)).ravel()
    if len(found) != len(pictures):
        raise refuse("axes", f"be {len(pictures)} axes", str(len(found)))
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


def plot_directions(
    value: Callable[[np.ndarray], np.ndarray], title: str, axes: Axes | None = None
) -> Axes:
    """Draw a property of directions (..., 3) in (x, y, z) in the three planes; return the axes."""
    if axes is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(subplot_kw={"projection": "polar"}, layout="constrained")
    angle = np.linspace(0.0, 2.0 * np.pi, 361)
    for plane in PLANES:
        rows, columns = IMAGE_AXES[plane]
        direction = np.zeros((len(angle), 3))
        direction[:, 2 - columns], direction[:, 2 - rows] = np.cos(angle), np.sin(angle)
        axes.plot(angle, value(direction), label=f"{AXIS_NAMES[columns]} → {AXIS_NAMES[rows]}")
    axes.set_title(title)
    axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), frameon=False)
    return axes
