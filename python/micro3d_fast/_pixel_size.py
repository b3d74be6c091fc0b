# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The pixel size that a TIFF file states: OME, ImageJ, its microscope, or its resolution tags.

ImageJ writes the pixels per unit into the resolution tags and the rest into the description, as
lines of a Java properties file: ``unit``, ``yunit`` and ``zunit`` where they differ, and
``spacing`` unless it is 1.  OME counts in micrometres unless another unit is named.  Electron
microscopes of Zeiss, FEI (Thermo Fisher) and Tescan have tags of their own.
"""

from __future__ import annotations

import html
import math
import re
import warnings
from typing import Any, NamedTuple

from ._checks import refuse_content
from ._errors import ArgumentError

_PREFIXES = {
    "": ("", 1.0), "kilo": ("k", 1e3), "deci": ("d", 1e-1), "centi": ("c", 1e-2),
    "milli": ("m", 1e-3), "micro": ("u", 1e-6), "nano": ("n", 1e-9), "pico": ("p", 1e-12),
}  # fmt: skip
_UNITS = {
    **{long + root: f for long, (_, f) in _PREFIXES.items() for root in ("meter", "metre")},
    **{short + "m": f for short, f in _PREFIXES.values()},
    "micron": 1e-6, "inch": 0.0254, "inche": 0.0254, "in": 0.0254, "thou": 25.4e-6, "mil": 25.4e-6,
    "å": 1e-10, "ångström": 1e-10, "angstrom": 1e-10,
}  # fmt: skip
_NO_LENGTH = ("", "pixel", "px", "voxel", "reference frame")
_AMBIGUOUS = ("M", "Mm", "Pm")  # mega- and petametre, or a slip of the keyboard
_TAG_UNITS = {2: ("inch", 0.0254), 3: ("cm", 0.01)}
#: Pixels per inch that programs write for printers and screens, whatever the image shows.
_PRINT = (72, 75, 90, 96, 100, 120, 144, 150, 180, 192, 200, 240, 300, 350, 360, 400, 600, 720,
          800, 1200, 1440, 2400, 4800)  # fmt: skip

#: Relative difference of two sizes that are the same; TIFF stores ratios of integers.
SAME_SIZE = 2e-3
_RESOLUTION = "TIFF resolution"
_PRINTED = 1e-5  # metres; larger pixels beside those of a microscope are those of a printer
_TESCAN = 50431

Sizes = tuple[float | None, float | None, float | None]


class PixelSize(NamedTuple):
    """The pixel size that a file states."""

    size: Sizes  # (dz, dy, dx) in metres; None is not stated
    source: str  # where it stands
    problem: str = ""  # what stands there and has no meaning as a length
    depth_problem: str = ""  # the same of the distance of the slices

    def transposed(self) -> PixelSize:
        """Return the pixel size of the image with rows and columns exchanged."""
        dz, dy, dx = self.size
        return self._replace(size=(dz, dx, dy))

    def refusal(self, path: Any) -> ArgumentError:
        """Return the error for a pixel size that has no meaning as a length."""
        got = f"{self.problem or self.depth_problem} in its {self.source}"
        wanted = "state the size of its pixels in a known unit of length"
        return refuse_content(path, wanted, got, "give `voxel_size`")

    def of_volume(self, path: Any, slices: int) -> tuple[float, float, float]:
        """Return the voxel size (dz, dy, dx) of a stack; refuse what has no meaning."""
        if self.problem or (self.depth_problem and slices > 1):
            raise self.refusal(path)
        known = next((size for size in reversed(self.size) if size), 1.0)
        dz, dy, dx = (size or known for size in self.size)
        if slices > 1 and not self.size[0]:
            warnings.warn(
                f"{path} states the size of its pixels and not the distance of its slices, which "
                f"is taken to be the same, {dz:.6g} m; give `voxel_size`",
                stacklevel=5,
            )
        return dz, dy, dx


def tiff_pixel_size(file: Any) -> PixelSize | None:
    """Return the pixel size of an open ``tifffile.TiffFile``; None if it states none."""
    page = file.pages[0]
    if file.ome_metadata:
        found = _from_ome(file.ome_metadata)
    elif page.description.startswith("ImageJ"):
        found = _from_imagej(page)
    else:
        found = _from_resolution(page)
    microscope = _from_microscope(file)
    if microscope is not None:
        found = _joined(microscope, found)
    return found if found.problem or found.depth_problem or any(found.size) else None


def metres(unit: str) -> float | None:
    """Return the metres of a unit by any of its usual names; 0 for pixels, None if unknown."""
    if unit.strip() in _AMBIGUOUS:
        return None
    name = unit.replace("Â", "")  # of UTF-8 read as Latin-1
    name = name.replace("µ", "u").replace("μ", "u").strip().lower()
    singular = name.removesuffix("s") if len(name) > 2 else name
    return 0.0 if singular in _NO_LENGTH else _UNITS.get(singular)


def _joined(microscope: PixelSize, found: PixelSize) -> PixelSize:
    """Return one of two statements about the same pixels; their contradiction as a problem."""
    own, other = microscope.size[1:], found.size[1:]
    if found.problem:
        return found
    printed = found.source == _RESOLUTION and min(size or 0.0 for size in other) > _PRINTED
    if printed or not all(other):
        return microscope._replace(size=(found.size[0], *own), depth_problem=found.depth_problem)
    if microscope.problem:
        return found
    pairs = [(a or 0.0, b or 0.0) for a, b in zip(own, other, strict=True)]
    differing = [(a, b) for a, b in pairs if not math.isclose(a, b, rel_tol=0.01)]
    if not differing:
        return microscope if found.source == _RESOLUTION else found
    got = f"pixels of {differing[0][0]:.6g} m and of {differing[0][1]:.6g} m"
    return PixelSize((None, None, None), f"{microscope.source} and {found.source}", got)


def _from_microscope(file: Any) -> PixelSize | None:
    """Return the pixel size in the tags of an electron microscope, None without such tags."""
    page = file.pages[0]
    zeiss, fei = file.sem_metadata, file.fei_metadata
    if isinstance(zeiss, dict):
        keys = ("ap_image_pixel_size", "ap_pixel_size")
        entry = next((zeiss[key][1:] for key in keys if key in zeiss), None)
        return None if entry is None else _of_microscope("Zeiss metadata", [entry, entry])
    if fei:
        scans = [fei.get(name, {}) for name in ("Scan", "EScan", "IScan")]
        scan: dict[str, Any] = next(
            (scan for scan in scans if scan.get("PixelWidth") not in (None, "")), {}
        )
        entries = [(scan[key], "m") for key in ("PixelHeight", "PixelWidth") if key in scan]
        return _of_microscope("FEI metadata", entries) if entries else None
    if _TESCAN in page.tags:
        value = page.tags[_TESCAN].value
        text = value if isinstance(value, str) else bytes(value).decode("latin-1")
        found = [re.search(rf"PixelSize{axis}=(\S+)", text) for axis in "YX"]
        entries = [(match[1], "m") for match in found if match]
        return _of_microscope("Tescan metadata", entries) if entries else None
    return None


def _of_microscope(source: str, entries: list[tuple[Any, ...]]) -> PixelSize:
    """Return the pixel size by the entries (value, unit) of its height and its width."""
    sizes = [(_positive(str(value)) or 0.0) * (metres(*unit or ("",)) or 0.0)
             for value, *unit in entries]  # fmt: skip
    if not all(sizes) or len(sizes) != 2:
        got = "pixels of " + " x ".join(" ".join(map(str, entry)) for entry in entries)
        return PixelSize((None, None, None), source, got)
    return PixelSize((None, sizes[0], sizes[1]), source)


def _from_ome(text: str) -> PixelSize:
    """Return the physical size of the pixels in OME-XML, whose header may be damaged."""
    source = "OME metadata"
    blocks = re.findall(r"<(?:\w+:)?Pixels\b([^<>]*)", text)
    images = []
    for block in blocks:
        pairs = re.findall(r"""(?<!\w)(\w+)\s*=\s*(?:"([^"]*)"|'([^']*)')""", block)
        images.append({key: html.unescape(first or second) for key, first, second in pairs})
    found: list[Sizes] = []
    problems = {axis: "" for axis in "ZYX"}
    for attributes in images:
        sizes: list[float | None] = []
        for axis in "ZYX":
            value = attributes.get(f"PhysicalSize{axis}")
            unit = attributes.get(f"PhysicalSize{axis}Unit", "µm")
            size, factor = _positive(value), metres(unit)
            without = factor is None or (factor == 0 and size != 1.0)
            if value is not None and (size is None or without):
                problems[axis] = f"PhysicalSize{axis} of {value!r} {unit!r}"
            sizes.append(size * factor if size and factor else None)
        found.append((sizes[0], sizes[1], sizes[2]))
    if any(problems.values()):
        in_plane = problems["Y"] or problems["X"]
        return PixelSize(found[0], source, in_plane, problems["Z"])
    if len(set(found)) > 1:
        return PixelSize((None, None, None), source, f"{len(set(found))} sizes of pixels")
    return PixelSize(found[0] if found else (None, None, None), source)


