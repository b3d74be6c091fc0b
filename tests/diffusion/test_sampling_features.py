# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Around the samplers: quality, windows, memory, known voxels, islands, periodic faces, many."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import itertools
import json
import shlex
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import micro3d_fast as m3
from _toy import LinearNet, field_and_network, linear_model, tiny_model
from micro3d_fast import cli
from micro3d_fast.diffusion import Reconstruction, copies, device, labelling, settings, windows
from micro3d_fast.diffusion import field as field_module
from micro3d_fast.diffusion.device import free_memory_bytes, out_of_memory
from micro3d_fast.diffusion.labelling import (
    UNKNOWN,
    face_mismatch,
    final_labels,
    islands,
    match_fractions,
)
from micro3d_fast.diffusion.network_pass import NetworkPass
from micro3d_fast.diffusion.sampling import sample
from micro3d_fast.diffusion.schedule import Schedule
from micro3d_fast.diffusion.unet import UNet

OPEN = (False,) * 3


@pytest.fixture(scope="module")
def separator():
    return m3.load_model("separator")


# ----------------------------------------------------------------------------------------- quality


def test_quality_is_a_number_of_passes():
    model, shape = tiny_model(), (16,) * 3
    for quality, passes in settings.QUALITY.items():
        found = Reconstruction.of(shape, model, sampler=quality).settings
        assert found.passes == passes
        assert found == settings.fast_settings(passes)
    assert Reconstruction.of(shape, model).settings.passes == settings.QUALITY["standard"]
    former = m3.reconstruct((8, 8, 8), model, quality="draft")
    volume = m3.reconstruct((8, 8, 8), model, sampler="draft")
    assert (former.labels == volume.labels).all()
    for made in (former, volume):
        assert (made.provenance["sampler"], made.provenance["quality"]) == ("fast", "draft")
        assert made.provenance["passes"] == settings.QUALITY["draft"]


def test_former_keywords_are_what_replaced_them():
    model, custom = tiny_model(), settings.SamplerSettings(3, 1, 0.7, rotate=True)
    former = m3.reconstruct((8, 16, 24), model, settings=custom, window=8, precision="float32")
    runtime = m3.Runtime(window=8, precision="float32")
    volume = m3.reconstruct((8, 16, 24), model, sampler=custom, runtime=runtime)
    times = ("seconds", "network_seconds")
    records = [
        {key: value for key, value in made.provenance.items() if key not in times}
        for made in (former, volume)
    ]
    assert records[0] == records[1]
    assert records[0]["sampler"] == "custom"
    assert (former.labels == volume.labels).all()
    raw = m3.reconstruct((8, 8, 8), model, sampler="paper", settings=custom)
    assert raw.provenance["asked_volume_fractions"] is None


def test_defaults_are_written_once():
    public = inspect.signature(m3.reconstruct).parameters
    assert len(public) == 16
    fields = {f.name: f.default for f in dataclasses.fields(Reconstruction) if f.init}
    runtime = {f.name: f.default for f in dataclasses.fields(m3.Runtime)}
    for name in fields.keys() & public.keys() - {"volume_shape", "model"}:
        assert fields[name] == public[name].default
    assert runtime.items() <= fields.items()
    assert fields.keys() <= public.keys() | runtime.keys()


# ----------------------------------------------------------------------------------------- windows


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


# ------------------------------------------------------------------------------------------ memory


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
    assert len(shown[0]) == 2  # one batch a pass
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


def test_what_torch_keeps_of_a_gpu_is_free(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (5, 100))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 90)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 20)
    assert free_memory_bytes(torch.device("cuda")) == 75


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


def test_volumes_too_large_together_are_refused_as_a_batch(monkeypatch):
    model = tiny_model()
    monkeypatch.setattr(device, "memory_bytes", lambda where: 10 * 16**3 * 20)
    words = r"`batch` must be so small that .* got 12 of \(16, 16, 16\)"
    with pytest.raises(ValueError, match=words):
        next(m3.reconstruct_many((16,) * 3, model, range(12), batch=12, precision="float32"))
    with pytest.raises(ValueError, match="`volume_shape` must fit into the memory of cpu"):
        next(m3.reconstruct_many((48,) * 3, model, range(12), batch=12, precision="float32"))


