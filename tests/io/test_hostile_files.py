# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Files that are damaged, incomplete or made to do harm are refused, in one short sentence."""

from __future__ import annotations

import base64
import contextlib
import io as streams
import json
import lzma
import os
import pickle
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import io

LABELS = np.random.default_rng(5).integers(0, 3, (4, 5, 6)).astype(np.uint8)
VOLUME = m3.Microstructure(
    LABELS, 2e-6, ("a", "b", "c"), {"seed": 1}, {"x": LABELS.astype(np.float32)}
)


def refused(call, match="", most=20e6):
    """Assert that a call is refused in one short sentence, without taking much memory."""
    tracemalloc.start()
    try:
        with pytest.raises((ValueError, TypeError, FileNotFoundError), match=match) as caught:
            call()
        taken = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert len(message) < 500
    assert len(message.splitlines()) == 1
    assert not isinstance(caught.value, UnicodeError)
    assert taken < most


def npy(array):
    stream = streams.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


# ------------------------------------------------------------------------------- only regular files


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.tif", "a.vti", "a.h5", "a.raw"])
def test_a_pipe_is_no_volume(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    refused(lambda: io.load(path), "must be a regular file, got a named pipe")


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.jpg", "a.npy"])
def test_a_pipe_is_no_micrograph_and_no_slice(tmp_path, name):
    path = tmp_path / name
    os.mkfifo(path)
    refused(lambda: m3.Micrographs.load({"xy": path}, phases="labels"), "regular file")
    refused(lambda: io.load([path, path]), "regular file")


def test_a_device_behind_a_link_is_no_volume(tmp_path):
    (tmp_path / "a.npy").symlink_to("/dev/zero")
    refused(lambda: io.load(tmp_path / "a.npy"), "got a character device")


def test_the_json_beside_raw_bytes_is_a_regular_file(tmp_path):
    (tmp_path / "a.raw").write_bytes(bytes(8))
    os.mkfifo(tmp_path / "a.raw.json")
    refused(lambda: io.load(tmp_path / "a.raw"), "regular file")


# ------------------------------------------------------------------------------ headers and sizes


@pytest.mark.parametrize("shape", [(4, 5, 5), (4, 5, 7), (10**6, 10**6, 10**6), (-4, -5, 6)])
def test_an_array_is_as_long_as_its_header(tmp_path, shape):
    header = str({"descr": "|u1", "fortran_order": False, "shape": shape})
    header = header.encode().ljust(117) + b"\n"
    start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / "a.npy").write_bytes(start + LABELS.tobytes())
    refused(lambda: io.load(tmp_path / "a.npy"), "be as long as its header")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("labels.npy", start + LABELS.tobytes())
    refused(lambda: io.load(tmp_path / "a.npz"), "be as long as its header")


def test_arrays_of_every_order_are_read(tmp_path):
    for array in (LABELS, np.asfortranarray(LABELS), LABELS.astype(">i4"), LABELS > 1):
        np.save(tmp_path / "a.npy", array)
        np.savez(tmp_path / "a.npz", labels=array)
        for name in ("a.npy", "a.npz"):
            np.testing.assert_array_equal(io.load(tmp_path / name).labels, array)


