# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Read damaged copies of valid files of every format.

    python tests/io/fuzz_files.py [--count 200] [--seed 18] [--first 0] [--keep FOLDER] [FORMAT ...]

Every damaged file must give the right labels, where its format has checksums, or be refused by a
ValueError, TypeError or FileNotFoundError of one short sentence, within 2 seconds of the processor
and 300 MB.  File number n of a format is a function of the seed and n alone; ``--keep`` stores
those that fail.  Each has one fault, every fourth several; with several faults labels are not
compared, since one may remove the checksum that notices the other.
"""

from __future__ import annotations

import argparse
import contextlib
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import tifffile
from PIL import Image

import micro3d_fast as m3
from micro3d_fast import io
from micro3d_fast.homogenization import load_materials

LABELS = np.random.default_rng(18).integers(0, 3, (6, 7, 8)).astype(np.uint8)
VOLUME = m3.Microstructure(
    LABELS,
    (2e-6, 1e-6, 1e-6),
    ("pore", "fibre", "matrix"),
    {"seed": 3, "settings": {"harmonize": [1, 2, 0], "gamma": 0.5}},
)
WITH_FIELD = m3.Microstructure(LABELS, fields={"x": LABELS.astype(np.float32)})
SECONDS, BYTES = 2.0, 300 << 20
ADDRESS_SPACE = 2 << 30  # bytes beyond those in use when the readers are loaded


def one_slice(path: Path) -> np.ndarray:
    """Return the values of an image, by the reader of micrographs."""
    return m3.Micrographs.load({"xy": path}, phases={0: 0, 1: 1, 2: 2}).images["xy"][0]


def two_pieces(path: Path) -> None:
    """Write VTK with numbers in text, in two pieces."""
    parts = "".join(
        f'<Piece Extent="0 8 0 7 {z} {z + 3}"><CellData><DataArray type="UInt8" Name="labels" '
        f'format="ascii">{" ".join(map(str, LABELS[z : z + 3].ravel()))}</DataArray></CellData>'
        "</Piece>"
        for z in (0, 3)
    )
    path.write_text(
        '<VTKFile type="ImageData" byte_order="LittleEndian"><ImageData WholeExtent="0 8 0 7 0 6" '
        f'Spacing="1 1 1">{parts}</ImageData></VTKFile>'
    )


def appended(path: Path) -> None:
    """Write VTK with plain bytes at its end."""
    head = (
        '<VTKFile type="ImageData" byte_order="LittleEndian" header_type="UInt32"><ImageData '
        'WholeExtent="0 8 0 7 0 6" Spacing="1 1 1"><Piece Extent="0 8 0 7 0 6"><CellData>'
        '<DataArray type="UInt8" Name="labels" format="appended" offset="0"/></CellData></Piece>'
        '</ImageData><AppendedData encoding="raw">_'
    )
    data = np.uint32(LABELS.nbytes).tobytes() + LABELS.tobytes()
    path.write_bytes(head.encode() + data + b"</AppendedData></VTKFile>")


def foreign_h5(path: Path) -> None:
    """Write HDF5 as other programs do, in chunks and with an attribute."""
    with h5py.File(path, "w") as file:
        made = file.create_dataset("data/seg", data=LABELS, chunks=(3, 7, 8), compression="lzf")
        made.attrs["element_size_um"] = [1.0, 1.0, 1.0]


def ome(path: Path) -> None:
    """Write OME-TIFF in compressed tiles."""
    metadata = {"axes": "ZYX", "PhysicalSizeX": 1.0, "PhysicalSizeXUnit": "nm"}
    options = {"tile": (16, 16), "compression": "zlib", "photometric": "minisblack"}
    tifffile.imwrite(path, LABELS, ome=True, metadata=metadata, **options)


MATERIALS = """name: composite  # two phases
stress_unit: Pa
phases:
  - name: matrix
    elastic: {type: isotropic, E: 4.0e+9, nu: 0.35, alpha: 55.0e-6}
    conductivity: 0.2
  - name: "fibre"
    elastic:
      type: transversely isotropic
      axis: z
      E_axial: 230.0e+9
      E_transverse: 15.0e+9
      G_axial: 15.0e+9
      nu_axial: 0.2
      nu_transverse: 0.3
    conductivity: [1, 2.5, 3]
