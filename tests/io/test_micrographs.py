# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Micrographs: images in, patches out; borrowing, contradictions and every refusal in words."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest

from micro3d_fast import synthetic
from micro3d_fast.micrographs import (
    PLANE_AXES,
    PLANE_NORMAL,
    PLANES,
    Micrographs,
    correlation_length,
)
from micro3d_fast.microstructure import Microstructure
from micro3d_fast.statistics.lengths import autocorrelation

VOLUME = synthetic.level_cut((40, 44, 48), (0.6, 0.4), 3.0, seed=1)
LABELS = VOLUME.labels
GREY = (LABELS * 255).astype(np.uint8)
MAP = {0: 0, 255: 1}


def pillow():
    return pytest.importorskip("PIL.Image")


def write(path, array, **options):
    pillow().fromarray(array).save(path, **options)
    return path


# ------------------------------------------------------------------------------------ from_volume


def test_from_volume_takes_whole_slices_of_all_planes():
    m = Micrographs.from_volume(LABELS, images_per_plane=300)
    for plane in PLANES:
        axis = PLANE_NORMAL[plane]
        assert len(m.images[plane]) == LABELS.shape[axis]
        for index, image in enumerate(m.images[plane]):
            np.testing.assert_array_equal(image, np.take(LABELS, index, axis=axis))
    assert m.borrowed == {}
    assert m.sources["xz"][3] == "labels[:, 3, :]"
    assert m.volume_fractions() == pytest.approx([0.6, 0.4], abs=1e-4)


def test_from_volume_takes_random_slices_without_repetition():
    m = Micrographs.from_volume(LABELS, images_per_plane=10, seed=3)
    again = Micrographs.from_volume(LABELS, images_per_plane=10, seed=3)
    other = Micrographs.from_volume(LABELS, images_per_plane=10, seed=4)
    assert m.sources == again.sources
    assert m.fingerprint() == again.fingerprint()
    assert m.fingerprint() != other.fingerprint()
    assert all(len(set(sources)) == 10 for sources in m.sources.values())


def test_a_microstructure_brings_its_words():
    volume = Microstructure(LABELS, (1e-6, 2e-6, 3e-6), ("pore", "solid"))
    m = Micrographs.from_volume(volume, 5)
    assert m.voxel_size == (1e-6, 2e-6, 3e-6)
    assert m.phase_names == ("pore", "solid")
    assert Micrographs.from_volume(volume, 5, voxel_size=1.0).voxel_size == (1.0, 1.0, 1.0)


def test_prints_readably():
    m = Micrographs.from_volume(VOLUME, 5, voxel_size=1e-6)
    assert repr(m).startswith(
        "Micrographs: xy 5 of 44 x 48; xz 5 of 40 x 48; yz 5 of 40 x 44; voxel size 1e-06 m; "
        "phase 0 0."
    )


def test_real_volumes_raise_no_false_alarm(shared_data):
    for name in ("separator_pp", "ud_fibre_ply", "trabecular_bone56"):
        labels = np.load(shared_data / f"{name}.npz")["labels"]
        for count in (1, 3, 12):
            report = Micrographs.from_volume(labels, images_per_plane=count).check()
            assert report.warnings == ()


# -------------------------------------------------------------------------------- the fingerprint


