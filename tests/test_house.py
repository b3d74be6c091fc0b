# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The house keeps its shape: imports point one way, import is light, names resolve."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import micro3d_fast as m3

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "micro3d_fast"

# Lower may not import higher, nor siblings on one level each other. "_" modules are leaves.
LEVELS = {
    "cli": 7,
    "_demo": 6,
    "report": 5,
    "calibration": 4,
    "diffusion": 3,
    "homogenization": 3,
    "micrographs": 3,
    "synthetic": 3,
    "statistics": 2,
    "microstructure": 1,
    "io": 1,
    "ops": 0,
    "_core": -1,
}
# microstructure and io are two halves of one thing: a volume and its files
ALLOWED_SIBLINGS = {("microstructure", "io"), ("io", "microstructure")}
HEAVY = ("torch", "scipy", "skimage", "matplotlib", "h5py", "zarr", "cupy", "PIL", "tifffile")


def imports_of(file: Path) -> set[str]:
    """Top-level names inside the package that a file imports, lazily or not."""
    found: set[str] = set()
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    package = parts[:-1]
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):  # types alone do not bind
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            full = ".".join([*base, *([node.module] if node.module else [])])
            names = [f"{full}.{alias.name}" for alias in node.names]
        for name in names:
            split = name.split(".")
            if split[0] == "micro3d_fast" and len(split) > 1:
                found.add(split[1])
    return found


def test_imports_point_one_way():
    wrong = []
    for file in PACKAGE.rglob("*.py"):
        own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if own not in LEVELS:
            continue
        for other in imports_of(file) & LEVELS.keys() - {own}:
            if LEVELS[other] >= LEVELS[own] and (own, other) not in ALLOWED_SIBLINGS:
                wrong.append(f"{file.relative_to(PACKAGE)} imports {other}")
    assert wrong == []


def test_reference_is_imported_by_tests_and_benchmarks_alone():
    users = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        if file.relative_to(PACKAGE).parts[0] != "reference" and "reference" in imports_of(file)
    ]
    assert users == []


def test_only_ops_imports_the_compiled_core():
    users = {
        file.relative_to(PACKAGE).parts[0]
        for file in PACKAGE.rglob("*.py")
        if "_core" in imports_of(file)
    }
    assert users == {"ops"}


def test_import_is_light():
    code = (
        "import sys, micro3d_fast; "
        f"print([m for m in {HEAVY!r} if m in sys.modules], 'micro3d_fast._core' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[] False"


def test_every_public_name_resolves():
    for name in m3.__all__:
        assert getattr(m3, name) is not None, name
    assert set(m3.__all__) <= set(dir(m3))


def test_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="recnstruct"):
        m3.recnstruct  # noqa: B018


def test_cuda_status_is_one_sentence():
    status = m3.cuda_status()
    assert isinstance(status, str)
    assert "\n" not in status
    assert len(status) > 10


def test_every_source_file_has_its_licence():
    files = [
        file
        for folder in ("python", "csrc", "tests", "benchmarks", "scripts")
        for file in (ROOT / folder).rglob("*")
        if file.suffix in {".py", ".pyi", ".hpp", ".cpp", ".cu", ".cuh", ".inc"}
        and "third_party" not in file.parts
    ]
    assert len(files) > 40
    bare = [
        str(file.relative_to(ROOT))
        for file in files
        if "SPDX-License-Identifier: MIT" not in file.read_text(encoding="utf-8")[:200]
    ]
    assert bare == []
