# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Shared fixtures: the array backends, the real data beside the repository."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from _ranks import Ranks

Pair = tuple[Callable[[np.ndarray], Any], Callable[[Any], np.ndarray]]

CUDA = pytest.mark.cuda


def _require_cuda() -> None:
    """Skip without a GPU; fail if one is required (M3D_REQUIRE_CUDA=1)."""
    from micro3d_fast.ops import cuda_is_available, cuda_status

    if cuda_is_available():
        return
    message = f"no CUDA: {cuda_status()}"
    if os.environ.get("M3D_REQUIRE_CUDA") == "1":
        pytest.fail(message)
    pytest.skip(message)


def _pair(name: str) -> Pair:
    """numpy -> backend array, and back."""
    if name == "numpy":
        return np.asarray, np.asarray
    module = pytest.importorskip(name.split("-")[0])
    if name == "torch-cpu":
        return module.from_numpy, lambda t: t.numpy()
    if name == "torch-cuda":
        return lambda a: module.from_numpy(a).cuda(), lambda t: t.cpu().numpy()
    return module.asarray, module.asnumpy


@pytest.fixture(autouse=True)
def _cuda_marker(request: pytest.FixtureRequest) -> None:
    if request.node.get_closest_marker("cuda"):
        _require_cuda()


@pytest.fixture(
    params=[
        "numpy",
        "torch-cpu",
        pytest.param("torch-cuda", marks=CUDA),
        pytest.param("cupy", marks=CUDA),
    ]
)
def backend(request: pytest.FixtureRequest) -> Pair:
    """(send, fetch) for one array library and device."""
    if request.node.get_closest_marker("cuda"):
        _require_cuda()
    return _pair(request.param)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real volumes beside the repository (see its own README); skipped if absent."""
    root = Path(__file__).resolve().parents[1]
    for candidate in (os.environ.get("M3D_SHARED_DATA"), root.parent / "shared" / "data"):
        if candidate and Path(candidate).is_dir():
            return Path(candidate)
    pytest.skip("the real data (../shared/data, or M3D_SHARED_DATA) is not here")


@pytest.fixture(scope="session")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ranks]:
    """Run a function on several ranks: ``ranks(n, work, *arguments)``."""
    started = Ranks(tmp_path_factory.mktemp("ranks"))
    yield started
    started.close()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20260101)
