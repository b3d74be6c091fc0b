# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Relative diffusivity: closed forms, the finite-volume reference, refusals."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.homogenization import ConvergenceError
from micro3d_fast.homogenization.connectivity import percolating
from micro3d_fast.reference import seven_point as reference
from volumes import blobs


def strip(axis=0):
    image = np.zeros((20, 22, 22), dtype=np.uint8)
    for i in range(20):
        image[i, i : i + 2, i : i + 2] = 1
    return np.moveaxis(image, 0, axis)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("sides", ["no-flux", "periodic"])
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_open_box_has_tortuosity_one(axis, sides, precision):
    got = m3.relative_diffusivity(
        np.ones((5, 6, 7), np.uint8), 1, axis=axis, sides=sides, precision=precision
    )
    assert got.relative == pytest.approx(1.0, abs=1e-11)
    assert got.tortuosity == pytest.approx(1.0, abs=1e-11)
    assert got.volume_fraction == got.percolating_fraction == 1.0
    assert got.axis == "zyx"[axis]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_slanted_strip_of_taufactor(axis, precision):
    got = m3.relative_diffusivity(strip(axis), 1, axis=axis, tol=1e-8, precision=precision)
    assert got.tortuosity == pytest.approx(451 / 60, rel=1e-9)
    assert got.residual <= 1e-8


def test_layers_in_series_and_parallel():
    image = np.zeros((6, 5, 4), dtype=np.uint8)
    image[3:] = 1
    options = {"conductivities": (2.0, 6.0), "tol": 1e-8}
    assert m3.relative_diffusivity(image, (0, 1), axis="z", **options).relative == pytest.approx(
        3.0
    )
    for axis in "yx":
        got = m3.relative_diffusivity(image, (0, 1), axis=axis, **options)
        assert got.relative == pytest.approx(4.0)
        assert got.tortuosity == pytest.approx(1.0)
    swapped = m3.relative_diffusivity(image, (1, 0), axis="z", conductivities={0: 2.0, 1: 6.0})
    assert swapped.relative == pytest.approx(3.0)


@pytest.mark.parametrize("shape", [(6, 5, 7), (1, 4, 6), (7, 1, 5), (5, 6, 1), (1, 1, 1)], ids=str)
@pytest.mark.parametrize("sides", ["no-flux", "periodic"])
def test_equals_reference(shape, sides, rng):
    wrap = (sides == "periodic",) * 2
    for fraction in (0.5, 0.7, 0.9):
        image = blobs(shape, (1 - fraction, fraction), rng)
        for axis in range(3):
            moved = np.moveaxis(image, axis, 0)
            want = reference.relative_diffusivity(moved == 1, wrap)
            got = m3.relative_diffusivity(image, 1, axis=axis, sides=sides, tol=1e-8)
            assert got.relative == pytest.approx(want, rel=1e-7, abs=1e-10)
            if got.relative == 0.0:
                assert got.tortuosity == math.inf
            else:
                assert got.tortuosity == pytest.approx(got.volume_fraction / got.relative)


def test_several_phases_and_bricks_equal_reference(rng):
    labels = rng.integers(0, 3, (5, 4, 6), dtype=np.uint8)
    k = {0: 0.3, 2: 4.0}
    size = (1.0, 2.0, 0.5)
    values = np.array([0.3, 0.0, 4.0])[labels]
    for axis in range(3):
        order = (axis, *(a for a in range(3) if a != axis))
        d = np.array(size)[list(order)]
        weights = d.prod() / d**2
        a, b = reference.matrix(values.transpose(order), weights, (False, False))
        c = np.linalg.lstsq(a, b, rcond=1e-12)[0]
        n = np.array(labels.shape)[list(order)]
        current = (b * (1 - c)).sum()  # b is zero but at the first plate
        want = current * n[0] * d[0] / (n[1] * d[1] * n[2] * d[2])
        got = m3.relative_diffusivity(
            labels, (0, 2), axis=axis, conductivities=k, voxel_size=size, tol=1e-9,
            precision="float64",
        )  # fmt: skip
        assert got.relative == pytest.approx(want, rel=1e-9)