def test_the_buffers_of_known_voxels_count_as_memory(monkeypatch):
    model = tiny_model()
    known = np.full((16, 16, 16), UNKNOWN, dtype=np.uint8)
    known[2, 3, 4] = known[9, 15, 8] = 1
    assert field_module._box(known) == (slice(2, 10), slice(3, 16), slice(4, 9))
    asked = []
    monkeypatch.setattr(field_module, "_refuse_memory", lambda need, *rest: asked.append(need))
    for k in (None, known):
        field_and_network(model, (16,) * 3, known=k)
    assert asked[1] - asked[0] == 8 * 13 * 5 * 13


# ------------------------------------------------------------------------------------- known voxels


@pytest.mark.parametrize("phases", [2, 3])
def test_known_voxels_come_back_and_fractions_are_exact(phases, rng):
    model = tiny_model(phases)
    known = np.full((12, 17, 20), UNKNOWN, dtype=np.uint8)
    known[:, 5] = rng.integers(0, phases, (12, 20))
    known[rng.random(known.shape) < 0.02] = 1
    volume = m3.reconstruct(
        known.shape, model, passes=5, known=known, remove_islands=True, keep_raw=True
    )
    given = known != UNKNOWN
    assert (volume.labels == known)[given].all()
    assert (volume.fields["raw_labels"] == known)[given].all()
    counts = np.bincount(volume.labels.ravel(), minlength=phases)
    np.testing.assert_allclose(counts / known.size, model.volume_fractions, atol=1 / known.size)
    assert volume.provenance["known"]["voxels"] == given.sum()


def test_nothing_known_is_no_hard_data():
    model, nothing = tiny_model(), np.full((12, 12, 12), UNKNOWN)
    a, b = (m3.reconstruct((12,) * 3, model, passes=4, known=k) for k in (None, nothing))
    assert (a.labels == b.labels).all()
    assert b.provenance["known"] is None


def test_known_voxels_have_the_noise_of_their_step():
    """The law of Eq. 3 at the known voxels, whichever box they lie in; others are left alone."""
    model = linear_model(40)
    known = np.full((40, 40, 40), UNKNOWN, dtype=np.uint8)
    known[3:37, 5, 2:] = 1
    fields = []
    for k in (known, None):
        field, _ = field_and_network(model, (40,) * 3, known=k)
        field.start("xy", 30, True)
        fields.append(field.result()[0])
    given, bar = known != UNKNOWN, model.schedule.alpha_bar[30]
    z = (fields[0][given] - bar**0.5) / (1 - bar) ** 0.5
    assert abs(z.mean()) < 4 / given.sum() ** 0.5
    assert abs(z.std() - 1) < 4 / (2 * given.sum()) ** 0.5
    assert (fields[0] == fields[1])[~given].all()
    assert abs(np.corrcoef(fields[0][given], fields[1][given])[0, 1]) < 0.12


def test_neighbours_agree_with_a_known_slice(separator):
    """They resemble it as neighbouring slices of a free volume do, which it does not resemble."""

    def alike(a, b):
        return np.corrcoef(a.ravel(), b.ravel())[0, 1]

    truth = m3.synthetic.separator((1, 32, 32), seed=9).labels[0]
    known = np.full((32, 32, 32), UNKNOWN, dtype=np.uint8)
    known[16] = truth
    volume = m3.reconstruct((32,) * 3, separator, known=known, seed=1).labels
    free = m3.reconstruct((32,) * 3, separator, seed=1).labels
    usual = np.mean([alike(a, b) for a, b in itertools.pairwise(free)])
    beside = (alike(volume[15], truth) + alike(volume[17], truth)) / 2
    assert (volume[16] == truth).all()
    assert beside > 0.6 * usual
    assert beside > 0.3 + abs(np.mean([alike(image, truth) for image in free]))


# ----------------------------------------------------------------------------------------- islands


def test_islands_are_voxels_alone():
    labels = np.zeros((5, 5, 5), dtype=np.uint8)
    labels[2, 2, 2] = labels[0, 2, 2] = 1
    assert np.argwhere(islands(labels, OPEN)).tolist() == [[2, 2, 2]]
    assert islands(labels, (True, False, False)).sum() == 2
    labels[2, 2, 3] = 1
    assert not islands(labels, OPEN).any()
    flat = np.zeros((1, 5, 5), dtype=np.uint8)
    flat[0, 2, 2] = 2
    assert islands(flat, OPEN).sum() == 1


