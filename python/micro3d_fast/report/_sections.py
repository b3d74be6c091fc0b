# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The sections of a reconstruction report, each built from what the caller has."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..micrographs import PLANE_AXES, PLANE_NORMAL, PLANES
from . import _pictures, effective
from ._document import (
    Curve,
    Figure,
    Key,
    LengthUnit,
    Part,
    Plot,
    Section,
    Slices,
    Table,
    Text,
    Viewer,
    cell_text,
    duration,
    length_unit,
    nice_length,
    percent,
    ratio,
)
from ._palette import phase_colour

AXES = ("z", "y", "x")
INPUTS_SHOWN = 6  # micrographs a plane in the first section
SLICES_SHOWN = 3  # images a side in the comparison by eye
FUNCTIONS = {"S2": "S₂", "L": "L"}  # drawn and judged; the autocovariance is in the tables
NAMES = {
    "S2": "two-point correlation S₂",
    "L": "lineal path L",
    "autocovariance": "scaled autocovariance",
}
WORDS = {**FUNCTIONS, "autocovariance": "autocov."}


@dataclass(frozen=True)
class Subject:
    """The volume of a report, and the words for its phases and lengths."""

    labels: np.ndarray  # uint8 (nz, ny, nx)
    voxel_size: tuple[float, float, float]
    phase_names: tuple[str, ...]
    provenance: Mapping[str, Any]

    @property
    def unit(self) -> LengthUnit:
        """Unit in which lengths are printed."""
        return length_unit(self.voxel_size, self.longest)

    @property
    def longest(self) -> float:
        """Longest edge, in metres or voxels."""
        return max(n * size for n, size in zip(self.labels.shape, self.voxel_size, strict=True))

    @property
    def fractions(self) -> np.ndarray:
        """Volume fraction of every phase."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.phase_names))
        return counts / self.labels.size

    def edges(self) -> str:
        """Return the lengths of the three edges in words, along x, y, z."""
        numbers, unit = zip(*(self.edge(axis).rsplit(" ", 1) for axis in (2, 1, 0)), strict=True)
        return f"{' × '.join(numbers)} {unit[0]}"

    def edge(self, axis: int) -> str:
        """Return the length of an edge in words."""
        n = self.labels.shape[axis]
        if self.unit.name == "voxels":
            return f"{n} voxels"
        return f"{self.unit(n * self.voxel_size[axis]):.4g} {self.unit.name}"


def key(subject: Subject) -> Key:
    """Return the colour key of the phases."""
    return Key(
        [
            {"phase": phase, "name": name, "colour": phase_colour(phase)}
            for phase, name in enumerate(subject.phase_names)
        ]
    )


# --------------------------------------------------------------------------------- input, by eye


def inputs(micrographs: Any, subject: Subject) -> Section:
    """Return the section on the micrographs: a few of each plane, counts, fractions, warnings."""
    borrowed: Mapping[str, str] = getattr(micrographs, "borrowed", {}) or {}
    voxel_size = tuple(getattr(micrographs, "voxel_size", subject.voxel_size))
    planes = [plane for plane in PLANES if plane in micrographs.images]
    chosen = {
        plane: spread(micrographs.images[plane], INPUTS_SHOWN)
        for plane in planes
        if plane not in borrowed
    }
    longest = max(
        max(_edges(image.shape, plane, voxel_size))
        for plane, images in chosen.items()
        for _, image in images
    )
    rows: list[list[Any]] = []
    for plane in planes:
        images = micrographs.images[plane]
        fractions = plane_fractions(images, len(subject.phase_names))
        what = f"borrowed: {borrowed[plane]}" if plane in borrowed else "given"
        rows.append([plane, len(images), sizes_text(images), what, *map(float, fractions)])
    names = list(subject.phase_names)
    table = Table(
        ["Plane", "Images", "Size (rows × columns)", "Source", *names],
        rows,
        caption="The micrographs and the phase fractions in each plane.",
        formats=["", "d", "", "", *[".4f"] * len(names)],
    )
    groups = [
        {
            "title": plane_title(plane),
            "groups": [
                {
                    "title": f"{len(images)} of {len(micrographs.images[plane])}",
                    "images": [
                        slice_picture(
                            image, plane, voxel_size, longest, f"Micrograph {i} of plane {plane}"
                        )
                        for i, image in images
                    ],
                }
            ],
            "bar": scale_bar(longest, length_unit(voxel_size, longest)),
        }
        for plane, images in chosen.items()
    ]
    parts: list[Part] = [
        key(subject),
        Slices(
            groups, "Micrographs as they came in, in the colours of their phases, at one scale."
        ),
        table,
    ]
    parts += [Text(str(words), "warning") for words in warnings_of(micrographs)]
    return Section("Input micrographs", tuple(parts), anchor="input")


def warnings_of(micrographs: Any) -> list[str]:
    """Return what the micrographs' own check warns of."""
    check = getattr(micrographs, "check", None)
    return [str(words) for words in getattr(check(), "warnings", ())] if callable(check) else []


