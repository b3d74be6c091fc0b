# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""benchmarks/gpu_check.py rehearsed on the CPU: rows, resumption, failures, refusals."""

from __future__ import annotations

import csv
import importlib
import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

# the toy trainings have small patches
pytestmark = pytest.mark.filterwarnings("ignore:.*a patch of:UserWarning")

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def gpu_check(import_benchmark):
    """Return the module of the command."""
    return import_benchmark("gpu_check.command")


def rows_of(folder):
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def state_of(folder):
    return json.loads((folder / "state.json").read_text())["sections"]


def rehearse(gpu_check, folder, *more):
    return gpu_check.main(["--out", str(folder), "--rehearse", *more], isolate=False)


@pytest.mark.slow
def test_rehearsal_runs_every_section_once(gpu_check, tmp_path, capsys):
    assert rehearse(gpu_check, tmp_path) == 0, (tmp_path / "report.txt").read_text()
    state = state_of(tmp_path)
    assert list(state) == list(gpu_check.DEFAULT)
    assert {entry["status"] for entry in state.values()} == {"passed"}
    rows = rows_of(tmp_path)
    benches = {row["bench"] for row in rows}
    assert benches >= {f"gpu_{s}" for s in ("operators", "statistics", "sampler", "train")}
    for row in rows:  # nothing that could pass for a number of a GPU
        assert row["gpu"] == ""
        assert row["notes"].startswith("rehearsal")
    assert (tmp_path / "synthetic-separator.png").stat().st_size > 100
    # a second call finds everything passed
    capsys.readouterr()
    assert rehearse(gpu_check, tmp_path) == 0
    assert capsys.readouterr().out.count("passed before") == len(gpu_check.DEFAULT)
    assert rows_of(tmp_path) == rows
    # ... except with --again
    assert rehearse(gpu_check, tmp_path, "--section", "build", "--again") == 0
    assert len(rows_of(tmp_path)) == len(rows) + 1
    # and its rows cannot be adopted
    assert gpu_check.adopt(tmp_path / "results.csv", tmp_path / "results of the house.csv") == 1


class Section:
    """A section of three steps; those named in `wrong` fail."""

    def __init__(self, wrong=()):
        self.wrong = set(wrong)
        self.ran = []

    def run(self, job):
        for name in ("one", "two", "three"):
            job.step(name, self.step, job, name)

    def step(self, job, name):
        self.ran.append(name)
        job.row(name, "value", 1.0, "1")
        if name in self.wrong:
            raise RuntimeError(f"{name} went wrong")


def test_a_failure_is_reported_and_stops_nothing_else(gpu_check, tmp_path, monkeypatch, capsys):
    bad, good = Section(wrong={"two"}), Section()
    monkeypatch.setitem(sys.modules, "gpu_check.operators", bad)
    monkeypatch.setitem(sys.modules, "gpu_check.statistics", good)
    sections = ("--section", "operators,statistics")
    assert rehearse(gpu_check, tmp_path, *sections) == 1
    assert bad.ran == good.ran == ["one", "two", "three"]
    state = state_of(tmp_path)
    assert state["operators"]["status"] == "failed"
    assert state["operators"]["message"] == "two: RuntimeError: two went wrong"
    assert state["statistics"]["status"] == "passed"
    assert "two: RuntimeError: two went wrong" in capsys.readouterr().out
    cases = [row["case"] for row in rows_of(tmp_path) if row["bench"] == "gpu_operators"]
    assert cases == ["one", "three"]  # no row of a step that failed
    # the next call runs what failed and nothing else
    bad.wrong.clear()
    bad.ran.clear()
    good.ran.clear()
    assert rehearse(gpu_check, tmp_path, *sections) == 0
    assert bad.ran == ["two"]
    assert good.ran == []


def test_only_chosen_steps_run_and_results_are_copied(gpu_check, tmp_path, monkeypatch):
    section = Section()
    monkeypatch.setitem(sys.modules, "gpu_check.operators", section)
    words = ("--section", "operators", "--results", str(tmp_path / "kept"))
    out = tmp_path / "out"
    assert rehearse(gpu_check, out, *words, "--only", "operators: t.o") == 0
    assert section.ran == ["two"]
    assert {"results.csv", "report.txt"} <= {file.name for file in (tmp_path / "kept").iterdir()}
    assert "two" in (tmp_path / "kept" / "report.txt").read_text()
    assert rows_of(tmp_path / "kept") == rows_of(out)
    # what passed is not run again, the rest is
    assert rehearse(gpu_check, out, *words) == 0
    assert section.ran == ["two", "one", "three"]
    assert rehearse(gpu_check, out, *words, "--quick") == 0
    assert section.ran == ["two", "one", "three"]


