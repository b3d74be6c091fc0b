# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Build the emulation of CUDA and run the tests of the marker `cuda` on it.

python tests/emulated_cuda/run.py                  # as they are
python tests/emulated_cuda/run.py --modes all      # and in every mode of MODES
python tests/emulated_cuda/run.py --modes access,repeat -- tests/native/test_hex8.py -x
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import build

LARGE = "--ignore=tests/cuda/test_cuda_large.py"  # too slow if every access is checked

#: mode -> (checks of the build, environment variables, further arguments of pytest)
MODES: dict[str, tuple[str | None, dict[str, str], list[str]]] = {
    "plain": (None, {}, []),
    # races, addresses
    "access": ("access", {"M3D_EMULATED_STRICT": "1"}, [LARGE]),
    # the same bits whatever the order of threads and blocks
    "repeat": (None, {"M3D_EMULATED_REPEAT": "1"}, [LARGE]),
    # other threads in between atomics
    "random": (
        None,
        {"M3D_EMULATED_THREADS": "random", "M3D_EMULATED_BLOCKS": "random"},
        [LARGE],
    ),
    # kernels must run on the device of their arrays
    "devices": (None, {"M3D_EMULATED_DEVICES": "2"}, [LARGE]),
    # work runs only when something waits for it: shows a missing wait or dependency
    "late": (None, {"M3D_EMULATED_LATE": "1"}, [LARGE]),
    # addresses and undefined behaviour, by the compiler's sanitizers
    "address": ("address", {"ASAN_OPTIONS": "detect_leaks=0"}, [LARGE]),
}


def sanitizers() -> str:
    """The libraries that Python must load first."""
    compiler = os.environ.get("CXX", "g++")
    names = [
        subprocess.run(
            [compiler, f"-print-file-name=lib{name}.so"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for name in ("asan", "ubsan")
    ]
    return " ".join(names)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modes", default="plain", help=f"of {', '.join(MODES)}; or all")
    parser.add_argument("--out", type=Path, default=build.ROOT / "build" / "emulated-cuda")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("pytest", nargs="*", help="arguments of pytest, after --")
    given = parser.parse_args()
    names = list(MODES) if given.modes == "all" else given.modes.split(",")
    for name in names:
        if name not in MODES:
            parser.error(f"--modes must be of {', '.join(MODES)}, got {name}")
    failed = 0
    for name in names:
        checks, variables, arguments = MODES[name]
        env = {**os.environ, **variables}
        env["M3D_EMULATED_CORE"] = str(build.build(given.out, checks, given.jobs))
        if checks == "address":
            env["LD_PRELOAD"] = sanitizers()
        command = [sys.executable, "-m", "pytest", "-p", "tests.emulated_cuda.plugin"]
        command += ["-m", "cuda and not slow", "-q", *arguments, *(given.pytest or ["tests"])]
        began = time.monotonic()
        status = subprocess.run(command, cwd=build.ROOT, env=env).returncode
        failed += status != 0
        words = "passed" if status == 0 else f"FAILED ({status})"
        print(f"emulated CUDA, {name}: {words}, {time.monotonic() - began:.0f} s", flush=True)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
