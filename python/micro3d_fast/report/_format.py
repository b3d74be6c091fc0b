# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Numbers and times as the text of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._spread import MOST, percent_error


def is_number(value: Any) -> bool:
    """Return whether a value is a number and not a bool."""
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def cell_text(value: Any, spec: str = "") -> str:
    """Return a value as the text of a table cell."""
    if value is None:
        return "–"
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, float | np.floating):
        if np.isnan(value):
            return "–"
        if spec == "%":
            return _minus(percent(value))
        if np.isinf(value):
            return "∞" if value > 0 else "−∞"
        return _minus(format(float(value), spec or ".4g"))
    if isinstance(value, int | np.integer):
        return _minus(format(int(value), spec if spec not in ("", "%") else "d"))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {cell_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple | np.ndarray):
        return ", ".join(cell_text(item) for item in value)
    return str(value)


def percent(value: Any) -> str:
    """Return a fraction as a percentage with about two figures: ``"3.1 %"``, ``"0.42 %"``."""
    value = 100.0 * float(value)
    if not value <= 100.0 * MOST:
        return percent_error(value / 100.0)
    digits = 0 if abs(value) >= 99.5 else 1 if abs(value) >= 0.995 else 2
    return f"{value:.{digits}f} %"


def ratio(value: float | None) -> str:
    """Return a ratio as ``"1.4 ×"``."""
    if value is None or np.isnan(value):
        return "–"
    if np.isinf(value):
        return "∞"
    if value > 100.0 * MOST:
        return f"> {100 * MOST:.0f} ×"
    digits = 2 if value < 0.995 else 1 if value < 99.5 else 0
    return f"{value:.{digits}f} ×"


def duration(seconds: float) -> str:
    """Return a time in readable units: ``"38 ms"``, ``"4.2 s"``, ``"3 min 05 s"``."""
    seconds = float(seconds)
    if seconds < 0.9995:
        return f"{seconds * 1e3:.3g} ms"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02d} s"
    hours, rest = divmod(round(seconds / 60), 60)
    return f"{hours} h {rest:02d} min"


def _minus(text: str) -> str:
    return text.replace("-", "−", 1) if text.startswith("-") else text
