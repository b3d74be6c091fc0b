# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Whether a volume continues across its opposite faces, as periodic boundaries assume."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .._arrays import Array, to_numpy
from .._phases import phase_counts
from .._planes import AXIS_NAMES
from ..microstructure import recorded_crop

FEWEST_SLICES = 16  # along an axis; fewer cannot tell a seam from chance


def known_periodic(provenance: Any) -> tuple[bool, bool, bool]:
    """Return the axes along which a provenance records that the volume was made periodic."""
    if crop := recorded_crop(provenance):
        box, shape, whole = crop
        sides = zip(known_periodic(whole), box, shape, strict=True)
        z, y, x = (known and ends == [0, n] for known, ends, n in sides)
        return z, y, x
    records = [provenance] if isinstance(provenance, Mapping) else []
    records += [record[k] for record in records for k in ("parameters", "truth") if k in record]
    for record in records:
        value = record.get("periodic") if isinstance(record, Mapping) else None
        if isinstance(value, bool):
            return value, value, value
        if isinstance(value, list | tuple) and len(value) == 3:
            z, y, x = (flag is True for flag in value)
            return z, y, x
    return False, False, False


def face_seams(
    labels: Array, axes: Iterable[int], counts: np.ndarray | None = None
) -> dict[int, float]:
    """Return the axes along which opposite faces differ as unrelated ones do.

    The value is the share of unlike voxels between the last slice and the first, over its mean
    between neighbouring slices inside.  A seam is a share above that of every pair of slices
    inside, and nearer (in the logarithm) to that of independent voxels, 1 - sum of the squared
    phase fractions, than to the mean inside.  Where neighbouring slices differ more than half as
    much as independent voxels, a seam is no worse than the rest and is not reported.  ``labels``:
    uint8, numpy or torch; ``counts``: of each of them, if they are known.
    """
    found = {}
    counts = phase_counts(labels, 256) if counts is None else counts
    independent = 1.0 - float(((counts / counts.sum()) ** 2).sum())
    for axis in axes:
        if labels.shape[axis] < FEWEST_SLICES:
            continue
        inside = _unlike(labels, axis, slice(1, None), slice(-1))
        across = float(_unlike(labels, axis, slice(-1, None), slice(1))[0])
        mean = float(inside.mean())
        if across > max(inside.max(), np.sqrt(mean * independent)) and mean < independent / 2:
            found[axis] = across / mean
    return found


def _unlike(labels: Array, axis: int, some: slice, others: slice) -> np.ndarray:
    """Return the share of unlike voxels of each of ``some`` slices and that of ``others``."""
    before = (slice(None),) * axis
    unlike = labels[(*before, some)] != labels[(*before, others)]
    area = math.prod(labels.shape) // labels.shape[axis]
    return to_numpy(unlike.sum(axis=tuple(a for a in range(3) if a != axis))) / area


def seam_warnings(
    labels: Array, axes: Iterable[int], counts: np.ndarray | None = None
) -> tuple[str, ...]:
    """Return one sentence if opposite faces do not match along some of the periodic axes."""
    seams = face_seams(labels, axes, counts)
    if not seams:
        return ()
    names = ", ".join(AXIS_NAMES[axis] for axis in seams)
    ratios = ", ".join(f"{ratio:.2g}" for ratio in seams.values())
    return (
        f"the boundary condition is periodic, but opposite faces do not match along {names} "
        f"({ratios} × as many unlike voxels as between neighbouring slices), which biases the "
        "result: use a volume that was made periodic",
    )
