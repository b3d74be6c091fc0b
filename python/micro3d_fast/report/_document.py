# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Elements of a report: sections of paragraphs, tables, plots and pictures.

``to_dict`` of every part returns it as plain JSON, so that ``report.json`` holds what the page
shows.  The template draws the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ._format import cell_text, is_number


@dataclass(frozen=True)
class Text:
    """A paragraph; ``note`` sets it smaller, ``code`` verbatim in a monospaced font."""

    text: str
    style: str = "plain"  # "plain", "note", "warning" or "code"

    kind = "text"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON."""
        return {"kind": self.kind, "style": self.style, "text": self.text}


@dataclass(frozen=True)
class Table:
    """A table with one header row; strings are aligned left, numbers right.

    ``formats`` gives a format specification per column (``".3f"``, ``".1%"``); a cell may be
    ``None`` (shown as a dash).  The first ``row_headers`` columns are headers of their row.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    caption: str = ""
    formats: Sequence[str] = ()
    row_headers: int = 1
    strong: Sequence[int] = ()  # rows to set in bold

    kind = "table"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON, with the numbers unformatted."""
        return {
            "kind": self.kind,
            "caption": self.caption,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
        }

    def cells(self) -> list[list[dict[str, Any]]]:
        """Return the rows as formatted cells."""
        numeric = [
            all(value is None or is_number(value) for value in column)
            and not all(value is None for value in column)
            for column in zip(*self.rows, strict=True)
        ]
        return [
            [
                {
                    "text": cell_text(value, self.formats[i] if i < len(self.formats) else ""),
                    "number": numeric[i] or is_number(value),
                    "header": i < self.row_headers,
                }
                for i, value in enumerate(row)
            ]
            for row in self.rows
        ]


@dataclass(frozen=True)
class Line:
    """One line of a plot; ``role`` selects its style.

    ``"reference"`` is a dashed line in the colour of the text, ``"first"`` ... ``"fourth"`` are
    solid lines, ``"faint"`` is a thin guide line.  ``low`` and ``high`` draw a band around it.
    """

    x: Any
    y: Any
    label: str = ""
    role: str = "first"
    low: Any = None
    high: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Return the line as plain JSON."""
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
    """Lines over one pair of axes; a :class:`Figure` shows several plots side by side."""

    curves: Sequence[Line]
    title: str = ""
    x_label: str = ""
    y_label: str = ""
    note: str = ""  # a short line in the upper right corner
    alt: str = ""
    y_from_zero: bool = True
    y_log: bool = False
    markers: Sequence[tuple[float, str]] = ()
    size: tuple[float, float] = (320.0, 214.0)  # width and height; the page scales both

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
        """Return the description; the pixels stay in the page."""
        return {"kind": self.kind, "alt": self.alt, "caption": self.caption}


@dataclass(frozen=True)
class Polar:
    """A closed line around a centre: a radius for each angle from the first axis."""

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
class Boxes:
    """Samples side by side: for each a box of its quartiles, the median, and every value."""

    rows: Sequence[tuple[str, str, Any]]  # name, role of a `Line`, values
    title: str = ""
    x_label: str = ""
    note: str = ""  # a short line in the upper right corner
    alt: str = ""
    x_from_zero: bool = False

    kind = "boxes"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON."""
        rows = [[name, np.asarray(values, dtype=float).tolist()] for name, _, values in self.rows]
        return {"kind": self.kind, "title": self.title, "x_label": self.x_label, "rows": rows}


@dataclass(frozen=True)
class Surface:
    """A closed surface r(n) that can be rotated: rows from +z to -z, columns around z from +x."""

    values: np.ndarray
    unit: str
    caption: str
    alt: str

    kind = "surface"

    @property
    def data(self) -> dict[str, Any]:
        """Values for the script that draws the surface."""
        digits = [[float(f"{value:.4g}") for value in row] for row in self.values]
        return {"values": digits}

    @property
    def ends(self) -> tuple[str, str]:
        """Smallest and largest value as text."""
        return f"{self.values.min():.4g}", f"{self.values.max():.4g} {self.unit}"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON."""
        return {"kind": self.kind, "caption": self.caption, "unit": self.unit, **self.data}


@dataclass(frozen=True)
class Figure:
    """Plots or pictures side by side under one caption."""

    parts: Sequence[Plot | Polar | Boxes | Picture]
    caption: str = ""
    columns: int = 3
    title: str = ""
    legend: Sequence[tuple[str, str]] = ()  # (role, text)

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
    """The colour key of the phases."""

    phases: Sequence[Mapping[str, Any]]
    kind = "key"

    def to_dict(self) -> dict[str, Any]:
        """Return the part as plain JSON."""
        return {"kind": self.kind, "phases": [dict(phase) for phase in self.phases]}


@dataclass(frozen=True)
class SliceImage:
    """A PNG of one slice, with its size on the page as a share of the longest edge there."""

    png: bytes
    alt: str
    width: float
    aspect: str
    shrunk: bool  # averaged down to fewer pixels than voxels


@dataclass(frozen=True)
class SliceGroup:
    """Images of one plane from one source."""

    title: str
    images: Sequence[SliceImage]


@dataclass(frozen=True)
class SlicePlane:
    """Groups of images of one plane, and their scale bar."""

    title: str
    groups: Sequence[SliceGroup]
    bar: Mapping[str, Any]


@dataclass(frozen=True)
class Slices:
    """Images of planes, all at one scale."""

    planes: Sequence[SlicePlane]
    caption: str = ""
    kind = "slices"

    def to_dict(self) -> dict[str, Any]:
        """Return the descriptions of the images; the pixels stay in the page."""
        planes = [
            {
                "title": plane.title,
                "groups": [
                    {"title": group.title, "images": [image.alt for image in group.images]}
                    for group in plane.groups
                ],
            }
            for plane in self.planes
        ]
        return {"kind": self.kind, "caption": self.caption, "planes": planes}


@dataclass(frozen=True)
class Viewer:
    """The 3D view, and the still picture shown without WebGL 2 and on paper."""

    still: bytes
    alt: str
    caption: str
    hidden: Sequence[int]
    phases: Sequence[Mapping[str, Any]]
    axes: Sequence[Mapping[str, Any]]
    volume: Mapping[str, Any]  # input of the script
    bar: Mapping[str, Any]  # scale bar of the still picture, in percent of its width
    factors: Sequence[int]
    kind = "viewer"

    def to_dict(self) -> dict[str, Any]:
        """Return the description of the view; the voxels stay in the page."""
        return {
            "kind": self.kind,
            "caption": self.caption,
            "drawn_shape": list(self.volume["shape"]),
            "source_voxels_per_drawn_voxel": list(self.factors),
            "hidden_phases": list(self.hidden),
        }


Part = Text | Table | Plot | Polar | Boxes | Picture | Figure | Surface | Key | Slices | Viewer


@dataclass(frozen=True)
class Section:
    """A section of a report: a title, an optional lead and parts."""

    title: str
    parts: Sequence[Part] = field(default_factory=tuple)
    lead: str = ""
    anchor: str = ""
    open: bool = False  # shown unfolded at first

    def to_dict(self) -> dict[str, Any]:
        """Return the section as plain JSON."""
        return {
            "title": self.title,
            **({"lead": self.lead} if self.lead else {}),
            "parts": [part.to_dict() for part in self.parts],
        }
