# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
r"""Multi-plane denoising with harmonizing passes (paper, Fig. 4, Eq. 5, 8, 9, 16, 17).

The volume is one field x of logical index (C, z, y, x); a plane is only a way to slice it.  A pass
is: the network looks at every slice of one plane, and one fused operator turns x and the network's
output into the next x, already in the slice batch of the plane that comes next.

Both samplers are the same loop.  ``"paper"`` visits all T steps and stays in one plane while it
harmonizes; ``"fast"`` visits few steps, turns the plane inside the repeats, starts from the true
terminal law, and clips the predicted x0 and holds its mean at that of the wanted fractions.  Two
independent normals that enter a pass one after the other (the z of Eq. 5 and that of Eq. 16) are
drawn as one normal of the summed variance: the same law for half the draws.
"""

from __future__ import annotations

import hashlib
import inspect
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks
from ..microstructure import Microstructure
from .checkpoint import Model, mean_field
from .field import PLANES, Field, working_shape
from .labelling import UNKNOWN, final_labels, labels_of, left_to_give

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class SamplerSettings:
    """What a sampler does, in the paper's symbols."""

    steps: int  # outer steps of the reverse process
    harmonize: int | tuple[int, ...]  # n_h: harmonizing passes a step, or of each step
    gamma: float  # weight of the harmonized sample in Eq. 17
    rotate: bool = False  # turn the plane inside the repeats
    variance: str = "beta"  # of the reverse step: "beta" (the paper's), "posterior", "none" (DDIM)
    clip: bool = False  # clamp the predicted x0 to [-1, 1]
    true_terminal: bool = False  # start from the law of x_T instead of N(0, I)
    hold_mean: bool = False  # tilt the predicted x0 to the mean of the wanted fractions
    spacing: float = 1.0  # visited steps t_i = T (1 - i / steps)^spacing: above 1, finer at the end
    temperature: float = 1.0  # scale of the noise that a harmonizing pass draws
    gamma_end: float | None = None  # gamma at the last step, reached linearly; None: constant
    keep_variance: bool = False  # give a blend (gamma < 1) the noise that it lost by blending

    def __post_init__(self) -> None:
        _checks.integer(self.steps, name="steps", minimum=1)
        if isinstance(self.harmonize, tuple):
            _checks.repeats(self.harmonize, name="harmonize", steps=self.steps)
        else:
            _checks.integer(self.harmonize, name="harmonize", minimum=0)
        _checks.choice(self.variance, ("beta", "posterior", "none"), name="variance")
        _checks.real(self.gamma, name="gamma", minimum=0.0, maximum=1.0)
        _checks.real(self.spacing, name="spacing", minimum=0.0, open_ends=True)
        _checks.real(self.temperature, name="temperature", minimum=0.0)
        if self.gamma_end is not None:
            _checks.real(self.gamma_end, name="gamma_end", minimum=0.0, maximum=1.0)

    def gamma_at(self, k: int) -> float:
        """Weight of Eq. 17 at outer step k."""
        if self.gamma_end is None or self.steps == 1:
            return self.gamma
        return self.gamma + (self.gamma_end - self.gamma) * k / (self.steps - 1)

    def repeats_at(self, k: int) -> int:
        """Harmonizing passes of outer step k: none follows the last denoising."""
        if isinstance(self.harmonize, tuple):
            return self.harmonize[k]
        return self.harmonize if k + 1 < self.steps else 0

    @property
    def passes(self) -> int:
        """Passes over the volume."""
        return self.steps + sum(self.repeats_at(k) for k in range(self.steps))


def paper_settings(model: Model, harmonize: int = 4, gamma: float = 0.5) -> SamplerSettings:
    """The paper's modified harmonized sampling, by our reading (its choice: n_h 4, gamma 0.5)."""
    return SamplerSettings(model.schedule.steps, harmonize, gamma)


QUALITY = {"draft": 22, "standard": 38, "high": 91}  # passes of the fast sampler
FAST_PASSES = QUALITY["standard"]
_LEVELS, _REPEATS = 8, 5
# Harmonizing passes at the steps t = 1000, 766, 562, 391, 250, 141, 62, 16 of the default.  At high
# noise they make coarse structure coarser (lamellae flat and thick), in the middle they make the
# slices agree (docs/study.md).
RISING = (1, 2, 3, 5, 7, 7, 5, 0)


