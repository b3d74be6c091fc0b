# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The command and the program that repeat a reconstruction."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ._subject import Subject


def reproduction(provenance: Mapping[str, Any], subject: Subject) -> dict[str, str]:
    """Return the command and the program that repeat a reconstruction, from its provenance.

    Settings of one's own have no command, only a program.
    """
    settings = provenance.get("settings")
    if not isinstance(settings, Mapping) or "seed" not in provenance:
        return {}
    model = str(provenance.get("model_name", "MODEL"))
    nz, ny, nx = subject.labels.shape
    sampler = str(provenance.get("sampler", "fast"))
    custom = sampler == "custom"
    arguments: dict[str, Any] = {"seed": provenance["seed"]}
    if not custom:
        arguments["sampler"] = sampler
        repeats = settings.get("harmonize")
        if isinstance(repeats, Sequence):  # of each step: the passes follow
            arguments["harmonize"] = tuple(repeats)
        elif repeats is not None:
            if sampler == "fast":
                arguments["passes"] = provenance.get("passes")
            arguments["harmonize"] = repeats
        arguments["gamma"] = settings.get("gamma")
    arguments["guidance"] = provenance.get("guidance")
    arguments = {name: value for name, value in arguments.items() if value is not None}
    options = [
        f"--{name} {','.join(map(str, value)) if isinstance(value, tuple) else value}"
        for name, value in arguments.items()
    ]
    words = [f"{name}={value!r}" for name, value in arguments.items()]
    if custom:
        words.append(
            "settings=m3.SamplerSettings(\n        "
            + ", ".join(
                f"{name}={tuple(value) if isinstance(value, list) else value!r}"
                for name, value in settings.items()
            )
            + "\n    )"
        )
    periodic = provenance.get("periodic")
    if isinstance(periodic, Sequence) and any(periodic):
        words.append(f"periodic={tuple(periodic)!r}")
        options.append(
            "--periodic " + "".join(a for a, p in zip("zyx", periodic, strict=True) if p)
        )
    if provenance.get("window"):
        words.append(f"window={provenance['window']!r}")
        options.append(f"--window {provenance['window']}")
    if provenance.get("islands_removed") is not None:
        words.append("remove_islands=True")
        options.append("--remove-islands")
    if provenance.get("known"):
        words.append('known=m3.Microstructure.load("KNOWN.tif")')
        options.append("--known KNOWN.tif")
    asked = provenance.get("asked_volume_fractions")
    own = sampler != "paper" and asked == provenance.get("model_volume_fractions")
    if asked is not None and not own:
        asked = [float(f) for f in asked]
        words.append(f"volume_fractions={asked!r}")
        options.append("--fractions " + ",".join(map(repr, asked)))
    elif asked is None and sampler != "paper":
        words.append("volume_fractions=None")
        options.append("--fractions raw")
    told = provenance.get("fraction_condition")
    if told is not None and told != (asked is not None and not settings.get("hold_mean")):
        words.append(f"fraction_condition={told!r}")
        options.append("--fraction-condition" if told else "--no-fraction-condition")
    program = (
        "import micro3d_fast as m3\n\n"
        f"model = m3.load_model({model!r})\n"
        f"volume = m3.reconstruct(({nz}, {ny}, {nx}), model,\n    "
        + ", ".join(words)
        + ')\nvolume.save("volume.tif")'
    )
    if custom:
        return {"In Python:": program}
    first = f"micro3d reconstruct --model {shlex.quote(model)} --shape {nz},{ny},{nx}"
    command = " \\\n    ".join([first, " ".join(options), "--out volume.tif"])
    return {"On the command line:": command, "In Python:": program}
