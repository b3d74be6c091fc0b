# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Files of materials mean one thing to every reader, or are refused in one short sentence."""

from __future__ import annotations

import inspect
import os
import re

import numpy as np
import pytest
import yaml

import micro3d_fast as m3
from micro3d_fast.homogenization import load_materials, material_sets
from micro3d_fast.homogenization.material_sets import _PHASE_KEYS, _SETS, _TOP_KEYS, _TYPES

ISOTROPIC = "phases:\n  - elastic: {type: isotropic, E: %s, nu: 0.25}\n"


def load(folder, text, suffix="yaml"):
    path = folder / f"m.{suffix}"
    path.write_text(text)
    return load_materials(path)


def refused(folder, text, match, suffix="yaml"):
    with pytest.raises((ValueError, TypeError), match=match) as caught:
        load(folder, text, suffix)
    assert len(str(caught.value)) < 500
    assert len(str(caught.value).splitlines()) == 1


@pytest.fixture(params=["libyaml", "without libyaml"], autouse=True)
def _parser(request, monkeypatch):
    if request.param != "libyaml":
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("100", 100), ("4.0e+9", 4e9), ("4e9", 4e9), ("4E-3", 4e-3), (".5", 0.5), ("5.", 5),
        ("0", 0), ("+7", 7), ("0x10", 16), ('"4e9"', 4e9), ("'12'", 12), ("007.5", 7.5),
    ],
)  # fmt: skip
def test_numbers(tmp_path, text, value):
    assert value == load(tmp_path, ISOTROPIC % text).materials[0].E


@pytest.mark.parametrize("text", ["1:30", "0100", "0o17", "0b11", "1_000", "yes", "On", "190:20.5"])
def test_what_yaml_1_1_reads_differently_is_refused(tmp_path, text):
    refused(tmp_path, ISOTROPIC % text, "mean the same in YAML 1.1 and 1.2, got '.*' in line 2")
    refused(tmp_path, f"name: {text}\nphases:\n  - conductivity: 1\n", "in line 1: put a text in q")
    assert load(tmp_path, f'name: "{text}"\nphases:\n  - conductivity: 1\n').name == text


@pytest.mark.parametrize(
    "text", ["true", "null", "~", ".nan", "inf", "1e999", "1_0.", "0x", "", "1 2"]
)
def test_what_is_no_number_is_refused(tmp_path, text):
    refused(tmp_path, ISOTROPIC % text, "m.yaml")
    refused(tmp_path, f"phases:\n  - conductivity: {text}\n", "m.yaml")


def test_the_axis_y_is_no_boolean(tmp_path):
    text = (
        "phases:\n  - elastic: {type: transversely isotropic, axis: y, E_axial: 3, "
        "E_transverse: 2, G_axial: 1, nu_axial: 0.2, nu_transverse: 0.2}\n"
    )
    assert load(tmp_path, text).materials[0].axis == (0, 1, 0)


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        (ISOTROPIC % "1.0e+9, E: 1.0", "yaml"),
        ("phases:\n  - conductivity: 1\n    'conductivity': 100\n", "yml"),
        ("phases:\n  - conductivity: 1\nphases:\n  - conductivity: 2\n", "yaml"),
        ('{"phases": [{"conductivity": 1, "conductivity": 100}]}', "json"),
    ],
)
def test_a_key_given_twice_is_refused(tmp_path, text, suffix):
    refused(tmp_path, text, "give every key once, got '.*' twice", suffix)


def test_aliases_tags_and_second_documents_are_refused(tmp_path):
    bomb = "".join(
        f"  - {{conductivity: 1, name: &a{i} [{','.join([f'*a{i - 1}'] * 9) if i else '1'}]}}\n"
        for i in range(12)
    )
    refused(tmp_path, "phases:\n" + bomb, "hold plain data, got an alias")
    refused(tmp_path, "phases:\n  - conductivity: &a [*a, 1, 1]\n", "got an alias")
    refused(tmp_path, "phases: !!python/object/apply:os.getcwd []\n", "got a tag")
    refused(tmp_path, "phases:\n  - conductivity: 1\n---\nphases: []\n", "a second document")
    refused(tmp_path, "? [a, b]\n: 1\n", "have texts as keys")
    refused(tmp_path, "<<: {phases: []}\n", "have no keys but")


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_deep_nesting_is_refused(tmp_path, suffix):
    for depth in (200, 3000, 100_000):
        text = '{"phases": ' + "[" * depth + "]" * depth + "}"
        refused(tmp_path, text, "nest at most 100|nesting depth", suffix)
    refused(tmp_path, '{"phases": ' + "[" * 100_000, "m.", suffix)


