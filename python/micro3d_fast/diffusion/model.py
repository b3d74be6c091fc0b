# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A trained model and its files: safetensors for the weights, JSON for everything else.

A model directory holds ``model.json`` and the weights file that it names.  The name of the weights
carries their hash and ``model.json`` is renamed into place last, so a directory always holds one
whole model, even if the writer was killed.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks, _figures, _notebook
from .._atomic import atomic_write
from .._files import first_line
from .._planes import PLANES
from ..statistics import FractionScatter
from .labelling import IslandRates, check_island_rates
from .model_record import FORMAT, ModelFileError, check_identity, read_record, read_weights
from .schedule import PREDICTIONS, Schedule
from .settings import CouplingTable, check_agreement, check_coupling, rows_text

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

    from .unet import UNet, UNetConfig

__all__ = [
    "BUNDLED",
    "FORMAT",
    "Model",
    "ModelFileError",
    "bundled_directory",
    "channel_count",
    "check_model",
    "encode",
    "keep_calibration",
    "load_model",
    "mean_field",
    "model_directory",
]

# Members of model.json and of Model
_CALIBRATED = ("harmonize", "coupling", "agreement", "island_rates")
BUNDLED = ("fibre-composite", "separator", "cathode")


@dataclass(frozen=True, eq=False, repr=False)
class Model:
    """A conditional 2D denoiser for the three planes of one material.

    Attributes
    ----------
    net : UNet
        The network, weights of the exponential moving average.
    schedule : Schedule
        The forward process of its training.
    prediction : {"noise", "x0", "v"}
        What the network predicts.
    phase_names : tuple of str
        One name per phase, in the order of the labels.
    volume_fractions : tuple of float
        Phase fractions of the training images, mean over the planes.
    patch : int
        Side of the training images, in pixels.
    voxel_size : (dz, dy, dx)
        In metres; 1.0 means "in voxels".
    details : dict
        Provenance: preset, steps, data fingerprint, seconds, versions.
    harmonize : tuple of int, optional
        Harmonizing passes of each step that `calibrate` found: the default of `reconstruct`.
    coupling : tuple of (J_z, J_y, J_x), optional
        Coupling of neighbours along each axis that `calibrate` found for these passes: one row, or
        one for each phase.
    agreement : float, optional
        Weight of earlier passes, the default of `reconstruct`; 0 if it is None, as in models of
        former versions.
    island_rates : tuple of tuple of float, optional
        Single-pixel islands of each phase per pixel of the micrographs of xy, xz and yz, from
        `calibrate`; `reconstruct` removes those of a volume beyond them.
    fraction_scatter : FractionScatter, optional
        Scatter of the phase fractions between specimens, from the training images; needed for
        ``volume_fractions="natural"``.
    """

    net: UNet
    config: UNetConfig
    schedule: Schedule
    prediction: str
    phase_names: tuple[str, ...]
    volume_fractions: tuple[float, ...]
    patch: int
    voxel_size: tuple[float, float, float] = (1.0, 1.0, 1.0)
    details: dict[str, Any] = field(default_factory=dict)
    harmonize: tuple[int, ...] | None = None
    fraction_scatter: FractionScatter | None = None
    coupling: CouplingTable | None = None
    agreement: float | None = None
    island_rates: IslandRates | None = None

    def __post_init__(self) -> None:
        names = ("phase_names", "volume_fractions", "voxel_size", "patch")
        values = check_identity(*(getattr(self, name) for name in names))
        for name, value in zip(names, values, strict=True):
            object.__setattr__(self, name, value)
        if self.coupling is not None:
            coupling = check_coupling(self.coupling, self.n_phases)
            object.__setattr__(self, "coupling", coupling)
        if self.agreement is not None:
            object.__setattr__(self, "agreement", check_agreement(self.agreement))
        if self.island_rates is not None:
            rates = check_island_rates(self.island_rates, self.n_phases)
            object.__setattr__(self, "island_rates", rates)
        if self.harmonize is None:
            return
        repeats = _checks.repeats(self.harmonize, name="harmonize")
        if len(repeats) > self.schedule.steps:
            wanted = f"have at most the {self.schedule.steps} steps of the schedule"
            raise _checks.refuse("harmonize", wanted, str(len(repeats)))
        object.__setattr__(self, "harmonize", repeats)

    @property
    def n_phases(self) -> int:
        return len(self.phase_names)

    @cached_property
    def hash(self) -> str:
        """First 16 hex digits of the SHA-256 of the weights as float32."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.net.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()[:16]

    @property
    def fraction_condition(self) -> bool:
        """Whether the network takes phase fractions as a condition."""
        return self.config.fractions > 0

    def plot(self, axes: Sequence[Axes] | np.ndarray | None = None, *, seed: int = 0) -> np.ndarray:
        """Draw a 2D sample of each plane, which takes some seconds on a CPU (see `sample_slices`).

        Parameters
        ----------
        axes : sequence of three matplotlib axes, optional
            Where to draw; default a new figure.
        seed : int
            Of the first sample; the others have the next ones.

        Returns
        -------
        array of matplotlib.axes.Axes
        """
        from .slices import sample_slices

        pictures = [
            _notebook.Picture(sample_slices(self, plane, 1, seed=seed + k)[0], plane, plane)
            for k, plane in enumerate(PLANES)
        ]
        return _figures.plot_labels(pictures, self.voxel_size, self.phase_names, axes)

    def _repr_html_(self) -> str:
        return _notebook.model_html(self)

    def __repr__(self) -> str:
        parameters = sum(p.numel() for p in self.net.parameters())
        phases = ", ".join(
            f"{name} {fraction:.3f}"
            for name, fraction in zip(self.phase_names, self.volume_fractions, strict=True)
        )
        return (
            f"Model: {parameters / 1e6:.1f} M parameters, {self.prediction}-prediction, "
            f"{self.schedule.name} schedule of {self.schedule.steps} steps, "
            f"{self.patch} x {self.patch} patches; phases {phases}"
            + (", conditioned on fractions" if self.fraction_condition else "")
            + (
                f"; harmonizing passes {' '.join(map(str, self.harmonize))}"
                if self.harmonize
                else ""
            )
            + (f", coupling {rows_text(self.coupling)}" if self.coupling else "")
            + (f", agreement {self.agreement:g}" if self.agreement else "")
        )

    def save(self, directory: str | Path, *, half: bool | None = None) -> Path:
        """Write the model to a directory, atomically.

        Parameters
        ----------
        directory : path
            Created if absent; a model already there is replaced.
        half : bool, optional
            Store the weights as float16; by default for models below 10 million parameters.

        Returns
        -------
        Path
            The directory.
        """
        import torch
        from safetensors.torch import save

        directory = Path(directory)
        if directory.exists() and not directory.is_dir():
            raise _checks.refuse("directory", "be a directory", f"the file {directory}")
        if (directory / "model" / "model.json").exists() and not (
            directory / "model.json"
        ).exists():
            raise _checks.refuse(
                "directory",
                "be that of a model",
                f"that of a run of train, whose model is in {directory / 'model'}",
            )
        directory.mkdir(parents=True, exist_ok=True)
        before = _own_weights(directory)
        state = self.net.state_dict()
        if half is None:
            half = sum(t.numel() for t in state.values()) < 10_000_000
        dtype = torch.float16 if half else torch.float32
        _require_finite(state, "the network")
        data = save({k: v.detach().to("cpu", dtype).contiguous() for k, v in state.items()})
        digest = hashlib.sha256(data).hexdigest()
        name = f"weights-{digest[:12]}.safetensors"
        with atomic_write(directory / name) as path:
            path.write_bytes(data)
        record = {
            "format": FORMAT,
            "weights": name,
            "sha256": digest,
            "config": asdict(self.config),
            "schedule": self.schedule.record(),
            "prediction": self.prediction,
            "phase_names": list(self.phase_names),
            "volume_fractions": list(self.volume_fractions),
            "patch": self.patch,
            "voxel_size": list(self.voxel_size),
            "details": self.details,
            **{name: getattr(self, name) for name in _CALIBRATED},
            "fraction_scatter": (
                None if self.fraction_scatter is None else self.fraction_scatter.to_record()
            ),
        }
        with atomic_write(directory / "model.json") as path:
            path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        if before is not None and before != name:
            (directory / before).unlink(missing_ok=True)
        return directory

    def with_weights(self, state: dict[str, torch.Tensor]) -> Model:
        """Return the same model with other weights."""
        from .unet import UNet

        net = UNet(self.config)
        net.load_state_dict(state)
        return replace(self, net=net.eval().requires_grad_(False))


def bundled_directory(name: str) -> Path:
    """Return the directory of a bundled model."""
    return Path(str(resources.files("micro3d_fast").joinpath("models", name)))


def model_directory(path_or_bundled_name: str | Path) -> Path:
    """Return the directory of model.json: the given one, its ``model``, or a bundled one."""
    directory = Path(path_or_bundled_name)
    if not (directory / "model.json").exists() and (directory / "model" / "model.json").exists():
        return directory / "model"
    run = any((directory / name).exists() for name in ("model.json", "checkpoint.safetensors"))
    if str(path_or_bundled_name) in BUNDLED and not run:  # also beside a folder of that name
        return bundled_directory(str(path_or_bundled_name))
    return directory


def keep_calibration(directory: Path, model: Model) -> None:
    """Write what `calibrate` found into a model's record, not its weights."""
    record = read_record(directory / "model.json")
    record |= {name: getattr(model, name) for name in _CALIBRATED}
    with atomic_write(directory / "model.json") as path:
        path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def load_model(path_or_bundled_name: str | Path) -> Model:
    """Load a model from a directory or by the name of a bundled one.

    Parameters
    ----------
    path_or_bundled_name : path or {"fibre-composite", "separator", "cathode"}
        A directory written by `Model.save` (or a run of `train`, whose ``model`` is taken; that of
        an unfinished run is the model of its last checkpoint, with a warning).

    Returns
    -------
    Model
        On the CPU; `reconstruct` moves it.

    Raises
    ------
    FileNotFoundError
        There is no such model; the message lists the bundled ones.
    ModelFileError
        The files are damaged or of another format (a ValueError).
    """
    if not isinstance(path_or_bundled_name, str | Path):
        raise _checks.refuse_type(
            "path_or_bundled_name",
            "be a path or the name of a bundled model",
            type(path_or_bundled_name).__name__,
        )
    return _loaded(path_or_bundled_name, "path_or_bundled_name", stacklevel=3)


