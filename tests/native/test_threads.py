# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The pool of CPU threads: forked children, callers at the same time, any number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from micro3d_fast import ops

X = np.random.default_rng(7).standard_normal((1, 1 << 19))


def product(threads):
    return float(ops.dot(X, X, out=np.zeros(1), threads=threads)[0])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_computes_with_threads_of_its_own():
    code = """
import os, numpy as np
from micro3d_fast import ops
x = np.ones((1, 1 << 20))
def work():
    return ops.dot(x, x, out=np.zeros(1), threads=3)[0]
assert work() == 1 << 20
for depth in range(2):  # a child, and a child of the child
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    assert work() == 1 << 20
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", code], timeout=60, check=False)
    assert done.returncode == 0


def test_callers_at_the_same_time_and_any_number_of_threads():
    want = product(1)
    assert want == pytest.approx(np.dot(X[0], X[0]), rel=1e-12)
    with ThreadPoolExecutor(6) as callers:
        assert set(callers.map(product, [0, 1, 2, 3, 8, 64, 1024] * 6)) == {want}


def test_number_of_threads_by_default():
    code = "from micro3d_fast import ops; print(ops.max_threads())"
    for wished, want in (("3", 3), ("5,2", 5), ("9999", ops.MAX_THREADS), ("0", None), ("", None)):
        env = {**os.environ, "OMP_NUM_THREADS": wished}
        done = subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, check=True
        )
        if want is None:
            affinity = getattr(os, "sched_getaffinity", None)
            want = len(affinity(0)) if affinity else os.cpu_count()
        assert int(done.stdout) == want
