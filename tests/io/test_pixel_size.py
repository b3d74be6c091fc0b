# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The pixel size of TIFF files: ImageJ, OME and resolution tags, by their own conventions."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import tifffile

from micro3d_fast import _grey_images, io
from micro3d_fast._pixel_size import metres
from micro3d_fast.micrographs import Micrographs

STACK = np.random.default_rng(3).integers(0, 2, (6, 40, 44)).astype(np.uint8)
GREY = STACK[0] * np.uint8(255)
MAP = {0: 0, 255: 1}


def imagej(path, *lines, resolution=(2.0, 2.0), unit="NONE", slices=6):
    """Write a stack as ImageJ does, with its calibration in the description of the first page."""
    text = "\n".join(["ImageJ=1.54f", f"images={slices}", f"slices={slices}", *lines, "loop=false"])
    with tifffile.TiffWriter(path) as file:
        for k in range(slices):
            file.write(
                STACK[k],
                contiguous=False,
                metadata=None,
                description=text if k == 0 else None,
                resolution=resolution,
                resolutionunit=unit,
            )
    return path


def ome(path, attributes):
    """Write a stack with OME-XML of the given attributes."""
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/'
        'OME/2016-06"><Image ID="Image:0"><Pixels BigEndian="false" DimensionOrder="XYZCT" '
        f'ID="Pixels:0" SizeC="1" SizeT="1" SizeX="44" SizeY="40" SizeZ="6" Type="uint8" '
        f'{attributes}><Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData/></Pixels></Image>'
        "</OME>"
    )
    with tifffile.TiffWriter(path) as file:
        for k, page in enumerate(STACK):
            file.write(page, contiguous=False, metadata=None, description=text if k == 0 else None)
    return path


