# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d info``."""

from __future__ import annotations

import importlib.util
from typing import Annotated

import typer

from .errors import guarded, to_stdout
from .options import Debug
from .verdict import print_training

__all__ = ["bundled_models", "info"]

AnyModel = Annotated[
    str | None,
    typer.Argument(metavar="MODEL", help="Show this model: a directory or a bundled name."),
]


@guarded(path_or_bundled_name="model")
def info(model: AnyModel = None, debug: Debug = False) -> None:
    """Show what is installed: versions, CUDA, threads, bundled models, samplers; or one model.

    \b
    Examples:
      micro3d info
      micro3d info run/
    """
    if model is not None:
        _show_model(model)
        return
    from .. import ops, report
    from ..diffusion import SAMPLERS

    rows = [(name, str(value)) for name, value in report.software_versions().items()]
    rows.append(("CUDA", ops.cuda_status()))
    if importlib.util.find_spec("torch") is not None:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        rows.append(("torch devices", ", ".join(["cpu", *(f"cuda:{i}" for i in range(count))])))
        rows.append(("torch threads", str(torch.get_num_threads())))
    rows += [(f"model {name}", state) for name, state in bundled_models().items()]
    rows += [(f"sampler {name}", sampler.summary) for name, sampler in SAMPLERS.items()]
    _print_rows(rows)


def _show_model(name: str) -> None:
    """Print what a model records of itself, and how well it trained."""
    from ..diffusion import load_model

    model = load_model(name)
    details = model.details
    print(model)
    images = ", ".join(f"{plane} {n}" for plane, n in details.get("images", {}).items())
    borrowed = "; ".join(f"{plane} from {of}" for plane, of in details.get("borrowed", {}).items())
    start = details.get("init", {})
    recorded = {
        "hash": model.hash,
        "preset": details.get("preset"),
        "started from": " ".join(start[k] for k in ("source", "hash") if k in start),
        "steps": details.get("steps"),
        "batch size": details.get("batch_size"),
        "seed": details.get("seed"),
        "loss": details.get("loss"),
        "seconds of training": details.get("training_seconds"),
        "images": images,
        "borrowed planes": borrowed,
    }
    _print_rows([(k, str(v)) for k, v in recorded.items() if v not in (None, "")])
    print_training(model)


def _print_rows(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        to_stdout(f"{name:<{width}}  {value}")


def bundled_models() -> dict[str, str]:
    """Return the size of each bundled model, or "not installed"."""
    from ..diffusion.model import BUNDLED, bundled_directory

    found = {}
    for name in BUNDLED:
        folder = bundled_directory(name)
        files = list(folder.glob("*")) if (folder / "model.json").exists() else []
        size = sum(file.stat().st_size for file in files)
        found[name] = f"{size / 1e6:.1f} MB" if files else "not installed"
    return found
