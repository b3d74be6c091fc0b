# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The process group: what its processes tell each other, and that one alone tells nothing."""

from __future__ import annotations

import pytest

from _ranks import BACKENDS
from micro3d_fast.diffusion.process_group import (
    OtherProcessError,
    ProcessGroup,
    current_group,
    torchrun_group,
)

VALUE = {"steps": 3, "ratio": 0.1, "names": ["a", None, "µ"], "good": True}


def talk() -> tuple:
    group = current_group()
    value = group.broadcast(VALUE if group.first else None)
    largest = group.largest(10.0 - group.rank)
    return group.rank, group.size, group.first, value, largest, group.broadcast(group.rank)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [2, 3])
def test_processes_of_a_group(ranks, n, backend):
    told = ranks(n, talk, backend=backend)
    assert told == [(rank, n, rank == 0, VALUE, 10.0, 0) for rank in range(n)]


def fail_on(failing: int) -> str:
    group = current_group()
    try:
        with group.together():
            if group.rank == failing:
                raise FileNotFoundError("no such file")
    except (FileNotFoundError, OtherProcessError) as error:
        return type(error).__name__
    return "nothing"


def test_an_error_of_one_process_is_raised_on_all(ranks):
    assert ranks(2, fail_on, 1) == ["OtherProcessError", "FileNotFoundError"]
    assert ranks(2, fail_on, None) == ["nothing", "nothing"]


def test_a_process_alone_communicates_nothing(monkeypatch):
    group = current_group()
    assert group == ProcessGroup(0, 1)
    assert group.first
    assert group.broadcast(VALUE) is VALUE
    assert group.largest(2.5) == 2.5
    with pytest.raises(ValueError, match="own"), group.together():
        raise ValueError("own")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    with torchrun_group("cpu") as device:
        assert device == "cpu"
        assert current_group() == ProcessGroup()
