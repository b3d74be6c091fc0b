# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d info``."""

from __future__ import annotations

import importlib.util

from .errors import guarded
from .options import Debug

__all__ = ["bundled_models", "info"]


@guarded()
def info(debug: Debug = False) -> None:
    """Show what is installed: versions, CUDA, threads, bundled models, samplers.

    \b
    Example:
      micro3d info
    """
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
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


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
