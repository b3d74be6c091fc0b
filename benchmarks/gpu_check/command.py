# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Build for the GPU, test, sanitize and benchmark, in one command.

    python benchmarks/gpu_check.py --out runs/gpu
    python benchmarks/gpu_check.py --out runs/gpu --section operators,statistics --again
    python benchmarks/gpu_check.py --out runs/gpu --section sampler --only "small 64" --quick
    python benchmarks/gpu_check.py --out /tmp/gpu --site built --results kept --section statistics
    python benchmarks/gpu_check.py --out runs/gpu --section train --data ../shared/data
    python benchmarks/gpu_check.py --adopt runs/gpu/results.csv     # into benchmarks/results.csv
    python benchmarks/gpu_check.py --out runs/rehearsal --rehearse  # the script itself, on the CPU
    python benchmarks/gpu_check.py --out runs/toy --toy             # the same on the GPU

Run it again to continue: sections that passed are skipped, and so are the steps that passed in the
others. Every section runs in its own process with a time limit, so that a crash or a hang does not
stop the others. DIR receives, after each step, results.csv (rows with GPU, driver and commit),
report.txt and log.txt; also state.json and the built package. Exit status: 0 all passed, 1
something failed, 3 something is left for lack of time. A rehearsal runs every section at toy sizes
on the CPU, with --toy on the GPU; its rows are marked and cannot be adopted.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import importlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from _results import RESULTS, commit

from .build import Refused, carry
from .delivery import deliver, read_json, write_report
from .job import CONTEXT_LOST, LEFT, Job, State

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "gpu_check.py"
#: section -> its time limit in seconds, in a call of 540
LIMITS = {
    "build": 300,
    "tests": 300,
    "operators": 300,
    "statistics": 300,
    "homogenize": 400,
    "sampler": 530,
    "train": 540,
    "profile": 300,
    "sanitize": 540,
}
#: seconds beyond its limit after which a section is killed; it checks the time itself
GRACE = 15
DEFAULT = tuple(name for name in LIMITS if name not in ("profile", "sanitize"))