def test_blocked_and_absent_phases():
    image = np.ones((4, 4, 4), dtype=np.uint8)
    image[2] = 0
    for phase, axis in ((1, "z"), (7, "x")):
        got = m3.relative_diffusivity(image, phase, axis=axis, flux=True)
        assert (got.relative, got.tortuosity, got.iterations) == (0.0, math.inf, 0)
        assert not got.flux.any()
        assert "nothing percolates" in repr(got)
    assert m3.relative_diffusivity(image, 1, axis="x").relative == pytest.approx(0.75)
    diagonal = np.eye(4, dtype=np.uint8)[None].repeat(3, axis=0)  # edges do not conduct
    assert m3.relative_diffusivity(diagonal, 1, axis="y").relative == 0.0


def test_clusters_percolate_across_sides_only_if_these_are_periodic():
    mask = np.zeros((4, 5, 5), dtype=np.uint8)
    mask[:2, 2, 0] = 1
    mask[1:, 2, 4] = 1  # reached around the side x
    assert m3.relative_diffusivity(mask, 1, axis=0).relative == 0.0
    assert m3.relative_diffusivity(mask, 1, axis=0, sides="periodic").relative > 0.0
    island = mask.copy()
    island[2, 0, 2] = 1
    through = percolating(island != 0, (True, True))
    assert through.sum() == 5
    assert not through[2, 0, 2]


def test_blocked_clusters_change_only_the_volume_fraction(rng):
    image = blobs((12, 12, 12), (0.4, 0.6), rng)
    through = percolating(image != 0, (False, False))
    only = through.astype(np.uint8)
    a = m3.relative_diffusivity(image, 1, axis=0, tol=1e-8)
    b = m3.relative_diffusivity(only, 1, axis=0, tol=1e-8)
    assert a.relative == pytest.approx(b.relative, rel=1e-12)
    assert a.percolating_fraction == b.volume_fraction
    assert a.volume_fraction == image.mean()


def test_axes_flips_and_side_shifts_are_equivalent(rng):
    image = blobs((10, 11, 12), (0.4, 0.6), rng)
    want = m3.relative_diffusivity(image, 1, axis=0, tol=1e-9, precision="float64").relative
    for order in itertools.permutations(range(3)):
        turned = image.transpose(order)
        got = m3.relative_diffusivity(turned, 1, axis=order.index(0), tol=1e-9, precision="float64")
        assert got.relative == pytest.approx(want, rel=1e-12)
    for flipped in (image[::-1], image[:, ::-1], image[:, :, ::-1]):
        got = m3.relative_diffusivity(flipped, 1, axis=0, tol=1e-9, precision="float64")
        assert got.relative == pytest.approx(want, rel=1e-12)
    options = {"axis": 0, "sides": "periodic", "tol": 1e-9, "precision": "float64"}
    periodic = m3.relative_diffusivity(image, 1, **options).relative
    shifted = np.roll(image, (3, 5), axis=(1, 2))
    assert m3.relative_diffusivity(shifted, 1, **options).relative == pytest.approx(
        periodic, rel=1e-12
    )
    assert periodic >= want - 1e-12  # more ways to go


@pytest.mark.parametrize("sides", ["no-flux", "periodic"])
def test_fields_carry_the_flux(sides, rng):
    image = blobs((9, 10, 11), (0.4, 0.6), rng)
    for axis in range(3):
        got = m3.relative_diffusivity(image, 1, axis=axis, sides=sides, flux=True, tol=1e-9)
        assert got.flux.shape == (*image.shape, 3)
        stays = image.size * (1 - got.percolating_fraction)
        assert np.isnan(got.concentration).sum() == round(stays)
        inside = got.concentration[~np.isnan(got.concentration)]
        assert 0.0 < inside.min() < inside.max() < 1.0
        assert np.nanargmax(np.nanmean(got.concentration, axis=tuple({0, 1, 2} - {axis}))) == 0
        along = got.flux[..., 2 - axis].astype(float)
        others = tuple({0, 1, 2} - {axis})
        np.testing.assert_allclose(along.mean(axis=others), got.relative, rtol=1e-5)
        assert not got.flux[image == 0].any()


