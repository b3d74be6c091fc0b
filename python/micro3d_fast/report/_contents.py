# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The contents of a report and the sections that show them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..micrographs import Micrographs
from ..statistics import Comparison, Connectivity
from ..statistics.verdict import Verdict
from . import _comparison, _origin, _overview, _properties, _slices, effective
from ._document import Section
from ._format import percent
from ._subject import Subject


@dataclass(frozen=True)
class Contents:
    """The contents of a report: the arguments of `write_report`, checked and completed."""

    subject: Subject
    micrographs: Micrographs | None
    reference_images: Micrographs | None  # shown beside the slices of the volume
    comparison: Comparison | None
    comparison_raw: Comparison | None
    comparison_2d: Comparison | None
    connectivity: Connectivity | None
    samples: Mapping[str, Sequence[Any]]
    timings: Mapping[str, Any]
    properties: Mapping[str, Any] | None
    extra: Sequence[Section]
    reproduce: Mapping[str, str]
    title: str
    software: Mapping[str, Any]
    given_verdict: str | None

    @property
    def reference(self) -> str:
        """Word for what the volume is compared with."""
        return "reference" if self.micrographs is None else "micrographs"

    @property
    def raw_fractions(self) -> list[float] | None:
        """Phase fractions before matching, if the provenance has them."""
        raw = self.subject.provenance.get("raw_volume_fractions")
        return [float(value) for value in raw] if isinstance(raw, Sequence) else None

    @cached_property
    def errors(self) -> list[_comparison.Error]:
        """Errors of the volume."""
        return _comparison.errors_of(self.comparison)

    @cached_property
    def errors_raw(self) -> list[_comparison.Error]:
        """Errors of the volume before its phase fractions were matched."""
        return _comparison.errors_of(self.comparison_raw)

    @cached_property
    def errors_2d(self) -> list[_comparison.Error]:
        """Errors of the 2D samples."""
        return _comparison.errors_of(self.comparison_2d)

    @property
    def judged(self) -> Verdict | None:
        """The verdict of the comparison, if there is one."""
        return None if self.comparison is None else self.comparison.verdict

    @property
    def verdict(self) -> str:
        """The sentence under the headline."""
        if self.given_verdict is not None:
            return self.given_verdict
        return "" if self.judged is None else str(self.judged)

    def facts(self) -> list[tuple[str, str]]:
        """Return the names and values under the headline."""
        subject, provenance = self.subject, self.subject.provenance
        facts = [("Voxels (z × y × x)", " × ".join(map(str, subject.labels.shape)))]
        if subject.unit.name != "voxels":
            facts.append(("Edges (x × y × z)", subject.edges()))
        phases = zip(subject.phase_names, subject.fractions, strict=True)
        fractions = ", ".join(f"{name} {percent(float(fraction))}" for name, fraction in phases)
        facts.append(("Phases", fractions))
        sampler, passes = provenance.get("sampler"), provenance.get("passes")
        if sampler:
            facts.append(("Sampler", f"{sampler}, {passes} passes" if passes else str(sampler)))
        if "seed" in provenance:
            facts.append(("Seed", str(provenance["seed"])))
        return facts

    def sections(self) -> list[Section]:
        """Return the sections in their order; the first is what the page opens with.

        Without a comparison the measurements are unfolded.
        """
        subject, word, compared = self.subject, self.reference, self.comparison
        sections: list[Section | None] = [
            _overview.overview_section(subject, compared, self.properties, word)
        ]
        if compared is not None:
            if self.judged is not None:
                sections.append(_comparison.deviations_section(compared, self.judged))
            sections.append(_comparison.curves_section(compared, subject, word))
            sections.append(
                _comparison.errors_section(compared, subject, self.errors_2d, self.errors_raw, word)
            )
        measured: list[Section] = []
        if self.properties is not None:
            names = subject.phase_names
            measured.append(_properties.properties_section(self.properties, names))
        if self.connectivity is not None:
            measured.append(effective.connectivity_section(self.connectivity, word))
        measured += self.extra
        sections += [dataclasses.replace(s, open=s.open or compared is None) for s in measured]
        sections.append(_slices.slices_section(subject, self.reference_images, word))
        sections.append(
            _comparison.fractions_section(subject, self.micrographs, self.raw_fractions)
        )
        if self.micrographs is not None:
            sections.append(_slices.micrographs_section(self.micrographs, subject))
        if self.samples:
            alone = None if self.comparison_2d is None else self.comparison_2d.verdict
            sections.append(_slices.samples_section(self.samples, subject, str(alone or "")))
        if self.timings:
            sections.append(_origin.timings_section(self.timings))
        sections.append(_origin.provenance_section(subject.provenance, self.software))
        if self.reproduce:
            sections.append(_origin.reproduce_section(self.reproduce))
        return [_anchored(section) for section in sections if section is not None]


def _anchored(section: Section) -> Section:
    if section.anchor:
        return section
    anchor = re.sub(r"[^a-z0-9]+", "-", section.title.lower()).strip("-")
    return dataclasses.replace(section, anchor=f"more-{anchor}")
