# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""benchmarks/_results.py: `trim` drops superseded rows unless a page quotes them."""

from __future__ import annotations

import csv

import pytest


@pytest.fixture
def results(import_benchmark):
    return import_benchmark("_results")


def rows_of(file):
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_trim_keeps_the_newest_row_of_each_series_and_quoted_ones(results, tmp_path):
    file = tmp_path / "results.csv"
    keys = {"bench": "b", "metric": "time", "unit": "s", "path": file}
    results.record(case="map", value=1.0, **keys)
    results.record(case="map", value=2.0, **keys)
    results.record(case="map", value=3.0, **keys)
    results.record(case="map", value=4.0, peer="scipy 1", **keys)  # another library,
    results.record(case="map", value=5.0, threads=99, **keys)  # other threads,
    results.record(case="map", value=6.0, **{**keys, "unit": "ms"})  # another unit: other series
    results.record(case="curve", value=1.0, **keys)
    rows = rows_of(file)
    kept = results.trim(rows, quoted={("b", "map", "time", "1")})
    assert [row["value"] for row in kept] == ["1", "3", "4", "5", "6", "1"]
    assert results.trim_file(file) == (7, 5)  # no page quotes any of them
    assert rows_of(file) == kept[1:]


def test_quoted_rows_are_in_the_file(results):
    rows = rows_of(results.RESULTS)
    found = [tuple(row[name] for name in ("bench", "case", "metric", "value")) for row in rows]
    for quoted in results.QUOTED:
        assert found.count(quoted) == 1, quoted