def side_by_side(subject: Subject, micrographs: Any | None, word: str = "Micrographs") -> Section:
    """Return the slices of the volume beside the images of its reference, at the same scale."""
    labels = subject.labels
    sample_size = tuple(getattr(micrographs, "voxel_size", subject.voxel_size))
    longest = subject.longest
    most = SLICES_SHOWN if micrographs is not None else 2 * SLICES_SHOWN
    borrowed: Mapping[str, str] = getattr(micrographs, "borrowed", {}) or {}
    planes = []
    for plane in PLANES:
        normal = PLANE_NORMAL[plane]
        n = labels.shape[normal]
        rows, columns = (labels.shape[axis] for axis in PLANE_AXES[plane])
        at = sorted({round((i + 1) * n / (most + 1) - 0.5) for i in range(most)})
        made = [
            slice_picture(
                labels.take(index, axis=normal),
                plane,
                subject.voxel_size,
                longest,
                f"Slice {AXES[normal]} = {index} of the volume",
            )
            for index in at
        ]
        where = ", ".join(str(index) for index in at)
        groups = [{"title": f"Volume, {AXES[normal]} = {where}", "images": made}]
        images = micrographs.images.get(plane, ()) if micrographs is not None else ()
        if len(images):
            parts = [
                (i, _crop(image, plane, sample_size, (rows, columns), subject.voxel_size))
                for i, image in spread(images, SLICES_SHOWN)
            ]
            words = word
            if any(part.shape != np.shape(images[i]) for i, part in parts):
                words += ", cropped to the size of a slice"
            if plane in borrowed:
                words += f" (borrowed: {borrowed[plane]})"
            pictures = [
                slice_picture(
                    part, plane, sample_size, longest, f"{word}: image {i}, plane {plane}"
                )
                for i, part in parts
            ]
            groups.insert(0, {"title": words, "images": pictures})
        planes.append(
            {
                "title": plane_title(plane),
                "groups": groups,
                "bar": scale_bar(longest, subject.unit),
            }
        )
    beside = micrographs is not None
    return Section(
        f"Slices beside the {word.lower()}" if beside else "Slices",
        (
            key(subject),
            Slices(
                planes,
                "Slices through the volume"
                + (f" beside the {word.lower()} in the same plane" if beside else "")
                + ", all at one scale.",
            ),
        ),
        anchor="slices",
    )


