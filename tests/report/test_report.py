# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Reports are self-contained and complete; invalid input is refused."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

import micro3d_fast as m3
from _report import PROVENANCE, Page, judged, micrographs, microstructure, stripes
from micro3d_fast._png import label_png
from micro3d_fast.report import (
    Figure,
    Line,
    Picture,
    Plot,
    Section,
    Table,
    Text,
    write_report,
)
from micro3d_fast.report import _format as numbers


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
            "At a glance",
            "What the verdict rests on",
            "Correlations",
            "Errors of all curves",
            "Effective properties",
            "Connectivity",
            "More",
            "Slices beside the micrographs",
            "Phase fractions",
            "Input micrographs",
            "The 2D network alone",
            "Times",
            "Provenance",
            "How to make it again",
        ]
        for title in titles[1:]:
            assert title in page.text

    def test_opens_with_the_verdict_the_volume_and_the_worst_curve(self, written):
        _, record, source, compared = written
        before_facts = source[: source.index('class="facts"')]
        text = Page(before_facts).text
        verdict = compared.verdict
        assert verdict.outcome in text
        assert str(verdict) in text
        for reason in verdict.reasons:
            assert reason in text
        assert 'id="view-3d"' in before_facts
        worst = next(d for d in verdict.deviations if d.quantity in ("S2", "L", "autocovariance"))
        place = f"of {worst.phase_name} in {worst.plane} along {worst.direction}"
        assert f"{place}. Its error is {numbers.percent(worst.error)}" in text
        (curve,) = compared.select(
            worst.quantity, phase=worst.phase, plane=worst.plane, direction=worst.direction
        )
        kinds = {part["kind"]: part for part in record["sections"][0]["parts"]}
        ours, reference = sorted(
            kinds["figure"]["parts"][0]["curves"], key=lambda line: line["role"] == "reference"
        )
        assert ours["y"] == curve.generated.tolist()
        np.testing.assert_allclose(reference["high"], curve.reference + 2 * curve.real_std)
        assert "floor" not in text

    def test_all_sections_are_folded(self, written):
        page, record, _, _ = written
        folded = [a for a in page.all("details") if a.get("class") == "section"]
        assert len(folded) == len(record["sections"]) - 1
        assert not any("open" in a for a in folded)
        assert len(page.all("summary")) >= len(folded)
        assert "beforeprint" in page.scripts["code"]

    def test_table_of_deviations(self, written):
        _, record, _, compared = written
        (section,) = (s for s in record["sections"] if s["title"] == "What the verdict rests on")
        columns, rows = section["parts"][0]["columns"], section["parts"][0]["rows"]
        ratios = [row[columns.index("ratio")] for row in rows]
        assert ratios[0] == compared.verdict.worst.ratio
        shown = [
            d
            for d in compared.verdict.deviations
            if d.phase == 1
            or d.quantity not in ("S2", "autocovariance", "surface", "tilt")
            or d == compared.verdict.worst
        ]
        assert ratios == [d.ratio for d in shown]
        assert [row[columns.index("error")] for row in rows] == [d.error for d in shown]

    def test_s2_of_one_of_two_phases(self, written):
        _, record, _, _ = written
        (section,) = (s for s in record["sections"] if s["title"] == "Correlations")
        drawn = {
            figure["title"]: {line["role"] for p in figure["parts"] for line in p["curves"]}
            for figure in section["parts"]
        }
        assert drawn == {
            "Matrix": {"reference", "second"},  # L alone
            "Fibre": {"reference", "first", "second"},
        }

    def test_axes_have_labels(self, written):
        _, record, _, _ = written
        plots = [
            plot
            for section in record["sections"]
            if section["title"] != "More"
            for part in section["parts"]
            for plot in part.get("parts", [])
            if plot["kind"] == "plot"
        ]
        assert len(plots) == 1 + 12
        assert all(plot["x_label"] and plot["y_label"] for plot in plots)

    def test_words_and_numbers(self, written):
        page, record, _, compared = written
        assert record["verdict"] in page.text
        assert record["verdict"] == str(compared.verdict)
        assert record["comparison"]["full"]["verdict"]["outcome"] == compared.verdict.outcome
        s2 = [c for c in compared.curves if c.function == "S2"]
        for plane in ("xy", "xz", "yz"):
            assert numbers.percent(compared.error("S2", plane=plane)) in page.text
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


