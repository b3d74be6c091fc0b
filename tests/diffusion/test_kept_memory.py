# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Freed memory stays mapped while the network runs on the CPU and is returned afterwards."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
import torch

from micro3d_fast.diffusion.device import _gnu_malloc, computing, kept_memory

MEGABYTES = 48


def faults() -> list[int]:
    """Return the page faults of six fills of 48 MB; 12288 pages each if memory is not kept."""
    counts = []
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.empty(MEGABYTES << 18).fill_(1.0)
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return counts


def kept_then_returned() -> bool:
    """Return whether `kept_memory`, also nested, keeps memory inside and returns it at the end."""
    pages = MEGABYTES << 8
    with kept_memory():
        inside = [min(faults())]
        with kept_memory():  # two volumes at a time
            inside.append(min(faults()))
        inside.append(min(faults()))
    return max(inside) < pages // 10 and (max(faults()) > pages // 2 or _huge_pages())


@pytest.mark.skipif(_gnu_malloc() is None, reason="malloc is not GNU's")
def test_memory_is_kept_inside_and_returned_outside():
    """Try several processes: a heap cannot grow if the kernel has mapped something behind it."""
    for _ in range(8):
        if subprocess.run([sys.executable, __file__], timeout=120, check=False).returncode == 0:
            return
    pytest.fail("none of eight processes kept its memory")


def _huge_pages() -> bool:
    """Return whether the kernel backs all memory with huge pages, which take fewer faults."""
    with open("/sys/kernel/mm/transparent_hugepage/enabled") as file:
        return "[always]" in file.read()


def test_the_cpu_keeps_freed_memory_while_it_computes():
    with computing(torch.device("cpu"), torch.float32):
        assert torch.ones(3).sum() == 3


if __name__ == "__main__":
    sys.exit(not kept_then_returned())
