# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Train `base` on slices of real tomograms for some minutes, reconstruct, judge as the study does.

Without --data a synthetic material is used. The output is rows, a picture and one volume.
"""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from micro3d_fast import synthetic
from micro3d_fast._planes import NORMAL, PLANES
from studies.judging import curve_errors
from studies.materials import MATERIALS, Material, tomogram

from .job import Job, write_json

NAMES = ("separator_pp", "nmc_cal_cbd_bridge")


def run(job: Job) -> None:
    names = (job.chosen.material,) if job.chosen.material else NAMES
    if job.chosen.data is None:
        names = ("synthetic-separator",)
    minutes = 0.0 if job.toy else job.chosen.minutes
    volumes = ((16, 2),) if job.toy else ((64, 32), (128, 8))
    for name in names:
        job.step(f"{name} train", train, job, name, minutes, expect=120 + 60 * minutes)
        for n, count in volumes:
            job.step(f"{name} {n}^3", quality, job, name, n, count, expect=20)
        job.step(f"{name} picture", picture, job, name, volumes[0][0], expect=5)


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
    settings: dict[str, Any] = {"preset": "base", "device": job.device, "samples_every": 0}
    if job.toy:
        settings |= {"preset": "small", "patch": 16, "batch_size": 2}
    plan = folder(job, name) / "plan.json"
    if plan.exists():  # an interrupted run continues as planned
        steps = json.loads(plan.read_text())["steps"]
    else:
        steps = 2 if job.toy else planned(micrographs, settings, minutes)
        plan.parent.mkdir(parents=True, exist_ok=True)
        write_json(plan, {"steps": steps})
    times: list[float] = []

    def note(event: dict[str, Any]) -> None:
        times.append(time.perf_counter())
        if event["step"] % 200 == 0:
            print(f"step {event['step']}/{steps}, loss {event['loss']:.4f}", flush=True)
        if time.time() > job.deadline - 5:
            raise KeyboardInterrupt  # a checkpoint is written, the next call continues

    try:
        model = m3.train(micrographs, plan.parent / "run", steps=steps, callback=note, **settings)
    except KeyboardInterrupt:
        raise RuntimeError("training ran out of time; run again to continue") from None
    case = f"train {settings['preset']} on {name}"
    batch = settings.get("batch_size", 32)
    notes = f"{model.details['steps']} steps of batch {batch}"
    pace = float(np.median(np.diff(times))) if len(times) > 1 else float("nan")
    job.row(case, "seconds a step", pace, "s", notes=notes)
    job.row(case, "seconds", model.details["training_seconds"], "s", notes=notes)
    job.row(case, "loss", model.details["loss"], "1", notes=notes)


def planned(micrographs: Any, settings: dict[str, Any], minutes: float) -> int:
    """Return the steps that fit, from the pace of a short run."""
    import micro3d_fast as m3

    times: list[float] = []
    with tempfile.TemporaryDirectory() as scratch:
        m3.train(
            micrographs, scratch, steps=60, callback=lambda e: times.append(time.time()), **settings
        )
    pace = float(np.median(np.diff(times[20:])))
    return int(np.clip(60 * minutes / pace, 200, 20_000))


def quality(job: Job, name: str, n: int, count: int) -> None:
    """Judge S2 and L of some volumes beside the floors, raw and with fractions matched."""
    import micro3d_fast as m3

    labels = truth(job, name)
    model = m3.load_model(folder(job, name) / "run")
    keys: dict[str, Any] = {"passes": 5} if job.toy else {}
    made, seconds = [], []
    for seed in range(count):
        if seed >= 4 and job.time_left < 30:
            break
        started = time.perf_counter()
        made.append(
            m3.reconstruct((n, n, n), model, seed=seed, device=job.device, keep_raw=True, **keys)
        )
        seconds.append(time.perf_counter() - started)
    case = f"{name} {n}^3, {model.details['preset']}"
    note = f"{len(made)} volumes, {made[0].provenance['passes']} passes"
    job.row(case, "seconds a volume", float(np.median(seconds)), "s", notes=note)
    fractions = np.array([m.provenance["raw_volume_fractions"] for m in made])
    for phase, fraction in enumerate(model.volume_fractions):
        beside = f"spread {fractions[:, phase].std():.4f}, truth {fraction:.4f}; {note}"
        job.row(
            case, f"raw fraction of phase {phase}", fractions[:, phase].mean(), "1", notes=beside
        )
    for kind, volumes in (
        ("raw", [m.fields["raw_labels"] for m in made]),
        ("matched", [m.labels for m in made]),
    ):
        errors = curve_errors(volumes, labels)
        for curve in (f"{function} {plane}" for function in ("S2", "L") for plane in PLANES):
            e = errors[curve]
            notes = (
                f"{e['low']:.4f} to {e['high']:.4f}, floor {e['floor']:.4f}, "
                f"scatter of real blocks {e['scatter']:.4f}; {note}"
            )
            job.row(case, f"{kind} {curve} error", e["error"], "1", notes=notes)
    made[0].save(job.out / f"{name}-{n}.npz")


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
