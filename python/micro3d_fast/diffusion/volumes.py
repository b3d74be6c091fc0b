# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Volumes from a model: `reconstruct` and `reconstruct_many`."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypedDict, TypeVar, overload

from .. import _checks
from .._progress import Progress, Shown, checked, following
from ..microstructure import Microstructure
from ..typing import Device, Fractions, Labels, Periodic
from .model import Model
from .process_group import current_group
from .progress import as_one_job
from .reconstruction import Reconstruction, check_runtime
from .sampling import Callback
from .settings import QUALITY, SAMPLERS, Runtime, SamplerSettings, check_changes
from .stored import SEED

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "Options",
    "SamplerOptions",
    "accept_former_keywords",
    "reconstruct",
    "reconstruct_many",
]

#: What a `SamplerSettings` gives instead.
_OF_SAMPLER = ("passes", "harmonize", "gamma", "coupling", "agreement")

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Options(TypedDict, total=False):
    """Keywords of `reconstruct` that `calibrate` takes too."""

    gamma: float | None
    periodic: Periodic
    volume_fractions: Fractions
    known: Labels | None
    remove_islands: bool | Literal["auto"]
    device: Device
    runtime: Runtime | None


class SamplerOptions(Options, total=False):
    """Keywords of `reconstruct` that `reconstruct_many` takes too."""

    sampler: str | SamplerSettings
    passes: int | None
    harmonize: int | Sequence[int] | None
    coupling: Sequence[float] | Sequence[Sequence[float]] | None
    agreement: float | None
    guidance: float
    out: str | Path | None


def accept_former_keywords(
    function: Callable[_Arguments, _Result],
) -> Callable[_Arguments, _Result]:
    """Let a function with ``sampler`` and ``runtime`` also take their former keywords.

    ``quality`` and ``settings`` are values of ``sampler``; the fields of `Runtime` were keywords of
    their own.
    """

    @functools.wraps(function)
    def called(*args: Any, **options: Any) -> _Result:
        if (quality := options.pop("quality", None)) is not None:
            _checks.choice(quality, QUALITY, name="quality")
            if options.get("passes") is not None:
                raise _checks.refuse("quality", "be None where `passes` is given", repr(quality))
            sampler = options.get("sampler", "fast")
            if sampler != "fast":
                wanted = f"be None for sampler {_checks.shown(sampler)}"
                raise _checks.refuse("quality", wanted, repr(quality))
            options["sampler"] = quality
        if (settings := options.pop("settings", None)) is not None:
            if not isinstance(settings, SamplerSettings):
                wanted = "be a SamplerSettings or None"
                raise _checks.refuse_type("settings", wanted, type(settings).__name__)
            named = SAMPLERS[
                _checks.choice(options.get("sampler", "fast"), SAMPLERS, name="sampler")
            ]
            given = {name: options.get(name) for name in _OF_SAMPLER}
            check_changes(given, options.get("sampler", "fast"), named)  # overridden, but valid
            fractions = options.get("volume_fractions", "auto")
            if not named.matches_fractions and isinstance(fractions, str) and fractions == "auto":
                options["volume_fractions"] = None
            options.update(sampler=settings, **dict.fromkeys(_OF_SAMPLER))
        names = [f.name for f in dataclasses.fields(Runtime) if f.name in options]
        if names:
            runtime = check_runtime(options.get("runtime"))
            changes = {name: options.pop(name) for name in names}
            options["runtime"] = dataclasses.replace(runtime, **changes)
        return function(*args, **options)

    return called


@overload
def reconstruct(
    volume_shape: int | Sequence[int],
    model: Model | str | Path,
    *,
    n: None = None,
    seed: int = 0,
    callback: Callback | None = None,
    progress: Shown = None,
    **options: Unpack[SamplerOptions],
) -> Microstructure: ...


@overload
def reconstruct(
    volume_shape: int | Sequence[int],
    model: Model | str | Path,
    *,
    n: int,
    seed: int = 0,
    callback: Callback | None = None,
    progress: Shown = None,
    **options: Unpack[SamplerOptions],
) -> list[Microstructure]: ...


