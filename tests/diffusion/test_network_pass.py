# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Passes of the network: windows, batches that fit the memory, guidance."""

from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import micro3d_fast as m3
from _toy import LinearNet, field_and_network, linear_model, tiny_model
from micro3d_fast.diffusion import (
    device,
    settings,
    windows,
)
from micro3d_fast.diffusion.device import free_memory_bytes, out_of_memory
from micro3d_fast.diffusion.network_pass import NetworkPass
from micro3d_fast.diffusion.sampling import sample
from micro3d_fast.diffusion.unet import UNet

OPEN = (False,) * 3


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(("n", "window"), [(17, 16), (32, 16), (37, 16), (100, 24), (65, 64)])
def test_windows_keep_every_voxel_once(n, window, periodic):
    for offset in range(n if periodic else window):
        cells = windows.cut(n, window, periodic, offset)
        kept = [i % n for cell in cells for i in range(cell.first, cell.stop)]
        assert sorted(kept) == list(range(n))
        for cell in cells:
            assert cell.length == window
            assert cell.start <= cell.first < cell.stop <= cell.start + window
            if not periodic:
                assert cell.start >= 0
                assert cell.start + window <= n


@pytest.mark.parametrize("periodic", [OPEN, (True,) * 3, (False, True, False)])
def test_windows_of_a_pointwise_network_change_nothing(periodic):
    """Each voxel is read and written once, where it belongs, whatever the windows."""
    fields = []
    for window in (None, 8, 16):
        field, network = field_and_network(
            linear_model(30), (21, 40, 34), periodic=periodic, seeds=(2,), window=window
        )
        sample(field, network, settings.fast_settings(9))
        fields.append(field.result())
    np.testing.assert_allclose(fields[1], fields[0], atol=1e-5)
    np.testing.assert_allclose(fields[2], fields[0], atol=1e-5)


def test_windows_move_with_every_pass_and_repeat_with_the_seed():
    offsets = [windows.offsets(3, draw, (64, 64)) for draw in range(40)]
    assert offsets == [windows.offsets(3, draw, (64, 64)) for draw in range(40)]
    assert len(set(offsets)) > 30
    model = tiny_model()
    a, b, c = (
        m3.reconstruct((12, 40, 24), model, passes=4, window=w, seed=1) for w in (16, 16, None)
    )
    assert (a.labels == b.labels).all()
    assert (a.labels != c.labels).any()
    assert (a.provenance["window"], c.provenance["window"]) == (16, None)


class Greedy(LinearNet):
    """Takes no batch above a size."""

    most, error = 3, MemoryError()

    def forward(self, x, cond):
        if len(x) > self.most:
            raise self.error
        return super().forward(x, cond)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 1 bytes."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
    ids=str,
)
@pytest.mark.parametrize("window", [None, 16])
def test_batches_are_halved_where_memory_runs_out(error, window, monkeypatch):
    assert out_of_memory(error)
    monkeypatch.setattr(Greedy, "error", error)
    fields = []
    for net in (LinearNet(), Greedy()):
        model = linear_model(20)
        object.__setattr__(model, "net", net)
        field, network = field_and_network(model, (24, 24, 24), window=window)
        sample(field, network, settings.fast_settings(5))
        fields.append(field.result())
    assert len(network.net.seen) >= 5 * 24 // 3
    np.testing.assert_allclose(fields[1], fields[0], atol=1e-6)


class Weak(UNet):
    """Takes no two conditions at once, as if memory ran out."""

    def forward(self, image, cond):
        self.shown.append((len(image), len(cond.embedding)))
        if self.weak and len(cond.embedding) > 1:
            raise MemoryError
        return super().forward(image, cond)


@pytest.mark.parametrize("phases", [2, 3])
@pytest.mark.parametrize("window", [None, 8])
def test_two_conditions_in_one_batch_give_the_outputs_of_each_alone(phases, window):
    """Guidance: together, one after the other, and after memory ran out."""
    outputs, shown = [], []
    for weak, chunk in ((False, None), (False, 3 * 16 * 16), (True, None)):
        model = tiny_model(phases)
        object.__setattr__(model, "net", copy.deepcopy(model.net))
        model.net.__class__, model.net.weak, model.net.shown = Weak, weak, []
        field, network = field_and_network(model, (12, 17, 20), guidance=1.7, window=window)
        if chunk:
            network.chunk_pixels = chunk
        outputs.append([])
        for plane in ("xy", "yz"):
            field.start(plane, 500, True)
            network.predict(500)
            outputs[-1].append(torch.stack(field.net_outputs))
        shown.append(network.net.shown)
    for other in outputs[1:]:
        torch.testing.assert_close(other, outputs[0], rtol=1e-4, atol=1e-4)
    assert not torch.equal(*outputs[0][0])  # the two conditions differ
    assert len(shown[0]) == 2  # one batch per pass
    assert all(images == conditions for images, conditions in shown[0])
    assert all(conditions == 1 for _, conditions in shown[1])
    assert sum(conditions > 1 for _, conditions in shown[2]) == 1  # tried once


def test_a_slice_too_large_alone_is_refused_and_other_errors_pass(monkeypatch):
    model = linear_model(20)
    object.__setattr__(model, "net", Greedy())
    monkeypatch.setattr(Greedy, "most", 0)
    with pytest.raises(ValueError, match="`volume_shape` must have slices that the network can"):
        m3.reconstruct((16,) * 3, model, passes=3)
    monkeypatch.setattr(Greedy, "error", RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        m3.reconstruct((16,) * 3, model, passes=3)


def test_memory_cached_by_torch_counts_as_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 90)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    assert free_memory_bytes(torch.device("cuda")) == 75


def test_batches_of_a_large_gpu_stay_below_2_to_the_31(monkeypatch):
    def pixels(kind, dtype, free):
        monkeypatch.setattr(device, "free_memory_bytes", lambda where: free)
        field = SimpleNamespace(model=linear_model(), device=torch.device(kind), dtype=dtype)
        return NetworkPass.chunk_pixels.func(SimpleNamespace(field=field))

    width = linear_model().config.dim * linear_model().config.multipliers[0]
    huge = 10**15
    for dtype in (torch.bfloat16, torch.float32):
        assert pixels("cuda", dtype, huge) == 2**31 // (4 * width)
        assert pixels("cpu", dtype, huge) == 64 * 64 * 64
        assert pixels("cuda", dtype, 1) == 64 * 64
    less = 2**20 * width
    assert pixels("cuda", torch.bfloat16, less) == 2 * pixels("cuda", torch.float32, less)
