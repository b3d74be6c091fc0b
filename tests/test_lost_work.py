# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Work is not lost: full disks, signals, names that are long or not UTF-8, permissions."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

import micro3d_fast as m3
from _toy import tiny_model
from micro3d_fast import _atomic, cli, io, report
from micro3d_fast._errors import DiskFullError
from micro3d_fast.diffusion.termination import Termination

RNG = np.random.default_rng(0)
VOLUME = m3.Microstructure(
    RNG.integers(0, 2, (96, 96, 96)).astype(np.uint8),
    fields={"field": RNG.random((96, 96, 96), dtype=np.float32)},
)
SMALL = m3.Microstructure(VOLUME.labels[:16, :16, :16])
SUFFIXES = (".npy", ".npz", ".tif", ".vti", ".h5", ".zarr", ".raw", ".inp")


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A file system of 64 kB, which only root can make."""
    place = tmp_path_factory.mktemp("disk")
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    try:
        made = subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        made = False
    if not made:
        pytest.skip("needs the right to mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.filterwarnings("ignore:.* does not hold the")
def test_a_volume_on_a_full_disk(small_disk, suffix):
    """The error names the file and the room; nothing half-written stays (HDF5 would crash)."""
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    path = small_disk / f"v{suffix}"
    words = rf"No space left on device: .*v{suffix} needs more than the"
    with pytest.raises(DiskFullError, match=words):
        VOLUME.save(path)
    assert names(small_disk) == []


def test_models_and_reports_on_a_full_disk(small_disk):
    with pytest.raises(DiskFullError, match=r"weights-.*\.safetensors needs more than the"):
        tiny_model().save(small_disk / "model", half=False)
    assert names(small_disk / "model") == []
    with pytest.raises(DiskFullError, match=r"report\.html needs more than the \d+ kB that are"):
        report.write_report(small_disk / "report", microstructure=SMALL)


def test_a_reconstruction_is_kept_in_the_temporary_folder(small_disk, tmp_path, monkeypatch):
    """With a disk that is full only after the work, the volume is found in the message."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (small_disk / "other").write_bytes(b"x" * 45_000)
    arguments = ["reconstruct", "--model", "separator", "--shape", "32,32,32", "--sampler", "draft"]
    result = subprocess.run(
        [sys.executable, "-m", "micro3d_fast", *arguments, "--out", str(small_disk / "v.npy")],
        capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}, check=False,
    )  # fmt: skip
    (small_disk / "other").unlink()
    assert result.returncode == 1, result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(
        f"micro3d: No space left on device: {small_disk}/v.npy needs 33 kB, not the"
    )
    kept = last.split("it is kept as ")[1]
    assert io.load(kept).shape == (32, 32, 32)
    assert Path(kept).is_relative_to(tmp_path)


@contextlib.contextmanager
def full(monkeypatch, place: Path, number: int | None = errno.ENOSPC):
    """Let every flush of a file below ``place`` fail."""
    fsync = _atomic.fsync_file

    def failing(path):
        if Path(path).is_relative_to(place):
            raise OSError(number, "No space left on device") if number else OSError("0 written")
        fsync(path)

    with monkeypatch.context() as patch:
        patch.setattr(_atomic, "fsync_file", failing)
        yield


def test_rescued_writes_into_the_temporary_folder(tmp_path, monkeypatch):
    out, place = tmp_path / "out", tmp_path / "tmp"
    out.mkdir()
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with full(monkeypatch, out), pytest.raises(DiskFullError, match="it is kept as") as caught:
        _atomic.rescued(out / "v.npz", SMALL.save)
    error = pickle.loads(pickle.dumps(caught.value))
    assert (error.path, error.errno) == (str(out / "v.npz"), errno.ENOSPC)
    assert str(error) == str(caught.value)
    assert error.needed == os.path.getsize(error.kept)
    np.testing.assert_array_equal(io.load(error.kept).labels, SMALL.labels)
    assert names(out) == []
    with full(monkeypatch, tmp_path), pytest.raises(DiskFullError, match="more than") as caught:
        _atomic.rescued(out / "w.npz", SMALL.save)
    assert caught.value.kept is None
    assert len(names(place)) == 1  # no empty folders


def test_errors_that_are_no_full_disk_stay(tmp_path, monkeypatch):
    for number in (errno.EIO, None):
        with full(monkeypatch, tmp_path, number), pytest.raises(OSError) as caught:  # noqa: PT011
            SMALL.save(tmp_path / "v.npz")
        assert not isinstance(caught.value, DiskFullError)


def test_training_on_a_full_disk_keeps_its_checkpoint(tmp_path, monkeypatch):
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    images = m3.Micrographs.from_volume(SMALL, 8, seed=0)
    options = {"patch": 16, "batch_size": 2, "device": "cpu", "precision": "float32",
               "samples_every": 0, "steps": 4}  # fmt: skip
    whole = m3.train(images, tmp_path / "whole", **options)

    def fill(event):
        if event["step"] == 2:
            filled.enter_context(full(monkeypatch, tmp_path / "run"))
            raise RuntimeError("of the program")

    with contextlib.ExitStack() as filled, pytest.raises(DiskFullError, match="kept as") as caught:
        m3.train(images, tmp_path / "run", callback=fill, **options)
    os.replace(caught.value.kept, tmp_path / "run" / "checkpoint.safetensors")
    steps: list[int] = []
    resumed = m3.train(
        images, tmp_path / "run", callback=lambda event: steps.append(event["step"]), **options
    )
    assert steps == [3, 4]
    for name, weights in whole.net.state_dict().items():
        assert (weights == resumed.net.state_dict()[name]).all()


