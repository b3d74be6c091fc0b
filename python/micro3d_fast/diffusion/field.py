# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The noisy volume while it is denoised: buffers, plane layouts, hard data, the fused step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from .. import _checks, ops
from .._planes import NORMAL, PLANES, SLICE_AXES, TO_FIELD
from .labelling import UNKNOWN
from .model import Model, encode, mean_field
from .slabs import Slabs

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from .schedule import Affine

__all__ = ["Field", "bytes_per_value", "working_shape"]

Box = tuple[range, range, range]  # indices along z, y and x

_KNOWN_DRAWS = 2**31  # draw numbers of the noise at known voxels start here


class Field:
    """The noisy volume x, in the slice batch of the plane that is denoised next.

    With several seeds it holds one volume per seed, one after the other in the slice batch.  Each
    volume is the same as if sampled alone; the network processes the slices of all.

    Memory: x, the next x and h0 or earlier passes in float32, the network's input and outputs in
    its own precision: 12 + 4 bytes per voxel and channel with bfloat16, plus the network's
    activations for one batch of slices or windows.  Over several ranks each holds its slab alone,
    and exchanges need no further memory: blocks are packed into the next x, and received where x
    was.

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
    slabs : Slabs, optional
        Which slices of the plane are held here; default all.  The other ranks of the process group
        hold the others, and ``step`` into another plane exchanges blocks with them.
    kept : int
        How many fields are kept beside x: h0, earlier passes; for the memory that is needed.
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
        slabs: Slabs | None = None,
        kept: int = 1,
    ) -> None:
        import torch

        self.model, self.device, self.dtype = model, device, dtype
        self.guidance, self.periodic, self.seeds = guidance, periodic, tuple(seeds)
        self.wanted = shape
        self.planes, self.shape = working_shape(shape, model, periodic)
        self.slabs = slabs or Slabs()
        least = min(self.shape[NORMAL[plane]] for plane in self.planes)
        if least < self.slabs.ranks:
            least_wanted = f"have a slice of each plane for each of the {self.slabs.ranks} ranks"
            raise _checks.refuse("volume_shape", least_wanted, str(shape))
        self.channels = model.config.channels
        wanted = np.atleast_2d(model.volume_fractions if fractions is None else fractions)
        mean = np.stack([mean_field(each) for each in wanted])
        #: (1, C) for all volumes, or (volumes, C)
        self.mean = torch.from_numpy(mean).float().to(device)
        n_outputs = 1 if guidance == 1 else 2
        boxes = {self.box(plane) for plane in self.planes}  # one if there are no other ranks
        volume = self.channels * max(math.prod(map(len, box)) for box in boxes)
        size = len(self.seeds) * volume
        need = size * bytes_per_value(dtype.itemsize, n_outputs, kept)
        parts = {} if known is None else {box: _known_part(known, box) for box in boxes}
        for part in parts.values():  # x0, its noised copy and the result of `where`; the mask
            need += math.prod(map(len, part)) * (12 * self.channels + 1)
        _refuse_memory(need, shape, len(self.seeds), device)
        self._x, self._next = (torch.empty(size, device=device) for _ in range(2))
        self._h0: Tensor | None = None
        self.net_input = torch.empty(size, device=device, dtype=dtype)
        self.net_outputs = [torch.empty(size, device=device, dtype=dtype) for _ in range(n_outputs)]
        self._h0_plane = self.plane = ""
        self.draw = 0
        held = {
            box: _Known.of(known, part, model.n_phases, device)
            for box, part in parts.items()
            if known is not None and part[0]
        }
        self._known = {plane: held.get(self.box(plane)) for plane in self.planes}

    # -- layouts of the buffers

    def own_slices(self, plane: str, rank: int | None = None) -> range:
        """Return which slices of a plane are held here, or on another rank."""
        return self.slabs.slices(self.shape[NORMAL[plane]], rank)

    def box(self, plane: str, rank: int | None = None) -> Box:
        """Return the indices along z, y and x of the slices of a plane that are held here."""
        z, y, x = (
            self.own_slices(plane, rank) if axis == NORMAL[plane] else range(n)
            for axis, n in enumerate(self.shape)
        )
        return z, y, x

    def batch(self, buffer: Tensor, plane: str, *, channels_last: bool = False) -> Tensor:
        """Return a flat buffer as the slice batch [S, C, H, W] of a plane, all volumes."""
        box = self.box(plane)
        s, h, w = (len(box[axis]) for axis in SLICE_AXES[plane])
        s *= len(self.seeds)
        buffer = buffer[: s * self.channels * h * w]  # slabs of other planes may be larger
        if channels_last:
            return buffer.view(s, h, w, self.channels).permute(0, 3, 1, 2)
        return buffer.view(s, self.channels, h, w)

    def slices(self, buffer: Tensor, plane: str, i: int, *, channels_last: bool = False) -> Tensor:
        """Return the slice batch [S, C, H, W] of volume i."""
        s = len(self.own_slices(plane))
        return self.batch(buffer, plane, channels_last=channels_last)[i * s : (i + 1) * s]

    def volume(
        self, buffer: Tensor, plane: str, i: int = 0, *, channels_last: bool = False
    ) -> Tensor:
        """Return the slice batch of volume i as its field (C, z, y, x)."""
        batch = self.slices(buffer, plane, i, channels_last=channels_last)
        return batch.permute(TO_FIELD[plane])

    def slices_of_all(self, buffer: Tensor, *, channels_last: bool = False) -> Tensor:
        """Return a flat buffer as slices of the current plane, [volume, S, C, H, W]."""
        batch = self.batch(buffer, self.plane, channels_last=channels_last)
        return batch.unflatten(0, (len(self.seeds), -1))

    def volumes(self) -> list[Tensor]:
        """Return x and the network's outputs as slices of the plane, [volume, S, C, H, W]."""
        outputs = (self.slices_of_all(out, channels_last=True) for out in self.net_outputs)
        return [self.slices_of_all(self._x), *outputs]

    def scratch(self) -> Tensor:
        """Return memory like that of x, whose contents the next step overwrites."""
        return self.slices_of_all(self._next)

    def result(self, i: int = 0) -> np.ndarray:
        """Return the field (C, z, y, x) of volume i, in the requested shape, on the host.

        Of several ranks each returns the slices that it holds (`requested_slices`).
        """
        cut = [slice(n) for n in self.wanted]
        cut[NORMAL[self.plane]] = slice(len(self.requested_slices()))
        view = self.volume(self._x, self.plane, i)[(slice(None), *cut)]
        return np.ascontiguousarray(view.cpu().numpy())

    def requested_slices(self, rank: int | None = None) -> range:
        """Return which of the slices that are held here, or on another rank, were requested."""
        own, n = self.own_slices(self.plane, rank), self.wanted[NORMAL[self.plane]]
        return range(min(own.start, n), min(own.stop, n))

    # -- the process

    def start(self, plane: str, t: int, true_terminal: bool) -> None:
        """Draw x_T: N(0, I) as in the paper, or the law of Eq. 3 with the mean image as x0."""
        bar = float(self.model.schedule.alpha_bar[t]) if true_terminal else 0.0
        self.plane = plane
        for i, seed in enumerate(self.seeds):
            mean = self.volume(self._x, plane, i)
            mean.copy_(self.mean[i % len(self.mean), :, None, None, None])
            ops.reverse_step(
                mean,
                mean,
                out=self.volume(self._next, plane, i),
                a=bar**0.5,
                b=0.0,
                noise=(1 - bar) ** 0.5,
                out_net=self.volume(self.net_input, plane, i, channels_last=True),
                seed=seed,
                draw=self.draw,
                origin=_origin(self.box(plane)),
            )
        self._finish(plane, t)

    def zeros(self) -> Tensor:
        """Return a flat buffer of the size of x."""
        return self._x.new_zeros(self._x.shape)

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
        update = _Update(a, b, noise, h0, limits)
        if self.slabs.ranks > 1 and h0 and self._h0 is not None:
            self._h0 = self.turned(self._h0, self._h0_plane)
            self._h0_plane = self.plane
        if self.slabs.ranks == 1 or to == self.plane:
            for i in range(len(self.seeds)):
                out = self.volume(self._next, to, i)
                out_net = self.volume(self.net_input, to, i, channels_last=True)
                self._reverse(i, self.box(self.plane), update, out, out_net)
        else:
            for i, part, block in self._blocks(self._next, self.plane, to, to):
                self._reverse(i, part, update, block)
            self._exchange(self._next, self._x, self.plane, to, self.net_input)
        self._finish(to, t)

    def _reverse(
        self, i: int, part: Box, update: _Update, out: Tensor, out_net: Tensor | None = None
    ) -> None:
        """Run the fused operator on a part of volume i: the next x into ``out``."""
        at = _at(part, self.box(self.plane))
        net, *uncond = (
            self.volume(out, self.plane, i, channels_last=True)[at] for out in self.net_outputs
        )
        keep = None
        if self._h0 is not None and update.h0:
            keep = self.volume(self._h0, self._h0_plane, i)[at]
        ops.reverse_step(
            self.volume(self._x, self.plane, i)[at],
            net,
            out=out,
            a=update.a,
            b=update.b,
            noise=update.noise,
            net_uncond=uncond[0] if uncond else None,
            guidance=self.guidance if uncond else 1.0,
            h0=keep,
            h=update.h0,
            clip=update.clip,
            out_net=out_net,
            seed=self.seeds[i],
            draw=self.draw,
            origin=_origin(part),
        )

    # -- slabs: from the slices of one plane to those of another

    def _cut(self, plane: str, along: str) -> list[Box]:
        """Cut the slab of a plane into the parts that belong to each rank in another plane."""
        axis, out = NORMAL[along], []
        for rank in range(self.slabs.ranks):
            part = list(self.box(plane))
            part[axis] = self.own_slices(along, rank)
            out.append((part[0], part[1], part[2]))
        return out

    def _blocks(
        self, buffer: Tensor, plane: str, along: str, layout: str
    ) -> Iterator[tuple[int, Box, Tensor]]:
        """Yield (volume, part, its field in the buffer): the parts of `_cut` one after the other.

        Each is the slice batch of the plane ``layout``, of all volumes.
        """
        start = 0
        for part in self._cut(plane, along):
            shape = [len(part[axis]) for axis in SLICE_AXES[layout]]
            shape = [len(self.seeds), shape[0], self.channels, *shape[1:]]
            stop = start + math.prod(shape)
            for i, batch in enumerate(buffer[start:stop].view(shape)):
                yield i, part, batch.permute(TO_FIELD[layout])
            start = stop

    def _exchange(
        self, buffer: Tensor, spare: Tensor, old: str, new: str, net_input: Tensor | None = None
    ) -> None:
        """Turn packed blocks of this rank's old slab into its new slab, and round that."""

        def sizes(plane: str, along: str) -> list[int]:
            volumes = len(self.seeds) * self.channels
            return [volumes * math.prod(map(len, part)) for part in self._cut(plane, along)]

        self.slabs.exchange(buffer, spare, sizes(old, new), sizes(new, old))
        for i, part, block in self._blocks(spare, new, old, new):
            at, net = _at(part, self.box(new)), None
            if net_input is not None:
                net = self.volume(net_input, new, i, channels_last=True)[at]
            out = self.volume(buffer, new, i)[at]
            ops.reverse_step(block, block, out=out, a=1.0, b=0.0, out_net=net)

    def turned(self, buffer: Tensor, old: str) -> Tensor:
        """Return the slices of the plane ``old`` as those of x.  ``buffer`` must not be used again.

        Other ranks must call it too.
        """
        new, out = self.plane, self._next
        if old == new:
            return buffer
        if self.slabs.ranks == 1:
            for i in range(len(self.seeds)):
                self.volume(out, new, i).copy_(self.volume(buffer, old, i))
        else:
            for i, part, block in self._blocks(out, old, new, new):
                block.copy_(self.volume(buffer, old, i)[_at(part, self.box(old))])
            self._exchange(out, buffer, old, new)
        self._next = buffer
        return out

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

        k, bar = self._known[self.plane], float(self.model.schedule.alpha_bar[t])
        if k is None:
            return
        at = _at(k.part, self.box(self.plane))
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
                origin=_origin(k.part),
            )
            for buffer, channels_last in ((self._x, False), (self.net_input, True)):
                view = self.volume(buffer, self.plane, i, channels_last=channels_last)[at]
                view.copy_(torch.where(k.mask, noised, view))


