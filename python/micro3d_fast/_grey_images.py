# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Image files to 2D arrays of grey values, unchanged.

What has no single grey value per pixel (colours, transparency, white stored as zero) is refused.
Decoders: Pillow for PNG, JPEG and BMP; tifffile for TIFF, with Pillow for the compressions that
tifffile cannot undo alone; numpy for .npy and .npz, never with pickle.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import _checks
from ._checks import refuse, refuse_content
from ._errors import ArgumentError

LOSSY = (".jpg", ".jpeg")
SUFFIXES = (".png", ".tif", ".tiff", *LOSSY, ".bmp", ".npy", ".npz")


class GreyImage(NamedTuple):
    """Grey values of one image, as they are in its file, and the name of the image."""

    values: np.ndarray  # 2D, any real dtype
    source: str


def gather(given: Any, plane: str) -> list[GreyImage]:
    """Return all images of one plane from a pattern, a path, an array, or a list of these."""
    if isinstance(given, str | os.PathLike):
        return [image for path in find(given, plane) for image in read(path)]
    if not isinstance(given, list | tuple):
        return _from_array(given, plane, first=0)
    if not given:
        raise refuse(f"images[{plane!r}]", "hold at least one image", "an empty list")
    images: list[GreyImage] = []
    for item in given:
        is_path = isinstance(item, str | os.PathLike)
        images += gather(item, plane) if is_path else _from_array(item, plane, first=len(images))
    return images


def find(pattern: str | os.PathLike[str], plane: str) -> list[Path]:
    """Return the files of a path or glob pattern in natural order: ``2.png`` before ``10.png``."""
    name = f"images[{plane!r}]"
    path = _checks.path(pattern, name=name)
    if path.is_dir():
        raise refuse(name, "be files", f"the directory {path}", f"give {path}/*.png")
    if path.exists():
        return [path]
    found = [Path(name) for name in glob.glob(str(path), recursive=True)]
    found = sorted((name for name in found if name.is_file()), key=natural_key)
    if not found:
        raise FileNotFoundError(f"plane {plane!r}: no file matches {path}")
    return found


def natural_key(path: Path) -> tuple[Any, ...]:
    """Return a sort key: digits compare as numbers, the rest as text; ties by the plain text."""
    parts = re.split(r"(\d+)", str(path))
    return tuple(int(p) if i % 2 else p for i, p in enumerate(parts)), str(path)


