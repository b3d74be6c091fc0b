# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""`study`: the request, its checks, and the run."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

import numpy as np

from .. import _checks
from .._atomic import atomic_write
from .._blocks import even_windows
from .._plain_data import load_json_object
from .._progress import Progress, Shown, following
from ..diffusion import Model, Reconstruction, SamplerSettings, train
from ..diffusion.model import check_model
from ..homogenization import MaterialSet, load_materials
from ..homogenization.materials import Material
from ..micrographs import Micrographs
from ..microstructure import Microstructure
from ..statistics import fraction_scatter
from ..typing import Device, Fractions, Labels, Periodic
from . import _pool
from ._cluster import client_of, run_on_cluster
from ._plan import GENERATED, REAL, Group, Plan, Task, materials_record, save_micrographs
from ._result import Study, collect
from ._tasks import Outcome
from .presets import PRESETS, ablation_variants, grid_variants

if TYPE_CHECKING:
    from dask.distributed import Client
    from typing_extensions import Unpack

Source = Model | str | Path | Micrographs | None
Materials = str | Path | MaterialSet | Sequence[Material] | Mapping[int | str, Material] | None
Runner = Callable[[list[Task], Callable[[], None]], Iterator[Outcome]]


class SamplerOptions(TypedDict, total=False):
    """Keywords of `reconstruct` that `study` takes too."""

    sampler: str | SamplerSettings
    passes: int | None
    guidance: float
    periodic: Periodic
    volume_fractions: Fractions
    remove_islands: bool | Literal["auto"]


