# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Grey values to phase labels, by a map, by thresholds, or taken as labels; never guessed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from . import _checks
from ._checks import refuse, refuse_content, refuse_type, shown, shown_with_type
from ._grey_images import LOSSY, GreyImage, unique, without_palettes
from ._otsu import otsu_thresholds
from ._phases import phase_counts


class Segmentation(NamedTuple):
    """Thresholds between the classes of grey values, and what they mean in words.

    Empty of images that no threshold segmented.
    """

    thresholds: tuple[float, ...] = ()
    text: str = ""


class _LabelRule(NamedTuple):
    n_phases: int
    to_labels: Callable[[GreyImage], np.ndarray]
    segmentation: Segmentation = Segmentation()


_MAP = "be a map of grey value to phase or 'labels'"
_EXAMPLE = "such as {0: 0, 255: 1}"
_NEARLY_EMPTY = 0.005  # share of a class that an automatic threshold should not leave unsaid


def label_images(
    planes: Mapping[str, list[GreyImage]], phases: Any, threshold: Any, n_phases: Any
) -> tuple[dict[str, list[np.ndarray]], int, Segmentation]:
    """Return labels of every image by one rule for all planes, number of phases, thresholds."""
    everything = without_palettes([image for images in planes.values() for image in images])
    for image in everything:
        if image.values.dtype.kind == "f" and not np.isfinite(image.values).all():
            raise refuse_content(image.source, "hold finite grey values", "NaN or infinity")
    if threshold is not None:
        rule = _threshold_rule(everything, phases, threshold, n_phases)
    elif phases is None:
        if not all(image.values.dtype == np.bool_ for image in everything):
            raise refuse(
                "phases",
                "be a map such as {0: 0, 255: 1} or 'labels' unless `threshold` is given",
                "None",
                f"the meaning of the grey values {_values_text(everything)} is not guessed",
            )
        rule = _LabelRule(2, lambda image: image.values.astype(np.uint8))
    elif isinstance(phases, str):
        if phases != "labels":
            raise refuse("phases", _MAP, shown(phases), _EXAMPLE)
        rule = _labels_rule(everything)
    else:
        rule = _map_rule(phases)
    if n_phases is not None:
        asked = _checks.integer(n_phases, name="n_phases", minimum=1, maximum=256)
        if asked != rule.n_phases:
            raise refuse("n_phases", f"be the number of phases, {rule.n_phases}", str(asked))
    labels = map(rule.to_labels, everything)
    found = {plane: [next(labels) for _ in images] for plane, images in planes.items()}
    return found, rule.n_phases, rule.segmentation


# ------------------------------------------------------------------------- labels, taken as given


def _labels_rule(everything: Sequence[GreyImage]) -> _LabelRule:
    """Return the rule that takes the grey values as labels."""
    used: set[int] = set()
    for image in everything:
        values = unique(image.values)
        whole = (values == np.floor(values.astype(np.float64))).all()
        if not whole or values[0] < 0 or values[-1] > 255:
            raise refuse_content(image.source, "hold labels 0 ... 255", _list(values))
        used.update(int(value) for value in values)
    lossy = [image.source for image in everything if _is_lossy(image)]
    if lossy:
        warnings.warn(
            f"`phases`='labels' takes all {len(used)} grey values of {lossy[0]} and others for "
            "phases, but JPEG compression blurs labels",
            stacklevel=2,
        )
    if used != set(range(len(used))):
        example = {value: phase for phase, value in enumerate(sorted(used)[:4])}
        raise refuse(
            "phases",
            "be a map unless the labels are 0 ... P-1 without a gap",
            f"'labels' with the labels {_list(sorted(used))}",
            f"give a map such as {example}{' with all of them' if len(used) > 4 else ''}",
        )
    return _LabelRule(len(used), lambda image: image.values.astype(np.uint8))


# ------------------------------------------------------------------------------- map of the values


