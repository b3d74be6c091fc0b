# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The variants of the sampler that the study compares, grouped into plans."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from micro3d_fast.diffusion.settings import SamplerSettings, fast_settings

from .materials import NETWORKS

PAPER = SamplerSettings(1000, 4, 0.5)
FAST = fast_settings()


@dataclass(frozen=True)
class Variant:
    """A sampler, the network it runs on, and the guidance weight."""

    settings: SamplerSettings
    network: str = "v-linear"
    guidance: float = 1.0
    ema: bool = True
    seeds: int | None = None  # an upper bound for variants of thousands of passes


def fast(steps: int, n_h: int = 1, gamma: float = 1.0, **knobs: Any) -> SamplerSettings:
    """Return the settings of the fast sampler with other numbers."""
    return replace(FAST, steps=steps, harmonize=n_h, gamma=gamma, **knobs)


def curve() -> dict[str, Variant]:
    """Return the default at several numbers of passes, beside the paper's sampler."""
    made = {
        f"fast-{p}": Variant(fast_settings(p), seeds=2 if p > 300 else None)
        for p in (11, 22, 38, 43, 91, 247, 997)
    }
    for p in (11, 21, 46, 96, 251):  # the paper's rule on fewer steps
        made[f"paper-respaced-{p}"] = Variant(replace(PAPER, steps=(p + 4) // 5))
    made["paper-996"] = Variant(replace(PAPER, steps=200), seeds=2)
    made["paper-4996"] = Variant(PAPER, seeds=1)
    made["paper-4996-noise"] = Variant(PAPER, "noise-linear", seeds=1)  # the paper's own
    for network, ending in (("noise-linear", "noise"), ("v-linear-6e-3", "6e-3")):
        made[f"fast-38-{ending}"] = Variant(FAST, network)
        made[f"fast-43-{ending}"] = Variant(fast(8, 5), network)
    return made


def paper_grid() -> dict[str, Variant]:
    """Return the grid of the paper's Figures 6 and 7, on a tenth of its steps."""
    return {
        f"T100-nh{n}-g{g:g}-{net}": Variant(SamplerSettings(100, n, g), net, seeds=2)
        for net in ("noise-linear", "v-linear")
        for n in (0, 1, 2, 4, 8)
        for g in ((0.5,) if n == 0 else (0.15, 0.25, 0.5, 0.75, 1.0))
    }


def screening() -> dict[str, Variant]:
    """Return ways to spend about 43 passes, and changes of each setting."""
    settings = {
        f"{steps}x{n}": fast(steps, n)
        for steps, n in ((43, 0), (22, 1), (15, 2), (11, 3), (8, 5), (6, 7))
    }
    settings |= {f"8x{n}": fast(8, n) for n in (11, 34)}  # many more repeats
    settings["5x16"] = fast(5, 16)
    settings["8x5-even"] = fast(8, 5, spacing=1.0)
    settings["8x5-spacing1.5"] = fast(8, 5, spacing=1.5)
    settings["8x5-beta"] = fast(8, 5, variance="beta")
    settings["24x1-beta-even"] = fast(24, 1, variance="beta", spacing=1.0)
    settings |= {f"8x5-g{g:g}": fast(8, 5, g) for g in (0.25, 0.5, 0.75)}
    settings |= {f"8x5-g{g:g}-kept": fast(8, 5, g, keep_variance=True) for g in (0.5, 0.75)}
    settings["8x5-g1to.5"] = fast(8, 5, 1.0, gamma_end=0.5)
    settings["8x5-g.5to1"] = fast(8, 5, 0.5, gamma_end=1.0)
    settings |= {f"8x5-temperature{k:g}": fast(8, 5, temperature=k) for k in (0.95, 0.9)}
    settings["8x5-same-plane"] = fast(8, 5, rotate=False)
    settings["8x5-mean-free"] = fast(8, 5, hold_mean=False)
    settings["8x5-unclipped"] = fast(8, 5, clip=False)
    settings["8x5-normal-start"] = fast(8, 5, true_terminal=False)
    settings["8x5-ODE"] = fast(8, 5, variance="none")
    settings["43x0-ODE"] = fast(43, 0, variance="none")
    settings["43x0-ODE-mean-free"] = fast(43, 0, variance="none", hold_mean=False)
    made = {name: Variant(of_name) for name, of_name in settings.items()}
    made["8x5-raw-weights"] = Variant(fast(8, 5), ema=False)
    return made | {f"8x5-w{w:g}": Variant(fast(8, 5), guidance=w) for w in (1.5, 2.0, 3.0)}


def repeats() -> dict[str, Variant]:
    """Return eight steps with various repeats at each noise level."""
    made = {f"8x{n}": Variant(fast(8, n)) for n in (1, 2, 3, 5, 11)}
    for numbers in (
        (8, 8, 7, 5, 3, 2, 1, 0),
        (2, 3, 4, 5, 5, 5, 4, 0),
        (1, 2, 3, 4, 5, 5, 4, 0),
        (0, 1, 3, 5, 7, 7, 5, 0),
        (1, 2, 3, 5, 7, 7, 5, 0),
        (1, 2, 4, 6, 7, 7, 4, 0),
        (1, 2, 3, 6, 10, 10, 6, 0),
        (1, 2, 3, 11, 16, 16, 11, 0),
    ):
        made["-".join(map(str, numbers))] = Variant(replace(FAST, harmonize=numbers))
    return made


def networks() -> dict[str, Variant]:
    """Return networks of other prediction and schedule."""
    made = {}
    for net in (name for name, options in NETWORKS.items() if "learning_rate" not in options):
        made[f"{net} 8x5"] = Variant(fast(8, 5), net)
        made[f"{net} 8x5 mean-free"] = Variant(fast(8, 5, hold_mean=False), net)
        made[f"{net} 16x5 g.4 paper"] = Variant(SamplerSettings(16, 5, 0.4), net)
        made[f"{net} 43x0"] = Variant(fast(43, 0), net)
    return made


PLANS = {
    "curve": curve(),
    "paper-grid": paper_grid(),
    "screening": screening(),
    "repeats": repeats(),
    "networks": networks(),
}
