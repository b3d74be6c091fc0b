# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The checks of the arguments of `write_report`, and what is computed where they are not given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .. import _checks
from ..micrographs import Micrographs
from ..microstructure import Microstructure, phase_names_for
from ..statistics import compare, connectivity
from ._contents import Contents
from ._document import Section
from ._origin import software_versions
from ._properties import by_name, section_of
from ._reproduction import reproduction
from ._subject import Subject


def gather(
    microstructure: Any,
    micrographs: Any = None,
    reference: Any = None,
    *,
    comparisons: tuple[Any, Any, Any] = (None, None, None),
    samples: Any = None,
    timings: Any = None,
    properties: Any = None,
    extra: Any = None,
    reproduce: Mapping[str, str] | None = None,
    title: str | None = None,
    verdict: str | None = None,
) -> Contents:
    """Check the arguments of `write_report` and complete them."""
    if micrographs is not None and not isinstance(micrographs, Micrographs):
        raise _checks.refuse_type("micrographs", "be a Micrographs", type(micrographs).__name__)
    if timings is not None and not isinstance(timings, Mapping):
        raise _checks.refuse_type("timings", "be a mapping of names to seconds", repr(timings))
    subject = _subject_of(microstructure, micrographs)
    extra, samples = _extra_sections(extra), _samples_of(samples)
    images = micrographs
    if micrographs is None and reference is not None:
        images = Micrographs.from_volume(reference, 8)
    compared_with = reference if micrographs is None else micrographs
    comparison, comparison_raw, comparison_2d = comparisons
    if comparison is None and compared_with is not None:
        comparison = compare(microstructure, compared_with)
    raw = microstructure.fields if isinstance(microstructure, Microstructure) else {}
    if comparison_raw is None and comparison is not False and compared_with is not None:
        comparison_raw = (
            compare(raw["raw_labels"], compared_with, verdict=False)
            if "raw_labels" in raw
            else None
        )
    return Contents(
        subject=subject,
        micrographs=micrographs,
        reference_images=images,
        comparison=None if comparison is False else comparison,
        comparison_raw=comparison_raw,
        comparison_2d=comparison_2d,
        connectivity=None if compared_with is None else connectivity(microstructure, compared_with),
        samples=samples,
        timings=timings or {},
        properties=None if properties is None else by_name(properties),
        extra=extra,
        reproduce=reproduction(subject.provenance, subject.labels.shape)
        if reproduce is None
        else reproduce,
        title=title or "A reconstructed microstructure",
        software=software_versions(),
        given_verdict=verdict,
    )


def _subject_of(microstructure: Any, micrographs: Micrographs | None) -> Subject:
    """Return the volume; an array takes names and voxel size from the micrographs, if any."""
    labels = _checks.as_labels(microstructure, name="microstructure", ndim=3)
    source = microstructure if isinstance(microstructure, Microstructure) else micrographs
    return Subject(
        labels,
        (1.0, 1.0, 1.0) if source is None else source.voxel_size,
        phase_names_for(int(labels.max()) + 1, None if source is None else source.phase_names),
        dict(source.provenance) if isinstance(source, Microstructure) else {},
    )


def _samples_of(samples: Any) -> Mapping[str, Sequence[Any]]:
    samples = samples.images if isinstance(samples, Micrographs) else samples
    if samples is not None and not isinstance(samples, Mapping):
        wanted = "be a mapping of 'xy', 'xz', 'yz' to 2D label arrays"
        raise _checks.refuse_type("samples_2d", wanted, type(samples).__name__)
    return samples or {}


def _extra_sections(extra: Any) -> list[Section]:
    if extra is None:
        return []
    if isinstance(extra, Mapping):
        return [section_of(str(title), content) for title, content in extra.items()]
    sections = list(extra)
    for section in sections:
        if not isinstance(section, Section):
            wanted = "be a mapping or a sequence of Section"
            raise _checks.refuse_type("extra", wanted, type(section).__name__)
    return sections
