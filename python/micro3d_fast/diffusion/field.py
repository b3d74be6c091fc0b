# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The noisy volume while it is denoised: buffers, plane layouts, hard data, the fused step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .. import _checks, ops
from .._planes import NORMAL, PLANES, SLICE_AXES, TO_FIELD
from .labelling import UNKNOWN
from .model import Model, encode, mean_field

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .schedule import Affine

__all__ = ["Field", "working_shape"]

_KNOWN_DRAWS = 2**31  # draw numbers of the noise at known voxels start here


class Field:
    """The noisy volume x, in the slice batch of the plane that is denoised next.

    With several seeds it holds one volume per seed, one after the other in the slice batch.  Each
    volume is the same as if sampled alone; the network processes the slices of all.

    Memory: x, the next x and h0 in float32, the network's input and outputs in its own precision:
    12 + 4 bytes per voxel and channel with bfloat16, plus the network's activations for one
    batch of slices or windows.

    Parameters
    ----------
    shape : (nz, ny, nx)
        The requested shape; ``self.shape``, which is sampled, may be larger.
    model : Model
        Its channels, stride, patch and schedule; the network itself is not used here.
    device : torch.device
    dtype : torch.dtype
        Precision of the network's input and outputs.
    guidance : float
        Weight of Eq. 9; other than 1 there are two outputs, with the condition and without.
    periodic : (bool, bool, bool)
    seeds : sequence of int
    fractions : array, shape (P,) or (volumes, P), optional
        Phase fractions that give the mean of x0, of all volumes or of each; default those of the
        training images.
    known : array of uint8, shape (nz, ny, nx), optional
        Hard data, `UNKNOWN` elsewhere.
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
        seeds: Sequence[int] = (0,),
        fractions: Sequence[float] | np.ndarray | None = None,
        known: np.ndarray | None = None,
    ) -> None:
        import torch

        self.model, self.device, self.dtype = model, device, dtype
        self.guidance, self.periodic, self.seeds = guidance, periodic, tuple(seeds)
        self.wanted = shape
        self.planes, self.shape = working_shape(shape, model, periodic)
        self.channels = model.config.channels
        wanted = np.atleast_2d(model.volume_fractions if fractions is None else fractions)
        mean = np.stack([mean_field(each) for each in wanted])
        #: (1, C) for all volumes, or (volumes, C)
        self.mean = torch.from_numpy(mean).float().to(device)
        n_outputs = 1 if guidance == 1 else 2
        size = len(self.seeds) * self.channels * math.prod(self.shape)
        need = size * (12 + (1 + n_outputs) * dtype.itemsize)
        if known is not None:  # x0, its noised copy and the result of `where`; the mask
            need += math.prod(b.stop - b.start for b in _box(known)) * (12 * self.channels + 1)
        _refuse_memory(need, shape, len(self.seeds), device)
        self._x, self._next = (torch.empty(size, device=device) for _ in range(2))
        self._h0: Tensor | None = None
        self.net_input = torch.empty(size, device=device, dtype=dtype)
        self.net_outputs = [torch.empty(size, device=device, dtype=dtype) for _ in range(n_outputs)]
        self._h0_plane = self.plane = ""
        self.draw = 0
        self._known = None if known is None else _Known.of(known, model.n_phases, device)

    # -- layouts of the buffers

    def batch(self, buffer: Tensor, plane: str, *, channels_last: bool = False) -> Tensor:
        """Return a flat buffer as the slice batch [S, C, H, W] of a plane, all volumes."""
        s, h, w = (self.shape[axis] for axis in SLICE_AXES[plane])
        s *= len(self.seeds)
        if channels_last:
            return buffer.view(s, h, w, self.channels).permute(0, 3, 1, 2)
        return buffer.view(s, self.channels, h, w)

    def slices(self, buffer: Tensor, plane: str, i: int, *, channels_last: bool = False) -> Tensor:
        """Return the slice batch [S, C, H, W] of volume i."""
        s = self.shape[NORMAL[plane]]
        return self.batch(buffer, plane, channels_last=channels_last)[i * s : (i + 1) * s]

    def volume(
        self, buffer: Tensor, plane: str, i: int = 0, *, channels_last: bool = False
    ) -> Tensor:
        """Return the slice batch of volume i as its field (C, z, y, x)."""
        batch = self.slices(buffer, plane, i, channels_last=channels_last)
        return batch.permute(TO_FIELD[plane])

    def volumes(self) -> list[Tensor]:
        """Return x and the network's outputs as slices of the plane, [volume, S, C, H, W]."""
        batches = [self.batch(self._x, self.plane)]
        batches += [self.batch(out, self.plane, channels_last=True) for out in self.net_outputs]
        return [batch.unflatten(0, (len(self.seeds), -1)) for batch in batches]

    def result(self, i: int = 0) -> np.ndarray:
        """Return the field (C, nz, ny, nx) of volume i, in the requested shape, on the host."""
        nz, ny, nx = self.wanted
        view = self.volume(self._x, self.plane, i)[:, :nz, :ny, :nx]
        return np.ascontiguousarray(view.cpu().numpy())

    # -- the process

    def start(self, plane: str, t: int, true_terminal: bool) -> None:
        """Draw x_T: N(0, I) as in the paper, or the law of Eq. 3 with the mean image as x0."""
        bar = float(self.model.schedule.alpha_bar[t]) if true_terminal else 0.0
        self.plane = plane
        for i in range(len(self.seeds)):
            mean = self.volume(self._x, plane, i)
            mean.copy_(self.mean[i % len(self.mean), :, None, None, None])
            self._write(i, plane, mean, mean, None, a=bar**0.5, b=0.0, noise=(1 - bar) ** 0.5)
        self._finish(plane, t)

    def keep(self) -> None:
        """Keep x as h0 of Eq. 17."""
        import torch

        if self._h0 is None:
            self._h0 = torch.empty_like(self._x)
        self._h0.copy_(self._x)
        self._h0_plane = self.plane

    def step(
        self,
        mean: Affine,
        *,
        to: str,
        t: int,
        noise: float,
        scale: float = 1.0,
        h0: float = 0.0,
        clip: bool = False,
    ) -> None:
        """Set x = scale * mean(x, network output) + noise * z + h0 * h0, in the plane ``to``.

        One pass over memory.  x is then a sample at step ``t``.  With ``clip`` the predicted x0 is
        clamped to [-1, 1].
        """
        a, b = scale * mean.a, scale * mean.b
        limits = (mean.p, mean.q) if clip else None
        if not clip:
            a, b = a + b * mean.p, b * mean.q
        for i in range(len(self.seeds)):
            outputs = [
                self.volume(out, self.plane, i, channels_last=True) for out in self.net_outputs
            ]
            x, unconditional = self.volume(self._x, self.plane, i), (*outputs, None)[1]
            self._write(
                i, to, x, outputs[0], unconditional, a=a, b=b, noise=noise, h0=h0, clip=limits
            )
        self._finish(to, t)

    def _write(
        self,
        i: int,
        plane: str,
        x: Tensor,
        net: Tensor,
        net_uncond: Tensor | None,
        *,
        a: float,
        b: float,
        noise: float,
        h0: float = 0.0,
        clip: tuple[float, float] | None = None,
    ) -> None:
        """Run the fused operator on volume i: x and the network's output in, the next x out."""
        keep = None
        if self._h0 is not None and h0:
            keep = self.volume(self._h0, self._h0_plane, i)
        ops.reverse_step(
            x,
            net,
            out=self.volume(self._next, plane, i),
            a=a,
            b=b,
            noise=noise,
            net_uncond=net_uncond,
            guidance=self.guidance if net_uncond is not None else 1.0,
            h0=keep,
            h=h0,
            clip=clip,
            out_net=self.volume(self.net_input, plane, i, channels_last=True),
            seed=self.seeds[i],
            draw=self.draw,
        )

    def _finish(self, plane: str, t: int) -> None:
        """Make what was written the current x; then known voxels take their value."""
        self._x, self._next = self._next, self._x
        self.plane = plane
        self.draw += 1
        self._hold_known(t)

    def _hold_known(self, t: int) -> None:
        """Set known voxels to their value at step t (Eq. 3), with noise of its own draws.

        Every pass thus denoises their neighbours next to correct values of the expected noise, and
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
                draw=_KNOWN_DRAWS + self.draw,
                origin=k.origin,
            )
            for buffer, channels_last in ((self._x, False), (self.net_input, True)):
                view = self.volume(buffer, self.plane, i, channels_last=channels_last)[k.box]
                view.copy_(torch.where(k.mask, noised, view))


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
    """Return the smallest box around the known voxels."""
    known = labels != UNKNOWN
    box = []
    for axis in range(3):
        on = np.flatnonzero(known.any(axis=tuple(a for a in range(3) if a != axis)))
        box.append(slice(int(on[0]), int(on[-1]) + 1))
    return tuple(box)


def working_shape(
    shape: tuple[int, int, int], model: Model, periodic: Sequence[bool]
) -> tuple[tuple[str, ...], tuple[int, int, int]]:
    """Return (planes, shape) that are sampled; the requested shape is cut out of it.

    An axis that is not periodic is rounded up to the network's stride, and to half a training patch
    where it is shorter.  A single slice is sampled in its own plane alone.
    """
    thin = [axis for axis in range(3) if shape[axis] == 1]
    planes: tuple[str, ...] = PLANES
    if len(thin) == 1:
        planes = tuple(plane for plane in PLANES if NORMAL[plane] == thin[0])
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
    room = f"{device} ({total / 1e9:.1f} GB)"
    if need <= total * volumes:  # one alone would fit
        raise _checks.refuse(
            "batch",
            "be so small that the volumes sampled together fit into the memory of " + room,
            f"{volumes} of {shape}, which need {need / 1e9:.1f} GB for the fields alone",
        )
    raise _checks.refuse(
        "volume_shape",
        "fit into the memory of " + room,
        f"{shape}, which needs {need / volumes / 1e9:.1f} GB for the field alone",
    )
