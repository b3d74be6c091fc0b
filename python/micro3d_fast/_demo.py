# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The whole workflow on synthetic micrographs: a minute of training, volumes, reports.

The micrographs come from specimens that the bundled models have never seen: the same generators
with another seed.  The speed of the machine is measured during the run; a slow one reconstructs
smaller volumes, and prints that it does.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from . import diffusion, homogenization, synthetic
from ._atomic import atomic_write
from ._planes import AXIS_NAMES, PLANES
from .diffusion import Model
from .micrographs import Micrographs
from .microstructure import Microstructure
from .report import Line, Picture, Plot, Section, Text, write_report
from .statistics import compare

SPECIMEN = 96  # edge of the synthetic specimens, voxels
HELD_OUT = 1  # seed of the first specimen; the bundled models were trained on others
IMAGES = 16  # micrographs per plane, each of another specimen, so that they are independent
GENERATORS: dict[str, Callable[..., Microstructure]] = {
    "fibre-composite": synthetic.fibre_composite,
    "separator": synthetic.separator,
    "cathode": synthetic.cathode,
}
#: Axes along which volumes are periodic, as their properties assume; fibres that are not quite
#: parallel to z cannot continue at the opposite face of a short box.
PERIODIC = {"fibre-composite": (False, True, True), "cathode": (True, True, True)}
PATCH, BATCH = 32, 16  # of the training shown: small, so that a minute shows progress
TRAINING = "Training shown below"
TOLERANCE = 1e-4  # of the effective properties shown
SAMPLES, STEPS = 8, 32  # 2D samples per plane, and their network passes


@dataclasses.dataclass(frozen=True)
class Run:
    """Settings of a demo, and its output."""

    out: Path
    seed: int
    edge: int
    deadline: float  # of time.monotonic()
    print: Callable[[str], None]
    progress: Callable[[str], Any]  # from a title to a context that returns a callback
    device: str | None = None

    @property
    def left(self) -> float:
        """Seconds left."""
        return self.deadline - time.monotonic()


def run(demo: Run, training_seconds: float) -> list[Path]:
    """Run the demo and return its reports; the first is the main one."""
    pages: list[Path] = []
    pass_seconds = other_seconds = 0.0  # of the material before
    for remaining, name in zip(range(len(GENERATORS), 0, -1), GENERATORS, strict=True):
        first = not pages
        folder = demo.out if first else demo.out / name
        demo.print(f"\n{name}")
        try:
            model = diffusion.load_model(name)
        except FileNotFoundError:
            if first:
                raise
            demo.print("  skipped: its model is not in this installation")
            continue
        started = time.monotonic()
        passes = diffusion.Reconstruction.of((demo.edge,) * 3, model).settings.passes
        if not first:
            budget = 0.9 * (demo.left / remaining - other_seconds)
            edge = affordable(demo.edge, pass_seconds * passes, budget)
            if edge == 0:
                demo.print("  skipped: no time is left for it")
                continue
        micrographs = make_micrographs(name, model, folder / "micrographs")
        demo.print(
            f"  micrographs   {folder / 'micrographs'}: {IMAGES} per plane, of new specimens"
        )
        extra: list[Section] = []
        timings: dict[str, float] = {}
        if first:
            with _timed(timings, TRAINING), warnings.catch_warnings():
                warnings.filterwarnings("ignore", ".*a patch of")  # small on purpose
                extra.append(
                    train_briefly(demo, micrographs, folder / "training", training_seconds)
                )
        with _timed(timings, "2D samples"):
            samples = draw_samples(demo, model)
        if first:  # a pass over the volume is one evaluation of each slice
            pass_seconds = timings["2D samples"] / (STEPS * SAMPLES * 3 * 64**2) * demo.edge**3
            budget = 0.6 * demo.left - 8.0  # for the report
            # One volume there must be.
            edge = affordable(demo.edge, pass_seconds * passes, budget) or demo.edge // 2
        if edge != demo.edge:
            demo.print(f"  {edge}³ voxels, to stay within the time")
        made = reconstruct(demo, name, model, edge)
        timings["Reconstruction"] = seconds = float(made.provenance["seconds"])
        pass_seconds = seconds / made.provenance["passes"] * (demo.edge / edge) ** 3
        file = dataclasses.replace(made, fields={}).save(folder / f"{name}.tif")
        demo.print(f"  volume        {file} in {seconds:.0f} s")
        pages.append(report(demo, name, folder, made, micrographs, samples, timings, extra))
        other_seconds = time.monotonic() - started - seconds - timings.get(TRAINING, 0.0)
    return pages


def reconstruct(demo: Run, name: str, model: Model, edge: int) -> Microstructure:
    """Reconstruct a cube with a bundled model."""
    with demo.progress("  reconstructing") as progress:
        made = diffusion.reconstruct(
            (edge,) * 3,
            model,
            periodic=PERIODIC.get(name, False),
            seed=demo.seed,
            device=demo.device,
            progress=progress,
            runtime=diffusion.Runtime(keep_raw=True),
        )
    return dataclasses.replace(made, provenance={"model_name": name, **made.provenance})