def samples_section(samples: Mapping[str, Sequence[Any]], subject: Subject) -> Section:
    """Return the 2D network's own samples: what it knows before the planes must agree."""
    planes = [plane for plane in PLANES if plane in samples and len(samples[plane])]
    chosen = {plane: spread(samples[plane], INPUTS_SHOWN) for plane in planes}
    size = subject.voxel_size
    longest = max(
        max(_edges(np.shape(image), plane, size))
        for plane, images in chosen.items()
        for _, image in images
    )
    groups = [
        {
            "title": plane_title(plane),
            "groups": [
                {
                    "title": f"{len(images)} of {len(samples[plane])}",
                    "images": [
                        slice_picture(image, plane, size, longest, f"2D sample {i}, plane {plane}")
                        for i, image in images
                    ],
                }
            ],
            "bar": scale_bar(longest, length_unit(size, longest)),
        }
        for plane, images in chosen.items()
    ]
    lead = (
        "Images that the network draws one by one, without the other planes. "
        "A volume can hardly be better than these."
    )
    parts: list[Part] = [
        key(subject),
        Slices(groups, "The network's own 2D samples, at one scale."),
    ]
    return Section("The 2D network alone", tuple(parts), lead, "samples")


def view_3d(subject: Subject) -> Section:
    """Return the section with the 3D view."""
    packed = _pictures.embed(subject.labels)
    present = np.flatnonzero(np.bincount(packed.labels.ravel()))
    hidden = [0] if 0 in present and present.size > 1 else []
    dz, dy, dx = (d * f for d, f in zip(subject.voxel_size, packed.factors, strict=True))
    spacing = (dz, dy, dx)
    still = _pictures.rgb_png(
        _pictures.render_block(
            packed.labels,
            tuple(hidden),
            voxel_size=spacing,
            pixels=int(np.clip(9 * max(packed.labels.shape), 160, 640)),
        )
    )
    fractions = subject.fractions
    names = subject.phase_names
    nz, ny, nx = subject.labels.shape
    words = ", ".join(names[phase] for phase in hidden)
    alt = f"Perspective view of the volume of {nz} × {ny} × {nx} voxels" + (
        f", {words} left out." if hidden else "."
    )
    caption = f"The volume, {subject.edges()} (x × y × z)"
    caption += f"; {words} is left out at first." if hidden else "."
    if max(packed.factors) > 1:
        fz, fy, fx = packed.factors
        caption += (
            f" The page draws it coarser, each voxel the majority of {fx} × {fy} × {fz} (x × y × z)"
            f" of the {nx} × {ny} × {nz}; all numbers are of the full volume."
        )
    volume = {
        "shape": list(packed.labels.shape),
        "spacing": [float(s) for s in np.array(spacing) / max(spacing)],
        "lengths": [subject.edge(axis) for axis in (2, 1, 0)],
        "palette": [phase_colour(phase) for phase in range(256)],
        "hidden": hidden,
        "data": packed.data,
    }
    viewer = Viewer(
        still=still,
        alt=alt,
        caption=caption,
        hidden=hidden,
        phases=[
            {
                "phase": phase,
                "name": name,
                "colour": phase_colour(phase),
                "fraction": percent(float(fractions[phase])),
            }
            for phase, name in enumerate(names)
            if fractions[phase] > 0
        ],
        axes=[
            {"name": name, "n": packed.labels.shape[AXES.index(name)]} for name in ("x", "y", "z")
        ],
        volume=volume,
        factors=packed.factors,
    )
    return Section("The volume", (viewer,), anchor="volume")


def plane_title(plane: str) -> str:
    """Return a plane and the way its images lie."""
    rows, columns = (AXES[axis] for axis in PLANE_AXES[plane])
    return f"{plane} plane ({columns} to the right, {rows} down)"


def plane_fractions(images: Iterable[Any], n_phases: int) -> np.ndarray:
    """Return phase fractions pooled over images."""
    counts = sum(np.bincount(np.asarray(i).ravel(), minlength=n_phases) for i in images)
    return np.asarray(counts) / np.sum(counts)


def sizes_text(images: Sequence[Any]) -> str:
    """Return the sizes of images: one, or from the smallest to the largest."""
    shapes = sorted({np.shape(image) for image in images}, key=lambda s: (s[0] * s[1], s))
    words = [f"{rows} × {columns}" for rows, columns in shapes]
    return words[0] if len(words) == 1 else f"{words[0]} to {words[-1]}"


