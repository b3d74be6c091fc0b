# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The parts of a batch: one for each process, or several that a process computes in turn."""

from __future__ import annotations

from dataclasses import dataclass

from ..process_group import ProcessGroup

__all__ = ["Part", "parts_of"]


@dataclass(frozen=True)
class Part:
    """Some rows of the batch of all processes."""

    rows: slice
    weight: float  # of its mean loss; the mean over processes of their weighted sums is the loss


def parts_of(batch_size: int, group: ProcessGroup, accumulate: int) -> list[Part]:
    """Return the parts of a process, of nearly the same number of rows."""
    count = group.size * accumulate
    edges = [batch_size * k // count for k in range(count + 1)]
    own = range(group.rank * accumulate, (group.rank + 1) * accumulate)
    return [
        Part(slice(edges[k], edges[k + 1]), group.size * (edges[k + 1] - edges[k]) / batch_size)
        for k in own
    ]
