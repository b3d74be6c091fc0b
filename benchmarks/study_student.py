# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""A 3D student: a small 3D network trained only on volumes that the multi-plane teacher made.

    python benchmarks/study_student.py --material level-cut --properties --timed 12
    python benchmarks/study_student.py --lessons plain guided --figure docs/study_student.png

The teacher is `reconstruct` on the network of benchmarks/study.py, so all that is learnt still
comes from 2D micrographs.  A 3D network needs no harmonizing: one pass a step.  Lessons say which
volumes are learnt from:

* plain: 43 passes (8 steps of 5 repeats), periodic;
* guided: made with a guidance of 1.5, which costs the teacher twice as much, its student nothing;
  this student goes on from the plain one, for --more steps.

Padding is drawn per axis and step, wrapped (the teacher's volumes are periodic, so they are rolled
at will) or zero (a crop), so one student serves both.  Teacher volumes, checkpoint and student
volumes are resumed from disk; a student is judged as in the study, beside as many teacher volumes.
Table: OUT/student.json.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
import json
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import micro3d_fast as m3
from micro3d_fast._atomic import atomic_write
from micro3d_fast.diffusion.labelling import face_mismatch, final_labels, labels_of
from micro3d_fast.diffusion.mean_hold import tilted
from micro3d_fast.diffusion.model import encode, mean_field
from micro3d_fast.diffusion.schedule import Schedule
from study import (
    MATERIALS,
    PLANES,
    Case,
    Table,
    curve_errors,
    measure_truth,
    property_numbers,
    quartiles,
    shape_numbers,
)

TEACHER: dict[str, Any] = {"passes": 43}  # 8 steps of 5 repeats
LESSONS: dict[str, dict[str, Any]] = {"plain": TEACHER, "guided": TEACHER | {"guidance": 1.5}}
SIDE = 32  # of the teacher's volumes
CROP = 24  # what is seen of them along an axis that does not wrap
BATCH = 4
RATE = 1.5e-3
FIRST_SEED = 1000  # of the teacher's volumes: not those that are judged
STRIDE = 4

# --------------------------------------------------------------------------------- the network


