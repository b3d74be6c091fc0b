# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The main job on synthetic micrographs: images in, a minute of training, a volume, the proof.

The micrographs come from specimens that the bundled models have never seen: the same generators
with another seed.  What is affordable within the time is measured as it goes, so that a slow
machine gets fewer passes or a smaller volume, and is told so.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import diffusion, homogenization, synthetic
from ._atomic import atomic_write
from .diffusion import Model
from .micrographs import PLANES, Micrographs
from .microstructure import Microstructure
from .report import Line, Picture, Plot, Section, Text, write_report
from .statistics import compare

SPECIMEN = 96  # edge of the synthetic specimens, voxels
HELD_OUT = 1  # seed of the first specimen; the bundled models were trained on others
IMAGES = 16  # micrographs a plane, each of a specimen of its own, so that they are independent
GENERATORS: dict[str, Callable[..., Microstructure]] = {
    "fibre-composite": synthetic.fibre_composite,
    "separator": synthetic.separator,
    "cathode": synthetic.cathode,
}
FEWEST = 19  # passes where time is short; else those of the model
PATCH, BATCH = 32, 16  # of the training shown: small, so that a minute shows progress
TOLERANCE = 1e-4  # of the effective properties shown
SAMPLES, STEPS = 8, 32  # 2D samples a plane, and their network passes


@dataclasses.dataclass(frozen=True)
class Run:
    """What the demo has, and how it talks."""

    out: Path
    seed: int
    edge: int
    deadline: float  # of time.monotonic()
    say: Callable[[str], None]
    progress: Callable[[str], Any]  # title to a context manager that gives a callback
    device: str | None = None

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.deadline - time.monotonic()


def run(demo: Run, training_seconds: float) -> list[Path]:
    """Run the demo and return its reports; the first is the main one."""
    pages: list[Path] = []
    pass_seconds = 0.0
    for name in GENERATORS:
        first = not pages
        folder = demo.out if first else demo.out / name
        demo.say(f"\n{name}")
        try:
            model = diffusion.load_model(name)
        except FileNotFoundError:
            if first:
                raise
            demo.say("  skipped: its model is not in this installation")
            continue
        micrographs = make_micrographs(name, model, folder / "micrographs")
        demo.say(f"  micrographs   {folder / 'micrographs'}: {IMAGES} a plane, of new specimens")
        extra: list[Section] = []
        timings: dict[str, float] = {}
        if first:
            started = time.perf_counter()
            extra = [train_a_little(demo, micrographs, folder / "training", training_seconds)]
            timings["Training shown below"] = time.perf_counter() - started
        samples, seconds = draw_samples(demo, model)
        timings["2D samples"] = seconds
        if first:  # a pass over the volume is one evaluation of each slice
            pass_seconds = seconds / (STEPS * SAMPLES * 3 * 64**2) * demo.edge**3
        whole = diffusion.Reconstruction.of((demo.edge,) * 3, model).settings.passes
        edge, passes = affordable(demo, pass_seconds, whole, 0.6 if first else 0.4, needed=first)
        if edge == 0:
            demo.say("  skipped: no time is left for it")
            continue
        if (edge, passes) != (demo.edge, whole):
            demo.say(f"  {edge}³ voxels and {passes} passes, to stay within the time")
        with demo.progress("  reconstructing") as follow:
            made = diffusion.reconstruct(
                (edge,) * 3,
                model,
                passes=None if passes == whole else passes,
                seed=demo.seed,
                device=demo.device,
                callback=follow,
                runtime=diffusion.Runtime(keep_raw=True),
            )
        taken = float(made.provenance["seconds"])
        timings["Reconstruction"] = taken
        pass_seconds = taken / made.provenance["passes"] * (demo.edge / edge) ** 3
        made = dataclasses.replace(made, provenance={"model_name": name, **made.provenance})
        file = dataclasses.replace(made, fields={}).save(folder / f"{name}.tif")
        started = time.perf_counter()
        compared = compare(made, micrographs)
        timings["Comparison"] = time.perf_counter() - started
        started = time.perf_counter()
        properties = effective(demo, name, made)
        if properties:
            timings["Effective properties"] = time.perf_counter() - started
        page = write_report(
            folder,
            microstructure=made,
            micrographs=micrographs,
            comparison=compared,
            samples_2d=samples,
            comparison_2d=compare(samples, micrographs),
            properties=properties or None,
            timings=timings,
            extra=extra,
            title=f"{name.replace('-', ' ').capitalize()}: from micrographs to a volume",
        )
        pages.append(page)
        demo.say(f"  volume        {file} in {taken:.0f} s")
        demo.say(f"  proof         {compared.summary()}")
        demo.say(f"  report        {page}")
    return pages


