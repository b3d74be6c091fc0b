# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The 3D view of the volume."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._lengths import nice_length
from .._palette import phase_colour
from .._planes import AXIS_NAMES
from .._png import rgb_png
from . import _pictures
from ._document import Viewer
from ._format import percent
from ._subject import Subject


def viewer(subject: Subject) -> Viewer:
    """Return the 3D view; phase 0 is hidden at first if there are others."""
    packed = _pictures.embed(subject.labels)
    present = np.flatnonzero(np.bincount(packed.labels.ravel()))
    hidden = [0] if 0 in present and present.size > 1 else []
    dz, dy, dx = (d * f for d, f in zip(subject.voxel_size, packed.factors, strict=True))
    spacing = (dz, dy, dx)
    still = _pictures.render_block(
        packed.labels,
        tuple(hidden),
        voxel_size=spacing,
        pixels=int(np.clip(9 * max(packed.labels.shape), 160, 640)),
    )
    fractions, names = subject.fractions, subject.phase_names
    nz, ny, nx = subject.labels.shape
    left_out = ", ".join(names[phase] for phase in hidden)
    alt = f"Perspective view of the volume of {nz} × {ny} × {nx} voxels"
    return Viewer(
        still=rgb_png(still),
        alt=f"{alt}, {left_out} left out." if hidden else f"{alt}.",
        caption=_caption(subject, packed, left_out),
        hidden=hidden,
        phases=[
            {
                "phase": phase,
                "name": name,
                "colour": phase_colour(phase),
                "fraction": percent(float(fractions[phase])),
            }
            for phase, name in enumerate(names)
            if fractions[phase] > 0
        ],
        axes=[
            {"name": name, "n": n}
            for name, n in reversed(list(zip(AXIS_NAMES, packed.labels.shape, strict=True)))
        ],
        volume={
            "shape": list(packed.labels.shape),
            "spacing": [float(s) for s in np.array(spacing) / max(spacing)],
            "lengths": [subject.edge(axis) for axis in (2, 1, 0)],
            "longest": float(subject.unit(subject.longest)),
            "unit": subject.unit.name,
            "palette": [phase_colour(phase) for phase in range(256)],
            "hidden": hidden,
            "data": packed.data,
        },
        bar=_still_bar(subject),
        factors=packed.factors,
    )


def _still_bar(subject: Subject) -> dict[str, Any]:
    """Return the scale bar of the still picture, which is orthographic."""
    edges = subject.unit(np.array(subject.labels.shape) * subject.voxel_size)
    width = _pictures.PICTURE_SIZE * float(np.linalg.norm(edges))
    length = nice_length(0.25 * width)
    return {"width": round(100 * length / width, 2), "text": f"{length:g} {subject.unit.name}"}


def _caption(subject: Subject, packed: _pictures.Embedded, left_out: str) -> str:
    caption = f"The volume, {subject.edges()} (x × y × z)"
    caption += f"; {left_out} is left out at first." if left_out else "."
    if max(packed.factors) > 1:
        (nz, ny, nx), (fz, fy, fx) = subject.labels.shape, packed.factors
        caption += (
            f" The page draws it coarser, each voxel the majority of {fx} × {fy} × {fz} (x × y × z)"
            f" of the {nx} × {ny} × {nz}; all numbers are of the full volume."
        )
    return caption
