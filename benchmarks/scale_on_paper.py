# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""One large volume over many GPUs: memory, exchanges and times, computed and not measured.

    python benchmarks/scale_on_paper.py          # prints the table of docs/performance.md

Times of the network and its memory follow the rows of results.csv for 64^3 on one GPU, per voxel:
slices are cut into windows of 64 x 64.  Bytes are those of the package's own buffers.  The time of
an exchange is its bytes over the bandwidth of the links below, without latency.  What the hosts do
is timed here, on this CPU: calls of the operator for the blocks of an exchange, and the labels.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from _results import RESULTS
from micro3d_fast import ops
from micro3d_fast.diffusion.field import bytes_per_value
from micro3d_fast.diffusion.labelling import match_fractions, smoothed
from micro3d_fast.diffusion.network_pass import largest_batch
from micro3d_fast.diffusion.process_group import ProcessGroup
from micro3d_fast.diffusion.slabs import Slabs
from micro3d_fast.diffusion.unet import PRESETS, UNet
from micro3d_fast.diffusion.windows import cut

NODE = 8  # GPUs
NVLINK = 450e9  # bytes per second and direction, of a GPU inside a node
NETWORK = 50e9  # the same to other nodes: 400 Gb/s InfiniBand per GPU
MEASURED = 64  # side of the volume of the measured rows, and of the windows
PASSES = 38
BFLOAT16 = 2  # bytes


def measured(case: str, metric: str) -> float:
    """Return the newest value of a row of the GPU harness."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["bench"] == "gpu_sampler"]
    return float([r for r in rows if (r["case"], r["metric"]) == (case, metric)][-1]["value"])


def seconds_of(work: Callable[[], object], repeats: int) -> float:
    """Return the CPU time of a call, the least of three."""

    def once() -> float:
        started = time.process_time()
        for _ in range(repeats):
            work()
        return (time.process_time() - started) / repeats

    return min(once() for _ in range(3))


class Host:
    """What the hosts take, measured on this one."""

    @cached_property
    def block(self) -> float:
        """Seconds of a call of the operator on a block of a few voxels."""
        x, out, net = (torch.zeros(1, 2, 2, 4) for _ in range(3))
        return seconds_of(
            lambda: ops.reverse_step(x, x, out=out, a=1.0, b=0.0, out_net=net), repeats=1000
        )

    @cached_property
    def labels(self) -> tuple[float, float]:
        """Seconds per voxel of a slab: smoothing, and matching two phases."""
        n = 128
        x = np.random.default_rng(0).standard_normal((1, n, n, n)).astype(np.float32)
        given, fractions = (x, (False,) * 3, (2.0, 2.0, 2.0)), np.array([0.6, 0.4])
        smooth = smoothed(*given)
        works = (lambda: smoothed(*given), lambda: match_fractions(smooth, fractions))
        first, second = (seconds_of(work, 1) / n**3 for work in works)
        return first, second


@dataclass
class Case:
    """A cubic volume of two phases over GPUs."""

    preset: str
    side: int
    ranks: int
    host: Host

    @cached_property
    def slab(self) -> int:
        """Voxels of the largest slab."""
        slabs = Slabs(ProcessGroup(size=self.ranks))
        return self.side**2 * max(len(slabs.slices(self.side, r)) for r in range(self.ranks))

    @cached_property
    def windowed(self) -> float:
        """Pixels that the network processes per voxel, mean over the offsets of the windows."""
        counts = [len(cut(self.side, MEASURED, False, offset)) for offset in range(MEASURED)]
        return (np.mean(counts) * MEASURED / self.side) ** 2

    @cached_property
    def field_bytes(self) -> int:
        return self.slab * bytes_per_value(BFLOAT16, 1)

    @cached_property
    def network_bytes(self) -> float:
        """Weights, and activations of a batch: those of the measured row per pixel."""
        config, pixels = PRESETS[self.preset], MEASURED**3
        with torch.device("meta"):
            weights = sum(w.numel() for w in UNet(config).parameters()) * BFLOAT16
        peak = measured(f"{self.preset} {MEASURED}^3", "peak memory") * 1e9
        each = (peak - weights - pixels * bytes_per_value(BFLOAT16, 1)) / pixels
        batch = min(self.slab * self.windowed, largest_batch(config.dim * config.multipliers[0]))
        return weights + batch * each

    @cached_property
    def sent(self) -> float:
        """Bytes that a rank sends to others when the plane changes."""
        return self.slab * 4 * (self.ranks - 1) / self.ranks

    @cached_property
    def exchange(self) -> float:
        """Seconds of the links: those inside a node and those between nodes work side by side."""
        to_each = self.slab * 4 / self.ranks
        near = min(self.ranks, NODE) - 1
        return max(to_each * near / NVLINK, to_each * (self.ranks - 1 - near) / NETWORK)

    @cached_property
    def network(self) -> float:
        """Seconds of a pass of the network, and the fused step."""
        each = measured(f"{self.preset} {MEASURED}^3", "seconds a pass") / MEASURED**3
        return self.slab * self.windowed * each

    @cached_property
    def calls(self) -> float:
        """Seconds in which the host issues the blocks of an exchange: one packed, one unpacked."""
        return 2 * self.ranks * self.host.block

    @cached_property
    def efficiency(self) -> float:
        """Share of a pass in which the network works."""
        return self.network / (self.network + self.exchange + self.calls)

    @cached_property
    def labels(self) -> float:
        return self.slab * sum(self.host.labels)

    @property
    def passes(self) -> float:
        return PASSES * (self.network + self.exchange + self.calls)


def last_useful(preset: str, side: int, host: Host) -> int:
    """Return the most ranks, a power of two, whose network works more than half of a pass."""
    ranks = NODE
    while 2 * ranks <= side and Case(preset, side, 2 * ranks, host).efficiency > 0.5:
        ranks *= 2
    return ranks


def table(host: Host) -> Iterator[str]:
    """Yield the lines of the table."""
    yield (
        "| network, volume | GPUs | memory of a GPU: field + network | sent per GPU and exchange "
        f"| exchange | network | share of the network in a pass | {PASSES} passes | labels |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for preset in ("small", "base", "paper"):
        for side in (512, 1024):
            for ranks in (NODE, 64, last_useful(preset, side, host)):
                case = Case(preset, side, ranks, host)
                gigabytes = f"{case.field_bytes / 1e9:.2f} + {case.network_bytes / 1e9:.1f} GB"
                yield (
                    f"| `{preset}`, {side}³ | {ranks} | {gigabytes} | {case.sent / 1e6:.0f} MB "
                    f"| {case.exchange * 1e3:.2f} ms | {case.network * 1e3:.0f} ms "
                    f"| {case.efficiency:.2f} | {case.passes:.1f} s | {case.labels:.2g} s |"
                )


def main() -> None:
    host = Host()
    smoothing, matching = host.labels
    print(
        f"A block takes the host {host.block * 1e6:.0f} µs, smoothing {smoothing * 1e9:.0f} ns and "
        f"matching {matching * 1e9:.0f} ns per voxel; windows: "
        + ", ".join(
            f"{Case('small', n, 1, host).windowed:.2f} pixels per voxel at {n}" for n in (512, 1024)
        )
    )
    print("\n".join(table(host)))


if __name__ == "__main__":
    main()
