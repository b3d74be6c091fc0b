# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Training by several processes: the same run as by one, within rounding; one of them writes."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from safetensors import safe_open

from _ranks import BACKENDS, TORCHRUN, terminated
from _toy import TINY, tiny_model
from micro3d_fast import Micrographs, load_model
from micro3d_fast.diffusion import ResumeError, process_group, train
from micro3d_fast.diffusion.process_group import OtherProcessError, ProcessGroup, current_group
from micro3d_fast.diffusion.training import CHECKPOINT, DivergedError, learner
from micro3d_fast.diffusion.training.options import RECIPES
from micro3d_fast.diffusion.training.parts import parts_of
from micro3d_fast.diffusion.unet import PRESETS

STEPS = 20
QUICK = {
    "patch": 16,
    "batch_size": 7,  # not a multiple of 2 or 3
    "precision": "float32",
    "samples_every": 0,
    "learning_rate": 1e-3,
}
# Of a tensor after 20 steps, relative to its largest value.  Adam divides gradients by their size:
# rounding moves weights of almost no gradient by as much as others.
ROUNDING = 2e-4


def micrographs() -> Micrographs:
    labels = np.random.default_rng(0).integers(0, 2, (24, 20, 28)).repeat(2, axis=2)
    return Micrographs.from_volume(labels.astype(np.uint8), images_per_plane=6, seed=0)


def trained(out: Path, **options):
    """Train the tiny network on this rank."""
    device = "cpu"
    if torch.distributed.get_backend() == "nccl":
        device = "cuda"
    with mock.patch.dict(PRESETS, small=TINY):
        return train(micrographs(), out, **{"device": device, "steps": STEPS, **QUICK, **options})


def run(out: Path, options: dict) -> int:
    """Train; return the processes that the model records."""
    return trained(out, **options).details.get("processes", 1)


