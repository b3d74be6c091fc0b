# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Faces of small periodic boxes, seams of windows, neighbours of known slices, with bundled models.

    python benchmarks/studies borders boxes known-slices
    python benchmarks/studies borders windows              # minutes per volume

A face of a periodic axis is judged by the share of voxels that differ across it, over the mean of
that share between neighbouring slices inside. Windows are judged by S2 and L against fresh truth,
beside those of whole slices, and at their borders of the last three passes (one per plane): voxels
that differ across, and S2 across. Rows go to results.csv (bench `large`).
"""

from __future__ import annotations

import argparse
import itertools

import numpy as np

import micro3d_fast as m3
from _measure import row
from micro3d_fast import synthetic
from micro3d_fast._planes import AXIS_NAMES, IMAGE_AXES, PLANES
from micro3d_fast.diffusion.labelling import face_mismatch
from micro3d_fast.diffusion.windows import cut, offsets

TRUTH = {
    "separator": synthetic.separator,
    "fibre-composite": synthetic.fibre_composite,
    "cathode": synthetic.cathode,
}
WIDE = (96, 96, 96)
WINDOW = 64
BOXES = 8  # seeds of small volumes
SEAM_LAGS = (1, 2, 4, 8)


def boxes() -> None:
    """Record the faces of small boxes: two periodic axes, and a third one as the control."""
    model, periodic = m3.load_model("fibre-composite"), (True, False, True)
    volumes = m3.reconstruct_many((32,) * 3, model, range(BOXES), periodic=periodic)
    made = list(volumes)
    case = f"fibre-composite 32^3 periodic in z and x, {made[0].provenance['passes']} passes"
    for axis, name in enumerate(AXIS_NAMES):
        ratios = [face_mismatch(volume.labels, axis)[0] for volume in made]
        noise = float(np.std(ratios, ddof=1))
        note = "" if periodic[axis] else " (does not repeat)"
        row(case, f"mismatch of the {name} faces over inside{note}", float(np.mean(ratios)), "1",
            bench="large", precision=made[0].provenance["precision"],
            notes=f"{BOXES} boxes, deviation {noise:.3f}; each: "
            + " ".join(f"{r:.2f}" for r in ratios))  # fmt: skip


def known_slices(quality: str) -> None:
    """Record how the slices beside a known one correlate with it, and those of a free volume."""
    model, middle = m3.load_model("separator"), 16
    beside, free, apart, truths = [], [], [], []
    for seed in range(BOXES):
        truth = synthetic.separator((32,) * 3, seed=8001 + seed).labels
        known = np.full((32,) * 3, 255, dtype=np.uint8)
        known[middle] = truth[middle]
        filled = m3.reconstruct(known.shape, model, known=known, seed=seed, quality=quality)
        assert np.array_equal(filled.labels[middle], truth[middle])
        beside += [slice_correlation(filled.labels, middle, middle + step) for step in (-1, 1)]
        apart.append(slice_correlation(filled.labels, middle, 0))
        alone = m3.reconstruct(known.shape, model, seed=seed, quality=quality).labels
        free.append(np.mean([slice_correlation(alone, k, k + 1) for k in range(31)]))
        truths.append(np.mean([slice_correlation(truth, k, k + 1) for k in range(31)]))
    case = f"separator 32^3, slice z = {middle} known, {filled.provenance['passes']} passes"
    for pair, values in (
        ("known and neighbour", beside),
        ("neighbours of a free volume", free),
        ("neighbours of a truth", truths),
        ("known and 16 slices away", apart),
    ):
        row(case, f"correlation of slices: {pair}", float(np.mean(values)), "1", bench="large",
            precision=filled.provenance["precision"],
            notes=f"{BOXES} volumes, deviation {float(np.std(values, ddof=1)):.3f}")  # fmt: skip


def slice_correlation(labels: np.ndarray, j: int, k: int) -> float:
    """Return the correlation coefficient of two xy slices."""
    return float(np.corrcoef(labels[j].ravel(), labels[k].ravel())[0, 1])


def windows(name: str) -> None:
    """Record time, errors and seams of a volume by whole slices and by windows."""
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
    """Record the errors of whole slices, windows and fresh truth, and the seams."""
    reference = TRUTH[name]((128, 128, 128), seed=7001).labels
    fresh = [TRUTH[name](WIDE, seed=7002 + i).labels for i in range(len(made[None]))]
    for kind, volumes in (("whole slices", made[None]), (f"windows of {WINDOW}", made[WINDOW]),
                          ("fresh truth", fresh)):  # fmt: skip
        for function in ("S2", "L"):
            errors = [errors_by_axis(volume, reference, function) for volume in volumes]
            notes = f"{len(volumes)} volumes; each: " + " ".join(
                f"{float(np.mean(e)):.4f}" for e in errors
            )
            for axis, letter in enumerate(AXIS_NAMES):
                value = float(np.mean([e[axis] for e in errors]))
                row(case, f"{function} error along {letter}, {kind}", value, "1", bench="large",
                    precision="bfloat16", notes=notes)  # fmt: skip
    for kind, volumes, shuffled in (("seams", made[WINDOW], False), ("no seams", made[None], True)):
        for lag, (ratio, noise) in seams(volumes, passes, shuffled).items():
            row(
                case,
                f"{kind}: unlike voxels {lag} apart across the borders over elsewhere",
                ratio,
                "1",
                bench="large",
                precision="bfloat16",
                notes=f"standard error {noise:.4f}",
            )


def errors_by_axis(volume: np.ndarray, reference: np.ndarray, function: str) -> list[float]:
    """Return the relative error of S2 or L per axis, lags 0 ... 32, averaged over phases."""
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


def window_borders(
    seed: int, draw: int, plane: str, shape: tuple[int, int, int]
) -> dict[int, list[int]]:
    """Return the first voxels behind the borders between the windows of a pass, by axis."""
    rows_columns = offsets(seed, draw, (WINDOW, WINDOW))
    return {
        axis: [cell.first for cell in cut(shape[axis], WINDOW, False, o)[1:]]
        for axis, o in zip(IMAGE_AXES[plane], rows_columns, strict=True)
        if shape[axis] > WINDOW
    }


def seams(volumes: list[np.ndarray], passes: int, shuffled: bool) -> dict[int, tuple[float, float]]:
    """Return by lag the ratio of unlike pairs across borders to elsewhere, and its standard error.

    The volume of seed i was made by draws 1 ... passes, pass k in plane (k - 1) mod 3. With
    ``shuffled`` the borders are those of another seed, where nothing was cut.
    """
    found: dict[int, tuple[list[float], list[float]]] = {lag: ([], []) for lag in SEAM_LAGS}
    for seed, labels in enumerate(volumes):
        for draw in range(passes - 2, passes + 1):
            at = window_borders(seed + 100 * shuffled, draw, PLANES[(draw - 1) % 3], labels.shape)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="+", choices=["boxes", "known-slices", "windows"])
    parts = parser.parse_args().parts
    if "boxes" in parts:
        boxes()
    if "known-slices" in parts:
        for quality in ("standard", "high"):
            known_slices(quality)
    if "windows" in parts:
        for name in TRUTH:
            windows(name)
