# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Random materials: their law, and the parts that have a known value."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from scipy import stats
from scipy.spatial import cKDTree

from micro3d_fast import synthetic
from micro3d_fast.synthetic import _random

SMALL = (24, 20, 28)


@pytest.fixture(scope="module")
def many():
    """400 materials, half of them with three phases."""
    return [synthetic.random_material(seed, SMALL, 2 + seed % 2) for seed in range(400)]


def test_the_seed_decides_material_and_volume():
    for phases in (2, 3):
        one, again, other = (synthetic.random_material(s, SMALL, phases) for s in (7, 7, 8))
        np.testing.assert_array_equal(one.labels, again.labels)
        assert one.provenance == again.provenance
        assert (one.labels != other.labels).any()
        assert one.shape == SMALL
        assert one.n_phases == phases
    assert synthetic.random_material(0).shape == (96, 96, 96)


def test_fractions_are_uniform_over_all_that_leave_every_phase_its_share(many):
    for phases in (2, 3):
        found = np.array([m.volume_fractions for m in many if m.n_phases == phases])
        voxel = 1 / np.prod(SMALL)
        assert found.min() > 0.05 - voxel  # so no phase is absent
        share = (found[:, 0] - 0.05) / (1 - 0.05 * phases)
        law = stats.beta(1, phases - 1)  # of one coordinate of a uniform point of the simplex
        assert stats.kstest(share, law.cdf).pvalue > 0.01


def test_every_family_and_every_place_of_the_third_phase_occurs(many):
    truths = [m.provenance["truth"] for m in many]
    families = Counter(t["family"] for t in truths)
    assert set(families) == set(_random.FAMILIES)
    assert min(families.values()) > 20
    thirds = Counter(t["third"] for t in truths if "third" in t)
    assert set(thirds) == {"level", "bridge", *_random.FAMILIES}
    assert min(thirds["level"], thirds["bridge"]) > 40


def test_structures_lie_along_all_axes(many):
    """Endless parallel fibres and layers change least, and most, along any of the axes."""
    least, most = Counter(), Counter()
    for m in many:
        changes = [np.mean(np.diff(m.labels.astype(int), axis=a) != 0) for a in range(3)]
        least[int(np.argmin(changes))] += max(changes) > 3 * min(changes)
        most[int(np.argmax(changes))] += max(changes) > 3 * min(changes)
    assert min(least.values()) > 10
    assert min(most.values()) > 10


def test_labels_are_assigned_at_random(many):
    """The middle one of three levels separates the other two; it may have any label."""
    middle = Counter()
    for m in many:
        if m.provenance["truth"].get("third") == "level":
            pairs = np.sort([m.labels[1:], m.labels[:-1]], axis=0).sum(axis=0, dtype=int)
            differ = m.labels[1:] != m.labels[:-1]
            contacts = np.bincount(pairs[differ], minlength=4)[1:]  # of 0 and 1, 0 and 2, 1 and 2
            middle[2 - int(np.argmin(contacts))] += 1
    assert min(middle[phase] for phase in range(3)) > 10


@pytest.mark.parametrize("family", _random.FAMILIES)
@pytest.mark.parametrize("size", [(64, 1, 1), (1, 30, 30), (5, 4, 30)], ids=str)
def test_every_family_fills_every_shape(family, size):
    for fraction in (0.05, 0.5, 0.95):
        score = _random.FAMILIES[family](np.random.default_rng(1), size, fraction)
        assert score.shape == size
        assert np.isfinite(score).all()
        assert np.ptp(score) > 0


@pytest.mark.parametrize(
    ("spectrum", "expected"),
    [("gaussian", lambda r: np.exp(-((r / 4) ** 2))), ("band", None), ("power", None)],
)
def test_fields_have_the_length_of_their_axis(spectrum, expected):
    field = _random._field(np.random.default_rng(0), (160, 160, 160), (4.0, 8.0, 4.0), spectrum)
    assert field.std() == pytest.approx(1.0, abs=1e-4)
    along = [
        np.array([np.mean(field * np.roll(field, r, axis=a)) for r in lags])
        for a, lags in ((0, range(10)), (1, range(0, 20, 2)), (2, range(10)))
    ]
    for curve in along[1:]:  # a length twice as long doubles the lags
        np.testing.assert_allclose(curve, along[0], atol=0.1)
    if expected is not None:
        np.testing.assert_allclose(along[2], expected(np.arange(10)), atol=0.06)
    if spectrum == "band":  # near sin(2 r / l) / (2 r / l), least at 4.5 / 2 l = 9
        assert along[0][9] < -0.05


