# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A request for volumes: its options and their checks, the run, the provenance."""

# ruff: noqa: RUF009  (`_option` returns a dataclass field)

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import threading
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import _checks, ops
from .._phases import phase_counts
from .._planes import NORMAL
from ..microstructure import Microstructure
from . import recipe
from .field import Field, working_shape
from .labelling import (
    UNKNOWN,
    IslandRates,
    final_labels,
    labels_of,
    left_to_give,
    prepare_labelling,
    smoothed,
    smoothing_widths,
)
from .model import Model, check_model
from .natural_fractions import draw_fractions, leave_room, natural_covariance
from .network_pass import network_pass
from .process_group import ProcessGroup, current_group
from .recipe import OMIT, Recipe, Record
from .sampling import Callback, sample
from .settings import Runtime, Sampler, SamplerSettings, resolve_sampler
from .slabs import Slab, Slabs, Whole
from .stored import SEED, check_out, store
from .termination import Termination

__all__ = [
    "Reconstruction",
    "check_runtime",
    "requested_fractions",
    "warn_of_unusual_fractions",
]


def _option(default: Any, recorded: Callable[[Record], Any]) -> Any:
    """Declare an option; ``recorded`` finds its value in a provenance (OMIT: the default)."""
    return dataclasses.field(default=default, metadata={"recorded": recorded})


