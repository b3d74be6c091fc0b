# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How to make a reconstructed volume again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def reproduction(provenance: Mapping[str, Any], volume_shape: Sequence[int]) -> dict[str, str]:
    """Return the command and the program that repeat a reconstruction, with their headings.

    Settings that the user gave have no command, only a program.
    """
    from ..diffusion import Reconstruction

    try:
        recipe = Reconstruction.from_provenance(provenance, volume_shape)
        if recipe is None:
            return {}
        texts = {"On the command line:": recipe.command(), "In Python:": recipe.program()}
    except (TypeError, ValueError, AttributeError):  # another program's provenance
        return {}
    return {heading: text for heading, text in texts.items() if text is not None}
