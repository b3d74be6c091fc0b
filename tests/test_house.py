# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Structure of the package: imports point one way, import is light, names resolve."""

from __future__ import annotations

import ast
import graphlib
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
    "studies": 6,  # writes a page, as the demo does
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
# A result that saves or draws itself with what is built on it: the only circles between files.
FACADES = {
    ("microstructure", "io.__init__"),
    ("statistics.comparison", "statistics.figures"),
    ("diffusion.model", "diffusion.slices"),
}
HEAVY = ("torch", "scipy", "skimage", "matplotlib", "h5py", "zarr", "cupy", "PIL", "tifffile")


def binding_imports(file: Path) -> list[ast.Import | ast.ImportFrom]:
    """Return the import statements of a file, lazy ones too, but not those for types alone."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def imports_of(file: Path) -> set[str]:
    """Top-level names inside the package that a file imports, lazily or not."""
    found: set[str] = set()
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    package = parts[:-1]
    for node in binding_imports(file):
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


def files_imported_by(file: Path) -> set[str]:
    """Return the package's files, as dotted names, that a file imports but for types."""
    package = file.relative_to(PACKAGE.parent).parts[:-1]
    found = set()
    for node in binding_imports(file):
        if not isinstance(node, ast.ImportFrom) or not node.level:
            continue
        base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
        base = [part for part in base if part]
        for alias in node.names:
            for parts in ([*base, alias.name], base):
                if PACKAGE.parent.joinpath(*parts).with_suffix(".py").exists():
                    found.add(".".join(parts[1:]))
                    break
                if PACKAGE.parent.joinpath(*parts, "__init__.py").exists():
                    found.add(".".join([*parts[1:], "__init__"]))
                    break
    return found


def test_no_circle_between_files():
    graph = {}
    for file in PACKAGE.rglob("*.py"):
        name = ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
        graph[name] = {other for other in files_imported_by(file) if (name, other) not in FACADES}
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_imports_inside_the_package_are_relative():
    absolute = [
        str(file.relative_to(PACKAGE))
        for file in PACKAGE.rglob("*.py")
        for node in binding_imports(file)
        if any(
            name.split(".")[0] == "micro3d_fast"
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom) and not node.level
                else [alias.name for alias in node.names if isinstance(node, ast.Import)]
            )
        )
    ]
    assert absolute == []


def test_planes_and_axes_are_defined_once():
    """Their names stand together in no other file than _planes.py."""
    together = [{"xy", "xz", "yz"}, {"z", "y", "x"}]
    found = set()
    for folder in (PACKAGE, ROOT / "benchmarks"):
        for file in folder.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                parts: set[str] = set()
                if isinstance(node, ast.Tuple | ast.List | ast.Set):
                    parts = {str(getattr(e, "value", None)) for e in node.elts}
                elif isinstance(node, ast.Dict):
                    parts = {str(getattr(e, "value", None)) for e in node.keys}
                elif isinstance(node, ast.Constant) and node.value == "zyx":
                    parts = set(node.value)
                if parts in together:
                    found.add(str(file.relative_to(ROOT)))
    assert found == {"python/micro3d_fast/_planes.py"}


def test_public_modules_list_their_names():
    """A module without a leading underscore has __all__, a private one does not."""
    wrong = []
    for file in PACKAGE.rglob("*.py"):
        text = file.read_text(encoding="utf-8")
        private = file.name.startswith("_") and file.name != "__init__.py"
        defines = any(
            isinstance(node, ast.FunctionDef | ast.ClassDef | ast.ImportFrom | ast.Assign)
            for node in ast.parse(text).body
            if getattr(node, "module", "") != "__future__"
        )
        if defines and ("\n__all__" in text) == private:
            wrong.append(str(file.relative_to(PACKAGE)))
    assert wrong == []


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
    assert not {"Any", "TYPE_CHECKING", "annotations", "importlib"} & set(dir(m3))


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


def test_test_files_have_unique_names():
    names = [file.name for file in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(set(names)) == sorted(names)
