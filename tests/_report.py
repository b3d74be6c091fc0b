# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes, micrographs and a parser of pages, for tests of reports."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser

import numpy as np

import micro3d_fast as m3

PROVENANCE = {
    "model": "0123456789abcdef",
    "model_name": "run/a b",
    "sampler": "fast",
    "settings": {"steps": 24, "harmonize": 3, "gamma": 0.5},
    "passes": 93,
    "guidance": 1.0,
    "periodic": [True, False, False],
    "seed": 7,
    "raw_volume_fractions": [0.61, 0.39],
    "asked_volume_fractions": [0.6, 0.4],
}


def stripes(shape=(16, 20, 24), seed: int = 0) -> np.ndarray:
    """Columns along z with ragged edges: two phases, anisotropic."""
    rng = np.random.default_rng(seed)
    y, x = np.indices(shape[1:])
    columns = (np.sin(x * 0.9 + rng.uniform(0, 6)) + np.sin(y * 0.7 + rng.uniform(0, 6))) > 0.3
    labels = np.broadcast_to(columns, shape).copy()
    labels ^= rng.random(shape) < 0.02
    return labels.astype(np.uint8)


def microstructure(**changes) -> m3.Microstructure:
    options = {
        "voxel_size": (2e-6, 1e-6, 1e-6),
        "phase_names": ("matrix", "fibre"),
        "provenance": PROVENANCE,
    }
    return m3.Microstructure(stripes(), **{**options, **changes})


def micrographs(n: int = 6) -> m3.Micrographs:
    return m3.Micrographs.from_volume(
        stripes((24, 24, 30), seed=1),
        n,
        voxel_size=(2e-6, 1e-6, 1e-6),
        phase_names=("matrix", "fibre"),
    )


def judged(comparison: m3.Comparison, **changes: object) -> m3.Comparison:
    """Return the comparison with another verdict."""
    assert comparison.verdict is not None
    verdict = dataclasses.replace(comparison.verdict, **changes)
    return dataclasses.replace(comparison, verdict=verdict)


class Page(HTMLParser):
    """The parts of a page that tests check."""

    VOID = frozenset({"meta", "img", "input", "br"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.balanced = True
        self.words: list[str] = []
        self.scripts: dict[str, str] = {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID and (not self.open or self.open.pop() != tag):
            self.balanced = False

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            attributes = next(a for t, a in reversed(self.tags) if t == "script")
            kind = "data" if attributes.get("type") else "code"
            key = attributes.get("id") or kind
            self.scripts[key] = self.scripts.get(key, "") + data if kind == "code" else data
        elif not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]
