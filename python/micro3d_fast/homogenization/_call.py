# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The arguments that every property function shares, checked in one place."""

from __future__ import annotations

import contextlib
import time
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from .. import ops
from .._checks import integer
from .._progress import Shown, following
from ._compute import Compute, compute_for
from ._periodicity import seam_warnings
from ._voxels import LabelledVoxels
from .solver import SolverOptions


@dataclass(frozen=True, eq=False)
class Call:
    """Checked labels, solver options and device of one call, and when it began."""

    voxels: LabelledVoxels
    options: SolverOptions
    compute: Compute
    started: float

    @classmethod
    def of(
        cls,
        labels: Any,
        voxel_size: Any,
        options: SolverOptions,
        device: Any,
        threads: Any,
        bytes_per_voxel: int = 37,
    ) -> Call:
        """Check the arguments; ``device`` None is where the labels are.

        ``bytes_per_voxel`` is the memory that the solver needs (docs/homogenize.md).
        """
        started = time.perf_counter()
        threads = integer(threads, name="threads", minimum=0, maximum=ops.MAX_THREADS)
        compute = compute_for(labels, device, threads)
        voxels = LabelledVoxels.of(labels, voxel_size, compute, bytes_per_voxel)
        return cls(voxels, options, compute, started)

    def warn_of_seams(self, axes: Iterable[int] = range(3)) -> tuple[str, ...]:
        """Warn the caller's caller if the volume does not continue across its periodic faces."""
        axes = [axis for axis in axes if not self.voxels.periodic[axis]]
        labels = self.compute.send_labels(self.voxels.labels)
        sentences = seam_warnings(labels, axes, self.voxels.counts)
        for sentence in sentences:
            warnings.warn(sentence, stacklevel=3)
        return sentences

    @contextlib.contextmanager
    def followed(self, progress: Shown, title: str, loads: int) -> Iterator[Call]:
        """Yield the call with a callback that also shows the progress of so many loads."""
        faster = [
            *(["a GPU"] if self.compute.name == "cpu" else []),
            "a larger tol",
            "fewer voxels",
        ]
        with following(progress, title, on=self.compute.name, faster=faster) as bar:
            callback = bar.beside(self.options.callback, bar.solver(loads))
            yield replace(self, options=replace(self.options, callback=callback))

    def seconds(self) -> float:
        """Return the wall time since the call began."""
        return time.perf_counter() - self.started
