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

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import _checks, ops
from ..microstructure import Microstructure
from .checkpoint import Model, mean_field
from .windows import Cell, layout

if TYPE_CHECKING:
    import torch
    from torch import Tensor

PLANES = ("xy", "xz", "yz")
# (C, z, y, x) from the axes of a slice batch [S, C, H, W], and the axes (S, H, W) of a plane.
_TO_FIELD = {"xy": (1, 0, 2, 3), "xz": (1, 2, 0, 3), "yz": (1, 2, 3, 0)}
_AXES = {"xy": (0, 1, 2), "xz": (1, 0, 2), "yz": (2, 0, 1)}


@dataclass(frozen=True)
class SamplerSettings:
    """What a sampler does, in the paper's symbols."""

    steps: int  # outer steps of the reverse process
    harmonize: int  # n_h: harmonizing passes a step
    gamma: float  # weight of the harmonized sample in Eq. 17
    rotate: bool = False  # turn the plane inside the repeats
    variance: str = "beta"  # of the reverse step: "beta" (the paper's), "posterior", "none" (DDIM)
    clip: bool = False  # clamp the predicted x0 to [-1, 1]
    true_terminal: bool = False  # start from the law of x_T instead of N(0, I)
    hold_mean: bool = False  # hold the mean of the predicted x0 at that of the wanted fractions
    temperature: float = 1.0  # scale of the noise that a harmonizing pass draws
    gamma_end: float | None = None  # gamma at the last step, reached linearly; None: constant
    keep_variance: bool = False  # give a blend (gamma < 1) the noise that it lost by blending

    def __post_init__(self) -> None:
        _checks.integer(self.steps, name="steps", minimum=1)
        _checks.integer(self.harmonize, name="harmonize", minimum=0)
        _checks.choice(self.variance, ("beta", "posterior", "none"), name="variance")
        _checks.real(self.gamma, name="gamma", minimum=0.0, maximum=1.0)
        if self.gamma_end is not None:
            _checks.real(self.gamma_end, name="gamma_end", minimum=0.0, maximum=1.0)

    def gamma_at(self, k: int) -> float:
        """Weight of Eq. 17 at outer step k."""
        if self.gamma_end is None or self.steps == 1:
            return self.gamma
        return self.gamma + (self.gamma_end - self.gamma) * k / (self.steps - 1)

    @property
    def passes(self) -> int:
        """Passes over the volume: no step harmonizes after the last denoising."""
        return self.steps * (1 + self.harmonize) - self.harmonize


def paper_settings(model: Model, harmonize: int = 4, gamma: float = 0.5) -> SamplerSettings:
    """The paper's modified harmonized sampling, by our reading (its choice: n_h 4, gamma 0.5)."""
    return SamplerSettings(model.schedule.steps, harmonize, gamma)


FAST_PASSES = 47


def fast_settings(
    passes: int | None = None, harmonize: int | None = None, gamma: float = 1.0
) -> SamplerSettings:
    """Few outer steps, one harmonizing pass each, the plane rotating inside the repeats.

    gamma = 1: on steps this steep a blend of two noises has too little variance for the network,
    which then drives the volume to its majority phase.  One repeat: with none the slices do not
    agree and the volume is fragmented, with three a lamellar material turns into flat sheets.
    """
    n_h = 1 if harmonize is None else harmonize
    steps = max(1, round(((FAST_PASSES if passes is None else passes) + n_h) / (1 + n_h)))
    return SamplerSettings(
        steps,
        n_h,
        gamma,
        rotate=True,
        variance="beta",
        clip=True,
        true_terminal=True,
        hold_mean=True,
    )


# ------------------------------------------------------------------------------------ the public
# door


