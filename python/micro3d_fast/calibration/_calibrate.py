# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""`calibrate`: the request, its checks and its result."""

from __future__ import annotations

import contextlib
import math
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import _checks
from .._atomic import locked
from .._device import find_device
from .._progress import Shown, following
from ..diffusion import Model
from ..diffusion.model import check_model
from ..diffusion.reconstruction import Reconstruction
from ..diffusion.settings import CouplingTable, default_agreement, rows_text
from ..diffusion.volumes import Options
from ..micrographs import Micrographs
from ..statistics import Verdict
from ._fractions import fractions_doubt
from ._loop import Round, close_loop
from ._surface import FAR, Trial, enough_volumes, island_rates
from ._volumes import Volumes, with_trial

if TYPE_CHECKING:
    from typing_extensions import Unpack

EFFORTS = ("quick", "full")
_CHOSEN_HERE = (
    "agreement",
    "coupling",
    "guidance",
    "harmonize",
    "keep_raw",
    "out",  # a directory there
    "passes",
    "quality",
    "sampler",
    "settings",
    "n",
)


@dataclass(frozen=True)
class Calibration:
    """Result of `calibrate`.

    Attributes
    ----------
    model : Model
        To reconstruct with, or to save: with the passes and the coupling that were found as its
        default (``model.harmonize``, ``model.coupling``, for ``model.agreement``), and after
        ``effort="full"`` with corrected weights, unless ``rounds`` say that nothing was changed.
    verdict : Verdict
        On volumes of the model, together.
    trials : tuple of Trial
        Passes and couplings that were tried for the model, the best last.
    rounds : tuple of Round
        What each round of ``effort="full"`` did.
    volumes : int
        How many the verdict is on.
    """

    model: Model
    verdict: Verdict
    trials: tuple[Trial, ...]
    rounds: tuple[Round, ...]
    volumes: int

    @property
    def harmonize(self) -> tuple[int, ...]:
        """Harmonizing passes of each step."""
        return self.trials[-1].harmonize

    @property
    def coupling(self) -> CouplingTable:
        """Coupling of neighbours: (J_z, J_y, J_x) of each phase, a single one for two phases."""
        return self.trials[-1].coupling

    @property
    def agreement(self) -> float:
        """Weight of earlier passes, for which the passes were found."""
        return self.model.agreement or 0.0

    def __str__(self) -> str:
        return f"Verdict: {self.verdict}.\n{self.table()}"

    def table(self) -> str:
        """Return the trials and the rounds, one per line, and what limits the result."""
        each = "" if len(self.coupling) == 1 else "; of one phase after the other"
        several = f"{self.volumes} volumes together" if self.volumes > 1 else "one volume"
        lines = [
            f"The verdict is on {several}.",
            "Surface of the volumes over that of the micrographs "
            f"(z, y, x{each}), and shares kept:",
        ]
        for trial in self.trials:
            chosen = "  <- chosen" if trial is self.trials[-1] else ""
            surface, coupling = rows_text(trial.surface), rows_text(trial.coupling)
            kept = {"tilt": trial.tilt, "single pixels": trial.islands}
            shown = "".join(f"{k} {v:.2f}, " for k, v in kept.items() if not math.isnan(v))
            lines.append(
                f"  {trial.passes} passes, coupling {coupling}: {surface}, {shown}"
                f"{trial.seconds:.1f} s per volume{chosen}"
            )
        lines += [f"Round {k}: {one}" for k, one in enumerate(self.rounds, 1)]
        best = self.trials[-1]
        if best.error > FAR:
            lines.append(
                "No passes and coupling give the surface of the micrographs (at best "
                f"{rows_text(best.surface)} times it along z, y, x): train the model for more "
                "steps or on more images."
            )
        elif self.verdict.outcome == "different" and not self.rounds:
            lines.append('`effort="full"` corrects the network itself, which takes longer.')
        return "\n".join(lines)


