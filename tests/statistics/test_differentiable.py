# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Differentiable correlations: equal to the integer ones on 0/1 fields, gradients checked."""

import itertools

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import statistics
from micro3d_fast.statistics import differentiable
from volumes import random_labels

torch = pytest.importorskip("torch")

SHAPES = [(1, 1), (4, 5), (1, 1, 1), (4, 3, 5), (1, 6, 1)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("periodic", [False, True])
def test_equals_the_integer_version_on_binary_fields(shape, periodic):
    labels = random_labels(shape)
    one, two = (differentiable.indicator(labels, p) for p in (1, 2))
    keys = {"ndim": len(shape), "periodic": periodic}
    for g, j in ((None, None), (two, 2)):
        got = differentiable.two_point_map(one, g, **keys)
        want = m3.two_point_map(labels, 1, j, periodic=periodic)
        np.testing.assert_array_equal(got.numpy(), want)
        for axis, n in enumerate(shape):
            line = {"axis": axis, "max_lag": n - 1, "periodic": periodic}
            got = differentiable.two_point_correlation(one, g, ndim=len(shape), **line)
            np.testing.assert_array_equal(
                got.numpy(), m3.two_point_correlation(labels, 1, j, **line)
            )
            got = differentiable.lineal_path(one, ndim=len(shape), **line)
            np.testing.assert_array_equal(got.numpy(), m3.lineal_path(labels, 1, **line))


def test_batches_are_independent():
    fields = torch.rand(2, 3, 4, 5, 6, dtype=torch.float64, generator=torch.manual_seed(0))
    for function, keys in (
        (differentiable.two_point_map, {}),
        (differentiable.two_point_correlation, {"axis": "y"}),
        (differentiable.lineal_path, {"axis": "x"}),
    ):
        got = function(fields, **keys)
        for a, b in itertools.product(range(2), range(3)):
            torch.testing.assert_close(got[a, b], function(fields[a, b], **keys))


def test_map_and_direction_agree_on_soft_fields():
    f, g = torch.rand(2, 5, 6, 7, dtype=torch.float64, generator=torch.manual_seed(1))
    for periodic in (False, True):
        full = differentiable.two_point_map(f, g, periodic=periodic)
        line = differentiable.two_point_correlation(f, g, axis="y", periodic=periodic)
        torch.testing.assert_close(full[0, :4, 0], line)


@pytest.mark.parametrize("periodic", [False, True])
def test_gradients(periodic):
    generator = torch.manual_seed(2)
    f, g = (
        torch.rand(3, 2, 4, dtype=torch.float64, generator=generator, requires_grad=True)
        for _ in range(2)
    )
    check = torch.autograd.gradcheck
    assert check(lambda a, b: differentiable.two_point_map(a, b, periodic=periodic), (f, g))
    assert check(lambda a: differentiable.two_point_map(a, periodic=periodic), (f,))
    for axis in "zyx":
        keys = {"axis": axis, "periodic": periodic}
        assert check(lambda a, b, k=keys: differentiable.two_point_correlation(a, b, **k), (f, g))
        assert check(lambda a, k=keys: differentiable.lineal_path(a, **k), (f,))


def test_gradient_at_a_binary_field_is_that_of_the_soft_one():
    """Rounding of the counts must not reach the gradient."""
    binary = differentiable.indicator(random_labels((4, 5, 6)), 1).requires_grad_()
    (got,) = torch.autograd.grad(differentiable.two_point_map(binary)[1, 2, 3], binary)
    soft = (binary.detach() + 1e-9).requires_grad_()
    (want,) = torch.autograd.grad(differentiable.two_point_map(soft)[1, 2, 3], soft)
    torch.testing.assert_close(got, want, atol=1e-8, rtol=0)


def test_a_field_can_be_led_to_a_correlation():
    """Descent on the difference of S2 brings the fraction and the curve to the target."""
    labels = np.kron(np.random.default_rng(3).integers(0, 2, (6, 6)), np.ones((4, 4), int))
    target = torch.from_numpy(m3.two_point_correlation(labels, 1, axis="x", periodic=True))
    logit = torch.randn(24, 24, dtype=torch.float64, generator=torch.manual_seed(4))
    logit.requires_grad_()
    optimizer = torch.optim.Adam([logit], lr=0.1)
    losses = []
    for _ in range(150):
        curve = differentiable.two_point_correlation(
            torch.sigmoid(logit), axis="x", ndim=2, periodic=True
        )
        loss = ((curve - target) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.02 * losses[0]


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda f: differentiable.two_point_map(f.numpy()), TypeError, "`field` must be a torch"),
        (lambda f: differentiable.two_point_map(f.long()), TypeError, "got torch.int64"),
        (lambda f: differentiable.two_point_map(f[0]), ValueError, "at least 3 axes"),
        (lambda f: differentiable.two_point_map(f, f[:1]), ValueError, "`other` must have the"),
        (lambda f: differentiable.two_point_map(f, ndim=4), ValueError, "`ndim` must be"),
        (lambda f: differentiable.lineal_path(f, axis=3), ValueError, "`axis` must be"),
        (lambda f: differentiable.lineal_path(f, axis=0, max_lag=2), ValueError, "`max_lag`"),
    ],
)
def test_refusals(call, error, words):
    with pytest.raises(error, match=words):
        call(torch.rand(2, 2, 2))


@pytest.mark.parametrize("periodic", [(False, False, True), (True, False, False)])
@pytest.mark.parametrize("axis", [0, 1, "x"])
def test_periodic_of_one_axis(periodic, axis):
    labels = np.zeros((5, 2, 4), np.uint8)
    labels[[0, 1, 3], [0, 0, 1], [0, 3, 0]] = 1
    field = torch.tensor(labels.astype(float))
    for ours, theirs in (
        (differentiable.two_point_correlation, statistics.two_point_correlation),
        (differentiable.lineal_path, statistics.lineal_path),
    ):
        want = theirs(labels, 1, axis=axis, periodic=periodic)
        np.testing.assert_allclose(ours(field, axis=axis, periodic=periodic), want, rtol=1e-12)
        with pytest.raises(ValueError, match="`periodic` must be"):
            ours(field, axis=axis, periodic=(True, False))
