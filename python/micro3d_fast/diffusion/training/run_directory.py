# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The directory of a training run: settings, checkpoint, loss history, verdicts.

A checkpoint is one safetensors file, network, moving average and optimizer state together, written
under a temporary name and renamed.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import math
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from reprlib import repr as brief  # 256 phase names are too many for a message
from typing import TYPE_CHECKING, Any

from ... import _checks
from ..._atomic import atomic_write, locked, rescued, sweep
from ..._planes import PLANES
from ..._printable import csv_text
from ..process_group import shared
from .learner import Learner, State

if TYPE_CHECKING:
    import torch

__all__ = ["CHECKPOINT", "HISTORY", "SETTINGS", "Progress", "ResumeError", "RunDirectory", "Writer"]

CHECKPOINT = "checkpoint.safetensors"
SETTINGS = "settings.json"
HISTORY = "history.csv"
VERDICTS = "verdicts.csv"


_IMAGES = (".png", ".tif", ".tiff", ".bmp", ".jpg", ".jpeg")  # the micrographs themselves

# Settings with which a run may go on otherwise than it began.
_FREE = ("steps", "precision")


class ResumeError(ValueError):
    """``out`` holds a run on other data or settings, or a damaged one."""


@dataclass
class Progress:
    """The state of a run beside that of the learner."""

    loss: float = math.nan  # smoothed
    seconds: float = 0.0  # spent training, over all resumptions
    history: list[tuple[int, float]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)  # of the last steps, not smoothed
    verdicts: list[dict[str, Any]] = field(default_factory=list)  # on the 2D samples


class Writer:
    """Runs one job at a time: in a thread beside the training on CUDA, else at once."""

    def __init__(self, beside: bool) -> None:
        self._pool = ThreadPoolExecutor(1) if beside else None
        self._job: Future[None] | None = None

    def run(self, job: Callable[[], None]) -> None:
        """Begin a job when the last one has ended."""
        self.wait()
        if self._pool is None:
            job()
        else:
            self._job = self._pool.submit(job)

    def wait(self) -> None:
        """Wait for the job; raise its error."""
        if self._job is not None:
            self._job.result()
            self._job = None

    def close(self) -> None:
        """Wait for the job and end the thread."""
        if self._pool is not None:
            self._pool.shutdown()
        self.wait()


def require_own(out: Path) -> None:
    """Refuse a directory without a run that holds images, or files that a run would write over."""
    if not out.is_dir() or (out / SETTINGS).exists():
        return
    for entry in sorted(out.iterdir()):
        is_image = entry.suffix.lower() in _IMAGES
        if is_image or _is_taken(entry):
            wanted = "be empty or hold a run"
            raise _checks.refuse("out", wanted, f"{out}, which holds other files: {entry.name}")


def _is_taken(entry: Path) -> bool:
    """Return whether a run would write over a file, or into a folder that holds something."""
    if entry.name in ("model", "samples"):  # empty ones are those of a run that was killed
        return not entry.is_dir() or any(not e.name.startswith(".") for e in entry.iterdir())
    return entry.name in (CHECKPOINT, HISTORY, VERDICTS)


