# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Tasks of a study in a pool of processes and on a Dask cluster; workers that die."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.studies import _pool
from micro3d_fast.studies._plan import Plan, Task


def children():
    """Yield the processes of this one that do tasks."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == str(os.getpid()) and b"spawn_main" in command:
            yield int(folder.name)


@pytest.fixture
def blocks(run_study, tmp_path):
    """Return a study of one volume, and its tasks of real blocks, which are to be done again.

    They need no network, so that workers start soon.
    """
    found = run_study(tmp_path, count=1, blocks=8)
    plan = Plan.load(tmp_path)
    for file in (tmp_path / "tasks" / "real").glob("*.json"):
        file.unlink()
    return found, plan, [Task("real", number) for number in range(8)]


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_pool_whose_workers_are_killed_loses_nothing(blocks, run_study):
    found, plan, tasks = blocks
    killed, outcomes, others = [], [], set(children())
    pool = _pool.LocalPool(plan, workers=2)

    def check():
        if outcomes and len(killed) < 2 and (running := set(children()) - others):
            killed.append(max(running))
            os.kill(killed[-1], signal.SIGKILL)

    outcomes.extend(pool.run(tasks[:1], check))
    for outcome in pool.run(tasks[1:], check):
        outcomes.append(outcome)
    assert len(killed) == 2
    assert sorted(outcome.task.number for outcome in outcomes) == list(range(8))
    assert [outcome.error for outcome in outcomes] == [""] * 8
    assert pool.threads == max(1, _pool.usable_cores() // 2)
    assert set(children()) == others
    again = run_study(plan.folder, count=1, blocks=8)
    assert again.quantities == found.quantities


SCRIPT = """
import sys, warnings
import micro3d_fast as m3
from micro3d_fast.diffusion import load_model

warnings.simplefilter("ignore")
if __name__ == "__main__":
    m3.study(sys.argv[1], sys.argv[2], sys.argv[3], count=4, volume_shape=16, passes=3,
             device="cpu", workers=int(sys.argv[4]))
"""


@pytest.mark.parametrize("workers", [None, 2])
def test_a_script_without_guard_gets_one_sentence(model, truth, tmp_path, workers):
    model.save(tmp_path / "model")
    truth.save(tmp_path / "truth.npz")
    (tmp_path / "script.py").write_text(
        "import micro3d_fast as m3\n"
        f"m3.study('model', 'truth.npz', 'out', count=1, volume_shape=16, passes=3, device='cpu', "
        f"workers={workers})\n"
    )
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1  # none of the workers
    assert 'must do so under `if __name__ == "__main__":`, or with workers=1' in done.stderr


@pytest.mark.slow
def test_a_study_killed_again_and_again_ends_with_the_same_numbers(
    model, truth, run_study, tmp_path
):
    once = run_study(tmp_path / "once", count=4)
    model.save(tmp_path / "model")
    truth.save(tmp_path / "truth.npz")
    (tmp_path / "script.py").write_text(SCRIPT)
    out = tmp_path / "killed"
    command = [sys.executable, tmp_path / "script.py", tmp_path / "model", tmp_path / "truth.npz"]
    killed = 0
    for kill in range(10):  # later and later: in the imports, the plan, the tasks, the page
        process = subprocess.Popen([*map(str, command), str(out), "2"])
        try:
            process.wait(1.0 + 1.5 * kill)
        except subprocess.TimeoutExpired:
            process.kill()
            killed += 1
            process.wait()
    assert killed > 2
    done = subprocess.run([*map(str, command), str(out), "1"], check=False)
    assert done.returncode == 0
    again = run_study(out, str(tmp_path / "model"), count=4)
    assert again.quantities == once.quantities
    assert again.tests == once.tests
    assert [*out.rglob("*.tmp*")] == []


@contextlib.contextmanager
def cluster_of(workers: int):
    """A client of so many Dask workers, and a function that kills one that works."""
    distributed = pytest.importorskip("dask.distributed")
    from micro3d_fast.studies._cluster import client_of

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Dask, when a worker dies
        with (
            distributed.LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None
            ) as cluster,
            client_of(cluster.scheduler_address) as client,
        ):
            client.wait_for_workers(workers, timeout=60)
            processes = client.run(os.getpid)
            assert len(processes) == workers

            def kill() -> None:
                busy = [address for address, tasks in client.processing().items() if tasks]
                os.kill(processes[busy[0]], signal.SIGKILL)

            yield client, kill


def test_a_cluster_whose_worker_is_killed_loses_nothing(blocks, run_study):
    pytest.importorskip("dask.distributed")
    from micro3d_fast.studies._cluster import run_on_cluster

    found, plan, tasks = blocks
    with cluster_of(2) as (client, kill):
        outcomes = []
        for outcome in run_on_cluster(client, plan.folder, tasks, lambda: None):
            outcomes.append(outcome)
            if len(outcomes) == 1:
                kill()
    assert sorted(outcome.task.number for outcome in outcomes) == list(range(8))
    assert [outcome.error for outcome in outcomes] == [""] * 8
    again = run_study(plan.folder, count=1, blocks=8)
    assert again.quantities == found.quantities


@pytest.mark.slow
def test_a_study_on_three_workers_of_which_one_is_killed(run_study, tmp_path):
    """Its volumes and numbers are those of one process."""
    once, events = run_study(tmp_path / "once", count=8), []
    with cluster_of(3) as (client, kill):

        def follow(event):
            events.append(event)
            if len(events) == 3:
                kill()

        options = {"scheduler": client, "workers": None, "callback": follow}
        again = run_study(tmp_path / "again", count=8, **options)
    assert len(events) > 3
    assert again.quantities == once.quantities
    assert again.tests == once.tests
    files = sorted((tmp_path / "once" / "volumes").rglob("*.npz"))
    assert len(files) == 8
    for file in files:
        volume = m3.Microstructure.load(file)
        other = m3.Microstructure.load(tmp_path / "again" / file.relative_to(tmp_path / "once"))
        np.testing.assert_array_equal(volume.labels, other.labels)


def test_a_worker_that_cannot_see_the_folder_says_so(tmp_path):
    from micro3d_fast.studies._tasks import run_task

    outcome = run_task(str(tmp_path / "elsewhere"), Task("real", 0))
    assert "the folder of the study must be seen by all workers" in outcome.error


def test_no_more_workers_start_than_memory_allows(monkeypatch):
    plan = Plan(Path(), (16,) * 3, ("a", "b"), 0, {}, (), (), 1e-4, "", "", "", 1, "m", "cpu")
    pool = _pool.LocalPool(plan, workers=4)
    assert pool._may_start()  # the first task
    pool._busy = {1: None}
    assert not pool._may_start()  # runs alone
    pool.peak = 10
    monkeypatch.setattr(_pool, "free_memory", lambda: 11)
    assert not pool._may_start()
    monkeypatch.setattr(_pool, "free_memory", lambda: 13)
    assert pool._may_start()
    pool._busy = dict.fromkeys(range(4))
    assert not pool._may_start()
    assert 0 < _pool.usable_cores() <= (os.cpu_count() or 1)