"""
MATERIALS_JSON = '{"phases": [{"elastic": {"type": "isotropic", "E": 4e9, "nu": 0.35}}, ' + (
    '{"name": "p\\u00e9", "elastic": {"type": "isotropic", "E": 0}}]}'
)


class Target(NamedTuple):
    """A format: how a valid file is written and read, and whether damage to its values shows."""

    name: str
    write: Callable[[Path], Any]
    read: Callable[[Path], Any]
    right: np.ndarray | None = None  # None: the format has no checksum


def volume(path: Path) -> np.ndarray:
    return io.load(path).labels


def image(**options: Any) -> Callable[[Path], None]:
    return lambda path: Image.fromarray(LABELS[0]).save(path, **options)


TARGETS = {
    "npz": Target("a.npz", WITH_FIELD.save, volume, LABELS),
    "tif": Target("a.tif", VOLUME.save, volume, LABELS),
    "vti": Target("a.vti", WITH_FIELD.save, volume, LABELS),
    "h5": Target("a.h5", WITH_FIELD.save, volume, LABELS),
    "zarr": Target("a.zarr", WITH_FIELD.save, volume, LABELS),
    "raw": Target("a.raw", VOLUME.save, volume, LABELS),
    "png": Target("a.png", image(), one_slice, LABELS[0]),
    "npy": Target("a.npy", lambda path: np.save(path, LABELS), volume),
    "ome": Target("a.ome.tif", ome, volume),
    "vti-text": Target("a.vti", two_pieces, volume),
    "vti-appended": Target("a.vti", appended, volume),
    "h5-foreign": Target("a.h5", foreign_h5, volume),
    "bmp": Target("a.bmp", image(), one_slice),
    "jpg": Target("a.jpg", image(quality=95), one_slice),
    "yaml": Target("m.yaml", lambda path: path.write_text(MATERIALS), load_materials),
    "json": Target("m.json", lambda path: path.write_text(MATERIALS_JSON), load_materials),
}
VALUES = [b"\0", b"\xff", b"\x7f", b"\xff" * 4, b"\0" * 4, b"\xff\xff\xff\x7f", b"\xff" * 8,
          b"\0\0\0\x80", b"<", b'"', b"9" * 12, b"-1", b"[" * 200, b"&a ", b"*a", b"{", b"nan",
          b"1e999", b"\n", b"0x"]  # fmt: skip


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return a copy with one fault."""
    data, n = bytearray(content), len(content)
    at, length = int(rng.integers(0, n)), int(rng.integers(1, 1 + min(n, 64)))
    fault = rng.integers(0, 10)
    if fault < 3:
        data[at] ^= 1 << int(rng.integers(0, 8))
    elif fault == 3:
        data[at] = int(rng.integers(0, 256))
    elif fault == 4:
        value = VALUES[rng.integers(0, len(VALUES))]
        data[at : at + len(value)] = value
    elif fault == 5:
        data[at:at] = VALUES[rng.integers(0, len(VALUES))]
    elif fault == 6:
        del data[at : at + length]
    elif fault == 7:
        data[at:at] = data[at : at + length] * int(rng.choice((1, 2, 1000)))
    elif fault == 8:
        other = int(rng.integers(0, n))
        data[at : at + length] = data[other : other + length]
    else:
        del data[at:]
    return bytes(data)


def damage(path: Path, rng: np.random.Generator, faults: int) -> None:
    """Damage a file, or files of a directory or with a sidecar."""
    files = sorted(file for file in path.parent.rglob("*") if file.is_file())
    for _ in range(faults):
        file = files[rng.integers(0, len(files))]
        file.write_bytes(damaged(file.read_bytes() or b"\0", rng))


def fault_of(target: Target, path: Path, compare: bool) -> str:
    """Return what is wrong about reading a file, empty if nothing is."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    signal.setitimer(signal.ITIMER_REAL, 60)  # seconds of the clock, if it waits
    try:
        found = target.read(path)
    except (ValueError, TypeError, FileNotFoundError) as error:
        text = str(error)
        if isinstance(error, UnicodeError) or len(text) > 800 or len(text.splitlines()) != 1:
            return f"{type(error).__name__} of {len(text)} characters: {text[:200]!r}"
    except BaseException as error:
        return f"foreign {type(error).__name__}: {str(error)[:200]!r}"
    else:
        if compare and not np.array_equal(found, target.right):
            return "wrong labels without a word"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    seconds = time.process_time() - start
    taken = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    if seconds > SECONDS or taken > BYTES:
        return f"{seconds:.1f} s and {taken >> 20} MB"
    return ""


class Endless(BaseException):
    """Reading takes too long."""


def stop(*_: Any) -> None:
    raise Endless("stopped")


def run(name: str, seed: int, numbers: range, keep: Path | None = None) -> int:
    """Read the damaged files of these numbers; print and count those not dealt with rightly."""
    target, failed = TARGETS[name], 0
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole")
        whole.mkdir()
        target.write(whole / target.name)
        if target.right is not None:
            np.testing.assert_array_equal(target.read(whole / target.name), target.right)
        for number in numbers:
            rng = np.random.default_rng([seed, zlib.crc32(name.encode()), number])
            several = number % 4 == 3
            place = Path(folder, "damaged")
            shutil.copytree(whole, place)
            damage(place / target.name, rng, int(rng.integers(2, 6)) if several else 1)
            print(f"{name} {number}", end="\r", file=sys.stderr, flush=True)  # if it crashes
            fault = fault_of(target, place / target.name, target.right is not None and not several)
            if fault:
                failed += 1
                print(f"{name}, seed {seed}, number {number}: {fault}", flush=True)
                if keep is not None:
                    shutil.copytree(place, keep / f"{name}-{seed}-{number}", dirs_exist_ok=True)
            shutil.rmtree(place)
    print(f"{name}: {len(numbers)} files, seed {seed}, {failed} failed", flush=True)
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("formats", nargs="*", default=list(TARGETS), metavar="FORMAT")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, stop)
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    with contextlib.suppress(ValueError):  # where the limit is lower already
        resource.setrlimit(resource.RLIMIT_AS, (in_use + ADDRESS_SPACE,) * 2)
    numbers = range(given.first, given.first + given.count)
    return min(sum(run(name, given.seed, numbers, given.keep) for name in given.formats), 1)


if __name__ == "__main__":
    sys.exit(main())
