# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The parts of a batch: one for each process, or several that a process computes in turn."""

from __future__ import annotations

from dataclasses import dataclass

from ..process_group import ProcessGroup, share_of

__all__ = ["Part", "parts_of"]


@dataclass(frozen=True)
class Part:
    """Some rows of the batch of all processes."""

    rows: slice
    weight: float  # of its mean loss; the mean over processes of their weighted sums is the loss


def parts_of(batch_size: int, group: ProcessGroup, accumulate: int) -> list[Part]:
    """Return the parts of a process, of nearly the same number of rows."""
    count = group.size * accumulate
    own = range(group.rank * accumulate, (group.rank + 1) * accumulate)
    shares = [share_of(batch_size, k, count) for k in own]
    return [Part(slice(s.start, s.stop), group.size * len(s) / batch_size) for s in shares]
