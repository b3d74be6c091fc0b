# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""One volume over several ranks: the volume of one rank, with a share of its memory."""

from __future__ import annotations

import dataclasses
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
from micro3d_fast.diffusion import Runtime, SamplerSettings
from micro3d_fast.diffusion.labelling import UNKNOWN
from micro3d_fast.diffusion.layers import Condition
from micro3d_fast.diffusion.model import Model
from micro3d_fast.diffusion.network_pass import NetworkPass
from micro3d_fast.diffusion.process_group import OtherProcessError
from micro3d_fast.diffusion.sampling import sample
from micro3d_fast.diffusion.slabs import Slabs
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
    """A model of this network whose specimens scatter by .07 in their fractions."""
    covariance = np.tile(0.02 * np.eye(phases - 1), (7, 7, 1, 1))
    law = FractionScatter(dict.fromkeys(PLANES, PlaneScatter((64, 64), 100.0, covariance)))
    changes = {"net": PlainNet(), "fraction_scatter": law, **changes}
    return dataclasses.replace(calm_model(phases), **changes)


def made(model: Model, runtime: dict, options: dict) -> list[tuple[np.ndarray, np.ndarray, dict]]:
    """Labels, raw labels and provenance of the volumes; run on each rank."""
    options = {"sampler": SamplerSettings(3, 2, 1.0, rotate=True, hold_mean=True), **options}
    volumes = m3.reconstruct(
        model=model,
        device=options.pop("device", "cpu"),
        runtime=Runtime(precision="float32", keep_raw=True, **runtime),
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
COUPLED = SamplerSettings(3, 2, 1.0, rotate=True, hold_mean=True, coupling=(0.2, -0.1, 0.4))
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