@pytest.mark.parametrize(
    "text",
    ["[1, 2]", "3", "", "phases: 1", "phases: []", "phases:\n  - 1", "\tphases: 1", '"\\xzz"'],
)
def test_what_is_no_set_of_materials_is_refused(tmp_path, text):
    refused(tmp_path, text, "m.yaml")


def test_a_long_value_is_shown_in_part(tmp_path):
    for text in ("type: " + "isely " * 1000, "type: isotropic, E: 1, " + "k" * 900 + ": 1"):
        refused(tmp_path, f"phases:\n  - elastic: {{{text}}}\n", r"\.\.\.$")


@pytest.mark.parametrize("name", ["[1]", "{a: 1}", "null", "true"])
def test_a_name_is_a_text(tmp_path, name):
    refused(tmp_path, f"name: {name}\nphases:\n  - conductivity: 1\n", "`name` must be a text")
    refused(tmp_path, f"phases:\n  - {{conductivity: 1, name: {name}}}\n", "`name` must be a text")


def test_a_long_file_and_a_pipe_are_refused(tmp_path):
    refused(tmp_path, "#" * (1 << 21), "have at most")
    os.unlink(tmp_path / "m.yaml")
    os.mkfifo(tmp_path / "m.yaml")
    with pytest.raises(ValueError, match="regular file"):
        load_materials(tmp_path / "m.yaml")


def test_the_same_set_from_yaml_and_json(tmp_path):
    block = "name: a\nphases:\n  - {name: b, conductivity: [1, 2.5, 3e0]}\n"
    flow = '{"name": "a", "phases": [{"name": "b", "conductivity": [1, 2.5, 3e0]}]}'
    for text, suffix in ((block, "yaml"), (flow, "yaml"), (flow, "json")):
        found = load(tmp_path, text, suffix)
        assert (found.name, found.phase_names) == ("a", ("b",))
        np.testing.assert_array_equal(found.conductivities[0], np.diag([1, 2.5, 3]))


def test_the_example_names_every_key_and_type():
    text = (_SETS / "example.yaml").read_text(encoding="utf-8")
    arguments = {name for kind in _TYPES.values() for name in inspect.signature(kind).parameters}
    words = set(re.findall(r"\w+", text))
    assert _TOP_KEYS | _PHASE_KEYS | arguments | {"type"} <= words
    assert all(kind in text for kind in _TYPES)
    assert "example" in material_sets()
    assert max(map(len, text.splitlines())) <= 80  # the help of the command shows it


def named(*names):
    return m3.Microstructure(np.repeat(np.uint8([0, 1]), 16).reshape(8, 2, 2), phase_names=names)


CONDUCTING = "phases:\n  - {name: matrix, conductivity: 1}\n  - {name: fibre, conductivity: 3}\n"


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (("matrix", "fibre"), 1.0),
        (("fibre", "matrix"), 3.0),
        (("phase 0", "phase 1"), 1.0),  # a volume without names
        (("matrix", "phase 1"), 1.0),
    ],
)
def test_materials_are_found_by_the_names_of_the_phases(tmp_path, names, first):
    found = load(tmp_path, CONDUCTING)
    assert found.for_phases(names).conductivities[0][0, 0] == first
    only_first = named(*names)[:3]
    assert m3.homogenize_conductivity(only_first, found).tensor[0, 0] == pytest.approx(first)


def test_materials_of_other_names_are_refused_unless_they_have_none(tmp_path):
    found = load(tmp_path, CONDUCTING)
    volume = named("fibre", "void")
    wanted = "must be those of the volume's phases, fibre, void, got matrix, fibre"
    with pytest.raises(ValueError, match=wanted):
        m3.homogenize_conductivity(volume, found)
    unnamed = load(tmp_path, "phases:\n  - conductivity: 1\n  - conductivity: 3\n")
    got = m3.homogenize_conductivity(volume, unnamed)
    assert np.diag(got.tensor) == pytest.approx([2.0, 2.0, 1.5])
    assert got == m3.homogenize_conductivity(np.asarray(volume), found)  # an array has no names
    with pytest.raises(ValueError, match="`materials` must be a set that gives materials of its"):
        m3.homogenize_elasticity(volume, unnamed)


def test_a_set_may_hold_more_phases_than_the_volume(tmp_path):
    more = CONDUCTING + "  - {name: void, conductivity: 0}\n"
    found = load(tmp_path, more)
    assert found.for_phases(("void", "matrix")).phase_names == ("void", "matrix")
    assert found.for_phases(("phase 0", "phase 1")) is found