@accept_former_keywords
def reconstruct(
    volume_shape: int | Sequence[int],
    model: Model | str | Path,
    *,
    sampler: str | SamplerSettings = "fast",
    passes: int | None = None,
    harmonize: int | Sequence[int] | None = None,
    gamma: float | None = None,
    coupling: Sequence[float] | Sequence[Sequence[float]] | None = None,
    agreement: float | None = None,
    guidance: float = 1.0,
    periodic: Periodic = False,
    volume_fractions: Fractions = "auto",
    known: Labels | None = None,
    remove_islands: bool | Literal["auto"] = "auto",
    n: int | None = None,
    seed: int = 0,
    out: str | Path | None = None,
    device: Device = None,
    callback: Callback | None = None,
    progress: Shown = None,
    runtime: Runtime | None = None,
) -> Microstructure | list[Microstructure]:
    r"""Reconstruct a 3D volume from a model of its 2D micrographs.

    Parameters
    ----------
    volume_shape : int or (nz, ny, nx)
        Voxels along each axis, any positive sizes; one number makes a cube.
    model : Model, path or {"fibre-composite", "separator", "cathode"}
        From `train` or `load_model`, or what `load_model` takes.
    sampler : {"fast", "paper", "draft", "standard", "high"} or SamplerSettings
        ``"paper"`` is the modified harmonized sampling of Lee and Yun as we read it: all T steps,
        each with ``harmonize`` repeats (Eq. 16, 17), so T (1 + n_h) - n_h, about 5000, passes of
        the network.  ``"fast"`` visits few steps and repeats each in the next plane; ``"draft"``,
        ``"standard"`` and ``"high"`` are the same with 22, 38 and 91 passes, whatever `calibrate`
        found for the model.  A `SamplerSettings` sets everything itself.
    passes : int, optional
        Number of passes of ``"fast"`` (rounded to whole steps).  Default: see ``harmonize``.
    harmonize : int or sequence of int, optional
        Harmonizing passes n_h per step; default 4 for ``"paper"``.  For ``"fast"`` those that
        `calibrate` found for the model (``model.harmonize``); without calibration, and for 38
        ``passes``, they rise from 1 to 7 as the noise falls.  For other ``passes`` they are as many
        as eight steps leave room for, at most 5.  One number for ``"fast"`` is that of every step
        but the last, and the passes (default 38) determine the number of steps.  A sequence, for
        ``"fast"`` alone, gives those of each step, 0 for the last; its length is the number of
        steps.
    gamma : float, optional
        Weight of the harmonized sample against the one before it (Eq. 17), in [0, 1]; default 0.5
        for ``"paper"``, 1 for ``"fast"``.
    coupling : (J_z, J_y, J_x) or sequence of them, optional
        For ``"fast"``: how strongly neighbours along each axis are alike, from -2 to 2, of all
        phases or of one after the other; positive numbers make less surface.  Default: what
        `calibrate` found for the model (``model.coupling``), with the passes and repeats that it
        found; 0 with others.
    agreement : float, optional
        For ``"fast"``: how much what earlier passes saw in the slices of other planes counts in a
        pass, from 0 to 0.9.  By the same passes more makes smoother volumes; without calibration
        any but 0 also makes fewer passes (20).  Default: the model's (``model.agreement``), 0.4 for
        models that this version trains on a schedule that ends without signal.
    guidance : float
        Classifier-free guidance weight (Eq. 9), >= 0; 1 costs one evaluation per pass, others two.
    periodic : bool or (bool, bool, bool)
        Axes z, y, x along which the volume repeats.
    volume_fractions : "auto", "natural", None, sequence of float or mapping
        Phase fractions of the result: ``"auto"`` matches those of the training images, but leaves
        ``"paper"`` raw; ``"natural"`` draws them for each seed with the scatter that the training
        images imply for specimens of this shape (`statistics.fraction_scatter`), recorded in the
        provenance; None matches none at the end; otherwise one number per phase, summing to 1, or
        a mapping of names (or labels) to numbers, where one phase may be left out.
        With ``"fast"``, None leaves out only the final matching: the mean of the predicted x0 is
        still held at that of the training images (`SamplerSettings` with ``hold_mean=False`` does
        not hold it).  Raw and final fractions are both recorded in the provenance.  Fractions far
        outside the range of the micrographs warn.
    known : array of integers, shape (nz, ny, nx), optional
        Hard data: the labels of voxels or slices that were measured, 255 where nothing is known.
        They are returned exactly, the voxels around are made to agree with them, and the fractions
        are those of the whole volume.
    remove_islands : bool or "auto"
        Give single voxels that share a face with no voxel of their phase to the phase around them;
        their number is in the provenance.  Matched fractions stay exact.  A voxel at a face of the
        volume that is not periodic is not an island: it may continue outside.  ``"auto"`` removes
        single pixels in the slices, of each plane and phase, until they are as many as in the
        micrographs that `calibrate` was given; none for a model without calibration.
    n : int, optional
        Make n volumes, of the seeds ``seed`` ... ``seed + n - 1``, and return them in a list.
        `reconstruct_many` yields them one after the other instead.
    seed : int
        0 ... 2^64 - 1.  The noise of a voxel is a function of (seed, draw, voxel) alone.
    out : path, optional
        A .zarr to write.  The volume that is returned is opened from it and is not in memory (see
        `Microstructure.open`); in a process group each rank writes its own slices.  ``{seed}`` in
        the path stands for the seed of each of several volumes.
    device : str, optional
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; default: CUDA if it is available.
    callback : callable, optional
        Called after each pass with a dict: pass_index, passes, t, plane, seeds (of the volumes that
        the pass denoises together), seconds, eta; for n volumes they count the passes of all.
    progress : bool, optional
        Show a bar with the remaining time, on stderr.  Default: in a terminal or notebook, if the
        work takes more than a few seconds; lines instead of a bar where True is given elsewhere.
    runtime : Runtime, optional
        Rarely used options: windows, precision, compilation, raw labels, fractions as a condition.

    Returns
    -------
    Microstructure
        Labels (nz, ny, nx), with voxel size, phase names and a provenance that records how it was
        made; with ``n`` a list of them.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range; the message names it.

    Notes
    -----
    The former keywords ``quality``, ``settings`` (values of ``sampler``; ``settings`` overrides
    ``sampler``, ``passes``, ``harmonize``, ``gamma``, ``coupling`` and ``agreement``),
    ``window``, ``precision``, ``compile``, ``keep_raw`` and ``fraction_condition`` (fields of
    `Runtime`) are still accepted.

    References
    ----------
    K.-H. Lee and G. J. Yun, "Denoising diffusion-based synthetic generation of three-dimensional
    (3D) anisotropic microstructures from two-dimensional (2D) micrographs".
    """
    options = dict(locals())  # every argument by its name; first statement of the function
    for name in ("n", "seed", "callback", "progress"):
        del options[name]
    _checks.callback(callback)
    if n is None:
        request = Reconstruction.of(**options)
        with _shown(request, progress) as bar:
            return request.run((_checks.seed_number(seed),), bar.beside(callback))[0]
    n = _checks.integer(n, name="n", minimum=1)
    seed = _checks.integer(seed, name="seed", minimum=0, maximum=2**64 - n)
    job = as_one_job(callback, volumes=n)
    options.update(callback=job, progress=progress)
    return list(reconstruct_many(seeds=range(seed, seed + n), **options))