def test_fingerprint_sees_pixels_shapes_planes_and_phases():
    base = {"xy": LABELS[0], "xz": LABELS[:, 0], "yz": LABELS[:, :, 0]}
    seen = set()

    def fingerprint(images, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seen.add(Micrographs.load(images, **options).fingerprint())

    fingerprint(base, phases="labels")
    fingerprint(base, phases="labels", voxel_size=1e-6)  # the same images
    assert len(seen) == 1
    fingerprint({**base, "xy": base["xy"][:-1]}, phases="labels")
    fingerprint({**base, "xy": base["xy"].T}, phases="labels")
    fingerprint({**base, "xy": [base["xy"], base["xy"]]}, phases="labels")
    fingerprint({**base, "xz": base["yz"], "yz": base["xz"]}, phases="labels")
    fingerprint(base, phases={0: 1, 1: 0})
    assert len(seen) == 6
    assert all(len(text) == 64 for text in seen)


# --------------------------------------------------------------------------------------- sampling


def test_patches_are_crops_of_their_plane_up_to_flips():
    coded = np.arange(12 * 13 * 14).reshape(12, 13, 14) % 251
    m = Micrographs.from_volume(coded.astype(np.uint8))
    labels, plane = m.sample(np.random.default_rng(0), 60, 8)
    assert labels.shape == (60, 8, 8)
    assert labels.dtype == np.uint8
    assert plane.dtype == np.int64
    for patch, number in zip(labels, plane, strict=True):
        windows = [
            np.lib.stride_tricks.sliding_window_view(image, (8, 8))
            for image in m.images[PLANES[number]]
        ]
        flips = (patch, patch[::-1], patch[:, ::-1], patch[::-1, ::-1])
        assert any((w == f).all(axis=(2, 3)).any() for w in windows for f in flips)


def test_sampling_is_repeatable_and_moves_on():
    m = Micrographs.from_volume(LABELS, 5)
    rng = np.random.default_rng(7)
    first = m.sample(rng, 16, 32)
    second = m.sample(rng, 16, 32)
    again = m.sample(np.random.default_rng(7), 16, 32)
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[0] != second[0]).any()


def test_sampling_resumes_from_the_state_of_its_generator():
    m = Micrographs.from_volume(LABELS, 5)
    rng = np.random.default_rng(7)
    m.sample(rng, 5, 16)
    state = rng.bit_generator.state
    expected = m.sample(rng, 5, 16)
    fresh = np.random.default_rng(0)
    fresh.bit_generator.state = state
    np.testing.assert_array_equal(m.sample(fresh, 5, 16)[0], expected[0])


def test_planes_crops_and_flips_are_equally_likely():
    """A chain of corner marks: each plane 1/3, each of 4 orientations 1/4, both crops 1/2."""
    image = np.zeros((4, 5), dtype=np.uint8)
    image[0, 0], image[0, 4] = 1, 1
    m = Micrographs.load({p: image for p in PLANES}, phases="labels")
    labels, plane = m.sample(np.random.default_rng(0), 6000, 4)
    counts = np.bincount(plane, minlength=3) / 6000
    assert counts == pytest.approx([1 / 3] * 3, abs=0.025)  # 4 standard deviations
    corners = labels[:, [0, 0, -1, -1], [0, -1, 0, -1]].mean(axis=0)
    assert corners == pytest.approx([0.25] * 4, abs=0.025)


def test_images_weigh_by_area():
    small, large = np.zeros((8, 8), np.uint8), np.ones((8, 24), np.uint8)
    images = [small, large]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        m = Micrographs.load({"xy": images}, phases="labels")
    labels, _ = m.sample(np.random.default_rng(0), 4000, 8)
    assert labels.mean() == pytest.approx(0.75, abs=0.03)


def test_patches_larger_than_an_image_are_refused_by_name():
    m = Micrographs.load({"xy": [LABELS[0], LABELS[1, :30]]}, phases="labels")
    assert m.min_side == 30
    m.sample(np.random.default_rng(0), 2, 30)
    words = (
        "^`patch` must be at most 30, the shortest image side, got 64: "
        "image 0 of plane xy has 44 x 48 pixels$"
    )
    with pytest.raises(ValueError, match=words):
        m.sample(np.random.default_rng(0), 2, 64)
    words = "got 31: image 1 of plane xy has 30 x 48 pixels$"
    with pytest.raises(ValueError, match=words):
        m.sample(np.random.default_rng(0), 2, 31)
    with pytest.raises(TypeError, match=r"`rng` must be a numpy.random.Generator, got int"):
        m.sample(0, 2, 8)
    with pytest.raises(ValueError, match="`batch_size` must be an integer of at least 1, got 0"):
        m.sample(np.random.default_rng(0), 0, 8)


# ------------------------------------------------------------------------------------ file formats


