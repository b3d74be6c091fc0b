# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Build the package with CUDA for this GPU into DIR/site, without network, or carry it there."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from .job import Job, gpu_info


class Refused(ValueError):
    """A package was carried that cannot be used."""


def run(job: Job) -> None:
    if job.rehearse:
        job.step("package", package, job)
        return
    if is_carried(job.chosen):
        job.step("import", imports, job)
        return
    job.step("tools", tools, job)
    job.step("package", build, job, expect=60)
    job.step("resources", resources, job)
    job.step("import", imports, job)


def tools(job: Job) -> None:
    """Print the tools to build with."""
    for name in ("cmake", "ninja", "nvcc", "c++"):
        path = shutil.which(name)
        printed = ""
        if path is not None:
            printed = subprocess.run([path, "--version"], capture_output=True, text=True).stdout
        line = [text for text in printed.splitlines() if re.search(r"\d+\.\d+", text)]
        print(f"{name}: {path} {line[0] if line else ''}")
    for module in ("scikit_build_core", "pybind11", "pip", "torch", "cupy"):
        print(f"{module}: {'found' if importlib.util.find_spec(module) else 'absent'}")
    missing = [name for name in ("cmake", "nvcc") if shutil.which(name) is None]
    if missing or importlib.util.find_spec("pybind11") is None:
        raise RuntimeError(f"{', '.join(missing) or 'pybind11'} must be there to build with CUDA")


def architecture(job: Job) -> str:
    """Return the architecture to build for: this GPU's, as machine code only."""
    return job.chosen.arch or gpu_info()["capability"].replace(".", "") + "-real"


def definitions(job: Job) -> dict[str, str]:
    """Return the CMake variables of the build."""
    return {
        "MICRO3D_CUDA": "ON",
        "CMAKE_CUDA_ARCHITECTURES": architecture(job),
        # registers and spills into the log, source lines for the sanitizer and the profiler
        "CMAKE_CUDA_FLAGS": "-Xptxas=-v -lineinfo",
        "CMAKE_BUILD_TYPE": "Release",
    }


def build(job: Job) -> None:
    """Build by pip and scikit-build-core if installed, else by CMake alone."""
    shutil.rmtree(job.out / "site", ignore_errors=True)
    have = all(importlib.util.find_spec(name) for name in ("pip", "scikit_build_core"))
    attempts = [by_pip, by_cmake] if have else [by_cmake]
    for attempt in attempts:
        try:
            attempt(job)
            break
        except subprocess.CalledProcessError as error:
            if attempt is attempts[-1]:
                raise
            print(f"{attempt.__name__} failed ({error}); trying CMake alone", flush=True)


def by_pip(job: Job) -> None:
    command = [sys.executable, "-m", "pip", "install", "--verbose"]
    command += ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check"]
    command += ["--no-compile", "--upgrade", "--target", str(job.out / "site")]
    command += ["-C", f"build-dir={job.out / 'build'}"]
    for name, value in definitions(job).items():
        if name == "CMAKE_BUILD_TYPE":
            continue  # a setting of scikit-build-core, Release by default
        command += ["-C", f"cmake.define.{name}={value}"]
    execute(job, [*command, str(job.root)])


def by_cmake(job: Job) -> None:
    folder, site = job.out / "build-cmake", job.out / "site"
    import pybind11

    command = ["cmake", "-S", str(job.root), "-B", str(folder)]
    command += ["-G", "Ninja"] if shutil.which("ninja") else []
    more = {
        "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(),
        "SKBUILD_PROJECT_VERSION": "0",
    }
    command += [f"-D{name}={value}" for name, value in {**definitions(job), **more}.items()]
    execute(job, command)
    execute(job, ["cmake", "--build", str(folder), "--verbose", "--parallel", str(os.cpu_count())])
    shutil.copytree(
        job.root / "python" / "micro3d_fast",
        site / "micro3d_fast",
        ignore=shutil.ignore_patterns("__pycache__", "*.so"),
    )
    execute(job, ["cmake", "--install", str(folder), "--prefix", str(site)])


def execute(job: Job, command: list[str]) -> None:
    print("+", " ".join(command), flush=True)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    env["CMAKE_BUILD_PARALLEL_LEVEL"] = str(os.cpu_count())
    with (job.out / "build.txt").open("a") as file:
        subprocess.run(
            command,
            check=True,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=env,
            timeout=job.time_left,
        )


def resources(job: Job) -> None:
    """Print registers and spills of every kernel, from the output of ptxas."""
    table = ptxas_table((job.out / "build.txt").read_text())
    for name, use in sorted(table.items()):
        print(f"{name:76.76s} {use}")
    spilling = [name for name, use in table.items() if use["spill"] > 0]
    print(f"{len(table)} kernels, {len(spilling)} spill registers to memory")


