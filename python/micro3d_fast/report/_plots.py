# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Curves as inline SVG.

Colours are CSS classes, so that one drawing serves a light page, a dark page and paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from ._document import Boxes, Line, Plot, Polar

LEFT, RIGHT, TOP, BOTTOM = 54.0, 12.0, 26.0, 36.0  # margins
ROW = 34.0  # height of a row of `Boxes`


@dataclass(frozen=True)
class _Axes:
    """Place of values on the page."""

    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]  # of log10 of y if y_log
    y_log: bool

    @property
    def right(self) -> float:
        return self.width - RIGHT

    @property
    def bottom(self) -> float:
        return self.height - BOTTOM

    def px(self, x: float) -> float:
        low, high = self.x_range
        return LEFT + (x - low) / (high - low) * (self.right - LEFT)

    def py(self, y: float) -> float:
        low, high = self.y_range
        y = math.log10(max(y, 1e-300)) if self.y_log else y
        return self.bottom - (y - low) / (high - low) * (self.bottom - TOP)

    def points(self, x: Any, y: Any) -> str:
        """Return the points of a polyline; values that are not finite are left out."""
        return " ".join(
            f"{self.px(float(a)):.1f},{self.py(float(b)):.1f}"
            for a, b in zip(x, y, strict=True)
            if np.isfinite(b)
        )


def svg(plot: Plot) -> str:
    """Return one plot as an SVG element that scales with its column."""
    ys = [
        values
        for curve in plot.curves
        for values in (curve.y, curve.low, curve.high)
        if values is not None
    ]
    if plot.y_log:
        ys = [np.log10(np.clip(np.asarray(y, dtype=float), 1e-300, None)) for y in ys]
    width, height = plot.size
    axes = _Axes(
        width,
        height,
        _range([curve.x for curve in plot.curves], from_zero=True),
        _range(ys, from_zero=plot.y_from_zero and not plot.y_log, pad=0.06),
        plot.y_log,
    )
    alt = plot.alt or plot.title or "plot"
    parts = [
        f'<svg class="plot" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(alt, quote=True)}" preserveAspectRatio="xMidYMid meet">'
    ]
    parts += _frame(plot, axes)
    for curve in plot.curves:
        parts += _band(curve, axes)
    for curve in plot.curves:
        points = axes.points(curve.x, curve.y)
        parts.append(f'<polyline class="line {escape(curve.role)}" points="{points}"/>')
    parts += _labels(plot, axes)
    parts.append("</svg>")
    return "".join(parts)


def polar_svg(polar: Polar) -> str:
    """Return a closed curve about a centre as an SVG element."""
    angle, radius = np.asarray(polar.angle, dtype=float), np.asarray(polar.radius, dtype=float)
    limit = float(polar.limit or radius.max()) or 1.0
    side, centre = 300.0, (150.0, 152.0)
    scale = 108.0 / limit
    parts = [
        f'<svg class="plot" viewBox="0 0 {side:g} {side - 10:g}" role="img" '
        f'aria-label="{escape(polar.alt or polar.title, quote=True)}">'
    ]
    x, y = centre
    for tick in [t for t in ticks(0.0, limit, 3) if t > 0]:
        parts.append(f'<circle class="grid" cx="{x}" cy="{y}" r="{tick * scale:.1f}"/>')
        parts.append(_text(x + 3, y - tick * scale - 2, _number(tick), "start"))
    parts.append(_line("tick", x - 118, y, x + 118, y))
    parts.append(_line("tick", x, y + 118, x, y - 118))
    parts.append(_text(x + 122, y + 4, polar.names[0], "start", "title"))
    parts.append(_text(x - 6, y - 116, polar.names[1], "end", "title"))
    points = " ".join(
        f"{x + r * scale * math.cos(a):.1f},{y - r * scale * math.sin(a):.1f}"
        for a, r in zip(angle, radius, strict=True)
    )
    parts.append(f'<polygon class="outline" points="{points}"/>')
    if polar.title:
        parts.append(_text(4, 14, polar.title, "start", "title"))
    parts.append("</svg>")
    return "".join(parts)


def boxes_svg(boxes: Boxes) -> str:
    """Return samples side by side as an SVG element: one row each, named above its box."""
    samples = [np.asarray(values, dtype=float) for _, _, values in boxes.rows]
    samples = [values[np.isfinite(values)] for values in samples]
    width, height = 320.0, TOP + ROW * len(samples) + BOTTOM
    x_range = _range(samples, from_zero=boxes.x_from_zero, pad=0.04)
    axes = _Axes(width, height, x_range, (0.0, float(len(samples))), False)
    alt = boxes.alt or boxes.title or "distributions"
    parts = [
        f'<svg class="plot" viewBox="0 0 {width:g} {height:g}" role="img" '
        f'aria-label="{escape(alt, quote=True)}">'
    ]
    for tick in ticks(*x_range, 4):
        parts.append(_line("grid", axes.px(tick), TOP, axes.px(tick), axes.bottom))
    parts += _titles(boxes, axes) + _x_ticks(axes, 4)
    rows = zip(boxes.rows, samples, strict=True)
    for k, ((name, role, _), values) in enumerate(rows):
        parts += _box(name, escape(role), values, axes, TOP + ROW * k)
    parts.append("</svg>")
    return "".join(parts)


