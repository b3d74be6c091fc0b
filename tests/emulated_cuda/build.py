# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Build `_core` with its CUDA kernels emulated on the host; prints the path of the library.

python tests/emulated_cuda/build.py [--out build/emulated-cuda] [--checks NONE|ADDRESS|ACCESS]
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def build(out: Path, checks: str | None = None, jobs: int | None = None) -> Path:
    """Configure and compile what is not up to date; the path of the extension.

    `checks`: None, "address" (the compiler's sanitizers) or "access" (races and strange memory).
    """
    import pybind11

    configure = [
        "cmake", "-S", str(HERE), "-B", str(out),
        f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
    ]  # fmt: skip
    if shutil.which("ninja") and not (out / "CMakeCache.txt").exists():
        configure += ["-G", "Ninja"]
    parallel = ["-j", str(jobs or os.cpu_count() or 1)]
    make = ["cmake", "--build", str(out), "--target", checks or "plain"]
    for command in (configure, [*make, *parallel]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            sys.stderr.write(done.stdout[-8000:])
            raise SystemExit(f"{' '.join(command)} failed")
    (library,) = (out / (checks or ".")).glob("_core.*.so")
    return library


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "emulated-cuda")
    parser.add_argument("--checks", choices=("address", "access"))
    parser.add_argument("--jobs", type=int)
    given = parser.parse_args()
    print(build(given.out, given.checks, given.jobs))


if __name__ == "__main__":
    main()
