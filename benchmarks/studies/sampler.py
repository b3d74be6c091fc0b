# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The study behind `sampler="fast"`: quality of a reconstruction against passes of the network.

    python benchmarks/studies sampler --plan screening --materials level-cut
    python benchmarks/studies sampler --plan curve --properties
    python benchmarks/studies figures --out docs

A plan is a set of sampler variants (`variants.py`); a case is (material, network, variant), made
with several seeds. Everything is resumable: a network continues from its checkpoint, and a volume
on disk is reused if the same model and settings made it. The grid can therefore be run in pieces,
or at once on a GPU (--device cuda, more --seeds).

Truth: a synthetic material, or a tomogram (--data). The network sees only 2D slices of it. A case
is judged raw and with its phase fractions matched, by S2 and L per plane beside two floors (halves
of the truth against each other; as many real blocks of the same size against the rest of the truth,
"scatter"), by the spread of the raw fraction between seeds, the variance of the fraction over
blocks, the tail of S2, specific surface, voxels without a neighbour of their phase, percolation,
and with --properties by relative diffusivity and Young's moduli against the quartiles of real
blocks. Table: RUNS/study.json.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

import micro3d_fast as m3
from micro3d_fast._planes import PLANES
from micro3d_fast.diffusion import sample_slices

from .judging import (
    Table,
    curve_errors,
    plane_errors,
    plane_mean,
    property_numbers,
    quartiles,
    shape_numbers,
)
from .materials import MATERIALS, NETWORKS, real_blocks, training_progress
from .variants import PLANS, Variant

TRUTH_BLOCKS = 12  # real blocks per material


@dataclass
class Case:
    """A material with its truth, networks and volumes on disk."""

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
        """Return the network, training it if needed on at most 300 random slices per plane."""
        if (network, ema) in self.models:
            return self.models[network, ema]
        out = self.folder / network
        micrographs = m3.Micrographs.from_volume(
            self.truth, images_per_plane=300, seed=0, phase_names=self.material.names
        )
        model = m3.train(
            micrographs,
            out,
            preset=self.arguments.preset,
            patch=self.material.patch,
            steps=self.arguments.steps or self.material.steps,
            batch_size=self.material.batch,
            device=self.arguments.device,
            callback=training_progress(f"{self.name} {network}", every=100),
            samples_every=0,
            **({"learning_rate": self.material.rate} | NETWORKS[network]),
        )
        if not ema:
            model = raw_weights(model, out)
        self.models[network, ema] = model
        return model

    def volumes(self, name: str, variant: Variant) -> list[m3.Microstructure]:
        """Return the volumes of seeds 0, 1, ..., reusing files of the same model and variant."""
        count = min(self.arguments.seeds, variant.seeds or self.arguments.seeds)
        model = self.model(variant.network, variant.ema)
        wanted = {
            "model": model.hash,
            "settings": json.loads(json.dumps(asdict(variant.settings))),  # as stored in a file
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
    """Return the model with the weights of the last step instead of their moving average."""
    from safetensors import safe_open

    net = copy.deepcopy(model.net)
    with safe_open(run / "checkpoint.safetensors", framework="pt") as file:
        net.load_state_dict({k: file.get_tensor(f"net.{k}") for k in net.state_dict()})
    return replace(model, net=net)


def measure(case: Case, name: str, variant: Variant, table: Table, properties: bool) -> None:
    """Make the missing volumes of a case, judge it, put it into the table, print a line."""
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
    matched = row["matched"]
    print(
        f"{key:44s} {row['passes']:5d} passes"
        f"  S2 {plane_errors(matched, 'S2')} (scatter {plane_mean(matched, 'S2', 'scatter'):.3f})"
        f"  L {plane_errors(matched, 'L')} ({plane_mean(matched, 'L', 'scatter'):.3f})"
        f"  raw S2 {plane_errors(row['raw'], 'S2')}  raw fraction {row['raw fraction'][-1]:.3f}",
        flush=True,
    )


def measure_truth(case: Case, table: Table, properties: bool) -> None:
    """Put the same numbers of real blocks into the table."""
    key = f"{case.name} | truth"
    row = table.rows.get(key, {})
    blocks = real_blocks(case.truth, case.material.box, TRUTH_BLOCKS)
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
    """Judge the 2D network alone, a lower bound of the error in 3D."""
    key = f"{case.name} | 2D {network}"
    model = case.model(network)
    if table.rows.get(key, {}).get("model") == model.hash:
        return
    samples = {
        p: list(sample_slices(model, p, count, seed=1, device=case.arguments.device))
        for p in PLANES
    }
    micrographs = m3.Micrographs.from_volume(case.truth, images_per_plane=300, seed=0)
    fractions = [
        np.bincount(np.stack(samples[p]).ravel(), minlength=case.phases) / np.stack(samples[p]).size
        for p in PLANES
    ]
    row = {
        "material": case.name,
        "variant": "2D",
        "network": network,
        "model": model.hash,
        "images": count,
        "raw": curve_errors(samples, micrographs),
        "raw fraction": np.mean(fractions, axis=0).tolist(),
    }
    table.put(key, row)
    print(
        f"{key:44s}       2D alone  S2 {plane_errors(row['raw'], 'S2')}"
        f"  L {plane_errors(row['raw'], 'L')}  raw fraction {row['raw fraction'][-1]:.3f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--plan", choices=list(PLANS), action="append", default=[])
    parser.add_argument("--materials", nargs="+", choices=list(MATERIALS), default=list(MATERIALS))
    parser.add_argument("--only", nargs="+", default=None, help="names of variants (default: all)")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/study"))
    parser.add_argument("--preset", default="small")
    parser.add_argument("--steps", type=int, default=None, help="of training, for all materials")
    parser.add_argument("--seeds", type=int, default=4, help="volumes per case")
    parser.add_argument("--max-passes", type=int, default=100_000)
    parser.add_argument("--slices", type=int, default=64, help="2D samples per plane; 0 for none")
    parser.add_argument("--device", default=None)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--properties", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        import torch

        torch.set_num_threads(arguments.threads)
    started = time.perf_counter()
    table = Table(arguments.runs / "study.json")
    variants = {name: v for plan in arguments.plan for name, v in PLANS[plan].items()}
    if arguments.only:
        variants = {name: v for name, v in variants.items() if name in arguments.only}
    for material in arguments.materials:
        case = Case(material, arguments)
        measure_truth(case, table, arguments.properties)
        for network in dict.fromkeys(v.network for v in variants.values()):
            if arguments.slices:
                measure_slices(case, network, table, arguments.slices)
        for name, variant in variants.items():
            if variant.settings.passes <= arguments.max_passes:
                measure(case, name, variant, table, arguments.properties)
    print(f"{time.perf_counter() - started:.0f} s")
