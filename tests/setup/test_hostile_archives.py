"""`models convert` with archives made to do harm, and with a full disk: a sentence, and nothing written."""

from __future__ import annotations

import os
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mcld_anim.cli.main import app


def changed(path: Path, flags: int | None = None, size: int | None = None) -> None:
    """Change what an archive of one member says about it, in both of its headers."""
    content = bytearray(path.read_bytes())
    listed = content.find(b"PK\x01\x02")
    if flags is not None:
        content[6] |= flags
        content[listed + 8] |= flags
    if size is not None:
        content[22:26] = content[listed + 24 : listed + 28] = struct.pack("<I", size)
    path.write_bytes(content)


def write_bomb(path: Path) -> None:
    """Three members of 100 MB each in 300 kB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"faces/{number}.onnx", bytes(100_000_000))


def write_encrypted(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.onnx", b"x" * 100)
    changed(path, flags=1)


def write_liar(path: Path) -> None:
    """100 MB that claim to be ten bytes."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.onnx", bytes(100_000_000))
    changed(path, size=10)


def write_lzma(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.onnx", bytes(1000))


def write_twins(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/a.onnx", b"1")
        archive.writestr("b/a.onnx", b"2")


def write_damaged(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.onnx", os.urandom(1000) + bytes(1000))
    content = bytearray(path.read_bytes())
    content[50:60] = bytes(10)
    path.write_bytes(content)


def refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as caught:
        app(arguments)
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert (out, line[:11]) == ("", "mcld-anim: ")
    assert caught.value.code in (1, 3)
    return line


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (write_bomb, "unpacks to more than"),
        (write_encrypted, "a.onnx is encrypted"),
        (write_liar, "cannot be unpacked"),
        (write_lzma, "compressed by method 14"),
        (write_twins, "have one name"),
        (write_damaged, "cannot be unpacked"),
    ],
)
def test_hostile_archives_leave_nothing(write, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "faces.zip")
    assert words in refused(["models", "convert", str(tmp_path / "faces.zip"), str(tmp_path / "faces")], capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["faces.zip"]


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder whose disk has 1 MB."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_in_a_sentence(tmp_path: Path, full: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"w": torch.zeros(1_000_000)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.onnx", os.urandom(3_000_000))
    for name, target in (("a.pth", "w.safetensors"), ("a.zip", "faces")):
        line = refused(["models", "convert", str(tmp_path / name), str(full / target)], capsys)
        assert "No space left" in line
        assert target in line
        assert list(full.iterdir()) == []
