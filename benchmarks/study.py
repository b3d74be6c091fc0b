# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The study behind `sampler="fast"`: quality of a reconstruction against passes of the network.

    python benchmarks/study.py --plan screening --materials level-cut
    python benchmarks/study.py --plan curve --properties
    python benchmarks/study_figures.py --out docs

One plan is a set of sampler variants; one case is (material, network, variant), made with several
seeds.  Everything is resumable: a network is trained on from its checkpoint, a volume on disk that
the same model and settings made is not made again, so a killed study goes on where it stopped and
the full grid can be run piece by piece, or at once on a GPU (--device cuda, more --seeds).

Truth: a synthetic material drawn from its generator, or a tomogram (--data).  The network sees only
2D slices of it.  A case is judged raw and with its phase fractions matched, by S2 and L per plane
beside two floors (halves of the truth against each other; as many real blocks of the same size
against the rest of the truth, "scatter"), by the spread of the raw fraction between seeds, the
variance of the fraction over blocks, the tail of S2, specific surface, voxels without a neighbour
of their phase, percolation, and with --properties by relative diffusivity and Young's moduli
against the quartiles of real blocks.  Table: RUNS/study.json.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

import micro3d_fast as m3
from micro3d_fast import statistics, synthetic
from micro3d_fast._atomic import atomic_write
from micro3d_fast.diffusion import sample_slices
from micro3d_fast.diffusion.settings import SamplerSettings, fast_settings

PLANES = ("xy", "xz", "yz")
AXES = ("z", "y", "x")

# ---------------------------------------------------------------------------------- materials


@dataclass(frozen=True)
class Material:
    """A truth, the networks trained on its slices, and the box that volumes are made in."""

    truth: Callable[[Path], np.ndarray]
    box: int
    patch: int = 64
    steps: int = 1500
    batch: int = 32
    rate: float = 1.5e-3  # peak learning rate; the default of "small" is higher since (see docs)
    names: tuple[str, ...] | None = None
    conducting: int = 0  # the phase whose relative diffusivity is compared
    # Stiffness of each phase for the comparison of moduli (contrast 10)
    moduli: tuple[float, ...] = (0.1, 1.0)


def tomogram(name: str) -> Callable[[Path], np.ndarray]:
    return lambda data: np.load(data / f"{name}.npz")["labels"]


def halved(truth: Callable[[Path], np.ndarray]) -> Callable[[Path], np.ndarray]:
    """Every other voxel along each axis."""
    return lambda data: np.ascontiguousarray(truth(data)[::2, ::2, ::2])


MATERIALS = {
    "level-cut": Material(
        lambda data: synthetic.level_cut((160, 160, 160), (0.65, 0.35), (5, 1.5, 1.5), 1).labels,
        box=32,
        patch=32,
    ),
    "fibres": Material(
        lambda data: synthetic.fibre_composite((192, 192, 192), seed=2026).labels,
        box=64,
        steps=1200,
        batch=16,
        names=("matrix", "fibre"),
    ),
    "separator_pp": Material(
        tomogram("separator_pp"), box=64, steps=2600, names=("pore", "polymer")
    ),
    "nmc_cal_cbd_bridge": Material(
        tomogram("nmc_cal_cbd_bridge"),
        box=64,
        steps=1400,
        names=("pore", "active material", "binder"),
        moduli=(0.1, 1.0, 0.3),
    ),
    "sand_pack": Material(tomogram("sand_pack"), box=64, steps=1400),
}
# The same at half the resolution: the boxes hold as much material in an eighth of the voxels, so
# that the paper's 4996 passes can be afforded.
MATERIALS |= {
    f"{name}-half": replace(
        m, truth=halved(m.truth), box=m.box // 2, patch=32, steps=750, batch=32, rate=6e-3
    )
    for name, m in MATERIALS.items()
    if m.box == 64
}

# What is predicted, the schedule, the rate: for the comparison of networks with "v-linear".
NETWORKS = {
    "v-linear": {"prediction": "v", "schedule": "linear"},
    "noise-linear": {"prediction": "noise", "schedule": "linear"},
    "x0-linear": {"prediction": "x0", "schedule": "linear"},
    "v-cosine": {"prediction": "v", "schedule": "cosine"},
    "v-cosine-zero": {"prediction": "v", "schedule": "cosine-zero"},
    "v-linear-6e-3": {"prediction": "v", "schedule": "linear", "learning_rate": 6e-3},
}

# ----------------------------------------------------------------------------------- variants


