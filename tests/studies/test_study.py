# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""m3.study: what it measures, what it writes, and that it goes on where it ended."""

from __future__ import annotations

import csv
import dataclasses
import html
import json
import warnings

import numpy as np
import pytest

import micro3d_fast as m3


@pytest.fixture(scope="session")
def small(run_study, tmp_path_factory):
    solids = [m3.Isotropic(E=1.0, nu=0.3, alpha=1e-6), m3.Isotropic(E=10.0, nu=0.2, alpha=5e-6)]
    return run_study(
        tmp_path_factory.mktemp("studies") / "small",
        count=3,
        figures=True,
        materials=solids,
        diffusing=["b"],
        gamma=(0.5, 1.0),
        harmonize=(0, 1),
        grid_steps=2,
        ablation=True,
        variant_count=2,
    )


def test_quantities_are_those_of_the_volumes_and_of_the_blocks(small, truth):
    """Against the public functions, called on the same volumes."""
    assert small.numbers == [0, 1, 2]
    assert (small.quantities.count, small.quantities.reference_count) == (3, 3)
    first = small.volume(0)
    solids = [m3.Isotropic(E=1.0, nu=0.3, alpha=1e-6), m3.Isotropic(E=10.0, nu=0.2, alpha=5e-6)]
    elastic = m3.homogenize_elasticity(first, solids, tol=1e-6)
    found = {name: q.values[0] for name, q in small.quantities.properties.items()}
    np.testing.assert_allclose(found["E"], elastic.E, rtol=1e-3)
    np.testing.assert_allclose(found["nu"], [elastic.nu[k] for k in ("xy", "xz", "yz")], rtol=1e-3)
    np.testing.assert_allclose(found["G"], [elastic.G[k] for k in ("yz", "xz", "xy")], rtol=1e-3)
    np.testing.assert_allclose(found["alpha"][:3], np.diag(elastic.thermal_expansion), rtol=1e-3)
    along = [m3.relative_diffusivity(first, 1, axis=a, tol=1e-6).relative for a in "xyz"]
    np.testing.assert_allclose(found["D"], along, rtol=1e-3, atol=1e-6)
    assert small.quantities["D"].components == ("b x", "b y", "b z")
    assert found["fraction"] == pytest.approx([m3.volume_fractions(first)[1]])
    block = truth[:16, :16, :16]
    assert small.quantities["fraction"].reference[0, 0] == np.mean(np.asarray(block) == 1)
    assert small.quantities["surface"].reference[0, 0] == m3.specific_surface(block, 1)


def test_errors_of_single_volumes_are_those_of_compare(small, truth):
    one = m3.compare(small.volume(1), truth, verdict=False)
    groups = {group.group: group for group in small.errors}
    for function in ("S2", "L"):
        for plane in ("xy", "xz", "yz"):
            found = groups["generated"].errors[function, plane][1]
            assert found == pytest.approx(one.error(function, plane=plane), rel=1e-9)


def test_the_grid_and_the_ablation_are_the_variants_asked_for(small):
    grid = {group.group: group.options for group in small.of_kind("grid")}
    assert list(grid) == [
        "gamma-0.5-harmonize-0", "gamma-1-harmonize-0", "gamma-0.5-harmonize-1",
        "gamma-1-harmonize-1",
    ]  # fmt: skip
    made = small.volume(1, "gamma-0.5-harmonize-1").provenance
    assert made["seed"] == 1
    assert (made["settings"]["gamma"], made["settings"]["harmonize"]) == (0.5, 1)
    assert made["settings"]["steps"] == 2
    assert made["asked_volume_fractions"] is None
    without = small.volume(0, "without-condition").provenance
    assert without["guidance"] == 0.0
    assert small.volume(0, "without-held-mean").provenance["settings"]["hold_mean"] is False
    assert all(group.count == 2 for group in small.of_kind("ablation"))


def test_times_are_estimated_from_the_passes_of_each_task(small):
    names = ("real", "generated", "gamma-0.5-harmonize-0", "gamma-0.5-harmonize-1")
    costs = [small.plan.cost(small.plan.tasks(name)[0]) for name in names]
    assert [cost - costs[0] for cost in costs] == [0, 3, 2, 3]


def test_fractions_are_natural_by_default(small):
    made = [small.volume(k).provenance for k in small.numbers]
    assert all(one["natural_volume_fractions"] for one in made)
    assert len({tuple(one["asked_volume_fractions"]) for one in made}) == 3