TRAINING = """
import os, signal, sys
import numpy as np
import micro3d_fast as m3
labels = np.random.default_rng(0).integers(0, 2, (16, 16, 16)).astype(np.uint8)
images = m3.Micrographs.from_volume(labels, 8, seed=0)
def callback(event):
    if event["step"] == 2:
        os.kill(os.getpid(), getattr(signal, sys.argv[2]))
m3.train(images, sys.argv[1], patch=16, steps=9, batch_size=2, device="cpu", samples_every=0,
         callback=callback)
print("not reached")
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_saves_the_training_of_a_program(tmp_path, name):
    result = subprocess.run(
        [sys.executable, "-c", TRAINING, str(tmp_path / "run"), name], capture_output=True,
        check=False, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )  # fmt: skip
    assert result.returncode == -getattr(signal, name), result.stderr.decode()
    assert b"not reached" not in result.stdout
    record = (tmp_path / "run" / "model" / "model.json").read_text()
    assert "stopped after 3 of 9 steps" in record


def test_signals_of_the_program_and_ignored_ones_are_left_alone(monkeypatch):
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: seen.append(number))
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Termination() as termination:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            termination.check()
        assert seen == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGHUP, ignored)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_stop_a_command(name):
    from micro3d_fast.cli.progress import CtrlC

    number = getattr(signal, name)
    before = signal.signal(number, signal.default_int_handler)
    try:
        with CtrlC() as ctrl_c:
            os.kill(os.getpid(), number)
            with pytest.raises(KeyboardInterrupt):
                ctrl_c.check()
        assert signal.signal(number, signal.SIG_IGN) == signal.default_int_handler
        if name != "SIGINT":
            with CtrlC() as ctrl_c:  # as under nohup
                os.kill(os.getpid(), number)
                ctrl_c.check()
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("suffix", SUFFIXES[:-1])
@pytest.mark.parametrize("name", ["n" * 240, os.fsdecode(b"caf\xe9"), "µ 日本", "a b;$(x)'\""])
@pytest.mark.filterwarnings("ignore:.* does not hold the")
def test_long_and_strange_names(tmp_path, suffix, name):
    if suffix == ".zarr":
        pytest.importorskip("zarr")
    path = tmp_path / f"{name}{suffix}"
    try:
        path.touch()
    except OSError:
        pytest.skip("the file system refuses this name")
    path.unlink()
    for volume in (SMALL, m3.Microstructure(1 - SMALL.labels)):  # new, and replaced
        volume.save(path)
        np.testing.assert_array_equal(io.load(path).labels, volume.labels)


def test_a_directory_with_a_long_name_is_found_after_a_kill(tmp_path):
    target = tmp_path / ("n" * 250)
    with _atomic.atomic_directory(target) as temporary:
        (temporary / "old").write_text("old")
    aside = tmp_path / f".{_atomic._short(target.name)}.a1b2c3_4.old"
    os.rename(target, aside)
    assert _atomic.present_directory(target) == aside
    _atomic.restore_directory(target)
    assert names(target) == ["old"]


def test_models_in_directories_with_strange_names(tmp_path):
    for name in (os.fsdecode(b"caf\xe9"), "n" * 250):
        directory = tmp_path / name
        try:
            directory.mkdir()
        except OSError:
            continue
        tiny_model().save(directory)
        assert m3.load_model(directory).n_phases == 2


def test_permissions_follow_umask_and_those_of_the_file_that_is_replaced(tmp_path):
    before = os.umask(0o027)
    try:
        for suffix in (".npz", ".h5", ".raw"):
            SMALL.save(tmp_path / f"v{suffix}")
            assert (tmp_path / f"v{suffix}").stat().st_mode & 0o777 == 0o640
        tiny_model().save(tmp_path / "model")
        for entry in (tmp_path / "model").iterdir():
            assert entry.stat().st_mode & 0o777 == 0o640
        (tmp_path / "v.npz").chmod(0o600)
        SMALL.save(tmp_path / "v.npz")
        assert (tmp_path / "v.npz").stat().st_mode & 0o777 == 0o600
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(before)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--out", "{}/sys/v.npz"], "--out must be a place that can be written"),
        (["--out", "{}/" + "n" * 253 + ".npz"], "File name too long"),
        (["--out", "{}/mine.zarr"], "--out must be a zarr directory, or free"),
        (["--out", "{}/v.npz", "--report", "{}/sys"], "--report must be a place that can be writt"),
    ],
)
def test_outputs_are_tried_before_the_work(tmp_path, capsys, arguments, words):
    """Also by root, who may write anywhere but into the files of the kernel."""
    if not Path("/sys/kernel").is_dir():
        pytest.skip("needs /sys")
    (tmp_path / "sys").symlink_to("/sys/kernel")
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "thesis").write_text("x")
    places = [word.format(tmp_path) for word in arguments]
    code = cli.main(["reconstruct", "--model", "no such model", *places])
    assert code in (1, 2)
    assert words in capsys.readouterr().err
    assert names(tmp_path / "mine.zarr") == ["thesis"]


def test_one_lock_per_directory(tmp_path):
    with _atomic.locked(tmp_path / "run", "out", "training"):
        program = "import sys; from pathlib import Path; from micro3d_fast import _atomic\n" \
            "with _atomic.locked(Path(sys.argv[1]), 'out', 'training'): pass"  # fmt: skip
        second = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path / "run")], capture_output=True, check=False
        )
        assert b"`out` must be a directory that no other training writes to" in second.stderr
    with _atomic.locked(tmp_path / "run", "out", "training"):
        pass
