# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Shared by the generators: checks of arguments, placement of discs and spheres, provenance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import _checks
from .._phases import phase_counts
from ..microstructure import Microstructure

Shape = tuple[int, int, int]


class Draw(NamedTuple):
    """The arguments of every random generator, checked."""

    size: Shape
    wraps: tuple[bool, ...]
    seed: int
    rng: np.random.Generator

    @classmethod
    def of(cls, shape: Any, seed: Any, periodic: Any) -> Draw:
        """Check shape, periodic axes and seed."""
        number = _checks.seed_number(seed)
        size = _checks.shape3(shape, name="shape")
        return cls(size, _checks.per_axis_bool(periodic), number, np.random.default_rng(number))

    def outer_box(self, margin: Sequence[int]) -> Shape:
        """Return the periodic box that the volume is cut from: its own size if all axes join."""
        sizes = zip(self.size, self.wraps, margin, strict=True)
        nz, ny, nx = (n if wrap else n + more for n, wrap, more in sizes)
        return nz, ny, nx

    def parameters(self, **own: Any) -> dict[str, Any]:
        """Return the parameters for the provenance, those of one generator in the middle."""
        return {"shape": self.size, **own, "seed": self.seed, "periodic": self.wraps}


def check_fraction(value: Any) -> float:
    """Return ``volume_fraction`` as a float in (0, 1)."""
    return _checks.real(value, name="volume_fraction", minimum=0.0, maximum=1.0, open_ends=True)


def check_fractions(values: Any, count: int | None = None) -> tuple[float, ...]:
    """Return ``volume_fractions``: one number per phase, with sum 1."""
    name = "volume_fractions"
    wanted = f"hold {count or 'some'} numbers in [0, 1] with sum 1, one per phase"
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise _checks.refuse_type(name, wanted, _checks.shown(values))
    fractions = tuple(_checks.real(v, name=name, minimum=0.0, maximum=1.0) for v in values)
    if (count and len(fractions) != count) or not 1 <= len(fractions) <= 256:
        raise _checks.refuse(name, wanted, str(len(fractions)))
    if abs(sum(fractions) - 1.0) > 1e-9:
        raise _checks.refuse(name, wanted, f"sum {sum(fractions):.9g}")
    return fractions


def push_apart(
    points: np.ndarray, radii: np.ndarray, box: np.ndarray, iterations: int = 400
) -> np.ndarray:
    """Move discs or spheres of a periodic box until no two overlap by more than one per cent."""
    from scipy.spatial import cKDTree

    limit = min(2.0 * float(radii.max()), 0.499 * float(box.min()))
    points = points % box
    for _ in range(iterations):
        pairs = cKDTree(points, boxsize=box).query_pairs(limit, output_type="ndarray")
        if len(pairs) == 0:
            break
        i, j = pairs.T
        apart = points[i] - points[j]
        apart -= box * np.round(apart / box)
        length = np.sqrt(np.sum(apart**2, axis=1))
        wanted = radii[i] + radii[j]
        close = length < wanted
        if not close.any() or float(np.max((wanted - length)[close] / wanted[close])) < 0.01:
            break
        i, j, apart = i[close], j[close], apart[close]
        push = 0.5 * ((wanted - length) / np.maximum(length, 1e-9))[close, None] * apart
        for d in range(points.shape[1]):
            points[:, d] += np.bincount(i, push[:, d], len(points))
            points[:, d] -= np.bincount(j, push[:, d], len(points))
        points %= box
        points[points >= box] = 0.0  # a tiny negative coordinate modulo the box rounds to the box
    return points


def make_microstructure(
    generator: str,
    labels: np.ndarray,
    names: tuple[str, ...],
    parameters: dict[str, Any],
    facts: dict[str, Any],
    voxel_size: Any,
) -> Microstructure:
    """Return the volume with generator, parameters and truth in its provenance."""
    count = len(names) or int(labels.max()) + 1
    counts = phase_counts(labels, count)
    truth = {"volume_fractions": counts / labels.size, "voxels": counts, **facts}
    labels.flags.writeable = False
    return Microstructure(
        labels,
        voxel_size=voxel_size,
        phase_names=names,
        provenance={"generator": generator, "parameters": parameters, "truth": truth},
    )
