# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Run the network on every slice of one plane: guidance, windows, batches that fit the memory."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import _checks
from .._planes import PLANES, SLICE_AXES
from .windows import Cell, layout

if TYPE_CHECKING:
    from torch import Tensor

    from .copies import Copy
    from .field import Field

__all__ = ["NetworkPass", "PairPass", "largest_batch", "network_pass"]

_FILLS_A_GPU = 2**21  # pixels: larger batches are no faster


class _Part(NamedTuple):
    """Slices ``first`` to ``stop`` of one volume, seen through one window."""

    volume: int
    rows: Cell
    columns: Cell
    first: int
    stop: int


class NetworkPass:
    """The network of a field's model, run on all slices of a plane.

    Parameters
    ----------
    field : Field
        Supplies the slices (``net_input``) and takes the outputs (``net_outputs``).
    network : Copy
        The compute copy of the network.
    window : int, optional
        Side of the windows that longer slices are cut into; None for whole slices.
    fractions : sequence of float, optional
        Phase fractions that the network is conditioned on.
    outputs : sequence of tensor, optional
        The buffers that it fills, with the plane as condition and, if there are two, without one;
        default all of the field.
    """

    def __init__(
        self,
        field: Field,
        network: Copy,
        *,
        window: int | None = None,
        fractions: Sequence[float] | None = None,
        outputs: Sequence[Tensor] | None = None,
    ) -> None:
        import torch

        self.field, self.window = field, window
        self.outputs = field.net_outputs if outputs is None else outputs
        self.net, self.forward = network.net, network.forward
        self.fractions = (  # (1, P)
            None
            if fractions is None
            else torch.tensor([[float(f) for f in fractions]], device=field.device)
        )
        self._conditions: dict[tuple[int, int], Any] = {}
        self._times: list[tuple[Any, Any]] = []  # before and after each pass

    def predict(self, t: int) -> None:
        """Run the network at step t on every slice; with guidance also without a condition."""
        import torch

        from .unet import NO_PLANE

        conditions = [PLANES.index(self.field.plane), NO_PLANE][: len(self.outputs)]
        started = self._now()
        with torch.inference_mode():
            self._run([self._embedding(t, c) for c in conditions], self.outputs)
        self._times.append((started, self._now()))

    @property
    def seconds(self) -> float:
        """Time that the passes took; on CUDA this waits for them."""
        if self.field.device.type == "cpu":
            return sum(end - begin for begin, end in self._times)
        for _, end in self._times[-1:]:
            end.synchronize()
        return sum(begin.elapsed_time(end) for begin, end in self._times) / 1000

    def _now(self) -> Any:
        """Return the time on the CPU, or an event recorded in the CUDA stream without waiting."""
        if self.field.device.type == "cpu":
            return time.perf_counter()
        import torch

        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def embed(self, times: Sequence[int]) -> None:
        """Compute at once what these steps and the planes contribute to the passes."""
        import torch

        from .layers import Condition
        from .unet import NO_PLANE

        kinds = [PLANES.index(plane) for plane in self.field.planes]
        if len(self.outputs) > 1:
            kinds.append(NO_PLANE)
        pairs = [(t, kind) for kind in kinds for t in times]
        device, told = self.field.device, self.field.model.schedule.network_time
        steps = torch.tensor([told[t] for t, _ in pairs], dtype=torch.float32, device=device)
        planes = torch.tensor([kind for _, kind in pairs], device=device)
        # Eq. 9: the network without a condition is given neither plane nor fractions.
        fractions = None if self.fractions is None else self.fractions.expand(len(pairs), -1)
        with torch.inference_mode():
            found = self.net.condition(steps, planes, fractions, planes != NO_PLANE)
            for i, pair in enumerate(pairs):
                one = slice(i, i + 1)
                self._conditions[pair] = Condition(found.embedding[one], found.tokens[one])

    def _embedding(self, t: int, condition: int) -> Any:
        """Return what (t, condition) contribute to a pass."""
        if (t, condition) not in self._conditions:
            self.embed([t])
        return self._conditions[t, condition]

    def _run(self, embeddings: Sequence[Any], outputs: Sequence[Tensor]) -> None:
        """Run the network on all slices or windows and write one output per embedding.

        Two conditions share one batch if all slices fit into it, otherwise they run one after the
        other.  A batch that does not fit into memory is halved and tried again.
        """
        strips = self._strips()
        slices = len(self.field.own_slices(self.field.plane))
        pixels = strips[0].rows.length * strips[0].columns.length
        end = len(strips) * slices  # slices of all strips, one strip after the other
        # On a CPU 9 % faster at 32^3, 3 % at 48^3, and no faster at 64^3, where it would take twice
        # the memory.
        together = len(embeddings) > 1
        if together and len(embeddings) * end * pixels > min(self.chunk_pixels, _FILLS_A_GPU):
            self._run_in_turn(embeddings, outputs)
            return
        at = 0
        while at < end:
            stop = end if together else min(end, at + max(1, self.chunk_pixels // pixels))
            parts = [
                strips[k]._replace(
                    first=max(at - k * slices, 0), stop=min(stop - k * slices, slices)
                )
                for k in range(at // slices, (stop - 1) // slices + 1)
            ]
            result = self._forward_or_none(parts, embeddings, stop - at)
            if result is not None:
                self._write(result, parts, outputs)
                at = stop
                continue
            self._halve_batches(len(embeddings) * (stop - at), pixels)
            if together:
                self._run_in_turn(embeddings, outputs)
                return

    def _run_in_turn(self, embeddings: Sequence[Any], outputs: Sequence[Tensor]) -> None:
        for embedding, output in zip(embeddings, outputs, strict=True):
            self._run([embedding], [output])

    def _strips(self) -> list[_Part]:
        """Return each window of each volume, with all slices; set which axes wrap."""
        field = self.field
        slices, axes = len(field.own_slices(field.plane)), SLICE_AXES[field.plane][1:]
        h, w = (field.shape[axis] for axis in axes)
        rows, columns = (field.periodic[axis] for axis in axes)
        stride = field.model.config.stride
        strips = []
        for i, seed in enumerate(field.seeds):
            cells, wraps = layout((h, w), (rows, columns), stride, self.window, seed, field.draw)
            strips += [_Part(i, row, column, 0, slices) for row, column in cells.spots]
        if wraps != self.net.periodic:  # a compiled network would be compiled again
            self.net.set_periodic(*wraps)
        return strips

    def _forward_or_none(
        self, parts: Sequence[_Part], embeddings: Sequence[Any], n: int
    ) -> Tensor | None:
        """Return the outputs of all parts for each embedding; None if memory ran out."""
        import torch

        from .device import out_of_memory
        from .layers import Condition

        try:
            images = [self._read(part) for part in parts] * len(embeddings)
            batch = images[0] if len(images) == 1 else torch.cat(images)
            both = len(embeddings) > 1
            embedding = Condition.side_by_side(embeddings, n) if both else embeddings[0]
            return self.forward(batch.contiguous(memory_format=torch.channels_last), embedding)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            return None

    def _read(self, part: _Part) -> Tensor:
        """Return the pixels that the network sees of a part."""
        field = self.field
        images = field.slices(field.net_input, field.plane, part.volume, channels_last=True)
        return part.rows.read(part.columns.read(images[part.first : part.stop], 3), 2)

    def _write(self, result: Tensor, parts: Sequence[_Part], outputs: Sequence[Tensor]) -> None:
        """Write what is kept of each window into the outputs."""
        field, done = self.field, 0
        for output, part in itertools.product(outputs, parts):
            n = part.stop - part.first
            images = field.slices(output, field.plane, part.volume, channels_last=True)
            target, source = images[part.first : part.stop], result[done : done + n]
            h, w = target.shape[2:]
            for r_to, r_from in part.rows.pieces(h):
                for c_to, c_from in part.columns.pieces(w):
                    target[:, :, r_to, c_to] = source[:, :, r_from, c_from]
            done += n

    def _halve_batches(self, batch: int, pixels: int) -> None:
        """Halve the batches of the network, for the rest of the volume."""
        import torch

        if batch == 1:
            raise _checks.refuse(
                "volume_shape",
                f"have slices that the network can process in the memory of {self.field.device}",
                str(self.field.wanted),
                "give `window`, or a smaller one",
            )
        self.chunk_pixels = batch // 2 * pixels
        if self.field.device.type == "cuda":
            torch.cuda.empty_cache()

    @cached_property
    def chunk_pixels(self) -> int:
        """Pixels per batch: enough to fill the device, few enough for its memory.

        Decided once per volume: another number may round differently.  However much memory there
        is, no tensor of the first level comes near 2^31 numbers, which not every kernel can index.
        """
        from .device import free_memory_bytes

        field = self.field
        width = field.model.config.dim * max(field.model.config.multipliers[:1])
        per_pixel = 8 * field.dtype.itemsize * width
        room = int(0.5 * free_memory_bytes(field.device)) // per_pixel
        most = largest_batch(width) if field.device.type == "cuda" else 64 * 64 * 64
        return max(64 * 64, min(room, most))


def largest_batch(width: int) -> int:
    """Return the most pixels of a batch on CUDA, for a first level of this width."""
    return 2**31 // (4 * width)


class PairPass:
    """The networks of a pair on all slices of a plane: each fills one output of the field."""

    def __init__(self, passes: Sequence[NetworkPass]) -> None:
        self._passes = passes

    def embed(self, times: Sequence[int]) -> None:
        for one in self._passes:
            one.embed(times)

    def predict(self, t: int) -> None:
        for one in self._passes:
            one.predict(t)

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self._passes)


def network_pass(field: Field, networks: Sequence[Copy], **options: Any) -> NetworkPass | PairPass:
    """Return the pass of one network, or of a pair, on a field."""
    if len(networks) == 1:
        return NetworkPass(field, networks[0], **options)
    outputs = zip(networks, field.net_outputs, strict=True)
    return PairPass([NetworkPass(field, net, outputs=[out], **options) for net, out in outputs])