@pytest.mark.parametrize(
    ("lines", "options", "size"),
    [
        (["unit=\\u00B5m", "spacing=0.75"], {}, (7.5e-7, 5e-7, 5e-7)),
        (["unit=\\u03bcm", "spacing=0.75"], {}, (7.5e-7, 5e-7, 5e-7)),
        (["unit=Micron", "spacing=0.75"], {}, (7.5e-7, 5e-7, 5e-7)),
        (["unit=UM"], {}, (1e-6, 5e-7, 5e-7)),  # ImageJ leaves out a spacing of 1
        (["unit=micrometres", "spacing=-0.75"], {}, (7.5e-7, 5e-7, 5e-7)),
        (["unit=mm", "zunit=\\u00B5m", "spacing=3"], {}, (3e-6, 5e-4, 5e-4)),
        (["unit=um", "yunit=nm", "spacing=3"], {}, (3e-6, 5e-10, 5e-7)),
        (["unit=inch", "spacing=0.1"], {"unit": "INCH"}, (2.54e-3, 1.27e-2, 1.27e-2)),
        (["unit=cm", "spacing=0.1"], {"unit": "CENTIMETER"}, (1e-3, 5e-3, 5e-3)),
        (
            ["unit=um", "spacing=1.5"],
            {"unit": "CENTIMETER", "resolution": (20000, 10000)},
            (1.5e-6, 1e-6, 5e-7),
        ),
        (["unit=pixel"], {"resolution": (1, 1)}, (1.0, 1.0, 1.0)),
        ([], {"resolution": (1, 1)}, (1.0, 1.0, 1.0)),
        (["unit=nm"], {"slices": 1}, (5e-10, 5e-10, 5e-10)),
        (["unit=um", "spacing=0.0"], {}, (1e-6, 5e-7, 5e-7)),
        (["unit=inch"], {"unit": "INCH", "resolution": (300, 300)}, (1.0, 1.0, 1.0)),
    ],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:.* is a voxel really 0.0127 m long")
def test_imagej_calibration(tmp_path, lines, options, size):
    path = imagej(tmp_path / "a.tif", *lines, **options)
    assert io.load(path).voxel_size == pytest.approx(size, rel=1e-6)


@pytest.mark.parametrize(
    ("lines", "options", "problem"),
    [
        (["unit=furlong"], {}, "the unit 'furlong' in its ImageJ calibration"),
        (["unit=Mm"], {}, "the unit 'Mm'"),
        (["unit=um", "zunit=s"], {}, "a spacing of '1' 's'"),
        (["unit=um", "zunit=pixel", "spacing=2"], {}, "a spacing of '2' 'pixel'"),
        (["unit=um", "yunit=pixel"], {}, "the units 'pixel' and 'um'"),
        (["unit=um", "spacing=NaN"], {}, "a spacing of 'NaN' 'um'"),
        (["unit=pixel"], {"resolution": (2, 1)}, "pixels of 1 x 0.5 pixels"),
        (["unit=um"], {"unit": "INCH"}, "the unit 'um' beside resolutions per inch"),
        (
            ["spacing=1.5"],
            {"unit": "CENTIMETER", "resolution": (20000, 20000)},
            "a spacing of '1.5' '' in its TIFF resolution",
        ),
        (["unit=pixel", "spacing=4"], {}, r"voxels of 4 x 0.5 x 0.5 pixels \(z, y, x\)"),
    ],
    ids=str,
)
def test_what_is_not_understood_is_refused_unless_a_size_is_given(
    tmp_path, lines, options, problem
):
    path = imagej(tmp_path / "a.tif", *lines, **options)
    wanted = "a.tif must state the size of its pixels in a known unit of length, got"
    with pytest.raises(ValueError, match=f"{wanted} {problem}.*: give `voxel_size`"):
        io.load(path)
    assert io.load(path, voxel_size=2e-6).voxel_size == (2e-6, 2e-6, 2e-6)


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ('PhysicalSizeX="0.5" PhysicalSizeY="0.25" PhysicalSizeZ="2"', (2e-6, 2.5e-7, 5e-7)),
        (
            'PhysicalSizeX="500" PhysicalSizeXUnit="nm" PhysicalSizeY="0.5" '
            'PhysicalSizeYUnit="&#181;m" PhysicalSizeZ="0.002" PhysicalSizeZUnit="mm"',
            (2e-6, 5e-7, 5e-7),
        ),
        (
            'PhysicalSizeXUnit="&#xB5;m" PhysicalSizeX="1" PhysicalSizeYUnit="NM" '
            "PhysicalSizeY='1000' PhysicalSizeZUnit='&#8491;' PhysicalSizeZ='10'",
            (1e-9, 1e-6, 1e-6),
        ),
        ("", (1.0, 1.0, 1.0)),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel"', (1.0, 1.0, 1.0)),
    ],
)
def test_ome_physical_sizes(tmp_path, attributes, size):
    got = io.load(ome(tmp_path / "a.ome.tif", attributes)).voxel_size
    assert got == pytest.approx(size, rel=1e-9)


def test_ome_sizes_without_a_meaning_are_refused(tmp_path):
    for number, (value, unit) in enumerate(
        [("0,5", "µm"), ("0", "µm"), ("1", "cubit"), ("2", "pixel")]
    ):
        path = tmp_path / f"{number}.ome.tif"
        ome(path, f'PhysicalSizeX="{value}" PhysicalSizeXUnit="{unit.replace("µ", "&#181;")}"')
        with pytest.raises(ValueError, match=f"got PhysicalSizeX of '{value}' '{unit}' in its OME"):
            io.load(path)


def test_a_missing_distance_of_slices_is_told(tmp_path):
    path = ome(tmp_path / "a.ome.tif", 'PhysicalSizeX="0.5" PhysicalSizeY="0.5"')
    with pytest.warns(UserWarning, match="not the distance of its slices, which is taken to be"):
        assert io.load(path).voxel_size == (5e-7, 5e-7, 5e-7)