def reconstruct(
    volume_shape: Sequence[int],
    model: Model,
    *,
    sampler: str = "fast",
    passes: int | None = None,
    harmonize: int | None = None,
    gamma: float | None = None,
    guidance: float = 1.0,
    periodic: bool | Sequence[bool] = False,
    volume_fractions: Any = "auto",
    fraction_condition: bool | str = "auto",
    seed: int = 0,
    device: str | None = None,
    callback: Callable[[dict[str, Any]], None] | None = None,
    precision: str = "auto",
    settings: SamplerSettings | None = None,
    keep_raw: bool = False,
    compile: bool | str = "auto",
) -> Microstructure:
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
    passes : int, optional
        Network passes of the ``"fast"`` sampler (rounded to whole steps); default 47.
    harmonize : int, optional
        Harmonizing passes n_h a step; default 4 for ``"paper"``, 1 for ``"fast"``.
    gamma : float, optional
        Weight of the harmonized sample against the one before it (Eq. 17), in [0, 1]; default 0.5
        for ``"paper"``, 1 for ``"fast"``.
    guidance : float
        Classifier-free guidance weight (Eq. 9); 1 costs one evaluation a pass, others two.
    periodic : bool or (bool, bool, bool)
        Axes z, y, x along which the volume repeats.
    volume_fractions : "auto", None or sequence of float
        Phase fractions of the result: ``"auto"`` matches those of the training images for
        ``"fast"`` and leaves ``"paper"`` raw; None leaves the field raw; else one number a phase,
        summing to 1.  Raw and final fractions are both recorded in the provenance.
    fraction_condition : "auto" or bool
        Tell the network the fractions of the volume, those of ``volume_fractions`` or else of the
        training images.  ``"auto"``: where the model was trained with `train`'s
        ``fraction_condition`` and ``volume_fractions`` is not raw.
    seed : int
        0 ... 2^64 - 1.  The noise of a voxel is a function of (seed, draw, voxel) alone.
    device : str, optional
        ``"cpu"``, ``"cuda"`` or ``"cuda:N"``; default: CUDA where there is one.
    callback : callable, optional
        Called after each pass with a dict: pass_index, passes, t, plane, seconds, eta.
    precision : {"auto", "bfloat16", "float32"}
        Of the network; the field itself is float32.
    settings : SamplerSettings, optional
        Every knob of the sampler at once; overrides ``sampler``, ``passes``, ``harmonize``,
        ``gamma``.
    keep_raw : bool
        Also keep the raw labels, before fractions were matched, as ``fields["raw_labels"]``.
    compile : "auto" or bool
        Compile the network (torch.compile): ``"auto"`` on CUDA where Triton is found, never on a
        CPU, where it does not pay for a volume or two.

    Returns
    -------
    Microstructure
        Labels (nz, ny, nx), with voxel size, phase names and a provenance that says how it was
        made.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range; the sentence names it.

    References
    ----------
    K.-H. Lee and G. J. Yun, "Denoising diffusion-based synthetic generation of three-dimensional
    (3D) anisotropic microstructures from two-dimensional (2D) micrographs".
    """
    from .device import compute_dtype, current_device, find_device, should_compile

    shape = _checks.shape3(volume_shape, name="volume_shape")
    if not isinstance(model, Model):
        raise TypeError(f"`model` must be a Model, got {type(model).__name__}: see load_model")
    _checks.choice(sampler, ("fast", "paper"), name="sampler")
    if harmonize is not None:
        harmonize = _checks.integer(harmonize, name="harmonize", minimum=0)
    if gamma is None:
        gamma = 0.5 if sampler == "paper" else 1.0
    gamma = _checks.real(gamma, name="gamma", minimum=0.0, maximum=1.0)
    guidance = _checks.real(guidance, name="guidance")
    periodic = _checks.per_axis_bool(periodic, 3, name="periodic")
    seed = _checks.integer(seed, name="seed", minimum=0, maximum=2**64 - 1)
    if callback is not None and not callable(callback):
        raise TypeError(f"`callback` must be callable, got {type(callback).__name__}")
    if passes is not None:
        passes = _checks.integer(passes, name="passes", minimum=1)
        if sampler == "paper":
            raise ValueError(
                "`passes` must be None for sampler 'paper', whose passes follow from T and "
                f"`harmonize`, got {passes}"
            )
    target = _target_fractions(volume_fractions, model, sampler)
    conditioned = _condition_on_fractions(fraction_condition, model, target)
    if settings is None:
        if sampler == "paper":
            settings = paper_settings(model, 4 if harmonize is None else harmonize, gamma)
        else:
            settings = fast_settings(passes, harmonize, gamma)
    elif not isinstance(settings, SamplerSettings):
        raise TypeError(
            f"`settings` must be a SamplerSettings or None, got {type(settings).__name__}"
        )
    else:
        sampler = "custom"
    if settings.steps > model.schedule.steps:
        raise ValueError(
            f"`passes` must visit at most the {model.schedule.steps} steps of the model, "
            f"got {settings.passes} passes on {settings.steps} steps"
        )
    where = find_device(device)
    dtype = compute_dtype(precision, where)
    compiled = should_compile(compile, where)

    started = time.perf_counter()
    with current_device(where):
        field = Field(
            shape,
            model,
            where,
            dtype,
            guidance=guidance,
            periodic=periodic,
            seed=seed,
            fractions=target,
            fraction_condition=conditioned,
            compiled=compiled,
        )
        sample(field, settings, callback)
        x = field.result()  # (C, nz, ny, nx) on the host
    raw = labels_of(x, model.n_phases)
    raw_fractions = np.bincount(raw.ravel(), minlength=model.n_phases) / raw.size
    labels = raw if target is None else match_fractions(settled(x, periodic), target)
    fractions = np.bincount(labels.ravel(), minlength=model.n_phases) / labels.size
    seconds = time.perf_counter() - started
    return Microstructure(
        labels,
        voxel_size=model.voxel_size,
        phase_names=model.phase_names,
        fields={"raw_labels": raw} if keep_raw else {},
        provenance={
            "made_by": "micro3d_fast.reconstruct",
            "model": model.hash,
            "sampler": sampler,
            "settings": {k: getattr(settings, k) for k in settings.__dataclass_fields__},
            "passes": settings.passes,
            "guidance": guidance,
            "periodic": list(periodic),
            "seed": seed,
            "device": str(where),
            "precision": str(dtype).removeprefix("torch."),
            "compiled": compiled,
            "fraction_condition": conditioned,
            "raw_volume_fractions": [float(f) for f in raw_fractions],
            "asked_volume_fractions": None if target is None else [float(f) for f in target],
            "volume_fractions": [float(f) for f in fractions],
            "seconds": round(seconds, 3),
            "network_seconds": round(field.network_seconds, 3),
        },
    )


# ------------------------------------------------------------------------------------- the
# algorithm


def sample(
    field: Field,
    settings: SamplerSettings,
    callback: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Modified harmonized sampling (Fig. 4b): denoise plane after plane until they agree."""
    schedule, planes = field.model.schedule, field.planes
    times = schedule.respaced(settings.steps)
    field.start(planes[0], times[0], settings.true_terminal)
    turn, started = 0, time.perf_counter()
    for k, t in enumerate(times):
        s = times[k + 1] if k + 1 < len(times) else 0
        beta = schedule.beta(t, s)
        sigma2 = schedule.variance(t, s, settings.variance)
        g = settings.gamma_at(k)
        repeats = settings.harmonize if s > 0 else 0
        if repeats:
            field.keep()  # h0 = x
        for repeat in range(repeats + 1):
            last = repeat == repeats
            turn += settings.rotate or last
            update = field.reverse(t, s, settings)  # Eq. 8, 9: the mean of x_s
            if last:  # x = y, in the slices of the next plane
                update.finish(planes[turn % len(planes)], noise=sigma2**0.5 if s > 0 else 0.0)
            else:  # Eq. 16: h = sqrt(1 - beta) y + sqrt(beta) z;  Eq. 17: g h + (1 - g) h0
                noise2 = g**2 * ((1 - beta) * sigma2 + beta) * settings.temperature**2
                if settings.keep_variance:
                    noise2 += schedule.blend_deficit(t, s, g)
                update.finish(
                    planes[turn % len(planes)],
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
                        "seconds": seconds,
                        "eta": seconds / done * (settings.passes - done),
                    }
                )