def _map_rule(phases: Any) -> _LabelRule:
    """Return the rule of a map from grey value to phase."""
    if not isinstance(phases, Mapping):
        raise refuse_type("phases", _MAP, type(phases).__name__, _EXAMPLE)
    table, count = _phase_table(phases)
    keys = np.array(sorted(table), dtype=np.float64)
    targets = np.array([table[key] for key in sorted(table)], dtype=np.uint8)

    def to_labels(image: GreyImage) -> np.ndarray:
        values = image.values
        if values.dtype == np.bool_:  # one-bit images: white is 1, or 255 if that is in the map
            values = values.astype(np.uint8) * (1 if set(table) <= {0.0, 1.0} else 255)
        found = unique(values)
        position = np.searchsorted(keys, found).clip(max=len(keys) - 1)
        known = keys[position] == found
        if not known.all():
            raise refuse_content(
                image.source,
                f"hold only the grey values {_list(keys)} of `phases`",
                f"also {_list(found[~known])}",
                _hint_for_values(image, int((~known).sum())),
            )
        if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
            lookup = np.zeros(int(found[-1]) + 1, dtype=np.uint8)
            lookup[found] = targets[position]
            return lookup[values]
        return targets[position][np.searchsorted(found, values)]

    return _LabelRule(count, to_labels)


def _hint_for_values(image: GreyImage, count: int) -> str:
    """Return what to do about ``count`` grey values without a phase."""
    if _is_lossy(image):
        return "JPEG compression blurs labels, give a `threshold` instead or lossless images"
    if count > 8:
        return "for grey images give a `threshold` instead, such as 'otsu'"
    return "give each of them a phase"


def _phase_table(phases: Mapping[Any, Any]) -> tuple[dict[float, int], int]:
    """Return value to phase, and the number of phases, which must be 0 ... P-1 without a gap."""
    if not phases:
        raise refuse("phases", "map at least one grey value", "an empty map")
    table: dict[float, int] = {}
    for key, phase in phases.items():
        is_bool = isinstance(key, bool | np.bool_)
        value = float(key) if is_bool else _checks.real(key, name="key of phases")
        if isinstance(phase, str):
            wanted = "be the number of a phase, from 0"
            hint = "`phase_names` gives the phases their names"
            raise refuse_type(f"phases[{key!r}]", wanted, shown_with_type(phase), hint)
        table[value] = _checks.phase_number(phase, name=f"phases[{key!r}]")
    used = set(table.values())
    if used != set(range(len(used))):
        wanted = "lead to the phases 0 ... P-1 without a gap"
        raise refuse("phases", wanted, str(sorted(used)))
    return table, len(used)


# -------------------------------------------------------------------------------------- thresholds


def _threshold_rule(
    everything: list[GreyImage], phases: Any, threshold: Any, n_phases: Any
) -> _LabelRule:
    """Return the rule of thresholds: class = number of thresholds that a value exceeds."""
    if isinstance(threshold, str):
        cuts = _otsu(everything, threshold, n_phases)
    elif isinstance(threshold, Mapping):
        wanted = "be one rule for all planes: numbers, 'otsu' or 'multi-otsu'"
        raise refuse_type("threshold", wanted, "a map")
    else:
        given = threshold if _is_sequence(threshold) else [threshold]
        cuts = np.array([_checks.real(cut, name="threshold") for cut in given])
        if len(cuts) == 0 or len(cuts) > 255 or (np.diff(cuts) <= 0).any():
            raise refuse("threshold", "hold numbers in increasing order", str(cuts.tolist()))
    order = _class_phases(phases, len(cuts) + 1)
    count = int(order.max()) + 1

    def to_labels(image: GreyImage) -> np.ndarray:
        return order[np.digitize(_grey_values(image), cuts, right=True)]

    share = np.zeros(count)
    for image in everything:
        share += phase_counts(to_labels(image), count)
    share /= share.sum()
    if not share.all():
        raise refuse(
            "threshold",
            f"lie among the grey values, {_values_text(everything)}",
            f"{_list(cuts)}, which leaves phase {np.argmin(share)} without a pixel",
        )
    if isinstance(threshold, str) and share.min() < _NEARLY_EMPTY:
        warnings.warn(
            f"`threshold`={threshold!r} cuts at {_list(cuts)} and gives phase {np.argmin(share)} "
            f"only {100 * share.min():.2g} % of the pixels; look at the result, or give "
            "`threshold` as a number",
            stacklevel=3,
        )
    method = threshold if isinstance(threshold, str) else ""
    cut_at = tuple(float(cut) for cut in cuts)
    return _LabelRule(count, to_labels, Segmentation(cut_at, _in_words(cut_at, order, method)))


