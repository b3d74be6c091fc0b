# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Microstructure: properties, ownership of its arrays, refusals."""

from __future__ import annotations

import copy
import dataclasses
import json
import operator
import subprocess
import sys

import numpy as np
import pytest

from micro3d_fast._phases import phase_counts
from micro3d_fast.microstructure import Microstructure

LABELS = np.zeros((2, 3, 4), dtype=np.uint8)
LABELS[0, 0, :3] = 1


def test_repr_and_properties():
    m = Microstructure(LABELS, voxel_size=1e-6, phase_names=("matrix", "fibre"))
    assert (
        str(m)
        == repr(m)
        == "Microstructure: 2 x 3 x 4 voxels (z, y, x) of 1e-06 m, matrix 0.8750, fibre 0.1250"
    )
    assert m.shape == (2, 3, 4)
    assert m.n_phases == 2
    assert m.voxel_size == (1e-6, 1e-6, 1e-6)
    assert m.size == pytest.approx((2e-6, 3e-6, 4e-6))
    assert m.volume_fractions.tolist() == [0.875, 0.125]


def test_many_phases_print_only_those_present():
    text = repr(Microstructure(LABELS * 255))
    assert text.endswith("phase 0 0.8750, phase 255 0.1250")
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    assert repr(Microstructure(every)).endswith("... (256 phases)")


def test_labels_are_frozen_and_its_own():
    mine = LABELS.copy()
    m = Microstructure(mine)
    mine[:] = 9
    assert m.labels.max() == 1
    with pytest.raises(ValueError, match="read-only"):
        m.labels[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        m.labels = mine  # type: ignore[misc]


def test_a_view_of_writeable_memory_is_copied():
    mine = LABELS.copy()
    view = mine[:]
    view.flags.writeable = False
    m = Microstructure(view)
    mine[:] = 9
    assert m.labels.max() == 1


def test_read_only_labels_are_not_copied():
    m = Microstructure(LABELS)
    assert Microstructure(m).labels is m.labels
    assert np.asarray(m) is m.labels


def test_as_an_array():
    m = Microstructure(LABELS)
    assert np.array(m, dtype=float).dtype == np.float64
    copy = np.array(m)
    copy[:] = 2  # a copy may be written to
    assert m.labels.max() == 1


def test_torch_labels_are_copied():
    torch = pytest.importorskip("torch")
    tensor = torch.zeros(2, 2, 2, dtype=torch.uint8)
    m = Microstructure(tensor)
    tensor += 1
    assert m.labels.max() == 0


def test_names_fix_the_number_of_phases():
    m = Microstructure(LABELS, phase_names=("a", "b", "c"))
    assert m.n_phases == 3
    assert m.volume_fractions.tolist() == [0.875, 0.125, 0.0]
    assert Microstructure(LABELS).phase_names == ("phase 0", "phase 1")


def test_provenance_is_plain_json():
    given = {"seed": np.int64(3), "shape": (1, 2), "x": np.arange(2.0), "nan": float("nan")}
    m = Microstructure(LABELS, provenance=given)
    assert m.provenance == {"seed": 3, "shape": [1, 2], "x": [0.0, 1.0], "nan": "nan"}
    json.dumps(m.provenance, allow_nan=False)
    given["seed"] = 4
    assert m.provenance["seed"] == 3


def test_fields_are_frozen_copies():
    mine = np.zeros((2, 3, 4, 6))
    m = Microstructure(LABELS, fields={"stress": mine})
    mine[:] = 1
    assert m.fields["stress"].max() == 0
    assert "fields stress" in repr(m)


def test_counts_are_exact_beyond_one_block():
    labels = np.zeros((5, 1024, 1024), dtype=np.uint8)
    labels[4, -1, -3:] = 2
    assert phase_counts(labels, 3).tolist() == [labels.size - 3, 0, 3]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"labels": np.zeros((2, 2), int)}, ValueError, "`labels` must have 3 dimensions"),
        ({"labels": np.zeros((2, 2, 2))}, TypeError, "`labels` must be an array of bool or int"),
        ({"voxel_size": 0}, ValueError, "`voxel_size` must be a positive number"),
        ({"phase_names": ("a",)}, ValueError, "`phase_names` .* got 1 names for 2 phases"),
        ({"phase_names": ("a", "a")}, ValueError, "`phase_names` must hold one distinct"),
        ({"phase_names": ("a", " ")}, ValueError, "non-empty name"),
        ({"phase_names": "ab"}, TypeError, "`phase_names` must be a sequence of names, got 'ab'"),
        ({"phase_names": (1, 2)}, TypeError, r"sequence of names, got \(1, 2\)"),
        ({"provenance": {"a": object()}}, TypeError, "`provenance` must hold what JSON can hold"),
        ({"provenance": {1: 2}}, TypeError, "`provenance` must have strings as keys"),
        ({"provenance": [1]}, TypeError, "`provenance` must be a mapping, got list"),
        ({"fields": [1]}, TypeError, "`fields` must be a mapping of arrays, got list"),
        ({"fields": {"a/b": LABELS}}, ValueError, "`fields` must have printable names"),
        ({"fields": {"labels": LABELS}}, ValueError, "must have names other than 'labels'"),
        (
            {"fields": {"u": np.zeros((2, 3))}},
            ValueError,
            r"shape \(2, 3, 4\) or \(2, 3, 4, k\), got \(2, 3\)",
        ),
        ({"fields": {"u": LABELS * 1j}}, TypeError, "must hold real numbers, got dtype complex"),
    ],
)
def test_refusals(change, error, message):
    with pytest.raises(error, match=message):
        Microstructure(**{"labels": LABELS, **change})