@pytest.mark.parametrize(
    ("resolution", "unit", "size"),
    [
        ((20000, 10000), "CENTIMETER", (1e-6, 5e-7)),
        ((25400, 25400), "INCH", (1e-6, 1e-6)),
        ((20000, 20000), "NONE", None),
        ((1, 1), "CENTIMETER", None),
        ((300, 300), "INCH", None),  # for a printer
        ((118.11, 118.11), "CENTIMETER", None),
    ],
    ids=str,
)
def test_resolution_tags(tmp_path, resolution, unit, size):
    tifffile.imwrite(tmp_path / "a.tif", GREY, resolution=resolution, resolutionunit=unit)
    got = io.load(tmp_path / "a.tif", phases=MAP).voxel_size
    assert got[1:] == pytest.approx(size or (1.0, 1.0))


def test_names_of_units():
    names = ["m", "metres", "CM", "millimeter", "micron", "\u00b5m", "\u03bcm", "nm", "inches", "Å"]
    values = [1, 1, 1e-2, 1e-3, 1e-6, 1e-6, 1e-6, 1e-9, 0.0254, 1e-10]
    assert [metres(name) for name in names] == values
    assert [metres(name) for name in ("pixels", "", "Mm", "M", "s")] == [0.0, 0.0, None, None, None]


# ------------------------------------------------------------------------------------ micrographs


def image(path, pixel, number=0):
    """Write one image with square pixels, in micrometres, as ImageJ does."""
    tifffile.imwrite(
        path,
        STACK[number] * np.uint8(255),
        imagej=True,
        resolution=(1 / pixel, 1 / pixel),
        metadata={"unit": "um"},
    )
    return path


ZEISS = "\r\n0\r\n1\r\n{}\r\nAP_WD\r\nWD =  5.0 mm\r\n"
FEI = "[User]\r\nDate=1\r\n[Scan]\r\nPixelWidth={}\r\nPixelHeight={}\r\n[Image]\r\n"
TESCAN = "[MAIN]\r\nMagnification=1000\r\nPixelSizeX={}\r\nPixelSizeY={}\r\n"
ZEISS_NM = ZEISS.format("AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size =  5.5 nm\r\nAP_X\r\nX =  1 m")


def microscope(path, tag, text, **options):
    """Write an image with the tag of an electron microscope."""
    data = text.encode("latin-1") + b"\0"
    kind = 1 if tag == 50431 else 2  # bytes or ASCII
    tifffile.imwrite(path, GREY, metadata=None, extratags=[(tag, kind, len(data), data)], **options)
    return path


@pytest.mark.parametrize(
    ("tag", "text", "size", "source"),
    [
        (34118, ZEISS_NM, (5.5e-9, 5.5e-9), "Zeiss metadata"),
        (
            34118,
            ZEISS.format("AP_PIXEL_SIZE\r\nPixel Size = 1.25 µm"),
            (1.25e-6, 1.25e-6),
            "Zeiss metadata",
        ),
        (
            34118,
            ZEISS.format(
                "AP_PIXEL_SIZE\r\nPixel Size = 11 nm\r\n"
                "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 5.5 nm"
            ),
            (5.5e-9, 5.5e-9),
            "Zeiss metadata",
        ),
        (34682, FEI.format("2.5e-009", "3e-009"), (3e-9, 2.5e-9), "FEI metadata"),
        (34680, FEI.format("2.5e-009", "3e-009"), (3e-9, 2.5e-9), "FEI metadata"),
        (50431, TESCAN.format("4e-9", "5e-9"), (5e-9, 4e-9), "Tescan metadata"),
    ],
    ids=["zeiss", "zeiss micrometres", "zeiss image", "fei helios", "fei sfeg", "tescan"],
)
def test_tags_of_electron_microscopes(tmp_path, tag, text, size, source):
    path = microscope(tmp_path / "a.tif", tag, text)
    assert io.load(path, phases=MAP).voxel_size[1:] == pytest.approx(size)
    printer = {"resolution": (254, 254), "resolutionunit": 2}
    same = {"resolution": (0.01 / size[1], 0.01 / size[0]), "resolutionunit": 3}
    for resolution in ({}, printer, same):
        path = microscope(tmp_path / "b.tif", tag, text, **resolution)
        got = _grey_images.read(path)[0].pixel_size
        assert got.size[0] is None
        assert got.size[1:] == pytest.approx(size)
        assert got.source == source
    with pytest.warns(UserWarning, match=rf"the files state .* in .*b.tif \({source}\)"):
        assert loaded({"xy": path}, voxel_size=1e-6).voxel_size == (1e-6,) * 3


