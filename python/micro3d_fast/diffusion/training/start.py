# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The trained network that a run starts from, also one of another number of phases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ... import _checks
from ..model import BUNDLED, Model, bundled_directory, load_model

if TYPE_CHECKING:
    import torch

    from ..unet import UNet, UNetConfig

__all__ = ["UNIVERSAL", "initialize", "origin", "require_network", "starting_model"]

UNIVERSAL = "universal"


def starting_model(init: Any) -> Model | None:
    """Return the model that ``init`` of `train` stands for; None without one."""
    if init is None or isinstance(init, Model):
        return init
    wanted = f"be a Model, a path, {', '.join(map(repr, (UNIVERSAL, *BUNDLED)))} or None"
    if not isinstance(init, str | Path):
        raise _checks.refuse_type("init", wanted, _checks.shown_with_type(init))
    source = str(init)
    if source == UNIVERSAL and not Path(init).exists():
        directory = bundled_directory(UNIVERSAL)
    else:
        directory = _checks.path(init, name="init")
        source = source if source != UNIVERSAL else str(Path(init).absolute())
    try:
        model = load_model(directory)
    except FileNotFoundError as error:
        message = str(error).replace("`path_or_bundled_name`", "`init`")
        message = message.replace(", ".join(BUNDLED), ", ".join((UNIVERSAL, *BUNDLED)))
        raise FileNotFoundError(message) from None
    return replace(model, details={**model.details, "source": source})


def require_network(model: Model, preset: str) -> None:
    """Refuse a model whose network is another than that of the preset, but for its phases."""
    from ..unet import PRESETS

    def alike(config: UNetConfig) -> bool:
        own = model.config
        return replace(config, channels=own.channels, fractions=own.fractions) == own

    if not alike(PRESETS[preset]):
        names = [repr(name) for name, config in PRESETS.items() if alike(config)]
        got = f"that of preset {names[0]}" if names else "another"
        raise _checks.refuse("init", f"have the network of preset {preset!r}", got)


def origin(model: Model) -> dict[str, Any]:
    """Return what the details of a model say of the one that its training started from."""
    known = ("source", "preset", "steps", "data")
    return {"hash": model.hash} | {k: model.details[k] for k in known if k in model.details}


def initialize(net: UNet, model: Model, n_phases: int) -> None:
    """Give a network for a number of phases the weights of a model's.

    With other phases, the layers that read or write an image change: a phase of both networks
    keeps its weights, one that only the new network has starts at zero, one that only the model has
    is dropped.  One channel for two phases stands for the second of them, and minus the first.
    Without the fractions as a condition, the model's "not given" joins the embedding of the time;
    a condition that only the new network has stays as it was initialized, without effect.
    """
    import torch

    weights = {name: tensor.clone() for name, tensor in model.net.state_dict().items()}
    if n_phases != model.n_phases:
        reads = torch.from_numpy(_channels_read(model.n_phases, n_phases)).float()
        _change_images(weights, net.config, reads)
        name = "fraction.project.0.weight"
        if name in weights:
            own = min(n_phases, model.n_phases)
            old = weights[name].unflatten(1, (2, model.n_phases, -1))
            new = old.new_zeros(len(old), 2, n_phases, old.shape[3])
            new[:, :, :own] = old[:, :, :own]
            weights[name] = new.flatten(1)
    if model.config.fractions and not net.config.fractions:
        weights["time_embedding.bias"] += weights["fraction.null"]
    own_state = net.state_dict()
    net.load_state_dict({name: weights.get(name, own_state[name]) for name in own_state})


def _channels_read(old: int, new: int) -> np.ndarray:
    """Return the matrix from an image's channels for some phases to those of the old network."""
    select = np.array([[0.0, 1.0]]) if old == 2 else np.eye(old)
    spread = np.array([[-1.0], [1.0]]) if new == 2 else np.eye(new)
    return select @ np.eye(old, new) @ spread


def _change_images(
    weights: dict[str, torch.Tensor], config: UNetConfig, reads: torch.Tensor
) -> None:
    """Change the layers that read or write an image; ``reads`` is (old channels, new channels)."""
    import torch

    def reading(weight: torch.Tensor, pixels: int) -> torch.Tensor:
        old = weight.unflatten(1, (-1, pixels))
        return torch.einsum("oiphw,ij->ojphw", old, reads).flatten(1, 2)

    for name in [name for name in weights if name.startswith("stem.") and name.endswith("weight")]:
        weights[name] = reading(weights[name], config.patch**2)
    if config.patch > 1:  # its first inputs are no image
        name, inner = "fine.0.weight", config.fine
        image = reading(weights[name][:, inner:], 1)
        weights[name] = torch.cat((weights[name][:, :inner], image), dim=1)
    writes = torch.linalg.pinv(reads)
    weights["head.weight"] = torch.einsum("oi,ichw->ochw", writes, weights["head.weight"])
    weights["head.bias"] = writes @ weights["head.bias"]
