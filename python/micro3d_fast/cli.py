# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""The command ``micro3d``: train, calibrate, reconstruct, characterize, homogenize, demo, info.

Results go to stdout, progress and complaints to stderr.  Exit codes: 0 done, 1 failed, 2 bad input,
130 stopped by Ctrl-C.  Bad input gets one sentence; ``--debug`` shows the traceback instead.
Everything heavy is imported inside the commands, so that ``--help`` is quick.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import re
import shlex
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from .micrographs import Micrographs
    from .microstructure import Microstructure

BAD_INPUT, FAILED, INTERRUPTED = 2, 1, 130

app = typer.Typer(
    name="micro3d",
    help=(
        "3D microstructures from 2D micrographs, and the proof that they are right.\n\n"
        "\b\nA first look:\n  micro3d demo --out demo/"
    ),
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


# ------------------------------------------------------------------------------ options in common

Images = Annotated[list[str] | None, typer.Option(metavar="GLOB", show_default=False)]
Phases = Annotated[
    str | None,
    typer.Option(
        metavar="VALUE:PHASE,...",
        help="Grey value to phase, such as 0:0,255:1; or 'labels' if the values are phases.",
    ),
]
Threshold = Annotated[
    str | None,
    typer.Option(help="For grey images: a value, values with commas, 'otsu' or 'multi-otsu'."),
]
PhaseCount = Annotated[
    int | None, typer.Option(help="Number of phases, for --threshold multi-otsu.")
]
PhaseNames = Annotated[str | None, typer.Option(help="Such as matrix,fibre.")]
VoxelSize = Annotated[
    str | None, typer.Option(help="In metres: one number, or dz,dy,dx.", metavar="SIZE")
]
Volume = Annotated[
    Path | None,
    typer.Option(help="Take slices of this volume as micrographs (the paper's protocol)."),
]
ModelName = Annotated[
    str,
    typer.Option(
        help="A directory that train wrote, or fibre-composite, separator, cathode.",
        metavar="NAME_OR_PATH",
    ),
]
Periodic = Annotated[
    str | None, typer.Option(metavar="AXES", help="all, none, or axes such as xy.")
]
PerPlane = Annotated[int, typer.Option(help="Slices of --volume a plane, at most.")]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda or cuda:N; default: cuda where there is one.")
]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


def _images(plane: str, axes: str) -> Any:
    return typer.Option(
        metavar="GLOB",
        help=f"Micrographs of the {plane} plane {axes}: a quoted pattern; may be repeated.",
        show_default=False,
    )


XY = Annotated[list[str] | None, _images("xy", "(rows y, columns x)")]
XZ = Annotated[list[str] | None, _images("xz", "(rows z, columns x)")]
YZ = Annotated[list[str] | None, _images("yz", "(rows z, columns y)")]


# --------------------------------------------------------------------------- errors and Ctrl-C


def _say(words: str) -> None:
    """Print one line to stderr."""
    print(words, file=sys.stderr, flush=True)


def _fail(words: str, code: int = BAD_INPUT) -> NoReturn:
    _say(f"micro3d: {' '.join(words.split())}")
    raise typer.Exit(code)


def _sentence(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.strerror}: {error.filename}"
    words = str(error).removesuffix("; the partial result is in `.partial`")  # no result here
    return words or type(error).__name__