def report(
    demo: Run,
    name: str,
    folder: Path,
    made: Microstructure,
    micrographs: Micrographs,
    samples: dict[str, list[np.ndarray]],
    timings: dict[str, float],
    extra: list[Section],
) -> Path:
    """Compare a volume with its micrographs, homogenize it, and write its report."""
    with _timed(timings, "Comparison"):
        comparison = compare(made, micrographs)
    demo.print(f"  verdict       {comparison.verdict}")
    demo.print(f"  comparison    {comparison.summary()}")
    with _timed(timings, "Effective properties"):
        properties = effective_properties(demo, name, made)
    if not properties:
        del timings["Effective properties"]
    page = write_report(
        folder,
        microstructure=made,
        micrographs=micrographs,
        comparison=comparison,
        samples_2d=samples,
        comparison_2d=compare(samples, micrographs),
        properties=properties or None,
        timings=timings,
        extra=extra,
        title=f"{name.replace('-', ' ').capitalize()}: from micrographs to a volume",
    )
    demo.print(f"  report        {page}")
    return page


@contextlib.contextmanager
def _timed(timings: dict[str, float], name: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    timings[name] = time.perf_counter() - started


def make_micrographs(name: str, model: Model, folder: Path) -> Micrographs:
    """Write micrographs of specimens unknown to the models as PNG files, and load them."""
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


def train_briefly(demo: Run, micrographs: Micrographs, folder: Path, seconds: float) -> Section:
    """Train from scratch for about ``seconds`` and return the section that shows the training."""
    if (folder / "settings.json").exists():  # of an earlier demo
        shutil.rmtree(folder)
    options: dict[str, Any] = {
        "patch": PATCH,
        "batch_size": BATCH,
        "seed": demo.seed,
        "device": demo.device,
    }
    steps = int(np.clip(seconds / _step_seconds(micrographs, options), 4, 2000))
    done, end = 0, time.monotonic() + 1.3 * seconds
    with demo.progress("  training") as progress:

        def watch(event: dict[str, Any]) -> None:
            nonlocal done
            done = int(event["step"])
            if time.monotonic() > end and done < steps:
                raise Enough

        # Enough makes train write a checkpoint, as Ctrl-C does.
        with contextlib.suppress(Enough), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # so few steps make a poor model
            diffusion.train(
                micrographs,
                folder,
                steps=steps,
                samples_every=steps,
                callback=watch,
                progress=progress,
                **options,
            )
    demo.print(f"  training      {folder}: {done} steps from scratch, to show how it proceeds")
    return _training_section(folder, done)


def _step_seconds(micrographs: Micrographs, options: dict[str, Any]) -> float:
    """Return the duration of a training step on this machine."""
    times: list[float] = []

    def clock(_: dict[str, Any]) -> None:
        times.append(time.perf_counter())
        if len(times) == 4:
            raise Enough

    with tempfile.TemporaryDirectory() as scratch, contextlib.suppress(Enough):
        run_folder = Path(scratch) / "run"
        diffusion.train(
            micrographs,
            run_folder,
            steps=5,
            samples_every=5,
            callback=clock,
            progress=False,
            **options,
        )
    return max(times[-1] - times[0], 1e-3) / 3


def _training_section(folder: Path, steps: int) -> Section:
    with open(folder / "history.csv", encoding="utf-8", newline="") as file:
        rows = [(float(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    x, y = np.array(rows).T if rows else np.zeros((2, 1))
    parts: list[Any] = [
        Text(
            f"{steps} steps from scratch with crops of {PATCH} × {PATCH} pixels, to show how "
            "training proceeds. The volume on this page was reconstructed with the bundled model, "
            "which was trained longer in the same way."
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
                "Samples of the network after this much training: for each plane a row of 2D "
                "samples above a row of crops of the micrographs.",
                width=560,
            )
        )
    return Section("A minute of training", parts)


class Enough(KeyboardInterrupt):
    """Raised by a callback when the time for training is over."""


def draw_samples(demo: Run, model: Model) -> dict[str, list[np.ndarray]]:
    """Return 2D samples of each plane."""
    return {
        plane: list(
            diffusion.sample_slices(
                model, plane, SAMPLES, size=64, steps=STEPS, seed=demo.seed, device=demo.device
            )
        )
        for plane in PLANES
    }


def effective_properties(demo: Run, name: str, made: Microstructure) -> dict[str, Any]:
    """Return the stiffness of the composite, relative diffusivities of the cathode."""
    results: dict[str, Any] = {}
    with demo.progress("  solving") as progress:
        if name == "fibre-composite":
            chosen = homogenization.load_materials("carbon-epoxy")
            elastic = homogenization.homogenize_elasticity(
                made, chosen, tol=TOLERANCE, progress=progress
            )
            results["Carbon fibre in epoxy"] = elastic
            moduli = ", ".join(f"{e / 1e9:.3g}" for e in elastic.E)
            demo.print(f"  properties    Young's moduli {moduli} GPa along x, y, z")
        elif name == "cathode":
            found = [
                homogenization.relative_diffusivity(
                    made,
                    phase,
                    axis=axis,
                    sides="periodic",
                    tol=TOLERANCE,
                    progress=progress,
                )
                for phase in range(made.n_phases)
                for axis in reversed(AXIS_NAMES)
            ]
            results["Diffusion"] = found
            along = [r for r in found if r.axis == "z"]
            values = ", ".join(f"{made.phase_names[r.phases[0]]} {r.relative:.3f}" for r in along)
            demo.print(f"  properties    relative diffusivity along z: {values}")
    return results


def affordable(largest: int, seconds: float, budget: float) -> int:
    """Return the edge of the largest volume that takes ``budget`` seconds; 0 if none does.

    ``seconds`` is the time of a volume of edge ``largest``.
    """
    for edge in (largest, 3 * largest // 4, largest // 2):
        if seconds * (edge / largest) ** 3 <= budget:
            return edge
    return 0
