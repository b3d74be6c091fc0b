# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The state of training: weights, their moving average, the optimizer (paper, Eq. 6)."""

from __future__ import annotations

import math
import platform
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..model import Model, channel_count
from .batches import fraction_spread, make_batch
from .options import TrainingOptions

if TYPE_CHECKING:
    import torch

    from ...micrographs import Micrographs
    from ..unet import UNet

__all__ = ["DivergedError", "Learner"]


class DivergedError(ValueError):
    """The loss is no longer finite."""


class Learner:
    """Network, moving average and optimizer of a run; `advance` is one step."""

    def __init__(self, micrographs: Micrographs, options: TrainingOptions) -> None:
        import torch

        from ..device import channels_last
        from ..unet import PRESETS, UNet

        self.micrographs, self.options = micrographs, options
        phases = micrographs.n_phases
        self.config = replace(
            PRESETS[options.preset],
            channels=channel_count(phases),
            fractions=phases if options.fraction_condition else 0,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(options.seed)
            self.net: UNet = UNet(self.config)
        channels_last(self.net.to(options.device))
        self._forward = torch.compile(self.net) if options.compile else self.net
        self.ema = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        self.optimizer = torch.optim.Adam(
            self.net.parameters(), lr=options.learning_rate, betas=(0.9, 0.99), fused=True
        )
        self.step = 0

    def rate(self, step: int) -> float:
        """Return the learning rate of a step."""
        rate, recipe = float(self.options.learning_rate), self.options.recipe
        if recipe.warmup:
            rate *= min(1.0, (step + 1) / recipe.warmup)
        if recipe.decay:
            rate *= 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.options.steps))
        return rate

    def advance(self) -> float:
        """Make one optimizer step; return the loss."""
        import torch

        batch = make_batch(self.micrographs, self.options, self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(self.step)
        device, dtype = self.options.device, self.options.precision
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            cond = self.net.condition(batch.t, batch.plane, batch.fractions, batch.kept)
            predicted = self._forward(batch.x_t, cond)
        loss = torch.nn.functional.mse_loss(predicted.float(), batch.target)  # Eq. 6
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        # The average forgets its start: at step n it reaches back over about n / 10 steps.
        decay = min(self.options.recipe.ema, (1 + self.step) / (10 + self.step))
        state = self.net.state_dict()
        averages = [self.ema[k] for k in state]
        torch._foreach_lerp_(averages, list(state.values()), 1 - decay)
        self.step += 1
        return float(loss.detach())

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return all state by name: ``net.*``, ``ema.*``, ``adam.*``."""
        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.ema.items()}
        for name, p in self.net.named_parameters():
            for key, value in self.optimizer.state.get(p, {}).items():
                tensors[f"adam.{key}.{name}"] = value
        return {k: v.detach().cpu().contiguous() for k, v in tensors.items()}

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Restore the state that `tensors` returned."""
        self.net.load_state_dict({k: tensors[f"net.{k}"] for k in self.net.state_dict()})
        self.ema = {k: _like(tensors[f"ema.{k}"], old) for k, old in self.ema.items()}
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

    def model(self, loss: float, seconds: float) -> Model:
        """Return the model with the moving average of the weights."""
        import torch

        from ..unet import UNet

        net = UNet(self.config)
        net.load_state_dict({k: v.cpu() for k, v in self.ema.items()})
        m, settings = self.micrographs, self.options.settings(self.micrographs)
        recorded = ("batch_size", "learning_rate", "condition_dropout", "fraction_condition")
        details: dict[str, Any] = {"preset": settings["preset"], "steps": self.step}
        details |= {name: settings[name] for name in (*recorded, "seed")}
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
        )


def _like(moment: torch.Tensor, parameter: torch.Tensor) -> torch.Tensor:
    """Return a moment in the memory layout of its parameter, as the fused optimizer requires."""
    import torch

    out = torch.empty_like(parameter, dtype=moment.dtype)
    return out.copy_(moment)