@dataclass(frozen=True)
class Variant:
    """A sampler, the network it runs on, and the guidance weight."""

    settings: SamplerSettings
    network: str = "v-linear"
    guidance: float = 1.0
    ema: bool = True
    seeds: int | None = None  # fewer than asked for where one volume costs thousands of passes


PAPER = SamplerSettings(1000, 4, 0.5)
FAST = fast_settings()


def fast(steps: int, n_h: int = 1, gamma: float = 1.0, **knobs: Any) -> SamplerSettings:
    """The fast sampler with other numbers."""
    return replace(FAST, steps=steps, harmonize=n_h, gamma=gamma, **knobs)


def plan(name: str) -> dict[str, Variant]:
    """Variants of a plan, by name."""
    if name == "curve":  # the default at every number of passes, beside the paper's sampler
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
    if name == "paper-grid":  # the paper's Figures 6 and 7, on a tenth of its steps
        return {
            f"T100-nh{n}-g{g:g}-{net}": Variant(SamplerSettings(100, n, g), net, seeds=2)
            for net in ("noise-linear", "v-linear")
            for n in (0, 1, 2, 4, 8)
            for g in ((0.5,) if n == 0 else (0.15, 0.25, 0.5, 0.75, 1.0))
        }
    if name == "screening":  # about 43 passes each: where do they belong, and what matters?
        made = {
            f"{steps}x{n}": Variant(fast(steps, n))
            for steps, n in ((43, 0), (22, 1), (15, 2), (11, 3), (8, 5), (6, 7))
        }
        made |= {f"8x{n}": Variant(fast(8, n)) for n in (11, 34)}  # many more repeats
        made["5x16"] = Variant(fast(5, 16))
        made["8x5-even"] = Variant(fast(8, 5, spacing=1.0))
        made["8x5-spacing1.5"] = Variant(fast(8, 5, spacing=1.5))
        made["8x5-beta"] = Variant(fast(8, 5, variance="beta"))
        made["24x1-beta-even"] = Variant(fast(24, 1, variance="beta", spacing=1.0))
        made |= {f"8x5-g{g:g}": Variant(fast(8, 5, g)) for g in (0.25, 0.5, 0.75)}
        made |= {
            f"8x5-g{g:g}-kept": Variant(fast(8, 5, g, keep_variance=True)) for g in (0.5, 0.75)
        }
        made["8x5-g1to.5"] = Variant(fast(8, 5, 1.0, gamma_end=0.5))
        made["8x5-g.5to1"] = Variant(fast(8, 5, 0.5, gamma_end=1.0))
        made |= {f"8x5-temperature{k:g}": Variant(fast(8, 5, temperature=k)) for k in (0.95, 0.9)}
        made["8x5-same-plane"] = Variant(fast(8, 5, rotate=False))
        made["8x5-mean-free"] = Variant(fast(8, 5, hold_mean=False))
        made["8x5-unclipped"] = Variant(fast(8, 5, clip=False))
        made["8x5-normal-start"] = Variant(fast(8, 5, true_terminal=False))
        made["8x5-ODE"] = Variant(fast(8, 5, variance="none"))
        made["43x0-ODE"] = Variant(fast(43, 0, variance="none"))
        made["43x0-ODE-mean-free"] = Variant(fast(43, 0, variance="none", hold_mean=False))
        made["8x5-raw-weights"] = Variant(fast(8, 5), ema=False)
        made |= {f"8x5-w{w:g}": Variant(fast(8, 5), guidance=w) for w in (1.5, 2.0, 3.0)}
        return made
    if name == "repeats":  # of eight steps: how many, and at which noise?
        made = {f"8x{n}": Variant(fast(8, n)) for n in (1, 2, 3, 5, 11)}
        for repeats in (
            (8, 8, 7, 5, 3, 2, 1, 0),
            (2, 3, 4, 5, 5, 5, 4, 0),
            (1, 2, 3, 4, 5, 5, 4, 0),
            (0, 1, 3, 5, 7, 7, 5, 0),
            (1, 2, 3, 5, 7, 7, 5, 0),
            (1, 2, 4, 6, 7, 7, 4, 0),
            (1, 2, 3, 6, 10, 10, 6, 0),
            (1, 2, 3, 11, 16, 16, 11, 0),
        ):
            made["-".join(map(str, repeats))] = Variant(replace(FAST, harmonize=repeats))
        return made
    if name == "networks":  # prediction and schedule
        made = {}
        for net in (n for n, what in NETWORKS.items() if "learning_rate" not in what):
            made[f"{net} 8x5"] = Variant(fast(8, 5), net)
            made[f"{net} 8x5 mean-free"] = Variant(fast(8, 5, hold_mean=False), net)
            made[f"{net} 16x5 g.4 paper"] = Variant(SamplerSettings(16, 5, 0.4), net)
            made[f"{net} 43x0"] = Variant(fast(43, 0), net)
        return made
    raise ValueError(f"no plan {name!r}")


