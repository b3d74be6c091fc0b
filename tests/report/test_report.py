# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Reports: self-contained, complete, honest about what they show, and refused in words."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

import micro3d_fast as m3
from micro3d_fast.report import (
    Figure,
    Line,
    Picture,
    Plot,
    Section,
    Table,
    Text,
    characterization,
    effective,
    write_report,
)
from micro3d_fast.report import _comparison as comparison
from micro3d_fast.report import _format as numbers
from micro3d_fast.report import _pictures as pictures
from micro3d_fast.report import _plots as plots
from micro3d_fast.report._palette import phase_rgb

PROVENANCE = {
    "model": "0123456789abcdef",
    "model_name": "run/a b",
    "sampler": "fast",
    "settings": {"steps": 24, "harmonize": 3, "gamma": 0.5},
    "passes": 93,
    "guidance": 1.0,
    "periodic": [True, False, False],
    "seed": 7,
    "raw_volume_fractions": [0.61, 0.39],
    "asked_volume_fractions": [0.6, 0.4],
}


def stripes(shape=(16, 20, 24), seed: int = 0) -> np.ndarray:
    """Columns along z with ragged edges: two phases, anisotropic."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape[1:])
    columns = (np.sin(x * 0.9 + rng.uniform(0, 6)) + np.sin(y * 0.7 + rng.uniform(0, 6))) > 0.3
    labels = np.broadcast_to(columns, shape).copy()
    labels ^= rng.random(shape) < 0.02
    return labels.astype(np.uint8)


def microstructure(**changes) -> m3.Microstructure:
    options = {
        "voxel_size": (2e-6, 1e-6, 1e-6),
        "phase_names": ("matrix", "fibre"),
        "provenance": PROVENANCE,
    }
    return m3.Microstructure(stripes(), **{**options, **changes})


def micrographs(n: int = 6) -> m3.Micrographs:
    return m3.Micrographs.from_volume(
        stripes((24, 24, 30), seed=1),
        n,
        voxel_size=(2e-6, 1e-6, 1e-6),
        phase_names=("matrix", "fibre"),
    )


class Page(HTMLParser):
    """What a test wants to know of a page."""

    VOID = frozenset({"meta", "img", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.balanced = True
        self.words: list[str] = []
        self.scripts: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID and (not self.open or self.open.pop() != tag):
            self.balanced = False

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attributes = next(a for t, a in reversed(self.tags) if t == "script")
            kind = "data" if attributes.get("type") else "code"
            self.scripts.setdefault(attributes.get("id") or kind, data)
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Page, dict, str, m3.Comparison]:
    """One full report: the page, its record, its source, the comparison in it."""
    out = tmp_path_factory.mktemp("report") / "new" / "folder"
    made, given = microstructure(), micrographs()
    compared = m3.compare(made, given)
    samples = {plane: images[:3] for plane, images in given.images.items()}
    page = write_report(
        out,
        microstructure=made,
        micrographs=given,
        comparison=compared,
        samples_2d=samples,
        comparison_2d=m3.compare(samples, given),
        timings={"reconstruction": 31.2, "training": 1820.0},
        title="Fibres",
        properties={"elastic": {"stiffness": np.eye(6) * 1e9, "E": np.arange(3.0), "n": 4}},
        extra={"More": ["A paragraph.", Plot([Line([0, 1, 2], [3.0, 2.0, 1.0], "loss")])]},
    )
    source = page.read_text(encoding="utf-8")
    record = json.loads(
        (out / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail
    )
    assert sorted(p.name for p in out.iterdir()) == ["report.html", "report.json"]
    return Page(source), record, source, compared


class TestPage:
    def test_is_one_balanced_document(self, written):
        page, _, source, _ = written
        assert page.balanced
        assert not page.open
        assert source.lstrip().startswith("<!doctype html>")

    def test_loads_nothing(self, written):
        page, _, source, _ = written
        for tag, attributes in page.tags:
            assert tag not in ("link", "iframe", "object", "embed")
            for name in ("src", "href", "srcset", "data"):
                value = attributes.get(name) or "#"
                assert value.startswith(("#", "data:image/png;base64,")), (tag, name)
        assert not re.search(r"https?://", source)
        assert "url(" not in source
        policy = next(a for a in page.all("meta") if a.get("http-equiv"))
        assert policy["content"].startswith("default-src 'none'; img-src data:;")

    def test_identifiers_are_unique_and_links_arrive(self, written):
        page, _, _, _ = written
        found = [a["id"] for _, a in page.tags if a.get("id")]
        assert len(found) == len(set(found))
        for link in page.all("a"):
            assert link["href"][1:] in found

    def test_pictures_are_described_and_decode(self, written):
        page, _, _, _ = written
        shown = page.all("img")
        assert len(shown) >= 3 * 6 + 3 * 6 + 1
        for image in shown:
            assert image["alt"].strip()
            data = base64.b64decode(image["src"].split(",", 1)[1])
            Image.open(io.BytesIO(data)).verify()
        for drawing in (a for a in page.all("svg") if a.get("class") == "plot"):
            assert drawing["role"] == "img"
            assert drawing["aria-label"].strip()

    def test_tables_have_headers(self, written):
        page, _, _, _ = written
        assert len(page.all("table")) == len(page.all("caption"))
        assert all(cell.get("scope") in ("col", "row") for cell in page.all("th"))

    def test_sections_and_their_order(self, written):
        page, record, _, _ = written
        titles = [section["title"] for section in record["sections"]]
        assert titles == [
            "Input micrographs",
            "The volume",
            "Slices beside the micrographs",
            "Correlations",
            "Errors beside their floor",
            "Phase fractions",
            "The 2D network alone",
            "Effective properties",
            "More",
            "Times",
            "Provenance",
            "How to make it again",
        ]
        for title in titles:
            assert title in page.text

    def test_words_and_numbers(self, written):
        page, record, _, compared = written
        assert record["verdict"] in page.text
        s2 = [c for c in compared.curves if c.function == "S2"]
        worst = max(
            ("xy", "xz", "yz"),
            key=lambda p: compared.error("S2", plane=p) / compared.floor("S2", plane=p),
        )
        assert f"worst plane ({worst})" in record["verdict"]
        assert numbers.percent(compared.error("S2", plane=worst)) in record["verdict"]
        assert len(record["comparison"]["curves"]) == len(compared.curves)
        row = record["comparison"]["curves"][0]
        assert row["error"] == compared.curves[0].error
        assert row["floor"] == compared.curves[0].floor
        assert record["comparison"]["full"]["summary"] == compared.summary()
        assert record["comparison_2d"]["per_plane"]
        assert len(s2) == 12
        assert "30 min 20 s" in page.text
        assert "31.2 s" in page.text
        assert "0123456789abcdef" in page.text
        assert "24 × 20 × 32 µm" in page.text

    def test_record(self, written):
        _, record, _, _ = written
        made = microstructure()
        assert record["microstructure"]["shape"] == [16, 20, 24]
        assert record["microstructure"]["voxel_size"] == [2e-6, 1e-6, 1e-6]
        assert record["microstructure"]["volume_fractions"] == made.volume_fractions.tolist()
        assert record["microstructure"]["raw_volume_fractions"] == [0.61, 0.39]
        assert record["microstructure"]["provenance"] == PROVENANCE
        assert record["micrographs"]["fingerprint"] == micrographs().fingerprint()
        assert record["micrographs"]["planes"]["xy"]["images"] == 6
        assert record["timings"] == {"reconstruction": 31.2, "training": 1820.0}
        assert record["software"]["numpy"] == np.__version__

    @pytest.mark.parametrize("sampler", ["fast", "custom"])
    def test_repeats_of_each_step_are_written(self, sampler):
        from micro3d_fast.report._reproduction import reproduction

        settings = {**PROVENANCE["settings"], "steps": 3, "harmonize": [1, 2, 0]}
        changes = {"sampler": sampler, "settings": settings, "passes": 6}
        texts = reproduction({**PROVENANCE, **changes}, (16, 20, 24))
        command = texts.get("On the command line:", "")
        assert "harmonize=(1, 2, 0)" in texts["In Python:"]
        assert ("--harmonize 1,2,0 " in command) == (sampler == "fast")
        assert "passes" not in str(texts)

    def test_how_to_make_it_again(self, written):
        page, record, _, _ = written
        command, program = record["reproduce"].values()
        assert "--model 'run/a b' --shape 16,20,24" in command
        assert "--seed 7" in command
        assert "--periodic z" in command
        assert "--harmonize 3" in command
        assert "--fractions 0.6,0.4" in command
        assert "volume_fractions=[0.6, 0.4]" in program
        compile(program, "program", "exec")
        assert "m3.reconstruct((16, 20, 24), model" in program
        assert "periodic=(True, False, False)" in program
        assert "passes=93" in page.text

    def test_volume_travels_whole(self, written):
        page, _, _, _ = written
        data = json.loads(page.scripts["view-3d-data"])
        labels = np.frombuffer(gzip.decompress(base64.b64decode(data["data"])), np.uint8)
        np.testing.assert_array_equal(labels.reshape(data["shape"]), stripes())
        assert data["hidden"] == [0]
        np.testing.assert_allclose(data["spacing"], [1.0, 0.5, 0.5])
        assert data["lengths"] == ["24 µm", "20 µm", "32 µm"]
        for script in ('getContext("webgl2"', "DecompressionStream", "prefers-reduced-motion"):
            assert script in page.scripts["code"]


def test_hostile_words_stay_words(tmp_path):
    bad = "</script><img src=x onerror=alert(1)>"
    page = write_report(
        tmp_path,
        microstructure=microstructure(
            phase_names=("matrix", bad), provenance={"note": bad, "seed": 1}
        ),
        title=bad,
        extra={bad: bad},
        reproduce={bad: bad},
    )
    source = page.read_text(encoding="utf-8")
    assert "<img src=x" not in source
    parsed = Page(source)
    assert parsed.balanced
    assert bad in parsed.text


def test_compares_by_default_and_not_if_told(tmp_path):
    made, given = microstructure(), micrographs()
    write_report(tmp_path / "a", microstructure=made, micrographs=given)
    write_report(tmp_path / "b", microstructure=made, micrographs=given, comparison=False)
    first, second = (
        json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8")) for name in "ab"
    )
    assert first["comparison"]["summary"] == m3.compare(made, given).summary()
    assert second["comparison"] is None
    assert second["verdict"] == ""


def test_raw_labels_are_judged_beside_the_matched_ones(tmp_path):
    raw = stripes()
    raw[:, :5] = 0
    made, given = microstructure(fields={"raw_labels": raw}), micrographs()
    page = write_report(tmp_path, microstructure=made, micrographs=given)
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert record["comparison_raw"]["summary"] == m3.compare(raw, given).summary()
    text = Page(page.read_text(encoding="utf-8")).text
    assert "error, raw" in text
    assert numbers.percent(m3.compare(raw, given).error("S2", plane="xy")) in text


def test_reference_volume(tmp_path):
    truth = m3.Microstructure(stripes((24, 24, 30), seed=1), phase_names=("matrix", "fibre"))
    made = microstructure(voxel_size=1.0)
    page = write_report(tmp_path, microstructure=made, reference=truth)
    text = Page(page.read_text(encoding="utf-8")).text
    assert "Slices beside the reference" in text
    assert "split-half floor of the reference" in text
    assert "24 × 20 × 16 voxels" in text


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 7, 5), (3, 1, 1), (4, 4, 4)])
@pytest.mark.parametrize("phases", [1, 2])
def test_degenerate_volumes(tmp_path, shape, phases):
    labels = (np.indices(shape).sum(0) % phases).astype(np.uint8)
    page = write_report(tmp_path, microstructure=labels)
    assert Page(page.read_text(encoding="utf-8")).balanced


def test_written_twice_leaves_one(tmp_path):
    for title in ("first", "second"):
        page = write_report(tmp_path, microstructure=stripes(), title=title)
    assert "second" in page.read_text(encoding="utf-8")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"microstructure": np.zeros((4, 4))}, TypeError, "`microstructure` must be an array of"),
        ({"microstructure": np.zeros((4, 4), int)}, ValueError, "`microstructure` must have 3 dim"),
        ({"micrographs": 3}, TypeError, "`micrographs` must be a Micrographs, got int"),
        ({"timings": [1]}, TypeError, r"`timings` must be a mapping .* got \[1\]"),
        ({"samples_2d": [1]}, TypeError, "`samples_2d` must be a mapping .* got list"),
        ({"extra": [1]}, TypeError, "`extra` must be a mapping or a sequence of Section, got int"),
        ({"out_dir": 3}, TypeError, "`out_dir` must be a path, got 3"),
    ],
)
def test_refusals(tmp_path, changes, error, words):
    options = {"out_dir": tmp_path / "out", "microstructure": stripes(), **changes}
    with pytest.raises(error, match=words):
        write_report(options.pop("out_dir"), **options)
    assert not (tmp_path / "out").exists()


def test_every_kind_of_part(tmp_path):
    parts = [
        Text("plain"),
        Text("small", "note"),
        Text("a = 1", "code"),
        Table(["a", "b"], [["x", None], ["y", float("inf")], ["z", True]], "Caption."),
        Plot([Line([0, 1], [1, 2])]),
        Picture(pictures.label_png(stripes()[0]), "A slice.", "Its caption."),
        Figure([Plot([Line([0, 1], [1, 2])])] * 2, "Two.", columns=2, legend=[("first", "a")]),
    ]
    page = write_report(tmp_path, microstructure=stripes(), extra=[Section("All", parts, "Lead.")])
    parsed = Page(page.read_text(encoding="utf-8"))
    assert parsed.balanced
    for words in ("plain", "small", "a = 1", "Caption.", "∞", "Its caption.", "Two.", "Lead."):
        assert words in parsed.text
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    kinds = [part["kind"] for part in record["sections"][-2]["parts"]]
    assert kinds == ["text", "text", "text", "table", "plot", "picture", "figure"]


# --------------------------------------------------------------------------------------- pictures


def test_label_png_has_the_colours_of_the_phases():
    labels = np.arange(12, dtype=np.uint8).reshape(3, 4)
    shown = np.asarray(Image.open(io.BytesIO(pictures.label_png(labels))).convert("RGB"))
    np.testing.assert_array_equal(shown, phase_rgb()[labels])


def test_large_images_are_averaged_down():
    labels = np.zeros((100, 400), dtype=np.uint8)
    image = Image.open(io.BytesIO(pictures.label_png(labels, longest=200)))
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


def test_large_volumes_are_drawn_coarser_and_it_is_said(tmp_path):
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


def test_colours_differ_in_lightness():
    rgb = phase_rgb()[:3] / 255.0
    lightness = sorted(rgb @ [0.2126, 0.7152, 0.0722])
    assert min(np.diff(lightness)) > 0.1


# ------------------------------------------------------------------------------------------ plots


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


# ------------------------------------------------------------------------------- words for numbers


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
    ("value", "words"), [(1.42, "1.4 ×"), (0.5, "0.50 ×"), (250.0, "250 ×"), (np.inf, "∞")]
)
def test_ratio(value, words):
    assert numbers.ratio(value) == words


@pytest.mark.parametrize(
    ("size", "longest", "unit"),
    [((1.0,) * 3, 64.0, "voxels"), ((1e-6,) * 3, 64e-6, "µm"), ((1e-9,) * 3, 64e-9, "nm")],
)
def test_length_unit(size, longest, unit):
    found = numbers.length_unit(size, longest)
    assert found.name == unit
    np.testing.assert_allclose(found(longest), 64.0)


@pytest.mark.parametrize(("limit", "length"), [(37.0, 20.0), (50.0, 50.0), (0.7, 0.5), (9, 5)])
def test_nice_length(limit, length):
    assert numbers.nice_length(limit) == pytest.approx(length)


def test_errors_without_a_floor():
    known = comparison.Error(0, "xy", "x", "S2", 0.02, 0.01)
    unknown = comparison.Error(0, "xz", "x", "S2", 0.5, float("nan"))
    exact = comparison.Error(0, "yz", "y", "S2", 0.0, 0.0)
    assert known.ratio == 2.0
    assert np.isnan(unknown.ratio)
    assert exact.ratio == 0.0
    words = comparison.verdict_of([known, unknown, exact])
    assert "worst plane (xy)" in words
    assert comparison.verdict_of([]) == ""


# --------------------------------------------------------------------------------- characterization


def test_characterization(tmp_path):
    labels = np.zeros((8, 10, 12), dtype=np.uint8)
    labels[:, :, ::4] = labels[:, :, 1::4] = 1  # layers two voxels thick
    volume = m3.Microstructure(labels, voxel_size=1e-6, phase_names=("a", "b"))
    with pytest.warns(UserWarning, match="`max_lag` 11 is cut") as told:
        measured = characterization.measure(volume, max_lag=11)
    assert [str(w.message) for w in told] == [
        "`max_lag` 11 is cut to 7 along z, where the volume has 8 voxels",
        "`max_lag` 11 is cut to 9 along y, where the volume has 10 voxels",
    ]
    assert measured.phases == (0, 1)
    np.testing.assert_allclose(measured.two_point[1, "y"], 0.5)
    np.testing.assert_allclose(
        measured.two_point[1, "x"], m3.two_point_correlation(labels, 1, axis="x", max_lag=11)
    )
    np.testing.assert_allclose(
        measured.lineal_path[0, "z"], m3.lineal_path(labels, 0, axis="z", max_lag=7)
    )
    found = measured.descriptors[1]
    assert 0.5e-6 < found.lengths.length["x"] < 1e-6
    assert np.isnan(found.lengths.length["z"])
    assert found.percolation.fraction == {"z": 1.0, "y": 1.0, "x": 0.0}
    said = characterization.summary(measured)
    assert "correlation lengths from" in said
    ends = (
        "; not decayed to 1/e within half the volume: a along y, a along z, b along y, b along z."
    )
    assert said.endswith(ends)

    characterization.write_csv(tmp_path / "curves.csv", measured)
    rows = [line.split(",") for line in (tmp_path / "curves.csv").read_text().splitlines()]
    assert rows[0] == ["function", "phase", "name", "direction", "lag", "distance", "value"]
    along = [row for row in rows if row[:4] == ["S2", "1", "b", "x"]]
    assert len(along) == 12
    np.testing.assert_array_equal([float(row[6]) for row in along], measured.two_point[1, "x"])
    assert float(along[3][5]) == pytest.approx(3e-6)
    radial = [row for row in rows if row[3] == "radial" and row[1] == "0"]
    assert float(radial[0][6]) == pytest.approx(0.5)

    page = write_report(tmp_path, microstructure=volume, extra=characterization.sections(measured))
    text = Page(Path(page).read_text(encoding="utf-8")).text
    for words in ("Correlation lengths", "Clusters, and the share", "Chord-length densities"):
        assert words in text
    assert "over all directions" in text


def test_characterization_of_one_layer_and_of_one_phase():
    """An axis of one voxel has nothing to decay over, nor has a phase that is everywhere."""
    labels = np.zeros((1, 12, 12), dtype=np.uint8)
    assert "decayed" not in characterization.summary(
        characterization.measure(m3.Microstructure(labels), max_lag=0)
    )
    labels[..., ::4] = labels[..., 1::4] = 1
    said = characterization.summary(characterization.measure(m3.Microstructure(labels), max_lag=11))
    assert said.endswith("half the volume: phase 0 along y, phase 1 along y.")
    with pytest.raises(ValueError, match=r"`max_lag` must be an integer 0 ... 11, got 12"):
        characterization.measure(m3.Microstructure(labels), max_lag=12)


# ----------------------------------------------------------------------------- effective properties


def test_effective_properties(tmp_path):
    from micro3d_fast import homogenization

    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[:, :, 2:] = 1  # layers across x
    stiff = [
        homogenization.Isotropic(E=2e9, nu=0.3, alpha=1e-5),
        homogenization.Isotropic(E=8e9, nu=0.2, alpha=2e-5),
    ]
    elastic = homogenization.homogenize_elasticity(labels, stiff)
    conducting = homogenization.homogenize_conductivity(labels, [1.0, 3.0])
    blocked = homogenization.relative_diffusivity(labels, 1, axis="x")
    through = homogenization.relative_diffusivity(labels, 1, axis="y")
    page = write_report(
        tmp_path,
        microstructure=m3.Microstructure(labels, phase_names=("soft", "stiff")),
        properties={"Layers": elastic, "Heat": conducting, "Diffusion": [blocked, through]},
    )
    parsed = Page(page.read_text(encoding="utf-8"))
    assert parsed.balanced
    for words in (
        "Layers: Young's moduli",
        f"{elastic.E[1] / 1e9:.4g}",
        "Stiffness (GPa)",
        "Thermal expansion (10⁻⁶ per kelvin)",
        "Young's modulus against direction",
        "Heat: Effective conductivity",
        "Tortuosity",
        "∞",
    ):
        assert words in parsed.text, words
    surface = json.loads(parsed.scripts["data"])["values"]
    np.testing.assert_allclose(surface[0][0], elastic.E[2] / 1e9, rtol=1e-3)
    np.testing.assert_allclose(surface[len(surface) // 2][0], elastic.E[0] / 1e9, rtol=1e-3)
    assert len({a.get("id") for a in parsed.all("script") if a.get("id")}) == 1
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(record["properties"]["Layers"]["stiffness"], elastic.stiffness)
    assert record["properties"]["Diffusion"][0]["tortuosity"] == "inf"
    assert record["properties"]["Heat"]["bounds"]["voigt"][0][0] == pytest.approx(2.0)


def test_a_material_without_stiffness(tmp_path):
    from micro3d_fast import homogenization

    elastic = homogenization.homogenize_elasticity(
        np.zeros((3, 3, 3), dtype=np.uint8), [homogenization.Isotropic(E=0.0)]
    )
    page = write_report(tmp_path, microstructure=np.zeros((3, 3, 3), int), properties=elastic)
    assert "against direction" not in Page(page.read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    ("largest", "unit", "expected"),
    [
        (2.5e11, "Pa", "GPa"),
        (3e6, "Pa", "MPa"),
        (12.0, "Pa", "Pa"),
        (0.0, "Pa", "Pa"),
        (5, "x", "x"),
    ],
)
def test_units_of_stress(largest, unit, expected):
    assert effective.scaled_unit(largest, unit)[1] == expected
