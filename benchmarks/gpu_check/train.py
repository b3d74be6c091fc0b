# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Time steps of training; train `base` on slices of tomograms for some minutes, and judge volumes.

Goals: a step of `small` 5 ms, of `base` 10 ms, batch 32 of 64^2.  Without --data a synthetic
material is used.  The volumes are judged by `m3.compare` and by the relative diffusivity of each
phase beside that of blocks of the truth.  The output is rows, a picture and one volume.
"""

from __future__ import annotations

import json
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from micro3d_fast import synthetic
from micro3d_fast._planes import NORMAL, PLANES
from studies.judging import comparison_errors, quartiles
from studies.materials import MATERIALS, Material, real_blocks, tomogram

from .job import Job, write_json

NAMES = ("separator_pp", "nmc_cal_cbd_bridge")
#: preset -> seconds of a step
GOALS = {"small": 0.005, "base": 0.01}
CHUNK = 20  # steps between two looks at the clock


def run(job: Job) -> None:
    for preset in ("small",) if job.toy else GOALS:
        job.step(f"{preset} steps", steps_alone, job, preset, expect=30)
    if job.quick:
        return
    names = (job.chosen.material,) if job.chosen.material else NAMES
    if job.chosen.data is None:
        names = ("synthetic-separator",)
    minutes = 0.0 if job.toy else job.chosen.minutes
    volumes = ((16, 2),) if job.toy else ((64, 32), (128, 8))
    for name in names:
        job.step(f"{name} train", train, job, name, minutes, expect=120 + 60 * minutes)
        for n, count in volumes:
            job.step(f"{name} {n}^3", quality, job, name, n, count, expect=40)
        job.step(f"{name} picture", picture, job, name, volumes[0][0], expect=5)


def steps_alone(job: Job, preset: str) -> None:
    """Record the seconds of a training step by default options, and of the first ones."""
    labels = synthetic.separator((32 if job.toy else 128,) * 3, seed=0).labels
    steps = 2 * CHUNK if job.toy else 12 * CHUNK
    first, pace = timed_steps(job, labels, steps, settings_of(job, preset))
    case = f"train {preset}, batch 2 of 16^2" if job.toy else f"train {preset}, batch 32 of 64^2"
    notes = f"median of {steps // CHUNK - 1} times {CHUNK} steps; goal {GOALS[preset]:g}"
    job.row(case, "seconds a step", pace, "s", notes=notes)
    job.row(case, f"seconds to the end of step {CHUNK}", first, "s", notes="preparations included")


def settings_of(job: Job, preset: str) -> dict[str, Any]:
    """Return the arguments of `train`."""
    settings: dict[str, Any] = {"preset": preset, "device": job.device, "samples_every": 0}
    if job.toy:
        settings |= {"preset": "small", "patch": 16, "batch_size": 2, "compile": False}
    return settings


def timed_steps(
    job: Job, labels: np.ndarray, steps: int, settings: dict[str, Any]
) -> tuple[float, float]:
    """Return the seconds of the first steps with all preparations, and those of a later step."""
    import torch

    import micro3d_fast as m3

    micrographs = m3.Micrographs.from_volume(labels, images_per_plane=100, seed=0)
    times = [time.perf_counter()]

    def note(event: dict[str, Any]) -> None:
        if event["step"] % CHUNK == 0:
            if not job.rehearse:
                torch.cuda.synchronize()  # steps may be queued
            times.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as scratch:
        m3.train(micrographs, scratch, steps=steps, save_every=steps, callback=note, **settings)
    return times[1] - times[0], float(np.median(np.diff(times[1:]))) / CHUNK


def material(job: Job, name: str) -> Material:
    """Return a material of the study, another volume of --data, or a synthetic one."""
    if job.chosen.data is not None:
        return MATERIALS.get(name, Material(tomogram(name), box=64))
    return Material(
        lambda data: synthetic.separator((32 if job.toy else 192,) * 3, seed=0).labels,
        box=64,
        names=("pore", "polymer"),
    )


def truth(job: Job, name: str) -> np.ndarray:
    """Return the labelled volume that slices are taken from."""
    return material(job, name).truth(job.chosen.data)


def folder(job: Job, name: str) -> Path:
    return job.out / "train" / name


def train(job: Job, name: str, minutes: float) -> None:
    """Train for as many steps as fit into the minutes, measured by a short run."""
    import micro3d_fast as m3

    micrographs = m3.Micrographs.from_volume(
        truth(job, name), images_per_plane=300, seed=0, phase_names=material(job, name).names
    )
    settings = settings_of(job, "base")
    plan = folder(job, name) / "plan.json"
    if plan.exists():  # an interrupted run continues as planned
        steps = json.loads(plan.read_text())["steps"]
    else:
        steps = 2 if job.toy else planned(job, truth(job, name), settings, minutes)
        plan.parent.mkdir(parents=True, exist_ok=True)
        write_json(plan, {"steps": steps})

    def note(event: dict[str, Any]) -> None:
        if event["step"] % 200 == 0:
            print(f"step {event['step']}/{steps}, loss {event['loss']:.4f}", flush=True)
        if time.time() > job.deadline - 5:
            raise KeyboardInterrupt  # a checkpoint is written, the next call continues

    try:
        model = m3.train(micrographs, plan.parent / "run", steps=steps, callback=note, **settings)
    except KeyboardInterrupt:
        raise RuntimeError("training ran out of time; run again to continue") from None
    case = f"train {settings['preset']} on {name}"
    notes = f"{model.details['steps']} steps of batch {settings.get('batch_size', 32)}"
    job.row(case, "seconds", model.details["training_seconds"], "s", notes=notes)
    job.row(case, "loss", model.details["loss"], "1", notes=notes)


def planned(job: Job, labels: np.ndarray, settings: dict[str, Any], minutes: float) -> int:
    """Return the steps that fit, from the pace of a short run."""
    _, pace = timed_steps(job, labels, 4 * CHUNK, settings)
    return int(np.clip(60 * minutes / pace, 200, 20_000))


def quality(job: Job, name: str, n: int, count: int) -> None:
    """Judge volumes of matched fractions: their curves, and their diffusivity."""
    import micro3d_fast as m3

    labels = truth(job, name)
    model = m3.load_model(folder(job, name) / "run")
    keys: dict[str, Any] = {"passes": 3} if job.toy else {}
    started = time.perf_counter()
    made = list(m3.reconstruct_many((n, n, n), model, range(count), device=job.device, **keys))
    seconds = time.perf_counter() - started
    made[0].save(job.out / f"{name}-{n}.npz")
    case = f"{name} {n}^3, {model.details['preset']}"
    note = f"{count} volumes, {made[0].provenance['passes']} passes"
    job.row(case, "seconds a volume", seconds / count, "s", notes=f"{note}, made together")
    fractions = np.array([m.provenance["raw_volume_fractions"] for m in made])
    for phase, fraction in enumerate(model.volume_fractions):
        spread = f"spread {fractions[:, phase].std():.4f}, truth {fraction:.4f}; {note}"
        mean = fractions[:, phase].mean()
        job.row(case, f"raw fraction of phase {phase}", mean, "1", notes=spread)
    comparison = m3.compare(made, labels, bootstrap=100)
    verdict = comparison.verdict
    job.row(
        case, "p-value of the verdict", verdict.p_value, "1", notes=f"{verdict.sentence}; {note}"
    )
    errors = comparison_errors(comparison)
    for curve in (f"{function} {plane}" for function in ("S2", "L") for plane in PLANES):
        e = errors[curve]
        notes = (
            f"{e['low']:.4f} to {e['high']:.4f}, floor {e['floor']:.4f}, "
            f"scatter of real blocks {e['scatter']:.4f}; {note}"
        )
        job.row(case, f"{curve} error", e["error"], "1", notes=notes)
    diffusivity(job, case, [m.labels for m in made], real_blocks(labels, n, count))


def diffusivity(job: Job, case: str, made: list[np.ndarray], real: list[np.ndarray]) -> None:
    """Record the median relative diffusivity of each phase along z beside that of real blocks."""
    import micro3d_fast as m3

    phases = range(max(int(labels.max()) for labels in real) + 1)

    def numbers(labels: np.ndarray) -> dict[str, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # small blocks may lack a phase
            return {
                str(phase): m3.relative_diffusivity(
                    labels, phase, axis="z", tol=1e-4, device=job.device
                ).relative
                for phase in phases
            }

    ours, theirs = (quartiles([numbers(labels) for labels in some]) for some in (made, real))
    for phase in phases:
        (low, median, high), (first, middle, last) = ours[str(phase)], theirs[str(phase)]
        notes = (
            f"quartiles {low:.4f} and {high:.4f}; {len(real)} real blocks {middle:.4f}, "
            f"quartiles {first:.4f} and {last:.4f}"
        )
        metric = f"relative diffusivity of phase {phase} along z"
        job.row(case, metric, median, "1", notes=notes)


def picture(job: Job, name: str, n: int) -> None:
    """Draw slices of the truth above slices of a volume, plane by plane."""
    from PIL import Image

    import micro3d_fast as m3

    labels = truth(job, name)
    made = m3.Microstructure.load(job.out / f"{name}-{n}.npz").labels
    side = min(n, *labels.shape)
    tiles = []
    for volume in (labels, made):
        row = []
        for axis in NORMAL.values():
            image = volume.take(volume.shape[axis] // 2, axis)[:side, :side]
            row.append(np.pad(image, 2, constant_values=labels.max() + 1))
        tiles.append(np.hstack(row))
    grey = np.vstack(tiles).astype(np.float64) * (255 / (int(labels.max()) + 1))
    enlarged = np.kron(grey, np.ones((4, 4))).astype(np.uint8)
    Image.fromarray(enlarged).save(job.out / f"{name}.png")
