# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What a report is composed of, for other pages of the package in the same style."""

from __future__ import annotations

from ._comparison import curves_section, deviations_section, errors_section
from ._document import Key, Part, Viewer
from ._format import duration, percent
from ._origin import provenance_section, software_versions
from ._page import Head, page_of, write_page
from ._pictures import render_block
from ._slices import slices_section
from ._subject import Subject
from ._view import viewer

__all__ = [
    "Head",
    "Key",
    "Part",
    "Subject",
    "Viewer",
    "curves_section",
    "deviations_section",
    "duration",
    "errors_section",
    "page_of",
    "percent",
    "provenance_section",
    "render_block",
    "slices_section",
    "software_versions",
    "viewer",
    "write_page",
]
