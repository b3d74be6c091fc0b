# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""From the values of a volume file to labels: phases, thresholds, a mask and the part to keep."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .. import _checks
from .._checks import refuse, refuse_content, refuse_type, shown
from .._errors import ArgumentError, ArgumentTypeError
from .._grey_images import GreyImage
from .._phase_rules import Segmentation, label_images


class LabelRule(NamedTuple):
    """The arguments of `load` that make labels of the values of a file."""

    phases: Any
    threshold: Any
    n_phases: Any
    mask: Any
    crop: Any

    def labels(
        self, source: str, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray | None, Segmentation]:
        """Return the labels, where the mask is true (None: everywhere), and the thresholds."""
        inside = self._inside(values.shape)
        if self.crop is not None:
            box = box_of(self.crop, values.shape)
            values, inside = values[box], None if inside is None else inside[box]
        if inside is None or inside.all():
            whole, segmentation = self._inner_labels(source, values)
            return whole, None, segmentation
        if not inside.any():
            raise refuse("mask", "hold a voxel of the material", "none")
        inner, segmentation = self._inner_labels(source, values[inside][None])
        labels = np.zeros(values.shape, dtype=np.uint8)
        labels[inside] = inner[0]
        return labels, inside, segmentation

    def count(self, labels: np.ndarray) -> int:
        """Return the number of phases, with those that are mapped and do not occur."""
        mapped = self.phases.values() if isinstance(self.phases, Mapping) else ()
        return max(int(labels.max()), *mapped, 0) + 1

    def _inner_labels(self, source: str, values: np.ndarray) -> tuple[np.ndarray, Segmentation]:
        if self.phases == "labels" and values.dtype.kind == "f" and self.threshold is None:
            whole = values.astype(np.uint8)
            if (whole != values).any():
                raise refuse_content(source, "hold whole numbers 0 ... 255", "others")
            return whole, Segmentation()
        as_they_are = self.phases is None or self.phases == "labels"
        if self.threshold is None and as_they_are:
            try:
                labels = _checks.as_labels(values, ndim=values.ndim)
            except (ArgumentError, ArgumentTypeError) as error:
                raise error.in_source(source, named=False) from None
            return labels, Segmentation()
        image = GreyImage(values, source)
        images, _, segmentation = label_images(
            {"": [image]}, self.phases, self.threshold, self.n_phases
        )
        return images[""][0], segmentation

    def _inside(self, shape: tuple[int, ...]) -> np.ndarray | None:
        if self.mask is None:
            return None
        inside = _checks.to_host(self.mask, name="mask")
        if inside.dtype.kind not in "bui":
            raise refuse_type("mask", "be an array of bool or integers", f"dtype {inside.dtype}")
        if inside.shape != shape:
            raise refuse("mask", f"have the shape {shape}", str(inside.shape))
        return _checks.inside_of_mask(inside)


def box_of(crop: Any, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the part of a volume that ``crop`` names."""
    wanted = f"be three of (start, stop) within {shape}"
    box = []
    try:
        for part, n in zip(crop, shape, strict=True):
            ends = (part.start, part.stop) if isinstance(part, slice) else part or (None, None)
            start, stop, _ = slice(*(e if e is None else operator.index(e) for e in ends)).indices(
                n
            )
            outside = [e for e in ends if e is not None and not -n <= e <= n]
            if start >= stop or outside or (isinstance(part, slice) and part.step not in (None, 1)):
                raise ValueError
            box.append(slice(start, stop))
    except (TypeError, ValueError):
        raise refuse("crop", wanted, shown(crop)) from None
    return tuple(box)