def _from_imagej(page: Any) -> PixelSize:
    """Return the calibration that ImageJ reads from its own description and resolution tags."""
    source = "ImageJ calibration"
    lines = (line.partition("=") for line in page.description.splitlines())
    entries = {key.strip(): _unescaped(value).strip() for key, _, value in lines}
    unit = entries.get("unit", "")
    stack = any(_positive(entries.get(key)) not in (None, 1.0) for key in ("images", "slices"))
    spacing = entries.get("spacing", "1" if stack else None)
    depth = None if spacing is None else _positive(spacing)
    if spacing is not None and re.fullmatch(r"-?0*\.?0*", spacing):
        depth = 1.0  # as ImageJ takes a spacing of 0
    names = (entries.get("zunit", unit), entries.get("yunit", unit), unit)
    factors = [metres(name) for name in names]
    for name, factor in zip(names[1:], factors[1:], strict=True):
        if factor is None:
            return PixelSize((None, None, None), source, f"the unit {name!r}")
    in_plane = [1.0 / (_resolution(page, axis) or 1.0) for axis in "YX"]
    if not any(factors[1:]):
        of_tags = _from_resolution(page, missing=1)
        if not any(of_tags.size):
            return _relative(depth, in_plane, factors[0], source)
        stated = "spacing" in entries
        return of_tags._replace(
            depth_problem=f"a spacing of {spacing!r} {names[0]!r}" if stated else ""
        )
    tag_unit = _TAG_UNITS.get(_resolution_unit(page, missing=1))
    if tag_unit is not None and not math.isclose(tag_unit[1], factors[2] or 0.0):
        if tag_unit[0] != "cm" or factors[2] != 1e-6:  # ImageJ knows this pair alone
            got = f"the unit {unit!r} beside resolutions per {tag_unit[0]}"
            return PixelSize((None, None, None), source, got)
        factors[1:] = [tag_unit[1]] * 2
    elif tag_unit is not None and not any(_from_resolution(page).size):
        return PixelSize((None, None, None), source)  # ImageJ keeps what was for a printer
    lengths = zip((depth, *in_plane), factors, strict=True)
    sizes = [length * factor if length and factor else None for length, factor in lengths]
    if not all(sizes[1:]):
        return PixelSize((None, None, None), source, f"the units {names[1]!r} and {unit!r}")
    problem = ""
    if spacing is not None and not sizes[0]:
        problem = f"a spacing of {spacing!r} {names[0]!r}"
    return PixelSize((sizes[0], sizes[1], sizes[2]), source, "", problem)