def test_true_residual_meets_the_tolerance_in_mixed_precision(rng):
    image = blobs((20, 20, 20), (0.5, 0.5), rng)
    for precision in ("mixed", "float64"):
        got = m3.relative_diffusivity(image, 1, axis=0, tol=1e-10, precision=precision)
        assert 0.0 < got.residual <= 1e-10
        # the energy has an error of second order
        rough = m3.relative_diffusivity(image, 1, axis=0, tol=1e-4, precision=precision)
        assert rough.relative == pytest.approx(got.relative, rel=1e-5)
        assert rough.iterations < got.iterations


def test_torch_path_is_the_numpy_path(rng, monkeypatch):
    pytest.importorskip("torch")
    from micro3d_fast.homogenization import _call
    from micro3d_fast.homogenization._compute import TorchCompute

    image = blobs((8, 9, 10), (0.4, 0.6), rng)
    for sides in ("no-flux", "periodic"):
        want = m3.relative_diffusivity(image, 1, axis=1, sides=sides, tol=1e-8)
        with monkeypatch.context() as patch:
            patch.setattr(_call, "compute_for", lambda *_: TorchCompute("cpu"))
            got = m3.relative_diffusivity(image, 1, axis=1, sides=sides, tol=1e-8)
        assert got.relative == pytest.approx(want.relative, rel=1e-9)
        assert abs(got.iterations - want.iterations) <= 1


@pytest.mark.cuda
def test_cuda_equals_cpu(rng):
    image = blobs((20, 21, 22), (0.4, 0.6), rng)
    for sides, precision in itertools.product(("no-flux", "periodic"), ("mixed", "float64")):
        options = {"axis": 1, "sides": sides, "tol": 1e-8, "precision": precision}
        want = m3.relative_diffusivity(image, 1, **options)
        got = m3.relative_diffusivity(image, 1, device="cuda", **options)
        assert got.relative == pytest.approx(want.relative, rel=1e-9)
        assert got.residual <= 1e-8


def test_real_cathode_and_a_2d_image(shared_data):
    labels = np.load(shared_data / "nmc_cal_cbd_bridge.npz")["labels"][:40, :40, :40]
    pore = m3.relative_diffusivity(labels, 0, axis="x")
    assert 0.0 < pore.relative < pore.volume_fraction
    assert pore.tortuosity > 1.0
    flat = m3.relative_diffusivity(labels[7], 0, axis="y")
    stacked = m3.relative_diffusivity(labels[7:8].repeat(3, axis=0), 0, axis="y")
    assert flat.relative == pytest.approx(stacked.relative, abs=1e-9)


def test_microstructure_brings_its_voxel_size(rng):
    image = blobs((6, 6, 6), (0.3, 0.7), rng)
    volume = m3.Microstructure(image, voxel_size=(1e-6, 2e-6, 2e-6))
    a = m3.relative_diffusivity(volume, 1, axis=0)
    b = m3.relative_diffusivity(image, 1, axis=0, voxel_size=(1.0, 2.0, 2.0))
    assert a.relative == pytest.approx(b.relative, rel=1e-12)
    assert a.relative != pytest.approx(m3.relative_diffusivity(image, 1, axis=0).relative, rel=1e-4)


def test_callback_and_convergence_error_with_the_partial_result(rng):
    image = blobs((16, 16, 16), (0.5, 0.5), rng)
    seen = []
    m3.relative_diffusivity(image, 1, axis=0, callback=seen.append)
    assert [s.iteration for s in seen] == list(range(1, len(seen) + 1))
    assert seen[-1].residual <= 1e-6
    with pytest.raises(ConvergenceError, match="not `tol` 1e-06 in 2 iterations") as caught:
        m3.relative_diffusivity(image, 1, axis=0, max_iterations=2)
    assert caught.value.partial.relative > 0.0
    assert caught.value.residual == caught.value.partial.residual > 1e-6
    assert caught.value.iterations == 2


def test_transforms_are_exact_for_an_open_box():
    got = m3.relative_diffusivity(
        np.ones((9, 8, 7), np.uint8), 1, axis=0, precision="float64", preconditioner="transforms"
    )
    assert got.iterations == 1