def test_micrographs_say_that_the_microscope_states_their_pixel_size(tmp_path):
    path = microscope(tmp_path / "a.tif", 34118, ZEISS_NM)
    got = loaded({"xy": path})
    assert got.voxel_size == pytest.approx((5.5e-9,) * 3)
    assert got.voxel_size_source == f"Zeiss metadata of {path}"


def test_contradictions_of_electron_microscopes_are_refused(tmp_path):
    path = microscope(tmp_path / "a.tif", 34118, ZEISS_NM, resolution=(1e7, 1e7), resolutionunit=3)
    match = (
        "known unit of length, got pixels of 5.5e-09 m and of 1e-09 m in its Zeiss metadata and "
        "TIFF resolution: give `voxel_size`"
    )
    with pytest.raises(ValueError, match=match):
        loaded({"xy": path})
    path = microscope(
        tmp_path / "b.tif",
        34118,
        ZEISS_NM,
        resolution=(1, 1),
        resolutionunit=1,
        description="ImageJ=1.54f\nunit=um",
    )
    with pytest.raises(ValueError, match=r"5.5e-09 m and of 1e-06 m in its Zeiss metadata and Im"):
        loaded({"xy": path})
    path = microscope(
        tmp_path / "c.tif",
        34118,
        ZEISS_NM,
        resolution=(1000 / 5.5, 1000 / 5.5),
        resolutionunit=1,
        description="ImageJ=1.54f\nunit=um",
    )
    assert loaded({"xy": path}).voxel_size_source == f"ImageJ calibration of {path}"


@pytest.mark.parametrize(
    ("tag", "text", "got"),
    [
        (34118, ZEISS.format("AP_PIXEL_SIZE\r\nPixel Size = 5,5 nm"), "pixels of 5,5 nm"),
        (34118, ZEISS.format("AP_PIXEL_SIZE\r\nPixel Size = 5.5 cubits"), "pixels of 5.5 cubits"),
        (34682, FEI.format("2.5e-009", "no"), "pixels of no m x 2.5e-09 m"),
        (50431, TESCAN.format("0", "0"), "pixels of 0 m x 0 m"),
    ],
    ids=["zeiss comma", "zeiss unit", "fei", "tescan"],
)
def test_tags_of_electron_microscopes_without_a_meaning(tmp_path, tag, text, got):
    path = microscope(tmp_path / "a.tif", tag, text, resolution=(254, 254), resolutionunit=2)
    with pytest.raises(ValueError, match=rf"got {got}.* in its .* metadata: give `voxel_size`"):
        loaded({"xy": path})
    assert loaded({"xy": path}, voxel_size=1e-6).voxel_size == (1e-6,) * 3


