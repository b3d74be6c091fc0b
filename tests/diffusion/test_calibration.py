# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Passes and coupling of the sampler that are found from the micrographs alone."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import micro3d_fast as m3
from _tilted import tilted
from _toy import tiny_model
from micro3d_fast._planes import IMAGE_AXES
from micro3d_fast.calibration._fractions import fractions_doubt
from micro3d_fast.calibration._loop import deviation
from micro3d_fast.calibration._surface import (
    Trial,
    _coupling,
    enough_volumes,
    find_surface,
    island_rates,
)
from micro3d_fast.calibration._volumes import Volumes, _shown
from micro3d_fast.diffusion.labelling import unlike_neighbours
from micro3d_fast.diffusion.reconstruction import Reconstruction
from micro3d_fast.diffusion.schedule import Schedule
from micro3d_fast.diffusion.settings import scaled_repeats


@pytest.fixture(scope="module")
def micrographs():
    labels = m3.synthetic.level_cut((24, 24, 24), (0.6, 0.4), (2, 2, 2), 1)
    return m3.Micrographs.from_volume(labels, images_per_plane=8, seed=0)


def test_repeats_are_scaled_in_proportion():
    pattern = (1, 1, 2, 3, 4, 4, 3, 0)
    assert scaled_repeats(pattern, 26) == pattern
    assert scaled_repeats(pattern, 44) == (2, 2, 4, 6, 8, 8, 6, 0)
    assert scaled_repeats(pattern, 5) == (0,) * 8
    for passes in range(8, 130):
        found = scaled_repeats(pattern, passes)
        assert sum(found) + len(found) == passes
        assert found[-1] == 0


def test_unlike_neighbours_are_counted_by_axis():
    stripes = np.zeros((6, 4), np.uint8)
    stripes[::2] = 1  # along the rows' axis every pair is unlike
    found = unlike_neighbours([(stripes, IMAGE_AXES["xy"])])
    np.testing.assert_array_equal(found, [np.nan, 1, 0])
    three = np.array([[[0, 0, 1, 2, 2]]])
    np.testing.assert_allclose(
        unlike_neighbours([(three, range(3))], 3)[:, 2], np.array([1, 2, 1]) / 4
    )
    volume = np.zeros((4, 4, 4), np.uint8)
    volume[:, :, 2:] = 2  # one of three pairs along x
    np.testing.assert_allclose(unlike_neighbours([(volume, range(3))]), [0, 0, 1 / 3])
    np.testing.assert_allclose(
        unlike_neighbours([(volume, range(3)), (volume * 0, range(3))])[2], 1 / 6
    )


PATTERN = (1, 1, 2, 3, 4, 4, 3, 0)


def find(micrographs, response):
    """Find passes and coupling for volumes whose surface over the real one is the response."""
    real = unlike_neighbours(
        (i, IMAGE_AXES[plane]) for plane, of in micrographs.images.items() for i in of
    )
    asked = []

    def make(repeats, coupling):
        asked.append((sum(repeats) + len(repeats), coupling))
        return _volumes_of(real * response(asked[-1][0], np.array(coupling[0])))

    trials = find_surface(PATTERN, micrographs, make)
    assert sorted((t.passes, t.coupling) for t in trials) == sorted(asked)
    assert len(trials) <= 7
    assert trials[-1].error == min(t.error for t in trials)
    return trials[-1]


@pytest.mark.parametrize("slope", [0.6, 0.9, 1.4])
def test_coupling_gives_each_axis_the_surface_of_the_micrographs(micrographs, slope):
    rough = np.array([1.05, 1.1, 1.22])
    best = find(micrographs, lambda passes, j: rough * np.exp(-slope * j) * (passes / 20) ** -0.35)
    assert best.passes == 23
    rough *= (23 / 20) ** -0.35
    np.testing.assert_allclose(best.coupling[0], np.log(rough) / slope, atol=0.01 / slope)
    assert best.error < 0.02


