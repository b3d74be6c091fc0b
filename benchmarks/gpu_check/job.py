# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What every section uses: steps, rows, files, the GPU."""

from __future__ import annotations

import functools
import gc
import json
import math
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _results

from .delivery import deliver, read_json

CONTEXT_LOST = 4  # exit status of a section whose CUDA context died: continue in a new process
LEFT = 3  # exit status of a section that had no time for all of its steps
#: parts of error messages after which a CUDA context is unusable
DEADLY = (
    "illegal memory access",
    "unspecified launch failure",
    "misaligned address",
    "device-side assert",
    "illegal instruction",
    "hardware stack error",
    "invalid program counter",
    "uncorrectable",
)


class State:
    """The state of each section, kept in state.json."""

    def __init__(self, file: Path, *, kind: str) -> None:
        self.file, self.kind = file, kind
        self.sections: dict[str, dict[str, Any]] = {}
        stored = read_json(file)
        if stored:
            if stored["kind"] != kind:
                raise SystemExit(
                    f"--out must be another folder: {file.parent} holds {stored['kind']}"
                )
            self.sections = stored["sections"]

    def get(self, section: str) -> dict[str, Any]:
        return self.sections.get(section, {})

    def set(self, section: str, **entry: Any) -> None:
        self.sections[section] = {**self.sections.get(section, {}), **entry}
        write_json(self.file, {"kind": self.kind, "sections": self.sections})


