# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Compute copies of the network are reused, replaced and compiled as they should be."""

from __future__ import annotations

from types import SimpleNamespace

import torch

from _toy import tiny_model
from micro3d_fast.diffusion import (
    copies,
)


def test_a_kept_copy_is_not_compiled_again():
    """Giving it back sets its convolutions to what they were."""
    model, compiled = tiny_model(), []

    def backend(graph, example):
        compiled.append(graph)
        return graph.forward

    x = torch.zeros(2, 1, 16, 16)
    for _ in range(2):
        with copies.borrowed(model, torch.device("cpu"), torch.float32) as network:
            forward = torch.compile(network.net, backend=backend)
            with torch.inference_mode():
                forward(x, network.net.condition(torch.tensor([3]), torch.tensor([0])))
    assert len(compiled) == 1


def test_copies_are_kept_and_made_anew_where_weights_changed():
    model = tiny_model()
    cpu = torch.device("cpu")
    ask = (model, cpu, torch.float32)
    with copies.borrowed(*ask) as first, copies.borrowed(*ask) as other:
        assert other.net is not first.net
    with copies.borrowed(*ask) as again:
        assert again.net is first.net
    model.net.head.bias.data += 1
    with copies.borrowed(*ask) as changed:
        assert changed.net is not first.net
        torch.testing.assert_close(changed.net.head.bias, model.net.head.bias)


def test_a_compiled_copy_outlives_others(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda net: net)
    model, cpu = tiny_model(), torch.device("cpu")

    def used(dtype, compiled=False):
        with copies.borrowed(model, cpu, dtype, compiled) as network:
            return network.net

    compiled = used(torch.float32, True)
    plain = used(torch.float32)
    assert used(torch.float32) is plain is not compiled
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        used(dtype)
    assert len(copies._idle[model.net]) == 3
    assert used(torch.float32, True) is compiled
    assert used(torch.float32) is not plain
    for dtype in (torch.float64, torch.bfloat16):
        used(dtype, True)
    used(torch.float64)  # three compiled: no room
    assert [key[2] for key in copies._idle[model.net]] == [True] * 3
    model.net.head.bias.data += 1
    used(torch.float32)
    assert len(copies._idle[model.net]) == 1


def test_a_compiled_network_is_never_given_up(monkeypatch):
    """More kinds of passes than torch compiles by default."""
    ran, compiler = [], torch.compile

    def backend(graph, example):
        def run(*arguments):
            ran.append(graph)
            return graph.forward(*arguments)

        return run

    monkeypatch.setattr(torch, "compile", lambda net: compiler(net, backend=backend, dynamic=False))
    monkeypatch.setattr(torch._dynamo.config, "cache_size_limit", 8)
    model = SimpleNamespace(net=torch.nn.Conv2d(1, 1, 3))
    network = copies.make(model, torch.device("cpu"), torch.float32, compiled=True)
    with torch.inference_mode():
        for n in range(12):
            network.forward(torch.zeros(1, 1, 8, 8 + n))
    assert len(ran) == len({id(graph) for graph in ran}) == 12
