# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The phase of a function: by label or name; one that does not occur gives zeros and a warning."""

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import statistics
from micro3d_fast.statistics import differentiable

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


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_phase_is_given_by_its_name(name, picture):
    labels = picture // 255
    volume = m3.Microstructure(labels, phase_names=("matrix", "fibre"))
    np.testing.assert_array_equal(FUNCTIONS[name](volume, "fibre"), FUNCTIONS[name](volume, 1))
    known = r"`phase` must be a label 0 ... 255 or one of the names 'matrix', 'fibre', got 'fib"
    with pytest.raises(ValueError, match=known):
        FUNCTIONS[name](volume, "fiber")
    with pytest.raises(
        TypeError, match=r"`phase` must be an integer .* got 'fibre' .*: only a Mic"
    ):
        FUNCTIONS[name](labels, "fibre")


def test_several_phases_are_given_by_their_names(rng):
    names = ("pore", "solid", "binder")
    volume = m3.Microstructure(rng.integers(0, 3, (8, 8, 8)), phase_names=names)
    both = m3.two_point_correlation(volume, "pore", "binder", axis="x")
    np.testing.assert_array_equal(both, m3.two_point_correlation(volume, 0, 2, axis="x"))
    lines = m3.triple_phase_boundary(volume, names)
    assert lines == m3.triple_phase_boundary(volume, (0, 1, 2))
    compared = m3.compare(volume, volume, phases=["solid"], verdict=False)
    assert {curve.phase for curve in compared.curves} == {1}
    assert compared.select("L", phase="solid") == compared.select("L", phase=1)
    indicator = differentiable.indicator(volume, "solid")
    np.testing.assert_array_equal(indicator.numpy(), volume == 1)
    with pytest.raises(ValueError, match=r"`other` must be .* 'binder', got 'air'"):
        m3.two_point_map(volume, "pore", "air")
    with pytest.raises(ValueError, match=r"`phases` must be .* 'binder', got 'air'"):
        m3.compare(volume, volume, phases=["air"])
    with pytest.raises(ValueError, match=r"`phase` must be .* 'binder', got 'air'"):
        compared.select(phase="air")
