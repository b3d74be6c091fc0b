# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Call every operator, and every function of the compiled core, with wrong and absurd arguments.

    python tests/native/fuzz_operators.py [--count 10000] [--seed 18] [--first 0] [NAME ...]

Each call begins as a right one on small arrays, of which one to three arguments are then replaced:
other shapes (0, 1, odd), strides (negative, zero, gaps), dtypes, byte orders and kinds, read-only,
misaligned or overlapping memory, labels of any value, absurd numbers.  A call must succeed, or
raise a ValueError, TypeError or MemoryError of one short line, and no byte around its arrays may
change.  Right calls must succeed.  Call number n of a name is a function of the seed and n alone.
Wrong accesses are seen best by a build with sanitizers: ``make test-sanitized``.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from micro3d_fast import _core, ops
from micro3d_fast.ops import (
    channels_last,
    components,
    diffusion,
    finite_elements,
    finite_volumes,
    packed_bits,
    runs,
    spectra,
    vectors,
)

SECONDS = 60  # a call that takes longer ends the process
GUARD = 64  # bytes before and after half of the arrays
VALUES = np.random.default_rng(18).standard_normal(1 << 16)
LABELS = np.random.default_rng(18).integers(0, 3, 1 << 16).astype(np.uint8)
DTYPES = ("u1", "?", "i1", "i2", "i4", "i8", "u2", "f2", "f4", "f8", "c8", "c16", ">f8", ">i4", "O")
NUMBERS = (
    *(-1, 0, 1, 2, 3, 7, 64, 255, 256, 1025, 2**15, 2**31 - 1, 2**31, 2**32, 2**40, 2**62),
    *(2**63 - 1, 2**63, 2**64, -(2**31), -(2**63), -(2**80), 10**30),
    *(0.0, -0.5, 1.5, 1e-300, 1e300, float("inf"), float("-inf"), float("nan")),
)
KINDS = (
    None,
    True,
    "x",
    "",
    b"x",
    [],
    [1, 2],
    (1, 2, 3),
    {},
    1j,
    object(),
    np.float32(2),
    range(3),
)
Call = tuple[tuple[Any, ...], dict[str, Any]]