def test_at_most_eight_small_files_are_copied(gpu_check, tmp_path, monkeypatch):
    delivery = importlib.import_module("gpu_check.delivery")
    monkeypatch.setattr(delivery, "MOST_BYTES", 10)
    for number in range(9):
        (tmp_path / f"{number}.png").write_bytes(b"x" * number)
    (tmp_path / "results.csv").write_text("rows")
    (tmp_path / "log.txt").write_text("long ago, and the end")
    (tmp_path / "0.npz").write_bytes(b"x" * 11)
    delivery.deliver(tmp_path, tmp_path / "kept")
    kept = {file.name: file.stat().st_size for file in (tmp_path / "kept").iterdir()}
    assert len(kept) == 8
    assert kept["results.csv"] == 4
    assert (tmp_path / "kept" / "log.txt").read_text() == "nd the end"
    assert "4.png" in kept
    assert "0.npz" not in kept


def test_memory_that_runs_out_ends_a_peer_or_a_step_only(gpu_check, tmp_path, monkeypatch):
    class Hungry(Section):
        def step(self, job, name):
            self.ran.append(name)
            if name == "one":
                job.peer(name, "seconds", self.eat, peer="a library")
            elif name == "two":
                self.eat()
            else:
                job.peer(name, "seconds", lambda: 2.0, peer="a library")

        def eat(self):
            torch = pytest.importorskip("torch")
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 21 GB")

    section = Hungry()
    monkeypatch.setitem(sys.modules, "gpu_check.operators", section)
    assert rehearse(gpu_check, tmp_path, "--section", "operators") == 1
    assert section.ran == ["one", "two", "three"]
    rows = rows_of(tmp_path)
    assert [(row["case"], row["value"]) for row in rows] == [("one", "nan"), ("three", "2")]
    assert rows[0]["notes"].endswith("out of memory")
    assert state_of(tmp_path)["operators"]["message"].startswith("two: OutOfMemoryError")


def test_steps_without_time_are_left(gpu_check, tmp_path, monkeypatch):
    section = Section()
    monkeypatch.setitem(sys.modules, "gpu_check.operators", section)
    assert rehearse(gpu_check, tmp_path, "--section", "operators", "--seconds", "1") == 3
    assert section.ran == []
    assert "one, two, three" in state_of(tmp_path)["operators"]["message"]
    assert rehearse(gpu_check, tmp_path, "--section", "operators") == 0
    assert section.ran == ["one", "two", "three"]


def test_a_section_that_cannot_start_fails(gpu_check, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "gpu_check.operators", object())
    assert rehearse(gpu_check, tmp_path, "--section", "operators") == 1
    assert "no attribute 'run'" in state_of(tmp_path)["operators"]["message"]


def program(*arguments, **env):
    command = [sys.executable, str(BENCHMARKS / "gpu_check.py"), *map(str, arguments)]
    return subprocess.run(
        command, env={**os.environ, **env}, capture_output=True, text=True, timeout=120
    )


def test_without_a_gpu_it_reports_the_missing_tools_and_writes_no_row(tmp_path):
    run = program("--out", tmp_path, "--section", "build", PATH=str(tmp_path))
    assert run.returncode == 1
    assert "build: failed" in run.stdout
    assert "must be there to build with CUDA" in run.stdout
    assert not (tmp_path / "results.csv").exists()


def test_a_section_that_hangs_or_dies_is_stopped(gpu_check, tmp_path, monkeypatch):
    class Child:
        pid = 0

    code = "import time; time.sleep(600)"
    popen = subprocess.Popen

    def hang(command, **keys):
        Child.process = popen([sys.executable, "-c", code], **keys)
        return Child.process

    monkeypatch.setattr(subprocess, "Popen", hang)
    monkeypatch.setattr(gpu_check, "GRACE", 0.2)
    started = time.monotonic()
    assert (
        gpu_check.main(
            ["--out", str(tmp_path), "--rehearse", "--section", "train", "--seconds", "1"]
        )
        == 1
    )
    assert time.monotonic() - started < 30
    assert Child.process.returncode == -9
    assert state_of(tmp_path)["train"]["message"].startswith("stopped after 1 s")
    code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert gpu_check.main(["--out", str(tmp_path), "--rehearse", "--section", "train"]) == 1
    assert "status -11" in state_of(tmp_path)["train"]["message"]


def test_rehearsals_and_real_runs_do_not_share_a_folder(gpu_check, tmp_path):
    (tmp_path / "state.json").write_text('{"kind": "a rehearsal", "sections": {}}')
    with pytest.raises(SystemExit, match="holds a rehearsal"):
        gpu_check.main(["--out", str(tmp_path), "--section", "build"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--out DIR is needed"),
        (["--out", "x", "--section", "biuld"], "--section must be some of build,tests"),
        (["--out", "x", "--data", "no/such/folder"], "--data must be a folder"),
        (["--out", "x", "--wheel", "no.whl"], "--wheel must be a file"),
        (["--out", "x", "--only", "("], "--only must be a regular expression"),
    ],
)
def test_refusals(gpu_check, arguments, words, capsys):
    with pytest.raises(SystemExit):
        gpu_check.main(arguments)
    assert words in capsys.readouterr().err


