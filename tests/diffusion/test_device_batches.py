# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Batches drawn on the device follow the law of those made on the host."""

from __future__ import annotations

import types

import numpy as np
import pytest
import torch

from micro3d_fast import Micrographs
from micro3d_fast._planes import PLANES
from micro3d_fast.diffusion.model import encode
from micro3d_fast.diffusion.schedule import Schedule
from micro3d_fast.diffusion.training.batches import make_batch
from micro3d_fast.diffusion.training.device_batches import DeviceBatches
from micro3d_fast.diffusion.unet import NO_PLANE

PATCH = 8
COUNT = 20_000  # crops: shares have standard errors of 0.0035 and less
SHAPES = {"xy": [(8, 9), (11, 30), (16, 8)], "xz": [(10, 12)], "yz": [(9, 9), (12, 20)]}


def options(**changes):
    keys = {"batch_size": COUNT, "patch": PATCH, "seed": 3, "device": torch.device("cpu")}
    keys |= {"schedule": Schedule(), "prediction": "v", "condition_dropout": 0.1}
    keys |= {"fraction_condition": True, "mirrored": PLANES}
    return types.SimpleNamespace(**keys | changes)


def numbered() -> Micrographs:
    """Images in which (image, row, column) follow from the first two pixels of any crop."""
    images = {
        plane: [
            (np.add.outer(np.arange(h) * 31, np.arange(w)) % 251).astype(np.uint8) + 2 * k
            for k, (h, w) in enumerate(shapes)
        ]
        for plane, shapes in SHAPES.items()
    }
    return Micrographs(images, 256, ("",) * 256, (1.0,) * 3, {}, {})


def drawn(micrographs, step=0, **changes):
    batches = DeviceBatches(micrographs, options(**changes))
    batches.prepare(step)
    labels, plane = batches.crops()
    return labels.numpy(), plane.numpy()


def places(labels, plane, micrographs):
    """Image, row, column and flips of every crop, found by looking at all crops of all images."""
    known = {}
    for p, name in enumerate(PLANES):
        for k, image in enumerate(micrographs.images[name]):
            for r in range(image.shape[0] - PATCH + 1):
                for c in range(image.shape[1] - PATCH + 1):
                    crop = image[r : r + PATCH, c : c + PATCH]
                    for flip in (0, 1, 2, 3):
                        turned = crop[:: -1 if flip & 1 else 1, :: -1 if flip & 2 else 1]
                        known[p, turned.tobytes()] = (k, r, c, flip)
    return np.array([known[p, crop.tobytes()] for p, crop in zip(plane, labels, strict=True)])


def test_crops_follow_the_law_of_the_micrographs():
    """Planes, images by area, every place, flips: as often as by the law and as on the host."""
    data = numbered()
    device = drawn(data)
    host = data.sample(np.random.default_rng(0), COUNT, PATCH, PLANES)
    for labels, plane in (device, host):
        assert np.abs(np.bincount(plane, minlength=3) / COUNT - 1 / 3).max() < 0.015
        place = places(labels, plane, data)  # all are crops of images of their planes
        for p, name in enumerate(PLANES):
            mine = place[plane == p]
            area = np.array([h * w for h, w in SHAPES[name]])
            got = np.bincount(mine[:, 0], minlength=len(area)) / len(mine)
            assert np.abs(got - area / area.sum()).max() < 0.025
            for k, shape in enumerate(SHAPES[name]):
                for axis in (0, 1):  # uniform from edge to edge
                    n = shape[axis] - PATCH + 1
                    at = mine[mine[:, 0] == k][:, 1 + axis]
                    share = np.bincount(at, minlength=n) / len(at)
                    assert len(share) == n
                    assert np.abs(share - 1 / n).max() < 5 * np.sqrt(1 / n / len(at))
        flips = np.bincount(place[:, 3], minlength=4) / COUNT
        assert np.abs(flips - 0.25).max() < 0.015


def test_planes_that_are_not_mirrored_are_turned():
    data = numbered()
    device = drawn(data, mirrored=("xz",))
    host = data.sample(np.random.default_rng(0), COUNT, PATCH, ("xz",))
    for labels, plane in (device, host):
        flips = places(labels, plane, data)[:, 3]
        for p, name in enumerate(PLANES):
            got = np.bincount(flips[plane == p], minlength=4) / (plane == p).sum()
            law = [0.25] * 4 if name == "xz" else [0.5, 0, 0, 0.5]
            assert np.abs(got - law).max() < 0.03


