# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The record of a report: ``report.json``."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..micrographs import Micrographs
from ..microstructure import plain_json
from ..statistics import Comparison
from ._comparison import Error, plane_errors
from ._contents import Contents
from ._document import Part, Section


def record_of(
    contents: Contents, sections: Sequence[Section], date: datetime.date
) -> dict[str, Any]:
    """Return everything a report shows as plain JSON."""
    subject = contents.subject
    record = {
        "title": contents.title,
        "verdict": contents.verdict,
        "micro3d_fast": contents.software["micro3d-fast"],
        "date": date.isoformat(),
        "microstructure": {
            "shape": list(subject.labels.shape),
            "voxel_size": list(subject.voxel_size),
            "phase_names": list(subject.phase_names),
            "volume_fractions": subject.fractions,
            "raw_volume_fractions": contents.raw_fractions,
            "provenance": subject.provenance,
        },
        "micrographs": _micrographs_record(contents.micrographs),
        "comparison": _comparison_record(contents.comparison, contents.errors),
        "comparison_raw": _comparison_record(contents.comparison_raw, contents.errors_raw),
        "comparison_2d": _comparison_record(contents.comparison_2d, contents.errors_2d),
        "properties": _properties_record(contents.properties),
        "timings": dict(contents.timings),
        "software": contents.software,
        "reproduce": dict(contents.reproduce),
        "sections": [section.to_dict() for section in sections],
    }
    return plain_json(record, name="report")


def _micrographs_record(micrographs: Micrographs | None) -> dict[str, Any] | None:
    if micrographs is None:
        return None
    return {
        "planes": {
            plane: {
                "images": len(images),
                "sizes": [list(np.shape(image)) for image in images],
                "borrowed": micrographs.borrowed.get(plane),
            }
            for plane, images in micrographs.images.items()
        },
        "volume_fractions": np.asarray(micrographs.volume_fractions(), dtype=float),
        "fingerprint": micrographs.fingerprint(),
        "segmentation": micrographs.segmentation,
        "warnings": list(micrographs.check().warnings),
    }


def _comparison_record(
    comparison: Comparison | None, errors: Sequence[Error]
) -> dict[str, Any] | None:
    if comparison is None:
        return None
    return {
        "summary": comparison.summary(),
        "per_plane": [p._asdict() for p in plane_errors(errors)],
        "curves": [{**e._asdict(), "ratio": e.ratio} for e in errors],
        "full": comparison.to_dict(),
    }


def _properties_record(properties: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if properties is None:
        return None
    return {name: _plain_result(result) for name, result in properties.items()}


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
    if isinstance(result, Mapping):
        return {str(name): _plain_result(value) for name, value in result.items()}
    if isinstance(result, list | tuple):
        return [_plain_result(item) for item in result]
    return result
