# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The coupling of neighbours and of passes: definitions, effects, arguments."""

import dataclasses

import numpy as np
import pytest
import torch

import micro3d_fast as m3
from _toy import tiny_model
from micro3d_fast._planes import PLANES, SLICE_AXES
from micro3d_fast.diffusion.coupling import Coupling
from micro3d_fast.diffusion.field import Field
from micro3d_fast.diffusion.labelling import unlike_neighbours
from micro3d_fast.diffusion.reconstruction import Reconstruction
from micro3d_fast.diffusion.schedule import Schedule

SHAPE = (8, 12, 16)


def coupled(x0, strength, periodic):
    """Return x0 under the coupling along the axes (rows, columns), voxel by voxel."""
    out = np.empty_like(x0)
    for at in np.ndindex(x0.shape):
        w = 0.0
        for axis, j in enumerate(strength):
            for step in (-1, 1):
                beside = list(at)
                beside[axis] += step
                if periodic[axis]:
                    beside[axis] %= x0.shape[axis]
                if 0 <= beside[axis] < x0.shape[axis]:
                    w += j * (x0[tuple(beside)] - x0[at])
        odds = (1 + x0[at]) / (1 - x0[at]) * np.exp(2 * w)
        out[at] = (odds - 1) / (odds + 1)
    return out


@pytest.mark.parametrize("plane", PLANES)
@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_the_odds_change_by_the_second_differences(plane, guidance):
    periodic = (False, True, False)
    model = tiny_model()
    options = {"guidance": guidance, "periodic": periodic, "seeds": (1, 2)}
    field = Field(SHAPE, model, torch.device("cpu"), torch.float32, **options)
    field.plane = plane
    field._x.normal_(generator=torch.Generator().manual_seed(1))
    for k, out in enumerate(field.net_outputs):
        out.normal_(generator=torch.Generator().manual_seed(2 + k))
    p, q, strength = 0.6, -0.7, (0.3, -0.2, 0.5)

    def predicted():
        x, net, *uncond = (each.flatten(0, 1).numpy() for each in field.volumes())
        e = net if not uncond else guidance * net + (1 - guidance) * uncond[0]
        return np.asarray(p * x + q * e, dtype=np.float64)

    before = predicted()
    Coupling(field, [strength]).apply(p, q, 0.36)
    inside = np.clip(before, -0.999, 0.999)
    axes = SLICE_AXES[plane][1:]
    own, wraps = ([of[axis] for axis in axes] for of in (strength, periodic))
    wanted = np.stack([[coupled(im, own, wraps) for im in s] for s in inside])
    np.testing.assert_allclose(predicted() - before, wanted - inside, atol=3e-5)


def test_a_plane_of_no_coupled_axis_is_left_alone():
    field = Field(SHAPE, tiny_model(), torch.device("cpu"), torch.float32)
    field.plane = "xy"
    field._x.fill_(0.3)
    field.net_outputs[0].normal_()
    before = field.net_outputs[0].clone()
    Coupling(field, [(1.0, 0.0, 0.0)]).apply(0.6, -0.7, 0.36)
    assert torch.equal(field.net_outputs[0], before)


@pytest.mark.parametrize("guidance", [1.0, 1.5])
def test_earlier_passes_multiply_the_odds(guidance):
    """Three passes of two volumes against the definition, in one array of the volume."""
    model, r, bar, p, q = tiny_model(), 0.4, 0.6, 0.6**0.5, -(0.4**0.5)
    options = {"guidance": guidance, "seeds": (1, 2), "fractions": [[0.3, 0.7], [0.6, 0.4]]}
    field = Field(SHAPE, model, torch.device("cpu"), torch.float32, **options)
    field.plane = "xy"
    one = Coupling(field, [(0.0, 0.0, 0.0)], r)
    earlier = np.zeros((2, *SHAPE))
    for k, plane in enumerate(("xy", "yz", "xz")):
        field.plane = plane
        generator = torch.Generator().manual_seed(k)
        for buffer in (field._x, *field.net_outputs):
            buffer.normal_(generator=generator)

        def volumes(plane=plane):
            x, net, *other = (
                np.stack([field.volume(b, plane, i, channels_last=c)[0].numpy() for i in (0, 1)])
                for b, c in [(field._x, False), *((out, True) for out in field.net_outputs)]
            )
            e = net if not other else guidance * net + (1 - guidance) * other[0]
            return np.float64(x), p * x + q * np.float64(e)

        x, before = volumes()
        one.apply(p, q, bar)
        inside = np.clip(before, -0.999, 0.999)
        wanted = np.tanh(np.arctanh(inside) + earlier)
        np.testing.assert_allclose(volumes()[1] - before, wanted - inside, atol=3e-5)
        own = np.arctanh([0.4, -0.2])[:, None, None, None] + bar**0.5 * x / (1 - bar)
        earlier = r * (earlier + np.clip(np.arctanh(inside), -1, 1) - np.clip(own, -1, 1))


