# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What a model directory holds, read without believing it: model.json and the weights it names."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import _checks
from .._checks import refuse_content
from .._files import regular_size
from .._plain_data import load_json_object

__all__ = ["FORMAT", "ModelFileError", "check_identity", "read_record", "read_weights"]

FORMAT = 1
_MOST_JSON = 1 << 24  # bytes
_KINDS: dict[str, type | tuple[type, ...]] = {
    "weights": str,
    "sha256": str,
    "config": dict,
    "schedule": dict,
    "prediction": str,
    "phase_names": list,
    "volume_fractions": list,
    "patch": int,
    "voxel_size": list,
    "details": dict,
}


class ModelFileError(ValueError):
    """A model directory is damaged or of a format that this version does not read."""


def read_record(file: Path) -> dict[str, Any]:
    """Return the content of model.json, its members of the right kinds, its weights a file."""
    if regular_size(file) > _MOST_JSON:
        raise refuse_content(file, f"hold at most {_MOST_JSON} bytes", "more")
    record = load_json_object(file.read_text(encoding="utf-8"), file)
    if record.get("format") != FORMAT:
        got = _checks.shown(record.get("format"))
        raise ModelFileError(f"{file} must be a model of format {FORMAT}, got {got}")
    for name, kind in _KINDS.items():
        if not isinstance(record.get(name), kind) or isinstance(record[name], bool):
            got = _checks.shown(record.get(name))
            raise ModelFileError(f"{file} must give `{name}` as {_JSON[kind]}, got {got}")
    name = record["weights"]
    if Path(name).name != name or not name.endswith(".safetensors"):
        wanted = "name a .safetensors file of its own directory as `weights`"
        raise ModelFileError(f"{file} must {wanted}, got {_checks.shown(name)}")
    regular_size(file.parent / name)
    return record


_JSON: dict[Any, str] = {str: "a text", dict: "an object", list: "a list", int: "an integer"}


def read_weights(file: Path, record: Mapping[str, Any], most: int) -> bytes:
    """Return the bytes of the weights that model.json names, of the hash that it gives."""
    path = file.parent / record["weights"]
    size = regular_size(path)
    if size > most:
        raise ModelFileError(f"{path} must hold at most {most} bytes, got {size}")
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != record["sha256"]:
        raise ModelFileError(
            f"{path} must have the hash that model.json gives, but its content differs: the file "
            "is damaged"
        )
    return data


def check_identity(
    phase_names: Any, volume_fractions: Any, voxel_size: Any, patch: Any
) -> tuple[tuple[str, ...], tuple[float, ...], tuple[float, float, float], int]:
    """Return what a model says of its material, checked: names, a law of fractions, sizes."""
    names = tuple(phase_names)
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise _checks.refuse("phase_names", "be different texts", _checks.shown(phase_names))
    wanted = f"be {len(names)} numbers from 0 to 1 with the sum 1"
    try:
        fractions = tuple(float(f) for f in volume_fractions)
    except (TypeError, ValueError):
        raise _checks.refuse("volume_fractions", wanted, _checks.shown(volume_fractions)) from None
    law = all(0 <= f <= 1 for f in fractions) and math.isclose(sum(fractions), 1, abs_tol=1e-3)
    if len(fractions) != len(names) or not law:
        raise _checks.refuse("volume_fractions", wanted, _checks.shown(volume_fractions))
    sizes = tuple(
        _checks.real(size, name="voxel_size", minimum=0, open_ends=True) for size in voxel_size
    )
    if len(sizes) != 3:
        raise _checks.refuse("voxel_size", "be three numbers", _checks.shown(voxel_size))
    side = _checks.integer(patch, name="patch", minimum=1, maximum=1 << 16)
    return names, fractions, (sizes[0], sizes[1], sizes[2]), side
