# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The noisy volume while it is denoised: memory, the network's passes, the fused reverse step."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import ops
from .checkpoint import Model, encode, mean_field
from .labelling import UNKNOWN
from .windows import Cell, layout

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .copies import Copy
    from .sampling import SamplerSettings

PLANES = ("xy", "xz", "yz")
# (C, z, y, x) from the axes of a slice batch [S, C, H, W], and the axes (S, H, W) of a plane.
_TO_FIELD = {"xy": (1, 0, 2, 3), "xz": (1, 2, 0, 3), "yz": (1, 2, 3, 0)}
AXES = {"xy": (0, 1, 2), "xz": (1, 0, 2), "yz": (2, 0, 1)}

_TOGETHER = 2**21  # pixels that fill a GPU: larger batches are no faster
_TILT_VOXELS = 2**21  # tilted at once: bounds the memory of its few copies


def tilted(x0: Tensor, w: Tensor) -> Tensor:
    """The belief x0 (S, C, H, W) in each phase, given other prior odds of the phases.

    Data are -1 or +1, so (1 + x0) / 2 is the network's belief in a phase.  Another prior multiplies
    its odds by the same number in every voxel, exp(2 w): voxels that the network is sure of stay.
    Each channel is tilted alone; beliefs of three phases that are made to sum to 1 again came out
    no better (measured on a cathode: its thin phase further from the truth before matching).
    """
    import torch

    tanh = torch.tanh(w)[:, None, None]
    return (x0 + tanh) / (1 + x0 * tanh)


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
        known: np.ndarray | None = None,
        network: Copy | None = None,
    ) -> None:
        import torch

        from . import copies

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
        self.planes, self.shape = working_shape(shape, model, periodic)
        self.channels = model.config.channels
        network = network or copies.make(model, device, dtype, compiled)
        self.net, self._forward = network.net, network.forward
        size = len(self.seeds) * self.channels * math.prod(self.shape)
        need = size * (12 + (2 if guidance == 1 else 3) * dtype.itemsize)
        if known is not None:  # x0, its noised copy and what `where` makes of it; the mask
            need += math.prod(b.stop - b.start for b in _box(known)) * (12 * self.channels + 1)
        _refuse_memory(need, shape, len(self.seeds), device)
        self._x, self._next = (torch.empty(size, device=device) for _ in range(2))
        self._h0: Tensor | None = None
        self._eats = torch.empty(size, device=device, dtype=dtype)  # what the network reads
        self._tells = [
            torch.empty(size, device=device, dtype=dtype) for _ in range(1 if guidance == 1 else 2)
        ]
        self._h0_plane = self.plane = ""
        self.draw = 0
        self._tilts = torch.zeros(len(self.seeds), self.channels, device=device)  # w of _hold_mean
        self._known = None if known is None else _Known.of(known, model.n_phases, device)
        self._marks: list[tuple[Any, Any]] = []  # before and after each pass of the network
        self._conditions: dict[tuple[int, int], Any] = {}
        self._wraps = (False, False)  # of the network's convolutions

    # -- memory

    def batch(self, buffer: Tensor, plane: str, *, channels_last: bool = False) -> Tensor:
        """A flat buffer as the slice batch [S, C, H, W] of a plane, all volumes."""
        s, h, w = (self.shape[axis] for axis in AXES[plane])
        s *= len(self.seeds)
        if channels_last:
            return buffer.view(s, h, w, self.channels).permute(0, 3, 1, 2)
        return buffer.view(s, self.channels, h, w)

    def slices(self, buffer: Tensor, plane: str, i: int, *, channels_last: bool = False) -> Tensor:
        """The slice batch [S, C, H, W] of volume i."""
        s = self.shape[AXES[plane][0]]
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
        self._hold_known(t)

    def _hold_known(self, t: int) -> None:
        """Known voxels take their value at step t (Eq. 3), with noise of its own draws.

        Every pass thus denoises its neighbours beside the truth, at the noise that it expects, and
        the harmonizing passes make them agree (the inpainting of Lugmayr et al. 2022).
        """
        import torch

        if self._known is None:
            return
        k, bar = self._known, float(self.model.schedule.alpha_bar[t])
        for i, seed in enumerate(self.seeds):
            noised = ops.reverse_step(
                k.x0,
                k.x0,
                out=torch.empty_like(k.x0),
                a=bar**0.5,
                b=0.0,
                noise=(1 - bar) ** 0.5,
                seed=seed,
                draw=2**31 + self.draw,
                origin=k.origin,
            )
            for buffer, channels_last in ((self._x, False), (self._eats, True)):
                view = self.volume(buffer, self.plane, i, channels_last=channels_last)[k.box]
                view.copy_(torch.where(k.mask, noised, view))

    def keep(self) -> None:
        """h0 = x."""
        import torch

        if self._h0 is None:
            self._h0 = torch.empty_like(self._x)
        self._h0.copy_(self._x)
        self._h0_plane = self.plane

    def reverse(self, t: int, s: int, settings: SamplerSettings) -> Update:
        """One network pass at step t over every slice of the current plane."""
        begun = self._mark()
        self._evaluate(t)
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
        """Tilt the predicted x0 = p x + q net so that its mean is that of the wanted fractions.

        At high noise the mean of the whole volume is free, and repeated denoising would drive it to
        the majority phase.  The mean is that of the wanted shape, which may be smaller than the
        working shape.
        """
        size = tuple(self.wanted[axis] for axis in AXES[self.plane])
        inside = (slice(None), slice(size[1]), slice(size[2]))
        for i in range(len(self.seeds)):
            x = self.slices(self._x, self.plane, i)
            tells = [self.slices(out, self.plane, i, channels_last=True) for out in self._tells]
            every = -(-math.prod(size) // _TILT_VOXELS)  # w is found on a part of large volumes
            part = (slice(0, size[0], every), *inside)
            chunk = max(1, _TILT_VOXELS // (x.shape[2] * x.shape[3]))
            whole = self._belief(x, tells, p, q) if chunk >= len(x) else None
            if whole is None:
                w = self._tilt(i, self._belief(x[part], [out[part] for out in tells], p, q))
            else:
                w = self._tilt(i, whole[part].contiguous())
            for k in range(0, len(x), chunk):
                some = [out[k : k + chunk] for out in tells]
                x0 = self._belief(x[k : k + chunk], some, p, q) if whole is None else whole
                change = ((tilted(x0, w) - x0) / q).to(some[0].dtype)
                for out in some:  # their weights sum to 1
                    out.add_(change)

    def _belief(self, x: Tensor, tells: list[Tensor], p: float, q: float) -> Tensor:
        """The predicted x0, clipped just inside [-1, 1]."""
        net = tells[0].float()
        if len(tells) == 2:
            net = self.guidance * net + (1 - self.guidance) * tells[1].float()
        return (p * x + q * net).clamp_(-0.999, 0.999)

    def _tilt(self, i: int, x0: Tensor) -> Tensor:
        """w of each channel of volume i, by Newton's method from that of the last pass."""
        w = self._tilts[i]
        for _ in range(4):
            now = tilted(x0, w)
            slope = 1 - now.square().mean((0, 2, 3))
            miss = self.mean - now.mean((0, 2, 3))
            w = w + (miss / slope.clamp_min(1e-3)).clamp(-0.5, 0.5)
        # On a grid, so that the order of a sum, and with it the number of threads, hardly shows.
        self._tilts[i] = (w * 4096).round() / 4096
        return self._tilts[i]

    def _evaluate(self, t: int) -> None:
        """Network output of all slices of the current plane, with guidance also without it."""
        import torch

        from .unet import NO_PLANE

        told = [PLANES.index(self.plane), NO_PLANE][: len(self._tells)]
        with torch.inference_mode():
            self._show([self._condition(t, condition) for condition in told], self._tells)

    def _condition(self, t: int, condition: int) -> Any:
        """What (t, condition) contribute to a pass; computed once."""
        import torch

        from .unet import NO_PLANE

        if (t, condition) not in self._conditions:
            steps = torch.tensor([t], device=self.device)
            planes = torch.tensor([condition], device=self.device)
            # Eq. 9: the network without a condition knows neither plane nor fractions.
            told = None if condition == NO_PLANE else self.told_fractions
            self._conditions[t, condition] = self.net.condition(steps, planes, told)
        return self._conditions[t, condition]

    def _show(self, conds: Sequence[Any], outs: Sequence[Tensor]) -> None:
        """Slices or windows of all volumes to the network, and what it says of them to ``outs``.

        Two conditions share one batch where it holds all slices, else they come one after the
        other.  Where a batch does not fit into memory it is halved and tried again.
        """
        import torch

        from .device import out_of_memory
        from .unet import Condition

        s, h, w = (self.shape[axis] for axis in AXES[self.plane])
        rows, columns = (self.periodic[axis] for axis in AXES[self.plane][1:])
        strips: list[tuple[int, Cell, Cell]] = []  # a window of every slice of a volume
        for i, seed in enumerate(self.seeds):
            cells, wraps = layout(
                (h, w), (rows, columns), self.model.config.stride, self.window, seed, self.draw
            )
            strips += [(i, row, column) for row, column in cells.spots]
        if wraps != self._wraps:  # a compiled network would be compiled again
            self.net.set_periodic(*wraps)
            self._wraps = wraps
        pixels = strips[0][1].length * strips[0][2].length
        at, end = 0, len(strips) * s  # number of a slice in all strips, one behind the other
        # On a CPU 9 % faster at 32^3, 3 % at 48^3, and no faster at 64^3, where it would take twice
        # the memory.
        if len(conds) > 1 and len(conds) * end * pixels > min(self.chunk_pixels, _TOGETHER):
            for cond, out in zip(conds, outs, strict=True):
                self._show([cond], [out])
            return
        while at < end:
            stop = end if len(conds) > 1 else min(end, at + max(1, self.chunk_pixels // pixels))
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
                x *= len(conds)
                batch = x[0] if len(x) == 1 else torch.cat(x)
                cond = conds[0] if len(conds) == 1 else Condition.side_by_side(conds, stop - at)
                y = self._forward(batch.contiguous(memory_format=torch.channels_last), cond)
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                y = None
            if y is None:
                self._take_less(len(conds) * (stop - at), pixels)
                if len(conds) > 1:
                    self._show(conds, outs)  # one after the other
                    return
                continue
            done = 0
            for out, (i, row, column, first, last) in itertools.product(outs, parts):
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

        Decided once a field: another number may round differently.  However much memory there is,
        no tensor of the first level comes near 2^31 numbers, more than which not every kernel can
        index.
        """
        from .device import free_memory_bytes

        width = self.model.config.dim * max(self.model.config.multipliers[:1])
        room = int(0.5 * free_memory_bytes(self.device)) // (8 * self.dtype.itemsize * width)
        most = 2**31 // (4 * width) if self.device.type == "cuda" else 64 * 64 * 64
        return max(64 * 64, min(room, most))

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
class _Known:
    """Hard data on the device: the smallest box around it, which voxels are known, their x0."""

    box: tuple[slice, ...]  # of (C, z, y, x)
    origin: tuple[int, int, int]
    mask: Tensor  # (z, y, x) of the box
    x0: Tensor  # (C, z, y, x) of the box

    @classmethod
    def of(cls, labels: np.ndarray, n_phases: int, device: torch.device) -> _Known:
        import torch

        box = _box(labels)
        inside = labels[box]
        known = inside != UNKNOWN
        plain = torch.from_numpy(np.where(known, inside, 0).astype(np.uint8))
        return cls(
            (slice(None), *box),
            (box[0].start, box[1].start, box[2].start),
            torch.from_numpy(known).to(device),
            encode(plain, n_phases).permute(1, 0, 2, 3).contiguous().to(device),
        )


def _box(labels: np.ndarray) -> tuple[slice, ...]:
    """The smallest box around the known voxels."""
    known = labels != UNKNOWN
    box = []
    for axis in range(3):
        on = np.flatnonzero(known.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(on[0]), int(on[-1]) + 1))
    return tuple(box)


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

    def finish(
        self, plane: str, t: int, *, noise: float, scale: float = 1.0, h0: float = 0.0
    ) -> None:
        """x = scale * mean + noise * z + h0 * h0, in the slice batch of ``plane``: now x_t."""
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
        self.field._hold_known(t)


def working_shape(
    shape: tuple[int, int, int], model: Model, periodic: Sequence[bool]
) -> tuple[tuple[str, ...], tuple[int, int, int]]:
    """(planes, shape) that are sampled; the wanted shape is cut out of it.

    An axis that does not repeat is rounded up to the network's stride, and to half a training patch
    where it is shorter.  A single slice is sampled in its own plane alone.
    """
    thin = [axis for axis in range(3) if shape[axis] == 1]
    planes: tuple[str, ...] = PLANES
    if len(thin) == 1:
        planes = tuple(plane for plane in PLANES if AXES[plane][0] == thin[0])
    stride, least = model.config.stride, model.patch // 2
    out = []
    for axis, n in enumerate(shape):
        if (len(thin) == 1 and axis == thin[0]) or periodic[axis]:
            out.append(n)
        else:
            out.append(-(-max(n, least) // stride) * stride)
    return planes, (out[0], out[1], out[2])


def _refuse_memory(
    need: int, shape: tuple[int, int, int], volumes: int, device: torch.device
) -> None:
    """Refuse volumes whose fields alone are larger than the memory of the device."""
    from .device import memory_bytes

    total = memory_bytes(device)
    if need <= total:
        return
    if need <= total * volumes:  # one alone would fit
        raise ValueError(
            f"`batch` must be so small that the volumes sampled together fit into the memory of "
            f"{device} ({total / 1e9:.1f} GB), got {volumes} of {shape}, which need "
            f"{need / 1e9:.1f} GB for the fields alone"
        )
    raise ValueError(
        f"`volume_shape` must fit into the memory of {device} ({total / 1e9:.1f} GB), got "
        f"{shape}, which needs {need / volumes / 1e9:.1f} GB for the field alone"
    )
