"""The coverage-guided fuzz finds nothing in a short search, and would find a reader that fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("atheris", reason="atheris has wheels for Linux on x86-64 alone")
RUNS = 500


def guided(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("guided.py")
    return subprocess.run(
        [sys.executable, str(script), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("kind", ["options", "rows", "weights", "iuv"])
def test_a_short_search_finds_nothing(tmp_path: Path, kind: str) -> None:
    done = guided(tmp_path, kind, f"-runs={RUNS}", "-seed=1", "-max_len=4000")
    assert done.returncode == 0, done.stderr[-2000:]
    assert f"Done {RUNS} runs" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_failing_reader_is_found(tmp_path: Path) -> None:
    done = guided(tmp_path, "faults", f"-runs={RUNS}", "-seed=1")
    assert done.returncode != 0
    assert "a defect, to be found" in done.stdout + done.stderr
    assert "Test unit written to ./crash-" in done.stderr
