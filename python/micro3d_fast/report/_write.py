# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Write ``report.html`` and ``report.json``."""

from __future__ import annotations

import dataclasses
import datetime
import functools
import importlib.metadata
import json
import os
import platform
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import _checks
from .._atomic import atomic_write
from ..micrographs import Micrographs
from ..microstructure import phase_names_for, plain_json
from . import _pictures, _plots, _sections
from ._document import Part, Section, Surface, Text, Viewer, percent, ratio
from ._reproduction import reproduction
from ._sections import Subject

PACKAGES = ("numpy", "scipy", "torch", "scikit-image")


def write_report(
    out_dir: str | os.PathLike[str],
    *,
    microstructure: Any,
    micrographs: Any = None,
    comparison: Any = None,
    samples_2d: Any = None,
    timings: Mapping[str, Any] | None = None,
    properties: Any = None,
    title: str | None = None,
    extra: Mapping[str, Any] | Sequence[Section] | None = None,
    comparison_2d: Any = None,
    comparison_raw: Any = None,
    reference: Any = None,
    reproduce: Mapping[str, str] | None = None,
    verdict: str | None = None,
) -> Path:
    """Write a self-contained page about a volume, and the same as JSON.

    The page, ``report.html``, holds everything it shows (pictures, curves, a 3D view of the
    volume) and loads nothing; ``report.json`` beside it holds its numbers.

    Parameters
    ----------
    out_dir : path
        Directory; made if absent.  Older reports in it are replaced, whole or not at all.
    microstructure : Microstructure, or array of bool or integers, shape (nz, ny, nx)
        The volume.
    micrographs : Micrographs, optional
        What it was reconstructed from; shown beside it.
    comparison : Comparison or False, optional
        From :func:`micro3d_fast.compare`.  By default the volume is compared with
        ``micrographs``, or else ``reference``, where these are given; False leaves it out.
    samples_2d : mapping of plane to sequence of arrays, optional
        The 2D network's own samples, shown with the slices.
    timings : mapping of str to float, optional
        Name of a step to its seconds.
    properties : result or mapping of name to result, optional
        Effective properties; frozen dataclasses, mappings, or parts of a report.
    title : str, optional
        Headline of the page.
    extra : mapping or sequence of Section, optional
        Further sections; a mapping of title to text, table, plot, picture, figure, mapping of
        names to values, or a list of these.
    comparison_2d : Comparison, optional
        Of ``samples_2d`` with the micrographs: what the network alone reaches.
    comparison_raw : Comparison, optional
        Of the volume as it was before its phase fractions were matched; by default made of the
        field ``"raw_labels"`` where the volume has one.
    reference : volume, optional
        What the volume was compared with where that is not micrographs but a volume; its slices
        are shown.
    reproduce : mapping of str to str, optional
        Words to a command or a program that makes the volume again; by default derived from the
        provenance.
    verdict : str, optional
        One sentence under the headline; by default the worst plane's errors over their floors.

    Returns
    -------
    Path
        Of ``report.html``.

    Examples
    --------
    >>> import tempfile
    >>> labels = np.zeros((8, 8, 8), dtype=np.uint8)
    >>> labels[:, :, 4:] = 1
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     print(write_report(folder, microstructure=labels, title="Layers").name)
    report.html
    """
    out = _checks.path(out_dir, name="out_dir")
    subject = _subject(microstructure, micrographs)
    if micrographs is not None and not isinstance(getattr(micrographs, "images", None), Mapping):
        raise TypeError(f"`micrographs` must be a Micrographs, got {type(micrographs).__name__}")
    if timings is not None and not isinstance(timings, Mapping):
        raise TypeError(f"`timings` must be a mapping of names to seconds, got {timings!r}")
    more = _extra_sections(extra)
    truth = micrographs if micrographs is not None else reference
    if comparison is None and truth is not None:
        from ..statistics import compare

        comparison = compare(microstructure, truth)
    fields = getattr(microstructure, "fields", None) or {}
    if comparison_raw is None and comparison is not False and "raw_labels" in fields:
        from ..statistics import compare

        comparison_raw = None if truth is None else compare(fields["raw_labels"], truth)
    word, beside = "micrographs", micrographs
    if micrographs is None:
        word = "reference"
        if reference is not None:
            beside = Micrographs.from_volume(reference, 8)
    compared = None if comparison is False else comparison

    errors = _sections.errors_of(compared) if compared is not None else []
    errors_2d = _sections.errors_of(comparison_2d) if comparison_2d is not None else []
    errors_raw = _sections.errors_of(comparison_raw) if comparison_raw is not None else []
    provenance = subject.provenance
    raw = raw_fractions(provenance)
    software = software_versions()
    sections = []
    if micrographs is not None:
        sections.append(_sections.inputs(micrographs, subject))
    sections.append(_sections.view_3d(subject))
    sections.append(_sections.side_by_side(subject, beside, word.capitalize()))
    if compared is not None:
        panels = comparison_panels(compared, subject.voxel_size)
        if panels:
            sections.append(_sections.curves_section(panels, subject, word))
        sections.append(_sections.errors_section(errors, subject, errors_2d, errors_raw, word))
    sections.append(_sections.fractions_section(subject, micrographs, raw))
    samples = _planes(samples_2d)
    if samples:
        sections.append(_sections.samples_section(samples, subject))
    if properties is not None:
        sections.append(_sections.properties_section(properties, subject.phase_names))
    sections += more
    if timings:
        sections.append(_sections.timings_section(timings))
    sections.append(_sections.provenance_section(provenance, software))
    snippets = reproduce if reproduce is not None else reproduction(provenance, subject)
    if snippets:
        sections.append(_sections.reproduce_section(snippets))

    headline = title or "A reconstructed microstructure"
    sentence = _sections.verdict_of(errors, word) if verdict is None else verdict
    sections = [_anchored(section) for section in sections]
    facts = _facts(subject, errors, provenance, timings)
    version = software["micro3d-fast"]
    date = datetime.date.today()
    page = _render(
        title=headline,
        verdict=sentence,
        facts=facts,
        sections=sections,
        version=version,
        date=f"{date.day} {date:%B %Y}",
        volume=next(part.volume for s in sections for part in s.parts if isinstance(part, Viewer)),
    )
    record = {
        "title": headline,
        "verdict": sentence,
        "micro3d_fast": version,
        "date": date.isoformat(),
        "microstructure": {
            "shape": list(subject.labels.shape),
            "voxel_size": list(subject.voxel_size),
            "phase_names": list(subject.phase_names),
            "volume_fractions": subject.fractions,
            "raw_volume_fractions": raw,
            "provenance": provenance,
        },
        "micrographs": _micrographs_record(micrographs),
        "comparison": _comparison_record(compared, errors),
        "comparison_raw": _comparison_record(comparison_raw, errors_raw),
        "comparison_2d": _comparison_record(comparison_2d, errors_2d),
        "properties": _properties_record(properties),
        "timings": dict(timings or {}),
        "software": software,
        "reproduce": dict(snippets or {}),
        "sections": [section.to_dict() for section in sections],
    }
    record = plain_json(record, name="report")
    out.mkdir(parents=True, exist_ok=True)
    with atomic_write(out / "report.json") as path:
        path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    with atomic_write(out / "report.html") as path:
        path.write_text(page, encoding="utf-8")
    return out / "report.html"


