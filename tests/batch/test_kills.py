"""A batch that is really killed, at any moment, goes on; its results are those of a batch that was not."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mcld_anim.batch.job import BatchResult, run_batch
from mcld_anim.core.stages import ignore_progress
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.batch import BatchOptions

Batch = Callable[..., BatchResult]


@pytest.fixture
def batch(tmp_path: Path, media: Path, small_models: LoadedModels, monkeypatch: pytest.MonkeyPatch) -> Batch:
    """Runs two clips and a picture into a folder of `tmp_path`, with small networks."""
    monkeypatch.setattr("mcld_anim.run.cache.load_models", lambda *_: small_models)
    usual = {"source": str(media / "person.png"), "steps": 1, "guidance": 1.0}
    clip = {**usual, "driving": str(media / "dance.mp4"), "batch_size": 1, "max_frames": 3, "crf": 0}
    rows = [
        {**clip, "output": "a.mp4"},
        {**usual, "pose": str(media / "other.png"), "output": "still.png"},
        {**clip, "output": "sub/b.mp4", "seed": 1},
    ]
    manifest = tmp_path / "jobs.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(name: str, progress: Any = ignore_progress, **more: Any) -> BatchResult:
        options = BatchOptions(manifest=manifest, output_dir=tmp_path / name, **more)
        return run_batch(options, progress, on_event=lambda event: None)

    return run


def killed(work: Callable[[], object]) -> None:
    """Do this in another process, which kills itself."""
    process = os.fork()
    if not process:
        try:
            work()
        finally:
            os._exit(7)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(stage: str, done: int, times: int = 1) -> Callable[..., None]:
    """A callback that kills the process when the stage has come so far for the given time."""
    left = [times]

    def progress(at: str, so_far: int, _total: int | None) -> None:
        left[0] -= (at, so_far) == (stage, done)
        if not left[0]:
            die()

    return progress


def die_while_publishing(number: int) -> None:
    """Kill this process before its rename of this number, counted from 1, of files that were named in an output."""
    real, calls = os.replace, []

    def replace(source: Any, target: Any) -> None:
        if Path(target).suffix in (".mp4", ".json", ".csv", ".html", ".png") and "rehears" not in str(target):
            calls.append(target)
        if len(calls) == number:
            die()
        real(source, target)

    os.replace = replace  # type: ignore[assignment]  # in the forked process only


def files(folder: Path) -> dict[str, str]:
    """The checksum of every result, and the names of everything else."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.suffix in (".mp4", ".png")
        else ""
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".jpg"
    }


def test_a_killed_batch_goes_on(batch: Batch, tmp_path: Path) -> None:
    batch("whole")
    expected = files(tmp_path / "whole")
    assert len(expected) == 5 + 4 + 5 + 2
    moments: dict[str, Callable[[], object]] = {
        "in the first row": lambda: batch("out", die_at("frames", 2)),
        "in the second clip": lambda: batch("out", die_at("frames", 2, times=2)),
        "between rows": lambda: batch("out", die_at("rows", 1)),
        "at the end": lambda: batch("out", die_at("rows", 3)),
    }
    for number in (2, 4, 6, 9, 14):
        moments[f"before rename {number}"] = lambda number=number: (die_while_publishing(number), batch("out"))
    for name, moment in moments.items():
        killed(moment)
        result = batch("out")
        assert (result.failed, result.done + result.skipped) == (0, 3), name
        assert files(tmp_path / "out") == expected, name
        assert json.loads(result.record.read_text())["summary"] == {"done": 3, "failed": 0, "waiting": 0}, name
        assert not list((tmp_path / "out").rglob(".*")), name
        again = batch("out")
        assert (again.done, again.skipped) == (0, 3), name
        shutil.rmtree(tmp_path / "out")