def test_passes_leave_the_right_surface_along_the_smoothest_axis(micrographs):
    surface = np.array([1.06, 1.1, 1.2])
    best = find(micrographs, lambda passes, j: surface * np.exp(-0.9 * j) * (passes / 20) ** -0.35)
    assert best.passes == 24
    assert min(best.coupling[0]) == pytest.approx(0, abs=0.01)
    assert best.error < 0.02


def test_too_few_passes_are_not_tried(micrographs):
    """Slices do not agree after them; a coupling below 0 makes up for what is too smooth."""
    smooth = np.array([0.7, 0.75, 0.8])
    best = find(micrographs, lambda passes, j: smooth * np.exp(-0.9 * j) * (passes / 20) ** -0.35)
    assert best.passes == 18
    assert max(best.coupling[0]) < 0
    assert best.error < 0.02


def test_passes_are_as_many_as_leave_no_axis_too_rough(micrographs):
    """As in a composite of fibres, whose surface along them falls with the passes alone."""

    def wavy(passes, j):
        along = 1 + np.exp((30 - passes) / 6)
        return np.array([along, 1, 1]) * np.exp(-0.9 * j) * (passes / 40) ** -0.2

    best = find(micrographs, wavy)
    assert 36 <= best.passes <= 60
    assert best.error < 0.02


def test_fewer_passes_that_are_too_rough_are_taken_back(micrographs):
    def lamellae(passes, j):
        return np.array([1.02 * (20 / passes) ** 1.1, 0.93, 1]) * np.exp(-0.9 * j)

    best = find(micrographs, lamellae)
    assert best.passes == 20
    assert best.error < 0.02


def test_couplings_of_phases_that_act_on_each_other_are_found():
    response = np.array([[0.9, 0.1, 0.3], [0.2, 0.7, 0.3], [0.6, 0.4, 0.9]])
    rough = np.array([[1.2, 1.1, 1.1], [1.0, 1.1, 1.0], [1.1, 1.2, 1.1]])
    trials = []

    def attempt(coupling):
        surface = rough * np.exp(-response @ coupling)
        trials.append(Trial((1, 0), coupling.tolist(), 3, surface.tolist(), 0.0))

    attempt(np.zeros((3, 3)))
    while trials[-1].error > 0.01:
        attempt(_coupling(trials))
    assert len(trials) <= 6


def test_axes_along_which_micrographs_have_no_surface_are_left_out():
    layers = np.indices((24, 24, 24))[0].astype(np.uint8) // 3 % 2
    micrographs = m3.Micrographs.from_volume(layers, images_per_plane=8, seed=0)
    trials = find_surface(PATTERN, micrographs, lambda *_: [np.moveaxis(layers, 0, 1) ^ layers])
    assert np.isnan(trials[-1].surface[0][1:]).all()
    assert trials[-1].surface[0][0] == pytest.approx(1, abs=0.1)


def test_an_axis_that_no_micrograph_shows_takes_the_mean_of_the_others(micrographs):
    images = {"xy": micrographs.images["xy"]}
    flat = dataclasses.replace(micrographs, images=images, borrowed={}, sources={})
    best = find(flat, lambda passes, j: 1.2 * np.exp([-0.9 * j.mean()] * 3))
    (z, y, x), (surface, *_) = best.coupling[0], best.surface[0]
    assert z == pytest.approx((y + x) / 2, abs=5e-3)
    assert np.isnan(surface)


def _volumes_of(shares):
    """Return a row of voxels along each of z, y, x with these shares of unlike neighbours."""
    n = 2001
    rows = [np.cumsum(np.arange(n) * share % 1 < share) % 2 for share in shares]
    return [row.reshape([n if a == axis else 1 for a in range(3)]) for axis, row in enumerate(rows)]