def make_micrographs(name: str, model: Model, folder: Path) -> Micrographs:
    """Write micrographs of specimens that no model has seen as PNG files, and load them."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for i in range(IMAGES):
        seed = HELD_OUT + i
        specimen = GENERATORS[name]((SPECIMEN,) * 3, seed=seed, voxel_size=model.voxel_size)
        cut = Micrographs.from_volume(specimen, 1, seed=seed)
        step = 255 // (cut.n_phases - 1)
        for plane in PLANES:
            with atomic_write(folder / f"{plane}-{i:02d}.png") as path:
                Image.fromarray(cut.images[plane][0] * np.uint8(step)).save(path, format="PNG")
    return Micrographs.load(
        {plane: [folder / f"{plane}-{i:02d}.png" for i in range(IMAGES)] for plane in PLANES},
        phases={phase * step: phase for phase in range(cut.n_phases)},
        voxel_size=model.voxel_size,
        phase_names=cut.phase_names,
    )


def train_a_little(demo: Run, micrographs: Micrographs, folder: Path, seconds: float) -> Section:
    """Train from scratch for about that long, and return what there is to see."""
    if (folder / "settings.json").exists():  # of an earlier demo
        shutil.rmtree(folder)
    options: dict[str, Any] = {"patch": PATCH, "batch_size": BATCH, "seed": demo.seed}
    options["device"] = demo.device
    with tempfile.TemporaryDirectory() as scratch:  # how fast is this machine?
        at: list[float] = []

        def clock(_: dict[str, Any]) -> None:
            at.append(time.perf_counter())
            if len(at) == 4:
                raise Enough

        with contextlib.suppress(Enough):
            diffusion.train(
                micrographs,
                Path(scratch) / "run",
                steps=5,
                samples_every=5,
                callback=clock,
                **options,
            )
    steps = int(np.clip(seconds / max(at[-1] - at[0], 1e-3) * 3, 4, 2000))
    done, end = 0, time.monotonic() + 1.3 * seconds
    with demo.progress("  training") as follow:

        def watch(event: dict[str, Any]) -> None:
            nonlocal done
            follow(event)
            done = int(event["step"])
            if time.monotonic() > end and done < steps:
                raise Enough

        # A checkpoint is written when Enough comes, as on Ctrl-C.
        with contextlib.suppress(Enough):
            diffusion.train(
                micrographs, folder, steps=steps, samples_every=steps, callback=watch, **options
            )
    demo.say(f"  training      {folder}: {done} steps from scratch, to show how it goes")

    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    x, y = np.array(rows).T if rows else np.zeros((2, 1))
    parts: list[Any] = [
        Text(
            f"{done} steps from scratch with crops of {PATCH} × {PATCH} pixels, to show how "
            "training goes. The volume on this page was made with the bundled model, which was "
            "trained longer in the same way."
        ),
        Plot(
            [Line(x, y, "loss")],
            x_label="step",
            y_label="loss",
            y_log=True,
            alt="Smoothed loss against training step.",
        ),
    ]
    pictures = sorted((folder / "samples").glob("*.png"))
    if pictures:
        parts.append(
            Picture(
                pictures[-1].read_bytes(),
                "Rows of small images: 2D samples of the network and crops of the micrographs.",
                "What the network draws after this much training: for each plane a row of its own "
                "2D samples above a row of crops of the micrographs.",
                width=560,
            )
        )
    return Section("A minute of training", parts)


class Enough(KeyboardInterrupt):
    """The time for training is over."""


def draw_samples(demo: Run, model: Model) -> tuple[dict[str, list[np.ndarray]], float]:
    """Return 2D samples of each plane, and the seconds they took."""
    started = time.perf_counter()
    samples = {}
    for plane in PLANES:
        images = diffusion.sample_slices(
            model, plane, SAMPLES, size=64, steps=STEPS, seed=demo.seed, device=demo.device
        )
        samples[plane] = list(images)
    return samples, time.perf_counter() - started


def effective(demo: Run, name: str, made: Microstructure) -> dict[str, Any]:
    """Return what the material does: stiffness of the composite, transport in the cathode."""
    results: dict[str, Any] = {}
    with demo.progress("  solving") as progress:
        if name == "fibre-composite":
            chosen = homogenization.load_materials("carbon-epoxy")
            assert chosen.materials is not None
            elastic = homogenization.homogenize_elasticity(
                made, chosen.materials, tol=TOLERANCE, callback=progress.solver
            )
            results["Carbon fibre in epoxy"] = elastic
            moduli = ", ".join(f"{e / 1e9:.3g}" for e in elastic.E)
            demo.say(f"  properties    Young's moduli {moduli} GPa along x, y, z")
        elif name == "cathode":
            found = [
                homogenization.relative_diffusivity(
                    made, phase, axis=axis, tol=TOLERANCE, callback=progress.solver
                )
                for phase in range(made.n_phases)
                for axis in "xyz"
            ]
            results["Diffusion"] = found
            along = [r for r in found if r.axis == "z"]
            words = ", ".join(f"{made.phase_names[r.phases[0]]} {r.relative:.3f}" for r in along)
            demo.say(f"  properties    relative diffusivity along z: {words}")
    return results


def affordable(
    demo: Run, pass_seconds: float, whole: int, share: float, *, needed: bool = False
) -> tuple[int, int]:
    """Return edge and passes, at most ``whole``, that fit into a share of the time left.

    If nothing does: the smallest volume where one is ``needed``, else edge 0.
    """
    budget = share * demo.left - 8.0  # the report takes its part
    for edge in (demo.edge, 3 * demo.edge // 4, demo.edge // 2):
        for passes in (whole, min(whole, FEWEST)):
            if pass_seconds * passes * (edge / demo.edge) ** 3 <= budget:
                return edge, passes
    return (demo.edge // 2, min(whole, FEWEST)) if needed else (0, 0)
