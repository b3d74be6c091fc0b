# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""benchmarks/scale_on_paper.py: bytes and times of a case worked out by hand."""

from __future__ import annotations

import types

import pytest

HOST = types.SimpleNamespace(block=1e-5, labels=(2e-8, 1e-8))


def test_a_case_by_hand(import_benchmark):
    paper = import_benchmark("scale_on_paper")
    near, far = (paper.Case("small", 512, ranks, HOST) for ranks in (8, 64))
    assert near.slab == 512**3 // 8
    assert near.field_bytes == 512**3 // 8 * 16  # x, the next x, h0; input and output in bfloat16
    assert near.sent * 8 == 512**3 * 4 * 7 / 8
    assert near.exchange == pytest.approx(512**3 * 4 * 7 / 64 / 450e9)
    assert far.exchange == pytest.approx(512**3 * 4 * 56 / 64**2 / 50e9)
    assert near.network == pytest.approx(8 * far.network)
    assert 1.2 < near.windowed < (9 / 8) ** 2  # eight or nine windows of 64
    assert far.calls == pytest.approx(2 * 64 * 1e-5)
    assert far.labels == pytest.approx(512**3 / 64 * (2e-8 + 1e-8))
    assert near.network_bytes > far.network_bytes > 0


def test_the_table(import_benchmark):
    paper = import_benchmark("scale_on_paper")
    lines = list(paper.table(HOST))
    assert len(lines) == 2 + 3 * 2 * 3
    assert {line.count("|") for line in lines} == {lines[0].count("|")}
