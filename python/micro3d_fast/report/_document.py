# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What a report is made of: sections of paragraphs, tables, plots and pictures.

Every part knows how to say itself in plain JSON (``to_dict``), so that ``report.json`` holds what
the page shows; the page itself is drawn by the template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Text:
    """A paragraph; ``note`` sets it smaller, ``code`` as it stands, in the typewriter face."""

    text: str
    style: str = "plain"  # "plain", "note" or "code"

    kind = "text"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON."""
        return {"kind": self.kind, "style": self.style, "text": self.text}


@dataclass(frozen=True)
class Table:
    """A table with one header row; strings stand left, numbers right.

    ``formats`` gives a format specification per column (``".3f"``, ``".1%"``); a cell may be
    ``None`` (shown as a dash).  ``row_headers`` columns from the left are headers of their row.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    formats: Sequence[str] = ()
    row_headers: int = 1
    strong: Sequence[int] = ()  # rows to set in bold

    kind = "table"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON: the numbers, not their print."""
        return {
            "kind": self.kind,
            "caption": self.caption,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
        }

    def cells(self) -> list[list[dict[str, Any]]]:
        """Return rows of cells as the page prints them."""
        numeric = [
            all(value is None or _is_number(value) for value in column)
            and not all(value is None for value in column)
            for column in zip(*self.rows, strict=True)
        ]
        return [
            [
                {
                    "text": cell_text(value, self.formats[i] if i < len(self.formats) else ""),
                    "number": numeric[i] or _is_number(value),
                    "header": i < self.row_headers,
                }
                for i, value in enumerate(row)
            ]
            for row in self.rows
        ]


@dataclass(frozen=True)
class Curve:
    """One line of a plot; ``role`` chooses its look.

    ``"reference"`` is a dashed line in the colour of the text, ``"first"`` ... ``"fourth"`` are
    drawn lines, ``"faint"`` is a thin help line.  ``low`` and ``high`` draw a band about it.
    """

    x: Any
    y: Any
    label: str = ""
    role: str = "first"
    low: Any = None
    high: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Return the curve as plain JSON."""
        numbers = {"x": self.x, "y": self.y, "low": self.low, "high": self.high}
        return {
            "label": self.label,
            "role": self.role,
            **{
                key: np.asarray(value, dtype=float).tolist()
                for key, value in numbers.items()
                if value is not None
            },
        }


@dataclass(frozen=True)
class Plot:
    """Curves over one pair of axes; several of them stand side by side in a :class:`Figure`."""

    curves: Sequence[Curve]
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    note: str = ""  # a short line in the upper right corner
    alt: str = ""
    y_from_zero: bool = True
    y_log: bool = False
    markers: Sequence[tuple[float, str]] = ()

    kind = "plot"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON."""
        return {
            "kind": self.kind,
            "title": self.title,
            "x_label": self.x_label,
            "y_label": self.y_label,
            "note": self.note,
            "curves": [curve.to_dict() for curve in self.curves],
        }


@dataclass(frozen=True)
class Picture:
    """A PNG with its description."""

    png: bytes
    alt: str
    caption: str = ""
    width: int | None = None  # CSS pixels; None: as wide as the column allows

    kind = "picture"

    def to_dict(self) -> dict[str, Any]:
        """Return the description; pictures themselves stay in the page."""
        return {"kind": self.kind, "alt": self.alt, "caption": self.caption}


@dataclass(frozen=True)
class Polar:
    """A closed curve about a centre: a radius for each angle from the first axis."""

    angle: Any  # radians
    radius: Any
    title: str = ""
    names: tuple[str, str] = ("x", "y")  # of the axes to the right and up
    limit: float = 0.0  # radius of the frame; 0: the largest
    alt: str = ""

    kind = "polar"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON."""
        return {
            "kind": self.kind,
            "title": self.title,
            "angle": np.asarray(self.angle, dtype=float).tolist(),
            "radius": np.asarray(self.radius, dtype=float).tolist(),
        }


@dataclass(frozen=True)
class Surface:
    """A closed surface r(n) that turns: rows from +z to -z, columns around z from +x."""

    values: np.ndarray
    unit: str
    caption: str
    alt: str

    kind = "surface"

    @property
    def data(self) -> dict[str, Any]:
        """What the script draws."""
        digits = [[float(f"{value:.4g}") for value in row] for row in self.values]
        return {"values": digits}

    @property
    def ends(self) -> tuple[str, str]:
        """Smallest and largest value in words."""
        return f"{self.values.min():.4g}", f"{self.values.max():.4g} {self.unit}"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON."""
        return {"kind": self.kind, "caption": self.caption, "unit": self.unit, **self.data}


@dataclass(frozen=True)
class Figure:
    """Plots or pictures side by side under one caption."""

    parts: Sequence[Plot | Polar | Picture]
    caption: str = ""
    columns: int = 3
    title: str = ""
    legend: Sequence[tuple[str, str]] = ()  # (role, words)

    kind = "figure"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON."""
        return {
            "kind": self.kind,
            "title": self.title,
            "caption": self.caption,
            "parts": [part.to_dict() for part in self.parts],
        }


