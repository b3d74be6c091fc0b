# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Sections of 2D images: input micrographs, slices of the volume, samples of the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .._lengths import LengthUnit, length_unit, nice_length
from .._planes import AXIS_NAMES, IMAGE_AXES, NORMAL, PLANES
from .._png import label_png
from ..micrographs import Micrographs
from ._document import Part, Section, SliceGroup, SliceImage, SlicePlane, Slices, Table, Text
from ._subject import Subject

IMAGES_SHOWN = 6  # per plane, of micrographs and of samples
SLICES_SHOWN = 3  # per plane, of the volume and of the images beside it


def micrographs_section(micrographs: Micrographs, subject: Subject) -> Section:
    """Return the section on the micrographs: some of each plane, counts, fractions, warnings."""
    given = {
        plane: images
        for plane, images in micrographs.images.items()
        if plane not in micrographs.borrowed
    }
    rows: list[list[Any]] = []
    for plane in (plane for plane in PLANES if plane in micrographs.images):
        images = micrographs.images[plane]
        fractions = _plane_fractions(images, len(subject.phase_names))
        borrowed = micrographs.borrowed.get(plane)
        source = f"borrowed: {borrowed}" if borrowed else "given"
        rows.append([plane, len(images), _sizes_text(images), source, *map(float, fractions)])
    names = list(subject.phase_names)
    table = Table(
        ["Plane", "Images", "Size (rows × columns)", "Source", *names],
        rows,
        caption="The micrographs and the phase fractions in each plane.",
        formats=["", "d", "", "", *[".4f"] * len(names)],
    )
    parts: list[Part] = [
        subject.key(),
        Slices(
            _overview(given, "Micrograph {} of plane {}", micrographs.voxel_size),
            "Micrographs as loaded, in the colours of their phases, at one scale.",
        ),
        table,
    ]
    if micrographs.segmentation:
        parts.append(Text(f"Segmentation: {micrographs.segmentation}.", "note"))
    parts += [Text(warning, "warning") for warning in micrographs.check().warnings]
    return Section("Input micrographs", tuple(parts), anchor="input")


def samples_section(
    samples: Mapping[str, Sequence[Any]], subject: Subject, verdict: str = ""
) -> Section:
    """Return the section on 2D samples of the network, drawn without a volume."""
    lead = (
        "Images sampled one at a time from the network, without the other planes. "
        "A volume can hardly match the micrographs better than these do."
    )
    lead += f" Their own verdict is “{verdict}”." if verdict else ""
    parts: list[Part] = [
        subject.key(),
        Slices(
            _overview(samples, "2D sample {}, plane {}", subject.voxel_size),
            "2D samples of the network, at one scale.",
        ),
    ]
    return Section("The 2D network alone", tuple(parts), lead, "samples")


def _overview(
    images: Mapping[str, Sequence[Any]], alt: str, voxel_size: Sequence[float]
) -> list[SlicePlane]:
    """Return some images of every plane; ``alt`` is formatted with number and plane."""
    chosen = {
        plane: spread(images[plane], IMAGES_SHOWN)
        for plane in PLANES
        if plane in images and len(images[plane])
    }
    longest = max(
        max(_edges(np.shape(image), plane, voxel_size))
        for plane, some in chosen.items()
        for _, image in some
    )
    return [
        SlicePlane(
            _plane_title(plane),
            [
                SliceGroup(
                    f"{len(some)} of {len(images[plane])}",
                    [
                        _slice_image(image, plane, voxel_size, longest, alt.format(i, plane))
                        for i, image in some
                    ],
                )
            ],
            _scale_bar(longest, length_unit(voxel_size, longest)),
        )
        for plane, some in chosen.items()
    ]


def slices_section(
    subject: Subject, reference: Micrographs | None, name: str = "micrographs"
) -> Section:
    """Return slices of the volume beside the images of its reference, at the same scale."""
    count = 2 * SLICES_SHOWN if reference is None else SLICES_SHOWN
    planes = []
    for plane in PLANES:
        groups = [_volume_group(subject, plane, count)]
        if reference is not None and reference.images.get(plane):
            groups.insert(0, _reference_group(subject, plane, reference, name.capitalize()))
        bar = _scale_bar(subject.longest, subject.unit)
        planes.append(SlicePlane(_plane_title(plane), groups, bar))
    title = "Slices" if reference is None else f"Slices beside the {name}"
    beside = "" if reference is None else f" beside the {name} in the same plane"
    slices = Slices(planes, f"Slices through the volume{beside}, all at one scale.")
    return Section(title, (subject.key(), slices), anchor="slices")