def loaded(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Micrographs.load({"xy": path}, **{"phases": MAP, **options}).images["xy"]


def test_png_pattern_in_natural_order(tmp_path):
    for number in (10, 9, 100, 1):
        write(tmp_path / f"slice{number}.png", GREY[number % 40])
    m = Micrographs.load({"xy": str(tmp_path / "slice*.png")}, phases=MAP)
    names = [source.rsplit("slice")[-1] for source in m.sources["xy"]]
    assert names == ["1.png", "9.png", "10.png", "100.png"]
    np.testing.assert_array_equal(m.images["xy"][2], LABELS[10])


def test_a_file_name_with_brackets_is_no_pattern(tmp_path):
    write(tmp_path / "a[1].png", GREY[0])
    np.testing.assert_array_equal(loaded(tmp_path / "a[1].png")[0], LABELS[0])


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".PNG"])
def test_lossless_formats(tmp_path, suffix):
    path = write(tmp_path / f"a{suffix}", GREY[0])
    np.testing.assert_array_equal(loaded(path)[0], LABELS[0])


def test_sixteen_bits_one_bit_and_float(tmp_path):
    path = write(tmp_path / "a.png", GREY[0].astype(np.uint16) * 257)
    np.testing.assert_array_equal(loaded(path, phases={0: 0, 65535: 1})[0], LABELS[0])
    one_bit = tmp_path / "one.png"
    pillow().fromarray(GREY[0]).convert("1").save(one_bit)
    for phases in (MAP, {0: 0, 1: 1}, {False: 0, True: 1}, None):
        np.testing.assert_array_equal(loaded(one_bit, phases=phases)[0], LABELS[0])
    np.testing.assert_array_equal(loaded(one_bit, phases={0: 1, 255: 0})[0], 1 - LABELS[0])
    np.testing.assert_array_equal(loaded(one_bit, phases=None, threshold=128)[0], LABELS[0])
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "f.tif", LABELS[0].astype(np.float32))
    np.testing.assert_array_equal(loaded(tmp_path / "f.tif", phases={0: 0, 1: 1})[0], LABELS[0])


def test_grey_in_colour_files(tmp_path):
    rgb = write(tmp_path / "rgb.png", np.dstack([GREY[0]] * 3))
    np.testing.assert_array_equal(loaded(rgb)[0], LABELS[0])
    rgba = write(tmp_path / "rgba.png", np.dstack([GREY[0]] * 3 + [np.full_like(GREY[0], 255)]))
    np.testing.assert_array_equal(loaded(rgba)[0], LABELS[0])


def test_palettes(tmp_path):
    image = pillow().fromarray(GREY[0]).convert("P")
    image.save(tmp_path / "grey.png")
    np.testing.assert_array_equal(loaded(tmp_path / "grey.png")[0], LABELS[0])
    image = pillow().fromarray(LABELS[0])
    image.putpalette([200, 0, 0, 0, 0, 200] + [0] * 762)
    image.save(tmp_path / "colours.png")  # the index is the label
    np.testing.assert_array_equal(loaded(tmp_path / "colours.png", phases="labels")[0], LABELS[0])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib", "photometric": "minisblack"},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "ZYX"}, "photometric": "minisblack"},
    ],
    ids=str,
)
def test_tiff_stacks(tmp_path, options):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", GREY[:5], **options)
    got = loaded(tmp_path / "a.tif")
    assert len(got) == 5
    np.testing.assert_array_equal(got, LABELS[:5])


def test_tiff_that_only_pillow_can_decompress(tmp_path):
    first, second = (pillow().fromarray(GREY[i]) for i in (0, 1))
    first.save(tmp_path / "a.tif", compression="tiff_lzw", save_all=True, append_images=[second])
    np.testing.assert_array_equal(loaded(tmp_path / "a.tif"), LABELS[:2])


def test_numpy_files_and_arrays(tmp_path, backend):
    np.save(tmp_path / "a.npy", LABELS[:3])
    np.savez(tmp_path / "a.npz", labels=LABELS[:3], other=LABELS)
    np.savez(tmp_path / "b.npz", volume=LABELS[:3])
    send, _ = backend
    for given in (
        tmp_path / "a.npy",
        tmp_path / "a.npz",
        tmp_path / "b.npz",
        send(LABELS[:3].copy()),
        list(LABELS[:3]),
        [LABELS[0], LABELS[1:3]],
        LABELS[:3] > 0,
    ):
        np.testing.assert_array_equal(loaded(given, phases={0: 0, 1: 1}), LABELS[:3])
    np.testing.assert_array_equal(loaded(LABELS[:3] > 0, phases=None), LABELS[:3])


