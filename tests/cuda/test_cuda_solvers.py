# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Operators of the homogenizers on a GPU against the CPU.

Small enough for compute-sanitizer, which `benchmarks/gpu_check.py` runs over this file.
"""

from __future__ import annotations

import numpy as np
import pytest

from micro3d_fast import ops

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.cuda

DEVICE = "cuda"
KINDS = [("float32", "float32"), ("float32", "float64"), ("float64", "float64")]
CASES = [
    (name, kind)
    for name, model in ops.HEX8_MODELS.items()
    for kind in KINDS
    if kind == KINDS[0] or not model.float32_only
]
SHAPES = [(1, 1, 1), (3, 4, 5), (2, 17, 33), (21, 15, 64)]


def there(array):
    return torch.from_numpy(array).to(DEVICE)


def scratch(count):
    return torch.full((count,), float("nan"), dtype=torch.float64, device=DEVICE)


def close(got, want, dtype):
    got = got.cpu().numpy()
    scale = max(float(np.abs(want).max()), 1e-30)
    assert np.abs(got - want).max() <= (5e-6 if dtype == "float32" else 1e-13) * scale


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("model", "kind"), CASES, ids=str)
def test_hex8(model, kind, shape):
    storage, arithmetic = kind
    sizes = ops.HEX8_MODELS[model]
    components, coefficients, strains = sizes.components, sizes.coefficients, sizes.strains
    rng = np.random.default_rng([3, *shape])
    loads, phases = 2, 3
    field = (loads, components, *shape)
    labels = rng.integers(0, phases, shape, dtype=np.uint8)
    arrays = {
        "mean": rng.uniform(0.5, 2, (coefficients, phases)).astype(arithmetic),
        "rest": rng.uniform(0.5, 2, (coefficients, phases)).astype(arithmetic),
        "macro": rng.standard_normal((loads, strains)).astype(arithmetic),
        "u": rng.standard_normal(field).astype(storage),
    }
    if storage != arithmetic:
        arrays["u_low"] = (1e-8 * rng.standard_normal(field)).astype(storage)
    if model == "elasticity_anisotropic":
        unit = rng.standard_normal((3, *shape))
        arrays["directions"] = (unit / np.sqrt((unit**2).sum(0))).astype(storage)
        arrays["fibre"] = rng.uniform(0.5, 2, (6, phases)).astype(arithmetic)
        arrays["fibre"][5] = [1, 0, 1]
    for dotted in ("input", "output"):
        want, dot = np.empty(field, storage), np.empty(loads)
        ops.hex8(labels, model, out=want, dot=dot, dot_kind=dotted, sign=-1.0, threads=1, **arrays)
        sent = {name: there(array) for name, array in arrays.items()}
        got, sums = (
            torch.full(field, float("nan"), device=DEVICE).to(getattr(torch, storage)),
            scratch(loads),
        )
        ops.hex8(
            there(labels),
            model,
            out=got,
            dot=sums,
            dot_kind=dotted,
            sign=-1.0,
            partials=scratch(ops.HEX8_PARTIALS),
            **sent,
        )
        close(got, want, storage)
        scale = np.sqrt(
            (want.astype(np.float64) ** 2).sum() * (arrays["u"].astype(np.float64) ** 2).sum()
        )
        assert np.abs(sums.cpu().numpy() - dot).max() <= (
            1e-5 if storage == "float32" else 1e-13
        ) * max(scale, np.abs(dot).max())


def test_hex8_of_nothing_known_is_the_load():
    """u absent: the nodal forces of the uniform strain, and no dot."""
    labels = np.random.default_rng(5).integers(0, 2, (5, 6, 7), dtype=np.uint8)
    mean, macro = np.outer([1, 2, 1, 0, 0, 0.5], [1.0, 3.0]), np.eye(3)[:1]
    want = ops.hex8(
        labels, "conduction_anisotropic", mean, out=np.empty((1, 1, 5, 6, 7)), macro=macro
    )
    out = torch.full((1, 1, 5, 6, 7), float("nan"), dtype=torch.float64, device=DEVICE)
    ops.hex8(there(labels), "conduction_anisotropic", there(mean), out=out, macro=there(macro))
    close(out, want, "float64")


@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bbar", [False, True])
@pytest.mark.parametrize("divide", [False, True])
def test_green(components, dtype, bbar, divide):
    rng = np.random.default_rng(6)
    nz, ny, nx, loads = 6, 9, 11, 2
    half = nx // 2 + 1
    shape = (loads, components, nz, ny, half)
    spectrum = (rng.standard_normal(shape) + 1j * rng.standard_normal(shape)).astype(
        "complex64" if dtype == "float32" else "complex128"
    )
    tables = []
    for count, n in ((nz, nz), (ny, ny), (half, nx)):
        angle = 2 * np.pi * np.arange(count) / n
        rows = [
            2 - 2 * np.cos(angle),
            (8 + 4 * np.cos(angle)) / 3,
            2 * np.sin(angle),
            2 + 2 * np.cos(angle),
        ]
        tables.append(np.stack(rows).astype(dtype))
    rows = 6 if components == 3 else 1
    symbol = np.zeros((rows, 6))
    symbol[: min(rows, 3), :3] = 1.0 + 2.0 * np.eye(3)[: min(rows, 3)]
    for q in range(3, rows):
        symbol[q, q] = 1.5
    first = (0.1 * symbol).ravel().tolist() if bbar else None
    keys = {"first": first, "divide": divide}
    want, rz = spectrum.copy(), np.empty(loads)
    ops.green(want, nx, tuple(tables), symbol.ravel().tolist(), rz=rz, **keys)
    got, sums = there(spectrum), scratch(loads)
    ops.green(
        got,
        nx,
        tuple(there(t) for t in tables),
        symbol.ravel().tolist(),
        rz=sums,
        partials=scratch(loads * ops.REDUCE_PARTIALS),
        **keys,
    )
    close(got, want, dtype)
    np.testing.assert_allclose(sums.cpu().numpy(), rz, rtol=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_separable_inverse(dtype):
    rng = np.random.default_rng(7)
    spectrum = rng.standard_normal((5, 6, 7)).astype(dtype)
    eigen = [rng.uniform(0, 2, n).astype(dtype) for n in (5, 6, 7)]
    for values in eigen:
        values[0] = 0
    want, rz = spectrum.copy(), np.empty(1)
    ops.separable_inverse(want, tuple(eigen), rz=rz)
    got, sums = there(spectrum), scratch(1)
    ops.separable_inverse(
        got, tuple(there(e) for e in eigen), rz=sums, partials=scratch(ops.REDUCE_PARTIALS)
    )
    close(got, want, dtype)
    np.testing.assert_allclose(sums.cpu().numpy(), rz, rtol=1e-5 if dtype == "float32" else 1e-12)
