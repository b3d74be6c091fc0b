# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Image files to 2D arrays of grey values, unchanged, and grey values to phase labels.

Nothing is guessed here: what the pixels mean is the caller's word (a value -> phase map, or a
threshold), and what has no single grey value per pixel (colours, transparency, white stored as
zero) is refused.  Decoders: Pillow for PNG, JPEG and BMP; tifffile for TIFF, with Pillow for the
compressions that tifffile cannot undo alone; numpy for .npy and .npz, never with pickle.
"""

from __future__ import annotations

import contextlib
import glob
import logging
import os
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from micro3d_fast import _checks

LOSSY = (".jpg", ".jpeg")
SUFFIXES = (".png", ".tif", ".tiff", *LOSSY, ".bmp", ".npy", ".npz")


class Image(NamedTuple):
    """Grey values of one image, as they are in its file, and the words for it."""

    values: np.ndarray  # 2D, any real dtype
    source: str


# --------------------------------------------------------------------------------------- finding


def gather(given: Any, plane: str) -> list[Image]:
    """All images of one plane from a pattern, a path, an array, or a list of these."""
    if isinstance(given, str | os.PathLike):
        return [image for path in find(given, plane) for image in read(path)]
    if isinstance(given, list | tuple):
        if not given:
            raise ValueError(f"plane {plane!r} must hold at least one image, got an empty list")
        images: list[Image] = []
        for item in given:
            if isinstance(item, str | os.PathLike):
                images.extend(image for path in find(item, plane) for image in read(path))
            else:
                images.extend(_from_array(item, plane, first=len(images)))
        return images
    return _from_array(given, plane, first=0)


def find(pattern: str | os.PathLike[str], plane: str) -> list[Path]:
    """Files of a path or glob pattern in natural order: ``2.png`` before ``10.png``."""
    path = _checks.path(pattern, name=f"images[{plane!r}]")
    if path.is_dir():
        raise ValueError(f"plane {plane!r}: {path} is a directory; give {path}/*.png")
    if path.exists():
        return [path]
    found = [Path(name) for name in glob.glob(str(path), recursive=True)]
    found = sorted((name for name in found if name.is_file()), key=natural_key)
    if not found:
        raise FileNotFoundError(f"plane {plane!r}: no file matches {path}")
    return found


def natural_key(path: Path) -> tuple[Any, ...]:
    """Digits compare as numbers, the rest as text; ties by the plain text."""
    parts = re.split(r"(\d+)", str(path))
    return tuple(int(p) if i % 2 else p for i, p in enumerate(parts)), str(path)


# --------------------------------------------------------------------------------------- reading


def read(path: Path) -> list[Image]:
    """All images of a file."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"{path} must end in one of {', '.join(SUFFIXES)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # decompression bombs, odd tags: the pixels decide
            if suffix == ".npy":
                return _stack(np.load(path, allow_pickle=False), str(path))
            if suffix == ".npz":
                return _stack(_only_array(path), str(path))
            if suffix in (".tif", ".tiff"):
                return _read_tiff(path)
            return _read_pillow(path)
    except _Refused as error:
        raise ValueError(str(error)) from None
    except Exception as error:
        words = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{path} cannot be read as an image: {words}") from error


class _Refused(ValueError):
    """The file was understood, but its content is not one grey value per pixel."""


def _only_array(path: Path) -> np.ndarray:
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
        names = list(archive.files)
        for name in ("labels", "images", *(names if len(names) == 1 else ())):
            if name in names:
                return archive[name]
    raise _Refused(f"{path} must hold one array, or one named 'labels' or 'images', got {names}")


def _from_array(given: Any, plane: str, first: int) -> list[Image]:
    name = f"images[{plane!r}]"
    array = _checks.to_host(
        given, name=name, wanted="be a path, a pattern, an array or a list of them"
    )
    try:
        images = _stack(array, f"`{name}`")
    except _Refused as error:
        raise ValueError(str(error)) from None
    return [
        Image(image.values, f"image {first + i} of plane {plane}") for i, image in enumerate(images)
    ]


def _stack(array: np.ndarray, name: str) -> list[Image]:
    """One image (rows, columns), or a stack (n, rows, columns)."""
    if array.dtype.kind not in "buif":
        raise _Refused(f"{name} must hold real numbers, got dtype {array.dtype}")
    if array.ndim not in (2, 3):
        raise _Refused(
            f"{name} must have shape (rows, columns) or (n, rows, columns), got {array.shape}"
        )
    if array.size == 0:
        raise _Refused(f"{name} must not be empty, got shape {array.shape}")
    if array.ndim == 3 and array.shape[2] in (3, 4) and min(array.shape[:2]) > 4:
        raise _Refused(
            f"{name} must be a stack (n, rows, columns), got {array.shape}, which looks like "
            "a colour image (rows, columns, channels)"
        )
    if array.ndim == 2:
        return [Image(array, name)]
    return [Image(image, f"{name}[{i}]") for i, image in enumerate(array)]


def _read_pillow(path: Path) -> list[Image]:
    from PIL import Image as pillow
    from PIL import ImageOps, ImageSequence

    images = []
    with pillow.open(path) as file:
        count = getattr(file, "n_frames", 1)
        for number, frame in enumerate(ImageSequence.Iterator(file)):  # one object, moved on
            source = str(path) if count == 1 else f"{path}[{number}]"
            frame = ImageOps.exif_transpose(frame)  # as every viewer shows it
            palette = frame.getpalette() if frame.mode == "P" else None
            if frame.mode in ("P", "PA", "CMYK", "YCbCr", "LAB", "HSV") and palette is None:
                raise _Refused(f"{source} must hold grey values, got colour mode {frame.mode}")
            if palette is not None and "transparency" in frame.info:
                raise _Refused(f"{source} must be opaque, got transparent colours")
            values = np.array(frame)
            if palette is not None:
                values = _from_palette(values, np.array(palette, dtype=np.uint8).reshape(-1, 3))
            images.append(Image(_grey(values, source), source))
    return images


def _read_tiff(path: Path) -> list[Image]:
    import tifffile

    try:
        with complaints() as heard, tifffile.TiffFile(path) as file:
            images: list[Image] = []
            for series in file.series:
                page = series.keyframe
                photometric = tifffile.PHOTOMETRIC(page.photometric)
                if photometric == tifffile.PHOTOMETRIC.MINISWHITE:
                    raise _Refused(
                        f"{path} must store black as 0, got white as 0 (photometric "
                        "MINISWHITE, in ImageJ an inverting LUT); save it again as grey values"
                    )
                if photometric not in (
                    tifffile.PHOTOMETRIC.MINISBLACK,
                    tifffile.PHOTOMETRIC.RGB,
                    tifffile.PHOTOMETRIC.PALETTE,
                ):
                    raise _Refused(
                        f"{path} must hold grey values, got photometric {photometric.name}"
                    )
                values, axes = series.asarray(), series.axes
                if photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
                    values = _from_palette(values, (page.colormap.T >> 8).astype(np.uint8))
                images.extend(_tiff_images(values, axes, str(path)))
    except ValueError as error:
        if "imagecodecs" in str(error):
            return _read_pillow(path)
        raise
    damage = [text for text in heard if "corrupt" in text or "invalid page offset" in text]
    if damage:
        raise _Refused(f"{path} must be a whole TIFF file, got a damaged one: {damage[0]}")
    if len(images) == 1:
        return [Image(images[0].values, str(path))]
    return [Image(image.values, f"{path}[{i}]") for i, image in enumerate(images)]


@contextlib.contextmanager
def complaints() -> Iterator[list[str]]:
    """What tifffile logs rather than raises, such as the missing pages of a truncated file."""
    heard: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("tifffile")
    logger.addHandler(handler)
    try:
        yield heard
    finally:
        logger.removeHandler(handler)


def _tiff_images(values: np.ndarray, axes: str, source: str) -> list[Image]:
    if "C" in axes and values.shape[axes.index("C")] > 1:
        channels = values.shape[axes.index("C")]
        raise _Refused(f"{source} must hold one grey value per pixel, got {channels} channels")
    order = [axes.index("Y"), axes.index("X")]
    if "S" in axes:
        order.append(axes.index("S"))
    values = np.moveaxis(values, order, range(values.ndim - len(order), values.ndim))
    values = values.reshape(-1, *values.shape[values.ndim - len(order) :])
    return [Image(_grey(image, source), source) for image in values]


def _from_palette(indices: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Grey values of a grey palette; of a coloured one the indices, which are the labels."""
    used = palette[unique(indices)] if indices.max() < len(palette) else palette[:0]
    if len(used) and (used == used[:, :1]).all():
        return palette[indices, 0]
    return indices


def _grey(values: np.ndarray, source: str) -> np.ndarray:
    """One channel of an image whose colour channels agree and whose alpha is opaque."""
    if values.ndim == 2:
        grey = values
    else:
        if values.ndim != 3 or values.shape[2] > 4:
            raise _Refused(f"{source} must be a 2D image, got shape {values.shape}")
        if values.shape[2] in (2, 4):
            alpha = values[..., -1]
            opaque = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "ui" else 1.0
            if (alpha != opaque).any():
                raise _Refused(f"{source} must be opaque, got an alpha channel that is not")
            values = values[..., :-1]
        grey = values[..., 0]
        if (values != grey[..., None]).any():
            raise _Refused(
                f"{source} must hold grey values or labels, got colours; convert it to one "
                "value per pixel first"
            )
    if grey.dtype.kind not in "buif" or grey.size == 0:
        raise _Refused(f"{source} must hold real grey values, got {grey.dtype} {grey.shape}")
    return grey


# ------------------------------------------------------------------------------- values to phases


def label_images(
    planes: Mapping[str, list[Image]],
    phases: Any,
    threshold: Any,
    n_phases: Any,
) -> tuple[dict[str, list[np.ndarray]], int]:
    """Labels of every image by one rule for all planes, and the number of phases."""
    everything = [image for images in planes.values() for image in images]
    for image in everything:
        if image.values.dtype.kind == "f" and not np.isfinite(image.values).all():
            raise ValueError(f"{image.source} must hold finite grey values, got NaN or infinity")
    if threshold is not None:
        count, to_labels = _threshold_rule(everything, phases, threshold, n_phases)
    elif phases is None:
        if not all(image.values.dtype == np.bool_ for image in everything):
            raise ValueError(
                "`phases` (a map such as {0: 0, 255: 1}, or 'labels') or `threshold` must be "
                f"given: what the grey values {_values_text(everything)} mean is not guessed"
            )
        count, to_labels = 2, lambda image: image.values.astype(np.uint8)
    elif isinstance(phases, str):
        _checks.choice(phases, ("labels",), name="phases")
        count, to_labels = _labels_rule(everything)
    else:
        count, to_labels = _map_rule(phases)
    if n_phases is not None:
        wanted = _checks.integer(n_phases, name="n_phases", minimum=1, maximum=256)
        if wanted != count:
            raise ValueError(f"`n_phases` must be the number of phases, {count}, got {wanted}")
    labels = {plane: [to_labels(i) for i in images] for plane, images in planes.items()}
    return labels, count


def _map_rule(phases: Any) -> Any:
    if not isinstance(phases, Mapping):
        raise TypeError(
            "`phases` must be a map of grey value to phase or 'labels', "
            f"got {type(phases).__name__}"
        )
    table, count = _phase_table(phases)
    keys = np.array(sorted(table), dtype=np.float64)
    targets = np.array([table[key] for key in sorted(table)], dtype=np.uint8)

    def to_labels(image: Image) -> np.ndarray:
        values = image.values
        if values.dtype == np.bool_:  # one-bit images: white is 1, or 255 if the map says so
            values = values.astype(np.uint8) * (1 if set(table) <= {0.0, 1.0} else 255)
        found = unique(values)
        position = np.searchsorted(keys, found).clip(max=len(keys) - 1)
        known = keys[position] == found
        if not known.all():
            unknown = found[~known]
            advice = (
                "JPEG compression blurs labels: give a `threshold` instead, or lossless images"
                if image.source.lower().endswith(LOSSY)
                else "give each of them a phase"
            )
            raise ValueError(
                f"{image.source} must hold only the grey values {_list(keys)} of `phases`, "
                f"got also {_list(unknown)}; {advice}"
            )
        if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
            table_of_all = np.zeros(int(found[-1]) + 1, dtype=np.uint8)
            table_of_all[found] = targets[position]
            return table_of_all[values]
        return targets[position][np.searchsorted(found, values)]

    return count, to_labels


def unique(values: np.ndarray) -> np.ndarray:
    """Sorted distinct values; counted instead of sorted where there can be few."""
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return np.flatnonzero(np.bincount(values.ravel())).astype(values.dtype)
    return np.unique(values)


def _phase_table(phases: Mapping[Any, Any]) -> tuple[dict[float, int], int]:
    """Value to phase, and the number of phases, which must be 0 ... P-1 without a gap."""
    if not phases:
        raise ValueError("`phases` must map at least one grey value, got an empty map")
    table: dict[float, int] = {}
    for key, phase in phases.items():
        value = (
            float(key)
            if isinstance(key, bool | np.bool_)
            else _checks.real(key, name="key of phases")
        )
        table[value] = _checks.phase_number(phase, name=f"phases[{key!r}]")
    used = set(table.values())
    if used != set(range(len(used))):
        raise ValueError(
            f"`phases` must lead to the phases 0 ... P-1 without a gap, got {sorted(used)}"
        )
    return table, len(used)


def _labels_rule(everything: Sequence[Image]) -> Any:
    used: set[int] = set()
    for image in everything:
        values = unique(image.values)
        if (
            (values != np.floor(values.astype(np.float64))).any()
            or values[0] < 0
            or values[-1] > 255
        ):
            raise ValueError(f"{image.source} must hold labels 0 ... 255, got {_list(values)}")
        used.update(int(value) for value in values)
    lossy = [image.source for image in everything if image.source.lower().endswith(LOSSY)]
    if lossy:
        warnings.warn(
            f"`phases`='labels' takes all {len(used)} grey values of {lossy[0]} and others for "
            "phases, but JPEG compression blurs labels",
            stacklevel=2,
        )
    if used != set(range(len(used))):
        example = {value: phase for phase, value in enumerate(sorted(used)[:4])}
        raise ValueError(
            f"`phases`='labels' needs phases 0 ... P-1 without a gap, got {_list(sorted(used))}; "
            f"give a map such as {example}{' with all of them' if len(used) > 4 else ''}"
        )
    return len(used), lambda image: image.values.astype(np.uint8)


def _threshold_rule(everything: list[Image], phases: Any, threshold: Any, n_phases: Any) -> Any:
    if isinstance(threshold, str):
        cuts = _otsu(everything, threshold, n_phases)
    else:
        given = threshold if _is_sequence(threshold) else [threshold]
        cuts = np.array([_checks.real(cut, name="threshold") for cut in given])
        if len(cuts) == 0 or len(cuts) > 255 or (np.diff(cuts) <= 0).any():
            raise ValueError(
                f"`threshold` must hold numbers in increasing order, got {cuts.tolist()}"
            )
    classes = len(cuts) + 1
    order, count = np.arange(classes, dtype=np.uint8), classes
    if phases is not None:
        if not isinstance(phases, Mapping):
            raise TypeError(
                "`phases` must be a map of class (0 is darkest) to phase where `threshold` is "
                f"given, got {phases!r}"
            )
        table, count = _phase_table(phases)
        if set(table) != set(range(classes)):
            raise ValueError(
                f"`phases` must map the classes 0 ... {classes - 1}, darkest first, where "
                f"`threshold` is given, got {_list(sorted(table))}"
            )
        order = np.array([table[c] for c in range(classes)], dtype=np.uint8)

    def to_labels(image: Image) -> np.ndarray:
        return order[np.digitize(_grey_values(image), cuts, right=True)]

    present = set()
    for image in everything:
        present.update(unique(to_labels(image)).tolist())
    if len(present) < count:
        absent = sorted(set(range(count)) - present)
        raise ValueError(
            f"`threshold` must lie among the grey values, {_values_text(everything)}, "
            f"got {_list(cuts)}, which leaves phase {absent[0]} without a pixel"
        )
    return count, to_labels


def _otsu(everything: list[Image], method: str, n_phases: Any) -> np.ndarray:
    """Thresholds of the histogram of all images of all planes together."""
    from skimage.filters import threshold_multiotsu, threshold_otsu

    _checks.choice(method, ("otsu", "multi-otsu"), name="threshold")
    dtypes = {image.values.dtype for image in everything}
    if len(dtypes) > 1:
        names = ", ".join(sorted(map(str, dtypes)))
        raise ValueError(f"`threshold`={method!r} needs images of one dtype, got {names}")
    if method == "otsu":
        if n_phases not in (None, 2):
            raise ValueError(f"`n_phases` must be 2 for `threshold`='otsu', got {n_phases!r}")
        classes = 2
    else:
        if n_phases is None:
            raise ValueError("`threshold`='multi-otsu' needs `n_phases`, got None")
        classes = _checks.integer(n_phases, name="n_phases", minimum=2, maximum=8)
    low = min(float(_grey_values(image).min()) for image in everything)
    high = max(float(_grey_values(image).max()) for image in everything)
    whole = dtypes.pop().kind in "bui" and high - low < 256
    bins = int(high - low) + 1 if whole else 256
    edges = np.linspace(low - 0.5, high + 0.5, bins + 1) if whole else np.linspace(low, high, 257)
    counts = np.zeros(bins, dtype=np.int64)
    for image in everything:
        counts += np.histogram(_grey_values(image), bins=edges)[0]
    if np.count_nonzero(counts) < classes:
        raise ValueError(
            f"`threshold`={method!r} needs at least {classes} grey values, "
            f"got only {_values_text(everything)}"
        )
    centres = (edges[:-1] + edges[1:]) / 2
    if classes == 2:
        return np.array([threshold_otsu(hist=(counts, centres))], dtype=np.float64)
    return np.asarray(threshold_multiotsu(hist=(counts, centres), classes=classes), np.float64)


def _grey_values(image: Image) -> np.ndarray:
    return image.values.astype(np.uint8) * 255 if image.values.dtype == np.bool_ else image.values


# ------------------------------------------------------------------------------------------ words


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Iterable) and getattr(value, "shape", None) != ()


def _list(values: Iterable[Any], most: int = 6) -> str:
    values = [f"{float(value):.6g}" for value in values]
    if len(values) <= most:
        return ", ".join(values)
    return f"{', '.join(values[: most - 1])}, ... ({len(values)} values)"


def _values_text(everything: Iterable[Image]) -> str:
    values: set[float] = set()
    for image in everything:
        values.update(unique(image.values).tolist())
    if len(values) <= 6:
        return _list(sorted(values))
    return f"{float(min(values)):.6g} ... {float(max(values)):.6g}"
