# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Large and periodic volumes with preset small: seconds, memory, faces that join, windows' seams.

    OMP_NUM_THREADS=2 python -m pytest benchmarks/bench_large.py -k "periodic or cube"
    M3D_BENCH_SLOW=1 python -m pytest benchmarks/bench_large.py -k windows
    python -m pytest benchmarks/bench_large.py -k "boxes or known"

A face that repeats is judged by the share of voxels that differ across it, over the mean of that
share between neighbouring slices inside; what the ratio scatters by inside stands beside it.
Windows are judged by S2 and L against fresh truth, beside those of whole slices, and at the borders
that they had in the last three passes (one a plane): voxels that differ across, and S2 across.
"""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import micro3d_fast as m3
from _measure import SLOW, peak_memory, row
from micro3d_fast import synthetic
from micro3d_fast.diffusion.labelling import face_mismatch
from micro3d_fast.diffusion.windows import cut, offsets

TRUTH = {
    "separator": synthetic.separator,
    "fibre-composite": synthetic.fibre_composite,
    "cathode": synthetic.cathode,
}
PLANE_AXES = ((1, 2), (0, 2), (0, 1))  # rows and columns of the slices of xy, xz, yz
WIDE = (96, 96, 96)
WINDOW = 64
BOXES = 8  # seeds of small volumes
SEAM_LAGS = (1, 2, 4, 8)


def test_periodic(benchmark):
    shape, model = (96, 200, 64), m3.load_model("separator")
    made: list[m3.Microstructure] = []
    benchmark.pedantic(
        lambda: made.append(m3.reconstruct(shape, model, periodic=True, seed=1)), rounds=1
    )
    volume = made[0]
    about = volume.provenance
    case = f"separator 96 x 200 x 64 periodic, {about['passes']} passes, preset small"
    more = {"bench": "large", "precision": about["precision"]}
    row(case, "seconds", about["seconds"], "s", **more)
    for axis, name in enumerate("zyx"):
        ratio, noise = face_mismatch(volume.labels, axis)
        row(case, f"mismatch of the {name} faces over inside", ratio, "1", **more)
        row(case, f"scatter of that ratio inside, {name}", noise, "1", **more)
        assert abs(ratio - 1) < 4 * noise


def test_cube(benchmark):
    shape, model = (128,) * 3, m3.load_model("separator")
    m3.reconstruct((16, 16, 16), model, passes=3)  # what is loaded once is no memory of the volume
    made: list[m3.Microstructure] = []
    grown: list[float] = []

    def run() -> None:
        grown.append(peak_memory(lambda: made.append(m3.reconstruct(shape, model, seed=1))))

    benchmark.pedantic(run, rounds=1)
    about = made[0].provenance
    case = f"separator 128^3, {about['passes']} passes, preset small"
    more = {"bench": "large", "precision": about["precision"]}
    row(case, "seconds", about["seconds"], "s", **more)
    row(case, "share outside the network", 1 - about["network_seconds"] / about["seconds"], "1",
        **more)  # fmt: skip
    row(case, "peak memory above the loaded model", grown[0] / 2**20, "MiB", **more)
    assert made[0].shape == shape


@pytest.mark.parametrize(("edge", "batches"), [(32, (1, 4, 8)), (48, (1, 2))])
def test_many(benchmark, edge, batches):
    model, passes, n = m3.load_model("separator"), 7, 8
    seconds = {}
    for batch in batches:
        volumes = m3.reconstruct_many((edge,) * 3, model, range(n), batch=batch, passes=passes)
        about = [volume.provenance for volume in volumes]
        seconds[batch] = float(np.median([p["seconds"] for p in about[batch:]]))
        case = f"separator {edge}^3, {passes} passes, {batch} volumes at once"
        row(case, "seconds a volume", seconds[batch], "s", bench="large",
            precision=about[0]["precision"])  # fmt: skip
    benchmark.extra_info.update({str(batch): value for batch, value in seconds.items()})
    benchmark.pedantic(lambda: None, rounds=1)


def test_boxes():
    """Faces of small boxes: two axes repeat, and one that does not is the control."""
    model, periodic = m3.load_model("fibre-composite"), (True, False, True)
    volumes = m3.reconstruct_many((32,) * 3, model, range(BOXES), periodic=periodic)
    made = list(volumes)
    case = f"fibre-composite 32^3 periodic in z and x, {made[0].provenance['passes']} passes"
    for axis, name in enumerate("zyx"):
        ratios = [face_mismatch(volume.labels, axis)[0] for volume in made]
        noise = float(np.std(ratios, ddof=1))
        words = "" if periodic[axis] else " (does not repeat)"
        row(case, f"mismatch of the {name} faces over inside{words}", float(np.mean(ratios)), "1",
            bench="large", precision=made[0].provenance["precision"],
            notes=f"{BOXES} boxes, deviation {noise:.3f}; each: "
            + " ".join(f"{r:.2f}" for r in ratios))  # fmt: skip


@pytest.mark.parametrize("quality", ["standard", "high"])
def test_known_slices(quality):
    """How the slices beside a known one agree with it, and neighbours of a free volume."""
    model, middle = m3.load_model("separator"), 16
    beside, free, apart, truths = [], [], [], []
    for seed in range(BOXES):
        truth = synthetic.separator((32,) * 3, seed=8001 + seed).labels
        known = np.full((32,) * 3, 255, dtype=np.uint8)
        known[middle] = truth[middle]
        held = m3.reconstruct(known.shape, model, known=known, seed=seed, quality=quality)
        assert np.array_equal(held.labels[middle], truth[middle])
        beside += [alike(held.labels, middle, middle + step) for step in (-1, 1)]
        apart.append(alike(held.labels, middle, 0))
        alone = m3.reconstruct(known.shape, model, seed=seed, quality=quality).labels
        free.append(np.mean([alike(alone, k, k + 1) for k in range(31)]))
        truths.append(np.mean([alike(truth, k, k + 1) for k in range(31)]))
    case = f"separator 32^3, slice z = {middle} known, {held.provenance['passes']} passes"
    for words, values in (
        ("known and neighbour", beside),
        ("neighbours of a free volume", free),
        ("neighbours of a truth", truths),
        ("known and 16 slices away", apart),
    ):
        row(case, f"correlation of slices: {words}", float(np.mean(values)), "1", bench="large",
            precision=held.provenance["precision"],
            notes=f"{BOXES} volumes, deviation {float(np.std(values, ddof=1)):.3f}")  # fmt: skip


def alike(labels: np.ndarray, j: int, k: int) -> float:
    """Correlation coefficient of two xy slices."""
    return float(np.corrcoef(labels[j].ravel(), labels[k].ravel())[0, 1])


@pytest.mark.skipif(not SLOW, reason="M3D_BENCH_SLOW=1: minutes a volume")
@pytest.mark.parametrize("name", TRUTH)
def test_windows(name):
    model = m3.load_model(name)
    made = {window: m3.reconstruct(WIDE, model, window=window) for window in (None, WINDOW)}
    passes = made[None].provenance["passes"]
    case = "{} {} x {} x {}, {} passes, preset small".format(name, *WIDE, passes)
    for window, volume in made.items():
        row(case, "network seconds, " + ("windows" if window else "whole slices"),
            volume.provenance["network_seconds"], "s", bench="large",
            precision=volume.provenance["precision"])  # fmt: skip
    judge_windows(name, case, {w: [volume.labels] for w, volume in made.items()}, passes)


def judge_windows(
    name: str, case: str, made: dict[int | None, list[np.ndarray]], passes: int
) -> None:
    """Rows of the errors of whole slices, of windows, of fresh truth; and of the seams."""
    reference = TRUTH[name]((128, 128, 128), seed=7001).labels
    fresh = [TRUTH[name](WIDE, seed=7002 + i).labels for i in range(len(made[None]))]
    for words, volumes in (("whole slices", made[None]), (f"windows of {WINDOW}", made[WINDOW]),
                           ("fresh truth", fresh)):  # fmt: skip
        for function in ("S2", "L"):
            errors = [curve_errors(volume, reference, function) for volume in volumes]
            notes = f"{len(volumes)} volumes; each: " + " ".join(
                f"{float(np.mean(e)):.4f}" for e in errors
            )
            for axis, letter in enumerate("zyx"):
                value = float(np.mean([e[axis] for e in errors]))
                row(case, f"{function} error along {letter}, {words}", value, "1", bench="large",
                    precision="bfloat16", notes=notes)  # fmt: skip
    for words, which, shuffled in (("seams", made[WINDOW], False), ("no seams", made[None], True)):
        for lag, (ratio, noise) in seams(which, passes, shuffled).items():
            row(
                case,
                f"{words}: unlike voxels {lag} apart across the borders over elsewhere",
                ratio,
                "1",
                bench="large",
                precision="bfloat16",
                notes=f"standard error {noise:.4f}",
            )


def curve_errors(volume: np.ndarray, reference: np.ndarray, function: str) -> list[float]:
    """Relative error of S2 or L by axis, lags 0 ... 32, the mean over phases."""
    measure = m3.two_point_correlation if function == "S2" else m3.lineal_path
    out = []
    for axis, n in enumerate(volume.shape):
        lag = min(32, n // 2)
        errors = []
        for phase in np.unique(reference):
            got, want = (
                measure(v, int(phase), axis=axis, max_lag=lag) for v in (volume, reference)
            )
            errors.append(np.abs(got - want).sum() / want.sum())
        out.append(float(np.mean(errors)))
    return out


def borders(seed: int, draw: int, plane: int, shape: tuple[int, int, int]) -> dict[int, list[int]]:
    """Where the windows of a pass met: by axis, the first voxels behind the borders."""
    axes = PLANE_AXES[plane]
    rows_columns = offsets(seed, draw, (WINDOW, WINDOW))
    return {
        axis: [cell.first for cell in cut(shape[axis], WINDOW, False, o)[1:]]
        for axis, o in zip(axes, rows_columns, strict=True)
        if shape[axis] > WINDOW
    }


def seams(volumes: list[np.ndarray], passes: int, shuffled: bool) -> dict[int, tuple[float, float]]:
    """By lag: unlike pairs that straddle a border over the same elsewhere, and its standard error.

    The volume of seed i was made by draws 1 ... passes, pass k in plane (k - 1) mod 3.  With
    ``shuffled`` the borders of another seed are taken, where nothing was cut.
    """
    found: dict[int, tuple[list[float], list[float]]] = {lag: ([], []) for lag in SEAM_LAGS}
    for seed, labels in enumerate(volumes):
        for draw in range(passes - 2, passes + 1):
            at = borders(seed + 100 * shuffled, draw, (draw - 1) % 3, labels.shape)
            for (axis, where), lag in itertools.product(at.items(), SEAM_LAGS):
                slices = np.moveaxis(labels, axis, 0)
                unlike = (slices[lag:] != slices[:-lag]).mean(axis=(1, 2))  # pair k, k + lag
                normal = unlike / unlike.mean()
                # border between b - 1 and b: pairs k with k <= b - 1 and k + lag >= b
                across = [k for b in where for k in range(max(0, b - lag), min(b, len(normal)))]
                inside = np.delete(normal, across)
                found[lag][0].append(float(normal[across].mean() / inside.mean()))
                found[lag][1].append(float(inside.std() / inside.mean()))
    return {
        lag: (float(np.mean(ratios)), float(np.mean(noise)) / len(ratios) ** 0.5)
        for lag, (ratios, noise) in found.items()
    }
