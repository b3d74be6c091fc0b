# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Results and their scatter say the unit of the materials."""

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast.homogenization import load_materials

LAYERS = [np.repeat([0, 1], [n, 8 - n]).reshape(8, 1, 1) for n in (3, 4)]
YAML = """
stress_unit: {unit}
conductivity_unit: W/(m K)
phases:
  - {{name: soft, elastic: {{type: isotropic, E: 4, nu: 0.3}}, conductivity: 0.6}}
  - {{name: stiff, elastic: {{type: isotropic, E: 70, nu: 0.2}}, conductivity: 7.7}}
"""


@pytest.fixture(params=["GPa", "MPa"])
def materials(request, tmp_path):
    file = tmp_path / "materials.yaml"
    file.write_text(YAML.format(unit=request.param), encoding="utf-8")
    return load_materials(file)


def test_results_have_the_unit_of_the_set(materials, tmp_path):
    unit = materials.stress_unit
    elastic = m3.homogenize_elasticity(LAYERS[0], materials)
    heat = m3.homogenize_conductivity(LAYERS[0], materials)
    assert (elastic.unit, heat.unit) == (unit, "W/(m K)")
    assert f"stresses in {unit}" in repr(elastic)
    assert "W/(m K)" in repr(heat)
    scatter = m3.property_scatter(
        LAYERS, lambda v: {"a": m3.homogenize_elasticity(v, materials), "b": heat}
    )
    assert f"Young's modulus E x ({unit})" in repr(scatter)
    assert "conductivity xx (W/(m K))" in repr(scatter)
    assert "thermal expansion" not in repr(scatter)  # of phases that do not expand
    for properties in ({"Elasticity": elastic, "Heat": heat}, scatter):
        page = m3.report.write_report(
            tmp_path / "report", microstructure=LAYERS[0], properties=properties
        )
        text = page.read_text(encoding="utf-8")
        assert f"({unit})" in text
        assert "(Pa)" not in text


@pytest.mark.parametrize(("young", "unit"), [(70e9, "Pa"), (70.0, ""), (29e6, "")])
def test_a_stiffness_without_a_set_is_in_pascals_where_it_must_be(young, unit):
    found = m3.homogenize_elasticity(LAYERS[0], [m3.Isotropic(0), m3.Isotropic(young, 0.3)])
    assert found.unit == unit
    assert (unit or "the unit of the phases") in repr(found)