def check_model(model: Any, *, stacklevel: int = 3) -> Model:
    """Return a Model, loaded if it is given by its path or bundled name.

    ``stacklevel`` is that of a warning for the caller.
    """
    if isinstance(model, str | Path):
        return _loaded(model, "model", stacklevel=stacklevel + 1)
    if not isinstance(model, Model):
        wanted = "be a Model, or the path or bundled name of one"
        raise _checks.refuse_type("model", wanted, type(model).__name__)
    return model


def _loaded(path_or_bundled_name: str | Path, argument: str, *, stacklevel: int) -> Model:
    """Return the model of a directory or bundled name, which ``argument`` gives."""
    from safetensors import SafetensorError

    directory = model_directory(path_or_bundled_name)
    file = directory / "model.json"
    if not file.exists() and (directory / "checkpoint.safetensors").exists():
        raise FileNotFoundError(
            f"`{argument}` must be a finished run of train, got {directory}, whose "
            "training is not finished: run train again to resume it"
        )
    if not file.exists():
        raise FileNotFoundError(
            f"`{argument}` must be a model directory or one of {', '.join(BUNDLED)}, "
            f"got {str(path_or_bundled_name)!r}, which has no model.json"
        )
    try:
        model = _built(read_record(file), file)
    except ModelFileError:
        raise
    except (
        SafetensorError,
        KeyError,
        TypeError,
        ValueError,
        RuntimeError,
        OSError,
        OverflowError,
    ) as error:
        raise ModelFileError(
            f"{directory} must hold a whole micro3d-fast model, but reading it failed: "
            f"{first_line(error)}"
        ) from error
    if model.details.get("unfinished"):
        warnings.warn(
            f"the training of {directory} {model.details['training']}: train again to resume it",
            stacklevel=stacklevel,
        )
    return model


