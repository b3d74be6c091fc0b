# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Run a study: ``python benchmarks/studies STUDY [options]``; ``--help`` lists its options.

truth                volumes against the truth, before and after calibration; docs/study.md
sampler              quality of a reconstruction against passes of the network; docs/study.md
figures              figures and tables of that study
learning_rate        loss of a network against the peak learning rate; docs/study.md
fraction_condition   raw fractions with and without a fraction condition; docs/study.md
verdicts             false alarms and power of the verdict; docs/characterize.md
borders              periodic faces, windows and known slices; docs/reconstruct.md
real_volumes         properties of tomograms; docs/homogenize.md
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

STUDIES = (
    "truth",
    "sampler",
    "figures",
    "learning_rate",
    "fraction_condition",
    "verdicts",
    "borders",
    "real_volumes",
)

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in STUDIES:
        sys.exit(__doc__)
    sys.path[0] = str(Path(__file__).resolve().parents[1])  # from here on `studies` is a package
    study = sys.argv.pop(1)
    sys.argv[0] = f"studies {study}"
    importlib.import_module(f"studies.{study}").main()
