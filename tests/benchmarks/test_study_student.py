# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""benchmarks/study_student.py: padding by axis, volumes of any size, training that goes on."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from micro3d_fast.diffusion.schedule import Schedule

torch = pytest.importorskip("torch")
BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def student(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("study_student")


def school(student, folder, steps):
    volumes = np.random.default_rng(0).integers(2, size=(2, 32, 32, 32)).astype(np.uint8)
    return student.School(volumes, 2, Schedule(), folder, torch.device("cpu"), steps)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_an_axis_that_wraps_has_no_beginning(student, axis):
    torch.manual_seed(0)
    net = student.Student(1, dims=(8, 8, 8))
    torch.nn.init.normal_(net.leave[-1].weight)
    x, t = torch.randn(1, 1, 16, 8, 12), torch.tensor([300])
    around = [a == axis for a in range(3)]
    with torch.inference_mode():
        for wraps, same in ((around, True), ([not w for w in around], False)):
            net.set_periodic(wraps)
            moved = net(torch.roll(x, student.STRIDE, axis + 2), t)
            expected = torch.roll(net(x, t), student.STRIDE, axis + 2)
            assert torch.allclose(moved, expected, rtol=1e-4, atol=1e-4) is same


def test_any_size_and_exact_fractions(student, tmp_path):
    net = school(student, tmp_path, 0).run()
    fractions = np.array([0.65, 0.35])
    pupil = student.Pupil(
        net, "none", "plain", Schedule(), fractions, torch.device("cpu"), learnt_from=[]
    )
    for shape, periodic in (((13, 8, 18), False), ((12, 8, 16), True)):
        labels = pupil.volume(shape, student.Way(3), 0, periodic).labels
        assert labels.shape == shape
        assert abs(labels.mean() - 0.35) <= 0.5 / labels.size
    with pytest.raises(ValueError, match="`shape` must be multiples of 4 if periodic"):
        pupil.volume((13, 8, 18), student.Way(3), 0, True)


def test_training_goes_on_where_it_stopped(student, tmp_path):
    whole = school(student, tmp_path / "whole", 2)
    whole.run()
    stopped = school(student, tmp_path / "stopped", 2)
    stopped.losses = [stopped.advance()]
    stopped.save()
    again = school(student, tmp_path / "stopped", 2)
    assert again.step == 1
    again.run()
    assert again.losses == pytest.approx(whole.losses, rel=1e-3)
    for name, tensor in whole.average.items():
        torch.testing.assert_close(again.average[name], tensor, rtol=1e-3, atol=1e-5)
