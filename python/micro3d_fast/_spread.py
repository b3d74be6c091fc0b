# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Numbers as text: a mean and its standard deviation, relative errors."""

from __future__ import annotations

import math
import re

MOST = 10.0  # relative errors and ratios / 100 beyond which only that is said


def percent_error(error: float, digits: int = 2) -> str:
    """Return a relative error in percent: ``"–"`` if it is unknown, at most ``"> 1000 %"``."""
    if math.isnan(error):
        return "–"
    return f"> {100 * MOST:.0f} %" if error > MOST else f"{100 * error:.{digits}f} %"


def with_spread(mean: float, std: float, other: float = math.nan) -> str:
    """Return ``"12.3 ± 0.4"``: as many digits as the standard deviation supports.

    By the rule of the Particle Data Group: two digits of the standard deviation if they are below
    35 (and where 95 to 99 round up to 10), otherwise one.  Without a standard deviation (nan) the
    mean has the digits that ``other`` supports, or four.

    Examples
    --------
    >>> with_spread(12.3456, 0.412), with_spread(12.3456, 0.0148), with_spread(139.2e9, 5.7e9)
    ('12.3 ± 0.4', '12.346 ± 0.015', '(1.39 ± 0.06)e+11')
    """
    if math.isinf(mean):
        return "∞" if mean > 0 else "−∞"
    if math.isnan(std) and other > 0.0 and math.isfinite(mean):
        return re.sub(r" ± [\d.]+|[()]", "", with_spread(mean, other))
    if not math.isfinite(mean) or not math.isfinite(std):
        return f"{mean:.4g}"
    top = max(abs(mean), std)
    if std <= 1e-9 * top:
        return f"{mean:.4g} ± 0"
    power = math.floor(math.log10(std))
    places = 1 - power if std < 3.55 * 10.0**power else -power
    exponent = math.floor(math.log10(top))
    if -4 < exponent < 5:
        return _fixed(mean, std, places)
    mean, std = mean / 10.0**exponent, std / 10.0**exponent
    return f"({_fixed(mean, std, places + exponent)})e{exponent:+03d}"


def _fixed(mean: float, std: float, places: int) -> str:
    shown = max(places, 0)
    mean, std = round(mean, places) + 0.0, round(std, places)  # + 0.0: no -0
    return f"{mean:.{shown}f} ± {std:.{shown}f}"
