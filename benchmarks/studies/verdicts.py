# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""How often the verdict errs: real specimens, and volumes that are known to be wrong.

    python benchmarks/studies verdicts --data ../shared/data --out verdicts --tries 20

For each material and set of micrographs (3, 20, 100 per plane, from random places or consecutive
slices) random blocks of the tomogram, or fresh specimens of a synthetic material, are judged
against the micrographs, and so are the same blocks with a fault.  Networks of 60 and 100 steps are
trained once and their volumes kept in OUT.  Each judgement is a line of OUT/verdicts.jsonl and is
not repeated; the tables of docs/characterize.md are printed at the end, their rows go to
results.csv.  ``--bundled`` judges the bundled models instead.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

import micro3d_fast as m3
from _measure import row
from micro3d_fast import synthetic
from micro3d_fast._planes import NORMAL, PLANES

from .materials import MATERIALS

BENCH = "verdict"
COUNTS = (3, 20, 100)  # micrographs per plane
STEPS = (60, 100)  # of the networks that are far too short
FAULTS = ("speckle", "dilated", "turned", "mirrored", "independent slices")
FAULT_TRIES = 5  # per fault and set of micrographs; of a network, its two volumes
BUNDLED = ("fibre-composite", "separator", "cathode")
BUNDLED_IMAGES, BUNDLED_VOLUMES = 40, 6
SPECIMEN = 128  # edge of the synthetic specimens that micrographs come from

OUTCOMES = ("different", "doubtful", "undecided", "consistent")

Draw = Callable[[np.random.Generator, int], np.ndarray]


def materials(data: Path) -> Iterator[tuple[str, int, np.ndarray, Draw | None]]:
    """Yield name, edge of the volumes, truth, and the generator of a synthetic material."""
    for name, material in MATERIALS.items():
        if name != "sand_pack-half":
            yield name, material.box, material.truth(data), None
    for make in (synthetic.separator, synthetic.cathode):

        def fresh(rng: np.random.Generator, edge: int, make: Any = make) -> np.ndarray:
            return make((edge,) * 3, seed=int(rng.integers(10**6, 10**9))).labels

        yield make.__name__, 64, make((SPECIMEN,) * 3, seed=5).labels, fresh


def images_of(
    truth: np.ndarray, count: int, serial: bool, rng: np.random.Generator
) -> dict[str, list[np.ndarray]]:
    """Return slices of each plane: from random places in order, or consecutive ones."""
    found = {}
    for plane in PLANES:
        slices = np.moveaxis(truth, NORMAL[plane], 0)
        n = min(count, len(slices))
        chosen = np.sort(rng.choice(len(slices), n, replace=False))
        if serial:
            chosen = rng.integers(0, len(slices) - n + 1) + np.arange(n)
        found[plane] = [slices[k] for k in chosen]
    return found


def block_of(truth: np.ndarray, edge: int, rng: np.random.Generator) -> np.ndarray:
    """Return a cube from a random place."""
    start = [rng.integers(0, n - edge + 1) for n in truth.shape]
    return np.ascontiguousarray(truth[tuple(slice(o, o + edge) for o in start)])


