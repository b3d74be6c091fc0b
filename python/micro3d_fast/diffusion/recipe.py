# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The command and the program that repeat a recorded volume."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .._planes import AXIS_NAMES
from .settings import SAMPLERS, Sampler, rows_text

__all__ = [
    "OMIT",
    "Code",
    "Recipe",
    "Record",
    "agreement",
    "as_option",
    "coupling",
    "fraction_condition",
    "known",
    "passes",
    "periodic",
    "remove_islands",
    "sampler",
    "setting",
    "volume_fractions",
]

_OPTION_NAMES = {"volume_fractions": "fractions"}  # of the command, where they differ


@dataclass(frozen=True)
class Code:
    """A value that a program computes and a command takes as text."""

    program: str
    command: str | None  # None: only a program can give it

    def __repr__(self) -> str:
        return self.program


@dataclass(frozen=True)
class Recipe:
    """The arguments of `reconstruct` that repeat a volume."""

    model: str
    volume_shape: tuple[int, int, int]
    arguments: dict[str, Any]

    def command(self) -> str | None:
        """Return the command; None if the sampler's settings have no options."""
        if any(isinstance(v, Code) and v.command is None for v in self.arguments.values()):
            return None
        shape = ",".join(map(str, self.volume_shape))
        first = f"micro3d reconstruct --model {shlex.quote(self.model)} --shape {shape}"
        options = " ".join(as_option(name, value) for name, value in self.arguments.items())
        return " \\\n    ".join([first, options, "--out volume.tif"])

    def program(self) -> str:
        """Return the Python program."""
        arguments = ", ".join(f"{name}={value!r}" for name, value in self.arguments.items())
        return (
            "import micro3d_fast as m3\n\n"
            f"model = m3.load_model({self.model!r})\n"
            f"volume = m3.reconstruct({self.volume_shape}, model,\n    {arguments})\n"
            'volume.save("volume.tif")'
        )


def as_option(name: str, value: Any) -> str:
    """Return an argument as the command's option."""
    flag = "--" + _OPTION_NAMES.get(name, name).replace("_", "-")
    if isinstance(value, bool):
        return flag if value else flag.replace("--", "--no-", 1)
    if name == "periodic":
        return f"{flag} " + "".join(a for a, p in zip(AXIS_NAMES, value, strict=True) if p)
    if name == "coupling":
        return f"{flag} " + shlex.quote(rows_text(value, repr, ",", ";"))
    if isinstance(value, list | tuple):
        return f"{flag} " + shlex.quote(",".join(map(repr, value)))
    if isinstance(value, Code):
        return f"{flag} {value.command}"
    return f"{flag} {'raw' if value is None else shlex.quote(str(value))}"


# ------------------------------------------------- the argument that a provenance record stands for

OMIT = object()  # the argument's default makes the volume again

Record = Mapping[str, Any]


def _settings(record: Record) -> Record:
    return record.get("settings") or {}


def _sampler(record: Record) -> Sampler | None:
    """Return the named sampler of a record; None for settings of the caller and unknown names."""
    return SAMPLERS.get(str(record.get("sampler", "fast")))


def _is_custom(record: Record) -> bool:
    return record.get("sampler") == "custom"


def sampler(record: Record) -> Any:
    if not _is_custom(record):
        return record.get("sampler", "fast")
    values = ", ".join(
        f"{name}={tuple(value) if isinstance(value, list) else value!r}"
        for name, value in _settings(record).items()
        if name.isidentifier()
    )
    return Code(f"m3.SamplerSettings(\n        {values}\n    )", None)


def passes(record: Record) -> Any:
    named, repeats = _sampler(record), _settings(record).get("harmonize")
    free = named is not None and "passes" in named.takes and isinstance(repeats, int)
    return record.get("passes", OMIT) if free else OMIT


def setting(name: str) -> Callable[[Record], Any]:
    """Return a function from a record to the named setting of a named sampler."""

    def recorded(record: Record) -> Any:
        value, named = _settings(record).get(name), _sampler(record)
        fixed = named is not None and name not in named.takes
        if _is_custom(record) or fixed or value is None:
            return OMIT
        return tuple(value) if isinstance(value, list) else value

    return recorded


def coupling(record: Record) -> Any:
    value = setting("coupling")(record)
    return OMIT if value is OMIT or not any(map(any, value)) else tuple(map(tuple, value))


def agreement(record: Record) -> Any:
    """Return the weight of earlier passes, which did not count before it was recorded."""
    return setting("agreement")({**record, "settings": {"agreement": 0.0, **_settings(record)}})


def periodic(record: Record) -> Any:
    axes = record.get("periodic")
    return tuple(axes) if isinstance(axes, Sequence) and any(axes) else OMIT


def volume_fractions(record: Record) -> Any:
    named, requested = _sampler(record), record.get("asked_volume_fractions")
    matches = named is None or named.matches_fractions
    if requested is None:
        return None if matches else OMIT
    own = matches and requested == record.get("model_volume_fractions")
    return OMIT if own else [float(f) for f in requested]


def remove_islands(record: Record) -> Any:
    former = True if record.get("islands_removed") is not None else "auto"
    value = record.get("remove_islands", former)
    return OMIT if value == "auto" else value


def fraction_condition(record: Record) -> Any:
    used = record.get("fraction_condition")
    matched = record.get("asked_volume_fractions") is not None
    default = matched and not _settings(record).get("hold_mean")
    return OMIT if used is None or used == default else used


def known(record: Record) -> Any:
    file = "KNOWN.tif"
    return Code(f'm3.Microstructure.load("{file}")', file) if record.get("known") else OMIT
