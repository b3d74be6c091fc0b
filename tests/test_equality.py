# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Results that hold arrays compare by value: a bool, never an array's "ambiguous"."""

import copy
import pickle

import numpy as np
import pytest

import micro3d_fast as m3
from micro3d_fast import statistics
from micro3d_fast.homogenization import Anisotropic, load_materials
from micro3d_fast.report import characterization
from volumes import blocks

E, NU = (3.0, 70.0), (0.35, 0.2)


def _materials():
    return [m3.Isotropic(E=e, nu=nu) for e, nu in zip(E, NU, strict=True)]


RESULTS = {
    "radial": lambda v: m3.two_point_radial(v, 1),
    "local fractions": lambda v: statistics.local_fractions(v, 1),
    "chords": lambda v: statistics.chord_lengths(v, 1, axis="x"),
    "comparison": lambda v: m3.compare(v[:6], v, splits=5, bootstrap=5),
    "curve": lambda v: m3.compare(v[:6], v, splits=5, bootstrap=5, verdict=False).curves[0],
    "measured": lambda v: characterization.measure(m3.Microstructure(v)),
    "elastic": lambda v: m3.homogenize_elasticity(v, _materials()),
    "elastic bounds": lambda v: m3.homogenize_elasticity(v, _materials()).bounds,
    "local": lambda v: m3.homogenize_elasticity(v, _materials(), fields=True).local(
        strain=(1.0, 0, 0, 0, 0, 0)
    ),
    "conductivity": lambda v: m3.homogenize_conductivity(v, [1.0, 9.0]),
    "diffusivity": lambda v: m3.relative_diffusivity(v, 1, axis="x"),
    "scatter": lambda v: m3.property_scatter(
        [v, v], lambda w: m3.homogenize_conductivity(w, [1.0, 9.0])
    ),
}


@pytest.mark.parametrize("name", RESULTS)
def test_results_are_equal_where_their_values_are(name):
    volume = blocks((12, 12, 12), (0.6, 0.4), (3, 3, 3), 0)
    found = RESULTS[name](volume)
    assert (found == RESULTS[name](volume)) is True  # computed again; the seconds do not count
    assert found == copy.deepcopy(found)
    assert (found == RESULTS[name](1 - volume)) is False
    assert (found != RESULTS[name](1 - volume)) is True
    assert found != 1
    assert found != np.zeros(2).tolist()
    with pytest.raises(TypeError, match="unhashable"):
        hash(found)


def test_nan_equals_nan_and_shapes_count():
    one = statistics.two_point_radial(np.eye(8, dtype=np.uint8), 1)
    other = pickle.loads(pickle.dumps(one))
    one.value[2] = other.value[2] = np.nan
    assert one == other
    other.value[2] = 0.0
    assert one != other
    assert one != statistics.two_point_radial(np.eye(9, dtype=np.uint8), 1)


def test_anisotropic_materials_are_equal_by_value():
    stiff = np.diag([3.0, 2.0, 2.0, 1.0, 1.0, 1.0])
    assert Anisotropic(stiff) == Anisotropic(stiff.copy())
    assert Anisotropic(stiff) != Anisotropic(stiff, alpha=1e-6)
    assert m3.Isotropic(E=1.0, nu=0.2) != Anisotropic(stiff)


def test_sets_of_materials_are_equal_by_value():
    sets = [load_materials(name) for name in ("carbon-epoxy", "carbon-epoxy", "trabecular-bone")]
    assert sets[0] == sets[1]
    assert sets[0] != sets[2]