@dataclass(frozen=True, eq=False, kw_only=True)
class Reconstruction:
    """A checked request for volumes: the arguments of `reconstruct` except the seeds.

    Every option is one field, which `__post_init__` checks and replaces by its plain form; those of
    a `Runtime` are fields here.  `run` makes the volumes; `from_provenance` gives the arguments
    that make one again.
    """

    volume_shape: tuple[int, int, int]
    model: Model
    sampler: str | SamplerSettings = _option("fast", recipe.sampler)
    passes: int | None = _option(None, recipe.passes)
    harmonize: int | Sequence[int] | None = _option(None, recipe.setting("harmonize"))
    gamma: float | None = _option(None, recipe.setting("gamma"))
    coupling: Sequence[Any] | None = _option(None, recipe.coupling)
    agreement: float | None = _option(None, recipe.agreement)
    guidance: float = _option(1.0, lambda record: record.get("guidance", OMIT))
    periodic: Any = _option(False, recipe.periodic)
    window: Any = _option("auto", lambda record: record.get("window") or OMIT)
    remove_islands: bool | str = _option("auto", recipe.remove_islands)
    known: Any = _option(None, recipe.known)
    volume_fractions: Any = _option("auto", recipe.volume_fractions)
    fraction_condition: Any = _option("auto", recipe.fraction_condition)
    out: Any = None  # checked: a str, with "{seed}" for several volumes
    device: Any = None  # checked: a torch.device
    precision: Any = "auto"  # checked: a torch.dtype
    compile: Any = "auto"
    keep_raw: bool = False
    # Not an argument of `reconstruct`: the model that takes the place of "no condition" in Eq. 9,
    # so that a weight 1 + w gives network + w (network - against).
    against: Model | None = None
    # what follows from the options
    model_name: str | None = dataclasses.field(init=False)  # None: it was given as an object
    named: Sampler = dataclasses.field(init=False)
    settings: SamplerSettings = dataclasses.field(init=False)
    covariance: np.ndarray | None = dataclasses.field(init=False)  # of natural fractions

    @classmethod
    def of(
        cls, volume_shape: Any, model: Any, *, runtime: Runtime | None = None, **options: Any
    ) -> Reconstruction:
        """Return the checked request of these arguments of `reconstruct`."""
        runtime = check_runtime(runtime)
        return cls(volume_shape=volume_shape, model=model, **dataclasses.asdict(runtime), **options)

    @classmethod
    def options(cls) -> frozenset[str]:
        """Return the keywords of `reconstruct_many`: the options, ``runtime`` and its fields."""
        fields = {f.name for f in dataclasses.fields(cls) if f.init}
        return frozenset(fields | {"runtime"}) - {"volume_shape", "model", "against"}

    def __post_init__(self) -> None:
        from .device import compute_dtype, should_compile

        def put(**checked: Any) -> None:
            for name, value in checked.items():
                object.__setattr__(self, name, value)

        put(volume_shape=_checks.shape3(self.volume_shape, name="volume_shape"))
        named_model = isinstance(self.model, str | Path)
        put(model_name=str(self.model) if named_model else None)
        put(model=check_model(self.model, stacklevel=7))
        named, settings = resolve_sampler(
            self.sampler,
            self.model,
            passes=self.passes,
            harmonize=self.harmonize,
            gamma=self.gamma,
            coupling=self.coupling,
            agreement=self.agreement,
        )
        put(named=named, settings=settings)
        put(guidance=_checks.real(self.guidance, name="guidance", minimum=0.0))
        put(periodic=_checks.per_axis_bool(self.periodic, 3, name="periodic"))
        natural = isinstance(self.volume_fractions, str) and self.volume_fractions == "natural"
        if natural:
            covariance = natural_covariance(self.model, self.volume_shape, stacklevel=6)
            put(volume_fractions=self.model.volume_fractions)
        put(covariance=covariance if natural else None)
        put(volume_fractions=requested_fractions(self.volume_fractions, self.model, named))
        warn_of_unusual_fractions(self.volume_fractions, self.model, stacklevel=6)
        put(fraction_condition=self._fraction_condition())
        put(device=current_group().device(self.device))
        put(known=self._known_labels())
        put(out=None if self.out is None else check_out(self.out))
        put(remove_islands=self._islands_to_remove())
        put(window=self._window_side())
        put(precision=compute_dtype(self.precision, self.device))
        put(compile=should_compile(self.compile, self.device, self._network_seconds))
        put(keep_raw=_checks.boolean(self.keep_raw, name="keep_raw"))

    # -- checks

    def _fraction_condition(self) -> bool:
        """Check whether the network is conditioned on the phase fractions."""
        value, wanted = self.fraction_condition, "be 'auto', True or False"
        if isinstance(value, str) and value == "auto":
            unheld = self.volume_fractions is not None and not self.settings.hold_mean
            return self.model.fraction_condition and unheld
        if isinstance(value, str):
            raise _checks.refuse("fraction_condition", wanted, repr(value))
        if not isinstance(value, bool):
            raise _checks.refuse_type("fraction_condition", wanted, type(value).__name__)
        if value and not self.model.fraction_condition:
            raise _checks.refuse(
                "fraction_condition",
                "be 'auto' or False for a model that was trained without it",
                "True",
            )
        return value

    def _islands_to_remove(self) -> bool | str:
        """Check which islands are removed."""
        value, wanted = self.remove_islands, "be 'auto', True or False"
        if isinstance(value, str) and value != "auto":
            raise _checks.refuse("remove_islands", wanted, repr(value))
        if not isinstance(value, bool | str):
            raise _checks.refuse_type("remove_islands", wanted, type(value).__name__)
        return value

    @property
    def _removed(self) -> bool | IslandRates:
        """All islands, none, or those beyond the rates of the micrographs."""
        if isinstance(self.remove_islands, bool):
            return self.remove_islands
        return self.model.island_rates or False

    def _known_labels(self) -> np.ndarray | None:
        """Check hard data: uint8, `UNKNOWN` where nothing is known; None without any."""
        if self.known is None:
            return None
        n_phases, target = self.model.n_phases, self.volume_fractions
        known = _checks.as_labels(self.known, name="known", ndim=3)
        if known.shape != self.volume_shape:
            wanted = f"have the shape of the volume {self.volume_shape}"
            raise _checks.refuse("known", wanted, str(known.shape))
        counts = phase_counts(known, UNKNOWN + 1)
        wrong = np.flatnonzero(counts[n_phases:UNKNOWN])
        if len(wrong):
            raise _checks.refuse(
                "known",
                f"hold phases 0 ... {n_phases - 1} and {UNKNOWN} where nothing is known",
                str(n_phases + wrong[0]),
            )
        if counts[UNKNOWN] == known.size:
            return None
        if target is not None and self.covariance is None:
            over = np.flatnonzero(left_to_give(target, known) < 0)
            for phase in map(int, over[:1]):
                raise _checks.refuse(
                    "known",
                    "leave room for `volume_fractions`",
                    f"{counts[phase]} voxels of phase {phase}, of which {target[phase]:.4g} of "
                    f"{known.size} voxels are requested",
                )
        return known.copy()

    def _window_side(self) -> int | None:
        """Check the side of the windows in pixels; None for whole slices."""
        value, stride = self.window, self.model.config.stride
        if value is None or value == "auto":
            return None
        if isinstance(value, str) or _checks.integer(value, name="window", minimum=1) % stride:
            wanted = f"be 'auto', None or a multiple of the network's stride {stride}"
            raise _checks.refuse("window", wanted, repr(value))
        return int(value)

    # -- the run

    @property
    def volumes_at_once(self) -> int:
        """As many volumes as one batch of the network takes, at most 16."""
        if self.one_by_one:
            return 1
        _, shape = working_shape(self.volume_shape, self.model, self.periodic)
        pixels = 2**21 if self.device.type == "cuda" else 2**17
        return max(1, min(16, pixels // math.prod(shape)))

    @property
    def one_by_one(self) -> bool:
        """Whether each volume is conditioned on its own fractions, and is sampled alone."""
        return self.fraction_condition and self.covariance is not None

    @property
    def _network_seconds(self) -> float:
        """About how long a GPU takes for the passes of a batch (within a factor of two, H100)."""
        _, shape = working_shape(self.volume_shape, self.model, self.periodic)
        voxels = self.volumes_at_once * math.prod(shape)
        weights = sum(w.numel() for w in self.model.net.parameters())
        evaluations = self.settings.passes * (1 if self.guidance == 1 else 2)
        return evaluations * voxels * 3e-9 * (weights / 1e6) ** 0.6 / current_group().size

    def run(self, seeds: Sequence[int], callback: Callback | None = None) -> list[Microstructure]:
        """Sample the volumes of these seeds together."""
        from .copies import borrowed
        from .device import computing

        started = time.perf_counter()
        slabs = Slabs.of_group(self.device)
        if slabs.ranks > 1:
            slabs.group.require_same(self._digests(seeds))
        targets, fractions = [self._fractions(seed) for seed in seeds], None
        if self.volume_fractions is not None:
            threading.Thread(target=prepare_labelling).start()
        if self.fraction_condition:
            given = targets[0]  # of all volumes
            fractions = self.model.volume_fractions if given is None else tuple(given)
        models = [self.model] if self.against is None else [self.model, self.against]
        with computing(self.device, self.precision), ExitStack() as lent:
            with slabs.group.together():
                networks = [
                    lent.enter_context(borrowed(m, self.device, self.precision, self.compile))
                    for m in models
                ]
                field = self._field(seeds, np.array(targets), slabs)
            passes = network_pass(field, networks, window=self.window, fractions=fractions)
            if slabs.ranks > 1:
                termination = lent.enter_context(Termination(interrupt=True, patient=True))
                callback = _interrupted(callback if slabs.group.first else None, termination)
            sample(field, passes, self.settings, callback)
            fields = [field.result(i) for i in range(len(seeds))]  # (C, nz, ny, nx) on the host
            network_seconds = passes.seconds
        if slabs.ranks == 1:
            slab = Whole()
            labels = _at_once(functools.partial(self._labels, slab), fields, targets)
        else:
            owned = [field.requested_slices(rank) for rank in range(slabs.ranks)]
            slab = Slab(slabs, self.volume_shape, NORMAL[field.plane], owned)
            labels = [self._labels(slab, *each) for each in zip(fields, targets, strict=True)]
        times = {
            "seconds": round((time.perf_counter() - started) / len(seeds), 3),
            "network_seconds": round(network_seconds / len(seeds), 3),
            **({} if slabs.ranks == 1 else {"ranks": slabs.ranks}),
        }
        return [
            self._volume(
                made, slab, slabs.group, self._provenance(seed, target, made, len(seeds)) | times
            )
            for seed, target, made in zip(seeds, targets, labels, strict=True)
        ]

    def _volume(
        self, made: _Labels, slab: Whole, group: ProcessGroup, provenance: dict[str, Any]
    ) -> Microstructure:
        """Return a volume that is in memory on all ranks, or that all have written."""
        raw = {"raw_labels": made.raw} if self.keep_raw else {}
        about: dict[str, Any] = {
            "voxel_size": self.model.voxel_size,
            "phase_names": self.model.phase_names,
            "provenance": provenance,
        }
        if self.out is not None:
            out = Path(self.out.replace(SEED, str(provenance["seed"])))
            arrays = {"labels": made.final} | {f"fields/{n}": a for n, a in raw.items()}
            return store(out, self.volume_shape, arrays, slab, group, about)
        fields = {name: slab.whole(array) for name, array in raw.items()}
        return Microstructure(slab.whole(made.final), fields=fields, **about)

    def _field(self, seeds: Sequence[int], targets: np.ndarray, slabs: Slabs) -> Field:
        settings = self.settings
        blends = any(settings.gamma_at(k) < 1 for k in range(settings.steps))
        return Field(
            self.volume_shape,
            self.model,
            self.device,
            self.precision,
            guidance=self.guidance,
            periodic=self.periodic,
            seeds=seeds,
            fractions=self.volume_fractions if self.covariance is None else targets,
            known=self.known,
            slabs=slabs,
            kept=2 if blends and settings.agreement else 1,
        )

    def _fractions(self, seed: int) -> np.ndarray | None:
        """Return the phase fractions to match in the volume of a seed; None for a raw one."""
        if self.volume_fractions is None or self.covariance is None:
            return self.volume_fractions
        drawn = draw_fractions(self.volume_fractions, self.covariance, seed)
        return drawn if self.known is None else leave_room(drawn, self.known)

    def _labels(self, slab: Whole, x: np.ndarray, target: np.ndarray | None) -> _Labels:
        """Return the labels of a field, of the voxels that are held here."""
        phases, smooth = self.model.n_phases, None
        raw = labels_of(x, phases)
        if target is not None:
            smooth = smoothed(x, self.periodic, smoothing_widths(raw, slab), slab)
        final, islands = final_labels(
            raw,
            smooth,
            phases,
            target,
            periodic=self.periodic,
            known=None if self.known is None else self.known[slab.index],
            remove_islands=self._removed,
            slab=slab,
        )
        counts = [slab.total(phase_counts(each, phases)) for each in (raw, final)]
        before, after = ([float(n / each.sum()) for n in each] for each in counts)
        return _Labels(raw, final, islands, before, after)

    def _digests(self, seeds: Sequence[int]) -> dict[str, str]:
        """Return what must be the same on all ranks, by the name of the argument."""
        same: dict[str, Any] = {
            f.name: getattr(self, f.name)
            for f in dataclasses.fields(self)
            if f.init and f.name != "compile"
        }
        for name in ("model", "against"):
            same[name] = same[name] and _identity(same[name])
        for name in ("known", "volume_fractions"):
            same[name] = None if same[name] is None else same[name].tobytes()
        if self.covariance is not None:  # "natural"
            same["volume_fractions"] += self.covariance.tobytes()
        same |= {"sampler": self.settings, "seed": list(seeds), "device": self.device.type}
        return {k: hashlib.sha256(repr(v).encode()).hexdigest() for k, v in same.items()}

    def _provenance(
        self, seed: int, target: np.ndarray | None, made: _Labels, volumes: int
    ) -> dict[str, Any]:
        """Return the record of a volume."""
        model, known = self.model, None
        if self.known is not None:
            digest = hashlib.sha256(self.known.tobytes()).hexdigest()[:16]
            known = {"voxels": int((self.known != UNKNOWN).sum()), "sha256": digest}

        return {
            "made_by": "micro3d_fast.reconstruct",
            **({} if self.model_name is None else {"model_name": self.model_name}),
            "model": model.hash,
            "sampler": self.named.name,
            "quality": self.named.quality,
            "settings": {
                f.name: getattr(self.settings, f.name) for f in dataclasses.fields(self.settings)
            },
            "passes": self.settings.passes,
            "guidance": self.guidance,
            **({} if self.against is None else {"against": self.against.hash}),
            "periodic": list(self.periodic),
            "window": self.window,
            "known": known,
            "seed": seed,
            "device": str(self.device),
            "precision": str(self.precision).removeprefix("torch."),
            "compiled": self.compile,
            "fraction_condition": self.fraction_condition,
            "raw_volume_fractions": made.raw_fractions,
            "asked_volume_fractions": None if target is None else [float(f) for f in target],
            "natural_volume_fractions": self.covariance is not None,
            "model_volume_fractions": [float(f) for f in model.volume_fractions],
            "volume_fractions": made.fractions,
            "remove_islands": self.remove_islands,
            "islands_removed": None if self._removed is False else made.islands,
            "volumes_at_once": volumes,
        }

    @classmethod
    def from_provenance(
        cls, record: Mapping[str, Any], volume_shape: Sequence[int]
    ) -> Recipe | None:
        """Return the arguments that repeat a recorded volume; None without such a record."""
        if not isinstance(record.get("settings"), Mapping) or record.get("seed") is None:
            return None
        arguments = {"seed": record["seed"]}
        for field in dataclasses.fields(cls):
            value = field.metadata.get("recorded", lambda _: OMIT)(record)
            if value is not OMIT and (value is not None or field.name == "volume_fractions"):
                arguments[field.name] = value
        nz, ny, nx = volume_shape
        return Recipe(str(record.get("model_name", "MODEL")), (nz, ny, nx), arguments)


def _identity(model: Model) -> list[Any]:
    """Return what of a model decides the volume."""
    material = (model.phase_names, model.volume_fractions, model.voxel_size, model.island_rates)
    network = (model.config, model.prediction, model.patch)
    return [model.hash, model.schedule.record(), *network, *material]


class _Labels(NamedTuple):
    """Labels before and after fractions are matched; of the whole volume islands and fractions."""

    raw: np.ndarray
    final: np.ndarray
    islands: int
    raw_fractions: list[float]
    fractions: list[float]


def _at_once(work: Callable[..., _Labels], *arguments: Sequence[Any]) -> list[_Labels]:
    with ThreadPoolExecutor(min(len(arguments[0]), ops.max_threads())) as threads:
        return list(threads.map(work, *arguments))


def _interrupted(callback: Callback | None, termination: Termination) -> Callback:
    """Return a callback that also raises KeyboardInterrupt if a signal was received."""

    def follow(event: dict[str, Any]) -> None:
        termination.check()
        if callback is not None:
            callback(event)

    return follow


def check_runtime(runtime: Any) -> Runtime:
    """Return the Runtime, the default one for None."""
    if runtime is None:
        return Runtime()
    if not isinstance(runtime, Runtime):
        raise _checks.refuse_type("runtime", "be a Runtime or None", type(runtime).__name__)
    return runtime


def requested_fractions(
    value: Any, model: Model, sampler: Sampler | None = None
) -> np.ndarray | None:
    """Return the phase fractions to match, or None for a raw result."""
    natural = "" if sampler is None else "'natural', "
    wanted = f"be 'auto', {natural}None or one number per phase"
    if value is None:
        return None
    if isinstance(value, str):
        if value != "auto":
            raise _checks.refuse("volume_fractions", wanted, repr(value))
        matches = sampler is None or sampler.matches_fractions
        return np.asarray(model.volume_fractions) if matches else None
    if isinstance(value, Mapping):
        value = _fractions_of_mapping(value, model)
    try:
        fractions = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        raise _checks.refuse_type("volume_fractions", wanted, repr(value)) from None
    if (
        fractions.shape != (model.n_phases,)
        or not np.isfinite(fractions).all()
        or (fractions < 0).any()
        or abs(fractions.sum() - 1) > 1e-6
    ):
        raise _checks.refuse(
            "volume_fractions",
            f"be {model.n_phases} non-negative numbers that sum to 1",
            repr(value),
        )
    return fractions / fractions.sum()


def _fractions_of_mapping(values: Mapping[int | str, Any], model: Model) -> list[Any]:
    """Return the fractions by label; one phase may be left out, and is the rest."""
    name, names = "volume_fractions", model.phase_names
    found = _checks.by_phase(values, name=name, names=names)
    missing = sorted(set(range(model.n_phases)) - found.keys())
    if len(missing) > 1 or len(found) + len(missing) != model.n_phases:
        wanted = f"give the fractions of {', '.join(names)}, or of all but one of them"
        raise _checks.refuse(name, wanted, _checks.shown(dict(values)))
    given = {p: _checks.real(v, name=name, minimum=0.0, maximum=1.0) for p, v in found.items()}
    rest = max(0.0, 1.0 - sum(given.values()))
    return [given.get(phase, rest) for phase in range(model.n_phases)]


def warn_of_unusual_fractions(
    requested: np.ndarray | None, model: Model, *, stacklevel: int
) -> None:
    """Warn of phase fractions that the network has hardly seen.

    Far is more than three standard deviations of the crops it was trained on (and .02); if a model
    does not record them, .1 or a factor of two.
    """
    if requested is None:
        return
    mean, spread = np.asarray(model.volume_fractions), model.details.get("volume_fraction_std")
    allowed = (
        np.minimum(0.1, np.where(requested < mean, mean / 2, mean))
        if spread is None
        else np.maximum(3 * np.asarray(spread), 0.02)
    )
    excess = np.abs(requested - mean) / np.maximum(allowed, 1e-9)
    phase = int(excess.argmax())
    if excess[phase] <= 1 + 1e-9:
        return
    seen = "(of unknown spread; .1 or a factor of two is taken for far)"
    if spread is not None:
        seen = f"± {spread[phase]:.3f} between crops of {model.patch} x {model.patch} pixels"
    warnings.warn(
        f"`volume_fractions` requests {requested[phase]:.3f} of {model.phase_names[phase]}, far "
        f"outside the range of the micrographs: {mean[phase]:.3f} {seen}",
        stacklevel=stacklevel + 1,
    )