PLANS = ("curve", "paper-grid", "screening", "repeats", "networks")

# ------------------------------------------------------------------------------------ making


@dataclass
class Case:
    """One material with its truth, networks and volumes on disk."""

    name: str
    arguments: argparse.Namespace
    models: dict[tuple[str, bool], m3.Model] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.material = MATERIALS[self.name]
        self.truth = self.material.truth(self.arguments.data)
        self.folder: Path = self.arguments.runs / self.name
        self.phases = int(self.truth.max()) + 1
        self.fractions = m3.volume_fractions(self.truth)

    def model(self, network: str, ema: bool = True) -> m3.Model:
        """The network, trained if need be, on at most 300 random slices a plane."""
        if (network, ema) in self.models:
            return self.models[network, ema]
        out = self.folder / network
        micrographs = m3.Micrographs.from_volume(
            self.truth, images_per_plane=300, seed=0, phase_names=self.material.names
        )

        def say(event: dict[str, Any]) -> None:
            if event["step"] % 100 == 0:
                print(
                    f"{self.name} {network}: step {event['step']}/{event['steps']}, "
                    f"loss {event['loss']:.4f}, {event['eta']:.0f} s to go",
                    flush=True,
                )

        model = m3.train(
            micrographs,
            out,
            preset=self.arguments.preset,
            patch=self.material.patch,
            steps=self.arguments.steps or self.material.steps,
            batch_size=self.material.batch,
            device=self.arguments.device,
            callback=say,
            samples_every=0,
            **({"learning_rate": self.material.rate} | NETWORKS[network]),
        )
        if not ema:
            model = raw_weights(model, out)
        self.models[network, ema] = model
        return model

    def volumes(self, name: str, variant: Variant) -> list[m3.Microstructure]:
        """Volumes of seeds 0, 1, ...; those on disk that this model and variant made are read."""
        count = min(self.arguments.seeds, variant.seeds or self.arguments.seeds)
        model = self.model(variant.network, variant.ema)
        wanted = {
            "model": model.hash,
            "settings": json.loads(json.dumps(asdict(variant.settings))),  # as a file has them
            "guidance": variant.guidance,
        }
        made = []
        for seed in range(count):
            file = self.folder / variant.network / f"{name}-{self.material.box}-{seed}.npz"
            if file.exists():
                volume = m3.Microstructure.load(file)
                if {k: volume.provenance[k] for k in wanted} == wanted:
                    made.append(volume)
                    continue
            volume = m3.reconstruct(
                (self.material.box,) * 3,
                model,
                settings=variant.settings,
                guidance=variant.guidance,
                volume_fractions=model.volume_fractions,
                seed=seed,
                device=self.arguments.device,
                keep_raw=True,
            )
            volume.save(file)
            print(f"{self.name} {file.name}: {volume.provenance['seconds']:.1f} s", flush=True)
            made.append(volume)
        return made


def raw_weights(model: m3.Model, run: Path) -> m3.Model:
    """The same model with the weights of the last step instead of their moving average."""
    import copy

    from safetensors import safe_open

    net = copy.deepcopy(model.net)
    with safe_open(run / "checkpoint.safetensors", framework="pt") as file:
        net.load_state_dict({k: file.get_tensor(f"net.{k}") for k in net.state_dict()})
    return replace(model, net=net)


# ----------------------------------------------------------------------------------- judging


def curve_errors(generated: Any, truth: Any) -> dict[str, Any]:
    """S2 and L per plane: error, its bootstrap interval, the two floors; means over phases."""
    comparison = m3.compare(generated, truth, bootstrap=100)
    out: dict[str, Any] = {}
    for function in ("S2", "L"):
        for plane in PLANES:
            curves = comparison.select(function, plane=plane)
            out[f"{function} {plane}"] = {
                "error": float(np.mean([c.error for c in curves])),
                "low": float(np.mean([c.interval[0] for c in curves])),
                "high": float(np.mean([c.interval[1] for c in curves])),
                "floor": float(np.mean([c.floor for c in curves])),
                "scatter": float(np.mean([c.scatter for c in curves])),
            }
    tails = []
    for c in comparison.select("autocovariance"):  # beyond the first 1/e length of the truth
        start = int(np.argmax(c.reference < np.exp(-1))) or 1
        tails.append(float(np.sqrt(np.mean((c.generated[start:] - c.reference[start:]) ** 2))))
    out["S2 tail"] = float(np.mean(tails))
    return out


