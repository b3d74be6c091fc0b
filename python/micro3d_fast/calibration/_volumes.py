# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The volumes of a calibration: made once, kept in its directory, compared with micrographs."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .._atomic import atomic_write
from .._checks import per_axis_bool, refuse
from .._plain_data import load_json_object
from .._planes import NORMAL
from ..diffusion import Model
from ..diffusion.reconstruction import Reconstruction
from ..diffusion.settings import CouplingTable, Runtime, default_repeats
from ..diffusion.training import Teacher, fine_tune
from ..diffusion.volumes import accept_former_keywords
from ..micrographs import Micrographs
from ..microstructure import Microstructure
from ..statistics import Verdict, compare
from ._surface import TRIALS, Trial, find_surface

RATE = 3e-4  # of the trainings
_STEP = 3.0  # passes of the network that a training step of as many images costs
_TEACHING = 2.0  # more with a teacher
_FORMER = {"agreement": 0.0}  # of calibrations that do not say it


class Volumes:
    """Makes volumes and networks, with progress, and finds those that a directory holds.

    Parameters
    ----------
    micrographs : Micrographs
    shape : (nz, ny, nx)
    options : dict
        Of `Reconstruction`.
    seed : int
    callback : callable or None
    directory : Path or None
        Where volumes and networks are kept.
    """

    def __init__(
        self,
        micrographs: Micrographs,
        shape: tuple[int, int, int],
        options: dict[str, Any],
        seed: int,
        callback: Callable[[dict[str, Any]], None] | None,
        directory: Path | None,
    ) -> None:
        self.micrographs, self.shape, self.options = micrographs, shape, options
        self.seed, self.callback, self.directory = seed, callback, directory
        self.latest: list[Microstructure] = []  # of the best trial
        self.started, self.done, self.total = time.perf_counter(), 0.0, 0.0
        self._skipped = 0.0  # of done: found, not made

    # ------------------------------------------------------------------------------- progress

    def expect(self, passes: float) -> None:
        """Add to the work that is expected, in passes of one volume."""
        self.total += passes

    def _advance(self, passes: float, stage: str, found: bool = False) -> None:
        self.done += passes
        self._skipped += passes if found else 0
        self.total = max(self.total, self.done)
        if self.callback is None:
            return
        seconds, made = time.perf_counter() - self.started, self.done - self._skipped
        self.callback(
            {
                "stage": stage,
                "pass_index": round(self.done),
                "passes": round(self.total),
                "seconds": seconds,
                "eta": seconds / made * (self.total - self.done) if made else None,
            }
        )

    def finish(self) -> None:
        """Say that no work is left."""
        self.total = self.done
        self._advance(0, "finished")

    def _passed(self, passes: float, stage: str, _: dict[str, Any]) -> None:
        self._advance(passes, stage)

    # -------------------------------------------------------------------------------- volumes

    def make(
        self,
        model: Model,
        n: int,
        stage: str,
        *,
        harmonize: tuple[int, ...] | None = None,
        coupling: CouplingTable | None = None,
        against: Model | None = None,
        weight: float = 0.0,
        first: int = 0,
        keep: bool = False,
    ) -> list[Microstructure]:
        """Return volumes of the seeds from ``first`` on; kept ones lie in a folder of the stage."""
        request = accept_former_keywords(Reconstruction.of)(
            self.shape,
            model,
            harmonize=harmonize,
            coupling=coupling,
            against=against,
            guidance=1 + weight,
            **self.options,
        )
        cost = request.settings.passes * (1 if against is None else 2)
        files = [
            self.directory / stage / f"{k}.npz" if keep and self.directory is not None else None
            for k in range(first, first + n)
        ]
        found: dict[int, Microstructure] = {}
        for k, file in enumerate(files):
            if file is not None and file.exists():
                found[k] = Microstructure.load(file)
                self._advance(cost, stage, found=True)
        missing = [k for k in range(n) if k not in found]
        step = request.volumes_at_once
        for group in (missing[i : i + step] for i in range(0, len(missing), step)):
            seeds = [self.seed + first + k for k in group]
            each = cost / request.settings.passes * len(group)
            for k, volume in zip(
                group,
                request.run(seeds, functools.partial(self._passed, each, stage)),
                strict=True,
            ):
                found[k] = volume
                if (file := files[k]) is not None:
                    file.parent.mkdir(parents=True, exist_ok=True)
                    volume.save(file)
        return [found[k] for k in range(n)]

    def find_surface(self, model: Model, n: int, first: int = 0) -> list[Trial]:
        """Find the passes and coupling of a model; `latest` are the volumes of the best.

        A directory keeps what was found: its volumes are those of these passes and couplings.
        """
        pattern, stage = default_repeats(model.schedule), "surface"
        file = None if self.directory is None else self.directory / f"{stage}-{first}.json"
        if file is not None and file.exists():
            found = load_json_object(file.read_text(encoding="utf-8"), file)
            trials = [Trial.of(record) for record in found["trials"]]
            repeats, coupling = trials[-1].harmonize, trials[-1].coupling
            self.latest = self.make(
                model, n, stage, first=first, harmonize=repeats, coupling=coupling
            )
            return trials
        made: dict[Any, list[Microstructure]] = {}
        others, before = self.total, self.done

        def volumes(repeats: tuple[int, ...], coupling: CouplingTable) -> Sequence[np.ndarray]:
            chosen: dict[str, Any] = {"harmonize": repeats, "coupling": coupling}
            left = (TRIALS - len(made)) * n * (len(repeats) + sum(repeats))  # at most
            self.total = others + self.done - before + left
            made[repeats, coupling] = self.make(model, n, stage, first=first, **chosen)
            return [np.asarray(volume.labels) for volume in made[repeats, coupling]]

        trials = find_surface(pattern, self.micrographs, volumes)
        self.total = others + self.done - before
        self._advance(0, stage)
        self.latest = made[trials[-1].harmonize, trials[-1].coupling]
        if file is not None:
            _write_json(file, {"trials": [trial.record() for trial in trials]})
        return trials

    # ------------------------------------------------------------------------------- networks

    def train(
        self,
        model: Model,
        volumes: Sequence[Microstructure],
        stage: str,
        steps: int,
        teacher: Teacher | None = None,
    ) -> Model:
        """Return a copy of a model trained on slices of volumes, by a teacher if there is one."""
        assert self.directory is not None
        cost = self.cost_of_step(model, teacher is not None)
        step = 0

        def follow(event: dict[str, Any]) -> None:
            nonlocal step
            if event["step"] > step + 1:  # a resumed run
                self._advance(cost * (event["step"] - step - 1), stage, found=True)
            step = event["step"]
            self._advance(cost, stage)

        runtime = self.options.get("runtime") or Runtime()
        precision = self.options.get("precision", runtime.precision)
        trained = fine_tune(
            model,
            slices_of(volumes, self.micrographs),
            self.directory / stage,
            steps=steps,
            learning_rate=RATE,
            teacher=teacher,
            seed=self.seed,
            device=self.options.get("device"),
            precision=precision,
            callback=follow,
        )
        if step < steps:  # a finished run
            self._advance(cost * (steps - step), stage, found=True)
        return trained

    def cost_of_step(self, model: Model, taught: bool = False) -> float:
        """Return what a training step costs, in passes of one volume."""
        pixels = model.details.get("batch_size", 32) * model.patch**2
        voxels = self.shape[0] * self.shape[1] * self.shape[2]
        return (_STEP + (_TEACHING if taught else 0)) * pixels / voxels

    # ------------------------------------------------------------------------------- judgement

    def verdict(self, volumes: Sequence[Microstructure]) -> Verdict:
        """Return the verdict on volumes, together."""
        found = compare(volumes, self.micrographs, splits=2, bootstrap=2).verdict
        assert found is not None
        return found

    def open(self, settings: dict[str, Any]) -> None:
        """Note what the directory is for; refuse one that holds another calibration."""
        assert self.directory is not None
        settings = settings | _recorded(self.options)
        file = self.directory / "calibration.json"
        if file.exists():
            found = _present(load_json_object(file.read_text(encoding="utf-8"), file))
            for name, value in settings.items():
                before = found.get(name, _FORMER.get(name, value))  # older ones lack some
                if before != value:
                    raise refuse(
                        "out",
                        "be empty or hold a calibration of the same model, micrographs and options",
                        f"{self.directory}, where {name} was {before}, now {value}",
                    )
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        if any(self.directory.iterdir()):
            wanted = "be empty or hold a calibration"
            raise refuse("out", wanted, f"{self.directory}, which holds other files")
        _write_json(file, settings)


