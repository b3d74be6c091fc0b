# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Image files and arrays to micrographs: formats, and contents that are refused."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from _micrographs import GREY, LABELS, MAP, SERIAL, loaded, pillow, refused, write
from micro3d_fast import _grey_images
from micro3d_fast.micrographs import Micrographs

pytestmark = pytest.mark.filterwarnings(f"ignore:{SERIAL}:UserWarning")


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


def lzw(data):
    """Return bytes as an LZW stream of literal codes."""
    bits = ""
    for start in range(0, len(data), 200):  # all codes have nine bits
        bits += "".join(f"{code:09b}" for code in (256, *data[start : start + 200]))
    bits += f"{257:09b}"
    return int(bits.ljust(-(-len(bits) // 8) * 8, "0"), 2).to_bytes(-(-len(bits) // 8), "big")


def lzw_tiff(path, image):
    """Write an LZW-compressed TIFF file in the byte order of the image."""
    tifffile = pytest.importorskip("tifffile")
    order = image.dtype.byteorder if image.dtype.itemsize > 1 else ">"
    tifffile.imwrite(path, image, byteorder=order, rowsperstrip=image.shape[0], metadata=None)
    packed = lzw(image.tobytes())
    with tifffile.TiffFile(path, mode="r+b") as file:
        tags = file.pages[0].tags
        handle = file.filehandle
        start = handle.size
        handle.seek(0, 2)
        handle.write(packed)
        tags["StripOffsets"].overwrite([start])
        tags["StripByteCounts"].overwrite([len(packed)])
        tags["Compression"].overwrite(5)
    return path


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "u4", "i4", "f4"])
def test_every_type_and_byte_order_is_read_through_lzw(tmp_path, kind, order):
    """Compared with the same image without compression, which tifffile reads alone."""
    values = np.arange(20 * 24).reshape(20, 24) * 7 % 250
    image = (values * (1 if kind.endswith("1") else 100)).astype(order + kind)
    if kind == "u4":
        image[0, 0] = 4_000_000_000
        if order == ">":
            pytest.skip("Pillow does not read it")
    got = _grey_images.read(lzw_tiff(tmp_path / "a.tif", image))[0].values
    np.testing.assert_array_equal(got, image)
    assert got.dtype == np.dtype(kind)


def test_compressions_that_need_another_package_name_it(tmp_path):
    path = lzw_tiff(tmp_path / "a.tif", GREY[0].astype("<f8"))  # Pillow has no float64
    message = r"got LZW compression: pip install 'micro3d-fast\[codecs\]'"
    if importlib.util.find_spec("imagecodecs") is None:
        refused(ValueError, message, {"xy": path}, phases=MAP)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_tag_is_obeyed_by_all_decoders(tmp_path, orientation):
    tifffile = pytest.importorskip("tifffile")
    tag = [(274, "H", 1, orientation, True)]
    tifffile.imwrite(tmp_path / "plain.tif", GREY[0], extratags=tag)
    image = pillow().fromarray(GREY[0])
    image.save(tmp_path / "lzw.tif", compression="tiff_lzw", tiffinfo={274: orientation})
    exif = image.getexif()
    exif[274] = orientation
    image.save(tmp_path / "a.png", exif=exif)
    plain, packed, png = (loaded(tmp_path / n)[0] for n in ("plain.tif", "lzw.tif", "a.png"))
    np.testing.assert_array_equal(plain, png)
    np.testing.assert_array_equal(packed, png)
    assert png.shape == ((44, 48) if orientation < 5 else (48, 44))


def test_thumbnails_and_masks_of_a_tiff_are_no_images(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(GREY[0][:20, :20], subfiletype=1)
        file.write(GREY[1])
        file.write(GREY[0] > 0, subfiletype=4, photometric="mask")
    got = loaded(tmp_path / "a.tif")
    assert len(got) == 1
    np.testing.assert_array_equal(got[0], LABELS[1])


def test_masks_of_tifffile_are_read_as_they_were_written(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    tifffile.imwrite(tmp_path / "a.tif", LABELS[:2] > 0)
    np.testing.assert_array_equal(loaded(tmp_path / "a.tif", phases=None), LABELS[:2])
    tifffile.imwrite(tmp_path / "b.tif", LABELS[0] > 0, software="other")
    refused(ValueError, "b.tif must store black as 0, got white", {"xy": tmp_path / "b.tif"})


def test_a_true_byte_of_255_is_one():
    ones = np.array(pillow().fromarray(LABELS[0] > 0))  # bool of 0x00 and 0xFF
    foreign = (LABELS[0] * np.uint8(255)).view(np.bool_)
    for given in (ones, foreign):
        for phases in (None, {0: 0, 1: 1}, MAP):
            np.testing.assert_array_equal(loaded(given, phases=phases)[0], LABELS[0])


def test_pillow_images_serve_as_arrays():
    one, two = pillow().fromarray(GREY[0]), pillow().fromarray(LABELS[1] > 0)
    np.testing.assert_array_equal(loaded(one)[0], LABELS[0])
    np.testing.assert_array_equal(loaded([one, two]), LABELS[:2])


def test_a_last_axis_of_one_is_a_channel(tmp_path):
    np.testing.assert_array_equal(loaded(GREY[0][..., None]), LABELS[:1])
    np.testing.assert_array_equal(loaded(GREY[:2, ..., None]), LABELS[:2])
    np.save(tmp_path / "a.npy", GREY[:2, ..., None])
    np.testing.assert_array_equal(loaded(tmp_path / "a.npy"), LABELS[:2])


def palette_image(path, labels, colours):
    image = pillow().fromarray(labels)
    image.putpalette(colours + [0] * (768 - len(colours)))
    image.save(path)
    return path


def test_a_palette_is_judged_by_all_images(tmp_path):
    """A slice that shows only the grey phases of a coloured palette holds labels, too."""
    colours = [0, 0, 0, 255, 255, 255, 255, 0, 0]
    two, three = LABELS[0], LABELS[1].copy()
    three[10:30, 10:30] = 2
    first = palette_image(tmp_path / "a.png", two, colours)
    second = palette_image(tmp_path / "b.png", three, colours)
    np.testing.assert_array_equal(loaded([first, second], phases="labels"), [two, three])
    np.testing.assert_array_equal(loaded([first]), [two])  # a grey palette: 0 and 255
    other = palette_image(tmp_path / "c.png", three, [0, 0, 0, 255, 0, 0, 255, 255, 255])
    message = r"c.png must share the palette of the others, got the colour \[255, 0, 0\] for 1"
    refused(ValueError, message, {"xy": [second, other]}, phases="labels")


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
    message = r"two.npz must hold one array, or one named 'labels' or 'images', got \['a', 'b'\]"
    refused(ValueError, message, {"xy": tmp_path / "two.npz"}, phases=MAP)
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


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_the_limit_of_large_mosaics_can_be_lifted(tmp_path, monkeypatch, name):
    if name == "a.tif" and importlib.util.find_spec("imagecodecs") is not None:
        pytest.skip("tifffile reads it, and the limit is Pillow's")
    options = {"compression": "tiff_lzw"} if name == "a.tif" else {}
    path = write(tmp_path / name, GREY[0], **options)
    monkeypatch.setattr(pillow(), "MAX_IMAGE_PIXELS", 1000)
    message = (
        rf"{name} must have fewer pixels, or the environment variable MICRO3D_MAX_PIXELS raise"
    )
    refused(ValueError, message, {"xy": path}, phases=MAP)
    for limit in ("2200", "0"):
        monkeypatch.setenv("MICRO3D_MAX_PIXELS", limit)
        np.testing.assert_array_equal(loaded(path), LABELS[:1])
    assert pillow().MAX_IMAGE_PIXELS == 1000
    monkeypatch.setenv("MICRO3D_MAX_PIXELS", "many")
    refused(ValueError, "`MICRO3D_MAX_PIXELS` must be a whole number", {"xy": path}, phases=MAP)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".npy", ".npz", ".bmp"])
def test_broken_files_are_refused_by_name(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    for content in (b"", b"this is no image"):
        path.write_bytes(content)
        refused(ValueError, rf"a\{suffix} cannot be read as an image: ", {"xy": path}, phases=MAP)


def test_too_little_memory_is_no_fault_of_the_file(tmp_path, monkeypatch):
    def full(path):
        raise MemoryError("no memory for 40 GiB")

    write(tmp_path / "a.png", GREY[0])
    monkeypatch.setattr(_grey_images, "_read_pillow", full)
    with pytest.raises(MemoryError, match="no memory for 40 GiB"):
        Micrographs.load({"xy": tmp_path / "a.png"}, phases=MAP)
