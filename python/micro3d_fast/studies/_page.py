# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The page of a study, ``study.html``, in the style of a report."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._planes import PLANES
from .._png import rgb_png
from ..report import Boxes, Figure, Line, Picture, Plot, Section, Table, Text
from ..report import parts as page
from ..statistics import Verdict
from ._errors import FUNCTIONS, GroupErrors
from ._measure import DESCRIPTORS
from ._plan import GENERATED, REAL
from ._samples import TwoSample
from ._tables import TABLES

if TYPE_CHECKING:
    from ._result import Study

SYMBOLS = {"S2": "S₂", "L": "L"}
ROLES = ("first", "second", "third", "fourth")  # of lines
STILLS = 4  # volumes drawn from a corner


@dataclass(frozen=True)
class _Head:
    """What stands above the sections: `report.parts.Head`."""

    study: Study

    @property
    def title(self) -> str:
        return f"Validation of {self.study.model_name}"

    @property
    def verdict(self) -> str:
        return self.study.verdict

    @property
    def judged(self) -> Verdict | None:
        return self.study.comparison.verdict

    @cached_property
    def software(self) -> Mapping[str, Any]:
        return page.software_versions()

    def facts(self) -> list[tuple[str, str]]:
        study = self.study
        facts = [
            ("Volumes", str(len(study.numbers))),
            ("Real blocks", str(study.quantities.reference_count or "none")),
            ("Voxels (z × y × x)", " × ".join(map(str, study.volume_shape))),
        ]
        made = study.volume(study.numbers[0]).provenance
        facts.append(("Sampler", f"{made['sampler']}, {made['passes']} passes"))
        if "volume" in study.seconds:
            facts.append(("Time of a volume", page.duration(study.seconds["volume"])))
        return facts


def write_page(study: Study, files: Sequence[Path]) -> Path:
    """Write ``study.html``; ``files`` are the figures that it names."""
    head = _Head(study)
    sections = list(_sections(study, head, files))
    text = page.page_of(head, sections, datetime.date.today(), "study.json")
    return page.write_page(study.out / "study.html", text)


def _sections(study: Study, head: _Head, files: Sequence[Path]) -> Iterator[Section]:
    """Yield the sections of the page; the first is what it opens with."""
    first = study.volume(study.numbers[0])
    subject = page.Subject(
        np.asarray(first.labels), first.voxel_size, first.phase_names, first.provenance
    )
    opening: list[page.Part] = [page.viewer(subject)]
    if study.tests:
        opening.append(_main_table(study))
    yield Section("At a glance", tuple(opening), anchor="overview")
    word = study.against
    yield _stills(study)
    yield page.slices_section(subject, study.micrographs)
    curves = page.curves_section(study.comparison, subject, word, "mean of the volumes")
    if curves is not None:
        yield curves
    yield page.errors_section(study.comparison, subject, reference=word)
    if study.comparison.verdict is not None:
        yield page.deviations_section(study.comparison, study.comparison.verdict)
    yield from _distributions(study)
    if grid := study.of_kind("grid"):
        yield _grid(study, grid)
    for kind, title, anchor in (
        ("ablation", "Without each part of the sampler", "ablation"),
        ("model", "Other models", "models"),
    ):
        if groups := study.of_kind(kind):
            yield _variants(study, groups, title, anchor)
    yield _work(study, files)
    yield page.provenance_section(first.provenance, head.software)


def _main_table(study: Study) -> Table:
    """Return how the components of every quantity fare, a row each."""
    rows: list[list[Any]] = []
    strong: list[int] = []
    for name, found in study.quantities.items():
        tests = [test for test in study.tests if test.quantity == name]
        differing = sum(test.differs for test in tests)
        inside = f"{sum(test.inside for test in tests)} of {len(tests)}"
        smallest = min((test.location_p for test in tests), default=math.nan)
        strong += [len(rows)] if differing else []
        rows.append([found.title, inside, f"{differing} of {len(tests)}", smallest])
    return Table(
        ["Quantity", "medians inside", "different", "smallest p"],
        rows,
        "Volumes against real blocks, over the components of every quantity. Inside: the median of "
        "the volumes lies between the quartiles of the blocks. Different: at 5 % over all "
        "quantities together (Mann-Whitney, Holm), in bold.",
        ["", "", "", ".2g"],
        strong=strong,
    )


