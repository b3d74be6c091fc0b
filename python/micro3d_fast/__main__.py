# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Run ``micro3d`` as ``python -m micro3d_fast``."""

import sys

from .cli import main

sys.exit(main())
