# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Clusters, surfaces, local fractions and compare: against cc3d, scipy and scikit-image.

pytest benchmarks/bench_descriptors.py --benchmark-only -s
"""

from __future__ import annotations

import numpy as np

import micro3d_fast as m3
from _measure import SIZE, THREADS, best, peer, row, timed, version, volume
from micro3d_fast import statistics

BENCH = "descriptors"


def test_clusters(benchmark):
    cc3d = peer("cc3d")
    from scipy import ndimage

    labels = volume()
    case = f"cluster labels {SIZE}^3"

    def ours():
        return statistics.cluster_labels(labels, 1)

    def bare():
        return cc3d.connected_components(labels == 1, connectivity=6, binary_image=True)

    def slow():
        return ndimage.label(labels == 1)

    found = ours()
    assert found.max() == bare().max() == slow()[1]
    assert len(np.unique(np.stack([found, bare()]).reshape(2, -1), axis=1)[0]) == found.max() + 1
    seconds = timed(benchmark, ours, rounds=3)
    row(case, "time", seconds, "s", bench=BENCH, precision="integer")
    name = version("cc3d", "connected-components-3d")
    row(case, "time", best(bare, 3), "s", bench=BENCH, peer=name, threads=1, precision="integer")
    row(case, "time", best(slow, 1), "s", bench=BENCH, peer=version("scipy"), threads=1,
        precision="integer")  # fmt: skip


def test_cluster_function(benchmark):
    labels = volume()
    case = f"C2 on three axes, {SIZE}^3"

    def ours():
        return [statistics.two_point_cluster(labels, 1, axis=a, threads=THREADS) for a in range(3)]

    for axis, curve in enumerate(ours()):
        assert (curve <= m3.two_point_correlation(labels, 1, axis=axis)).all()
        assert (curve >= m3.lineal_path(labels, 1, axis=axis)).all()
    row(case, "time", timed(benchmark, ours, rounds=2), "s", bench=BENCH, precision="integer")


def test_surface(benchmark):
    labels = volume()
    case = f"specific surface {SIZE}^3"

    def ours():
        return statistics.specific_surface(labels, 1, threads=THREADS)

    seconds = timed(benchmark, ours, rounds=3)
    row(case, "time", seconds, "s", bench=BENCH)
    from skimage import measure

    def theirs():
        vertices, faces, _, _ = measure.marching_cubes(labels.astype(np.float32), 0.5)
        return measure.mesh_surface_area(vertices, faces) / labels.size

    ratio = theirs() / ours()
    row(case, "marching cubes over Crofton", ratio, "1", bench=BENCH,
        peer=version("skimage", "scikit-image"),
        notes="the mesh of a 0/1 image has steps and is too large")  # fmt: skip
    row(case, "time", best(theirs, 1), "s", bench=BENCH,
        peer=version("skimage", "scikit-image"), threads=1)  # fmt: skip


def test_local_fractions(benchmark):
    labels = volume()

    def ours():
        return statistics.local_fractions(labels, 1)

    result = ours()
    np.testing.assert_allclose(result.variance[0], np.var(labels == 1), rtol=1e-12)
    row(f"local fractions {SIZE}^3", "time", timed(benchmark, ours, rounds=2), "s", bench=BENCH)


def test_compare(benchmark):
    labels = volume()
    part = np.ascontiguousarray(labels[: SIZE // 4, : SIZE // 4, : SIZE // 4])

    def ours():
        return m3.compare(part, labels)

    result = ours()
    assert result.error("S2", phase=1) < 5 * result.scatter("S2", phase=1)
    case = f"compare {SIZE // 4}^3 with {SIZE}^3"
    row(case, "time", timed(benchmark, ours, rounds=3), "s", bench=BENCH)


def test_verdict(benchmark):
    """The verdict on a volume, against 300 micrographs per plane (all slices of the volume)."""
    labels = volume()
    part = np.ascontiguousarray(labels[: SIZE // 4, : SIZE // 4, : SIZE // 4])
    images = m3.Micrographs.from_volume(labels, 300)

    def ours():
        return m3.compare(part, images)

    assert ours().verdict is not None
    case = f"compare {SIZE // 4}^3 with {min(300, SIZE)} micrographs per plane of {SIZE}^2"
    row(case, "time", timed(benchmark, ours, rounds=3), "s", bench=BENCH)
    without = best(lambda: m3.compare(part, images, verdict=False), 3)
    row(case, "time without the verdict", without, "s", bench=BENCH)