@pytest.mark.parametrize("phases", [2, 3])
def test_without_islands_fractions_stay_exact(phases, rng):
    from scipy.ndimage import gaussian_filter

    x = rng.standard_normal((1 if phases == 2 else phases, 24, 24, 24)).astype(np.float32)
    x = np.stack([3 * gaussian_filter(c, 2.0) for c in x])
    sown = rng.random(x.shape[1:]) < 0.01
    x[0][sown] *= -8
    target = np.array([0.6, 0.4] if phases == 2 else [0.5, 0.3, 0.2])
    with_them, none = final_labels(x, phases, target, periodic=OPEN)
    labels, removed = final_labels(x, phases, target, periodic=OPEN, remove_islands=True)
    assert none == 0
    assert removed >= islands(with_them, OPEN).sum() > 0
    assert not islands(labels, OPEN).any()
    counts = np.bincount(labels.ravel(), minlength=phases)
    assert np.abs(counts - target * labels.size).max() < 1
    raw, removed = final_labels(x, phases, None, periodic=OPEN, remove_islands=True)
    assert removed > 0
    assert not islands(raw, OPEN).any()


def test_matching_over_the_rest(rng):
    x = rng.standard_normal((3, 6, 6, 6)).astype(np.float32)
    known = np.full((6, 6, 6), UNKNOWN, dtype=np.uint8)
    known[0] = 2
    labels = match_fractions(x, np.array([0.5, 0.3, 0.2]), known)
    assert (labels[0] == 2).all()
    assert np.bincount(labels.ravel()).tolist() == [108, 65, 43]
    with pytest.raises(ValueError, match="`known` must hold no more voxels"):
        match_fractions(x, np.array([0.5, 0.45, 0.05]), known)


@pytest.mark.parametrize(
    "target", [(0.5, 0.3, 0.2), (0.02, 0.0, 0.98), (0.0002, 0.4998, 0.5)], ids=str
)
def test_weights_of_a_large_field_come_from_a_part_of_it(target, rng, monkeypatch):
    """Exact fractions, and the labels that the whole field gives but for a few voxels."""
    from scipy.ndimage import gaussian_filter

    x = rng.standard_normal((3, 32, 32, 32))
    x = np.stack([np.tanh(20 * gaussian_filter(c, 2.0)) for c in x]).astype(np.float32)
    target = np.array(target)
    whole = match_fractions(x, target)
    monkeypatch.setattr(labelling, "_SAMPLE", 2**12)
    part = match_fractions(x, target)
    counts = np.bincount(part.ravel(), minlength=3)
    assert counts.tolist() == labelling.whole_counts(target, part.size).tolist()
    assert (part == whole).mean() > 0.99
    assert (part == match_fractions(x, target)).all()
    assert part.dtype == np.uint8
    gain = np.take_along_axis(x, part[None].astype(np.int64), 0).sum(dtype=np.float64)
    best = np.take_along_axis(x, whole[None].astype(np.int64), 0).sum(dtype=np.float64)
    assert gain > best - 1e-3 * part.size
    ties = match_fractions(np.zeros_like(x), target)
    assert np.bincount(ties.ravel(), minlength=3).tolist() == counts.tolist()


# ----------------------------------------------------------------------------------- periodic faces


@pytest.mark.parametrize("shape", [(32, 40, 24), (30, 37, 26)], ids=["stride", "no stride"])
def test_periodic_faces_join(separator, shape):
    """As like as neighbouring slices inside; those of an open axis are not."""
    volume = m3.reconstruct(shape, separator, periodic=(True, True, False), passes=23, seed=3)
    for axis in (0, 1):
        ratio, noise = face_mismatch(volume.labels, axis)
        assert abs(ratio - 1) < 4 * noise
    ratio, noise = face_mismatch(volume.labels, 2)
    assert ratio > 1 + 4 * noise


# -------------------------------------------------------------------------------------------- many