def faulty(fault: str, block: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Any:
    """Return the block with a fault."""
    phases = int(truth.max()) + 1
    if fault == "speckle":  # one voxel in a hundred takes another phase
        chosen = rng.random(block.shape) < 0.01
        wrong = (block + rng.integers(1, phases, block.shape)) % phases
        return np.where(chosen, wrong, block).astype(np.uint8)
    if fault == "dilated":  # phase 1 grows by one voxel
        return np.where(ndimage.binary_dilation(block == 1), 1, block).astype(np.uint8)
    if fault == "turned":  # the planes are mistaken for each other
        return np.ascontiguousarray(block.transpose(2, 0, 1))
    if fault == "mirrored":  # which is wrong only where the structure is tilted
        return np.ascontiguousarray(block[:, ::-1])
    edge = len(block)  # perfect xy slices that do not agree with each other
    return np.stack([block_of(truth, edge, rng)[rng.integers(edge)] for _ in range(edge)])


def network_volumes(
    name: str, edge: int, truth: np.ndarray, steps: int, out: Path
) -> tuple[np.ndarray, np.ndarray]:
    """Return two volumes of a network of so many steps, and a stack of its own xy samples."""
    file = out / f"{name}-{steps}.npz"
    if not file.exists():
        micrographs = m3.Micrographs.from_volume(truth, 100, seed=3)
        patch = min(64, edge)
        run = out / f"run-{name}-{steps}"
        model = m3.train(micrographs, run, steps=steps, patch=patch, samples_every=steps)
        made = [m3.reconstruct((edge,) * 3, model, seed=seed).labels for seed in range(2)]
        alone = m3.sample_slices(model, "xy", edge, size=edge, steps=16, seed=1)
        np.savez_compressed(file, volumes=np.array(made), alone=np.array(list(alone)))
    with np.load(file) as kept:
        return kept["volumes"], kept["alone"]


def judgements(
    name: str, edge: int, truth: np.ndarray, fresh: Draw | None, tries: int, out: Path
) -> Iterator[tuple[tuple[str, int, bool, str, int], Callable[[], m3.statistics.Verdict]]]:
    """Yield the key of each judgement and a function that makes it."""
    for count in COUNTS:
        for serial in (False, True):
            for k in range(tries):
                cases: list[str] = ["real"]
                if k < FAULT_TRIES:
                    cases += FAULTS
                if k < 2:
                    cases += [f"{what} {steps}" for what in ("network", "xy") for steps in STEPS]
                for case in cases:

                    def judge(case: str = case, k: int = k, args: Any = (count, serial)) -> Any:
                        rng = np.random.default_rng([k, *args, *name.encode()])
                        images = images_of(truth, *args, rng)
                        block = block_of(truth, edge, rng) if fresh is None else fresh(rng, edge)
                        raw = None
                        if case in FAULTS:
                            block = faulty(case, block, truth, rng)
                        elif case != "real":
                            what, steps = case.split()
                            made, alone = network_volumes(name, edge, truth, int(steps), out)
                            block = made[k] if what == "network" else alone
                        if case in ("real", "speckle", "dilated"):
                            raw = {"raw_volume_fractions": m3.volume_fractions(block).tolist()}
                        volume = m3.Microstructure(block, provenance=raw or {})
                        return m3.compare(volume, images, splits=1, bootstrap=1).verdict

                    yield (name, count, serial, case, k), judge


def bundled(names: Iterable[str]) -> None:
    """Record the verdicts on volumes of the bundled models, against slices of new specimens."""
    for name in names:
        model = m3.load_model(name)
        make = getattr(synthetic, name.replace("-", "_"))
        images: dict[str, list[np.ndarray]] = {plane: [] for plane in PLANES}
        for seed in range(BUNDLED_IMAGES):
            cut = m3.Micrographs.from_volume(make((96,) * 3, seed=7001 + seed), 1, seed=seed)
            for plane in PLANES:
                images[plane] += cut.images[plane]
        verdicts = []
        for seed in range(BUNDLED_VOLUMES):
            made = m3.reconstruct((64,) * 3, model, seed=seed)
            verdicts.append(m3.compare(made, images).verdict)
            print(f"{name} {seed}: {verdicts[-1]} (p = {verdicts[-1].p_value:.3f})", flush=True)
        case = f"{name} (bundled), 64^3 against {BUNDLED_IMAGES} micrographs per plane"
        for outcome in OUTCOMES:
            share = sum(v.outcome == outcome for v in verdicts) / len(verdicts)
            row(case, f"called {outcome}", 100 * share, "%", bench=BENCH,
                notes=f"{len(verdicts)} volumes; worst: {verdicts[0].worst}")  # fmt: skip


def table(lines: Iterable[dict[str, Any]]) -> None:
    """Print the shares of each outcome, and record them."""
    real: dict[Any, list[str]] = defaultdict(list)
    wrong: dict[Any, list[str]] = defaultdict(list)
    for line in lines:
        words = line["case"].split()
        kind = f"{words[0]}, {'/'.join(map(str, STEPS))} steps"
        kind = kind if words[0] in ("network", "xy") else line["case"]
        place = line["count"], line["serial"]
        if line["case"] == "real":
            real[(line["material"], *place)].append(line["outcome"])
            real[("all", *place)].append(line["outcome"])
        else:
            wrong[(kind, *place)].append(line["outcome"])
    columns = [(count, serial) for serial in (False, True) for count in COUNTS]
    heads = " | ".join(f"{n} {'serial' if s else 'independent'}" for n, s in columns)
    for title, found in (("real specimens", real), ("wrong volumes", wrong)):
        print(f"\n| {title} | {heads} |\n|{'---|' * (1 + len(columns))}")
        for name in dict.fromkeys(key[0] for key in found):
            cells = []
            for column in columns:
                outcomes = found[(name, *column)]
                shares = [100 * outcomes.count(o) / max(len(outcomes), 1) for o in OUTCOMES]
                cells.append(" ".join(f"{s:.0f}" for s in shares))
                case = f"{name}, {column[0]} {'serial' if column[1] else 'independent'}"
                row(case, "called different", shares[0], "%", bench=BENCH,
                    notes=f"{len(outcomes)} judgements; doubtful, undecided, consistent: "
                    + ", ".join(f"{s:.1f} %" for s in shares[1:]))  # fmt: skip
            print(f"| {name} | {' | '.join(cells)} |")


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the tomograms")
    parser.add_argument("--out", type=Path, default=Path("verdicts"))
    parser.add_argument("--tries", type=int, default=20, help="real specimens per set of images")
    parser.add_argument("--materials", nargs="*", help="only these")
    parser.add_argument("--cases", nargs="*", help="only these, such as real or mirrored")
    parser.add_argument("--bundled", action="store_true", help="the bundled models instead")
    options = parser.parse_args()
    if options.bundled:
        bundled(options.materials or BUNDLED)
        return
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "verdicts.jsonl"
    lines = [json.loads(text) for text in kept.read_text().splitlines()] if kept.exists() else []
    done = {(w["material"], w["count"], w["serial"], w["case"], w["k"]) for w in lines}
    for name, edge, truth, fresh in materials(options.data):
        if options.materials and name not in options.materials:
            continue
        for key, judge in judgements(name, edge, truth, fresh, options.tries, options.out):
            if key in done or (options.cases and key[3] not in options.cases):
                continue
            verdict = judge()
            worst = verdict.worst
            line = dict(zip(("material", "count", "serial", "case", "k"), key, strict=True))
            line |= {"outcome": verdict.outcome, "p": verdict.p_value, "worst": str(worst)}
            lines.append(line)
            with kept.open("a") as file:
                file.write(json.dumps(line) + "\n")
        print(f"{name} done", flush=True)
    table(lines)


if __name__ == "__main__":
    main()