class RunDirectory:
    """The files of a run in ``out``."""

    def __init__(self, out: Path) -> None:
        self.out, self.model = out, out / "model"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other trainings out of the directory."""
        self._refuse_file()
        with locked(self.out, "out", "training"):
            yield

    def _refuse_file(self) -> None:
        if self.out.exists() and not self.out.is_dir():
            raise _checks.refuse("out", "be a directory", f"the file {self.out}")

    def check(self, settings: dict[str, Any], resume: bool) -> None:
        """Refuse a directory with a run on other data or settings, or with any if not resuming."""
        file = self.out / SETTINGS
        if not file.exists():
            require_own(self.out)
            return
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ResumeError(
                f"{file} must be JSON written by train, but is not: {error}"
            ) from error
        if not resume:
            raise ResumeError(
                f"`out` must be a directory without a run if `resume` is False, got {self.out}"
            )
        if not isinstance(found, dict):
            raise ResumeError(f"{file} must be JSON written by train, got {found!r}")
        # runs older than these settings
        found = {"fraction_condition": False, "init": None, "mirrored": list(PLANES), **found}
        other = [k for k in settings if found.get(k) != settings[k]]
        if set(other) <= set(_FREE):
            if "precision" in other:
                warnings.warn(
                    f"{self.out} goes on in {settings['precision']} and began in "
                    f"{found.get('precision')}: its weights differ by rounding",
                    stacklevel=5,
                )
        else:
            changes = ", ".join(
                "the micrographs differ"
                if k == "data"
                else f"{k} was {brief(found.get(k))}, now {brief(settings[k])}"
                for k in other
                if k not in _FREE
            )
            raise ResumeError(
                f"`out` must hold a run of the same data and settings, got {self.out}, "
                f"where {changes}: give the same, or another `out` for another run"
            )

    def create(self, settings: dict[str, Any]) -> None:
        """Create the files of a run that is not refused, or write its settings anew."""
        for directory in (self.out, self.model, self.out / "samples"):
            directory.mkdir(parents=True, exist_ok=True)
            sweep(directory)  # temporary files of a killed writer
        file, text = self.out / SETTINGS, json.dumps(settings, indent=2) + "\n"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            with atomic_write(file) as path:
                path.write_text(text, encoding="utf-8")

    def planned_steps(self) -> int:
        """Return the steps of the run that the directory holds; 0 without one."""
        try:
            settings = json.loads((self.out / SETTINGS).read_text(encoding="utf-8"))
            return int(settings["steps"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0  # `check` refuses what is damaged

    def has_finished_model(self) -> bool:
        """Return whether the directory holds the model of the last step."""
        try:
            record = json.loads((self.model / "model.json").read_text(encoding="utf-8"))
            return not record["details"].get("unfinished")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return False

    def save(self, state: State, progress: Progress) -> None:
        """Write the checkpoint, the loss history and the verdicts, each atomically.

        A checkpoint that does not fit on the disk is kept in the temporary folder.
        """
        from safetensors.torch import save

        meta = {"step": state.step, "digest": _digest(state.tensors), **vars(progress)}
        data = save(state.tensors, metadata={"run": json.dumps(meta)})

        def write(file: Path) -> None:
            with atomic_write(file) as path:
                path.write_bytes(data)

        rescued(self.out / CHECKPOINT, write)
        with atomic_write(self.out / HISTORY) as path:
            rows = "".join(f"{step},{loss:.6f}\n" for step, loss in progress.history)
            path.write_text("step,loss\n" + rows, encoding="utf-8")
        if progress.verdicts:
            with (
                atomic_write(self.out / VERDICTS) as path,
                path.open("w", encoding="utf-8", newline="") as file,
            ):
                writer = csv.DictWriter(file, list(progress.verdicts[0]), lineterminator="\n")
                writer.writeheader()
                for verdict in progress.verdicts:
                    texts = {k: csv_text(v) for k, v in verdict.items() if isinstance(v, str)}
                    writer.writerow(verdict | texts)

    def restore(self, learner: Learner) -> Progress:
        """Read the checkpoint, if there is one, into the learner."""
        from safetensors import SafetensorError, safe_open

        file = self.out / CHECKPOINT
        if not file.exists():
            return Progress()
        device = str(learner.options.device)
        try:
            with safe_open(file, framework="pt", device=device) as opened:
                meta = json.loads(opened.metadata()["run"])
                tensors = {k: opened.get_tensor(k) for k in opened.keys()}  # noqa: SIM118
            step = meta["step"]
            if not isinstance(step, int) or step < 0:
                raise ValueError(f"its step is {brief(step)}")
            if meta.get("digest") not in (None, _digest(tensors)):  # None: an older checkpoint
                raise ValueError("its tensors have changed since they were written")
            learner.load_tensors(tensors)
            learner.step = step
            if learner.step > learner.options.steps:
                wanted = f"be at least {learner.step}, the steps that {self.out} has made"
                raise _checks.refuse("steps", wanted, str(learner.options.steps))
            history = [(int(a), float(b)) for a, b in meta["history"]]
            return Progress(
                float(meta["loss"]),
                float(meta["seconds"]),
                history,
                meta.get("losses", []),  # absent in older checkpoints
                meta.get("verdicts", []),
            )
        except _checks.ArgumentError:
            raise
        except (SafetensorError, KeyError, TypeError, RuntimeError, ValueError) as error:
            raise ResumeError(
                f"{file} must be a whole checkpoint of this run, but reading it failed: {error}"
            ) from error

    def restore_same(self, learner: Learner, step: int, seconds: float) -> Progress:
        """Restore the checkpoint that another process has restored, of this step and time."""

        def restored() -> Progress | None:
            if not (self.out / SETTINGS).exists():
                return None
            progress = self.restore(learner)
            return progress if (learner.step, progress.seconds) == (step, seconds) else None

        return shared(restored, self.out)


def _digest(tensors: dict[str, torch.Tensor]) -> str:
    """Return a digest of names and values."""
    found = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        found.update(name.encode())
        found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
