# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT

from typing import Any

__version__: str
BUILT_WITH_CUDA: bool
BUILT_WITH_OPENMP: bool

def cuda_device_count() -> int: ...
def cuda_status() -> str: ...
def max_threads() -> int: ...
def run_lengths(
    labels: Any,
    mask: Any,
    counts: Any,
    full: Any,
    axis: int,
    periodic: bool,
    stream: int | None,
    threads: int,
) -> None: ...
def reverse_step(
    x: Any,
    net: Any,
    net_uncond: Any,
    h0: Any,
    out: Any,
    out_net: Any,
    a: float,
    b: float,
    noise: float,
    h: float,
    guidance: float,
    clip: tuple[float, float] | None,
    seed: int,
    draw: int,
    origin: tuple[int, int, int],
    stream: int | None,
    threads: int,
) -> None: ...

# homogenization
HEX8_PARTIALS: int
HEX8_MODELS: dict[str, tuple[int, int, int, bool]]
REDUCE_PARTIALS: int

def hex8(
    u: Any,
    u_low: Any,
    out: Any,
    labels: Any,
    model: str,
    mean: Any,
    rest: Any,
    directions: Any,
    fibre: Any,
    macro: Any,
    sign: float,
    dot_kind: str,
    dot: Any,
    partials: Any,
    stream: int | None,
    threads: int,
) -> None: ...
def green(
    spectrum: Any,
    nx: int,
    table_z: Any,
    table_y: Any,
    table_x: Any,
    symbol: list[float],
    first: list[float],
    rz: Any,
    partials: Any,
    stream: int | None,
    threads: int,
) -> None: ...
def green_convolve(
    r: Any,
    z: Any,
    spectrum: Any,
    symbol: list[float],
    first: list[float],
    rz: Any,
    threads: int,
) -> None: ...
def green_convolve_takes(nz: int, ny: int, nx: int) -> bool: ...
def separable_inverse(
    spectrum: Any,
    eigen_z: Any,
    eigen_y: Any,
    eigen_x: Any,
    rz: Any,
    partials: Any,
    stream: int | None,
    threads: int,
) -> None: ...
def seven_point(
    u: Any,
    u_low: Any,
    out: Any,
    codes: Any,
    conductivity: Any,
    weights: tuple[float, float, float],
    periodic: tuple[bool, bool],
    binary: bool,
    plate: float,
    sign: float,
    dot_kind: str,
    dot: Any,
    partials: Any,
    stream: int | None,
    threads: int,
) -> None: ...
def cg_update(
    x: Any,
    r: Any,
    p: Any,
    q: Any,
    rz: Any,
    pq: Any,
    rr: Any,
    partials: Any,
    stream: int | None,
    threads: int,
) -> None: ...
def cg_direction(
    p: Any, z: Any, mask: Any, rz: Any, rz_before: Any, stream: int | None, threads: int
) -> None: ...
def two_sum(x: Any, low: Any, stream: int | None, threads: int) -> None: ...
def dot(x: Any, y: Any, sum: Any, partials: Any, stream: int | None, threads: int) -> None: ...
def phase_strain(
    u: Any,
    u_low: Any,
    labels: Any,
    sum: Any,
    partials: Any,
    stream: int | None,
    threads: int,
) -> None: ...

# statistics
_Lags = tuple[int, int, int]  # size, positive, padded

def pack_bits(
    labels: Any,
    mask: Any,
    out: Any,
    phase: int,
    any: bool,
    words: int,
    all_rows: int,
    all_columns: int,
    stream: int | None,
    threads: int,
) -> None: ...
def bit_pairs(
    a: Any,
    b: Any,
    counts: Any,
    rows: int,
    words: int,
    steps: tuple[int, int, int],
    wrap_o: bool,
    wrap_i: bool,
    stream: int | None,
    threads: int,
) -> None: ...
def bit_segments(
    a: Any,
    b: Any,
    counts: Any,
    rows: int,
    words: int,
    steps: tuple[int, int, int],
    wrap_o: bool,
    wrap_i: bool,
    stream: int | None,
    threads: int,
) -> None: ...
def load_phase(
    labels: Any, mask: Any, out: Any, phase: int, any: bool, stream: int | None, threads: int
) -> None: ...
def multiply_spectra(a: Any, b: Any, out: Any, stream: int | None, threads: int) -> None: ...
def store_counts(
    planes: Any,
    out: Any,
    first: int,
    y: _Lags,
    x: _Lags,
    scale: float,
    pairs: Any,
    mirrored: bool,
    stream: int | None,
    threads: int,
) -> None: ...
def sum_radially(
    planes: Any,
    hits: Any,
    pairs: Any,
    lags: Any,
    first: int,
    size_z: int,
    y: _Lags,
    x: _Lags,
    scale: float,
    pair_factors: Any,
    squares: Any,
    width: float,
    mirrored: bool,
    stream: int | None,
    threads: int,
) -> None: ...
def multigrid_layout(
    shape: tuple[int, int, int], binary: bool
) -> tuple[int, tuple[int, int, int]]: ...
def multigrid_setup(
    codes: Any,
    conductivity: Any,
    weights: tuple[float, float, float],
    periodic: tuple[bool, bool],
    binary: bool,
    buffer: Any,
) -> None: ...
def multigrid_cycle(
    buffer: Any,
    shape: tuple[int, int, int],
    binary: bool,
    weights: tuple[float, float, float],
    periodic: tuple[bool, bool],
    z: Any,
    r: Any,
    visits: int,
    rz: Any,
    partials: Any,
    stream: int | None,
    threads: int,
) -> None: ...