class Job:
    """A running section.

    A step is a function with a name: an exception is recorded and the next step runs, and a step
    that passed is not run again. Rows of a step are written when it has passed.
    """

    def __init__(self, section: str, chosen: Any, root: Path) -> None:
        self.section, self.root = section, root
        self.out: Path = chosen.out
        self.rehearse: bool = chosen.rehearse  # on the CPU
        self.toy: bool = chosen.toy or chosen.rehearse  # sizes without meaning for timings
        self.quick: bool = chosen.quick  # only what has a goal
        self.chosen = chosen
        self.deadline: float = chosen.deadline
        self.run_id: str = chosen.run
        self.commit = _results.commit()
        self.device = "cpu" if self.rehearse else "cuda"
        self._steps_file = self.out / f"{section}.steps.json"
        stored = read_json(self._steps_file)
        # steps that failed or were left in an earlier call run again
        self._steps: dict[str, dict[str, Any]] = {
            k: v for k, v in stored.items() if v["status"] == "passed" or v["run"] == self.run_id
        }
        self._rows: list[dict[str, Any]] = []
        self._lost = False

    # ------------------------------------------------------------------------------------ steps

    def step(self, name: str, function: Callable[..., Any], *args: Any, expect: float = 5) -> Any:
        """Run a step that was asked for, unless it passed before.

        It is left if no time is left or the CUDA context is lost.
        """
        if not re.search(self.chosen.only or "", f"{self.section}: {name}"):
            return None
        before = self._steps.get(name, {})
        if before.get("status") == "passed":
            return None
        if before.get("status") in ("failed", "running"):
            if before["status"] == "running":  # the process of this call died in it
                self._note(name, status="failed", message="the process died in this step")
            return None
        if self._lost:
            return None
        if time.time() + expect > self.deadline:
            self._note(name, status="left", message="no time was left")
            return None
        started = time.time()
        self._note(name, status="running", message="")
        print(f"--- {self.section}: {name}", flush=True)
        self._rows = []
        try:
            result = function(*args)
        except Exception as error:
            self.fail(name, error)
            return None
        finally:
            self.tidy()
        for row in self._rows:
            self._write(row)
        self._note(name, status="passed", message="", seconds=round(time.time() - started, 2))
        return result

    def fail(self, name: str, error: BaseException) -> None:
        """Record that a step failed, and why."""
        traceback.print_exception(error)
        text = f"{type(error).__name__}: {error}".strip()
        self._note(name, status="failed", message=text.splitlines()[0][:300])
        self._lost = self._lost or any(part in text for part in DEADLY)

    def close(self) -> int:
        """Return the exit status of the section's process."""
        if self._lost:
            return CONTEXT_LOST
        found = [entry["status"] for entry in self._steps.values()]
        if "failed" in found:
            return 1
        return LEFT if "left" in found else 0

    def _note(self, name: str, **entry: Any) -> None:
        self._steps[name] = {**entry, "run": self.run_id, "commit": self.commit}
        write_json(self._steps_file, self._steps)
        deliver(self.out, self.chosen.results)

    def tidy(self) -> None:
        """Free the GPU memory that torch and cupy keep for later."""
        if self._lost:
            return
        gc.collect()
        torch, cupy = sys.modules.get("torch"), sys.modules.get("cupy")
        if torch is not None and torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        if cupy is not None and not self.rehearse:
            cupy.fft.config.get_plan_cache().clear()  # plans hold work areas
            cupy.get_default_memory_pool().free_all_blocks()

    @property
    def time_left(self) -> float:
        return self.deadline - time.time()

    # ------------------------------------------------------------------------------------- rows

    def row(
        self, case: str, metric: str, value: float, unit: str, *, notes: str = "", **more: Any
    ) -> None:
        """Add a row to results.csv, written when the step has passed."""
        print(f"{case:44s} {metric:34s} {value:11.5g} {unit}  {notes}", flush=True)
        self._rows.append(
            {"case": case, "metric": metric, "value": value, "unit": unit, "notes": notes, **more}
        )

    def peer(
        self, case: str, metric: str, measure: Callable[[], float], *, peer: str, **more: Any
    ) -> float:
        """Add a row with the seconds of another library; nan if it ran out of memory."""
        self.tidy()
        seconds, notes = math.nan, "out of memory"
        try:
            seconds, notes = measure(), more.pop("notes", "")
        except Exception as error:
            if not out_of_memory(error):
                raise
        finally:
            self.tidy()
        self.row(case, metric, seconds, "s", peer=peer, notes=notes, **more)
        return seconds

    def _write(self, row: dict[str, Any]) -> None:
        if self.rehearse:
            row["notes"] = f"rehearsal on the CPU; {row['notes']}".rstrip("; ")
        elif self.toy:
            row["notes"] = f"rehearsal at toy sizes; {row['notes']}".rstrip("; ")
        _results.record(
            bench=f"gpu_{self.section}",
            gpu="" if self.rehearse else self.gpu["text"],
            path=self.out / "results.csv",
            **row,
        )

    def python(self, code: str, *, prefix: tuple[str, ...] = ()) -> str:
        """Run code in a new process that can import `gpu_check`; return what it prints."""
        folder = str(self.root / "benchmarks")
        paths = [folder, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
        process = subprocess.run(
            [*prefix, sys.executable, "-c", code],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            timeout=max(self.time_left, 1),
        )
        print(process.stderr[-4000:], flush=True)
        if process.returncode:
            raise RuntimeError(f"a process ended with status {process.returncode}")
        return process.stdout

    # ---------------------------------------------------------------------------------- the GPU

    def require_gpu(self) -> None:
        """Raise unless both the native operators and torch find a GPU."""
        if self.rehearse:
            return
        import torch

        from micro3d_fast import cuda_status
        from micro3d_fast.ops import cuda_is_available

        if not cuda_is_available():
            raise RuntimeError(f"a GPU is needed, but {cuda_status()}")
        if not torch.cuda.is_available():
            raise RuntimeError(f"a GPU is needed, but torch {torch.__version__} finds none")
        print(f"{cuda_status()} torch {torch.__version__}", flush=True)

    @functools.cached_property
    def gpu(self) -> dict[str, Any]:
        """Name, compute capability and driver of the GPU."""
        return gpu_info()

    def ceilings(self) -> dict[str, float]:
        """Return the copy (bytes/s) and bf16 matrix (FLOP/s) rates, measured once per run."""
        from .timing import measured_ceilings

        file = self.out / "ceilings.json"
        stored = read_json(file)
        if stored.get("run") != self.run_id:
            stored = {**measured_ceilings(self.device, self.toy), "run": self.run_id}
            write_json(file, stored)
        return stored


def out_of_memory(error: BaseException) -> bool:
    """Return whether a library ran out of memory, of which the CUDA context survives."""
    from micro3d_fast.diffusion import device

    return device.out_of_memory(error) or "ALLOC_FAILED" in str(error)  # the latter of cuFFT


def gpu_info() -> dict[str, Any]:
    """Describe the first GPU by nvidia-smi, which needs no CUDA context."""
    fields = "name,compute_cap,driver_version,memory.total"
    try:
        printed = subprocess.run(
            ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(f"a GPU is needed, but nvidia-smi does not answer: {error}") from error
    name, capability, driver, memory = (part.strip() for part in printed.splitlines()[0].split(","))
    return {
        "name": name,
        "capability": capability,
        "driver": driver,
        "memory": memory,
        "text": f"{name}, driver {driver}",
    }


def write_json(file: Path, value: Any) -> None:
    """Write the whole file or none of it."""
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(value, indent=1) + "\n")
    temporary.replace(file)
