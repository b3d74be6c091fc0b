# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
from typing import Any, Protocol

# fmt: off
Array = Any  # numpy, torch, cupy or anything with __dlpack__
OptionalArray = Any  # or None
Stream = int | None  # of CUDA; None for arrays on the CPU
Shape = tuple[int, int, int]
Lags = tuple[int, int, int]  # size, positive, padded: see ops/spectra.py
Factors = tuple[Array, Array, Array] | None

__version__: str
BUILT_WITH_CUDA: bool
GROUP_NORM_GRADIENT_PARTIALS: int
GROUP_NORM_PARTIALS: int
MAX_THREADS: int
MEAN_HOLD_GRID: float
MEAN_HOLD_PARTIALS: int
MEAN_HOLD_STEPS: int
REDUCE_PARTIALS: int
HEX8_PARTIALS: int
HEX8_MODELS: dict[str, tuple[int, int, int, bool]]

def cuda_device_count() -> int: ...
def cuda_status() -> str: ...
def max_threads() -> int: ...

# diffusion
def reverse_step(
    x: Array, net: Array, net_uncond: OptionalArray, h0: OptionalArray, out: Array,
    out_net: OptionalArray, a: float, b: float, noise: float, h: float, guidance: float,
    clip: tuple[float, float] | None, seed: int, draw: int, origin: Shape, stream: Stream,
    threads: int,
) -> None: ...
def hold_mean(
    x: Array, net: Array, net_uncond: OptionalArray, mean: Array, tilt: Array, p: float, q: float,
    guidance: float, part: Shape, every: int, partials: OptionalArray, stream: Stream,
    threads: int, given: bool = False,
) -> None: ...
def mean_hold_sums(
    x: Array, net: Array, net_uncond: OptionalArray, tilt: Array, out: Array, p: float, q: float,
    guidance: float, part: Shape, every: int, stream: Stream, threads: int,
) -> None: ...
def couple(
    x: Array, net: Array, net_uncond: OptionalArray, x0: Array, strength: Array,
    periodic: tuple[bool, bool], earlier: OptionalArray, prior: OptionalArray, evidence: float,
    agreement: float, p: float, q: float, guidance: float, stream: Stream, threads: int,
) -> None: ...
def group_norm(
    x: Array, out: Array, groups: int, epsilon: float, weight: Array, bias: Array,
    before: OptionalArray, scale: OptionalArray, shift: OptionalArray, silu: bool,
    statistics: OptionalArray, partials: OptionalArray, stream: Stream, threads: int,
) -> None: ...
def group_norm_gradient(
    x: Array, gradient: Array, out: Array, groups: int, weight: Array, bias: Array,
    scale: OptionalArray, shift: OptionalArray, silu: bool, statistics: Array, d_weight: Array,
    d_bias: Array, d_scale: OptionalArray, d_shift: OptionalArray, partials: OptionalArray,
    stream: Stream, threads: int,
) -> None: ...
def channel_affine(
    x: Array, out: Array, bias: OptionalArray, scale: OptionalArray, add: OptionalArray,
    silu: bool, stream: Stream, threads: int,
) -> None: ...
def unit_rows(x: Array, out: Array, scale: Array, stream: Stream, threads: int) -> None: ...

# homogenization
def hex8(
    u: OptionalArray, u_low: OptionalArray, out: Array, labels: Array, model: str, mean: Array,
    rest: Array, directions: OptionalArray, fibre: OptionalArray, macro: Array, sign: float,
    dot_kind: str, dot: OptionalArray, partials: OptionalArray, stream: Stream, threads: int,
) -> None: ...
def green(
    spectrum: Array, nx: int, table_z: Array, table_y: Array, table_x: Array,
    symbol: list[float], first: list[float], divide: bool, rz: Array, partials: OptionalArray,
    stream: Stream, threads: int,
) -> None: ...
def green_convolve(
    r: Array, z: Array, spectrum: Array, symbol: list[float], first: list[float], rz: Array,
    threads: int,
) -> None: ...
def green_convolve_takes(nz: int, ny: int, nx: int) -> bool: ...
def phase_strain(
    u: Array, u_low: OptionalArray, labels: Array, sum: Array, partials: OptionalArray,
    stream: Stream, threads: int,
) -> None: ...
def separable_inverse(
    spectrum: Array, eigen_z: Array, eigen_y: Array, eigen_x: Array, rz: Array,
    partials: OptionalArray, stream: Stream, threads: int,
) -> None: ...
def seven_point(
    u: OptionalArray, u_low: OptionalArray, out: Array, codes: Array, conductivity: Array,
    weights: tuple[float, float, float], periodic: tuple[bool, bool], binary: bool, plate: float,
    sign: float, dot_kind: str, dot: OptionalArray, partials: OptionalArray, stream: Stream,
    threads: int,
) -> None: ...
def multigrid_layout(shape: Shape, binary: bool) -> tuple[int, Shape]: ...
def multigrid_setup(
    codes: Array, conductivity: Array, weights: tuple[float, float, float],
    periodic: tuple[bool, bool], binary: bool, buffer: Array,
) -> None: ...
def multigrid_cycle(
    buffer: Array, shape: Shape, binary: bool, weights: tuple[float, float, float],
    periodic: tuple[bool, bool], z: Array, r: Array, visits: int, rz: Array,
    partials: OptionalArray, stream: Stream, threads: int,
) -> None: ...
def cg_update(
    x: Array, r: Array, p: Array, q: Array, rz: Array, pq: Array, rr: Array,
    partials: OptionalArray, stream: Stream, threads: int,
) -> None: ...
def cg_direction(
    p: Array, z: Array, mask: OptionalArray, rz: Array, rz_before: Array, stream: Stream,
    threads: int,
) -> None: ...
def two_sum(x: Array, low: Array, stream: Stream, threads: int) -> None: ...
def dot(
    x: Array, y: Array, sum: Array, partials: OptionalArray, stream: Stream, threads: int
) -> None: ...

# statistics
def run_lengths(
    labels: Array, mask: OptionalArray, counts: Array, full: Array, axis: int, periodic: bool,
    stream: Stream, threads: int,
) -> None: ...
def connected_components(
    mask: Array, out: Array, periodic: tuple[bool, bool, bool], stream: Stream
) -> None: ...
def pack_bits(
    labels: Array, mask: OptionalArray, out: Array, phase: int, any: bool, words: int,
    all_rows: int, all_columns: int, stream: Stream, threads: int,
) -> None: ...

class _BitCounts(Protocol):
    def __call__(
        self, a: Array, b: Array, counts: Array, rows: int, words: int, steps: Shape,
        wrap_o: bool, wrap_i: bool, stream: Stream, threads: int,
    ) -> None: ...

bit_pairs: _BitCounts
bit_segments: _BitCounts

def load_phase(
    labels: Array, mask: OptionalArray, out: Array, phase: int, any: bool, stream: Stream,
    threads: int,
) -> None: ...
def multiply_spectra(
    a: Array, b: OptionalArray, out: OptionalArray, stream: Stream, threads: int
) -> None: ...
def store_counts(
    planes: Array, out: Array, first: int, y: Lags, x: Lags, scale: float, pairs: Factors,
    mirrored: bool, stream: Stream, threads: int,
) -> None: ...
def sum_radially(
    planes: Array, hits: Array, pairs: OptionalArray, lags: OptionalArray, first: int,
    size_z: int, y: Lags, x: Lags, scale: float, pair_factors: Factors, squares: Factors,
    width: float, mirrored: bool, stream: Stream, threads: int,
) -> None: ...
