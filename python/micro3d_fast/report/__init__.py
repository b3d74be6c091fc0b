# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Reports: one self-contained page about a volume, and the same in JSON."""

from ._document import Boxes, Figure, Line, Picture, Plot, Section, Table, Text
from ._origin import software_versions
from ._write import write_report, write_view

__all__ = [
    "Boxes",
    "Curve",
    "Figure",
    "Line",
    "Picture",
    "Plot",
    "Section",
    "Table",
    "Text",
    "software_versions",
    "write_report",
    "write_view",
]

Curve = Line  # its former name
