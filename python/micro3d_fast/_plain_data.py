# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""JSON and YAML of files as plain data: no key twice, no deep nesting, no aliases, no surprises."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ._checks import refuse_content, shown
from ._errors import ArgumentError
from ._files import first_line

#: Levels of lists and mappings inside each other: in a file, and in what a user gives to store.
MAX_DEPTH, MAX_GIVEN_DEPTH = 100, 64
_MOST = 1 << 26  # characters


def load_json(text: str, source: Any) -> Any:
    """Return the data of a JSON text; ``source`` names it in refusals."""
    require_length(text, _MOST, source)

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key, value in pairs:
            if key in found:
                raise refuse_content(source, "give every key once", f"{shown(key)} twice")
            found[key] = value
        return found

    try:
        data = json.loads(text, object_pairs_hook=unique)
    except ArgumentError:
        raise
    except RecursionError:
        raise _too_deep(source) from None
    except ValueError as error:
        raise refuse_content(source, "be JSON", first_line(error)) from None
    require_shallow(data, source)
    return data


def require_shallow(data: Any, source: Any) -> None:
    """Refuse lists and mappings that are nested deeper than `MAX_DEPTH`."""
    level: Sequence[Any] = [data]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    if level:
        raise _too_deep(source)


def load_json_object(text: str, source: Any) -> dict[str, Any]:
    """Return the object of a JSON text."""
    data = load_json(text, source)
    if not isinstance(data, dict):
        raise refuse_content(source, "be a JSON object", shown(data))
    return data


def require_length(text: str | bytes, most: int, source: Any) -> None:
    """Refuse a text that is longer than such texts are."""
    if len(text) > most:
        raise refuse_content(source, f"have at most {most} characters", str(len(text)))


def _too_deep(source: Any) -> ArgumentError:
    wanted = f"nest at most {MAX_DEPTH} lists and mappings in each other"
    return refuse_content(source, wanted, "more")