def test_more_agreement_makes_smoother_volumes():
    def rate(agreement):
        made = m3.reconstruct(32, "separator", agreement=agreement, seed=4, harmonize=(1, 1, 2, 0))
        assert made.provenance["settings"]["agreement"] == (agreement or 0)
        return unlike_neighbours([(made.labels, range(3))]).mean()

    assert rate(None) == rate(0) > 1.03 * rate(0.4)  # a model of before has none


def test_the_agreement_of_a_model_is_the_default(tmp_path):
    model = dataclasses.replace(tiny_model(), agreement=0.3)
    assert m3.load_model(model.save(tmp_path / "model")).agreement == 0.3
    made = m3.reconstruct((16, 16, 16), model, harmonize=(1, 0))
    assert made.provenance["settings"]["agreement"] == 0.3
    recipe = Reconstruction.from_provenance(made.provenance, (16, 16, 16))
    assert recipe.arguments["agreement"] == 0.3
    assert "--agreement 0.3" in recipe.command()
    assert m3.reconstruct((16, 16, 16), model).provenance["passes"] == 38
    zero = dataclasses.replace(model, schedule=Schedule("cosine-zero"))
    assert m3.reconstruct((16, 16, 16), zero).provenance["passes"] == 20
    assert m3.reconstruct((16, 16, 16), zero, agreement=0).provenance["passes"] == 26
    draft = m3.reconstruct((16, 16, 16), model, sampler="draft").provenance
    assert draft["settings"]["agreement"] == 0  # whatever the model has
    former = {name: value for name, value in draft["settings"].items() if name != "agreement"}
    record = {**draft, "sampler": "fast", "settings": former}
    assert Reconstruction.from_provenance(record, (16, 16, 16)).arguments["agreement"] == 0
    slices = [m3.reconstruct((1, 16, 16), model, agreement=a, passes=5).labels for a in (0, 0.5)]
    assert np.array_equal(*slices)  # one plane alone
    none = m3.reconstruct((16, 16, 16), model, harmonize=(1, 0), agreement=0)
    assert Reconstruction.from_provenance(none.provenance, (16, 16, 16)).arguments["agreement"] == 0
    for wrong in (-0.1, 1, float("nan"), "a"):
        with pytest.raises((ValueError, TypeError), match="`agreement` must be"):
            m3.reconstruct((16, 16, 16), model, agreement=wrong)
        with pytest.raises((ValueError, TypeError), match="`agreement` must be"):
            dataclasses.replace(model, agreement=wrong)
    with pytest.raises(ValueError, match="`agreement` must be None for sampler 'paper'"):
        m3.reconstruct((16, 16, 16), model, sampler="paper", agreement=0.1)


def test_surface_falls_along_the_coupled_axis_alone():
    shape, sampler = (32, 32, 32), {"harmonize": (1, 1, 2, 2, 0), "seed": 4}
    sampler["remove_islands"] = False

    def rates(coupling):
        made = m3.reconstruct(shape, "separator", coupling=coupling, **sampler)
        return unlike_neighbours([(made.labels, range(3))])

    free = rates((0, 0, 0))
    assert rates(None).tolist() == free.tolist()  # not the model's: other repeats are given
    fall = np.log(rates((0, 0.4, 0)) / free)
    assert -0.5 < fall[1] < -0.1  # so few passes respond less than many
    assert np.abs(fall[[0, 2]]).max() < 0.4 * -fall[1]
    assert np.log(rates((0, -0.2, 0)) / free)[1] > 0.04


