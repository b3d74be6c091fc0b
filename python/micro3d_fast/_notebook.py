# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""HTML of volumes, micrographs and results for notebooks.

Text, lines and background take the colours of the page, so that light and dark notebooks are
readable.  All text is escaped here.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ._lengths import LengthUnit, length_unit, nice_length
from ._palette import phase_colour
from ._planes import AXIS_NAMES, IMAGE_AXES, NORMAL, PLANES
from ._png import data_uri, label_png
from ._spread import percent_error

PICTURE_BYTES = 90_000  # of all pictures of one result, as text
_WIDTH = 192  # of the longest image on the page, in pixels
_LINE = "1px solid rgba(128,128,128,.45)"
_VERDICTS = {
    "consistent": "#23806a",
    "doubtful": "#b56a10",
    "different": "#b3382f",
    "undecided": "#6b6b6b",
}


@dataclass(frozen=True)
class Picture:
    """A 2D label image of a plane, and the line above it."""

    labels: np.ndarray
    plane: str
    title: str

    def edges(self, voxel_size: Sequence[float]) -> tuple[float, float]:
        """Return height and width in metres, or voxels."""
        rows, columns = IMAGE_AXES[self.plane]
        height, width = self.labels.shape
        return height * voxel_size[rows], width * voxel_size[columns]


def middle_slices(labels: np.ndarray) -> list[Picture]:
    """Return the slice in the middle of a volume in each plane."""
    found = []
    for plane in PLANES:
        normal = NORMAL[plane]
        middle = labels.shape[normal] // 2
        title = f"{plane}, {AXIS_NAMES[normal]} = {middle}"
        found.append(Picture(labels.take(middle, axis=normal), plane, title))
    return found


def first_images(
    images: Mapping[str, Sequence[np.ndarray]], planes: Sequence[str]
) -> list[Picture]:
    """Return the first image of some planes."""
    return [Picture(images[plane][0], plane, f"{plane}, image 1") for plane in planes]


# ---------------------------------------------------------------------------------- parts of HTML


def card(title: str, subtitle: str, *parts: str) -> str:
    """Return the HTML of one result; ``parts`` are HTML already."""
    head = f"<b>{html.escape(title)}</b> {html.escape(subtitle)}"
    return (
        f'<div style="border:{_LINE};border-radius:6px;padding:10px 14px;margin:4px 0;'
        'display:inline-block;max-width:100%;box-sizing:border-box;line-height:1.5">'
        f"<div>{head}</div>{''.join(parts)}</div>"
    )


def line(text: str) -> str:
    """Return a paragraph; nothing for an empty text."""
    return f'<div style="margin-top:4px">{html.escape(text)}</div>' if text else ""


def small(text: str) -> str:
    """Return a paragraph of less weight; nothing for an empty text."""
    style = "margin-top:4px;font-size:85%;opacity:.75;overflow-wrap:anywhere;max-width:72em"
    return f'<div style="{style}">{html.escape(text)}</div>' if text else ""