def _recorded(options: dict[str, Any]) -> dict[str, Any]:
    """Return the record of options of a reconstruction: all but the device."""
    others = {k: _shown(v) for k, v in sorted(options.items()) if k not in ("device", "periodic")}
    return {"periodic": list(per_axis_bool(options.get("periodic", False))), "options": others}


def _present(found: dict[str, Any]) -> dict[str, Any]:
    """Return the record of a calibration as it is written now.

    Former versions recorded the device, and ``periodic`` as the text of what was given.
    """
    options = found.get("options")
    if "periodic" in found or not isinstance(options, dict):
        return found
    texts = {k: v for k, v in options.items() if k not in ("device", "periodic")}
    return found | {"periodic": _flags(options.get("periodic", "False")), "options": texts}


def _flags(text: str) -> list[bool] | str:
    """Return the flags, one per axis, that `_shown` gives this text."""
    for flags in itertools.product((False, True), repeat=3):
        same = flags[0] if len(set(flags)) == 1 else flags
        given = (same, flags, list(flags), np.array(same), np.array(flags))
        if text in map(_shown, given):
            return list(flags)
    return text


def _shown(value: Any) -> str:
    """Return a text that differs where options do."""
    if hasattr(value, "__array__"):
        array = np.ascontiguousarray(value)
        return f"{array.dtype} {array.shape} {hashlib.sha256(array).hexdigest()}"
    return repr(value)


def _write_json(file: Path, content: dict[str, Any]) -> None:
    with atomic_write(file) as path:
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def with_trial(model: Model, trial: Trial) -> Model:
    """Return the model with the passes and the coupling of a trial as its default."""
    return replace(model, harmonize=trial.harmonize, coupling=trial.coupling)


def slices_of(volumes: Sequence[Microstructure], like: Micrographs) -> Micrographs:
    """Return all slices of volumes as micrographs."""
    images = {
        plane: list(
            itertools.chain.from_iterable(
                np.ascontiguousarray(np.moveaxis(np.asarray(v.labels), normal, 0)) for v in volumes
            )
        )
        for plane, normal in NORMAL.items()
    }
    sources = {plane: [f"volume {k}" for k in range(len(of))] for plane, of in images.items()}
    return replace(like, images=images, borrowed={}, sources=sources)