def study(
    model: Source,
    truth: Labels | str | Path | Micrographs | None = None,
    out: str | Path = "study",
    *,
    count: int = 50,
    volume_shape: int | Sequence[int] | None = None,
    materials: Materials = None,
    diffusing: Sequence[int | str] | None = None,
    gamma: Sequence[float] | None = None,
    harmonize: Sequence[int] | None = None,
    grid_steps: int | None = None,
    ablation: bool = False,
    models: Mapping[str, Model | str | Path] | None = None,
    variant_count: int = 10,
    blocks: int | None = None,
    images_per_plane: int = 300,
    tol: float = 1e-4,
    seed: int = 0,
    scheduler: str | Client | None = None,
    workers: int | None = None,
    device: Device = None,
    training: Mapping[str, object] | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    progress: Shown = None,
    **options: Unpack[SamplerOptions],
) -> Study:
    """Validate a model as the paper does: many volumes against many real blocks.

    Makes ``count`` volumes, measures their descriptors, correlations and effective properties, and
    the same of real blocks of that size, and writes one folder: ``study.html``, the paper's figures
    as SVG and PDF, ``study.json`` and CSV tables.  The same call resumes it after any end, at the
    level of a volume, and goes on to more volumes or variants.

    Parameters
    ----------
    model : Model, path, bundled name, Micrographs or None
        Micrographs, or None for slices of ``truth``: a model is trained on them first.
    truth : Microstructure, array, path of a volume or Micrographs, optional
        The tomogram that volumes are compared with, and that real blocks are cut from; or the
        micrographs alone, without real blocks.  Default: the micrographs of ``model``.
    out : path
        The folder.  With ``scheduler`` all workers must see it.
    count : int
        Number of volumes, of the seeds ``seed`` ... ``seed + count - 1``.
    volume_shape : int or (nz, ny, nx), optional
        Of the volumes and of the real blocks; default a cube of the model's training patch.
    materials : str, path, MaterialSet, sequence or mapping of Material, optional
        For stiffness, thermal expansion and conductivity: one of `PRESETS` (``"separator"``,
        ``"fibre-composite"``, ``"fibre-composite-table-a1"``, ``"cathode"``), what
        `homogenization.load_materials` takes, or one material per phase, by label or name.
    diffusing : sequence of int or str, optional
        Phases whose relative diffusivity is computed.  Default: those of the preset; else all,
        or none where elastic materials are given.
    gamma, harmonize : sequence of float and of int, optional
        Grid of the parametric study: weights of Eq. 17 and harmonizing passes per step of the
        paper's sampler.  One of both alone is combined with the paper's value of the other (0.5,
        4).
    grid_steps : int, optional
        Outer steps of the sampler of the grid; default all T of the model, as in the paper, which
        are T (1 + n_h) - n_h passes per volume.
    ablation : bool
        Also make volumes without each part of the sampler: harmonizing, condition, turning planes,
        held fractions, blend.
    models : mapping of str to Model or path, optional
        Other models by title, such as other networks trained on the same micrographs, to be
        compared as in the paper's ablation (Figure B1).
    variant_count : int
        Volumes of every cell of the grid, variant of the ablation and other model; at most
        ``count``.
    blocks : int, optional
        Maximum number of real blocks, spread evenly over the truth; default ``count``.
    images_per_plane : int
        Maximum number of slices of the truth per plane, where slices are the micrographs.
    tol : float
        Relative residual of the solvers of effective properties.
    seed : int
        The first seed.
    scheduler : str or dask.distributed.Client, optional
        Address of a Dask scheduler, such as ``"tcp://host:8786"``; default: processes on this
        machine.  Workers should have one thread each (``dask worker --nthreads 1``).
    workers : int, optional
        Most processes on this machine; 1 works in this process.  Default: measured.  Other
        processes import the calling script: call this under ``if __name__ == "__main__":`` there.
    device : str, optional
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; default: CUDA if it is available.
    training : mapping, optional
        Options of `train`, where a model is trained, such as ``{"steps": 3000}``.
    callback : callable, optional
        Called after each task with a dict: stage, task, step (tasks done), steps, seconds, eta,
        error.
    progress : bool, optional
        Show a bar with the remaining time, on stderr.  Default: in a terminal or notebook, if the
        work takes more than a few seconds; lines instead of a bar where True is given elsewhere.
    **options
        Of `reconstruct`: ``sampler``, ``passes``, ``guidance``, ``periodic``,
        ``volume_fractions`` (default ``"natural"``; raw for the paper's sampler),
        ``remove_islands``.

    Returns
    -------
    Study

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        An argument is out of range, or ``out`` holds another study; the message names it.
    RuntimeError
        No volume could be made.

    Warns
    -----
    UserWarning
        Tasks failed; the result names them, and the same call tries them again.

    Notes
    -----
    Real blocks of one tomogram overlap or lie side by side and are not quite independent, so the
    tests call a difference significant somewhat too often.  Real blocks are never periodic: leave
    ``periodic`` out where properties are compared.

    Examples
    --------
    >>> found = study("separator", "tomogram.tif", "study/", count=50)  # doctest: +SKIP
    >>> print(found.verdict)  # doctest: +SKIP
    """
    request = _Request(
        model, truth, _checks.path(out, name="out"), volume_shape, materials, diffusing,
        gamma, harmonize, grid_steps, ablation, models,
        _checks.integer(count, name="count", minimum=1, maximum=100_000),
        _checks.integer(variant_count, name="variant_count", minimum=1),
        count if blocks is None else _checks.integer(blocks, name="blocks", minimum=1),
        _checks.integer(images_per_plane, name="images_per_plane", minimum=1),
        _checks.real(tol, name="tol", minimum=0.0, maximum=1.0, open_ends=True),
        _checks.integer(seed, name="seed", minimum=0, maximum=2**63),
        None if device is None else str(device), dict(options),
    )  # fmt: skip
    _checks.callback(callback)
    if scheduler is None and _pool.imports_a_script():  # which calls study, again
        raise SystemExit(1)  # the process that started this one says why
    if workers is not None:
        workers = _checks.integer(workers, name="workers", minimum=1)
    with following(progress, "study", on=str(device or "")) as bar:
        plan = request.plan(training or {}, bar)
        failed, resources = _run(plan, scheduler, workers, bar.beside(callback), bar.check)
    found = collect(plan, failed, resources)
    found.write()
    if failed:
        first = next(iter(failed.items()))
        warnings.warn(
            f"{len(failed)} of {len(plan.tasks())} tasks failed, {first[0]} with {first[1]}; the "
            "same call tries them again",
            stacklevel=2,
        )
    return found


