# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d materials``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .errors import fail, guarded
from .options import Debug

__all__ = ["help_on_files", "materials"]

SETS = Path(__file__).parents[1] / "homogenization" / "sets"

SetName = Annotated[
    str, typer.Argument(metavar="SET", help="A bundled set; example has every key.")
]


@guarded()
def materials(name: SetName = "example", debug: Debug = False) -> None:
    """Print a file of materials to start from, for homogenize --materials.

    \b
    Examples:
      micro3d materials > materials.yaml
      micro3d materials carbon-epoxy
    """
    known = sorted(path.stem for path in SETS.glob("*.yaml"))
    if name not in known:
        fail(f"SET must be one of {', '.join(known)}, got {name!r}")
    print((SETS / f"{name}.yaml").read_text(encoding="utf-8"), end="")


def help_on_files() -> str:
    """Return the example with all keys, for the end of a help text."""
    text = (SETS / "example.yaml").read_text(encoding="utf-8")
    return f"\b\nA file of materials (micro3d materials prints this one):\n{text}"