@pytest.fixture
def carried(tmp_path):
    """Return a folder with a package of the checkout's version and a core without CUDA."""
    core = pytest.importorskip("micro3d_fast._core")
    package = tmp_path / "carried" / "micro3d_fast"
    package.mkdir(parents=True)
    shutil.copy(core.__file__, package)
    ours = BENCHMARKS.parent / "python" / "micro3d_fast" / "__init__.py"
    shutil.copy(ours, package)
    return package.parent


def carry(gpu_check, tmp_path, *words):
    return gpu_check.main(["--out", str(tmp_path / "out"), "--section", "build", *words])


def test_a_package_is_carried(gpu_check, carried, tmp_path, monkeypatch, capsys):
    build = importlib.import_module("gpu_check.build")
    monkeypatch.setattr(build, "CHECK", build.CHECK.replace("assert c.BUILT_WITH_CUDA", "assert 1"))
    with zipfile.ZipFile(tmp_path / "a.whl", "w") as wheel:
        for file in (carried / "micro3d_fast").iterdir():
            wheel.write(file, f"micro3d_fast/{file.name}")
    for words in (("--site", str(carried)), ("--wheel", str(tmp_path / "a.whl"))):
        build.carry(gpu_check.parse(["--out", str(tmp_path / "out"), *words]), BENCHMARKS.parent)
        site = tmp_path / "out" / "site"
        assert len(list(site.glob("micro3d_fast/_core*.so"))) == 1
        assert (site / "micro3d_fast" / "statistics").is_dir()  # from the checkout


def test_unfit_packages_are_refused(gpu_check, carried, tmp_path, capsys):
    from micro3d_fast import _core

    if not _core.BUILT_WITH_CUDA:
        assert carry(gpu_check, tmp_path, "--site", str(carried)) == 2
        assert "without CUDA" in capsys.readouterr().err
    text = carried / "micro3d_fast" / "__init__.py"
    text.write_text('__version__ = "0.0.9"\n')
    assert carry(gpu_check, tmp_path, "--site", str(carried)) == 2
    assert "as the checkout, got 0.0.9" in capsys.readouterr().err
    assert carry(gpu_check, tmp_path, "--site", str(tmp_path)) == 2
    assert "must hold micro3d_fast with its compiled core" in capsys.readouterr().err
    assert not (tmp_path / "out" / "site").exists()


def test_rows_of_a_gpu_are_adopted_once(gpu_check, tmp_path):
    results = importlib.import_module("_results")
    source, target = tmp_path / "results.csv", tmp_path / "house.csv"
    keys = {"bench": "gpu_operators", "metric": "seconds", "unit": "s"}
    results.record(case="ours", value=2.0, path=target, **keys)
    results.record(case="theirs", value=1.0, gpu="a GPU, driver 1", path=source, **keys)
    for _ in range(2):
        assert gpu_check.adopt(source, target) == 0
        with target.open(newline="") as file:
            assert [row["case"] for row in csv.DictReader(file)] == ["ours", "theirs"]


JUNIT = """<testsuites><testsuite>
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="no">trace</failure></testcase>
<testcase classname="a" name="torn"><error message="no">trace</error></testcase>
<testcase classname="a" name="idle"><skipped message="cupy is absent"/></testcase>
<testcase classname="a" name="big"><skipped message="this GPU is too small: 28 GB"/></testcase>
</testsuite></testsuites>"""


def test_skips_count_as_failures_but_for_small_gpus(gpu_check, tmp_path):
    tests = importlib.import_module("gpu_check.tests")
    file = tmp_path / "junit.xml"
    file.write_text(JUNIT)
    outcome = tests.read_junit(file)
    assert outcome.passed == 1
    assert outcome.failed == ["a::bad", "a::torn"]
    assert outcome.skipped == ["a::idle: cupy is absent"]
    assert len(outcome.excused) == 1


PTXAS = """ptxas info    : Compiling entry function '_ZN7micro3d3fooEv' for 'sm_90'
ptxas info    : Function properties for _ZN7micro3d3fooEv
    16 bytes stack frame, 8 bytes spill stores, 8 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 21120 bytes smem
"""


def test_registers_and_spills_are_read_from_the_log(gpu_check):
    build = importlib.import_module("gpu_check.build")
    (use,) = build.ptxas_table(PTXAS).values()
    assert use == {"registers": 40, "stack": 16, "spill": 8, "shared": 21120}


COUNTERS = """==PROF== Connected
"ID","Kernel Name","gpu__time_duration.sum","launch__registers_per_thread"
"","","ns","register/thread"
"0","<unnamed>::reverse_step_kernel(ReverseStepTiles)","88,064","42"
"""


def test_counters_are_read_from_the_log(gpu_check):
    profile = importlib.import_module("gpu_check.profile")
    (line,) = profile.table(COUNTERS)
    assert line.startswith("reverse_step_kernel")
    assert "time 88,064 ns;" in line
    assert {"reverse_step_kernel", "packed_kernel"} <= set(
        profile.kernels(BENCHMARKS.parent / "csrc")
    )
