"""The process that reads damaged files."""

from __future__ import annotations

import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = 60
"""Longest wait for one file; each takes milliseconds, on a machine that does nothing else."""


class Reader:
    """The process that reads; a new one after each crash or hang."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[str] | None = None

    def outcome(self, kind: str, name: str, content: bytes) -> str:
        """What reading `content` under this name comes to."""
        path = self.folder / name
        path.write_bytes(content)
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(f"{kind} {path}\n")
        process.stdin.flush()
        return self._answer(process)

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("reader_process.py"))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                cwd=self.folder,
            )
            assert self._answer(self._process, 10 * SECONDS) == "ready"
        return self._process

    def _answer(self, process: subprocess.Popen[str], seconds: float = SECONDS) -> str:
        assert process.stdout is not None
        if not select.select([process.stdout], [], [], seconds)[0]:
            self.close()
            return f"hangs for {seconds} s"
        line = process.stdout.readline()
        if line:
            return line.rstrip("\n")
        self.close()
        return f"crashed with {process.returncode}"

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("fuzz")
    for name in ("a.png", "v.mp4"):
        (folder / name).write_bytes(b"x")
    reader = Reader(folder)
    yield reader
    reader.close()
