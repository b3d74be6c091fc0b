# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Random volumes as slices, for the operators on them."""

import torch


def slice_batches(rng, shape, device, dtype=torch.float32, *, channels_last=False):
    """Random (N, S, C, H, W)."""
    n, s, c, h, w = shape
    memory = (n, s, h, w, c) if channels_last else shape
    values = torch.from_numpy(rng.standard_normal(memory)).to(device=device, dtype=dtype)
    return values.permute(0, 1, 4, 2, 3) if channels_last else values


def float64(tensor):
    """Return a tensor of any device as a NumPy array of float64."""
    return tensor.double().cpu().numpy()