@accept_former_keywords
def reconstruct_many(
    volume_shape: int | Sequence[int],
    model: Model | str | Path,
    seeds: Iterable[int],
    *,
    batch: int | None = None,
    callback: Callback | None = None,
    progress: Shown = None,
    **options: Unpack[SamplerOptions],
) -> Iterator[Microstructure]:
    """Reconstruct volumes one after the other, on demand.

    Parameters
    ----------
    volume_shape, model
        As for `reconstruct`.
    seeds : iterable of int
        One volume each; may be endless (``itertools.count()``).
    batch : int, optional
        Number of volumes sampled together, which is faster if one alone does not fill the device;
        the memory is that of a batch.  Default: as many as fill it, at most 16.
    callback : callable, optional
        As for `reconstruct`, with the passes of each batch.
    progress : bool, optional
        As for `reconstruct`; of all volumes, if ``seeds`` has a length.
    **options
        All other options of `reconstruct` except ``n`` and ``seed``.

    Returns
    -------
    iterator of Microstructure
        Volume i is that of `reconstruct` with the i-th seed (to the rounding of the network).

    Raises
    ------
    ValueError, TypeError
        As for `reconstruct`, before the first volume is made.

    Examples
    --------
    >>> for volume in reconstruct_many(16, "separator", range(2), passes=3):
    ...     print(volume.shape)
    (16, 16, 16)
    (16, 16, 16)
    """
    for name in options:
        if name not in Reconstruction.options():
            raise TypeError(f"`{name}` is not an option of reconstruct_many")
    request = Reconstruction.of(volume_shape, model, **options)
    _checks.callback(callback)
    if batch is not None:
        batch = _checks.integer(batch, name="batch", minimum=1)
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Iterable):
        raise _checks.refuse_type("seeds", "be an iterable of integers", type(seeds).__name__)
    several = not isinstance(seeds, Sized) or len(seeds) > 1
    if several and request.out is not None and SEED not in request.out:
        raise _checks.refuse("out", f"contain {SEED} for several volumes", repr(request.out))
    if batch is None or request.one_by_one:
        batch = request.volumes_at_once
    return _batches(request, seeds, batch, callback, checked(progress))


def _batches(
    request: Reconstruction,
    seeds: Iterable[int],
    batch: int,
    callback: Callback | None,
    progress: Shown,
) -> Iterator[Microstructure]:
    with _shown(request, progress) as bar:
        show = as_one_job(bar, volumes=len(seeds)) if isinstance(seeds, Sized) else None
        follow = bar.beside(callback, show)
        waiting = iter(seeds)
        while some := tuple(itertools.islice(waiting, batch)):
            yield from request.run([_checks.seed_number(s, name="seeds") for s in some], follow)


def _shown(request: Reconstruction, progress: Shown) -> AbstractContextManager[Progress]:
    """Return the bar of a reconstruction, with what would be faster."""
    passes, draft = request.settings.passes, QUALITY["draft"]
    faster = [
        *(["a GPU"] if request.device.type == "cpu" else []),
        *([f'the sampler "draft" ({draft} of {passes} passes)'] if passes > draft else []),
        "fewer voxels",
    ]
    shown = progress if current_group().first else False
    return following(shown, "reconstructing", on=str(request.device), faster=faster)
