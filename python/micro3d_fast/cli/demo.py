# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""``micro3d demo``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from .errors import Stopped, fail, guarded, to_stdout
from .files import check_output
from .options import Debug, Device, Seed
from .progress import CtrlC, Progress, clock

__all__ = ["demo"]

Out = Annotated[Path, typer.Option(help="Directory for all results.")]
Edge = Annotated[int, typer.Option(help="Edge of the volumes, in voxels.")]
Minutes = Annotated[float, typer.Option(help="Time limit in minutes.")]
TrainingSeconds = Annotated[
    float, typer.Option(help="Duration of the training from scratch that is shown.")
]


@guarded()
def demo(
    out: Out = Path("demo"),
    seed: Seed = 1,
    edge: Edge = 64,
    minutes: Minutes = 5.0,
    training_seconds: TrainingSeconds = 60.0,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Run the whole workflow on a synthetic fibre composite, separator and cathode.

    Writes micrographs of new specimens, trains from scratch for a minute to show how training
    proceeds, reconstructs volumes with the bundled models, compares them with the micrographs and
    writes a report for each: report.html, separator/report.html, cathode/report.html.

    \b
    Example:
      micro3d demo --out demo/
    """
    check_output(out, folder=True)
    if seed < 0:
        fail(f"--seed must be at least 0, got {seed}")
    if edge < 16:
        fail(f"--edge must be at least 16, got {edge}")
    if not 0 < minutes < float("inf"):
        fail(f"--minutes must be positive, got {minutes}")
    if not 0 < training_seconds < float("inf"):
        fail(f"--training-seconds must be positive, got {training_seconds}")

    started = time.monotonic()
    from .. import _demo

    with CtrlC() as ctrl_c:
        run = _demo.Run(
            out=out,
            seed=seed,
            edge=edge,
            deadline=started + 60.0 * minutes,
            print=print,
            progress=lambda title: Progress(title, ctrl_c.check),
            device=device,
        )
        try:
            pages = _demo.run(run, training_seconds)
        except KeyboardInterrupt as error:
            raise Stopped(f"Stopped; finished results are in {out}.") from error
    to_stdout(f"\nDone in {clock(time.monotonic() - started)}. Open {pages[0]} in a browser.")
