# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The script that trains the universal network, on a few small materials; the shipped one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from micro3d_fast import Micrographs, load_model, synthetic, train
from micro3d_fast.diffusion.training import start

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train_universal.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("train_universal", SCRIPT)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_patches_are_slices_of_all_materials(script):
    """Turned, flipped and with other labels: every patch is found in a material."""
    data = script.RandomMaterials.draw(3, 16)
    volumes = [synthetic.random_material(script.FIRST_SEED + k, (16,) * 3).labels for k in range(3)]
    partitions = {}  # labels in order of first occurrence, of each slice and its turns
    for k, volume in enumerate(volumes):
        for axis in range(3):
            for image in np.moveaxis(volume, axis, 0):
                for turned in (image, image.T):
                    for rows in (1, -1):
                        for columns in (1, -1):
                            key = _partition(turned[::rows, ::columns])
                            partitions.setdefault(key, set()).add((k, axis))
    labels, plane = data.sample(np.random.default_rng(0), 200, 16)
    found = [partitions[_partition(image)] for image in labels]
    assert all(any(axis == p for _, axis in places) for places, p in zip(found, plane, strict=True))
    assert {k for places in found for k, _ in places} == {0, 1, 2}
    assert labels.mean() == pytest.approx(0.5, abs=0.08)
    np.testing.assert_allclose(data.volume_fractions(), 0.5)
    again, _ = data.sample(np.random.default_rng(0), 200, 16)
    np.testing.assert_array_equal(labels, again)


def _partition(image: np.ndarray) -> bytes:
    _, first, inverse = np.unique(image, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.uint8).tobytes()


def test_the_script_trains_resumes_and_saves(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "UNIVERSAL", tmp_path / "universal")
    monkeypatch.setattr(start, "bundled_directory", lambda name: tmp_path / name)
    words = ["--patch", "16", "--batch-size", "2", "--materials", "2", "--edge", "16"]
    words += ["--out", str(tmp_path / "run")]
    script.main([*words, "--steps", "2"])
    assert not (tmp_path / "universal").exists()
    script.main([*words, "--steps", "3", "--save"])
    model = load_model(tmp_path / "universal")
    assert model.details["steps"] == 3
    with pytest.raises(ValueError, match="without a run if `resume` is False"):
        script.main([*words, "--steps", "3", "--no-resume"])
    labels = np.random.default_rng(0).integers(0, 2, (16, 16, 16)).astype(np.uint8)
    data = Micrographs.from_volume(labels)
    options = {"patch": 16, "batch_size": 2, "samples_every": 0, "steps": 1}
    tuned = train(data, tmp_path / "tuned", init="universal", **options)
    assert tuned.details["init"]["hash"] == model.hash
    assert tuned.details["init"]["source"] == "universal"
