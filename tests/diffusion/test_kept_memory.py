# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Freed memory stays mapped while the network runs on the CPU, and goes back afterwards."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest
import torch

from micro3d_fast.diffusion.device import _gnu_malloc, current_device, kept_memory

MEGABYTES = 48


def faults() -> list[int]:
    """Page faults of filling memory of 48 MB, some times over; 12288 pages each if never kept."""
    counts = []
    for _ in range(6):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.empty(MEGABYTES << 18).fill_(1.0)
        counts.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    return counts


def kept_then_given_back() -> bool:
    """Whether this process keeps memory inside, also one level deeper, and gives it back."""
    pages = MEGABYTES << 8
    with kept_memory():
        inside = [min(faults())]
        with kept_memory():  # two volumes at a time
            inside.append(min(faults()))
        inside.append(min(faults()))
    return max(inside) < pages // 10 and (max(faults()) > pages // 2 or _huge_pages())


@pytest.mark.skipif(_gnu_malloc() is None, reason="malloc is not GNU's")
def test_memory_is_kept_inside_and_given_back_outside():
    """In a process whose heap can grow: where the kernel laid something behind it, it cannot."""
    for _ in range(8):
        if subprocess.run([sys.executable, __file__], timeout=120, check=False).returncode == 0:
            return
    pytest.fail("no process of eight kept its memory")


def _huge_pages() -> bool:
    with open("/sys/kernel/mm/transparent_hugepage/enabled") as file:
        return "[always]" in file.read()


def test_the_cpu_is_a_device_that_keeps_memory():
    with current_device(torch.device("cpu")):
        assert torch.ones(3).sum() == 3


if __name__ == "__main__":
    sys.exit(not kept_then_given_back())
