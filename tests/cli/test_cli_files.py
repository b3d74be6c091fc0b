# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes and micrographs as people have them, on the command line."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import tifffile
from PIL import Image

from micro3d_fast.cli import errors, options
from micro3d_fast.cli.files import MicrographOptions
from volumes import blobs

LABELS = blobs((16, 18, 20), (0.6, 0.4))
GREY = LABELS * np.uint8(255)


@pytest.fixture
def files(tmp_path):
    LABELS.tofile(tmp_path / "a.raw")
    LABELS.astype(">u2").tofile(tmp_path / "big.raw")
    np.savez(tmp_path / "a.npz", grey=GREY.astype(np.float32), other=GREY)
    (tmp_path / "slices").mkdir()
    for k, image in enumerate(GREY):
        Image.fromarray(image).save(tmp_path / "slices" / f"s{k}.png")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "shape"),
    [
        (["a.raw", "--raw-shape", "16,18,20"], (16, 18, 20)),
        (["big.raw", "--raw-shape", "16,18,20", "--raw-type", ">u2"], (16, 18, 20)),
        (["a.npz", "--array", "other", "--phases", "0:0,255:1"], (16, 18, 20)),
        (["a.npz", "--array", "grey", "--threshold", "otsu", "--crop", "2:,:,4:16"], (14, 18, 12)),
        (["slices", "--phases", "0:0,255:1"], (16, 18, 20)),
        (["slices/s1*.png", "--threshold", "100"], (7, 18, 20)),
    ],
    ids=lambda words: str(words[0]),
)
def test_volumes_are_read_as_they_are(run, files, monkeypatch, words, shape):
    monkeypatch.chdir(files)
    code, said, err = run("characterize", *words, "--voxel-size", "1e-6", "--out", "out")
    assert code == 0, err
    assert " x ".join(map(str, shape)) in said


def test_refusals_name_the_options(run, files):
    code, _, err = run("characterize", files / "a.raw", "--out", files / "out")
    assert code == errors.BAD_INPUT
    assert "--raw-shape must be given for" in err
    code, _, err = run(
        "homogenize", files / "big.raw", "--raw-shape", "16,18,20", "--diffusivity", 0
    )
    assert code == errors.BAD_INPUT
    assert "big.raw must hold 16 x 18 x 20 = 5760 bytes, got 11520: --raw-shape and --raw-ty" in err
    code, _, err = run("homogenize", files / "slices", "--raw-type", "uint16", "--diffusivity", 0)
    assert code == errors.BAD_INPUT
    assert "--raw-type must be left out for slices, which store it, got 'uint16'" in err
    code, _, err = run("train", "--xy", files / "slices/*.png", "--crop", ":,:,:", "--out", "out")
    assert code == errors.BAD_INPUT
    assert "--crop must be left out without a volume, got :,:,:" in err
    code, _, err = run("homogenize", files / "a.npz", "--array", "no", "--diffusivity", 0)
    assert code == errors.BAD_INPUT
    assert "--array must be one of the arrays of" in err
    code, _, err = run("homogenize", files / "a.raw", "--crop", "1:2", "--diffusivity", 0)
    assert code == errors.BAD_INPUT
    assert "--crop must be START:STOP for z,y,x, such as 0:64,10:200,:, got '1:2'" in err


def test_options_of_one_file_do_not_hinder_the_other(run, files):
    np.save(files / "b.npy", LABELS[::-1])
    words = [files / "b.npy", "--reference", files / "big.raw", "--raw-type", ">u2"]
    words += ["--raw-shape", "16,18,20", "--out", files / "out"]
    code, said, err = run("characterize", *words)
    assert code == 0, err
    assert "Verdict" in said or "specimen" in said
    code, _, err = run("characterize", *words, "--array", "labels")
    assert code == errors.BAD_INPUT
    assert "--array must be left out for .npy files, which hold one array, got 'labels'" in err