@dataclass(frozen=True)
class Key:
    """Which colour is which phase."""

    phases: Sequence[Mapping[str, Any]]
    kind = "key"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON."""
        return {"kind": self.kind, "phases": [dict(phase) for phase in self.phases]}


@dataclass(frozen=True)
class Slices:
    """Images of planes, all at one scale."""

    planes: Sequence[Mapping[str, Any]]
    caption: str = ""
    kind = "slices"

    def to_dict(self) -> dict[str, Any]:
        """Return what the pictures are of; the pixels stay in the page."""
        planes = [
            {
                "title": plane["title"],
                "groups": [
                    {"title": group["title"], "images": [image["alt"] for image in group["images"]]}
                    for group in plane["groups"]
                ],
            }
            for plane in self.planes
        ]
        return {"kind": self.kind, "caption": self.caption, "planes": planes}


@dataclass(frozen=True)
class Viewer:
    """The 3D view and the still picture that stands in for it."""

    still: bytes
    alt: str
    caption: str
    hidden: Sequence[int]
    phases: Sequence[Mapping[str, Any]]
    axes: Sequence[Mapping[str, Any]]
    volume: Mapping[str, Any]  # what the script reads
    factors: Sequence[int]
    kind = "viewer"

    def to_dict(self) -> dict[str, Any]:
        """Return what is drawn; the voxels stay in the page."""
        return {
            "kind": self.kind,
            "caption": self.caption,
            "drawn_shape": list(self.volume["shape"]),
            "source_voxels_per_drawn_voxel": list(self.factors),
            "hidden_phases": list(self.hidden),
        }


Part = Text | Table | Plot | Polar | Picture | Figure | Surface | Key | Slices | Viewer


@dataclass(frozen=True)
class Section:
    """A headed part of a report."""

    title: str
    parts: Sequence[Part] = field(default_factory=tuple)
    lead: str = ""
    anchor: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the section as plain JSON."""
        return {
            "title": self.title,
            **({"lead": self.lead} if self.lead else {}),
            "parts": [part.to_dict() for part in self.parts],
        }


# ---------------------------------------------------------------------------- numbers in words


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def cell_text(value: Any, spec: str = "") -> str:
    """Return a value as a table prints it."""
    if value is None:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return "–"
        if np.isinf(value):
            return "∞" if value > 0 else "−∞"
        return _minus(percent(value) if spec == "%" else format(float(value), spec or ".4g"))
    if isinstance(value, int | np.integer):
        return _minus(format(int(value), spec if spec not in ("", "%") else "d"))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {cell_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(cell_text(item) for item in value)
    return str(value)


def percent(value: Any) -> str:
    """Return a fraction as a percentage with about two figures: ``"3.1 %"``, ``"0.42 %"``."""
    value = 100.0 * float(value)
    if not np.isfinite(value):
        return "–" if np.isnan(value) else "∞"
    digits = 0 if abs(value) >= 99.5 else 1 if abs(value) >= 0.995 else 2
    return f"{value:.{digits}f} %"


def ratio(value: float | None) -> str:
    """Return a ratio as ``"1.4 ×"``."""
    if value is None or np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞"
    return (
        f"{value:.2f} ×"
        if value < 0.995
        else f"{value:.1f} ×"
        if value < 99.5
        else f"{value:.0f} ×"
    )


def duration(seconds: float) -> str:
    """Return a time as people say it: ``"38 ms"``, ``"4.2 s"``, ``"3 min 05 s"``."""
    seconds = float(seconds)
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest:02d} min"


@dataclass(frozen=True)
class LengthUnit:
    """The unit in which lengths are printed."""

    name: str  # "voxels", "nm", "µm", "mm", "m"
    metres: float  # one unit in metres, or in voxels

    def __call__(self, length: Any) -> Any:
        """Return a length of metres (or voxels) in this unit."""
        return length / self.metres


def length_unit(voxel_size: Sequence[float], longest: float) -> LengthUnit:
    """Choose the unit in which a length of ``longest`` metres (or voxels) reads best."""
    if all(size == 1.0 for size in voxel_size):
        return LengthUnit("voxels", 1.0)
    for name, metres in (("nm", 1e-9), ("µm", 1e-6), ("mm", 1e-3)):
        if longest < 1000.0 * metres:
            return LengthUnit(name, metres)
    return LengthUnit("m", 1.0)


def nice_length(limit: float) -> float:
    """Return the largest of 1, 2, 5 times a power of ten that is no longer than ``limit``."""
    power = 10.0 ** np.floor(np.log10(limit))
    return float(max(step * power for step in (1.0, 2.0, 5.0) if step * power <= limit * 1.0001))


def _minus(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text