def test_a_field_of_another_shape_is_refused_by_its_header(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.npy", npy(LABELS))
        archive.writestr("field:x.npy", npy(np.zeros((100, 1000, 1000), np.uint8)))
    refused(lambda: io.load(tmp_path / "a.npz"), "field:x.* must have the shape of the labels")


def test_an_archive_holds_every_array_once(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("labels.npy", npy(LABELS))
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("labels.npy", npy(LABELS * 0))
    refused(lambda: io.load(tmp_path / "a.npz"), "hold every array once")


# ------------------------------------------------------------------------------------ the metadata


def written(path, text):
    """Write a volume whose metadata is this text."""
    if path.suffix == ".npz":
        np.savez(path, labels=LABELS, micro3d_fast=np.array(text))
    elif path.suffix == ".h5":
        import h5py

        with h5py.File(path, "w") as file:
            file["labels"], file["micro3d_fast"] = LABELS, text
    elif path.suffix == ".tif":
        import tifffile

        metadata = {"axes": "ZYX", "Info": text}
        tifffile.imwrite(path, LABELS, imagej=True, photometric="minisblack", metadata=metadata)
    elif path.suffix == ".vti":
        io.save(path, VOLUME)
        content = path.read_bytes()
        own = json.dumps(io._format.metadata(VOLUME, fields=True))
        codes = [" ".join(map(str, words.encode() + b"\0")).encode() for words in (own, text)]
        assert codes[0] in content
        path.write_bytes(content.replace(*codes))
    else:
        path.write_bytes(LABELS.tobytes())
        path.with_name(path.name + ".json").write_text(text)
    return path


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".tif", ".vti", ".raw"])
@pytest.mark.parametrize(
    ("text", "match"),
    [
        ('["micro3d_fast"]', "must be a JSON object"),
        ('{"micro3d_fast"', "must be JSON"),
        ('{"micro3d_fast": 1, "micro3d_fast": 1}', "give every key once"),
        pytest.param('{"micro3d_fast": ' + "[" * 100000, "nest at most", id="open brackets"),
        pytest.param(
            '{"micro3d_fast": 1, "x": ' + "[" * 700 + "]" * 700 + "}", "nest at most", id="brackets"
        ),
        ('{"micro3d_fast": 1, "phase_names": "abc"}', "a list of names as `phase_names`"),
        ('{"micro3d_fast": 1, "shape": [4, 5, 6], "phase_names": ["a"]}', "`phase_names` must"),
        ('{"micro3d_fast": 1, "provenance": [1]}', "a mapping as `provenance`"),
        ('{"micro3d_fast": 1, "shape": [4, 5, 6], "voxel_size": {"z": 1}}', "`voxel_size` must"),
    ],
)
def test_metadata_of_the_wrong_kind_is_refused(tmp_path, suffix, text, match):
    path = written(tmp_path / f"a{suffix}", text)
    refused(lambda: io.load(path), match)
    with pytest.raises(ValueError, match=r"a\.\w+"):  # which names the file
        io.load(path)


def test_provenance_that_holds_itself_is_refused():
    endless = []
    endless.append(endless)
    refused(lambda: m3.Microstructure(LABELS, provenance={"x": endless}), "`provenance` must nest")


# ----------------------------------------------------------------------------------------- digests


@pytest.mark.parametrize("suffix", [".npz", ".tif", ".vti", ".h5", ".zarr", ".raw"])
def test_labels_with_digests_are_read_again(tmp_path, suffix):
    volume = m3.Microstructure(VOLUME.labels, 2e-6, VOLUME.phase_names, {"seed": 1})
    np.testing.assert_array_equal(io.load(volume.save(tmp_path / f"a{suffix}")).labels, LABELS)


@pytest.mark.parametrize("kind", [bool, np.float16, ">f4", np.int64])
@pytest.mark.parametrize("suffix", [".npz", ".vti", ".h5", ".zarr"])
def test_fields_with_digests_are_read_again(tmp_path, suffix, kind):
    fields = {"x": (LABELS > 0).astype(kind), "y": np.ones((4, 5, 6, 1), kind)}
    found = io.load(m3.Microstructure(LABELS, fields=fields).save(tmp_path / f"a{suffix}"))
    np.testing.assert_array_equal(found.fields["x"], fields["x"])


def test_changed_labels_beside_old_metadata_are_refused_unless_named(tmp_path):
    np.savez(tmp_path / "a.npz", labels=LABELS, micro3d_fast=io._format.metadata_json(VOLUME))
    np.testing.assert_array_equal(io.load(tmp_path / "a.npz").labels, LABELS)
    changed = LABELS[::-1]
    np.savez(tmp_path / "a.npz", labels=changed, micro3d_fast=io._format.metadata_json(VOLUME))
    refused(lambda: io.load(tmp_path / "a.npz"), "must hold the labels that it was saved with")
    np.testing.assert_array_equal(io.load(tmp_path / "a.npz", name="labels").labels, changed)


# -------------------------------------------------------------------------------------------- TIFF


