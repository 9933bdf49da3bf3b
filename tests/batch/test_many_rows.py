"""A manifest of ten thousand rows, through a real pipe and from patterns."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

MCLD_ANIM = [sys.executable, "-m", "mcld_anim.cli.start", "batch", "--output-dir", "out", "--check"]
MOST_SECONDS = 30


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A hundred photos and a hundred videos; a check does not open them."""
    for number in range(100):
        (tmp_path / f"p{number:02}.png").write_bytes(b"x")
        (tmp_path / f"d{number:02}.mp4").write_bytes(b"x")
    return tmp_path


def check(folder: Path, *arguments: str, text: str = "") -> str:
    """What a check says; it is quick, and leaves nothing."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([*MCLD_ANIM, *arguments], cwd=folder, input=text, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    # Of the processor: the machine may be busy
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < MOST_SECONDS
    assert done.stdout == ""
    assert not (folder / "out").exists()
    return done.stderr


def rows() -> list[dict[str, object]]:
    return [
        {"source": f"p{photo:02}.png", "driving": f"d{video:02}.mp4", "output": f"{photo}/{video}.mp4", "steps": 3}
        for photo in range(100)
        for video in range(100)
    ]


def test_ten_thousand_rows_from_standard_input(folder: Path) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows())
    assert check(folder, "-", text=text) == "10000 to run, 0 finished\n"


def test_ten_thousand_rows_of_yaml_share_a_configuration(folder: Path) -> None:
    (folder / "quick.yaml").write_text("steps: 1\nblend: 0.3\n")
    (folder / "jobs.yaml").write_text("".join(f"- {json.dumps(row)}\n" for row in rows()))
    assert check(folder, "jobs.yaml", "--config", "quick.yaml") == "10000 to run, 0 finished\n"


def test_ten_thousand_rows_of_patterns(folder: Path) -> None:
    assert check(folder, "--glob", "p*.png", "--driving", "d*.mp4") == "10000 to run, 0 finished\n"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["-"], 3, "standard input line 2: source none.png does not exist"),
        (["--glob", "q*.png", "--driving", "d*.mp4"], 3, "--glob q*.png matches no file: check the pattern"),
        (["--glob", "p*.png"], 2, "give either a manifest, or both --glob and --driving"),
        (["-", "--glob", "p*.png", "--driving", "d*.mp4"], 2, "give either a manifest, or both"),
        (["-", "--shard", "5/4"], 2, "--shard 5/4 is not I/N with I from 1 to N"),
        (["-", "--address", "auto"], 2, "--address auto is of a Ray cluster"),
        (["-", "--retries", "-1"], 2, "--retries -1 is out of range"),
    ],
)
def test_what_is_refused(folder: Path, arguments: list[str], code: int, words: str) -> None:
    text = '{"source": "p00.png", "driving": "d00.mp4"}\n{"source": "none.png", "driving": "d00.mp4"}\n'
    done = subprocess.run([*MCLD_ANIM, *arguments], cwd=folder, input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"mcld-anim: {words}"), done.stderr
    assert done.stderr.count("\n") == 1