def test_a_rotation_turns_the_axes_of_a_field():
    turn = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    draws = [np.random.default_rng(3) for _ in range(2)]
    size, lengths = (40, 40, 40), (12.0, 3.0, 3.0)
    plain = _random._field(draws[0], size, lengths, "gaussian", np.eye(3))
    turned = _random._field(draws[1], size, lengths, "gaussian", turn)
    rough = [[np.mean(np.diff(f, axis=a) ** 2) for a in range(3)] for f in (plain, turned)]
    assert np.argmin(rough[0]) == 0
    assert np.argmin(rough[1]) == 1


def test_distances_are_those_to_the_nearest_point():
    rng = np.random.default_rng(0)
    size = (20, 15, 12)
    grid = np.argwhere(np.ones(size))
    points = rng.random((60, 3)) * 30 - 6
    metric = np.diag([1.0, 0.5, 2.0])
    distance, which = _random._distances(size, points, metric, count=2)
    every = np.linalg.norm((grid[:, None] - points) @ metric, axis=-1).reshape(*size, -1)
    np.testing.assert_allclose(distance, np.sort(every, axis=-1)[..., :2], rtol=1e-5)
    np.testing.assert_array_equal(which[..., 0], every.argmin(axis=-1))
    line = np.linspace((-8.0, 3.0, 2.2), (30.0, 9.0, 8.0), 90)
    exact = cKDTree(line).query(grid)[0].reshape(size)
    found = _random._distance_to_lines(size, line, 4)
    assert found.min() >= exact.min() - 1e-5
    assert np.mean(found - exact) < 0.2


def test_films_have_one_thickness(monkeypatch):
    """The score of a boundary is the distance to the plane between two centres."""
    centres = np.array([[2.0, 3.0, 1.0], [11.0, 6.0, 8.0]])
    monkeypatch.setattr(_random, "_scattered", lambda *_: centres)
    monkeypatch.setattr(_random, "_stretch", lambda _: None)
    score = _random._grain_boundaries(np.random.default_rng(0), (14, 9, 10), 0.5)
    normal = (centres[1] - centres[0]) / np.linalg.norm(centres[1] - centres[0])
    signed = (np.argwhere(np.ones(score.shape)) - centres.mean(axis=0)) @ normal
    np.testing.assert_allclose(score.ravel(), np.abs(signed), atol=1e-4)


def test_overlapping_spheres_are_the_boolean_model(monkeypatch):
    monkeypatch.setattr(_random, "_stretch", lambda _: None)
    monkeypatch.setattr(_random, "_log_uniform", lambda *_: 5.0)
    curves = []
    for seed in range(6):
        score = _random._spheres(np.random.default_rng(seed), (72, 72, 72), 0.4)
        phase = score <= np.quantile(score, 0.4)
        for a in range(3):
            pairs = np.moveaxis(phase, a, 0)
            curves.append([np.mean(pairs[: 72 - r] & pairs[r:]) for r in range(14)])
    expected = synthetic.overlapping_spheres_two_point(0.4, 5.0, np.arange(14))
    np.testing.assert_allclose(np.mean(curves, axis=0), expected, atol=0.015)


def test_packed_bodies_do_not_overlap(monkeypatch):
    """Together they fill the fraction that their volumes sum to."""
    monkeypatch.setattr(_random, "_log_uniform", lambda *_: 6.0)
    for fraction in (0.2, 0.4):
        filled = [
            np.mean(_random._packed(np.random.default_rng(seed), (64, 64, 64), fraction) < 0)
            for seed in range(6)
        ]
        assert np.mean(filled) == pytest.approx(fraction, abs=0.02)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((0, (4, 4, 3)), ValueError, "`shape` must hold at least 64 voxels, got 48"),
        ((0, (8, 8)), ValueError, "`shape` must be one or three positive"),
        ((0, SMALL, 4), ValueError, "`n_phases` must be an integer 2 ... 3, got 4"),
        ((-1,), ValueError, "`seed` must be an integer"),
        ((0.5,), TypeError, "`seed` must be an integer"),
    ],
)
def test_refusals(arguments, error, message):
    with pytest.raises(error, match=message):
        synthetic.random_material(*arguments)
