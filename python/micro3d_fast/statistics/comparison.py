# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The result of a comparison: its curves, its errors, and how it prints (see `compare`)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks, _notebook
from .._planes import AXIS_NAMES, PLANES
from .._results import Result
from .._spread import percent_error as _percent
from .verdict import Verdict

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

__all__ = ["FUNCTIONS", "Comparison", "Curve"]

FUNCTIONS = ("S2", "L", "autocovariance")


@dataclass(frozen=True, eq=False)
class Curve(Result):
    """One curve of the generated and of the reference side.

    Attributes
    ----------
    function : str
        ``"S2"``, ``"L"`` or ``"autocovariance"`` (``(S2 - φ²) / (φ - φ²)``).
    phase : int
    plane, direction : str
        Plane (``"xy"``, ``"xz"``, ``"yz"``) and the axis in it along which the lag runs.
    lag : array of int
        0 … half the image, in voxels of the generated side.
    generated, reference : array of float64
        The two curves.
    generated_std, reference_std : array of float64
        Standard deviation between the volumes (or blocks, or images) of each side.
    error : float
        ``Σ |generated - reference| / Σ |reference|``.
    floor : float
        The error between two random halves of the reference; nan if it cannot be halved.
    scatter : float
        The error of real blocks against the rest of the reference; nan where not available.
    interval : tuple of float
        Bootstrap interval of ``error``, which it contains; both sides are resampled, so it is
        biased upwards.
    real_std : array of float64 or None
        Standard deviation of a real specimen of the generated size about the reference curve.
    """

    function: str
    phase: int
    plane: str
    direction: str
    lag: np.ndarray
    generated: np.ndarray
    reference: np.ndarray
    generated_std: np.ndarray
    reference_std: np.ndarray
    error: float
    floor: float
    scatter: float
    interval: tuple[float, float]
    real_std: np.ndarray | None = None

    def __repr__(self) -> str:
        return (
            f"Curve({self.function} of phase {self.phase}, plane {self.plane} along "
            f"{self.direction}: error {_percent(self.error)}, floor {_percent(self.floor)})"
        )


