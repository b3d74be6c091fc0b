# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Bad input: one sentence that names the option, and an exit code."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from micro3d_fast import _checks, cli
from micro3d_fast.cli import errors, files


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train"], "Missing option '--out'"),
        (["train", "--out", "o"], "train needs micrographs: give --xy, --xz and --yz"),
        (["train", "--out", "o", "--steps", "x"], "Invalid value for '--steps'"),
        (["train", "--out", "o", "--nonsense", "1"], "No such option: --nonsense"),
        (["nonsense"], "No such command 'nonsense'"),
        (["compare", "a.tif", "b.tif"], "micro3d report VOLUME --reference OTHER --out DIR comp"),
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
        (
            ["train", "--out", "o", "--xy", "{}/xy-*.png", "--threshold", "otzu"],
            "--threshold must be numbers with commas between, otsu or multi-otsu, got 'otzu'",
        ),
        (
            [
                "train",
                "--out",
                "o",
                "--xy",
                "{}/xy-*.png",
                "--threshold",
                "9",
                "--phases",
                "0:0,1:0",
            ],
            "--phases must lead to at least two phases, got phase 0 alone",
        ),
        (
            ["train", "--out", "{}/run", "--volume", "{}/v.tif", "--patch", "16", "--no-resume"],
            "--out must be a directory without a run if --no-resume is given, got ",
        ),
        (
            ["train", "--out", "{}/run", "--volume", "{}/v.tif", "--patch", "24"],
            "patch was 16, now 24, batch_size was 2, now 32, the micrographs differ: ",
        ),
        (
            ["train", "--out", "{}/run", "--volume", "{}/v.tif", "--patch", "24"],
            ": give the same, or another --out for another run",
        ),
        (
            ["train", "--out", "{}", "--volume", "{}/v.tif"],
            "--out must be empty or hold a run, got ",
        ),
        (["train", "--out", "o", "--volume", "{}/absent.tif"], "--volume must be an existing file"),
        (["train", "--out", "o", "--volume", "{}/v.tif", "--preset", "huge"], "--preset must be"),
        (
            ["train", "--out", "o", "--volume", "{}/v.tif", "--patch", "16", "--init", "nowhere"],
            "--init must be a model directory or one of universal, fibre-composite, separator, "
            "cathode, got",
        ),
        (
            ["train", "--out", "o", "--volume", "{}/v.tif", "--patch", "64"],
            "--patch must be at most 24",
        ),
        (
            ["train", "--out", "o", "--volume", "{}/v.tif", "--voxel-size", "1,2,3,4"],
            "--voxel-size must be a positive number of metres, three dz,dy,dx, or dy,dx of an "
            "image, got '1,2,3,4'",
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
            ["characterize", "{}/v.tif", "--out", "o", "--fail-on", "bad"],
            "--fail-on must be one of undecided, doubtful, different, got 'bad'",
        ),
        (
            ["characterize", "{}/v.tif", "--out", "o", "--fail-on", "different"],
            "--fail-on needs a --reference, or micrographs",
        ),
        (
            ["characterize", "{}/v.tif", "--out", "o", "--max-lag", "24"],
            "--max-lag must be an integer 0 ... 23, got 24",
        ),
        (["homogenize", "{}/v.tif"], "homogenize needs --materials, --diffusivity, or both"),
        (["materials", "unobtainium"], "SET must be one of carbon-epoxy, example, "),
        (["homogenize", "{}/v.tif", "--materials", "unobtainium"], "--materials must be a .yaml"),
        (
            ["homogenize", "{}/v.tif", "--diffusivity", "x"],
            "--diffusivity must be a label 0 ... 255 or one of the names 'pore', 'solid', got 'x'",
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
@pytest.mark.usefixtures("model")
def test_bad_input_gets_one_sentence(run, monkeypatch, tmp_path, folder, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*[word.format(folder) for word in arguments])
    assert code == errors.BAD_INPUT
    assert out == ""
    last = err.strip().splitlines()[-1]
    assert words in last
    assert last.startswith("micro3d")
    assert "Traceback" not in err


@pytest.mark.parametrize(
    "wrong",
    [["--patch", "12"], ["--steps", "0"], ["--preset", "huge"], ["--device", "x"], ["--init", "x"]],
)
def test_train_refuses_its_options_before_it_reads_images(run, monkeypatch, tmp_path, wrong):
    """The images do not exist, which would be said if they were looked for."""
    monkeypatch.chdir(tmp_path)
    code, _, err = run("train", "--out", "o", "--xy", "none-*.png", *wrong)
    assert (code, err.count("\n")) == (errors.BAD_INPUT, 1)
    assert wrong[0] in err


def test_exit_codes_of_the_process(tmp_path):
    command = [sys.executable, "-m", "micro3d_fast", "characterize", "absent.tif", "--out", "o"]
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
def test_errors_of_a_command(run, monkeypatch, error, code, words):
    def fail():
        raise error

    monkeypatch.setattr("micro3d_fast.report.software_versions", fail)
    assert run("info") == (code, "", words)
    monkeypatch.setenv("MICRO3D_DEBUG", "1")
    if not isinstance(error, KeyboardInterrupt):
        with pytest.raises(type(error)):
            cli.main(["info"])


def test_arguments_of_the_library_are_written_as_options():
    """Names in a file, and names that no option of the command sets, stay as they are."""

    def written(error, command, arguments):
        return errors.sentence(error, errors.renaming(command, arguments))

    words = "`path` and `n_phases`=2 and `images` of `.partial` in `phases`"
    assert written(ValueError(words), cli.train, {"path": "volume"}) == (
        "--volume and --n-phases=2 and `images` of `.partial` in --phases"
    )
    of_file = _checks.refuse("phases", "be a list", "3").in_source("m.yaml")
    assert written(of_file, cli.train, {}) == "m.yaml: `phases` must be a list, got 3"
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


def test_warnings_are_plain_lines(run, folder, tmp_path):
    """Planes that disagree cause a warning without a line of source code."""
    Image.fromarray(np.full((24, 24), 255, np.uint8)).save(tmp_path / "xz.png")
    code, _, err = run(
        "train", "--xy", folder / "xy-*.png", "--xz", tmp_path / "xz.png", "--phases",
        "0:0,255:1", "--out", tmp_path / "run", "--patch", 20,
    )  # fmt: skip
    assert code == errors.BAD_INPUT  # the patch
    assert "warnings.warn" not in err
    assert all(line.startswith(("warning: ", "Micrographs, ", "  ", "micro3d: "))
               for line in err.splitlines())  # fmt: skip


def test_train_prints_the_check_of_a_volume(run, folder, tmp_path):
    code, _, err = run(
        "train", "--volume", folder / "v.tif", "--out", tmp_path / "run", "--patch", 32
    )  # fmt: skip
    assert code == errors.BAD_INPUT  # the patch
    assert err.startswith(
        "Micrographs, voxel size (z, y, x) (1e-06, 1e-06, 1e-06) m\n  xy  24 images"
    )
    assert "independent images (correlation of neighbours" in err
    assert "\nwarning: the segmentation of plane xy is noisy" in err