def guarded(**arguments: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Turn what a command raises into one sentence and an exit code.

    ``arguments`` gives the parameter of the command that a Python argument comes from, where the
    two have different names: what the library says of the argument is then said of the option.
    """

    def decorated(command: Callable[..., None]) -> Callable[..., None]:
        def typed(words: str) -> str:
            return _as_typed(words, command.__name__, arguments)

        @functools.wraps(command)
        def run(*args: Any, **options: Any) -> None:
            debug = bool(options.get("debug")) or os.environ.get("MICRO3D_DEBUG", "") not in (
                "",
                "0",
            )
            try:
                with _plain_warnings(typed):
                    command(*args, **options)
            except typer.Exit:
                raise
            except KeyboardInterrupt as error:
                if debug and not isinstance(error, Stopped):
                    raise
                _fail(str(error) or "Stopped; nothing was written.", INTERRUPTED)
            except Exception as error:
                if debug or getattr(error, "format_message", None):  # typer's own refusals
                    raise
                words = typed(_sentence(error))
                if isinstance(
                    error, ValueError | TypeError | FileNotFoundError | IsADirectoryError
                ):
                    _fail(words)
                if isinstance(error, OSError | ImportError | ArithmeticError | RuntimeError):
                    _fail(words, FAILED)
                if isinstance(error, MemoryError):
                    _fail(f"Not enough memory: {words}", FAILED)
                kind = type(error).__name__
                _fail(f"Unexpected {kind}: {words} (--debug shows where)", FAILED)

        return run

    return decorated


def _as_typed(words: str, command: str, arguments: Mapping[str, str]) -> str:
    """Arguments in backquotes as the options of the command, maps and None as they are typed.

    The command's own table tells what is typed for a parameter.  A name behind 'FILE: ' is one of
    the file.
    """
    group: Any = typer.main.get_command(app)
    table = {
        parameter.name: parameter.opts[0] if parameter.opts[0][0] == "-" else parameter.metavar
        for parameter in group.commands[command].params
    }
    table |= {argument: table[parameter] for argument, parameter in arguments.items()}

    def option(found: re.Match[str]) -> str:
        name, index = found[2], found[3]
        if found[1] or not (name + index in table or name in table):
            return found[0]
        return table.get(name + index) or table[name] + index

    words = re.sub(r"\{([\d.]+: \d+(?:, [\d.]+: \d+)*)\}", lambda m: m[1].replace(" ", ""), words)
    words = re.sub(r"(: )?`([^`\[]+)([^`]*)`", option, words)
    return re.sub(r"(--[\w-]+ must be) None\b", r"\1 left out", words)


IMAGES = {f"images[{plane!r}]": plane for plane in ("xy", "xz", "yz")}


class Stopped(KeyboardInterrupt):
    """Ctrl-C, with words about what to do next."""


@contextlib.contextmanager
def _plain_warnings(typed: Callable[[str], str]) -> Iterator[None]:
    def show(message: Warning | str, category: type[Warning], *_: Any) -> None:
        _say(f"warning: {' '.join(typed(str(message)).split())}")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield


class CtrlC:
    """Let the first Ctrl-C end the work at the next whole step, the second at once."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> CtrlC:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._heard)
        return self

    def __exit__(self, *_: Any) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _heard(self, *_: Any) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def check(self) -> None:
        """Raise KeyboardInterrupt if it was asked for."""
        if self.asked:
            raise KeyboardInterrupt


class Progress:
    """A progress bar with loss and ETA; plain lines where stderr is not a terminal.

    Called with the events of ``train`` (step, steps, loss, eta) and ``reconstruct`` (pass_index,
    passes, eta).
    """

    def __init__(self, title: str, check: Callable[[], None] = lambda: None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
        from rich.progress import Progress as Bar

        self.title, self.check = title, check
        console = Console(stderr=True)
        self.bar: Any = None
        if console.is_terminal:
            self.bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(bar_width=32),
                MofNCompleteColumn(),
                TextColumn("{task.fields[words]}"),
                console=console,
                transient=False,
            )
            self.task = self.bar.add_task(title, total=None, words="")
        self.said = -1

    def __enter__(self) -> Progress:
        if self.bar is not None:
            self.bar.start()
        return self

    def __exit__(self, *_: Any) -> None:
        if self.bar is not None:
            self.bar.stop()

    def __call__(self, event: dict[str, Any]) -> None:
        """Show an event, then stop if Ctrl-C was pressed."""
        done = int(event.get("step", event.get("pass_index", 0)))
        total = int(event.get("steps", event.get("passes", 0))) or None
        words = []
        if event.get("loss") is not None:
            words.append(f"loss {event['loss']:.4f}")
        if event.get("eta") is not None:
            words.append(f"{_clock(float(event['eta']))} left")
        if self.bar is not None:
            self.bar.update(self.task, completed=done, total=total, words="  ".join(words))
        elif total:
            tenth = 10 * done // total
            if tenth > self.said:
                self.said = tenth
                _say(f"{self.title} {done}/{total}  {'  '.join(words)}")
        self.check()

    def solver(self, event: Any) -> None:
        """Show the progress of a solver: problem, loads, iteration, residual."""
        if self.bar is not None:
            loads = ", ".join(event.loads)
            words = f"iteration {event.iteration}, residual {event.residual:.1e} of {event.tol:.0e}"
            self.bar.update(self.task, description=f"{event.problem} {loads}", words=words)
        self.check()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


# ------------------------------------------------------------------------------ reading of options


def read_phases(text: str | None) -> dict[float, int] | str | None:
    """``"0:0,255:1"`` as a mapping; ``"labels"`` and nothing as they are."""
    if text is None or text == "labels":
        return text
    phases: dict[float, int] = {}
    for pair in text.split(","):
        value, colon, phase = pair.partition(":")
        try:
            if not colon:
                raise ValueError
            number = float(value)
            key = int(number) if number.is_integer() else number
            if key in phases:
                _fail(f"--phases must name each value once, got {text!r}")
            phases[key] = int(phase)
        except ValueError:
            _fail(
                f"--phases must be VALUE:PHASE pairs such as 0:0,255:1, or 'labels', got {text!r}"
            )
    return phases


def read_numbers(text: str, option: str, kind: type = float) -> list[Any]:
    """``"64,64,64"`` (or with x between) as numbers."""
    separator = "x" if kind is int and "," not in text else ","
    try:
        return [kind(item) for item in text.split(separator)]
    except ValueError:
        wanted = "whole numbers" if kind is int else "numbers"
        _fail(f"{option} must be {wanted} with commas between, got {text!r}")


def read_shape(text: str) -> tuple[int, ...]:
    """``"64,64,64"``, ``"64x64x64"`` or ``"64"`` as (nz, ny, nx)."""
    numbers = read_numbers(text, "--shape", int)
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or min(numbers) < 1:
        _fail(f"--shape must be one or three positive whole numbers nz,ny,nx, got {text!r}")
    return tuple(numbers)


def read_voxel_size(text: str | None) -> float | tuple[float, ...] | None:
    """``"1e-6"`` or ``"2e-6,1e-6,1e-6"`` (dz, dy, dx)."""
    if text is None:
        return None
    numbers = read_numbers(text, "--voxel-size")
    if len(numbers) not in (1, 3) or not all(0 < n < float("inf") for n in numbers):
        _fail(f"--voxel-size must be a positive number of metres or three dz,dy,dx, got {text!r}")
    return numbers[0] if len(numbers) == 1 else tuple(numbers)


def read_threshold(text: str | None) -> float | list[float] | str | None:
    """A number, numbers, or the name of a method."""
    if text is None or text in ("otsu", "multi-otsu"):
        return text
    numbers = read_numbers(text, "--threshold")
    return numbers[0] if len(numbers) == 1 else numbers


def read_periodic(text: str | None) -> tuple[bool, bool, bool]:
    """``"all"``, ``"none"`` or axes such as ``"xy"``, as one bool for z, y and x."""
    if text in (None, "none"):
        return (False, False, False)
    if text == "all":
        return (True, True, True)
    if not text or not set(text) <= set("xyz"):
        _fail(f"--periodic must be all, none, or axes such as xy, got {text!r}")
    return ("z" in text, "y" in text, "x" in text)


def read_fractions(text: str) -> str | list[float] | None:
    """``"auto"``, ``"raw"`` or one number a phase."""
    if text == "auto":
        return text
    return None if text == "raw" else read_numbers(text, "--fractions")


def read_window(text: str) -> int | str | None:
    """``"auto"``, ``"none"`` or a number of pixels."""
    if text in ("auto", "none"):
        return None if text == "none" else text
    if not text.isdecimal():
        _fail(f"--window must be auto, none or a number of pixels, got {text!r}")
    return int(text)


def read_harmonize(text: str | None) -> int | list[int] | None:
    """``"4"``, or ``"1,2,0"``: one number a step."""
    if text is None:
        return None
    numbers = read_numbers(text, "--harmonize", int)
    return numbers[0] if len(numbers) == 1 else numbers


def read_names(text: str | None) -> list[str] | None:
    """``"matrix,fibre"`` as names."""
    return None if text is None else [name.strip() for name in text.split(",")]


def load_micrographs(
    planes: dict[str, list[str] | None],
    volume: Path | None,
    images_per_plane: int,
    *,
    phases: str | None = None,
    threshold: str | None = None,
    n_phases: int | None = None,
    phase_names: Sequence[str] | None = None,
    voxel_size: float | tuple[float, ...] | None = None,
    seed: int = 0,
) -> Micrographs | None:
    """Micrographs from the options of a command; None where none were given."""
    from .micrographs import Micrographs

    given = {plane: patterns for plane, patterns in planes.items() if patterns}
    if volume is not None:
        if given:
            _fail("--volume must stand alone, without --xy, --xz or --yz")
        if threshold is not None:
            _fail("--threshold is for micrographs; a --volume must hold labels (see --phases)")
        solid = load_volume(volume, "volume", voxel_size, phase_names, phases)
        return Micrographs.from_volume(solid, images_per_plane, seed=seed)
    if not given:
        return None
    return Micrographs.load(
        {plane: list(patterns) for plane, patterns in given.items()},
        phases=read_phases(phases),
        voxel_size=1.0 if voxel_size is None else voxel_size,
        phase_names=phase_names,
        threshold=read_threshold(threshold),
        n_phases=n_phases,
    )


def load_volume(
    path: Path,
    parameter: str,
    voxel_size: float | tuple[float, ...] | None = None,
    phase_names: Sequence[str] | None = None,
    phases: str | None = None,
) -> Microstructure:
    """Read the volume that a parameter of the command names, with the overrides of the others."""
    from . import io

    mapping = read_phases(phases)
    try:
        return io.load(
            path,
            voxel_size=voxel_size,
            phase_names=phase_names,
            phases=None if isinstance(mapping, str) else mapping,
        )
    except (ValueError, FileNotFoundError) as error:
        words = str(error).replace("`path`", f"`{parameter}`")
        error.args = (words.replace("`shape`", "its shape"),)  # of a file, not of what is made
        raise


def check_output(path: Path, *, folder: bool, option: str = "--out") -> Path:
    """Refuse, before hours of work, a place where the result cannot be written."""
    if folder and path.exists() and not path.is_dir():
        _fail(f"{option} must be a directory, got the file {path}")
    if not folder and path.is_dir() and path.suffix != ".zarr":
        _fail(f"{option} must be a file, got the directory {path}")
    for parent in path.parents:
        if parent.exists() and not parent.is_dir():
            _fail(f"{option} must lie in a directory, got {path} in the file {parent}")
    if not folder:
        from .io import WRITABLE

        if path.suffix.lower() not in WRITABLE:
            _fail(f"{option} must end in {', '.join(WRITABLE)}, got {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
    return path


# -------------------------------------------------------------------------------------- commands


def _version(asked: bool) -> None:
    if asked:
        from . import __version__

        print(f"micro3d-fast {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    del version


@app.command(short_help="Train a model on micrographs.")
@guarded(labels="volume", **IMAGES)
def train(
    out: Annotated[Path, typer.Option(help="Directory of the run; resumed if it holds one.")],
    xy: XY = None,
    xz: XZ = None,
    yz: YZ = None,
    volume: Volume = None,
    images_per_plane: PerPlane = 300,
    phases: Phases = None,
    threshold: Threshold = None,
    n_phases: PhaseCount = None,
    phase_names: PhaseNames = None,
    voxel_size: VoxelSize = None,
    preset: Annotated[str, typer.Option(help="small, base or paper.")] = "small",
    patch: Annotated[int, typer.Option(help="Side of the training crops, in pixels.")] = 64,
    steps: Annotated[int | None, typer.Option(help="Default: the preset's.")] = None,
    batch_size: Annotated[int, typer.Option(help="Crops a step.")] = 32,
    fraction_condition: Annotated[
        bool,
        typer.Option("--fraction-condition", help="Teach it to follow phase fractions it is told."),
    ] = False,
    device: Device = None,
    seed: Seed = 0,
    resume: Annotated[bool, typer.Option(help="Go on with the run in --out, or refuse it.")] = True,
    debug: Debug = False,
) -> None:
    """Train a model on the micrographs of one, two or three planes.

    One plane stands for an isotropic material, two for a transversely isotropic one. Ctrl-C saves
    a checkpoint; the same command goes on from it.

    \b
    Examples:
      micro3d train --xy 'a/*.png' --xz 'b/*.png' --yz 'c/*.png' \\
          --phases 0:0,255:1 --voxel-size 1e-6 --out run/
      micro3d train --volume tomogram.tif --images-per-plane 300 --out run/
    """
    check_output(out, folder=True)
    micrographs = load_micrographs(
        {"xy": xy, "xz": xz, "yz": yz},
        volume,
        images_per_plane,
        phases=phases,
        threshold=threshold,
        n_phases=n_phases,
        phase_names=read_names(phase_names),
        voxel_size=read_voxel_size(voxel_size),
        seed=seed,
    )
    if micrographs is None:
        _fail("train needs micrographs: give --xy, --xz and --yz (one, two or three), or --volume")
    _say(str(micrographs))

    from . import diffusion

    with CtrlC() as ctrl_c, Progress("training", ctrl_c.check) as progress:
        last: dict[str, Any] = {}

        def follow(event: dict[str, Any]) -> None:
            last.update(event)
            progress(event)

        try:
            model = diffusion.train(
                micrographs,
                out,
                preset=preset,
                patch=patch,
                steps=steps,
                batch_size=batch_size,
                fraction_condition=fraction_condition,
                device=device,
                seed=seed,
                resume=resume,
                callback=follow,
            )
        except KeyboardInterrupt as error:
            at = f" at step {last['step']} of {last['steps']}" if "step" in last else ""
            raise Stopped(
                f"Stopped{at}; the state is saved in {out}. To go on: {_same_command()}"
            ) from error
    print(model)
    print(f"Model in {out / 'model'}. Next: micro3d reconstruct --model {shlex.quote(str(out))} "
          "--shape 64,64,64 --out volume.tif")  # fmt: skip


def _same_command() -> str:
    words = [word for word in sys.argv[1:] if word != "--no-resume"]
    return shlex.join(["micro3d", *words])


@app.command(short_help="Find how often to harmonize.")
@guarded(
    path_or_bundled_name="model",
    volume_shape="shape",
    labels="volume",
    **IMAGES,
)
def calibrate(
    model: ModelName,
    shape: Annotated[
        str | None,
        typer.Option(metavar="NZ,NY,NX", help="Of the volumes; default: the training patch."),
    ] = None,
    volumes: Annotated[int, typer.Option(help="Made of each choice.")] = 2,
    save: Annotated[
        bool, typer.Option("--save", help="Keep what is found in --model, as its default.")
    ] = False,
    seed: Seed = 0,
    periodic: Periodic = None,
    device: Device = None,
    xy: XY = None,
    xz: XZ = None,
    yz: YZ = None,
    volume: Annotated[Path | None, typer.Option(help="Instead: slices of this volume.")] = None,
    images_per_plane: PerPlane = 300,
    phases: Phases = None,
    threshold: Threshold = None,
    n_phases: PhaseCount = None,
    debug: Debug = False,
) -> None:
    """Choose the harmonizing passes of the fast sampler for one model.

    Small volumes are made by several choices and compared with the micrographs. With --save, the
    model makes its volumes so from then on; else give what is printed to reconstruct.

    \b
    Examples:
      micro3d calibrate --model run/ --xy 'xy/*.png' --xz 'xz/*.png' --yz 'yz/*.png' \\
          --phases 0:0,255:1 --save
      micro3d calibrate --model run/ --volume tomogram.tif --shape 48,48,48
    """
    sizes = None if shape is None else read_shape(shape)
    wrap = read_periodic(periodic)

    from .calibration import calibrate as found_by
    from .diffusion import load_model
    from .diffusion.checkpoint import keep_harmonize, model_directory

    loaded = load_model(model)
    directory = model_directory(model)
    if save and not Path(model).exists():
        _fail(f"--model must be a directory where --save is given, got {model}")
    micrographs = load_micrographs(
        {"xy": xy, "xz": xz, "yz": yz},
        volume,
        images_per_plane,
        phases=phases,
        threshold=threshold,
        n_phases=n_phases,
        voxel_size=loaded.voxel_size,
    )
    if micrographs is None:
        _fail("calibrate needs micrographs: give those of training, or --volume")
    with CtrlC() as ctrl_c, Progress("calibrating", ctrl_c.check) as progress:
        found = found_by(
            loaded,
            micrographs,
            volume_shape=sizes,
            volumes=volumes,
            seed=seed,
            periodic=wrap,
            device=device,
            callback=progress,
        )
    print(found)
    if save:
        keep_harmonize(directory, found.harmonize)
        print(f"Kept in {directory}.")
    repeats = "" if save else "--harmonize " + ",".join(map(str, found.harmonize)) + " "
    print(f"Next: micro3d reconstruct --model {shlex.quote(model)} {repeats}--out volume.tif")


@app.command(short_help="Make a volume with a model.")
@guarded(
    path_or_bundled_name="model",
    volume_shape="shape",
    volume_fractions="fractions",
    seeds="seed",
    phase_names="model",  # names come from it
    labels="volume",
    **IMAGES,
)
def reconstruct(
    model: ModelName,
    out: Annotated[Path, typer.Option(help="File to write: .tif, .npz, .vti, .h5, ...")],
    shape: Annotated[
        str, typer.Option(metavar="NZ,NY,NX", help="Voxels along z, y, x.")
    ] = "64,64,64",
    seed: Seed = 0,
    count: Annotated[
        int, typer.Option(help="Volumes to make, of this seed and the next; --out gets the seed.")
    ] = 1,
    sampler: Annotated[str, typer.Option(help="fast or paper (thousands of passes).")] = "fast",
    quality: Annotated[
        str | None,
        typer.Option(help="draft, standard or high: 22, 38 or 91 passes."),
    ] = None,
    passes: Annotated[
        int | None, typer.Option(help="Another number, rounded to whole steps.")
    ] = None,
    harmonize: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Harmonizing passes of every step but the last, or of each, 0 for the last.",
        ),
    ] = None,
    gamma: Annotated[
        float | None, typer.Option(help="Weight of the harmonized sample, 0 to 1.")
    ] = None,
    guidance: Annotated[
        float, typer.Option(help="Classifier-free guidance; other than 1 costs twice.")
    ] = 1.0,
    periodic: Periodic = None,
    fractions: Annotated[
        str, typer.Option(help="auto, raw, or one fraction a phase with commas between.")
    ] = "auto",
    fraction_condition: Annotated[
        bool | None,
        typer.Option(
            "--fraction-condition/--no-fraction-condition",
            help="Tell a model trained with it the fractions; default: with fractions to match, "
            "where the sampler does not hold the mean itself, as fast does.",
        ),
    ] = None,
    known: Annotated[
        Path | None,
        typer.Option(help="A volume of --shape whose voxels stay; 255 where nothing is known."),
    ] = None,
    remove_islands: Annotated[
        bool, typer.Option("--remove-islands", help="Remove single-voxel islands.")
    ] = False,
    window: Annotated[
        str,
        typer.Option(help="Side of the windows the network sees; auto, or none: whole slices."),
    ] = "auto",
    device: Device = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a report into this directory as well.")
    ] = None,
    xy: XY = None,
    xz: XZ = None,
    yz: YZ = None,
    volume: Annotated[
        Path | None, typer.Option(help="Compare, in the report, with slices of this volume.")
    ] = None,
    images_per_plane: PerPlane = 300,
    phases: Phases = None,
    threshold: Threshold = None,
    n_phases: PhaseCount = None,
    debug: Debug = False,
) -> None:
    """Reconstruct a 3D volume with a trained or a bundled model.

    With --report, and the micrographs (--xy, --xz, --yz, or --volume) to compare it with, the
    proof is written beside it.

    \b
    Examples:
      micro3d reconstruct --model fibre-composite --shape 64,64,64 --out volume.tif
      micro3d reconstruct --model run/ --shape 128,128,128 --periodic all --seed 7 \\
          --out volume.vti --report report/ --volume tomogram.tif
      micro3d reconstruct --model cathode --quality draft --count 8 --out many/volume.tif
    """
    sizes = read_shape(shape)
    wrap = read_periodic(periodic)
    wanted = read_fractions(fractions)
    side = read_window(window)
    repeats = read_harmonize(harmonize)
    check_output(out, folder=False)
    if count < 1:
        _fail(f"--count must be at least 1, got {count}")
    if report is not None:
        check_output(report, folder=True, option="--report")
        if count > 1:
            _fail(f"--count must be 1 where --report is given, got {count}")

    from . import diffusion
    from .diffusion.sampling import counted

    measured = None if known is None else load_volume(known, "known").labels
    loaded = diffusion.load_model(model)
    micrographs = load_micrographs(
        {"xy": xy, "xz": xz, "yz": yz},
        volume,
        images_per_plane,
        phases=phases,
        threshold=threshold,
        n_phases=n_phases,
        phase_names=loaded.phase_names,
        voxel_size=loaded.voxel_size,
    )
    if micrographs is not None and report is None:
        _fail("--report must be given where micrographs are given to compare with")
    with CtrlC() as ctrl_c, Progress("reconstructing", ctrl_c.check) as progress:
        saved: list[Path] = []
        try:
            volumes = diffusion.reconstruct_many(
                sizes,
                loaded,
                range(seed, seed + count),
                sampler=sampler,
                quality=quality,
                passes=passes,
                harmonize=repeats,
                gamma=gamma,
                guidance=guidance,
                periodic=wrap,
                volume_fractions=wanted,
                fraction_condition="auto" if fraction_condition is None else fraction_condition,
                known=measured,
                remove_islands=remove_islands,
                window=side,
                device=device,
                callback=counted(progress, count),
                keep_raw=report is not None,
            )
            for volume_made in volumes:
                made = dataclasses.replace(
                    volume_made, provenance={"model_name": model, **volume_made.provenance}
                )
                name = out.stem if count == 1 else f"{out.stem}-{made.provenance['seed']}"
                dataclasses.replace(made, fields={}).save(out.with_stem(name))
                saved.append(out.with_stem(name))
        except KeyboardInterrupt as error:
            done = "no volume was" if not saved else f"{len(saved)} of {count} volumes were"
            raise Stopped(
                f"Stopped; {done} written. The same command and seed start it again."
            ) from error
    if count == 1:
        print(made)
    for path in saved:
        print(f"Volume in {path}.")
    if report is not None:
        page = _write_report(report, made, micrographs, f"Reconstruction with {Path(model).name}")
        print(f"Report in {page}.")


