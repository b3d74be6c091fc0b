# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
r"""Scatter of the phase fractions between specimens of any shape, estimated from 2D images.

The fractions of a box of V voxels, L_a along axis a, have the covariance

.. math:: C(L) = \frac{1}{V} \sum_r K(r) \prod_a \left(1 - \frac{|r_a|}{L_a}\right)

with the covariance K(r) of the phases at two points r apart.  2D images show K(r) where one
component of r is 0: the covariance of their windows is the same sum over the lags in the plane.
With C of a pixel, of a line (C_a) and of a window (C_ab), the variance function
:math:`\Gamma_a = C_a / C_1` of Vanmarcke [1]_ and :math:`s_{ab} = C_{ab} C_1 / (C_a C_b)`, which
is 1 if K is separable in a and b, a box has

.. math:: C = C_1\, \Gamma_x \Gamma_y \Gamma_z\, s_{xy} s_{xz} s_{yz} / \sqrt{s}

with the median s of the three.  This is exact if K is a function of one axis times a function of
the plane of the other two, whatever that is, and for a single slice.  For large boxes of an
isotropic material it gives .98 of the variance if K falls exponentially, 1.06 if K is the overlap
of two spheres, and 1 if K is Gaussian.  Products of matrices are exponentials of the sums of their
logarithms, so that no variance is negative and the fractions sum to 1.

.. [1] E. Vanmarcke, Random Fields: Analysis and Synthesis, MIT Press 1983, Chapters 5 and 7.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from .._blocks import spread_evenly
from .._phases import phase_counts
from .._planes import IMAGE_AXES, PLANES
from .._results import Result
from ._dependence import stack_correlations

if TYPE_CHECKING:
    from ..micrographs import Micrographs

__all__ = ["FractionScatter", "PlaneScatter", "fraction_scatter"]

_IMAGES = 64  # of a plane that are examined
_POSITIONS = 32  # of windows along an axis, at least where there is room
_ENOUGH = 16  # independent windows from which a variance is taken; that of larger ones is scaled
_GOLDEN = 0.618  # spreads the first windows, so that they do not meet the same part of a pattern


@dataclass(frozen=True, eq=False)
class PlaneScatter(Result):
    """Covariances of the phase fractions of windows of 2D images (see `FractionScatter`).

    Attributes
    ----------
    extent : (int, int)
        Rows and columns of the smallest image.
    images : float
        Number of independent images that the images amount to.
    covariance : array, shape (A, B, P - 1, P - 1)
        Of the fractions of all phases but the last, in windows of 2^a rows and 2^b columns.
    """

    extent: tuple[int, int]
    images: float
    covariance: np.ndarray

    def windows(self, size: Sequence[float]) -> float:
        """Return the number of independent windows of (rows, columns) in the images."""
        return self.images * math.prod(m / n for m, n in zip(self.extent, size, strict=True))

    def log_covariance(self, size: Sequence[int]) -> np.ndarray:
        """Return the matrix logarithm of the covariance of windows, in `_basis`.

        Beyond the largest windows of which there are enough, variances fall as the inverse size.
        """
        known = np.minimum(size, self.extent).astype(float)
        known = np.maximum(known * min(1.0, self.windows(known.tolist()) / _ENOUGH) ** 0.5, 1.0)
        known = np.minimum(known, [2.0 ** (n - 1) for n in self.covariance.shape[:2]])
        (i, f), (j, g) = (divmod(float(x), 1.0) for x in np.log2(known))
        basis = _basis(self.covariance.shape[-1] + 1)
        total = np.zeros(self.covariance.shape[2:])
        for a, b, weight in (
            (0, 0, (1 - f) * (1 - g)),
            (0, 1, (1 - f) * g),
            (1, 0, f * (1 - g)),
            (1, 1, f * g),
        ):
            if weight:
                reduced = _all_phases(self.covariance[int(i) + a, int(j) + b])
                total += weight * _log(basis @ reduced @ basis.T)
        return total + np.log(np.prod(known / np.asarray(size))) * np.eye(len(total))


@dataclass(frozen=True, eq=False)
class FractionScatter(Result):
    """Scatter of the phase fractions between specimens (see `fraction_scatter`).

    Attributes
    ----------
    planes : dict of str to PlaneScatter
        What the images of ``"xy"``, ``"xz"`` and ``"yz"`` show.
    """

    planes: dict[str, PlaneScatter]

    @property
    def n_phases(self) -> int:
        """Number of phases P."""
        return self.planes[PLANES[0]].covariance.shape[-1] + 1

    def covariance(self, shape: Sequence[int]) -> np.ndarray:
        """Return the covariance (P, P) of the phase fractions of specimens of (nz, ny, nx) voxels.

        Its rows sum to 0.
        """
        size = _checks.shape3(shape, name="shape")
        pixel, lines, pairs = [], [], []
        for plane, law in self.planes.items():
            a, b = (size[axis] for axis in IMAGE_AXES[plane])
            one, row, column = (law.log_covariance(s) for s in ((1, 1), (a, 1), (1, b)))
            pixel.append(one)
            lines += [row - one, column - one]
            pairs.append(law.log_covariance((a, b)) + one - row - column)
        shared = sorted(pairs, key=lambda s: float(np.trace(s)))[1]
        # every axis lies in two of the planes
        log = np.mean(pixel, axis=0) + np.sum(lines, axis=0) / 2 + np.sum(pairs, axis=0)
        basis = _basis(self.n_phases)
        out: np.ndarray = basis.T @ _exp(log - shared / 2) @ basis
        return out

    def std(self, shape: Sequence[int]) -> np.ndarray:
        """Return the standard deviation (P,) of each fraction, of specimens of that shape."""
        out: np.ndarray = np.sqrt(np.diag(self.covariance(shape)))
        return out

    def relative_error(self, shape: Sequence[int]) -> float:
        """Return about the relative standard error of `std`, from the number of sections seen.

        It is ``1 / sqrt(N)``, N the harmonic mean over the planes of the number of independent
        sections of that size in their images: a variance of N has the error ``sqrt(2 / N)``, and
        the three planes enter with the power 5/6 each.
        """
        size = _checks.shape3(shape, name="shape")
        sections = [
            law.windows([size[axis] for axis in IMAGE_AXES[plane]])
            for plane, law in self.planes.items()
        ]
        return math.sqrt(sum(1 / n for n in sections) / len(sections))

    def __repr__(self) -> str:
        spread = ", ".join(f"{s:.3g}" for s in self.std((64, 64, 64)))
        return f"FractionScatter(standard deviation of fractions of 64 x 64 x 64 voxels: {spread})"

    def to_record(self) -> dict[str, Any]:
        """Return the same as plain lists and numbers, for JSON."""
        upper = np.triu_indices(self.n_phases - 1)
        return {
            plane: {
                "extent": list(law.extent),
                "images": round(law.images, 3),
                "covariance": [
                    float(f"{v:.6g}")
                    for v in law.covariance[:, :, upper[0], upper[1]].ravel().tolist()
                ],
            }
            for plane, law in self.planes.items()
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any], n_phases: int) -> FractionScatter:
        """Return the scatter of a record of `to_record`."""
        rows, columns = np.triu_indices(n_phases - 1)
        planes = {}
        for plane in PLANES:
            extent, images, values = (
                record[plane][name] for name in ("extent", "images", "covariance")
            )
            sizes = [int(n).bit_length() for n in extent]
            covariance = np.empty((*sizes, n_phases - 1, n_phases - 1))
            flat = np.asarray(values, dtype=np.float64).reshape(*sizes, len(rows))
            covariance[:, :, rows, columns] = covariance[:, :, columns, rows] = flat
            planes[plane] = PlaneScatter((extent[0], extent[1]), float(images), covariance)
        return cls(planes)


def fraction_scatter(
    images: Micrographs | Mapping[str, Sequence[np.ndarray]], n_phases: int | None = None
) -> FractionScatter:
    """Estimate from 2D images how much the phase fractions of 3D specimens scatter.

    Parameters
    ----------
    images : Micrographs, or mapping of str to sequence of array of uint8
        Labelled images of the planes ``"xy"``, ``"xz"`` and ``"yz"``, in the order of the stack if
        they are sections of one specimen: their dependence is taken from their correlation.
    n_phases : int, optional
        Number of phases; default that of the Micrographs, else the largest label + 1.

    Returns
    -------
    FractionScatter
        Its ``covariance((nz, ny, nx))`` and ``std((nz, ny, nx))`` are those of specimens of that
        shape.

    Notes
    -----
    The scatter is about the mean of the images, enlarged by the variance of that mean.  It sees
    the differences within and between the images of a plane, not those between the planes.  Of
    windows of which there are fewer than 16 independent ones the variance is not measured but
    scaled by the inverse of the size from smaller windows.

    Examples
    --------
    Independent voxels, whose variance is p (1 - p) / V:

    >>> rng = np.random.default_rng(0)
    >>> planes = {p: rng.integers(2, size=(50, 64, 64), dtype=np.uint8) for p in ("xy", "xz", "yz")}
    >>> fraction_scatter(planes).std((16, 16, 16)).round(4)  # exact: 0.0078
    array([0.0075, 0.0075])
    """
    given = getattr(images, "images", images)
    wanted = "be Micrographs or a mapping of 'xy', 'xz' and 'yz' to images"
    if not isinstance(given, Mapping):
        raise _checks.refuse_type("images", wanted, type(images).__name__)
    missing = [plane for plane in PLANES if len(given.get(plane, ())) == 0]
    if missing:
        hint = "Micrographs.load takes fewer planes, and borrows the others"
        got = f"no images of {', '.join(map(repr, missing))}"
        raise _checks.refuse_type("images", wanted, got, hint)
    planes = {
        plane: [_checks.as_labels(image, name="images", ndim=2) for image in given[plane]]
        for plane in PLANES
    }
    if n_phases is None:
        largest = max(int(image.max()) for each in planes.values() for image in each)
        n_phases = getattr(images, "n_phases", largest + 1)
    n_phases = _checks.integer(n_phases, name="n_phases", minimum=2, maximum=256)
    return FractionScatter({p: _measured(each, n_phases) for p, each in planes.items()})


def _measured(images: Sequence[np.ndarray], n_phases: int) -> PlaneScatter:
    """Measure the covariances of windows of all sizes 2^a x 2^b in the images of a plane."""
    dependence = stack_correlations(images)
    usable = [image for image, used in zip(images, dependence.used, strict=True) if used]
    some = [usable[k] for k in spread_evenly(len(usable), _IMAGES)]
    rows, columns = (min(image.shape[axis] for image in some) for axis in (0, 1))
    pixels = np.sum([phase_counts(image, n_phases) for image in some], axis=0)
    mean = pixels / pixels.sum()
    sums = np.zeros((rows.bit_length(), columns.bit_length(), n_phases - 1, n_phases - 1))
    counts = np.zeros(sums.shape[:2])
    for k, image in enumerate(some):
        inside = image[None] == np.arange(n_phases - 1)[:, None, None]
        total = np.zeros((n_phases - 1, image.shape[0] + 1, image.shape[1] + 1))
        inside.cumsum(1, dtype=np.int32).cumsum(2, dtype=np.float64, out=total[:, 1:, 1:])
        share = _GOLDEN * k % 1
        for a, b in np.ndindex(counts.shape):
            fractions = _fractions(total, 2**a, 2**b, share) - mean[:-1, None]
            sums[a, b] += fractions @ fractions.T
            counts[a, b] += fractions.shape[1]
    images_seen = min(dependence.independent(), float(len(some)))
    found = PlaneScatter((rows, columns), images_seen, sums / counts[..., None, None])
    return _about_true_mean(found)


def _fractions(total: np.ndarray, rows: int, columns: int, share: float) -> np.ndarray:
    """Return the fractions (P - 1, windows) of windows, from the sums over all above and left."""
    places = []
    for extent, size, part in (
        (total.shape[1] - 1, rows, share),
        (total.shape[2] - 1, columns, 1 - share),
    ):
        room = extent - size + 1
        step = max(1, size // 4, extent // _POSITIONS)
        places.append(np.arange(int(part * min(step, room)) % room, room, step))
    top, left = places[0][:, None], places[1]
    bottom, right = top + rows, left + columns
    found = total[:, bottom, right] - total[:, top, right]
    found += total[:, top, left] - total[:, bottom, left]
    return found.reshape(len(found), -1) / (rows * columns)


def _about_true_mean(found: PlaneScatter) -> PlaneScatter:
    """Add the variance of the images' own mean, about which the deviations were taken."""
    basis = _basis(found.covariance.shape[-1] + 1)
    own = basis.T @ _exp(found.log_covariance(found.extent)) @ basis  # of one image
    windows = max(_ENOUGH, found.images)  # those that it was taken from
    lost = own / found.images * windows / (windows - 1)
    return PlaneScatter(found.extent, found.images, found.covariance + lost[:-1, :-1])


