# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The check of micrographs: everything that spoils a model, and that the images themselves show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from .._planes import PLANES
from ._borrowing import correlation_length
from ._contradictions import find_contradictions, fraction_errors
from ._edges import Bar, bar_warnings, find_bars, find_gradients, gradient_warnings, without_bars
from ._noise import find_noise, noise_warnings
from ._repeats import find_repeats, repeat_warnings, shared_warnings
from ._report import MicrographReport, PlaneReport, describe_sizes

if TYPE_CHECKING:
    from ._micrographs import Micrographs


def check(micrographs: Micrographs) -> MicrographReport:
    """Return the report on the planes of micrographs (see `Micrographs.check`)."""
    given = micrographs.given
    planes = {plane: _plane_report(micrographs, plane) for plane in PLANES}
    axes, contradictions = find_contradictions(micrographs, planes)
    found = list(contradictions)
    if not _is_sliced(micrographs):  # planes of a symmetric volume show the same by themselves
        found += shared_warnings({p: micrographs.images[p] for p in given})
    for plane in given:
        found += _plane_warnings(planes[plane], micrographs.phase_names)
    return MicrographReport(
        phase_names=micrographs.phase_names,
        voxel_size=micrographs.voxel_size,
        planes=tuple(planes.values()),
        axes=tuple(axes),
        warnings=tuple(found),
        segmentation=micrographs.segmentation,
    )


def _is_sliced(micrographs: Micrographs) -> bool:
    """Return whether all images are slices that `Micrographs.from_volume` took."""
    sources = [source for plane in micrographs.given for source in micrographs.sources[plane]]
    return all(source.startswith("labels[") and source.endswith("]") for source in sources)


def _plane_report(micrographs: Micrographs, plane: str) -> PlaneReport:
    images, n_phases = micrographs.images[plane], micrographs.n_phases
    lengths = correlation_length(images, 0), correlation_length(images, 1)
    repeats = None
    bars: tuple[Bar, ...] = ()
    if plane in micrographs.given:
        repeats = find_repeats(images)
        bars = find_bars(images, n_phases, repeats.independent, lengths)
        if bars:  # they are alike in all images, which are not
            images = without_bars(images, bars)
            repeats = find_repeats(images)
    independent = repeats.independent / len(images) if repeats else 1.0
    return PlaneReport(
        plane=plane,
        images=len(images),
        sizes=describe_sizes(micrographs.images[plane]),
        fractions=tuple(micrographs.plane_fractions(plane).tolist()),
        standard_errors=fraction_errors(micrographs.images[plane], n_phases, independent, lengths),
        lengths=lengths,
        borrowed=micrographs.borrowed.get(plane, ""),
        repeats=repeats,
        noise=find_noise(images) if repeats else None,
        bars=bars,
        gradients=find_gradients(images, plane, n_phases, independent, lengths) if repeats else (),
        tilted=plane not in micrographs.mirrored,
    )


def _plane_warnings(report: PlaneReport, names: tuple[str, ...]) -> Iterator[str]:
    yield from bar_warnings(report.plane, report.bars)
    if report.repeats:
        yield from repeat_warnings(report.plane, report.images, report.repeats)
    if report.noise:
        yield from noise_warnings(report.plane, report.noise)
    yield from gradient_warnings(report.plane, report.gradients, names)