def _box(name: str, role: str, values: np.ndarray, axes: _Axes, top: float) -> list[str]:
    """Return a row of `boxes_svg`."""
    parts = [_text(LEFT, top + 11, name, "start", f"label {role}")]
    if not values.size:
        return parts
    low, middle, high = (axes.px(float(v)) for v in np.percentile(values, (25, 50, 75)))
    place = f'x="{low:.1f}" y="{top + 15:.1f}" width="{high - low:.1f}" height="15"'
    parts.append(f'<rect class="box {role}" {place}/>')
    for k, value in enumerate(values):  # moved up and down, so that equal values are seen
        y = top + 22.5 + 5.0 * math.sin(2.4 * k)
        parts.append(
            f'<circle class="dot {role}" cx="{axes.px(float(value)):.1f}" cy="{y:.1f}" r="1.7"/>'
        )
    median = _line(f"median {role}", middle, top + 13.5, middle, top + 31.5)
    return [*parts, median]


def _x_ticks(axes: _Axes, wanted: int = 5) -> list[str]:
    parts = []
    for tick in ticks(*axes.x_range, wanted):
        x = axes.px(tick)
        parts.append(_line("tick", x, axes.bottom, x, axes.bottom + 3))
        parts.append(_text(x, axes.bottom + 14, _number(tick), "middle"))
    return [*parts, _line("axis", LEFT, axes.bottom, axes.right, axes.bottom)]


def _titles(plot: Plot | Boxes, axes: _Axes) -> list[str]:
    parts = []
    if plot.title:
        parts.append(_text(LEFT, 14, plot.title, "start", "title"))
    if plot.note:
        parts.append(_text(axes.right, 14, plot.note, "end"))
    if plot.x_label:
        parts.append(_text((LEFT + axes.right) / 2, axes.height - 5, plot.x_label, "middle"))
    return parts


def _frame(plot: Plot, axes: _Axes) -> list[str]:
    bottom, right = axes.bottom, axes.right
    parts = _x_ticks(axes) + _titles(plot, axes)
    for tick in _y_ticks(axes):
        y = axes.py(tick)
        parts.append(_line("grid", LEFT, y, right, y))
        parts.append(_text(LEFT - 6, y + 3.5, _number(tick), "end"))
    if plot.y_label:
        middle = (TOP + bottom) / 2
        turned = _text(11, middle, plot.y_label, "middle")
        parts.append(f'<g transform="rotate(-90 11 {middle:.1f})">{turned}</g>')
    for value, label in plot.markers:
        x = axes.px(value)
        parts.append(_line("marker", x, TOP, x, bottom))
        parts.append(_text(x + 4, TOP + 10, label, "start"))
    return parts


def _y_ticks(axes: _Axes) -> list[float]:
    low, high = axes.y_range
    if not axes.y_log:
        return ticks(low, high, 4)
    powers = [10.0**n for n in range(math.ceil(low), math.floor(high) + 1)]
    if len(powers) >= 2:
        return powers
    return [t for t in ticks(10**low, 10**high, 4) if low <= math.log10(max(t, 1e-300))]


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "t") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text class="{kind}" {place}>{escape(text)}</text>'


def _band(curve: Line, axes: _Axes) -> list[str]:
    if curve.low is None or curve.high is None:
        return []
    forth = axes.points(curve.x, curve.high)
    back = axes.points(np.asarray(curve.x)[::-1], np.asarray(curve.low)[::-1])
    return [f'<polygon class="band {escape(curve.role)}" points="{forth} {back}"/>']


def _labels(plot: Plot, axes: _Axes) -> list[str]:
    """Return the names of the curves, each where it is farthest from the other curves."""
    named = [curve for curve in plot.curves if curve.label]
    parts = []
    for curve in named:
        x, y = np.asarray(curve.x, dtype=float), np.asarray(curve.y, dtype=float)
        others = [
            np.interp(x, np.asarray(o.x, dtype=float), np.asarray(o.y, dtype=float))
            for o in named
            if o is not curve
        ]
        inside = (x > x[0] + 0.12 * (x[-1] - x[0])) & (x < x[0] + 0.85 * (x[-1] - x[0]))
        if not inside.any():
            continue
        gap = np.min([np.abs(y - o) for o in others], axis=0) if others else np.ones_like(y)
        best = int(np.argmax(np.where(inside, gap, -1.0)))
        above = all(y[best] >= o[best] for o in others)
        at = axes.py(float(y[best]))
        fits = at + 14.0 < axes.bottom - 2
        height = max(at - 7.0 if above or not fits else at + 14.0, TOP + 8)
        parts.append(
            f'<text class="label {escape(curve.role)}" x="{axes.px(float(x[best])):.1f}" '
            f'y="{height:.1f}">{escape(curve.label)}</text>'
        )
    return parts


def _range(values: Sequence[Any], *, from_zero: bool, pad: float = 0.0) -> tuple[float, float]:
    joined = np.concatenate([np.asarray(v, dtype=float).ravel() for v in values] or [np.zeros(1)])
    joined = joined[np.isfinite(joined)]
    if not joined.size:
        return 0.0, 1.0
    low, high = float(joined.min()), float(joined.max())
    if from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < 1e-12 * max(abs(high), 1.0):
        high = low + (abs(low) or 1.0)
    margin = pad * (high - low)
    return (low if from_zero and low >= 0.0 else low - margin), high + margin


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Return round numbers between two ends, about ``wanted`` of them."""
    raw = (high - low) / max(wanted, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(s * power for s in (1.0, 2.0, 2.5, 5.0, 10.0) if s * power >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def _number(value: float) -> str:
    return f"{value:.4g}".replace("-", "−")
