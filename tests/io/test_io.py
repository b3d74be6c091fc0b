# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes to and from files: round trips, files of other programs, refusals."""

from __future__ import annotations

import base64
import itertools
import json
import lzma
import os
import re
import warnings
import zlib

import numpy as np
import pytest

from micro3d_fast import io
from micro3d_fast.io import _tiff
from micro3d_fast.microstructure import Microstructure

pytestmark = pytest.mark.filterwarnings("ignore:.* does not hold the:UserWarning")

RNG = np.random.default_rng(20260101)
LABELS = RNG.integers(0, 3, (5, 6, 7)).astype(np.uint8)
FIELDS = {"u": RNG.random((5, 6, 7)).astype(np.float32), "stress": RNG.random((5, 6, 7, 6))}
PROVENANCE = {"seed": 7, "sampler": 'fast "<&>" ü', "raw": [0.1, 0.25], "nested": {"a": None}}
FULL = Microstructure(
    LABELS, (1.1e-6, 2.3e-7, 1 / 3e6), ("pore", "Matrix <&> ü", "fibre"), PROVENANCE, FIELDS
)
WITH_METADATA = [".npz", ".tif", ".tiff", ".vti", ".h5", ".hdf5", ".zarr", ".raw"]
WITH_FIELDS = [".npz", ".vti", ".h5", ".hdf5", ".zarr"]


def path_for(tmp_path, suffix):
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    return tmp_path / f"volume{suffix}"


# ------------------------------------------------------------------------------------ round trips


@pytest.mark.parametrize("suffix", [".npy", *WITH_METADATA])
def test_round_trip(tmp_path, suffix):
    path = path_for(tmp_path, suffix)
    for _ in range(2):  # the second replaces the first
        assert FULL.save(path) == path
    got = Microstructure.load(path)
    np.testing.assert_array_equal(got.labels, LABELS)
    assert got.labels.dtype == np.uint8
    if suffix in WITH_METADATA:
        assert got.voxel_size == FULL.voxel_size  # to the last bit
        assert got.phase_names == FULL.phase_names
        assert got.provenance == FULL.provenance
    else:
        assert got.voxel_size == (1.0, 1.0, 1.0)
    expected = FIELDS if suffix in WITH_FIELDS else {}
    assert set(got.fields) == set(expected)
    for name, field in expected.items():
        np.testing.assert_array_equal(got.fields[name], field)
        assert got.fields[name].dtype == field.dtype
    left = {entry.name for entry in tmp_path.iterdir()}
    assert left <= {path.name, f"{path.name}.json"}


@pytest.mark.parametrize("suffix", [".npy", *WITH_METADATA])
def test_round_trip_of_every_small_shape(tmp_path, suffix):
    path = path_for(tmp_path, suffix)
    sides = (1, 2, 3, 4) if suffix == ".tif" else (1, 3)
    for shape in itertools.product(sides, repeat=3):
        m = Microstructure(RNG.integers(0, 2, shape), voxel_size=(3e-6, 2e-6, 1e-6))
        m.save(path)
        got = io.load(path)
        assert got.shape == shape
        np.testing.assert_array_equal(got.labels, m.labels)
        if suffix != ".npy":
            assert got.voxel_size == m.voxel_size


@pytest.mark.parametrize("suffix", [".npz", ".vti", ".raw"])
def test_a_phase_that_does_not_occur_keeps_its_name(tmp_path, suffix):
    path = path_for(tmp_path, suffix)
    Microstructure(LABELS * 0, phase_names=("a", "b")).save(path)
    assert io.load(path).phase_names == ("a", "b")


def test_large_tiff_is_ome(tmp_path, monkeypatch):
    tifffile = pytest.importorskip("tifffile")
    monkeypatch.setattr(_tiff, "_IMAGEJ_LIMIT", 0)
    path = tmp_path / "large.tif"
    FULL.save(path)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        assert file.is_bigtiff
    got = io.load(path)
    np.testing.assert_array_equal(got.labels, LABELS)
    assert got.voxel_size == FULL.voxel_size
    assert got.provenance == FULL.provenance