@pytest.mark.parametrize("shape", [(17, 12, 9), (1, 30, 31), (40, 3, 2), (7, 1, 1), (5, 9, 33)])
@pytest.mark.parametrize("sides", ["no-flux", "periodic"])
@pytest.mark.parametrize("phases", [1, 2])
def test_both_preconditioners_agree(shape, sides, phases, rng):
    labels = blobs(shape, (0.3, 0.7), rng)
    labels[rng.random(shape) < 0.2] = 2
    k = {1: 1.0} if phases == 1 else {1: 1.0, 2: 0.05}
    for axis, precision in itertools.product(range(3), ("mixed", "float64")):
        results = [
            m3.relative_diffusivity(
                labels, tuple(k), axis=axis, sides=sides, conductivities=k, tol=1e-8,
                precision=precision, preconditioner=name, voxel_size=(1.0, 0.8, 1.3), threads=1,
            )
            for name in ("multigrid", "transforms")
        ]  # fmt: skip
        assert results[0].relative == pytest.approx(results[1].relative, rel=1e-8, abs=1e-12)
        assert max(r.residual for r in results) <= 1e-8


def serpentine(n):
    """Return a channel one voxel wide, back and forth through every second row and plane."""
    labels = np.zeros((n, n - 1, n - 1), dtype=np.uint8)
    at_end = False
    for z in range(1, n, 2):
        labels[z, ::2] = 1
        for row in range(1, n - 1, 2):
            labels[z, row, -1 if row % 4 == 1 else 0] = 1
        labels[z - 1, -1 if at_end else 0, _column(n, at_end)] = 1
        at_end = not at_end
    labels[n - 1] = 0
    labels[n - 1, -1 if at_end else 0, _column(n, at_end)] = 1
    return labels


def _column(n, at_end):
    return (-1 if (n // 2) % 2 == 1 else 0) if at_end else 0


@pytest.mark.parametrize("preconditioner", ["multigrid", "transforms"])
@pytest.mark.parametrize("precision", ["mixed", "float64"])
def test_serpentine_channel_has_the_resistance_of_its_length(preconditioner, precision):
    labels = serpentine(13)
    cells = int(labels.sum())
    got = m3.relative_diffusivity(
        labels, 1, axis=0, preconditioner=preconditioner, precision=precision
    )
    nz, ny, nx = labels.shape
    assert got.relative == pytest.approx(nz / (ny * nx * cells), rel=1e-5)


def test_thin_walled_phase_converges_in_mixed_precision(shared_data):
    """Chambers and bottlenecks: eigenvalues of 1e-7, lost if the operator rounds in float32."""
    labels = np.load(shared_data / "nmc_cal_cbd_bridge.npz")["labels"][:80, :80, :80]
    mixed = m3.relative_diffusivity(labels, 2, axis="z")
    want = m3.relative_diffusivity(labels, 2, axis="z", precision="float64")
    assert mixed.residual <= 1e-6
    assert mixed.iterations < 2 * want.iterations
    assert mixed.relative == pytest.approx(want.relative, rel=1e-6)


def test_multigrid_iterations_hardly_depend_on_size(rng):
    counts = []
    coarse = blobs((16, 16, 16), (0.4, 0.6), rng)
    for factor in (1, 2, 4):
        image = coarse
        for axis in range(3):
            image = image.repeat(factor, axis=axis)
        got = m3.relative_diffusivity(image, 1, axis=0, preconditioner="multigrid")
        counts.append(got.iterations)
    assert max(counts) <= 16
    assert counts[2] <= counts[0] + 5


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"labels": np.zeros((2, 2, 2))}, TypeError, "`labels` must be an array of bool or int"),
        ({"labels": np.zeros((0, 2, 2), np.uint8)}, ValueError, "`labels` must not be empty"),
        ({"labels": np.zeros(3, np.uint8)}, ValueError, "`labels` must have 2 or 3 dimensions"),
        ({"phase": 256}, ValueError, "`phase`"),
        ({"phase": 1.0}, TypeError, "`phase`"),
        ({"phase": (0, 0)}, ValueError, "`phase` must be one or several distinct phases"),
        ({"phase": ()}, ValueError, "`phase`"),
        ({"axis": 3}, ValueError, "`axis` must be 0, 1, 2 or 'z', 'y', 'x', got 3"),
        ({"axis": "w"}, ValueError, "`axis`"),
        ({"sides": "shut"}, ValueError, "`sides` must be 'no-flux' or 'periodic', got 'shut'"),
        ({"tol": 0.0}, ValueError, r"`tol` must be .*\(0, 1\), got 0"),
        ({"tol": 1.0}, ValueError, "`tol`"),
        ({"tol": "1e-6"}, TypeError, "`tol`"),
        ({"conductivities": (1.0, 2.0)}, ValueError, "`conductivities` must hold one number"),
        ({"conductivities": {0: 1.0}}, ValueError, "`conductivities`"),
        ({"conductivities": -1.0}, ValueError, "`conductivities` must be a finite number"),
        ({"phase": None}, TypeError, "`phase` must be a label, .* got None"),
        ({"conductivities": 0.0}, ValueError, "`conductivities` must be positive for a phase"),
        ({"voxel_size": -1.0}, ValueError, "`voxel_size`"),
        ({"device": "gpu"}, ValueError, "`device` must be None, 'cpu', 'cuda' or"),
        ({"precision": "half"}, ValueError, "`precision` must be 'mixed' or 'float64'"),
        ({"max_iterations": 0}, ValueError, "`max_iterations`"),
        ({"callback": 3}, TypeError, "`callback`"),
        ({"flux": 1}, TypeError, "`flux`"),
        ({"preconditioner": "ilu"}, ValueError, "`preconditioner` must be 'auto' or 'multigrid'"),
        ({"threads": -1}, ValueError, "`threads`"),
    ],
)
def test_refusals(change, error, words):
    arguments = {"labels": np.ones((2, 2, 2), np.uint8), "phase": 1, "axis": 0, **change}
    with pytest.raises(error, match=words):
        m3.relative_diffusivity(arguments.pop("labels"), arguments.pop("phase"), **arguments)


