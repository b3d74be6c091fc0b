# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Figures and tables of the study, from its study.json and the volumes beside it.

python benchmarks/studies figures --runs runs/study --out docs [--record]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import micro3d_fast as m3
from _results import record
from micro3d_fast._palette import PHASE_COLOURS
from micro3d_fast._planes import NORMAL, PLANES

from .judging import plane_errors, plane_mean
from .materials import MATERIALS
from .variants import PLANS

COLOURS = {"fast": "#2f74a8", "paper-respaced": "#e3963e", "paper": "#7b3f2a"}
SYMBOL = {"S2": "$S_2$", "L": "$L$"}


def family(variant: str) -> str | None:
    """Return the line of the curve that a variant lies on."""
    for name in COLOURS:
        if variant.removeprefix(name).lstrip("-").isdigit():
            return name
    return None


def curve_figure(rows: dict[str, Any], materials: list[str]) -> Any:
    """Plot error against passes, one column per material: S2 above, L below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * len(materials), 5.4), layout="constrained")
    axes = figure.subplots(2, len(materials), sharex=True, squeeze=False)
    for column, material in enumerate(materials):
        axes[0][column].set_title(material)
        axes[1][column].set_xlabel("passes of the network")
        for ax, function in zip(axes[:, column], ("S2", "L"), strict=True):
            draw_curves(ax, rows, material, function)
            ax.set(xscale="log", yscale="log")
            ax.set_yticks(
                [0.01, 0.02, 0.05, 0.1, 0.2, 0.5], ["1 %", "2 %", "5 %", "10 %", "20 %", "50 %"]
            )
            ax.minorticks_off()
            ax.grid(alpha=0.2)
            if column == 0:
                ax.set_ylabel(f"relative error of {SYMBOL[function]}")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    return figure


def draw_curves(ax: Any, rows: dict[str, Any], material: str, function: str) -> None:
    """Plot the errors of one function and material: matched solid, raw dotted."""
    of_material = [r for r in rows.values() if r["material"] == material and "matched" in r]
    for name, colour in COLOURS.items():
        found = sorted(
            (r for r in of_material if family(r["variant"]) == name), key=lambda r: r["passes"]
        )
        if not found:
            continue
        passes = [r["passes"] for r in found]
        label = {"paper-respaced": "paper's rule, fewer steps"}.get(name, name)
        for kind, style, alpha in (("matched", "o-", 1), ("raw", "o:", 0.6)):
            values = [plane_mean(r[kind], function, "error") for r in found]
            line = {"ms": 4, "color": colour, "alpha": alpha, "label": f"{label}, {kind}"}
            ax.plot(passes, values, style, **line)
        low, high = (
            [plane_mean(r["matched"], function, key) for r in found] for key in ("low", "high")
        )
        ax.fill_between(passes, low, high, color=colour, alpha=0.12, lw=0)
    if of_material:
        floor = np.mean([plane_mean(r["matched"], function, "scatter") for r in of_material])
        ax.axhline(float(floor), color="#555555", lw=1, ls="--", label="real blocks")
    if flat := rows.get(f"{material} | 2D v-linear"):
        value = plane_mean(flat["raw"], function, "error")
        ax.axhline(value, color="#2f9e83", lw=1, ls="-.", label="2D network alone, raw")


def screening_figure(rows: dict[str, Any], material: str, names: list[str]) -> Any:
    """Plot one line per variant: S2 and L, matched and raw, beside the scatter of real blocks."""
    from matplotlib.figure import Figure

    found = [rows[f"{material} | {n}"] for n in names if f"{material} | {n}" in rows]
    figure = Figure(figsize=(8.6, 0.27 * len(found) + 1.2), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    y = np.arange(len(found))[::-1]
    for ax, function in zip(axes, ("S2", "L"), strict=True):
        for kind, marker, colour in (("matched", "o", "#2f74a8"), ("raw", "x", "#e3963e")):
            values = [plane_mean(r[kind], function, "error") for r in found]
            ax.plot(values, y, marker, color=colour)
        low, high = (
            [plane_mean(r["matched"], function, key) for r in found] for key in ("low", "high")
        )
        ax.hlines(y, low, high, color="#2f74a8", alpha=0.4)
        scatter = plane_mean(found[0]["matched"], function, "scatter")
        ax.axvline(scatter, color="#555555", lw=1, ls="--")
        ax.set(xscale="log", xlabel=f"relative error of {SYMBOL[function]}")
        ax.grid(alpha=0.2)
    axes[0].set_yticks(y, [f"{r['variant']}  ({r['passes']})" for r in found], fontsize=8)
    axes[0].legend(["matched", "raw"], fontsize=8)
    figure.suptitle(f"{material}: variants of the sampler (passes)", fontsize=10)
    return figure


def section_figure(runs: Path, material: str, truth: np.ndarray, names: list[str]) -> Any:
    """Draw middle sections of the three planes: truth and volumes of some variants."""
    from matplotlib.figure import Figure

    shown: list[tuple[str, np.ndarray]] = []
    for name in names:
        files = sorted((runs / material).glob(f"*/{name}-[0-9]*-0.npz"))
        if files:
            shown.append((name, m3.Microstructure.load(files[0]).labels))
    box = shown[0][1].shape[0] if shown else 64
    shown.insert(0, ("truth", truth[:box, :box, :box]))
    phases = int(truth.max()) + 1
    figure = Figure(figsize=(6, 2 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), 3, squeeze=False)
    for (name, labels), row in zip(shown, axes, strict=True):
        for plane, ax in zip(PLANES, row, strict=True):
            draw_section(ax, name, labels, plane, phases)
    return figure


def draw_section(ax: Any, name: str, labels: np.ndarray, plane: str, phases: int) -> None:
    """Draw the middle section of a plane in the colours of the phases."""
    from matplotlib.colors import ListedColormap

    colours = ListedColormap(PHASE_COLOURS[:phases])
    image = labels.take(labels.shape[NORMAL[plane]] // 2, NORMAL[plane])
    ax.imshow(image, cmap=colours, vmin=0, vmax=phases - 1, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.set_title(f"{name}, {plane}", fontsize=8)


def markdown(rows: dict[str, Any], material: str, names: list[str]) -> str:
    """Return a table in Markdown, one line per variant."""
    lines = [
        "| variant | passes | n | S2 xy xz yz (interval of the mean) | L xy xz yz | raw S2 | "
        "raw fraction ± between seeds |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in names:
        r = rows.get(f"{material} | {name}")
        if r is None or "matched" not in r:
            continue
        matched = r["matched"]
        lines.append(
            f"| {name} | {r['passes']} | {r['volumes']} | {plane_errors(matched, 'S2')} "
            f"({plane_mean(matched, 'S2', 'low'):.3f} … {plane_mean(matched, 'S2', 'high'):.3f}) | "
            f"{plane_errors(matched, 'L')} | {plane_errors(r['raw'], 'S2')} | "
            f"{r['raw fraction'][-1]:.3f} ± {r['raw fraction deviation'][-1]:.3f} |"
        )
    return "\n".join(lines)


def properties(rows: dict[str, Any], variant: str) -> str:
    """Return a table in Markdown: quartiles of the real blocks, median of the volumes."""
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
    """Append the cases of the curve to results.csv."""
    for row in rows.values():
        if "matched" not in row or family(row["variant"].removesuffix("-noise")) is None:
            continue
        keys = {"bench": "study", "case": f"{row['material']} {row['variant']}", "unit": "1"}
        for kind in ("matched", "raw"):
            for curve in (f"{function} {plane}" for function in ("S2", "L") for plane in PLANES):
                e = row[kind][curve]
                record(
                    metric=f"{kind} {curve} error",
                    value=e["error"],
                    notes=f"scatter of real blocks {e['scatter']:.4f}, interval "
                    f"{e['low']:.4f} to {e['high']:.4f}; {row['volumes']} volumes, "
                    f"{row['passes']} passes, model {row['model']}",
                    **keys,
                )
        record(
            metric="raw fraction of the last phase",
            value=row["raw fraction"][-1],
            notes=f"deviation {row['raw fraction deviation'][-1]:.4f}; {row['volumes']} volumes",
            **keys,
        )


def save_figures(rows: dict[str, Any], materials: list[str], arguments: argparse.Namespace) -> None:
    """Write every figure that the table has enough rows for."""
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    with_curve = [
        m
        for m in materials
        if any(family(r["variant"]) for r in rows.values() if r["material"] == m)
    ]
    curve_figure(rows, with_curve).savefig(out / "study_curve.png", dpi=110)
    for material in materials:
        for plan in ("screening", "repeats", "networks", "paper-grid"):
            names = list(PLANS[plan])
            if sum(f"{material} | {n}" in rows for n in names) > 2:
                figure = screening_figure(rows, material, names)
                figure.savefig(out / f"study_{plan}_{material}.png", dpi=100)
    for material in with_curve:
        truth = MATERIALS[material].truth(arguments.data)
        shown = ["fast-38", "fast-43", "paper-respaced-46", "paper-4996"]
        if material.endswith("-half"):
            shown = ["8x5", "fast-38", "paper-4996-noise"]
        figure = section_figure(arguments.runs, material, truth, shown)
        figure.savefig(out / f"study_sections_{material}.png", dpi=80)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/study"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--record", action="store_true", help="append rows to results.csv")
    arguments = parser.parse_args()
    rows = json.loads((arguments.runs / "study.json").read_text(encoding="utf-8"))
    materials = [m for m in MATERIALS if any(r["material"] == m for r in rows.values())]
    save_figures(rows, materials, arguments)
    if arguments.record:
        record_rows(rows)
    print(properties(rows, "fast-38"))
    for material in materials:
        for plan, variants in PLANS.items():
            table = markdown(rows, material, list(variants))
            if table.count("\n") > 1:
                print(f"\n{material}, {plan}\n\n{table}")