def spread(items: Sequence[Any], most: int) -> list[tuple[int, Any]]:
    """Return up to ``most`` items evenly spread over a sequence, with their numbers."""
    n = len(items)
    chosen = sorted({round(i * (n - 1) / max(most - 1, 1)) for i in range(min(most, n))})
    return [(i, items[i]) for i in chosen]


def slice_picture(
    image: Any, plane: str, voxel_size: Sequence[float], longest: float, alt: str
) -> dict[str, Any]:
    """Return an image with its size on the page, as a share of the longest edge there."""
    image = np.asarray(image)
    height, width = _edges(image.shape, plane, voxel_size)
    rows, columns = image.shape
    return {
        "png": _pictures.label_png(image, longest=400),
        "shrunk": max(image.shape) > 400,
        "alt": f"{alt}, {rows} × {columns} pixels",
        "width": round(width / longest, 5),
        "aspect": f"{width / height:.6g}",
    }


def scale_bar(longest: float, unit: LengthUnit) -> dict[str, Any]:
    """Return a bar of round length, about a third of the longest edge."""
    length = nice_length(unit(longest) * 0.4)
    return {"width": round(length / unit(longest), 5), "text": f"{length:g} {unit.name}"}


def _edges(shape: Sequence[int], plane: str, voxel_size: Sequence[float]) -> tuple[float, float]:
    first, second = PLANE_AXES[plane]
    return shape[0] * voxel_size[first], shape[1] * voxel_size[second]


def _crop(
    image: np.ndarray,
    plane: str,
    voxel_size: Sequence[float],
    shape: Sequence[int],
    volume_voxel_size: Sequence[float],
) -> np.ndarray:
    """Return the middle of an image, no larger than a slice of the volume."""
    window = []
    for n, wanted, axis in zip(image.shape, shape, PLANE_AXES[plane], strict=True):
        keep = min(n, max(1, round(wanted * volume_voxel_size[axis] / voxel_size[axis])))
        start = (n - keep) // 2
        window.append(slice(start, start + keep))
    return image[tuple(window)]


# ------------------------------------------------------------------------------------- the proof


class Error(NamedTuple):
    """One curve's error beside its floor."""

    phase: int
    plane: str
    direction: str
    function: str  # "S2", "L", ...
    error: float
    floor: float
    scatter: float = float("nan")  # of real blocks, where known

    @property
    def ratio(self) -> float:
        """Error over floor; 0/0 is 0."""
        if self.floor != 0:
            return self.error / self.floor  # nan where there is no floor
        return 0.0 if self.error == 0 else float("inf")


def errors_of(comparison: Any) -> list[Error]:
    """Return the rows of a comparison's table."""
    return [
        Error(
            int(row["phase"]),
            str(row["plane"]),
            str(row["direction"]),
            str(row["function"]),
            float(row["error"]),
            float(row["floor"]),
            float(row.get("scatter", float("nan"))),
        )
        for row in comparison.table()
    ]


class PlaneError(NamedTuple):
    """Errors and floors of one function, averaged over a plane's phases and directions."""

    function: str
    plane: str
    error: float
    floor: float
    ratio: float


def plane_errors(errors: Sequence[Error]) -> list[PlaneError]:
    """Return the mean error and floor of every plane and function."""
    found = []
    for function in dict.fromkeys(e.function for e in errors):
        for plane in dict.fromkeys(e.plane for e in errors):
            some = [e for e in errors if (e.function, e.plane) == (function, plane)]
            if some:
                error = float(np.mean([e.error for e in some]))
                floor = float(np.mean([e.floor for e in some]))
                whole = Error(0, plane, "", function, error, floor)
                found.append(PlaneError(function, plane, error, floor, whole.ratio))
    return found