def test_many_are_those_of_their_seeds():
    model = tiny_model(3)
    singles = [m3.reconstruct((12, 16, 20), model, passes=5, seed=s).labels for s in (7, 8, 9)]
    events = []
    volumes = m3.reconstruct((12, 16, 20), model, passes=5, seed=7, n=3, callback=events.append)
    assert [v.provenance["seed"] for v in volumes] == [7, 8, 9]
    for volume, labels in zip(volumes, singles, strict=True):
        assert (volume.labels == labels).mean() > 0.999
    assert events[-1]["pass_index"] == events[-1]["passes"] == 15
    windowed = m3.reconstruct((12, 16, 20), model, passes=5, seed=8, window=8).labels
    both = m3.reconstruct((12, 16, 20), model, passes=5, seed=7, window=8, n=2)
    assert (both[1].labels == windowed).mean() > 0.999


def test_many_are_made_when_asked_for():
    model, events = linear_model(10), []
    volumes = m3.reconstruct_many(
        (16, 16, 16), model, itertools.count(3), batch=2, passes=3, callback=events.append
    )
    assert not events
    first = [next(volumes) for _ in range(2)]
    assert len(events) == 3
    assert [v.provenance["seed"] for v in first] == [3, 4]
    assert first[0].provenance["volumes_at_once"] == 2
    assert next(volumes).provenance["seed"] == 5


