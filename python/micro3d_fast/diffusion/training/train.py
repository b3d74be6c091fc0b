# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Training of the conditional 2D denoiser (paper, Eq. 6 reparameterized; Section 2.4).

Every random choice of a step (images, crops, flips, times, noise, dropped conditions) is drawn from
generators seeded by (seed, step), so a resumed run needs no generator state and repeats what the
uninterrupted run would have done.  Processes that train together draw the same batch, and each
computes its part.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import inspect
import json
import math
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ... import _checks
from ..._planes import PLANES
from ..._progress import Shown, checked, following
from ...typing import Device
from ..model import Model, load_model
from ..process_group import ProcessGroup, current_group, shared
from ..termination import Termination
from .judgement import outcome_of, poor, recent_losses, verdict_record
from .learner import DivergedError, Learner, State
from .options import TrainingOptions
from .pictures import draw_samples, judge_samples, save_samples
from .run_directory import Progress, RunDirectory, Writer, require_own
from .sample_errors import GOOD_RATIO, sample_ratio
from .shift import material_shift
from .start import require_network, starting_model

if TYPE_CHECKING:
    from ...micrographs import Micrographs
    from ...statistics import Verdict
    from .teacher import Teacher

__all__ = ["check_options", "fine_tune", "train"]

SAVE_SECONDS = 60.0  # between checkpoints at most


