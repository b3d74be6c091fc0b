# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Public functions with random arguments: arrays on a GPU against the same on the CPU.

Whole numbers are equal; of the others, counts are exact and one division follows.
"""

from __future__ import annotations

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import statistics

torch = pytest.importorskip("torch")

from _toy import calm_model  # noqa: E402

pytestmark = pytest.mark.cuda

DEVICE = "cuda"
LIBRARIES = ["torch", "cupy"]


def sender(library):
    module = pytest.importorskip(library)
    if library == "torch":
        return lambda a: module.from_numpy(a).to(DEVICE)
    return module.asarray


def material(rng, shape, phases):
    """Labels with runs, and a mask."""
    coarse = rng.integers(0, phases, tuple(-(-n // 3) for n in shape))
    for axis in range(len(shape)):
        coarse = np.repeat(coarse, 3, axis=axis)
    labels = coarse[tuple(slice(n) for n in shape)].astype(np.uint8)
    mask = rng.random(shape) < 0.9
    mask.flat[0] = True
    return np.ascontiguousarray(labels), mask


def seen(rng, array):
    """The index of a view: whole, in steps, or without the last."""
    kind = rng.integers(4)
    if kind == 1:
        return tuple(
            slice(int(rng.integers(2)), None, int(rng.integers(1, 3))) for _ in array.shape
        )
    if kind == 2:
        return tuple(slice(0, n - int(n > 4)) for n in array.shape)
    return (slice(None),) * array.ndim


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("seed", range(12))
def test_statistics(library, seed):
    rng = np.random.default_rng([31, seed])
    send = sender(library)
    ndim = int(rng.integers(2, 4))
    shape = tuple(int(n) for n in rng.integers(5, 22 if ndim == 3 else 50, ndim))
    phases = int(rng.integers(2, 5))
    labels, mask = material(rng, shape, phases)
    labels = labels.astype(rng.choice(["uint8", "int64", "int32", "uint16"]))
    view = seen(rng, labels)
    there, inside = send(labels)[view], send(mask)[view]
    labels, mask = np.ascontiguousarray(labels[view]), np.ascontiguousarray(mask[view])
    masked = bool(rng.integers(2))
    own = rng.integers(2)  # a mask of the host is sent
    here_keys = {"mask": mask if masked else None}
    there_keys = {"mask": (inside if own else mask) if masked else None}
    periodic = tuple(bool(b) for b in rng.integers(0, 2, ndim))
    phase, other = (int(p) for p in rng.integers(0, phases, 2))
    pair = (phase,) if rng.integers(2) else (phase, other)
    axis = int(rng.integers(ndim))

    np.testing.assert_array_equal(
        m3.volume_fractions(there, **there_keys), m3.volume_fractions(labels, **here_keys)
    )
    max_lag = None if rng.integers(2) else int(rng.integers(0, min(labels.shape)))
    keys = {"periodic": periodic, "max_lag": max_lag}
    got = m3.two_point_map(there, *pair, **keys, **there_keys)
    want = m3.two_point_map(labels, *pair, **keys, **here_keys)
    np.testing.assert_allclose(got, want, rtol=1e-15)
    sizes = tuple(rng.choice([1e-6, 5e-7, 2e-6], ndim)) if rng.integers(2) else None
    got = m3.two_point_radial(there, *pair, **keys, **there_keys, voxel_size=sizes)
    want = m3.two_point_radial(labels, *pair, **keys, **here_keys, voxel_size=sizes)
    np.testing.assert_array_equal(got.count, want.count)
    np.testing.assert_allclose(got.value, want.value, rtol=1e-13)
    np.testing.assert_allclose(got.lag, want.lag, rtol=1e-13)
    np.testing.assert_array_equal(got.edges, want.edges)
    max_lag = None if rng.integers(2) else int(rng.integers(0, labels.shape[axis]))
    keys = {"periodic": periodic, "max_lag": max_lag, "axis": axis}
    np.testing.assert_array_equal(
        m3.two_point_correlation(there, *pair, **keys, **there_keys),
        m3.two_point_correlation(labels, *pair, **keys, **here_keys),
    )
    np.testing.assert_array_equal(
        m3.lineal_path(there, phase, **keys, **there_keys),
        m3.lineal_path(labels, phase, **keys, **here_keys),
    )
    got, want = (
        statistics.lineal_paths(x, **keys, **k)
        for x, k in ((there, there_keys), (labels, here_keys))
    )
    np.testing.assert_array_equal(got, want)
    got, want = (
        statistics.chord_lengths(x, phase, axis=axis, **k)
        for x, k in ((there, there_keys), (labels, here_keys))
    )
    np.testing.assert_array_equal(got.count, want.count)


@pytest.mark.parametrize("library", LIBRARIES)
def test_batches_of_images(library):
    send = sender(library)
    labels, mask = material(np.random.default_rng(5), (4, 17, 22), 3)
    for function in (m3.two_point_correlation, m3.lineal_path):
        for keys in ({}, {"mask": mask}):
            sent = {k: send(v) for k, v in keys.items()}
            got = function(send(labels), 1, axis="x", batch=True, **sent)
            np.testing.assert_array_equal(got, function(labels, 1, axis="x", batch=True, **keys))
    got = m3.two_point_map(send(labels), 1, batch=True, mask=send(mask))
    want = m3.two_point_map(labels, 1, batch=True, mask=mask)
    np.testing.assert_allclose(got, want, rtol=1e-15)


@pytest.mark.parametrize("library", LIBRARIES)
def test_turned_and_read_only_arrays(library):
    send = sender(library)
    labels, mask = material(np.random.default_rng(6), (9, 12, 15), 3)
    want = m3.two_point_map(labels.transpose(2, 0, 1), 1)
    there = send(labels)
    turned = there.permute(2, 0, 1) if library == "torch" else there.transpose(2, 0, 1)
    np.testing.assert_allclose(m3.two_point_map(turned, 1), want, rtol=1e-15)
    got = m3.two_point_map(there, 1, mask=mask[::-1])  # of numpy, turned
    np.testing.assert_allclose(got, m3.two_point_map(labels, 1, mask=mask[::-1]), rtol=1e-15)
    if library == "cupy":  # torch has no negative strides
        for function in (m3.two_point_map, m3.two_point_radial):
            got, want = function(there[::-1, :, ::-1], 1), function(labels[::-1, :, ::-1], 1)
            got, want = (getattr(x, "value", x) for x in (got, want))
            np.testing.assert_allclose(got, want, rtol=1e-13)
        np.testing.assert_array_equal(
            m3.lineal_path(there[:, ::-1], 1, axis=1), m3.lineal_path(labels[:, ::-1], 1, axis=1)
        )
    mask.flags.writeable = False
    got = m3.two_point_map(there, 1, mask=mask)
    np.testing.assert_allclose(got, m3.two_point_map(labels, 1, mask=mask), rtol=1e-15)


@pytest.mark.parametrize("library", LIBRARIES)
def test_refusals_are_those_of_the_host(library):
    send = sender(library)
    labels, mask = material(np.random.default_rng(7), (6, 7, 8), 2)
    wrong = [
        (m3.two_point_map, labels.astype(np.float32), {}),
        (m3.two_point_map, labels.astype(np.int64) - 1, {}),
        (m3.volume_fractions, labels[:0], {}),
        (m3.two_point_map, labels[0, 0], {}),
        (m3.two_point_map, labels, {"mask": mask[1:]}),
        (m3.two_point_map, labels, {"mask": mask.astype(np.float64)}),
        (m3.two_point_radial, labels, {"max_lag": -1}),
    ]
    for function, array, keys in wrong:
        phase = () if function is m3.volume_fractions else (1,)
        with pytest.raises((TypeError, ValueError)) as want:
            function(array, *phase, **keys)
        sent = {k: send(v) if isinstance(v, np.ndarray) else v for k, v in keys.items()}
        with pytest.raises(want.type) as got:
            function(send(array), *phase, **sent)
        assert str(got.value).split(", got")[0] == str(want.value).split(", got")[0]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("seed", range(4))
def test_effective_properties(library, seed):
    rng = np.random.default_rng([32, seed])
    send = sender(library)
    shape = tuple(int(n) for n in rng.integers(6, 13, 3))
    labels, _ = material(rng, shape, 3)
    sizes = tuple(float(s) for s in rng.choice([1e-6, 5e-7], 3))
    keys = {
        "tol": 1e-7,
        "voxel_size": sizes,
        "precision": str(rng.choice(["mixed", "float64"])),
    }
    conductivities = [1.0, 0.0 if seed % 2 else 3.0, np.diag([8.0, 5.0, 2.0])]
    got, want = (
        m3.homogenize_conductivity(x, conductivities, fields=True, **keys)
        for x in (send(labels), labels)
    )
    assert got.device == "cuda:0"
    np.testing.assert_allclose(got.tensor, want.tensor, atol=2e-6)
    materials = [
        m3.Isotropic(E=1.0, nu=0.3, alpha=1e-2),
        m3.Isotropic(E=0.0 if seed % 2 else 4.0, nu=0.2),
        m3.TransverselyIsotropic(
            E_axial=10.0, E_transverse=3.0, G_axial=2.0, nu_axial=0.25, nu_transverse=0.3, axis="y"
        ),
    ]
    got, want = (
        m3.homogenize_elasticity(x, materials, bbar=bool(seed % 2), **keys)
        for x in (send(labels), labels)
    )
    np.testing.assert_allclose(got.stiffness, want.stiffness, atol=2e-6)
    options = {"axis": int(rng.integers(3)), "flux": True, **keys}
    for sides in ("no-flux", "periodic"):
        want = m3.relative_diffusivity(labels, [0, 2], sides=sides, **options)
        for preconditioner in ("transforms", "multigrid"):
            got = m3.relative_diffusivity(
                send(labels), [0, 2], sides=sides, preconditioner=preconditioner, **options
            )
            assert got.relative == pytest.approx(want.relative, abs=1e-6)
            if want.relative > 0:
                np.testing.assert_allclose(got.concentration, want.concentration, atol=1e-4)


def test_comparison():
    rng = np.random.default_rng(33)
    one, other = (material(rng, (20, 21, 22), 3)[0] for _ in range(2))
    send = sender("torch")
    got = m3.compare(send(one), send(other), splits=5, bootstrap=5)
    assert got.summary() == m3.compare(one, other, splits=5, bootstrap=5).summary()


@pytest.mark.parametrize("seed", range(6))
def test_reconstruction(seed, monkeypatch):
    """Raw and final labels: a rounding error moves no more than voxels at the cut."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    rng = np.random.default_rng([34, seed])
    shape = tuple(int(n) for n in rng.integers(14, 24, 3))
    if seed == 5:
        shape = (1, *shape[1:])  # a slice
    phases = int(rng.integers(2, 4))
    keys = {
        "periodic": tuple(bool(b) for b in rng.integers(0, 2, 3)),
        "guidance": float(rng.choice([1.0, 2.0])),
        "passes": 9,
        "precision": "float32",
        "keep_raw": True,
        "seed": seed,
        "window": 8 if rng.integers(2) else "auto",
        "compile": False,
    }
    if rng.integers(2):
        keys["volume_fractions"] = [0.3, *[0.7 / (phases - 1)] * (phases - 1)]
    if rng.integers(2):
        known = np.full(shape, 255, dtype=np.uint8)
        known[:, shape[1] // 2] = rng.integers(0, phases, (shape[0], shape[2]))
        keys["known"] = known
    model = calm_model(phases)
    got, want = (m3.reconstruct(shape, model, device=d, **keys) for d in (DEVICE, "cpu"))
    assert got.labels.shape == shape
    assert (got.labels == want.labels).mean() > 0.99
    assert (got.fields["raw_labels"] == want.fields["raw_labels"]).mean() > 0.99
    if "known" in keys:
        there = keys["known"] != 255
        np.testing.assert_array_equal(got.labels[there], keys["known"][there])
    else:
        np.testing.assert_allclose(
            m3.volume_fractions(got.labels), m3.volume_fractions(want.labels), atol=1e-3
        )


def test_slices_are_those_of_the_cpu():
    keys = {"size": (16, 24), "steps": 6, "guidance": 2.0, "precision": "float32", "seed": 3}
    got, want = (
        m3.sample_slices(calm_model(3), "yz", 4, device=d, **keys) for d in (DEVICE, "cpu")
    )
    assert (got == want).mean() > 0.99


def test_a_device_that_there_is_not():
    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    there = torch.cuda.device_count()
    for wrong in (f"cuda:{there}", "cuda:x", "cudas"):
        with pytest.raises(ValueError, match="`device` must be"):
            m3.homogenize_conductivity(labels, [1.0], device=wrong)
        with pytest.raises(ValueError, match="`device` must be"):
            m3.reconstruct((8, 8, 8), calm_model(), device=wrong)