def test_sizes_may_differ(tmp_path):
    paths = [
        write(tmp_path / "a.png", GREY[0]),
        write(tmp_path / "b.png", GREY[1][:30]),
        write(tmp_path / "c.png", GREY[2][:, :20]),
    ]
    m = Micrographs.load({"xy": paths}, phases=MAP)
    assert [image.shape for image in m.images["xy"]] == [(44, 48), (30, 48), (44, 20)]
    assert "3 of 30 x 20 to 44 x 48" in repr(m)
    assert m.min_side == 20


def test_exif_rotation_is_obeyed(tmp_path):
    image = pillow().fromarray(GREY[0])
    exif = image.getexif()
    exif[0x0112] = 6  # to be shown turned by 90 degrees
    image.save(tmp_path / "a.png", exif=exif)
    assert loaded(tmp_path / "a.png")[0].shape == (48, 44)


# ----------------------------------------------------------------------------- values to phases


def test_several_values_may_share_a_phase():
    image = np.array([[0, 10, 20], [30, 10, 0]] * 4)
    got = loaded(image, phases={0: 0, 10: 1, 20: 0, 30: 2})
    np.testing.assert_array_equal(got[0][:2], [[0, 1, 0], [2, 1, 0]])


def test_thresholds():
    image = np.array([[0, 99, 100, 101, 200, 255]])
    assert loaded(image, phases=None, threshold=100)[0][0].tolist() == [0, 0, 0, 1, 1, 1]
    assert loaded(image, phases=None, threshold=[99.5, 200])[0][0].tolist() == [0, 0, 1, 1, 1, 2]
    swapped = loaded(image, phases={0: 1, 1: 0}, threshold=100)
    assert swapped[0][0].tolist() == [1, 1, 1, 0, 0, 0]
    merged = loaded(image, phases={0: 0, 1: 1, 2: 0}, threshold=[99.5, 200])
    assert merged[0][0].tolist() == [0, 0, 1, 1, 1, 0]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_otsu_finds_the_gap_of_all_images_together(dtype):
    rng = np.random.default_rng(0)
    grey = np.where(LABELS[:6] == 1, 180, 60) + rng.normal(0, 8, LABELS[:6].shape)
    scale = {np.uint8: 1, np.uint16: 200, np.float32: 1e-3}[dtype]
    images = (grey.clip(0, 255) * scale).astype(dtype)
    np.testing.assert_array_equal(loaded(images, phases=None, threshold="otsu"), LABELS[:6])


def test_multi_otsu():
    truth = synthetic.level_cut((6, 40, 40), (0.3, 0.4, 0.3), 3.0, seed=2).labels
    rng = np.random.default_rng(0)
    images = (np.array([40, 128, 220])[truth] + rng.normal(0, 8, truth.shape)).astype(np.uint8)
    got = loaded(images, phases=None, threshold="multi-otsu", n_phases=3)
    np.testing.assert_array_equal(got, truth)


def test_jpeg_needs_a_threshold(tmp_path):
    path = write(tmp_path / "a.jpg", GREY[0], quality=90)
    np.testing.assert_array_equal(loaded(path, phases=None, threshold="otsu")[0], LABELS[0])
    words = (
        r"a.jpg must hold only the grey values 0, 255 of `phases`, got also .* values\); JPEG "
        r"compression blurs labels: give a `threshold` instead, or lossless images$"
    )
    with pytest.raises(ValueError, match=words):
        loaded(path)
    with (
        pytest.warns(UserWarning, match=r"values of .*a.jpg and others for phases, but JPEG"),
        pytest.raises(ValueError, match="without a gap"),
    ):
        Micrographs.load({"xy": path}, phases="labels")


# ----------------------------------------------------------------------------------- borrowing