def test_the_command_that_repeats_a_volume_names_what_was_asked():
    known = np.full((8, 16, 24), UNKNOWN, dtype=np.uint8)
    known[2] = 1
    model = tiny_model()
    volume = m3.reconstruct(
        known.shape, model, passes=3, window=8, remove_islands=True, known=known
    )
    recipe = Reconstruction.from_provenance(volume.provenance, volume.shape)
    assert "--window 8 --remove-islands --known KNOWN.tif" in recipe.command()
    assert "window=8, remove_islands=True, known=m3.Micro" in recipe.program()
    plain = m3.reconstruct((8, 8, 8), model, passes=3)
    assert "window" not in Reconstruction.from_provenance(plain.provenance, (8, 8, 8)).program()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A model of few steps that takes fractions as a condition, as its files hold it."""
    plain = tiny_model(3, (0.5, 0.3, 0.2))
    config = dataclasses.replace(plain.config, fractions=3)
    torch.manual_seed(0)
    net = UNet(config).eval().requires_grad_(False)
    for weight in (net.head.weight, net.fraction.project[2].weight):
        torch.nn.init.normal_(weight, std=0.3)
    model = dataclasses.replace(plain, net=net, config=config, schedule=Schedule(steps=6))
    return str(model.save(tmp_path_factory.mktemp("saved")))


@pytest.mark.parametrize(
    ("options", "written"),
    [
        ({"passes": 4}, "--out"),
        ({"passes": 4, "volume_fractions": (0.2, 0.2, 0.6)}, "--fractions 0.2,0.2,0.6"),
        ({"passes": 4, "volume_fractions": None}, "--fractions raw"),
        ({"passes": 4, "fraction_condition": True}, "--fraction-condition"),
        ({"sampler": "paper", "harmonize": 1, "guidance": 1.5}, "--sampler paper"),
        (
            {"sampler": "paper", "harmonize": 1, "volume_fractions": (0.5, 0.3, 0.2)},
            "--fractions 0.5,0.3,0.2",
        ),
        (
            {
                "sampler": "paper",
                "harmonize": 1,
                "volume_fractions": (0.2, 0.2, 0.6),
                "fraction_condition": False,
            },
            "--no-fraction-condition",
        ),
        ({"settings": settings.SamplerSettings(3, 1, 0.7, gamma_end=0.9)}, None),
        (
            {
                "settings": settings.SamplerSettings(3, 1, 1.0, hold_mean=True),
                "volume_fractions": (0.2, 0.2, 0.6),
                "fraction_condition": True,
                "periodic": (True, False, False),
            },
            None,
        ),
    ],
    ids=str,
)
def test_the_command_and_the_program_repeat_the_volume(
    saved, options, written, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    volume = m3.reconstruct((8, 12, 8), m3.load_model(saved), seed=5, **options)
    record = json.loads(json.dumps({**volume.provenance, "model_name": saved}))
    recipe = Reconstruction.from_provenance(record, volume.shape)
    exec(compile(recipe.program(), "program", "exec"), {})
    again = m3.Microstructure.load("volume.tif")
    assert (again.labels == volume.labels).all()
    assert again.provenance["settings"] == volume.provenance["settings"]
    command = recipe.command()
    assert (command is None) == (written is None)
    if command is not None:
        assert written in command
        assert ("--fractions" in command) == ("volume_fractions" in options)
        assert cli.main(shlex.split(command.replace("\\\n", " "))[1:]) == 0, capsys.readouterr().err
        assert (m3.Microstructure.load("volume.tif").labels == volume.labels).all()


# ---------------------------------------------------------------------------------------- boundary

KNOWN = np.full((16, 16, 16), UNKNOWN, dtype=np.uint8)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"quality": "best"}, ValueError, "`quality` must be 'draft' or 'standard' or 'high'"),
        ({"quality": "draft", "passes": 9}, ValueError, "`quality` must be None where `passes`"),
        ({"quality": "draft", "sampler": "paper"}, ValueError, "`quality` must be None for sam"),
        ({"window": 0}, ValueError, "`window` must be an integer of at least 1"),
        ({"window": 9}, ValueError, "`window` must be 'auto', None or a multiple of the network"),
        ({"window": "wide"}, ValueError, "`window` must be 'auto'"),
        ({"window": 16.0}, TypeError, "`window`"),
        ({"known": KNOWN[1:]}, ValueError, "`known` must have the shape of the volume"),
        ({"known": KNOWN * 1.0}, TypeError, "`known` must be an array of bool or integers"),
        ({"known": KNOWN // 10}, ValueError, "`known` must hold phases 0 ... 1 and 255 where"),
        ({"known": KNOWN * 0}, ValueError, "`known` must leave room for `volume_fractions`"),
        ({"remove_islands": 1}, TypeError, "`remove_islands` must be True or False"),
        ({"keep_raw": "no"}, TypeError, "`keep_raw` must be True or False"),
        ({"n": 0}, ValueError, "`n` must be an integer of at least 1"),
        ({"n": 2, "seed": 2**64 - 1}, ValueError, "`seed`"),
        ({"n": 2, "callback": 3}, TypeError, "`callback`"),
    ],
)
def test_boundary_says_what_is_wrong(change, error, words):
    with pytest.raises(error, match=words):
        m3.reconstruct((16, 16, 16), tiny_model(), **change)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"seeds": 3}, TypeError, "`seeds` must be an iterable of integers, got int"),
        ({"batch": 0}, ValueError, "`batch`"),
        ({"n": 3}, TypeError, "`n` is no option of reconstruct_many"),
        ({"quality": "best"}, ValueError, "`quality`"),
        ({"callback": "yes"}, TypeError, "`callback`"),
    ],
)
def test_boundary_of_many(change, error, words):
    arguments = {"seeds": range(2), **change}
    with pytest.raises(error, match=words):
        m3.reconstruct_many((16, 16, 16), tiny_model(), arguments.pop("seeds"), **arguments)


@pytest.mark.parametrize(
    ("knob", "words"),
    [
        ({"temperature": -0.5}, "`temperature`"),
        ({"spacing": 0.0}, "`spacing`"),
        ({"variance": "alpha"}, "`variance`"),
        ({"gamma_end": 2.0}, "`gamma_end`"),
    ],
)
def test_settings_out_of_range_are_refused(knob, words):
    with pytest.raises(ValueError, match=words):
        settings.SamplerSettings(8, 5, 1.0, **knob)


def test_a_bad_seed_of_many_is_refused():
    with pytest.raises(ValueError, match="`seeds`"):
        list(m3.reconstruct_many((16, 16, 16), tiny_model(), [-1], passes=3))


def test_face_mismatch_of_known_volumes():
    ramp = np.zeros((8, 4, 6), dtype=np.uint8)
    ramp[:, :2] = 1  # two slabs: the faces of y differ, inside one pair of three does
    assert face_mismatch(ramp, "y") == face_mismatch(ramp, 1)
    assert face_mismatch(ramp, 1)[0] == pytest.approx(3)
    assert np.isnan(face_mismatch(ramp, "z")).all()
    with pytest.raises(ValueError, match="`axis` must be"):
        face_mismatch(ramp, "w")
    with pytest.raises(ValueError, match="at least 3 voxels along 'x'"):
        face_mismatch(ramp[:, :, :2], "x")