# ------------------------------------------------------------------------------------- matrices


def _basis(n_phases: int) -> np.ndarray:
    """Return an orthonormal basis (P - 1, P) of what sums to 0 over the phases."""
    rows = np.tril(np.ones((n_phases - 1, n_phases)))
    k = np.arange(1, n_phases)
    rows[k - 1, k] = -k
    out: np.ndarray = rows / np.sqrt(k * (k + 1))[:, None]
    return out


def _all_phases(covariance: np.ndarray) -> np.ndarray:
    """Return the covariance (P, P) of fractions that sum to 1, from that without the last."""
    extend = np.vstack([np.eye(len(covariance)), -np.ones(len(covariance))])
    out: np.ndarray = extend @ covariance @ extend.T
    return out


def _log(matrix: np.ndarray) -> np.ndarray:
    """Return the logarithm of a covariance matrix; zero variances count as very small ones."""
    values, vectors = np.linalg.eigh(matrix)
    smallest = max(1e-9 * float(values.max()), 1e-30)
    out: np.ndarray = (vectors * np.log(np.maximum(values, smallest))) @ vectors.T
    return out


def _exp(matrix: np.ndarray) -> np.ndarray:
    """Return the exponential of a symmetric matrix."""
    values, vectors = np.linalg.eigh(matrix)
    out: np.ndarray = (vectors * np.exp(values)) @ vectors.T
    return out