def test_a_mask_makes_one_more_phase(run, files):
    inside = np.ones(LABELS.shape, np.uint8)
    inside[:, :2] = 0
    np.save(files / "mask.npy", inside * np.uint8(255))
    words = ["characterize", files / "a.npz", "--array", "other", "--phases", "0:0,255:1"]
    words += ["--mask", files / "mask.npy", "--out", files / "out"]
    code, said, err = run(*words)
    assert code == 0, err
    assert "warning: the voxels outside --mask, 11.1% of " in err
    assert "count as phase 2, 'outside', in all results; --crop keeps a part without them" in err
    assert "outside 0.1111" in said
    code, said, err = run(*words, "--crop", ":,2:,:")
    assert code == 0, err
    assert "outside" not in said + err
    code, _, err = run(*words[:-3], files / "no.npy", *words[-2:])
    assert code == errors.BAD_INPUT
    assert "--mask must be an existing file, got " in err


def test_crop_is_read():
    assert options.read_crop(None) is None
    assert options.read_crop("0:64, 10:, :") == [(0, 64), (10, None), (None, None)]


def test_micrographs_of_another_scale_than_the_model_are_told(run, tmp_path, model):
    """The model has voxels of 1e-6 m."""
    tifffile.imwrite(tmp_path / "a.tif", LABELS, imagej=True, resolution=(0.5, 0.5),
                     metadata={"axes": "ZYX", "unit": "um", "spacing": 2})  # fmt: skip
    tifffile.imwrite(tmp_path / "b.tif", LABELS[0], imagej=True, resolution=(0.5, 0.5),
                     metadata={"unit": "um"})  # fmt: skip
    words = ["reconstruct", "--model", model, "--out", tmp_path / "v.npz"]
    used = "warning: the voxel size of --model (1e-06, 1e-06, 1e-06) m is used, but "
    _, _, err = run(*words, "--volume", tmp_path / "a.tif")  # fails: without --report
    assert f"{used}{tmp_path / 'a.tif'} states 2e-06 x 2e-06 x 2e-06 m" in err
    _, _, err = run(*words, "--xy", tmp_path / "b.tif", "--phases", "labels")
    assert f"{used}the files state 2e-06 m along y in {tmp_path / 'b.tif'}" in err


def test_a_model_in_voxels_contradicts_no_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", LABELS, imagej=True, resolution=(0.5, 0.5),
                     metadata={"axes": "ZYX", "unit": "um", "spacing": 2})  # fmt: skip
    for planes, volume in (([str(tmp_path / "a.tif")], None), (None, tmp_path / "a.tif")):
        given = MicrographOptions(planes, None, None, volume, 8, None if volume else "labels",
                                  None, None)  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", "(?!`voxel_size`)")  # of small, similar images
            found = given.load(voxel_size=(1.0, 1.0, 1.0))
        assert found.voxel_size == (1.0, 1.0, 1.0)


def test_the_pixel_size_of_the_files_is_used_and_said(run, tmp_path):
    for k in range(2):
        tifffile.imwrite(
            tmp_path / f"{k}.tif", blobs((1, 32, 32), (0.6, 0.4), seed=k)[0] * np.uint8(255),
            imagej=True, resolution=(2, 2), metadata={"unit": "um"},
        )  # fmt: skip
    words = ["train", "--xy", tmp_path / "*.tif", "--phases", "0:0,255:1", "--patch", 16]
    words += ["--batch-size", 2, "--steps", 1, "--out", tmp_path / "run"]
    code, _, err = run(*words)
    assert code == 0, err
    assert "voxel size of 5e-07 m: ImageJ calibration of " in err
    size = json.loads((tmp_path / "run/model/model.json").read_text())["voxel_size"]
    assert size == pytest.approx([5e-7] * 3)
    code, _, err = run(*words[:-1], tmp_path / "other", "--voxel-size", "1e-6")
    assert code == 0, err
    assert (
        "warning: --voxel-size (1e-06, 1e-06, 1e-06) m is used, but the files state 5e-07 m" in err
    )