def loaded(images, **options):
    """Load noise, without what the check of micrographs says of it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(?!`voxel_size`)")
        return Micrographs.load(images, MAP, **options)


def test_micrographs_take_the_pixel_size_of_their_files(tmp_path):
    got = loaded({"xy": image(tmp_path / "a.tif", 0.5)})
    assert got.voxel_size == pytest.approx((5e-7, 5e-7, 5e-7))
    assert got.voxel_size_source.startswith("ImageJ calibration of ")
    assert "voxel size 5e-07 m (ImageJ calibration of" in repr(got)
    tifffile.imwrite(tmp_path / "t.tif", GREY, resolution=(10000, 5000), resolutionunit=3)
    tifffile.imwrite(tmp_path / "u.tif", GREY, resolution=(10000, 2500), resolutionunit=3)
    tifffile.imwrite(tmp_path / "v.tif", GREY, resolution=(5000, 2500), resolutionunit=3)
    got = loaded({"xy": tmp_path / "t.tif", "xz": tmp_path / "u.tif", "yz": tmp_path / "v.tif"})
    assert got.voxel_size == pytest.approx((4e-6, 2e-6, 1e-6))
    assert got.voxel_size_source.startswith("TIFF resolution of ")
    plain = loaded({"xy": GREY})
    assert plain.voxel_size == (1.0, 1.0, 1.0)
    assert plain.voxel_size_source == ""


def test_contradictions_of_pixel_sizes_are_told(tmp_path):
    planes = {"xy": image(tmp_path / "a.tif", 1.0), "xz": image(tmp_path / "b.tif", 2.0, 1)}
    match = (
        r"b.tif must have pixels of 1e-06 m along x, as .*a.tif states, got 2e-06 m: bring the "
        "images to one pixel size, or give `voxel_size`"
    )
    with pytest.raises(ValueError, match=match):
        loaded(planes)
    match = r"`voxel_size` .* is used, but the files state 2e-06 m along z in .*b.tif \(ImageJ"
    with pytest.warns(UserWarning, match=match):
        got = loaded(planes, voxel_size=1e-6)
    assert got.voxel_size == (1e-6, 1e-6, 1e-6)
    assert loaded({"xy": planes["xy"]}, voxel_size=1.0005e-6).voxel_size[0] == 1.0005e-6


def test_a_contradiction_of_a_volume_is_told(tmp_path):
    path = imagej(tmp_path / "a.tif", "unit=um", "spacing=0.5")
    assert io.load(path, voxel_size=5.005e-7).voxel_size == (5.005e-7,) * 3
    with pytest.warns(UserWarning, match=r"is used, but .*a.tif states 5e-07 x 5e-07 x 5e-07 m"):
        assert io.load(path, voxel_size=(1e-6, 5e-7, 5e-7)).voxel_size == (1e-6, 5e-7, 5e-7)
    np.savez(tmp_path / "c.npz", labels=STACK, voxel_size=[1.0, 2.0])
    assert io.load(tmp_path / "c.npz", voxel_size=2e-6).voxel_size == (2e-6,) * 3
    flat = imagej(tmp_path / "b.tif", "unit=um", "spacing=0.5", slices=1)
    assert io.load(flat, voxel_size=(1e-6, 5e-7, 5e-7)).voxel_size == (1e-6, 5e-7, 5e-7)


def test_micrographs_in_unknown_units_need_a_voxel_size(tmp_path):
    path = imagej(tmp_path / "a.tif", "unit=cubit", slices=1)
    with pytest.raises(ValueError, match="the unit 'cubit' in its ImageJ calibration: give"):
        Micrographs.load({"xy": path}, "labels")


def test_the_distance_of_slices_is_no_matter_of_micrographs(tmp_path):
    for number, lines in enumerate((["unit=um", "zunit=s"], ["unit=pixel", "spacing=4"])):
        path = imagej(tmp_path / f"{number}.tif", *lines)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            got = Micrographs.load({"xy": path}, "labels")
        assert got.voxel_size == pytest.approx((5e-7,) * 3 if number == 0 else (1.0,) * 3)
        flat = imagej(tmp_path / f"flat {number}.tif", *lines, slices=1)
        assert io.load(flat).voxel_size == got.voxel_size


def test_a_turned_image_exchanges_its_pixel_sizes(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif",
        GREY,
        resolution=(10000, 5000),
        resolutionunit=3,
        extratags=[(274, "H", 1, 6, True)],
    )
    got = io.load(tmp_path / "a.tif", phases=MAP)
    assert got.shape == (1, 44, 40)
    assert got.voxel_size[1:] == pytest.approx((1e-6, 2e-6))