@pytest.mark.parametrize("smooth", [False, True])
def test_more_passes_are_tried_where_volumes_lose_the_tilt(smooth):
    """But not where they leave too little surface."""
    data = m3.Micrographs.from_volume(tilted(48, 1), images_per_plane=10, seed=0)
    volume = tilted(48, 2)

    def make(repeats, coupling):
        if sum(repeats) + len(repeats) < 30:
            return [volume, np.ascontiguousarray(volume[::-1])]  # without tilt
        return [np.zeros_like(volume), volume] if smooth else [volume, volume]

    trials = find_surface(PATTERN, data, make)
    assert abs(trials[0].tilt) < 0.2 or abs(trials[1].tilt) < 0.2
    best = trials[-1]
    assert (best.passes < 30) == smooth
    assert (best.tilt > 0.7) != smooth
    assert any(t.passes >= 30 for t in trials)
    assert len(trials) <= 8


@pytest.mark.parametrize("removed_at", [0.03, 0.15, 0.6])
def test_a_coupling_that_removes_single_pixels_is_halved(rng, removed_at):
    """Unless half of it leaves a surface that is far from that of the micrographs."""
    fine, coarse = (
        np.kron(rng.random((48 // n,) * 3) < 0.5, np.ones((n, n, n))).astype(np.uint8)
        for n in (2, 4)
    )
    near = np.isin(np.arange(48) % 6, (2, 3, 4))  # of single pixels
    near, single = (np.ix_(at, at, at) for at in (near, np.arange(3, 48, 6)))

    def volume(coupling, single_pixels):
        finer = np.arange(48)[:, None, None] < round(36 - 60 * coupling)
        made = np.where(finer, fine, coarse)
        made[near] = 0
        made[single] = single_pixels
        return made

    def make(repeats, coupling):
        return [volume(coupling[0][0], coupling[0][0] <= removed_at)]

    data = m3.Micrographs.from_volume(volume(0.2, True), images_per_plane=48, seed=0)
    trials = find_surface(PATTERN, data, make)
    found = [t for t in trials if t.error <= 0.1 and t.islands == 1] or trials
    assert trials[-1].error == min(t.error for t in found)
    assert trials[-1].islands == (0 if removed_at == 0.03 else 1)
    assert len(trials) <= 8


@pytest.mark.parametrize(("edge", "count"), [(16, 8), (48, 5), (64, 2), (128, 2)])
def test_trials_have_as_many_voxels(edge, count):
    assert enough_volumes((edge,) * 3) == count


def test_quick_finds_repeats_for_the_model(micrographs, monkeypatch):
    monkeypatch.setattr("micro3d_fast.calibration._surface.TRIALS", 4)  # of 6
    model, events = tiny_model(), []
    options = {"volume_shape": (16, 16, 16), "volumes": 4, "seed": 3}
    found = m3.calibrate(model, micrographs, callback=events.append, **options)
    assert 1 <= len(found.trials) <= 4
    best = found.trials[-1]
    assert found.harmonize == found.model.harmonize == best.harmonize
    assert found.coupling == found.model.coupling == best.coupling
    assert found.model.island_rates == island_rates(micrographs)
    assert best.error == min(t.error for t in found.trials)
    assert best.passes == sum(best.harmonize) + 8
    assert [e["pass_index"] for e in events] == sorted(e["pass_index"] for e in events)
    assert events[-1]["pass_index"] == 4 * sum(t.passes for t in found.trials)
    assert {e["stage"] for e in events} == {"surface"}
    made = m3.reconstruct((16, 16, 16), found.model, seed=3, n=4)
    assert found.verdict == m3.compare(made, micrographs, splits=2, bootstrap=2).verdict
    surface = unlike_neighbours((v.labels, range(3)) for v in made)
    real = unlike_neighbours(
        (i, IMAGE_AXES[plane]) for plane, of in micrographs.images.items() for i in of
    )
    np.testing.assert_allclose(best.surface[0], surface / real, rtol=1e-12)
    assert found.verdict.outcome == "different"  # the network is not trained
    assert str(found).startswith("Verdict: different: the ")
    assert "No passes and coupling give the surface" in str(found)
    assert found.rounds == ()


@pytest.fixture
def short_loop(monkeypatch):
    monkeypatch.setattr("micro3d_fast.calibration._loop.STEPS", 2)
    monkeypatch.setattr("micro3d_fast.calibration._loop.WEIGHTS", (0.5, 1.0))
    monkeypatch.setattr("micro3d_fast.calibration._surface.TRIALS", 1)
    monkeypatch.setattr("micro3d_fast.calibration._surface.START", 4)
    monkeypatch.setattr("micro3d_fast.diffusion.settings.RISING", (1, 0))


def calibrate_fully(micrographs, out, model=None, **options):
    options = {"volume_shape": (16, 16, 16), "volumes": 2, "effort": "full", **options}
    return m3.calibrate(model or tiny_model(), micrographs, out=out, **options)


def test_full_corrects_the_network_and_resumes(short_loop, micrographs, tmp_path, monkeypatch):
    values = iter([3.0, 2.8, 2.5, 2.0, 1.5])
    monkeypatch.setattr("micro3d_fast.calibration._loop.deviation", lambda _, **but: next(values))
    events = []
    found = calibrate_fully(micrographs, tmp_path, callback=events.append)
    assert [(r.before, r.weights, r.weight, r.after, r.accepted) for r in found.rounds] == [
        (3.0, {0.0: 2.8, 0.5: 2.5, 1.0: 2.0}, 1.0, 1.5, True)
    ]
    assert found.model.hash != tiny_model().hash
    assert found.model.details["calibration"]["rounds"][0]["weight"] == 1.0
    stages = list(dict.fromkeys(e["stage"] for e in events))
    assert stages == [
        "surface", "round-1/lessons", "round-1/copy", "round-1/guided-0.5", "round-1/guided-1",
        "round-1/student", "round-1/result", "finished",
    ]  # fmt: skip
    assert events[-1]["pass_index"] == events[-1]["passes"]
    assert found.model.island_rates == island_rates(micrographs)
    for name in ("phase_names", "volume_fractions", "patch", "voxel_size", "fraction_scatter"):
        assert getattr(found.model, name) == getattr(tiny_model(), name)
    saved = m3.load_model(tmp_path)
    assert saved.harmonize == found.harmonize
    assert saved.details == found.model.details

    made = {f: f.stat().st_mtime_ns for f in (tmp_path / "round-1").rglob("*.npz")}
    assert len(made) == 2 + 2 + 2 + 2  # lessons, guided by two weights, the result
    values = iter([3.0, 2.8, 2.5, 2.0, 1.5])
    monkeypatch.setattr("micro3d_fast.calibration._surface.START", 6)  # as a later version may
    again = calibrate_fully(micrographs, tmp_path)
    assert again.model.hash == found.model.hash
    assert again.trials == found.trials
    assert again.verdict == found.verdict
    assert {f: f.stat().st_mtime_ns for f in made} == made
    for other in ({"seed": 1}, {"known": np.full((16, 16, 16), 255, np.uint8)}):
        with pytest.raises(
            ValueError, match="`out` must be empty or hold a calibration of the sam"
        ):
            calibrate_fully(micrographs, tmp_path, **other)
    record = json.loads((tmp_path / "calibration.json").read_text())
    del record["agreement"]  # as in those of a former version
    (tmp_path / "calibration.json").write_text(json.dumps(record))
    values = iter([3.0, 2.8, 2.5, 2.0, 1.5])
    assert calibrate_fully(micrographs, tmp_path).trials == found.trials
    model = dataclasses.replace(tiny_model(), agreement=0.3)
    with pytest.raises(ValueError, match=r"where agreement was 0.0, now 0.3"):
        calibrate_fully(micrographs, tmp_path, model)


def test_a_model_that_is_corrected_again_records_all_rounds(short_loop, micrographs, tmp_path):
    first = calibrate_fully(micrographs, tmp_path / "first").model
    again = calibrate_fully(micrographs, tmp_path / "again", first)
    rounds = again.model.details["calibration"]["rounds"]
    assert len(rounds) == 2
    assert rounds[0] == first.details["calibration"]["rounds"][0]
    assert rounds[1] == again.rounds[0].record()


def test_a_model_of_a_former_version_gets_an_agreement(micrographs):
    options = {"volume_shape": 16, "volumes": 1}
    old = dataclasses.replace(tiny_model(), schedule=Schedule("shifted", shift=2.0))
    for model, expected in (
        (tiny_model(), 0),  # a schedule on which it was not measured
        (old, 0.4),
        (dataclasses.replace(old, harmonize=(1, 0)), None),  # perhaps corrected without
        (dataclasses.replace(old, agreement=0.1), 0.1),
    ):
        found = m3.calibrate(model, micrographs, **options)
        assert found.model.agreement == expected
        assert found.agreement == (expected or 0)


def test_options_that_are_arrays_are_told_apart():
    first = np.full((16, 16, 16), 255, np.uint8)
    other = first.copy()
    other[8, 8, 8] = 1
    assert repr(first) == repr(other)  # which numpy shortens
    assert _shown(first) != _shown(other)
    assert _shown(first) == _shown(first.copy())


NONE = (False, (False,) * 3, [False] * 3, np.False_, np.zeros(3, bool))
ALL = (True, (True,) * 3, [True] * 3, np.True_, np.ones(3, bool))
ALONG_X = ((False, False, True), [False, False, True], np.array([False, False, True]))
SPELLINGS = (  # of the same options
    [{}, {"device": None}, *({"periodic": p} for p in NONE)],
    [{"periodic": p} for p in ALL],
    [{"periodic": p, "device": d} for p in ALONG_X for d in (None, "cpu", torch.device("cpu"))],
)


def opened(folder, options):
    Volumes(None, (16, 16, 16), options, 0, None, folder).open({"seed": 0})


@pytest.mark.parametrize("former", [False, True])
def test_a_calibration_is_resumed_with_the_same_options_written_otherwise(tmp_path, former):
    for k, same in enumerate(SPELLINGS):
        others = SPELLINGS[k - 1]
        for n, first in enumerate(same):
            folder = tmp_path / f"{k}-{n}"
            opened(folder, {**first, "guidance": 1.5})
            if former:
                texts = {name: _shown(value) for name, value in first.items()}
                record = {"seed": 0, "options": {**texts, "guidance": "1.5"}}
                (folder / "calibration.json").write_text(json.dumps(record))
            for again in same:
                opened(folder, {**again, "guidance": 1.5})
            with pytest.raises(ValueError, match="where periodic was "):
                opened(folder, {**others[0], "guidance": 1.5})
            with pytest.raises(ValueError, match="where options was "):
                opened(folder, {**first, "guidance": 2.0})


def test_a_trial_is_read_as_it_was_written():
    trial = Trial((1, 0), ((0.1, 0.0, -0.2),), 3, ((1.5, np.nan, 1.0),), 2.0, islands=0.5)
    read = Trial.of(json.loads(json.dumps(trial.record())))
    assert repr(read) == repr(trial)


def test_kinds_of_quantities_weigh_the_same(micrographs):
    verdict = m3.compare(np.zeros((16, 16, 16), np.uint8), micrographs).verdict
    one = verdict.deviations[0]
    found = {"S2": (1.0, 3.0, 2.0, 2.0), "surface": (4.0,), "euler": (50.0, 0.0)}
    each = [
        dataclasses.replace(one, quantity=name, ratio=ratio)
        for name, ratios in found.items()
        for ratio in ratios
    ]
    verdict = dataclasses.replace(verdict, deviations=tuple(each))
    assert deviation(verdict) == pytest.approx((2 + 4 + 5) / 3)  # 50 counts as 10
    assert deviation(verdict, but="surface") == pytest.approx((2 + 5) / 2)


def test_other_files_are_not_overwritten(micrographs, tmp_path):
    tiny_model().save(tmp_path / "model")
    before = m3.load_model(tmp_path).hash
    with pytest.raises(ValueError, match="`out` must be empty or hold a calibration, got "):
        calibrate_fully(micrographs, tmp_path)
    assert m3.load_model(tmp_path).hash == before


def test_full_changes_nothing_that_it_cannot_improve(
    short_loop, micrographs, tmp_path, monkeypatch
):
    judged = []

    def deviation(verdict, **but):
        judged.append(verdict)
        return 9.0 if len(judged) == 1 else 1.0  # all lessons; then a few volumes of each weight

    monkeypatch.setattr("micro3d_fast.calibration._loop.deviation", deviation)
    events = []
    found = calibrate_fully(micrographs, tmp_path, callback=events.append, runtime=None)
    assert events[-1]["pass_index"] == events[-1]["passes"]
    assert found.model.hash == tiny_model().hash
    assert [r.accepted for r in found.rounds] == [False]
    assert found.rounds[0].after is None
    assert "no weight is better" in str(found)


def test_full_stops_where_volumes_are_consistent(short_loop, micrographs, monkeypatch, tmp_path):
    consistent = dataclasses.replace(
        m3.calibrate(tiny_model(), micrographs, volume_shape=(16, 16, 16), volumes=1).verdict,
        outcome="consistent",
    )
    monkeypatch.setattr("micro3d_fast.calibration._volumes.Volumes.verdict", lambda *_: consistent)
    found = calibrate_fully(micrographs, tmp_path)
    assert found.rounds[0].outcome == "consistent"
    assert found.rounds[0].weights == {}
    assert not (tmp_path / "round-1" / "copy").exists()
    assert "nothing to correct" in str(found)


def test_a_pair_of_equal_networks_is_one_network():
    model = tiny_model()
    plain = m3.reconstruct((16, 16, 16), model, passes=6, seed=4, precision="float32")
    pair = Reconstruction.of(
        (16, 16, 16), model, against=tiny_model(), guidance=2.0, passes=6,
        runtime=m3.Runtime(precision="float32"),
    ).run([4])  # fmt: skip
    assert (pair[0].labels != plain.labels).mean() < 1e-3  # rounding
    assert pair[0].provenance["against"] == model.hash


def test_phases_that_no_micrograph_shows_are_refused():
    labels = np.zeros((24, 24, 24), np.uint8)
    labels[:, ::3] = 1  # layers normal to y: a slice normal to it shows one phase
    micrographs = m3.Micrographs.from_volume(labels, images_per_plane=1, seed=0)
    with pytest.raises(
        ValueError, match=r"every phase of the model in every plane, got no .* in xz"
    ):
        m3.calibrate(tiny_model(), micrographs)


def test_a_model_keeps_what_was_found(tmp_path):
    model = dataclasses.replace(tiny_model(), harmonize=(1, 2, 0))
    loaded = m3.load_model(model.save(tmp_path / "m"))
    assert loaded.harmonize == (1, 2, 0)
    assert "harmonizing passes 1 2 0" in repr(loaded)
    for options, passes in (
        ({}, 6),
        ({"passes": 4}, 4),
        ({"quality": "draft"}, 22),
        ({"harmonize": (1, 0)}, 3),
    ):
        made = m3.reconstruct((8, 8, 8), loaded, **options)
        assert made.provenance["passes"] == passes


@pytest.mark.parametrize("wrong", [4, (1, 2), (1.5, 0), (), (0,) * 5000])
def test_repeats_of_a_model_are_checked(wrong):
    with pytest.raises(ValueError, match="`harmonize` must"):
        dataclasses.replace(tiny_model(), harmonize=wrong)


def test_repeats_of_numpy_can_be_saved(tmp_path):
    model = dataclasses.replace(tiny_model(), harmonize=np.array([1, 0]))
    assert m3.load_model(model.save(tmp_path)).harmonize == (1, 0)


@pytest.mark.parametrize("wrong", ["[1, 2]", "[]", "[-1, 0]", "[0.5, 0]", "[true, 0]", "3"])
def test_a_damaged_record_of_it_is_refused(tmp_path, wrong):
    file = dataclasses.replace(tiny_model(), harmonize=(7, 0)).save(tmp_path) / "model.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "harmonize": json.loads(wrong)}))
    with pytest.raises(ValueError, match="failed: `harmonize` must be one number per step"):
        m3.load_model(tmp_path)


@pytest.mark.parametrize(
    ("given", "own", "words"),
    [
        ((0.43, 0.57), (0.57, 0.43), "where the model has 0.57, 0.43: are the phases swapped?"),
        ((0.6, 0.4), (0.75, 0.25), "of the same material, and segmented alike?"),
        ((0.35, 0.15, 0.5), (0.5, 0.35, 0.15), "are the phases swapped?"),
        ((0.57, 0.43), (0.60, 0.40), None),
        ((0.55, 0.35, 0.1), (0.5, 0.38, 0.12), None),
    ],
)
def test_fractions_far_from_those_of_the_model_are_doubted(given, own, words):
    images = m3.Micrographs.from_volume(m3.synthetic.level_cut((64,) * 3, given, 3.0, 5), 20)
    model = m3.Micrographs.from_volume(m3.synthetic.level_cut((64,) * 3, own, 3.0, 6), 20)
    law = m3.statistics.fraction_scatter(model)
    trained = SimpleNamespace(volume_fractions=own, fraction_scatter=law, patch=64)
    found = fractions_doubt(images, trained)
    assert found is None if words is None else words in found


def test_halves_of_a_heterogeneous_tomogram_are_not_doubted():
    """A fraction that drifts along z by .1, in structure of a tenth of its height."""
    drift = np.linspace(0.35, 0.45, 96)[:, None, None]
    noise = m3.synthetic.level_cut((96, 64, 64), np.full(50, 0.02), 5.0, 3).labels
    labels = (noise < 50 * drift).astype(np.uint8)
    low, high = (m3.Micrographs.from_volume(half, 30) for half in (labels[:48], labels[48:]))
    for a, b in ((low, high), (high, low)):
        model = SimpleNamespace(
            volume_fractions=a.volume_fractions(),
            fraction_scatter=m3.statistics.fraction_scatter(a),
            patch=48,
        )
        assert fractions_doubt(b, model) is None


def test_calibrate_warns_of_other_fractions():
    labels = m3.synthetic.level_cut((24, 24, 24), (0.9, 0.1), (2, 2, 2), 1)
    images = m3.Micrographs.from_volume(labels, images_per_plane=8, seed=0)
    with pytest.warns(UserWarning, match="`micrographs` have the volume fractions 0.*swapped"):
        m3.calibrate(tiny_model(fractions=(0.1, 0.9)), images, volume_shape=16, volumes=1)


def test_micrographs_of_another_scale_or_of_other_phases_are_refused(micrographs):
    model = dataclasses.replace(tiny_model(), voxel_size=(1e-6,) * 3, phase_names=("a", "b"))
    for changes, words in (
        ({"voxel_size": (2e-6, 1e-6, 1e-6)}, "have the voxel size of the model"),
        ({"phase_names": ("b", "a")}, "have the phases of the model, a, b, got b, a"),
    ):
        other = dataclasses.replace(micrographs, **changes)
        with pytest.raises(ValueError, match=f"`micrographs` must {words}"):
            m3.calibrate(model, other)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": 1}, TypeError, "`model` must be a Model"),
        ({"micrographs": 1}, TypeError, "`micrographs` must be a Micrographs"),
        ({"model": tiny_model(3)}, ValueError, "`micrographs` must have the 3 phases"),
        ({"volumes": 0}, ValueError, "`volumes`"),
        ({"effort": "slow"}, ValueError, "`effort` must be"),
        ({"out": "x"}, ValueError, "`out` must be None unless `effort`"),
        ({"rounds": 0}, ValueError, "`rounds`"),
        ({"guidance": 2.0}, TypeError, "`guidance` is set by calibrate"),
        ({"volumes": 10**30}, ValueError, "`volumes`"),
        ({"callback": 5}, TypeError, "`callback` must be callable"),
        ({"shape": (8, 8, 8)}, TypeError, "`shape` is not an argument of calibrate"),
        ({"volume_shape": (4, 8, 8)}, ValueError, "`volume_shape` must be at least 8"),
        ({"passes": 3}, TypeError, "`passes` is set by calibrate"),
    ],
)
def test_wrong_input_is_refused_in_one_sentence(micrographs, change, error, words):
    arguments = {"model": tiny_model(), "micrographs": micrographs, **change}
    with pytest.raises(error, match=words):
        m3.calibrate(**arguments)
