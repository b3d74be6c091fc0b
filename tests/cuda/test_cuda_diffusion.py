# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Samplers and training on a GPU: the volumes of the CPU, whatever the stream, chunk or shape."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import micro3d_fast as m3

torch = pytest.importorskip("torch")

from _toy import calm_model, field_and_network  # noqa: E402
from micro3d_fast.diffusion import copies  # noqa: E402
from micro3d_fast.diffusion.graphs import CapturedNetwork  # noqa: E402
from micro3d_fast.diffusion.network_pass import NetworkPass  # noqa: E402
from micro3d_fast.diffusion.reconstruction import Reconstruction  # noqa: E402
from micro3d_fast.diffusion.sampling import sample  # noqa: E402
from micro3d_fast.diffusion.schedule import Schedule  # noqa: E402
from micro3d_fast.diffusion.settings import fast_settings  # noqa: E402
from micro3d_fast.diffusion.training import CHECKPOINT, Teacher, fine_tune  # noqa: E402
from micro3d_fast.diffusion.training.captured_step import CapturedStep  # noqa: E402
from micro3d_fast.diffusion.training.device_batches import DeviceBatches  # noqa: E402
from micro3d_fast.diffusion.training.run_directory import RunDirectory  # noqa: E402

pytestmark = pytest.mark.cuda

DEVICE = "cuda"


