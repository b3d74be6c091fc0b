# SPDX-FileCopyrightText: 2026 the micro3d-fast developers
# SPDX-License-Identifier: MIT
"""Files and directories appear whole or not at all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from micro3d_fast._atomic import (
    atomic_directory,
    atomic_write,
    present_directory,
    restore_directory,
    sweep,
)


def names(path):
    return sorted(entry.name for entry in path.iterdir())


def fail_inside(writer, error):
    with writer as temporary:
        (temporary / "new" if temporary.is_dir() else temporary).write_text("half")
        raise error


def test_a_file_replaces_the_old_one(tmp_path):
    target = tmp_path / "a.npz"
    for text in ("old", "new"):
        with atomic_write(target) as temporary:
            assert temporary.parent == tmp_path
            assert temporary.suffix == ".npz"
            temporary.write_text(text)
            assert not target.exists() or target.read_text() == "old"
    assert target.read_text() == "new"
    assert names(tmp_path) == ["a.npz"]


def test_a_failure_keeps_the_old_file(tmp_path):
    target = tmp_path / "a.npz"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        fail_inside(atomic_write(target), KeyboardInterrupt())
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.npz"]


def test_a_symbolic_link_stays_one(tmp_path):
    (tmp_path / "far").mkdir()
    for name, writer in (("a.npz", atomic_write), ("model", atomic_directory)):
        (tmp_path / name).symlink_to(tmp_path / "far" / name)  # of nothing, then of something
        for text in ("old", "new"):
            with writer(tmp_path / name) as temporary:
                assert temporary.parent == tmp_path / "far"
                (temporary / "b" if temporary.is_dir() else temporary).write_text(text)
            assert (tmp_path / name).is_symlink()
        written = tmp_path / "far" / name
        assert (written / "b" if written.is_dir() else written).read_text() == "new"
    assert names(tmp_path / "far") == ["a.npz", "model"]


def test_a_new_file_has_ordinary_permissions(tmp_path):
    with atomic_write(tmp_path / "a") as temporary:
        temporary.write_text("x")
    plain = tmp_path / "b"
    plain.write_text("x")
    assert (tmp_path / "a").stat().st_mode == plain.stat().st_mode


def test_a_directory_replaces_the_old_one(tmp_path):
    target = tmp_path / "model"
    for text in ("old", "new"):
        with atomic_directory(target) as temporary:
            (temporary / "sub").mkdir()
            (temporary / "sub" / text).write_text(text)
    assert names(target / "sub") == ["new"]
    assert names(tmp_path) == ["model"]


def test_a_failure_keeps_the_old_directory(tmp_path):
    target = tmp_path / "model"
    target.mkdir()
    (target / "old").write_text("old")
    with pytest.raises(RuntimeError, match="full"):
        fail_inside(atomic_directory(target), RuntimeError("full"))
    assert names(target) == ["old"]
    assert names(tmp_path) == ["model"]


def test_a_kill_between_the_two_renames_is_undone(tmp_path):
    target = tmp_path / "model"
    with atomic_directory(target) as temporary:
        (temporary / "old").write_text("old")
    aside = tmp_path / ".model.a1b2c3_4.old"
    os.rename(target, aside)  # what the kill leaves
    assert present_directory(target) == aside  # for a reader, who moves nothing
    assert names(tmp_path) == [aside.name]
    restore_directory(target)
    assert names(target) == ["old"]
    assert names(tmp_path) == ["model"]


def test_nothing_of_others_is_moved_or_removed(tmp_path):
    target = tmp_path / "model"
    for name in (".model.old", ".model.mine.old", ".other.a1b2c3_4.old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thesis").write_text("x")
    before = names(tmp_path)
    restore_directory(target)
    assert present_directory(target) == target
    with atomic_directory(target) as temporary:
        (temporary / "new").write_text("new")
    with atomic_directory(target) as temporary:
        (temporary / "newer").write_text("newer")
    sweep(tmp_path)
    assert names(tmp_path) == [*before, "model"]


def test_a_reader_between_the_two_renames_sees_the_old_directory(tmp_path, monkeypatch):
    target, seen, rename = tmp_path / "model", [], os.rename

    def watched(source, destination):
        rename(source, destination)
        seen.append(names(present_directory(target)))

    for text in ("old", "new"):
        with atomic_directory(target) as temporary:
            (temporary / text).write_text(text)
            monkeypatch.setattr(os, "rename", watched)
    assert seen == [["old"], ["old"], ["new"]]
    assert names(tmp_path) == ["model"]


def test_sweep_removes_only_what_writers_left(tmp_path):
    for name in (".a.npz.x1.tmp.npz", ".a.x1.tmp", ".hidden", "a.tmp", "b.npz"):
        (tmp_path / name).write_text("x")
    (tmp_path / ".model.x1.tmp").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == [".hidden", "a.tmp", "b.npz"]


WRITER = """
import sys
from pathlib import Path
from micro3d_fast._atomic import atomic_directory, atomic_write
folder = Path(sys.argv[1])
n = 0
while True:
    n += 1
    with atomic_write(folder / "file") as temporary:
        temporary.write_text(f"{n} " * 2000 + "end")
    with atomic_directory(folder / "model") as temporary:
        (temporary / "one").write_text(str(n))
        (temporary / "two").write_text(str(n))
"""


def test_a_kill_at_any_moment_leaves_nothing_half_written(tmp_path):
    for trial in range(5):
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)])
        deadline = time.monotonic() + 20
        while not (tmp_path / "model").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.02 + 0.017 * trial)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        words = (tmp_path / "file").read_text().split()
        assert words[-1] == "end"
        assert len(words) == 2001
        assert len(set(words)) == 2
        restore_directory(tmp_path / "model")
        model = tmp_path / "model"
        assert (model / "one").read_text() == (model / "two").read_text()
        sweep(tmp_path)
        assert names(tmp_path) == ["file", "model"]