@dataclasses.dataclass(frozen=True)
class _Request:
    """The arguments of `study`; `plan` checks what depends on the model and the truth."""

    model: Any
    truth: Any
    out: Path
    volume_shape: Any
    materials: Any
    diffusing: Any
    gamma: Any
    harmonize: Any
    grid_steps: Any
    ablation: Any
    models: Any
    count: int
    variant_count: int
    blocks: int
    images_per_plane: int
    tol: float
    seed: int
    device: str | None
    options: dict[str, Any]

    def plan(self, training: Mapping[str, Any], bar: Progress) -> Plan:
        """Return the plan, and write it with its inputs and models to the folder."""
        for name in self.options:
            if name not in SamplerOptions.__annotations__:
                raise TypeError(f"`{name}` is not an argument of study, or is set by it")
        truth, images = self._references()
        if self.model is None or isinstance(self.model, Micrographs):
            model, name = self._trained(truth, images, training, bar), "a model trained for it"
        else:
            name = Path(self.model).name if isinstance(self.model, str | Path) else "a model"
            model = check_model(self.model, stacklevel=4)
        truth = _like_model(model, truth, images)
        names = model.phase_names
        model = self._with_scatter(model, truth, images)
        shape = self._shape(model)
        found, diffusing = self._properties(names)
        starts = () if truth is None else _block_starts(truth, shape)
        kept = {model.hash: model}
        groups = self._groups(model, shape, min(self.blocks, len(starts)), kept)
        plan = Plan(
            folder=self.out, volume_shape=shape, phase_names=names, seed=self.seed,
            groups=groups, blocks=starts, diffusing=diffusing, tol=self.tol,
            truth="" if truth is None else _digest(truth.labels, truth.voxel_size),
            micrographs="" if images is None else images.fingerprint(),
            materials="" if found is None else _digest_of_phases(found),
            images_per_plane=self.images_per_plane, model_name=name, device=self.device,
        )  # fmt: skip
        plan.write()
        _write_inputs(plan, truth, images, found, kept)
        return plan

    def _references(self) -> tuple[Microstructure | None, Micrographs | None]:
        """Return the tomogram and the micrographs, either None if not given."""
        truth, images = self.truth, None
        if isinstance(self.model, Micrographs):
            images = self.model
        if isinstance(truth, Micrographs):
            if images is not None and images.fingerprint() != truth.fingerprint():
                wanted = "be a volume, or left out, where `model` is a Micrographs"
                raise _checks.refuse("truth", wanted, "other micrographs")
            truth, images = None, truth
        if isinstance(truth, str | Path):
            truth = Microstructure.load(truth)
        if truth is not None and not isinstance(truth, Microstructure):
            truth = Microstructure(_checks.as_labels(truth, name="truth", ndim=3))
        if truth is None and images is None:
            wanted = "be a volume or a Micrographs, to compare with"
            raise _checks.refuse("truth", wanted, "None")
        return truth, images

    def _trained(
        self,
        truth: Microstructure | None,
        images: Micrographs | None,
        training: Mapping[str, Any],
        bar: Progress,
    ) -> Model:
        """Train a model on the micrographs, or on slices of the truth; resume a training."""
        if images is None:
            assert truth is not None
            images = Micrographs.from_volume(truth, self.images_per_plane, seed=self.seed)
        given = {"seed": self.seed, "device": self.device, **training}
        return train(images, self.out / "training", progress=bar, **given)

    def _with_scatter(
        self, model: Model, truth: Microstructure | None, images: Micrographs | None
    ) -> Model:
        """Return the model with a law of natural fractions: its own, or that of the reference."""
        if model.fraction_scatter is not None:
            return model
        if images is None:
            assert truth is not None
            images = Micrographs.from_volume(truth, self.images_per_plane, seed=self.seed)
        return dataclasses.replace(model, fraction_scatter=fraction_scatter(images))

    def _shape(self, model: Model) -> tuple[int, int, int]:
        value = (model.patch,) * 3 if self.volume_shape is None else self.volume_shape
        shape = _checks.shape3(value, name="volume_shape")
        if min(shape) < 8:
            wanted = "be at least 8 voxels along each axis, for meaningful correlations"
            raise _checks.refuse("volume_shape", wanted, str(shape))
        return shape

    def _properties(self, names: tuple[str, ...]) -> tuple[dict[str, Any] | None, tuple[int, ...]]:
        """Return the record of the materials, if any, and the diffusing phases."""
        found, preset = _material_record(self.materials, names), None
        if isinstance(self.materials, str):
            preset = PRESETS.get(self.materials)
        if self.diffusing is not None:
            phases = [
                _checks.phase_number(p, name="diffusing", names=names) for p in self.diffusing
            ]
        elif preset is not None:
            phases = list(preset.diffusing)
        else:
            elastic = found is not None and "elastic" in found["phases"][0]
            phases = [] if elastic else list(range(len(names)))
        for phase in phases:
            if phase >= len(names):
                wanted = f"be phases of the model, {', '.join(names)}"
                raise _checks.refuse("diffusing", wanted, str(phase))
        return found, tuple(phases)

    def _groups(
        self, model: Model, shape: tuple[int, int, int], blocks: int, kept: dict[str, Model]
    ) -> dict[str, Group]:
        """Return the groups of volumes; models of theirs are added to ``kept``."""
        raw = self.options.get("sampler") == "paper"
        options = {"volume_fractions": None if raw else "natural", **self.options}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # given when the volumes are made
            main = Reconstruction.of(shape, model, device=self.device, **options)
        passes = main.settings.passes
        groups = {
            GENERATED: Group("volumes", self.count, model.hash, _plain(options), passes=passes)
        }
        if blocks:
            groups[REAL] = Group("real blocks", blocks, kind=REAL)
        few = min(self.count, self.variant_count)
        for name, (title, changes) in self._grid(model).items():
            rest = {k: v for k, v in options.items() if k not in ("sampler", "passes")}
            groups[name] = Group(
                title, few, model.hash, {**_plain(rest), **changes}, "grid", passes
            )
        if _checks.boolean(self.ablation, name="ablation"):
            for name, (title, changes) in ablation_variants(main.settings).items():
                rest = {
                    k: v for k, v in options.items() if k != "passes" or "sampler" not in changes
                }
                groups[name] = Group(
                    title, few, model.hash, {**_plain(rest), **changes}, "ablation", passes
                )
        for number, (title, other) in enumerate((self.models or {}).items()):
            found = self._with_scatter(check_model(other, stacklevel=5), *self._references())
            if found.n_phases != model.n_phases:
                wanted = f"have the {model.n_phases} phases of the model"
                raise _checks.refuse(f"models[{title!r}]", wanted, str(found.n_phases))
            kept[found.hash] = found
            groups[f"model-{number}"] = Group(
                title, few, found.hash, _plain(options), "model", passes
            )
        return groups

    def _grid(self, model: Model) -> dict[str, tuple[str, dict[str, Any]]]:
        if self.gamma is None and self.harmonize is None:
            return {}
        gammas = tuple(
            _checks.real(g, name="gamma", minimum=0.0, maximum=1.0)
            for g in _several(self.gamma, "gamma", (0.5,))
        )
        repeats = tuple(
            _checks.integer(n, name="harmonize", minimum=0)
            for n in _several(self.harmonize, "harmonize", (4,))
        )
        steps = model.schedule.steps
        if self.grid_steps is not None:
            steps = _checks.integer(self.grid_steps, name="grid_steps", minimum=2, maximum=steps)
        return grid_variants(gammas, repeats, steps)


