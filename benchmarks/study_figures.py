# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Figures and tables of the study, from its study.json and the volumes beside it.

python benchmarks/study_figures.py --runs runs/study --out docs [--record]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import micro3d_fast as m3

PLANES = ("xy", "xz", "yz")
COLOURS = {"fast": "#2f74a8", "paper-respaced": "#e3963e", "paper": "#7b3f2a"}


def mean(row: dict[str, Any], function: str, what: str, kind: str = "matched") -> float:
    """Mean over the planes."""
    return float(np.mean([row[kind][f"{function} {p}"][what] for p in PLANES]))


def family(variant: str) -> str | None:
    """Which line of the curve a variant lies on."""
    for name in ("fast", "paper-respaced", "paper"):
        if variant.removeprefix(name).lstrip("-").isdigit():
            return name
    return None


def curve_figure(rows: dict[str, Any], materials: list[str]) -> Any:
    """Error against passes, one column a material: S2 above, L below; matched solid, raw dotted."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * len(materials), 5.4), layout="constrained")
    axes = figure.subplots(2, len(materials), sharex=True, squeeze=False)
    for column, material in enumerate(materials):
        mine = [r for r in rows.values() if r["material"] == material and "matched" in r]
        for line, function in enumerate(("S2", "L")):
            ax = axes[line][column]
            for name, colour in COLOURS.items():
                found = sorted(
                    (r for r in mine if family(r["variant"]) == name), key=lambda r: r["passes"]
                )
                if not found:
                    continue
                passes = [r["passes"] for r in found]
                for kind, style in (("matched", "o-"), ("raw", "o:")):
                    values = [mean(r, function, "error", kind) for r in found]
                    label = {"paper-respaced": "paper's rule, fewer steps"}.get(name, name)
                    ax.plot(
                        passes,
                        values,
                        style,
                        ms=4,
                        color=colour,
                        alpha=1 if kind == "matched" else 0.6,
                        label=f"{label}, {kind}",
                    )
                low = [mean(r, function, "low") for r in found]
                high = [mean(r, function, "high") for r in found]
                ax.fill_between(passes, low, high, color=colour, alpha=0.12, lw=0)
            if mine:
                floor = float(np.mean([mean(r, function, "scatter") for r in mine]))
                ax.axhline(floor, color="#555555", lw=1, ls="--", label="real blocks")
            flat = rows.get(f"{material} | 2D v-linear")
            if flat:
                ax.axhline(
                    mean(flat, function, "error", "raw"),
                    color="#2f9e83",
                    lw=1,
                    ls="-.",
                    label="2D network alone, raw",
                )
            ax.set(xscale="log", yscale="log")
            ax.set_yticks(
                [0.01, 0.02, 0.05, 0.1, 0.2, 0.5], ["1 %", "2 %", "5 %", "10 %", "20 %", "50 %"]
            )
            ax.minorticks_off()
            ax.grid(alpha=0.2)
            if line == 0:
                ax.set_title(material)
            else:
                ax.set_xlabel("passes of the network")
            if column == 0:
                ax.set_ylabel(f"relative error of ${'S_2' if function == 'S2' else 'L'}$")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def screening_figure(rows: dict[str, Any], material: str, names: list[str]) -> Any:
    """One line a variant: S2 and L, matched and raw, beside what real blocks show."""
    from matplotlib.figure import Figure

    found = [rows[f"{material} | {n}"] for n in names if f"{material} | {n}" in rows]
    figure = Figure(figsize=(8.6, 0.27 * len(found) + 1.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    y = np.arange(len(found))[::-1]
    for ax, function in zip(axes, ("S2", "L"), strict=True):
        for kind, marker, colour in (("matched", "o", "#2f74a8"), ("raw", "x", "#e3963e")):
            ax.plot([mean(r, function, "error", kind) for r in found], y, marker, color=colour)
        ax.hlines(
            y,
            [mean(r, function, "low") for r in found],
            [mean(r, function, "high") for r in found],
            color="#2f74a8",
            alpha=0.4,
        )
        ax.axvline(mean(found[0], function, "scatter"), color="#555555", lw=1, ls="--")
        ax.set(xscale="log", xlabel=f"relative error of ${'S_2' if function == 'S2' else 'L'}$")
        ax.grid(alpha=0.2)
    axes[0].set_yticks(y, [f"{r['variant']}  ({r['passes']})" for r in found], fontsize=8)
    axes[0].legend(["matched", "raw"], fontsize=8)
    figure.suptitle(f"{material}: variants of the sampler (passes)", fontsize=10)
    return figure


def section_figure(runs: Path, material: str, truth: np.ndarray, names: list[str]) -> Any:
    """Middle sections of the three planes: truth and volumes of some variants."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    from micro3d_fast.report._palette import PHASE_COLOURS

    shown: list[tuple[str, np.ndarray]] = []
    for name in names:
        files = sorted((runs / material).glob(f"*/{name}-[0-9]*-0.npz"))
        if files:
            shown.append((name, m3.Microstructure.load(files[0]).labels))
    box = shown[0][1].shape[0] if shown else 64
    shown.insert(0, ("truth", truth[:box, :box, :box]))
    phases = int(truth.max()) + 1
    colours = ListedColormap(PHASE_COLOURS[:phases])
    figure = Figure(figsize=(6, 2 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 3, squeeze=False)
    for (name, labels), row in zip(shown, axes, strict=True):
        for axis, plane, ax in zip(range(3), PLANES, row, strict=True):
            image = labels.take(labels.shape[axis] // 2, axis)
            ax.imshow(image, cmap=colours, vmin=0, vmax=phases - 1, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{name}, {plane}", fontsize=8)
    return figure


def markdown(rows: dict[str, Any], material: str, names: list[str]) -> str:
    """A table in Markdown: one line a variant."""
    lines = [
        "| variant | passes | n | S2 xy xz yz (interval of the mean) | L xy xz yz | raw S2 | "
        "raw fraction ± between seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        r = rows.get(f"{material} | {name}")
        if r is None or "matched" not in r:
            continue
        s2, l2, raw = (
            " ".join(f"{r[kind][f'{f} {p}']['error']:.3f}" for p in PLANES)
            for kind, f in (("matched", "S2"), ("matched", "L"), ("raw", "S2"))
        )
        lines.append(
            f"| {name} | {r['passes']} | {r['volumes']} | {s2} ({mean(r, 'S2', 'low'):.3f} … "
            f"{mean(r, 'S2', 'high'):.3f}) | {l2} | {raw} | {r['raw fraction'][-1]:.3f} ± "
            f"{r['raw fraction deviation'][-1]:.3f} |"
        )
    return "\n".join(lines)


def properties(rows: dict[str, Any], variant: str) -> str:
    """A table in Markdown: quartiles of the real blocks and of the volumes."""
    lines = ["| material | property | real blocks: quartiles, median | volumes: median | inside |"]
    lines += ["|---|---|---|---|---|"]
    for key, truth in rows.items():
        made = rows.get(f"{truth['material']} | {variant}", {})
        if truth["variant"] != "truth" or "properties" not in made or "properties" not in truth:
            continue
        both = {**truth["properties"], **truth["shape"]}
        ours = {**made["properties"], **made["shape"]}
        for name, (low, middle, high) in both.items():
            value = ours[name][1]
            lines.append(
                f"| {key.split(' | ')[0]} | {name} | {low:.3g} … {high:.3g}, {middle:.3g} | "
                f"{value:.3g} | {'yes' if low <= value <= high else 'no'} |"
            )
    return "\n".join(lines)


def record_rows(rows: dict[str, Any]) -> None:
    """The curve's cases as rows of results.csv."""
    from _results import record

    for row in rows.values():
        if "matched" not in row or family(row["variant"].removesuffix("-noise")) is None:
            continue
        case = f"{row['material']} {row['variant']}"
        for kind in ("matched", "raw"):
            for function in ("S2", "L"):
                for plane in PLANES:
                    e = row[kind][f"{function} {plane}"]
                    record(
                        bench="study",
                        case=case,
                        metric=f"{kind} {function} {plane} error",
                        value=e["error"],
                        unit="1",
                        notes=f"scatter of real blocks {e['scatter']:.4f}, interval "
                        f"{e['low']:.4f} to {e['high']:.4f}; {row['volumes']} volumes, "
                        f"{row['passes']} passes, model {row['model']}",
                    )
        record(
            bench="study",
            case=case,
            metric="raw fraction of the last phase",
            value=row["raw fraction"][-1],
            unit="1",
            notes=f"deviation {row['raw fraction deviation'][-1]:.4f}; {row['volumes']} volumes",
        )


def main() -> None:
    from study import MATERIALS, PLANS, plan

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/study"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--record", action="store_true", help="append rows to results.csv")
    arguments = parser.parse_args()
    rows = json.loads((arguments.runs / "study.json").read_text(encoding="utf-8"))
    present = [m for m in MATERIALS if any(r["material"] == m for r in rows.values())]
    arguments.out.mkdir(parents=True, exist_ok=True)
    with_curve = [
        m for m in present if any(family(r["variant"]) for r in rows.values() if r["material"] == m)
    ]
    curve_figure(rows, with_curve).savefig(arguments.out / "study_curve.png", dpi=110)
    for material in present:
        for name in ("screening", "repeats", "networks", "paper-grid"):
            names = list(plan(name))
            if sum(f"{material} | {n}" in rows for n in names) > 2:
                screening_figure(rows, material, names).savefig(
                    arguments.out / f"study_{name}_{material}.png", dpi=100
                )
    for material in with_curve:
        truth = MATERIALS[material].truth(arguments.data)
        shown = ["fast-38", "fast-43", "paper-respaced-46", "paper-4996"]
        if material.endswith("-half"):
            shown = ["8x5", "fast-38", "paper-4996-noise"]
        section_figure(arguments.runs, material, truth, shown).savefig(
            arguments.out / f"study_sections_{material}.png", dpi=80
        )
    if arguments.record:
        record_rows(rows)
    print(properties(rows, "fast-38"))
    for material in present:
        for name in PLANS:
            table = markdown(rows, material, list(plan(name)))
            if table.count("\n") > 1:
                print(f"\n{material}, {name}\n\n{table}")


if __name__ == "__main__":
    main()
