# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Mean and scatter of properties over volumes and real blocks, against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast._spread import with_spread
from micro3d_fast.homogenization import property_scatter
from micro3d_fast.homogenization._periodicity import known_periodic
from volumes import spheres

THICKNESS = np.array([2, 3, 3, 6])  # of the layer of phase 1, of 8 voxels


def laminate(thickness, n=8):
    """Layers normal to z: phase 1 below, phase 0 above."""
    labels = np.zeros((n, 3, 3), dtype=np.uint8)
    labels[:thickness] = 1
    return labels


def laminates():
    return [laminate(t) for t in THICKNESS]


def test_conductivity_of_laminates():
    """In parallel 1 + 8 f, in series 1 / (1 - f + f / 9)."""
    found = property_scatter(
        laminates(), lambda v: m3.homogenize_conductivity(v, [1.0, 9.0], tol=1e-8)
    )
    f = THICKNESS / 8
    parallel, series = 1 + 8 * f, 1 / (1 - f + f / 9)
    tensor = found["tensor"]
    assert tensor.values.shape == (4, 3, 3)
    np.testing.assert_allclose(tensor.values[:, 0, 0], parallel, rtol=1e-7)
    np.testing.assert_allclose(np.diag(tensor.mean), [parallel.mean()] * 2 + [series.mean()])
    want = [parallel.std(ddof=1)] * 2 + [series.std(ddof=1)]
    np.testing.assert_allclose(np.diag(tensor.std), want, rtol=1e-6)
    assert [name for name, _ in tensor.rows()] == ["xx", "yy", "zz"]  # the others are zero
    np.testing.assert_allclose(found["volume_fractions"].mean, [1 - f.mean(), f.mean()])
    assert found.boundary == ("periodic",)
    assert (found.count, found.reference_count, found.shape) == (4, 0, (8, 3, 3))
    assert "conductivity xx              4.5 ± 1.7" in repr(found)
    assert found["tensor"].reference_mean is found["tensor"].reference_std is None


def test_stiffness_and_expansion_of_laminates():
    """Without Poisson's ratio the layers share the strain in their plane: rules of mixtures."""
    materials = [m3.Isotropic(E=1e9, nu=0.0, alpha=1e-5), m3.Isotropic(E=9e9, nu=0.0, alpha=2e-5)]
    found = property_scatter(
        iter(laminates()), lambda v: m3.homogenize_elasticity(v, materials, tol=1e-8)
    )
    f = THICKNESS / 8
    E = 1 + 8 * f
    alpha = (1 - f + 18 * f) / E  # in the plane; across them the layers expand freely
    np.testing.assert_allclose(found["E"].mean[0], 1e9 * E.mean(), rtol=1e-7)
    np.testing.assert_allclose(found["E"].std[0], 1e9 * E.std(ddof=1), rtol=1e-6)
    np.testing.assert_allclose(found["stiffness"].mean[0, 0], 1e9 * E.mean(), rtol=1e-7)
    np.testing.assert_allclose(found["thermal_expansion"].values[:, 0, 0], 1e-5 * alpha)
    np.testing.assert_allclose(found["thermal_expansion"].values[:, 2, 2], 1e-5 * (1 + f))
    assert found["nu"].components == ("xy", "xz", "yx", "yz", "zx", "zy")
    assert found["G"].components == ("yz", "xz", "xy")
    assert found["E"].scale == 1e9
    text = repr(found)
    for words in ("Young's modulus E x (GPa)         4.5 ± 1.7", "stiffness C11 (GPa)", "1e-6"):
        assert words in text


def test_diffusivity_of_straight_channels():
    def along_x(volume):
        return m3.relative_diffusivity(volume, 1, axis="x")

    found = property_scatter(laminates(), along_x)
    f = THICKNESS / 8
    assert float(found["relative"].mean) == pytest.approx(f.mean())
    assert float(found["relative"].std) == pytest.approx(f.std(ddof=1))
    assert float(found["tortuosity"].mean) == pytest.approx(1.0)
    assert found.boundary == ("two plates, no-flux sides",)
    blocked = property_scatter(
        [laminate(8), laminate(4)],
        lambda v: {"across": m3.relative_diffusivity(v, 1, axis="z"), "along": along_x(v)},
    )
    assert list(blocked)[:2] == ["across: relative", "across: tortuosity"]
    assert float(blocked["across: relative"].mean) == pytest.approx(0.5)
    assert math.isinf(blocked["across: tortuosity"].mean)
    assert math.isnan(blocked["across: tortuosity"].std)
    assert "across: tortuosity" in repr(blocked)