def worst(planes: Sequence[PlaneError], function: str) -> PlaneError | None:
    """Return the plane with the largest ratio of error to floor."""
    some = [p for p in planes if p.function == function and not np.isnan(p.ratio)]
    return max(some, key=lambda p: p.ratio) if some else None


def verdict_of(errors: Sequence[Error], word: str = "micrographs") -> str:
    """Return the proof in one sentence."""
    planes = plane_errors(errors)
    s2, path = worst(planes, "S2"), worst(planes, "L")
    if s2 is None:
        return ""
    words = (
        f"On the worst plane ({s2.plane}) the error of S₂ is {percent(s2.error)}, "
        f"{ratio(s2.ratio)} the split-half floor of the {word}"
    )
    if path is not None:
        words += (
            f"; that of the lineal path is {percent(path.error)}, {ratio(path.ratio)} its floor"
            f" (plane {path.plane})"
        )
    return words + "."


def errors_section(
    errors: Sequence[Error],
    subject: Subject,
    errors_2d: Sequence[Error] = (),
    errors_raw: Sequence[Error] = (),
    word: str = "micrographs",
) -> Section:
    """Return the tables of errors beside floors."""
    functions = list(dict.fromkeys(e.function for e in errors))
    by_place = {(e.phase, e.plane, e.direction, e.function): e for e in errors}
    by_plane = {(p.function, p.plane): p for p in plane_errors(errors)}
    raw = {(p.function, p.plane): p for p in plane_errors(errors_raw)}
    alone = {(p.function, p.plane): p for p in plane_errors(errors_2d)}
    scattered = any(np.isfinite(e.scatter) for e in errors)

    columns, formats = ["Function", "Plane", "error"], ["", "", "%"]
    if raw:
        columns.append("error, raw")
        formats.append("%")
    columns += ["floor", "ratio"]
    formats += ["%", ".2f"]
    if alone:
        columns.append("2D network alone")
        formats.append("%")
    rows: list[list[Any]] = []
    for (function, plane), p in by_plane.items():
        row: list[Any] = [NAMES.get(function, function), plane, p.error]
        if raw:
            row.append(raw[function, plane].error if (function, plane) in raw else None)
        row += [p.floor, p.ratio]
        if alone:
            row.append(alone[function, plane].error if (function, plane) in alone else None)
        rows.append(row)
    words = "Means over phases and directions, plane by plane. Ratio: error over floor."
    if raw:
        words += " Raw: before the phase fractions were matched."
    if alone:
        words += " 2D network alone: the error of its own 2D samples."
    summary = Table(columns, rows, words, formats, row_headers=2)

    columns, formats = ["Phase", "Plane", "Along"], [""] * 3
    for function in functions:
        columns += [f"{WORDS.get(function, function)} error", "floor", "ratio"]
        formats += ["%", "%", ".2f"]
        if scattered:
            columns.append("truth")
            formats.append("%")
    rows = []
    for phase, plane, direction in dict.fromkeys((e.phase, e.plane, e.direction) for e in errors):
        row = [phase_name(subject, phase), plane, direction]
        for function in functions:
            e = by_place.get((phase, plane, direction, function))
            row += [e.error, e.floor, e.ratio] if e else [None] * 3
            if scattered:
                row.append(e.scatter if e else None)
        rows.append(row)
    words = "Every curve."
    if scattered:
        words += " Truth: the error of blocks of the reference of the size of the volume."
    detail = Table(columns, rows, words, formats, row_headers=3)
    lead = (
        f"The error of a curve is the sum of its absolute deviations from that of the {word}, over "
        "the sum of the latter, from lag 0 to half the image. The split-half floor is the same "
        f"error between two random halves of the {word}: below it there is nothing to gain. "
        "A volume that shows less material than they do together scatters more than that, even "
        "if it is perfect."
    )
    return Section("Errors beside their floor", (summary, detail), lead, "errors")


