# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The registry of file formats, and the tables and help texts that list them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from micro3d_fast import io
from micro3d_fast.microstructure import Microstructure

pytestmark = pytest.mark.filterwarnings("ignore:.* does not hold the:UserWarning")

ROOT = Path(__file__).resolve().parents[2]
CARRIED = ("voxel size", "phase names", "provenance", "fields")
SUFFIX = re.compile(r"(?<![\w/{}*])\.(?:npy|npz|tiff?|vti|h5|hdf5|zarr|raw|inp|dream3d)\b")


def test_suffixes_are_distinct():
    suffixes = [suffix for form in io.FORMATS for suffix in form.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert tuple(suffixes) == io.WRITABLE
    assert set(io.WRITABLE) - set(io.READABLE) == {".inp"}


def test_table_of_the_documentation_is_the_registry():
    lines = io.__doc__.splitlines()
    rules = [i for i, line in enumerate(lines) if line.startswith("========")]
    starts = [match.start() for match in re.finditer("=+", lines[rules[0]])]
    ends = [*starts[1:], None]
    head, *rows = (
        [line[start:end].strip() for start, end in zip(starts, ends, strict=True)]
        for line in lines[rules[0] + 1 : rules[2]]
        if not line.startswith("=")
    )
    assert head == ["suffix", "read", "write", *CARRIED, "notes"]
    expected = []
    for form in io.FORMATS:
        columns = [form.read is not None, True, *(word in form.carries for word in CARRIED)]
        marks = ["yes" if column else "" for column in columns]
        expected.append([form.suffixes[0], *marks, form.notes])
    assert rows == expected


def test_readme_lists_every_format():
    line = next(
        line for line in (ROOT / "README.md").read_text().splitlines() if "volume.save(" in line
    )
    assert SUFFIX.findall(line.split("#")[1]) == [form.suffixes[0] for form in io.FORMATS]
    assert line.endswith(".inp is written only")


@pytest.mark.parametrize("function", [io.save, io.load])
def test_docstrings_list_every_suffix(function):
    known = io.WRITABLE if function is io.save else io.READABLE
    ending = re.search(r"Ending in ([^;]+?)[;.]\s*(?:an|\n)", function.__doc__, re.S).group(1)
    assert tuple(SUFFIX.findall(ending)) == known


def test_help_of_the_command_names_known_suffixes():
    folder = ROOT / "python" / "micro3d_fast" / "cli"
    texts = [
        text
        for file in folder.glob("*.py")
        for text in re.findall(r'help="([^"]*)"', file.read_text(encoding="utf-8"))
    ]
    named = {suffix for text in texts if "npz" in text for suffix in SUFFIX.findall(text)}
    assert named
    assert named <= set(io.WRITABLE)


@pytest.mark.parametrize("form", io.FORMATS, ids=lambda form: form.suffixes[0])
def test_a_format_carries_what_the_registry_says(tmp_path, form):
    if form.read is None:
        pytest.skip("written only")
    if form.is_directory:
        pytest.importorskip("zarr")
    labels = np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 2
    volume = Microstructure(labels, 2e-6, ("a", "b"), {"seed": 1}, {"u": labels / 2})
    got = io.load(volume.save(tmp_path / f"a{form.suffixes[0]}"))
    carried = {
        "voxel size": got.voxel_size == volume.voxel_size,
        "phase names": got.phase_names == volume.phase_names,
        "provenance": got.provenance == volume.provenance,
        "fields": bool(got.fields),
    }
    assert tuple(name for name, kept in carried.items() if kept) == form.carries