def _write_report(
    out: Path, made: Microstructure, micrographs: Micrographs | None, title: str, **more: Any
) -> Path:
    from .report import write_report

    timings = {}
    for name, words in (
        ("seconds", "Reconstruction"),
        ("network_seconds", "of which in the network"),
    ):
        if made.provenance.get(name):
            timings[words] = float(made.provenance[name])
    timings |= more.pop("timings", {})
    return write_report(
        out, microstructure=made, micrographs=micrographs, title=title, timings=timings, **more
    )


@app.command(short_help="Measure a volume.")
@guarded(generated="volume", labels="volume")
def characterize(
    volume: Annotated[
        Path, typer.Argument(metavar="VOLUME", help="A labelled volume: .tif, .npz, .vti, ...")
    ],
    out: Annotated[Path, typer.Option(help="Directory for the report and the curves.")],
    reference: Annotated[Path | None, typer.Option(help="Another volume to compare with.")] = None,
    max_lag: Annotated[
        int | None, typer.Option(help="Longest lag in voxels; default: half the volume.")
    ] = None,
    periodic: Annotated[bool, typer.Option(help="The volume repeats along all axes.")] = False,
    phases: Phases = None,
    phase_names: PhaseNames = None,
    voxel_size: VoxelSize = None,
    debug: Debug = False,
) -> None:
    """Measure a volume: fractions, two-point correlations, lineal paths, per phase and axis.

    Writes report.html, report.json and curves.csv. With --reference, the errors stand beside
    what the reference itself scatters.

    \b
    Examples:
      micro3d characterize volume.tif --out result/
      micro3d characterize volume.tif --reference tomogram.tif --out result/
    """
    check_output(out, folder=True)
    names = read_names(phase_names)
    made = load_volume(volume, "volume", read_voxel_size(voxel_size), names, phases)
    truth = None
    if reference is not None:
        truth = load_volume(reference, "reference", None, names, phases)

    from . import report, statistics
    from .report import characterization

    started = time.perf_counter()
    measured = characterization.measure(made, max_lag=max_lag, periodic=periodic)
    seconds = time.perf_counter() - started
    compared: Any = False
    if truth is not None:
        compared = statistics.compare(made, truth)
    out.mkdir(parents=True, exist_ok=True)
    characterization.write_csv(out / "curves.csv", measured)
    page = report.write_report(
        out,
        microstructure=made,
        comparison=compared,
        reference=truth,
        title=f"{volume.name}: spatial statistics",
        timings={"All correlations": seconds},
        extra=characterization.sections(measured),
        verdict=None if truth is not None else characterization.summary(measured),
        reproduce={"On the command line:": _same_command()},
    )
    print(made)
    if truth is not None:
        print(compared.summary())
    print(f"Report in {page}, curves in {out / 'curves.csv'}.")