def test_one_plane_stands_for_three():
    m = Micrographs.load({"xz": LABELS[:, 0]}, phases="labels")
    assert m.given == ("xz",)
    assert m.borrowed == {"xy": "xz, taken as isotropic", "yz": "xz, taken as isotropic"}
    for plane in PLANES:
        np.testing.assert_array_equal(m.images[plane][0], LABELS[:, 0])
    assert "xy borrowed (xz, taken as isotropic)" in repr(m)
    assert "borrowed: xz, taken as isotropic" in repr(m.check())


def transverse(axis):
    """A volume that is short along one axis and alike along the other two."""
    lengths = [6.0, 6.0, 6.0]
    lengths["zyx".index(axis)] = 2.0
    return synthetic.separator((80, 80, 80), 0.4, lengths, seed=5)


def lengths_of(micrographs, plane):
    return [correlation_length(micrographs.images[plane], a) for a in (0, 1)]


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_two_planes_give_the_third(axis):
    volume = transverse(axis)
    truth = Micrographs.from_volume(volume)
    isotropic = next(p for p in PLANES if "zyx"[PLANE_NORMAL[p]] == axis)
    for other in set(PLANES) - {isotropic}:
        (missing,) = set(PLANES) - {isotropic, other}
        given = {plane: truth.images[plane] for plane in (isotropic, other)}
        for symmetry in ("auto", axis):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                m = Micrographs.load(given, phases="labels", symmetry_axis=symmetry)
            text = m.borrowed[missing]
            assert text.startswith(f"{other} with ")
            assert text.endswith(f": {isotropic} is taken as isotropic")
            assert lengths_of(m, missing) == pytest.approx(lengths_of(truth, missing), rel=0.1)
            transposed = ", transposed" in text
            image = truth.images[other][0]
            np.testing.assert_array_equal(m.images[missing][0], image.T if transposed else image)


def test_borrowing_reads_the_shared_direction_as_the_missing_one():
    """All six cases by hand: (isotropic, source) -> which direction is read as which."""
    expected = {
        ("xy", "xz"): "xz with x read as y",
        ("xy", "yz"): "yz with y read as x",
        ("xz", "xy"): "xy with x read as z, transposed",
        ("xz", "yz"): "yz with z read as x, transposed",
        ("yz", "xy"): "xy with y read as z",
        ("yz", "xz"): "xz with z read as y",
    }
    m = Micrographs.from_volume(LABELS, 2)
    for (isotropic, source), words in expected.items():
        axis = "zyx"[PLANE_NORMAL[isotropic]]
        given = {plane: m.images[plane] for plane in (isotropic, source)}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = Micrographs.load(given, phases="labels", symmetry_axis=axis)
        (text,) = got.borrowed.values()
        assert text == f"{words}: {isotropic} is taken as isotropic"


def test_from_volume_borrows_too():
    m = Micrographs.from_volume(transverse("z"), 5, planes=("xy", "yz"))
    assert m.borrowed == {"xz": "yz with y read as x: xy is taken as isotropic"}


def test_refusals_of_borrowing():
    xy, xz = LABELS[:2], LABELS[:, :2].transpose(1, 0, 2)
    with pytest.raises(
        ValueError,
        match="`symmetry_axis` must be normal to one of the planes given, xy and xz, got 'x': "
        "plane yz cannot be borrowed",
    ):
        Micrographs.load({"xy": xy, "xz": xz}, phases="labels", symmetry_axis="x")
    with pytest.raises(ValueError, match="`symmetry_axis` must be 'auto' where one plane"):
        Micrographs.load({"xy": xy}, phases="labels", symmetry_axis="x")
    with pytest.raises(ValueError, match="`symmetry_axis` must be 'auto' where all three"):
        Micrographs.from_volume(LABELS, 2, symmetry_axis="x")
    with pytest.raises(ValueError, match="`symmetry_axis` must be 'auto' or 'x' or 'y' or 'z'"):
        Micrographs.load({"xy": xy}, phases="labels", symmetry_axis="w")
    with pytest.raises(ValueError, match="`voxel_size` must be the same along all axes where one"):
        Micrographs.load({"xy": xy}, phases="labels", voxel_size=(1, 1, 2))
    with pytest.raises(ValueError, match="`voxel_size` must be the same along x and y, the direc"):
        Micrographs.load(
            {"xy": xy, "xz": xz}, phases="labels", voxel_size=(1, 1, 2), symmetry_axis="z"
        )