#: options that are paths -> what must be there
FOLDERS = {"out": "", "results": "", "data": "dir", "site": "dir", "wheel": "file"}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """Parse and check the arguments of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder of all output")
    parser.add_argument(
        "--section",
        default=",".join(DEFAULT),
        help=f"some of {','.join(LIMITS)} (default: %(default)s)",
    )
    parser.add_argument("--only", metavar="REGEX", help="only steps whose 'section: name' matches")
    parser.add_argument("--quick", action="store_true", help="only what has a goal")
    parser.add_argument("--site", type=Path, metavar="DIR", help="a built package, for `build`")
    parser.add_argument("--wheel", type=Path, metavar="FILE", help="the same as a wheel")
    parser.add_argument("--results", type=Path, metavar="DIR", help="copies of what is to be kept")
    parser.add_argument("--seconds", type=float, default=540, help="of this call (default: 540)")
    parser.add_argument("--again", action="store_true", help="also sections that passed")
    parser.add_argument("--rehearse", action="store_true", help="toy sizes on the CPU")
    parser.add_argument("--toy", action="store_true", help="toy sizes on the GPU")
    parser.add_argument("--arch", help="CUDA architecture to build for (default: the GPU's)")
    parser.add_argument("--data", type=Path, help="folder of real volumes, for train")
    parser.add_argument("--material", help="only this volume of --data (default: both)")
    parser.add_argument("--minutes", type=float, default=5.0, help="training per material")
    parser.add_argument("--adopt", type=Path, metavar="CSV", help="append its rows to results.csv")
    parser.add_argument("--inside", metavar="SECTION", help=argparse.SUPPRESS)
    parser.add_argument("--deadline", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.adopt is None and chosen.out is None:
        parser.error("--out DIR is needed")
    unknown = set(chosen.section.split(",")) - set(LIMITS)
    if unknown:
        parser.error(
            f"--section must be some of {','.join(LIMITS)}, got {','.join(sorted(unknown))}"
        )
    if chosen.toy and chosen.rehearse:
        parser.error("--toy and --rehearse exclude each other")
    if chosen.site and chosen.wheel:
        parser.error("--site and --wheel exclude each other")
    try:
        re.compile(chosen.only or "")
    except re.error as error:
        parser.error(f"--only must be a regular expression, got {chosen.only}: {error}")
    for name, kind in FOLDERS.items():
        path = getattr(chosen, name)
        if path is None:
            continue
        setattr(chosen, name, path.resolve())
        if kind and not getattr(path, f"is_{kind}")():
            parser.error(f"--{name} must be a {'folder' if kind == 'dir' else kind}, got {path}")
    return chosen


def main(arguments: list[str] | None = None, *, isolate: bool = True) -> int:
    """Run the command; with ``isolate=False`` the sections run in this process, as in tests."""
    chosen = parse(arguments)
    chosen.isolate = isolate
    if chosen.adopt is not None:
        return adopt(chosen.adopt, RESULTS)
    if chosen.inside:
        return run_inside(chosen)
    chosen.out.mkdir(parents=True, exist_ok=True)
    kind = "a rehearsal" if chosen.rehearse else "toy sizes" if chosen.toy else "a real run"
    state = State(chosen.out / "state.json", kind=kind)
    try:
        carry(chosen, ROOT)
    except Refused as error:
        print(error, file=sys.stderr)
        return 2
    deadline = time.time() + chosen.seconds
    chosen.run = f"{time.time():.3f}"
    sections = [name for name in LIMITS if name in chosen.section.split(",")]
    for name in sections:
        if passed_before(name, chosen, state):
            print(
                f"{name}: passed before, at {state.get(name)['commit']}; --again runs it again",
                flush=True,
            )
        elif not chosen.rehearse and deadline - time.time() < 15:
            state.set(name, status="left", message="no time was left to start it")
            print(f"{name}: left, no time to start it", flush=True)
        else:
            run_section(name, chosen, state, deadline)
            deliver(chosen.out, chosen.results)
    print(f"\n{write_report(chosen.out)}", flush=True)
    deliver(chosen.out, chosen.results)
    found = [state.get(name).get("status") for name in sections]
    if all(status == "passed" for status in found):
        return 0
    return 1 if any(status == "failed" for status in found) else 3


def passed_before(name: str, chosen: argparse.Namespace, state: State) -> bool:
    """Return whether the steps asked for have passed."""
    before = state.get(name)
    if name == "build" and not chosen.rehearse and not (chosen.out / "site").is_dir():
        before = {}  # the folder was copied without the built package
        (chosen.out / "build.steps.json").unlink(missing_ok=True)
    same = before.get("selection") in (selection(chosen), selection())
    return before.get("status") == "passed" and same and not chosen.again


def selection(chosen: argparse.Namespace | None = None) -> list[Any]:
    """Return which steps were asked for: by default all."""
    return [chosen.only, chosen.quick] if chosen else [None, False]


def run_section(name: str, chosen: argparse.Namespace, state: State, deadline: float) -> None:
    """Run one section and record its outcome, whatever happens in it."""
    started = time.time()
    until = min(deadline, started + LIMITS[name] * max(1.0, chosen.seconds / 540))
    state.set(name, status="running", message="", commit=commit(), selection=selection(chosen))
    steps = chosen.out / f"{name}.steps.json"
    if chosen.again and steps.exists():
        steps.unlink()
    log = chosen.out / "log.txt"
    for _ in range(30):  # a new process where the old one's CUDA context is dead
        code = run_process(name, chosen, until, log)
        if code != CONTEXT_LOST:
            break
    status, message = outcome(name, code, read_json(steps), until - started)
    seconds = time.time() - started
    state.set(name, status=status, message=message, seconds=round(seconds, 1))
    print(f"{name}: {status} in {seconds:.0f} s; {message}", flush=True)


def outcome(
    name: str, code: int | None, steps: dict[str, dict[str, Any]], limit: float
) -> tuple[str, str]:
    """Return status and message of a section, from its exit status and its steps."""
    failed = [k for k, v in steps.items() if v["status"] in ("failed", "running")]
    left = [k for k, v in steps.items() if v["status"] == "left"]
    if code == 0 and not failed and not left:
        return "passed", f"{len(steps)} steps"
    if code == LEFT and not failed:
        return "left", f"{len(left)} steps are left for lack of time: {', '.join(left)}"
    if code is None:
        return "failed", f"stopped after {limit:.0f} s in {' '.join(failed) or name}"
    if failed:
        first = steps[failed[0]].get("message") or f"ended with status {code}"
        return "failed", f"{', '.join(failed)}: {first}"
    return "failed", f"ended with status {code}, see log.txt"


def run_process(name: str, chosen: argparse.Namespace, until: float, log: Path) -> int | None:
    """Run the section in its own process; return its exit status, None if it was killed."""
    if not chosen.isolate:
        same = {**vars(chosen), "inside": name, "deadline": until}
        with log.open("a") as file, contextlib.redirect_stdout(file):
            return run_inside(argparse.Namespace(**same))
    command = [sys.executable, "-u", str(SCRIPT), "--inside", name]
    command += ["--out", str(chosen.out), "--deadline", str(until), "--run", chosen.run]
    command += ["--minutes", str(chosen.minutes)]
    for option in ("arch", "data", "material", "only", "results", "site", "wheel"):
        if getattr(chosen, option) is not None:
            command += [f"--{option}", str(getattr(chosen, option))]
    command += [f"--{option}" for option in ("rehearse", "toy", "quick") if vars(chosen)[option]]
    with log.open("a") as file:
        child = subprocess.Popen(
            command,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=environment(chosen.out, chosen.rehearse),
            start_new_session=True,
        )
        try:
            # a section checks the time itself; this is for one that hangs
            return child.wait(timeout=max(until - time.time(), 0) + GRACE)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):  # the section and its own children
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def environment(out: Path, rehearse: bool) -> dict[str, str]:
    """Put the package that `build` made first; a rehearsal uses the installed one."""
    env = dict(os.environ, PYTHONUNBUFFERED="1", MPLBACKEND="Agg")
    tools = [Path(env.get("CUDA_HOME", "/usr/local/cuda")) / "bin"]  # may hold nvcc
    tools += sorted(Path("/opt/nvidia").glob("nsight-compute/*"))
    present = [str(folder) for folder in tools if folder.is_dir()]
    env["PATH"] = os.pathsep.join([env.get("PATH", ""), *present])
    site = out / "site"
    if site.is_dir() and not rehearse:
        env["PYTHONPATH"] = os.pathsep.join(
            [str(site), *env.get("PYTHONPATH", "").split(os.pathsep)]
        )
    if rehearse:
        env["CUDA_VISIBLE_DEVICES"] = ""
    return env


def run_inside(chosen: argparse.Namespace) -> int:
    """Run one section in this process."""
    job = Job(chosen.inside, chosen, ROOT)
    try:
        if chosen.inside != "build":
            job.require_gpu()
        importlib.import_module(f"{__package__}.{chosen.inside}").run(job)
    except Exception as error:
        job.fail(chosen.inside, error)
    return job.close()


def adopt(source: Path, target: Path) -> int:
    """Append the rows of a real run to the results of the repository, each once."""
    with source.open(newline="") as file:
        reader = csv.DictReader(file)
        columns, rows = reader.fieldnames or [], list(reader)
    rehearsed = [row for row in rows if "rehearsal" in row.get("notes", "") or not row.get("gpu")]
    if rehearsed or not rows:
        print(
            f"{source} must hold rows of a GPU, got {len(rehearsed)} of a rehearsal",
            file=sys.stderr,
        )
        return 1
    known: list[dict[str, str]] = []
    if target.exists():
        with target.open(newline="") as file:
            reader = csv.DictReader(file)
            if reader.fieldnames != columns:
                print(f"{source} must have the columns of {target}", file=sys.stderr)
                return 1
            known = list(reader)
    new = [row for row in rows if row not in known]
    with target.open("a", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        if not known:
            writer.writeheader()
        writer.writerows(new)
    print(f"{len(new)} rows added to {target}, {len(rows) - len(new)} were in it")
    return 0