def ome_set(folder, names, own="urn:uuid:0", attributes=' UUID="urn:uuid:0"'):
    """Write the first file of an OME set of these names, a slice of ones in each."""
    import tifffile

    planes = "".join(
        f'<TiffData FirstZ="{i}" IFD="0" PlaneCount="1"><UUID FileName="{name}">urn:uuid:{i}</UUID>'
        "</TiffData>"
        for i, name in enumerate(names)
    )
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/'
        f'OME/2016-06"{attributes}><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYZCT" Type="uint8" SizeX="8" SizeY="8" SizeC="1" SizeT="1" '
        f'SizeZ="{len(names)}"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}</Pixels>'
        "</Image></OME>"
    )
    options = {"metadata": None, "photometric": "minisblack"}
    tifffile.imwrite(folder / "a.tif", np.ones((8, 8), np.uint8), description=text, **options)
    return folder / "a.tif"


def test_an_ome_set_is_read_with_all_its_files_only(tmp_path):
    import tifffile

    path = ome_set(tmp_path, ["a.tif", "b.tif", "c.tif"])
    tifffile.imwrite(tmp_path / "b.tif", np.full((8, 8), 2, np.uint8), photometric="minisblack")
    refused(lambda: io.load(path), "all files of its set, got an OME set of 3 without 'c.tif'")
    tifffile.imwrite(tmp_path / "c.tif", np.full((8, 8), 3, np.uint8), photometric="minisblack")
    np.testing.assert_array_equal(io.load(path).labels[:, 0, 0], (1, 2, 3))
    os.unlink(tmp_path / "c.tif")
    os.mkfifo(tmp_path / "c.tif")
    refused(lambda: io.load(path), "without 'c.tif'")


@pytest.mark.parametrize("attributes", ["", ' UUID="urn:uuid:0"'])
def test_an_ome_set_names_no_files_elsewhere(tmp_path, attributes):
    (tmp_path / "inner").mkdir()
    for name in ("../b.tif", "/etc/passwd"):
        path = ome_set(tmp_path / "inner", ["a.tif", name], attributes=attributes)
        refused(lambda path=path: io.load(path), "come with all files of its set")


def test_a_renamed_file_of_one_ome_image_is_read(tmp_path):
    path = ome_set(tmp_path, ["old name.tif"], attributes="")
    assert (io.load(path).labels == 1).all()


def test_an_ome_stack_without_some_planes_is_refused(tmp_path):
    path = ome_set(tmp_path, ["a.tif"] * 2)
    content = path.read_bytes().replace(b">urn:uuid:1<", b">urn:uuid:0<")
    path.write_bytes(content.replace(b'FirstZ="1" IFD="0"', b'FirstZ="1" IFD="9"'))
    refused(lambda: io.load(path), "a.tif must")


def test_descriptions_without_end_are_read_at_once(tmp_path):
    import tifffile

    for text in ("<Description>" * 20000, "<Pixels " + "a" * 200_000, "<UUID " * 50_000):
        description = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org">' + text
        options = {"metadata": None, "photometric": "minisblack"}
        tifffile.imwrite(tmp_path / "a.tif", LABELS, description=description + "</OME>", **options)
        with contextlib.suppress(ValueError):
            io.load(tmp_path / "a.tif")


@pytest.mark.parametrize("options", [{"rowsperstrip": 1}, {"tile": (16, 16)}])
def test_a_strip_or_tile_that_is_not_stored_is_no_phase_0(tmp_path, options):
    import tifffile

    image = np.ones((32, 32), np.uint8)
    options = {"compression": "zlib", "photometric": "minisblack", **options}
    tifffile.imwrite(tmp_path / "a.tif", image, **options)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        tag = file.pages[0].tags["StripByteCounts" if "rowsperstrip" in options else 325]
        tag.overwrite((*tag.value[:-1], 0))
    refused(lambda: io.load(tmp_path / "a.tif"), "must hold all its strips and tiles")
    refused(
        lambda: m3.Micrographs.load({"xy": tmp_path / "a.tif"}, phases="labels"),
        "must hold all its strips and tiles",
    )


def test_a_strip_that_inflates_without_end_is_refused(tmp_path):
    import tifffile

    options = {"compression": "zlib", "photometric": "minisblack", "metadata": None}
    tifffile.imwrite(tmp_path / "a.tif", np.ones((8, 8), np.uint8), **options)
    squeezed = zlib.compress(bytes(300_000_000), 9)
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+") as file:
        end = file.filehandle.size
        file.pages[0].tags["StripOffsets"].overwrite((end,))
        file.pages[0].tags["StripByteCounts"].overwrite((len(squeezed),))
    with open(tmp_path / "a.tif", "ab") as file:
        file.write(squeezed)
    refused(lambda: io.load(tmp_path / "a.tif"), "hold at most", most=60e6)


