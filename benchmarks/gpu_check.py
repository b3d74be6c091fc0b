# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Run the checks that need a GPU: ``python benchmarks/gpu_check.py --out DIR``.

The package `gpu_check` beside this script does the work; an import of that name finds the package.
"""

import sys

from gpu_check import main

if __name__ == "__main__":
    sys.exit(main())
