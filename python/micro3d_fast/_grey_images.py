# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Image files to 2D arrays of grey values, unchanged.

What has no single grey value per pixel (colours, transparency, white stored as zero) is refused.
Decoders: Pillow for PNG, JPEG and BMP; tifffile for TIFF, with Pillow for the compressions that
tifffile cannot undo alone; numpy for .npy and .npz, never with pickle.  Images are turned as their
orientation tag requires.
"""

from __future__ import annotations

import contextlib
import glob
import os
import re
import sys
import warnings
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import _checks
from ._checks import refuse, refuse_content
from ._errors import ArgumentError
from ._files import DEFLATE, UnreadableFileError, regular_size, require_fit
from ._npy_files import open_npz, read_npy
from ._pixel_size import PixelSize, tiff_pixel_size
from ._tiff_files import open_tiff, require_whole

LOSSY = (".jpg", ".jpeg")
#: The decoder of Pillow that may run for each suffix.
_DECODERS = {".png": "PNG", ".bmp": "BMP", **dict.fromkeys(LOSSY, "JPEG")}
SUFFIXES = (".png", ".tif", ".tiff", *LOSSY, ".bmp", ".npy", ".npz")


class GreyImage(NamedTuple):
    """Grey values of one image, as they are in its file, and what is known about it."""

    values: np.ndarray  # 2D, any real dtype
    source: str
    pixel_size: PixelSize | None = None
    palette: np.ndarray | None = None  # colours of the values, (n, 3); see `without_palettes`


def gather(given: Any, plane: str) -> list[GreyImage]:
    """Return all images of one plane from a pattern, a path, an array, or a list of these."""
    if isinstance(given, str | os.PathLike):
        return [image for path in find(given, f"images[{plane!r}]") for image in read(path)]
    if not isinstance(given, list | tuple):
        return _from_array(given, plane, first=0)
    if not given:
        raise refuse(f"images[{plane!r}]", "hold at least one image", "an empty list")
    images: list[GreyImage] = []
    for item in given:
        is_path = isinstance(item, str | os.PathLike)
        images += gather(item, plane) if is_path else _from_array(item, plane, first=len(images))
    return images


def find(pattern: str | os.PathLike[str], name: str) -> list[Path]:
    """Return the files of a path or glob pattern in natural order: ``2.png`` before ``10.png``.

    ``name`` is the argument.  Brackets that match no file as a set of characters stand for
    themselves.
    """
    path = _checks.path(pattern, name=name)
    if path.is_dir():
        raise refuse(name, "be files", f"the directory {path}", f"give {path}/*.png")
    if path.exists():
        return [path]
    folder = next(parent for parent in path.parents if parent.is_dir())
    inside = os.path.join(glob.escape(str(folder)), path.relative_to(folder))
    patterns = (str(path), inside, str(path).replace("[", "[[]"))
    found = [files for files in map(_matches, patterns) if files]
    if not found:
        plane = re.fullmatch(r"images\['(\w\w)'\]", name)
        subject = f"plane {plane[1]!r}" if plane else f"`{name}`"
        raise FileNotFoundError(f"{subject}: no file matches {path}")
    other = next((files for files in found if files != found[0]), None)
    if other is not None:
        got = f"{path}, which matches {found[0][0]} and, read as it is, {other[0]}"
        raise refuse(name, "have no [ and ] of two meanings", got, "give a list of files")
    return found[0]


def _matches(pattern: str) -> list[Path]:
    found = [Path(name) for name in glob.glob(pattern, recursive=True)]
    return sorted((path for path in found if path.is_file()), key=natural_key)


def natural_key(path: Path) -> tuple[Any, ...]:
    """Return a sort key: digits compare as numbers, the rest as text; ties by the plain text."""
    parts = re.split(r"(\d+)", str(path))
    return tuple(int(p) if i % 2 else p for i, p in enumerate(parts)), str(path)


def read(path: Path) -> list[GreyImage]:
    """Return all images of a file."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise refuse_content(path, f"end in one of {', '.join(SUFFIXES)}", repr(path.suffix))
    regular_size(path)
    try:
        with warnings.catch_warnings(), _pixel_limit(), _whole_images():
            warnings.simplefilter("ignore")  # decompression bombs, odd tags: the pixels decide
            if suffix in (".npy", ".npz"):
                return _read_numpy(path)
            if suffix in (".tif", ".tiff"):
                return _read_tiff(path)
            return _read_pillow(path)
    except (ArgumentError, MemoryError):
        raise
    except _too_large() as error:
        wanted = "have fewer pixels, or the environment variable MICRO3D_MAX_PIXELS raise the limit"
        raise refuse_content(path, wanted, str(error).partition(",")[0]) from None
    except Exception as error:
        raise UnreadableFileError.of(path, "an image", error) from error


