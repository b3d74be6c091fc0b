# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Properties of several volumes: their mean and scatter, beside those of real blocks."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .. import _figures, _notebook
from .._blocks import Window, even_windows, spread_evenly
from .._checks import as_labels, integer, refuse, refuse_type
from .._results import Result
from .._spread import with_spread
from ..microstructure import Microstructure
from ..typing import Labels
from ._voigt import COMPONENTS, VOIGT_NAMES
from .conduction import ConductivityProperties
from .diffusivity import Diffusivity
from .elasticity import ElasticProperties

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PropertyScatter", "ScatteredProperty", "property_scatter"]

PAIRS = tuple(i + j for i in COMPONENTS for j in COMPONENTS)
VOIGT_PAIRS = tuple(f"C{i}{j}" for i in range(1, 7) for j in range(1, 7))
#: Components of a tensor without those that symmetry repeats.
INDEPENDENT = {
    PAIRS: VOIGT_NAMES,
    VOIGT_PAIRS: tuple(f"C{i}{j}" for i in range(1, 7) for j in range(i, 7)),
}
SMALLEST = 0.01  # of the largest component; smaller ones are not printed
PASCALS = {1.0: "Pa", 1e3: "kPa", 1e6: "MPa", 1e9: "GPa"}
#: Attribute, title and unit of the properties of every kind of result, in the order of printing;
#: ``OWN`` is that of the result.
OWN = "own"
PROPERTIES: dict[type, tuple[tuple[str, str, str], ...]] = {
    ElasticProperties: (
        ("E", "Young's modulus E", OWN),
        ("G", "shear modulus G", OWN),
        ("nu", "Poisson's ratio", ""),
        ("thermal_expansion", "thermal expansion", "1/K"),
        ("stiffness", "stiffness", OWN),
        ("volume_fractions", "volume fraction of phase", ""),
    ),
    ConductivityProperties: (
        ("tensor", "conductivity", OWN),
        ("volume_fractions", "volume fraction of phase", ""),
    ),
    Diffusivity: (
        ("relative", "relative diffusivity", ""),
        ("tortuosity", "tortuosity", ""),
        ("volume_fraction", "volume fraction", ""),
        ("percolating_fraction", "percolating volume fraction", ""),
    ),
}