def state(out: Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Return the tensors of a checkpoint, in float32, and its record."""
    with safe_open(out / CHECKPOINT, framework="pt") as file:
        return {k: file.get_tensor(k) for k in file.keys()}, json.loads(file.metadata()["run"])  # noqa: SIM118


def difference(a: Path, b: Path, prefix: str = "") -> float:
    """Return the largest difference of a tensor relative to its largest value."""
    ours, theirs = state(a)[0], state(b)[0]
    assert ours.keys() == theirs.keys()
    return max(
        float((ours[k] - theirs[k]).abs().max() / theirs[k].abs().max().clamp(min=1e-12))
        for k in ours
        if k.startswith(prefix)
    )


def assert_same(a: Path, b: Path, tolerance: float = ROUNDING) -> None:
    for prefix in ("net.", "ema."):
        assert difference(a, b, prefix) < tolerance
    ours, theirs = state(a)[1], state(b)[1]
    assert ours["step"] == theirs["step"]
    np.testing.assert_allclose(ours["losses"], theirs["losses"], rtol=tolerance)


@pytest.fixture(scope="module")
def whole(ranks, tmp_path_factory) -> Path:
    """The run of one process."""
    out = tmp_path_factory.mktemp("whole")
    assert ranks(1, run, out, {}) == [1]
    return out


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [2, 3])
def test_several_processes_train_as_one(ranks, whole, tmp_path, n, backend, accumulate):
    alone = whole
    if backend == "nccl":  # the CPU draws other batches
        alone = tmp_path / "alone"
        ranks(1, run, alone, {}, backend=backend)
    out = tmp_path / "several"
    assert ranks(n, run, out, {"accumulate": accumulate}, backend=backend) == [n] * n
    assert_same(out, alone)
    assert load_model(out).details["processes"] == n


def test_one_process_accumulates_the_gradient_of_a_batch(ranks, whole, tmp_path):
    ranks(1, run, tmp_path, {"accumulate": 3})
    assert_same(tmp_path, whole)


def rounded(out: Path, options: dict) -> None:
    with mock.patch.object(learner, "computes_rounded", return_value=True):
        trained(out, precision="bfloat16", **options)


def gradients(out: Path) -> torch.Tensor:
    """Return the gradients of the first step, from Adam's first moment."""
    tensors = state(out)[0].items()
    return torch.cat([t.flatten() for name, t in tensors if name.startswith("adam.exp_avg.")])


def test_gradients_of_the_rounded_copy_are_averaged(ranks, tmp_path):
    """As on CUDA, where passes are those of a copy of the network in bfloat16 (8 bits)."""
    options = {"steps": 1, "init": tiny_model()}
    ranks(1, rounded, tmp_path / "alone", options)
    alone = gradients(tmp_path / "alone")
    for n, accumulate in ((1, 3), (2, 1), (3, 2)):
        out = tmp_path / f"{n}-{accumulate}"
        ranks(n, rounded, out, options | {"accumulate": accumulate})
        assert (gradients(out) - alone).norm() < 0.02 * alone.norm()


@pytest.mark.parametrize(("size", "accumulate"), [(1, 1), (1, 4), (3, 1), (3, 2)])
def test_parts_of_a_batch(size, accumulate):
    parts = [p for rank in range(size) for p in parts_of(32, ProcessGroup(rank, size), accumulate)]
    rows = [row for part in parts for row in range(32)[part.rows]]
    assert rows == list(range(32))
    for part in parts:
        count = part.rows.stop - part.rows.start
        assert 32 // len(parts) <= count <= 32 // len(parts) + 1
        assert part.weight / size == pytest.approx(count / 32)


class Stop(Exception):
    pass


def stopped(out: Path, stopping: int, step: int, options: dict) -> tuple[str, int]:
    """Train until the callback of one rank raises; return what this rank raises, and its steps."""
    last = 0

    def callback(event):
        nonlocal last
        last = event["step"]
        if current_group().rank == stopping and last == step:
            raise Stop

    try:
        trained(out, callback=callback, **options)
    except (Stop, KeyboardInterrupt) as error:
        return type(error).__name__, last
    return "nothing", last


def test_other_numbers_of_processes_resume(ranks, whole, tmp_path):
    """One, two and again one process; whichever stops takes the others along, and rank 0 saves."""
    ranks(1, stopped, tmp_path, 0, 5, {})
    assert state(tmp_path)[1]["step"] == 5
    found = ranks(2, stopped, tmp_path, 1, 10, {})
    assert found == [("KeyboardInterrupt", 10), ("Stop", 10)]
    assert state(tmp_path)[1]["step"] == 11  # in which they told each other
    found = ranks(3, stopped, tmp_path, 0, 14, {"accumulate": 2})
    assert found == [("Stop", 14), ("KeyboardInterrupt", 14), ("KeyboardInterrupt", 14)]
    found = ranks(2, stopped, tmp_path, 1, STEPS, {})  # there is no further step to tell
    assert found == [("KeyboardInterrupt", STEPS), ("Stop", STEPS)]
    ranks(1, run, tmp_path, {})
    assert_same(tmp_path, whole)
    assert not load_model(tmp_path).details.get("unfinished")


_watched: list[str] = []  # paths that this process has opened to write, or renamed


def _watch(event: str, arguments: tuple) -> None:
    opened = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR)
    if opened or event in ("os.rename", "os.mkdir", "os.remove"):
        _watched.append(str(arguments[0]))


def watched(out: Path) -> tuple[list[str], list[str | None]]:
    """Train with pictures; return what this process wrote in ``out``, and its verdicts."""
    sys.addaudithook(_watch)  # for ever: later tests do not read its list
    _watched.clear()
    verdicts = []
    trained(
        out,
        steps=4,
        samples_every=2,
        save_every=3,
        callback=lambda event: verdicts.append(event["verdict"]),
    )
    return [path for path in _watched if path.startswith(str(out))], [
        None if verdict is None else verdict.outcome for verdict in verdicts
    ]


@pytest.mark.filterwarnings("ignore:the model may be poor")
def test_rank_0_alone_writes_and_judges(ranks, tmp_path):
    (written, verdicts), other = ranks(2, watched, tmp_path / "run")
    assert any(CHECKPOINT in path for path in written)
    assert verdicts == [None, "different", None, "different"]
    assert other == ([], [None] * 4)
    assert sorted(f.name for f in (tmp_path / "run" / "samples").iterdir()) == [
        "step-000002.png",
        "step-000004.png",
    ]


