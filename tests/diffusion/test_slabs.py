# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""One volume over several ranks: the volume of one rank, with a share of its memory."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import re
import signal
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

import micro3d_fast as m3
from _ranks import BACKENDS
from _toy import calm_model, field_and_network
from micro3d_fast._planes import NORMAL, PLANES
from micro3d_fast.diffusion import Runtime, SamplerSettings, labelling, stored
from micro3d_fast.diffusion.labelling import (
    UNKNOWN,
    final_labels,
    labels_of,
    smoothed,
    smoothing_widths,
)
from micro3d_fast.diffusion.layers import Condition
from micro3d_fast.diffusion.model import Model
from micro3d_fast.diffusion.network_pass import NetworkPass
from micro3d_fast.diffusion.process_group import OtherProcessError, current_group
from micro3d_fast.diffusion.sampling import sample
from micro3d_fast.diffusion.slabs import Slab, Slabs, Whole
from micro3d_fast.statistics import FractionScatter, PlaneScatter

SHAPE = (11, 14, 19)  # sampled as (12, 14, 20) with the stride of the toy network


class PlainNet(nn.Module):
    """Fixed arithmetic: a voxel and its neighbours in the slice, whatever else is in the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.periodic = (False, False)

    def condition(self, t, plane, fractions=None, kept=None):
        return Condition(t[:, None], plane[:, None, None])

    def set_periodic(self, rows, columns):
        self.periodic = (rows, columns)

    def forward(self, x, cond):
        gain = 0.5 + 0.1 * cond.tokens[:, 0, 0]
        y = x
        for axis, wraps in zip((2, 3), self.periodic, strict=True):
            n = y.shape[axis]
            at = torch.arange(-1, n + 1) % n if wraps else torch.arange(-1, n + 1).clamp(0, n - 1)
            wide = y.index_select(axis, at.to(y.device))
            y = 0.25 * (wide.narrow(axis, 0, n) + wide.narrow(axis, 2, n)) + 0.5 * y
        return x - gain[:, None, None, None] * y


def plain_model(phases: int = 2, **changes) -> Model:
    """A model of this network with few islands whose specimens' fractions scatter by .07."""
    covariance = np.tile(0.02 * np.eye(phases - 1), (7, 7, 1, 1))
    law = FractionScatter(dict.fromkeys(PLANES, PlaneScatter((64, 64), 100.0, covariance)))
    rates = ((0.001,) * phases,) * len(PLANES)
    changes = {"net": PlainNet(), "fraction_scatter": law, "island_rates": rates, **changes}
    return dataclasses.replace(calm_model(phases), **changes)


def made(model: Model, runtime: dict, options: dict) -> list[tuple[np.ndarray, np.ndarray, dict]]:
    """Labels, raw labels and provenance of the volumes; run on each rank."""
    options = {"sampler": SamplerSettings(3, 2, 1.0, rotate=True, hold_mean=True), **options}
    volumes = m3.reconstruct(
        model=model,
        device=options.pop("device", "cpu"),
        runtime=Runtime(**{"precision": "float32", "keep_raw": True, **runtime}),
        **{"volume_shape": SHAPE, "n": 1, "seed": 5, **options},
    )
    return [(v.labels, v.fields["raw_labels"], v.provenance) for v in volumes]