def comparison_panels(comparison: Any, voxel_size: Sequence[float]) -> list[dict[str, Any]]:
    """Return the S2 and L curves of a comparison, grouped by phase, plane and direction."""
    panels: dict[tuple[int, str, str], dict[str, Any]] = {}
    for curve in comparison.curves:
        if curve.function not in _sections.FUNCTIONS:
            continue
        place = (int(curve.phase), curve.plane, curve.direction)
        panel = panels.setdefault(
            place,
            {
                "phase": place[0],
                "plane": place[1],
                "direction": place[2],
                "spacing": voxel_size[_sections.AXES.index(curve.direction)],
                "curves": {},
            },
        )
        low, high = floor_band(curve.reference, curve.reference_std, curve.floor)
        panel["curves"][curve.function] = {
            "lag": curve.lag,
            "generated": curve.generated,
            "reference": curve.reference,
            "low": low,
            "high": high,
            "error": curve.error,
            "floor": curve.floor,
        }
    return list(panels.values())


def floor_band(
    reference: np.ndarray, spread: np.ndarray, floor: float
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return a band about a curve, as wide at each lag as its spread between images is.

    It is scaled so that a curve along its edge has exactly the error ``floor``.
    """
    total = float(np.sum(spread))
    if not np.isfinite(floor) or total <= 0:
        return None, None
    width = floor * np.sum(np.abs(reference)) * np.asarray(spread) / total
    return reference - width, reference + width


# ------------------------------------------------------------------------------------- the pieces


def _subject(microstructure: Any, micrographs: Any) -> Subject:
    labels = _checks.as_labels(microstructure, name="microstructure", ndim=3)
    names = getattr(microstructure, "phase_names", None) or getattr(
        micrographs, "phase_names", None
    )
    size = getattr(microstructure, "voxel_size", None)
    if size is None:
        size = getattr(micrographs, "voxel_size", 1.0)
    return Subject(
        labels,
        _checks.voxel_size3(size),
        phase_names_for(int(labels.max()) + 1, names),
        dict(getattr(microstructure, "provenance", {}) or {}),
    )


def raw_fractions(provenance: Mapping[str, Any]) -> list[float] | None:
    """Return the phase fractions before matching, where the provenance has them."""
    for name in ("raw_volume_fractions", "volume_fractions_raw"):
        if isinstance(provenance.get(name), Sequence):
            return [float(value) for value in provenance[name]]
    return None


def software_versions() -> dict[str, Any]:
    """Return the versions of what the numbers were made with, and the machine."""
    versions: dict[str, Any] = {"micro3d-fast": _version("micro3d-fast")}
    if versions["micro3d-fast"] is None:
        from .. import __version__

        versions["micro3d-fast"] = __version__
    versions["python"] = platform.python_version()
    versions |= {name: _version(name) for name in PACKAGES if _version(name) is not None}
    versions["platform"] = platform.platform(terse=True)
    versions["processor"] = processor()
    versions["threads"] = os.cpu_count()
    return versions


def processor() -> str:
    """Return the processor's name, or its kind."""
    if sys.platform == "linux":
        try:
            with open("/proc/cpuinfo", encoding="utf-8") as file:
                found = re.search(r"model name\s*:\s*(.+)", file.read())
            if found:
                return found.group(1).strip()
        except OSError:
            pass
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _facts(
    subject: Subject,
    errors: Sequence[_sections.Error],
    provenance: Mapping[str, Any],
    timings: Mapping[str, Any] | None,
) -> list[tuple[str, str]]:
    del timings
    nz, ny, nx = subject.labels.shape
    facts = [("Voxels (z × y × x)", f"{nz} × {ny} × {nx}")]
    if subject.unit.name != "voxels":
        facts.append(("Edges (x × y × z)", subject.edges()))
    facts.append(
        (
            "Phases",
            ", ".join(
                f"{name} {percent(float(fraction))}"
                for name, fraction in zip(subject.phase_names, subject.fractions, strict=True)
            ),
        )
    )
    planes = _sections.plane_errors(errors)
    for function, name in _sections.FUNCTIONS.items():
        worst = _sections.worst(planes, function)
        if worst is not None:
            facts.append((f"{name} error / floor, worst plane", ratio(worst.ratio)))
    sampler, passes = provenance.get("sampler"), provenance.get("passes")
    if sampler:
        facts.append(("Sampler", f"{sampler}, {passes} passes" if passes else str(sampler)))
    if "seed" in provenance:
        facts.append(("Seed", str(provenance["seed"])))
    return facts


def _planes(samples: Any) -> Mapping[str, Sequence[Any]] | None:
    samples = getattr(samples, "images", samples)
    if samples is None:
        return None
    if not isinstance(samples, Mapping):
        raise TypeError(
            "`samples_2d` must be a mapping of 'xy', 'xz', 'yz' to 2D label arrays, "
            f"got {type(samples).__name__}"
        )
    return samples


def _extra_sections(extra: Any) -> list[Section]:
    if extra is None:
        return []
    if isinstance(extra, Mapping):
        return [_to_section(str(title), content) for title, content in extra.items()]
    sections = list(extra)
    for section in sections:
        if not isinstance(section, Section):
            raise TypeError(
                f"`extra` must be a mapping or a sequence of Section, got {type(section).__name__}"
            )
    return sections


def _to_section(title: str, content: Any) -> Section:
    if isinstance(content, Section):
        return content
    parts: list[Part] = []
    for item in content if isinstance(content, list | tuple) else [content]:
        if isinstance(item, Part):
            parts.append(item)
        elif isinstance(item, str):
            parts.append(Text(item))
        else:
            parts += _sections.result_parts(title, item)
    return Section(title, tuple(parts))


def _anchored(section: Section) -> Section:
    if section.anchor:
        return section
    anchor = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")
    return Section(section.title, section.parts, section.lead, f"more-{anchor}")


def _micrographs_record(micrographs: Any) -> dict[str, Any] | None:
    if micrographs is None:
        return None
    fingerprint = getattr(micrographs, "fingerprint", None)
    return {
        "planes": {
            plane: {
                "images": len(images),
                "sizes": [list(np.shape(image)) for image in images],
                "borrowed": (getattr(micrographs, "borrowed", {}) or {}).get(plane),
            }
            for plane, images in micrographs.images.items()
        },
        "volume_fractions": np.asarray(micrographs.volume_fractions(), dtype=float),
        "fingerprint": fingerprint() if callable(fingerprint) else None,
        "warnings": _sections.warnings_of(micrographs),
    }


def _properties_record(properties: Any) -> dict[str, Any] | None:
    if properties is None:
        return None
    items = properties if isinstance(properties, Mapping) else {"": properties}
    return {str(name): _plain_result(result) for name, result in items.items()}


def _plain_result(result: Any) -> Any:
    """Return a result object as mappings, without its fields of voxels."""
    if isinstance(result, Section | Part):
        return result.to_dict()
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        values = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
        return {
            name: _plain_result(value)
            for name, value in values.items()
            if not name.startswith("_") and np.size(value) <= 10_000
        }
    if isinstance(result, list | tuple):
        return [_plain_result(item) for item in result]
    return result


def _comparison_record(comparison: Any, errors: Sequence[_sections.Error]) -> dict[str, Any] | None:
    if comparison is None:
        return None
    to_dict = getattr(comparison, "to_dict", None)
    summary = getattr(comparison, "summary", None)
    return {
        "summary": summary() if callable(summary) else None,
        "per_plane": [p._asdict() for p in _sections.plane_errors(errors)],
        "curves": [{**e._asdict(), "ratio": e.ratio} for e in errors],
        "full": to_dict() if callable(to_dict) else None,
    }


@functools.cache
def _environment() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["png"] = _pictures.data_uri
    environment.filters["polar"] = lambda polar: jinja2.utils.markupsafe.Markup(
        _plots.polar_svg(polar)
    )
    environment.filters["svg"] = lambda plot: jinja2.utils.markupsafe.Markup(_plots.svg(plot))
    return environment


def _render(**values: Any) -> str:
    environment = _environment()
    css, script, surface = (
        environment.loader.get_source(environment, name)[0]
        for name in ("report.css", "viewer.js", "surface.js")
    )
    parts = [part for section in values["sections"] for part in section.parts]
    if not any(isinstance(part, Surface) for part in parts):
        surface = ""
    return environment.get_template("report.html.j2").render(
        css=css, js=script, surface_js=surface, **values
    )