def _built(record: dict[str, Any], file: Path) -> Model:
    """Return the model of a record and of the weights that it names."""
    import torch
    from safetensors.torch import load

    from .unet import UNet, UNetConfig

    config, schedule = UNetConfig(**record["config"]), Schedule(**record["schedule"])
    scatter = record.get("fraction_scatter")  # absent in older files
    _check_record(record, config, schedule, file)
    with torch.device("meta"):
        net = UNet(config)
    most = 8 * sum(t.numel() for t in net.state_dict().values()) + (1 << 20)
    state = {k: v.to(torch.float32) for k, v in load(read_weights(file, record, most)).items()}
    _require_finite(state, file)
    net.load_state_dict(state, assign=True)
    return Model(
        net=net.eval().requires_grad_(False),
        config=config,
        schedule=schedule,
        prediction=record["prediction"],
        phase_names=tuple(record["phase_names"]),
        volume_fractions=tuple(record["volume_fractions"]),
        patch=int(record["patch"]),
        voxel_size=tuple(record["voxel_size"]),
        details=record["details"],
        **{name: record.get(name) for name in _CALIBRATED},  # absent in older files
        fraction_scatter=(
            FractionScatter.from_record(scatter, len(record["phase_names"])) if scatter else None
        ),
    )


def _require_finite(state: dict[str, torch.Tensor], source: Any) -> None:
    """Refuse weights that are not finite numbers: volumes made by them would look like others."""
    import torch

    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise ModelFileError(f"{source} must have finite weights, got others in {name}")


