# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Parts of reports: pictures, plots, numbers as text."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import micro3d_fast as m3
from _report import Page, micrographs, stripes
from micro3d_fast import report
from micro3d_fast._lengths import length_unit, nice_length
from micro3d_fast._palette import phase_rgb
from micro3d_fast._png import label_png
from micro3d_fast.report import (
    Line,
    Plot,
    write_report,
)
from micro3d_fast.report import _comparison as comparison
from micro3d_fast.report import _format as numbers
from micro3d_fast.report import _pictures as pictures
from micro3d_fast.report import _plots as plots
from micro3d_fast.report import _view as view
from micro3d_fast.report._subject import Subject


def test_the_former_name_of_line_stays():
    assert report.Curve is Line
    assert "Curve" in report.__all__


def test_label_png_has_the_colours_of_the_phases():
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    shown = np.asarray(Image.open(io.BytesIO(label_png(labels))).convert("RGB"))
    np.testing.assert_array_equal(shown, phase_rgb()[labels])


def test_large_images_are_averaged_down():
    labels = np.zeros((100, 400), dtype=np.uint8)
    image = Image.open(io.BytesIO(label_png(labels, longest=200)))
    assert image.size == (200, 50)


@pytest.mark.parametrize("factors", [(1, 1, 1), (2, 2, 2), (3, 1, 2), (5, 7, 11)])
def test_coarsening_is_the_majority_of_each_block(rng, factors):
    labels = rng.integers(0, 3, (7, 8, 9)).astype(np.uint8)
    coarse = pictures.coarsen(labels, factors)
    for index in np.ndindex(coarse.shape):
        block = labels[
            tuple(slice(i * f, (i + 1) * f) for i, f in zip(index, factors, strict=True))
        ]
        assert coarse[index] == np.argmax(np.bincount(block.ravel()))


def test_caption_states_that_a_large_volume_is_drawn_coarser(tmp_path):
    labels = np.zeros((3, 4, 300), dtype=np.uint8)
    labels[:, :, ::7] = 1
    page = write_report(tmp_path, microstructure=labels)
    parsed = Page(page.read_text(encoding="utf-8"))
    assert json.loads(parsed.scripts["view-3d-data"])["shape"] == [3, 4, 100]
    assert "each voxel the majority of 3 × 1 × 1 (x × y × z) of the 300 × 4 × 3" in parsed.text


def test_block_picture():
    labels = np.zeros((8, 8, 8), dtype=np.uint8)
    labels[:, :, :4] = 1
    whole = pictures.render_block(labels, pixels=64)
    part = pictures.render_block(labels, (0,), pixels=64)
    assert whole.shape == (64, 64, 4)
    opaque, less = (int((image[..., 3] == 255).sum()) for image in (whole, part))
    assert 0 < less < opaque < 64 * 64
    hidden = pictures.render_block(labels, (0, 1), pixels=64)  # nothing left: everything is drawn
    np.testing.assert_array_equal(hidden, whole)


def test_scale_bar_of_the_still_picture():
    labels = np.ones((6, 6, 40), dtype=np.uint8)
    still = pictures.render_block(labels, pixels=400)
    columns = np.flatnonzero((still[..., 3] == 255).any(axis=0))
    share = (columns[-1] + 1 - columns[0]) / 400  # of the picture, that the block takes
    subject = Subject(labels, (1.0, 1.0, 1.0), ("a", "b"), {})
    bar = view.viewer(subject).bar
    across = float(np.dot(np.abs(pictures._RIGHT), labels.shape))  # voxels from left to right
    np.testing.assert_allclose(
        float(bar["text"].split()[0]) / (bar["width"] / 100), across / share, rtol=0.02
    )


def test_colours_differ_in_lightness():
    rgb = phase_rgb()[:3] / 255.0
    lightness = sorted(rgb @ [0.2126, 0.7152, 0.0722])
    assert min(np.diff(lightness)) > 0.1


def test_plots_are_well_formed():
    x = np.arange(5)
    curves = [
        Line(x, [1.0, 0.5, np.nan, 0.2, 0.1], "a <b>", "first", low=x * 0.0, high=x * 0.1),
        Line(x, np.zeros(5), "", "reference"),
    ]
    for options in ({}, {"y_log": True}, {"markers": [(2.0, "here")], "x_label": "x & y"}):
        drawing = ElementTree.fromstring(plots.svg(Plot(curves, title="t", **options)))
        points = drawing.findall(".//polyline")
        assert len(points) == 2
        assert len(points[0].get("points").split()) == 4  # the nan is left out
        assert "nan" not in points[0].get("points")


@pytest.mark.parametrize("y", [[0.0], [2.0, 2.0], [-1.0, 1.0], [1e-9, 2e-9], [5e12, 6e12]])
def test_plots_of_odd_ranges(y):
    drawing = ElementTree.fromstring(plots.svg(Plot([Line(np.arange(len(y)), y)])))
    numbers = re.findall(r"[-\d.]+", " ".join(p.get("points") for p in drawing.iter("polyline")))
    assert all(np.isfinite(float(n)) for n in numbers)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 37), (-0.3, 0.8), (1e-7, 3e-7), (0, 5000)])