def test_arguments_override_the_metadata_of_the_file(tmp_path):
    path = tmp_path / "volume.npz"
    FULL.save(path)
    match = r"`voxel_size` \(2e-06, 2e-06, 2e-06\) m is used, but .*volume.npz states "
    with pytest.warns(UserWarning, match=match):
        got = io.load(path, voxel_size=2e-6, phase_names=("a", "b", "c"))
    assert got.voxel_size == (2e-6, 2e-6, 2e-6)
    assert got.phase_names == ("a", "b", "c")


def test_values_are_mapped_to_phases(tmp_path):
    path = tmp_path / "mask.npy"
    np.save(path, (LABELS > 0) * np.uint8(255))
    match = "only the values 0, 255 and is taken as 256 phases; .* give `phases`={0: 0, 255: 1}"
    with pytest.warns(UserWarning, match=match):
        assert io.load(path).n_phases == 256
    got = io.load(path, phases={0: 0, 255: 1}, phase_names=("pore", "solid"))
    np.testing.assert_array_equal(got.labels, LABELS > 0)
    with pytest.raises(ValueError, match=r"mask.npy must hold only the grey values 0, 1 of"):
        io.load(path, phases={0: 0, 1: 1})


def test_plain_arrays_are_saved_too(tmp_path):
    io.save(tmp_path / "a.npz", LABELS)
    np.testing.assert_array_equal(io.load(tmp_path / "a.npz").labels, LABELS)


@pytest.mark.parametrize(
    ("suffix", "lost"),
    [
        (".npy", "voxel size, phase names, provenance, fields"),
        (".tif", "fields"),
        (".raw", "fields"),
        (".npz", ""),
    ],
)
def test_saving_warns_of_what_is_lost(tmp_path, suffix, lost):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        FULL.save(tmp_path / f"a{suffix}")
        Microstructure(LABELS).save(tmp_path / f"b{suffix}")
    expected = f"a{suffix} does not hold the {lost} of the volume; a .npz file would"
    assert [str(w.message).rsplit("/")[-1] for w in caught] == ([expected] if lost else [])


# ------------------------------------------------------------------------ other programs' files


def test_numpy_files_of_others(tmp_path):
    np.savez(tmp_path / "one.npz", volume=LABELS.astype(np.int64))
    np.testing.assert_array_equal(io.load(tmp_path / "one.npz").labels, LABELS)
    np.savez(tmp_path / "two.npz", a=LABELS, b=LABELS[::-1])
    np.testing.assert_array_equal(io.load(tmp_path / "two.npz", name="b").labels, LABELS[::-1])
    with pytest.raises(ValueError, match=r"`name` must be one of the arrays of .*two.npz \('a', "):
        io.load(tmp_path / "two.npz", name="c")
    with pytest.raises(ValueError, match=r"two.npz must hold one array or one named 'labels', got"):
        io.load(tmp_path / "two.npz")
    np.save(tmp_path / "float.npy", LABELS.astype(float))
    with pytest.raises(TypeError, match=r"float.npy must be an array of bool or .*, got dtype f"):
        io.load(tmp_path / "float.npy")
    np.save(tmp_path / "flat.npy", LABELS[0])
    assert io.load(tmp_path / "flat.npy").shape == (1, 6, 7)


