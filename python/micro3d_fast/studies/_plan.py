# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The plan of a study: what it makes and measures, and the files of its folder.

Everything that a task needs lies in the folder, so that a worker of any machine that sees the
folder can do it::

    plan.json                       the plan; written once, refused if another is asked for
    inputs/                         truth.npz, micrographs.npz, materials.json
    models/HASH/                    the models
    volumes/GROUP/0000.npz          the volumes that were made
    tasks/GROUP/0000.json           what was measured of each; present if the task is done
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._atomic import atomic_write
from .._blocks import spread_evenly
from .._checks import refuse, refuse_content
from .._npy_files import write_npz
from .._plain_data import load_json_object
from ..diffusion import Model, load_model
from ..diffusion.settings import SamplerSettings
from ..homogenization import MaterialSet, load_materials
from ..homogenization.materials import Material
from ..micrographs import Micrographs
from ..microstructure import Microstructure, plain_json, read_only

GENERATED, REAL = "generated", "real"  # groups of every study
_VERSION = 1
_MEASURING = 4.0  # passes of the network that measuring a volume costs


class Task(NamedTuple):
    """One volume or real block of a study."""

    group: str
    number: int

    def __str__(self) -> str:
        return f"{self.group}/{self.number:04d}"


@dataclass(frozen=True)
class Group:
    """Volumes that are made alike, of the seeds ``seed`` ... ``seed + count - 1``.

    Attributes
    ----------
    title : str
    count : int
    model : str
        Hash of its model; empty for real blocks.
    options : dict
        Of `reconstruct`, as plain JSON: a `SamplerSettings` is a mapping of its fields.
    kind : {"generated", "real", "grid", "ablation", "model"}
    passes : int
        Of the sampler without ``options["sampler"]``, to estimate times.
    """

    title: str
    count: int
    model: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    kind: str = GENERATED
    passes: int = 0


