# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The page of a report: ``report.html``, drawn by the templates."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .._atomic import atomic_write
from .._png import data_uri
from ..statistics import Verdict
from . import _plots
from ._document import Section, Surface, Viewer


class Head(Protocol):
    """What stands above the sections of a page."""

    @property
    def title(self) -> str:
        """The headline."""

    @property
    def verdict(self) -> str:
        """The sentences under it."""

    @property
    def judged(self) -> Verdict | None:
        """The verdict whose outcome and reasons are shown beside them."""

    @property
    def software(self) -> Mapping[str, Any]:
        """Versions of the software."""

    def facts(self) -> list[tuple[str, str]]:
        """Return names and values of a row of facts."""


def page_of(
    contents: Head, sections: Sequence[Section], date: datetime.date, record: str = "report.json"
) -> str:
    """Return the page as HTML; ``record`` is the file that holds its numbers."""
    environment = _environment()
    css, script, viewer, surface = (
        environment.loader.get_source(environment, name)[0]
        for name in ("report.css", "page.js", "viewer.js", "surface.js")
    )
    parts = [part for section in sections for part in section.parts]
    text: str = environment.get_template("report.html.j2").render(
        css=css,
        scripts=[script, viewer, *[surface] * any(isinstance(p, Surface) for p in parts)],
        title=contents.title,
        verdict=contents.verdict,
        judged=contents.judged,
        facts=contents.facts(),
        overview=sections[0],
        sections=sections[1:],
        version=contents.software["micro3d-fast"],
        date=f"{date.day} {date:%B %Y}",
        record=record,
        volume=next(part.volume for part in parts if isinstance(part, Viewer)),
    )
    return text


@functools.cache
def _environment() -> Any:
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["png"] = data_uri
    environment.filters["boxes"] = lambda boxes: Markup(_plots.boxes_svg(boxes))
    environment.filters["polar"] = lambda polar: Markup(_plots.polar_svg(polar))
    environment.filters["svg"] = lambda plot: Markup(_plots.svg(plot))
    return environment


def write_page(file: Path, page: str) -> Path:
    """Write a page; return its file."""
    with atomic_write(file) as path:
        # a file name that is not UTF-8 has characters that UTF-8 cannot hold
        path.write_text(page, encoding="utf-8", errors="backslashreplace")
    return file