def ptxas_table(text: str) -> dict[str, dict[str, int]]:
    """Return registers, stack, spilled and static shared bytes of each kernel."""
    table: dict[str, dict[str, int]] = {}
    name = ""
    for line in text.splitlines():
        if found := re.search(r"Compiling entry function '(\S+)'", line):
            name = demangled(found[1])
            table[name] = {"registers": 0, "stack": 0, "spill": 0, "shared": 0}
        elif name and (
            found := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores", line)
        ):
            table[name] |= {"stack": int(found[1]), "spill": int(found[2])}
        elif name and (found := re.search(r"Used (\d+) registers", line)):
            shared = re.search(r"(\d+) bytes smem", line)
            table[name] |= {"registers": int(found[1]), "shared": int(shared[1]) if shared else 0}
            name = ""
    return table


def demangled(symbol: str) -> str:
    tool = shutil.which("c++filt") or shutil.which("cu++filt")
    if tool is None:
        return symbol
    name = subprocess.run([tool, symbol], capture_output=True, text=True).stdout.strip()
    name = re.sub(r"\(anonymous namespace\)::|micro3d::|^void ", "", name)
    return re.sub(r"\(.*$", "", name) or symbol


#: text of site/sitecustomize.py, which Python runs when it starts
SHIELD = """# The package beside this file comes before an editable installation of it.
import sys

sys.meta_path = [f for f in sys.meta_path if "ScikitBuild" not in type(f).__name__]
"""
CHECK = """
import micro3d_fast as m3, micro3d_fast._core as c
print(m3.__file__, m3.cuda_status())
assert c.BUILT_WITH_CUDA, "it was built without CUDA"
"""


def imports(job: Job) -> None:
    """Import the built package in a new process."""
    check(job.out / "site")


def check(site: Path) -> None:
    """Raise unless a new process imports the package of a folder, built with CUDA."""
    (site / "sitecustomize.py").write_text(SHIELD)
    env = dict(os.environ, PYTHONPATH=str(site))
    process = subprocess.run(
        [sys.executable, "-c", CHECK], env=env, cwd=site, capture_output=True, text=True
    )
    print(process.stdout + process.stderr)
    if process.returncode or str(site) not in process.stdout:
        raise RuntimeError(f"the built package does not import: {process.stderr.strip()[-300:]}")


# ----------------------------------------------------------------------------------- a carried one


def is_carried(chosen: Any) -> bool:
    """Return whether a package built beforehand was given."""
    return bool(chosen.site or chosen.wheel)


def carry(chosen: Any, root: Path) -> None:
    """Put the compiled core that was carried, beside the Python files of the checkout, into site.

    Raises
    ------
    Refused
        It is of another version, not built with CUDA, or cannot be imported here.
    """
    if not is_carried(chosen) or chosen.rehearse:
        return
    source, ours = chosen.site or chosen.wheel, root / "python" / "micro3d_fast"
    with tempfile.TemporaryDirectory() as scratch:
        folder = chosen.site
        if folder is None:
            folder = Path(scratch)
            with zipfile.ZipFile(chosen.wheel) as wheel:
                wheel.extractall(folder)
        cores = sorted((folder / "micro3d_fast").glob("_core*.so"))
        if not cores:
            raise Refused(f"{source} must hold micro3d_fast with its compiled core")
        wanted, got = version(ours), version(folder / "micro3d_fast")
        if got != wanted:
            raise Refused(f"{source} must be of version {wanted}, as the checkout, got {got}")
        site = chosen.out / "site"
        if folder == site:
            raise Refused(f"--site must be another folder than {site}, where it is copied")
        shutil.rmtree(site, ignore_errors=True)
        ignored = shutil.ignore_patterns("__pycache__", "_core*.so")
        shutil.copytree(ours, site / "micro3d_fast", ignore=ignored)
        for core in cores:
            shutil.copy(core, site / "micro3d_fast")
        for library in folder.glob("micro3d_fast.libs"):
            shutil.copytree(library, site / library.name)
    try:
        check(site)
    except RuntimeError as error:
        shutil.rmtree(site)
        raise Refused(f"{source} must work here: {error}") from error


def version(package: Path) -> str:
    """Return the version in the text of a package."""
    found = re.search(r'^__version__ = "(.+)"', (package / "__init__.py").read_text(), re.M)
    return found[1] if found else "unknown"


# -------------------------------------------------------------------------------------- rehearsals


def package(job: Job) -> None:
    """Use the installed package, for a rehearsal; build nothing."""
    import micro3d_fast as m3
    from micro3d_fast import _core

    print(m3.__file__, m3.cuda_status())
    job.row("package", "built with CUDA", float(_core.BUILT_WITH_CUDA), "1")
