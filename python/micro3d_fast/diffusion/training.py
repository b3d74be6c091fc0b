# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Training of the conditional 2D denoiser (paper, Eq. 6 reparameterized; Section 2.4).

Every random choice of a step (images, crops, flips, times, noise, dropped conditions) is drawn from
generators seeded by (seed, step), so a resumed run needs no generator state and repeats what the
uninterrupted run would have done.  A checkpoint is one safetensors file: network, moving average
and optimizer state together, written under a temporary name and renamed.
"""

from __future__ import annotations

import json
import math
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from reprlib import repr as brief  # 256 phase names are too many for a sentence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from .._atomic import atomic_write, sweep
from .._device import find_device
from .model import Model, encode, load_model
from .schedule import PREDICTIONS, Schedule

if TYPE_CHECKING:
    import torch

    from ..micrographs import Micrographs
    from .unet import UNet

CHECKPOINT = "checkpoint.safetensors"
SETTINGS = "settings.json"
HISTORY = "history.csv"
FRACTION_DROPOUT = 0.5  # probability of dropping the fraction condition: both uses learn alike


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
    "base": Recipe(20_000, 3e-4, "v", "linear", 0.9995, 500, True, 1000),
    "small": Recipe(3_000, 6e-3, "v", "linear", 0.998, 100, True, 250),
}


class ResumeError(ValueError):
    """``out`` holds a run on other data or settings, or a damaged one."""


class DivergedError(ValueError):
    """The loss is no longer finite."""


def train(
    micrographs: Micrographs,
    out: str | Path,
    *,
    preset: str = "small",
    patch: int = 64,
    steps: int | None = None,
    batch_size: int = 32,
    device: str | None = None,
    seed: int = 0,
    resume: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
    prediction: str | None = None,
    schedule: str | None = None,
    learning_rate: float | None = None,
    condition_dropout: float = 0.1,
    fraction_condition: bool = False,
    save_every: int | None = None,
    samples_every: int | None = None,
    precision: str = "auto",
    compile: bool | str = "auto",
) -> Model:
    r"""Train the conditional denoiser of the three planes on 2D micrographs.

    Minimizes the squared error of the network's prediction of the noise (Eq. 6 of the paper after
    the usual reparameterization), of x0, or of v, at uniformly random t, with the plane as the
    condition, dropped with probability ``condition_dropout`` (Eq. 9, 13-15).

    Parameters
    ----------
    micrographs : Micrographs
        Labelled images of the planes.
    out : path
        Directory of the run: settings, checkpoint, loss history, pictures of 2D samples, and the
        finished model in ``out/model``.
    preset : {"small", "base", "paper"}
        Network and recipe.  ``"small"`` has 2.8 million parameters and trains in minutes to half an
        hour on two CPU cores, ``"base"`` 19 million, ``"paper"`` 253 million.
    patch : int
        Side of the training crops, in pixels; a multiple of the network's stride (8).
    steps : int, optional
        Optimizer steps; default 3000, 20 000 and 60 000 for the three presets.
    batch_size : int
        Crops a step.
    device : str, optional
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; default: CUDA where there is one.
    seed : int
        Seed of everything random.
    resume : bool
        Go on from the checkpoint in ``out`` if there is one.  A run on other data or settings is
        refused.  With False an ``out`` that holds a run is refused.
    callback : callable, optional
        Called after each step with a dict: step, steps, loss (smoothed), seconds, eta.
    prediction : {"noise", "x0", "v"}, optional
        What the network predicts; default noise for ``"paper"``, v for the others.
    schedule : {"linear", "cosine", "cosine-zero"}, optional
        Noise schedule; default ``"linear"``, the paper's.
    learning_rate : float, optional
        Peak learning rate of Adam.
    condition_dropout : float
        Probability of dropping the plane.
    fraction_condition : bool
        Give the network the phase fractions of each crop as a further condition, dropped with
        probability one half, so that the model can be used with and without it (see Notes).
    save_every, samples_every : int, optional
        Steps between checkpoints, and between pictures of 2D samples (default: a quarter of the
        run; 0 for none).
    precision : {"auto", "bfloat16", "float32"}
        Of the network's arithmetic (weights stay float32).  ``"auto"``: bfloat16 where the
        processor computes with it.
    compile : "auto" or bool
        Compile the network (torch.compile): ``"auto"`` on CUDA where Triton is found.

    Returns
    -------
    Model
        With the moving average of the weights; also in ``out/model``.

    Raises
    ------
    ResumeError
        ``out`` holds a run on other data or settings, or a damaged one (a ValueError).
    DivergedError
        The loss is no longer finite (a ValueError).
    ValueError, TypeError
        An argument is out of range; images are smaller than ``patch``.
    KeyboardInterrupt
        Passed on after a checkpoint is written.

    Notes
    -----
    The fractions of a condition are those of the crop, not of the image that it was cut from:
    images of one material hardly differ in theirs, so only crops show the network what another
    fraction looks like, as far as crops vary (of 32 x 32 pixels by .03 to .07 in a material whose
    slices of 96 x 96 vary by .01 to .02).  What is asked for should lie in that range.

    Crops are flipped vertically and horizontally, never rotated (paper, Section 2.5).  On one
    device and thread count a run repeats bit for bit, also when it was killed and resumed.
    """
    from .device import compute_dtype, current_device
    from .unet import PRESETS

    _checks.choice(preset, tuple(RECIPES), name="preset")
    recipe = RECIPES[preset]
    steps = _checks.integer(recipe.steps if steps is None else steps, name="steps", minimum=1)
    batch_size = _checks.integer(batch_size, name="batch_size", minimum=1)
    seed = _checks.integer(seed, name="seed", minimum=0, maximum=2**63 - 1)
    stride = PRESETS[preset].stride
    patch = _checks.integer(patch, name="patch", minimum=stride)
    if patch % stride:
        raise ValueError(
            f"`patch` must be a multiple of {stride} for preset {preset!r}, got {patch}"
        )
    prediction = _checks.choice(prediction or recipe.prediction, PREDICTIONS, name="prediction")
    noise_schedule = Schedule(schedule or recipe.schedule)
    if prediction == "noise" and noise_schedule.alpha_bar[-1] == 0:
        raise ValueError(
            "`prediction` must be 'v' or 'x0' for a schedule whose terminal signal is zero, got "
            "'noise'"
        )
    rate = recipe.learning_rate if learning_rate is None else learning_rate
    rate = _checks.real(rate, name="learning_rate", minimum=0.0, open_ends=True)
    condition_dropout = _checks.real(
        condition_dropout, name="condition_dropout", minimum=0.0, maximum=1.0
    )
    if not isinstance(fraction_condition, bool):
        raise TypeError(
            f"`fraction_condition` must be True or False, got {type(fraction_condition).__name__}"
        )
    save_every = recipe.save_every if save_every is None else save_every
    save_every = _checks.integer(save_every, name="save_every", minimum=1)
    if samples_every is None:
        samples_every = max(steps // 4, 1)
    samples_every = _checks.integer(samples_every, name="samples_every", minimum=0)
    if not hasattr(micrographs, "sample") or not hasattr(micrographs, "fingerprint"):
        raise TypeError(f"`micrographs` must be a Micrographs, got {type(micrographs).__name__}")
    if micrographs.min_side < patch:
        raise ValueError(
            f"`patch` must be at most {micrographs.min_side}, the shortest side of the images, "
            f"got {patch}"
        )
    if callback is not None and not callable(callback):
        raise TypeError(f"`callback` must be callable, got {type(callback).__name__}")
    where = find_device(device)
    dtype = compute_dtype(precision, where)

    settings = {
        "preset": preset,
        "patch": patch,
        "steps": steps,
        "batch_size": batch_size,
        "seed": seed,
        "prediction": prediction,
        "schedule": asdict(noise_schedule),
        "learning_rate": rate,
        "condition_dropout": condition_dropout,
        "fraction_condition": fraction_condition,
        "precision": str(dtype).removeprefix("torch."),
        "voxel_size": list(micrographs.voxel_size),
        "phase_names": list(micrographs.phase_names),
        "data": micrographs.fingerprint(),
    }
    with current_device(where):
        run = _Run(micrographs, Path(out), settings, noise_schedule, recipe, where, dtype, compile)
        run.open(resume)
        run.loop(callback, save_every, samples_every)
    return load_model(Path(out) / "model")  # what is on disk, to the last bit


@dataclass(frozen=True)
class Batch:
    """What one step learns from."""

    x_t: torch.Tensor  # (B, C, H, W)
    target: torch.Tensor  # (B, C, H, W)
    t: torch.Tensor  # (B,)
    plane: torch.Tensor  # (B,)
    fractions: torch.Tensor | None  # (B, P), of a network that has them as a condition
    kept: torch.Tensor | None  # (B,), whether the fractions are given


def fractions_of(images: np.ndarray, n_phases: int) -> np.ndarray:
    """Phase fractions of each image (B, H, W), float32, shape (B, P)."""
    counts = [np.bincount(image.ravel(), minlength=n_phases) for image in images]
    return (np.stack(counts) / images[0].size).astype(np.float32)


class _Run:
    """One training run: what `train` promised, step by step."""

    def __init__(
        self,
        micrographs: Micrographs,
        out: Path,
        settings: dict[str, Any],
        schedule: Schedule,
        recipe: Recipe,
        device: torch.device,
        dtype: torch.dtype,
        compile: bool | str,
    ) -> None:
        import torch

        from .device import channels_last, should_compile
        from .unet import PRESETS, UNet

        self.micrographs, self.out, self.settings = micrographs, out, settings
        self.schedule, self.recipe = schedule, recipe
        self.device = device
        self.dtype = dtype
        self.n_phases = micrographs.n_phases
        channels = 1 if self.n_phases == 2 else self.n_phases
        self.config = replace(
            PRESETS[settings["preset"]],
            channels=channels,
            fractions=self.n_phases if settings["fraction_condition"] else 0,
        )

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings["seed"])
            self.net: UNet = UNet(self.config)
        channels_last(self.net.to(self.device))
        self._forward = (
            torch.compile(self.net) if should_compile(compile, self.device) else self.net
        )
        self.ema = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), lr=settings["learning_rate"], betas=(0.9, 0.99), fused=True
        )
        self.step = 0
        self.loss = math.nan  # smoothed
        self.whole = True  # no step is half done
        self.seconds = 0.0  # spent training, over all resumptions
        self.history: list[tuple[int, float]] = []

    # ---------------------------------------------------------------------------- the mathematics

    def batch(self, step: int) -> Batch:
        """What one step learns from: a pure function of (seed, step)."""
        import torch

        from .unet import NO_PLANE

        s = self.settings
        rng = np.random.default_rng([s["seed"], step])
        labels, plane = self.micrographs.sample(rng, s["batch_size"], s["patch"])
        plane = np.where(rng.random(len(plane)) < s["condition_dropout"], NO_PLANE, plane)
        # Stratified over the batch: the same uniform law of t with less scatter of the loss.
        n = len(plane)
        u = (rng.permutation(n) + rng.random(n)) / n
        t = 1 + np.minimum((u * self.schedule.steps).astype(np.int64), self.schedule.steps - 1)

        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        x0 = encode(torch.from_numpy(labels), self.n_phases)
        noise = torch.randn(x0.shape, generator=generator)
        bar = torch.from_numpy(self.schedule.alpha_bar[t]).float()[:, None, None, None]
        x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * noise  # Eq. 3
        if s["prediction"] == "noise":
            target = noise
        elif s["prediction"] == "x0":
            target = x0
        else:
            target = bar.sqrt() * noise - (1 - bar).sqrt() * x0
        fractions = kept = None
        if self.config.fractions:  # drawn last, so that the rest is what it would be without
            fractions = torch.from_numpy(fractions_of(labels, self.n_phases)).to(self.device)
            kept = torch.from_numpy(rng.random(n) >= FRACTION_DROPOUT).to(self.device)
        return Batch(
            x_t.to(self.device, memory_format=torch.channels_last),
            target.to(self.device),
            torch.from_numpy(t).to(self.device),
            torch.from_numpy(plane.astype(np.int64)).to(self.device),
            fractions,
            kept,
        )

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        rate = self.settings["learning_rate"]
        if self.recipe.warmup:
            rate *= min(1.0, (step + 1) / self.recipe.warmup)
        if self.recipe.decay:
            rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.settings["steps"]))
        return rate

    def advance(self) -> float:
        """One optimizer step; returns the loss."""
        import torch

        batch = self.batch(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            cond = self.net.condition(batch.t, batch.plane, batch.fractions, batch.kept)
            predicted = self._forward(batch.x_t, cond)
        loss = torch.nn.functional.mse_loss(predicted.float(), batch.target)  # Eq. 6
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        # The average forgets its start: at step n it reaches back over about n / 10 steps.
        decay = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        state = self.net.state_dict()
        averages = [self.ema[k] for k in state]
        torch._foreach_lerp_(averages, list(state.values()), 1 - decay)
        self.step += 1
        return float(loss.detach())

    # ----------------------------------------------------------------------------------- the files

    def open(self, resume: bool) -> None:
        """Make ``out`` this run's, or go on with the run that is there."""
        from safetensors import SafetensorError

        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"`out` must be a directory, got the file {self.out}")
        file = self.out / SETTINGS
        if file.exists():
            try:
                there = json.loads(file.read_text(encoding="utf-8"))
            except ValueError as error:
                raise ResumeError(
                    f"{file} must be JSON written by train, but is not: {error}"
                ) from error
            if not resume:
                raise ResumeError(
                    f"`out` must be a directory without a run if `resume` is False, got {self.out}"
                )
            if not isinstance(there, dict):
                raise ResumeError(f"{file} must be JSON written by train, got {there!r}")
            there.setdefault("fraction_condition", False)  # runs from before there was one
            other = [k for k in self.settings if there.get(k) != self.settings[k]]
            if other:
                changes = ", ".join(
                    "the micrographs differ"
                    if k == "data"
                    else f"{k} was {brief(there.get(k))}, now {brief(self.settings[k])}"
                    for k in other
                )
                raise ResumeError(
                    f"`out` must hold a run of the same data and settings, got {self.out}, "
                    f"where {changes}"
                )
        for directory in (self.out, self.out / "model", self.out / "samples"):
            directory.mkdir(parents=True, exist_ok=True)
            sweep(directory)  # what a killed writer left
        if not file.exists():
            with atomic_write(file) as path:
                path.write_text(json.dumps(self.settings, indent=2) + "\n", encoding="utf-8")
        if (self.out / CHECKPOINT).exists():
            try:
                self.restore()
            except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
                raise ResumeError(
                    f"{self.out / CHECKPOINT} must be a whole checkpoint of this run, but reading "
                    f"it failed: {error}"
                ) from error

    def save(self) -> None:
        """Write the checkpoint: one file, whole or not at all."""
        from safetensors.torch import save

        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        for name, p in self.net.named_parameters():
            for key, value in self.optimizer.state.get(p, {}).items():
                tensors[f"adam.{key}.{name}"] = value
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        meta: dict[str, Any] = {"step": self.step, "loss": self.loss, "seconds": self.seconds}
        meta["history"] = self.history
        with atomic_write(self.out / CHECKPOINT) as path:
            path.write_bytes(save(tensors, metadata={"run": json.dumps(meta)}))
        with atomic_write(self.out / HISTORY) as path:
            rows = "".join(f"{step},{loss:.6f}\n" for step, loss in self.history)
            path.write_text("step,loss\n" + rows, encoding="utf-8")

    def restore(self) -> None:
        """Read the checkpoint back."""
        from safetensors import safe_open

        with safe_open(self.out / CHECKPOINT, framework="pt", device=str(self.device)) as file:
            meta = json.loads(file.metadata()["run"])
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        self.net.load_state_dict({k: tensors[f"net.{k}"] for k in self.net.state_dict()})
        self.ema = {k: _like(tensors[f"ema.{k}"], old) for k, old in self.ema.items()}
        for name, p in self.net.named_parameters():
            moments = {
                key: tensors[f"adam.{key}.{name}"].clone()
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"adam.{key}.{name}" in tensors
            }
            if moments:
                for key in ("exp_avg", "exp_avg_sq"):
                    moments[key] = _like(moments[key], p)
                self.optimizer.state[p] = moments
        self.step, self.loss = int(meta["step"]), float(meta["loss"])
        self.seconds = float(meta["seconds"])
        self.history = [(int(a), float(b)) for a, b in meta["history"]]

    # ------------------------------------------------------------------------------------ the loop

    def loop(
        self, callback: Callable[[dict[str, Any]], None] | None, save_every: int, samples_every: int
    ) -> None:
        steps = self.settings["steps"]
        started, before = time.monotonic(), self.seconds
        first = self.step
        try:
            while self.step < steps:
                self.whole = False
                loss = self.advance()
                weight = max(0.01, 1 / self.step)
                self.loss = loss if self.step == 1 else (1 - weight) * self.loss + weight * loss
                if not math.isfinite(loss):
                    raise DivergedError(
                        f"the loss must stay finite, got {loss} at step {self.step}: "
                        "lower `learning_rate`, or use precision='float32'"
                    )
                elapsed = time.monotonic() - started
                self.seconds = before + elapsed
                if self.step % 10 == 0 or self.step == steps:
                    self.history.append((self.step, self.loss))
                self.whole = True
                if callback is not None:
                    eta = elapsed / (self.step - first) * (steps - self.step)
                    callback(
                        {
                            "step": self.step,
                            "steps": steps,
                            "loss": self.loss,
                            "seconds": self.seconds,
                            "eta": eta,
                        }
                    )
                if self.step % save_every == 0 or self.step == steps:
                    self.save()
                if samples_every and (self.step % samples_every == 0 or self.step == steps):
                    self.picture()
        except KeyboardInterrupt:
            if self.whole:  # else the last checkpoint stands, and the step is done again
                self.save()
            raise
        if not (self.out / "model" / "model.json").exists() or self.step > first:
            self.model().save(self.out / "model")

    def model(self) -> Model:
        """The finished model: the moving average of the weights."""
        import torch

        from .unet import UNet

        net = UNet(self.config)
        net.load_state_dict({k: v.cpu() for k, v in self.ema.items()})
        m = self.micrographs
        return Model(
            net=net.eval().requires_grad_(False),
            config=self.config,
            schedule=self.schedule,
            prediction=self.settings["prediction"],
            phase_names=tuple(m.phase_names),
            volume_fractions=tuple(float(f) for f in m.volume_fractions()),
            patch=self.settings["patch"],
            voxel_size=m.voxel_size,
            details={
                "preset": self.settings["preset"],
                "steps": self.step,
                "batch_size": self.settings["batch_size"],
                "learning_rate": self.settings["learning_rate"],
                "condition_dropout": self.settings["condition_dropout"],
                "fraction_condition": self.settings["fraction_condition"],
                "seed": self.settings["seed"],
                "loss": round(self.loss, 6),
                "training_seconds": round(self.seconds, 1),
                "data": self.settings["data"],
                "images": {p: len(images) for p, images in m.images.items()},
                "borrowed": dict(m.borrowed),
                "torch": torch.__version__.split("+")[0],
                "machine": platform.machine(),
            },
        )

    def picture(self) -> None:
        """Save 2D samples of each plane above crops of the micrographs."""
        from .slices import sample_slices
        from .unet import PLANES

        model = self.model()
        rows = []
        rng = np.random.default_rng(0)
        for plane in PLANES:
            made = sample_slices(
                model, plane, n=8, size=model.patch, seed=0, device=str(self.device)
            )
            images = self.micrographs.images[plane]
            real = []
            for _ in range(8):
                image = images[rng.integers(len(images))]
                y, x = (rng.integers(s - model.patch + 1) for s in image.shape)
                real.append(image[y : y + model.patch, x : x + model.patch])
            rows += [list(made), real]
        _save_grid(self.out / "samples" / f"step-{self.step:06d}.png", rows, self.n_phases)


def _like(moment: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """A moment in the memory layout of its parameter, which the fused optimizer requires."""
    import torch

    out = torch.empty_like(parameter, dtype=moment.dtype)
    return out.copy_(moment)


def _save_grid(path: Path, rows: list[list[np.ndarray]], n_phases: int) -> None:
    """Rows of label images as one grey PNG; odd rows (the micrographs) follow their samples."""
    from PIL import Image

    gap = 4
    height = sum(row[0].shape[0] + gap for row in rows) + gap
    width = max(sum(image.shape[1] + gap for image in row) + gap for row in rows)
    canvas = np.full((height, width), 255, dtype=np.uint8)
    top = gap
    for row in rows:
        left = gap
        for image in row:
            h, w = image.shape
            canvas[top : top + h, left : left + w] = image * (220 // max(n_phases - 1, 1))
            left += w + gap
        top += row[0].shape[0] + gap
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as temporary:
        Image.fromarray(canvas).save(temporary, format="PNG")