def test_a_list_of_diffusivities_is_named_by_phase_and_axis():
    volumes = [m3.Microstructure(v, phase_names=("solid", "pore")) for v in laminates()]
    found = property_scatter(
        volumes, lambda v: [m3.relative_diffusivity(v, p, axis="x") for p in (1, (0, 1))]
    )
    assert [key for key in found if key.endswith("relative")] == [
        "phase 1 along x: relative",
        "phase 0+1 along x: relative",
    ]
    assert found["phase 1 along x: relative"].title == "pore along x: relative diffusivity"
    assert float(found["phase 0+1 along x: relative"].mean) == pytest.approx(1.0)
    assert "solid+pore along x: tortuosity" in repr(found)


@pytest.mark.parametrize("stack", [list, np.stack], ids=["list", "array"])
def test_blocks_of_known_scatter(stack):
    """Eight blocks of known fractions, with margins that no block takes."""
    counts = np.arange(8) * 5
    blocks = [np.repeat([1, 0], [n, 64 - n]).reshape(4, 4, 4) for n in counts]
    grid = np.array(blocks).reshape(2, 2, 2, 4, 4, 4).transpose(0, 3, 1, 4, 2, 5)
    tomogram = grid.reshape(8, 8, 8)
    made = stack([np.repeat([1, 0], [n, 64 - n]).reshape(4, 4, 4) for n in (10, 20)])
    found = property_scatter(made, lambda v: (v == 1).mean(), reference=tomogram)["value"]
    np.testing.assert_allclose(np.sort(found.reference), counts / 64)
    assert float(found.reference_std) == pytest.approx(counts.std(ddof=1) / 64)
    assert found.rows() == [("", "0.23 ± 0.11", "0.27 ± 0.19")]
    wide = np.pad(tomogram, ((0, 0), (0, 0), (0, 3)))
    several = property_scatter(
        made, lambda v: (v == 1).mean(), reference=[tomogram, wide], max_blocks=5
    )
    assert several.reference_count == 5
    assert several.sources == ("2 volumes", "5 real blocks")
    single = property_scatter(made[:1], lambda v: v.mean(), reference=tomogram)
    assert single["value"].rows() == [("", "0.16", "0.27 ± 0.19")]
    one = property_scatter(made[:1], lambda v: v.mean(), reference=tomogram[:4, :4, :4])
    assert one.sources == ("1 volume", "1 real block")
    assert one["value"].rows() == [("", "0.1562", "0")]


def test_volumes_may_stand_in_an_array_of_objects():
    volumes = np.empty(2, object)
    volumes[:] = [m3.Microstructure(laminate(n)) for n in (3, 4)]
    assert property_scatter(volumes, lambda v: v.labels.mean()).count == 2


def test_one_volume_is_not_taken_for_its_slices():
    with pytest.raises(TypeError, match=r"got one array of 3 dimensions: give `\[volume\]`"):
        property_scatter(laminate(4), lambda v: v.mean())


def test_printout_names_phases_and_says_what_it_leaves_out():
    volumes = [m3.Microstructure(laminate(n), phase_names=("matrix", "fibre")) for n in (3, 4)]
    found = property_scatter(volumes, lambda v: m3.homogenize_conductivity(v, [1.0, 9.0]))
    assert "volume fraction of phase matrix" in repr(found)
    assert found["volume_fractions"].components == ("matrix", "fibre")
    assert repr(found).endswith("(components below 1 % of the largest are not shown)")
    assert "components below 1 %" in found._repr_html_()
    plain = property_scatter([laminate(4)], lambda v: v.mean())
    assert "not shown" not in repr(plain)
    unnamed = property_scatter([laminate(4)], lambda v: m3.homogenize_conductivity(v, [1.0, 9.0]))
    assert "volume fraction of phase 0" in repr(unnamed)


