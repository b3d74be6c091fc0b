# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""JSON and YAML of files as plain data: no key twice, no deep nesting, no aliases, no surprises."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from ._checks import refuse_content, shown
from ._errors import ArgumentError
from ._files import first_line

#: Levels of lists and mappings inside each other: in a file, and in what a user gives to store.
MAX_DEPTH, MAX_GIVEN_DEPTH = 100, 64
_MOST = 1 << 26  # characters
_MOST_YAML = 1 << 20

_WORDS = {word: value for value, words in ((None, "~ null Null NULL"), (True, "true True TRUE"),
          (False, "false False FALSE")) for word in words.split()}  # fmt: skip
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
#: What YAML 1.1 and YAML 1.2 read differently: booleans, octal numbers, sixties, underscores.
_AMBIGUOUS = re.compile(
    r"(?i:yes|no|on|off)|[-+]?0[0-9_]+|0[ob][0-9_]+|[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"
    r"|[-+]?[0-9]+_[0-9_]*(\.[0-9_]*)?"
)


def load_json(text: str, source: Any, most: int = _MOST) -> Any:
    """Return the data of a JSON text; ``source`` names it in refusals."""
    require_length(text, most, source)

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


def load_yaml(text: str, source: Any) -> Any:
    """Return the data of a YAML text: mappings with texts as keys, lists, texts, numbers, booleans.

    Refused are aliases and tags, a key given twice, and scalars that YAML 1.1 and 1.2 read
    differently unless they are in quotes.
    """
    import yaml

    require_length(text, _MOST_YAML, source)
    document = _Document(source)
    try:
        for event in yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            document.add(event)
    except ArgumentError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        got = " ".join(str(error).split())[:200]
        raise refuse_content(source, "be YAML", got) from None
    return document.data


class _Document:
    """The data of one YAML document, from the events of its parser."""

    def __init__(self, source: Any) -> None:
        self.data: Any = None
        self._source = source
        self._open: list[Any] = []  # the mappings and lists that are not finished
        self._keys: list[str | None] = []  # of each, the key that waits for its value
        self._documents = 0

    def add(self, event: Any) -> None:
        """Add what an event of the parser stands for."""
        kind, line = type(event).__name__, event.start_mark.line + 1
        self._documents += kind == "DocumentStartEvent"
        if kind == "AliasEvent" or getattr(event, "tag", None) or self._documents > 1:
            what = "an alias" if kind == "AliasEvent" else "a tag or a second document"
            raise self._refusal("hold plain data", what, line)
        if kind in ("MappingEndEvent", "SequenceEndEvent"):
            self._open.pop()
            self._keys.pop()
        elif kind in ("MappingStartEvent", "SequenceStartEvent"):
            if len(self._open) >= MAX_DEPTH:
                raise _too_deep(self._source)
            container: Any = {} if kind == "MappingStartEvent" else []
            self._put(container, None, line)
            self._open.append(container)
            self._keys.append(None)
        elif kind == "ScalarEvent":
            plain = not event.style
            is_key = self._open and isinstance(self._open[-1], dict) and self._keys[-1] is None
            text = event.value
            value = self._scalar(text, line) if plain and not is_key else text
            self._put(value, text, line)

    def _put(self, value: Any, text: str | None, line: int) -> None:
        """Add a value to the mapping or list that is open; a scalar may be a key."""
        if not self._open:
            self.data = value
        elif isinstance(self._open[-1], list):
            self._open[-1].append(value)
        elif (key := self._keys[-1]) is not None:
            self._open[-1][key], self._keys[-1] = value, None
        elif text is None:
            raise self._refusal("have texts as keys", "a mapping or a list", line)
        elif text in self._open[-1]:
            raise self._refusal("give every key once", f"{shown(text)} twice", line)
        else:
            self._keys[-1] = text

    def _scalar(self, text: str, line: int) -> Any:
        """Return the value of a scalar without quotes."""
        if _AMBIGUOUS.fullmatch(text):
            hint = "put a text in quotes, and write a number in decimals"
            got = f"{text[:40]!r} in line {line}"
            raise refuse_content(self._source, "mean the same in YAML 1.1 and 1.2", got, hint)
        if text in _WORDS or not text:
            return _WORDS.get(text)
        if _INTEGER.fullmatch(text):
            return int(text, 0)
        return float(text) if NUMBER.fullmatch(text) else text

    def _refusal(self, wanted: str, got: str, line: int) -> ArgumentError:
        return refuse_content(self._source, wanted, f"{got} in line {line}")


def require_length(text: str | bytes, most: int, source: Any) -> None:
    """Refuse a text that is longer than such texts are."""
    if len(text) > most:
        raise refuse_content(source, f"have at most {most} characters", str(len(text)))


def _too_deep(source: Any) -> ArgumentError:
    wanted = f"nest at most {MAX_DEPTH} lists and mappings in each other"
    return refuse_content(source, wanted, "more")
