# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Write ``report.html`` and ``report.json``."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks
from .._atomic import atomic_write
from ..typing import Labels
from . import _overview
from ._document import Section
from ._gather import gather
from ._page import page_of, write_page
from ._record import record_of

if TYPE_CHECKING:
    from ..micrographs import Micrographs
    from ..statistics import Comparison


def write_report(
    out_dir: str | os.PathLike[str],
    *,
    microstructure: Labels,
    micrographs: Micrographs | None = None,
    comparison: Comparison | bool | None = None,
    samples_2d: Mapping[str, Sequence[np.ndarray]] | None = None,
    timings: Mapping[str, float] | None = None,
    properties: object = None,
    title: str | None = None,
    extra: Mapping[str, object] | Sequence[Section] | None = None,
    comparison_2d: Comparison | None = None,
    comparison_raw: Comparison | None = None,
    reference: Labels | None = None,
    reproduce: Mapping[str, str] | None = None,
    verdict: str | None = None,
) -> Path:
    """Write a self-contained page about a volume, and its numbers as JSON.

    The page, ``report.html``, holds everything it shows (pictures, curves, a 3D view of the
    volume) and loads nothing; ``report.json`` beside it holds its numbers.

    Parameters
    ----------
    out_dir : path
        Directory; created if absent.  An older report in it is replaced as a whole.
    microstructure : Microstructure, or array of bool or integers, shape (nz, ny, nx)
        The volume.
    micrographs : Micrographs, optional
        The micrographs that it was reconstructed from; shown beside it.
    comparison : Comparison or False, optional
        From :func:`micro3d_fast.compare`.  By default the volume is compared with
        ``micrographs``, or else with ``reference``, if given; False leaves it out.
    samples_2d : mapping of plane to sequence of arrays, optional
        Samples of the 2D network, shown in a separate section.
    timings : mapping of str to float, optional
        Seconds of each step, by name.
    properties : result or mapping of name to result, optional
        Effective properties; frozen dataclasses, mappings, or parts of a report.
    title : str, optional
        Headline of the page.
    extra : mapping or sequence of Section, optional
        Further sections; a mapping of title to text, table, plot, picture, figure, MaterialSet,
        mapping of names to values, or a list of these.
    comparison_2d : Comparison, optional
        Of ``samples_2d`` with the micrographs: the errors of the 2D network alone.
    comparison_raw : Comparison, optional
        Of the volume before its phase fractions were matched; by default computed from the field
        ``"raw_labels"`` of the volume, if it has one.
    reference : volume, optional
        Volume to compare with, in place of micrographs; its slices are shown.
    reproduce : mapping of str to str, optional
        Commands or programs that make the volume again, by title; by default derived from the
        provenance.
    verdict : str, optional
        Sentence under the headline; by default the verdict of the comparison, if it has one.

    Returns
    -------
    Path
        Of ``report.html``.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> labels = np.zeros((8, 8, 8), dtype=np.uint8)
    >>> labels[:, :, 4:] = 1
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_report(folder, microstructure=labels, title="Layers").name)
    report.html
    """
    out = _checks.path(out_dir, name="out_dir")
    contents = gather(
        microstructure,
        micrographs,
        reference,
        comparisons=(comparison, comparison_raw, comparison_2d),
        samples=samples_2d,
        timings=timings,
        properties=properties,
        extra=extra,
        reproduce=reproduce,
        title=title,
        verdict=verdict,
    )
    sections = contents.sections()
    date = datetime.date.today()
    page, record = page_of(contents, sections, date), record_of(contents, sections, date)
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / "report.json") as path:
        path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return write_page(out / "report.html", page)


def write_view(
    path: str | os.PathLike[str], microstructure: Labels, *, title: str = "A microstructure"
) -> Path:
    """Write a self-contained page with the 3D view of a volume.

    Parameters
    ----------
    path : path
        Of the page, such as ``view.html``; the directory is created if absent.
    microstructure : Microstructure, or array of bool or integers, shape (nz, ny, nx)
        The volume.
    title : str
        Headline of the page.

    Returns
    -------
    Path
        Of the page.
    """
    out = _checks.path(path)
    contents = gather(microstructure, reproduce={}, title=title)
    view = _overview.overview_section(contents.subject, None, None, contents.reference)
    page = page_of(contents, [view], datetime.date.today())
    out.parent.mkdir(parents=True, exist_ok=True)
    return write_page(out, page)
