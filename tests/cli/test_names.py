"""Names that are not UTF-8, and terminals that cannot print a name, through the real command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

RUN = ("run", "--densepose", "tiny", "--framing", "fixed", "--max-frames", "2", "--steps", "1")


def invoke(folder: Path, *arguments: str | bytes, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """`mcld-anim` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "mcld_anim.cli.start", *arguments],
        cwd=folder,
        capture_output=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", **environment},
    )


@pytest.fixture
def folder(tmp_path: Path, media: Path) -> Path:
    """A folder with a photo, and a video whose name is Latin-1, as in an old archive."""
    shutil.copy(media / "person.png", tmp_path)
    try:
        shutil.copy(media / "dance.mp4", tmp_path / os.fsdecode(b"caf\xe9.mp4"))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    return tmp_path


def test_a_run_on_a_name_that_is_not_utf8(folder: Path) -> None:
    done = invoke(folder, *RUN, "--source", "person.png", "--driving", b"caf\xe9.mp4")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"person_caf\xe9.mp4" + os.linesep.encode()  # a pipe gets the name itself
    result = folder / os.fsdecode(b"person_caf\xe9.mp4")
    assert result.stat().st_size > 1000
    record = json.loads(result.with_suffix(".run.json").read_text("utf-8"))
    assert os.fsencode(record["options"]["driving"]) == b"caf\xe9.mp4"
    assert {os.fsencode(name) for name in record["inputs"]} == {b"person.png", b"caf\xe9.mp4"}
    page = result.with_suffix(".report.html").read_text("utf-8")
    assert "<title>person_caf\\xe9.mp4" in page
    assert "person.png in the motion of caf\\xe9.mp4" in page


def test_a_missing_file_of_such_a_name_is_one_line(folder: Path) -> None:
    done = invoke(folder, *RUN, "--source", "person.png", "--driving", b"no\xe9\x1b[31m.mp4")
    assert done.returncode == 3
    assert done.stderr.decode("utf-8").splitlines() == [
        "mcld-anim: no\\xe9\\x1b[31m.mp4 does not exist; check the path of the video"
    ]


def test_a_batch_of_such_names(folder: Path) -> None:
    row = '{"source": "person.png", "driving": "caf\\udce9.mp4", "output": "\\udce9.mp4", "max_frames": 2, "steps": 1'
    (folder / os.fsdecode(b"\xe9.jsonl")).write_text(row + ', "densepose": "tiny", "framing": "fixed"}\n')
    for expected in (b"1 done, 0 skipped, 0 failed", b"0 done, 1 skipped, 0 failed"):
        done = invoke(folder, "batch", b"\xe9.jsonl", "--output-dir", b"out\xe9")
        assert done.returncode == 0, done.stderr
        assert expected in done.stderr
    record = json.loads((folder / os.fsdecode(b"out\xe9") / "batch.json").read_text("utf-8"))
    assert [os.fsencode(row["output"]) for row in record["rows"]] == [b"\xe9.mp4"]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "cp437:strict"])
def test_a_terminal_that_cannot_print_a_name(tmp_path: Path, encoding: str) -> None:
    done = invoke(tmp_path, "models", "where", MCLD_ANIM_HOME="танец", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stdout) == (0, b"?????" + os.linesep.encode()), done.stderr


def test_a_terminal_that_cannot_print_the_name_of_a_texture(tmp_path: Path, media: Path) -> None:
    made = ("texture", str(media / "person.png"), "--densepose", "tiny", "-o", "танец.png")
    done = invoke(tmp_path, *made, PYTHONIOENCODING="cp437:strict")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"?????.png" + os.linesep.encode()
    assert (tmp_path / "танец.png").stat().st_size > 1000


def test_a_run_whose_name_the_terminal_cannot_print(tmp_path: Path, media: Path) -> None:
    inputs = ("--source", str(media / "person.png"), "--driving", str(media / "dance.mp4"))
    done = invoke(tmp_path, *RUN, *inputs, "-o", "танец.mp4", PYTHONIOENCODING="cp1252")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"?????.mp4" + os.linesep.encode()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"танец.{suffix}" for suffix in ("mp4", "report.csv", "report.html", "report.json", "run.json")
    )


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["doctor"], ["models", "list"]])
def test_every_text_of_the_program_can_be_printed(tmp_path: Path, arguments: list[str]) -> None:
    done = invoke(tmp_path, *arguments, PYTHONIOENCODING="ascii")
    assert b"Error" not in done.stderr
    assert done.returncode == 0, done.stderr