@dataclass(frozen=True, eq=False)
class ScatteredProperty(Result):
    """One property of several volumes.

    Attributes
    ----------
    title, unit : str
        The unit is empty where it is that of the phases, and of numbers.
    components : tuple of str
        Names of the components in C order; ``("",)`` for a scalar.
    values : array (n, ...)
        Of each volume: a scalar, a vector or a tensor.
    reference : array (m, ...) or None
        Of each real block.
    """

    title: str
    unit: str
    components: tuple[str, ...]
    values: np.ndarray
    reference: np.ndarray | None

    @property
    def mean(self) -> np.ndarray:
        """Mean over the volumes."""
        return self.values.mean(axis=0)  # type: ignore[no-any-return]

    @property
    def std(self) -> np.ndarray:
        """Standard deviation of a single volume (n - 1); nan for one volume."""
        return _deviation(self.values)

    @property
    def reference_mean(self) -> np.ndarray | None:
        """Mean over the real blocks."""
        return None if self.reference is None else self.reference.mean(axis=0)

    @property
    def reference_std(self) -> np.ndarray | None:
        """Standard deviation of a single real block."""
        return None if self.reference is None else _deviation(self.reference)

    @property
    def scale(self) -> float:
        """The power of 1000 in which the values read best."""
        sides = [self.values] if self.reference is None else [self.values, self.reference]
        largest = max(np.abs(side[np.isfinite(side)]).max(initial=0.0) for side in sides)
        if 1e-3 <= largest < 1e5 or largest == 0.0:
            return 1.0
        return float(1000.0 ** math.floor(math.log10(largest) / 3))

    @property
    def printed_unit(self) -> tuple[float, str]:
        """`scale`, and the unit in brackets in which the values over it are; empty if none."""
        scale, unit = self.scale, self.unit
        power = "" if scale == 1.0 else f"1e{round(math.log10(scale))}"
        if unit == "Pa" and scale in PASCALS:
            power, unit = "", PASCALS[scale]
        text = " ".join(part for part in (power, unit) if part)
        return scale, f" ({text})" if text else ""

    def rows(self, scale: float = 1.0) -> list[tuple[str, ...]]:
        """Return component, ``"mean ± std"`` of the volumes and of the real blocks as text.

        Values are divided by ``scale``.  Of tensors the components that symmetry does not repeat;
        those below 1 % of the largest are left out, as is the expansion of phases without any.
        """
        rows: list[tuple[str, ...]] = []
        if self.unit == "1/K" and not any(mean.any() for mean, _ in self._sides):
            return rows
        for k in self._shown:
            values = [(float(mean.flat[k]), float(std.flat[k])) for mean, std in self._sides]
            known = max((d / scale for _, d in values if np.isfinite(d)), default=np.nan)
            texts = (with_spread(m / scale, d / scale, known) for m, d in values)
            rows.append((self.components[k], *texts))
        return rows

    @property
    def _sides(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Mean and standard deviation of the volumes, and of the real blocks."""
        sides = [(self.mean, self.std)]
        if self.reference_mean is not None and self.reference_std is not None:
            sides.append((self.reference_mean, self.reference_std))
        return sides

    @property
    def _independent(self) -> list[int]:
        """Numbers of the components that symmetry does not repeat."""
        independent = set(INDEPENDENT.get(self.components, self.components))
        return [k for k, name in enumerate(self.components) if name in independent]

    @property
    def _shown(self) -> list[int]:
        """Numbers of the components that are printed and drawn."""
        large = np.any(
            [np.abs(m).ravel() >= SMALLEST * np.abs(m).max() for m, _ in self._sides], axis=0
        )
        return [k for k in self._independent if large[k]]

    @property
    def leaves_out_small(self) -> bool:
        """Whether `rows` leave out components that are small beside the largest."""
        return 0 < len(self.rows()) < len(self._independent)

    def plot(self, axes: Axes | None = None) -> Axes:
        """Draw every volume and real block as a point, with means and standard deviations.

        Parameters
        ----------
        axes : matplotlib axes, optional
            Where to draw; default new ones.

        Returns
        -------
        matplotlib.axes.Axes
        """
        if axes is None:
            import matplotlib.pyplot as plt

            _, axes = plt.subplots(layout="constrained")
        sides = {"volumes": self.values}
        if self.reference is not None:
            sides["real blocks"] = self.reference
        shown, (scale, unit) = self._shown, self.printed_unit
        groups = {
            label: values.reshape(len(values), -1)[:, shown] / scale
            for label, values in sides.items()
        }
        names = [self.components[k] for k in shown]
        _figures.plot_groups(self.title + unit, names, groups, axes)
        return axes


@dataclass(frozen=True, eq=False)
class PropertyScatter(Result, Mapping[str, ScatteredProperty]):
    """Properties of several volumes by name (see `property_scatter`).

    Attributes
    ----------
    properties : dict of str to ScatteredProperty
        By the name of the attribute: ``"E"``, ``"stiffness"``, ``"tensor"``, ``"relative"``, ...
    count, reference_count : int
        Number of volumes and of real blocks.
    shape : (nz, ny, nx)
        Of a volume and of a real block.
    boundary : tuple of str
        Boundary conditions of the results.
    warnings : tuple of str
        How many volumes and blocks warned, and of what first.
    """

    properties: dict[str, ScatteredProperty]
    count: int
    reference_count: int
    shape: tuple[int, ...]
    boundary: tuple[str, ...]
    warnings: tuple[str, ...]

    def __getitem__(self, name: str) -> ScatteredProperty:
        return self.properties[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.properties)

    def __len__(self) -> int:
        return len(self.properties)

    @property
    def sources(self) -> tuple[str, ...]:
        """Titles of the columns: number of volumes, and of real blocks if there are any."""
        volumes = f"{self.count} volume{'s' if self.count > 1 else ''}"
        blocks = f"{self.reference_count} real block{'s' if self.reference_count > 1 else ''}"
        return (volumes, blocks) if self.reference_count else (volumes,)

    def plot(self, axes: Sequence[Axes] | np.ndarray | None = None) -> np.ndarray:
        """Draw every property in a panel (see `ScatteredProperty.plot`).

        Parameters
        ----------
        axes : sequence of matplotlib axes, optional
            One for each property; default a new figure.

        Returns
        -------
        array of matplotlib.axes.Axes
        """
        found = _figures.grid_of_axes(axes, len(self))
        for ax, name in zip(found, self, strict=True):
            self[name].plot(ax)
        found[0].legend()
        return found

    def _rows(self) -> list[tuple[str, ...]]:
        """Return the component and the columns of `sources` of every property, as text."""
        rows: list[tuple[str, ...]] = []
        for found in self.properties.values():
            scale, unit = found.printed_unit
            rows += [
                (f"{found.title} {name}".rstrip() + unit, *texts)
                for name, *texts in found.rows(scale)
            ]
        return rows

    def _left_out(self) -> list[str]:
        """Return a line on small components where some are not printed."""
        if not any(found.leaves_out_small for found in self.properties.values()):
            return []
        return [f"components below {SMALLEST:.0%} of the largest are not shown".replace("%", " %")]

    def _repr_html_(self) -> str:
        return _notebook.card(
            "PropertyScatter",
            f"mean ± standard deviation, {' × '.join(map(str, self.shape))} voxels",
            _notebook.table(("", *self.sources), self._rows()),
            _notebook.small("; ".join([*self.boundary, *self._left_out()])),
            *map(_notebook.warning, self.warnings),
        )

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.shape))
        boundary = f" ({'; '.join(self.boundary)})" if self.boundary else ""
        rows = [("", *self.sources), *self._rows()]
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = [f"PropertyScatter{boundary}: mean ± standard deviation, {size} voxels"]
        lines += [
            "  " + "   ".join(t.ljust(w) for t, w in zip(r, widths, strict=True)).rstrip()
            for r in rows
        ]
        lines += [f"  ({line})" for line in self._left_out()]
        lines += [f"  warning: {w}" for w in self.warnings]
        return "\n".join(lines)


_Volume = TypeVar("_Volume", bound=Labels)


def property_scatter(
    volumes: Iterable[_Volume],
    compute: Callable[[_Volume], object],
    *,
    reference: Labels | Sequence[Labels] | None = None,
    max_blocks: int = 16,
) -> PropertyScatter:
    """Compute properties of several volumes, and their mean and standard deviation.

    Parameters
    ----------
    volumes : iterable of Microstructure or arrays, shape (nz, ny, nx)
        For example from ``reconstruct(..., n=8)`` or `reconstruct_many`.
    compute : callable
        From a volume to its properties: a result of `homogenize_elasticity`,
        `homogenize_conductivity` or `relative_diffusivity`, a number, an array, or a mapping of
        names to these.  Several results of `relative_diffusivity` may stand in a list.
    reference : volume or sequence of volumes, optional
        A tomogram, or several, from which blocks of the size of the volumes are cut; their
        properties are computed too.  Blocks are spread evenly, so that all places have about the
        same weight; where no whole number of them fits they overlap, by at most half.
    max_blocks : int
        Maximum number of blocks, spread evenly over the reference.

    Returns
    -------
    PropertyScatter
        By name; ``"name: property"`` where ``compute`` returns a mapping, ``"phase 0 along z:
        relative"`` where it returns a list.

    Notes
    -----
    Real blocks are never periodic.  Where the boundary condition is, compare them with volumes that
    were not made periodic either, or the seams of the blocks bias the comparison.

    Examples
    --------
    Laminates of random thickness, in parallel:

    >>> import numpy as np
    >>> import micro3d_fast as m3
    >>> layers = [np.repeat([0, 1], [n, 8 - n]).reshape(8, 1, 1) for n in (3, 4, 5)]
    >>> found = m3.property_scatter(layers, lambda v: m3.homogenize_conductivity(v, [1.0, 9.0]))
    >>> found["tensor"].rows()
    [('xx', '5.0 ± 1.0'), ('yy', '5.0 ± 1.0'), ('zz', '1.9 ± 0.4')]
    """
    if isinstance(volumes, Microstructure | str | bytes) or not isinstance(volumes, Iterable):
        raise refuse_type("volumes", "be an iterable of volumes", type(volumes).__name__)
    dimensions = getattr(volumes, "ndim", None)
    of_objects = getattr(getattr(volumes, "dtype", None), "kind", "") == "O"  # whole volumes
    if dimensions in (2, 3) and not of_objects:  # whose slices would be taken for volumes
        hint = "give `[volume]` for one volume, and `list(images)` for 2D images"
        got = f"one array of {dimensions} dimensions"
        raise refuse_type("volumes", "be an iterable of volumes", got, hint)
    if not callable(compute):
        raise refuse_type("compute", "be callable", type(compute).__name__)
    max_blocks = integer(max_blocks, name="max_blocks", minimum=1)
    waiting = iter(volumes)
    first = next(waiting, None)
    if first is None:
        raise refuse("volumes", "hold at least one volume", "none")
    shape = as_labels(first, name="volumes[0]", ndim=(2, 3)).shape
    blocks = [] if reference is None else _blocks(reference, first, shape, max_blocks)
    made, said = _computed(itertools.chain([first], waiting), compute, shape, "volumes")
    real, also_said = _computed(blocks, compute, shape, "real blocks")
    for sentence in said + also_said:
        warnings.warn(sentence, stacklevel=2)
    return PropertyScatter(
        {
            name: ScatteredProperty(*kind, *_stacked(name, made, real))
            for name, (kind, _) in made[0].values.items()
        },
        count=len(made),
        reference_count=len(real),
        shape=shape,
        boundary=tuple(dict.fromkeys(b for one in made for b in one.boundary)),
        warnings=said + also_said,
    )


# ------------------------------------------------------------------------------------- helpers

Kind = tuple[str, str, tuple[str, ...]]  # title, unit, components


@dataclass(frozen=True, eq=False)
class _Measured:
    """The properties of one volume."""

    values: dict[str, tuple[Kind, np.ndarray]]
    boundary: tuple[str, ...]

    @classmethod
    def of(cls, result: Any, phase_names: Sequence[str]) -> _Measured:
        values, boundary = {}, []
        for name, text, one in _named(result, phase_names):
            head, said = (f"{n}: " if n else "" for n in (name, text))
            boundary += [one.boundary] if hasattr(one, "boundary") else []
            for key, title, unit, value in _properties_of(one):
                components, array = _components(key, value)
                if key == "volume_fractions":
                    components = tuple(_shown_names(phase_names, components))
                values[head + key] = ((said + title, unit, components), array)
        return cls(values, tuple(dict.fromkeys(boundary)))


def _shown_names(phase_names: Sequence[str], numbers: Sequence[str]) -> Iterator[str]:
    """Yield the names of phases; their numbers where they have none but "phase 0"."""
    for k, number in enumerate(numbers):
        name = phase_names[k] if k < len(phase_names) else ""
        yield number if name in ("", f"phase {k}") else name


def _named(
    result: Any, phase_names: Sequence[str], name: str = ""
) -> Iterator[tuple[str, str, Any]]:
    """Yield name, readable name and value of the single results of mappings and lists."""
    if isinstance(result, Mapping):
        for key, one in result.items():
            yield from _named(one, phase_names, str(key))
    elif isinstance(result, list | tuple) and any(isinstance(r, Diffusivity) for r in result):
        for one in result:
            phases = [phase_names[p] if p < len(phase_names) else f"phase {p}" for p in one.phases]
            name = f"phase {'+'.join(map(str, one.phases))} along {one.axis}"
            yield name, f"{'+'.join(phases)} along {one.axis}", one
    else:
        yield name, name, result


def _properties_of(result: Any) -> Iterator[tuple[str, str, str, Any]]:
    for kind, properties in PROPERTIES.items():
        if isinstance(result, kind):
            for attribute, title, unit in properties:
                said = getattr(result, "unit", "") if unit == OWN else unit
                yield attribute, title, said, getattr(result, attribute)
            return
    yield "value", "value", "", result


def _components(key: str, value: Any) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the components, and the values as an array."""
    if isinstance(value, Mapping):
        return tuple(value), np.array([float(v) for v in value.values()])
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        wanted = "return properties, numbers, arrays or a mapping of names to these"
        raise refuse_type("compute", wanted, type(value).__name__) from None
    names = {(3,): COMPONENTS, (3, 3): PAIRS, (6, 6): VOIGT_PAIRS, (): ("",)}.get(array.shape)
    if names is None or key == "volume_fractions":
        names = tuple(",".join(map(str, index)) for index in np.ndindex(array.shape))
    return names, array


def _computed(
    volumes: Iterable[Any], compute: Callable[[Any], Any], shape: tuple[int, ...], what: str
) -> tuple[list[_Measured], tuple[str, ...]]:
    """Return the properties of each volume, and one sentence if some of them warned."""
    found, first_words, warned = [], "", 0
    for k, volume in enumerate(volumes):
        got = np.shape(volume)
        if got != shape:
            raise refuse(f"volumes[{k}]", f"have the shape of the first, {shape}", str(got))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            names = getattr(volume, "phase_names", ())
            found.append(_Measured.of(compute(volume), names))
        if caught:
            first_words = first_words or str(caught[0].message)
            warned += 1
    if not warned:
        return found, ()
    return found, (f"{warned} of {len(found)} {what} gave warnings; the first: {first_words}",)


def _stacked(
    name: str, made: list[_Measured], real: list[_Measured]
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the values of a property of all volumes, and of all blocks."""
    try:
        values = np.stack([one.values[name][1] for one in made])
        return values, np.stack([one.values[name][1] for one in real]) if real else None
    except (KeyError, ValueError):
        wanted = "return the same properties for every volume"
        raise refuse("compute", wanted, f"others than {name!r}, or other sizes of it") from None


def _deviation(values: np.ndarray) -> np.ndarray:
    if len(values) < 2:
        return np.full(values.shape[1:], np.nan)
    with np.errstate(invalid="ignore"):  # infinite tortuosities
        return values.std(axis=0, ddof=1)  # type: ignore[no-any-return]


def _blocks(
    reference: Any, first: Any, shape: tuple[int, ...], max_blocks: int
) -> list[Microstructure | np.ndarray]:
    """Return blocks of the shape of the first volume, evenly spread over the reference."""
    several = isinstance(reference, Sequence) and not isinstance(reference, str | bytes)
    windows: list[tuple[Any, Window]] = []
    for volume in reference if several else [reference]:
        labels = as_labels(volume, name="reference", ndim=len(shape))
        size, wanted = (getattr(v, "voxel_size", None) for v in (volume, first))
        if size and wanted and not np.allclose(size, wanted, rtol=1e-3, atol=0.0):
            raise refuse("reference", f"have the voxel size of the volumes, {wanted}", str(size))
        windows += [(volume, window) for window in even_windows(labels.shape, shape)]
    if not windows:
        wanted = f"be at least as large as the volumes, {shape}"
        raise refuse("reference", wanted, str(labels.shape))
    return [_block(*windows[k]) for k in spread_evenly(len(windows), max_blocks)]


def _block(volume: Any, window: Window) -> Microstructure | np.ndarray:
    if isinstance(volume, Microstructure):
        return volume[window]  # type: ignore[no-any-return]
    return np.ascontiguousarray(as_labels(volume)[window])
