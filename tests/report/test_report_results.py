# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Reports of measured curves and of effective properties."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import micro3d_fast as m3
from _report import Page
from micro3d_fast.report import (
    characterization,
    effective,
    write_report,
)


def test_characterization(tmp_path):
    labels = np.zeros((8, 10, 12), dtype=np.uint8)
    labels[:, :, ::4] = labels[:, :, 1::4] = 1  # layers two voxels thick
    volume = m3.Microstructure(labels, voxel_size=1e-6, phase_names=("a", "b"))
    with pytest.warns(UserWarning, match="`max_lag` 11 is cut") as warned:
        measured = characterization.measure(volume, max_lag=11)
    assert [str(w.message) for w in warned] == [
        "`max_lag` 11 is cut to 7 along z, where the volume has 8 voxels",
        "`max_lag` 11 is cut to 9 along y, where the volume has 10 voxels",
    ]
    assert measured.phases == (0, 1)
    np.testing.assert_allclose(measured.two_point[1, "y"], 0.5)
    np.testing.assert_allclose(
        measured.two_point[1, "x"], m3.two_point_correlation(labels, 1, axis="x", max_lag=11)
    )
    np.testing.assert_allclose(
        measured.lineal_path[0, "z"], m3.lineal_path(labels, 0, axis="z", max_lag=7)
    )
    found = measured.descriptors[1]
    assert 0.5e-6 < found.lengths.length["x"] < 1e-6
    assert np.isnan(found.lengths.length["z"])
    assert found.percolation.fraction == {"z": 1.0, "y": 1.0, "x": 0.0}
    said = characterization.summary(measured)
    assert "correlation lengths from" in said
    ends = (
        "; not decayed to 1/e within half the volume: a along y, a along z, b along y, b along z."
    )
    assert said.endswith(ends)

    characterization.write_csv(tmp_path / "curves.csv", measured)
    rows = [line.split(",") for line in (tmp_path / "curves.csv").read_text().splitlines()]
    assert rows[0] == ["function", "phase", "name", "direction", "lag", "distance", "value"]
    along = [row for row in rows if row[:4] == ["S2", "1", "b", "x"]]
    assert len(along) == 12
    np.testing.assert_array_equal([float(row[6]) for row in along], measured.two_point[1, "x"])
    assert float(along[3][5]) == pytest.approx(3e-6)
    radial = [row for row in rows if row[3] == "radial" and row[1] == "0"]
    assert float(radial[0][6]) == pytest.approx(0.5)

    page = write_report(tmp_path, microstructure=volume, extra=characterization.sections(measured))
    text = Page(Path(page).read_text(encoding="utf-8")).text
    for words in ("Correlation lengths", "Clusters, and the share", "Chord-length densities"):
        assert words in text
    assert "over all directions" in text
    assert "opposite faces of the volume are not joined" in text


def test_characterization_of_one_layer_and_of_one_phase():
    """An axis of one voxel has nothing to decay over, nor has a phase that is everywhere."""
    labels = np.zeros((1, 12, 12), dtype=np.uint8)
    assert "decayed" not in characterization.summary(
        characterization.measure(m3.Microstructure(labels), max_lag=0)
    )
    labels[..., ::4] = labels[..., 1::4] = 1
    said = characterization.summary(characterization.measure(m3.Microstructure(labels), max_lag=11))
    assert said.endswith("half the volume: phase 0 along y, phase 1 along y.")
    with pytest.raises(ValueError, match=r"`max_lag` must be an integer 0 ... 11, got 12"):
        characterization.measure(m3.Microstructure(labels), max_lag=12)


