# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The options of a training run: recipes of the presets, checks, recorded settings."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ... import _checks
from ..._planes import PLANES
from ..model import Model
from ..process_group import ProcessGroup
from ..schedule import KINDS, PREDICTIONS, Schedule
from .start import UNIVERSAL

if TYPE_CHECKING:
    from ...micrographs import Micrographs
    from .teacher import Teacher

__all__ = ["RECIPES", "Recipe", "TrainingOptions"]


@dataclass(frozen=True)
class Recipe:
    """How a preset is trained."""

    steps: int
    learning_rate: float
    prediction: str
    schedule: str
    ema: float  # decay of the moving average of the weights, reached after a warm-up
    warmup: int  # steps of linear warm-up of the learning rate
    decay: bool  # cosine decay of the learning rate to 2 % at the end
    save_every: int


RECIPES = {
    # Table 1 and Section 2.4 of the paper: Adam, constant 1e-4, 60 000 steps, noise prediction.
    "paper": Recipe(60_000, 1e-4, "noise", "linear", 0.9999, 0, False, 1000),
    "base": Recipe(20_000, 3e-4, "v", "shifted", 0.9995, 500, True, 1000),
    "small": Recipe(3_000, 6e-3, "v", "shifted", 0.998, 100, True, 250),
}
PICTURES_APART = 100  # steps at least, by default: a picture takes as long as some steps
# Of a run that starts from the network of a material, which is to keep what it knows.
FINE_TUNING = {
    name: replace(
        recipe,
        steps=recipe.steps // 5,
        learning_rate=recipe.learning_rate / 3,
        warmup=recipe.warmup // 3,
    )
    for name, recipe in RECIPES.items()
}


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingOptions:
    """The options of `train`, checked; None is replaced by the value of the preset's recipe."""

    preset: str
    patch: int
    steps: Any
    batch_size: int
    seed: int
    prediction: Any
    schedule: Any  # checked: a Schedule
    shift: Any  # of "shifted": a number, or a function without arguments that finds it
    learning_rate: Any
    condition_dropout: float
    fraction_condition: bool
    save_every: Any
    samples_every: Any
    device: Any  # checked: a torch.device
    precision: Any  # checked: a torch.dtype
    compile: Any
    init: Model | None = None  # whose weights the run starts from
    teacher: Teacher | None = None  # whose predictions are the target
    accumulate: int = 1  # parts of a batch, computed in turn
    mirrored: Any = None  # checked: planes whose crops may be mirror images, all by default
    group: Any = None  # checked: the ProcessGroup that shares each batch

    @property
    def recipe(self) -> Recipe:
        recipe = RECIPES[self.preset]
        if self.init is None:
            return recipe
        if self.init.details.get("source") == UNIVERSAL:  # it knows no material's coarse structure
            return replace(recipe, steps=recipe.steps // 2)
        return FINE_TUNING[self.preset]

    def __post_init__(self) -> None:
        from ..device import compute_dtype, should_compile
        from ..unet import PRESETS

        def put(name: str, check: Any, default: Any = None, **limits: Any) -> None:
            value = getattr(self, name)
            value = check(default if value is None else value, name=name, **limits)
            object.__setattr__(self, name, value)

        put("preset", _checks.choice, options=tuple(RECIPES))
        recipe, stride = self.recipe, PRESETS[self.preset].stride
        put("steps", _checks.integer, recipe.steps, minimum=1)
        put("batch_size", _checks.integer, minimum=1)
        put("accumulate", _checks.integer, 1, minimum=1)
        object.__setattr__(self, "group", self.group or ProcessGroup())
        self._require_rows()
        object.__setattr__(self, "mirrored", PLANES if self.mirrored is None else self.mirrored)
        put("seed", _checks.integer, minimum=0, maximum=2**63 - 1)
        put("patch", _checks.integer, minimum=stride)
        if self.patch % stride:
            wanted = f"be a multiple of {stride} for preset {self.preset!r}"
            raise _checks.refuse("patch", wanted, str(self.patch))
        object.__setattr__(self, "prediction", self.prediction or None)
        own = recipe.prediction if self.init is None else self.init.prediction
        put("prediction", _checks.choice, own, options=PREDICTIONS)
        if self.init is not None and self.prediction != own:
            raise _checks.refuse("prediction", f"be {own!r}, as `init`", repr(self.prediction))
        object.__setattr__(self, "schedule", self._schedule())
        if self.prediction == "noise" and self.schedule.alpha_bar[-1] == 0:
            wanted = "be 'v' or 'x0' for a schedule whose terminal signal is zero"
            raise _checks.refuse("prediction", wanted, "'noise'")
        put("learning_rate", _checks.real, recipe.learning_rate, minimum=0.0, open_ends=True)
        put("condition_dropout", _checks.real, minimum=0.0, maximum=1.0)
        put("fraction_condition", _checks.boolean)
        put("save_every", _checks.integer, recipe.save_every, minimum=1)
        put("samples_every", _checks.integer, max(self.steps // 4, PICTURES_APART), minimum=0)
        object.__setattr__(self, "device", self.group.device(self.device))
        object.__setattr__(self, "precision", compute_dtype(self.precision, self.device))
        object.__setattr__(self, "compile", should_compile(self.compile, self.device))

    def _require_rows(self) -> None:
        """Refuse a batch that has fewer crops than parts."""
        least = self.group.size * self.accumulate
        if self.batch_size < least:
            wanted = f"be at least {least}, a crop for each of {self.accumulate} parts"
            if self.group.size > 1:
                wanted += f" of each of {self.group.size} processes"
            raise _checks.refuse("batch_size", wanted, str(self.batch_size))

    def for_steps(self, steps: int) -> TrainingOptions:
        """Return the same options with another number of steps."""
        other = copy.copy(self)
        object.__setattr__(other, "steps", steps)
        return other

    def _schedule(self) -> Schedule:
        """Check the schedule."""
        if isinstance(self.schedule, Schedule):
            return self.schedule
        kind, shift = self.schedule or self.recipe.schedule, self.shift
        _checks.choice(kind, KINDS, name="schedule")
        if callable(shift):
            shift = shift() if kind == "shifted" else None
        return Schedule(kind, shift=1.0 if shift is None else shift)

    def settings(self, micrographs: Micrographs) -> dict[str, Any]:
        """Return what is recorded of a run and must be the same when it is resumed."""
        settings = {
            "preset": self.preset,
            "patch": self.patch,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "seed": self.seed,
            "prediction": self.prediction,
            "schedule": self.schedule.record(),
            "learning_rate": self.learning_rate,
            "condition_dropout": self.condition_dropout,
            "fraction_condition": self.fraction_condition,
            "mirrored": list(self.mirrored),
            "precision": str(self.precision).removeprefix("torch."),
            "voxel_size": list(micrographs.voxel_size),
            "phase_names": list(micrographs.phase_names),
            "data": micrographs.fingerprint(),
            "init": None if self.init is None else self.init.hash,
        }
        if self.teacher is not None:
            settings["teacher"] = self.teacher.record()
        return settings