def known(phases: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    labels = np.full(SHAPE, UNKNOWN, dtype=np.uint8)
    labels[:, 5] = rng.integers(0, phases, (11, 19))
    labels[2:7, 8, 3] = 1
    return labels


XY_LAST = SamplerSettings(3, 0, 1.0)
COUPLED = SamplerSettings(
    3, 2, 1.0, rotate=True, hold_mean=True, coupling=[(0.2, -0.1, 0.4)], agreement=0.3
)
#: name -> (phases, ranks, fields of Runtime, options)
CASES = {
    "plain": (2, 2, {}, {}),
    "three ranks": (2, 3, {}, {"remove_islands": True}),
    "paper": (2, 2, {}, {"sampler": SamplerSettings(3, 2, 0.5)}),
    "blended": (3, 3, {}, {"sampler": SamplerSettings(3, 2, 0.6, rotate=True), "n": 2}),
    "three phases": (3, 3, {}, {"n": 2, "guidance": 1.5, "volume_fractions": (0.3, 0.3, 0.4)}),
    "known": (2, 3, {}, {"known": known(2)}),
    "periodic": (2, 2, {}, {"periodic": (True, False, True), "known": known(2)}),
    "windows": (2, 3, {"window": 8}, {"volume_shape": (16, 20, 24), "guidance": 0.5, "n": 2}),
    "coupled": (3, 3, {}, {"sampler": COUPLED, "periodic": (True, False, True), "n": 2}),
    "natural": (2, 2, {}, {"n": 2, "volume_fractions": "natural"}),
    "islands": (3, 2, {}, {"known": known(3), "remove_islands": True, "periodic": True}),
    "all together": (
        3,
        3,
        {"window": 8, "precision": "bfloat16"},
        {
            "volume_shape": (16, 20, 25),
            "periodic": (False, True, False),
            "guidance": 1.5,
            "volume_fractions": "natural",
            "n": 2,
            "sampler": SamplerSettings(
                4, 2, 0.7, rotate=True, hold_mean=True, coupling=(0.1, 0, 0.3), agreement=0.2
            ),
        },
    ),
    "raw": (2, 2, {}, {"volume_fractions": None}),
    "thin": (2, 3, {}, {"volume_shape": (4, 20, 24), "periodic": True, "sampler": XY_LAST}),
    "a slab not requested": (2, 3, {}, {"volume_shape": (5, 20, 24), "sampler": XY_LAST}),
}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_ranks_make_the_volume_of_one(case, backend, ranks):
    phases, n, runtime, options = CASES[case]
    model = plain_model(phases)
    device = {"device": "cuda" if backend == "nccl" else "cpu"}
    together = ranks(n, made, model, runtime, {**options, **device}, backend=backend)
    alone = made(model, runtime, {**options, **device})
    for results in together:
        assert len(results) == len(alone) == options.get("n", 1)
        for (labels, raw, record), (labels_1, raw_1, record_1) in zip(results, alone, strict=True):
            np.testing.assert_array_equal(labels, labels_1)
            np.testing.assert_array_equal(raw, raw_1)
            assert record["ranks"] == n
            assert "ranks" not in record_1
            assert record["volume_fractions"] == record_1["volume_fractions"]
            assert record["islands_removed"] == record_1["islands_removed"]
    assert len(np.unique(alone[0][0])) == phases


def sampled(model: Model, settings: SamplerSettings, alone: bool):
    """The fields of two volumes, the bytes of the buffers, the bytes sent to other ranks."""
    slabs = Slabs() if alone else Slabs.of_group(torch.device("cpu"))
    field, network = field_and_network(model, (12, 18, 24), seeds=(3, 4), slabs=slabs)
    sample(field, network, settings)
    buffers = [field._x, field._next, field._h0, field.net_input, *field.net_outputs]
    held = sum(b.numel() * b.element_size() for b in buffers if b is not None)
    sent = slabs.bytes_sent
    return [field.result(i) for i in (0, 1)], field.plane, held, sent


@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_bytes_in_memory_and_between_ranks(gamma, ranks):
    model, settings = plain_model(3), SamplerSettings(3, 2, gamma, rotate=True, hold_mean=True)
    want, plane, held, _ = sampled(model, settings, alone=True)
    n, voxels = 3, 12 * 18 * 24
    results = ranks(n, sampled, model, settings, False)
    for i, one in enumerate(want):
        slabs = [result[0][i] for result in results]
        np.testing.assert_array_equal(np.concatenate(slabs, 1 + NORMAL[plane]), one)
    assert [result[2] for result in results] == [held / n] * n
    turns = settings.passes  # of x, after each pass; h0 follows x into the second repeat of a step
    turns += 0 if gamma == 1 else 2
    theory = 2 * 3 * voxels * 4 * (n - 1) // n  # two volumes of three channels
    assert sum(result[3] for result in results) == turns * theory


def test_a_network_on_other_batches_changes_few_voxels(ranks):
    model = calm_model()
    options = {"volume_shape": 24}
    (alone,) = made(model, {}, options)
    ((labels, *_),), _ = ranks(2, made, model, {}, options)
    assert (labels == alone[0]).mean() > 0.999


def refused(options: dict, of_rank_1: dict) -> str:
    rank = torch.distributed.get_rank()
    options = {"model": plain_model(), **options, **(of_rank_1 if rank else {})}
    with pytest.raises(ValueError, match="must") as error:
        made(options.pop("model"), {}, options)
    return str(error.value)


@pytest.mark.parametrize(
    ("options", "of_rank_1", "message"),
    [
        ({}, {"seed": 6}, "`seed` must be the same on all ranks of the process group"),
        ({}, {"known": known(2)}, "`known` must be the same on all ranks"),
        ({}, {"model": plain_model(patch=32)}, "`model` must be the same on all ranks"),
        ({}, {"volume_fractions": "natural"}, "`volume_fractions` must be the same on all ranks"),
        ({"volume_shape": (1, 20, 24)}, {}, "`volume_shape` must have a slice of each plane for"),
    ],
)
def test_refusals(options, of_rank_1, message, ranks):
    for text in ranks(2, refused, options, of_rank_1):
        assert text.startswith(message)


def events() -> int:
    found: list[dict] = []
    made(plain_model(), {}, {"callback": found.append})
    return len(found)


def test_the_callback_is_that_of_the_first_rank(ranks):
    assert ranks(2, events) == [SamplerSettings(3, 2, 1.0).passes, 0]


def labels_of_rank(x, phases: int, axis: int, options: dict) -> tuple[np.ndarray, int]:
    """Label a field, of which this rank holds slices along an axis, on few samples."""
    shape, group = x.shape[1:], current_group()
    slab = Whole()
    if group.size > 1:
        owned = [range(7), range(7, 7), range(7, shape[axis])]  # the second has none
        slab = Slab(Slabs(group, torch.device("cpu")), shape, axis, owned)
    x, known = x[(slice(None), *np.index_exp[slab.index])], options["known"]
    known = None if known is None else known[slab.index]
    raw = labels_of(x, phases)
    smooth = smoothed(x, options["periodic"], smoothing_widths(raw, slab), slab)
    with mock.patch.object(labelling, "_SAMPLE", 2**9):
        found, removed = final_labels(raw, smooth, phases, **{**options, "known": known}, slab=slab)
    return slab.whole(found), removed


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("phases", [2, 3])
def test_labels_of_slabs(phases, axis, ranks, rng):
    """Fractions are matched, and islands removed, as in one process, also where many are equal."""
    x = rng.standard_normal((1 if phases == 2 else phases, 12, 13, 14)).astype(np.float32)
    x = np.sign(x).cumsum(3 - axis if axis else 1).clip(-1, 1)
    field = np.full(x.shape[1:], UNKNOWN, np.uint8)
    field[:, 4] = rng.integers(0, phases, (12, 14))
    target = np.array([0.62, 0.38] if phases == 2 else [0.2, 0.5, 0.3])
    for known, periodic, remove in (
        (None, False, True),
        (field, True, False),
        (field, False, True),
    ):
        options = {"known": known, "periodic": (periodic,) * 3, "target": target}
        options["remove_islands"] = remove
        want = labels_of_rank(x, phases, axis, options)
        for found, removed in ranks(3, labels_of_rank, x, phases, axis, options):
            np.testing.assert_array_equal(found, want[0])
            assert removed == want[1]
            assert (removed > 0) == remove


def written(out: str, options: dict) -> list[tuple[bool, np.ndarray, dict]]:
    """Write volumes; return whether they are in memory, and their labels and provenances."""
    volumes = m3.reconstruct(SHAPE, plain_model(3), out=out, device="cpu", n=2, **options)
    return [(isinstance(v.labels, np.ndarray), np.array(v), v.provenance) for v in volumes]


@pytest.mark.parametrize("n", [1, 3])
def test_each_rank_writes_its_slices(n, ranks, tmp_path):
    """Loading compares the digest of all labels, and misses no chunk of zeros."""
    zeros = np.zeros(SHAPE, np.uint8)
    zeros[-4:, -4:, -4:] = UNKNOWN
    options = {"passes": 4, "keep_raw": True, "known": zeros, "volume_fractions": None}
    alone = m3.reconstruct(SHAPE, plain_model(3), device="cpu", n=2, **options)
    results = ranks(n, written, str(tmp_path / "made-{seed}.zarr"), options)
    for seed, want in enumerate(alone):
        loaded = m3.Microstructure.load(tmp_path / f"made-{seed}.zarr")
        np.testing.assert_array_equal(loaded.labels, want.labels)
        np.testing.assert_array_equal(loaded.fields["raw_labels"], want.fields["raw_labels"])
        assert loaded.phase_names == want.phase_names
        assert loaded.voxel_size == want.voxel_size
        for result in results:
            in_memory, labels, provenance = result[seed]
            assert not in_memory
            np.testing.assert_array_equal(labels, want.labels)
            assert provenance == loaded.provenance
            assert provenance["volume_fractions"] == want.provenance["volume_fractions"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made-0.zarr", "made-1.zarr"]


def not_written(out: str, failing: int) -> str:
    """Return the error where one rank cannot write."""
    full = OSError(errno.ENOSPC, "no space")
    fails = mock.patch.object(stored, "write_slices", side_effect=full)
    try:
        with fails if current_group().rank == failing else contextlib.nullcontext():
            m3.reconstruct(SHAPE, plain_model(), out=out, device="cpu", passes=4, keep_raw=False)
    except (OSError, OtherProcessError) as error:
        return type(error).__name__
    return ""


@pytest.mark.parametrize("failing", [0, 1])
def test_a_rank_that_cannot_write_leaves_the_former_volume(failing, ranks, tmp_path):
    out = tmp_path / "volume.zarr"
    before = m3.Microstructure(known(2))
    before.save(out)
    found = ranks(2, not_written, str(out), failing)
    assert found[failing] in ("OSError", "DiskFullError")
    assert found[1 - failing] == "OtherProcessError"
    np.testing.assert_array_equal(m3.Microstructure.load(out), before.labels)
    assert [path.name for path in tmp_path.iterdir()] == ["volume.zarr"]


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ("volume.npz", ValueError, "`out` must end in .zarr"),
        ("nowhere/volume.zarr", FileNotFoundError, "`out` must lie in an existing directory"),
        ("volume.zarr", ValueError, "`out` must contain {seed} for several volumes"),
        ("other.zarr", ValueError, "`out` must be a zarr directory, or free, got the file"),
        (3, TypeError, "`out` must be"),
    ],
)
def test_refusals_of_out(out, error, message, tmp_path):
    (tmp_path / "other.zarr").touch()
    out = tmp_path / out if isinstance(out, str) else out
    with pytest.raises(error, match=re.escape(message)):
        m3.reconstruct(SHAPE, plain_model(), out=out, n=2)


