# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Settings of the samplers in the paper's symbols, and the named samplers."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import _checks

if TYPE_CHECKING:
    from .model import Model
    from .schedule import Schedule

__all__ = [
    "NO_COUPLING",
    "QUALITY",
    "RISING",
    "SAMPLERS",
    "CouplingTable",
    "Repeats",
    "Runtime",
    "Sampler",
    "SamplerSettings",
    "check_agreement",
    "check_changes",
    "check_coupling",
    "default_agreement",
    "default_repeats",
    "fast_settings",
    "paper_settings",
    "resolve_sampler",
    "rows_text",
    "scaled_repeats",
]

Repeats = int | tuple[int, ...]
CouplingTable = tuple[tuple[float, ...], ...]  # J along z, y, x: one row, or one for each phase
NO_COUPLING = ((0.0, 0.0, 0.0),)


MOST_COUPLING = 2.0
MOST_AGREEMENT = 0.9


def check_coupling(value: Any, n_phases: int | None = None) -> CouplingTable:
    """Check the coupling along z, y and x: of all phases, or one after the other."""
    wanted = "be three numbers, for z, y and x, or three for each phase"
    if n_phases == 2:
        wanted = "be three numbers, for z, y and x"
    value = value.tolist() if hasattr(value, "tolist") else value
    flat = isinstance(value, Sequence) and not any(isinstance(j, Sequence) for j in value)
    rows = _checks.rows([value] if flat else value, 3, name="coupling", wanted=wanted)
    if n_phases is not None and len(rows) > 1 and not len(rows) == n_phases > 2:
        raise _checks.refuse("coupling", wanted, _checks.shown(value))
    for row in rows:
        for j in row:
            _checks.real(j, name="coupling", minimum=-MOST_COUPLING, maximum=MOST_COUPLING)
    return rows


def check_agreement(value: Any) -> float:
    """Check the weight of earlier passes."""
    return _checks.real(value, name="agreement", minimum=0.0, maximum=MOST_AGREEMENT)


def rows_text(
    rows: Sequence[Sequence[float]],
    number: Callable[[float], str] = "{:.3f}".format,
    between: str = " ",
    after: str = "; ",
) -> str:
    """Return rows of numbers as text, such as a coupling."""
    return after.join(between.join(map(number, row)) for row in rows)


@dataclass(frozen=True)
class SamplerSettings:
    """Settings of a sampler, in the paper's symbols."""

    steps: int  # outer steps of the reverse process
    harmonize: Repeats  # n_h: harmonizing passes per step, one number or one for each step
    gamma: float  # weight of the harmonized sample in Eq. 17
    rotate: bool = False  # change the plane inside the repeats
    variance: str = "beta"  # of the reverse step: "beta" (the paper's), "posterior", "none" (DDIM)
    clip: bool = False  # clamp the predicted x0 to [-1, 1]
    true_terminal: bool = False  # start from the law of x_T instead of N(0, I)
    hold_mean: bool = False  # tilt the predicted x0 to the mean of the requested fractions
    spacing: float = 1.0  # visited steps t_i = T (1 - i / steps)^spacing: above 1, finer at the end
    temperature: float = 1.0  # scale of the noise drawn in a harmonizing pass
    gamma_end: float | None = None  # gamma at the last step, reached linearly; None: constant
    keep_variance: bool = False  # restore the noise variance that a blend (gamma < 1) loses
    coupling: CouplingTable = NO_COUPLING  # J of unlike neighbours, see `reconstruct`
    agreement: float = 0.0  # weight of earlier passes, see `reconstruct`

    def __post_init__(self) -> None:
        _checks.integer(self.steps, name="steps", minimum=1)
        if isinstance(self.harmonize, tuple):
            _checks.repeats(self.harmonize, name="harmonize", steps=self.steps)
        else:
            _checks.integer(self.harmonize, name="harmonize", minimum=0)
        _checks.choice(self.variance, ("beta", "posterior", "none"), name="variance")
        _checks.real(self.gamma, name="gamma", minimum=0.0, maximum=1.0)
        _checks.real(self.spacing, name="spacing", minimum=0.0, open_ends=True)
        _checks.real(self.temperature, name="temperature", minimum=0.0)
        if self.gamma_end is not None:
            _checks.real(self.gamma_end, name="gamma_end", minimum=0.0, maximum=1.0)
        object.__setattr__(self, "coupling", check_coupling(self.coupling))
        object.__setattr__(self, "agreement", check_agreement(self.agreement))

    def gamma_at(self, k: int) -> float:
        """Return the weight of Eq. 17 at outer step k."""
        if self.gamma_end is None or self.steps == 1:
            return self.gamma
        return self.gamma + (self.gamma_end - self.gamma) * k / (self.steps - 1)

    def repeats_at(self, k: int) -> int:
        """Return the harmonizing passes of outer step k; the last step has none."""
        if isinstance(self.harmonize, tuple):
            return self.harmonize[k]
        return self.harmonize if k + 1 < self.steps else 0

    @property
    def passes(self) -> int:
        """Passes over the volume."""
        return self.steps + sum(self.repeats_at(k) for k in range(self.steps))