def stills(study: Study, pixels: int = 320) -> list[tuple[int, np.ndarray]]:
    """Return number and picture (RGBA) of some volumes, seen from a corner."""
    found = []
    for number in study.numbers[:STILLS]:
        volume = study.volume(number)
        labels = np.asarray(volume.labels)
        hidden = (0,) if np.unique(labels).size > 1 and (labels == 0).any() else ()
        picture = page.render_block(labels, hidden, voxel_size=volume.voxel_size, pixels=pixels)
        found.append((number, picture))
    return found


def _stills(study: Study) -> Section:
    pictures = [
        Picture(rgb_png(picture), f"Volume {number} seen from a corner.")
        for number, picture in stills(study)
    ]
    caption = (
        f"The first {len(pictures)} volumes, {study.comparison.phase_names[0]} left out. Each has "
        "another seed and nothing else."
    )
    return Section("Volumes", (Figure(pictures, caption, columns=len(pictures)),), anchor="volumes")


def _distributions(study: Study) -> Iterator[Section]:
    """Yield a section on the properties and one on the descriptors."""
    by_quantity: dict[str, dict[str, TwoSample]] = {}
    for test in study.tests:
        by_quantity.setdefault(test.quantity, {})[test.component] = test
    for title, anchor, wanted in (
        ("Effective properties", "properties", False),
        ("Fractions, surface, percolation", "descriptors", True),
    ):
        figures = [
            _distribution(study, name, by_quantity.get(name, {}))
            for name in study.quantities
            if (name in DESCRIPTORS) == wanted
        ]
        if not figures:
            continue
        lead = (
            "Each dot is one volume or one real block of the same size; the box holds the middle "
            "half, the thick line is the median. p: Mann-Whitney test."
        )
        warnings = () if wanted else tuple(Text(w, "warning") for w in study.quantities.warnings)
        yield Section(title, (*figures, *_test_table(study, wanted), *warnings), lead, anchor)


def _distribution(study: Study, name: str, tests: Mapping[str, TwoSample]) -> Figure:
    """Return the figure of one quantity: a plot per component."""
    found = study.quantities[name]
    scale, unit = found.printed_unit
    plots = []
    for k, component in enumerate(found.components):
        rows = [("volumes", "second", found.values[:, k] / scale)]
        note = ""
        if found.reference is not None:
            rows.insert(0, ("real blocks", "first", found.reference[:, k] / scale))
        if component in tests:
            note = f"p = {tests[component].location_p:.2g}"
        title = f"{component}{unit}"
        plots.append(Boxes(rows, title, note=note, alt=f"{found.title} {title}; {note}"))
    title = f"{found.title[0].upper()}{found.title[1:]}"
    return Figure(plots, f"{title} of the volumes and of the real blocks, each at its own scale.",
                  title=title)  # fmt: skip


def _test_table(study: Study, descriptors: bool) -> list[Table]:
    """Return quartiles and tests of the descriptors or of the properties."""
    tests = [t for t in study.tests if (t.quantity in DESCRIPTORS) == descriptors]
    if not tests:
        return []
    rows = []
    for test in tests:
        found = study.quantities[test.quantity]
        scale, unit = found.printed_unit
        sides = [v / scale for side in (test.generated, test.reference) for v in side]
        rows.append(
            [
                f"{found.title}{unit}",
                test.component,
                *sides,
                test.larger,
                test.location_p,
                test.shape_p,
            ]
        )
    quarters = ("25 %", "median", "75 %")
    columns = ["Quantity", "Component", *quarters, *(f"real {q}" for q in quarters)]
    return [
        Table(
            [*columns, "larger", "p (M-W)", "p (K-S)"],
            rows,
            "Quartiles of the volumes and of the real blocks; the share of pairs in which the "
            "volume has the larger value; p-values of the Mann-Whitney and the Kolmogorov-Smirnov "
            "test, of each quantity alone. Blocks of one tomogram are not quite independent, so p "
            "is somewhat too small.",
            ["", "", *[".4g"] * 6, ".2f", ".2g", ".2g"],
            row_headers=2,
            strong=[k for k, test in enumerate(tests) if test.differs],
        )
    ]


def _error_rows(groups: Sequence[GroupErrors]) -> list[list[Any]]:
    """Return title, number and the mean error of every function and plane."""
    return [
        [one.title, one.count, *(one.mean(f, plane)[0] for f in FUNCTIONS for plane in PLANES)]
        for one in groups
        if one.count
    ]


