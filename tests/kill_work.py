# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Kill work at random moments, repeat it, and compare what it leaves bit by bit.

    python tests/kill_work.py --kills 24 --seed 1

A training, a full calibration and a study are killed (SIGKILL), resumed by the same call, and
killed again; when they have finished, their results must be those of work that nobody disturbed.
A reconstruction cannot be resumed: killed, it leaves its file whole or not at all, and repeated,
it gives the same volume.  The exit code is 1 if anything differs.
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
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch  # noqa: F401, once, before the processes that are killed

import micro3d_fast as m3
from _toy import tiny_model
from micro3d_fast import io
from micro3d_fast.calibration import _loop, _surface
from micro3d_fast.diffusion import settings

SHAPE = (16, 16, 16)
LABELS = np.random.default_rng(0).integers(0, 2, (24, 24, 24)).astype(np.uint8)
OPTIONS = {"patch": 16, "steps": 16, "batch_size": 2, "device": "cpu", "seed": 1,
           "save_every": 2, "samples_every": 0, "precision": "float32"}  # fmt: skip


def train(out: Path) -> None:
    """Train, or resume, a small network."""
    m3.train(m3.Micrographs.from_volume(LABELS, 6, seed=0), out, **OPTIONS)


def calibrate(out: Path) -> None:
    """Correct a tiny network by a loop of few steps that judges every change to be better."""
    _loop.STEPS, _loop.WEIGHTS = 4, (0.5, 1.0)  # in this process, which does nothing else
    _surface.TRIALS, settings.RISING = 1, (1, 0)
    better = iter((3.0, 2.8, 2.5, 2.0, 1.5))
    _loop.deviation = lambda _: next(better)
    micrographs = m3.Micrographs.from_volume(LABELS, 6, seed=0)
    m3.calibrate(
        tiny_model(), micrographs, effort="full", out=out, volume_shape=SHAPE, volumes=3,
        device="cpu", precision="float32",
    )  # fmt: skip


def study(out: Path) -> None:
    """Make a small study: volumes, real blocks, a variant, its tables and figures."""
    m3.study(
        tiny_model(), LABELS, out, count=3, volume_shape=SHAPE, gamma=(0.5,), harmonize=(1,),
        grid_steps=2, variant_count=2, passes=3, workers=1, device="cpu",
    )  # fmt: skip


def reconstruct(out: Path) -> None:
    """Reconstruct a volume and save it."""
    volume = m3.reconstruct(SHAPE, "separator", sampler="draft", seed=3, device="cpu")
    volume.save(out / "volume.npz")


def weights(out: Path) -> str:
    """Return the digest of the weights of a finished run, and what is recorded of it."""
    record = json.loads((out / "model" / "model.json").read_text(encoding="utf-8"))
    details = record["details"]
    assert not details.get("unfinished")
    return f"{record['sha256']} {details.get('loss')!r} {details.get('calibration')!r}"


def tables(out: Path) -> str:
    """Return the digest of the tables of a study, and of the labels of its volumes."""
    digest, files = hashlib.sha256(), sorted(out.rglob("*.csv"))
    assert files
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest() + "".join(
        labels(file) for file in sorted(out.rglob("*.npz")) if "generated" in file.parts
    )


def labels(file: Path) -> str:
    """Return the digest of the labels of a volume."""
    return hashlib.sha256(io.load(file).labels.tobytes()).hexdigest()


def reconstructed(out: Path) -> str:
    """Return the digest of the labels that a reconstruction has written."""
    return labels(out / "volume.npz")


WORK: dict[str, tuple[Callable[[Path], None], Callable[[Path], str]]] = {
    "train": (train, weights),
    "calibrate": (calibrate, weights),
    "study": (study, tables),
    "reconstruct": (reconstruct, reconstructed),
}


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
        except BaseException:
            log.write_text(traceback.format_exc(), encoding="utf-8")
            raise
        finally:
            os._exit(code)
    return pid


def finished(pid: int, seconds: float, log: Path) -> bool:
    """Wait for a process; kill it after ``seconds``.  Raise its error if it failed."""
    end = time.monotonic() + seconds
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            if status:
                raise RuntimeError(f"status {status}: {log.read_text(encoding='utf-8')}")
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
    assert finished(child(work, folder / "whole", log), 3600, log)
    takes = time.monotonic() - started
    want, good, made, number = digest(folder / "whole"), 0, 0, 0
    while made < kills:
        number += 1
        out = folder / f"run-{number}"
        out.mkdir()
        here = 0
        while not finished(child(work, out, log), _patience(dice, takes, made + here < kills), log):
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
    parser.add_argument("--work", action="append", choices=WORK, help="default: all")
    parser.add_argument("--kills", type=int, default=24, help="of each")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # the networks are hardly trained
    bad = 0
    with tempfile.TemporaryDirectory(prefix="micro3d-kills-") as place:
        for name in given.work or WORK:
            print(f"{name}, seed {given.seed}", flush=True)
            dice = random.Random(f"{name} {given.seed}")
            good, made = disturbed(*WORK[name], given.kills, dice, Path(place) / name)
            print(f"{name}: {good} of {made} kills, then results that are equal bit by bit")
            bad += made - good
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