@app.command(short_help="Effective properties of a volume.")
@guarded(
    labels="volume",
    source="materials",
    conductivities="materials",
    phase="diffusivity",
    axis="axes",
)
def homogenize(
    volume: Annotated[
        Path, typer.Argument(metavar="VOLUME", help="A labelled volume: .tif, .npz, .vti, ...")
    ],
    materials: Annotated[
        str | None,
        typer.Option(
            metavar="FILE_OR_SET",
            help="A .yaml or .json file, or the name of a set that is shipped.",
        ),
    ] = None,
    diffusivity: Annotated[
        str | None,
        typer.Option(
            metavar="PHASES", help="Relative diffusivity of these phases, such as 0 or 0,2."
        ),
    ] = None,
    axes: Annotated[str, typer.Option(help="Axes for --diffusivity.")] = "xyz",
    sides: Annotated[str, typer.Option(help="no-flux or periodic, for --diffusivity.")] = "no-flux",
    out: Annotated[Path | None, typer.Option(help="Write a report into this directory.")] = None,
    tol: Annotated[float, typer.Option(help="Bound of the true relative residual.")] = 1e-6,
    precision: Annotated[str, typer.Option(help="mixed or float64.")] = "mixed",
    bbar: Annotated[bool, typer.Option("--bbar", help="B-bar elements, for nu near 1/2.")] = False,
    phases: Phases = None,
    phase_names: PhaseNames = None,
    voxel_size: VoxelSize = None,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Compute stiffness, thermal expansion, conductivity and relative diffusivity.

    The volume is one period of the material, except for --diffusivity, which stands between two
    plates. What is computed follows from what the materials file gives for each phase.

    \b
    Examples:
      micro3d homogenize volume.tif --materials carbon-epoxy --out result/
      micro3d homogenize volume.tif --materials materials.yaml --diffusivity 0
    """
    if materials is None and diffusivity is None:
        _fail("homogenize needs --materials, --diffusivity, or both")
    if not axes or not set(axes) <= set("xyz") or len(set(axes)) < len(axes):
        _fail(f"--axes must be axes such as xyz, each once, got {axes!r}")
    asked = [] if diffusivity is None else read_numbers(diffusivity, "--diffusivity", int)
    if out is not None:
        check_output(out, folder=True)
    solid = load_volume(
        volume, "volume", read_voxel_size(voxel_size), read_names(phase_names), phases
    )

    from . import homogenization

    chosen = None if materials is None else homogenization.load_materials(materials)
    results: dict[str, Any] = {}
    common: dict[str, Any] = {"tol": tol, "precision": precision, "device": device}
    with CtrlC() as ctrl_c, Progress("solving", ctrl_c.check) as progress:
        common["callback"] = progress.solver
        try:
            if chosen is not None and chosen.materials is not None:
                results["Elasticity"] = homogenization.homogenize_elasticity(
                    solid, chosen.materials, bbar=bbar, **common
                )
            if chosen is not None and chosen.conductivities is not None:
                results["Conductivity"] = homogenization.homogenize_conductivity(
                    solid, chosen.conductivities, **common
                )
            if asked:
                results["Diffusion"] = [
                    homogenization.relative_diffusivity(
                        solid, phase, axis=axis, sides=sides, **common
                    )
                    for phase in asked
                    for axis in axes
                ]
        except KeyboardInterrupt as error:
            raise Stopped("Stopped; no result was written.") from error
    if chosen is not None:
        print(chosen)
    for result in results.values():
        for one in result if isinstance(result, list) else [result]:
            print(one)
    if out is not None:
        from . import report

        notes = {} if chosen is None else {"Materials": [str(chosen.note)]}
        page = report.write_report(
            out,
            microstructure=solid,
            properties=results,
            extra=notes,
            title=f"{volume.name}: effective properties",
            reproduce={"On the command line:": _same_command()},
        )
        print(f"Report in {page}.")


@app.command(short_help="Micrographs to volume to proof, on bundled models.")
@guarded()
def demo(
    out: Annotated[Path, typer.Option(help="Directory for everything that is made.")] = Path(
        "demo"
    ),
    seed: Seed = 1,
    edge: Annotated[int, typer.Option(help="Edge of the volumes, in voxels.")] = 64,
    minutes: Annotated[float, typer.Option(help="Time to stay within.")] = 5.0,
    training_seconds: Annotated[
        float, typer.Option(help="How long to show training from scratch.")
    ] = 60.0,
    device: Device = None,
    debug: Debug = False,
) -> None:
    """Show the main job on three synthetic materials: a fibre composite, a separator, a cathode.

    Writes micrographs of new specimens, trains from scratch for a minute to show how that goes,
    reconstructs volumes with the bundled models, compares them with the micrographs and writes
    a report for each: report.html, separator/report.html, cathode/report.html.

    \b
    Example:
      micro3d demo --out demo/
    """
    check_output(out, folder=True)
    if seed < 0:
        _fail(f"--seed must be at least 0, got {seed}")
    if edge < 16:
        _fail(f"--edge must be at least 16, got {edge}")
    if not 0 < minutes < float("inf"):
        _fail(f"--minutes must be positive, got {minutes}")
    if not 0 < training_seconds < float("inf"):
        _fail(f"--training-seconds must be positive, got {training_seconds}")

    started = time.monotonic()
    from . import _demo

    with CtrlC() as ctrl_c:
        try:
            pages = _demo.run(
                _demo.Run(
                    out=out,
                    seed=seed,
                    edge=edge,
                    deadline=started + 60.0 * minutes,
                    say=print,
                    progress=lambda title: Progress(title, ctrl_c.check),
                    device=device,
                ),
                training_seconds,
            )
        except KeyboardInterrupt as error:
            raise Stopped(f"Stopped; what was finished is in {out}.") from error
    print(f"\nDone in {_clock(time.monotonic() - started)}. Open {pages[0]} in a browser.")


@app.command(short_help="Say what is installed.")
@guarded()
def info(debug: Debug = False) -> None:
    """Say what is installed: versions, CUDA, threads, bundled models.

    \b
    Example:
      micro3d info
    """
    import importlib.util

    from . import _backend
    from .report import software_versions

    rows = [(name, str(value)) for name, value in software_versions().items()]
    rows.append(("CUDA", _backend.cuda_status()))
    if importlib.util.find_spec("torch") is not None:
        import torch

        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        rows.append(("torch devices", ", ".join(["cpu", *(f"cuda:{i}" for i in range(count))])))
        rows.append(("torch threads", str(torch.get_num_threads())))
    for name, words in bundled_models().items():
        rows.append((f"model {name}", words))
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


def bundled_models() -> dict[str, str]:
    """Name of each bundled model to its size, or to what is missing."""
    from .diffusion.checkpoint import BUNDLED, bundled_directory

    found = {}
    for name in BUNDLED:
        folder = bundled_directory(name)
        files = list(folder.glob("*")) if (folder / "model.json").exists() else []
        size = sum(file.stat().st_size for file in files)
        found[name] = f"{size / 1e6:.1f} MB" if files else "not installed"
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    command = typer.main.get_command(app)
    try:
        code = command.main(
            args=None if argv is None else list(argv), prog_name="micro3d", standalone_mode=False
        )
    except typer.Abort:
        return INTERRUPTED
    except KeyboardInterrupt:
        _say("micro3d: Stopped.")
        return INTERRUPTED
    except Exception as error:
        words = getattr(error, "format_message", None)  # typer's own refusals
        if words is None:
            raise
        where = getattr(getattr(error, "ctx", None), "command_path", "micro3d")
        _say(f"{where}: {' '.join(words().split())} (see {where} --help)")
        return int(getattr(error, "exit_code", BAD_INPUT))
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