def test_blocks_keep_the_voxel_size_and_are_not_periodic():
    seen = []
    made = m3.Microstructure(spheres(8, 3.0, 0.4), 1e-6, ("a", "b"))
    tomogram = m3.Microstructure(
        spheres(20, 3.0, 0.4), 1e-6, ("a", "b"), provenance={"periodic": True}
    )
    property_scatter([made], lambda v: seen.append(v) or 0.0, reference=tomogram)
    assert len(seen) == 1 + 16  # of 3 x 3 x 3, which overlap by 2 voxels
    assert {v.voxel_size for v in seen} == {(1e-6,) * 3}
    assert {known_periodic(v.provenance) for v in seen[1:]} == {(False,) * 3}
    assert [v.provenance["crop"]["shape"] for v in seen[1:]] == [[20, 20, 20]] * 16
    assert {v.shape for v in seen} == {(8, 8, 8)}
    property_scatter([tomogram], lambda v: seen.append(v) or 0.0, reference=tomogram)
    assert seen[-1] is tomogram  # whole, and periodic


def test_several_volumes_warn_once():
    cut = [spheres(32, 5.0, 0.5, seed)[:, :, :16] for seed in (4, 5)]
    with pytest.warns(UserWarning, match="2 of 3 volumes gave warnings; the first: the b") as said:
        found = property_scatter(
            [*cut, spheres(32, 5.0, 0.5, 6)[:, :, :16] * 0],
            lambda v: m3.homogenize_conductivity(v, [1.0, 3.0], tol=1e-3),
        )
    assert len(said) == 1
    assert said[0].filename == __file__
    assert found.warnings == (str(said[0].message),)
    assert f"  warning: {found.warnings[0]}" in repr(found)


@pytest.mark.parametrize(
    ("mean", "std", "text"),
    [
        (12.3456, 0.4123, "12.3 ± 0.4"),
        (0.96512, 0.00132, "0.9651 ± 0.0013"),
        (12.3456, 0.096, "12.35 ± 0.10"),
        (12345.6, 312.0, "12350 ± 310"),
        (139.2e9, 2.7e9, "(1.392 ± 0.027)e+11"),
        (2.71e-6, 1.4e-7, "(2.71 ± 0.14)e-06"),
        (-0.2, 4.0, "0 ± 4"),
        (5.0, 0.0, "5 ± 0"),
        (0.0, 0.0, "0 ± 0"),
        (1.23456, math.nan, "1.235"),
        (math.inf, math.nan, "∞"),
    ],
)
def test_digits_fit_the_spread(mean, std, text):
    assert with_spread(mean, std) == text


@pytest.mark.parametrize(
    ("mean", "other", "text"),
    [
        (7.0567, 0.8, "7.1"),
        (139.2e9, 5.7e9, "1.39e+11"),
        (7.0567, 0.0, "7.057"),
        (-3.21, 0.02, "-3.210"),
    ],
)
def test_one_value_has_the_digits_that_the_other_side_supports(mean, other, text):
    assert with_spread(mean, math.nan, other) == text


def test_refusals():
    volumes = laminates()

    def fraction(volume):
        return volume.mean()

    for arguments, options, words in (
        (([laminate(3)], "x"), {}, "`compute` must be callable"),
        ((m3.Microstructure(laminate(3)), fraction), {}, "`volumes` must be an iterable"),
        (([], fraction), {}, "`volumes` must hold at least one volume"),
        (([*volumes, laminate(3, 9)], fraction), {}, r"`volumes\[4\]` must have the shape"),
        ((volumes, lambda v: "soft"), {}, "`compute` must return properties, numbers"),
        (
            (volumes, lambda v: v[: v[:, 0, 0].sum()]),
            {},
            "`compute` must return the same properties",
        ),
        ((volumes, fraction), {"reference": laminate(3, 7)}, "`reference` must be at least as"),
        ((volumes, fraction), {"max_blocks": 0}, "`max_blocks` must"),
        (
            ([m3.Microstructure(v, 1e-6) for v in volumes], fraction),
            {"reference": m3.Microstructure(laminate(3), 2e-6)},
            "`reference` must have the voxel size of the volumes",
        ),
    ):
        with pytest.raises((ValueError, TypeError), match=words):
            property_scatter(*arguments, **options)
