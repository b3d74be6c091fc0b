# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The verdict of a comparison: could the generated volumes be real specimens?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from .._spread import MOST

__all__ = ["OUTCOMES", "Deviation", "Verdict"]

OUTCOMES = ("consistent", "doubtful", "different", "undecided")

#: Quantities that a verdict looks at, and their names in a sentence.
QUANTITIES = {
    "S2": "two-point correlation",
    "L": "lineal path",
    "autocovariance": "autocovariance",
    "surface": "specific surface",
    "euler": "Euler number (islands less holes)",
    "tilt": "tilt against the axes",
    "islands": "number of single-pixel islands",
    "fraction": "volume fraction before matching",
}
OF_PLANE = ("euler", "tilt", "islands")  # that no direction belongs to


@dataclass(frozen=True)
class Deviation:
    """The deviation of one quantity, measured in deviations of real specimens of that size.

    Attributes
    ----------
    quantity : str
        ``"S2"``, ``"L"``, ``"autocovariance"`` (curves); ``"surface"`` (unlike neighbours per
        pixel pair), ``"euler"`` (islands less holes per pixel, by 4 neighbours), ``"tilt"`` (S2
        along one diagonal less that along the other, mean over some lags), ``"islands"``
        (single-pixel islands per pixel), ``"fraction"`` (before the fractions were matched).
    phase : int
    phase_name : str
    plane : str
        Empty for a quantity of the whole volume.
    direction : str
        Axis along which the lag runs; empty where there is none.
    generated, reference : float
        The two values; of a curve, the sums over its lags.
    error : float
        Deviation over the reference's value, both absolute; of a curve ``Σ |Δ| / Σ reference``; of
        the tilt over φ - φ², where φ is the volume fraction.
    expected : float
        Mean of ``error`` of a real specimen of the same size against this reference.
    ratio : float
        ``error / expected``.
    p_value : float
        Probability that a real specimen deviates as much in this quantity alone.
    """

    quantity: str
    phase: int
    phase_name: str
    plane: str
    direction: str
    generated: float
    reference: float
    error: float
    expected: float
    ratio: float
    p_value: float

    def __str__(self) -> str:
        where = f" in {self.plane}" if self.plane else ""
        along = f" along {self.direction}" if self.direction else ""
        if self.reference == 0 and self.quantity not in OF_PLANE:
            what = self.phase_name
            if self.quantity == "surface":  # as of straight fibres along themselves
                what, where = f"surface of {what}", f"{where}{along}"
            if self.generated == 0:
                return f"neither side shows {what}{where}"
            return f"the reference shows no {what}{where}, the generated side does"
        times = f"{self.ratio:.2g}" if self.ratio < 10 else f"{self.ratio:.0f}"
        if self.ratio > 100 * MOST:
            times = f"more than {100 * MOST:.0f}"
        return (
            f"the {QUANTITIES[self.quantity]} of {self.phase_name}{where}{along} deviates "
            f"{times} × as much as that of real specimens"
        )


@dataclass(frozen=True)
class Verdict:
    """Whether the generated volumes could be real specimens of the reference's material.

    Attributes
    ----------
    outcome : {"consistent", "doubtful", "different", "undecided"}
    p_value : float
        Probability that real specimens deviate as much in any of the quantities.
    worst : Deviation
    deviations : tuple of Deviation
        All quantities, the worst first.
    reasons : tuple of str
        What the outcome rests on, a sentence each: the quantities that deviate, and what limits the
        decision (few or serial micrographs, a plane without images).
    independent_images : dict of str to float
        Number of independent images that each plane's images amount to.
    images_needed : int or None
        Independent images per plane that would decide, where there are too few; None if the
        reference is a volume.
    """

    outcome: str
    p_value: float
    worst: Deviation
    deviations: tuple[Deviation, ...]
    reasons: tuple[str, ...]
    independent_images: dict[str, float]
    images_needed: int | None = None

    def __str__(self) -> str:
        return self.sentence

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.outcome == "consistent":
            return "consistent with a real specimen of this size"
        if self.outcome == "undecided":
            return f"undecided: {self.reasons[0]}"
        return f"{self.outcome}: {self.worst}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)