def _several(values: Any, name: str, default: tuple[Any, ...]) -> Sequence[Any]:
    if values is None:
        return default
    if isinstance(values, str | bytes) or not isinstance(values, Sequence | np.ndarray):
        wanted = "be a sequence: the values of a grid"
        raise _checks.refuse_type(name, wanted, _checks.shown_with_type(values))
    if not len(values):
        raise _checks.refuse(name, "hold at least one value", "none")
    return list(values)


def _plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options as plain JSON, without those that are None except the fractions."""
    found = {}
    for name, value in options.items():
        if isinstance(value, SamplerSettings):
            found[name] = dataclasses.asdict(value)
        elif isinstance(value, np.ndarray | tuple):
            found[name] = np.asarray(value).tolist()
        elif value is not None or name == "volume_fractions":
            found[name] = value
    return json.loads(json.dumps(found))  # type: ignore[no-any-return]  # as read again


def _like_model(
    model: Model, truth: Microstructure | None, images: Micrographs | None
) -> Microstructure | None:
    """Return the truth with the voxel size and the names of the model, or refuse it."""
    for name, owner in (("truth", truth), ("micrographs", images)):
        if owner is not None and owner.n_phases != model.n_phases:
            wanted = f"have the {model.n_phases} phases of the model"
            raise _checks.refuse(name, wanted, str(owner.n_phases))
        if owner is not None:
            _checks.phase_names_of_model(owner.phase_names, model.phase_names, name=name)
            _checks.voxel_size_of_model(owner.voxel_size, model.voxel_size, name=name)
    if truth is None:
        return None
    return Microstructure(truth.labels, voxel_size=model.voxel_size, phase_names=model.phase_names)


def _material_record(materials: Any, names: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the materials in the form that `load_materials` reads; None without any."""
    if isinstance(materials, str) and materials in PRESETS:
        materials = PRESETS[materials].materials
    if materials is None:
        return None
    if isinstance(materials, str | Path):
        materials = load_materials(materials)
    elastic, conductivities, units = materials, None, {"stress_unit": ""}
    if isinstance(materials, MaterialSet):
        ordered = materials.for_phases(names)
        elastic, conductivities = ordered.materials, ordered.conductivities
        units = {name: getattr(ordered, name) for name in ("stress_unit", "conductivity_unit")}
    elif isinstance(materials, Mapping):
        found = _checks.by_phase(materials, name="materials", names=names)
        elastic = [found[phase] for phase in sorted(found)]
    for one in (elastic, conductivities):
        if one is not None and len(one) != len(names):
            wanted = f"hold one material for each of {len(names)} phases"
            raise _checks.refuse("materials", wanted, str(len(one)))
    return materials_record(elastic, conductivities, units)


