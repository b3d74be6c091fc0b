# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The native operators, one typed function each: find the caller's stream, call the compiled core.

They take numpy, torch or cupy arrays, run where the arrays live, on the caller's current stream,
and do not synchronize. A request for CUDA runs on CUDA or raises. No other package imports `_core`.
"""

from __future__ import annotations

from .channels_last import (
    GROUP_NORM_GRADIENT_PARTIALS,
    GROUP_NORM_PARTIALS,
    channel_affine,
    group_norm,
    group_norm_gradient,
    unit_rows,
)
from .components import connected_components
from .device import (
    MAX_THREADS,
    built_with_cuda,
    cuda_device_count,
    cuda_is_available,
    cuda_status,
    current_stream,
    max_threads,
    require_cuda,
)
from .diffusion import (
    MEAN_HOLD_GRID,
    MEAN_HOLD_PARTIALS,
    MEAN_HOLD_STEPS,
    couple,
    hold_mean,
    mean_hold_sums,
    reverse_step,
)
from .finite_elements import (
    HEX8_MODELS,
    HEX8_PARTIALS,
    Hex8Model,
    green,
    green_convolve,
    green_convolve_takes,
    hex8,
    phase_strain,
)
from .finite_volumes import (
    multigrid_cycle,
    multigrid_layout,
    multigrid_setup,
    separable_inverse,
    seven_point,
)
from .packed_bits import pair_counts, segment_counts
from .runs import run_lengths
from .spectra import load_phase, multiply_spectra, store_counts, sum_radially
from .vectors import REDUCE_PARTIALS, cg_direction, cg_update, dot, two_sum

__all__ = [
    "GROUP_NORM_GRADIENT_PARTIALS",
    "GROUP_NORM_PARTIALS",
    "HEX8_MODELS",
    "HEX8_PARTIALS",
    "MAX_THREADS",
    "MEAN_HOLD_GRID",
    "MEAN_HOLD_PARTIALS",
    "MEAN_HOLD_STEPS",
    "REDUCE_PARTIALS",
    "Hex8Model",
    "built_with_cuda",
    "cg_direction",
    "cg_update",
    "channel_affine",
    "connected_components",
    "couple",
    "cuda_device_count",
    "cuda_is_available",
    "cuda_status",
    "current_stream",
    "dot",
    "green",
    "green_convolve",
    "green_convolve_takes",
    "group_norm",
    "group_norm_gradient",
    "hex8",
    "hold_mean",
    "load_phase",
    "max_threads",
    "mean_hold_sums",
    "multigrid_cycle",
    "multigrid_layout",
    "multigrid_setup",
    "multiply_spectra",
    "pair_counts",
    "phase_strain",
    "require_cuda",
    "reverse_step",
    "run_lengths",
    "segment_counts",
    "separable_inverse",
    "seven_point",
    "store_counts",
    "sum_radially",
    "two_sum",
    "unit_rows",
]
