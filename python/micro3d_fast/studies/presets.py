# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""What the paper computes of its three materials, and the variants of its ablation."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from ..diffusion.settings import SamplerSettings

__all__ = ["PRESETS", "MaterialPreset", "ablation_variants", "grid_variants"]


@dataclass(frozen=True)
class MaterialPreset:
    """Properties that the paper computes of a material.

    Attributes
    ----------
    title : str
    materials : str or None
        A set of `homogenization.load_materials`, for stiffness and thermal expansion.
    diffusing : tuple of int
        Phases whose relative diffusivity is computed.
    """

    title: str
    materials: str | None
    diffusing: tuple[int, ...]


#: Values of the argument ``materials`` of `study`.
PRESETS = {
    "separator": MaterialPreset("battery separator (Figures 5-7, B1)", None, (0,)),
    "fibre-composite": MaterialPreset(
        "carbon fibres in epoxy, realistic constituents (Figures 8-10)", "carbon-epoxy", ()
    ),
    "fibre-composite-table-a1": MaterialPreset(
        "fibre composite with Table A1 as printed (Figures 8-10)", "paper-table-a1", ()
    ),
    "cathode": MaterialPreset("three-phase battery cathode (Figures 11, 12)", None, (0, 1, 2)),
}


def grid_variants(
    gammas: tuple[float, ...], repeats: tuple[int, ...], steps: int
) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return title and options of every cell of the parametric study (Figures 6, 7), by name.

    The sampler is the paper's, with ``steps`` outer steps, and no fraction is matched.
    """
    return {
        f"gamma-{gamma:g}-harmonize-{n}": (
            f"γ = {gamma:g}, nₕ = {n}",
            {
                "sampler": asdict(SamplerSettings(steps, n, gamma)),
                "volume_fractions": None,
                "gamma": gamma,
                "harmonize": n,
            },
        )
        for n in repeats
        for gamma in gammas
    }


def ablation_variants(settings: SamplerSettings) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return title and changed options of every variant of the ablation, by name.

    Each variant leaves out one part of the sampler ``settings``; without harmonizing as many passes
    are spent on more steps.
    """
    found: dict[str, tuple[str, dict[str, Any]]] = {}

    def add(name: str, title: str, **changes: Any) -> None:
        found[f"without-{name}"] = (title, {"sampler": asdict(replace(settings, **changes))})

    if settings.passes > settings.steps:
        add("harmonizing", "no harmonizing", steps=settings.passes, harmonize=0)
    found["without-condition"] = ("no condition", {"guidance": 0.0})
    if settings.rotate:
        add("rotation", "one plane in all repeats of a step", rotate=False)
    if settings.hold_mean:
        add("held-mean", "fractions not held", hold_mean=False)
    if settings.gamma == 1.0:
        found["blended"] = ("γ = 0.5", {"sampler": asdict(replace(settings, gamma=0.5))})
    else:
        add("blend", "γ = 1", gamma=1.0)
    return found