class Field:
    """The noisy volume x, in the slice batch of the plane that is denoised next.

    Given several seeds it holds as many volumes, one behind the other in the slice batch: each is
    what it would be alone, and the network sees the slices of all.

    Memory: x, the next x and h0 in float32, the network's input and output in its own precision:
    12 + 4 bytes a voxel and channel with bfloat16, beside the network's activations for one batch
    of slices or windows.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        model: Model,
        device: torch.device,
        dtype: torch.dtype,
        *,
        guidance: float = 1.0,
        periodic: Sequence[bool] = (False, False, False),
        seed: int | Sequence[int] = 0,
        fractions: Any = None,
        fraction_condition: bool = False,
        compiled: bool = False,
        window: int | None = None,
    ) -> None:
        import torch

        self.model, self.device, self.dtype = model, device, dtype
        # What the mean of x0 starts at and is held at, if the sampler does so.
        fractions = model.volume_fractions if fractions is None else fractions
        mean = mean_field(fractions)
        self.told_fractions = (  # (1, P), to a network that has them as a condition
            torch.tensor([[float(f) for f in fractions]], device=device)
            if fraction_condition
            else None
        )
        self.mean = torch.from_numpy(mean).float().to(device)
        self.guidance, self.periodic, self.window = guidance, periodic, window
        self.seeds = (seed,) if isinstance(seed, int) else tuple(seed)
        self.wanted = shape
        self.planes, self.shape = _working_shape(shape, model, periodic)
        self.channels = model.config.channels
        self.net = _compute_copy(model, device, dtype)
        self._forward = torch.compile(self.net) if compiled else self.net
        size = len(self.seeds) * self.channels * math.prod(self.shape)
        _refuse_memory(size * (12 + (2 if guidance == 1 else 3) * dtype.itemsize), shape, device)
        self._x, self._next = (torch.empty(size, device=device) for _ in range(2))
        self._h0: Tensor | None = None
        self._eats = torch.empty(size, device=device, dtype=dtype)  # what the network reads
        self._tells = [
            torch.empty(size, device=device, dtype=dtype) for _ in range(1 if guidance == 1 else 2)
        ]
        self._h0_plane = self.plane = ""
        self.draw = 0
        self._marks: list[tuple[Any, Any]] = []  # before and after each pass of the network
        self._conditions: dict[tuple[int, int], Any] = {}
        self._wraps = (False, False)  # of the network's convolutions

    # -- memory

    def batch(self, buffer: Tensor, plane: str, *, channels_last: bool = False) -> Tensor:
        """A flat buffer as the slice batch [S, C, H, W] of a plane, all volumes."""
        s, h, w = (self.shape[axis] for axis in _AXES[plane])
        s *= len(self.seeds)
        if channels_last:
            return buffer.view(s, h, w, self.channels).permute(0, 3, 1, 2)
        return buffer.view(s, self.channels, h, w)

    def slices(self, buffer: Tensor, plane: str, i: int, *, channels_last: bool = False) -> Tensor:
        """The slice batch [S, C, H, W] of volume i."""
        s = self.shape[_AXES[plane][0]]
        return self.batch(buffer, plane, channels_last=channels_last)[i * s : (i + 1) * s]

    def volume(
        self, buffer: Tensor, plane: str, i: int = 0, *, channels_last: bool = False
    ) -> Tensor:
        """The slice batch of volume i seen as its field (C, z, y, x)."""
        batch = self.slices(buffer, plane, i, channels_last=channels_last)
        return batch.permute(_TO_FIELD[plane])

    # -- the process

    def start(self, plane: str, t: int, true_terminal: bool) -> None:
        """Draw x_T: N(0, I) as the paper does, or the law of Eq. 3 with the mean image as x0."""
        bar = float(self.model.schedule.alpha_bar[t]) if true_terminal else 0.0
        x = self.batch(self._next, plane)
        for c in range(self.channels):
            x[:, c] = self.mean[c]
        self._write(plane, plane, a=bar**0.5, b=0.0, noise=(1 - bar) ** 0.5, tells=None)

    def keep(self) -> None:
        """h0 = x."""
        import torch

        if self._h0 is None:
            self._h0 = torch.empty_like(self._x)
        self._h0.copy_(self._x)
        self._h0_plane = self.plane

    def reverse(self, t: int, s: int, settings: SamplerSettings) -> Update:
        """One network pass at step t over every slice of the current plane."""
        from .unet import NO_PLANE

        begun = self._mark()
        self._evaluate(t, PLANES.index(self.plane), self._tells[0])
        if self.guidance != 1:
            self._evaluate(t, NO_PLANE, self._tells[1])
        self._marks.append((begun, self._mark()))
        p, q = self.model.schedule.x0_from(t, self.model.prediction)
        if settings.hold_mean:
            self._hold_mean(p, q)
        a, b = self.model.schedule.posterior(t, s, deterministic=settings.variance == "none")
        return Update(self, self.plane, a, b, p, q, settings.clip and s > 0)

    def _mark(self) -> Any:
        """Now: a time on the CPU, an event in the stream on CUDA, which nobody waits for."""
        if self.device.type == "cpu":
            return time.perf_counter()
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    @property
    def network_seconds(self) -> float:
        """Time that the network's passes took; on CUDA this waits for them."""
        if self.device.type == "cpu":
            return sum(end - begin for begin, end in self._marks)
        for _, end in self._marks[-1:]:
            end.synchronize()
        return sum(begin.elapsed_time(end) for begin, end in self._marks) / 1000

    def _hold_mean(self, p: float, q: float) -> None:
        """Shift the network's output so that x0 = p x + q net has the mean of the wanted fractions.

        At high noise the mean of the whole volume is free, and repeated denoising would drive it to
        the majority phase.
        """
        import torch

        axes = (0, 2, 3)
        for i in range(len(self.seeds)):
            x = self.slices(self._x, self.plane, i).mean(axes)
            tells = [self.slices(out, self.plane, i, channels_last=True) for out in self._tells]
            net = self.guidance * tells[0].mean(axes, dtype=torch.float32)
            if len(tells) == 2:
                net += (1 - self.guidance) * tells[1].mean(axes, dtype=torch.float32)
            shift = (self.mean - p * x - q * net) / q
            for out in tells:  # their weights sum to 1
                out.add_(shift[None, :, None, None].to(out.dtype))

    def _evaluate(self, t: int, condition: int, out: Tensor) -> None:
        """Network output of all slices of the current plane, in chunks."""
        import torch

        from .unet import NO_PLANE

        with torch.inference_mode():
            if (t, condition) not in self._conditions:
                steps = torch.tensor([t], device=self.device)
                planes = torch.tensor([condition], device=self.device)
                # Eq. 9: the network without a condition knows neither plane nor fractions.
                told = None if condition == NO_PLANE else self.told_fractions
                self._conditions[t, condition] = self.net.condition(steps, planes, told)
            cond = self._conditions[t, condition]
            self._show(cond, out)

    def _show(self, cond: Any, out: Tensor) -> None:
        """Slices or windows of all volumes to the network, and what it says of them to ``out``.

        Where a batch does not fit into memory it is halved and tried again.
        """
        import torch

        from .device import out_of_memory

        s, h, w = (self.shape[axis] for axis in _AXES[self.plane])
        rows, columns = (self.periodic[axis] for axis in _AXES[self.plane][1:])
        strips: list[tuple[int, Cell, Cell]] = []  # a window of every slice of a volume
        for i, seed in enumerate(self.seeds):
            cells, wraps = layout(
                (h, w), (rows, columns), self.model.config.stride, self.window, seed, self.draw
            )
            strips += [(i, row, column) for row, column in cells.spots]
        if wraps != self._wraps:  # a compiled network would be compiled again
            self.net.set_periodic(*wraps)
            self._wraps = wraps
        pixels = min(strips[0][1].length, h) * min(strips[0][2].length, w)
        at, end = 0, len(strips) * s  # number of a slice in all strips, one behind the other
        while at < end:
            stop = min(end, at + max(1, self.chunk_pixels // pixels))
            parts = [
                (*strips[k], max(at - k * s, 0), min(stop - k * s, s))
                for k in range(at // s, (stop - 1) // s + 1)
            ]
            try:
                x = [
                    row.read(column.read(eats, 3), 2)
                    for i, row, column, first, last in parts
                    for eats in [
                        self.slices(self._eats, self.plane, i, channels_last=True)[first:last]
                    ]
                ]
                batch = x[0] if len(x) == 1 else torch.cat(x)
                y = self._forward(batch.contiguous(memory_format=torch.channels_last), cond)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                y = None
            if y is None:
                self._take_less(stop - at, pixels)
                continue
            done = 0
            for i, row, column, first, last in parts:
                tells = self.slices(out, self.plane, i, channels_last=True)[first:last]
                said = y[done : done + last - first]
                for r_to, r_from in row.pieces(h):
                    for c_to, c_from in column.pieces(w):
                        tells[:, :, r_to, c_to] = said[:, :, r_from, c_from]
                done += last - first
            at = stop

    def _take_less(self, batch: int, pixels: int) -> None:
        """Halve the batches of the network, for the rest of the volume."""
        import torch

        if batch == 1:
            raise ValueError(
                f"`volume_shape` must have slices that the network can take in the memory of "
                f"{self.device}, got {self.wanted}: give `window`, or a smaller one"
            )
        self.chunk_pixels = batch // 2 * pixels
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    @cached_property
    def chunk_pixels(self) -> int:
        """Pixels that the network takes at once: enough to fill the device, few enough for it.

        Decided once a field: another number may round differently.
        """
        from .device import free_memory_bytes

        width = self.model.config.dim * max(self.model.config.multipliers[:1])
        fits = max(64 * 64, int(0.5 * free_memory_bytes(self.device)) // (16 * width))
        return fits if self.device.type == "cuda" else min(fits, 32 * 64 * 64)

    def _write(
        self,
        plane: str,
        x_plane: str,
        *,
        a: float,
        b: float,
        noise: float,
        tells: list[Tensor] | None,
        h0: float = 0.0,
        clip: tuple[float, float] | None = None,
    ) -> None:
        """The fused operator: x and the network's output in, the next x out, in one pass."""
        source, target = (self._next, self._x) if tells is None else (self._x, self._next)
        for i, seed in enumerate(self.seeds):
            field = self.volume(source, x_plane, i)
            net, uncond = field, None
            if tells is not None:
                net = self.volume(tells[0], x_plane, i, channels_last=True)
            if tells and tells[1:]:
                uncond = self.volume(tells[1], x_plane, i, channels_last=True)
            h0_field = None
            if self._h0 is not None and h0:
                h0_field = self.volume(self._h0, self._h0_plane, i)
            ops.reverse_step(
                field,
                net,
                out=self.volume(target, plane, i),
                a=a,
                b=b,
                noise=noise,
                net_uncond=uncond,
                guidance=self.guidance if uncond is not None else 1.0,
                h0=h0_field,
                h=h0,
                clip=clip,
                out_net=self.volume(self._eats, plane, i, channels_last=True),
                seed=seed,
                draw=self.draw,
            )
        self._x, self._next = target, source
        self.plane = plane
        self.draw += 1

    def result(self, i: int = 0) -> np.ndarray:
        """The field (C, nz, ny, nx) of volume i, in the wanted shape, on the host."""
        nz, ny, nx = self.wanted
        view = self.volume(self._x, self.plane, i)[:, :nz, :ny, :nx]
        return np.ascontiguousarray(view.cpu().numpy())


@dataclass(frozen=True)
class Update:
    """The mean of x_s, a x_t + b x0 with x0 = p x_t + q net, still to be written."""

    field: Field
    plane: str
    a: float
    b: float
    p: float
    q: float
    clip: bool

    def finish(self, plane: str, *, noise: float, scale: float = 1.0, h0: float = 0.0) -> None:
        """x = scale * mean + noise * z + h0 * h0, in the slice batch of ``plane``."""
        a, b = scale * self.a, scale * self.b
        if self.clip:
            coefficients, clip = (a, b), (self.p, self.q)
        else:
            coefficients, clip = (a + b * self.p, b * self.q), None
        self.field._write(
            plane,
            self.plane,
            a=coefficients[0],
            b=coefficients[1],
            noise=noise,
            tells=self.field._tells,
            h0=h0,
            clip=clip,
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

    from .device import compute_dtype, find_device
    from .unet import NO_PLANE

    if not isinstance(model, Model):
        raise TypeError(f"`model` must be a Model, got {type(model).__name__}: see load_model")
    index = PLANES.index(_checks.choice(plane, PLANES, name="plane"))
    guidance = _checks.real(guidance, name="guidance")
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
    net = _compute_copy(model, where, dtype)
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
    with torch.inference_mode():
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


def labels_of(x: np.ndarray, n_phases: int) -> np.ndarray:
    """Phases of a field (C, ...): its sign for two phases, the arg max for more."""
    if n_phases == 2:
        return (x[0] > 0).astype(np.uint8)
    return x.argmax(axis=0).astype(np.uint8)


def settled(x: np.ndarray, periodic: Sequence[bool]) -> np.ndarray:
    """The clipped field plus its average over a voxel's neighbourhood (Gaussian, two voxels wide).

    The final field is near -1 or +1 all but everywhere, and what orders the voxels inside a phase
    is noise.  With the neighbourhood added, the voxels at interfaces change phase first, so that
    matching a fraction moves surfaces instead of sowing single voxels.
    """
    from scipy.ndimage import gaussian_filter

    x = np.clip(x, -1, 1)
    mode = ["wrap" if p else "nearest" for p in periodic]
    return np.stack([c + gaussian_filter(c, 2.0, mode=mode, truncate=2.0) for c in x])


def match_fractions(x: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Labels of a field whose phase fractions are the given ones, to one voxel.

    Two phases: the quantile of the field.  More: arg max of x_p + w_p, where the weights w are
    those whose counts come out right (the dual of the assignment of voxels to phases that keeps the
    largest total of x).

    Parameters
    ----------
    x : array of float, shape (C, ...)
    fractions : array, shape (P,)

    Returns
    -------
    array of uint8
    """
    n = int(np.prod(x.shape[1:]))
    counts = _whole_counts(fractions, n)
    if len(counts) == 2:
        order = np.argpartition(x[0].ravel(), n - counts[1]) if 0 < counts[1] < n else None
        flat = np.full(n, int(counts[1] == n), dtype=np.uint8)
        if order is not None:
            flat[order[n - counts[1] :]] = 1
        return flat.reshape(x.shape[1:])
    values = x.reshape(len(counts), n).astype(np.float64)
    present = np.flatnonzero(counts)
    values = values[present]
    wanted = counts[present]
    weights = np.zeros(len(present))
    for _ in range(200):  # each weight in turn takes the value that gives its phase its count
        for p in range(len(present)):
            others = np.delete(values + weights[:, None], p, axis=0).max(axis=0, initial=-np.inf)
            margin = others - values[p]  # phase p wins where its weight exceeds this
            if 0 < wanted[p] < n:
                cut = np.partition(margin, (wanted[p] - 1, wanted[p]))[
                    wanted[p] - 1 : wanted[p] + 1
                ]
                weights[p] = cut.mean()
        won = np.bincount((values + weights[:, None]).argmax(axis=0), minlength=len(present))
        if np.abs(won - wanted).max() <= max(1, n // 100_000):
            break
    scores = values + weights[:, None]
    flat = scores.argmax(axis=0)
    # What ties and the last iterations left over: move the voxels that lose least.
    won = np.bincount(flat, minlength=len(present))
    while (won != wanted).any():
        to, source = int(np.argmax(wanted - won)), int(np.argmax(won - wanted))
        k = min(wanted[to] - won[to], won[source] - wanted[source])
        here = np.flatnonzero(flat == source)
        loss = scores[source, here] - scores[to, here]
        moved = here[np.argpartition(loss, k - 1)[:k]]
        flat[moved] = to
        won = np.bincount(flat, minlength=len(present))
    return present[flat].astype(np.uint8).reshape(x.shape[1:])


def _whole_counts(fractions: np.ndarray, n: int) -> np.ndarray:
    """Voxel counts nearest to the fractions that sum to n (largest remainders)."""
    exact = np.asarray(fractions, dtype=np.float64) * n
    counts = np.floor(exact).astype(np.int64)
    short = n - int(counts.sum())
    counts[np.argsort(counts - exact, kind="stable")[:short]] += 1
    return counts


def _target_fractions(value: Any, model: Model, sampler: str) -> np.ndarray | None:
    """Phase fractions to match, or None for a raw result."""
    if value is None:
        return None
    if isinstance(value, str):
        _checks.choice(value, ("auto",), name="volume_fractions")
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


def _condition_on_fractions(value: Any, model: Model, target: np.ndarray | None) -> bool:
    """Whether the network is told the phase fractions."""
    if isinstance(value, str):
        _checks.choice(value, ("auto",), name="fraction_condition")
        return model.fraction_condition and target is not None
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


def _working_shape(
    shape: tuple[int, int, int], model: Model, periodic: Sequence[bool]
) -> tuple[tuple[str, ...], tuple[int, int, int]]:
    """(planes, shape) that are sampled; the wanted shape is cut out of it.

    An axis that does not repeat is rounded up to the network's stride, and to half a training patch
    where it is shorter.  A single slice is sampled in its own plane alone.
    """
    thin = [axis for axis in range(3) if shape[axis] == 1]
    planes: tuple[str, ...] = PLANES
    if len(thin) == 1:
        planes = tuple(plane for plane in PLANES if _AXES[plane][0] == thin[0])
    stride, least = model.config.stride, model.patch // 2
    out = []
    for axis, n in enumerate(shape):
        if (len(thin) == 1 and axis == thin[0]) or periodic[axis]:
            out.append(n)
        else:
            out.append(-(-max(n, least) // stride) * stride)
    return planes, (out[0], out[1], out[2])


def _refuse_memory(need: int, shape: tuple[int, int, int], device: torch.device) -> None:
    """Refuse a volume whose field alone is larger than the memory of the device."""
    from .device import memory_bytes

    total = memory_bytes(device)
    if need > total:
        raise ValueError(
            f"`volume_shape` must fit into the memory of {device} ({total / 1e9:.1f} GB), got "
            f"{shape}, which needs {need / 1e9:.1f} GB for the field alone"
        )


def _compute_copy(model: Model, device: torch.device, dtype: torch.dtype) -> Any:
    """The network on its device, in its precision, channels last; the model keeps its own."""
    import copy

    from .device import channels_last

    return channels_last(copy.deepcopy(model.net).to(device, dtype)).eval()
