# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Exact counts of the voxels of each phase."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ._arrays import Array, framework, is_stored, to_numpy

_PIECE = 1 << 18  # voxels at a time: numpy's bincount copies its argument to int64


def phase_counts(labels: Array, n_phases: int) -> np.ndarray:
    """Return the number of voxels of phases ``0 ... n_phases - 1``, as int64 (n_phases,).

    ``labels`` is a uint8 array of any shape, numpy, torch or `StoredLabels`; larger labels are not
    counted.
    """
    if is_stored(labels):
        return labels.counts[:n_phases]
    flat = labels.reshape(-1)
    if framework(labels) == "torch":
        if n_phases <= 8:  # bincount on a GPU waits for the largest label, and for its atomics
            found = [(flat == phase).sum() for phase in range(n_phases)]
            return to_numpy(sys.modules["torch"].stack(found))
        return to_numpy(flat.bincount(minlength=n_phases))[:n_phases]
    counts = np.zeros(n_phases, dtype=np.int64)
    for start in range(0, flat.size, _PIECE):
        piece = flat[start : start + _PIECE]
        if n_phases <= 8:
            counts += [np.count_nonzero(piece == phase) for phase in range(n_phases)]
        else:
            counts += np.bincount(piece, minlength=n_phases)[:n_phases]
    return counts


def warn_of_absent(labels: Array, *phases: int, stacklevel: int) -> None:
    """Warn of phases that do not occur in labels, and name those that do.

    ``labels`` are as of `phase_counts`.  Reads on until the phases are found, so it costs next to
    nothing where they occur.
    """
    absent = sorted(set(phases))
    for probe in _probes(labels):
        absent = [phase for phase in absent if not bool((probe == phase).any())]
        if not absent:
            return
    present = np.flatnonzero(phase_counts(labels, 256))
    subject = f"phase {absent[0]} does" if len(absent) == 1 else f"phases {listed(absent)} do"
    sentence = f"{subject} not occur: the labels are {listed(present)}{grey_hint(present)}"
    warnings.warn(sentence, stacklevel=stacklevel + 1)


def _probes(labels: Array) -> Iterator[Array]:
    """Yield a sample of labels, then all of them in pieces; of stored ones those in the middle."""
    if is_stored(labels):
        yield labels[tuple(slice(n // 2, n // 2 + 64) for n in labels.shape)]
        yield np.flatnonzero(labels.counts)
        return
    flat = labels.reshape(-1)
    yield flat[:: max(len(flat) >> 12, 1)]
    for start in range(0, len(flat), _PIECE):
        yield flat[start : start + _PIECE]


def grey_hint(present: Sequence[Any] | np.ndarray) -> str:
    """Return what to do about the labels of a black and white picture; often empty."""
    if list(present) not in ([0, 255], [255]):
        return ""
    return "; turn grey values into phases with `phases`={0: 0, 255: 1}"


def listed(labels: Sequence[Any] | np.ndarray) -> str:
    """Return labels as text: "0, 1 and 255", or "0 ... 200 (87 labels)"."""
    names = [str(label) for label in labels]
    if len(names) > 8:
        return f"{names[0]} ... {names[-1]} ({len(names)} labels)"
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
