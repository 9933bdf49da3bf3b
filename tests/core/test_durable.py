"""File systems that do not flush: what was written stays; a loss is still a loss."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from mcld_anim.core.durable import durable_file, sync
from mcld_anim.core.errors import OutputError

REFUSING = """
import os, stat
real = os.fsync
def fsync(handle):
    if stat.S_ISDIR(os.fstat(handle).st_mode):
        raise OSError({number}, os.strerror({number}))
    real(handle)
os.fsync = fsync
"""
"""As network drives, FUSE and WSL answer for a folder; imported by every Python before it begins."""


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, folders: bool) -> None:
    real = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode) is folders:
            raise OSError(number, os.strerror(number))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("name", ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EBADF", "EACCES", "EPERM", "EISDIR"])
def test_a_folder_that_cannot_be_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    refuse(monkeypatch, getattr(errno, name), folders=True)
    with durable_file(tmp_path / "new" / "a.txt") as partial:
        partial.write_text("kept")
    assert (tmp_path / "new" / "a.txt").read_text() == "kept"


def test_a_file_that_its_system_does_not_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, errno.EINVAL, folders=False)
    with durable_file(tmp_path / "a.txt") as partial:
        partial.write_text("kept")
    assert (tmp_path / "a.txt").read_text() == "kept"


@pytest.mark.parametrize(("name", "folders"), [("EIO", True), ("EIO", False), ("ENOSPC", False), ("EBADF", False)])
def test_a_loss_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folders: bool) -> None:
    refuse(monkeypatch, getattr(errno, name), folders)
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(OSError, match=os.strerror(getattr(errno, name))):
        sync(tmp_path if folders else tmp_path / "a.txt")
    with pytest.raises(OutputError, match="could not be written"), durable_file(tmp_path / "b.txt") as partial:
        partial.write_text("lost")


def test_a_folder_that_may_not_be_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On Windows no folder can be opened, elsewhere none that may not be listed."""
    real = os.open

    def refuse_folders(path: Path, *arguments: int) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, *arguments)

    monkeypatch.setattr(os, "open", refuse_folders)
    sync(tmp_path)
    with pytest.raises(FileNotFoundError):
        sync(tmp_path / "none")


RUN = ("run", "--densepose", "tiny", "--framing", "fixed", "--max-frames", "2", "--steps", "1", "-o", "new/a.mp4")


def test_a_run_into_a_folder_that_cannot_be_flushed(tmp_path: Path, media: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(REFUSING.format(number=errno.EINVAL))
    done = subprocess.run(
        [sys.executable, "-m", "mcld_anim.cli.start", *RUN, "-s", media / "person.png", "-d", media / "dance.mp4"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        f"a.{suffix}" for suffix in ("mp4", "report.csv", "report.html", "report.json", "run.json")
    )
