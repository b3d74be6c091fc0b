# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Types as users' checkers and editors see them."""

from __future__ import annotations

import ast
import importlib
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_type_hints

import pytest

import micro3d_fast as m3
from micro3d_fast.calibration import _calibrate
from micro3d_fast.diffusion import volumes

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "python" / "micro3d_fast"

SCRIPT = """
import numpy as np
import micro3d_fast as m3

model = m3.load_model("separator")
volume = m3.reconstruct((64, 64, 64), model, seed=1, periodic=(True, False, True))
several = m3.reconstruct((64, 64, 64), model, n=3)
images = m3.Micrographs.load({"xy": "scan/*.png"}, phases={0: 0, 255: 1}, voxel_size=1e-6)
labels = np.zeros((8, 8, 8), dtype=np.uint8)
solids = [m3.Isotropic(E=1e9, nu=0.3), m3.Isotropic(E=0)]

def stiffness(one: m3.Microstructure) -> m3.ElasticProperties:
    return m3.homogenize_elasticity(one, solids, voxel_size=(1e-6, 1e-6, 1e-6), device="cpu")

reveal_type(model)
reveal_type(volume)
reveal_type(several)
reveal_type(next(m3.reconstruct_many((8, 8, 8), model, range(2), passes=3)))
reveal_type(images)
reveal_type(m3.train(images, "run/"))
reveal_type(m3.calibrate(model, images, periodic=True))
reveal_type(m3.two_point_radial(labels > 0, 1))
reveal_type(m3.compare([volume, labels], images, max_lag=8).verdict)
reveal_type(m3.homogenize_conductivity(labels, [0.2, np.eye(3)]))
reveal_type(m3.relative_diffusivity(volume, 0, axis="z").relative)
reveal_type(m3.property_scatter(several, stiffness))
reveal_type(m3.study(model, volume, count=2, passes=3))
reveal_type(volume[:8])
reveal_type(m3.connectivity(labels))
m3.synthetic.separator((8, 8, 8), voxel_size=1e-7).save("out.vti")
"""

REVEALED = [
    "micro3d_fast.diffusion.model.Model",
    "micro3d_fast.microstructure.Microstructure",
    "list[micro3d_fast.microstructure.Microstructure]",
    "micro3d_fast.microstructure.Microstructure",
    "micro3d_fast.micrographs._micrographs.Micrographs",
    "micro3d_fast.diffusion.model.Model",
    "micro3d_fast.calibration._calibrate.Calibration",
    "micro3d_fast.statistics.two_point.RadialCorrelation",
    "micro3d_fast.statistics.verdict.Verdict | None",
    "micro3d_fast.homogenization.conduction.ConductivityProperties",
    "float",
    "micro3d_fast.homogenization.scatter.PropertyScatter",
    "micro3d_fast.studies._result.Study",
    "micro3d_fast.microstructure.Microstructure",
    "micro3d_fast.statistics.connectivity.Connectivity",
]

WRONG = """
import numpy as np
import micro3d_fast as m3

model = m3.load_model("separator")
m3.recnstruct((8, 8, 8), model)
m3.reconstruct((8, 8, 8), model, pases=3)
m3.reconstruct((8, 8, 8), model, n=2).save("volume.tif")
m3.homogenize_elasticity(np.zeros((8, 8), dtype=bool), [1.0])
"""


def check_strictly(folder: Path, *files: Path) -> str:
    """Return what ``mypy --strict`` writes of files whose author has installed the package."""
    pytest.importorskip("mypy")
    config = folder / "mypy.ini"
    config.write_text(
        "[mypy]\nno_error_summary = True\nshow_column_numbers = False\n"
        "[mypy-micro3d_fast.*]\nfollow_imports = silent\n"  # as for an installed package
        "[mypy-torch.*]\nfollow_imports = skip\n"  # 20 seconds less
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", config]
    command += ["--cache-dir", ROOT / ".mypy_cache" / "types", *files]
    environment = {**os.environ, "MYPYPATH": str(ROOT / "python")}
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, env=environment, check=False
    )
    assert not done.stderr, done.stderr
    return done.stdout


def test_scripts_of_users_pass_mypy_strict(tmp_path):
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    files = {"script.py": SCRIPT, "readme.py": block.group(1), "wrong.py": WRONG}
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    lines = check_strictly(tmp_path, *(tmp_path / name for name in files)).splitlines()
    found = {name: [line.split(name)[1] for line in lines if f"{name}:" in line] for name in files}
    assert found["readme.py"] == []
    revealed = [re.findall(r'Revealed type is "(.*)"', line) for line in found["script.py"]]
    assert [names[0] if names else None for names in revealed] == REVEALED, found["script.py"]
    errors = {line.split(":")[1] for line in found["wrong.py"] if ": error: " in line}
    assert errors == {"6", "7", "8", "9"}, found["wrong.py"]


def test_names_for_checkers_are_those_of_the_lazy_table():
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    names, modules = {}, set()
    for node in block.body:
        for alias in node.names:
            assert alias.asname == alias.name  # else it is not exported
            if node.module is None:
                modules.add(alias.name)
            else:
                names[alias.name] = node.module.split(".")[0]
    assert names == m3._PUBLIC
    assert modules == m3._MODULES


def test_editors_see_every_name_where_it_is_defined():
    """What the TYPE_CHECKING block imports is the object that the table gives."""
    tree = ast.parse((PACKAGE / "__init__.py").read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    for node in block.body:
        if node.module is not None:
            source = importlib.import_module(f"micro3d_fast.{node.module}")
            for alias in node.names:
                assert getattr(source, alias.name) is getattr(m3, alias.name)


def public_functions():
    for name in m3.__all__:
        thing = getattr(m3, name)
        members = vars(thing).items() if inspect.isclass(thing) else [(name, thing)]
        for own, member in members:
            function = getattr(member, "__func__", member)
            if inspect.isfunction(function) and (own == "__init__" or not own.startswith("_")):
                yield f"{name}.{own}", inspect.unwrap(function)


def test_no_public_argument_or_result_is_any():
    bare = [
        f"{name}: {parameter}"
        for name, function in public_functions()
        for parameter in inspect.signature(function).parameters.values()
        if parameter.annotation in ("Any", inspect.Parameter.empty)
        and parameter.name not in ("self", "cls")
        and parameter.kind is not inspect.Parameter.VAR_KEYWORD
    ]
    bare += [
        name
        for name, function in public_functions()
        if inspect.signature(function).return_annotation in ("Any", inspect.Parameter.empty)
    ]
    assert bare == []


def test_typed_options_are_the_parameters_of_reconstruct():
    signature = inspect.signature(m3.reconstruct)
    own = {"volume_shape", "model", "n", "seed", "callback", "progress"}
    assert set(volumes.SamplerOptions.__annotations__) == set(signature.parameters) - own
    allowed = set(volumes.Options.__annotations__)
    assert allowed == set(volumes.SamplerOptions.__annotations__) - set(_calibrate._CHOSEN_HERE)


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").is_file()
    assert get_type_hints(m3.cuda_status) == {"return": str}
