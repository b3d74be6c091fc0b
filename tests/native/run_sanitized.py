# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Build the CPU core with AddressSanitizer and UndefinedBehaviorSanitizer; run tests and fuzz.

    python tests/native/run_sanitized.py [--count 10000] [--seed 18] [--no-tests] [--jobs N]

Linux with GCC.  The sanitized core stands in a copy of the package in build/sanitized; Python
itself is not sanitized, so its runtime is preloaded.  The operators' tests run first, then
`fuzz_operators.py`; both end at the first wrong access.
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


def build(out: Path, jobs: int) -> Path:
    """Compile what is not up to date; return the folder of the package with that core."""
    import pybind11

    configure = [
        "cmake", "-S", str(ROOT), "-B", str(out), "-DMICRO3D_CUDA=OFF", "-DMICRO3D_SANITIZE=ON",
        "-DCMAKE_CXX_COMPILER=g++", f"-DPython_EXECUTABLE={sys.executable}",
        f"-Dpybind11_DIR={pybind11.get_cmake_dir()}",
    ]  # fmt: skip
    for command in (configure, ["cmake", "--build", str(out), "--parallel", str(jobs)]):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    package = out / "package" / "micro3d_fast"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(
        ROOT / "python" / "micro3d_fast", package, ignore=shutil.ignore_patterns("*.so", "models")
    )
    (library,) = out.glob("_core.*.so")
    shutil.copy(library, package)
    return package.parent


def environment(package: Path) -> dict[str, str]:
    """Return the variables of a Python that loads a sanitized extension."""

    def runtime(name: str) -> str:
        found = subprocess.run(
            ["g++", f"-print-file-name={name}"], capture_output=True, text=True, check=True
        )
        return str(Path(found.stdout.strip()).resolve())

    return {
        **os.environ,
        "PYTHONPATH": str(package),
        "PYTHONMALLOC": "malloc",  # so that each object is watched by itself
        # the C++ library too, or the interceptors of exceptions find nothing to intercept
        "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libstdc++.so')}",
        # Python leaks at exit; arrays of absurd sizes are a MemoryError
        "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1:max_allocation_size_mb=2048",
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000, help="calls of each operator")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--no-tests", action="store_true", help="the fuzz alone")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    env = environment(build(ROOT / "build" / "sanitized", given.jobs))
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "not slow"]
    fuzz = [sys.executable, str(HERE / "fuzz_operators.py")]
    numbers = ["--count", str(given.count), "--seed", str(given.seed)]
    commands = [[*fuzz, *numbers]] if given.no_tests else [[*tests, str(HERE)], [*fuzz, *numbers]]
    for command in commands:
        code = subprocess.run(command, env=env, cwd=ROOT, check=False).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