class Conv(nn.Conv3d):
    """3 x 3 x 3 convolution whose padding wraps along some axes and is zero along the others."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__(in_dim, out_dim, 3, padding=1)
        self.wraps = (False, False, False)

    def forward(self, x: Tensor) -> Tensor:
        if not any(self.wraps):
            return super().forward(x)
        around = [int(w) for w in reversed(self.wraps) for _ in range(2)]  # last axis first
        x = F.pad(x, around, mode="circular")
        return F.conv3d(x, self.weight, self.bias, padding=[int(not w) for w in self.wraps])


class Block(nn.Module):
    """Two convolutions beside the identity; time scales and shifts between them."""

    def __init__(self, in_dim: int, out_dim: int, time_dim: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.GroupNorm(8, in_dim), Conv(in_dim, out_dim)
        self.norm2, self.conv2 = nn.GroupNorm(8, out_dim), Conv(out_dim, out_dim)
        self.time = nn.Linear(time_dim, 2 * out_dim)
        self.skip = nn.Identity() if in_dim == out_dim else nn.Conv3d(in_dim, out_dim, 1)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        scale, shift = self.time(time)[:, :, None, None, None].chunk(2, dim=1)
        y = self.conv1(F.silu(self.norm1(x)))
        y = self.conv2(F.silu(self.norm2(y) * (1 + scale) + shift))
        return self.skip(x) + y


class Student(nn.Module):
    """3D U-Net: a thin level of whole voxels, one of half, a small one of a quarter resolution."""

    def __init__(self, channels: int, dims: Sequence[int] = (16, 48, 64)) -> None:
        super().__init__()
        thin, half, quarter = dims
        self.channels = channels
        self.clock = nn.Sequential(nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.enter = Conv(channels, thin)
        self.down = nn.ModuleList(
            [nn.Conv3d(thin, half, 2, stride=2), nn.Conv3d(half, quarter, 2, stride=2)]
        )
        self.half_in = Block(half, half, 64)
        self.quarter = nn.ModuleList([Block(quarter, quarter, 64) for _ in range(2)])
        self.half_out = nn.ModuleList([Block(2 * half, half, 64), Block(half, half, 64)])
        self.thin_out = Block(2 * thin, thin, 64)
        self.up = nn.ModuleList(
            [
                nn.ConvTranspose3d(half, thin, 2, stride=2),
                nn.ConvTranspose3d(quarter, half, 2, stride=2),
            ]
        )
        self.leave = nn.Sequential(nn.GroupNorm(8, thin), nn.SiLU(), Conv(thin, channels))
        last = self.leave[-1]
        assert isinstance(last, Conv)
        assert last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def set_periodic(self, periodic: Sequence[bool]) -> None:
        """Along which axes (z, y, x) the convolutions wrap."""
        z, y, x = periodic
        for module in self.modules():
            if isinstance(module, Conv):
                module.wraps = (z, y, x)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """v of x (B, C, z, y, x) at steps t (B,)."""
        frequencies = torch.exp(torch.arange(32, device=x.device) * (-math.log(1000.0) / 31))
        angles = t[:, None].float() * frequencies
        time = self.clock(torch.cat([angles.sin(), angles.cos()], 1).to(x.dtype))
        thin = self.enter(x)
        half = self.half_in(self.down[0](thin), time)
        quarter = self.down[1](half)
        for block in self.quarter:
            quarter = block(quarter, time)
        half = torch.cat([self.up[1](quarter), half], 1)
        for block in self.half_out:
            half = block(half, time)
        thin = torch.cat([self.up[0](half), thin], 1)
        return self.leave(self.thin_out(thin, time))


# ---------------------------------------------------------------------------------- the lessons


def teacher_volumes(
    case: Case, lesson: str, folder: Path, seeds: Sequence[int], periodic: bool
) -> list[m3.Microstructure]:
    """Volumes of the teacher, those on disk read; all of SIDE^3."""
    kind = f"teacher-{lesson}" if periodic else f"teacher-{lesson}-open"
    (folder / kind).mkdir(parents=True, exist_ok=True)
    files = {seed: folder / kind / f"{seed}.npz" for seed in seeds}
    model = case.model("v-linear")
    made = {s: m3.Microstructure.load(f) for s, f in files.items() if f.exists()}
    made = {s: v for s, v in made.items() if v.provenance["model"] == model.hash}
    missing = [seed for seed in seeds if seed not in made]
    new = m3.reconstruct_many(
        (SIDE,) * 3,
        model,
        missing,
        periodic=periodic,
        device=case.arguments.device,
        keep_raw=True,
        **LESSONS[lesson],
    )
    for seed, volume in zip(missing, new, strict=True):
        volume.save(files[seed])
        made[seed] = volume
        print(f"{kind} {seed}: {volume.provenance['seconds']:.1f} s", flush=True)
    return [made[seed] for seed in seeds]


def cleaned(volume: m3.Microstructure, phases: int) -> m3.Microstructure:
    """The volume without its single-voxel islands, at the same fractions; no axis wraps."""
    x = encode(torch.from_numpy(volume.labels.copy()), phases).movedim(1, 0).numpy()
    own = m3.volume_fractions(volume.labels)
    labels, _ = final_labels(x, phases, own, periodic=(False,) * 3, remove_islands=True)
    return m3.Microstructure(labels, provenance=volume.provenance)


@dataclass
class School:
    """One training run of a student; a step is a pure function of (lesson, step)."""

    volumes: np.ndarray  # uint8 (N, z, y, x), periodic
    phases: int
    schedule: Schedule
    folder: Path
    device: torch.device
    steps: int
    start: Path | None = None  # checkpoint of another student, to go on from
    step: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.net = Student(1 if self.phases == 2 else self.phases)
        in_memory_order(self.net.to(self.device))
        self.adam = torch.optim.Adam(self.net.parameters(), lr=RATE, betas=(0.9, 0.99), fused=True)
        self.average = {k: v.detach().clone() for k, v in self.net.state_dict().items()}
        if self.file.exists():
            self.restore()
        elif self.start is not None:
            state = read_weights(self.start)
            self.net.load_state_dict(state)
            self.average = {k: _like(state[k], v) for k, v in self.average.items()}

    @property
    def file(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    def batch(self, step: int) -> tuple[Tensor, Tensor, Tensor, tuple[bool, ...]]:
        """x_t, v and t of a few blocks, and along which axes they wrap."""
        rng = np.random.default_rng([0, step])
        wraps = tuple(bool(w) for w in rng.random(3) < 0.5)
        blocks = []
        for i in rng.integers(len(self.volumes), size=BATCH):
            block = np.roll(self.volumes[i], rng.integers(SIDE, size=3), (0, 1, 2))
            block = block[tuple(slice(None if w else CROP) for w in wraps)]
            blocks.append(np.flip(block, tuple(a for a in range(3) if rng.random() < 0.5)))
        x0 = encode_volumes(torch.from_numpy(np.stack(blocks)), self.phases)
        u = (rng.permutation(BATCH) + rng.random(BATCH)) / BATCH
        t = 1 + np.minimum((u * self.schedule.steps).astype(np.int64), self.schedule.steps - 1)
        generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        noise = torch.randn(x0.shape, generator=generator)
        bar = torch.from_numpy(self.schedule.alpha_bar[t]).float()[:, None, None, None, None]
        x_t = bar.sqrt() * x0 + (1 - bar).sqrt() * noise
        v = bar.sqrt() * noise - (1 - bar).sqrt() * x0
        return (
            x_t.to(self.device, memory_format=torch.channels_last_3d),
            v.to(self.device),
            torch.from_numpy(t).to(self.device),
            wraps,
        )

    def advance(self) -> float:
        """One step of the optimizer; the loss."""
        x_t, v, t, wraps = self.batch(self.step)
        warm = min(1.0, (self.step + 1) / (self.steps / 20))
        rate = RATE if self.start is None else RATE / 3
        rate *= warm * (0.02 + 0.49 * (1 + math.cos(math.pi * self.step / self.steps)))
        for group in self.adam.param_groups:
            group["lr"] = rate
        self.net.set_periodic(wraps)
        with torch.autocast(self.device.type, torch.bfloat16):
            predicted = self.net(x_t, t)
        loss = F.mse_loss(predicted.float(), v)
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.adam.step()
        state = self.net.state_dict()
        keep = min(0.99, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_([self.average[k] for k in state], list(state.values()), 1 - keep)
        self.step += 1
        return float(loss.detach())

    def run(self) -> Student:
        """Train what is missing; the student with averaged weights."""
        while self.step < self.steps:
            begun = time.perf_counter()
            self.losses.append(self.advance())
            self.seconds += time.perf_counter() - begun
            if self.step % 50 == 0 or self.step == self.steps:
                print(
                    f"{self.folder.name}: step {self.step}/{self.steps}, "
                    f"loss {np.mean(self.losses[-50:]):.4f}, "
                    f"{self.seconds / self.step:.2f} s a step",
                    flush=True,
                )
            if self.step % 200 == 0 or self.step == self.steps:
                self.save()
        student = Student(self.net.channels)
        student.load_state_dict(self.average)
        return student.to(self.device).eval().requires_grad_(False)

    def save(self) -> None:
        from safetensors.torch import save

        tensors = {f"net.{k}": v for k, v in self.net.state_dict().items()}
        tensors |= {f"ema.{k}": v for k, v in self.average.items()}
        for name, p in self.net.named_parameters():
            tensors |= {f"adam.{k}.{name}": v for k, v in self.adam.state[p].items()}
        tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
        about = {"step": self.step, "seconds": self.seconds, "losses": self.losses}
        self.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.file) as path:
            path.write_bytes(save(tensors, metadata={"run": json.dumps(about)}))

    def restore(self) -> None:
        from safetensors import safe_open

        with safe_open(self.file, framework="pt", device=str(self.device)) as file:
            about = json.loads(file.metadata()["run"])
            tensors = {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118
        self.net.load_state_dict({k: tensors[f"net.{k}"] for k in self.net.state_dict()})
        self.average = {k: _like(tensors[f"ema.{k}"], v) for k, v in self.average.items()}
        for name, p in self.net.named_parameters():
            moments = {k: tensors[f"adam.{k}.{name}"] for k in ("step", "exp_avg", "exp_avg_sq")}
            moments |= {k: _like(moments[k], p) for k in ("exp_avg", "exp_avg_sq")}
            self.adam.state[p] = moments
        self.step, self.seconds = int(about["step"]), float(about["seconds"])
        self.losses = list(about["losses"])


def in_memory_order(net: Any) -> Any:
    """The same network with its convolution weights channels last in memory."""
    return net.to(memory_format=torch.channels_last_3d)


def _like(tensor: Tensor, other: Tensor) -> Tensor:
    """A copy in the memory format of the other tensor."""
    return torch.empty_like(other, requires_grad=False).copy_(tensor)


def read_weights(file: Path) -> dict[str, Tensor]:
    """The averaged weights of a checkpoint."""
    from safetensors import safe_open

    with safe_open(file, framework="pt") as f:
        return {k[4:]: f.get_tensor(k) for k in f.keys() if k.startswith("ema.")}  # noqa: SIM118


def encode_volumes(labels: Tensor, phases: int) -> Tensor:
    """Labels (B, z, y, x) to channels (B, C, z, y, x)."""
    b, z, y, x = labels.shape
    flat = encode(labels.reshape(b, z * y, x), phases)
    return flat.reshape(b, flat.shape[1], z, y, x)


# ---------------------------------------------------------------------------------- the sampler


@dataclass(frozen=True)
class Way:
    """How a student is sampled."""

    passes: int
    variance: str = "posterior"  # or "none": DDIM
    spacing: float = 2.0
    temperature: float = 1.0  # scale of the noise that a step draws

    @property
    def name(self) -> str:
        rest = "" if self.spacing == 2 else f"-spacing{self.spacing:g}"
        rest += "" if self.temperature == 1 else f"-temperature{self.temperature:g}"
        return f"{'DDIM' if self.variance == 'none' else 'ancestral'}-{self.passes}{rest}"


@dataclass(frozen=True)
class Pupil:
    """A trained student and what sampling it needs."""

    net: Student  # in the precision that it samples in
    digest: str
    lesson: str
    schedule: Schedule
    fractions: np.ndarray
    device: torch.device
    learnt_from: list[m3.Microstructure]

    @torch.inference_mode()
    def volume(
        self, shape: tuple[int, int, int], way: Way, seed: int, periodic: bool = False
    ) -> m3.Microstructure:
        """One volume, one pass of the network a step; as in the fast sampler, x_T has its true law,
        the predicted x0 is clipped, its mean held by odds, and the fractions are matched."""
        begun = time.perf_counter()
        phases = len(self.fractions)
        if periodic and any(n % STRIDE for n in shape):
            raise ValueError(f"`shape` must be multiples of {STRIDE} if periodic, got {shape}")
        inside = tuple(slice(n) for n in shape)
        self.net.set_periodic((periodic,) * 3)
        dtype = self.net.enter.weight.dtype
        generator = torch.Generator().manual_seed(seed)
        size = (1, self.net.channels, *(-(-n // STRIDE) * STRIDE for n in shape))
        mean = torch.from_numpy(mean_field(self.fractions)).float().to(self.device)
        times = self.schedule.respaced(way.passes, way.spacing)
        bar = float(self.schedule.alpha_bar[times[0]])
        z = torch.randn(size, generator=generator).to(self.device)
        x = bar**0.5 * mean[None, :, None, None, None] + (1 - bar) ** 0.5 * z
        w = torch.zeros_like(mean)
        for t, s in itertools.pairwise([*times, 0]):
            told = torch.tensor([t], device=self.device)
            x_net = x.to(dtype).contiguous(memory_format=torch.channels_last_3d)
            p, q = self.schedule.x0_from(t, "v")
            x0 = (p * x + q * self.net(x_net, told).float()).clamp(-0.999, 0.999)
            flat = x0.flatten(3)  # (1, C, z, y x): what `tilted` takes
            part = x0[(..., *inside)].flatten(3)
            for _ in range(4):  # Newton's method from the w of the last pass
                now = tilted(part, w)
                slope = 1 - now.square().mean((0, 2, 3))
                w = w + ((mean - now.mean((0, 2, 3))) / slope.clamp_min(1e-3)).clamp(-0.5, 0.5)
            x0 = tilted(flat, w).view(size)
            if s == 0:
                x = x0
                break
            a, b = self.schedule.posterior(t, s, deterministic=way.variance == "none")
            x = a * x + b * x0
            noise = way.temperature * self.schedule.variance(t, s, way.variance) ** 0.5
            if noise:
                x += noise * torch.randn(size, generator=generator).to(self.device)
        result = x[0][(..., *inside)].float().cpu().numpy()
        raw = labels_of(result, phases)
        labels, _ = final_labels(result, phases, self.fractions, periodic=(periodic,) * 3)
        return m3.Microstructure(
            labels,
            provenance={
                "student": self.digest,
                "lesson": self.lesson,
                "passes": way.passes,
                "variance": way.variance,
                "spacing": way.spacing,
                "temperature": way.temperature,
                "periodic": periodic,
                "seed": seed,
                "raw_volume_fractions": m3.volume_fractions(raw).tolist(),
                "seconds": time.perf_counter() - begun,
            },
            fields={"raw_labels": raw},
        )


def student_volumes(
    pupil: Pupil, folder: Path, way: Way, seeds: Sequence[int], side: int, periodic: bool = False
) -> list[m3.Microstructure]:
    """Volumes of a student, those that the same weights made read from disk."""
    out = folder / f"student-{pupil.lesson}"
    out.mkdir(parents=True, exist_ok=True)
    made = []
    for seed in seeds:
        file = out / f"{way.name}-{side}{'-periodic' if periodic else ''}-{seed}.npz"
        if file.exists():
            volume = m3.Microstructure.load(file)
            if volume.provenance["student"] == pupil.digest:
                made.append(volume)
                continue
        volume = pupil.volume((side,) * 3, way, seed, periodic)
        volume.save(file)
        made.append(volume)
    return made


# ---------------------------------------------------------------------------------- the judging


def judged(
    case: Case, name: str, volumes: list[m3.Microstructure], properties: bool
) -> dict[str, Any]:
    """A row of the table, in the words of the study."""
    last = case.phases - 1
    labels = [v.labels for v in volumes]
    row: dict[str, Any] = {
        "material": case.name,
        "variant": name,
        "volumes": len(volumes),
        "passes": volumes[0].provenance["passes"],
        "seconds": float(np.median([v.provenance["seconds"] for v in volumes])),
        "matched": curve_errors(labels, case.truth),
        "shape": quartiles([shape_numbers(v, last) for v in labels]),
    }
    if all("raw_labels" in v.fields for v in volumes):
        fractions = np.array([v.provenance["raw_volume_fractions"] for v in volumes])
        row["raw"] = curve_errors([v.fields["raw_labels"] for v in volumes], case.truth)
        row["raw fraction"] = fractions.mean(axis=0).tolist()
        row["raw fraction deviation"] = fractions.std(axis=0, ddof=1).tolist()
    if properties:
        row["properties"] = quartiles([property_numbers(v, case.material) for v in labels])
    return row


def line(row: dict[str, Any]) -> str:
    """A row of the Markdown table."""
    m = row["matched"]
    s2, lp = (" ".join(f"{m[f'{f} {p}']['error']:.3f}" for p in PLANES) for f in ("S2", "L"))
    between = [
        f"({np.mean([m[f'{f} {p}']['low'] for p in PLANES]):.3f} … "
        f"{np.mean([m[f'{f} {p}']['high'] for p in PLANES]):.3f})"
        for f in ("S2", "L")
    ]
    raw, raw_s2 = "", ""
    if "raw" in row:
        raw = f"{row['raw fraction'][-1]:.3f} ± {row['raw fraction deviation'][-1]:.3f}"
        raw_s2 = " ".join(f"{row['raw'][f'S2 {p}']['error']:.3f}" for p in PLANES)
    shape = row["shape"]
    return (
        f"| {row['variant']} | {row['passes']} | {row['volumes']} | {s2} {between[0]} | "
        f"{lp} {between[1]} | {raw_s2} | {raw} | {100 * shape['islands'][1]:.2f} | "
        f"{shape['specific surface'][1]:.3f} | {shape['percolating share'][1]:.3f} |"
    )


HEADER = (
    "| variant | passes | n | S2 xy xz yz (interval) | L xy xz yz (interval) | raw S2 | "
    "raw fraction ± | islands % | surface | percolating |\n" + "|---" * 10 + "|"
)


def mismatches(volumes: list[m3.Microstructure]) -> dict[str, list[float]]:
    """Wrap-face mismatch of each axis: mean over volumes, and the standard error of that mean."""
    out = {}
    for axis in "zyx":
        found = np.array([face_mismatch(v.labels, axis)[0] for v in volumes])
        out[axis] = [float(found.mean()), float(found.std(ddof=1) / len(found) ** 0.5)]
    return out


def timed(case: Case, pupil: Pupil, ways: Sequence[Way], side: int) -> dict[str, dict[str, Any]]:
    """Seconds a volume, teacher and student taking turns; how good large volumes are.

    Processor seconds of the one process stand beside those of the clock: a machine that others use
    too does not lengthen them by much.
    """
    model = case.model("v-linear")

    def teacher(seed: int) -> m3.Microstructure:
        device = case.arguments.device
        return m3.reconstruct((side,) * 3, model, seed=seed, device=device, **TEACHER)

    makers: dict[str, Callable[[int], m3.Microstructure]] = {
        way.name: functools.partial(pupil.volume, (side,) * 3, way) for way in ways
    }
    makers["teacher"] = teacher
    rows: dict[str, dict[str, Any]] = {
        name: {"student": pupil.digest, "seconds": [], "processor seconds": []} for name in makers
    }
    for seed in range(3 if side <= SIDE else 1):
        for name, make in makers.items():
            clock, processor = time.perf_counter(), time.process_time()
            labels = make(seed).labels
            rows[name]["seconds"].append(time.perf_counter() - clock)
            rows[name]["processor seconds"].append(time.process_time() - processor)
            if side > SIDE:
                rows[name]["matched"] = curve_errors([labels], case.truth)
                rows[name]["islands"] = shape_numbers(labels, case.phases - 1)["islands"]
    return rows


# ----------------------------------------------------------------------------------- the figure


def figure(case: Case, rows: dict[str, Any], folder: Path, best: Way) -> Any:
    """Middle sections of truth, teacher and student; error against passes."""
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    from micro3d_fast.report._palette import PHASE_COLOURS

    teacher = m3.Microstructure.load(folder / "teacher-plain-open" / "0.npz")
    student = m3.Microstructure.load(folder / f"student-plain/{best.name}-{SIDE}-0.npz")
    pictures = {
        "truth": case.truth[:SIDE, :SIDE, :SIDE],
        f"teacher, {teacher.provenance['passes']} passes": teacher.labels,
        f"student, {best.passes} passes": student.labels,
    }
    canvas = Figure(figsize=(9.6, 5.2), layout="constrained")
    parts: Any = canvas.subfigures(1, 2, width_ratios=(1.25, 1))
    left, right = parts
    colours = ListedColormap(PHASE_COLOURS[: case.phases])
    axes = left.subplots(3, 3)
    for row, (title, labels) in zip(axes, pictures.items(), strict=True):
        for axis, plane, ax in zip(range(3), PLANES, row, strict=True):
            image = labels.take(SIDE // 2, axis)
            ax.imshow(image, cmap=colours, vmin=0, vmax=case.phases - 1, interpolation="nearest")
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{title}, {plane}" if axis == 0 else plane, fontsize=8)
    cool = f"-temperature{best.temperature:g}"
    kinds = {
        r"teacher-\d+": ("#2f74a8", "s", "teacher"),
        r"plain ancestral-\d+": ("#e3963e", "o", "student"),
        rf"plain ancestral-\d+{cool}": (
            "#7b3f2a",
            "o",
            f"student, temperature {best.temperature:g}",
        ),
        r"plain DDIM-\d+": ("#999999", "^", "student, DDIM"),
        r"guided ancestral-\d+": ("#2f9e83", "o", "student of guided teacher"),
    }
    curves = right.subplots(2, 1, sharex=True)
    for ax, function in zip(curves, ("S2", "L"), strict=True):

        def mean(row: dict[str, Any], what: str, function: str = function) -> float:
            return float(np.mean([row["matched"][f"{function} {p}"][what] for p in PLANES]))

        scatter = 0.0
        for kind, (colour, marker, label) in kinds.items():
            found = sorted(
                (r for r in rows.values() if re.fullmatch(kind, r.get("variant", ""))),
                key=lambda r: r["passes"],
            )
            if not found:
                continue
            scatter = mean(found[0], "scatter")
            x, y = [r["passes"] for r in found], [mean(r, "error") for r in found]
            down = [max(0.0, v - mean(r, "low")) for v, r in zip(y, found, strict=True)]
            up = [max(0.0, mean(r, "high") - v) for v, r in zip(y, found, strict=True)]
            ax.errorbar(
                x, y, (down, up), color=colour, marker=marker, ms=4, lw=1.2, capsize=2, label=label
            )
        ax.axhline(scatter, color="#555555", lw=1, ls="--", label="as many real blocks")
        ax.set(
            xscale="log",
            yscale="log",
            ylabel=f"relative error of ${'S_2' if function == 'S2' else 'L'}$, matched",
        )
        ax.set_xticks([4, 6, 8, 12, 16, 24, 43], ["4", "6", "8", "12", "16", "24", "43"])
        ax.set_yticks([0.01, 0.02, 0.05, 0.1, 0.2], ["1 %", "2 %", "5 %", "10 %", "20 %"])
        ax.minorticks_off()
        ax.grid(alpha=0.2)
    curves[1].set_xlabel("passes of the network")
    curves[0].legend(fontsize=7)
    return canvas


# -------------------------------------------------------------------------------------- the run


def learn(case: Case, lesson: str, arguments: argparse.Namespace, table: Table) -> Pupil:
    """The student of a lesson, trained if need be."""
    folder: Path = arguments.out / case.name
    count = arguments.volumes if lesson != "guided" else arguments.guided
    seeds = range(FIRST_SEED, FIRST_SEED + count)
    teacher = teacher_volumes(case, lesson, folder, seeds, True)
    model = case.model("v-linear")
    device = torch.device(arguments.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    school = School(
        np.stack([v.labels for v in teacher]),
        case.phases,
        model.schedule,
        folder / f"student-{lesson}",
        device,
        arguments.steps if lesson == "plain" else arguments.more,
        start=None if lesson == "plain" else folder / "student-plain/checkpoint.safetensors",
    )
    net = school.run()
    state = net.state_dict()
    digest = hashlib.sha256(b"".join(v.float().cpu().numpy().tobytes() for v in state.values()))
    key = f"{case.name} | {lesson} training"
    row = {
        "parameters": sum(p.numel() for p in net.parameters()),
        "volumes": count,
        "teacher seconds a volume": float(np.median([v.provenance["seconds"] for v in teacher])),
        "steps": school.step,
        "seconds": school.seconds,
        "loss": float(np.mean(school.losses[-100:])),
        "student": digest.hexdigest()[:12],
    }
    if table.rows.get(key, {}).get("student") != row["student"]:
        table.put(key, row)
        table.put(  # what was learnt from, judged with the little scatter of so many
            f"{case.name} | {lesson} lesson",
            judged(case, f"{lesson} lesson", teacher, False),
        )
    print(row, flush=True)
    return Pupil(
        in_memory_order(net.to(device, torch.bfloat16)),
        row["student"],
        lesson,
        model.schedule,
        np.asarray(model.volume_fractions),
        device,
        teacher,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--material", choices=list(MATERIALS), default="level-cut")
    parser.add_argument("--lessons", nargs="+", choices=list(LESSONS), default=["plain"])
    parser.add_argument("--runs", type=Path, default=Path("runs/study"), help="of study.py")
    parser.add_argument("--out", type=Path, default=Path("runs/student"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--steps", type=int, default=1000, help="of the plain student's training")
    parser.add_argument("--more", type=int, default=250, help="steps of the others, from there")
    parser.add_argument("--volumes", type=int, default=64, help="of the teacher, to learn from")
    parser.add_argument("--guided", type=int, default=24, help="volumes of the guided teacher")
    parser.add_argument("--seeds", type=int, default=8, help="volumes judged a case")
    parser.add_argument("--passes", type=int, nargs="*", default=[4, 6, 8, 12, 16, 24, 43])
    parser.add_argument("--ddim", type=int, nargs="*", default=[12, 24])
    parser.add_argument("--temperature", type=float, default=0.9, help="beside that of 1")
    parser.add_argument("--timed", type=int, nargs="*", default=[], help="passes that are timed")
    parser.add_argument("--sides", type=int, nargs="+", default=[32, 64, 96])
    parser.add_argument("--properties", action="store_true", help="of the best and the teacher")
    parser.add_argument("--figure", type=Path, default=None)
    parser.add_argument("--best", type=int, default=12, help="passes of the figure and so on")
    parser.add_argument("--device", default=None)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    if MATERIALS[arguments.material].box != SIDE:
        parser.error(f"--material must be one judged in boxes of {SIDE}, got {arguments.material}")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    case = Case(
        arguments.material,
        argparse.Namespace(
            data=arguments.data,
            runs=arguments.runs,
            device=arguments.device,
            preset="small",
            steps=None,
            seeds=arguments.seeds,
        ),
    )
    folder: Path = arguments.out / case.name
    table = Table(arguments.out / "student.json")
    seeds = range(arguments.seeds)

    def put(name: str, volumes: list[m3.Microstructure], properties: bool, digest: str) -> None:
        key = f"{case.name} | {name}"
        row = table.rows.get(key, {})
        stale = row.get("made by") != digest or row.get("volumes") != len(volumes)
        if stale or (properties and "properties" not in row):
            table.put(key, {**judged(case, name, volumes, properties), "made by": digest})
        print(line(table.rows[key]), flush=True)

    pupils = [learn(case, lesson, arguments, table) for lesson in arguments.lessons]
    key = f"{case.name} | truth"
    if key in (study := Table(arguments.runs / "study.json").rows):
        table.put(key, study[key])
    measure_truth(case, table, arguments.properties, 12)
    print(HEADER)
    teacher = teacher_volumes(case, "plain", folder, seeds, False)
    put("teacher-43", teacher, arguments.properties, case.model("v-linear").hash)
    put(
        "teacher without islands",
        [cleaned(v, case.phases) for v in teacher],
        False,
        case.model("v-linear").hash,
    )
    for pupil in pupils:
        cool = arguments.temperature
        best = Way(arguments.best, temperature=cool)
        ways = [Way(p) for p in arguments.passes]
        ways += [Way(p, temperature=cool) for p in arguments.passes]
        ways += [Way(p, "none") for p in arguments.ddim]
        if pupil.lesson == "plain":
            ways += [Way(arguments.best, temperature=0.8)]
            ways += [Way(arguments.best, spacing=k) for k in (1.0, 1.5)]
        for way in ways:
            volumes = student_volumes(pupil, folder, way, seeds, SIDE)
            put(
                f"{pupil.lesson} {way.name}",
                volumes,
                arguments.properties and way == best,
                pupil.digest,
            )
        volumes = student_volumes(pupil, folder, best, seeds, SIDE)
        put(
            f"{pupil.lesson} {best.name} without islands",
            [cleaned(v, case.phases) for v in volumes],
            False,
            pupil.digest,
        )
        around = student_volumes(pupil, folder, best, range(4 * len(seeds)), SIDE, periodic=True)
        put(f"{pupil.lesson} {best.name} periodic", around, False, pupil.digest)
        table.put(f"{case.name} | {pupil.lesson} wrap", mismatches(around))
        table.put(f"{case.name} | {pupil.lesson} lesson wrap", mismatches(pupil.learnt_from))
        for of in ("", "lesson "):
            key = f"{case.name} | {pupil.lesson} {of}wrap"
            print(key, table.rows[key], flush=True)
    chosen = [Way(p, temperature=arguments.temperature) for p in arguments.timed]
    for side in arguments.sides if chosen else ():
        key = f"{case.name} | size {side}"
        table.put(key, timed(case, pupils[0], chosen, side))
        print(key, json.dumps(table.rows[key]), flush=True)
    if arguments.figure:
        best = Way(arguments.best, temperature=arguments.temperature)
        drawn = figure(case, table.rows, folder, best)
        drawn.savefig(arguments.figure, dpi=100)


if __name__ == "__main__":
    main()
