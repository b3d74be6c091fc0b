# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Refusals: the sentence, its parts, and what renaming an argument changes."""

from __future__ import annotations

import pickle

import pytest

from micro3d_fast import _checks
from micro3d_fast._errors import ArgumentError, ArgumentTypeError


@pytest.mark.parametrize(
    ("refuse", "kind", "builtin"),
    [
        (_checks.refuse, ArgumentError, ValueError),
        (_checks.refuse_type, ArgumentTypeError, TypeError),
    ],
)
def test_a_refusal_is_one_sentence_of_three_parts(refuse, kind, builtin):
    error = refuse("passes", "be None where `quality` is given", "'`x`'", "see `sampler`")
    assert type(error) is kind
    assert isinstance(error, builtin)
    assert (error.name, error.wanted, error.got) == (
        "passes",
        "be None where `quality` is given",
        "'`x`'",
    )
    assert str(error) == (
        "`passes` must be None where `quality` is given, got '`x`': see `sampler`"
    )
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.name) == (kind, str(error), "passes")


def test_renaming_reaches_every_argument_but_not_what_came():
    error = _checks.refuse("passes", "be None where `quality` is given", "'`x`'", "see `sampler`")
    assert error.sentence("--{}".format) == (
        "--passes must be None where --quality is given, got '`x`': see --sampler"
    )


def test_a_value_of_a_file_is_not_an_argument():
    error = _checks.refuse("alpha", "be a finite number", "nan").in_source("a.yaml")
    assert str(error) == "a.yaml: `alpha` must be a finite number, got nan"
    assert error.sentence("--{}".format) == str(error)
    whole = _checks.refuse("labels", "not be empty", "shape (0,)").in_source("a.npy", named=False)
    assert str(whole) == "a.npy must not be empty, got shape (0,)"
    assert str(pickle.loads(pickle.dumps(whole))) == str(whole)