@pytest.mark.parametrize("outcome", ["consistent", "doubtful", "different", "undecided"])
def test_badge(tmp_path, outcome):
    made, given = microstructure(), micrographs()
    compared = judged(m3.compare(made, given), outcome=outcome, reasons=("one", "two <b>"))
    page = write_report(tmp_path, microstructure=made, micrographs=given, comparison=compared)
    parsed = Page(page.read_text(encoding="utf-8"))
    (badge,) = parsed.all("strong")
    assert badge["class"] == f"badge {outcome}"
    assert str(compared.verdict) in parsed.text
    assert "two <b>" in parsed.text


def test_without_a_comparison_the_measurements_are_open(tmp_path):
    page = write_report(
        tmp_path,
        microstructure=microstructure(),
        comparison=False,
        properties={"n": 4},
        extra={"Measured": "Words."},
        verdict="A sentence.",
    )
    parsed = Page(page.read_text(encoding="utf-8"))
    assert not parsed.all("strong")
    assert "A sentence." in parsed.text
    folds = [("open" in a) for a in parsed.all("details") if a.get("class") == "section"]
    assert folds == [True, True, *[False] * 4]


def test_curve_of_the_largest_error_without_a_verdict(tmp_path):
    made, given = microstructure(), micrographs()
    compared = m3.compare(made, given, verdict=False)
    page = write_report(tmp_path, microstructure=made, micrographs=given, comparison=compared)
    text = Page(page.read_text(encoding="utf-8")).text
    largest = max(c.error for c in compared.curves if c.function != "autocovariance")
    assert "The curve of the largest error" in text
    assert f"Its error is {numbers.percent(largest)}." in text
    assert "a band whose edge is the split-half floor" in text


def test_markup_in_names_is_escaped(tmp_path):
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


def test_compares_by_default_unless_false(tmp_path):
    made, given = microstructure(), micrographs()
    write_report(tmp_path / "a", microstructure=made, micrographs=given)
    write_report(tmp_path / "b", microstructure=made, micrographs=given, comparison=False)
    first, second = (
        json.loads((tmp_path / name / "report.json").read_text(encoding="utf-8")) for name in "ab"
    )
    assert first["comparison"]["summary"] == m3.compare(made, given).summary()
    assert second["comparison"] is None
    assert first["verdict"] == str(m3.compare(made, given).verdict)
    assert second["verdict"] == ""


def test_raw_labels_are_judged_beside_the_matched_ones(tmp_path):
    raw = stripes()
    raw[:, :5] = 0
    made, given = microstructure(fields={"raw_labels": raw}), micrographs()
    page = write_report(tmp_path, microstructure=made, micrographs=given)
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    unjudged = m3.compare(raw, given, verdict=False)
    assert record["comparison_raw"]["summary"] == unjudged.summary()
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
        Picture(label_png(stripes()[0]), "A slice.", "Its caption."),
        Figure([Plot([Line([0, 1], [1, 2])])] * 2, "Two.", columns=2, legend=[("first", "a")]),
    ]
    page = write_report(tmp_path, microstructure=stripes(), extra=[Section("All", parts, "Lead.")])
    parsed = Page(page.read_text(encoding="utf-8"))
    assert parsed.balanced
    for words in ("plain", "small", "a = 1", "Caption.", "∞", "Its caption.", "Two.", "Lead."):
        assert words in parsed.text
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    (section,) = (s for s in record["sections"] if s["title"] == "All")
    kinds = [part["kind"] for part in section["parts"]]
    assert kinds == ["text", "text", "text", "table", "plot", "picture", "figure"]
