# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The results of every command."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import micro3d_fast as m3
from micro3d_fast.cli import errors
from volumes import blobs, random_labels


def test_train_writes_a_run(model, folder):
    run_folder = Path(model)
    assert (run_folder / "model" / "model.json").exists()
    loaded = m3.load_model(model)
    assert loaded.phase_names == ("pore", "solid")
    assert loaded.voxel_size == (1e-6, 1e-6, 1e-6)
    del folder


def test_training_prints_its_verdict(run, folder, tmp_path):
    code, said, err = run(
        "train", "--volume", folder / "v.tif", "--patch", 16, "--steps", 4,
        "--batch-size", 2, "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    sentence = m3.load_model(tmp_path / "run").details["training"]
    assert sentence.startswith("4 of the recommended 3000 steps; its 2D samples are different: ")
    assert f"Training: {sentence}.\n" in said
    assert f"Next: micro3d calibrate --model {tmp_path / 'run'} --save" in said
    assert f"warning: the model may be poor: {sentence}\n" in err
    assert err.count("its 2D samples are different: the ") == 2  # of the picture; the warning
    assert "training 4/4  its 2D samples are different: the " in err


def test_info_shows_how_a_model_trained(run, model, tmp_path):
    code, said, err = run("info", model)
    assert code == 0
    assert err == ""
    loaded = m3.load_model(model)
    assert f"Training: {loaded.details['training']}.\n" in said
    assert loaded.hash in said
    assert "2 of the recommended 3000 steps" in said
    former = {k: v for k, v in loaded.details.items() if k != "training"}
    replace(loaded, details=former).save(tmp_path / "former")
    code, said, _ = run("info", tmp_path / "former")
    assert code == 0
    assert "Training: not recorded by the version that trained the model." in said
    code, _, err = run("info", "nowhere")
    assert code == errors.BAD_INPUT
    assert "MODEL must be a model directory or one of fibre-composite" in err


def test_train_refuses_a_run_with_other_settings(run, model, folder):
    code, _, err = run(
        "train", "--volume", folder / "v.tif", "--out", model, "--patch", 16, "--steps", 2
    )
    assert code == errors.BAD_INPUT
    assert "batch_size was 2, now 32" in err


@pytest.mark.parametrize("suffix", [".tif", ".npz"])
def test_reconstruct_writes_a_volume(run, model, tmp_path, suffix):
    out = tmp_path / "new" / f"volume{suffix}"
    code, said, err = run(
        "reconstruct", "--model", model, "--shape", "12,16,20", "--passes", 5,
        "--seed", 3, "--periodic", "x", "--out", out,
    )  # fmt: skip
    assert code == 0
    assert str(out) in said
    assert "reconstructing 5/5" in err
    made = m3.Microstructure.load(out)
    assert made.shape == (12, 16, 20)
    assert made.voxel_size == pytest.approx((1e-6, 1e-6, 1e-6))
    assert made.provenance["seed"] == 3
    assert made.provenance["periodic"] == [False, False, True]
    assert made.provenance["model_name"] == model


@pytest.mark.filterwarnings("ignore:the natural scatter")  # three images per plane
def test_reconstruct_writes_many_volumes_around_known_voxels(run, model, folder, tmp_path):
    known = np.full((12, 16, 20), 255, dtype=np.uint8)
    known[5] = m3.Microstructure.load(folder / "v.tif").labels[5, :16, :20]
    m3.Microstructure(known).save(tmp_path / "known.tif")
    code, said, err = run(
        "reconstruct", "--model", model, "--shape", "12,16,20", "--passes", 5,
        "--count", 2, "--seed", 7, "--known", tmp_path / "known.tif", "--window", "none",
        "--remove-islands", "--out", tmp_path / "many.tif",
    )  # fmt: skip
    assert code == 0, err
    assert "reconstructing 10/10" in err
    for seed in (7, 8):
        assert f"many-{seed}.tif." in said
        made = m3.Microstructure.load(tmp_path / f"many-{seed}.tif")
        assert made.provenance["seed"] == seed
        np.testing.assert_array_equal(made.labels[5], known[5])


def test_training_starts_from_a_model(run, model, folder, tmp_path):
    code, _, err = run(
        "train", "--volume", folder / "v.tif", "--patch", 16, "--steps", 1,
        "--batch-size", 2, "--init", model, "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    started = m3.load_model(tmp_path / "run").details["init"]
    assert started["hash"] == m3.load_model(model).hash
    code, said, _ = run("info", tmp_path / "run")
    assert f"{model} {started['hash']}\n" in said


@pytest.mark.filterwarnings("ignore:the natural scatter")  # three images per plane
def test_reconstruct_draws_natural_fractions(run, model, tmp_path):
    """Each of several volumes has its own; a model of an older version has none to draw."""
    code, _, err = run(
        "reconstruct", "--model", model, "--shape", "8,8,8", "--passes", 2, "--count", 2,
        "--out", tmp_path / "many.tif",
    )  # fmt: skip
    assert code == 0, err
    records = [m3.Microstructure.load(tmp_path / f"many-{s}.tif").provenance for s in (0, 1)]
    first, second = (record["asked_volume_fractions"] for record in records)
    assert first != second
    record = json.loads((Path(model) / "model" / "model.json").read_text())
    older = tmp_path / "older"
    shutil.copytree(Path(model) / "model", older)
    (older / "model.json").write_text(json.dumps({**record, "fraction_scatter": None}))
    code, _, err = run(
        "reconstruct", "--model", older, "--fractions", "natural", "--out", tmp_path / "v.tif"
    )
    assert code != 0
    assert "--fractions must be" in err
    assert "train the model again" in err


def test_the_fraction_condition_is_trained_and_used(run, model, folder, tmp_path):
    code, _, err = run(
        "train", "--volume", folder / "v.tif", "--patch", 16, "--steps", 1,
        "--batch-size", 2, "--fraction-condition", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    assert m3.load_model(tmp_path / "run").fraction_condition
    for option, used in ((None, False), ("--fraction-condition", True)):
        code, _, err = run(
            "reconstruct", "--model", tmp_path / "run", "--shape", 16, "--passes", 2,
            *([option] if option else []), "--out", tmp_path / "v.npz",
        )  # fmt: skip
        assert code == 0, err
        made = m3.Microstructure.load(tmp_path / "v.npz")
        assert made.provenance["fraction_condition"] is used
    code, _, err = run(
        "reconstruct", "--model", model, "--out", tmp_path / "w.npz", "--shape", 16,
        "--fraction-condition",
    )  # fmt: skip
    assert code == errors.BAD_INPUT
    assert "--fraction-condition must be 'auto' or False for a model that was trained with" in err


def test_calibrate_finds_what_reconstruct_takes(run, model, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("micro3d_fast.calibration._surface.TRIALS", 3)
    given = ["--volume", folder / "v.tif", "--images-per-plane", "8"]
    sizes = ["--shape", "8,8,8"]
    names = ["--phase-names", ",".join(m3.load_model(model).phase_names), "--voxel-size", "1e-6"]
    work = ["calibrate", "--model", model, *given, *sizes, "--volumes", "1"]
    code, said, followed = run(*work, *names)
    assert code == 0
    assert "<- chosen" in said
    done, total = re.findall(r"calibrating (\d+)/(\d+)", followed)[-1]
    assert done == total
    found = said.split("--harmonize ")[1].split()[0]
    agreement = ["--agreement", said.split("--agreement ")[1].split()[0]]
    out = tmp_path / "v.npz"
    made = ["reconstruct", "--model", model, *sizes, "--harmonize", found, *agreement]
    code, *_ = run(*made, "--out", out)
    assert code == 0
    repeats = m3.Microstructure.load(out).provenance["settings"]["harmonize"]
    assert ",".join(map(str, repeats)) == found
    assert "These options do not limit single-pixel islands to the number in the micro" in said
    code, _, err = run(*work, "--phase-names", "a,b")
    assert code == errors.BAD_INPUT
    assert "--phase-names must have the phases of the model, " in err
    code, _, err = run(*work, "--voxel-size", "2e-6")
    assert code == errors.BAD_INPUT
    assert "--voxel-size must have the voxel size of the model, (1e-06, 1e-06, 1e-06), got" in err


def test_calibrate_keeps_what_it_finds(run, model, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("micro3d_fast.calibration._surface.TRIALS", 2)
    mine = tmp_path / "run"
    shutil.copytree(Path(model, "model"), mine / "model")
    weights = m3.load_model(mine).save(mine / "model", half=False)  # not to be rounded
    before = {file.name for file in weights.iterdir()}
    given = ["--volume", folder / "v.tif", "--shape", "8,8,8", "--volumes", "1", "--save"]
    code, said, _ = run("calibrate", "--model", mine, *given)
    assert code == 0
    assert f"Saved in {mine / 'model'}." in said
    assert "--harmonize" not in said
    assert "islands" not in said.split("Saved in")[1]
    assert {file.name for file in (mine / "model").iterdir()} == before
    best = next(line for line in said.splitlines() if "<- chosen" in line)
    kept = m3.load_model(mine)
    passes = sum(kept.harmonize) + len(kept.harmonize)
    assert kept.island_rates is not None
    coupling = " ".join(f"{j:.3f}" for j in kept.coupling[0])
    assert f"{passes} passes, coupling {coupling}: " in best
    code, said, _ = run("calibrate", "--model", mine, *given[:-1])  # with the same island rates
    assert code == 0
    assert "--harmonize" in said
    assert "islands" not in said.split("Next: ")[1]
    code, _, err = run("calibrate", "--model", "separator", *given)
    assert code == errors.BAD_INPUT
    assert "--model must be a directory where --save is given, got separator" in err


def test_calibrate_corrects_the_network(run, model, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("micro3d_fast.calibration._loop.STEPS", 1)
    monkeypatch.setattr("micro3d_fast.calibration._loop.WEIGHTS", (1.0,))
    monkeypatch.setattr("micro3d_fast.calibration._surface.TRIALS", 1)
    given = ["--volume", folder / "v.tif", "--shape", "16,16,16", "--volumes", "1"]
    full = ["calibrate", "--model", model, *given, "--effort", "full"]
    code, said, err = run(*full, "--out", tmp_path / "c")
    assert code == 0, err
    assert "Round 1: mean deviation" in said
    assert "The verdict is on one volume." in said
    assert f"Next: micro3d reconstruct --model {tmp_path / 'c'} --out" in said
    details = m3.load_model(tmp_path / "c").details["calibration"]
    assert details["effort"] == "full"
    data = m3.Micrographs.from_volume(m3.Microstructure.load(folder / "v.tif"))
    sizes = {"volume_shape": 16, "volumes": 1}
    again = m3.calibrate(model, data, effort="full", out=tmp_path / "c", **sizes)  # resumed
    assert again.volumes == 1
    assert again.model.hash == m3.load_model(tmp_path / "c").hash
    code, _, err = run("calibrate", "--model", "separator", *given, "--effort", "full")
    assert code == errors.BAD_INPUT
    assert "--out must name a directory for --effort full of the bundled model separator" in err
    code, _, err = run(*full, "--out", tmp_path / "c", "--seed", "7")
    assert code == errors.BAD_INPUT
    assert "--out must be empty or hold a calibration of the same model" in err


def test_a_stopped_calibration_says_how_to_resume(run, model, folder, tmp_path, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("micro3d_fast.calibration._volumes.find_surface", stop)
    given = ["--model", model, "--volume", folder / "v.tif", "--shape", "16,16,16"]
    out = tmp_path / "c"
    for goes_on in (False, True):
        code, _, err = run("calibrate", *given, "--effort", "full", "--out", out)
        assert code == errors.INTERRUPTED
        assert f"Stopped; what is done is kept in {out}. To resume: micro3d" in err
        assert (f"The calibration in {out} goes on." in err) == goes_on
    code, _, err = run("calibrate", *given)
    assert code == errors.INTERRUPTED
    assert "Stopped; nothing was written." in err


def test_reconstruct_reports(run, model, folder, tmp_path):
    options = ["--model", model, "--shape", 16, "--passes", 5, "--out", tmp_path / "v.npz"]
    images = ["--xy", folder / "xy-*.png", "--phases", "0:0,255:1"]
    code, _, err = run("reconstruct", *options, *images)
    assert code == errors.BAD_INPUT
    assert "--report must be given where micrographs are given" in err
    assert not (tmp_path / "v.npz").exists()
    code, said, err = run("reconstruct", *options, *images, "--report", tmp_path / "r")
    assert code == 0, err
    assert "report.html" in said
    assert "\nVerdict: " in said
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "Slices beside the micrographs" in page
    assert "--passes 5" in page
    code, said, err = run(
        "reconstruct", *options, "--volume", folder / "v.tif", "--report", tmp_path / "s"
    )
    assert code == 0, err
    assert "\nVerdict: different: the " in said  # the volume of a network of two steps


def test_reconstruct_reports_several_volumes(run, model, folder, tmp_path):
    code, said, err = run(
        "reconstruct", "--model", model, "--shape", 16, "--passes", 5, "--count", 3, "--seed", 4,
        "--out", tmp_path / "v{seed}.npz", "--volume", folder / "v.tif", "--report", tmp_path / "r",
    )  # fmt: skip
    assert code == 0, err
    assert sorted(f.name for f in tmp_path.glob("*.npz")) == ["v4.npz", "v5.npz", "v6.npz"]
    assert "\nVerdict: different: the " in said
    record = json.loads((tmp_path / "r" / "report.json").read_text(encoding="utf-8"))
    assert record["comparison"]["full"]["generated"].startswith("3 volumes of 16")
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert ": the first of 3 volumes" in page
    assert record["microstructure"]["provenance"]["seed"] == 4


def test_reconstruct_takes_the_details_of_the_images(run, model, tmp_path):
    """The options of the images are given to every command."""
    work = ["reconstruct", "--model", model, "--shape", 8, "--passes", 1, "--out"]
    own = ["--voxel-size", "1e-6", "--phase-names", "pore,solid"]
    assert run(*work, tmp_path / "v.tif", *own)[0] == 0
    assert run(*work, tmp_path / "v.tif", "--voxel-size", "1")[0] == 0  # as the hint says
    code, _, err = run(*work, tmp_path / "w.tif", "--voxel-size", "2e-6")
    assert code == errors.BAD_INPUT
    assert "--voxel-size must have the voxel size of the model, (1e-06, 1e-06, 1e-06), got" in err
    code, _, err = run(*work, tmp_path / "w.tif", "--phase-names", "void,solid")
    assert code == errors.BAD_INPUT
    assert "--phase-names must have the phases of the model, pore, solid, got void, solid" in err


def test_check_reports_and_draws_the_segmentation(run, tmp_path):
    rng = np.random.default_rng(0)
    for plane in ("xy", "xz"):
        for k in range(4):
            labels = m3.synthetic.level_cut(
                (1, 48, 56), (0.5, 0.5), 4.0, seed=2 * k + (plane == "xz")
            )
            grey = np.where(labels.labels[0] == 1, 180, 60) + rng.normal(0, 8, (48, 56))
            Image.fromarray(grey.astype(np.uint8)).save(tmp_path / f"{plane}-{k}.png")
    images = ["--xy", tmp_path / "xy-*.png", "--xz", tmp_path / "xz-*.png", "--threshold", "otsu"]
    code, said, err = run("check", *images, "--out", tmp_path / "out", "--voxel-size", "1e-6")
    assert code == 0, err
    lines = said.splitlines()
    assert lines[0] == f"Plane xy in {tmp_path / 'out' / 'segmentation-xy.png'}."
    assert "grey values above " in said
    assert "are phase 1 (otsu)" in said
    assert said.count("warning: the shortest image side is 48 pixels, less than the patch") == 1
    assert said.count("the same 4 images are given for planes xy and xz") == 0
    for plane in ("xy", "xz"):
        with Image.open(tmp_path / "out" / f"segmentation-{plane}.png") as picture:
            assert min(picture.size) > 500
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "segmentation-xy.png", "segmentation-xz.png"
    ]  # fmt: skip
    again = ["--xy", tmp_path / "xy-*.png", "--xz", tmp_path / "xy-*.png", "--threshold", "120"]
    code, said, err = run("check", *again, "--patch", "32")
    assert code == 0, err
    assert "the same 4 images are given for planes xy and xz" in said
    assert "the same 4 images" not in err  # printed once
    code, _, err = run("check", "--patch", "32")
    assert (code, err.count("\n")) == (2, 1)
    assert "check needs micrographs" in err


def test_check_of_a_volume(run, folder, tmp_path):
    code, said, _ = run("check", "--volume", folder / "v.tif", "--out", tmp_path, "--patch", "16")
    assert code == 0
    assert "Plane yz in " in said
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_materials_prints_what_homogenize_reads(run, tmp_path):
    code, said, err = run("materials")
    assert (code, err) == (0, "")
    (tmp_path / "materials.yaml").write_text(said, encoding="utf-8")
    labels = np.repeat(np.uint8([0, 1]), 4 * 4 * 4).reshape(8, 4, 4)
    m3.Microstructure(labels, 1e-6, ("fibre", "matrix")).save(tmp_path / "v.npz")
    code, found, err = run(
        "homogenize", tmp_path / "v.npz", "--materials", tmp_path / "materials.yaml"
    )
    assert (code, err) == (0, "")
    assert "0 fibre: TransverselyIsotropic(" in found  # by name, not in the order of the file
    assert "\n  stresses in Pa, conductivities in W/(m K)\n" in found
    assert "0.390244" in found  # along z, in series: 2 / (1 / 0.2 + 1 / 8)
    _, helped, _ = run("homogenize", "--help")
    for line in said.splitlines():
        assert line in helped
    code, said, _ = run("materials", "trabecular-bone")
    assert "name: marrow" in said


def test_characterize(run, folder, tmp_path):
    out = tmp_path / "result"
    code, said, err = run(
        "characterize", folder / "v.tif", "--out", out, "--max-lag", 8, "--periodic"
    )
    assert code == 0, err
    assert "report.html" in said
    assert sorted(p.name for p in out.iterdir()) == ["curves.csv", "report.html", "report.json"]
    rows = (out / "curves.csv").read_text().splitlines()
    row = next(r for r in rows if r.startswith("S2,1,solid,y,3,")).split(",")
    expected = m3.two_point_correlation(
        blobs((24, 24, 24), (0.6, 0.4)), 1, axis="y", max_lag=8, periodic=True
    )[3]
    assert float(row[-1]) == expected


def test_characterize_says_where_it_cuts_and_what_does_not_decay(run, tmp_path):
    labels = np.zeros((12, 4, 12), dtype=np.uint8)
    labels[:, :, ::4] = labels[:, :, 1::4] = 1  # layers
    m3.Microstructure(labels, phase_names=("pore", "solid")).save(tmp_path / "v.npz")
    code, _, err = run("characterize", tmp_path / "v.npz", "--out", tmp_path / "r", "--max-lag", 8)
    assert code == 0, err
    assert err == "warning: --max-lag 8 is cut to 3 along y, where the volume has 4 voxels\n"
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "not decayed to 1/e within half the volume: pore along y, pore along z" in page


def test_characterize_against_a_reference(run, folder, tmp_path):
    code, said, err = run(
        "characterize", folder / "v.tif", "--reference", folder / "v.tif",
        "--out", tmp_path,
    )  # fmt: skip
    assert code == 0, err
    assert "S2 error 0.00 %" in said
    assert "Verdict: " in said
    assert "in brackets the reference" in said
    assert "\n  pore: z " in said
    assert "Slices beside the reference" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_characterize_against_micrographs_and_fail_on(run, folder, tmp_path):
    solid = m3.Microstructure.load(folder / "v.tif")
    noise = random_labels((24, 24, 24), 2)
    m3.Microstructure(noise, phase_names=solid.phase_names).save(tmp_path / "bad.npz")
    images = ["--phases", "0:0,255:1"]
    for plane in ("xy", "xz", "yz"):
        images += [f"--{plane}", folder / f"{plane}-*.png"]
    for name, fail_on, expected in (
        ("bad.npz", "different", errors.DEVIATES),
        ("bad.npz", "undecided", errors.DEVIATES),
        ("bad.npz", None, 0),
        (folder / "v.tif", "different", 0),
    ):
        more = [] if fail_on is None else ["--fail-on", fail_on]
        code, said, err = run(
            "characterize", tmp_path / name, *images, *more, "--out", tmp_path / "r"
        )
        assert code == expected, err
        bad = name == "bad.npz"
        assert ("Verdict: different: the " in said) == bad
        assert (tmp_path / "r" / "report.html").exists()


def test_view(run, tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((4, 5, 6), dtype=np.uint8)
    labels[:, :, 2:] = 1
    m3.Microstructure(labels, 1e-6, phase_names=("matrix", "<b>fibre")).save(tmp_path / "v.npz")
    code, said, err = run("view", "v.npz", "--no-browser")
    assert code == 0, err
    assert said.splitlines()[1] == "View in v-view.html."
    assert opened == []
    page = (tmp_path / "v-view.html").read_text(encoding="utf-8")
    assert 'id="view-3d"' in page
    assert "&lt;b&gt;fibre" in page
    assert "report.json" not in page
    assert "The page loads nothing from the network." in page
    code, said, err = run("view", "v.npz", "--out", "pages/part.html", "--crop", "0:2,:,:")
    assert code == 0, err
    assert said.startswith("Microstructure: 2 x 5 x 6 voxels")
    assert opened == [(tmp_path / "pages" / "part.html").as_uri()]
    monkeypatch.setattr("webbrowser.open", lambda address: False)
    assert "Open v-view.html in a browser." in run("view", "v.npz")[1]
    code, _, err = run("view", "v.npz", "--out", "part.pdf")
    assert code == 2
    assert "--out must be a file that ends in .html, got part.pdf" in err
    assert "no.npz" in run("view", "no.npz")[2]


def test_models(run):
    code, said, err = run("models")
    assert code == 0, err
    assert [line.partition(":")[0] for line in said.splitlines() if line[0] != " "] == [
        "fibre-composite", "separator", "cathode"
    ]  # fmt: skip
    model = m3.load_model("separator")
    shares = ", ".join(
        f"{i} {name} {model.volume_fractions[i]:.3f}" for i, name in enumerate(model.phase_names)
    )
    assert f"  phases      {shares}\n" in said
    assert f"  patch       {model.patch} x {model.patch} pixels\n" in said
    pictures = re.findall("picture     (.*)", said)
    assert [Path(p).parent.name for p in pictures] == ["fibre-composite", "separator", "cathode"]
    assert all(Path(p).stat().st_size < 50_000 for p in pictures)


def test_homogenize(run, tmp_path):
    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[:, :, 2:] = 1
    m3.Microstructure(labels, phase_names=("matrix", "fibre")).save(tmp_path / "v.npz")
    code, said, err = run(
        "homogenize", tmp_path / "v.npz", "--materials", "carbon-epoxy", "--diffusivity",
        "0,fibre", "--axes", "x", "--out", tmp_path / "out", "--tol", "1e-4",
    )  # fmt: skip
    assert code == 0, err
    assert "Materials carbon-epoxy" in said
    assert "ElasticProperties" in said
    assert said.count("Diffusivity of phase") == 2
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Relative diffusivity and tortuosity" in page


def test_the_report_of_homogenize_shows_the_materials(run, tmp_path):
    m3.Microstructure(np.repeat(np.uint8([0, 1]), 32).reshape(4, 4, 4)).save(tmp_path / "v.npz")
    (tmp_path / "m.yaml").write_text(
        "stress_unit: GPa\nconductivity_unit: W/(m K)\nphases:\n"
        "  - {elastic: {type: isotropic, E: 4.5, nu: 0.35}, conductivity: 0.2}\n"
        "  - elastic: {type: transversely isotropic, E_axial: 230, E_transverse: 15, G_axial: 15,\n"
        "      nu_axial: 0.2, nu_transverse: 0.3}\n"
        "    conductivity: [1, 1, 8]\n",
        encoding="utf-8",
    )
    out = tmp_path / "out"
    command = ["homogenize", tmp_path / "v.npz", "--materials", tmp_path / "m.yaml", "--out", out]
    assert run(*command)[0] == 0
    record = json.loads((out / "report.json").read_text(encoding="utf-8"))
    (section,) = (s for s in record["sections"] if s["title"] == "Materials")
    (table,) = section["parts"]
    assert "GPa" in table["columns"][1]
    assert "W/(m K)" in table["columns"][2]
    assert table["rows"][0] == ["phase 0", "isotropic: E 4.5, nu 0.35, alpha 0", "0.2"]
    assert table["rows"][1][1].startswith("transversely isotropic: E_axial 230, E_transverse 15")
    assert table["rows"][1][2] == "1 1 8"
    assert "isotropic: E 4.5, nu 0.35" in (out / "report.html").read_text(encoding="utf-8")


def test_homogenize_several_volumes_beside_real_blocks(run, tmp_path):
    """Channels of known width along x: the relative diffusivity is their fraction."""
    for k, width in enumerate((2, 4, 6)):
        labels = np.zeros((8, 8, 8), dtype=np.uint8)
        labels[:width] = 1
        m3.Microstructure(labels, phase_names=("solid", "pore")).save(tmp_path / f"v-{k}.tif")
    tomogram = np.zeros((16, 8, 8), dtype=np.uint8)
    tomogram[:1] = tomogram[8:11] = 1
    np.save(tmp_path / "tomogram.npy", tomogram)
    code, said, err = run(
        "homogenize", tmp_path / "v-*.tif", "--diffusivity", "1", "--axes", "x",
        "--reference", tmp_path / "tomogram.npy", "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, err
    assert "3 volumes" in said
    assert "2 real blocks" in said
    line = next(line for line in said.splitlines() if "relative diffusivity" in line)
    assert " ".join(line.split()).endswith("0.50 ± 0.25 0.25 ± 0.18")
    assert "two plates, no-flux sides" in said
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "pore along x: relative diffusivity" in page
    assert "0.25 ± 0.18" in page
    code, said, err = run(
        "homogenize", tmp_path / "v-0.tif", tmp_path / "v-2.tif", "--diffusivity", "1",
        "--axes", "x",
    )  # fmt: skip
    assert code == 0, err
    assert "2 volumes" in said
    code, said, err = run("homogenize", tmp_path / "none-*.tif", "--diffusivity", "1")
    assert code == 2
    assert "none-*.tif" in err
    code, said, err = run(
        "homogenize", tmp_path / "tomogram.npy", "--diffusivity", "1",
        "--reference", tmp_path / "v-0.tif",
    )  # fmt: skip
    assert code == 2
    assert "--reference must be at least as large as the volumes" in err
