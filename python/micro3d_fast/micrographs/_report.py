# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What `Micrographs.check` reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .._planes import AXIS_NAMES, IMAGE_AXES
from ._contradictions import AxisReport
from ._edges import Bar, Gradient
from ._noise import Noise
from ._patch import PatchReport
from ._repeats import Repeats


@dataclass(frozen=True)
class PlaneReport:
    """One plane: number and sizes of its images, volume fractions and their standard error.

    ``lengths`` are the correlation lengths (1/e) along rows' and columns' axis in pixels;
    ``tilted`` says that the images differ from their mirror images.  For a borrowed plane, the
    attributes that describe single images are None or empty.
    """

    plane: str
    images: int
    sizes: str
    fractions: tuple[float, ...]
    standard_errors: tuple[float, ...]
    lengths: tuple[float, float]
    borrowed: str = ""
    repeats: Repeats | None = None
    noise: Noise | None = None
    bars: tuple[Bar, ...] = ()
    gradients: tuple[Gradient, ...] = ()
    tilted: bool = False

    @property
    def independent(self) -> float:
        """Number of independent images that the images amount to."""
        return self.repeats.independent if self.repeats else float(self.images)

    def lines(self, names: Sequence[str]) -> Iterator[str]:
        """Yield lines of text for phases of such names."""
        if self.borrowed:
            yield f"  {self.plane}  borrowed: {self.borrowed}"
            return
        fractions = ", ".join(
            f"{name} {f:.4f} ± {e:.4f}"
            for name, f, e in zip(names, self.fractions, self.standard_errors, strict=True)
        )
        rows, columns = (AXIS_NAMES[axis] for axis in IMAGE_AXES[self.plane])
        yield (
            f"  {self.plane}  {self.images} images of {self.sizes}; {fractions}; correlation "
            f"length {rows} {self.lengths[0]:.1f}, {columns} {self.lengths[1]:.1f} pixels"
        )
        parts = []
        if self.repeats and self.images > 1:
            parts.append(
                f"about {self.repeats.independent:.1f} independent images (correlation of "
                f"neighbours {self.repeats.neighbours:.2f}, of all pairs {self.repeats.pairs:.2f})"
            )
        if self.noise:
            parts.append(f"single pixels {self.noise.speckle:.2%}")
        parts += [
            f"{names[g.phase]} changes by {g.change:+.3f} ± {g.standard_error:.3f} along {g.axis}"
            for g in self.gradients
        ]
        if parts:
            yield f"      {'; '.join(parts)}"

    def notes(self) -> Iterator[str]:
        """Yield what is no fault of the plane, but must be known."""
        if self.tilted and not self.borrowed:
            rows, columns = (AXIS_NAMES[axis] for axis in IMAGE_AXES[self.plane])
            yield (
                f"plane {self.plane} looks tilted against the axes, so its crops are not mirrored; "
                f"the rows of all its images must follow each other along rising {rows}, and the "
                f"columns along rising {columns}"
            )


@dataclass(frozen=True, repr=False)
class MicrographReport:
    """The result of :meth:`Micrographs.check`; prints as a small table.

    ``warnings`` holds one sentence for each fault, ``segmentation`` how thresholds were used.
    """

    phase_names: tuple[str, ...]
    voxel_size: tuple[float, float, float]
    planes: tuple[PlaneReport, ...]
    axes: tuple[AxisReport, ...]
    warnings: tuple[str, ...]
    patch: PatchReport | None = None
    segmentation: str = ""

    @property
    def notes(self) -> tuple[str, ...]:
        """One sentence for each thing that is no fault, but must be known."""
        return tuple(note for plane in self.planes for note in plane.notes())

    def __repr__(self) -> str:
        return "\n".join([self.table(), *self.verdict()])

    def verdict(self) -> list[str]:
        """Return the lines that say which faults were found, or that none was."""
        if self.warnings:
            return [f"  warning: {warning}" for warning in self.warnings]
        several = sum(not plane.borrowed for plane in self.planes) > 1
        return [f"  no faults found{'; the planes agree' if several else ''}"]

    def table(self) -> str:
        """Return the lines that are printed before the warnings."""
        lines = [f"Micrographs, voxel size (z, y, x) {self.voxel_size} m"]
        if all(size == 1.0 for size in self.voxel_size):
            lines = ["Micrographs, lengths in pixels"]
        if self.segmentation:
            lines.append(f"  {self.segmentation}")
        for plane in self.planes:
            lines.extend(plane.lines(self.phase_names))
        for a in self.axes:
            first, second = a.planes
            pair = f"{first} and {second}" if a.axis else f"rows and columns of {first}"
            along = f" along {a.axis}" if a.axis else ""
            lines.append(
                f"  S2{along} of {pair} differs by {a.difference:.1%} "
                f"(scatter between images {a.scatter:.1%})"
            )
        if self.patch:
            lines.append(f"  {self.patch}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)


def describe_sizes(images: Sequence[np.ndarray]) -> str:
    """Return ``"44 x 48"``, or ``"30 x 20 to 44 x 48"`` of images that differ."""
    low = np.min([image.shape for image in images], axis=0)
    high = np.max([image.shape for image in images], axis=0)
    text = f"{low[0]} x {low[1]}"
    return text if (low == high).all() else f"{text} to {high[0]} x {high[1]}"