@dataclass(frozen=True)
class Runtime:
    """Rarely used options of a reconstruction.

    Attributes
    ----------
    window : "auto", None or int
        None: the network processes whole slices.  A number (a multiple of the network's stride):
        longer slices are cut into windows of that side, at a new random offset for every pass.
        ``"auto"``: whole slices, which cost less (docs/reconstruct.md).
    precision : {"auto", "bfloat16", "float32"}
        Precision of the network; the field itself is float32.
    compile : "auto" or bool
        Compile the network (torch.compile): ``"auto"`` on CUDA for runs of many minutes, never on a
        CPU, where it does not pay (docs/reconstruct.md).
    keep_raw : bool
        Also keep the labels before fractions are matched, as ``fields["raw_labels"]``.
    fraction_condition : "auto" or bool
        Condition the network on the fractions of the volume: those of ``volume_fractions``, or
        else of the training images.  ``"auto"``: if the model was trained with `train`'s
        ``fraction_condition``, ``volume_fractions`` is not raw, and the sampler does not hold the
        mean anyway, as ``"fast"`` does: there the condition changes nothing at the fraction of the
        training images and overshoots away from it.
    """

    window: int | str | None = "auto"
    precision: str = "auto"
    compile: bool | str = "auto"
    keep_raw: bool = False
    fraction_condition: bool | str = "auto"


# ------------------------------------------------------------------------------- the named samplers

QUALITY = {"draft": 22, "standard": 38, "high": 91}  # passes of the fast sampler
_LEVELS, _REPEATS = 8, 5
# Harmonizing passes at the steps t = 1000, 766, 562, 391, 250, 141, 62, 16 of the default.  At high
# noise they make coarse structure coarser (lamellae flat and thick), in the middle they make the
# slices agree (docs/study.md).
RISING = (1, 2, 3, 5, 7, 7, 5, 0)
# The same for a schedule whose terminal signal is zero, which makes smoother volumes.
SHORT = (1, 1, 2, 3, 4, 4, 3, 0)
_AGREEING = 20  # passes in the same proportions, where earlier ones count


def default_repeats(schedule: Schedule, agreement: float = 0.0) -> tuple[int, ...]:
    """Return the harmonizing passes of each step for a model without calibration."""
    if schedule.alpha_bar[-1] > 0:
        return RISING
    return scaled_repeats(SHORT, _AGREEING) if agreement else SHORT


def default_agreement(schedule: Schedule) -> float:
    """Return the weight of earlier passes for a model that is trained now."""
    return 0.4 if schedule.alpha_bar[-1] == 0 else 0.0  # measured on such schedules alone


def scaled_repeats(repeats: tuple[int, ...], passes: int) -> tuple[int, ...]:
    """Return repeats in the same proportions with another number of passes (largest remainders)."""
    wanted = max(passes - len(repeats), 0)
    shares = [r * wanted / max(sum(repeats), 1) for r in repeats]
    found = [math.floor(share) for share in shares]
    rest = sorted(range(len(repeats)), key=lambda k: found[k] - shares[k])
    for k in rest[: wanted - sum(found)]:
        found[k] += 1
    return tuple(found)


def paper_settings(model: Model, harmonize: int = 4, gamma: float = 0.5) -> SamplerSettings:
    """Return the paper's modified harmonized sampling by our reading (n_h = 4, gamma = 0.5)."""
    return SamplerSettings(model.schedule.steps, harmonize, gamma)