def _in_words(cuts: Sequence[float], order: np.ndarray, method: str) -> str:
    """Return ``"grey values above 127 are phase 1 (otsu)"``."""
    first, *more = [
        f"above {cut:.9g}{' are' if k == 0 else ''} phase {order[k + 1]}"
        for k, cut in enumerate(cuts)
    ]
    others = [] if order[0] == 0 else [f"others phase {order[0]}"]
    return f"grey values {', '.join([first, *more, *others])}{f' ({method})' if method else ''}"


def _class_phases(phases: Any, classes: int) -> np.ndarray:
    """Return the phase of every class: itself, or that of a map."""
    if phases is None:
        return np.arange(classes, dtype=np.uint8)
    if not isinstance(phases, Mapping):
        wanted = "be a map of class (0 is darkest) to phase where `threshold` is given"
        raise refuse_type("phases", wanted, shown(phases))
    table, _ = _phase_table(phases)
    if set(table) != set(range(classes)):
        wanted = f"map the classes 0 ... {classes - 1}, darkest first, where `threshold` is given"
        hint = "leave `phases` out for labels by brightness"
        raise refuse("phases", wanted, _list(sorted(table)), hint)
    return np.array([table[c] for c in range(classes)], dtype=np.uint8)


def _otsu(everything: list[GreyImage], method: str, n_phases: Any) -> np.ndarray:
    """Return thresholds of the histogram of all images of all planes together."""
    _checks.choice(method, ("otsu", "multi-otsu"), name="threshold")
    dtypes = {image.values.dtype for image in everything}
    if len(dtypes) > 1:
        got = f"images of {', '.join(sorted(map(str, dtypes)))}"
        raise refuse("threshold", f"be numbers, or {method!r} of images of one dtype", got)
    if method == "otsu":
        if n_phases not in (None, 2):
            raise refuse("n_phases", "be 2 for `threshold`='otsu'", shown(n_phases))
        classes = 2
    else:
        if n_phases is None:
            raise refuse("n_phases", "be given for `threshold`='multi-otsu'", "None")
        classes = _checks.integer(n_phases, name="n_phases", minimum=2, maximum=8)
    cuts = otsu_thresholds([_grey_values(image) for image in everything], classes)
    if cuts is None:
        wanted = f"be numbers, or {method!r} of at least {classes} grey values"
        raise refuse("threshold", wanted, f"only {_values_text(everything)}")
    return cuts


def _grey_values(image: GreyImage) -> np.ndarray:
    return image.values.astype(np.uint8) * 255 if image.values.dtype == np.bool_ else image.values


# -------------------------------------------------------------------------------------------- text


def _is_lossy(image: GreyImage) -> bool:
    return image.source.lower().endswith(LOSSY)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Iterable) and getattr(value, "shape", None) != ()


def _list(values: Iterable[Any], most: int = 6) -> str:
    values = [f"{float(value):.6g}" for value in values]
    if len(values) <= most:
        return ", ".join(values)
    return f"{', '.join(values[: most - 1])}, ... ({len(values)} values)"


def _values_text(everything: Iterable[GreyImage]) -> str:
    values: set[float] = set()
    for image in everything:
        values.update(unique(image.values).tolist())
    if len(values) <= 6:
        return _list(sorted(values))
    return f"{float(min(values)):.6g} ... {float(max(values)):.6g}"