# ------------------------------------------------------------------------------------ the check


def test_autocorrelation_is_the_fraction_of_equal_pairs():
    image = np.array([[0, 0, 1, 1], [0, 1, 0, 1]], dtype=np.uint8)
    assert autocorrelation(image, 1, 3).tolist() == [1.0, 2 / 6, 2 / 4, 0.0]
    assert autocorrelation(image, 0, 1).tolist() == [1.0, 0.5]


def test_correlation_length_of_the_model():
    """1/e of the S2 of a cut Gaussian field, found on its analytic curve."""
    volume = synthetic.level_cut((96, 96, 96), (0.6, 0.4), (3.0, 5.0, 8.0), seed=0)
    m = Micrographs.from_volume(volume)
    for plane in PLANES:
        for row_or_column, axis in enumerate(PLANE_AXES[plane]):
            length = (3.0, 5.0, 8.0)[axis]
            r = np.linspace(0, 20, 2001)
            s2 = synthetic.level_cut_two_point(0.4, np.exp(-((r / length) ** 2)))
            expected = r[np.argmax((s2 - 0.16) / 0.24 < np.exp(-1))]
            got = correlation_length(m.images[plane], row_or_column, most=96)
            assert got == pytest.approx(expected, rel=0.08)


def test_check_reports_and_prints():
    m = Micrographs.from_volume(transverse("x"), 20)
    report = m.check()
    assert report.warnings == ()
    assert [p.plane for p in report.planes] == list(PLANES)
    assert [p.images for p in report.planes] == [20, 20, 20]
    assert [(a.axis, a.planes) for a in report.axes] == [
        ("x", ("xy", "xz")),
        ("y", ("xy", "yz")),
        ("z", ("xz", "yz")),
    ]
    text = str(report)
    assert "xy  20 images of 80 x 80; pore 0." in text
    assert text.endswith("the planes agree")
    assert report.to_dict()["planes"][0]["images"] == 20


def test_contradicting_fractions_warn():
    other = synthetic.level_cut((40, 44, 48), (0.5, 0.5), 3.0, seed=2).labels
    images = {"xy": LABELS[::4], "xz": LABELS.swapaxes(0, 1)[::4], "yz": other.T.swapaxes(1, 2)}
    with pytest.warns(UserWarning, match="contradict each other: volume fraction of") as caught:
        m = Micrographs.load(images, phases="labels")
    assert len(caught) == len(m.check().warnings)
    assert sum("xy and yz" in str(w.message) for w in caught) == 1
    assert f"warning: {caught[0].message}" in str(m.check())


def test_a_turned_plane_warns():
    volume = Micrographs.from_volume(transverse("x"))
    images = dict(volume.images)
    images["xz"] = [image.T for image in images["xz"]]
    with pytest.warns(UserWarning, match="share the direction") as caught:
        Micrographs.load(images, phases="labels")
    messages = sorted(str(w.message) for w in caught)
    assert [("direction x" in m, "direction z" in m) for m in messages] == [
        (True, False),
        (False, True),
    ]
    assert all("check the orientation of the images" in m for m in messages)


def test_an_anisotropic_plane_that_stands_alone_warns():
    images = Micrographs.from_volume(transverse("x")).images
    with pytest.warns(UserWarning, match=r"plane xy is taken as isotropic \(xz, yz borrowed\)"):
        Micrographs.load({"xy": images["xy"]}, phases="labels")
    with pytest.warns(UserWarning, match=r"is taken as isotropic \(yz borrowed\), but S2 along"):
        Micrographs.load({"xy": images["xy"], "xz": images["xz"]}, phases="labels")


def test_few_images_have_no_false_alarm():
    for seed, count in itertools.product(range(8), (1, 2, 4)):
        m = Micrographs.from_volume(VOLUME, count, seed=seed)
        assert m.check().warnings == ()


# -------------------------------------------------------------------------------------- refusals


def refused(error, words, images, **options):
    with pytest.raises(error, match=words):
        Micrographs.load(images, **options)