def _volume_group(subject: Subject, plane: str, count: int) -> SliceGroup:
    normal = NORMAL[plane]
    n, axis = subject.labels.shape[normal], AXIS_NAMES[normal]
    indices = sorted({round((i + 1) * n / (count + 1) - 0.5) for i in range(count)})
    return SliceGroup(
        f"Volume, {axis} = {', '.join(map(str, indices))}",
        [
            _slice_image(
                subject.labels.take(index, axis=normal),
                plane,
                subject.voxel_size,
                subject.longest,
                f"Slice {axis} = {index} of the volume",
            )
            for index in indices
        ],
    )


def _reference_group(subject: Subject, plane: str, reference: Micrographs, name: str) -> SliceGroup:
    images = reference.images[plane]
    parts = [
        (i, _crop(image, plane, reference.voxel_size, subject))
        for i, image in spread(images, SLICES_SHOWN)
    ]
    title = name
    if any(part.shape != np.shape(images[i]) for i, part in parts):
        title += ", cropped to the size of a slice"
    if plane in reference.borrowed:
        title += f" (borrowed: {reference.borrowed[plane]})"
    return SliceGroup(
        title,
        [
            _slice_image(
                part,
                plane,
                reference.voxel_size,
                subject.longest,
                f"{name}: image {i}, plane {plane}",
            )
            for i, part in parts
        ],
    )


def _plane_title(plane: str) -> str:
    rows, columns = (AXIS_NAMES[axis] for axis in IMAGE_AXES[plane])
    return f"{plane} plane ({columns} to the right, {rows} down)"


def _plane_fractions(images: Iterable[Any], n_phases: int) -> np.ndarray:
    counts = sum(np.bincount(np.asarray(i).ravel(), minlength=n_phases) for i in images)
    return np.asarray(counts) / np.sum(counts)


def _sizes_text(images: Sequence[Any]) -> str:
    """Return the size of images, or the smallest and the largest."""
    shapes = sorted({np.shape(image) for image in images}, key=lambda s: (s[0] * s[1], s))
    sizes = [f"{rows} × {columns}" for rows, columns in shapes]
    return sizes[0] if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"


def spread(items: Sequence[Any], most: int) -> list[tuple[int, Any]]:
    """Return up to ``most`` items evenly spread over a sequence, with their numbers."""
    n = len(items)
    chosen = sorted({round(i * (n - 1) / max(most - 1, 1)) for i in range(min(most, n))})
    return [(i, items[i]) for i in chosen]


def _slice_image(
    image: Any, plane: str, voxel_size: Sequence[float], longest: float, alt: str
) -> SliceImage:
    image = np.asarray(image)
    height, width = _edges(image.shape, plane, voxel_size)
    rows, columns = image.shape
    return SliceImage(
        png=label_png(image, longest=400),
        alt=f"{alt}, {rows} × {columns} pixels",
        width=round(width / longest, 5),
        aspect=f"{width / height:.6g}",
        shrunk=max(image.shape) > 400,
    )


def _scale_bar(longest: float, unit: LengthUnit) -> dict[str, Any]:
    """Return a bar of round length, about a third of the longest edge."""
    length = nice_length(unit(longest) * 0.4)
    return {"width": round(length / unit(longest), 5), "text": f"{length:g} {unit.name}"}


def _edges(shape: Sequence[int], plane: str, voxel_size: Sequence[float]) -> tuple[float, float]:
    rows, columns = IMAGE_AXES[plane]
    return shape[0] * voxel_size[rows], shape[1] * voxel_size[columns]


def _crop(
    image: np.ndarray, plane: str, voxel_size: Sequence[float], subject: Subject
) -> np.ndarray:
    """Return the centre of an image, no larger than a slice of the volume."""
    window = []
    for n, axis in zip(image.shape, IMAGE_AXES[plane], strict=True):
        edge = subject.labels.shape[axis] * subject.voxel_size[axis]
        keep = min(n, max(1, round(edge / voxel_size[axis])))
        start = (n - keep) // 2
        window.append(slice(start, start + keep))
    return image[tuple(window)]
