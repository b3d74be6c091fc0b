# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The result of a study: `Study`, from the files of its folder."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .._atomic import sweep
from .._results import Result
from .._spread import MOST, percent_error
from ..homogenization import MaterialSet, PropertyScatter
from ..homogenization.scatter import ScatteredProperty
from ..micrographs import Micrographs
from ..microstructure import Microstructure, plain_json
from ..statistics import Comparison, compare
from ._errors import GroupErrors, group_errors, reference_curves
from ._plan import GENERATED, REAL, Plan, Task
from ._samples import LEVEL, TEST, TwoSample, smallest_p, two_sample, with_holm


@dataclass(frozen=True, eq=False)
class Study(Result):
    """Volumes of a model against their truth (see `study`).

    Attributes
    ----------
    out : Path
        The folder.
    model_name : str
    volume_shape : (nz, ny, nx)
    comparison : Comparison
        Of all volumes together with the micrographs, or with the truth where none were given.
    quantities : PropertyScatter
        Every descriptor and property of all volumes, and of the real blocks: ``"fraction"``,
        ``"surface"``, ``"percolating"``, ``"E"``, ``"nu"``, ``"G"``, ``"alpha"``,
        ``"conductivity"``, ``"D"``.
    tests : tuple of TwoSample
        Volumes against real blocks, component by component; empty without real blocks.
    errors : tuple of GroupErrors
        Of single volumes: those of the study, real blocks, and every cell of the parametric study
        and variant of the ablation.
    outcomes : dict of str to int
        How many volumes alone have which verdict.
    done : dict of str to (int, int)
        Tasks that are done, and all tasks, of every group.
    failed : dict of str to str
        Tasks that failed, such as ``"generated/0003"``, and why.
    seconds : dict of str to float
        Mean time of a volume, of its descriptors and of its properties.
    resources : dict of str to str
        Workers, threads and memory of the run that finished it.
    """

    out: Path
    model_name: str
    volume_shape: tuple[int, int, int]
    comparison: Comparison
    quantities: PropertyScatter
    tests: tuple[TwoSample, ...]
    errors: tuple[GroupErrors, ...]
    outcomes: Mapping[str, int]
    done: Mapping[str, tuple[int, int]]
    failed: Mapping[str, str]
    seconds: Mapping[str, float]
    resources: Mapping[str, str]

    # --------------------------------------------------------------------------------- inputs

    @cached_property
    def plan(self) -> Plan:
        """The plan that its folder holds."""
        return Plan.load(self.out)

    @property
    def micrographs(self) -> Micrographs:
        """The micrographs: those given, or slices of the truth."""
        return self.plan.images

    @property
    def truth(self) -> Microstructure | None:
        """The tomogram, if one was given."""
        return self.plan.truth_volume

    @property
    def materials(self) -> MaterialSet | None:
        """The materials of the phases, if given."""
        return self.plan.material_set

    def volume(self, number: int = 0, group: str = GENERATED) -> Microstructure:
        """Return a volume of the study.

        Parameters
        ----------
        number : int
            Of the volume; its seed is the study's plus this.
        group : str
            ``"generated"``, or a cell of the parametric study or of the ablation.

        Returns
        -------
        Microstructure
        """
        return Microstructure.load(self.plan.volume_file(Task(group, number)))

    @property
    def numbers(self) -> list[int]:
        """Numbers of the volumes that were made and measured."""
        return [task.number for task in self.plan.done_tasks(GENERATED)]

    def of_kind(self, kind: str) -> list[GroupErrors]:
        """Return the errors of the groups of a kind."""
        return [one for one in self.errors if one.kind == kind]

    @property
    def real_errors(self) -> GroupErrors | None:
        """The errors of single real blocks."""
        return next(iter(self.of_kind(REAL)), None)

    # --------------------------------------------------------------------------------- words

    @property
    def against(self) -> str:
        """What the curves are compared with."""
        return "micrographs" if self.plan.micrographs else "truth"

    @property
    def verdict(self) -> str:
        """The result in a paragraph."""
        return " ".join([self._of_curves(), *self._of_properties(), *self._of_failures()])

    def _of_curves(self) -> str:
        size = " × ".join(map(str, self.volume_shape))
        count = len(self.numbers)
        volumes = "volume" if count == 1 else "volumes"
        text = f"{count} {volumes} of {size} voxels by {self.model_name}: "
        parts = []
        for name, title in (("S2", "S₂"), ("L", "L")):
            error = _percent(self.comparison.error(name))
            expected = self.comparison.scatter(name)
            known = "" if math.isnan(expected) else f" (real specimens {_percent(expected)})"
            parts.append(f"{title} {error}{known}")
        text += f"the mean curves deviate from those of the {self.against} by {', '.join(parts)}."
        if self.comparison.verdict is not None:
            text += f" Verdict on all volumes together: {self.comparison.verdict.sentence}."
        alike = self.outcomes.get("consistent", 0)
        judged = sum(self.outcomes.values())
        if judged:
            text += f" Alone, {alike} of {judged} are consistent with a real specimen"
            others = [f"{n} {o}" for o, n in self.outcomes.items() if n and o != "consistent"]
            text += f" ({', '.join(others)})." if others else "."
        return text

    def _of_properties(self) -> list[str]:
        if not self.tests:
            return []
        inside = sum(test.inside for test in self.tests)
        blocks = self.quantities.reference_count
        text = (
            f"Against {blocks} real blocks of the same size, the medians of {inside} of "
            f"{len(self.tests)} quantities lie between the quartiles of the blocks"
        )
        differing = [test for test in self.tests if test.differs]
        if not differing and smallest_p(len(self.numbers), blocks) > LEVEL / len(self.tests):
            return [f"{text}; so few of both cannot show that any quantity differs."]
        if not differing:
            return [f"{text}; no quantity differs significantly ({TEST})."]
        names = ", ".join(
            f"{self.quantities[t.quantity].title} {t.component}".rstrip()
            + f" (p = {t.location_p:.1g})"
            for t in sorted(differing, key=lambda t: t.location_p)[:6]
        )
        more = f" and {len(differing) - 6} more" if len(differing) > 6 else ""
        return [f"{text}; significantly different ({TEST}): {names}{more}."]

    def _of_failures(self) -> list[str]:
        if not self.failed:
            return []
        tasks = "task" if len(self.failed) == 1 else "tasks"
        return [f"{len(self.failed)} {tasks} failed: {', '.join(list(self.failed)[:6])}."]

    def table(self) -> str:
        """Return what is done and every test, as text."""
        rows: list[tuple[str, ...]] = [("quantity", "volumes", "real blocks", "p")]
        for test in self.tests:
            sides = (
                f"{middle:.4g} [{low:.4g}, {high:.4g}]"
                for low, middle, high in (test.generated, test.reference)
            )
            title = f"{self.quantities[test.quantity].title} {test.component}".rstrip()
            rows.append((title, *sides, f"{test.location_p:.2g}" + " *" * test.differs))
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = [
            "  ".join([*(t.ljust(w) for t, w in zip(row, widths, strict=False)), row[3]])
            for row in (rows if self.tests else [])
        ]
        return "\n".join([done_table(self.plan), *([""] if lines else []), *lines])

    def __str__(self) -> str:
        return f"{self.verdict}\n{self.table()}"

    def write(self) -> Path:
        """Write page, figures and tables into its folder again; return ``study.html``."""
        from ._figures import write_figures
        from ._page import write_page
        from ._tables import write_tables

        for folder in (self.out, *(path for path in self.out.rglob("*") if path.is_dir())):
            sweep(folder)  # temporary files of killed writers; all work is done
        write_tables(self)
        return write_page(self, write_figures(self))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain JSON; numbers that are not finite are strings."""
        quantities = {
            name: {f.name: getattr(found, f.name) for f in dataclasses.fields(found)}
            for name, found in self.quantities.properties.items()
        }
        errors = [
            {
                "group": one.group,
                "title": one.title,
                "kind": one.kind,
                "options": dict(one.options),
                "errors": {" ".join(place): list(of) for place, of in one.errors.items()},
            }
            for one in self.errors
        ]
        record = {
            "verdict": self.verdict,
            "model": self.model_name,
            "plan": self.plan.record(),
            "comparison": self.comparison.to_dict(),
            "outcomes": dict(self.outcomes),
            "quantities": quantities,
            "tests": [{**dataclasses.asdict(t), "inside": t.inside} for t in self.tests],
            "errors": errors,
            "done": {name: list(counts) for name, counts in self.done.items()},
            "failed": dict(self.failed),
            "seconds": dict(self.seconds),
            "resources": dict(self.resources),
        }
        plain: dict[str, Any] = plain_json(record, name="study")
        return plain


def done_table(plan: Plan) -> str:
    """Return how many tasks of every group are done, one per line."""
    rows = [(plan.groups[name].title, done, total) for name, (done, total) in plan.done().items()]
    width = max(len(title) for title, _, _ in rows)
    return "\n".join(f"{title:<{width}}  {done:>4} of {total:<4}" for title, done, total in rows)


def status_of(out: str | Path) -> str:
    """Return what is done of the study in a folder, one group per line.

    Parameters
    ----------
    out : path

    Returns
    -------
    str

    Raises
    ------
    FileNotFoundError
        The folder holds no study.
    """
    folder = Path(out)
    if not (folder / "plan.json").exists():
        raise FileNotFoundError(f"`out` must hold a study, got {str(out)!r} without a plan.json")
    return done_table(Plan.load(folder))


def collect(plan: Plan, failed: Mapping[str, str], resources: Mapping[str, str]) -> Study:
    """Return the result of the tasks that are done.

    Raises
    ------
    RuntimeError
        No volume could be made.
    """
    results = {name: list(plan.results(name)) for name in plan.groups}
    made = results[GENERATED]
    if not made:
        reason = next(iter(failed.values()), "no volume is made yet")
        raise RuntimeError(f"the study in {plan.folder} has no volume: {reason}")
    files = map(plan.volume_file, plan.done_tasks(GENERATED))
    reference = plan.images if plan.micrographs else plan.truth_volume
    assert reference is not None
    comparison = compare([Microstructure.load(file) for file in files], reference)
    quantities = _quantities(plan, made, results.get(REAL, []))
    curves = reference_curves(comparison)
    errors = [
        group_errors(name, group.title, group.kind, group.options, results[name], curves)
        for name, group in plan.groups.items()
        if results[name]
    ]
    laps = {key: [r["seconds"][key] for r in made if key in r["seconds"]] for key in _LAPS}
    return Study(
        out=plan.folder,
        model_name=plan.model_name,
        volume_shape=plan.volume_shape,
        comparison=comparison,
        quantities=quantities,
        tests=_tests(quantities),
        errors=tuple(errors),
        outcomes=dict(Counter(r["verdict"] for r in made if r["verdict"] is not None)),
        done=plan.done(),
        failed=dict(failed),
        seconds={key: float(np.mean(values)) for key, values in laps.items() if values},
        resources=dict(resources),
    )


_FORMER_UNITS = {"stress": "Pa", "conductivity": ""}
_LAPS = ("volume", "descriptors", "properties")


def _quantities(
    plan: Plan, made: Sequence[Mapping[str, Any]], real: Sequence[Mapping[str, Any]]
) -> PropertyScatter:
    """Return the quantities of all volumes, beside those of the real blocks."""
    found = {}
    for name, entry in made[0]["quantities"].items():
        values, reference = (
            np.array([result["quantities"][name]["values"] for result in some], dtype=float)
            for some in (made, real)
        )
        found[name] = ScatteredProperty(
            entry["title"],
            _FORMER_UNITS.get(entry["unit"], entry["unit"]),
            tuple(entry["components"]),
            values,
            reference if real else None,
        )
    warned = [f"{w}" for result in (*made, *real) for w in result["warnings"]]
    return PropertyScatter(
        found,
        count=len(made),
        reference_count=len(real),
        shape=plan.volume_shape,
        boundary=(),
        warnings=tuple(
            f"{count} of {len(made) + len(real)} volumes and blocks: {text}"
            for text, count in Counter(warned).most_common()
        ),
    )


def _tests(quantities: PropertyScatter) -> tuple[TwoSample, ...]:
    """Return the tests of all components; none without real blocks."""
    return with_holm(
        [
            two_sample(name, component, found.values[:, k], found.reference[:, k])
            for name, found in quantities.properties.items()
            if found.reference is not None
            for k, component in enumerate(found.components)
        ]
    )


def _percent(value: float) -> str:
    if math.isnan(value) or value > MOST:
        return percent_error(value)
    return f"{100 * value:.2g} %"