def test_effective_properties(tmp_path):
    from micro3d_fast import homogenization

    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[:, :, 2:] = 1  # layers across x
    stiff = [
        homogenization.Isotropic(E=2e9, nu=0.3, alpha=1e-5),
        homogenization.Isotropic(E=8e9, nu=0.2, alpha=2e-5),
    ]
    elastic = homogenization.homogenize_elasticity(labels, stiff)
    conducting = homogenization.homogenize_conductivity(labels, [1.0, 3.0])
    blocked = homogenization.relative_diffusivity(labels, 1, axis="x")
    through = homogenization.relative_diffusivity(labels, 1, axis="y")
    page = write_report(
        tmp_path,
        microstructure=m3.Microstructure(labels, phase_names=("soft", "stiff")),
        properties={"Layers": elastic, "Heat": conducting, "Diffusion": [blocked, through]},
    )
    parsed = Page(page.read_text(encoding="utf-8"))
    assert parsed.balanced
    for words in (
        "Layers: Young's moduli",
        f"{elastic.E[1] / 1e9:.4g}",
        "Stiffness (GPa)",
        "Thermal expansion (10⁻⁶ per kelvin)",
        "Young's modulus against direction",
        "Heat: Effective conductivity",
        "Tortuosity",
        "∞",
    ):
        assert words in parsed.text, words
    surface = json.loads(parsed.scripts["data"])["values"]
    np.testing.assert_allclose(surface[0][0], elastic.E[2] / 1e9, rtol=1e-3)
    np.testing.assert_allclose(surface[len(surface) // 2][0], elastic.E[0] / 1e9, rtol=1e-3)
    assert len({a.get("id") for a in parsed.all("script") if a.get("id")}) == 1
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    np.testing.assert_allclose(record["properties"]["Layers"]["stiffness"], elastic.stiffness)
    assert record["properties"]["Diffusion"][0]["tortuosity"] == "inf"
    assert record["properties"]["Heat"]["bounds"]["voigt"][0][0] == pytest.approx(2.0)


def test_scatter_of_properties(tmp_path):
    from micro3d_fast import homogenization

    layers = [np.repeat([0, 1], [n, 8 - n]).reshape(8, 1, 1) for n in (3, 4, 5)]
    stiff = [m3.Isotropic(E=1e9, nu=0.0, alpha=1e-5), m3.Isotropic(E=9e9, nu=0.0, alpha=1e-5)]
    found = m3.property_scatter(
        layers,
        lambda v: {
            "Heat": homogenization.homogenize_conductivity(v, [1.0, 9.0]),
            "Force": homogenization.homogenize_elasticity(v, stiff),
        },
        reference=[layers[0], layers[2]],
    )
    page = write_report(
        tmp_path, microstructure=np.repeat(layers[0], 8, 1), properties={"Layers": found}
    )
    parsed = Page(page.read_text(encoding="utf-8"))
    assert parsed.balanced
    for words in (
        "Layers: Mean ± standard deviation of a single volume of 8 × 1 × 1 voxels",
        "boundary condition: periodic",
        "3 volumes",
        "2 real blocks",
        "Heat: conductivity xx",
        "Force: Young's modulus E x (GPa)",
        "Force: thermal expansion xx (1e-6 1/K)",
        "5.0 ± 1.0",
        "5.0 ± 1.4",
    ):
        assert words in parsed.text, words
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    values = record["properties"]["Layers"]["properties"]["Heat: tensor"]["values"]
    np.testing.assert_allclose(np.array(values)[:, 0, 0], [6, 5, 4])


def test_connectivity_beside_micrographs_and_volumes(tmp_path):
    columns = np.zeros((8, 12, 12), dtype=np.uint8)
    columns[:, 1:3, 1:3] = columns[:, 6:8, 6:8] = 1
    volume = m3.Microstructure(columns, phase_names=("matrix", "fibre"))
    for reference, particles in (
        ({"micrographs": m3.Micrographs.from_volume(volume, 4)}, "–"),
        ({"reference": np.tile(columns, (2, 1, 1))}, "2 ± 0"),
    ):
        page = write_report(tmp_path, microstructure=volume, **reference)
        record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
        section = next(s for s in record["sections"] if s["title"] == "Connectivity")
        rows = section["parts"][0]["rows"]
        assert [row[:2] for row in rows] == [
            [phase, of] for phase in ("matrix", "fibre") for of in ("volume", *reference)
        ]
        fibre, beside = rows[2:]
        assert fibre[2:] == ["0.00 %", "0.00 %", "100 %", "2", "1.74e+03", "2", "0.333", "0.333"]
        assert beside[5] == particles
        assert beside[7] == "2 ± 0"
        assert Page(page.read_text(encoding="utf-8")).balanced
        assert "Opposite faces are not joined" in section["parts"][0]["caption"]
    page = write_report(tmp_path, microstructure=volume)
    assert "Particles" not in Page(page.read_text(encoding="utf-8")).text


def test_boundary_conditions_and_warnings_are_shown(tmp_path):
    from micro3d_fast import homogenization
    from volumes import spheres

    cut = spheres(32, 5.0, 0.5, 4)[:, :, :16]
    with pytest.warns(UserWarning, match="opposite faces"):
        heat = homogenization.homogenize_conductivity(cut, [1.0, 3.0], tol=1e-3)
    flow = homogenization.relative_diffusivity(cut, 0, axis="z", tol=1e-3)
    page = write_report(tmp_path, microstructure=cut, properties={"Heat": heat, "Flow": flow})
    text = Page(page.read_text(encoding="utf-8")).text
    assert "opposite faces do not match along x" in text
    assert "Flow: Relative diffusivity and tortuosity (two plates, no-flux sides)." in text
    assert "Boundary condition" in text


def test_a_material_without_stiffness(tmp_path):
    from micro3d_fast import homogenization

    elastic = homogenization.homogenize_elasticity(
        np.zeros((3, 3, 3), dtype=np.uint8), [homogenization.Isotropic(E=0.0)]
    )
    page = write_report(tmp_path, microstructure=np.zeros((3, 3, 3), int), properties=elastic)
    assert "against direction" not in Page(page.read_text(encoding="utf-8")).text


@pytest.mark.parametrize(
    ("largest", "unit", "expected"),
    [
        (2.5e11, "Pa", "GPa"),
        (3e6, "Pa", "MPa"),
        (12.0, "Pa", "Pa"),
        (0.0, "Pa", "Pa"),
        (5, "x", "x"),
        (70.0, "", "unit of the phases"),
    ],
)
def test_units_of_stress(largest, unit, expected):
    assert effective.scaled_unit(largest, unit)[1] == expected