def test_a_pickle_is_never_opened(tmp_path):
    np.save(tmp_path / "evil.npy", np.array([[[{}]]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"evil.npy cannot be read as .npy: .*pickle"):
        io.load(tmp_path / "evil.npy")


def test_imagej_and_ome_voxel_sizes(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    imagej = {"axes": "ZYX", "spacing": 2.0, "unit": "micron"}
    tifffile.imwrite(tmp_path / "a.tif", LABELS, imagej=True, resolution=(4, 2), metadata=imagej)
    assert io.load(tmp_path / "a.tif").voxel_size == pytest.approx((2e-6, 0.5e-6, 0.25e-6))
    ome = {"axes": "ZYX", "PhysicalSizeX": 5.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", LABELS, metadata=ome)
    with pytest.warns(UserWarning, match="states .* not the distance of its slices"):
        assert io.load(tmp_path / "a.ome.tif").voxel_size == pytest.approx((5e-9, 0.5e-6, 5e-9))
    tifffile.imwrite(tmp_path / "plain.tif", LABELS)
    assert io.load(tmp_path / "plain.tif").voxel_size == (1.0, 1.0, 1.0)
    assert tifffile.imread(tmp_path / "plain.tif").shape == LABELS.shape


def test_a_series_of_volumes_in_time_is_refused(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    both = np.stack([LABELS, LABELS])
    tifffile.imwrite(tmp_path / "a.tif", both, imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(ValueError, match=r"a.tif must hold one volume, got 2 of them in time"):
        io.load(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "a.tif", LABELS, imagej=True, metadata={"axes": "TYX"})
    np.testing.assert_array_equal(io.load(tmp_path / "a.tif").labels, LABELS)


def test_our_tiff_has_the_voxel_size_for_imagej(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    FULL.save(tmp_path / "a.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.imagej_metadata["spacing"] == pytest.approx(1.1)
        assert file.imagej_metadata["unit"] == "um"
        top, bottom = file.pages[0].tags["XResolution"].value
        assert bottom / top == pytest.approx(1 / 3)


def vti(array, *, on="CellData", extent="0 3 0 2 0 1", file="", image="", appended=""):
    points = "" if on == "CellData" else "<CellData/>"
    return (
        f'<?xml version="1.0"?><VTKFile type="ImageData" byte_order="LittleEndian" {file}>'
        f'<ImageData WholeExtent="{extent}" Origin="0 0 0" Spacing="1 2 3" {image}>'
        f'<Piece Extent="{extent}">{points}<{on} Scalars="seg">{array}</{on}></Piece>'
        f"</ImageData>{appended}</VTKFile>"
    ).encode()


SMALL = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)


def b64(*parts):
    return b"".join(base64.b64encode(part) for part in parts).decode()


def u32(*numbers):
    return np.array(numbers, dtype="<u4").tobytes()


def vti_cases():
    data, wide = SMALL.tobytes(), SMALL.astype("<i4").tobytes()
    head = '<DataArray type="{}" Name="seg" format="{}"'
    ascii_ = head.format("UInt8", "ascii") + ">0 1 2\n3 4 5</DataArray>"
    yield "ascii", vti(ascii_)
    yield "points", vti(ascii_, on="PointData", extent="0 2 0 1 0 0")
    yield "base64", vti(head.format("UInt8", "binary") + f">{b64(u32(6) + data)}</DataArray>")
    wide_array = head.format("Int32", "binary") + f">{b64(u32(24) + wide)}</DataArray>"
    yield "int32", vti(wide_array)
    for name, compress, kind in (
        ("zlib", zlib.compress, "vtkZLibDataCompressor"),
        ("lzma", lzma.compress, "vtkLZMADataCompressor"),
    ):
        first, second = compress(data[:4]), compress(data[4:])
        packed = b64(u32(2, 4, 2, len(first), len(second)), first + second)
        array = head.format("UInt8", "binary") + f">{packed}</DataArray>"
        yield name, vti(array, file=f'compressor="{kind}"')
    array = head.format("UInt8", "appended") + ' offset="0"/>'
    encoded = f'<AppendedData encoding="base64">_{b64(u32(6) + data)}</AppendedData>'
    yield "appended base64", vti(array, appended=encoded)
    raw = vti(array, appended='<AppendedData encoding="raw">_@</AppendedData>')
    yield "appended raw", raw.replace(b"_@", b"_" + u32(6) + data)


@pytest.mark.parametrize(("name", "content"), list(vti_cases()), ids=lambda x: str(x)[:16])
def test_vtk_files_of_others(tmp_path, name, content):
    (tmp_path / "a.vti").write_bytes(content)
    got = io.load(tmp_path / "a.vti")
    np.testing.assert_array_equal(got.labels, SMALL)
    assert got.voxel_size == (3.0, 2.0, 1.0)


def test_vtk_pieces_are_put_together(tmp_path):
    pieces = "".join(
        f'<Piece Extent="0 3 {y} {y + 1} 0 1"><CellData>'
        f'<DataArray type="UInt8" Name="seg" format="ascii">{" ".join(map(str, row))}</DataArray>'
        "</CellData></Piece>"
        for y, row in enumerate(SMALL[0])
    )
    (tmp_path / "a.vti").write_text(
        '<VTKFile type="ImageData" byte_order="LittleEndian"><ImageData '
        f'WholeExtent="0 3 0 2 0 1" Spacing="1 1 1">{pieces}</ImageData></VTKFile>'
    )
    np.testing.assert_array_equal(io.load(tmp_path / "a.vti").labels, SMALL)


def test_our_vti_is_cell_data_with_x_fastest(tmp_path):
    """The shortest reader of the format's description, independent of ours."""
    FULL.save(tmp_path / "a.vti")
    text = (tmp_path / "a.vti").read_text()
    assert 'WholeExtent="0 7 0 6 0 5"' in text
    spacing = [float(v) for v in re.search(r'Spacing="([^"]+)"', text).group(1).split()]
    assert tuple(spacing[::-1]) == FULL.voxel_size
    block = re.search(r'Name="labels"[^>]*>\n([^\n]+)\n', text).group(1)
    head = np.frombuffer(base64.b64decode(block[: 4 * -(-32 // 3)]), "<u8")[:4]  # one block
    assert head[:3].tolist() == [1, 1 << 20, LABELS.size]
    payload = zlib.decompress(base64.b64decode(block[4 * -(-32 // 3) :]))
    assert payload == LABELS.tobytes()


def vti_with(path, cells, points, extent="0 7 0 6 0 5"):
    """Write arrays on the cells and the points of one grid."""

    def arrays(given):
        return "".join(
            f'<DataArray type="{ {"u": "UInt8", "f": "Float64"}[a.dtype.kind] }" Name="{name}" '
            f'format="ascii">{" ".join(map(str, a.ravel()))}</DataArray>'
            for name, a in given.items()
        )

    path.write_text(
        '<VTKFile type="ImageData" byte_order="LittleEndian"><ImageData '
        f'WholeExtent="{extent}" Spacing="1 1 1"><Piece Extent="{extent}">'
        f"<PointData>{arrays(points)}</PointData><CellData>{arrays(cells)}</CellData></Piece>"
        "</ImageData></VTKFile>"
    )
    return path


def test_vtk_arrays_on_cells_and_points(tmp_path):
    path = tmp_path / "a.vti"
    ghosts = np.zeros((5, 6, 7), np.uint8)
    points = np.zeros((6, 7, 8), np.uint8) + np.arange(8, dtype=np.uint8)
    vti_with(path, {"vtkGhostType": ghosts}, {"phase": points})
    np.testing.assert_array_equal(io.load(path).labels, points)
    np.testing.assert_array_equal(io.load(path, name="phase").labels, points)
    vti_with(path, {"temperature": ghosts + 0.5}, {"phase": points, "noise": points + 0.5})
    np.testing.assert_array_equal(io.load(path).labels, points)
    vti_with(path, {"phase": LABELS}, {"labels": points})
    np.testing.assert_array_equal(io.load(path).labels, points)
    np.testing.assert_array_equal(io.load(path, name="phase").labels, LABELS)
    vti_with(path, {"a": LABELS}, {"b": points})
    with pytest.raises(
        ValueError, match=r"must hold one array or one named 'labels', got 'b', 'a'"
    ):
        io.load(path)


def test_vtk_ghosts_are_left_out(tmp_path):
    ghosts = np.zeros((5, 6, 7), np.uint8)
    ghosts[:, :, 6] = ghosts[0] = 1
    path = vti_with(tmp_path / "a.vti", {"labels": LABELS, "vtkGhostType": ghosts}, {})
    with pytest.warns(
        UserWarning, match=r"a.vti: the 4 x 6 x 6 voxels without its ghosts are read"
    ):
        np.testing.assert_array_equal(io.load(path).labels, LABELS[1:, :, :6])
    ghosts[2, 3, 3] = 32  # a hole
    vti_with(path, {"labels": LABELS, "vtkGhostType": ghosts}, {})
    with pytest.raises(
        ValueError, match="a value of its own for every voxel, got 67 of 210 without"
    ):
        io.load(path)


def test_vtk_ghosts_of_one_piece_do_not_hide_another(tmp_path):
    piece = (
        '<Piece Extent="{} 0 2 0 1"><CellData><DataArray type="UInt8" Name="seg" format="ascii">{}'
        '</DataArray><DataArray type="UInt8" Name="vtkGhostType" format="ascii">{}</DataArray>'
        "</CellData></Piece>"
    )
    left = piece.format("0 2", "0 1 3 4", "0 0 0 0")
    right = piece.format("1 3", "9 2 9 5", "1 0 1 0")
    text = (
        '<VTKFile type="ImageData" byte_order="LittleEndian"><ImageData '
        f'WholeExtent="0 3 0 2 0 1" Spacing="1 1 1">{left}{right}</ImageData></VTKFile>'
    )
    (tmp_path / "a.vti").write_text(text)
    np.testing.assert_array_equal(io.load(tmp_path / "a.vti").labels, SMALL)
    alone = text.replace(left, "")
    (tmp_path / "b.vti").write_text(alone)
    with pytest.raises(ValueError, match="every voxel of its WholeExtent in a piece, got 2 of 6"):
        io.load(tmp_path / "b.vti")
    (tmp_path / "b.vti").write_text(alone.replace('WholeExtent="0', 'WholeExtent="1'))
    with pytest.warns(UserWarning, match="the 1 x 2 x 1 voxels"):
        np.testing.assert_array_equal(io.load(tmp_path / "b.vti").labels, [[[2], [5]]])


def test_flat_vtk_images(tmp_path):
    image = LABELS[0]
    path = vti_with(tmp_path / "a.vti", {"seg": image}, {}, extent="0 7 0 6 0 0")
    np.testing.assert_array_equal(io.load(path).labels, image[None])
    path.write_text(path.read_text().replace('Spacing="1 1 1"', 'Spacing="2e-6 2e-6 0"'))
    assert io.load(path).voxel_size == (2e-6, 2e-6, 2e-6)


def test_a_voxel_size_in_micrometres_is_questioned(tmp_path):
    path = vti_with(tmp_path / "a.vti", {"seg": LABELS}, {}, extent="0 7 0 6 0 5")
    path.write_text(path.read_text().replace('Spacing="1 1 1"', 'Spacing="0.5 0.5 0.5"'))
    match = "`voxel_size` is in metres, not micrometres: is a voxel really 0.5 m long"
    with pytest.warns(UserWarning, match=match) as caught:
        assert io.load(path).voxel_size == (0.5, 0.5, 0.5)
    assert [w.filename for w in caught] == [__file__]


def test_a_2d_image_takes_two_voxel_sizes(tmp_path):
    np.save(tmp_path / "a.npy", LABELS[0])
    got = io.load(tmp_path / "a.npy", voxel_size=(2e-6, 1e-6))
    assert got.voxel_size == (2e-6, 2e-6, 1e-6)
    np.save(tmp_path / "b.npy", LABELS)
    with pytest.raises(ValueError, match=r"three \(dz, dy, dx\), got \(2e-06, 1e-06\)"):
        io.load(tmp_path / "b.npy", voxel_size=(2e-6, 1e-6))


def test_hdf5_with_axes_of_one_component(tmp_path):
    h5py = pytest.importorskip("h5py")
    group = "DataContainers/ImageDataContainer"
    with h5py.File(tmp_path / "a.dream3d", "w") as file:
        file[f"{group}/CellData/Phases"] = LABELS.astype("i4")[..., None]
        file[f"{group}/CellData/Confidence"] = np.ones((5, 6, 7, 1), "f4")
        file[f"{group}/CellData/EulerAngles"] = np.ones((5, 6, 7, 3), "f4")
        file[f"{group}/CellEnsembleData/CrystalStructures"] = np.ones((3, 1), "u4")
        file[f"{group}/_SIMPL_GEOMETRY/SPACING"] = np.array([0.5, 0.25, 2], "f4")
    for name in (None, f"{group}/CellData/Phases"):
        with pytest.warns(UserWarning, match="is taken to be in micrometres, as usual in DREAM"):
            got = io.load(tmp_path / "a.dream3d", name=name)
        np.testing.assert_array_equal(got.labels, LABELS)
        assert got.voxel_size == pytest.approx((2e-6, 2.5e-7, 5e-7))
    with pytest.raises(ValueError, match=r"hold a volume \(nz, ny, nx\), got shape \(5, 6, 7, 3\)"):
        io.load(tmp_path / "a.dream3d", name=f"{group}/CellData/EulerAngles", voxel_size=1e-6)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["exported_data"] = LABELS[None, ..., None]  # ilastik: t, z, y, x, c
        file["exported_data"].attrs["element_size_um"] = [2.0, 0.5, 0.5]
    got = io.load(tmp_path / "b.h5")
    np.testing.assert_array_equal(got.labels, LABELS)
    assert got.voxel_size == pytest.approx((2e-6, 5e-7, 5e-7))


@pytest.mark.parametrize(
    ("units", "size"),
    [
        (["micrometer", "micrometer", "nanometer"], (2e-6, 5e-7, 5e-10)),
        ([None, None, None], "a scale of 0.5 without unit"),
        (["cubit", "micrometer", "micrometer"], "a scale of 2 cubit"),
    ],
    ids=str,
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_ome_zarr(tmp_path, units, size, wrapped):
    zarr = pytest.importorskip("zarr")
    axes = [{"name": "c", "type": "channel"}]
    axes += [{"name": n, **({"unit": u} if u else {})} for n, u in zip("zyx", units, strict=True)]
    scales = [[1, 2, 0.5, 0.5], [1, 2, 1, 1]]
    datasets = [
        {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        for k, scale in enumerate(scales)
    ]
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    for name, data in (("0", LABELS[None]), ("1", LABELS[None, :, ::2, ::2].copy())):
        group[name] = data
    image = {"multiscales": [{"axes": axes, "datasets": datasets}]}
    group.attrs.update({"ome": image} if wrapped else image)
    if isinstance(size, str):
        with pytest.raises(ValueError, match=f"known unit of length, got {size} in its OME-Zarr"):
            io.load(tmp_path / "a.zarr")
        got = io.load(tmp_path / "a.zarr", voxel_size=1e-6)
    else:
        got = io.load(tmp_path / "a.zarr")
        assert got.voxel_size == pytest.approx(size)
    np.testing.assert_array_equal(got.labels, LABELS)


def test_hdf5_of_others(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["entry/data"] = LABELS.astype(np.uint16)
        file["entry/data"].attrs["voxel_size"] = [1.0, 2.0, 3.0]
        file["entry/time"] = np.arange(3)
    got = io.load(tmp_path / "a.h5")
    np.testing.assert_array_equal(got.labels, LABELS)
    assert got.voxel_size == (1.0, 2.0, 3.0)


def test_long_provenance_fits(tmp_path):
    pytest.importorskip("h5py")
    m = Microstructure(LABELS, provenance={"history": ["step"] * 50_000})
    for suffix in (".h5", ".tif", ".vti"):
        m.save(tmp_path / f"a{suffix}")
        assert io.load(tmp_path / f"a{suffix}").provenance == m.provenance


def test_raw_without_its_json_needs_a_shape(tmp_path):
    LABELS.tofile(tmp_path / "a.raw")
    with pytest.raises(ValueError, match=r"`shape` must be given for .*a.raw, because a.raw.json"):
        io.load(tmp_path / "a.raw")
    np.testing.assert_array_equal(io.load(tmp_path / "a.raw", shape=(5, 6, 7)).labels, LABELS)
    with pytest.raises(ValueError, match=r"must hold 5 x 6 x 8 = 240 bytes, got 210"):
        io.load(tmp_path / "a.raw", shape=(5, 6, 8))


@pytest.mark.parametrize("dtype", ["uint16", ">u2", "<i4", ">f4", "int8", "bool"])
def test_raw_of_other_types(tmp_path, dtype):
    LABELS.astype(dtype).tofile(tmp_path / "a.raw")
    phases = {0: 0, 1: 1, 2: 2} if dtype != "bool" else None
    got = io.load(tmp_path / "a.raw", shape=(5, 6, 7), dtype=dtype, phases=phases)
    np.testing.assert_array_equal(got.labels, LABELS if dtype != "bool" else LABELS > 0)
    cut = io.load(tmp_path / "a.raw", shape=(5, 6, 7), dtype=np.dtype(dtype), threshold=0.5)
    np.testing.assert_array_equal(cut.labels, LABELS > 0)


def test_raw_whose_size_does_not_fit_is_refused(tmp_path):
    LABELS.astype(">u2").tofile(tmp_path / "a.raw")
    with pytest.raises(
        ValueError, match=r"a.raw must hold 5 x 6 x 7 = 210 bytes, got 420: `shape`"
    ):
        io.load(tmp_path / "a.raw", shape=(5, 6, 7))
    wanted = r"must hold 5 x 6 x 7 values of float32 = 840 bytes, got 420"
    with pytest.raises(ValueError, match=wanted):
        io.load(tmp_path / "a.raw", shape=(5, 6, 7), dtype="float32")
    for wrong in ("what", "complex64", object):
        with pytest.raises(ValueError, match="`dtype` must be a type of real numbers, such as 'ui"):
            io.load(tmp_path / "a.raw", shape=(5, 6, 7), dtype=wrong)


def test_the_type_in_the_json_of_a_raw_file_is_read(tmp_path):
    LABELS.astype(">u2").tofile(tmp_path / "a.raw")
    described = {"shape": [5, 6, 7], "dtype": ">u2"}
    (tmp_path / "a.raw.json").write_text(json.dumps(described))
    np.testing.assert_array_equal(io.load(tmp_path / "a.raw").labels, LABELS)


@pytest.mark.parametrize("suffix", [".npy", ".tif", ".raw"])
def test_a_name_is_refused_where_a_file_holds_one_array(tmp_path, suffix):
    path = Microstructure(LABELS).save(tmp_path / f"a{suffix}")
    with pytest.raises(ValueError, match=f"`name` must be None for {suffix} files, which hold one"):
        io.load(path, name="labels")


def test_raw_that_its_json_does_not_describe_is_refused(tmp_path):
    FULL.save(tmp_path / "a.raw")
    LABELS[::-1].tofile(tmp_path / "a.raw")
    with pytest.raises(ValueError, match=r"must hold the bytes that a.raw.json describes"):
        io.load(tmp_path / "a.raw")
    assert json.loads((tmp_path / "a.raw.json").read_text())["shape"] == [5, 6, 7]


# ----------------------------------------------------------------------------------------- Abaqus


def read_inp(path):
    """Nodes, elements and sets by the plain rules of the format."""
    nodes, sets, elements, faces, current = {}, {}, {}, {}, None
    for line in path.read_text().splitlines():
        if line.startswith("**"):
            continue
        if line.startswith("*"):
            current = line
            continue
        values = [float(v) for v in line.split(",") if v.strip()]
        if current == "*Node":
            nodes[int(values[0])] = values[1:]
        elif current.startswith("*Element, type=C3D8"):
            number, *corners = map(int, values)
            elements[number] = corners
            sets.setdefault(current.split("elset=")[1], []).append(number)
        elif current.startswith("*Nset"):
            faces.setdefault(current.split("nset=")[1], []).extend(map(int, values))
    return nodes, elements, sets, faces


def test_abaqus_mesh_is_the_volume(tmp_path):
    path = tmp_path / "a.inp"
    FULL.save(path)
    nodes, elements, sets, faces = read_inp(path)
    assert len(nodes) == 6 * 7 * 8
    assert sorted(elements) == list(range(1, LABELS.size + 1))
    dz, dy, dx = FULL.voxel_size
    flat = LABELS.ravel()
    for phase in range(3):
        assert sets[f"PHASE_{phase}"] == (np.flatnonzero(flat == phase) + 1).tolist()
    for number in (1, 50, 210):
        z, y, x = np.unravel_index(number - 1, LABELS.shape)
        corners = np.array([nodes[n] for n in elements[number]])
        np.testing.assert_allclose(corners[0], (x * dx, y * dy, z * dz), rtol=1e-8, atol=1e-20)
        edges = corners[[1, 3, 4]] - corners[0]
        assert np.linalg.det(edges) == pytest.approx(dx * dy * dz)  # right-handed, so positive
        np.testing.assert_allclose(corners[6] - corners[0], (dx, dy, dz), rtol=1e-6)
    assert len(faces["X_MIN"]) == len(faces["X_MAX"]) == 6 * 7
    assert all(nodes[n][2] == pytest.approx(5 * dz) for n in faces["Z_MAX"])


def test_abaqus_leaves_out_pores_and_their_nodes(tmp_path):
    labels = np.zeros((2, 2, 2), dtype=np.uint8)
    labels[0, 0, 0] = 1
    io.save(tmp_path / "a.inp", labels, omit=[0])
    nodes, elements, sets, _ = read_inp(tmp_path / "a.inp")
    assert len(nodes) == 8
    assert sets == {"PHASE_1": [1]}
    assert len(elements) == 1
    with pytest.raises(ValueError, match=r"`omit` must leave at least one voxel, got \[0, 1\]"):
        io.save(tmp_path / "a.inp", labels, omit=[0, 1])


# --------------------------------------------------------------------------------------- refusals


def test_refusals_of_paths(tmp_path):
    with pytest.raises(ValueError, match=r"`path` must end in one of .npy, .*, got 'a.foo'"):
        FULL.save("a.foo")
    with pytest.raises(ValueError, match=r"`path` must end in one of .npy"):
        io.load(tmp_path / "a.inp")
    with pytest.raises(TypeError, match="`path` must be a path, got 3"):
        io.load(3)
    with pytest.raises(FileNotFoundError, match=r"`path` must be an existing file, got .*a.npy"):
        io.load(tmp_path / "a.npy")
    with pytest.raises(FileNotFoundError, match=r"`path` must lie in an existing directory"):
        FULL.save(tmp_path / "no" / "a.npy")
    (tmp_path / "link.npy").symlink_to(tmp_path / "no" / "a.npy")
    with pytest.raises(FileNotFoundError, match=r"`path` must lie in an existing directory"):
        FULL.save(tmp_path / "link.npy")
    (tmp_path / "dir.npy").mkdir()
    with pytest.raises(ValueError, match="`path` must be a file, got the directory"):
        FULL.save(tmp_path / "dir.npy")
    with pytest.raises(ValueError, match="`path` must be a file, got the directory"):
        io.load(tmp_path / "dir.npy")
    with pytest.raises(TypeError, match=r"`omit` must be left out for .npy files, got \[0\]"):
        FULL.save(tmp_path / "a.npy", omit=[0])
    FULL.save(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"`shape` must be None for .npz files"):
        io.load(tmp_path / "a.npz", shape=(1, 2, 3))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".vti", ".h5"])
@pytest.mark.parametrize("kept", [0.0, 0.02, 0.5])
def test_damaged_files_are_refused_by_name(tmp_path, suffix, kept):
    path = tmp_path / f"a{suffix}"
    FULL.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=rf"{re.escape(str(path))} (cannot be read|must be)") as e:
        io.load(path)
    if kept == 0.5 and suffix != ".npy":
        assert re.search(r" damaged(,| or) cut short.* \(.*\)$", str(e.value))
        assert "it is damaged" not in str(e.value)  # a sound one may need a filter that is absent


@pytest.mark.parametrize(
    ("array", "error", "message"),
    [
        (np.zeros((2, 2, 2)), TypeError, "must be an array of bool or integers 0 ... 255"),
        (np.full((2, 2, 2), 300), ValueError, "must hold values 0 ... 255, got 300 ... 300"),
        (np.zeros((1, 2, 3, 4), np.uint8), ValueError, r"must hold a volume \(nz, ny, nx\)"),
        (np.zeros((0, 2, 3), np.uint8), ValueError, "got shape"),
    ],
)
def test_files_that_hold_no_labels_are_refused(tmp_path, array, error, message):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(error, match=rf"a\.npy.* {message}"):
        io.load(tmp_path / "a.npy")


def test_vtk_refusals(tmp_path):
    path = tmp_path / "a.vti"
    array = '<DataArray type="UInt8" Name="seg" format="ascii">0 1 2 3 4 5</DataArray>'
    for content, message in [
        (vti(array, image='Direction="0 1 0 1 0 0 0 0 1"'), "must be aligned with the axes"),
        (vti(array, file='compressor="vtkLZ4DataCompressor"'), "vtkLZ4DataCompressor is not sup"),
        (vti(array[:-15] + "</DataArray>"), "cannot be read as .vti"),
        (vti("").replace(b"ImageData", b"PolyData"), "must hold VTK ImageData, got PolyData"),
        (vti(""), "must hold a cell or point array, got none"),
        (vti(array.replace("ascii", "binary")), "cannot be read as .vti"),
    ]:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            io.load(path)


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    FULL.save(path)
    before = path.read_bytes()

    def full_disk(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OSError, match="No space left"):
        Microstructure(LABELS * 0).save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.npz"]
