# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The checks that need a GPU: `command.py` runs the sections, one module each with `run(job)`."""

from .command import main

__all__ = ["main"]
