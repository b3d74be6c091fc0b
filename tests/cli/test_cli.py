# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The command line: help, values of options, progress, how it is stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

import micro3d_fast as m3
from micro3d_fast import cli
from micro3d_fast.cli import errors, files, options, progress

COMMANDS = (
    "check",
    "train",
    "calibrate",
    "reconstruct",
    "characterize",
    "report",
    "homogenize",
    "view",
    "models",
    "demo",
    "info",
)


def test_version():
    result = CliRunner().invoke(cli.app, ["--version"])
    assert result.exit_code == 0
    assert result.output == f"micro3d-fast {m3.__version__}\n"


def test_help_lists_the_commands():
    for arguments in (["--help"], ["-h"]):
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


@pytest.mark.filterwarnings("ignore:the segmentation of plane:UserWarning")
def test_names_of_a_model_may_hold_commas(folder):
    names = ("pore, open", "solid")
    given = files.MicrographOptions(
        [str(folder / "xy-*.png")], None, None, None, 3, "0:0,255:1", None, None
    )
    images = given.load(phase_names=names)
    assert images is not None
    assert images.phase_names == names


def test_info(run):
    code, said, _ = run("info")
    assert code == 0
    for words in ("micro3d-fast", m3.cuda_status(), "torch threads", "model fibre-composite"):
        assert words in said
    for name, sampler in m3.diffusion.SAMPLERS.items():
        assert re.search(rf"sampler {name} +{re.escape(sampler.summary)}", said)


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


def test_ctrl_c_prints_the_command_that_resumes(run, monkeypatch, folder, tmp_path):
    def train(micrographs, out, *, callback, **options):
        callback({"step": 1, "steps": 9, "loss": 0.5, "eta": 3.0})
        signal.raise_signal(signal.SIGINT)
        callback({"step": 2, "steps": 9, "loss": 0.5, "eta": 3.0})
        pytest.fail("the callback must stop the training")

    monkeypatch.setattr("micro3d_fast.diffusion.train", train)
    monkeypatch.setattr(sys, "argv", ["micro3d", "train", "--out", "a b", "--no-resume"])
    code, _, err = run(
        "train", "--volume", folder / "v.tif", "--out", tmp_path / "run", "--patch", 16
    )
    assert code == errors.INTERRUPTED
    last = err.splitlines()[-1]
    assert "Stopped at step 2 of 9; the state is saved in" in last
    assert last.endswith("To resume: micro3d train --out 'a b'")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_training_resumes(folder, tmp_path, number):
    command = [
        sys.executable, "-m", "micro3d_fast", "train", "--volume", str(folder / "v.tif"),
        "--out", str(tmp_path / "run"), "--patch", "16", "--batch-size", "2", "--steps", "40",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    while "training 4/40" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == errors.INTERRUPTED
    assert "To resume: micro3d train --volume" in err.splitlines()[-1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0
    assert "training 4/40" not in done.stderr
    assert (tmp_path / "run" / "model" / "model.json").exists()


def run_python(*words, **environment):
    """Run ``python -m micro3d_fast`` and return its exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "micro3d_fast", *map(str, words)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def test_without_arguments_the_help_is_printed():
    code, said, err = run_python()
    assert (code, err) == (0, "")
    assert said == run_python("--help")[1]
    assert "\n  train " in said


def test_an_ascii_terminal_loses_characters_only(folder, tmp_path):
    code, said, err = run_python(
        "characterize", folder / "v.tif", "--reference", folder / "v.tif", "--out", tmp_path,
        PYTHONIOENCODING="ascii", PYTHONUTF8="0",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert "Verdict: " in said
    assert said.isascii()


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m micro3d_fast info | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("micro3d-fast")
    assert done.stderr == ""


def test_patterns_that_the_shell_expanded_are_to_be_quoted(run):
    code, _, err = run("train", "--xy", "a.png", "b.png", "--out", "o")
    assert code == errors.BAD_INPUT
    assert "b.png" in err
    assert "quote patterns" in err


def test_outputs_are_tried_before_the_work(tmp_path, monkeypatch, capsys):
    for path, folder in ((Path("/proc/v.tif"), False), (Path("/proc/new/report"), True)):
        with pytest.raises(typer.Exit):
            files.check_output(path, folder=folder)
        assert "--out must be a place that can be written, got /proc/" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    files.check_output(tmp_path / "a" / "v.tif", folder=False)
    assert list((tmp_path / "a").iterdir()) == []
    with pytest.warns(UserWarning, match="may need up to 1000000.0 GB"):
        files.check_output(tmp_path / "v.tif", folder=False, voxels=10**15)
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ModuleNotFoundError, match=r"micro3d-fast\[zarr\]"):
        files.check_output(tmp_path / "v.zarr", folder=False)
