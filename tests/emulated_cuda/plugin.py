# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The package on an emulated GPU: a pytest plugin, and a way to run scripts.

    python -m pytest -p tests.emulated_cuda.plugin -m cuda tests
    python tests/emulated_cuda/plugin.py SCRIPT [ARGUMENT ...]

README.md beside this file describes what is emulated and what is not.
"""

from __future__ import annotations

import importlib.util
import os
import runpy
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

#: tests that need a real GPU, by name without parameters, and why
ONLY_A_GPU = {
    "test_runs_on_the_current_stream_of_cupy": "the fake cupy runs immediately: no stream is late",
}


def core_path() -> Path:
    """The emulated _core: M3D_EMULATED_CORE, or what build.py makes by default."""
    given = os.environ.get("M3D_EMULATED_CORE")
    if given:
        found = [Path(given)]
    else:
        found = sorted((ROOT / "build" / "emulated-cuda").glob("_core.*.so"))
    if len(found) != 1 or not found[0].is_file():
        raise RuntimeError(
            f"the emulated _core is not built ({given or 'build/emulated-cuda'}): "
            "run python tests/emulated_cuda/build.py"
        )
    return found[0].resolve()


def install() -> None:
    """Put the emulated _core, torch.cuda and cupy in place, before anything imports them."""
    for name in ("torch", "micro3d_fast", "cupy"):
        if name in sys.modules:
            raise RuntimeError(f"{name} was imported before its emulation could be put in place")
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # small arrays: threads would only wait
    if str(HERE) not in sys.path:
        sys.path.insert(0, str(HERE))
    import fake_cupy
    import fake_torch_cuda

    path = core_path()
    devices = int(os.environ.get("M3D_EMULATED_DEVICES") or 1)
    memory = int(float(os.environ.get("M3D_EMULATED_MEMORY") or 3e9))
    late = os.environ.get("M3D_EMULATED_LATE") == "1"
    fake_torch_cuda.install(path.parent, path, devices=devices, memory=memory, late=late)
    fake_cupy.install(path)
    name = "micro3d_fast._core"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    core = importlib.util.module_from_spec(spec)
    sys.modules[name] = core
    spec.loader.exec_module(core)
    import micro3d_fast

    micro3d_fast._core = core  # type: ignore[attr-defined]


def pytest_configure(config: Any) -> None:
    import pytest

    os.environ.setdefault("M3D_REQUIRE_CUDA", "1")
    try:
        install()
    except RuntimeError as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header() -> str:
    from micro3d_fast import cuda_status

    return f"emulated CUDA: {cuda_status()}"


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    out = [item for item in items if getattr(item, "originalname", "") in ONLY_A_GPU]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    terminalreporter.section("needs a real GPU")
    for name, reason in ONLY_A_GPU.items():
        terminalreporter.line(f"{name}: {reason}")


if __name__ == "__main__":
    install()
    sys.argv = sys.argv[1:]
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