def _too_large() -> type[Exception]:
    from PIL import Image as pillow

    return pillow.DecompressionBombError


@contextlib.contextmanager
def _pixel_limit() -> Iterator[None]:
    """Let Pillow read images of up to MICRO3D_MAX_PIXELS pixels; default: twice its own limit."""
    from PIL import Image as pillow

    text, before = os.environ.get("MICRO3D_MAX_PIXELS", ""), pillow.MAX_IMAGE_PIXELS
    if not text:
        yield
        return
    if not text.isdecimal():
        raise refuse("MICRO3D_MAX_PIXELS", "be a whole number, 0 for no limit", repr(text))
    try:
        pillow.MAX_IMAGE_PIXELS = max(int(text) // 2, 1) if int(text) else None
        yield
    finally:
        pillow.MAX_IMAGE_PIXELS = before


@contextlib.contextmanager
def _whole_images() -> Iterator[None]:
    """Let Pillow refuse truncated images, whatever another library set; else it fills them up."""
    from PIL import ImageFile

    before = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = before


def _read_numpy(path: Path) -> list[GreyImage]:
    """Return the image or the stack of a .npy or .npz file."""
    if path.suffix.lower() == ".npy":
        array = read_npy(path)
    else:
        with open_npz(path) as archive:
            names = archive.names
            known = [name for name in ("labels", "images") if name in names]
            if not known and len(names) != 1:
                wanted = "hold one array, or one named 'labels' or 'images'"
                raise refuse_content(path, wanted, str(names))
            array = archive.read((known or names)[0])
    try:
        return _stack(_checks.plain_bool(array), str(path))
    except ArgumentError as error:
        raise error.in_source(str(path), named=False) from None


def _from_array(given: Any, plane: str, first: int) -> list[GreyImage]:
    """Return the image or the stack of an array, numbered from ``first``."""
    name = f"images[{plane!r}]"
    is_pillow = hasattr(given, "getpalette") and hasattr(given, "mode")
    if is_pillow:
        images = _pillow_frames(given, name)
    else:
        wanted = "be a path, a pattern, an array or a list of them"
        images = _stack(_checks.to_host(given, name=name, wanted=wanted), name)
    return [
        image._replace(source=f"image {first + i} of plane {plane}")
        for i, image in enumerate(images)
    ]


def _stack(array: np.ndarray, name: str) -> list[GreyImage]:
    """Return one image (rows, columns), or each of a stack (n, rows, columns)."""
    if array.dtype.kind not in "buif":
        raise refuse(name, "hold real numbers", f"dtype {array.dtype}")
    shape = str(array.shape)
    if array.ndim in (3, 4) and array.shape[-1] == 1:  # (..., rows, columns, 1 channel)
        array = array[..., 0]
    if array.ndim not in (2, 3):
        raise refuse(name, "have shape (rows, columns) or (n, rows, columns)", shape)
    if array.size == 0:
        raise refuse(name, "not be empty", f"shape {shape}")
    if array.ndim == 3 and array.shape[2] in (3, 4) and min(array.shape[:2]) > 4:
        got = f"{shape}, which looks like a colour image (rows, columns, channels)"
        raise refuse(name, "be a stack (n, rows, columns)", got)
    if array.ndim == 2:
        return [GreyImage(array, name)]
    return [GreyImage(image, f"{name}[{i}]") for i, image in enumerate(array)]


def _read_pillow(path: Path) -> list[GreyImage]:
    """Return the frames of an image file."""
    from PIL import Image as pillow

    decoder = _DECODERS[path.suffix.lower()]
    try:
        file = pillow.open(path, formats=(decoder,))
    except pillow.UnidentifiedImageError:
        raise ValueError(f"it is no {decoder} file") from None
    with file:
        require_fit(path, _decoded_size(file), path.stat().st_size, DEFLATE)
        if decoder == "PNG":
            _require_png_checksums(path)
        return _pillow_frames(file, str(path))


def _decoded_size(image: Any) -> int:
    """Return the bytes of the pixels of an image that is open and not decoded."""
    width, height = image.size
    depth = {"1": 1, "I": 32, "F": 32, "I;16": 16}.get(image.mode, 8)
    return width * height * len(image.getbands()) * depth // 8


def _require_png_checksums(path: Path) -> None:
    """Refuse a PNG file with a chunk that its CRC does not match; Pillow checks not all of them."""
    content = path.read_bytes()
    position = 8
    while position < len(content):
        length = int.from_bytes(content[position : position + 4], "big")
        end = position + 8 + length
        stated = int.from_bytes(content[end : end + 4], "big")
        kind = content[position + 4 : position + 8]
        if end + 4 > len(content) or zlib.crc32(content[position + 4 : end]) != stated:
            raise refuse_content(path, "be a whole PNG file", f"a damaged chunk {kind!r}")
        if kind == b"IEND":
            return
        position = end + 4
    raise refuse_content(path, "be a whole PNG file", "no end")


def _pillow_frames(image: Any, name: str) -> list[GreyImage]:
    """Return the frames of a Pillow image, turned as its orientation requires."""
    from PIL import ImageOps, ImageSequence

    images = []
    count = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: previews follow
    for number, frame in zip(range(count), ImageSequence.Iterator(image), strict=False):
        source = name if count == 1 else f"{name}[{number}]"
        frame = ImageOps.exif_transpose(frame)  # as every viewer shows it
        palette = frame.getpalette() if frame.mode == "P" else None
        if frame.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV") and palette is None:
            raise refuse_content(source, "hold grey values", f"colour mode {frame.mode}")
        if palette is not None and "transparency" in frame.info:
            raise refuse_content(source, "be opaque", "transparent colours")
        values = _grey(_checks.plain_bool(np.array(frame)), source)
        colours = None if palette is None else np.array(palette, dtype=np.uint8).reshape(-1, 3)
        images.append(GreyImage(values, source, palette=colours))
    return images


def _read_tiff(path: Path) -> list[GreyImage]:
    """Return all pages of a TIFF file but thumbnails and transparency masks."""
    images: list[GreyImage] = []
    with open_tiff(path) as file:
        pixel_size = tiff_pixel_size(file)
        full = [s for s in file.series if not (s.keyframe.is_reduced or s.keyframe.is_mask)]
        for series in full or file.series:
            images += _tiff_images(series, path, pixel_size)
    if len(images) == 1:
        return [images[0]._replace(source=str(path))]
    return [image._replace(source=f"{path}[{i}]") for i, image in enumerate(images)]


def _tiff_images(series: Any, path: Path, pixel_size: PixelSize | None) -> list[GreyImage]:
    """Return the images of one series of a TIFF file."""
    from tifffile import PHOTOMETRIC

    page = series.keyframe
    photometric = PHOTOMETRIC(page.photometric)
    # tifffile writes bool as it is, but calls it MINISWHITE: its own masks are no inverted images
    is_own_mask = page.dtype == np.bool_ and page.software == "tifffile.py"
    if photometric == PHOTOMETRIC.MINISWHITE and not is_own_mask:
        got = "white as 0 (photometric MINISWHITE, in ImageJ an inverting LUT)"
        raise refuse_content(path, "store black as 0", got, "save it again as grey values")
    if photometric not in (
        PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE
    ):  # fmt: skip
        raise refuse_content(path, "hold grey values", f"photometric {photometric.name}")
    values, axes = _tiff_values(series, path), series.axes
    if "C" in axes and values.shape[axes.index("C")] > 1:
        got = f"{values.shape[axes.index('C')]} channels"
        raise refuse_content(path, "hold one grey value per pixel", got)
    order = [axes.index("Y"), axes.index("X")]
    if "S" in axes:
        order.append(axes.index("S"))
    values = np.moveaxis(values, order, range(values.ndim - len(order), values.ndim))
    values = values.reshape(-1, *values.shape[values.ndim - len(order) :])
    orientation = _orientation(page)
    palette = None
    if photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        palette = (page.colormap.T >> 8).astype(np.uint8)
    if pixel_size is not None and orientation >= 5:
        pixel_size = pixel_size.transposed()
    return [
        GreyImage(_oriented(_grey(image, str(path)), orientation), str(path), pixel_size, palette)
        for image in values
    ]


def _orientation(page: Any) -> int:
    return int(page.tags["Orientation"].value) if "Orientation" in page.tags else 1


def _oriented(image: np.ndarray, orientation: int) -> np.ndarray:
    """Return an image as its Orientation tag requires: row 0 on top, column 0 on the left."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image


def _tiff_values(series: Any, path: Path) -> np.ndarray:
    """Return the values of a series, decoded by Pillow where tifffile needs another package."""
    require_whole(series, path)
    try:
        return series.asarray()
    except (ValueError, ModuleNotFoundError) as error:  # ZSTD: a module of Python 3.14
        if isinstance(error, ValueError) and "imagecodecs" not in str(error):
            raise
        reason = error
    try:
        pages = [_tiff_page(page.aspage()) for page in series.pages]
    except _too_large():
        raise
    except Exception:
        name = getattr(series.keyframe.compression, "name", series.keyframe.compression)
        wanted = "be compressed in a way that tifffile and Pillow can undo"
        hint = "pip install 'micro3d-fast[codecs]'"
        raise refuse_content(path, wanted, f"{name} compression", hint) from reason
    return np.stack(pages).reshape(series.shape)


def _tiff_page(page: Any) -> np.ndarray:
    """Return the values of one page as Pillow decodes them, not turned."""
    from PIL import Image as pillow
    from PIL import ImageOps

    with pillow.open(page.parent.filehandle.path, formats=("TIFF",)) as file:
        file.seek(page.index)
        codec, raw_mode = file.tile[0][0], str(file.tile[0][3])
        values = np.array(ImageOps.exif_transpose(file))
    orientation = _orientation(page)
    values = _oriented(values, {6: 8, 8: 6}.get(orientation, orientation))
    if page.photometric == 0 and page.dtype == np.bool_:
        values = ~_checks.plain_bool(values)  # stored as white is 0
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    wanted = page.dtype.newbyteorder("=")
    if wanted.kind == "u" and values.dtype.itemsize == wanted.itemsize:
        values = values.view(wanted)  # Pillow has no unsigned 32 bits
    if values.shape != page.shape or not np.can_cast(values.dtype, wanted, "same_kind"):
        raise ValueError(f"{values.dtype} {values.shape}")
    values = values.astype(wanted, copy=False)
    # libtiff gives values in the order of the machine, which Pillow takes to be that of the file
    swapped = sys.byteorder == "little" and re.search(r";(16|32)B", raw_mode)
    return values.byteswap() if codec == "libtiff" and swapped else values


def _grey(values: np.ndarray, source: str) -> np.ndarray:
    """Return one channel of an image whose colour channels agree and whose alpha is opaque."""
    grey = values
    if values.ndim != 2:
        if values.ndim != 3 or values.shape[2] > 4:
            raise refuse_content(source, "be a 2D image", f"shape {values.shape}")
        if values.shape[2] in (2, 4):
            alpha = values[..., -1]
            opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1.0
            if (alpha != opaque).any():
                raise refuse_content(source, "be opaque", "an alpha channel that is not")
            values = values[..., :-1]
        grey = values[..., 0]
        if (values != grey[..., None]).any():
            hint = "convert it to one value per pixel first"
            raise refuse_content(source, "hold grey values or labels", "colours", hint)
    if grey.dtype.kind not in "buif" or grey.size == 0:
        raise refuse_content(source, "hold real grey values", f"{grey.dtype} {grey.shape}")
    return grey


def without_palettes(images: Sequence[GreyImage]) -> list[GreyImage]:
    """Return the images with grey values in place of grey palettes; coloured ones give indices.

    The indices of a coloured palette are labels.  One colour anywhere makes labels of all images
    with a palette, so that a slice that lacks the coloured phases is read like the others.
    """
    drawn = [image for image in images if image.palette is not None]
    used: list[np.ndarray] = []
    for image in drawn:
        indices = unique(image.values)
        if indices[-1] >= len(image.palette):  # type: ignore[arg-type]
            raise refuse_content(image.source, "hold indices of its palette", str(indices[-1]))
        used.append(np.column_stack([indices, image.palette[indices]]))  # type: ignore[index]
    if all((rows[:, 1:] == rows[:, 1:2]).all() for rows in used):
        return [
            image
            if image.palette is None
            else image._replace(values=image.palette[:, 0][image.values], palette=None)
            for image in images
        ]
    colours: dict[int, tuple[list[int], str]] = {}
    for image, rows in zip(drawn, used, strict=True):
        for index, *colour in rows.tolist():
            first, source = colours.setdefault(index, (colour, image.source))
            if first != colour:
                got = f"the colour {colour} for {index}, which is {first} in {source}"
                hint = "save them as grey values, or all with one palette"
                raise refuse_content(image.source, "share the palette of the others", got, hint)
    return [image._replace(palette=None) for image in images]


def unique(values: np.ndarray) -> np.ndarray:
    """Return the sorted distinct values; counted rather than sorted for small integers."""
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return np.flatnonzero(np.bincount(values.ravel())).astype(values.dtype)
    return np.unique(values)