def warning(text: str) -> str:
    """Return a paragraph that is marked as a warning."""
    style = "margin-top:4px;padding-left:8px;border-left:3px solid #e3963e;max-width:72em"
    return f'<div style="{style}">{html.escape(text)}</div>'


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; under a header the columns after the first are right-aligned."""

    def cells(kind: str, row: Sequence[str]) -> str:
        style = f"padding:1px 12px 1px 0;border:none;border-bottom:{_LINE};background:none;"
        return "".join(
            f'<{kind} style="{style}text-align:{"right" if column and any(header) else "left"};'
            f'font-weight:{"600" if kind == "th" else "400"}">{html.escape(text)}</{kind}>'
            for column, text in enumerate(row)
        )

    body = "".join(f'<tr style="background:none">{cells("td", row)}</tr>' for row in rows)
    head = f"<thead><tr>{cells('th', header)}</tr></thead>" if any(header) else ""
    style = (
        "border-collapse:collapse;margin:8px 0 4px;font-variant-numeric:tabular-nums;"
        "font-size:inherit;color:inherit"
    )
    return f'<table style="{style}">{head}<tbody>{body}</tbody></table>'


def matrix(values: np.ndarray, names: Sequence[str]) -> str:
    """Return a square matrix with its names, in a common power of 1000 if that reads better."""
    top = float(np.abs(values[np.isfinite(values)]).max(initial=0.0))
    scale = 1.0 if top == 0 or 1e-3 <= top < 1e5 else 1000.0 ** (np.log10(top) // 3)
    corner = "" if scale == 1.0 else f"× {scale:.0e}"
    rows = [
        [name, *(f"{v / scale:.4g}" for v in row)] for name, row in zip(names, values, strict=True)
    ]
    return table([corner, *names], rows)


def badge(outcome: str) -> str:
    """Return the outcome of a verdict as a coloured word."""
    colour = _VERDICTS.get(outcome, "#6b6b6b")
    style = f"background:{colour};color:#fff;border-radius:4px;padding:1px 8px;font-weight:600"
    return f'<span style="{style}">{html.escape(outcome)}</span>'


def phases(names: Sequence[str], fractions: Sequence[float] | np.ndarray) -> str:
    """Return the colour key of the phases with their fractions; of many those that occur."""
    pairs = list(enumerate(zip(names, fractions, strict=True)))
    if len(pairs) > 8:
        pairs = [pair for pair in pairs if pair[1][1] > 0]
    items = [
        '<span style="margin-right:14px;white-space:nowrap"><span style="display:inline-block;'
        f"width:.8em;height:.8em;border:{_LINE};vertical-align:-.05em;"
        f'background:{phase_colour(phase)}"></span> {html.escape(name)} {100 * share:.2f} %</span>'
        for phase, (name, share) in pairs[:8]
    ]
    more = f"… ({len(pairs)} phases)" if len(pairs) > 8 else ""
    return f'<div style="margin-top:6px;max-width:60em">{" ".join(items)}{more}</div>'


def pictures(images: Sequence[Picture], voxel_size: Sequence[float]) -> str:
    """Return label images side by side at one scale, with a scale bar."""
    edges = [image.edges(voxel_size) for image in images]
    longest = max(max(pair) for pair in edges)
    for side in (256, 128, 64, 32):
        sources = [data_uri(label_png(i.labels, longest=side, colours=64)) for i in images]
        if sum(map(len, sources)) <= PICTURE_BYTES:
            break
    figures = []
    for image, source, (height, width) in zip(images, sources, edges, strict=True):
        shape = " × ".join(map(str, image.labels.shape))
        pixelated = "image-rendering:pixelated;" if max(image.labels.shape) <= side else ""
        figures.append(
            f'<div><div style="font-size:85%;opacity:.75">{html.escape(image.title)}</div>'
            f'<img alt="{html.escape(image.title)}, {shape} pixels" src="{source}" '
            f'style="{pixelated}display:block;margin:0;max-width:none;'
            f"width:{_WIDTH * width / longest:.1f}px;height:{_WIDTH * height / longest:.1f}px"
            '"></div>'
        )
    row = "display:flex;flex-wrap:wrap;gap:12px;align-items:flex-end;margin-top:8px"
    bar = _scale_bar(longest, length_unit(voxel_size, longest))
    return f'<div style="{row}">{"".join(figures)}</div>{bar}'


def _scale_bar(longest: float, unit: LengthUnit) -> str:
    length = nice_length(0.4 * unit(longest))
    style = (
        f"width:{_WIDTH * length / unit(longest):.1f}px;border-bottom:3px solid currentColor;"
        "margin-top:2px;font-size:85%;line-height:1.4;white-space:nowrap"
    )
    return f'<div style="{style}">{length:g} {unit.name}</div>'


def size_text(shape: Sequence[int], voxel_size: Sequence[float]) -> str:
    """Return ``"64 × 64 × 64 voxels (z, y, x) of 1 µm"``."""
    text = f"{' × '.join(map(str, shape))} voxels (z, y, x)"
    return f"{text} of {edge}" if (edge := voxel_text(voxel_size)) else text


def voxel_text(voxel_size: Sequence[float]) -> str:
    """Return ``"1 µm"`` or ``"1 × 2 × 2 µm"``; empty for sizes in voxels."""
    unit = length_unit(voxel_size, 1.001 * max(voxel_size))  # 1 µm, not 1000 nm
    if unit.name == "voxels":
        return ""
    edges = [f"{unit(size):.4g}" for size in voxel_size]
    return f"{edges[0] if len(set(edges)) == 1 else ' × '.join(edges)} {unit.name}"


def origin(provenance: Mapping[str, Any]) -> str:
    """Return where a volume comes from, in one line."""
    crop = provenance.get("crop")
    if isinstance(crop, Mapping) and isinstance(crop.get("provenance"), Mapping):
        part = f"part {_short(crop.get('box'))} (z, y, x) of {_short(crop.get('shape'))} voxels"
        return "; ".join(filter(None, (part, origin(crop["provenance"]))))
    first = ("made_by", "generator", "model_name", "model", "sampler", "passes", "seed")
    known = [key for key in first if key in provenance]
    keys = known or [key for key, value in provenance.items() if _is_plain(value)][:5]
    return ", ".join(f"{key.replace('_', ' ')} {_short(provenance[key])}" for key in keys)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float)


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


# ------------------------------------------------------------------------------- whole results


def volume_html(volume: Any) -> str:
    """Return the HTML of a Microstructure."""
    extra = f"further fields: {', '.join(volume.fields)}" if volume.fields else ""
    return card(
        "Microstructure",
        size_text(volume.shape, volume.voxel_size),
        pictures(middle_slices(volume.labels), volume.voxel_size),
        phases(volume.phase_names, volume.volume_fractions) if volume.is_counted else "",
        small(extra),
        small(origin(volume.provenance)),
    )


def micrographs_html(micrographs: Any) -> str:
    """Return the HTML of Micrographs: two images of each plane that has its own."""
    shown, rows = [], []
    for plane in PLANES:
        images = micrographs.images[plane]
        if borrowed := micrographs.borrowed.get(plane):
            rows.append([plane, "borrowed", borrowed])
            continue
        for number in sorted({0, len(images) - 1}):
            title = f"{plane}, image {number + 1} of {len(images)}"
            shown.append(Picture(images[number], plane, title))
        sizes = sorted({image.shape for image in images})
        ends = " to ".join(f"{h} × {w}" for h, w in dict.fromkeys((sizes[0], sizes[-1])))
        rows.append([plane, str(len(images)), f"{ends} pixels"])
    size = voxel_text(micrographs.voxel_size)
    return card(
        "Micrographs",
        f"voxel size {size}" if size else "",
        pictures(shown, micrographs.voxel_size),
        phases(micrographs.phase_names, micrographs.volume_fractions()),
        table(["plane", "images", "size (rows × columns)"], rows),
        small(micrographs.voxel_size_source),
        small(micrographs.segmentation),
    )


def model_html(model: Any) -> str:
    """Return the HTML of a Model."""
    parameters = sum(p.numel() for p in model.net.parameters())
    details = model.details
    rows = [
        ["network", f"{parameters / 1e6:.1f} M parameters, predicts {model.prediction}"],
        ["schedule", f"{model.schedule.name}, {model.schedule.steps} steps"],
        ["patch", f"{model.patch} × {model.patch} pixels"],
        ["voxel size", voxel_text(model.voxel_size)],
        ["training steps", str(details.get("steps", ""))],
        ["preset", str(details.get("preset") or "")],
        ["harmonizing passes", " ".join(map(str, model.harmonize or ()))],
        ["condition", "phase fractions" if model.fraction_condition else ""],
    ]
    return card(
        "Model",
        "of 2D micrographs",
        phases(model.phase_names, model.volume_fractions),
        table(["", ""], [row for row in rows if row[1]]),
        small(origin({k: details[k] for k in ("model_name", "seed") if k in details})),
    )


def comparison_html(comparison: Any) -> str:
    """Return the HTML of a Comparison: the verdict and the errors of its curves."""
    verdict, parts = comparison.verdict, []
    if verdict is not None:
        sentence = html.escape(verdict.sentence.removeprefix(f"{verdict.outcome}: "))
        parts.append(f'<div style="margin-top:6px">{badge(verdict.outcome)} {sentence}</div>')
        parts += [small(reason) for reason in verdict.reasons if reason not in verdict.sentence]
    planes = [plane for plane in PLANES if any(c.plane == plane for c in comparison.curves)]
    rows = []
    for phase, name in enumerate(comparison.phase_names):
        for function in ("S2", "L"):
            found = [comparison.select(function, phase=phase, plane=plane) for plane in planes]
            if all(found):
                rows.append([name, function, *map(_errors, found)])
    if len(rows) > 16:
        parts.append(small(f"the first 8 of {len(comparison.phase_names)} phases"))
    parts += [
        table(["phase", "curve", *planes], rows[:16]),
        small("Mean relative errors; in brackets those of real specimens of the same size."),
        small(comparison.summary()),
    ]
    return card("Comparison", f"of {comparison.generated} with {comparison.reference}", *parts)


def _errors(curves: Sequence[Any]) -> str:
    """Return the mean error of curves and, in brackets, that of real specimens."""
    error = float(np.mean([curve.error for curve in curves]))
    real = float(np.mean([curve.scatter for curve in curves]))
    return percent_error(error, 1) + ("" if np.isnan(real) else f" ({percent_error(real, 1)})")


def properties_html(
    title: str,
    result: Any,
    tensors: Mapping[str, tuple[np.ndarray, Sequence[str]]],
    rows: Iterable[Sequence[str]] = (),
) -> str:
    """Return the HTML of effective properties: tensors with their names, rows of name and value."""
    parts = []
    for name, (values, names) in tensors.items():
        parts += [line(name), matrix(values, names)]
    if rows := list(rows):
        parts.append(table(["", ""], rows))
    iterations = result.iterations if isinstance(result.iterations, tuple) else (result.iterations,)
    residuals = getattr(result, "residuals", None) or (result.residual,)
    parts.append(
        small(
            f"{sum(iterations)} iterations to residuals of at most {max(residuals):.1e}, "
            f"{result.seconds:.2f} s on {result.device}"
        )
    )
    parts += [warning(sentence) for sentence in result.warnings]
    return card(title, f"({result.boundary})", *parts)