class _Update(NamedTuple):
    """Weights of the fused operator: out = a x + b net + noise z + h0 h0."""

    a: float
    b: float
    noise: float
    h0: float
    clip: tuple[float, float] | None


@dataclass(frozen=True)
class _Known:
    """Hard data on the device: the smallest box around it, which voxels are known, their x0."""

    part: Box
    mask: Tensor  # (z, y, x) of the part
    x0: Tensor  # (C, z, y, x) of the part

    @classmethod
    def of(cls, labels: np.ndarray, part: Box, n_phases: int, device: torch.device) -> _Known:
        import torch

        inside = labels[_slices(part)]
        known = inside != UNKNOWN
        plain = torch.from_numpy(np.where(known, inside, 0).astype(np.uint8))
        return cls(
            part,
            torch.from_numpy(known).to(device),
            encode(plain, n_phases).permute(1, 0, 2, 3).contiguous().to(device),
        )


def _known_part(labels: np.ndarray, box: Box) -> Box:
    """Return the smallest box around the known voxels of a box; empty if there are none."""
    known = labels[_slices(box)] != UNKNOWN
    found = []
    for axis in range(3):
        on = np.flatnonzero(known.any(axis=tuple(a for a in range(3) if a != axis)))
        first = box[axis].start
        found.append(range(first + int(on[0]), first + int(on[-1]) + 1) if len(on) else range(0))
    return found[0], found[1], found[2]


def _slices(box: Box) -> tuple[slice, slice, slice]:
    """Return the index of a box of (z, y, x)."""
    z, y, x = (slice(each.start, each.stop) for each in box)
    return z, y, x


def _at(part: Box, box: Box) -> tuple[slice, ...]:
    """Return the index of a part in a field (C, z, y, x) of the box."""
    starts = (slice(p.start - b.start, p.stop - b.start) for p, b in zip(part, box, strict=True))
    return (slice(None), *starts)


def _origin(part: Box) -> tuple[int, int, int]:
    z, y, x = part
    return z.start, y.start, x.start


def bytes_per_value(itemsize: int, n_outputs: int, kept: int = 1) -> int:
    """Return the memory of all buffers per voxel and channel, for a network of this precision.

    Kept, beside x, the next x and the network's input and outputs, are h0 and earlier passes.
    """
    return (2 + kept) * 4 + (1 + n_outputs) * itemsize


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