def calibrate(
    model: Model | str | Path,
    micrographs: Micrographs,
    *,
    effort: str = "quick",
    out: str | Path | None = None,
    volume_shape: int | Sequence[int] | None = None,
    volumes: int | None = None,
    rounds: int = 1,
    seed: int = 0,
    callback: Callable[[dict[str, Any]], None] | None = None,
    progress: Shown = None,
    **options: Unpack[Options],
) -> Calibration:
    r"""Fit a model's volumes to its micrographs, from these alone.

    ``effort="quick"`` finds the number of harmonizing passes and the coupling of neighbours for
    which volumes have as many unlike neighbours as the micrographs along each axis.  It takes as
    long as twelve volumes of 64\ :sup:`3` voxels at most: for a ``"small"`` model about two minutes
    on two CPU cores that multiply bfloat16, five on others; longer for tilted structure, which
    may need more passes.

    ``effort="full"`` then corrects the network: a copy of it is trained on slices of its volumes,
    which differ from the micrographs where the composition of three planes is at fault; volumes are
    made by network + w (network - copy), with the weight w whose volumes deviate least; and the
    network is trained to predict what the pair predicts for noised slices of them, so that the
    corrected model costs no more than before.  It takes about 20 minutes for a ``"small"`` model
    and 64\ :sup:`3` voxels on two such cores.  A model whose volumes are consistent with the
    micrographs, or that a correction does not improve, stays as it is.

    Parameters
    ----------
    model : Model, path or bundled name
    micrographs : Micrographs
        What the volumes should agree with, usually those of training.
    effort : {"quick", "full"}
    out : path, optional
        Directory of the volumes and trainings of ``"full"``: with the same arguments it goes on
        where it was interrupted.  The model is saved in ``out/model``.  Default: a temporary one.
    volume_shape : int or (nz, ny, nx), optional
        Shape of the volumes; default a cube of the model's training patch.
    volumes : int, optional
        Volumes of each trial (default 2 to 8, of 2 × 64\ :sup:`3` voxels in all), and for
        ``"full"`` lessons of each round (default 16).
    rounds : int
        Most rounds of ``"full"``.  Another than the first is made only where the volumes are still
        different, with at most half of its largest weight.
    seed : int
        The first seed.
    callback : callable, optional
        Called after each pass and training step with a dict: stage, pass_index and passes (of the
        whole work, in passes of one volume), seconds, eta.
    progress : bool, optional
        Show a bar with the remaining time, on stderr.  Default: in a terminal or notebook, if the
        work takes more than a few seconds; lines instead of a bar where True is given elsewhere.
    **options
        Others of `reconstruct`, such as ``periodic`` or ``device``.  The result is valid for them.

    Returns
    -------
    Calibration

    Warns
    -----
    UserWarning
        The volume fractions of the micrographs are so far from the model's that the phases seem
        swapped, the threshold or the material another.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range; the message names it.

    Examples
    --------
    >>> found = calibrate(model, micrographs)  # doctest: +SKIP
    >>> volume = reconstruct((64, 64, 64), found.model)  # doctest: +SKIP
    >>> found.model.save("run/model")  # doctest: +SKIP
    """
    _checks.choice(effort, EFFORTS, name="effort")
    for name in options:
        if name in _CHOSEN_HERE:
            raise TypeError(f"`{name}` is set by calibrate itself, or has no meaning there")
        if name not in Reconstruction.options():
            raise TypeError(f"`{name}` is not an argument of calibrate or reconstruct")
    model = check_model(model)
    _checks.callback(callback)
    rounds = _checks.integer(rounds, name="rounds", minimum=1, maximum=100)
    seed = _checks.integer(seed, name="seed", minimum=0, maximum=2**62)
    shape = (model.patch,) * 3 if volume_shape is None else _checked_shape(volume_shape)
    full = effort == "full"
    if volumes is None:
        volumes = 16 if full else enough_volumes(shape)
    volumes = _checks.integer(volumes, name="volumes", minimum=1, maximum=10_000)
    if out is not None and not full:
        raise _checks.refuse("out", 'be None unless `effort` is "full"', repr(str(out)))
    _check_micrographs(micrographs, model)
    if (doubt := fractions_doubt(micrographs, model)) is not None:
        warnings.warn(doubt, stacklevel=2)
    if model.agreement is None and model.harmonize is None:  # of a former version
        model = replace(model, agreement=default_agreement(model.schedule))
    model = replace(model, island_rates=island_rates(micrographs))
    device = find_device(options.get("device"))
    faster = [
        *(["a GPU"] if device.type == "cpu" else []),
        *(['the effort "quick"'] if full else []),
        "smaller or fewer volumes",
    ]
    with (
        _directory(out, full) as directory,
        following(progress, "calibrating", on=str(device), faster=faster, at_most=full) as bar,
    ):
        follow = bar.beside(callback)
        made = Volumes(micrographs, shape, dict(options), seed, follow, directory)
        if full:
            found = Calibration(*close_loop(model, made, lessons=volumes, rounds=rounds))
            if out is not None:
                found.model.save(Path(out) / "model")
            return found
        trials = made.find_surface(model, volumes)
    verdict = made.verdict(made.latest)
    return Calibration(with_trial(model, trials[-1]), verdict, tuple(trials), (), len(made.latest))


@contextlib.contextmanager
def _directory(out: str | Path | None, wanted: bool) -> Iterator[Path | None]:
    """Yield the directory of the work: the given one, a temporary one, or none."""
    if not wanted:
        yield None
    elif out is not None:
        if Path(out).exists() and not Path(out).is_dir():
            raise _checks.refuse("out", "be a directory", f"the file {out}")
        with locked(Path(out), "out", "calibration"):
            yield Path(out)
    else:
        with tempfile.TemporaryDirectory(prefix="micro3d-calibrate-") as temporary:
            yield Path(temporary)


def _check_micrographs(micrographs: Any, model: Model) -> None:
    """Refuse micrographs that the model's volumes cannot be compared with."""
    if not isinstance(micrographs, Micrographs):
        raise _checks.refuse_type("micrographs", "be a Micrographs", type(micrographs).__name__)
    if micrographs.n_phases != model.n_phases:
        wanted = f"have the {model.n_phases} phases of the model"
        raise _checks.refuse("micrographs", wanted, str(micrographs.n_phases))
    _checks.phase_names_of_model(micrographs.phase_names, model.phase_names, name="micrographs")
    _checks.voxel_size_of_model(micrographs.voxel_size, model.voxel_size, name="micrographs")
    for plane, images in micrographs.images.items():
        for phase, name in enumerate(model.phase_names):
            if not any((image == phase).any() for image in images):
                raise _checks.refuse(
                    "micrographs",
                    "show every phase of the model in every plane",
                    f"no {name} in {plane}",
                )


def _checked_shape(volume_shape: Any) -> tuple[int, int, int]:
    shape = _checks.shape3(volume_shape, name="volume_shape")
    if min(shape) < 8:
        raise _checks.refuse(
            "volume_shape",
            "be at least 8 voxels along each axis, for meaningful correlations",
            str(shape),
        )
    return shape