def fast_settings(
    passes: int | None = None,
    harmonize: int | tuple[int, ...] | None = None,
    gamma: float = 1.0,
) -> SamplerSettings:
    """Few outer steps, several harmonizing passes each, the plane rotating inside the repeats.

    By default eight steps whose repeats rise as the noise falls; for another number of passes up to
    five repeats of each of eight steps, as the passes allow, and more passes are more steps.
    Repeats of each step may be given instead of a number for all.  The variance
    of a step is that of the posterior: the paper's beta, harmless on its thousand steps, leaves
    steps this long with more noise than the network expects, which stays as single voxels.
    gamma = 1: a blend of two noises has too little variance for a prediction of v.
    """
    passes = FAST_PASSES if passes is None else passes
    n_h: int | tuple[int, ...]
    if harmonize is not None:
        n_h = harmonize
    elif passes == FAST_PASSES:
        n_h = RISING
    else:
        n_h = min(_REPEATS, -(-passes // _LEVELS) - 1)
    return SamplerSettings(
        len(n_h) if isinstance(n_h, tuple) else max(1, round((passes + n_h) / (1 + n_h))),
        n_h,
        gamma,
        rotate=True,
        variance="posterior",
        clip=True,
        true_terminal=True,
        hold_mean=True,
        spacing=2.0,
    )


# ------------------------------------------------------------------------------------ the public
# door


def reconstruct(
    volume_shape: Sequence[int],
    model: Model,
    *,
    sampler: str = "fast",
    quality: str | None = None,
    passes: int | None = None,
    harmonize: int | Sequence[int] | None = None,
    gamma: float | None = None,
    guidance: float = 1.0,
    periodic: bool | Sequence[bool] = False,
    volume_fractions: Any = "auto",
    fraction_condition: bool | str = "auto",
    known: Any = None,
    remove_islands: bool = False,
    window: int | str | None = "auto",
    n: int | None = None,
    seed: int = 0,
    device: str | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    precision: str = "auto",
    settings: SamplerSettings | None = None,
    keep_raw: bool = False,
    compile: bool | str = "auto",
) -> Microstructure | Any:
    r"""Reconstruct a 3D volume from a model of its 2D micrographs.

    Parameters
    ----------
    volume_shape : (nz, ny, nx)
        Voxels along each axis, any positive sizes.
    model : Model
        From `train` or `load_model`.
    sampler : {"fast", "paper"}
        ``"paper"`` is the modified harmonized sampling of Lee and Yun as we read it: all T steps,
        each with ``harmonize`` repeats (Eq. 16, 17), so T (1 + n_h) - n_h, about 5000, passes of
        the network.  ``"fast"`` visits few steps and repeats each in the next plane.
    quality : {"draft", "standard", "high"}, optional
        How many passes the ``"fast"`` sampler makes: 22, 38 or 91; the model's own repeats are
        not looked at then.  Default: see ``harmonize``.
    passes : int, optional
        The number itself instead (rounded to whole steps).
    harmonize : int or sequence of int, optional
        Harmonizing passes n_h a step; default 4 for ``"paper"``.  For ``"fast"`` those that
        `calibrate` found for the model (``model.harmonize``); where it was not asked, and for 38
        ``passes`` or ``quality="standard"``, they rise from 1 to 7 as the noise falls.  For other
        ``passes`` or ``quality`` they are as many as eight steps leave room for, at most 5.  One
        number for ``"fast"`` is that of every step but the last, and the passes (38 if not given)
        make the number of steps.  A sequence, for ``"fast"`` alone, gives those of each step, as
        many steps as it is long, 0 for the last.
    gamma : float, optional
        Weight of the harmonized sample against the one before it (Eq. 17), in [0, 1]; default 0.5
        for ``"paper"``, 1 for ``"fast"``.
    guidance : float
        Classifier-free guidance weight (Eq. 9), >= 0; 1 costs one evaluation a pass, others two.
    periodic : bool or (bool, bool, bool)
        Axes z, y, x along which the volume repeats.
    volume_fractions : "auto", None or sequence of float
        Phase fractions of the result: ``"auto"`` matches those of the training images for
        ``"fast"`` and leaves ``"paper"`` raw; None matches none at the end; else one number a
        phase, summing to 1.  None with ``"fast"`` is not free of fractions: while it samples, the
        mean of the predicted x0 is still held at that of the training images, and only the last
        matching is left out (`SamplerSettings`, ``hold_mean=False``, does not hold it).  Raw and
        final fractions are both recorded in the provenance.
    fraction_condition : "auto" or bool
        Tell the network the fractions of the volume, those of ``volume_fractions`` or else of the
        training images.  ``"auto"``: where the model was trained with `train`'s
        ``fraction_condition``, ``volume_fractions`` is not raw, and the sampler does not hold the
        mean anyway, as ``"fast"`` does: there being told changes nothing at the fraction of the
        training images and overshoots away from it.
    known : array of integers, shape (nz, ny, nx), optional
        Hard data: the labels of voxels or slices that were measured, 255 where nothing is known.
        They come back exactly, the voxels around are made to agree with them, and the fractions are
        those of the whole volume.
    remove_islands : bool
        Give single voxels that share a face with no voxel of their phase to the phase around them;
        how many is in the provenance.  Matched fractions stay exact.  A voxel at a face of the
        volume that does not repeat is no island: it may belong to something beyond.
    window : "auto", None or int
        None: the network sees slices whole.  A number (a multiple of the network's stride): slices
        longer than it are seen in windows of that side, laid at a new random offset for every pass.
        ``"auto"``: whole slices, which cost less (docs/reconstruct.md).
    n : int, optional
        Make n volumes, of the seeds ``seed`` ... ``seed + n - 1``, and return them in a list.
        `reconstruct_many` makes them one after the other instead.
    seed : int
        0 ... 2^64 - 1.  The noise of a voxel is a function of (seed, draw, voxel) alone.
    device : str, optional
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; default: CUDA where there is one.
    callback : callable, optional
        Called after each pass with a dict: pass_index, passes, t, plane, seeds (of the volumes that
        the pass denoises together), seconds, eta; of n volumes the passes are counted through.
    precision : {"auto", "bfloat16", "float32"}
        Of the network; the field itself is float32.
    settings : SamplerSettings, optional
        Every knob of the sampler at once; overrides ``sampler``, ``quality``, ``passes``,
        ``harmonize``, ``gamma``.
    keep_raw : bool
        Also keep the raw labels, before fractions were matched, as ``fields["raw_labels"]``.
    compile : "auto" or bool
        Compile the network (torch.compile): ``"auto"`` on CUDA where Triton is found, never on a
        CPU, where it does not pay (docs/reconstruct.md).

    Returns
    -------
    Microstructure
        Labels (nz, ny, nx), with voxel size, phase names and a provenance that says how it was
        made; with ``n`` a list of them.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range; the sentence names it.

    References
    ----------
    K.-H. Lee and G. J. Yun, "Denoising diffusion-based synthetic generation of three-dimensional
    (3D) anisotropic microstructures from two-dimensional (2D) micrographs".
    """
    options: dict[str, Any] = {
        "sampler": sampler,
        "quality": quality,
        "passes": passes,
        "harmonize": harmonize,
        "gamma": gamma,
        "guidance": guidance,
        "periodic": periodic,
        "volume_fractions": volume_fractions,
        "fraction_condition": fraction_condition,
        "known": known,
        "remove_islands": remove_islands,
        "window": window,
        "device": device,
        "precision": precision,
        "settings": settings,
        "keep_raw": keep_raw,
        "compile": compile,
    }
    if n is None:
        request = _request(volume_shape, model, **options)
        return _make(request, (_checks.seed_number(seed),), _called(callback))[0]
    n = _checks.integer(n, name="n", minimum=1)
    seed = _checks.integer(seed, name="seed", minimum=0, maximum=2**64 - n)
    told = counted(_called(callback), n)
    seeds = range(seed, seed + n)
    return list(reconstruct_many(volume_shape, model, seeds, callback=told, **options))


def reconstruct_many(
    volume_shape: Sequence[int],
    model: Model,
    seeds: Iterable[int],
    *,
    batch: int | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    **options: Any,
) -> Iterator[Microstructure]:
    """Reconstruct one volume after the other, as they are asked for.

    Parameters
    ----------
    volume_shape, model
        As for `reconstruct`.
    seeds : iterable of int
        One volume each; may be endless (``itertools.count()``).
    batch : int, optional
        Volumes that are sampled together, which is faster where one alone does not fill the device;
        the memory is that of a batch.  Default: as many as do, at most 16.
    callback : callable, optional
        As for `reconstruct`, with the passes of each batch.
    **options
        All others of `reconstruct` but ``n`` and ``seed``.

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
    >>> model = load_model("separator")
    >>> for volume in reconstruct_many((16, 16, 16), model, range(2), passes=3):
    ...     print(volume.shape)
    (16, 16, 16)
    (16, 16, 16)
    """
    for name in options:
        if name not in _OPTIONS:
            raise TypeError(f"`{name}` is no option of reconstruct_many")
    request = _request(volume_shape, model, **options)
    _called(callback)
    if batch is not None:
        batch = _checks.integer(batch, name="batch", minimum=1)
    if isinstance(seeds, str | bytes) or not isinstance(seeds, Iterable):
        raise TypeError(f"`seeds` must be an iterable of integers, got {type(seeds).__name__}")
    return _batches(request, seeds, batch or _volumes_at_once(request), callback)


def _batches(
    request: _Request,
    seeds: Iterable[int],
    batch: int,
    callback: Callable[[dict[str, Any]], None] | None,
) -> Iterator[Microstructure]:
    waiting = iter(seeds)
    while some := tuple(itertools.islice(waiting, batch)):
        yield from _make(
            request, tuple(_checks.seed_number(s, name="seeds") for s in some), callback
        )


@dataclass(frozen=True)
class _Request:
    """What `reconstruct` was asked for, checked and resolved; all but the seed."""

    shape: tuple[int, int, int]
    model: Model
    sampler: str
    settings: SamplerSettings
    quality: str | None
    guidance: float
    periodic: tuple[bool, ...]
    target: np.ndarray | None
    conditioned: bool
    known: np.ndarray | None
    remove_islands: bool
    window: int | None
    where: torch.device
    dtype: torch.dtype
    compiled: bool
    keep_raw: bool


def _request(
    volume_shape: Sequence[int],
    model: Model,
    *,
    sampler: str = "fast",
    quality: str | None = None,
    passes: int | None = None,
    harmonize: int | Sequence[int] | None = None,
    gamma: float | None = None,
    guidance: float = 1.0,
    periodic: bool | Sequence[bool] = False,
    volume_fractions: Any = "auto",
    fraction_condition: bool | str = "auto",
    known: Any = None,
    remove_islands: bool = False,
    window: int | str | None = "auto",
    device: str | None = None,
    precision: str = "auto",
    settings: SamplerSettings | None = None,
    keep_raw: bool = False,
    compile: bool | str = "auto",
) -> _Request:
    """Check every argument once."""
    from .device import compute_dtype, find_device, should_compile

    shape = _checks.shape3(volume_shape, name="volume_shape")
    if not isinstance(model, Model):
        raise TypeError(f"`model` must be a Model, got {type(model).__name__}: see load_model")
    _checks.choice(sampler, ("fast", "paper"), name="sampler")
    if isinstance(harmonize, Sequence) and not isinstance(harmonize, str | bytes):
        harmonize = _checks.repeats(harmonize, name="harmonize")
        if sampler == "paper" or passes is not None or quality is not None:
            raise ValueError(
                "`harmonize` must be one number where `passes`, `quality` or sampler 'paper' is "
                f"given, got {harmonize!r}"
            )
    elif harmonize is not None:
        harmonize = _checks.integer(harmonize, name="harmonize", minimum=0)
    if gamma is None:
        gamma = 0.5 if sampler == "paper" else 1.0
    gamma = _checks.real(gamma, name="gamma", minimum=0.0, maximum=1.0)
    guidance = _checks.real(guidance, name="guidance", minimum=0.0)
    wraps = _checks.per_axis_bool(periodic, 3, name="periodic")
    if quality is not None:
        _checks.choice(quality, QUALITY, name="quality")
        if passes is not None:
            raise ValueError(f"`quality` must be None where `passes` is given, got {quality!r}")
    if passes is not None:
        passes = _checks.integer(passes, name="passes", minimum=1)
    for name, given in (("quality", quality), ("passes", passes)):
        if given is not None and sampler == "paper":
            raise ValueError(
                f"`{name}` must be None for sampler 'paper', whose passes follow from T and "
                f"`harmonize`, got {given!r}"
            )
    target = _target_fractions(volume_fractions, model, sampler)
    if settings is None:
        if sampler == "paper":
            n_h = harmonize if isinstance(harmonize, int) else 4
            settings = paper_settings(model, n_h, gamma)
        else:
            if harmonize is None and passes is None and quality is None:
                harmonize = model.harmonize
            settings = fast_settings(QUALITY[quality] if quality else passes, harmonize, gamma)
            if isinstance(harmonize, int) and harmonize > 0 and settings.steps < 2:
                raise ValueError(
                    "`harmonize` must leave two steps of the passes that are made, for the last "
                    f"repeats nothing, got {harmonize}"
                )
    elif not isinstance(settings, SamplerSettings):
        raise TypeError(
            f"`settings` must be a SamplerSettings or None, got {type(settings).__name__}"
        )
    else:
        sampler, quality = "custom", None
    if settings.steps > model.schedule.steps:
        raise ValueError(
            f"`passes` must visit at most the {model.schedule.steps} steps of the model, "
            f"got {settings.passes} passes on {settings.steps} steps"
        )
    wanted = target is not None and not settings.hold_mean
    conditioned = _condition_on_fractions(fraction_condition, model, wanted)
    where = find_device(device)
    return _Request(
        shape=shape,
        model=model,
        sampler=sampler,
        settings=settings,
        quality=quality,
        guidance=guidance,
        periodic=wraps,
        target=target,
        conditioned=conditioned,
        known=_known_labels(known, shape, model.n_phases, target),
        remove_islands=_checks.boolean(remove_islands, name="remove_islands"),
        window=_window_side(window, model),
        where=where,
        dtype=compute_dtype(precision, where),
        compiled=should_compile(compile, where),
        keep_raw=_checks.boolean(keep_raw, name="keep_raw"),
    )


# Of `reconstruct`, without those that `reconstruct_many` takes by itself.
_OPTIONS = frozenset(inspect.signature(_request).parameters) - {"volume_shape", "model"}


def _make(
    r: _Request, seeds: tuple[int, ...], callback: Callable[[dict[str, Any]], None] | None
) -> list[Microstructure]:
    """Sample the volumes of these seeds together."""
    from .copies import borrowed
    from .device import current_device

    started = time.perf_counter()
    with current_device(r.where), borrowed(r.model, r.where, r.dtype, r.compiled) as network:
        field = Field(
            r.shape,
            r.model,
            r.where,
            r.dtype,
            guidance=r.guidance,
            periodic=r.periodic,
            seed=seeds,
            fractions=r.target,
            fraction_condition=r.conditioned,
            window=r.window,
            known=r.known,
            network=network,
        )
        sample(field, r.settings, callback)
        fields = [field.result(i) for i in range(len(seeds))]  # (C, nz, ny, nx) on the host
        network_seconds = field.network_seconds
    phases = r.model.n_phases
    made = []
    for x in fields:
        labels, islands = final_labels(
            x,
            phases,
            r.target,
            periodic=r.periodic,
            known=r.known,
            remove_islands=r.remove_islands,
        )
        made.append((labels_of(x, phases), labels, islands))
    share = (time.perf_counter() - started) / len(seeds)
    known = None
    if r.known is not None:
        digest = hashlib.sha256(r.known.tobytes()).hexdigest()[:16]
        known = {"voxels": int((r.known != UNKNOWN).sum()), "sha256": digest}
    return [
        Microstructure(
            labels,
            voxel_size=r.model.voxel_size,
            phase_names=r.model.phase_names,
            fields={"raw_labels": raw} if r.keep_raw else {},
            provenance={
                "made_by": "micro3d_fast.reconstruct",
                "model": r.model.hash,
                "sampler": r.sampler,
                "quality": r.quality,
                "settings": {k: getattr(r.settings, k) for k in r.settings.__dataclass_fields__},
                "passes": r.settings.passes,
                "guidance": r.guidance,
                "periodic": list(r.periodic),
                "window": r.window,
                "known": known,
                "seed": seed,
                "device": str(r.where),
                "precision": str(r.dtype).removeprefix("torch."),
                "compiled": r.compiled,
                "fraction_condition": r.conditioned,
                "raw_volume_fractions": _fractions_of(raw, phases),
                "asked_volume_fractions": None
                if r.target is None
                else [float(f) for f in r.target],
                "model_volume_fractions": [float(f) for f in r.model.volume_fractions],
                "volume_fractions": _fractions_of(labels, phases),
                "islands_removed": islands if r.remove_islands else None,
                "volumes_at_once": len(seeds),
                "seconds": round(share, 3),
                "network_seconds": round(network_seconds / len(seeds), 3),
            },
        )
        for seed, (raw, labels, islands) in zip(seeds, made, strict=True)
    ]


# ------------------------------------------------------------------------------------- the
# algorithm


def sample(
    field: Field,
    settings: SamplerSettings,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Modified harmonized sampling (Fig. 4b): denoise plane after plane until they agree."""
    schedule, planes = field.model.schedule, field.planes
    times = schedule.respaced(settings.steps, settings.spacing)
    field.start(planes[0], times[0], settings.true_terminal)
    turn, started = 0, time.perf_counter()
    for k, t in enumerate(times):
        s = times[k + 1] if k + 1 < len(times) else 0
        beta = schedule.beta(t, s)
        sigma2 = schedule.variance(t, s, settings.variance)
        g = settings.gamma_at(k)
        repeats = settings.repeats_at(k)
        if repeats:
            field.keep()  # h0 = x
        for repeat in range(repeats + 1):
            last = repeat == repeats
            turn += settings.rotate or last
            update = field.reverse(t, s, settings)  # Eq. 8, 9: the mean of x_s
            if last:  # x = y, in the slices of the next plane
                update.finish(planes[turn % len(planes)], s, noise=sigma2**0.5 if s > 0 else 0.0)
            else:  # Eq. 16: h = sqrt(1 - beta) y + sqrt(beta) z;  Eq. 17: g h + (1 - g) h0
                noise2 = g**2 * ((1 - beta) * sigma2 + beta) * settings.temperature**2
                if settings.keep_variance:
                    noise2 += schedule.blend_deficit(t, s, g, settings.variance)
                update.finish(
                    planes[turn % len(planes)],
                    t,
                    scale=g * (1 - beta) ** 0.5,
                    noise=noise2**0.5,
                    h0=1 - g,
                )
            if callback is not None:
                done, seconds = field.draw - 1, time.perf_counter() - started
                callback(
                    {
                        "pass_index": done,
                        "passes": settings.passes,
                        "t": t,
                        "plane": update.plane,
                        "seeds": field.seeds,
                        "seconds": seconds,
                        "eta": seconds / done * (settings.passes - done),
                    }
                )


# ------------------------------------------------------------------------------------------ 2D
# samples


def sample_slices(
    model: Model,
    plane: str,
    n: int = 16,
    *,
    size: int | tuple[int, int] | None = None,
    steps: int = 32,
    guidance: float = 1.0,
    volume_fractions: Any = None,
    seed: int = 0,
    device: str | None = None,
    precision: str = "auto",
) -> np.ndarray:
    """Independent 2D samples of one plane: the network alone, to be judged beside every 3D result.

    Deterministic reverse process (DDIM, Song et al. 2021) with ``steps`` steps.

    Parameters
    ----------
    model : Model
    plane : {"xy", "xz", "yz"}
    n : int
        Images.
    size : int or (height, width), optional
        Default: the training patch.
    steps : int
        Network passes.
    guidance : float
        Classifier-free guidance weight (Eq. 9).
    volume_fractions : sequence of float, optional
        Phase fractions that the network is told; needs a model trained with
        ``fraction_condition``.
    seed : int
    device, precision
        As in `reconstruct`.

    Returns
    -------
    array of uint8, shape (n, height, width)
        Raw labels; no fraction is matched.
    """
    import torch

    from .copies import borrowed
    from .device import compute_dtype, find_device
    from .unet import NO_PLANE

    if not isinstance(model, Model):
        raise TypeError(f"`model` must be a Model, got {type(model).__name__}: see load_model")
    index = PLANES.index(_checks.choice(plane, PLANES, name="plane"))
    guidance = _checks.real(guidance, name="guidance", minimum=0.0)
    if volume_fractions is not None and not model.fraction_condition:
        raise ValueError(
            "`volume_fractions` must be None for a model that was trained without "
            f"`fraction_condition`, got {volume_fractions!r}"
        )
    fractions = _target_fractions(volume_fractions, model, "fast")
    seed = _checks.integer(seed, name="seed", minimum=0, maximum=2**63 - 1)
    n = _checks.integer(n, name="n", minimum=1)
    steps = _checks.integer(steps, name="steps", minimum=1, maximum=model.schedule.steps)
    h, w = (size, size) if not isinstance(size, tuple) else size
    h, w = (model.patch if side is None else side for side in (h, w))
    stride = model.config.stride
    for side in (h, w):
        _checks.integer(side, name="size", minimum=1)
    where = find_device(device)
    dtype = compute_dtype(precision, where)
    schedule = model.schedule
    times = schedule.respaced(steps)
    generator = torch.Generator().manual_seed(seed)
    padded = (-(-h // stride) * stride, -(-w // stride) * stride)
    z = torch.randn((n, model.config.channels, *padded), generator=generator).to(where)
    bar = float(schedule.alpha_bar[times[0]])
    asked = model.volume_fractions if fractions is None else fractions
    mean = torch.from_numpy(mean_field(asked)).float().to(where)
    told_fractions = (
        None if fractions is None else torch.from_numpy(fractions[None]).float().to(where)
    )
    x = bar**0.5 * mean[None, :, None, None] + (1 - bar) ** 0.5 * z
    with borrowed(model, where, dtype) as network, torch.inference_mode():
        net = network.net
        for k, t in enumerate(times):
            s = times[k + 1] if k + 1 < steps else 0
            x_net = x.to(dtype).contiguous(memory_format=torch.channels_last)

            def told(condition: int, t: int = t, x_net: Tensor = x_net) -> Tensor:
                cond = net.condition(
                    torch.tensor([t], device=where),
                    torch.tensor([condition], device=where),
                    None if condition == NO_PLANE else told_fractions,
                )
                return net(x_net, cond).float()

            out = told(index)
            if guidance != 1:
                out = guidance * out + (1 - guidance) * told(NO_PLANE)
            p, q = schedule.x0_from(t, model.prediction)
            x0 = (p * x + q * out).clamp(-1, 1)
            if s == 0:
                x = p * x + q * out
                break
            bar_t, bar_s = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
            noise = (x - bar_t**0.5 * x0) / (1 - bar_t) ** 0.5
            x = bar_s**0.5 * x0 + (1 - bar_s) ** 0.5 * noise
    return np.stack([labels_of(image, model.n_phases) for image in x[..., :h, :w].cpu().numpy()])


# ---------------------------------------------------------------------------------------------
# helpers


def _target_fractions(value: Any, model: Model, sampler: str) -> np.ndarray | None:
    """Phase fractions to match, or None for a raw result."""
    if value is None:
        return None
    if isinstance(value, str):
        if value != "auto":
            raise ValueError(
                f"`volume_fractions` must be 'auto', None or one number per phase, got {value!r}"
            )
        return None if sampler == "paper" else np.asarray(model.volume_fractions)
    try:
        fractions = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            f"`volume_fractions` must be 'auto', None or one number per phase, got {value!r}"
        ) from None
    if (
        fractions.shape != (model.n_phases,)
        or not np.isfinite(fractions).all()
        or (fractions < 0).any()
        or abs(fractions.sum() - 1) > 1e-6
    ):
        raise ValueError(
            f"`volume_fractions` must be {model.n_phases} non-negative numbers that sum to 1, "
            f"got {value!r}"
        )
    return fractions / fractions.sum()


def _condition_on_fractions(value: Any, model: Model, wanted: bool) -> bool:
    """Whether the network is told the phase fractions; ``wanted`` decides for "auto"."""
    if isinstance(value, str):
        if value != "auto":
            raise ValueError(f"`fraction_condition` must be 'auto', True or False, got {value!r}")
        return model.fraction_condition and wanted
    if not isinstance(value, bool):
        raise TypeError(
            f"`fraction_condition` must be 'auto', True or False, got {type(value).__name__}"
        )
    if value and not model.fraction_condition:
        raise ValueError(
            "`fraction_condition` must be 'auto' or False for a model that was trained without "
            "it, got True"
        )
    return value


def _called(
    callback: Callable[[dict[str, Any]], None] | None,
) -> Callable[[dict[str, Any]], None] | None:
    if callback is not None and not callable(callback):
        raise TypeError(f"`callback` must be callable, got {type(callback).__name__}")
    return callback


def counted(
    callback: Callable[[dict[str, Any]], None] | None, n: int
) -> Callable[[dict[str, Any]], None] | None:
    """The callback told of n volumes as of one: passes and seconds counted through."""
    if callback is None:
        return None
    started, done = time.perf_counter(), 0.0  # in volumes

    def told(event: dict[str, Any]) -> None:
        nonlocal done
        together, passes = len(event["seeds"]), event["passes"]
        done += together / passes
        seconds = time.perf_counter() - started
        callback(
            {
                **event,
                "pass_index": round(done * passes),
                "passes": n * passes,
                "seconds": seconds,
                "eta": seconds / done * (n - done),
            }
        )

    return told


def _known_labels(
    value: Any, shape: tuple[int, int, int], n_phases: int, target: np.ndarray | None
) -> np.ndarray | None:
    """Hard data as uint8, `UNKNOWN` where there is none; None where there is none at all."""
    if value is None:
        return None
    known = _checks.as_labels(value, name="known", ndim=3)
    if known.shape != shape:
        raise ValueError(f"`known` must have the shape of the volume {shape}, got {known.shape}")
    counts = np.bincount(known.ravel(), minlength=UNKNOWN + 1)
    wrong = np.flatnonzero(counts[n_phases:UNKNOWN])
    if len(wrong):
        raise ValueError(
            f"`known` must hold phases 0 ... {n_phases - 1} and {UNKNOWN} where nothing is known, "
            f"got {n_phases + wrong[0]}"
        )
    if counts[UNKNOWN] == known.size:
        return None
    if target is not None:
        over = np.flatnonzero(left_to_give(target, known) < 0)
        if len(over):
            phase = int(over[0])
            raise ValueError(
                f"`known` must leave room for `volume_fractions`, got {counts[phase]} voxels of "
                f"phase {phase} where {target[phase]:.4g} of {known.size} are asked for"
            )
    return known.copy()


def _window_side(value: Any, model: Model) -> int | None:
    """Side of the windows in pixels; None for whole slices."""
    if value is None or value == "auto":
        return None
    stride = model.config.stride
    if isinstance(value, str) or _checks.integer(value, name="window", minimum=1) % stride:
        raise ValueError(
            f"`window` must be 'auto', None or a multiple of the network's stride {stride}, "
            f"got {value!r}"
        )
    return int(value)


def _volumes_at_once(r: _Request) -> int:
    """As many volumes as one batch of the network takes, at most 16."""
    _, shape = working_shape(r.shape, r.model, r.periodic)
    pixels = 2**21 if r.where.type == "cuda" else 2**17
    return max(1, min(16, pixels // math.prod(shape)))


def _fractions_of(labels: np.ndarray, n_phases: int) -> list[float]:
    return [float(f) for f in np.bincount(labels.ravel(), minlength=n_phases) / labels.size]