def _digest_of_phases(record: Mapping[str, Any]) -> str:
    return _digest(json.dumps({"phases": record["phases"]}).encode())


def _block_starts(
    truth: Microstructure, shape: tuple[int, int, int]
) -> tuple[tuple[int, int, int], ...]:
    """Return the first voxels of real blocks that give all places about the same weight."""
    windows = even_windows(truth.shape, shape)
    if not windows:
        wanted = f"be at least as large as the volumes, {shape}"
        raise _checks.refuse("truth", wanted, str(truth.shape))
    return tuple((z.start, y.start, x.start) for z, y, x in windows)


def _digest(data: Any, *more: object) -> str:
    return hashlib.sha256(bytes(data) + repr(more).encode()).hexdigest()[:16]


def _write_inputs(
    plan: Plan,
    truth: Microstructure | None,
    images: Micrographs | None,
    materials: dict[str, Any] | None,
    models: Mapping[str, Model],
) -> None:
    """Write what the tasks need, unless it is there."""
    inputs = plan.folder / "inputs"
    inputs.mkdir(parents=True, exist_ok=True)
    if truth is not None and not (inputs / "truth.npz").exists():
        truth.save(inputs / "truth.npz")
    if images is not None and not (inputs / "micrographs.npz").exists():
        save_micrographs(images, inputs / "micrographs.npz")
    if materials is not None and not (inputs / "materials.json").exists():
        with atomic_write(inputs / "materials.json") as path:
            path.write_text(json.dumps(materials) + "\n", encoding="utf-8")
    for name, model in models.items():
        if not (plan.folder / "models" / name / "model.json").exists():
            (plan.folder / "models").mkdir(exist_ok=True)
            model.save(plan.folder / "models" / name)


