# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Kill trainings and reconstructions at random moments, and compare what they leave bit by bit.

    python tests/diffusion/kill_training.py --kills 24 --seed 1

A training is killed (SIGKILL), resumed by the same call, and killed again; when it has finished,
its weights must be those of a training that nobody disturbed.  A reconstruction that is killed
leaves its file whole or not at all.  The exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch  # noqa: F401, once, before the processes that are killed

import micro3d_fast as m3
from micro3d_fast import io

STEPS = 16
LABELS = np.random.default_rng(0).integers(0, 2, (24, 24, 24)).astype(np.uint8)
OPTIONS = {"patch": 16, "steps": STEPS, "batch_size": 2, "device": "cpu", "seed": 1,
           "save_every": 2, "samples_every": 0, "precision": "float32"}  # fmt: skip


def train(out: Path) -> None:
    """Train, or resume, a small network."""
    m3.train(m3.Micrographs.from_volume(LABELS, 6, seed=0), out, **OPTIONS)


def reconstruct(out: Path) -> None:
    """Reconstruct a volume and save it."""
    volume = m3.reconstruct((16, 16, 16), "separator", sampler="draft", seed=3, device="cpu")
    volume.save(out / "volume.npz")


def weights(out: Path) -> str:
    """Return the digest of the weights of a finished run, and of its loss."""
    record = json.loads((out / "model" / "model.json").read_text(encoding="utf-8"))
    assert not record["details"].get("unfinished")
    return f"{record['sha256']} {record['details']['loss']!r}"


def labels(out: Path) -> str:
    """Return the digest of the labels that a reconstruction has written."""
    return hashlib.sha256(io.load(out / "volume.npz").labels.tobytes()).hexdigest()


def child(work: Callable[[Path], None], out: Path, log: Path) -> int:
    """Start the work in a process of its own; return its id."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            with log.open("a") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
                work(out)
                code = 0
        finally:
            os._exit(code)
    return pid


def finished(pid: int, seconds: float) -> bool:
    """Wait for a process; kill it after ``seconds``.  Raise if it failed."""
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            if status:
                raise RuntimeError(f"the work failed (status {status})")
            return True
        if time.monotonic() > end:
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            return not os.WIFSIGNALED(status)
        time.sleep(0.005)


def disturbed(
    work: Callable[[Path], None],
    digest: Callable[[Path], str],
    kills: int,
    dice: random.Random,
    folder: Path,
) -> tuple[int, int]:
    """Kill and repeat the work; return the kills after which it ended as if undisturbed, and all.

    A kill counts as good if the result that the work comes to afterwards is that of work that
    nobody disturbed, bit by bit.
    """
    log = folder / "log"
    (folder / "whole").mkdir(parents=True)
    started = time.monotonic()
    assert finished(child(work, folder / "whole", log), 3600)
    takes = time.monotonic() - started
    want, good, made, number = digest(folder / "whole"), 0, 0, 0
    while made < kills:
        number += 1
        out = folder / f"run-{number}"
        out.mkdir()
        here = 0
        while not finished(child(work, out, log), _patience(dice, takes, made + here < kills)):
            here += 1
        made += here
        same = digest(out) == want
        good += here * same
        print(f"  run {number}: {here} kills, {'equal' if same else 'NOT EQUAL'}", flush=True)
        shutil.rmtree(out)
    return good, made


def _patience(dice: random.Random, takes: float, kill: bool) -> float:
    return dice.uniform(0.0, takes) if kill else 3600.0


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    dice, bad = random.Random(given.seed), 0
    with tempfile.TemporaryDirectory(prefix="micro3d-kills-") as place:
        for name, work, digest in (
            ("train", train, weights),
            ("reconstruct", reconstruct, labels),
        ):
            print(f"{name}, seed {given.seed}", flush=True)
            good, made = disturbed(work, digest, given.kills, dice, Path(place) / name)
            print(f"{name}: {good} of {made} kills, then results that are equal bit by bit")
            bad += made - good
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