def test_changed_labels_of_our_own_tiff_are_refused(tmp_path):
    volume = m3.Microstructure(LABELS, 2e-6, VOLUME.phase_names)
    content = bytearray(volume.save(tmp_path / "a.tif").read_bytes())
    start = content.index(LABELS[0].tobytes())
    content[start + 7] ^= 1
    (tmp_path / "a.tif").write_bytes(content)
    refused(lambda: io.load(tmp_path / "a.tif"), "hold the labels that it was saved with")


def test_our_own_tiff_changed_by_another_program_warns(tmp_path):
    volume = m3.Microstructure(LABELS, 2e-6, VOLUME.phase_names)
    content = volume.save(tmp_path / "a.tif").read_bytes()
    content = content.replace(LABELS[0].tobytes(), LABELS[1].tobytes())
    (tmp_path / "a.tif").write_bytes(content.replace(b"tifffile.py", b"Other prog."))
    with pytest.warns(UserWarning, match="was changed by another program"):
        found = io.load(tmp_path / "a.tif")
    np.testing.assert_array_equal(found.labels[0], LABELS[1])


# ------------------------------------------------------------------------------------------ images


def test_only_the_decoder_of_the_suffix_runs(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    image = Image.fromarray(LABELS[0])
    for name in ("a.png", "a.jpg", "a.bmp"):
        for other in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM", "EPS"):
            image.save(tmp_path / name, format=other)
            if name[2] != other[0].lower():
                refused(
                    lambda name=name: m3.Micrographs.load({"xy": tmp_path / name}, phases="labels"),
                    "cannot be read as an image: it is no",
                )


def test_a_changed_png_is_refused(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    Image.fromarray(np.kron(LABELS[0], np.ones((9, 9), np.uint8))).save(tmp_path / "a.png")
    whole = (tmp_path / "a.png").read_bytes()
    start = whole.index(b"IDAT")
    for position in (start + 5, start + 20, len(whole) - 17):
        changed = bytearray(whole)
        changed[position] ^= 4
        (tmp_path / "a.png").write_bytes(changed)
        refused(lambda: io.load([tmp_path / "a.png"]), "a damaged chunk")
    (tmp_path / "a.png").write_bytes(whole[:-12])
    refused(lambda: io.load([tmp_path / "a.png"]), "a.png")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp"])
def test_truncated_images_are_refused_whatever_pillow_is_told(tmp_path, suffix, monkeypatch):
    Image = pytest.importorskip("PIL.Image")
    monkeypatch.setattr("PIL.ImageFile.LOAD_TRUNCATED_IMAGES", True)
    path = tmp_path / f"a{suffix}"
    Image.fromarray(np.kron(LABELS[0], np.ones((9, 9), np.uint8))).save(path)
    path.write_bytes(path.read_bytes()[: -path.stat().st_size // 3])
    refused(lambda: io.load([path]), f"a{suffix}")


def test_an_image_is_no_larger_than_its_file_can_hold(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    Image.fromarray(LABELS[0]).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[16:24] = (13000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(content)
    refused(lambda: io.load([tmp_path / "a.png"]), "hold the values that its header describes")


# --------------------------------------------------------------------------------------------- VTK


def vti(folder, pieces, whole="0 4 0 4 0 4", attributes=""):
    text = "".join(
        f'<Piece Extent="{extent}"><CellData><DataArray type="UInt8" Name="labels" '
        f"{array}</DataArray></CellData></Piece>"
        for extent, array in pieces
    )
    (folder / "a.vti").write_text(
        f'<VTKFile type="ImageData" header_type="UInt32"{attributes}><ImageData '
        f'WholeExtent="{whole}" Spacing="1 1 1">{text}</ImageData></VTKFile>'
    )
    return folder / "a.vti"


def ascii_array(values):
    return 'format="ascii">' + " ".join(map(str, values))


ONES = ascii_array([1] * 64)


@pytest.mark.parametrize(
    ("whole", "extents", "match"),
    [
        ("0 4 0 4 0 8", ["0 4 0 4 0 4"], "hold every voxel of its WholeExtent in a piece, got 64"),
        ("0 4 0 4 0 9", ["0 4 0 4 0 4", "0 4 0 4 5 9"], "got 16 of 144 in none"),
        ("0 9 0 4 0 4", ["-5 -1 0 4 0 4"], "pieces in the WholeExtent 0 9 0 4 0 4, got -5 -1"),
        ("0 4 0 4 0 4", ["0 4 0 4 1 5"], "pieces in the WholeExtent"),
        ("0 4 0 4 0 4", ["5 9 0 4 0 4"], "pieces in the WholeExtent"),
        ("0 4 0 4 0 4", [], "hold every voxel in one piece"),
        ("0 4 0 4 0 4", ["0 4 0 4 4 0"], "hold every voxel in one piece"),
        ("0 9999 0 9999 0 9999", ["0 4 0 4 0 4"], "hold the values that its header describes"),
        ("4 0 4 0 4 0", ["0 4 0 4 0 4"], "a.vti"),
    ],
)
def test_pieces_of_vtk_cover_the_whole(tmp_path, whole, extents, match):
    path = vti(tmp_path, [(extent, ONES) for extent in extents], whole)
    refused(lambda: io.load(path), match)


def test_pieces_of_vtk_that_overlap_agree(tmp_path):
    extents = ("0 4 0 4 0 4", "0 4 0 4 3 7")
    path = vti(tmp_path, [(extent, ONES) for extent in extents], "0 4 0 4 0 7")
    assert (io.load(path).labels == 1).all()
    assert io.load(path).shape == (7, 4, 4)
    twos = ascii_array([2] * 64)
    path = vti(tmp_path, [(extents[0], ONES), (extents[1], twos)], "0 4 0 4 0 7")
    refused(lambda: io.load(path), "pieces that agree where they overlap")


@pytest.mark.parametrize(
    "values", [[1] * 63, [1] * 65, [1] * 63 + [256], [1] * 63 + [-1], [1] * 63 + [0.5], ["x"] * 64]
)
def test_numbers_of_vtk_fit_their_type(tmp_path, values):
    path = vti(tmp_path, [("0 4 0 4 0 4", ascii_array(values))])
    refused(lambda: io.load(path), "a.vti cannot be read as .vti")


@pytest.mark.parametrize("compressor", ["ZLib", "LZMA"])
@pytest.mark.parametrize("header", [(1, 64, 0), (1, 1 << 28, 0), (2, 32, 32), (1 << 31, 1, 0)])
def test_blocks_of_vtk_hold_what_the_extent_says(tmp_path, compressor, header):
    squeeze = zlib.compress if compressor == "ZLib" else lzma.compress
    big = squeeze(bytes(1 << 24))
    words = base64.b64encode(np.array([*header, len(big)], "<u4").tobytes()).decode()
    array = f'format="binary">{words}{base64.b64encode(big).decode()}'
    attributes = f' compressor="vtk{compressor}DataCompressor"'
    path = vti(tmp_path, [("0 4 0 4 0 4", array)], attributes=attributes)
    refused(lambda: io.load(path), "a.vti cannot be read as .vti")


def test_vtk_without_entities(tmp_path):
    entities = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10 if i else "1"}">' for i in range(12))
    path = vti(tmp_path, [("0 4 0 4 0 4", 'format="ascii">&a11;')])
    path.write_text(f"<!DOCTYPE VTKFile [{entities}]>" + path.read_text())
    refused(lambda: io.load(path), "without a document type")
    path.write_bytes(path.read_text().encode("utf-16"))
    refused(lambda: io.load(path), "be XML in UTF-8")


def test_vtk_of_millions_of_elements(tmp_path):
    for text in ("<a>" * 200_000 + "</a>" * 200_000, "<a/>" * 200_000):
        path = vti(tmp_path, [("0 4 0 4 0 4", 'format="ascii">' + text)])
        refused(lambda path=path: io.load(path), "a.vti must hold at most 100000 elements", 100e6)


@pytest.mark.parametrize("offset", ["-1", "99999999", "x"])
def test_an_offset_of_vtk_lies_in_the_appended_data(tmp_path, offset):
    path = vti(tmp_path, [("0 4 0 4 0 4", f'format="appended" offset="{offset}">')])
    appended = b'<AppendedData encoding="raw">_' + b"\x40\0\0\0" + bytes(64) + b"</AppendedData>"
    path.write_bytes(path.read_bytes().replace(b"</VTKFile>", appended + b"</VTKFile>"))
    refused(lambda: io.load(path), "a.vti cannot be read as .vti")


# -------------------------------------------------------------------------------------------- HDF5


def h5(path, **options):
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("labels", **options)
    return path


def test_changed_bytes_of_hdf5_are_refused(tmp_path):
    import h5py

    path = VOLUME.save(tmp_path / "a.h5")
    with h5py.File(path, "r+") as file:
        offset = file["labels"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 20] ^= 1
    path.write_bytes(content)
    refused(lambda: io.load(path), "a.h5")
    VOLUME.save(path)
    with h5py.File(path, "r+") as file:
        file["labels"][1, 2, 3] = (LABELS[1, 2, 3] + 1) % 3
    refused(lambda: io.load(path), "hold the labels that it was saved with, got others: .*`name`=")
    assert io.load(path, name="labels").labels[1, 2, 3] == (LABELS[1, 2, 3] + 1) % 3
    VOLUME.save(path)
    with h5py.File(path, "r+") as file:
        file["fields/x"][1, 2, 3] += 1
    refused(lambda: io.load(path), "hold the field 'x'")


@pytest.mark.parametrize("chunks", [None, (2, 5, 6)])
def test_parts_of_hdf5_that_were_never_written_are_refused(tmp_path, chunks):
    import h5py

    path = h5(tmp_path / "a.h5", shape=(4, 5, 6), dtype="u1", chunks=chunks)
    refused(lambda: io.load(path), "be stored as a whole, got parts that were never written")
    if chunks:
        with h5py.File(path, "r+") as file:
            file["labels"][:2] = 1
        refused(lambda: io.load(path), "be stored as a whole")
    path = h5(tmp_path / "a.h5", shape=(4, 5, 6), dtype="u1", chunks=chunks, fillvalue=1)
    assert (io.load(path).labels == 1).all()  # a fill value that was chosen is meant


@pytest.mark.parametrize("fillvalue", [None, 1])
def test_hdf5_of_endless_shape_is_refused(tmp_path, fillvalue):
    options = {"shape": (10**5,) * 3, "dtype": "u1", "chunks": (64,) * 3, "fillvalue": fillvalue}
    refused(lambda: io.load(h5(tmp_path / "a.h5", **options)), r"a.h5\['/labels'\] must")


def test_a_chunk_of_hdf5_that_inflates_without_end_is_refused(tmp_path):
    import h5py

    path = h5(tmp_path / "a.h5", data=LABELS, compression="gzip")
    try:
        with h5py.File(path, "r+") as file:
            file["labels"].id.write_direct_chunk((0, 0, 0), zlib.compress(bytes(300_000_000), 9))
    except OSError:
        pytest.skip("HDF5 1.14.4 writes no chunk of this size")
    refused(lambda: io.load(path), "hold at most .* bytes in one piece")


def test_hdf5_holds_its_data_itself(tmp_path):
    import h5py

    (tmp_path / "b.bin").write_bytes(LABELS.tobytes())
    external = [(str(tmp_path / "b.bin"), 0, LABELS.nbytes)]
    path = h5(tmp_path / "a.h5", shape=LABELS.shape, dtype="u1", external=external)
    refused(lambda: io.load(path), "hold its values itself")
    layout = h5py.VirtualLayout(LABELS.shape, "u1")
    layout[:] = h5py.VirtualSource("absent.h5", "labels", LABELS.shape)
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("labels", layout)
    refused(lambda: io.load(path), "hold its values itself")
    for key in ("micro3d_fast", "fields"):
        with h5py.File(h5(path, data=LABELS), "r+") as file:
            file[key] = h5py.ExternalLink("/etc/passwd", "/")
        refused(lambda: io.load(path), "hold all its data itself")


def test_a_field_of_hdf5_lies_on_the_labels(tmp_path):
    import h5py

    with h5py.File(h5(tmp_path / "a.h5", data=LABELS), "r+") as file:
        file.create_dataset("fields/x", (500, 1000, 1000), "u1", chunks=True, fillvalue=1)
    refused(lambda: io.load(tmp_path / "a.h5"), "have the shape of the labels")


# -------------------------------------------------------------------------------------------- zarr


def chunks_of(path, name):
    return [file for file in (path / name).rglob("*") if file.is_file() and file.name[0] in "0123"]


@pytest.mark.parametrize("name", ["labels", "fields/x"])
def test_a_lost_or_changed_chunk_of_zarr_is_refused(tmp_path, name):
    pytest.importorskip("zarr")
    path = VOLUME.save(tmp_path / "a.zarr")
    (chunk,) = chunks_of(path, name)
    content = bytearray(chunk.read_bytes())
    chunk.unlink()
    refused(lambda: io.load(path), "must hold all its chunks, got 1 of 1 missing")
    refused(lambda: m3.Microstructure.open(path), "must hold all its chunks, got 1 of 1 missing")
    content[-8] ^= 1
    chunk.write_bytes(content)
    refused(lambda: io.load(path), "a.zarr")


def test_a_volume_of_one_phase_is_stored_in_zarr(tmp_path):
    pytest.importorskip("zarr")
    path = m3.Microstructure(LABELS * 0).save(tmp_path / "a.zarr")
    assert chunks_of(path, "labels")
    assert (io.load(path).labels == 0).all()


def test_absent_chunks_of_other_programs_warn(tmp_path):
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    make = getattr(group, "create_array", None) or group.create_dataset
    made = make("labels", shape=(4, 5, 6), dtype="u1", chunks=(2, 5, 6), fill_value=0)
    made[:2] = 1
    with pytest.warns(UserWarning, match="1 of 2 chunks are not stored and are taken to hold 0"):
        assert io.load(tmp_path / "a.zarr").labels.mean() == 0.5


def test_zarr_holds_regular_files_of_a_possible_size(tmp_path):
    zarr = pytest.importorskip("zarr")
    path = VOLUME.save(tmp_path / "a.zarr")
    os.mkfifo(path / "labels" / "extra")
    refused(lambda: io.load(path), "regular file")
    group = zarr.open_group(str(tmp_path / "b.zarr"), mode="w")
    make = getattr(group, "create_array", None) or group.create_dataset
    make("labels", shape=(10**5,) * 3, dtype="u1", chunks=(64,) * 3)
    refused(lambda: io.load(tmp_path / "b.zarr"), "hold the values that its header describes")


@pytest.mark.parametrize("codec", ["zstd", "blosc", "gzip"])
def test_a_chunk_of_zarr_that_expands_without_end_is_refused(tmp_path, codec):
    zarr = pytest.importorskip("zarr")
    numcodecs = pytest.importorskip("numcodecs")
    squeeze = {
        "zstd": numcodecs.Zstd(), "blosc": numcodecs.Blosc(), "gzip": numcodecs.GZip(9)
    }[codec]  # fmt: skip
    path = tmp_path / "a.zarr"
    (path / "labels").mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    described = {"chunks": [4, 5, 6], "compressor": squeeze.get_config(), "dtype": "|u1",
                 "fill_value": 0, "filters": None, "order": "C", "shape": [4, 5, 6],
                 "zarr_format": 2}  # fmt: skip
    (path / "labels" / ".zarray").write_text(json.dumps(described))
    chunk = path / "labels" / "0.0.0"
    chunk.write_bytes(squeeze.encode(LABELS))
    np.testing.assert_array_equal(io.load(path).labels, LABELS)
    chunk.write_bytes(squeeze.encode(bytes(200_000_000)))
    assert zarr.open(str(path), mode="r")["labels"].shape == LABELS.shape
    refused(lambda: io.load(path), "0.0.0 must hold at most")


def test_zarr_is_never_unpickled(tmp_path):
    pytest.importorskip("zarr")
    path = tmp_path / "a.zarr"
    (path / "labels").mkdir(parents=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    described = {"chunks": [4, 5, 6], "compressor": None, "dtype": "|u1", "fill_value": 0,
                 "filters": [{"id": "pickle"}], "order": "C", "shape": [4, 5, 6],
                 "zarr_format": 2}  # fmt: skip
    text = json.dumps(described).replace("pickle", "p\\u0069ckle")
    (path / "labels" / ".zarray").write_text(text)

    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (path / "labels" / "0.0.0").write_bytes(pickle.dumps(Payload()))
    refused(lambda: io.load(path), "be read without pickle")
    assert not (tmp_path / "ran").exists()