@dataclass(frozen=True)
class Plan:
    """What a study makes and measures; see the module."""

    folder: Path
    volume_shape: tuple[int, int, int]
    phase_names: tuple[str, ...]
    seed: int
    groups: Mapping[str, Group]
    blocks: tuple[tuple[int, int, int], ...]  # first voxels of all real blocks
    diffusing: tuple[int, ...]
    tol: float
    truth: str  # a digest, or empty
    micrographs: str  # the same
    materials: str  # the same
    images_per_plane: int
    model_name: str
    device: str | None = None

    # ---------------------------------------------------------------------------------- files

    @classmethod
    def load(cls, folder: Path) -> Plan:
        """Return the plan of a folder."""
        file = folder / "plan.json"
        record = load_json_object(file.read_text(encoding="utf-8"), file)
        if record.pop("version", None) != _VERSION:
            raise refuse_content(file, f"be a plan of version {_VERSION}", "another")
        try:
            groups = {name: Group(**entry) for name, entry in record.pop("groups").items()}
            lists = {
                name: tuple(tuple(v) if isinstance(v, list) else v for v in value)
                for name, value in record.items()
                if isinstance(value, list)
            }
            return cls(folder, groups=groups, **{**record, **lists})
        except (TypeError, KeyError, AttributeError) as error:
            raise refuse_content(file, "be the plan of a study", str(error)) from None

    def record(self) -> dict[str, Any]:
        """Return the plan as plain JSON."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del fields["folder"]
        fields["groups"] = {name: dataclasses.asdict(g) for name, g in self.groups.items()}
        return {"version": _VERSION, **plain_json(fields, name="plan")}

    def write(self) -> None:
        """Write the plan, after that of an older run of the same study.

        Raises
        ------
        ValueError
            The folder holds a study that differs in more than the number of volumes, the groups
            that are added and the device.
        """
        file, record = self.folder / "plan.json", self.record()
        if file.exists():
            found = Plan.load(self.folder).record()
            for name, value in record.items():
                if name == "groups":
                    self._refuse_other_groups(found[name], value)
                elif name != "device" and found.get(name) != value:
                    self._refuse_other(name, found.get(name), value)
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(file) as path:
            path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")

    def _refuse_other_groups(self, found: Mapping[str, Any], now: Mapping[str, Any]) -> None:
        for name in found.keys() & now.keys():
            for key in ("model", "options"):
                if found[name][key] != now[name][key]:
                    self._refuse_other(f"{key} of {name!r}", found[name][key], now[name][key])

    def _refuse_other(self, name: str, found: Any, now: Any) -> None:
        raise refuse(
            "out",
            "be empty or hold the same study, of as many volumes or fewer",
            f"{self.folder}, where {name} was {found}, now {now}",
        )

    def volume_file(self, task: Task) -> Path:
        """Return the file of a volume."""
        return self.folder / "volumes" / task.group / f"{task.number:04d}.npz"

    def task_file(self, task: Task) -> Path:
        """Return the file of what was measured."""
        return self.folder / "tasks" / task.group / f"{task.number:04d}.json"

    # ---------------------------------------------------------------------------------- tasks

    def tasks(self, group: str | None = None) -> list[Task]:
        """Return all tasks, or those of a group; blocks are spread evenly over the truth."""
        if group is None:
            return [task for name in self.groups for task in self.tasks(name)]
        count = self.groups[group].count
        numbers = spread_evenly(len(self.blocks), count) if group == REAL else range(count)
        return [Task(group, k) for k in numbers]

    def cost(self, task: Task) -> float:
        """Return about what a task costs, in passes of the network over a volume."""
        group = self.groups[task.group]
        own = self.options_of(group).get("sampler")
        passes = own.passes if isinstance(own, SamplerSettings) else group.passes
        return passes + _MEASURING

    def missing(self) -> list[Task]:
        """Return the tasks that are not done."""
        return [task for task in self.tasks() if not self.task_file(task).exists()]

    def done(self) -> dict[str, tuple[int, int]]:
        """Return how many tasks of every group are done, and how many there are."""
        return {name: (len(self.done_tasks(name)), g.count) for name, g in self.groups.items()}

    def done_tasks(self, group: str) -> list[Task]:
        """Return the tasks of a group that are done."""
        return [task for task in self.tasks(group) if self.task_file(task).exists()]

    def result(self, task: Task) -> dict[str, Any]:
        """Return what was measured in a task."""
        file = self.task_file(task)
        return load_json_object(file.read_text(encoding="utf-8"), file)

    def results(self, group: str) -> Iterator[dict[str, Any]]:
        """Yield what was measured in the tasks of a group that are done."""
        yield from map(self.result, self.done_tasks(group))

    # --------------------------------------------------------------------------------- inputs

    @cached_property
    def truth_volume(self) -> Microstructure | None:
        """The tomogram."""
        return Microstructure.load(self.folder / "inputs" / "truth.npz") if self.truth else None

    @cached_property
    def images(self) -> Micrographs:
        """The micrographs that volumes are judged by: those given, or slices of the truth."""
        if self.micrographs:
            return load_micrographs(self.folder / "inputs" / "micrographs.npz")
        assert self.truth_volume is not None
        return Micrographs.from_volume(self.truth_volume, self.images_per_plane, seed=self.seed)

    @cached_property
    def material_set(self) -> MaterialSet | None:
        """The materials of the phases."""
        return load_materials(self.folder / "inputs" / "materials.json") if self.materials else None

    def model_of(self, group: Group) -> Model:
        """Return the model of a group."""
        if group.model not in _models:
            _models.clear()  # one at a time: a worker seldom needs another
            _models[group.model] = load_model(self.folder / "models" / group.model)
        return _models[group.model]

    def options_of(self, group: Group) -> dict[str, Any]:
        """Return the arguments of `reconstruct` of a group."""
        options = dict(group.options)
        if isinstance(options.get("sampler"), Mapping):
            settings = dict(options["sampler"])
            if isinstance(settings["harmonize"], list):
                settings["harmonize"] = tuple(settings["harmonize"])
            options["sampler"] = SamplerSettings(**settings)
            options.pop("gamma", None)  # of the grid, for its figures
            options.pop("harmonize", None)
        return {**options, "device": self.device}


_models: dict[str, Model] = {}  # of this process, by hash


def save_micrographs(micrographs: Micrographs, file: Path) -> None:
    """Write micrographs as one ``.npz``."""
    arrays = {
        f"{plane}-{k}": image
        for plane, images in micrographs.images.items()
        for k, image in enumerate(images)
    }
    names = ("n_phases", "phase_names", "voxel_size", "borrowed", "sources", "voxel_size_source")
    record = {name: getattr(micrographs, name) for name in names}
    text = json.dumps(plain_json(record, name="micrographs"))
    arrays["record"] = np.frombuffer(text.encode("utf-8"), dtype=np.uint8)
    write_npz(file, arrays)


def load_micrographs(file: Path) -> Micrographs:
    """Read micrographs that `save_micrographs` wrote."""
    try:
        with np.load(file, allow_pickle=False) as stored:
            record = load_json_object(stored["record"].tobytes().decode("utf-8"), file)
            images: dict[str, list[np.ndarray]] = {}
            for key in stored.files:
                if key != "record":
                    images.setdefault(key.split("-")[0], []).append(read_only(stored[key]))
        for name in ("phase_names", "voxel_size"):
            record[name] = tuple(record[name])
        return Micrographs(images=images, **record)
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise refuse_content(file, "hold the micrographs of a study", str(error)) from None


def materials_record(
    elastic: Sequence[Material] | None,
    conductivities: Sequence[np.ndarray] | None,
    units: Mapping[str, str],
) -> dict[str, Any]:
    """Return materials of phases and their units in the form that `load_materials` reads."""
    phases: list[dict[str, Any]] = [{} for _ in elastic or conductivities or ()]
    for phase, material in zip(phases, elastic or (), strict=False):
        tensors = {"C": material.stiffness, "alpha": material.thermal_expansion}
        phase["elastic"] = {"type": "anisotropic", **tensors}
    for phase, tensor in zip(phases, conductivities or (), strict=False):
        phase["conductivity"] = tensor
    record: dict[str, Any] = plain_json({"phases": phases, **units}, name="materials")
    return record