def read(path: Path) -> list[GreyImage]:
    """Return all images of a file."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise refuse_content(path, f"end in one of {', '.join(SUFFIXES)}", repr(path.suffix))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decompression bombs, odd tags: the pixels decide
            if suffix in (".npy", ".npz"):
                return _read_numpy(path)
            if suffix in (".tif", ".tiff"):
                return _read_tiff(path)
            return _read_pillow(path)
    except ArgumentError:
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read as an image: {reason}") from error


def _read_numpy(path: Path) -> list[GreyImage]:
    """Return the image or the stack of a .npy or .npz file."""
    if path.suffix.lower() == ".npy":
        array = np.load(path, allow_pickle=False)
    else:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            names = list(archive.files)
            known = [name for name in ("labels", "images") if name in names]
            if not known and len(names) != 1:
                wanted = "hold one array, or one named 'labels' or 'images'"
                raise refuse_content(path, wanted, str(names))
            array = archive[(known or names)[0]]
    try:
        return _stack(array, str(path))
    except ArgumentError as error:
        raise error.in_source(str(path), named=False) from None


def _from_array(given: Any, plane: str, first: int) -> list[GreyImage]:
    """Return the image or the stack of an array, numbered from ``first``."""
    name = f"images[{plane!r}]"
    array = _checks.to_host(
        given, name=name, wanted="be a path, a pattern, an array or a list of them"
    )
    return [
        GreyImage(image.values, f"image {first + i} of plane {plane}")
        for i, image in enumerate(_stack(array, name))
    ]


def _stack(array: np.ndarray, name: str) -> list[GreyImage]:
    """Return one image (rows, columns), or each of a stack (n, rows, columns)."""
    if array.dtype.kind not in "buif":
        raise refuse(name, "hold real numbers", f"dtype {array.dtype}")
    shape = str(array.shape)
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
    """Return the frames of an image file, turned as its EXIF orientation requires."""
    from PIL import Image as pillow
    from PIL import ImageOps, ImageSequence

    images = []
    with pillow.open(path) as file:
        count = getattr(file, "n_frames", 1)
        for number, frame in enumerate(ImageSequence.Iterator(file)):
            source = str(path) if count == 1 else f"{path}[{number}]"
            frame = ImageOps.exif_transpose(frame)  # as every viewer shows it
            palette = frame.getpalette() if frame.mode == "P" else None
            if frame.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV") and palette is None:
                raise refuse_content(source, "hold grey values", f"colour mode {frame.mode}")
            if palette is not None and "transparency" in frame.info:
                raise refuse_content(source, "be opaque", "transparent colours")
            values = np.array(frame)
            if palette is not None:
                values = _from_palette(values, np.array(palette, dtype=np.uint8).reshape(-1, 3))
            images.append(GreyImage(_grey(values, source), source))
    return images


def _read_tiff(path: Path) -> list[GreyImage]:
    """Return all pages of a TIFF file."""
    import tifffile

    images: list[GreyImage] = []
    try:
        with tifffile_log() as messages, tifffile.TiffFile(path) as file:
            for series in file.series:
                images += _tiff_images(series, path)
    except ValueError as error:
        if "imagecodecs" in str(error):
            return _read_pillow(path)
        raise
    damage = [text for text in messages if "corrupt" in text or "invalid page offset" in text]
    if damage:
        raise refuse_content(path, "be a whole TIFF file", f"a damaged one: {damage[0]}")
    if len(images) == 1:
        return [GreyImage(images[0].values, str(path))]
    return [GreyImage(image.values, f"{path}[{i}]") for i, image in enumerate(images)]


@contextlib.contextmanager
def tifffile_log() -> Iterator[list[str]]:
    """Collect what tifffile logs rather than raises, such as missing pages of a truncated file."""
    messages: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        yield messages
    finally:
        logger.removeHandler(handler)


def _tiff_images(series: Any, path: Path) -> list[GreyImage]:
    """Return the images of one series of a TIFF file."""
    from tifffile import PHOTOMETRIC

    page = series.keyframe
    photometric = PHOTOMETRIC(page.photometric)
    if photometric == PHOTOMETRIC.MINISWHITE:
        got = "white as 0 (photometric MINISWHITE, in ImageJ an inverting LUT)"
        raise refuse_content(path, "store black as 0", got, "save it again as grey values")
    if photometric not in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.RGB, PHOTOMETRIC.PALETTE):
        raise refuse_content(path, "hold grey values", f"photometric {photometric.name}")
    values, axes = series.asarray(), series.axes
    if photometric == PHOTOMETRIC.PALETTE and page.colormap is not None:
        values = _from_palette(values, (page.colormap.T >> 8).astype(np.uint8))
    if "C" in axes and values.shape[axes.index("C")] > 1:
        got = f"{values.shape[axes.index('C')]} channels"
        raise refuse_content(path, "hold one grey value per pixel", got)
    order = [axes.index("Y"), axes.index("X")]
    if "S" in axes:
        order.append(axes.index("S"))
    values = np.moveaxis(values, order, range(values.ndim - len(order), values.ndim))
    values = values.reshape(-1, *values.shape[values.ndim - len(order) :])
    return [GreyImage(_grey(image, str(path)), str(path)) for image in values]


def _from_palette(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return the grey values of a grey palette; for a coloured one the indices, the labels."""
    used = palette[unique(indices)] if indices.max() < len(palette) else palette[:0]
    if len(used) and (used == used[:, :1]).all():
        return palette[indices, 0]
    return indices


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


def unique(values: np.ndarray) -> np.ndarray:
    """Return the sorted distinct values; counted rather than sorted for small integers."""
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return np.flatnonzero(np.bincount(values.ravel())).astype(values.dtype)
    return np.unique(values)
