# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d models``."""

from __future__ import annotations

import json

from .errors import guarded
from .info import bundled_models
from .options import Debug

__all__ = ["models"]


@guarded()
def models(debug: Debug = False) -> None:
    """List the bundled models: phases and their fractions, voxel size, patch, pictures.

    \b
    Examples:
      micro3d models
      micro3d reconstruct --model separator --shape 64 --out volume.tif
    """
    from .._notebook import voxel_text
    from ..diffusion.model import bundled_directory

    for name, size in bundled_models().items():
        folder = bundled_directory(name)
        print(f"{name}: {size}, {folder}")
        if not (folder / "model.json").exists():
            continue
        record = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        pairs = zip(record["phase_names"], record["volume_fractions"], strict=True)
        phases = ", ".join(f"{label} {n} {f:.3f}" for label, (n, f) in enumerate(pairs))
        voxel = voxel_text(record["voxel_size"]) or "none, lengths are in voxels"
        print(f"  phases      {phases}")
        print(f"  voxel size  {voxel}")
        print(f"  patch       {record['patch']} x {record['patch']} pixels")
        for picture in sorted(folder.glob("*.png")):
            print(f"  picture     {picture}")