def test_the_default_is_the_model_s_where_its_passes_are(tmp_path):
    coupling = ((0.2, -0.1, 0.3),)
    model = dataclasses.replace(tiny_model(), harmonize=(1, 1, 0), coupling=coupling)
    assert m3.load_model(model.save(tmp_path / "model")).coupling == coupling

    def recorded(**options):
        made = m3.reconstruct((16, 16, 16), model, **options)
        return made.provenance["settings"]["coupling"]

    assert recorded() == [[0.2, -0.1, 0.3]]
    assert recorded(passes=5) == recorded(harmonize=1) == recorded(sampler="draft") == [[0, 0, 0]]
    assert recorded(coupling=(0, 0, 0.5)) == [[0, 0, 0.5]]
    assert recorded(harmonize=(1, 0), coupling=coupling) == [[0.2, -0.1, 0.3]]
    made = m3.reconstruct((16, 16, 16), model, seed=3)
    repeated = m3.reconstruct((16, 16, 16), model, seed=3, harmonize=(1, 1, 0), coupling=coupling)
    assert np.array_equal(made.labels, repeated.labels)
    made.save(tmp_path / "volume.tif")
    record = m3.Microstructure.load(tmp_path / "volume.tif").provenance
    recipe = Reconstruction.from_provenance(record, (16, 16, 16))
    assert recipe.arguments["coupling"] == coupling
    assert "--coupling 0.2,-0.1,0.3" in recipe.command()


def test_each_phase_has_its_own_coupling(tmp_path):
    rows = ((0.1, 0.2, 0.3), (0.0, 0.0, 0.0), (0.4, 0.0, -0.1))
    model = tiny_model(phases=3)
    field = Field(SHAPE, model, torch.device("cpu"), torch.float32)
    field.plane = "xy"
    field._x.normal_()
    net = field.net_outputs[0].zero_()
    Coupling(field, rows).apply(1.0, 1.0, 0.5)
    changes = field.slices(net, "xy", 0, channels_last=True).abs().amax(dim=(0, 2, 3))
    assert [bool(change > 0) for change in changes] == [True, False, True]
    rates = ((0.1, 0.0, 0.2),) * 3
    model = dataclasses.replace(model, coupling=rows, island_rates=rates)
    loaded = m3.load_model(model.save(tmp_path / "model"))
    assert (loaded.coupling, loaded.island_rates) == (rows, rates)
    with pytest.raises(ValueError, match="`island_rates` must be 3 numbers from 0 to 1 for each"):
        dataclasses.replace(model, island_rates=((0.1, 0, 2),) * 3)
    record = m3.reconstruct((16, 16, 16), model, harmonize=(1, 0), coupling=rows).provenance
    recipe = Reconstruction.from_provenance(record, (16, 16, 16))
    assert recipe.arguments["coupling"] == rows
    assert "--coupling '0.1,0.2,0.3;0.0,0.0,0.0;0.4,0.0,-0.1'" in recipe.command()
    with pytest.raises(ValueError, match="`coupling` must be three numbers"):
        m3.reconstruct((16, 16, 16), tiny_model(), coupling=rows)


WRONG = [(1, 2), "a", 3, (0, 0, 3), (0, 0, float("nan")), (0, 0, "1"), ((0, 0, 1), 1), ((0, 0),)]


@pytest.mark.parametrize("coupling", WRONG)
def test_a_wrong_coupling_is_refused(coupling):
    with pytest.raises((ValueError, TypeError), match="`coupling` must be"):
        m3.reconstruct((16, 16, 16), tiny_model(), coupling=coupling)
    with pytest.raises((ValueError, TypeError), match="`coupling` must be"):
        m3.SamplerSettings(2, 1, 1.0, coupling=coupling)


def test_only_the_fast_sampler_takes_a_coupling():
    with pytest.raises(ValueError, match="`coupling` must be None for sampler 'paper'"):
        m3.reconstruct((16, 16, 16), tiny_model(), sampler="paper", coupling=(0, 0, 0.1))
