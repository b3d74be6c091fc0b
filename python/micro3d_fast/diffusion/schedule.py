# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
r"""The noise schedule and the affine forms of the reverse process (paper, Eq. 1-8).

Notation: :math:`\bar\alpha_t = \prod_{s=1}^{t} (1 - \beta_s)` with :math:`\bar\alpha_0 = 1` (Eq.
4),
:math:`x_t = \sqrt{\bar\alpha_t}\, x_0 + \sqrt{1 - \bar\alpha_t}\, \epsilon` (Eq. 3).  A respaced
process visits a subset of the steps; between neighbours s < t it has
:math:`\beta = 1 - \bar\alpha_t / \bar\alpha_s`, which for s = t - 1 is the paper's :math:`\beta_t`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._checks import choice, integer, real, refuse

__all__ = ["KINDS", "PREDICTIONS", "Affine", "Schedule"]

KINDS = ("linear", "cosine", "cosine-zero", "shifted")
PREDICTIONS = ("noise", "x0", "v")
MOST_STEPS = 100_000


@dataclass(frozen=True)
class Affine:
    """The mean of a reverse step, E[x_s | x_t] = a x_t + b x0 with x0 = p x_t + q net."""

    a: float
    b: float
    p: float
    q: float


@dataclass(frozen=True)
class Schedule:
    """A noise schedule of ``steps`` (the paper's T).

    Parameters
    ----------
    kind : {"linear", "cosine", "cosine-zero", "shifted"}
        ``"linear"`` is the paper's: beta evenly spaced from ``beta_first`` to ``beta_last``.
        ``"cosine"`` is Nichol and Dhariwal's (2021, Eq. 17), ``"cosine-zero"`` the same with a
        terminal signal of exactly zero (Lin et al. 2024).  ``"shifted"`` is ``"cosine-zero"`` with
        its log signal-to-noise ratio lowered by 2 log ``shift`` (Hoogeboom et al. 2023), so that
        more steps lie where coarse structure is decided.
    shift : float
        Of ``"shifted"``, positive.
    """

    kind: str = "linear"
    steps: int = 1000
    beta_first: float = 1e-4
    beta_last: float = 1e-2
    shift: float = 1.0

    def __post_init__(self) -> None:
        choice(self.kind, KINDS, name="schedule")
        integer(self.steps, name="steps", minimum=1, maximum=MOST_STEPS)
        for name in ("beta_first", "beta_last"):
            real(getattr(self, name), name=name, minimum=0.0, maximum=1.0, open_ends=True)
        real(self.shift, name="shift", minimum=0.0, open_ends=True)
        if self.shift != 1 and self.kind != "shifted":
            raise refuse("shift", "be 1 for other schedules than 'shifted'", str(self.shift))

    @property
    def name(self) -> str:
        """The kind, with the shift where there is one."""
        return self.kind if self.kind != "shifted" else f"shifted ({self.shift:g})"

    def record(self) -> dict[str, Any]:
        """Return the fields for a file; ``shift`` where it has a meaning."""
        fields = asdict(self)
        if self.kind != "shifted":
            del fields["shift"]
        return fields

    @cached_property
    def alpha_bar(self) -> np.ndarray:
        """Signal power at t = 0 ... T, float64, shape (steps + 1,); the first is 1."""
        if self.kind == "linear":
            beta = np.linspace(self.beta_first, self.beta_last, self.steps)
            return np.concatenate(([1.0], np.cumprod(1.0 - beta)))
        t = np.arange(self.steps + 1) / self.steps
        offset = 0.008 if self.kind == "cosine" else 0.0
        bar = np.cos((t + offset) / (1 + offset) * np.pi / 2) ** 2
        bar /= bar[0]
        if self.kind == "cosine":  # beta is clipped at 0.999, so the end is not quite zero
            ratio = np.maximum(bar[1:] / bar[:-1], 1e-3)
            return np.concatenate(([1.0], np.cumprod(ratio)))
        bar /= bar + self.shift**2 * (1 - bar)
        bar[-1] = 0.0
        return bar

    @cached_property
    def network_time(self) -> np.ndarray:
        """What the network is told of t = 0 ... T, float64, shape (steps + 1,).

        t itself; for ``"shifted"`` the t at which ``"cosine-zero"`` has the same signal-to-noise
        ratio, so that a network sees the same number at the same noise whatever the shift.
        """
        if self.kind != "shifted":
            return np.arange(self.steps + 1, dtype=np.float64)
        bar = self.alpha_bar
        return self.steps * 2 / np.pi * np.arctan2(np.sqrt(1 - bar), np.sqrt(bar))

    def beta(self, t: int, s: int) -> float:
        """Return the variance that the forward process adds between steps s < t (Eq. 1)."""
        return float(1.0 - self.alpha_bar[t] / self.alpha_bar[s])

    def respaced(self, count: int, power: float = 1.0) -> list[int]:
        """Return ``count`` decreasing steps from T, t_i = T (1 - i / count)^power; the next is 0.

        Evenly spaced for a power of 1, finer towards the clean image above it.
        """
        steps = [
            min(round(self.steps * ((count - i) / count) ** power), self.steps - i)
            for i in range(count)
        ]
        for i in range(count - 1, -1, -1):  # distinct, the last at least 1
            steps[i] = max(steps[i], steps[i + 1] + 1 if i + 1 < count else 1)
        return steps

    def x0_from(self, t: int, prediction: str) -> tuple[float, float]:
        """Return (p, q) with x0 = p x_t + q net: the clean image that the output implies."""
        bar = float(self.alpha_bar[t])
        if prediction == "x0":
            return 0.0, 1.0
        if prediction == "v":  # v = sqrt(bar) eps - sqrt(1 - bar) x0
            return bar**0.5, -((1.0 - bar) ** 0.5)
        return bar**-0.5, -((1.0 - bar) ** 0.5) * bar**-0.5  # Eq. 3 solved for x0

    def target(self, bar: Any, x0: Any, noise: Any, prediction: str) -> Any:
        """Return what the network predicts, from x0 and the noise: the inverse of `x0_from`.

        ``bar`` is alpha_bar at t, as a tensor that broadcasts against x0 and the noise.
        """
        if prediction == "noise":
            return noise
        if prediction == "x0":
            return x0
        return bar.sqrt() * noise - (1 - bar).sqrt() * x0  # v

    def posterior(self, t: int, s: int, *, deterministic: bool = False) -> tuple[float, float]:
        """Return (a, b) with E[x_s | x_t, x0] = a x_t + b x0.

        With x0 from the predicted noise this is Eq. 8,
        m = (x_t - beta eps / sqrt(1 - bar_t)) / sqrt(1 - beta).  The deterministic step keeps the
        noise that x_t holds and draws none (DDIM, Song et al. 2021).
        """
        bar_t, bar_s = float(self.alpha_bar[t]), float(self.alpha_bar[s])
        beta = 1.0 - bar_t / bar_s
        if deterministic:
            a = ((1.0 - bar_s) / (1.0 - bar_t)) ** 0.5
            return a, bar_s**0.5 - a * bar_t**0.5
        return (1.0 - beta) ** 0.5 * (1.0 - bar_s) / (1.0 - bar_t), bar_s**0.5 * beta / (
            1.0 - bar_t
        )

    def affine(self, t: int, s: int, prediction: str, *, deterministic: bool = False) -> Affine:
        """Return the mean of x_s as affine form of x_t and the network's output (Eq. 8)."""
        a, b = self.posterior(t, s, deterministic=deterministic)
        return Affine(a, b, *self.x0_from(t, prediction))

    def posterior_variance(self, t: int, s: int) -> float:
        """Return the variance of x_s given x_t and x0; 0 at s = 0.  The paper uses beta instead."""
        return self.beta(t, s) * float((1.0 - self.alpha_bar[s]) / (1.0 - self.alpha_bar[t]))

    def variance(self, t: int, s: int, kind: str) -> float:
        """Return the variance of the reverse step: "beta" (the paper's), "posterior" or "none"."""
        if kind == "none":
            return 0.0
        return self.beta(t, s) if kind == "beta" else self.posterior_variance(t, s)

    def blend_deficit(self, t: int, s: int, gamma: float, kind: str = "posterior") -> float:
        """Return the noise variance that gamma h + (1 - gamma) h0 of Eq. 17 lacks, at least 0.

        h0 holds noise of variance 1 - bar_t.  Eq. 8 and 16 keep rho times this noise in h; with the
        noise that they draw, of the given kind of `variance`, h has the same variance again (a
        larger one with "beta").
        """
        beta, noise = self.beta(t, s), 1.0 - float(self.alpha_bar[t])
        rho = (1.0 - beta) ** 0.5 * self.posterior(t, s, deterministic=kind == "none")[0]
        h = rho**2 * noise + (1.0 - beta) * self.variance(t, s, kind) + beta
        blend = gamma**2 * h + (2.0 * gamma * rho + 1.0 - gamma) * (1.0 - gamma) * noise
        return max(0.0, noise - blend)