def curves_section(
    panels: Sequence[Mapping[str, Any]], subject: Subject, word: str = "micrographs"
) -> Section:
    """Return the curves, one figure a phase, one panel a plane and direction."""
    unit = subject.unit
    parts: list[Part] = []
    for phase in dict.fromkeys(panel["phase"] for panel in panels):
        plots = []
        for panel in (p for p in panels if p["phase"] == phase):
            curves: list[Curve] = []
            note, said = [], []
            for role, function in zip(("first", "second", "third"), panel["curves"], strict=False):
                c = panel["curves"][function]
                x = unit(np.asarray(c["lag"], dtype=float) * panel["spacing"])
                name = FUNCTIONS.get(function, function)
                if c.get("reference") is not None:
                    low = None if c.get("low") is None else np.maximum(c["low"], 0.0)
                    curves.append(Curve(x, c["reference"], "", "reference", low, c.get("high")))
                curves.append(Curve(x, c["generated"], name, role))
                if c.get("error") is not None:
                    note.append(f"{name} {percent(c['error'])}")
                    floor = c.get("floor")
                    beside = f" beside a floor of {percent(floor)}" if floor is not None else ""
                    said.append(f"error of {name} {percent(c['error'])}{beside}")
            title = f"{panel['plane']}, along {panel['direction']}"
            name = phase_name(subject, phase)
            plots.append(
                Plot(
                    curves,
                    title=title,
                    x_label=f"lag ({unit.name})",
                    note=" · ".join(note),
                    alt=f"Correlations of {name}, plane {title}: " + ("; ".join(said) or "curves"),
                )
            )
        known = any(
            c.get("reference") is not None for panel in panels for c in panel["curves"].values()
        )
        legend = [("first", "S₂, volume"), ("second", "L, volume")]
        if known:
            legend.append(("band", f"{word}, with a band whose edge is the split-half floor"))
        parts.append(
            Figure(
                plots,
                title=phase_name(subject, phase).capitalize(),
                caption=(
                    f"Two-point correlation S₂ and lineal path L of {phase_name(subject, phase)}"
                    + (
                        f", the volume against the {word}; the numbers are the relative errors."
                        if known
                        else "."
                    )
                ),
                legend=legend,
            )
        )
    return Section("Correlations", tuple(parts), anchor="curves")


def fractions_section(
    subject: Subject, micrographs: Any | None, raw: Sequence[float] | None
) -> Section:
    """Return phase fractions: of the micrographs, as denoised, and as delivered."""
    columns, formats = ["Phase"], [""]
    target = None
    if micrographs is not None:
        target = np.asarray(micrographs.volume_fractions(), dtype=float)
        columns.append("Micrographs")
    if raw is not None:
        columns.append("Volume, raw")
    columns.append("Volume, matched" if raw is not None else "Volume")
    final = subject.fractions
    rows = []
    for phase, name in enumerate(subject.phase_names):
        row: list[Any] = [name]
        if target is not None:
            row.append(float(target[phase]) if phase < target.size else None)
        if raw is not None:
            row.append(float(raw[phase]) if phase < len(raw) else None)
        rows.append([*row, float(final[phase])])
    formats += [".4f"] * (len(columns) - 1)
    lead = ""
    if raw is not None:
        lead = (
            "Raw is what the network drew; matched is after the threshold was set so that the "
            "fractions are those asked for. Errors and curves on this page are of the matched "
            "volume."
        )
    return Section(
        "Phase fractions", (Table(columns, rows, "Phase fractions.", formats),), lead, "fractions"
    )


def phase_name(subject: Subject, phase: int) -> str:
    """Return a phase's name."""
    return subject.phase_names[phase] if phase < len(subject.phase_names) else f"phase {phase}"


# ---------------------------------------------------------------------- properties, times, origin


