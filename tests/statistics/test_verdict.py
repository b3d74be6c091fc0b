# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The verdict: its law against fields of known variance, its rate of false alarms, its power."""

import json
import math

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.statistics import Verdict
from micro3d_fast.statistics._specimen_law import Quantities, euler_map, row_law, sparse_lags
from volumes import blocks

CELL = 3


def cubes(shape, seed, fraction=0.4, cell=CELL):
    """Cubes of independent phases at a random origin: the variance of its mean is known."""
    rng = np.random.default_rng(seed)
    whole = blocks(tuple(n + cell for n in shape), (1 - fraction, fraction), (cell,) * 3, seed)
    start = rng.integers(0, cell, 3)
    return np.ascontiguousarray(
        whole[tuple(slice(o, o + n) for o, n in zip(start, shape, strict=True))]
    )


def micrographs(count, seed, size=24, **options):
    """One slice per plane of each of ``count`` specimens."""
    images = {"xy": [], "xz": [], "yz": []}
    for k in range(count):
        specimen = cubes((size,) * 3, 1000 * seed + k, **options)
        images["xy"].append(specimen[size // 2])
        images["xz"].append(specimen[:, size // 2])
        images["yz"].append(specimen[:, :, size // 2])
    return images


def test_sparse_lags_hold_the_short_ones_and_the_last():
    assert sparse_lags(0).tolist() == [0]
    assert sparse_lags(9).tolist() == list(range(10))
    lags = sparse_lags(64)
    assert lags[:9].tolist() == list(range(9))
    assert lags[-1] == 64
    assert (np.diff(lags) > 0).all()
    assert len(lags) < 20
    assert Quantities((0, 1), lags).weights.reshape(-1)[: len(lags)].sum() == pytest.approx(65)


def test_white_noise_rows():
    """Pixels of white noise: the variance of a row's fraction is φ(1 - φ) / length, Γ(L) is 1/L."""
    rng = np.random.default_rng(1)
    images = [(rng.random((64, 96)) < 0.3).astype(np.uint8) for _ in range(12)]
    law = row_law(images, 1, 48, Quantities((1,), sparse_lags(24)))
    assert law.variance[0] == pytest.approx(0.3 * 0.7 / 48, rel=0.1)
    # S2 at lag r is the mean of products: variance of p² plus covariance of overlapping pairs
    p = 0.3
    pairs = 48 - 5
    exact = (p**2 * (1 - p**2) + 2 * (1 - 5 / pairs) * (p**3 - p**4)) / pairs
    assert law.variance[5] == pytest.approx(exact, rel=0.12)
    assert law.gamma(32)[0] == pytest.approx(1 / 32, rel=0.35)


def test_euler_map_sums_to_the_euler_number():
    images = np.random.default_rng(4).integers(0, 3, (5, 9, 12), dtype=np.uint8)
    edged = np.pad(images, ((0, 0), (0, 1), (0, 1)), constant_values=9)
    for phase, found in enumerate(euler_map(edged, (0, 1, 2))):
        want = [m3.euler_number(image, phase, connectivity=4).number for image in images]
        assert found.sum((1, 2)).tolist() == want


def pieces(rng, broken):
    """Return an image of short bars, each in one piece or cut in three that lie around it."""
    image = np.zeros((60, 60), np.uint8)
    for y in range(3, 54, 6):
        for x in range(rng.integers(0, 4), 46, 14):
            image[y, x : x + 12] = 1
            if broken:
                image[y, [x + 3, x + 8]] = 0
                image[y + 1, [x, x + 11]] = 1
    return image


def test_pieces_of_the_right_surface_are_counted():
    """As much of the phase, with nearly the same surface, in three times as many pieces."""
    rng = np.random.default_rng(2)
    real = {"xy": [pieces(rng, False) for _ in range(20)]}
    made = {"xy": [pieces(rng, True) for _ in range(20)]}
    verdict = m3.compare(made, real).verdict
    euler = {d.phase: d for d in verdict.deviations if d.quantity == "euler"}
    assert euler[1].generated / euler[1].reference == pytest.approx(3, rel=0.05)
    assert euler[1].p_value < 0.01
    assert euler[0].direction == ""


@pytest.mark.parametrize("made", [(64, 1), (1, 64), (64, 64)])
@pytest.mark.parametrize("real", [(64, 1), (1, 64), (64, 64)])
def test_images_of_one_pixel_have_no_euler_number(made, real):
    rng = np.random.default_rng(5)
    field = m3.synthetic.level_cut((40, 64, 64), (0.6, 0.4), (3, 3, 3), 1).labels
    sides = [
        {"xy": [image[:h, :w] for image in rng.permutation(field)[:20]]} for h, w in (made, real)
    ]
    quantities = {d.quantity for d in m3.compare(*sides).verdict.deviations}
    assert ("euler" in quantities) == (made == real == (64, 64))


def test_windows_lie_all_over_large_images():
    """The upper half of the images differs: rows examined in the upper part alone would not."""
    image = np.zeros((800, 800), np.uint8)
    image[400:] = 1
    law = row_law([image, image], 1, 64, Quantities((1,), sparse_lags(32)))
    assert 0.3 < law.mean[0] < 0.7


def test_variance_of_a_specimen_of_cubes():
    """Cubes of edge b: the variance of the mean of N³ is about φ(1 - φ) (b/N)³."""
    n = 24
    result = m3.compare(cubes((n,) * 3, 1), micrographs(40, 2))
    (curve,) = result.select("S2", phase=1, plane="xz", direction="x")
    exact = math.sqrt(0.4 * 0.6 * (CELL / n) ** 3)
    own = math.sqrt(0.4 * 0.6 * (CELL / n) ** 2 / 40)  # of the mean of the micrographs
    assert curve.real_std[0] == pytest.approx(math.hypot(exact, own), rel=0.25)
    # ... and of all lags, from 60 fresh specimens
    fresh = [cubes((n,) * 3, 50 + k) for k in range(60)]
    for function in (m3.two_point_correlation, m3.lineal_path):
        name = "L" if function is m3.lineal_path else "S2"
        (curve,) = result.select(name, phase=1, plane="xz", direction="x")
        std = np.std([function(v, 1, axis="x") for v in fresh], axis=0, ddof=1)
        got, want = np.sum(curve.real_std), np.sum(np.hypot(std, own * std / std[0]))
        assert 0.75 < got / want < 1.4, name


@pytest.mark.parametrize("count", [3, 20])
def test_rate_of_false_alarms(count):
    """Fresh specimens are called different about as rarely as the level says (5 %)."""
    outcomes = [
        m3.compare(
            cubes((24,) * 3, 7 * k + 1), micrographs(count, 90 + k), splits=1, bootstrap=1
        ).verdict
        for k in range(40)
    ]
    p = np.array([v.p_value for v in outcomes])
    assert sum(v.outcome == "different" for v in outcomes) <= 5
    assert 0.25 < np.mean(p) < 0.9  # .5 if the law were exact; it is on the safe side
    assert sum(v.outcome in ("doubtful", "different") for v in outcomes) <= 8


def faulty(kind, seed=3):
    """Return a volume that no specimen of the cubes is like."""
    volume = cubes((24,) * 3, seed)
    rng = np.random.default_rng(seed)
    if kind == "speckle":
        chosen = rng.random(volume.shape) < 0.01
        volume[chosen] = 1 - volume[chosen]
    elif kind == "independent slices":
        volume = np.stack([cubes((24,) * 3, seed + k)[5] for k in range(24)])
    elif kind == "coarse":
        volume = cubes((24,) * 3, seed, cell=6)
    elif kind == "fraction":
        volume = cubes((24,) * 3, seed, fraction=0.6)
    return volume


@pytest.mark.parametrize("kind", ["speckle", "independent slices", "coarse", "fraction"])
@pytest.mark.parametrize("count", [4, 20])
def test_faults_are_found_and_named(kind, count):
    verdict = m3.compare(faulty(kind), micrographs(count, 5)).verdict
    assert verdict.outcome == "different"
    assert verdict.p_value <= 0.01
    assert verdict.worst == verdict.deviations[0]
    assert verdict.worst.ratio > 2
    assert str(verdict).startswith("different: the ")
    assert verdict.worst.phase_name in str(verdict)
    expected = {
        "speckle": {"islands"},
        "independent slices": {"surface", "islands", "autocovariance", "L", "S2"},
        "coarse": {"surface", "autocovariance", "L", "S2"},
        "fraction": {"S2", "L", "surface"},
    }
    assert verdict.worst.quantity in expected[kind]


def test_independent_slices_are_found_across_the_plane():
    worst = m3.compare(faulty("independent slices"), micrographs(20, 5)).verdict.worst
    assert worst.plane in ("xz", "yz")
    assert worst.direction in ("z", "")


def test_raw_fractions_count():
    images = micrographs(20, 5)
    labels = cubes((24,) * 3, 3)
    fair = m3.Microstructure(labels, provenance={"raw_volume_fractions": [0.6, 0.4]})
    false = m3.Microstructure(labels, provenance={"raw_volume_fractions": [0.9, 0.1]})
    assert m3.compare(fair, images).verdict.outcome == "consistent"
    verdict = m3.compare(false, images).verdict
    assert verdict.outcome == "different"
    assert verdict.worst.quantity == "fraction"
    assert verdict.worst.generated in (0.9, 0.1)
    assert "volume fraction before matching of phase" in str(verdict)


def expected_fraction_error(reference):
    raw = {"raw_volume_fractions": [0.6, 0.4]}
    volume = m3.Microstructure(cubes((40,) * 3, 3), provenance=raw)
    found = m3.compare(volume, reference, splits=1, bootstrap=1).verdict.deviations
    return next(d.expected for d in found if d.quantity == "fraction")


def test_a_fraction_is_as_uncertain_as_the_material_seen():
    images = micrographs(3, 5)
    xy = expected_fraction_error({"xy": images["xy"]})
    borrowed = m3.Micrographs.load({"xy": images["xy"]}, phases="labels")
    assert expected_fraction_error(borrowed) == pytest.approx(xy, rel=0.15)
    assert expected_fraction_error(images) < 0.8 * xy

    specimen = cubes((24,) * 3, 8)
    whole = {p: list(np.moveaxis(specimen, k, 0)) for k, p in enumerate(("xy", "xz", "yz"))}
    # 24 / 3 cubes along an edge; the volume has 40 / 3
    exact = np.sqrt(2 / np.pi * 0.24 * ((3 / 24) ** 3 + (3 / 40) ** 3)) / 0.4
    for reference in (specimen, whole):
        assert expected_fraction_error(reference) == pytest.approx(exact, rel=0.3)


def test_serial_images_count_as_few():
    specimen = cubes((40, 40, 40), 8)
    serial = {"xy": list(specimen[:20]), "xz": [specimen[:, j] for j in range(20)]}
    verdict = m3.compare(cubes((24,) * 3, 1), serial).verdict
    # cubes of edge 3: 20 sections show about 7 layers
    assert 4 < verdict.independent_images["xy"] < 10
    assert any("20 images of xy amount to" in reason for reason in verdict.reasons)
    independent = m3.compare(cubes((24,) * 3, 1), micrographs(20, 5)).verdict
    assert independent.independent_images["xy"] > 15


def test_too_few_images_leave_it_undecided():
    verdict = m3.compare(cubes((12,) * 3, 1), micrographs(1, 5, size=12)).verdict
    assert verdict.outcome == "undecided"
    assert str(verdict).startswith("undecided: ")
    assert "would decide" in str(verdict)


@pytest.mark.parametrize(("count", "size"), [(1, 12), (2, 16), (4, 24)])
def test_the_images_asked_for_nearly_decide(count, size):
    found = m3.compare(cubes((24,) * 3, 1), micrographs(count, 5, size=size)).verdict
    asked = found.images_needed
    assert str(found).endswith(f"; about {asked} independent ones per plane would decide")
    verdict = m3.compare(cubes((24,) * 3, 1), micrographs(asked, 5, size=size)).verdict
    assert verdict.images_needed is None


def test_a_small_volume_as_reference_asks_for_a_larger_one():
    reference = cubes((12,) * 3, 5)
    verdict = m3.compare(cubes((24,) * 3, 1), reference).verdict
    assert verdict.outcome == "undecided"
    assert "the reference volume shows too little" in str(verdict)
    assert str(verdict).endswith("times as large would decide")
    assert "micrographs" not in str(verdict)
    assert verdict.images_needed is None


def test_nothing_that_varies_is_undecided():
    some = cubes((16,) * 3, 1)
    with pytest.warns(UserWarning, match="does not occur"):
        verdict = m3.compare(some, some, phases=[5]).verdict
    assert str(verdict) == "undecided: neither side shows phase 5, so nothing was compared"
    assert str(verdict.worst) == "neither side shows phase 5 in xy"
    none = np.zeros((16,) * 3, np.uint8)
    same = m3.compare(none, none).verdict
    assert str(same) == "undecided: both sides show nothing but phase 0, so nothing can be compared"
    assert m3.compare(none, none + 1).verdict.outcome == "different"
    assert m3.compare(some, none).verdict.outcome == "different"


def test_real_blocks_of_a_few_parts_are_undecided_and_noise_is_found():
    images = micrographs(40, 5)
    edge = CELL + 1
    found = [m3.compare(cubes((edge,) * 3, seed), images).verdict for seed in range(30)]
    assert {verdict.outcome for verdict in found} == {"undecided"}
    assert all("independent parts" in str(verdict) for verdict in found)
    noise = np.random.default_rng(0).random((edge,) * 3) < 0.4
    assert m3.compare(noise, images).verdict.outcome == "different"


def test_a_rare_coarse_phase_does_not_hide_errors_of_the_others():
    def specimen(shape, seed, fraction=0.5):
        fine, coarse = cubes(shape, seed, fraction), cubes(shape, seed + 5000, 0.06, cell=16)
        return np.where(coarse == 1, 2, fine).astype(np.uint8)

    whole = specimen((96, 96, 96), 1)
    images = m3.Micrographs.from_volume(whole, images_per_plane=40)
    real = m3.compare(specimen((24,) * 3, 3), images).verdict
    assert real.outcome != "different"
    wrong = m3.compare(specimen((24,) * 3, 3, fraction=0.65), images).verdict
    assert wrong.outcome == "different"
    assert wrong.worst.phase != 2


def test_a_phase_that_fills_the_reference_shows_no_parts():
    verdict = m3.compare(cubes((24,) * 3, 1), micrographs(8, 5, fraction=0.0)).verdict
    assert verdict.outcome == "different"


@pytest.mark.parametrize("edge", [1, 2, 3])
def test_pieces_of_a_few_voxels_leave_it_undecided(edge):
    verdict = m3.compare(cubes((edge,) * 3, 1), micrographs(16, 5)).verdict
    assert verdict.outcome == "undecided"
    assert verdict.images_needed is None
    assert str(verdict) == f"undecided: {edge**3} voxels show too little of the material"


def test_a_set_of_volumes_is_judged_more_strictly():
    images = micrographs(60, 5)
    made = [cubes((24,) * 3, 400 + k, fraction=0.43) for k in range(12)]
    one, many = (m3.compare(v, images).verdict for v in (made[:1], made))
    assert many.p_value <= 0.01 < one.p_value
    fair = [cubes((24,) * 3, 400 + k) for k in range(12)]
    assert m3.compare(fair, images).verdict.outcome != "different"


def test_a_volume_as_reference_and_images_as_generated():
    truth = m3.synthetic.level_cut((64,) * 3, (0.6, 0.4), (2.0, 1.5, 1.5), 3).labels
    block = truth[:24, 20:44, 40:]
    assert m3.compare(block, truth).verdict.outcome == "consistent"
    assert m3.compare(block.transpose(2, 1, 0), truth).verdict.outcome == "different"
    assert m3.compare(faulty("speckle"), truth).verdict.outcome == "different"
    samples = {"xy": micrographs(8, 3)["xy"]}
    assert m3.compare(samples, micrographs(20, 5)).verdict.outcome == "consistent"
    coarse = {"xy": micrographs(8, 3, cell=6)["xy"]}
    assert m3.compare(coarse, micrographs(20, 5)).verdict.outcome == "different"


def test_verdict_prints_and_is_json():
    verdict = m3.compare(cubes((24,) * 3, 2), micrographs(20, 5)).verdict
    assert isinstance(verdict, Verdict)
    assert str(verdict) == "consistent with a real specimen of this size"
    plain = json.loads(json.dumps(verdict.to_dict()))
    assert plain["outcome"] == "consistent"
    assert plain["p_value"] == verdict.p_value
    ratios = {d.quantity for d in verdict.deviations}
    assert ratios == {"S2", "L", "autocovariance", "surface", "euler", "tilt", "islands"}


@pytest.mark.parametrize(
    "shape", [(24, 24, 1), (2, 24, 24), (24, 24, 5), (1, 30, 30), (60, 60, 60)]
)
def test_thin_and_large_volumes_are_judged(shape):
    verdict = m3.compare(cubes(shape, 1), micrographs(10, 5)).verdict
    assert verdict.outcome in ("consistent", "undecided", "doubtful")


def test_a_phase_that_the_reference_lacks_is_named():
    three = cubes((24,) * 3, 1)
    three[5:12, 5:12, 5:12] = 2
    verdict = m3.compare(three, micrographs(10, 5)).verdict
    assert str(verdict).startswith("different: the reference shows no phase 2 in ")


def test_constant_volumes_and_images():
    flat = {p: [np.ones((16, 16), np.uint8)] * 4 for p in ("xy", "xz", "yz")}
    assert m3.compare(np.ones((16,) * 3, np.uint8), flat).verdict.outcome != "different"
    verdict = m3.compare(np.zeros((16,) * 3, np.uint8), flat).verdict
    assert verdict.outcome == "different"
    assert m3.compare(cubes((16,) * 3, 1), flat).verdict.outcome == "different"


def test_a_surface_that_the_reference_lacks_is_not_a_phase_that_it_lacks(rng):
    """As along straight fibres, of which every slice along them shows the phase."""
    fibres = np.repeat((rng.random((24, 24)) < 0.4).astype(np.uint8)[None], 24, axis=0)
    broken = fibres.copy()
    broken[5, 3, 3] ^= 1
    verdict = m3.compare(broken, fibres, splits=1, bootstrap=1).verdict
    lacking = [d for d in verdict.deviations if d.quantity == "surface" and d.reference == 0]
    assert lacking
    for one in lacking:
        assert f"shows no surface of {one.phase_name} in {one.plane} along z" in str(one)
