# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Fractions drawn for each volume: their law, the volumes, the record, the refusals."""

from __future__ import annotations

import dataclasses
import json
import warnings

import numpy as np
import pytest

import micro3d_fast as m3
from _toy import calm_model, field_and_network, tiny_model
from micro3d_fast.diffusion import Reconstruction, SamplerSettings
from micro3d_fast.diffusion.labelling import UNKNOWN
from micro3d_fast.diffusion.mean_hold import MeanHold
from micro3d_fast.diffusion.natural_fractions import draw_fractions, leave_room
from micro3d_fast.diffusion.reconstruction import requested_fractions
from micro3d_fast.diffusion.sampling import sample
from micro3d_fast.diffusion.unet import UNet
from micro3d_fast.statistics import FractionScatter, PlaneScatter

MEAN = (0.6, 0.3, 0.1)
COVARIANCE = 1e-4 * np.array([[16.0, -12.0, -4.0], [-12.0, 13.0, -1.0], [-4.0, -1.0, 5.0]])


def scatter(images=100.0):
    """The law of images of one material each: COVARIANCE, whatever the size of a window."""
    covariance = np.tile(COVARIANCE[:-1, :-1], (7, 7, 1, 1))
    plane = PlaneScatter((64, 64), images, covariance)
    return FractionScatter({"xy": plane, "xz": plane, "yz": plane})


def natural_model(images=100.0, **changes):
    return dataclasses.replace(tiny_model(3, MEAN), fraction_scatter=scatter(images), **changes)


def test_drawn_fractions_have_the_mean_and_the_covariance():
    drawn = np.array([draw_fractions(np.array(MEAN), COVARIANCE, seed) for seed in range(4000)])
    np.testing.assert_allclose(drawn.mean(axis=0), MEAN, atol=2e-3)
    np.testing.assert_allclose(np.cov(drawn.T), COVARIANCE, atol=1.2e-4)
    assert (drawn.sum(axis=1) == 1).all()
    assert (drawn[:4] == [draw_fractions(np.array(MEAN), COVARIANCE, s) for s in range(4)]).all()


def test_a_few_consecutive_seeds_show_the_law():
    """Eight independent draws miss the mean by .35 of the scatter, and the scatter by a fourth."""
    mean, covariance = np.array((0.6, 0.4)), 1e-4 * np.array([[9.0, -9.0], [-9.0, 9.0]])
    firsts = [*range(0, 800, 8), *(2**62 - 8 * k for k in range(1, 101))]
    drawn = [[draw_fractions(mean, covariance, f + k)[0] for k in range(8)] for f in firsts]
    means, deviations = np.mean(drawn, axis=1), np.std(drawn, axis=1, ddof=1)
    assert np.sqrt(np.mean((means - 0.6) ** 2)) < 0.22 * 0.03
    assert np.sqrt(np.mean((deviations - 0.03) ** 2)) < 0.13 * 0.03


@pytest.mark.parametrize(
    "covariance",
    [
        [[2, -2, 0], [-2, 2, 0], [0, 0, 0]],
        [[1, -1, 0], [-1, 2, -1], [0, -1, 1]],
        [[1, -1], [-1, 1]],
    ],
)
def test_the_last_bits_of_the_covariance_do_not_matter(covariance):
    exact, rng = 1e-4 * np.array(covariance, dtype=float), np.random.default_rng(1)
    mean = np.full(len(exact), 1 / len(exact))
    want = draw_fractions(mean, exact, 1)
    for _ in range(100):
        noise = 1e-15 * rng.standard_normal(exact.shape)
        near = exact * (1 + noise + noise.T)
        np.testing.assert_allclose(draw_fractions(mean, near, 1), want, atol=1e-6)


def test_rare_phases_stay_positive():
    covariance = 1e-4 * np.array([[1.0, -1.0], [-1.0, 1.0]])
    drawn = np.array([draw_fractions(np.array((0.99, 0.01)), covariance, s) for s in range(4000)])
    assert drawn.min() > 0
    assert drawn[:, 1].mean() == pytest.approx(0.01, rel=0.05)
    assert drawn[:, 1].std() == pytest.approx(0.01, rel=0.1)


def test_each_volume_has_its_own_fractions():
    model, n = natural_model(), 16**3
    volumes = m3.reconstruct((16,) * 3, model, passes=4, volume_fractions="natural", seed=5, n=3)
    for volume in volumes:
        want = draw_fractions(np.array(MEAN), COVARIANCE, volume.provenance["seed"])
        np.testing.assert_allclose(want, volume.provenance["asked_volume_fractions"], atol=1e-9)
        np.testing.assert_allclose(volume.volume_fractions, want, atol=1 / n)
        assert volume.provenance["natural_volume_fractions"]
    alone = m3.reconstruct((16,) * 3, model, passes=4, volume_fractions="natural", seed=6)
    assert (
        alone.provenance["asked_volume_fractions"]
        == (volumes[1].provenance["asked_volume_fractions"])
    )
    assert (alone.labels == volumes[1].labels).mean() > 0.999
    auto = m3.reconstruct((16,) * 3, model, passes=4, seed=6)
    np.testing.assert_allclose(auto.volume_fractions, MEAN, atol=1 / n)
    assert not auto.provenance["natural_volume_fractions"]


