# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The command line: what it writes, how it refuses, how it is stopped."""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import micro3d_fast as m3
from micro3d_fast import _checks, cli
from micro3d_fast.cli import errors, files, options, progress
from micro3d_fast.cli.info import bundled_models

COMMANDS = ("train", "calibrate", "reconstruct", "characterize", "homogenize", "demo", "info")


def volume(seed: int = 0, shape=(24, 24, 24)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    field = rng.standard_normal(shape)
    for axis in range(3):
        field = field + np.roll(field, 1, axis) + np.roll(field, 2, axis)
    return (field > np.quantile(field, 0.6)).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Inputs: a volume, and micrographs of it with the grey values 0 and 255."""
    root = tmp_path_factory.mktemp("cli")
    labels = volume()
    m3.Microstructure(labels, voxel_size=1e-6, phase_names=("pore", "solid")).save(root / "v.tif")
    for i in range(3):
        for plane, image in (("xy", labels[i]), ("xz", labels[:, i]), ("yz", labels[:, :, i])):
            Image.fromarray(image * np.uint8(255)).save(root / f"{plane}-{i}.png")
    (root / "v.raw").write_bytes(labels.tobytes())
    (root / "one.yaml").write_text("phases: [{conductivity: 1.0}]")
    (root / "none.yaml").write_text("phases: []")
    (root / "negative.yaml").write_text("phases: [{conductivity: -1.0}]")
    return root


@pytest.fixture(scope="module")
def model(folder) -> str:
    """A run of two steps, made by the command itself."""
    out = folder / "run"
    arguments = ["train", "--out", str(out), "--steps", "2", "--patch", "16", "--batch-size", "2"]
    for plane in ("xy", "xz", "yz"):
        arguments += [f"--{plane}", str(folder / f"{plane}-*.png")]
    arguments += ["--phases", "0:0,255:1", "--voxel-size", "1e-6", "--phase-names", "pore,solid"]
    assert cli.main(arguments) == 0
    return str(out)


def run(capsys, *arguments: object) -> tuple[int, str, str]:
    code = cli.main([str(word) for word in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


# ------------------------------------------------------------------------------------------- help


def test_version():
    result = CliRunner().invoke(cli.app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"micro3d-fast {m3.__version__}\n"


def test_help_lists_the_commands():
    for arguments in ([], ["--help"], ["-h"]):
        result = CliRunner().invoke(cli.app, arguments)
        for command in COMMANDS:
            assert command in result.output


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(command):
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert f"  micro3d {command}" in result.output
    assert "--debug" in result.output


def test_help_imports_nothing_heavy():
    code = (
        "import sys, micro3d_fast.cli as cli; cli.main(['train', '--help']); "
        "print([m for m in ('torch', 'numpy', 'scipy', 'matplotlib', 'rich.progress') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


# --------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], "Missing option '--out'"),
        (["train", "--out", "o"], "train needs micrographs: give --xy, --xz and --yz"),
        (["train", "--out", "o", "--steps", "x"], "Invalid value for '--steps'"),
        (["train", "--out", "o", "--nonsense", "1"], "No such option: --nonsense"),
        (["nonsense"], "No such command 'nonsense'"),
        (["train", "--out", "o", "--xy", "{}/none-*.png"], "no file matches"),
        (["train", "--out", "o", "--xy", ""], "--xy must be a path, got an empty string"),
        (
            ["train", "--out", "o", "--xy", "{}/xy-*.png", "--phases", "0=1"],
            "--phases must be VALUE:PHASE pairs such as 0:0,255:1, or 'labels', got '0=1'",
        ),
        (
            ["train", "--out", "o", "--xy", "{}/xy-*.png", "--phases", "0:0,0:1"],
            "--phases must name each value once, got '0:0,0:1'",
        ),
        (["train", "--out", "o", "--xy", "{}/xy-*.png", "--phases", "0:0,7:1"], "255"),
        (
            ["train", "--out", "o", "--volume", "{}/v.tif", "--xy", "{}/xy-*.png"],
            "--volume must stand alone",
        ),
        (["train", "--out", "o", "--volume", "{}/absent.tif"], "--volume must be an existing file"),
        (["train", "--out", "o", "--volume", "{}/v.tif", "--preset", "huge"], "--preset must be"),
        (
            ["train", "--out", "o", "--volume", "{}/v.tif", "--patch", "64"],
            "--patch must be at most 24",
        ),
        (
            ["train", "--out", "o", "--volume", "{}/v.tif", "--voxel-size", "1,2"],
            "--voxel-size must be a positive number of metres or three dz,dy,dx, got '1,2'",
        ),
        (
            ["train", "--out", "{}/v.tif", "--volume", "{}/v.tif"],
            "--out must be a directory, got the file",
        ),
        (["train", "--out", "{}/v.tif/run"], "--out must lie in a directory, got "),
        (
            ["reconstruct", "--model", "m", "--out", "{}/v.tif/o.tif"],
            "v.tif/o.tif in the file ",
        ),
        (
            ["reconstruct", "--model", "m", "--out", "o.tif", "--report", "{}/v.tif"],
            "--report must be a directory, got the file",
        ),
        (["reconstruct", "--model", "none", "--out", "o.tif"], "--model must be a model directory"),
        (["reconstruct", "--model", "m", "--out", "o.xyz"], "--out must end in .npy, .npz, .tif"),
        (
            ["reconstruct", "--model", "m", "--out", "o.tif", "--shape", "64,64"],
            "--shape must be one or three positive whole numbers nz,ny,nx, got '64,64'",
        ),
        (
            ["reconstruct", "--model", "m", "--out", "o.tif", "--shape", "6.5"],
            "--shape must be whole numbers with commas between, got '6.5'",
        ),
        (
            ["reconstruct", "--model", "m", "--out", "o.tif", "--periodic", "w"],
            "--periodic must be all, none, or axes such as xy, got 'w'",
        ),
        (
            ["reconstruct", "--model", "m", "--out", "o.tif", "--window", "8²"],
            "--window must be auto, none or a number of pixels, got '8²'",
        ),
        (
            ["reconstruct", "--model", "m", "--out", "o.tif", "--count", "0"],
            "--count must be at least 1, got 0",
        ),
        (
            ["reconstruct", "--model", "m", "--out", "o.tif", "--count", "2", "--report", "r"],
            "--count must be 1 where --report is given, got 2",
        ),
        (
            ["reconstruct", "--model", "separator", "--out", "o.tif", "--quality", "best"],
            "--quality must be 'draft' or 'standard' or 'high', got 'best'",
        ),
        (
            ["reconstruct", "--model", "separator", "--out", "o.tif", "--known", "{}/v.tif"],
            "--known must have the shape of the volume (64, 64, 64), got (24, 24, 24)",
        ),
        (
            ["reconstruct", "--model", "separator", "--out", "o.tif", "--known", "{}/no.tif"],
            "--known must be an existing file",
        ),
        (
            ["reconstruct", "--model", "separator", "--out", "o.tif", "--known", "{}/v.raw"],
            "its shape must be given for",  # --shape is that of the volume to make
        ),
        (
            ["reconstruct", "--model", "m", "--out", "o.tif", "--harmonize", "1,x"],
            "--harmonize must be whole numbers with commas between, got '1,x'",
        ),
        (
            ["reconstruct", "--model", "separator", "--out", "o.tif", "--harmonize", "1,2"],
            "--harmonize must be one number per step, 0 ... 1000, and 0 for the last, got (1, 2)",
        ),
        (
            ["reconstruct", "--model", "separator", "--out", "o.tif", "--harmonize", "100"],
            "--harmonize must leave at least two steps within the number of passes",
        ),
        (["calibrate", "--model", "separator"], "calibrate needs micrographs: give those of"),
        (
            [
                *("calibrate", "--model", "cathode"),
                *("--xy", "{}/xy-*.png", "--phases", "0:0,255:1"),
            ],
            "`micrographs` must have the 3 phases of the model, got 2",
        ),
        (
            ["calibrate", "--model", "separator", "--volume", "{}/v.tif", "--volumes", "0"],
            "--volumes must be an integer",
        ),
        (
            ["reconstruct", "--model", "separator", "--out", "o.tif", "--seed", "-1"],
            "--seed must be an integer 0",
        ),
        (
            ["reconstruct", "--model", "separator", "--out", "o.tif", "--fractions", "0.5"],
            "--fractions must be 2 non-negative numbers that sum to 1, got",
        ),
        (
            ["reconstruct", "--model", "m", "--out", "o.tif", "--fractions", "a"],
            "--fractions must be numbers with commas between, got 'a'",
        ),
        (
            [
                *("reconstruct", "--model", "cathode", "--out", "o.tif", "--report", "r"),
                *("--xy", "{}/xy-*.png", "--phases", "0:0,255:1"),
            ],
            "--model must hold one name for each of 2 phases, got 3",
        ),
        (["characterize", "{}/absent.tif", "--out", "o"], "VOLUME must be an existing file"),
        (
            ["characterize", "{}/v.tif", "--reference", "{}/no.tif", "--out", "o"],
            "--reference must be an existing file",
        ),
        (["characterize", "{}/xy-0.png", "--out", "o"], "VOLUME must end in"),
        (["characterize", "{}/v.tif", "--out", "o", "--max-lag", "-1"], "--max-lag must be an"),
        (
            ["characterize", "{}/v.tif", "--out", "o", "--max-lag", "24"],
            "--max-lag must be an integer 0 ... 23, got 24",
        ),
        (["homogenize", "{}/v.tif"], "homogenize needs --materials, --diffusivity, or both"),
        (["homogenize", "{}/v.tif", "--materials", "unobtainium"], "--materials must be a .yaml"),
        (
            ["homogenize", "{}/v.tif", "--diffusivity", "x"],
            "--diffusivity must be whole numbers with commas between, got 'x'",
        ),
        (
            ["homogenize", "{}/v.tif", "--diffusivity", "0", "--axes", "xw"],
            "--axes must be axes such as xyz, each once, got 'xw'",
        ),
        (
            ["homogenize", "{}/v.tif", "--diffusivity", "0", "--axes", "xx"],
            "--axes must be axes such as xyz, each once, got 'xx'",
        ),
        (["homogenize", "{}/v.tif", "--diffusivity", "0", "--tol", "2"], "--tol must"),
        (["homogenize", "{}/v.tif", "--diffusivity", "300"], "--diffusivity must be an integer 0"),
        (["homogenize", "{}/v.tif", "--materials", "{}/one.yaml"], "--materials must cover every"),
        (["homogenize", "{}/v.tif", "--materials", "{}/none.yaml"], "none.yaml: `phases` must be"),
        (["demo", "--edge", "4"], "--edge must be at least 16, got 4"),
        (
            ["homogenize", "{}/v.tif", "--materials", "{}/negative.yaml"],
            "negative.yaml: phases[0]: `conductivity` must be a number >= 0",
        ),
        (["demo", "--seed", "-1"], "--seed must be at least 0, got -1"),
        (["demo", "--minutes", "0"], "--minutes must be positive, got 0"),
    ],
)
def test_bad_input_gets_one_sentence(capsys, monkeypatch, tmp_path, folder, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(capsys, *[word.format(folder) for word in arguments])
    assert code == errors.BAD_INPUT
    assert out == ""
    last = err.strip().splitlines()[-1]
    assert words in last
    assert last.startswith("micro3d")
    assert "Traceback" not in err


def test_exit_codes_of_the_process(tmp_path):
    command = [sys.executable, "-m", "micro3d_fast.cli", "characterize", "absent.tif", "--out", "o"]
    plain = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert plain.returncode == errors.BAD_INPUT
    assert plain.stderr.count("\n") == 1
    assert plain.stderr.startswith("micro3d: VOLUME must be an existing file, got absent.tif")
    assert not list(tmp_path.iterdir())
    debug = subprocess.run(
        [*command, "--debug"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "Traceback" in debug.stderr
    assert debug.returncode != 0


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ValueError("`a` must be b,\n got c"), 2, "micro3d: `a` must be b, got c\n"),
        (OSError(28, "No space left on device", "f"), 1, "micro3d: No space left on device: f\n"),
        (
            ArithmeticError("not `tol`; the partial result is in `.partial`"),
            1,
            "micro3d: not `tol`\n",
        ),
        (MemoryError(), 1, "micro3d: Not enough memory: MemoryError\n"),
        (AssertionError("x"), 1, "micro3d: Unexpected AssertionError: x (--debug shows where)\n"),
        (KeyboardInterrupt(), 130, "micro3d: Stopped; nothing was written.\n"),
    ],
)
def test_errors_of_a_command(capsys, monkeypatch, error, code, words):
    def fail():
        raise error

    monkeypatch.setattr("micro3d_fast.report.software_versions", fail)
    assert run(capsys, "info") == (code, "", words)
    monkeypatch.setenv("MICRO3D_DEBUG", "1")
    if not isinstance(error, KeyboardInterrupt):
        with pytest.raises(type(error)):
            cli.main(["info"])


def test_arguments_of_the_library_are_written_as_options():
    """Names in a file, and names that no option of the command sets, stay as they are."""

    def written(error, command, arguments):
        return errors.sentence(error, errors.renaming(command, arguments))

    words = "`path` and `n_phases`=2 and `images` of `.partial`; m.yaml: `phases` in `phases`"
    assert written(ValueError(words), cli.train, {"path": "volume"}) == (
        "--volume and --n-phases=2 and `images` of `.partial`; m.yaml: `phases` in --phases"
    )
    assert written(ValueError("`volume`, `tol`"), cli.homogenize, {}) == "VOLUME, --tol"
    words = "`tol` must be None where `bbar`; `T` must be None"
    assert written(ValueError(words), cli.homogenize, {}) == (
        "--tol must be left out where --bbar; `T` must be None"
    )
    words = "`phases[9]`, `images['xy']`, `fields['xy']`: {0: 0, 2.5: 1} {a: 0} {}"
    assert written(ValueError(words), cli.train, files.IMAGES) == (
        "--phases[9], --xy, `fields['xy']`: 0:0,2.5:1 {a: 0} {}"
    )
    refused = _checks.refuse("path", "be None where `tol` is given", "`path`", "or `T`")
    assert written(refused, cli.homogenize, {"path": "volume"}) == (
        "VOLUME must be None where --tol is given, got `path`: or `T`"
    )
    assert written(refused, cli.homogenize, {"path": "out", "T": "its own"}) == (
        "--out must be left out where --tol is given, got `path`: or its own"
    )


# ---------------------------------------------------------------------------------------- options


def test_reading_of_options():
    assert options.read_phases("0:0,255:1") == {0: 0, 255: 1}
    assert options.read_phases("0.5:1") == {0.5: 1}
    assert options.read_phases("labels") == "labels"
    assert options.read_phases(None) is None
    assert options.read_shape("64") == (64, 64, 64)
    assert options.read_shape("1,2,3") == options.read_shape("1x2x3") == (1, 2, 3)
    assert options.read_voxel_size("1e-6") == 1e-6
    assert options.read_voxel_size("2e-6,1e-6,1e-6") == (2e-6, 1e-6, 1e-6)
    assert options.read_threshold("otsu") == "otsu"
    assert options.read_threshold("128") == 128
    assert options.read_threshold("80,160") == [80, 160]
    assert options.read_periodic("all") == (True, True, True)
    assert options.read_periodic("xy") == (False, True, True)
    assert options.read_periodic(None) == (False, False, False)
    assert options.read_fractions("auto") == "auto"
    assert options.read_fractions("raw") is None
    assert options.read_fractions("0.3,0.7") == [0.3, 0.7]


def test_names_of_a_model_may_hold_commas(folder):
    names = ("pore, open", "solid")
    given = files.MicrographOptions(
        [str(folder / "xy-*.png")], None, None, None, 3, "0:0,255:1", None, None
    )
    images = given.load(phase_names=names)
    assert images is not None
    assert images.phase_names == names


# --------------------------------------------------------------------------------------- the work


def test_train_writes_a_run(model, folder):
    run_folder = Path(model)
    assert (run_folder / "model" / "model.json").exists()
    loaded = m3.load_model(model)
    assert loaded.phase_names == ("pore", "solid")
    assert loaded.voxel_size == (1e-6, 1e-6, 1e-6)
    del folder


def test_train_refuses_a_run_with_other_settings(capsys, model, folder):
    code, _, err = run(
        capsys, "train", "--volume", folder / "v.tif", "--out", model, "--patch", 16, "--steps", 2
    )
    assert code == errors.BAD_INPUT
    assert "batch_size was 2, now 32" in err


@pytest.mark.parametrize("suffix", [".tif", ".npz"])
def test_reconstruct_writes_a_volume(capsys, model, tmp_path, suffix):
    out = tmp_path / "new" / f"volume{suffix}"
    code, said, err = run(
        capsys, "reconstruct", "--model", model, "--shape", "12,16,20", "--passes", 5,
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


def test_reconstruct_writes_many_volumes_around_known_voxels(capsys, model, folder, tmp_path):
    known = np.full((12, 16, 20), 255, dtype=np.uint8)
    known[5] = m3.Microstructure.load(folder / "v.tif").labels[5, :16, :20]
    m3.Microstructure(known).save(tmp_path / "known.tif")
    code, said, err = run(
        capsys, "reconstruct", "--model", model, "--shape", "12,16,20", "--passes", 5,
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


def test_the_fraction_condition_is_trained_and_used(capsys, model, folder, tmp_path):
    code, _, err = run(
        capsys, "train", "--volume", folder / "v.tif", "--patch", 16, "--steps", 1,
        "--batch-size", 2, "--fraction-condition", "--out", tmp_path / "run",
    )  # fmt: skip
    assert code == 0, err
    assert m3.load_model(tmp_path / "run").fraction_condition
    for option, told in ((None, False), ("--fraction-condition", True)):
        code, _, err = run(
            capsys, "reconstruct", "--model", tmp_path / "run", "--shape", 16, "--passes", 2,
            *([option] if option else []), "--out", tmp_path / "v.npz",
        )  # fmt: skip
        assert code == 0, err
        made = m3.Microstructure.load(tmp_path / "v.npz")
        assert made.provenance["fraction_condition"] is told
    code, _, err = run(
        capsys, "reconstruct", "--model", model, "--out", tmp_path / "w.npz", "--shape", 16,
        "--fraction-condition",
    )  # fmt: skip
    assert code == errors.BAD_INPUT
    assert "--fraction-condition must be 'auto' or False for a model that was trained with" in err


def test_calibrate_finds_what_reconstruct_takes(capsys, model, folder, tmp_path):
    given = ["--volume", folder / "v.tif", "--images-per-plane", "8"]
    sizes = ["--shape", "8,8,8"]
    code, said, followed = run(
        capsys, "calibrate", "--model", model, *given, *sizes, "--volumes", "1"
    )
    assert code == 0
    assert said.count("passes") == 3
    assert "<- best" in said
    assert "calibrating 103/103" in followed  # passes of 22, 43 and 38
    found = said.split("--harmonize ")[1].split()[0]
    out = tmp_path / "v.npz"
    code, *_ = run(
        capsys, "reconstruct", "--model", model, *sizes, "--harmonize", found, "--out", out
    )
    assert code == 0
    repeats = m3.Microstructure.load(out).provenance["settings"]["harmonize"]
    assert ",".join(map(str, repeats)) == found


def test_calibrate_keeps_what_it_finds(capsys, model, folder, tmp_path):
    mine = tmp_path / "run"
    shutil.copytree(Path(model, "model"), mine / "model")
    weights = m3.load_model(mine).save(mine / "model", half=False)  # not to be rounded
    before = {file.name for file in weights.iterdir()}
    given = ["--volume", folder / "v.tif", "--shape", "8,8,8", "--volumes", "1", "--save"]
    code, said, _ = run(capsys, "calibrate", "--model", mine, *given)
    assert code == 0
    assert f"Saved in {mine / 'model'}." in said
    assert "--harmonize" not in said
    assert {file.name for file in (mine / "model").iterdir()} == before
    best = next(line for line in said.splitlines() if "<- best" in line)
    assert " ".join(map(str, m3.load_model(mine).harmonize)) == best.split(":")[0].strip()
    code, _, err = run(capsys, "calibrate", "--model", "separator", *given)
    assert code == errors.BAD_INPUT
    assert "--model must be a directory where --save is given, got separator" in err


def test_reconstruct_reports(capsys, model, folder, tmp_path):
    options = ["--model", model, "--shape", 16, "--passes", 5, "--out", tmp_path / "v.npz"]
    images = ["--xy", folder / "xy-*.png", "--phases", "0:0,255:1"]
    code, _, err = run(capsys, "reconstruct", *options, *images)
    assert code == errors.BAD_INPUT
    assert "--report must be given where micrographs are given" in err
    assert not (tmp_path / "v.npz").exists()
    code, said, err = run(capsys, "reconstruct", *options, *images, "--report", tmp_path / "r")
    assert code == 0, err
    assert "report.html" in said
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "Slices beside the micrographs" in page
    assert "--passes 5" in page


def test_characterize(capsys, folder, tmp_path):
    out = tmp_path / "result"
    code, said, err = run(
        capsys, "characterize", folder / "v.tif", "--out", out, "--max-lag", 8, "--periodic"
    )
    assert code == 0, err
    assert "report.html" in said
    assert sorted(p.name for p in out.iterdir()) == ["curves.csv", "report.html", "report.json"]
    rows = (out / "curves.csv").read_text().splitlines()
    row = next(r for r in rows if r.startswith("S2,1,solid,y,3,")).split(",")
    expected = m3.two_point_correlation(volume(), 1, axis="y", max_lag=8, periodic=True)[3]
    assert float(row[-1]) == expected


def test_characterize_says_where_it_cuts_and_what_does_not_decay(capsys, tmp_path):
    labels = np.zeros((12, 4, 12), dtype=np.uint8)
    labels[:, :, ::4] = labels[:, :, 1::4] = 1  # layers
    m3.Microstructure(labels, phase_names=("pore", "solid")).save(tmp_path / "v.npz")
    code, _, err = run(
        capsys, "characterize", tmp_path / "v.npz", "--out", tmp_path / "r", "--max-lag", 8
    )
    assert code == 0, err
    assert err == "warning: --max-lag 8 is cut to 3 along y, where the volume has 4 voxels\n"
    page = (tmp_path / "r" / "report.html").read_text(encoding="utf-8")
    assert "not decayed to 1/e within half the volume: pore along y, pore along z" in page


def test_characterize_against_a_reference(capsys, folder, tmp_path):
    code, said, err = run(
        capsys, "characterize", folder / "v.tif", "--reference", folder / "v.tif",
        "--out", tmp_path,
    )  # fmt: skip
    assert code == 0, err
    assert "S2 error 0.00 %" in said
    assert "Slices beside the reference" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_homogenize(capsys, tmp_path):
    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[:, :, 2:] = 1
    m3.Microstructure(labels, phase_names=("matrix", "fibre")).save(tmp_path / "v.npz")
    code, said, err = run(
        capsys, "homogenize", tmp_path / "v.npz", "--materials", "carbon-epoxy", "--diffusivity",
        "0,1", "--axes", "x", "--out", tmp_path / "out", "--tol", "1e-4",
    )  # fmt: skip
    assert code == 0, err
    assert "Materials carbon-epoxy" in said
    assert "ElasticProperties" in said
    assert said.count("Diffusivity of phase") == 2
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Relative diffusivity and tortuosity" in page


def test_info(capsys):
    code, said, _ = run(capsys, "info")
    assert code == 0
    for words in ("micro3d-fast", m3.cuda_status(), "torch threads", "model fibre-composite"):
        assert words in said
    for name, sampler in m3.diffusion.SAMPLERS.items():
        assert re.search(rf"sampler {name} +{re.escape(sampler.summary)}", said)


def test_warnings_are_plain_lines(capsys, folder, tmp_path):
    """Planes that disagree are told, without a line of source code."""
    Image.fromarray(np.full((24, 24), 255, np.uint8)).save(tmp_path / "xz.png")
    code, _, err = run(
        capsys, "train", "--xy", folder / "xy-*.png", "--xz", tmp_path / "xz.png", "--phases",
        "0:0,255:1", "--out", tmp_path / "run", "--patch", 20,
    )  # fmt: skip
    assert code == errors.BAD_INPUT  # the patch
    assert "warnings.warn" not in err
    assert all(line.startswith(("warning: ", "Micrographs: ", "micro3d: "))
               for line in err.splitlines())  # fmt: skip


# ----------------------------------------------------------------------------------------- Ctrl-C


def test_the_first_ctrl_c_waits_for_a_whole_step_and_the_second_does_not():
    before = signal.getsignal(signal.SIGINT)  # a shell's background job ignores it
    with progress.CtrlC() as ctrl_c:
        ctrl_c.check()
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            ctrl_c.check()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_says_how_to_go_on(capsys, monkeypatch, folder, tmp_path):
    def train(micrographs, out, *, callback, **options):
        callback({"step": 1, "steps": 9, "loss": 0.5, "eta": 3.0})
        signal.raise_signal(signal.SIGINT)
        callback({"step": 2, "steps": 9, "loss": 0.5, "eta": 3.0})
        pytest.fail("the callback must stop the training")

    monkeypatch.setattr("micro3d_fast.diffusion.train", train)
    monkeypatch.setattr(sys, "argv", ["micro3d", "train", "--out", "a b", "--no-resume"])
    code, _, err = run(
        capsys, "train", "--volume", folder / "v.tif", "--out", tmp_path / "run", "--patch", 16
    )
    assert code == errors.INTERRUPTED
    last = err.splitlines()[-1]
    assert "Stopped at step 2 of 9; the state is saved in" in last
    assert last.endswith("To resume: micro3d train --out 'a b'")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_a_stopped_training_goes_on(folder, tmp_path):
    command = [
        sys.executable, "-m", "micro3d_fast.cli", "train", "--volume", str(folder / "v.tif"),
        "--out", str(tmp_path / "run"), "--patch", "16", "--batch-size", "2", "--steps", "40",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "training 4/40" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == errors.INTERRUPTED
    assert "To resume: micro3d train --volume" in err.splitlines()[-1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0
    assert "training 4/40" not in done.stderr
    assert (tmp_path / "run" / "model" / "model.json").exists()


# ------------------------------------------------------------------------------------------- demo


def test_the_demo_stays_within_the_time(tmp_path):
    from micro3d_fast import _demo

    def affordable(seconds_left: float, pass_seconds: float) -> tuple[int, int]:
        demo = _demo.Run(tmp_path, 0, 64, time.monotonic() + seconds_left, print, print)
        return _demo.affordable(demo, pass_seconds / 38, 38, 0.5)

    assert affordable(300, 100.0) == (64, 38)
    assert affordable(300, 200.0) == (64, _demo.FEWEST)
    assert affordable(300, 330.0) == (48, 38)
    assert affordable(300, 9000.0) == (0, 0)
    assert affordable(10, 100.0) == (0, 0)


def test_the_demo_runs(capsys, monkeypatch, model, tmp_path):
    """The whole demo with a model of two steps, at the smallest size."""
    from micro3d_fast import _demo, diffusion

    tiny = dataclasses.replace(diffusion.load_model(model), patch=16, harmonize=(1, 1, 0))
    monkeypatch.setattr(diffusion, "load_model", lambda name: tiny)
    monkeypatch.setattr(_demo, "SPECIMEN", 32)
    monkeypatch.setattr(_demo, "IMAGES", 4)
    monkeypatch.setattr(_demo, "FEWEST", 5)
    monkeypatch.setattr(_demo, "STEPS", 2)
    monkeypatch.setattr(_demo, "SAMPLES", 2)
    monkeypatch.setattr(_demo, "PATCH", 16)
    monkeypatch.setattr(_demo, "BATCH", 2)
    generators = {k: _demo.GENERATORS[k] for k in ("separator",)}
    generators["fibre-composite"] = _demo.GENERATORS["fibre-composite"]
    monkeypatch.setattr(_demo, "GENERATORS", generators)
    out = tmp_path / "demo"
    (out / "training").mkdir(parents=True)
    (out / "training" / "settings.json").write_text("{}")  # of an earlier demo
    code, said, err = run(
        capsys, "demo", "--out", out, "--edge", 16, "--training-seconds", 0.5, "--minutes", 60
    )
    assert code == 0, err
    assert f"Open {out / 'report.html'} in a browser." in said
    for file in (
        "report.html",
        "report.json",
        "separator.tif",
        "training/history.csv",
        "micrographs/xy-00.png",
        "fibre-composite/report.html",
        "fibre-composite/fibre-composite.tif",
    ):
        assert (out / file).exists(), file
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "A minute of training" in page
    assert "The 2D network alone" in page


@pytest.mark.slow
def test_the_demo_with_the_bundled_models(tmp_path):
    if any(words == "not installed" for words in bundled_models().values()):
        pytest.skip("the bundled models are not installed")
    command = [sys.executable, "-m", "micro3d_fast.cli", "demo", "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "demo" / "report.html").exists()
