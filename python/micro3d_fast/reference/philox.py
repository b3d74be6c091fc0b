# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Philox4x32-10 and its normals, in numpy integers and float64."""

from __future__ import annotations

import numpy as np

__all__ = ["box_muller", "normals", "philox"]

M = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
W = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
LOW = np.uint64(0xFFFFFFFF)


def philox(counter: tuple, key: int) -> tuple[np.ndarray, ...]:
    """Return the four words of Philox4x32-10 (Salmon et al., SC'11), as uint64 arrays below 2**32.

    ``counter``: four integers or arrays below 2**32, broadcast; ``key``: 64 bits.
    """
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(c, dtype=np.uint64) for c in counter))
    k0, k1 = np.uint64(key) & LOW, np.uint64(key) >> np.uint64(32)
    for _ in range(10):
        p0, p1 = M[0] * c0, M[1] * c2
        c0, c1, c2, c3 = (
            (p1 >> np.uint64(32)) ^ c1 ^ k0,
            p1 & LOW,
            (p0 >> np.uint64(32)) ^ c3 ^ k1,
            p0 & LOW,
        )
        k0, k1 = (k0 + W[0]) & LOW, (k1 + W[1]) & LOW
    return c0, c1, c2, c3


def box_muller(v: np.ndarray, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two float64 normals from two words; the uniform number is rounded to float32 first.

    u = (v >> 1) 2**-31 + 2**-32 lies in [2**-32, 1], so the logarithm is finite. The angle lies in
    the first quadrant, from the low 30 bits of w; its two highest bits are the signs.
    """
    u = (v >> np.uint64(1)).astype(np.float32) * np.float32(2.0**-31) + np.float32(2.0**-32)
    radius = np.sqrt(-2.0 * np.log(u.astype(np.float64)))
    low30 = (w & np.uint64(2**30 - 1)).astype(np.float64)
    turn = np.where(low30 < 2**29, low30, low30 - 2**30) / 2**29  # two's complement, in [-1, 1)
    theta = np.pi / 4 * (1.0 + turn)
    signs = [
        1.0 - 2.0 * ((w >> np.uint64(bit)) & np.uint64(1)).astype(np.float64) for bit in (31, 30)
    ]
    return signs[0] * radius * np.cos(theta), signs[1] * radius * np.sin(theta)


def normals(
    shape: tuple[int, int, int, int],
    *,
    seed: int,
    draw: int,
    origin: tuple[int, int, int] = (0, 0, 0),
) -> np.ndarray:
    """Return the noise field over (C, Z, Y, X), a pure function of the global voxel."""
    c, z, y, x = np.meshgrid(
        np.arange(shape[0]),
        np.arange(shape[1]) + origin[0],
        np.arange(shape[2]) + origin[1],
        np.arange(shape[3]) + origin[2],
        indexing="ij",
    )
    words = philox((x // 4 | c << 24, y, z, draw), seed)
    lanes = np.stack([*box_muller(words[0], words[1]), *box_muller(words[2], words[3])])
    return np.take_along_axis(lanes, (x % 4)[None], axis=0)[0]