def until_good(out: Path) -> int:
    """Train by a shortened recipe, where only rank 0 may ask how good the samples are."""
    ratios = [3.0, 1.4] if current_group().first else []
    module = sys.modules[train.__module__]
    recipe = mock.patch.dict(RECIPES, small=replace(RECIPES["small"], steps=6, save_every=2))
    with recipe, mock.patch.object(module, "sample_ratio", side_effect=ratios):
        return trained(out, steps=None).details["steps"]


def test_rank_0_decides_when_the_samples_are_good(ranks, tmp_path):
    assert ranks(2, until_good, tmp_path) == [4, 4]


def refused(out: Path, options: dict) -> tuple[type, str]:
    try:
        trained(out, **options)
    except (ValueError, OtherProcessError) as error:
        return type(error), str(error)
    return type(None), ""


def test_refusals(ranks, whole, tmp_path):
    """All ranks end, whichever finds the error."""
    wanted = "`batch_size` must be at least 6, a crop for each of 2 parts of each of 3 processes"
    for error, message in ranks(3, refused, tmp_path, {"batch_size": 5, "accumulate": 2}):
        assert issubclass(error, ValueError)
        assert message.startswith(wanted)
    assert list(tmp_path.iterdir()) == []
    (first, _), (other, _) = ranks(2, refused, whole, {"seed": 1})
    assert (first, other) == (ResumeError, OtherProcessError)
    # 3000 steps, and as many as prove good
    others = {"seed": 1}, {"steps": None, "preset": "small"}, {"save_every": 2}
    for options, name in zip(others, ("seed", "steps", "save_every"), strict=True):
        for error, message in ranks(2, mixed, tmp_path / "b", options):
            assert issubclass(error, ValueError)
            assert f"`{name}` must be the same on all ranks" in message
    diverged = ranks(2, refused, tmp_path / "a", {"learning_rate": 1e30})
    assert [error for error, _ in diverged] == [DivergedError] * 2
    assert diverged[0] == diverged[1]


def mixed(out: Path, of_rank_1: dict) -> tuple[type, str]:
    return refused(out, {"steps": 3000, **(of_rank_1 if current_group().rank else {})})


def apart(folder: Path) -> tuple[type, str]:
    with mock.patch.object(process_group, "_PATIENCE", 0.0):
        return refused(folder / str(current_group().rank), {})


def test_a_directory_that_only_rank_0_sees_is_refused(ranks, tmp_path):
    (first, _), (other, message) = ranks(2, apart, tmp_path)
    assert first is OtherProcessError
    assert issubclass(other, ValueError)
    assert "`out` must be in a directory that all processes share" in message


def test_accumulate_of_one_process_is_checked(tmp_path):
    with pytest.raises(ValueError, match="`batch_size` must be at least 8, a crop for each of 8"):
        train(micrographs(), tmp_path, accumulate=8, **QUICK)
    with pytest.raises(ValueError, match="`accumulate` must be"):
        train(micrographs(), tmp_path, accumulate=0, **QUICK)


def test_sigterm_to_torchrun_leaves_a_checkpoint(tmp_path):
    """Rank 0 alone prints; the command that it names goes on."""
    labels = np.random.default_rng(0).integers(0, 2, (24, 24, 24)).astype(np.uint8)
    np.save(tmp_path / "volume.npy", labels)
    command = [*TORCHRUN, "train", "--volume", str(tmp_path / "volume.npy")]
    command += ["--out", str(tmp_path / "run")]
    command += ["--patch", "16", "--batch-size", "2", "--device", "cpu", "--steps", "5000"]
    settings = tmp_path / "run" / "settings.json"
    text = terminated(command, tmp_path / "log", settings.exists, within=120)
    assert text.count("micro3d (rank 0): Stopped; the state is saved in") == 1, text
    assert "To resume: torchrun --nproc-per-node 2 -m micro3d_fast train --volume" in text
    assert "(rank 1)" not in text
    assert state(tmp_path / "run")[1]["step"] >= 1