VALUES = np.arange(4 * 6 * 8, dtype=np.uint8).reshape(4, 6, 8) % 3
WHOLE = Microstructure(
    VALUES, (1e-6, 2e-6, 3e-6), ("a", "b", "c"), {"seed": 7}, {"u": VALUES * 1.5}
)


@pytest.mark.parametrize(
    ("index", "box"),
    [
        (np.s_[:2], [[0, 2], [0, 6], [0, 8]]),
        (np.s_[1:, 2:-1], [[1, 4], [2, 5], [0, 8]]),
        (np.s_[..., -3:], [[0, 4], [0, 6], [5, 8]]),
        (np.s_[:1, ..., 4:99], [[0, 1], [0, 6], [4, 8]]),
        (np.s_[:, 1:3, ..., :], [[0, 4], [1, 3], [0, 8]]),
    ],
)
def test_slices_crop_and_keep_what_is_known(index, box):
    part = WHOLE[index]
    assert isinstance(part, Microstructure)
    assert np.array_equal(part.labels, VALUES[index])
    assert np.array_equal(part.fields["u"], VALUES[index] * 1.5)
    assert (part.voxel_size, part.phase_names) == (WHOLE.voxel_size, WHOLE.phase_names)
    assert part.provenance == {"crop": {"box": box, "shape": [4, 6, 8], "provenance": {"seed": 7}}}


def test_a_crop_of_a_crop_counts_from_the_whole():
    twice, once = WHOLE[1:, 2:][:2, 1:3], WHOLE[1:3, 3:5]
    assert np.array_equal(twice, once)
    assert twice.provenance == once.provenance
    assert WHOLE[:] is WHOLE
    assert WHOLE[:, ...] is WHOLE
    assert len(WHOLE) == 4


def test_a_crop_of_what_a_file_calls_a_crop():
    for crop in ("left", {"box": 5, "shape": [4, 6, 8], "provenance": {}}, {"provenance": {}}):
        odd = Microstructure(VALUES, provenance={"crop": crop})
        expected = {"box": [[0, 2], [0, 6], [0, 8]], "shape": [4, 6, 8]}
        assert odd[:2].provenance == {"crop": {**expected, "provenance": {"crop": crop}}}


@pytest.mark.parametrize(
    "index", [2, -1, np.s_[:, 1], np.s_[0, 0, 0], np.s_[..., None], VALUES == 1, [0, 2]]
)
def test_other_indices_give_plain_arrays(index):
    found = WHOLE[index]
    assert not isinstance(found, Microstructure)
    assert np.array_equal(found, VALUES[index])


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (np.s_[:, :, ::2], "`index` must have slices without a step, got a step of 2: slice"),
        (np.s_[::-1], "without a step, got a step of -1"),
        (np.s_[2:2], "`index` must keep voxels of the shape"),
    ],
)
def test_refused_crops(index, message):
    with pytest.raises(ValueError, match=message):
        WHOLE[index]


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge"])
def test_comparisons_with_numbers_and_arrays_are_those_of_the_labels(name):
    compare = getattr(operator, name)
    for other in (1, np.uint8(1), 1.0, VALUES[::-1]):
        assert np.array_equal(compare(WHOLE, other), compare(VALUES, other))
        assert np.array_equal(compare(other, WHOLE), compare(other, VALUES))


def test_labels_and_volumes_in():
    volume = Microstructure(VALUES)
    assert (int(VALUES.max()) in volume, int(VALUES.max()) + 1 in volume) == (True, False)
    assert volume in [Microstructure(VALUES), volume]
    assert volume not in [Microstructure(VALUES), None, "volume"]


def test_volumes_are_equal_and_hash_as_objects():
    twin = Microstructure(VALUES)
    assert WHOLE == WHOLE
    assert (twin == WHOLE) is False
    assert (twin != WHOLE) is True
    assert (twin == "text") is False
    assert twin != None  # noqa: E711
    assert {WHOLE: 1, twin: 2}[twin] == 2
    assert copy.deepcopy(twin) != twin
    with pytest.raises(TypeError, match="not supported"):
        twin < WHOLE  # noqa: B015


def test_importing_the_data_modules_stays_light():
    code = (
        "import sys; from micro3d_fast import io, micrographs, synthetic;"
        "heavy = {'torch', 'scipy', 'skimage', 'matplotlib', 'h5py', 'tifffile', 'zarr', 'PIL'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