def _relative(
    depth: float | None, in_plane: list[float], unit: float | None, source: str
) -> PixelSize:
    """Return the sizes of a calibration in pixels, which mean something if all are the same."""
    nothing: Sizes = (None, None, None)
    y, x = in_plane
    if not math.isclose(y, x, rel_tol=1e-3):
        return PixelSize(nothing, source, f"pixels of {y:.6g} x {x:.6g} pixels")
    if unit is None or unit > 0 or (depth and not math.isclose(depth, x, rel_tol=1e-3)):
        shown = f"voxels of {depth:.6g} x {y:.6g} x {x:.6g} pixels (z, y, x)" if depth else ""
        return PixelSize(nothing, source, "", shown)
    return PixelSize(nothing, source)


def _from_resolution(page: Any, missing: int = 2) -> PixelSize:
    """Return the pixel size by the resolution tags, unless they are those of a printer."""
    source = _RESOLUTION
    unit = _TAG_UNITS.get(_resolution_unit(page, missing))
    y, x = (_resolution(page, axis) for axis in "YX")
    if unit is None or not x or not y or (x, y) == (1.0, 1.0):
        return PixelSize((None, None, None), source)
    per_inch = x / unit[1] * 0.0254
    if any(math.isclose(per_inch, usual, rel_tol=1e-3) for usual in _PRINT):
        return PixelSize((None, None, None), source)
    return PixelSize((None, unit[1] / y, unit[1] / x), source)


def _resolution(page: Any, axis: str) -> float | None:
    """Return the pixels per unit along an axis of the image."""
    tag = page.tags.get(f"{axis}Resolution")
    numerator, denominator = tag.value if tag is not None else (0, 1)
    return numerator / denominator if numerator and denominator else None


def _resolution_unit(page: Any, missing: int) -> int:
    tag = page.tags.get("ResolutionUnit")
    return missing if tag is None else int(tag.value)


def _positive(text: str | None) -> float | None:
    """Return the magnitude of a number, as ImageJ takes a negative spacing, or None."""
    try:
        value = abs(float(text or ""))
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _unescaped(text: str) -> str:
    r"""Return a value of a Java properties file without its escapes, such as ``\u00B5``."""

    def character(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else code

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", character, text)
