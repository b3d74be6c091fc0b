# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Reports: one self-contained page about a volume, and the same in JSON."""

from ._document import Curve, Figure, Picture, Plot, Section, Table, Text
from ._write import software_versions, write_report

__all__ = [
    "Curve",
    "Figure",
    "Picture",
    "Plot",
    "Section",
    "Table",
    "Text",
    "software_versions",
    "write_report",
]