def properties_section(properties: Any, phase_names: Sequence[str]) -> Section:
    """Return effective properties: tensors with their bounds, and whatever else is given."""
    items = properties.items() if isinstance(properties, Mapping) else [("", properties)]
    parts: list[Part] = []
    for name, result in items:
        if isinstance(result, Section):
            parts += result.parts
        elif isinstance(result, Part):
            parts.append(result)
        elif hasattr(result, "stiffness"):
            parts += effective.elastic_parts(result, name=str(name))
        elif hasattr(result, "tensor"):
            parts += effective.conductivity_parts(result, name=str(name))
        elif hasattr(result, "tortuosity"):
            parts += effective.diffusivity_parts([result], phase_names, str(name))
        elif isinstance(result, list | tuple) and all(hasattr(r, "tortuosity") for r in result):
            parts += effective.diffusivity_parts(result, phase_names, str(name))
        else:
            parts += result_parts(str(name), result)
    return Section("Effective properties", tuple(parts), anchor="properties")


def result_parts(name: str, result: Any) -> list[Part]:
    """Return a result object, a mapping or a number as tables."""
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        values = {f.name: getattr(result, f.name) for f in dataclasses.fields(result)}
    elif isinstance(result, Mapping):
        values = {str(key): value for key, value in result.items()}
    else:
        values = {name or "value": result}
    scalars: list[list[Any]] = []
    matrices: list[Part] = []
    for field, value in values.items():
        title = field.replace("_", " ")
        array = np.asarray(value) if isinstance(value, np.ndarray | list | tuple) else None
        if array is not None and array.dtype.kind in "iuf" and array.ndim == 2 and array.size <= 64:
            index = range(1, array.shape[1] + 1)
            matrices.append(
                Table(
                    ["", *map(str, index)],
                    [[str(i + 1), *map(float, row)] for i, row in enumerate(array)],
                    f"{name + ': ' if name else ''}{title}.",
                    ["", *[".5g"] * array.shape[1]],
                )
            )
        elif array is not None and array.size > 16:
            continue  # fields and histories are data, not properties
        elif value is not None:
            scalars.append([title, value.item() if isinstance(value, np.generic) else value])
    first = [Table(["Property", "Value"], scalars, f"{name or 'Properties'}.")] if scalars else []
    return [*first, *matrices]


def timings_section(timings: Mapping[str, Any]) -> Section:
    """Return what took how long; values that are not seconds are shown as they are."""
    rows = [
        [str(name), duration(value) if isinstance(value, int | float) else cell_text(value)]
        for name, value in timings.items()
    ]
    return Section("Times", (Table(["Step", "Time"], rows, "Wall-clock times."),), anchor="times")


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[list[Any]]:
    """Return nested mappings as rows of dotted name and value."""
    rows: list[list[Any]] = []
    for name, value in values.items():
        full = f"{prefix}{name}"
        if isinstance(value, Mapping) and value:
            rows += flatten(value, full + ".")
        else:
            rows.append([full, value if isinstance(value, int | float | str) else cell_text(value)])
    return rows


def provenance_section(provenance: Mapping[str, Any], software: Mapping[str, Any]) -> Section:
    """Return where the volume comes from and what it was computed with."""
    rows = [[name, _exact(value)] for name, value in flatten(provenance)]
    parts: list[Part] = []
    if rows:
        parts.append(Table(["Item", "Value"], rows, "Origin of the volume."))
    rows = [[name, _exact(value)] for name, value in flatten(software)]
    parts.append(Table(["Item", "Value"], rows, "Software and machine."))
    return Section("Provenance", tuple(parts), anchor="provenance")


def _exact(value: Any) -> str:
    return repr(value) if isinstance(value, float) else cell_text(value)


def reproduce_section(snippets: Mapping[str, str]) -> Section:
    """Return the commands that make the volume again."""
    parts: list[Part] = []
    for title, code in snippets.items():
        parts += [Text(title), Text(code, "code")]
    return Section("How to make it again", tuple(parts), anchor="reproduce")