@pytest.fixture(autouse=True)
def full_float32(monkeypatch):
    """Convolutions of float32 in float32: torch uses TF32 by default."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def field_of(model, device, shape=(16, 16, 16), dtype=torch.float32, **keys):
    """The raw field after some passes."""
    options = {"seeds": (7,), "device": device, "dtype": dtype, **keys}
    field, network = field_and_network(model, shape, **options)
    sample(field, network, fast_settings(harmonize=(1, 2, 1, 0)))
    return field.result()


@pytest.mark.parametrize("phases", [2, 3])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
@pytest.mark.parametrize("periodic", [(False,) * 3, (True, False, True)], ids=["open", "periodic"])
def test_field_is_that_of_the_cpu(phases, guidance, periodic):
    model = calm_model(phases)
    keys = {"guidance": guidance, "periodic": periodic, "shape": (16, 20, 26)}
    got = field_of(model, DEVICE, **keys)
    np.testing.assert_allclose(got, field_of(model, "cpu", **keys), atol=2e-3)


@pytest.mark.parametrize("periodic", [(False,) * 3, (True, False, True)], ids=["open", "periodic"])
def test_windows_and_known_voxels_are_those_of_the_cpu(periodic):
    known = np.full((16, 20, 26), 255, dtype=np.uint8)
    known[3:12, 7] = np.random.default_rng(0).integers(0, 2, (9, 26))
    keys = {"shape": known.shape, "known": known, "window": 8, "periodic": periodic}
    got, want = (field_of(calm_model(), device, **keys) for device in (DEVICE, "cpu"))
    np.testing.assert_allclose(got, want, atol=2e-3)
    assert (got[0, 3:12, 7] == 2.0 * known[3:12, 7] - 1).all()


def test_volumes_of_one_batch_are_those_of_their_seeds():
    model, keys = calm_model(3), {"passes": 7, "device": DEVICE, "compile": False}
    many = m3.reconstruct((16, 16, 16), model, n=3, seed=5, precision="float32", **keys)
    for seed, volume in zip((5, 6, 7), many, strict=True):
        one = m3.reconstruct((16, 16, 16), model, seed=seed, precision="float32", **keys)
        assert (volume.labels == one.labels).mean() > 0.99
        assert volume.provenance["volumes_at_once"] == 3


def test_bfloat16_is_near():
    model = calm_model()
    got, want = (field_of(model, DEVICE, dtype=d) for d in (torch.bfloat16, torch.float32))
    assert np.corrcoef(got.ravel(), want.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("sampler", ["fast", "paper"])
def test_a_seed_is_a_volume(sampler):
    model = calm_model()
    if sampler == "paper":
        model = dataclasses.replace(model, schedule=Schedule(steps=12))
    keys = {"sampler": sampler, "device": DEVICE, "seed": 3, "compile": False}
    one, two = (m3.reconstruct((16, 16, 16), model, **keys) for _ in range(2))
    np.testing.assert_array_equal(one.labels, two.labels)
    other = m3.reconstruct((16, 16, 16), model, **{**keys, "seed": 4})
    assert (one.labels != other.labels).any()
    assert one.provenance["device"].startswith(DEVICE)


def test_a_volume_does_not_depend_on_the_memory_that_is_free(monkeypatch):
    model = calm_model()
    want = field_of(model, DEVICE)
    monkeypatch.setattr(NetworkPass, "chunk_pixels", 3 * 16 * 16)
    np.testing.assert_allclose(field_of(model, DEVICE), want, atol=2e-3)


def test_a_side_stream_is_as_good():
    model = calm_model()
    want = field_of(model, DEVICE)
    with torch.cuda.stream(torch.cuda.Stream()):
        got = field_of(model, DEVICE)
    np.testing.assert_allclose(got, want, atol=2e-3)


def test_slices():
    images = m3.sample_slices(calm_model(), "xz", 3, size=(16, 24), steps=4, device=DEVICE)
    assert images.shape == (3, 16, 24)
    again = m3.sample_slices(calm_model(), "xz", 3, size=(16, 24), steps=4, device=DEVICE)
    np.testing.assert_array_equal(images, again)


@pytest.mark.filterwarnings("ignore")  # what the compiler has to say is not ours
def test_a_compiled_network_gives_the_same():
    pytest.importorskip("triton")
    model = calm_model()
    want = field_of(model, DEVICE)
    np.testing.assert_allclose(field_of(model, DEVICE, compiled=True), want, atol=2e-3)


# --------------------------------------------------------------------------------------- training

QUICK = {"preset": "small", "patch": 16, "batch_size": 2, "samples_every": 0, "compile": False}


def micrographs():
    labels = np.indices((24, 24, 24)).sum(axis=0) // 6 % 2  # layers along a diagonal
    return m3.Micrographs.from_volume(labels.astype(np.uint8), images_per_plane=6, seed=0)


class Stop(Exception):
    pass


def stop_at(step):
    def callback(event):
        if event["step"] == step:
            raise Stop

    return callback


def assert_near(one, other, atol, rtol=0.02):
    there = other.net.state_dict()
    for name, tensor in one.net.state_dict().items():
        torch.testing.assert_close(
            tensor, there[name], atol=atol, rtol=rtol, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_goes_on_where_it_stopped(tmp_path, precision):
    keys = {**QUICK, "device": DEVICE, "precision": precision, "steps": 6}
    whole = m3.train(micrographs(), tmp_path / "whole", **keys)
    with pytest.raises(Stop):
        m3.train(micrographs(), tmp_path / "cut", save_every=2, callback=stop_at(3), **keys)
    resumed = m3.train(micrographs(), tmp_path / "cut", save_every=2, **keys)
    assert np.isfinite(whole.details["loss"])
    # the weights move by some 1e-4 a step while the rate warms up
    assert_near(resumed, whole, 5e-5)


def test_a_run_moves_between_cpu_and_gpu(tmp_path, monkeypatch):
    """With batches made on the host, as where the labels do not fit on the GPU."""
    monkeypatch.setattr(DeviceBatches, "fit", lambda *_: False)
    keys = {**QUICK, "precision": "float32", "save_every": 2, "steps": 6}
    want = m3.train(micrographs(), tmp_path / "cpu", device="cpu", **keys)
    for k, (first, second) in enumerate([("cpu", DEVICE), (DEVICE, "cpu")]):
        out = tmp_path / str(k)
        with pytest.raises(Stop):
            m3.train(micrographs(), out, device=first, callback=stop_at(3), **keys)
        assert_near(m3.train(micrographs(), out, device=second, **keys), want, 1e-4)


@pytest.mark.parametrize("phases", [2, 3])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_step_in_a_graph_is_that_launched_kernel_by_kernel(
    tmp_path, monkeypatch, phases, precision
):
    """Bit for bit, also resumed; every loss is reported and recorded."""
    captured = []
    capture = CapturedStep._capture

    def counted(self):
        captured.append(self)
        capture(self)

    monkeypatch.setattr(CapturedStep, "_capture", counted)
    labels = np.random.default_rng(0).integers(0, phases, (24, 20, 28)).astype(np.uint8)
    data = m3.Micrographs.from_volume(labels, images_per_plane=6)
    keys = {**QUICK, "device": DEVICE, "precision": precision, "steps": 12, "save_every": 5}
    keys["fraction_condition"] = phases == 3
    events = []
    whole = m3.train(data, tmp_path / "graph", callback=events.append, **keys)
    assert len(captured) == 1
    assert [e["step"] for e in events] == list(range(1, 13))
    with pytest.raises(Stop):
        m3.train(data, tmp_path / "cut", callback=stop_at(8), **keys)
    resumed = m3.train(data, tmp_path / "cut", **keys)
    assert len(captured) == 3
    monkeypatch.setattr("micro3d_fast.diffusion.training.captured_step._WARM_UP", 100)
    plain = m3.train(data, tmp_path / "plain", **keys)
    assert len(captured) == 3
    for other in (resumed, plain):
        assert_near(other, whole, 0, rtol=0)
        assert other.details["loss"] == whole.details["loss"] == round(events[-1]["loss"], 6)
    for name in ("cut", "plain"):
        same = [(tmp_path / n / "history.csv").read_bytes() for n in (name, "graph")]
        assert same[0] == same[1]


def test_a_loss_that_is_not_finite_ends_training_within_a_few_steps(tmp_path, monkeypatch):
    made = DeviceBatches.prepare

    def broken(self, step):
        made(self, step)
        if step == 6:
            self._bar.fill_(torch.nan)

    monkeypatch.setattr(DeviceBatches, "prepare", broken)
    steps = []
    with pytest.raises(ValueError, match="the loss must stay finite, got nan at step 7"):
        m3.train(
            micrographs(),
            tmp_path,
            steps=20,
            save_every=8,
            device=DEVICE,
            callback=lambda e: steps.append(e["step"]),
            **QUICK,
        )
    assert 6 <= steps[-1] <= 8
    assert not (tmp_path / CHECKPOINT).exists()


def test_a_checkpoint_that_cannot_be_written_ends_training(tmp_path, monkeypatch):
    """It is written beside the training: the error comes with the next one or at the end."""

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr(RunDirectory, "save", full)
    steps = []
    keys = {**QUICK, "device": DEVICE, "steps": 9, "save_every": 2}
    with pytest.raises(OSError, match="no space left"):
        m3.train(micrographs(), tmp_path, callback=lambda e: steps.append(e["step"]), **keys)
    assert steps[-1] == 4


def test_a_step_without_memory_for_its_graph_is_launched_kernel_by_kernel(tmp_path, monkeypatch):
    draw = DeviceBatches.draw

    def refused(self):
        if torch.cuda.is_current_stream_capturing():
            raise torch.OutOfMemoryError("CUDA out of memory")
        return draw(self)

    keys = {**QUICK, "device": DEVICE, "steps": 6}
    want = m3.train(micrographs(), tmp_path / "graph", **keys)
    monkeypatch.setattr(DeviceBatches, "draw", refused)
    with pytest.warns(UserWarning, match="the training step could not be captured"):
        got = m3.train(micrographs(), tmp_path / "plain", **keys)
    assert_near(got, want, 0, rtol=0)


def test_training_on_the_gpu_learns(tmp_path):
    keys = {**QUICK, "steps": 150, "batch_size": 4, "device": DEVICE}
    losses = []
    m3.train(micrographs(), tmp_path, callback=lambda e: losses.append(e["loss"]), **keys)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("periodic", [(False,) * 3, (True, False, True)], ids=["open", "periodic"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_passes_in_graphs_are_those_launched_one_by_one(monkeypatch, periodic, guidance):
    """Slices of three shapes, two conditions, axes that wrap."""
    captured = []
    capture = CapturedNetwork._capture

    def counted(self, *inputs):
        captured.append(inputs)
        return capture(self, *inputs)

    monkeypatch.setattr(CapturedNetwork, "_capture", counted)
    keys = {"guidance": guidance, "periodic": periodic, "shape": (16, 24, 32)}
    got = field_of(calm_model(), DEVICE, **keys)
    assert len(captured) == 3
    monkeypatch.setattr("micro3d_fast.diffusion.graphs._MOST_PIXELS", 0)
    want = field_of(calm_model(), DEVICE, **keys)
    assert len(captured) == 3
    np.testing.assert_array_equal(got, want)


def test_graphs_are_kept_for_the_next_volume_unless_they_take_much_memory(monkeypatch):
    model = calm_model()
    keys = {"passes": 8, "device": DEVICE, "precision": "float32"}
    first = m3.reconstruct((16, 16, 16), model, **keys)
    with copies.borrowed(model, torch.device(DEVICE), torch.float32) as kept:
        graphs = dict(kept.forward._graphs)
        assert graphs
    monkeypatch.setattr(copies.CapturedNetwork, "_capture", None)  # none is needed
    np.testing.assert_array_equal(m3.reconstruct((16, 16, 16), model, **keys).labels, first.labels)
    kept.forward._bytes = 2**60
    kept.rest()
    assert not kept.forward._graphs


def test_a_batch_that_a_graph_has_no_memory_for_is_halved(monkeypatch):
    capture = CapturedNetwork._capture

    def refused(self, images, condition):
        if len(images) > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return capture(self, images, condition)

    want = field_of(calm_model(), DEVICE)
    monkeypatch.setattr(CapturedNetwork, "_capture", refused)
    np.testing.assert_allclose(field_of(calm_model(), DEVICE), want, atol=2e-3)


@pytest.mark.parametrize(("precision", "rounded"), [("float32", False), ("bfloat16", True)])
def test_float32_is_not_rounded_to_tf32(precision, rounded, monkeypatch):
    seen = []
    predict = NetworkPass.predict

    def watched(self, t):
        seen.append(torch.backends.cudnn.allow_tf32)
        predict(self, t)

    monkeypatch.setattr(NetworkPass, "predict", watched)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    m3.reconstruct((16, 16, 16), calm_model(), passes=3, device=DEVICE, precision=precision)
    assert set(seen) == {rounded}
    assert torch.backends.cudnn.allow_tf32


def other_model():
    """A network beside `calm_model`, with other weights."""
    model = calm_model()
    with torch.no_grad():
        for weight in model.net.parameters():
            weight.mul_(0.9)
    return model


def test_a_pair_of_networks_is_that_of_the_cpu():
    runtime = m3.Runtime(precision="float32")
    keys = {"against": other_model(), "guidance": 2.0, "passes": 8, "runtime": runtime}
    made = [
        Reconstruction.of((16, 16, 24), calm_model(), device=device, **keys).run([1, 2])
        for device in ("cpu", DEVICE)
    ]
    for want, got in zip(*made, strict=True):
        assert (want.labels != got.labels).mean() < 2e-3  # rounding


def test_a_taught_step_is_that_of_the_cpu(tmp_path, monkeypatch):
    """With batches made on the host, which are the same; from the fourth step in a graph."""
    monkeypatch.setattr(DeviceBatches, "fit", lambda *_: False)
    model = calm_model()
    keys = {"steps": 6, "learning_rate": 1e-3, "precision": "float32"}
    teacher = Teacher(model, other_model(), 0.5)
    got, want, plain = (
        fine_tune(model, micrographs(), tmp_path / name, device=device, teacher=by, **keys)
        for name, device, by in [
            ("gpu", DEVICE, teacher), ("cpu", "cpu", teacher), ("plain", "cpu", None)
        ]
    )  # fmt: skip
    assert_near(got, want, 1e-4)
    assert want.hash != plain.hash
