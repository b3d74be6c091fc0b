# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A phase that does not occur gives zeros and a warning that names the labels that do."""

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import statistics

FUNCTIONS = {
    "two_point_map": lambda labels, p: statistics.two_point_map(labels, p),
    "two_point_correlation": lambda labels, p: m3.two_point_correlation(labels, p, axis="x"),
    "two_point_radial": lambda labels, p: m3.two_point_radial(labels, p).value,
    "lineal_path": lambda labels, p: m3.lineal_path(labels, p, axis="y"),
    "two_point_cluster": lambda labels, p: statistics.two_point_cluster(labels, p, axis="x"),
    "two_point_cluster_map": lambda labels, p: statistics.two_point_cluster_map(labels, p),
    "cluster_labels": lambda labels, p: statistics.cluster_labels(labels, p),
    "specific_surface": lambda labels, p: statistics.specific_surface(labels, p),
    "chord_lengths": lambda labels, p: statistics.chord_lengths(labels, p, axis="x").count,
    "percolation": lambda labels, p: statistics.percolation(labels, p).clusters,
    "euler_number": lambda labels, p: statistics.euler_number(labels, p).number,
    "local_percolation": lambda labels, p: statistics.local_percolation(labels, p).share["any"],
    "local_fractions": lambda labels, p: statistics.local_fractions(labels, p).mean,
    "diffusivity": lambda labels, p: m3.relative_diffusivity(labels, p, axis="x").relative,
}


@pytest.fixture
def picture(rng):
    return (rng.random((8, 8, 8)) < 0.4).astype(np.uint8) * 255


@pytest.mark.parametrize("name", FUNCTIONS)
def test_absent_phases_warn_and_give_zeros(name, picture):
    with pytest.warns(
        UserWarning, match=r"phase 1 does not occur: the labels are 0 and 255; .*"
    ) as w:
        got = FUNCTIONS[name](picture, 1)
    assert len(w) == 1
    assert w[0].filename == __file__
    assert not np.any(got)
    with pytest.warns(UserWarning, match="phase 2 does not occur: the labels are 0 and 1$"):
        FUNCTIONS[name](picture // 255, 2)
    FUNCTIONS[name](picture, 255)  # no warning
    with pytest.raises(ValueError, match="`phase` must be"):
        FUNCTIONS[name](picture, 256)


def test_correlation_lengths_of_an_absent_phase(picture):
    with pytest.warns(UserWarning, match="phase 1 does not occur"):
        statistics.correlation_lengths(picture, 1)


def test_comparisons_of_absent_phases(picture):
    match = r"phases 2 and 7 do not occur: the labels are 0 and 1$"
    with pytest.warns(UserWarning, match=match) as caught:
        found = m3.compare(picture // 255, picture[1:] // 255, phases=[2, 1, 7], verdict=False)
    assert [w.filename for w in caught] == [__file__]
    assert {c.phase for c in found.curves} == {1, 2, 7}
    one_side = m3.compare(picture // 255, np.zeros((8, 8, 8), np.uint8), phases=[1], verdict=False)
    assert "in the generated alone: phase 1" in one_side.summary()  # said there, without a warning
    with pytest.warns(UserWarning, match="phase 1 does not occur: the labels are 0 and 255; turn"):
        m3.compare({"xy": picture}, picture, phases=[1], verdict=False)
    with pytest.warns(UserWarning, match="the labels are 0 and 255; turn grey values into phases"):
        m3.compare(picture, picture, verdict=False)


def test_both_phases_of_a_pair_are_named(picture):
    with pytest.warns(UserWarning, match="phases 1 and 2 do not occur"):
        assert not m3.two_point_correlation(picture, 1, 2, axis="x").any()


def test_grey_values_left_as_labels_are_told_of_phases(picture):
    for function in (m3.volume_fractions, statistics.two_point_matrix):
        with pytest.warns(UserWarning, match="the labels are 0 and 255; turn grey values"):
            function(picture[:2, :2, :2] | np.eye(2, dtype=np.uint8) * 255)


def test_a_rare_phase_is_found_without_a_warning():
    labels = np.zeros((64, 80, 80), np.uint8)
    labels[-1, -1, -2] = 1
    assert m3.two_point_correlation(labels, 1, axis="x", max_lag=0)[0] == 1 / labels.size


def test_connectivity_of_labels_with_a_gap_does_not_warn():
    labels = np.zeros((6, 6, 6), np.uint8)
    labels[2:4] = 2
    assert [p.phase for p in m3.connectivity(labels).phases] == [0, 2]