def test_refusals_of_the_planes(tmp_path):
    refused(TypeError, "`images` must be a dict of 'xy', 'xz', 'yz' to patterns", "a/*.png")
    refused(ValueError, r"`images` must hold one, two or three of .*, got \['zx'\]", {"zx": LABELS})
    refused(ValueError, r"`images` must hold .*, got \[\]", {})
    refused(ValueError, "plane 'xy' must hold at least one image, got an empty list", {"xy": []})
    refused(TypeError, r"`images\['xy'\]` must be a path, a pattern, an array .*int", {"xy": 3})
    refused(
        FileNotFoundError, r"plane 'xz': no file matches .*/q\*.png", {"xz": tmp_path / "q*.png"}
    )
    refused(FileNotFoundError, "plane 'xz': no file matches", {"xz": [tmp_path / "none.png"]})
    refused(ValueError, r"plane 'xy': .* is a directory; give .*/\*.png", {"xy": tmp_path})
    with pytest.raises(TypeError, match="`planes` must hold one, two or three"):
        Micrographs.from_volume(LABELS, planes="xy")
    with pytest.raises(ValueError, match="`planes` must hold one, two or three"):
        Micrographs.from_volume(LABELS, planes=("xy", "xy"))
    with pytest.raises(ValueError, match="`images_per_plane` must be an integer of at least 1"):
        Micrographs.from_volume(LABELS, 0)


def test_grey_values_are_never_guessed():
    words = "`phases` .* or `threshold` must be given: what the grey values 0, 255 mean is not"
    refused(ValueError, words, {"xy": GREY})
    words = r"the grey values 0 \.\.\. 255 mean"
    refused(ValueError, words, {"xy": np.arange(256).reshape(16, 16)})


def test_unknown_grey_values_are_refused_by_name(tmp_path):
    odd = GREY[0].copy()
    odd[3, 3], odd[4, 4] = 7, 9
    path = write(tmp_path / "odd.png", odd)
    words = (
        r"/odd.png must hold only the grey values 0, 255 of `phases`, got also 7, 9; "
        r"give each of them a phase$"
    )
    refused(ValueError, words, {"xy": path, "xz": GREY}, phases=MAP)
    refused(ValueError, "image 2 of plane xz must hold only", {"xz": [*GREY[:2], odd]}, phases=MAP)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"phases": {}}, ValueError, "`phases` must map at least one grey value"),
        ({"phases": {0: 0, 255: 2}}, ValueError, r"0 ... P-1 without a gap, got \[0, 2\]"),
        ({"phases": {0: 0, 255: 300}}, ValueError, r"`phases\[255\]` must be an integer 0 ... 255"),
        ({"phases": {"0": 0}}, TypeError, "`key of phases` must be a finite number"),
        ({"phases": [0, 255]}, TypeError, "`phases` must be a map of grey value to phase or 'lab"),
        ({"phases": "grey"}, ValueError, "`phases` must be 'labels', got 'grey'"),
        ({"phases": "labels"}, ValueError, "without a gap, got 0, 255; give a map such as {0: 0, "),
        ({"phases": {0: 0, 255: 1, 7: 2}}, ValueError, "must occur, got no pixel of phase 2"),
        ({"phases": MAP, "n_phases": 3}, ValueError, "`n_phases` must be .* 2, got 3"),
        ({"phases": MAP, "phase_names": "ab"}, TypeError, "`phase_names` must be a sequence"),
        (
            {"phases": MAP, "phase_names": ("a", "b", "c")},
            ValueError,
            "one name for each of 2 phases, got 3",
        ),
        ({"phases": MAP, "voxel_size": -1}, ValueError, "`voxel_size` must be a positive number"),
        ({"threshold": 300}, ValueError, "got 300, which leaves phase 1 without a pixel"),
        ({"threshold": [9, 3]}, ValueError, r"in increasing order, got \[9.0, 3.0\]"),
        ({"threshold": []}, ValueError, "in increasing order"),
        ({"threshold": "foo"}, ValueError, "`threshold` must be 'otsu' or 'multi-otsu', got 'foo'"),
        ({"threshold": float("nan")}, ValueError, "`threshold` must be a finite number"),
        ({"threshold": "multi-otsu"}, ValueError, "'multi-otsu' needs `n_phases`, got None"),
        ({"threshold": "multi-otsu", "n_phases": 3}, ValueError, "needs at least 3 grey values"),
        (
            {"threshold": "otsu", "n_phases": 3},
            ValueError,
            "2 for `threshold`='otsu', got 3",
        ),
        ({"threshold": 9, "phases": MAP}, ValueError, "map the classes 0 ... 1, darkest first"),
        ({"threshold": 9, "phases": "labels"}, TypeError, "must be a map of class"),
    ],
    ids=lambda x: str(x)[:40],
)
def test_refusals_of_the_rule(options, error, words):
    refused(error, words, {"xy": GREY[:4]}, **options)