def _own_weights(directory: Path) -> str | None:
    """Return the name of the weights of the model that a directory holds, if it is one of ours."""
    try:
        name = str(read_record(directory / "model.json")["weights"])
    except (OSError, ValueError):
        return None
    return name if re.fullmatch(r"weights-[0-9a-f]+\.safetensors", name) else None


def _check_record(
    record: dict[str, Any], config: UNetConfig, schedule: Schedule, file: Path
) -> None:
    """Refuse a record whose parts contradict each other."""
    _checks.choice(record["prediction"], PREDICTIONS, name="prediction")
    phases = len(record["phase_names"])
    if len(record["volume_fractions"]) != phases or len(record["voxel_size"]) != 3:
        raise ModelFileError(
            f"{file} must give one volume fraction per phase and three voxel sizes, got "
            f"{record['volume_fractions']} and {record['voxel_size']}"
        )
    if config.channels != channel_count(phases):
        raise ModelFileError(
            f"{file} must have as many channels as its phases need, got {config.channels} for "
            f"{phases} phases"
        )
    if config.fractions not in (0, phases):
        raise ModelFileError(
            f"{file} must have a fraction condition of all its {phases} phases or of none, "
            f"got {config.fractions}"
        )
    if record["prediction"] == "noise" and schedule.alpha_bar[-1] == 0:
        raise ModelFileError(
            f"{file} must predict 'x0' or 'v' on a schedule without signal at its last step, "
            "got 'noise', from which x0 does not follow there"
        )


def channel_count(n_phases: int) -> int:
    """Return the number of network channels: one for two phases, else one per phase."""
    return 1 if n_phases == 2 else n_phases


def encode(labels: torch.Tensor, n_phases: int) -> torch.Tensor:
    """Encode labels (B, H, W) as channels: -1 / +1 for two phases, else one-hot in -1 / +1."""
    import torch

    if n_phases == 2:
        return labels[:, None].float() * 2 - 1
    one_hot = torch.nn.functional.one_hot(labels.long(), n_phases)
    return one_hot.permute(0, 3, 1, 2).float() * 2 - 1


def mean_field(volume_fractions: tuple[float, ...] | np.ndarray) -> np.ndarray:
    """Return the mean of the encoded image, one number per channel."""
    fractions = np.asarray(volume_fractions, dtype=np.float64)
    return 2 * (fractions[1:] if len(fractions) == 2 else fractions) - 1
