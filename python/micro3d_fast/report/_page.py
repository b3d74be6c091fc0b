# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The page of a report: ``report.html``, drawn by the templates."""

from __future__ import annotations

import datetime
import functools
from collections.abc import Sequence
from typing import Any

from .._png import data_uri
from . import _plots
from ._contents import Contents
from ._document import Section, Surface, Viewer


def page_of(contents: Contents, sections: Sequence[Section], date: datetime.date) -> str:
    """Return the page as HTML."""
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
    environment.filters["polar"] = lambda polar: Markup(_plots.polar_svg(polar))
    environment.filters["svg"] = lambda plot: Markup(_plots.svg(plot))
    return environment
