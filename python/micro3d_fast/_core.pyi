# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT

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
    phases_on_host: bool = ...,
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
    walk: str = ...,
) -> None: ...
def philox_words(counter: tuple[int, int, int, int], key: int) -> list[int]: ...
def box_muller(v: int, w: int) -> list[float]: ...