def fast_settings(
    passes: int | None = None,
    harmonize: Repeats | None = None,
    gamma: float = 1.0,
    coupling: Sequence[Any] | None = None,
    agreement: float | None = None,
    *,
    model: Model | None = None,
) -> SamplerSettings:
    """Return settings with few outer steps and several harmonizing passes in each.

    The defaults, without ``passes`` and ``harmonize``, are the repeats and the coupling that
    `calibrate` found for the model, or else no coupling and eight steps whose repeats rise as the
    noise falls (`default_repeats`).  For
    another number of passes, each of eight steps is repeated up to five times, as the passes allow,
    and more passes are more steps.

    The variance of a step is that of the posterior: the paper's beta, harmless on its thousand
    steps, leaves steps this long with more noise than the network expects, which stays as single
    voxels.  gamma = 1: a blend of two noises has too little variance for a prediction of v.
    """
    if agreement is None:
        agreement = (model and model.agreement) or 0.0
    if passes is None and harmonize is None and model is not None:
        harmonize = model.harmonize or default_repeats(model.schedule, agreement)
        coupling = model.coupling if coupling is None else coupling
    passes = QUALITY["standard"] if passes is None else passes
    if harmonize is None:
        standard = passes == QUALITY["standard"]
        harmonize = RISING if standard else min(_REPEATS, -(-passes // _LEVELS) - 1)
    if isinstance(harmonize, tuple):
        steps = len(harmonize)
    else:
        steps = max(1, round((passes + harmonize) / (1 + harmonize)))
    return SamplerSettings(
        steps,
        harmonize,
        gamma,
        rotate=True,
        variance="posterior",
        clip=True,
        true_terminal=True,
        hold_mean=True,
        spacing=2.0,
        coupling=NO_COUPLING if coupling is None else check_coupling(coupling),
        agreement=agreement,
    )


@dataclass(frozen=True)
class Sampler:
    """A named sampler: what makes its settings, and which arguments it accepts."""

    name: str  # recorded in the provenance
    summary: str  # for lists of the samplers
    settings: Callable[..., SamplerSettings]  # called with model= and given `takes`
    takes: tuple[str, ...] = ("harmonize", "gamma")  # "passes" too: `harmonize` may be per step
    matches_fractions: bool = True  # what volume_fractions="auto" means
    quality: str | None = None  # recorded in the provenance beside `name`


def _quality(name: str) -> Sampler:
    settings = functools.partial(fast_settings, passes=QUALITY[name], agreement=0.0)
    return Sampler("fast", f"{QUALITY[name]} passes", settings, quality=name)


#: The values of `sampler`.  A new sampler is one entry here.
SAMPLERS = {
    "fast": Sampler(
        "fast",
        "the default, few passes",
        fast_settings,
        ("passes", "harmonize", "gamma", "coupling", "agreement"),
    ),
    "paper": Sampler(
        "paper", "the paper's, thousands of passes", paper_settings, matches_fractions=False
    ),
    **{name: _quality(name) for name in QUALITY},
}

_CUSTOM = Sampler("custom", "settings of the caller", SamplerSettings, ())


def resolve_sampler(
    sampler: str | SamplerSettings,
    model: Model,
    *,
    passes: int | None = None,
    harmonize: int | Sequence[int] | None = None,
    gamma: float | None = None,
    coupling: Sequence[Any] | None = None,
    agreement: float | None = None,
) -> tuple[Sampler, SamplerSettings]:
    """Check the arguments that choose a sampler; return it and its settings for the model."""
    given = {
        "passes": passes,
        "harmonize": harmonize,
        "gamma": gamma,
        "coupling": coupling,
        "agreement": agreement,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if isinstance(sampler, SamplerSettings):
        for name, value in given.items():
            raise _checks.refuse(name, "be None if `sampler` is a SamplerSettings", repr(value))
        chosen, settings = _CUSTOM, sampler
    else:
        chosen = SAMPLERS[_checks.choice(sampler, SAMPLERS, name="sampler")]
        settings = chosen.settings(model=model, **check_changes(given, sampler, chosen))
        n_h = settings.harmonize if "harmonize" in given else 0
        if isinstance(n_h, int) and n_h > 0 and settings.steps < 2:
            raise _checks.refuse(
                "harmonize",
                "leave at least two steps within the number of passes, because the last step has "
                "no repeats",
                str(n_h),
            )
    check_coupling(settings.coupling, model.n_phases)
    if settings.steps > model.schedule.steps:
        raise _checks.refuse(
            next((name for name in ("passes", "harmonize") if name in given), "sampler"),
            f"visit at most the {model.schedule.steps} steps of the model",
            f"{settings.passes} passes on {settings.steps} steps",
        )
    return chosen, settings


def check_changes(given: dict[str, Any], name: str, sampler: Sampler) -> dict[str, Any]:
    """Return the arguments that change the named sampler, checked; None changes nothing."""
    given = {key: value for key, value in given.items() if value is not None}
    checked: dict[str, Any] = {}
    harmonize = given.get("harmonize")
    if isinstance(harmonize, Sequence) and not isinstance(harmonize, str | bytes):
        checked["harmonize"] = _checks.repeats(harmonize, name="harmonize")
        if "passes" in given or "passes" not in sampler.takes:
            other = "`passes` is given" if "passes" in given else f"`sampler` is {name!r}"
            raise _checks.refuse(
                "harmonize", f"be one number where {other}", repr(checked["harmonize"])
            )
    elif harmonize is not None:
        checked["harmonize"] = _checks.integer(harmonize, name="harmonize", minimum=0)
    if "gamma" in given:
        checked["gamma"] = _checks.real(given["gamma"], name="gamma", minimum=0.0, maximum=1.0)
    if "coupling" in given:
        checked["coupling"] = check_coupling(given["coupling"])
    if "agreement" in given:
        checked["agreement"] = check_agreement(given["agreement"])
    if "passes" in given:
        checked["passes"] = _checks.integer(given["passes"], name="passes", minimum=1)
    for key, value in checked.items():
        if key not in sampler.takes:
            wanted = f"be None for sampler {name!r}, which sets it itself"
            raise _checks.refuse(key, wanted, repr(value))
    return checked
