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