class Stop(Exception):
    pass


def failed(failing: int, interrupted: bool) -> list[str]:
    """Return what this rank raises if one fails or is interrupted, and then makes."""
    own, predict = torch.distributed.get_rank() == failing, NetworkPass.predict

    def fail(self, t):
        predict(self, t)
        if own and interrupted:
            signal.raise_signal(signal.SIGINT)
        elif own:
            raise Stop

    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    found = []
    try:
        with mock.patch.object(NetworkPass, "predict", fail):
            made(plain_model(), {}, {})
    except (Stop, KeyboardInterrupt, OtherProcessError) as error:
        found.append(type(error).__name__)
    return [*found, *(str(labels.shape) for labels, *_ in made(plain_model(), {}, {}))]


@pytest.mark.parametrize(
    ("failing", "interrupted", "error"), [(1, False, "Stop"), (1, True, "KeyboardInterrupt")]
)
def test_an_error_of_one_rank_stops_all(failing, interrupted, error, ranks):
    """They can then make another volume."""
    wanted = [["OtherProcessError", str(SHAPE)]] * 3
    wanted[failing] = [error, str(SHAPE)]
    assert ranks(3, failed, failing, interrupted) == wanted


def stopped() -> str:
    def callback(event):
        if event["pass_index"] == 2:
            raise Stop

    try:
        made(plain_model(), {}, {"callback": callback})
    except (Stop, OtherProcessError) as error:
        return type(error).__name__
    return "nothing"


def test_an_error_of_the_callback_stops_all(ranks):
    assert ranks(2, stopped) == ["Stop", "OtherProcessError"]