def test_planes_that_borrow_share_memory():
    image = np.random.default_rng(0).integers(0, 2, (20, 30)).astype(np.uint8)
    one = Micrographs.load({"xy": image}, phases="labels")
    assert DeviceBatches(one, options())._labels.numel() == image.size
    labels, plane = drawn(one)
    assert set(plane) == {0, 1, 2}
    assert set(map(bytes, labels[plane == 2])) & set(map(bytes, labels[plane == 0]))


def test_slices_of_a_volume():
    volume = np.random.default_rng(0).integers(0, 3, (12, 10, 14)).astype(np.uint8)
    data = Micrographs.from_volume(volume)
    labels, plane = drawn(data)
    places(labels, plane, data)  # every crop is one of the volume
    np.testing.assert_allclose(
        [(labels == p).mean() for p in range(3)], data.volume_fractions(), atol=0.01
    )


@pytest.mark.parametrize("phases", [2, 3])
@pytest.mark.parametrize("prediction", ["v", "x0", "noise"])
def test_the_batch_is_that_of_its_crops(phases, prediction):
    """Noise, target, t, dropped conditions: moments as on the host, relations exact."""
    volume = np.random.default_rng(0).integers(0, phases, (16, 16, 16)).astype(np.uint8)
    data, n = Micrographs.from_volume(volume), 4000
    chosen = options(batch_size=n, prediction=prediction)
    device = DeviceBatches(data, chosen)
    device.prepare(5)
    batch = device.draw()
    device.prepare(5)
    labels, plane = device.crops()
    x0 = encode(labels, phases)
    expected = torch.stack([(labels == p).float().mean((1, 2)) for p in range(phases)], 1)
    torch.testing.assert_close(batch.fractions, expected)
    step = batch.t.numpy().astype(int)  # the network is told t itself
    bar = torch.from_numpy(chosen.schedule.alpha_bar[step]).float()[:, None, None, None]
    noise = (batch.x_t - bar.sqrt() * x0) / (1 - bar).sqrt()
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    target = chosen.schedule.target(bar, x0, noise, prediction)
    torch.testing.assert_close(batch.target, target, atol=1e-3, rtol=1e-3)
    assert batch.x_t.is_contiguous(memory_format=torch.channels_last)

    host = make_batch(data, chosen, 5)
    for name in ("x_t", "target", "t", "plane", "fractions", "kept"):
        one, other = getattr(batch, name), getattr(host, name)
        assert (one.shape, one.dtype) == (other.shape, other.dtype), name
    for made in (batch, host):
        # one t in each share of the range; the batch of the device in their order
        shares = np.sort(made.t.numpy()) - 1 - np.arange(n) * 1000 // n
        assert shares.min() >= 0
        assert shares.max() <= 1
        assert made.t.min() == 1
        assert made.t.max() == 1000
        assert abs((made.plane == NO_PLANE).float().mean() - 0.1) < 0.03
        assert abs(made.kept.float().mean() - 0.5) < 0.05
    assert ((batch.plane == NO_PLANE) | (batch.plane == plane)).all()


def test_a_batch_is_a_function_of_seed_and_step():
    data = numbered()
    device = DeviceBatches(data, options(batch_size=4))
    made = []
    for step in (7, 8, 7):
        device.prepare(step)
        made.append(device.draw())
    assert torch.equal(made[0].x_t, made[2].x_t)
    assert not torch.equal(made[0].x_t, made[1].x_t)
    other = DeviceBatches(data, options(batch_size=4, seed=4))
    other.prepare(7)
    assert not torch.equal(made[0].x_t, other.draw().x_t)


def test_labels_that_do_not_fit_stay_on_the_host(monkeypatch):
    module = "micro3d_fast.diffusion.training.device_batches.free_memory_bytes"
    data = numbered()
    size = sum(image.size for stack in data.images.values() for image in stack)
    for free, fits in ((4 * size, True), (4 * size - 1, False)):
        monkeypatch.setattr(module, lambda _, free=free: free)
        assert DeviceBatches.fit(data, torch.device("cpu")) is fits