def test_planes_must_hold_the_same_phases():
    three = synthetic.level_cut((20, 20, 20), (0.4, 0.3, 0.3), 3.0, seed=0).labels
    two = np.minimum(three, 1)
    words = "all planes must hold the same phases, got phase 2 in plane xy and not in plane xz"
    refused(ValueError, words, {"xy": three, "xz": two, "yz": three}, phases="labels")


def test_refusals_of_the_pixels(tmp_path):
    colours = np.dstack([GREY[0], GREY[1], GREY[2]])
    path = write(tmp_path / "colours.png", colours)
    refused(ValueError, "colours.png must hold grey values or labels, got colours", {"xy": path})
    refused(ValueError, "which looks like a colour image", {"xy": colours}, phases=MAP)
    clear = np.dstack([GREY[0]] * 3 + [GREY[1]])
    path = write(tmp_path / "clear.png", clear)
    refused(ValueError, "clear.png must be opaque, got an alpha channel", {"xy": path}, phases=MAP)
    refused(
        ValueError, "must hold finite grey values", {"xy": np.full((4, 4), np.nan)}, threshold=0
    )
    refused(ValueError, "must hold real numbers, got dtype complex", {"xy": GREY * 1j}, threshold=0)
    refused(ValueError, r"shape \(rows, columns\) or \(n, rows", {"xy": GREY[None]}, phases=MAP)
    refused(ValueError, "must not be empty", {"xy": GREY[:0]}, phases=MAP)
    np.savez(tmp_path / "two.npz", a=GREY, b=GREY)
    words = r"two.npz must hold one array, or one named 'labels' or 'images', got \['a', 'b'\]"
    refused(ValueError, words, {"xy": tmp_path / "two.npz"}, phases=MAP)
    (tmp_path / "a.gif").write_bytes(b"GIF")
    refused(ValueError, r"a.gif must end in one of .png, .tif", {"xy": tmp_path / "a.gif"})


def test_refusals_of_tiff(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "white.tif", GREY[0], photometric="miniswhite")
    refused(
        ValueError, "white.tif must store black as 0, got white", {"xy": tmp_path / "white.tif"}
    )
    tifffile.imwrite(
        tmp_path / "rgb.tif", np.dstack([GREY[0], GREY[1], GREY[2]]), photometric="rgb"
    )
    refused(ValueError, "rgb.tif must hold grey values or labels", {"xy": tmp_path / "rgb.tif"})
    two = np.stack([GREY[0], GREY[1]])
    tifffile.imwrite(tmp_path / "c.tif", two, imagej=True, metadata={"axes": "CYX"})
    refused(
        ValueError, "c.tif must hold one grey value per pixel, got 2", {"xy": tmp_path / "c.tif"}
    )
    tifffile.imwrite(tmp_path / "s.tif", GREY[:5], imagej=True, metadata={"axes": "ZYX"})
    content = (tmp_path / "s.tif").read_bytes()
    (tmp_path / "s.tif").write_bytes(content[: 3 * len(content) // 5])
    refused(ValueError, "s.tif must be a whole TIFF file", {"xy": tmp_path / "s.tif"}, phases=MAP)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".npy", ".npz", ".bmp"])
def test_broken_files_are_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for content in (b"", b"this is no image"):
        path.write_bytes(content)
        refused(ValueError, rf"a\{suffix} cannot be read as an image: ", {"xy": path}, phases=MAP)