def _run(
    plan: Plan,
    scheduler: Any,
    workers: int | None,
    callback: Callable[[dict[str, Any]], None] | None,
    check: Callable[[], None],
) -> tuple[dict[str, str], dict[str, str]]:
    """Do the missing tasks; return those that failed, and what worked on them.

    Of a study without missing tasks, what worked on the last ones.
    """
    tasks, total, record = plan.missing(), len(plan.tasks()), plan.folder / "run.json"
    if not tasks:
        known = record.exists()
        return {}, load_json_object(record.read_text("utf-8"), record) if known else {}
    started, failed = time.perf_counter(), dict[str, str]()
    with contextlib.ExitStack() as stack:
        pool = _pool.LocalPool(plan, workers)
        run: Runner = pool.run
        client = None
        if scheduler is not None:
            client = stack.enter_context(client_of(scheduler))
            run = lambda some, check: run_on_cluster(client, plan.folder, some, check)  # noqa: E731
        elif workers == 1:
            run = lambda some, check: _pool.run_here(plan.folder, some, check)  # noqa: E731
        names: set[str] = set()
        work, finished = sum(plan.cost(task) for task in tasks), 0.0

        def event(done: int, task: str = "", error: str = "") -> None:
            if callback is None:
                return
            seconds = time.perf_counter() - started
            eta = seconds / finished * (work - finished) if finished else None
            callback({
                "stage": "volumes", "task": task, "error": error, "seconds": seconds, "eta": eta,
                "step": total - len(tasks) + done, "steps": total, "unit": "volume",
            })  # fmt: skip

        event(0)
        for done, outcome in enumerate(run(tasks, check), start=1):
            names.add(outcome.worker)
            finished += plan.cost(outcome.task)
            if outcome.error:
                failed[str(outcome.task)] = outcome.error
            event(done, str(outcome.task), outcome.error)
        resources = _resources(pool, client, names, time.perf_counter() - started, len(tasks))
    with atomic_write(record) as path:
        path.write_text(json.dumps(resources) + "\n", encoding="utf-8")
    return failed, resources


def _resources(
    pool: _pool.LocalPool, client: Any, names: set[str], seconds: float, tasks: int
) -> dict[str, str]:
    """Return what worked on the tasks, in words."""
    found = {"Tasks of the last run": str(tasks), "Seconds of the last run": f"{seconds:.0f}"}
    if client is not None:
        return {"Workers": f"{len(names - {''})} of a Dask cluster", **found}
    if not pool.threads:
        return {"Workers": "this process", **found}
    rates = ", ".join(f"{rate:.2g} with {t}" for t, rate in pool.rates.items())
    return {
        "Workers": f"up to {pool.most_workers} at once on {pool.cores} cores",
        "Threads of a worker": str(pool.threads),
        **({"Passes per second, by threads": rates} if rates else {}),
        "Memory of the largest worker": f"{pool.peak / 1e9:.2f} GB",
        **found,
    }
