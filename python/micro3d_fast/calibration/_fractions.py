# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Whether micrographs have the volume fractions of a model's training, as far as specimens do.

The law of the model's fractions gives the scatter of single specimens of a training patch cubed.
The means of two sets of micrographs of one material lie nearer to each other, even where they show
different parts of a heterogeneous tomogram: those of the halves of six real tomograms, along each
axis, are less than half of the limit apart, those of their eighths less than the limit.
"""

from __future__ import annotations

import itertools

import numpy as np

from ..diffusion import Model
from ..micrographs import Micrographs
from ..statistics import fraction_scatter

_SIGMAS = 4.0  # of a specimen of a patch cubed, and ...
_LEAST = 0.08  # ... this difference of a fraction, or half of it, are the limit
_SWAPPED, _SWAPPED_LEAST = 2.0, 0.03  # the same where another order of the phases fits ...
_BETTER = 4.0  # ... so many times better
_MOST = 6  # phases whose orders are compared, and whose scatter is measured if unknown


def fractions_doubt(micrographs: Micrographs, model: Model) -> str | None:
    """Return a sentence if the fractions of micrographs are too far from those of a model."""
    given, own = micrographs.volume_fractions(), np.asarray(model.volume_fractions)
    apart = np.abs(given - own)
    if apart.max() <= _SWAPPED_LEAST and (apart <= np.maximum(given, own) / 2).all():
        return None
    if model.fraction_scatter is None and len(own) > _MOST:
        return None
    law = model.fraction_scatter or fraction_scatter(micrographs)
    scatter = law.std((model.patch,) * 3)
    least = np.minimum(_LEAST, np.maximum(given, own) / 2)
    other = bool((apart > np.maximum(_SIGMAS * scatter, least)).any())
    worst = float(apart.max())
    swapped = worst > max(
        _SWAPPED * float(scatter[np.argmax(apart)]), _SWAPPED_LEAST
    ) and worst > _BETTER * _least_apart(given, own)
    if not (other or swapped):
        return None
    question = "are they of the same material, and segmented alike?"
    return (
        f"`micrographs` have the volume fractions {_text(given)} where the model has {_text(own)}: "
        f"{'are the phases swapped?' if swapped else question}"
    )


def _least_apart(given: np.ndarray, own: np.ndarray) -> float:
    """Return the largest difference of fractions in the order of the phases where it is least."""
    if len(own) > _MOST:
        return float("inf")
    orders = itertools.permutations(range(len(own)))
    return min(float(np.abs(given[list(order)] - own).max()) for order in orders)


def _text(fractions: np.ndarray) -> str:
    return ", ".join(f"{fraction:.3g}" for fraction in fractions)
