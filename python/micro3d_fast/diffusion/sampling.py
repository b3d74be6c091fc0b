# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
r"""Multi-plane denoising with harmonizing passes (paper, Fig. 4, Eq. 5, 8, 9, 16, 17).

The volume is one field x of logical index (C, z, y, x); a plane is only a way to slice it.  A pass
runs the network on every slice of one plane, and one fused operator turns x and the network's
output into the next x, already in the slice batch of the plane that comes next.

All samplers are this loop.  ``"paper"`` visits all T steps and stays in one plane while it
harmonizes; ``"fast"`` visits few steps, changes the plane inside the repeats, starts from the true
terminal law, and clips the predicted x0 and holds its mean at that of the requested fractions.  Two
independent normals that enter a pass one after the other (the z of Eq. 5 and that of Eq. 16) are
drawn as one normal of the summed variance: the same law for half the draws.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

from .coupling import Coupling
from .field import Field
from .mean_hold import MeanHold
from .network_pass import NetworkPass, PairPass
from .settings import SamplerSettings

__all__ = ["Callback", "sample"]

Callback = Callable[[dict[str, Any]], None]


def sample(
    field: Field,
    network: NetworkPass | PairPass,
    settings: SamplerSettings,
    callback: Callback | None = None,
) -> None:
    """Modified harmonized sampling (Fig. 4b): denoise plane after plane until they agree."""
    schedule, kind = field.model.schedule, settings.variance
    times = schedule.respaced(settings.steps, settings.spacing)
    planes = itertools.cycle(field.planes)
    network.embed(times)
    field.start(next(planes), times[0], settings.true_terminal)
    # In one plane alone earlier passes saw the same slices: nothing that would have to agree.
    agreement = settings.agreement if len(field.planes) > 1 else 0.0
    couples = agreement > 0 or any(map(any, settings.coupling))
    coupling = Coupling(field, settings.coupling, agreement) if couples else None
    hold = MeanHold(field) if settings.hold_mean else None
    progress = _Progress(field, settings.passes, callback)
    for k, (t, s) in enumerate(itertools.pairwise([*times, 0])):
        beta, sigma2 = schedule.beta(t, s), schedule.variance(t, s, kind)
        g, repeats = settings.gamma_at(k), settings.repeats_at(k)
        mean = schedule.affine(t, s, field.model.prediction, deterministic=kind == "none")
        if repeats and g < 1:
            field.keep()  # h0 = x
        for repeat in range(repeats + 1):
            plane = field.plane
            with field.slabs.group.together():
                network.predict(t)
            if coupling is not None:
                coupling.apply(mean.p, mean.q, float(schedule.alpha_bar[t]))
            if hold is not None:
                hold.apply(mean.p, mean.q)
            if repeat == repeats:  # Eq. 5, 8, 9: x = y, in the slices of the next plane
                field.step(
                    mean,
                    to=next(planes),
                    t=s,
                    noise=sigma2**0.5 if s > 0 else 0.0,
                    clip=settings.clip and s > 0,
                )
            else:  # Eq. 16: h = sqrt(1 - beta) y + sqrt(beta) z;  Eq. 17: g h + (1 - g) h0
                noise2 = g**2 * ((1 - beta) * sigma2 + beta) * settings.temperature**2
                if settings.keep_variance:
                    noise2 += schedule.blend_deficit(t, s, g, kind)
                field.step(
                    mean,
                    to=next(planes) if settings.rotate else plane,
                    t=t,
                    scale=g * (1 - beta) ** 0.5,
                    noise=noise2**0.5,
                    h0=1 - g,
                    clip=settings.clip and s > 0,
                )
            progress.report(t, plane)


class _Progress:
    """Reports each pass to the callback of `reconstruct`."""

    def __init__(self, field: Field, passes: int, callback: Callback | None) -> None:
        self.field, self.passes, self.callback = field, passes, callback
        self.done, self.started = 0, time.perf_counter()

    def report(self, t: int, plane: str) -> None:
        self.done += 1
        if self.callback is None:
            return
        seconds = time.perf_counter() - self.started
        event = {
            "pass_index": self.done,
            "passes": self.passes,
            "t": t,
            "plane": plane,
            "seeds": self.field.seeds,
            "seconds": seconds,
            "eta": seconds / self.done * (self.passes - self.done),
        }
        with self.field.slabs.group.together():
            self.callback(event)