class Arguments:
    """Right arguments: arrays of small random shapes, and the memory around them."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)
        self.memory: list[tuple[np.ndarray, slice, bytes, bytes]] = []

    def one_of(self, *values: Any) -> Any:
        return self.random.choice(values)

    def sizes(self, n: int) -> tuple[int, ...]:
        return tuple(self.one_of(1, 1, 2, 3, 4, 5, 7, 9) for _ in range(n))

    def array(self, shape: tuple[int, ...], dtype: str) -> np.ndarray:
        kind = np.dtype(dtype)
        nbytes = int(np.prod(shape)) * kind.itemsize
        margin = GUARD if self.random.random() < 0.5 else 0
        raw = np.empty(nbytes + 2 * margin, np.uint8)
        inside = slice(margin, margin + nbytes)
        raw[:margin], raw[margin + nbytes :] = 0xA5, 0x5A
        array = raw[inside].view(kind).reshape(shape)
        start = self.random.randrange(1 << 15)
        source = LABELS if kind.kind in "bui" else VALUES
        array[...] = np.resize(source[start : start + max(1, array.size)], shape)
        if margin:
            self.memory.append((raw, inside, bytes(raw[:margin]), bytes(raw[margin + nbytes :])))
        return array

    def maybe(self, make: Callable[[], Any]) -> Any:
        return make() if self.random.random() < 0.5 else None

    def threads(self) -> int:
        return self.one_of(0, 1, 1, 2, 3)

    def intact(self) -> bool:
        return all(
            bytes(raw[: inside.start]) == before and bytes(raw[inside.stop :]) == after
            for raw, inside, before, after in self.memory
        )


# ------------------------------------------------------------------------------------ right calls


def dot(a: Arguments) -> Call:
    shape, kind = a.sizes(2), a.one_of("f4", "f8")
    keys = {"out": a.array(shape[:1], "f8"), "threads": a.threads()}
    return (a.array(shape, kind), a.array(shape, kind)), keys


def cg_update(a: Arguments) -> Call:
    shape, kind = a.sizes(3), a.one_of("f4", "f8")
    keys = {name: a.array(shape[:1], "f8") for name in ("rz", "pq", "rr")}
    return tuple(a.array(shape, kind) for _ in range(4)), keys | {"threads": a.threads()}


def cg_direction(a: Arguments) -> Call:
    shape, kind = a.sizes(3), a.one_of("f4", "f8")
    keys: dict[str, Any] = {name: a.array(shape[:1], "f8") for name in ("rz", "rz_before")}
    keys["mask"] = a.maybe(lambda: a.array(shape[1:], "u1"))
    return (a.array(shape, kind), a.array(shape, kind)), keys | {"threads": a.threads()}


def two_sum(a: Arguments) -> Call:
    shape = a.sizes(2)
    return (a.array(shape, "f4"), a.array(shape, "f4")), {"threads": a.threads()}


def run_lengths(a: Arguments) -> Call:
    shape = a.sizes(a.one_of(2, 3))
    keys = {"axis": a.random.randrange(len(shape)), "n_phases": a.one_of(1, 2, 3, 256)}
    keys |= {"periodic": a.one_of(True, False), "mask": a.maybe(lambda: a.array(shape, "?"))}
    return (a.array(shape, a.one_of("u1", "?")),), keys | {"threads": a.threads()}


def connected_components(a: Arguments) -> Call:
    periodic = tuple(a.one_of(True, False) for _ in range(3))
    return (a.array(a.sizes(3), a.one_of("u1", "?")),), {"periodic": periodic}


def lattice(a: Arguments) -> tuple[np.ndarray, dict[str, Any]]:
    shape = (*a.sizes(2), a.one_of(1, 3, 64, 70, 130))
    direction = [a.one_of(0, 0, 1, -1, 2) for _ in range(3)]
    per_slice = a.random.random() < 0.3
    if per_slice:
        direction[0] = 0
    keys = {"direction": direction, "per_slice": per_slice, "max_lag": a.one_of(0, 1, 3, 9)}
    keys["periodic"] = tuple(a.one_of(True, False) for _ in range(3))
    keys["mask"] = a.maybe(lambda: a.array(shape, "?"))
    return a.array(shape, "u1"), keys | {"threads": a.threads()}


def pair_counts(a: Arguments) -> Call:
    labels, keys = lattice(a)
    return (labels, a.one_of(None, 0, 1, 255), a.one_of(None, 0, 1)), keys


def segment_counts(a: Arguments) -> Call:
    labels, keys = lattice(a)
    return (labels, a.one_of(None, 0, 1, 255)), keys


def load_phase(a: Arguments) -> Call:
    z, y, x = shape = a.sizes(3)
    out = a.array((z, y + a.one_of(0, 2), x + a.one_of(0, 3)), a.one_of("f4", "f8"))
    keys = {"out": out, "phase": a.one_of(None, 0, 255), "threads": a.threads()}
    return (a.array(shape, "u1"), a.maybe(lambda: a.array(shape, "u1"))), keys


def multiply_spectra(a: Arguments) -> Call:
    shape, kind = a.sizes(2), a.one_of("c8", "c16")
    keys: dict[str, Any] = {"b": a.array(shape, kind)}
    if a.random.random() < 0.5:
        keys = {"power": a.array(shape, "f4" if kind == "c8" else "f8")}
    return (a.array(shape, kind),), keys | {"threads": a.threads()}


def planes(a: Arguments) -> tuple[np.ndarray, dict[str, Any], tuple[int, int, int]]:
    lags = []
    for _ in range(2):
        size = a.one_of(1, 2, 3, 5)
        lags.append((size, a.random.randint(1, size), size + a.one_of(0, 1, 4)))
    size_z = a.one_of(1, 2, 5)
    first = a.random.randrange(size_z)
    keys = {"first": first, "y": lags[0], "x": lags[1], "scale": 0.5, "threads": a.threads()}
    shape = (a.random.randint(0, size_z - first), lags[0][2], lags[1][2])
    return a.array(shape, a.one_of("f4", "f8")), keys, (size_z, lags[0][0], lags[1][0])


def factors(a: Arguments, sizes: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.abs(a.array((n,), "f8")) for n in sizes)


def store_counts(a: Arguments) -> Call:
    field, keys, sizes = planes(a)
    keys["out"] = a.array(sizes, field.dtype.str)
    return (field,), keys | {"pairs": a.maybe(lambda: factors(a, sizes))}


def sum_radially(a: Arguments) -> Call:
    field, keys, sizes = planes(a)
    bins = a.one_of((0,), (1,), (9,))
    keys |= {name: a.array(bins, "i8") for name in ("hits", "pairs", "lags")}
    keys |= {"size_z": sizes[0], "mirrored": a.one_of(True, False), "width": a.one_of(1.0, 0.01)}
    keys |= {"pair_factors": factors(a, sizes), "squares": factors(a, sizes)}
    return (field,), keys


def reverse_step(a: Arguments) -> Call:
    shape = a.sizes(4)
    keys = {"out": a.array(shape, "f4"), "a": 0.5, "b": -1.0, "noise": a.one_of(0.0, 1.0)}
    keys |= {"net_uncond": a.array(shape, "f4"), "guidance": a.one_of(1.0, 2.0)}
    keys |= {
        "h0": a.array(shape, "f4"),
        "h": a.one_of(0.0, 0.5),
        "clip": a.one_of(None, (1.0, 0.5)),
    }
    keys |= {"out_net": a.maybe(lambda: a.array(shape, "f2")), "seed": 2**64 - 1, "draw": 3}
    keys |= {"origin": (0, a.one_of(0, 2**31), a.one_of(0, 3)), "threads": a.threads()}
    return (a.array(shape, "f4"), a.array(shape, a.one_of("f4", "f2"))), keys


def hold_mean(a: Arguments) -> Call:
    n, s, c, h, w = shape = a.sizes(5)
    keys = {"mean": a.array((c,), "f4"), "tilt": a.array((n, c), "f4"), "p": 1.0, "q": -0.5}
    keys |= {"part": tuple(a.random.randint(1, k) for k in (s, h, w)), "every": a.one_of(1, 2, 9)}
    keys |= {"guidance": 2.0, "threads": a.threads()}
    net = a.maybe(lambda: a.array(shape, "f4"))
    return (a.array(shape, "f4"), a.array(shape, a.one_of("f4", "f2")), net), keys


def mean_hold_sums(a: Arguments) -> Call:
    given, keys = hold_mean(a)
    n, _, c, _, _ = given[0].shape
    del keys["mean"]
    slices = -(-keys["part"][0] // keys["every"])
    return given, keys | {"out": a.array((n, c, slices, a.one_of(1, 2), 2), "f8")}


def couple(a: Arguments) -> Call:
    n, _, c, _, _ = shape = a.sizes(5)
    keys = {"x0": a.array(shape, "f4"), "strength": a.array((c, 2), "f4"), "p": 1.0, "q": -0.5}
    keys |= {"periodic": (a.one_of(True, False), a.one_of(True, False)), "guidance": 2.0}
    keys |= {"earlier": a.maybe(lambda: a.array(shape, "f4")), "prior": a.array((n, c), "f4")}
    keys |= {"evidence": 1.5, "agreement": 0.4, "threads": a.threads()}
    net = a.maybe(lambda: a.array(shape, "f4"))
    return (a.array(shape, "f4"), a.array(shape, a.one_of("f4", "f2")), net), keys


def images(a: Arguments, shape: tuple[int, ...], kind: str) -> np.ndarray:
    b, c, h, w = shape
    return a.array((b, h, w, c), kind).transpose(0, 3, 1, 2)


def per_channel(a: Arguments, shape: tuple[int, ...]) -> np.ndarray:
    b, c = shape[:2]
    return a.array(a.one_of((c,), (1, c), (b, c)), a.one_of("f4", "f2"))


def group_norm(a: Arguments) -> Call:
    groups = a.one_of(1, 2)
    shape = (a.one_of(1, 3), groups * a.one_of(1, 5), *a.sizes(2))
    kind = a.one_of("f4", "f2")
    keys = {"out": images(a, shape, kind), "groups": groups, "silu": a.one_of(True, False)}
    keys |= {name: per_channel(a, shape) for name in ("weight", "bias", "before", "scale", "shift")}
    keys["statistics"] = a.maybe(lambda: a.array((shape[0], groups, 2), "f4"))
    return (images(a, shape, kind),), keys | {"threads": a.threads()}


def group_norm_gradient(a: Arguments) -> Call:
    (x,), keys = group_norm(a)
    shape = tuple(x.shape)
    del keys["before"]
    keys["statistics"] = a.array((shape[0], keys["groups"], 2), "f4")
    keys |= {name: a.array(shape[1:2], "f4") for name in ("d_weight", "d_bias")}
    keys |= {name: a.array(shape[:2], "f4") for name in ("d_scale", "d_shift")}
    return (x, images(a, shape, x.dtype.str)), keys


def channel_affine(a: Arguments) -> Call:
    shape, kind = a.sizes(4), a.one_of("f4", "f2")
    keys = {"out": images(a, shape, kind), "bias": per_channel(a, shape)}
    keys |= {"scale": a.maybe(lambda: per_channel(a, shape)), "silu": True}
    keys["add"] = a.maybe(lambda: images(a, shape, kind))
    return (images(a, shape, kind),), keys | {"threads": a.threads()}


def unit_rows(a: Arguments) -> Call:
    shape, kind = a.sizes(2), a.one_of("f4", "f2")
    keys = {"out": a.array(shape, kind), "scale": a.array(shape[1:], "f4"), "threads": a.threads()}
    return (a.array(shape, kind),), keys


def hex8(a: Arguments) -> Call:
    model = a.one_of(*ops.HEX8_MODELS)
    sizes = ops.HEX8_MODELS[model]
    store, real = a.one_of(("f4", "f4"), ("f4", "f8"), ("f8", "f8"))
    if sizes.float32_only:
        store, real = "f4", "f4"
    grid, loads, phases = a.sizes(3), a.one_of(1, 2), a.one_of(3, 5, 256)
    shape = (loads, sizes.components, *grid)
    keys = {"out": a.array(shape, store), "macro": a.array((loads, sizes.strains), real)}
    keys |= {"u": a.array(shape, store), "sign": -1.0, "dot_kind": a.one_of("input", "output")}
    keys["dot"] = a.maybe(lambda: a.array((loads,), "f8"))
    if store != real:
        keys["u_low"] = a.array(shape, store)
    if sizes.coefficients == 21:
        keys |= {"directions": a.array((3, *grid), store), "fibre": a.array((6, phases), real)}
    mean = a.array((sizes.coefficients, phases), real)
    keys["rest"] = a.maybe(lambda: a.array(mean.shape, real))
    return (a.array(grid, "u1"), model, mean), keys | {"threads": a.threads()}


def symbol(a: Arguments, components: int) -> dict[str, Any]:
    numbers = [1.0] * (6 if components == 1 else 36)
    return {"symbol": numbers, "first": a.maybe(lambda: list(numbers))}


def green(a: Arguments) -> Call:
    (nz, ny, nx), parts, real = a.sizes(3), a.one_of(1, 3), a.one_of("f4", "f8")
    loads, half = a.one_of(1, 2), nx // 2 + 1
    keys = symbol(a, parts) | {"nx": nx, "rz": a.array((loads,), "f8"), "divide": True}
    keys["tables"] = tuple(a.array((4, n), real) for n in (nz, ny, half))
    spectrum = a.array((loads, parts, nz, ny, half), "c8" if real == "f4" else "c16")
    return (spectrum,), keys | {"threads": a.threads()}


def green_convolve(a: Arguments) -> Call:
    grid, parts, real = a.sizes(3), a.one_of(1, 3), a.one_of("f4", "f8")
    loads, (nz, ny, nx) = a.one_of(1, 2), grid
    keys = symbol(a, parts) | {"z": a.array((loads, parts, *grid), real)}
    keys |= {"spectrum": a.array((loads, ny // 2 + 1, parts, nz, 2, nx), real)}
    keys |= {"rz": a.array((loads,), "f8"), "threads": a.threads()}
    return (a.array((loads, parts, *grid), real),), keys


def green_convolve_takes(a: Arguments) -> Call:
    return (a.sizes(3),), {}


def phase_strain(a: Arguments) -> Call:
    grid, parts, kind = a.sizes(3), a.one_of(1, 3), a.one_of("f4", "f8")
    shape = (a.one_of(1, 2), parts, *grid)
    out = a.array((shape[0], a.one_of(3, 9, 256), 6 if parts == 3 else 3), "f8")
    keys = {"out": out, "u_low": a.maybe(lambda: a.array(shape, kind)), "threads": a.threads()}
    return (a.array(shape, kind), a.array(grid, "u1")), keys


def plates(a: Arguments) -> dict[str, Any]:
    periodic = (a.one_of(True, False), a.one_of(True, False))
    return {"weights": (1.0, 2.0, 0.5), "periodic": periodic, "binary": a.one_of(True, False)}


def seven_point(a: Arguments) -> Call:
    store, real = a.one_of(("f4", "f4"), ("f4", "f8"), ("f8", "f8"))
    shape = a.sizes(3)
    keys = plates(a) | {"out": a.array(shape, store), "u": a.array(shape, store)}
    keys |= {"dot": a.maybe(lambda: a.array((1,), "f8")), "plate": 1.0, "threads": a.threads()}
    keys |= {"dot_kind": a.one_of("input", "output"), "sign": -1.0}
    if store != real:
        keys["u_low"] = a.array(shape, store)
    return (a.array(shape, "u1"), a.array((a.one_of(3, 256),), real)), keys


def separable_inverse(a: Arguments) -> Call:
    shape, real = a.sizes(3), a.one_of("f4", "f8")
    keys = {"rz": a.array((1,), "f8"), "threads": a.threads()}
    return (a.array(shape, real), tuple(a.array((n,), real) for n in shape)), keys


def multigrid_layout(a: Arguments) -> Call:
    return (a.sizes(3), a.one_of(True, False)), {}


def multigrid_setup(a: Arguments) -> Call:
    shape, keys = a.sizes(3), plates(a)
    buffer = a.array((ops.multigrid_layout(shape, keys["binary"])[0],), "f4")
    return (a.array(shape, "u1"), a.array((a.one_of(3, 256),), "f8")), keys | {"buffer": buffer}


def multigrid_cycle(a: Arguments) -> Call:
    shape, keys = a.sizes(3), plates(a)
    floats, padded = ops.multigrid_layout(shape, keys["binary"])
    keys |= {"r": a.array(padded, "f4"), "z": a.array(padded, "f4"), "rz": a.array((1,), "f8")}
    keys |= {"visits": a.one_of(1, 2), "threads": a.threads()}
    return (a.array((floats,), "f4"), shape), keys


RIGHT: dict[str, Callable[[Arguments], Call]] = {
    f.__name__: f
    for f in (
        *(dot, cg_update, cg_direction, two_sum, run_lengths, connected_components, pair_counts),
        *(segment_counts, load_phase, multiply_spectra, store_counts, sum_radially, reverse_step),
        *(
            couple,
            hold_mean,
            mean_hold_sums,
            group_norm,
            group_norm_gradient,
            channel_affine,
            unit_rows,
            hex8,
            green,
        ),
        *(green_convolve, green_convolve_takes, phase_strain, seven_point, separable_inverse),
        *(multigrid_layout, multigrid_setup, multigrid_cycle),
    )
}
#: functions of the core -> the operator that calls them
CORE = {name: name for name in RIGHT if hasattr(_core, name)} | {
    "pack_bits": "pair_counts",
    "bit_pairs": "pair_counts",
    "bit_segments": "segment_counts",
}

# ------------------------------------------------------------------------------- wrong arguments


def wrong_array(a: Arguments, array: np.ndarray, others: list[np.ndarray]) -> Any:
    """Return an array as another memory, layout, shape or kind of array."""
    axis = a.random.randrange(array.ndim) if array.ndim else 0
    along = (slice(None),) * axis
    change = a.random.randrange(14)
    if change == 0:
        return array.astype(a.one_of(*DTYPES), order="K") if array.dtype.kind != "c" else array.real
    if change == 1:
        return array[(*along, slice(None, None, -1))] if array.ndim else array
    if change == 2:
        return array.transpose(a.random.sample(range(array.ndim), array.ndim))
    if change == 3:  # a broadcast view that can be written to
        strides = [0 if k == axis else s for k, s in enumerate(array.strides)]
        return np.lib.stride_tricks.as_strided(array, array.shape, strides)
    if change == 4 and array.ndim:  # every other element of a longer one
        shape = tuple(2 * n if k == axis else n for k, n in enumerate(array.shape))
        return a.array(shape, array.dtype.str)[(*along, slice(None, None, 2))]
    if change == 5:
        array = array.view()
        array.flags.writeable = False
        return array
    if change == 6 and others:  # in the memory of another argument
        raw = a.one_of(*others)
        raw = raw[(0,) * raw.ndim :] if raw.ndim == 0 else raw
        flat = np.lib.stride_tricks.as_strided(raw, (raw.size,), (raw.itemsize,))
        if raw.flags.c_contiguous and flat.nbytes >= array.nbytes > 0 and raw.dtype != object:
            shift = a.random.randint(0, flat.nbytes - array.nbytes) // array.itemsize
            start = shift * array.itemsize
            part = flat.view(np.uint8)[start : start + array.nbytes]
            return part.view(array.dtype).reshape(array.shape)
        return raw
    if change == 7:  # misaligned
        raw = a.array((array.nbytes + 1,), "u1")[1:]
        return raw.view(array.dtype).reshape(array.shape) if array.nbytes else array
    if change in (8, 9, 10) and array.ndim:  # another extent
        n = a.one_of(0, array.shape[axis] + 1, max(0, array.shape[axis] - 1), 1)
        return a.array((*array.shape[:axis], n, *array.shape[axis + 1 :]), array.dtype.str)
    if change == 11:
        return array[None] if a.random.random() < 0.5 else array.reshape(-1)
    if change == 12 and array.dtype.kind in "bu":
        array = a.array(array.shape, "u1")
        array[...] = np.resize(np.arange(a.random.randrange(256), 256, dtype=np.uint8), array.shape)
        return array
    if change == 13 and array.dtype.kind == "f":
        array[...] = a.one_of(*(x for x in NUMBERS if isinstance(x, float)))
        return array
    return a.one_of(*KINDS)


def wrong(a: Arguments, value: Any, others: list[np.ndarray]) -> Any:
    """Return something else for an argument."""
    if isinstance(value, np.ndarray):
        with np.errstate(all="ignore"):
            return wrong_array(a, value, others)
    if isinstance(value, (tuple, list)) and value and a.random.random() < 0.7:
        changed = list(value)
        where = a.random.randrange(len(changed))
        if a.random.random() < 0.3:
            del changed[where]
        else:
            changed[where] = wrong(a, changed[where], others)
        return type(value)(changed)
    return a.one_of(*NUMBERS) if a.random.random() < 0.8 else a.one_of(*KINDS)


def damaged(a: Arguments, call: Call) -> Call:
    """Return a call with one to three arguments replaced."""
    args, keys = list(call[0]), dict(call[1])
    places: list[tuple[Any, Any]] = [*((args, i) for i in range(len(args)))]
    places += [(keys, name) for name in keys]
    arrays = [v for v in (*args, *keys.values()) if isinstance(v, np.ndarray)]
    for holder, where in a.random.sample(places, min(a.one_of(1, 1, 2, 3), len(places))):
        holder[where] = wrong(a, holder[where], arrays)
    return tuple(args), keys


class Core:
    """The compiled core, one of whose functions gets damaged arguments."""

    target, arguments = "", Arguments("")

    def __getattr__(self, name: str) -> Any:
        found = getattr(_core, name)
        if name != self.target:
            return found
        return lambda *args: found(*damaged(self.arguments, (args, {}))[0])


def fault(name: str, level: str, number: int, seed: int) -> str | None:
    """Make one call and return what was wrong with it."""
    arguments = Arguments(f"{seed} {zlib.crc32(name.encode())} {level} {number}")
    operator = name if level == "ops" else CORE[name]
    core.target = ""
    call = RIGHT[operator](arguments)
    right = arguments.random.random() < 0.15
    core.target = "" if right or level == "ops" else name
    core.arguments = arguments
    if level == "ops" and not right:
        call = damaged(arguments, call)
    signal.alarm(SECONDS)
    try:
        with np.errstate(all="ignore"):
            getattr(ops, operator)(*call[0], **call[1])
    except (ValueError, TypeError, MemoryError) as error:
        words = str(error)
        if right:
            return f"a right call was refused: {words}"
        if len(words) > 800 or "\n" in words:
            return f"a refusal of {len(words)} characters: {words[:300]}"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None if arguments.intact() else "memory beside an array was written"


core = Core()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="operators; default: all")
    parser.add_argument("--count", type=int, default=10_000, help="calls of each")
    parser.add_argument("--seed", type=int, default=18)
    parser.add_argument("--first", type=int, default=0, help="number of the first call")
    given = parser.parse_args()
    modules = (channels_last, components, diffusion, finite_elements, finite_volumes, packed_bits)
    for module in (*modules, runs, spectra, vectors):
        module._core = core
    failed = 0
    for level, names in (("ops", RIGHT), ("_core", CORE)):
        for name in names:
            if given.names and name not in given.names:
                continue
            faults = []
            for number in range(given.first, given.first + given.count):
                print(f"\r{level}.{name} {number} ", end="", file=sys.stderr, flush=True)
                found = fault(name, level, number, given.seed)
                if found:
                    faults.append(f"  --first {number}: {found}")
            print(f"\r{level}.{name}: {given.count} calls, seed {given.seed}, {len(faults)} failed")
            print("\n".join(faults[:5]), end="\n" if faults else "", flush=True)
            failed += len(faults)
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