def test_tables_and_json_hold_the_result(small):
    with open(small.out / "volumes.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["group"] for row in rows] == ["generated"] * 3 + ["real"] * 3
    assert float(rows[2]["E x"]) == small.quantities["E"].values[2, 0]
    lines = str(small).splitlines()
    assert lines[0] == small.verdict
    assert len(lines) == 1 + len(small.done) + 2 + len(small.tests)
    record = json.loads((small.out / "study.json").read_text(encoding="utf-8"))
    assert record["verdict"] == small.verdict
    assert len(record["tests"]) == len(small.tests) > 10
    with open(small.out / "errors.csv", encoding="utf-8", newline="") as file:
        cells = [row for row in csv.DictReader(file) if row["gamma"] == "0.5"]
    assert len(cells) == 2 * 2 * 6  # repeats, volumes, functions and planes


def test_a_finished_study_is_read_and_a_larger_count_goes_on(run_study, tmp_path):
    first = run_study(tmp_path, count=1)
    (tmp_path / "figures").mkdir(exist_ok=True)
    left = tmp_path / "figures" / ".a.svg.x1.tmp.svg"  # by a killed writer
    left.touch()
    assert first.resources["Workers"] == "this process"
    written = {file: file.stat().st_mtime_ns for file in tmp_path.rglob("0000.*")}
    assert run_study(tmp_path, count=1).to_dict()["quantities"] == first.to_dict()["quantities"]
    assert run_study(tmp_path, count=1).resources == first.resources
    assert not left.exists()
    more = run_study(tmp_path, count=2)
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert more.numbers == [0, 1]
    np.testing.assert_array_equal(more.quantities["D"].values[0], first.quantities["D"].values[0])
    with pytest.raises(ValueError, match=r"where tol was 0\.0001, now 0\.001"):
        run_study(tmp_path, count=2, tol=1e-3)
    with pytest.raises(ValueError, match="options of 'generated' was"):
        run_study(tmp_path, count=2, passes=4)


def test_a_volume_without_its_numbers_is_measured_not_made(run_study, tmp_path):
    """The state that kill -9 leaves between the two files of a task."""
    first = run_study(tmp_path, count=1)
    file = tmp_path / "volumes" / "generated" / "0000.npz"
    made = file.stat().st_mtime_ns
    (tmp_path / "tasks" / "generated" / "0000.json").unlink()
    again = run_study(tmp_path, count=1)
    assert file.stat().st_mtime_ns == made
    assert again.quantities == first.quantities


def test_a_task_that_fails_is_named_and_tried_again(run_study, model, truth, tmp_path, monkeypatch):
    from micro3d_fast.studies import _tasks

    events, real = [], _tasks.reconstruct

    def sometimes(*arguments, seed, **options):
        if seed == 1:
            raise RuntimeError("no luck")
        return real(*arguments, seed=seed, **options)

    monkeypatch.setattr(_tasks, "reconstruct", sometimes)
    monkeypatch.setattr("micro3d_fast.studies._figures.write_figures", lambda study: [])
    arguments = {"count": 3, "volume_shape": 16, "passes": 3, "device": "cpu", "workers": 1}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = m3.study(model, truth, tmp_path, callback=events.append, **arguments)
    assert any("1 of 6 tasks failed, generated/0001 with Runtime" in str(w) for w in caught)
    assert found.failed == {"generated/0001": "RuntimeError: no luck"}
    assert found.numbers == [0, 2]
    assert "1 task failed: generated/0001" in found.verdict
    assert [event["step"] for event in events] == list(range(7))
    assert events[0]["eta"] is None
    assert events[-1]["eta"] == pytest.approx(0.0)
    assert all(0 <= event["eta"] < 600 for event in events[1:])
    monkeypatch.undo()
    assert run_study(tmp_path, count=3).numbers == [0, 1, 2]


def test_micrographs_alone_train_a_model_and_need_no_truth(run_study, truth, tmp_path):
    images = m3.Micrographs.from_volume(truth, 8)
    short = {"steps": 2, "patch": 16, "batch_size": 2, "samples_every": 0}
    found = run_study(tmp_path, images, None, count=2, training=short)
    assert found.tests == ()
    assert found.truth is None
    assert (tmp_path / "training" / "model" / "model.json").exists()
    assert found.micrographs.fingerprint() == images.fingerprint()
    assert found.against == "micrographs"
    assert "real blocks" not in found.verdict
    both = run_study(tmp_path / "both", images, truth, count=1, training=short)
    assert both.against == "micrographs"
    assert both.quantities.reference_count == 1


def test_refusals_name_the_argument(run_study, model, truth, tmp_path):
    three = m3.Microstructure(np.arange(4**3, dtype=np.uint8).reshape(4, 4, 4) % 3)
    for options, message in (
        ({"second": None}, "`truth` must be a volume or a Micrographs, to compare with, got None"),
        ({"second": three}, "`truth` must have the 2 phases of the model, got 3"),
        (
            {"second": dataclasses.replace(truth, phase_names=("b", "a"))},
            "`truth` must have the phases of the model, a, b, got b, a: rename or relabel",
        ),
        (
            {"second": dataclasses.replace(truth, voxel_size=(2e-6,) * 3)},
            "`truth` must have the voxel size of the model, .*: resample to it, or give",
        ),
        ({"second": truth[:8]}, "`truth` must be at least as large as the volumes"),
        ({"count": 0}, "`count` must be"),
        ({"gamma": 0.5}, "`gamma` must be a sequence: the values of a grid, got"),
        ({"gamma": (2.0,)}, "`gamma` must"),
        ({"diffusing": [2]}, "`diffusing` must be phases of the model, a, b, got 2"),
        ({"materials": "cathode"}, "`diffusing` must be phases of the model, a, b, got 2"),
        ({"materials": [m3.Isotropic(E=1.0, nu=0.3)]}, "`materials` must hold one material"),
        ({"materials": {"c": m3.Isotropic(E=1.0, nu=0.3)}}, "`materials` must"),
        ({"materials": "fibre-composite"}, "`materials` must be those of the volume's phases, a"),
        ({"keep_raw": True}, "`keep_raw` is not an argument of study"),
        ({"scheduler": 3}, "`scheduler` must be an address|needs dask.distributed"),
    ):
        with pytest.raises((ValueError, TypeError, ImportError), match=message):
            run_study(tmp_path / "refused", **{"count": 1, **options})


def test_materials_stand_in_the_order_of_the_phases():
    from micro3d_fast.studies._study import _material_record

    soft, stiff = m3.Isotropic(E=1.0, nu=0.3), m3.Isotropic(E=10.0, nu=0.2, alpha=1e-6)
    record = _material_record({"b": stiff, "a": soft}, ("a", "b"))
    assert record == _material_record([soft, stiff], ("a", "b"))
    assert record["phases"][1]["elastic"]["C"] == stiff.stiffness.tolist()
    carbon = _material_record("fibre-composite", ("fibre", "matrix"))
    assert carbon["phases"][0]["elastic"]["C"][2][2] > 200e9  # along z
    table = _material_record("fibre-composite-table-a1", ("matrix", "fibre"))
    assert table["phases"][1]["elastic"]["C"][2][2] > 200e9
    assert _material_record("cathode", ("a", "b", "c")) is None


def test_two_sample_tests_on_known_samples():
    from micro3d_fast.studies._samples import quartiles, smallest_p, two_sample, with_holm

    far = two_sample("E", "x", np.arange(20.0), np.arange(100.0, 120.0))
    assert far.larger == 0.0
    assert far.location_p < 1e-6
    assert far.shape_p < 1e-6
    assert not far.inside
    assert two_sample("E", "y", [1.0, 3.0], [2.0, 4.0]).larger == 0.25
    assert smallest_p(3, 3) == pytest.approx(0.1)
    assert smallest_p(1, 1) == 1.0
    same = two_sample("D", "z", [0.0, 0.0], [0.0, 0.0])
    assert (same.location_p, same.larger, same.inside) == (1.0, 0.5, True)
    assert quartiles([1.0, 2.0, 3.0, 4.0, 5.0, np.nan]) == (2.0, 3.0, 4.0)
    # Holm: the smallest p against 5 % / 3, the next against 5 % / 2
    values = [0.04, 0.01, 0.03]
    tests = [dataclasses.replace(far, location_p=p) for p in values]
    assert [t.differs for t in with_holm(tests)] == [False, True, False]
    tests = [dataclasses.replace(far, location_p=p) for p in (0.04, 0.01, 0.02)]
    assert [t.differs for t in with_holm(tests)] == [True, True, True]


def test_the_page_holds_all_sections_and_loads_nothing(small):
    text = (small.out / "study.html").read_text(encoding="utf-8")
    for anchor in ("overview", "volumes", "slices", "curves", "errors", "properties", "descriptors",
                   "grid", "ablation", "work", "provenance"):  # fmt: skip
        assert f'id="{anchor}"' in text, anchor
    assert "<code>study.json</code>" in text
    assert 'src="http' not in text
    assert html.escape(small.verdict, quote=False) in html.unescape(text)


def test_figures_are_vector_graphics_of_the_papers_compositions(small):
    folder = small.out / "figures"
    names = {file.stem for file in folder.iterdir()}
    assert names == {
        "volumes-and-curves", "grid-errors", "grid-curves", "elastic-constants",
        "thermal-expansion", "fractions-and-diffusivity", "descriptors", "ablation",
        "equivalent-stress",
    }  # fmt: skip
    for name in names:
        assert (folder / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        svg = (folder / f"{name}.svg").read_text(encoding="utf-8")
        assert "<svg" in svg
        if name not in ("volumes-and-curves", "equivalent-stress"):
            assert "<image" not in svg  # lines and text alone


def test_units_do_not_change_what_a_study_is():
    """Studies of former versions recorded no units of their materials."""
    from micro3d_fast.studies._study import _digest_of_phases, _material_record

    bare = [m3.Isotropic(4.0, 0.3), m3.Isotropic(70.0, 0.2)]
    record = _material_record(bare, ("a", "b"))
    assert record["stress_unit"] == ""
    former = {"phases": record["phases"]}
    assert _digest_of_phases(record) == _digest_of_phases(former)
