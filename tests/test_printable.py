# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Texts of files reach a terminal, a shell, a spreadsheet and a page as texts."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import numpy as np
import pytest

import micro3d_fast as m3
from _toy import tiny_model
from micro3d_fast import cli, io
from micro3d_fast.diffusion.training.learner import State
from micro3d_fast.diffusion.training.run_directory import Progress, RunDirectory
from micro3d_fast.homogenization import load_materials
from micro3d_fast.report._reproduction import reproduction

LABELS = np.random.default_rng(3).integers(0, 2, (8, 8, 8)).astype(np.uint8)
ESCAPE = "\x1b]0;owned\x07"
NASTY = (ESCAPE, "a\nb", "\x9b31m", "\u202egnp", "\u2028", "\udce9", "a\rb")


@pytest.mark.parametrize("name", NASTY)
def test_names_of_phases_hold_no_control_characters(tmp_path, name):
    volume = m3.Microstructure(LABELS, phase_names=(name, "µ é 日本\u00a0x"))
    assert volume.phase_names[0] == name.encode("unicode_escape").decode()
    assert volume.phase_names[1] == "µ é 日本\u00a0x"
    assert repr(volume).isprintable() or "\u00a0" in repr(volume)
    assert name not in repr(volume)
    for suffix in (".npz", ".h5", ".vti", ".tif", ".raw"):
        assert io.load(volume.save(tmp_path / f"a{suffix}")).phase_names == volume.phase_names


def test_names_that_differ_in_control_characters_stay_different():
    with pytest.raises(ValueError, match="distinct"):
        m3.Microstructure(LABELS, phase_names=("\x1b", "\\x1b"))


def test_names_of_materials_hold_no_control_characters(tmp_path):
    text = json.dumps({"name": ESCAPE, "note": ESCAPE, "phases": [{"conductivity": 1}]})
    (tmp_path / "m.json").write_text(text)
    assert "\x1b" not in str(load_materials(tmp_path / "m.json"))


def test_refusals_and_messages_hold_no_control_characters(tmp_path, capsys):
    path = tmp_path / f"{ESCAPE}.npz"
    path.write_bytes(b"x")
    for action in (lambda: io.load(path), lambda: io.load(path, crop=ESCAPE)):
        with pytest.raises(ValueError, match="cannot be read"):
            action()
    assert cli.main(["characterize", str(path), "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "owned" in shown.err


def test_no_cell_of_a_table_starts_a_formula(tmp_path):
    names = ('=HYPERLINK("http://x")', "@SUM(1)")
    m3.Microstructure(LABELS, phase_names=names).save(tmp_path / "a.npz")
    out = tmp_path / "out"
    assert cli.main(["characterize", str(tmp_path / "a.npz"), "--out", str(out)]) == 0
    with open(out / "curves.csv", encoding="utf-8", newline="") as file:
        cells = {row["name"] for row in csv.DictReader(file)}
    assert cells == {f"'{name}" for name in names}


PROVENANCE = {"seed": 1, "settings": {"harmonize": 3}, "sampler": "fast"}


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "0; touch ran #"},
        {"seed": "$(touch ran)"},
        {"seed": "0\ntouch ran"},
        {"model_name": "x; touch ran"},
        {"passes": "`touch ran`"},
        {"asked_volume_fractions": ["0.5; touch ran"]},
        {"periodic": ["; touch ran", 1, 1]},
        {"settings": {"harmonize": ["; touch ran", "$(touch ran)"]}},
        {"settings": {"harmonize": 3, "gamma": "; touch ran"}},
        {"sampler": "; touch ran"},
    ],
)
def test_the_command_that_repeats_a_volume_is_quoted(tmp_path, change):
    texts = reproduction({**PROVENANCE, **change}, LABELS.shape)
    command = texts.get("On the command line:", "micro3d x").replace("micro3d ", "true ", 1)
    subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True)
    assert not (tmp_path / "ran").exists()


def test_the_program_that_repeats_a_volume_holds_values_alone(tmp_path):
    nasty = "x=1)\nopen('ran', 'w')\n("
    for change in (
        {"sampler": "custom", "settings": {nasty: 1, "harmonize": nasty}},
        {"model_name": "'" + nasty, "seed": nasty},
    ):
        texts = reproduction({**PROVENANCE, **change}, LABELS.shape)
        program = texts["In Python:"].replace("import micro3d_fast as m3", "m3 = Any()")
        stub = (
            "class Any:\n    def __getattr__(self, name):\n        return lambda *a, **k: Any()\n"
        )
        subprocess.run([sys.executable, "-c", stub + program], cwd=tmp_path, check=True)
        assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "change", [{"periodic": [1]}, {"periodic": [1] * 9}, {"settings": [1]}, {"seed": None},
               {"asked_volume_fractions": 3}, {"settings": {"harmonize": {}}}]
)  # fmt: skip
def test_provenance_of_another_program_makes_no_command(change):
    assert isinstance(reproduction({**PROVENANCE, **change}, LABELS.shape), dict)


def test_a_file_name_that_is_not_utf8_makes_a_report(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.npz")
    try:
        m3.Microstructure(LABELS).save(path)
    except OSError:
        pytest.skip("the file system takes only UTF-8")
    out = tmp_path / "out"
    assert cli.main(["characterize", str(path), "--out", str(out)]) == 0
    assert "caf\\udce9.npz" in (out / "report.html").read_text(encoding="utf-8")
    json.loads((out / "report.json").read_text(encoding="utf-8"))


def test_what_a_model_file_says_reaches_the_terminal_as_text(tmp_path, capsys):
    tiny_model().save(tmp_path / "model")
    file = tmp_path / "model" / "model.json"
    record = json.loads(file.read_text())
    record["details"] = {"preset": ESCAPE, "training": ESCAPE, "verdict": {"outcome": ESCAPE}}
    file.write_text(json.dumps(record))
    assert cli.main(["info", str(tmp_path / "model")]) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert shown.out.count("owned") == 2


def test_names_of_outputs_reach_the_terminal_as_text(tmp_path, capsys):
    m3.Microstructure(LABELS).save(tmp_path / "a.npz")
    out = tmp_path / ESCAPE
    for command in ("characterize", "homogenize"):
        arguments = [str(tmp_path / "a.npz"), "--out", str(out)]
        arguments += ["--diffusivity", "1"] if command == "homogenize" else []
        assert cli.main([command, *arguments]) == 0
    shown = capsys.readouterr()
    assert "\x1b" not in shown.out + shown.err
    assert "owned" in shown.out


def test_verdicts_of_a_training_start_no_formula(tmp_path):
    directory = RunDirectory(tmp_path)
    verdict = {"step": 1, "phase": "=HYPERLINK()", "ratio": None}
    directory.save(State(1, {}), Progress(verdicts=[verdict]))
    assert (tmp_path / "verdicts.csv").read_text() == "step,phase,ratio\n1,'=HYPERLINK(),\n"