def _error_table(study: Study, groups: Sequence[GroupErrors], caption: str) -> Table:
    base = [one for one in study.errors if one.group in (GENERATED, REAL)]
    columns = ["", "volumes", *(f"{SYMBOLS[f]} {plane}" for f in FUNCTIONS for plane in PLANES)]
    rows = _error_rows([*base, *groups])
    return Table(columns, rows, caption, ["", "d", *["%"] * 6], strong=range(len(base)))


def _grid(study: Study, grid: Sequence[GroupErrors]) -> Section:
    """Return the parametric study: errors against γ for each n_h, or against n_h."""
    gammas = {float(one.options["gamma"]) for one in grid}
    x_name, own_name = ("gamma", "harmonize") if len(gammas) > 1 else ("harmonize", "gamma")
    symbols = {"gamma": "γ", "harmonize": "nₕ"}
    series = sorted({one.options[own_name] for one in grid})
    real, plots = study.real_errors, []
    for function, plane in itertools.product(FUNCTIONS, PLANES):
        lines = []
        for own, role in zip(series, itertools.cycle(ROLES), strict=False):
            cells = [one for one in grid if one.options[own_name] == own and one.count]
            cells.sort(key=lambda one: float(one.options[x_name]))
            x = [float(one.options[x_name]) for one in cells]
            y = [one.mean(function, plane)[0] for one in cells]
            lines.append(Line(x, y, f"{symbols[own_name]} = {own:g}", role))
        if real is not None and lines[0].x:
            level = real.mean(function, plane)[0]
            lines.append(Line(lines[0].x, [level] * len(lines[0].x), "", "reference"))
        title = f"{SYMBOLS[function]}, {plane}"
        alt = f"Error of {function} in {plane} against γ and nₕ."
        plots.append(Plot(lines, title, symbols[x_name], "relative error", alt=alt))
    caption = "Mean relative error of single volumes, in the composition of the paper's Figure 6."
    legend = [("reference", "real blocks")] if study.real_errors is not None else []
    parts = (
        Figure(plots, caption, legend=legend),
        _error_table(study, grid, "Mean errors of single volumes of every cell of the grid."),
    )
    steps = grid[0].options["sampler"]["steps"]
    lead = (
        f"Volumes of the paper's sampler with {steps} steps, with various weights γ of the "
        "harmonized sample (Eq. 17) and numbers nₕ of harmonizing passes per step. No fraction is "
        "matched."
    )
    return Section("γ and nₕ", parts, lead, "grid")


def _variants(study: Study, groups: Sequence[GroupErrors], title: str, anchor: str) -> Section:
    """Return errors of variants beside those of the study, as boxes (Figure B1)."""
    base = [one for one in study.errors if one.group in (REAL, GENERATED)]
    shown = [*base, *groups]
    plots = [
        Boxes(
            [
                (one.title, "first" if one.group == REAL else "second", one.errors[function, plane])
                for one in shown
            ],
            f"{SYMBOLS[function]}, {plane}",
            "relative error",
            alt=f"Errors of {function} in {plane} of every variant.",
            x_from_zero=True,
        )
        for function in FUNCTIONS
        for plane in PLANES
    ]
    caption = "Relative errors of single volumes and real blocks, as in the paper's Figure B1."
    table = _error_table(study, groups, "Mean errors of single volumes.")
    return Section(title, (Figure(plots, caption), table), anchor=anchor)


def _work(study: Study, files: Sequence[Path]) -> Section:
    """Return what was done, what failed, and the files."""
    titles = {name: group.title for name, group in study.plan.groups.items()}
    rows = [[titles[name], done, total] for name, (done, total) in study.done.items()]
    parts: list[page.Part] = [Table(["Volumes", "done", "of"], rows, "Tasks of the study.")]
    if study.failed:
        failed = [[name, error] for name, error in study.failed.items()]
        parts.append(Table(["Task", "Failed with"], failed, "Tasks that failed; the same call "
                           "tries them again."))  # fmt: skip
    times = [[name.capitalize(), page.duration(s)] for name, s in study.seconds.items()]
    parts.append(Table(["Step", "Time"], times, "Mean times of a volume on its worker."))
    parts.append(Table(["Resource", "Value"], [list(item) for item in study.resources.items()]))
    names = [[str(file.relative_to(study.out)), "figure"] for file in files]
    names += [[name, text] for name, text in TABLES.items()]
    parts.append(Table(["File", "Holds"], names, "Files beside this page."))
    return Section("Work and files", tuple(parts), anchor="work")