def test_cuda_is_refused_where_there_is_none():
    if m3.cuda_status().find("finds") >= 0:
        pytest.skip("there is a GPU")
    with pytest.raises(m3.CudaUnavailableError, match="`device` 'cuda' asks for CUDA"):
        m3.relative_diffusivity(np.ones((2, 2, 2), np.uint8), 1, axis=0, device="cuda")


def test_conductivities_by_name():
    """Two conductors side by side: the mean of what they conduct."""
    labels = np.zeros((4, 6, 4), np.uint8)
    labels[:, 2:4], labels[:, 4:] = 1, 2
    volume = m3.Microstructure(labels, phase_names=("wall", "slow", "fast"))
    values = {"fast": 5.0, "slow": 1.0}
    got = m3.relative_diffusivity(volume, ["slow", "fast"], axis="z", conductivities=values)
    assert got.relative == pytest.approx(2.0)
    assert got.phases == (1, 2)
    with pytest.raises(ValueError, match=r"`conductivities` must be .* 'fast', got 'quick'"):
        m3.relative_diffusivity(volume, "slow", axis="z", conductivities={"quick": 1.0})
    with pytest.raises(ValueError, match="must hold one number for each of `phase`, and 0"):
        m3.relative_diffusivity(volume, "slow", axis="z", conductivities=values)
    with pytest.raises(ValueError, match="`conductivities` must give each phase once, got two"):
        m3.relative_diffusivity(volume, "slow", axis="z", conductivities={1: 1.0, "slow": 2.0})


def test_conductivities_of_all_phases_as_of_the_other_solvers():
    labels = blobs((8, 8, 8), (0.6, 0.4))
    want = m3.relative_diffusivity(labels, 0, axis="z", tol=1e-9)
    for values in ({0: 1, 1: 0}, [1, 0], np.array([1.0, 0.0])):
        got = m3.relative_diffusivity(labels, axis="z", conductivities=values, tol=1e-9)
        assert got == want
    for phase, values in ((0, {0: 1, 1: 0}), ((0, 1), (1, 0))):
        got = m3.relative_diffusivity(labels, phase, axis="z", conductivities=values, tol=1e-9)
        assert got == want
    with pytest.raises(ValueError, match=r"`conductivities` must cover every label present"):
        m3.relative_diffusivity(labels, axis="z", conductivities=[1.0])
    with pytest.raises(ValueError, match=r"`conductivities` must cover every phase present"):
        m3.relative_diffusivity(labels, axis="z", conductivities={0: 1.0})
    with pytest.raises(ValueError, match=r"`conductivities` must be positive for a phase"):
        m3.relative_diffusivity(labels, axis="z", conductivities={0: 0, 1: 0})