def test_ticks_are_round_and_inside(low, high):
    found = plots.ticks(low, high, 5)
    assert 2 <= len(found) <= 7
    assert all(low - 1e-12 <= tick <= high * (1 + 1e-9) for tick in found)
    steps = np.diff(found)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)
    mantissa = steps[0] / 10 ** np.floor(np.log10(steps[0]) + 1e-9)
    assert np.isclose(mantissa, [1.0, 2.0, 2.5, 5.0]).any()


def test_a_curve_along_the_edge_of_the_band_has_the_floor_as_its_error(rng):
    reference, spread = rng.random(20), rng.random(20)
    low, high = comparison.floor_band(reference, spread, 0.07)
    for edge in (low, high):
        error = np.abs(edge - reference).sum() / reference.sum()
        np.testing.assert_allclose(error, 0.07, rtol=1e-12)
    assert comparison.floor_band(reference, spread, float("nan")) == (None, None)
    assert comparison.floor_band(reference, spread * 0, 0.07) == (None, None)


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0314, "3.1 %"), (0.00421, "0.42 %"), (1.5, "150 %"), (0.995, "100 %"), (0.0, "0.00 %")],
)
def test_percent(value, words):
    assert numbers.percent(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0384, "38.4 ms"),
        (4.2, "4.2 s"),
        (31.24, "31.2 s"),
        (185, "3 min 05 s"),
        (1820, "30 min 20 s"),
        (7800, "2 h 10 min"),
    ],
)
def test_duration(seconds, words):
    assert numbers.duration(seconds) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [(1.42, "1.4 ×"), (0.5, "0.50 ×"), (250.0, "250 ×"), (9e4, "> 1000 ×"), (np.inf, "∞")],
)
def test_ratio(value, words):
    assert numbers.ratio(value) == words


@pytest.mark.parametrize("value", [228.82, np.inf])
def test_errors_beyond_all_bounds(value):
    assert numbers.cell_text(value, "%") == "> 1000 %"


@pytest.mark.parametrize(
    ("size", "longest", "unit"),
    [((1.0,) * 3, 64.0, "voxels"), ((1e-6,) * 3, 64e-6, "µm"), ((1e-9,) * 3, 64e-9, "nm")],
)
def test_length_unit(size, longest, unit):
    found = length_unit(size, longest)
    assert found.name == unit
    np.testing.assert_allclose(found(longest), 64.0)


@pytest.mark.parametrize(("limit", "length"), [(37.0, 20.0), (50.0, 50.0), (0.7, 0.5), (9, 5)])
def test_nice_length(limit, length):
    assert nice_length(limit) == pytest.approx(length)


def test_errors_without_a_floor():
    known = comparison.Error(0, "xy", "x", "S2", 0.02, 0.01)
    unknown = comparison.Error(0, "xz", "x", "S2", 0.5, float("nan"))
    exact = comparison.Error(0, "yz", "y", "S2", 0.0, 0.0)
    assert known.ratio == 2.0
    assert np.isnan(unknown.ratio)
    assert exact.ratio == 0.0
    (plane,) = comparison.plane_errors([known])
    assert (plane.error, plane.floor, plane.ratio) == (0.02, 0.01, 2.0)
    assert comparison.plane_errors([]) == []


def test_s2_follows_where_two_phases_fill_the_volume():
    two = (np.indices((8, 8, 8)).sum(0) % 2).astype(np.uint8)
    three = (np.indices((8, 8, 8)).sum(0) % 3).astype(np.uint8)
    cases = [(two, None, 0), (three, None, None), (three, (0, 1), None), (two, (1,), None)]
    for labels, phases, expected in cases:
        compared = m3.compare(labels, labels[:4], phases=phases, verdict=False)
        assert comparison.complementary_phase(compared) == expected


def test_band_of_real_specimens():
    compared = m3.compare(stripes(), micrographs())
    for curve in compared.select("L"):
        low, high = comparison.band_of(curve)
        np.testing.assert_allclose(high - low, 4 * curve.real_std)
        floor_only = dataclasses.replace(curve, real_std=None)
        low, _ = comparison.band_of(floor_only)
        error = np.abs(low - curve.reference).sum() / curve.reference.sum()
        np.testing.assert_allclose(error, curve.floor)


def test_size_and_labels_of_a_plot():
    plot = Plot([Line([0, 1], [0, 2])], x_label="lag", y_label="S₂", size=(400.0, 250.0))
    drawing = ElementTree.fromstring(plots.svg(plot))
    assert drawing.get("viewBox") == "0 0 400 250"
    assert {"lag", "S₂"} <= {text.text for text in drawing.iter("text")}
    points = [p.split(",") for p in drawing.find(".//polyline").get("points").split()]
    assert max(float(x) for x, _ in points) == 400 - plots.RIGHT
    assert max(float(y) for _, y in points) == 250 - plots.BOTTOM
