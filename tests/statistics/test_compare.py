# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""compare: its curves equal those of the public functions; floor, scatter and intervals."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.statistics import _samples, figures, relative_error, scaled_autocovariance
from volumes import blocks


def texture(shape, seed=0, cell=(3, 2, 4)):
    """Blocky random field, anisotropic."""
    return blocks(shape, (0.65, 0.35), cell[-len(shape) :], seed)


def test_curves_are_those_of_the_functions():
    generated, reference = texture((12, 13, 14)), texture((21, 22, 23), seed=1)
    result = m3.compare(generated, reference)
    assert len(result.curves) == 3 * 2 * 2 * 3  # planes, directions, phases, functions
    for c in result.curves:
        n = generated.shape["zyx".index(c.direction)]
        assert c.lag.tolist() == list(range(n // 2 + 1))
        for side, values in ((generated, c.generated), (reference, c.reference)):
            keys = {"axis": c.direction, "max_lag": n // 2}
            if c.function == "L":
                want = m3.lineal_path(side, c.phase, **keys)
            else:
                want = m3.two_point_correlation(side, c.phase, **keys)
                if c.function == "autocovariance":
                    want = scaled_autocovariance(want)
            np.testing.assert_array_equal(values, want)
        want = np.abs(c.generated - c.reference).sum() / np.abs(c.reference).sum()
        assert c.error == pytest.approx(want, rel=1e-14)
    np.testing.assert_allclose(result.fractions_generated, m3.volume_fractions(generated))
    np.testing.assert_allclose(result.fractions_reference, m3.volume_fractions(reference))


def test_a_volume_equals_itself():
    volume = texture((16, 16, 16))
    result = m3.compare(volume, volume)
    assert all(c.error == 0 for c in result.curves)
    assert all(c.floor > 0 for c in result.curves)
    assert all(c.scatter > 0 for c in result.curves)  # by the law of the rows
    unjudged = m3.compare(volume, volume, verdict=False)
    assert unjudged.verdict is None
    assert all(math.isnan(c.scatter) for c in unjudged.curves)  # no second block of this size


def test_volume_against_all_its_slices():
    volume = texture((12, 14, 10))
    slices = {
        "xy": [volume[k] for k in range(12)],
        "xz": [volume[:, j] for j in range(14)],
        "yz": [volume[:, :, i] for i in range(10)],
    }
    for result in (m3.compare(volume, slices), m3.compare(slices, volume)):
        assert {c.plane for c in result.curves} == {"xy", "xz", "yz"}
        assert max(c.error for c in result.curves) < 1e-14
    micrographs = m3.Micrographs.from_volume(volume, images_per_plane=100)
    result = m3.compare(volume, micrographs)
    assert max(c.error for c in result.curves) < 1e-14


def test_images_of_different_sizes_pool_by_pairs():
    images = [texture((9, 12), seed=1), texture((15, 10), seed=2), texture((9, 12), seed=3)]
    result = m3.compare({"xz": images}, {"xz": [texture((20, 20), seed=4)]})
    (curve,) = result.select("S2", phase=1, direction="x")
    assert curve.lag[-1] == 5
    hits = sum((i[:, :-3] & i[:, 3:]).sum() for i in images)
    pairs = sum(i[:, 3:].size for i in images)
    assert curve.generated[3] == hits / pairs
    assert {c.plane for c in result.curves} == {"xz"}


def test_volumes_pool_and_a_stack_is_a_sequence():
    stack = np.stack([texture((8, 9, 10), seed=k) for k in range(3)])
    reference = texture((16, 18, 20), seed=9)
    one, two = m3.compare(list(stack), reference), m3.compare(stack, reference)
    assert one.to_dict() == two.to_dict()
    (curve,) = one.select("S2", phase=1, plane="xy", direction="x")
    each = [m3.two_point_correlation(v, 1, axis="x") for v in stack]
    np.testing.assert_allclose(curve.generated, np.mean(each, axis=0), rtol=1e-14)
    np.testing.assert_allclose(curve.generated_std, np.std(each, axis=0), rtol=1e-12)


def test_one_image_compares_its_plane_only():
    result = m3.compare(texture((20, 20)), texture((30, 30), seed=1))
    assert {c.plane for c in result.curves} == {"xy"}
    assert all(c.floor > 0 for c in result.curves)


def test_floor_is_the_error_of_random_halves():
    """Independent images: the floor is the mean of the same number computed here by hand."""
    images = [texture((16, 16), seed=k) for k in range(12)]
    result = m3.compare({"xy": images}, {"xy": images}, splits=4000)
    (curve,) = result.select("S2", phase=1, direction="x")
    each = np.array([m3.two_point_correlation(i, 1, axis="x") for i in images])
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(4000):
        order = rng.permutation(12)
        errors.append(relative_error(each[order[:6]].mean(0), each[order[6:]].mean(0)))
    assert curve.floor == pytest.approx(np.mean(errors), rel=0.03)


def test_error_of_a_perfect_generator_is_the_scatter():
    """Volumes of the same law as the reference: their mean error is the scatter of real blocks."""
    reference = texture((64, 64, 64), seed=5, cell=(2, 2, 2))
    errors, scatters = [], []
    for seed in range(6):
        fresh = texture((32, 32, 32), seed=100 + seed, cell=(2, 2, 2))
        result = m3.compare(fresh, reference, bootstrap=1)
        errors.append(result.error("S2", phase=1))
        scatters.append(result.scatter("S2", phase=1))
    assert result.units["xy"] == "8 blocks of 32 × 32 × 32"
    assert 0.6 < np.mean(errors) / np.mean(scatters) < 1.6


def test_intervals_hold_the_error_and_shrink():
    few = m3.compare(
        [texture((16, 16, 16), seed=k) for k in range(3)], texture((48, 48, 48), seed=9)
    )
    many = m3.compare(
        [texture((16, 16, 16), seed=k) for k in range(24)], texture((48, 48, 48), seed=9)
    )

    def width(result):
        return np.mean([c.interval[1] - c.interval[0] for c in result.select("S2", phase=1)])

    assert width(many) < width(few)
    for result in (few, many):
        assert all(c.interval[0] <= c.error <= c.interval[1] for c in result.curves)


@pytest.mark.parametrize("confidence", [0.02, 0.95])
@pytest.mark.parametrize(
    ("generated", "reference"),
    [
        (texture((12, 12, 12)), texture((12, 12, 12))),  # resampling can only raise an error of 0
        ([texture((8, 8), k) for k in range(2)], [texture((8, 8), k) for k in range(5, 8)]),
        (texture((9, 7)), texture((8, 8), 3)),
        (np.ones((6, 6, 6), np.uint8), np.ones((6, 6, 6), np.uint8)),
        (np.ones((6, 6, 6), np.uint8), texture((12, 12, 12))),
        (np.zeros((1, 1, 1), np.uint8), np.ones((1, 1, 1), np.uint8)),  # infinite errors
    ],
)
def test_intervals_of_few_and_constant_samples_hold_the_error(generated, reference, confidence):
    result = m3.compare(generated, reference, confidence=confidence, bootstrap=20, verdict=False)
    assert all(c.interval[0] <= c.error <= c.interval[1] for c in result.curves)
    assert all(row["low"] <= row["error"] <= row["high"] for row in result.table())


def test_seed_decides():
    sides = texture((12, 12, 12)), texture((24, 24, 24), seed=1)
    assert m3.compare(*sides, seed=3).to_dict() == m3.compare(*sides, seed=3).to_dict()
    assert m3.compare(*sides, seed=3).to_dict() != m3.compare(*sides, seed=4).to_dict()


def test_result_as_table_dict_and_text():
    named = m3.Microstructure(texture((24, 24, 24), seed=1), phase_names=("pore", "solid"))
    result = m3.compare(texture((12, 12, 12)), named)
    rows = result.table()
    assert {"phase", "plane", "direction", "function", "error", "floor"} <= set(rows[0])
    pandas = pytest.importorskip("pandas")
    assert isinstance(result.to_pandas(), pandas.DataFrame)
    assert len(result.to_pandas()) == len(rows)
    again = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert again["phase_names"] == ["pore", "solid"]
    assert "\n" not in result.summary()
    assert "(real specimens " in result.summary()
    assert "pore" in str(result)
    assert len(str(result).splitlines()) == len(rows) + 4
    assert str(result).startswith("Verdict: ")
    assert "error" in repr(result.curves[0])


def test_phase_that_is_nowhere_in_the_generated():
    reference = texture((16, 16, 16))
    result = m3.compare(np.zeros((8, 8, 8), np.uint8), reference)
    assert all(c.error == pytest.approx(1) for c in result.select("S2", phase=1))
    assert [c.error for c in m3.compare(reference, reference, phases=[7]).curves] == [0.0] * 18


def test_single_voxels_and_absent_phases():
    one, zero = np.ones((1, 1, 1), np.uint8), np.zeros((1, 1, 1), np.uint8)
    result = m3.compare(zero, one)
    assert [c.error for c in result.select("S2", plane="xy", direction="x")] == [np.inf, 1.0]
    assert all(math.isnan(c.floor) for c in result.curves)
    assert "S2 error > 1000 %" in result.summary()
    json.dumps(result.to_dict(), allow_nan=False)
    assert m3.compare(one, np.ones((9, 9, 9), np.uint8)).error("L") == 0


def test_a_phase_of_one_side_alone_is_named():
    two = np.random.default_rng(0).integers(0, 2, (12, 12, 12)).astype(np.uint8)
    three = two.copy()
    three[:2] = 2
    assert "; in the generated alone: phase 2;" in m3.compare(three, two).summary()
    assert "; in the reference alone: phase 2;" in m3.compare(two, three).summary()
    assert " alone" not in m3.compare(three, three).summary()


def test_a_side_without_a_voxel_size_is_said():
    made = m3.Microstructure(texture((12, 13, 14)), 1e-6)
    text = str(m3.compare(made, made.labels, splits=1, bootstrap=1))
    assert " against 1 volume of 12 × 13 × 14 without a voxel size, so compared in voxels" in text
    assert "without" not in str(m3.compare(made, made, splits=1, bootstrap=1))


def test_errors_against_nothing_are_not_printed_in_full():
    comparison = infinite_errors()
    assert np.isinf(comparison.error("S2"))
    assert comparison.summary().startswith("S2 error > 1000 % ")
    assert "inf" not in str(comparison)
    deviation = replace(comparison.verdict.worst, reference=0.1, ratio=22882.0)
    assert "deviates more than 1000 × as much" in str(deviation)


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        ({"function": "S3"}, "`function` must be one of 'S2', 'L', 'autocovariance', got 'S3'"),
        ({"phase": 2}, "`phase` must be one of 0, 1, got 2"),
        ({"plane": "yx"}, "`plane` must be one of 'xy', 'xz', 'yz', got 'yx'"),
        ({"direction": 0}, "`direction` must be one of 'z', 'y', 'x', got 0"),
    ],
)
def test_selection_refusals(selection, words):
    result = m3.compare(np.eye(8, dtype=np.uint8), np.eye(9, dtype=np.uint8))
    with pytest.raises(ValueError, match=words):
        result.error(**selection)


def infinite_errors():
    """Return a comparison with a reference that lacks a phase."""
    reference = np.zeros((12, 12, 12), dtype=np.uint8)
    reference[:6] = 1
    generated = reference.copy()
    generated[3] = 2
    return m3.compare(generated, reference, splits=3, bootstrap=3)


def test_figures():
    three = [np.random.default_rng(k).integers(0, 3, (12, 12, 12)) for k in range(2)]
    result = m3.compare(*three)
    figure = result.plot()
    assert len(figure.axes) == 9  # three phases, three planes
    figure.canvas.draw()
    assert len(result.plot("S2", phase=0, plane="xy").axes) == 1
    assert len(figures.plot_comparison(result, voxel_size=1e-6, plane="xz").axes) == 3
    figures.plot_errors(result, "L").canvas.draw()
    (ax,) = figures.plot_errors(infinite_errors()).axes
    ax.figure.canvas.draw()
    assert [text.get_text() for text in ax.texts] == ["∞"] * 6  # planes and directions of phase 2
    assert len(ax.patches) == 12
    two = m3.compare(texture((12, 12, 12)), texture((12, 12, 12)))
    assert len(two.plot().axes) == 3  # two phases have the same S2
    with pytest.raises(ValueError, match="`function` must be one of"):
        result.plot("S3")
    flat = m3.compare(texture((12, 12, 12))[0], texture((12, 12, 12)), phases=[1])
    words = "`phase` must be one of 1 and `plane` one of 'xy', which were compared, got 1 and 'xz'"
    with pytest.raises(ValueError, match=words):
        flat.plot(phase=1, plane="xz")


@pytest.mark.parametrize("function", [None, "S2", "autocovariance"])
def test_every_panel_names_its_own_curves(function):
    sides = [np.random.default_rng(k).integers(0, 3, (12, 12, 12)) for k in range(2)]
    result = m3.compare(*sides, splits=2, bootstrap=2, verdict=False)
    for ax in result.plot(function).axes:
        phase, plane = int(ax.get_title()[len("phase ")]), ax.get_title()[-len("xy-plane") :][:2]
        drawn = {}
        for line in ax.get_lines():
            if not line.get_label().startswith("_"):
                drawn[line.get_label()] = line
        legend = ax.get_legend()
        names = [text.get_text() for text in legend.get_texts()]
        assert names == list(drawn)
        for key, line in zip(legend.get_lines(), drawn.values(), strict=True):
            assert key.get_color() == line.get_color()
            assert key.get_linestyle() == line.get_linestyle()
        assert len(names) == (8 if function is None else 4)
        for curve in result.select(function or "L", phase=phase, plane=plane):
            label = "" if function else "$L$"
            for side in ("generated", "reference"):
                (name,) = (
                    n for n in names if n.endswith(f"{side}, {curve.direction}") and label in n
                )
                np.testing.assert_array_equal(drawn[name].get_ydata(), getattr(curve, side))


def test_a_curve_of_one_lag_is_seen():
    thin = m3.compare(texture((12, 1)), texture((12, 12)), verdict=False, splits=2, bootstrap=2)
    (ax,) = thin.plot("S2").axes
    marks = {line.get_label()[-1]: line.get_marker() for line in ax.get_lines()[:4]}
    assert marks == {"y": "None", "x": "."}


def test_floors_that_are_not_drawn_are_not_in_the_legend():
    one = np.ones((1, 1, 1), np.uint8)  # cannot be halved
    for sides, names in [((one, one), []), ([texture((12, 12, 12))] * 2, ["split-half floor"])]:
        (ax,) = figures.plot_errors(m3.compare(*sides, splits=2, verdict=False)).axes
        texts = [text.get_text() for text in ax.get_legend().get_texts()]
        assert sorted(texts) == ["generated", *names]


def test_relative_error_of_zeros():
    zero, one = np.zeros(3), np.ones(3)
    assert relative_error(zero, zero) == 0
    assert relative_error(one, zero) == np.inf
    assert relative_error(zero, one) == 1
    assert not scaled_autocovariance(one).any()


def test_blocks_fill_the_volume_and_stay_whole_along_the_curve():
    volume = np.arange(7 * 9 * 11).reshape(7, 9, 11)
    for axis in range(3):
        parts, thinner = _samples.block_numbers(volume.shape, volume.shape, axis, 1)
        assert thinner
        assert parts[axis] == 1
        blocks = list(_samples.cut_blocks(volume, parts))
        assert len(blocks) >= _samples.MIN_UNITS
        assert sorted(np.concatenate([b.ravel() for b in blocks])) == list(range(volume.size))
    assert _samples.block_numbers((192, 200, 200), (64, 64, 64), 0, 1) == ((3, 3, 3), False)


GOOD = np.zeros((4, 4, 4), np.uint8)


@pytest.mark.parametrize(
    ("generated", "reference", "keys", "error", "words"),
    [
        (GOOD.astype(float), GOOD, {}, TypeError, "`generated` must be an array of bool"),
        (GOOD, [], {}, ValueError, "`reference` must hold at least one volume"),
        (GOOD, [GOOD, 3], {}, TypeError, r"`reference\[1\]` must be an array"),
        (GOOD, {"ab": []}, {}, ValueError, "`reference` must hold images of plane"),
        (GOOD, {"xy": []}, {}, ValueError, "got no image of 'xy'"),
        ({"xy": [GOOD]}, GOOD, {}, ValueError, r"`generated\['xy'\]` must have 2 dimensions"),
        ({"xy": [GOOD[0]]}, {"xz": [GOOD[0]]}, {}, ValueError, "must show a plane that"),
        (GOOD, GOOD, {"max_lag": -1}, ValueError, "`max_lag` must be an integer of at least 0"),
        (GOOD, GOOD, {"splits": 0}, ValueError, "`splits` must be an integer of at least 1"),
        (GOOD, GOOD, {"bootstrap": 0}, ValueError, "`bootstrap` must be"),
        (GOOD, GOOD, {"confidence": 1.0}, ValueError, "`confidence` must be a number in"),
        (GOOD, GOOD, {"phases": [300]}, ValueError, "`phases` must be an integer"),
        (GOOD, GOOD, {"phases": []}, ValueError, "`phases` must hold at least one phase 0 ... 255"),
        (GOOD, GOOD, {"phases": 1}, TypeError, "`phases` must be a sequence of phases 0"),
        (GOOD, GOOD, {"seed": -1}, ValueError, "`seed` must be an integer"),
    ],
)
def test_refusals(generated, reference, keys, error, words):
    with pytest.raises(error, match=words):
        m3.compare(generated, reference, **keys)


def test_real_separator(shared_data):
    """Blocks of a real volume against it: at the scatter, anisotropy seen."""
    labels = np.load(shared_data / "separator_pp.npz")["labels"]
    blocks = [labels[:64, :64, :64], labels[64:128, 64:128, 64:128], labels[128:, 128:192, 128:192]]
    result = m3.compare(blocks, labels)
    assert result.error("S2", phase=1) < 3 * result.scatter("S2", phase=1)
    along = {d: result.select("autocovariance", phase=1, direction=d)[0] for d in "zx"}
    assert along["z"].reference[10] > 0.5 > 0 > along["x"].reference[10]


def kron(volume, factors):
    """Repeat every voxel ``factors`` times along each axis."""
    return np.kron(volume, np.ones(factors, np.uint8)).astype(np.uint8)


OTHER_VOXELS = pytest.mark.filterwarnings("ignore:.* compared at their common distances")


@OTHER_VOXELS
def test_voxels_of_other_sizes_are_compared_at_common_lags():
    coarse = texture((24, 20, 16))
    fine = kron(coarse, (2, 2, 3))
    made = m3.Microstructure(coarse, voxel_size=(2e-6, 2e-6, 3e-6))
    real = m3.Microstructure(fine, voxel_size=1e-6)
    for result, step in ((m3.compare(made, real), 1), (m3.compare(real, made), 2)):
        (curve,) = result.select("L", phase=1, plane="xz", direction="z")
        assert curve.lag.tolist() == [step * k for k in range(13)]
        sides = (made, real) if step == 1 else (real, made)
        for values, side in zip((curve.generated, curve.reference), sides, strict=True):
            every = 2 if side is real else 1
            want = m3.lineal_path(side.labels, 1, axis="z", max_lag=12 * every)[::every]
            np.testing.assert_array_equal(values, want)
        assert result.verdict.outcome in ("consistent", "undecided")
        assert "islands" not in {d.quantity for d in result.verdict.deviations}
    # the same labels in voxels twice as large are another material
    large = m3.Microstructure(fine, voxel_size=2e-6)
    assert m3.compare(large, real).error("S2") > 0.1
    assert m3.compare(m3.Microstructure(fine), real).error("S2") == 0  # no size: in voxels


@OTHER_VOXELS
def test_common_lags_with_a_ratio_of_three_to_two():
    labels = texture((36, 36, 36))
    made = m3.Microstructure(labels, voxel_size=3e-6)
    real = m3.Microstructure(labels, voxel_size=2e-6)
    with pytest.warns(UserWarning, match=r"3e-06 x 3e-06 x 3e-06 m and `reference` of 2e-06 x"):
        compared = m3.compare(made, real)
    (curve,) = compared.select("S2", phase=1, plane="xy", direction="x")
    s2 = m3.two_point_correlation(labels, 1, axis="x")
    assert curve.lag.tolist() == [0, 2, 4, 6, 8, 10, 12]
    np.testing.assert_array_equal(curve.generated, s2[0:13:2])
    np.testing.assert_array_equal(curve.reference, s2[0:19:3])
    assert m3.compare(made, real, max_lag=5).curves[0].lag.tolist() == [0, 2, 4]


def test_sides_that_cannot_be_compared_are_refused():
    labels = texture((12, 12, 12))

    def volume(size=1e-6, names=("pore", "solid")):
        return m3.Microstructure(labels, voxel_size=size, phase_names=names)

    with pytest.raises(ValueError, match=r"`generated` must have the voxel size of `reference`"):
        m3.compare(volume(1.234e-6), volume())
    with pytest.raises(ValueError, match="of one voxel size"):
        m3.compare([volume(), volume(2e-6)], volume())
    with pytest.raises(ValueError, match="`generated` must have the phases of `reference`, pore"):
        m3.compare(volume(names=("solid", "pore")), volume())
    m3.compare(volume(names=("phase 0", "phase 1")), volume())  # no names of its own