def test_mean_of_x0_is_that_of_each_volume():
    fractions = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.4, 0.2, 0.4]])
    model = calm_model(3, MEAN)
    field, network = field_and_network(model, (16, 24, 16), seeds=(3, 4, 5), fractions=fractions)
    sample(field, network, SamplerSettings(3, 1, 1.0, rotate=True, hold_mean=True))
    hold = MeanHold(field)
    p, q = model.schedule.x0_from(1000, "v")
    for _ in range(3):
        network.predict(1000)
        hold.apply(p, q)
    x, net = field.volumes()
    means = (p * x.double() + q * net.double()).clamp(-1, 1).mean((1, 3, 4))
    np.testing.assert_allclose(means, 2 * fractions - 1, atol=0.03)


def test_start_has_the_mean_of_each_volume():
    model, fractions = tiny_model(2), np.array([[0.9, 0.1], [0.1, 0.9]])
    both, _ = field_and_network(model, (8, 8, 8), seeds=(3, 3), fractions=fractions)
    both.start("xy", 1000, True)
    difference = both.result(1) - both.result(0)  # of the same noise
    want = 1.6 * model.schedule.alpha_bar[1000] ** 0.5
    np.testing.assert_allclose(difference, want, rtol=1e-3)


def test_the_program_repeats_the_volume(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = str(natural_model().save("model"))
    model = m3.load_model(name)
    volume = m3.reconstruct((8, 12, 8), model, passes=4, volume_fractions="natural", seed=9)
    record = json.loads(json.dumps({**volume.provenance, "model_name": name}))
    recipe = Reconstruction.from_provenance(record, volume.shape)
    assert "--fractions 0." in recipe.command()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`volume_fractions` requests")
        exec(compile(recipe.program(), "program", "exec"), {})
    assert (m3.Microstructure.load("volume.tif").labels == volume.labels).all()


def test_condition_on_the_fractions_of_each_volume(monkeypatch):
    """Volumes with conditions of their own are sampled alone."""
    plain = natural_model()
    config = dataclasses.replace(plain.config, fractions=3)
    model = dataclasses.replace(plain, net=UNet(config).eval().requires_grad_(False), config=config)
    seen, conditions = [], UNet.condition

    def condition(self, t, plane, fractions=None, kept=None):
        seen.append(fractions[0].tolist())
        return conditions(self, t, plane, fractions, kept)

    monkeypatch.setattr(UNet, "condition", condition)
    options = {"passes": 3, "volume_fractions": "natural", "fraction_condition": True}
    volumes = list(m3.reconstruct_many((8, 8, 8), model, range(3), batch=3, **options))
    asked = [volume.provenance["asked_volume_fractions"] for volume in volumes]
    np.testing.assert_allclose(seen, asked, atol=1e-6)


def test_known_voxels_are_never_more_than_drawn():
    known = np.full((8, 8, 8), UNKNOWN, dtype=np.uint8)
    known[:2] = 2  # a quarter of the volume; the phase has a tenth
    model = natural_model()
    volume = m3.reconstruct((8,) * 3, model, passes=3, volume_fractions="natural", known=known)
    assert (volume.labels[:2] == 2).all()
    np.testing.assert_allclose(
        volume.volume_fractions, volume.provenance["asked_volume_fractions"], atol=1 / 8**3
    )
    fractions = np.array(MEAN)
    assert leave_room(fractions, np.full(4, UNKNOWN, np.uint8)) == pytest.approx(fractions)
    quarter = np.array([2, UNKNOWN, UNKNOWN, UNKNOWN], dtype=np.uint8)
    assert leave_room(fractions, quarter) == pytest.approx([0.5, 0.25, 0.25])


def test_model_keeps_the_scatter(tmp_path):
    model = natural_model()
    again = m3.load_model(model.save(tmp_path / "new"))
    shape = (16, 8, 32)
    assert again.fraction_scatter.std(shape) == pytest.approx(model.fraction_scatter.std(shape))
    file = tmp_path / "new" / "model.json"
    record = json.loads(file.read_text())
    del record["fraction_scatter"]  # as of older versions
    file.write_text(json.dumps(record))
    assert m3.load_model(tmp_path / "new").fraction_scatter is None
    record["fraction_scatter"] = {"xy": {}}
    file.write_text(json.dumps(record))
    with pytest.raises(m3.ModelFileError, match="reading it failed"):
        m3.load_model(tmp_path / "new")


def test_model_without_the_scatter_is_refused():
    words = "`volume_fractions` must be 'auto', None .* got 'natural': train the model again"
    with pytest.raises(ValueError, match=words):
        m3.reconstruct((8,) * 3, tiny_model(), volume_fractions="natural")
    with pytest.raises(ValueError, match="be 'auto', None or one number per phase, got 'natural'"):
        requested_fractions("natural", natural_model())  # of 2D samples


def test_few_images_warn():
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        m3.reconstruct((8,) * 3, natural_model(1), passes=2, volume_fractions="natural")
        m3.reconstruct((32,) * 3, natural_model(2), passes=2, volume_fractions="natural")
    assert len(found) == 1
    assert "hold 8.0 independent sections" in str(found[0].message)
    assert "error of about 35 %" in str(found[0].message)
    assert found[0].filename == __file__