def train(
    micrographs: Micrographs,
    out: str | Path,
    *,
    preset: str = "small",
    patch: int = 64,
    steps: int | None = None,
    batch_size: int = 32,
    device: Device = None,
    seed: int = 0,
    resume: bool = True,
    callback: Callable[[dict[str, Any]], None] | None = None,
    progress: Shown = None,
    prediction: str | None = None,
    schedule: str | None = None,
    shift: float | None = None,
    learning_rate: float | None = None,
    condition_dropout: float = 0.1,
    fraction_condition: bool = False,
    save_every: int | None = None,
    samples_every: int | None = None,
    precision: str = "auto",
    compile: bool | str = "auto",
    init: Model | str | Path | None = None,
    accumulate: int = 1,
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
        Directory of the run: settings, checkpoint, loss history, pictures of 2D samples and their
        verdicts, and the finished model in ``out/model``.
    preset : {"small", "base", "paper"}
        Network and recipe.  ``"small"`` has 2.8 million parameters and trains in minutes to half an
        hour on two CPU cores, ``"base"`` 19 million, ``"paper"`` 253 million.
    patch : int
        Side of the training crops, in pixels; a multiple of the network's stride (8).
    steps : int, optional
        Optimizer steps.  Default for ``"paper"``: 60 000.  For the others a run makes 1000
        (``"base"``: 6666) steps, and as many again, up to three times, while the S2 or L of 64 2D
        samples of any plane and phase deviates more than 1.5 times as much as that of 64 real
        crops; with ``init`` a fifth of these.
    batch_size : int
        Crops per step, of all processes together.
    device : str, optional
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; default: CUDA if it is available.  In a process
        group "cuda" is the GPU of the local rank.
    seed : int
        Seed of all random choices.
    resume : bool
        Resume from the checkpoint in ``out`` if it has one.  A run on other data or settings is
        refused, except that it may go on to more steps (also a finished one; the learning rate
        then follows the schedule of all steps) or in another precision, with a warning.  With
        False an ``out`` that holds a run is refused.
    callback : callable, optional
        Called after each step with a dict: step, steps, loss (smoothed; on CUDA that of up to two
        steps before, which the host does not wait for), seconds, eta, verdict (of the 2D samples, a
        `Verdict`, at a step with a picture; else None).
    progress : bool, optional
        Show a bar with the remaining time, on stderr.  Default: in a terminal or notebook, if the
        work takes more than a few seconds; lines instead of a bar where True is given elsewhere.
    prediction : {"noise", "x0", "v"}, optional
        What the network predicts; default noise for ``"paper"``, v for the others.
    schedule : {"linear", "cosine", "cosine-zero", "shifted"}, optional
        Noise schedule (see `Schedule`); default ``"linear"`` for ``"paper"``, ``"shifted"`` for the
        others, which ends without signal: else coarse structure is lost (docs/study.md).
    shift : float, optional
        Of the schedule ``"shifted"``; default 2 to 8, from the correlation length of the finest
        phase.
    learning_rate : float, optional
        Peak learning rate of Adam.
    condition_dropout : float
        Probability of dropping the plane.
    fraction_condition : bool
        Give the network the phase fractions of each crop as a further condition, dropped with
        probability one half, so that the model can be used with and without it (see Notes).
    save_every : int, optional
        Steps between checkpoints; default 250 (``"base"``, ``"paper"``: 1000).  There is one every
        minute too, unless processes work together.
    samples_every : int, optional
        Steps between pictures of 2D samples, which are also judged against the micrographs;
        default a quarter of the run, at least 100; 0 for none.
    precision : {"auto", "bfloat16", "float32"}
        Of the network's arithmetic (weights stay float32).  ``"auto"``: bfloat16 if the
        processor supports it natively.
    compile : "auto" or bool
        Compile the network (torch.compile), which takes about a minute; ``"auto"`` does not.
    init : Model, path, "universal" or the name of a bundled model, optional
        Start from the weights of this model instead of random ones, with the optimizer as new:
        by default in a fifth of the steps, at a third of the peak learning rate and warm-up, or
        from ``"universal"`` in half of the steps.  Its network must be that of the preset; it may
        be of other phases, planes and voxels.  ``"universal"`` is one of many random two-phase
        materials (:func:`micro3d_fast.synthetic.random_material`).
    accumulate : int
        Parts of a batch that are computed one after the other, in as much less memory; the
        gradient is the same within rounding.

    Returns
    -------
    Model
        With the moving average of the weights; also in ``out/model``, where the model of the last
        checkpoint lies before.  ``details["training"]`` is a
        sentence on its steps, its loss and the verdict on its last 2D samples.

    Warns
    -----
    UserWarning
        Of a run with pictures, unless its last 2D samples are consistent with the micrographs: it
        had less than a quarter of the recommended steps, or they are very different.
    UserWarning
        The patch is short for the structure; see `Micrographs.check`.

    Raises
    ------
    ResumeError
        ``out`` holds a run on other data or settings, or a damaged one (a ValueError).
    DivergedError
        The loss is no longer finite (a ValueError).
    ValueError, TypeError
        An argument is out of range; images are smaller than ``patch``.
    KeyboardInterrupt
        Raised again after a checkpoint is written, as are errors of ``callback``.  SIGTERM and
        SIGHUP end the program after a checkpoint is written, unless it handles them itself.
    DiskFullError
        A checkpoint did not fit on the disk (an OSError); it is kept in the temporary folder.

    Notes
    -----
    The fractions of a condition are those of the crop, not of its image: images of one material
    hardly differ in their fractions, so only crops show the network what another fraction looks
    like, as far as crops vary (of 32 x 32 pixels by .03 to .07 in a material whose slices of
    96 x 96 vary by .01 to .02).  Requested fractions should lie in that range.

    Crops are flipped vertically and horizontally, never rotated (paper, Section 2.5); in planes
    where the micrographs show tilted structure (`Micrographs.mirrored`) both or none.  On one
    device and number of threads a run repeats bit for bit, also if it was killed and resumed; on
    CUDA as far as the kernels of attention repeat their sums.

    On CUDA the whole step, random crops included, is one CUDA graph from the fourth step on.  Its
    labels stay on the device if they take at most a quarter of its free memory; else batches are
    made on the host, which is slower and draws other crops from the same law.

    In a process group of torch.distributed (``torchrun --nproc-per-node 4 -m micro3d_fast train``)
    all processes call this function with the same arguments, and each computes its part of every
    batch (DistributedDataParallel).  The result is that of one process within rounding.  Rank 0
    alone writes, draws samples and shows progress; all call ``callback``, with a verdict on rank 0
    alone.  Ctrl-C, a signal or an error of ``callback`` on one process stops all of them after the
    same step.  ``out`` must be a directory that all see.  Any number of processes may resume a run.
    """
    arguments = dict(locals())  # by name; first statement
    if not hasattr(micrographs, "sample") or not hasattr(micrographs, "fingerprint"):
        raise _checks.refuse_type("micrographs", "be a Micrographs", type(micrographs).__name__)
    if micrographs.n_phases < 2:
        raise _checks.refuse("micrographs", "show at least two phases", str(micrographs.n_phases))
    arguments["mirrored"] = micrographs.mirrored
    if shift is None:
        arguments["shift"] = functools.partial(material_shift, micrographs)
    options = _checked_options(arguments)
    group = options.group
    if micrographs.min_side < options.patch:
        wanted = f"be at most {micrographs.min_side}, the shortest side of the images"
        raise _checks.refuse("patch", wanted, str(options.patch))
    _checks.callback(callback)
    checked(progress)
    size = micrographs.check(patch=options.patch).patch
    for sentence in size.warnings if size and group.first else ():
        warnings.warn(sentence, UserWarning, stacklevel=2)
    if group.size > 1:
        settings = options.settings(micrographs)
        settings["micrographs"] = settings.pop("data")
        settings |= {"save_every": options.save_every, "samples_every": options.samples_every}
        settings |= {"steps": steps and options.steps, "device": options.device.type}
        group.require_same({name: json.dumps(value) for name, value in settings.items()})
    run = _run_until_good if steps is None and options.preset != "paper" else _run
    faster = _faster(options)
    shown = progress if group.first else False
    with following(shown, "training", on=str(options.device), faster=faster) as bar:
        run(micrographs, out, options, resume, bar.beside(callback))
    model = _written(Path(out), group)
    recorded = "training" in model.details  # older versions did not
    if group.first and recorded and poor(model.details):
        warnings.warn(f"the model may be poor: {model.details['training']}", stacklevel=2)
    return model


def _written(out: Path, group: ProcessGroup) -> Model:
    """Return the model of a run, exactly as it is on disk, and the same in all processes."""
    model = load_model(out / "model") if group.first else None
    of_first = group.broadcast(model and model.hash)

    def found() -> Model | None:
        own = model or load_model(out / "model")
        return own if own.hash == of_first else None

    with group.together():
        return shared(found, out)


def _faster(options: TrainingOptions) -> list[str]:
    """Return what would make a training shorter."""
    return [
        *(["a GPU"] if options.device.type == "cpu" else []),
        *(['the preset "small"'] if options.preset != "small" else []),
        *(["a start from another model (init)"] if options.init is None else []),
        "fewer steps",
    ]


def fine_tune(
    model: Model,
    micrographs: Micrographs,
    out: str | Path,
    *,
    steps: int,
    learning_rate: float,
    teacher: Teacher | None = None,
    seed: int = 0,
    device: str | None = None,
    precision: str = "auto",
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> Model:
    """Train a copy of a model further, on its own recipe; resumes a run in ``out``.

    With a teacher the copy learns what the teacher predicts for the noisy images.
    """
    side = min(model.patch, micrographs.min_side // model.config.stride * model.config.stride)
    details = model.details
    options = TrainingOptions(
        preset=details.get("preset", "small"),
        patch=side,
        steps=steps,
        batch_size=details.get("batch_size", 32),
        device=device,
        seed=seed,
        prediction=model.prediction,
        schedule=model.schedule,
        shift=None,
        learning_rate=learning_rate,
        condition_dropout=details.get("condition_dropout", 0.1),
        fraction_condition=model.fraction_condition,
        mirrored=tuple(details.get("mirrored", PLANES)),
        save_every=None,
        samples_every=0,
        precision=precision,
        compile=False,
        init=model,
        teacher=teacher,
    )
    _run(micrographs, out, options, True, callback)
    return load_model(Path(out) / "model")


def check_options(out: str | Path, **options: Any) -> None:
    """Refuse arguments of `train` that no micrographs would make right."""
    require_own(Path(out))
    parameters = inspect.signature(train).parameters.items()
    _checked_options({name: parameter.default for name, parameter in parameters} | options)


def _checked_options(arguments: dict[str, Any]) -> TrainingOptions:
    """Return the options among the arguments of `train`, checked."""
    arguments |= {"group": current_group(), "init": starting_model(arguments["init"])}
    fields = TrainingOptions.__dataclass_fields__
    options = TrainingOptions(**{name: arguments[name] for name in fields if name in arguments})
    if options.init is not None:
        require_network(options.init, options.preset)
    return options


def _run_until_good(
    micrographs: Micrographs,
    out: str | Path,
    options: TrainingOptions,
    resume: bool,
    callback: Callable[[dict[str, Any]], None] | None,
) -> None:
    """Make a third of the steps, and as many again while 2D samples are not good enough."""
    group = options.group
    directory, most = RunDirectory(Path(out)), options.steps
    begun = group.broadcast(directory.planned_steps() if group.first else None)
    stages = [s for s in (most // 3, 2 * most // 3, most) if s >= max(begun, 1)] or [begun]
    for stage in stages:
        _run(micrographs, out, options.for_steps(stage), resume, callback)
        resume = True
        with group.together():
            ratio = _recorded_ratio(directory, micrographs, options) if group.first else None
        if group.broadcast(ratio) <= GOOD_RATIO:
            return


def _recorded_ratio(
    directory: RunDirectory, micrographs: Micrographs, options: TrainingOptions
) -> float:
    """Return the error of a model's 2D samples over that of crops; record it in the model."""
    model = load_model(directory.model)
    ratio = model.details.get("sample_ratio")
    if ratio is None:
        ratio = round(sample_ratio(model, micrographs, str(options.device)), 3)
        sentence = f"{model.details['training']}; they deviate {ratio:.2g} × as much as crops"
        details = {**model.details, "training": sentence, "sample_ratio": ratio}
        dataclasses.replace(model, details=details).save(directory.model)
    return ratio


def _run(
    micrographs: Micrographs,
    out: str | Path,
    options: TrainingOptions,
    resume: bool,
    callback: Callable[[dict[str, Any]], None] | None,
) -> None:
    """Make the run of checked options in its directory."""
    from ..device import computing
    from .captured_step import repeatable

    directory, group = RunDirectory(Path(out)), options.group
    with (
        Termination(interrupt=True, patient=group.size > 1) as termination,
        computing(options.device, options.precision),
        repeatable(),
        contextlib.ExitStack() as stack,
    ):
        if group.size > 1:
            stack.enter_context(warnings.catch_warnings())
            # of 1 x 1 kernels, whose memory is the same by any strides
            warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
        with group.together():
            if group.first:
                stack.enter_context(directory.locked())
        _Run(micrographs, directory, options, resume, termination).finish(callback)


class _Run:
    """One training run, from its directory to the finished model."""

    def __init__(
        self,
        micrographs: Micrographs,
        directory: RunDirectory,
        options: TrainingOptions,
        resume: bool,
        termination: Termination,
    ) -> None:
        self.micrographs, self.options, self.termination = micrographs, options, termination
        self.directory, self.group = directory, options.group
        self.learner = Learner(micrographs, options)
        self.progress = Progress()
        with self.group.together():
            if self.group.first:
                settings = options.settings(micrographs)
                self.directory.check(settings, resume)
                self.progress = self.directory.restore(self.learner)
                self.directory.create(settings)
        place = self.group.broadcast([self.learner.step, self.progress.seconds])
        with self.group.together():
            if not self.group.first:
                self.progress = self.directory.restore_same(self.learner, *place)
        self.writer = Writer(beside=options.device.type == "cuda")
        self.saved = time.monotonic()
        self.between_steps = True
        self.failure: BaseException | None = None  # raised when all processes know of it

    def finish(self, callback: Callable[[dict[str, Any]], None] | None) -> None:
        """Run the remaining steps and save the model."""
        learner, steps = self.learner, self.options.steps
        started, before, first = time.monotonic(), self.progress.seconds, learner.step
        try:
            while learner.step < steps:
                self._step()
                elapsed = time.monotonic() - started
                self.progress.seconds = before + elapsed
                self.between_steps = True
                self._between_steps(callback, elapsed / (learner.step - first))
            if self.group.largest(self.failure is not None):
                raise self._reason()
        except DivergedError:
            raise
        except BaseException as error:
            # inside a step keep the last checkpoint, as one that is kept elsewhere already
            if self.between_steps:
                with self.group.together():
                    if getattr(error, "kept", None) is None:
                        self._save()
                    self.writer.wait()
            raise
        finally:
            self.writer.close()
        with self.group.together():
            if self.group.first and (
                learner.step > first or not self.directory.has_finished_model()
            ):
                self._finished_model().save(self.directory.model)

    def _between_steps(
        self, callback: Callable[[dict[str, Any]], None] | None, pace: float
    ) -> None:
        """Judge, call back and save after a step.

        In a group an error is raised after the next step, which tells all processes to stop too.
        """
        if self.failure is not None:
            return
        step, steps = self.learner.step, self.options.steps
        try:
            self.termination.check()
            verdict = self._judge()
            if callback is not None:
                callback(
                    {
                        "step": step,
                        "steps": steps,
                        "loss": self.progress.loss,
                        "seconds": self.progress.seconds,
                        "eta": pace * (steps - step),
                        "verdict": verdict,
                    }
                )
            if self._save_due() or self._minute_passed():
                self._save()
        except BaseException as error:
            if self.group.size == 1:
                raise
            self.failure = error

    def _reason(self) -> BaseException:
        """Return why this process stops: its own error, or that of another."""
        return self.failure or KeyboardInterrupt("another process of the group has stopped")

    def _save_due(self) -> bool:
        step = self.learner.step
        return step == self.options.steps or step % self.options.save_every == 0

    def _minute_passed(self) -> bool:
        """A minute's steps are never lost; processes of a group save after the same steps."""
        return self.group.size == 1 and time.monotonic() - self.saved >= SAVE_SECONDS

    def _picture_due(self) -> bool:
        step, every = self.learner.step, self.options.samples_every
        return bool(every) and (step == self.options.steps or step % every == 0)

    def _save(self) -> None:
        """Write a checkpoint, and the model of an unfinished run to look at; on rank 0."""
        self._read_losses()
        self.saved = time.monotonic()
        if self.group.first:
            self.writer.wait()  # so that two states are never held
            state, progress = self.learner.state(), copy.deepcopy(self.progress)
            self.writer.run(lambda: self._write(state, progress))

    def _write(self, state: State, progress: Progress) -> None:
        self.directory.save(state, progress)
        step, steps = state.step, self.options.steps
        if step < steps:
            model = self.learner.model(progress.loss, progress.seconds, state)
            unfinished = {"unfinished": True, "training": f"stopped after {step} of {steps} steps"}
            dataclasses.replace(model, details={**model.details, **unfinished}).save(
                self.directory.model
            )

    def _step(self) -> None:
        """Make one step and read the losses that are there: as many on all processes."""
        self.between_steps = False
        self.learner.advance(stop=self.failure is not None)
        now = math.isnan(self.progress.loss) or self._save_due() or self._picture_due()
        self._read_losses(0 if now else self.learner.losses.late)

    def _read_losses(self, late: int = 0) -> None:
        """Smooth and record the losses of all steps but the last few."""
        for step, loss, stop in self.learner.losses.take(late):
            weight, before = max(0.01, 1 / step), self.progress.loss
            self.progress.loss = loss if step == 1 else (1 - weight) * before + weight * loss
            if not math.isfinite(loss):
                raise DivergedError(
                    f"the loss must stay finite, got {loss} at step {step}: lower `learning_rate` "
                    "or set `precision` to float32"
                )
            self.progress.losses.append(loss)
            del self.progress.losses[: -recent_losses(self.options.steps)]
            if step % 10 == 0 or step == self.options.steps:
                self.progress.history.append((step, self.progress.loss))
            if stop and not self.between_steps:
                self.between_steps = True
                raise self._reason()

    def _judge(self) -> Verdict | None:
        """Draw, judge and save the 2D samples if they are due after this step; on rank 0."""
        step, options = self.learner.step, self.options
        if not self._picture_due() or not self.group.first:
            return None
        self._read_losses()
        samples = draw_samples(self._model(), str(options.device))
        verdict = judge_samples(samples, self.micrographs)
        file = self.directory.out / "samples" / f"step-{step:06d}.png"
        save_samples(file, samples, self.micrographs)
        self.progress.verdicts.append(verdict_record(step, verdict))
        return verdict

    def _model(self) -> Model:
        return self.learner.model(self.progress.loss, self.progress.seconds)

    def _finished_model(self) -> Model:
        """Return the model with the record of how well it trained."""
        progress, options = self.progress, self.options
        if not progress.verdicts or progress.verdicts[-1]["step"] < options.steps:
            self._judge()  # a run that was interrupted in its last picture
        verdict = progress.verdicts[-1] if progress.verdicts else None
        recommended = options.recipe.steps
        outcome = outcome_of(options.steps, recommended, progress.losses, verdict)
        model = self._model()
        return dataclasses.replace(model, details={**model.details, **outcome})