def islands(labels: np.ndarray) -> float:
    """Share of voxels with no face neighbour of their own phase."""
    cross = ndimage.generate_binary_structure(3, 1)
    cross[1, 1, 1] = False
    count = 0
    for p in np.unique(labels):
        here = labels == p
        count += int((here & ~ndimage.binary_dilation(here, cross)).sum())
    return count / labels.size


def shape_numbers(labels: np.ndarray, phase: int) -> dict[str, float]:
    """What a single volume says beyond its curves."""
    blocks = 8
    n = (min(labels.shape) // blocks) * blocks
    here = (labels[:n, :n, :n] == phase).astype(float)
    means = here.reshape(n // blocks, blocks, n // blocks, blocks, n // blocks, blocks).mean(
        (1, 3, 5)
    )
    return {
        "fraction": float((labels == phase).mean()),
        "block deviation": float(means.std()),
        "specific surface": float(statistics.specific_surface(labels, phase, method="faces")),
        "islands": islands(labels),
        "percolating share": float(
            np.mean(list(statistics.percolation(labels, phase).fraction.values()))
        ),
    }


def property_numbers(labels: np.ndarray, material: Material) -> dict[str, float]:
    """Relative diffusivity of one phase along the axes, Young's moduli at a contrast of 10."""
    out = {}
    for axis in AXES:
        found = m3.relative_diffusivity(labels, material.conducting, axis=axis, tol=1e-4)
        out[f"D {axis}"] = float(found.relative)
    phases = [m3.Isotropic(E=E, nu=0.3) for E in material.moduli]
    moduli = m3.homogenize_elasticity(labels, phases, tol=1e-4).E
    return out | {f"E {axis}": float(E) for axis, E in zip("xyz", moduli, strict=True)}


def quartiles(rows: list[dict[str, float]]) -> dict[str, list[float]]:
    """Quartiles of each number."""
    return {k: np.percentile([r[k] for r in rows], (25, 50, 75)).tolist() for k in rows[0]}


def real_blocks(case: Case, count: int) -> list[np.ndarray]:
    """Blocks of the truth in the size of the volumes, spread evenly over it."""
    box = case.material.box
    places = [
        tuple(slice(o, o + box) for o in (z, y, x))
        for z in range(0, case.truth.shape[0] - box + 1, box)
        for y in range(0, case.truth.shape[1] - box + 1, box)
        for x in range(0, case.truth.shape[2] - box + 1, box)
    ]
    chosen = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    return [np.ascontiguousarray(case.truth[places[i]]) for i in chosen]


class Table:
    """study.json: what was measured of each case; a case whose volumes did not change stays."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}

    def put(self, key: str, row: dict[str, Any]) -> None:
        there = json.loads(self.file.read_text()) if self.file.exists() else {}
        self.rows = {**there, key: row}  # another process may write rows of its own
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.file) as path:
            path.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")


def measure(case: Case, name: str, variant: Variant, table: Table, properties: bool) -> None:
    """Make what is missing of a case, judge it, put it into the table, print a line."""
    key = f"{case.name} | {name}"
    volumes = case.volumes(name, variant)
    row = table.rows.get(key, {})
    if row.get("volumes") != len(volumes) or row.get("model") != volumes[0].provenance["model"]:
        raw = [v.fields["raw_labels"] for v in volumes]
        fractions = np.array([v.provenance["raw_volume_fractions"] for v in volumes])
        row = {
            "material": case.name,
            "variant": name,
            "network": variant.network,
            "passes": volumes[0].provenance["passes"],
            "volumes": len(volumes),
            "model": volumes[0].provenance["model"],
            "seconds": float(np.median([v.provenance["seconds"] for v in volumes])),
            "raw": curve_errors(raw, case.truth),
            "matched": curve_errors([v.labels for v in volumes], case.truth),
            "raw fraction": fractions.mean(axis=0).tolist(),
            "raw fraction deviation": fractions.std(axis=0, ddof=min(1, len(raw) - 1)).tolist(),
            "shape": quartiles([shape_numbers(v.labels, case.phases - 1) for v in volumes]),
            "raw shape": quartiles([shape_numbers(r, case.phases - 1) for r in raw]),
        }
        table.put(key, row)
    if properties and "properties" not in row:
        row["properties"] = quartiles([property_numbers(v.labels, case.material) for v in volumes])
        table.put(key, row)
    m, r = row["matched"], row["raw"]
    print(
        f"{key:44s} {row['passes']:5d} passes  S2 "
        + " ".join(f"{m[f'S2 {p}']['error']:.3f}" for p in PLANES)
        + f" (scatter {np.mean([m[f'S2 {p}']['scatter'] for p in PLANES]):.3f})  L "
        + " ".join(f"{m[f'L {p}']['error']:.3f}" for p in PLANES)
        + f" ({np.mean([m[f'L {p}']['scatter'] for p in PLANES]):.3f})  raw S2 "
        + " ".join(f"{r[f'S2 {p}']['error']:.3f}" for p in PLANES)
        + f"  raw fraction {row['raw fraction'][-1]:.3f}",
        flush=True,
    )


def measure_truth(case: Case, table: Table, properties: bool, count: int) -> None:
    """The same numbers of real blocks, and of the 2D network alone."""
    key = f"{case.name} | truth"
    row = table.rows.get(key, {})
    blocks = real_blocks(case, count)
    if not row:
        fractions = np.array([m3.volume_fractions(b) for b in blocks])
        row = {
            "material": case.name,
            "variant": "truth",
            "volumes": len(blocks),
            "fractions": case.fractions.tolist(),
            "fraction deviation": fractions.std(axis=0, ddof=1).tolist(),
            "shape": quartiles([shape_numbers(b, case.phases - 1) for b in blocks]),
        }
        table.put(key, row)
    if properties and "properties" not in row:
        row["properties"] = quartiles([property_numbers(b, case.material) for b in blocks])
        table.put(key, row)


def measure_slices(case: Case, network: str, table: Table, count: int) -> None:
    """The 2D network alone, which no 3D result can beat by skill."""
    key = f"{case.name} | 2D {network}"
    model = case.model(network)
    if table.rows.get(key, {}).get("model") == model.hash:
        return
    samples = {
        p: list(sample_slices(model, p, count, seed=1, device=case.arguments.device))
        for p in PLANES
    }
    micrographs = m3.Micrographs.from_volume(case.truth, images_per_plane=300, seed=0)
    row = {
        "material": case.name,
        "variant": "2D",
        "network": network,
        "model": model.hash,
        "images": count,
        "raw": curve_errors(samples, micrographs),
        "raw fraction": np.mean(
            [
                np.bincount(np.stack(samples[p]).ravel(), minlength=case.phases)
                / np.stack(samples[p]).size
                for p in PLANES
            ],
            axis=0,
        ).tolist(),
    }
    table.put(key, row)
    print(
        f"{key:44s}       2D alone  S2 "
        + " ".join(f"{row['raw'][f'S2 {p}']['error']:.3f}" for p in PLANES)
        + "  L "
        + " ".join(f"{row['raw'][f'L {p}']['error']:.3f}" for p in PLANES)
        + f"  raw fraction {row['raw fraction'][-1]:.3f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--plan", choices=PLANS, action="append", default=[])
    parser.add_argument("--materials", nargs="+", choices=list(MATERIALS), default=list(MATERIALS))
    parser.add_argument("--only", nargs="+", default=None, help="names of variants, else all")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/study"))
    parser.add_argument("--preset", default="small")
    parser.add_argument("--steps", type=int, default=None, help="of training, for all materials")
    parser.add_argument("--seeds", type=int, default=4, help="volumes a case")
    parser.add_argument("--max-passes", type=int, default=100_000)
    parser.add_argument("--slices", type=int, default=64, help="2D samples a plane; 0 for none")
    parser.add_argument("--device", default=None)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--properties", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    started = time.perf_counter()
    table = Table(arguments.runs / "study.json")
    for material in arguments.materials:
        case = Case(material, arguments)
        measure_truth(case, table, arguments.properties, 12)
        variants = {k: v for p in arguments.plan for k, v in plan(p).items()}
        if arguments.only:
            variants = {k: v for k, v in variants.items() if k in arguments.only}
        for network in dict.fromkeys(v.network for v in variants.values()):
            if arguments.slices:
                measure_slices(case, network, table, arguments.slices)
        for name, variant in variants.items():
            if variant.settings.passes <= arguments.max_passes:
                measure(case, name, variant, table, arguments.properties)
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