@dataclass(frozen=True, eq=False)
class Comparison(Result):
    """Generated microstructures against their reference (see `compare`).

    Attributes
    ----------
    curves : tuple of Curve
        All curves, for tables and figures.
    generated, reference : str
        Number and size of the volumes or images of each side.
    units : dict of str to str
        What the floor halves, for each plane.
    fractions_generated, fractions_reference : array, shape (P,)
        Volume fractions; the planes of a set of images have equal weights.
    phase_names : tuple of str
    confidence : float
        Level of the bootstrap intervals.
    seed : int
        Seed of the random halves and of the bootstrap.
    verdict : Verdict or None
        Whether the generated side could be real; None where it was not judged.
    """

    curves: tuple[Curve, ...]
    generated: str
    reference: str
    units: dict[str, str]
    fractions_generated: np.ndarray
    fractions_reference: np.ndarray
    phase_names: tuple[str, ...]
    confidence: float
    seed: int
    verdict: Verdict | None = None

    def select(
        self,
        function: str | None = None,
        *,
        phase: int | str | None = None,
        plane: str | None = None,
        direction: str | None = None,
    ) -> tuple[Curve, ...]:
        """Return the curves of a function, phase, plane and direction; None stands for all.

        ``phase`` is a label or a name.

        Raises
        ------
        ValueError
            A name that no comparison has, or a phase that this one does not have.
        """
        if isinstance(phase, str):
            phase = _checks.phase_number(phase, names=self.phase_names)
        known = {
            "function": (function, FUNCTIONS),
            "phase": (phase, range(len(self.phase_names))),
            "plane": (plane, PLANES),
            "direction": (direction, AXIS_NAMES),
        }
        for name, (value, values) in known.items():
            if value is not None and value not in values:
                allowed = ", ".join(map(repr, values))
                raise _checks.refuse(name, f"be one of {allowed}", repr(value))
        return tuple(
            c
            for c in self.curves
            if function in (None, c.function)
            and phase in (None, c.phase)
            and plane in (None, c.plane)
            and direction in (None, c.direction)
        )

    def error(self, function: str = "S2", **selection: Any) -> float:
        """Return the mean relative error of the selected curves (see `select`)."""
        return _mean(c.error for c in self.select(function, **selection))

    def floor(self, function: str = "S2", **selection: Any) -> float:
        """Return the mean split-half floor of the selected curves."""
        return _mean(c.floor for c in self.select(function, **selection))

    def scatter(self, function: str = "S2", **selection: Any) -> float:
        """Return the mean error of as many real blocks; nan where not available."""
        return _mean(c.scatter for c in self.select(function, **selection))

    def table(self) -> list[dict[str, Any]]:
        """Return one row (dict) per curve: what, error, floor, scatter and bootstrap interval."""
        return [
            {
                "phase": c.phase,
                "plane": c.plane,
                "direction": c.direction,
                "function": c.function,
                "error": c.error,
                "floor": c.floor,
                "scatter": c.scatter,
                "low": c.interval[0],
                "high": c.interval[1],
                "max_lag": int(c.lag[-1]),
            }
            for c in self.curves
        ]

    def to_pandas(self) -> pandas.DataFrame:
        """Return `table` as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(self.table())

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain lists, numbers and strings (nan as None), ready for JSON."""
        rows = []
        for row, curve in zip(self.table(), self.curves, strict=True):
            lists = {
                name: getattr(curve, name).tolist()
                for name in ("lag", "generated", "reference", "generated_std", "reference_std")
            }
            lists["real_std"] = None if curve.real_std is None else curve.real_std.tolist()
            rows.append(_plain({**row, **lists}))
        return {
            "summary": self.summary(),
            "generated": self.generated,
            "reference": self.reference,
            "units": dict(self.units),
            "phase_names": list(self.phase_names),
            "fractions_generated": self.fractions_generated.tolist(),
            "fractions_reference": self.fractions_reference.tolist(),
            "confidence": self.confidence,
            "seed": self.seed,
            "verdict": None if self.verdict is None else _plain(self.verdict.to_dict()),
            "curves": rows,
        }

    def summary(self) -> str:
        """Return the mean errors beside those of real specimens, and the fractions, in one line."""
        parts = []
        for name in ("S2", "L"):
            scatter, floor = self.scatter(name), self.floor(name)
            beside = f"floor {_percent(floor)}"
            if not math.isnan(scatter):
                beside = f"real specimens {_percent(scatter)}"
            parts.append(f"{name} error {_percent(self.error(name))} ({beside})")
        text = "; ".join(parts)
        made, given = self.fractions_generated > 0, self.fractions_reference > 0
        for only, side in ((made & ~given, "generated"), (given & ~made, "reference")):
            names = [name for name, alone in zip(self.phase_names, only, strict=True) if alone]
            if names:
                text += f"; in the {side} alone: {', '.join(names)}"
        ours = " / ".join(f"{v:.3f}" for v in self.fractions_generated)
        theirs = " / ".join(f"{v:.3f}" for v in self.fractions_reference)
        return f"{text}; fractions {ours} against {theirs}"

    def _repr_html_(self) -> str:
        return _notebook.comparison_html(self)

    def __str__(self) -> str:
        lines = [
            f"{self.generated} against {self.reference}",
            f"{'phase':<16} {'plane':<5} {'along':<5} {'function':<14} "
            f"{'error':>8} {'floor':>8} {'scatter':>8} {'interval':>17}",
        ]
        lines += [
            f"{self.phase_names[c.phase][:16]:<16} {c.plane:<5} {c.direction:<5} {c.function:<14} "
            f"{_percent(c.error):>8} {_percent(c.floor):>8} {_percent(c.scatter):>8} "
            f"{_percent(c.interval[0]) + ' … ' + _percent(c.interval[1]):>17}"
            for c in self.curves
        ]
        if self.verdict is not None:
            lines.insert(0, f"Verdict: {self.verdict}")
        return "\n".join([*lines, self.summary()])

    def plot(self, function: str | None = None, **selection: Any) -> Figure:
        """Return a matplotlib Figure of the curves (see `statistics.figures.plot_comparison`)."""
        from .figures import plot_comparison

        return plot_comparison(self, function, **selection)


def _mean(values: Iterable[float]) -> float:
    """Return the mean; nan of no values."""
    found = list(values)
    return float(np.mean(found)) if found else float("nan")


def _plain(value: Any) -> Any:
    """Return the value, with None for each float that JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
