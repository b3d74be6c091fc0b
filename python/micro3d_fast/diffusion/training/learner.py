# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The state of training: weights, their moving average, the optimizer (paper, Eq. 6)."""

from __future__ import annotations

import contextlib
import copy
import math
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...statistics import FractionScatter, fraction_scatter
from ..model import Model, channel_count
from ..settings import default_agreement
from .batches import Batch, HostBatches, fraction_spread
from .options import TrainingOptions
from .parts import parts_of
from .start import initialize, origin
from .teacher import Teaching

if TYPE_CHECKING:
    import torch

    from ...micrographs import Micrographs
    from ..unet import UNet
    from .device_batches import DeviceBatches

__all__ = ["DivergedError", "Learner", "State"]

_MOST_PHASES = 16  # whose covariances a model records


class DivergedError(ValueError):
    """The loss is no longer finite."""


@dataclass(frozen=True)
class State:
    """What a checkpoint holds of a learner."""

    step: int
    tensors: dict[str, torch.Tensor]


class Learner:
    """Network, moving average and optimizer of a run; `advance` is one step."""

    def __init__(self, micrographs: Micrographs, options: TrainingOptions) -> None:
        import torch

        from ..device import channels_last
        from ..unet import PRESETS, UNet
        from .captured_step import Losses

        self.micrographs, self.options = micrographs, options
        phases = micrographs.n_phases
        self.config = replace(
            PRESETS[options.preset] if options.init is None else options.init.config,
            channels=channel_count(phases),
            fractions=phases if options.fraction_condition else 0,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.net: UNet = UNet(self.config)
        if options.init is not None:
            initialize(self.net, options.init, phases)
        channels_last(self.net.to(options.device))
        on_cuda = options.device.type == "cuda"
        # Passes on CUDA in bfloat16 are of a copy in it.  Autocast would round weights and
        # gradients one by one, with two kernels each, and normalize in float32.
        self._rounded = computes_rounded(options)
        self._computed = self.net
        if self._rounded:
            self._computed = copy.deepcopy(self.net).to(options.precision)
        self._forward: Any = self._computed
        if options.compile:
            self._forward = torch.compile(self._computed)
        self._parts = parts_of(options.batch_size, options.group, options.accumulate)
        if options.group.size > 1:  # it averages the gradients of `_computed` in the last backward
            self._forward = torch.nn.parallel.DistributedDataParallel(self._forward)
        self.ema = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self._weights = list(self.net.state_dict().values())
        self._averages = list(self.ema.values())
        rate: Any = float(options.learning_rate)
        self._share: Any = 0.0  # of the weights in their average, at a step
        if on_cuda:  # the step is a graph: what changes from step to step is in tensors
            rate, self._share = (torch.tensor(x, device=options.device) for x in (rate, 0.0))
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), lr=rate, betas=(0.9, 0.99), fused=True, capturable=on_cuda
        )
        self._teaching = None
        if options.teacher is not None:
            self._teaching = Teaching(options.teacher, options.device, options.precision)
        self._batches: HostBatches | DeviceBatches = HostBatches(micrographs, options)
        self._run: Callable[[], torch.Tensor] = self._make_step
        if on_cuda:
            self._prepare_cuda()
        self.losses = Losses(options.device)
        self.step = 0

    def _prepare_cuda(self) -> None:
        """Draw batches on the device if the labels fit there; make a graph of a step alone.

        In a group kernels are launched one by one: a graph of NCCL's would have to be captured at
        the same step on all ranks, and replayed after the reducer has settled its buckets.
        """
        from .captured_step import CapturedStep
        from .device_batches import DeviceBatches

        generator = None
        group = self.options.group
        unfit = not DeviceBatches.fit(self.micrographs, self.options.device)
        if not group.largest(unfit):  # all ranks draw from the same generator
            self._batches = DeviceBatches(self.micrographs, self.options)
            generator = self._batches.generator
        if group.size == 1:
            self._run = CapturedStep(self._make_step, generator)

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        rate, recipe = float(self.options.learning_rate), self.options.recipe
        if recipe.warmup:
            rate *= min(1.0, (step + 1) / recipe.warmup)
        if recipe.decay:
            rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.options.steps))
        return rate

    def advance(self, stop: bool = False) -> None:
        """Make one optimizer step; `losses` holds its loss and whether a process asked to stop."""
        self._batches.prepare(self.step)
        rate = self.rate(self.step)
        # The average forgets its start: at step n it reaches back over about n / 10 steps.
        share = 1 - min(self.options.recipe.ema, (1 + self.step) / (10 + self.step))
        (group,) = self.optimizer.param_groups
        if self.options.device.type == "cuda":
            group["lr"].fill_(rate)
            self._share.fill_(share)
        else:
            group["lr"], self._share = rate, share
        loss = self._run()
        self.step += 1
        self.losses.put(self.step, self._of_all(loss, stop))

    def _of_all(self, loss: torch.Tensor, stop: bool) -> torch.Tensor:
        """Return the mean of the losses of all processes, and how many of them say to stop."""
        import torch

        size = self.options.group.size
        if size == 1:
            return loss
        report = torch.stack((loss / size, torch.full_like(loss, stop)))
        torch.distributed.all_reduce(report)
        return report

    def _make_step(self) -> torch.Tensor:
        """Compute the gradient, change weights and their average; return the loss."""
        import torch

        batch, together = self._batches.draw(), self.options.group.size > 1
        if self._rounded:
            torch._foreach_copy_(list(self._computed.state_dict().values()), self._weights)
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for part in self._parts:
            last = part is self._parts[-1]
            apart = together and not last  # gradients are averaged once, when they are complete
            with self._forward.no_sync() if apart else contextlib.nullcontext():
                losses.append(self._backward(batch.rows(part.rows), part.weight))
            if self._rounded and not apart:
                self._take_gradients()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self._average()
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _backward(self, batch: Batch, weight: float) -> torch.Tensor:
        """Add the gradient of the weighted loss of a part of the batch; return that loss."""
        import torch

        target = batch.target if self._teaching is None else self._teaching.target(batch)
        loss = torch.nn.functional.mse_loss(self._predict(batch).float(), target)  # Eq. 6
        if weight != 1:
            loss = weight * loss
        loss.backward()
        return loss.detach()

    def _predict(self, batch: Batch) -> torch.Tensor:
        """Return what the network predicts, in the precision of the run."""
        import torch

        net, device, dtype = self._computed, self.options.device, self.options.precision
        x_t = batch.x_t.to(dtype) if self._rounded else batch.x_t
        with torch.autocast(device.type, dtype, dtype != torch.float32 and not self._rounded):
            cond = net.condition(batch.t, batch.plane, batch.fractions, batch.kept)
            return self._forward(x_t, cond)

    def _take_gradients(self) -> None:
        """Add the gradients of the rounded copies to those of the weights."""
        import torch

        # (gradients of weights, of their copies)
        new: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        added: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        for p, copied in zip(self.net.parameters(), self._computed.parameters(), strict=True):
            if copied.grad is not None:
                pairs = added
                if p.grad is None:
                    p.grad, pairs = torch.empty_like(p), new
                pairs[0].append(p.grad)
                pairs[1].append(copied.grad)
                copied.grad = None
        if new[0]:
            torch._foreach_copy_(*new)
        if added[0]:
            torch._foreach_add_(*added)

    def _average(self) -> None:
        """Move the average of the weights towards them."""
        import torch

        if self.options.device.type == "cuda":  # `lerp_` of lists takes no number on the device
            change = torch._foreach_sub(self._weights, self._averages)
            torch._foreach_mul_(change, self._share)
            torch._foreach_add_(self._averages, change)
        else:
            torch._foreach_lerp_(self._averages, self._weights, self._share)

    def state(self) -> State:
        """Return all state, on the host: tensors ``net.*``, ``ema.*``, ``adam.*``."""
        import torch

        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        for name, p in self.net.named_parameters():
            for key, value in self.optimizer.state.get(p, {}).items():
                tensors[f"adam.{key}.{name}"] = value
        tensors = {k: v.detach() for k, v in tensors.items()}
        if self.options.device.type == "cuda":  # in one transfer
            parts = torch.cat([v.reshape(-1) for v in tensors.values()]).cpu()
            parts = parts.split([v.numel() for v in tensors.values()])
            pairs = zip(tensors.items(), parts, strict=True)
            tensors = {k: part.view(v.shape) for (k, v), part in pairs}
        return State(self.step, {k: v.contiguous() for k, v in tensors.items()})

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore the tensors of a state."""
        self.net.load_state_dict({k: tensors[f"net.{k}"] for k in self.net.state_dict()})
        for name, average in self.ema.items():
            average.copy_(tensors[f"ema.{name}"])
        for name, p in self.net.named_parameters():
            moments = {
                key: tensors[f"adam.{key}.{name}"].clone()
                for key in ("step", "exp_avg", "exp_avg_sq")
                if f"adam.{key}.{name}" in tensors
            }
            if moments:
                for key in ("exp_avg", "exp_avg_sq"):
                    moments[key] = _like(moments[key], p)
                self.optimizer.state[p] = moments

    def model(self, loss: float, seconds: float, state: State | None = None) -> Model:
        """Return the model with the moving average of the weights, now or in a state."""
        import torch

        from ..unet import UNet

        net = UNet(self.config)
        if state is None:
            step, average = self.step, {k: v.cpu() for k, v in self.ema.items()}
        else:
            step, average = state.step, {k: state.tensors[f"ema.{k}"] for k in self.ema}
        net.load_state_dict(average)
        m, settings = self.micrographs, self.options.settings(self.micrographs)
        recorded = ("batch_size", "learning_rate", "condition_dropout", "fraction_condition")
        details: dict[str, Any] = {"preset": settings["preset"], "steps": step}
        details |= {name: settings[name] for name in (*recorded, "mirrored", "seed")}
        details |= {
            "loss": round(loss, 6),
            "training_seconds": round(seconds, 1),
            "data": settings["data"],
            "images": {p: len(images) for p, images in m.images.items()},
            "borrowed": dict(m.borrowed),
            "volume_fraction_std": fraction_spread(m, self.options.patch),
            "torch": torch.__version__.split("+")[0],
            "machine": platform.machine(),
        }
        if self.options.group.size > 1:
            details["processes"] = self.options.group.size
        if self.options.init is not None:
            details["init"] = origin(self.options.init)
        return Model(
            net=net.eval().requires_grad_(False),
            config=self.config,
            schedule=self.options.schedule,
            prediction=self.options.prediction,
            phase_names=tuple(m.phase_names),
            volume_fractions=tuple(float(f) for f in m.volume_fractions()),
            patch=self.options.patch,
            voxel_size=m.voxel_size,
            details=details,
            fraction_scatter=self._fraction_scatter,
            agreement=default_agreement(self.options.schedule),
        )

    @cached_property
    def _fraction_scatter(self) -> FractionScatter | None:
        few = self.micrographs.n_phases <= _MOST_PHASES
        return fraction_scatter(self.micrographs) if few else None


def computes_rounded(options: TrainingOptions) -> bool:
    """Return whether passes are those of a copy of the network in the precision of the run."""
    import torch

    return options.device.type == "cuda" and options.precision != torch.float32


def _like(moment: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Return a moment in the memory layout of its parameter, as the fused optimizer requires."""
    import torch

    out = torch.empty_like(parameter, dtype=moment.dtype)
    return out.copy_(moment)
