"""The whole command, as users type it: `run` on a rendered photo and a rendered dance, in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from mcld_anim.core.errors import UnfinishedError
from mcld_anim.core.pictures import write_picture
from mcld_anim.core.plain_data import parse_json
from mcld_anim.core.tables import read_json
from mcld_anim.synthetic.samples import FRAMES_PER_SECOND, sample_dance, sample_photo
from mcld_anim.video.write import VideoWriter

COMMAND = (sys.executable, "-c", "from mcld_anim.cli.start import main; main()", "run", "--progress", "json")
RENDERED = 16
"""Frames of the dance that are rendered; a longer clip plays them forth and back."""


@dataclass(frozen=True)
class CommandTimes:
    """One call of `run`, in seconds from its start."""

    first_progress: float
    first_frame: float  # when the first frame begins to be made
    whole: float
    stages: dict[str, float]  # of its record
    peak_bytes: dict[str, int]
    frames: int

    @property
    def keeping_share(self) -> float:
        """Share of the time that is spent on keeping finished frames for a resumed run."""
        return self.stages.get("keeping", 0.0) / self.whole


@dataclass(frozen=True)
class CommandRuns:
    """The same call for the first time and again, each repeated."""

    first: tuple[CommandTimes, ...]  # which makes poses and encodes the source
    again: tuple[CommandTimes, ...]  # which finds both on disk

    def described(self) -> dict[str, Any]:
        """Medians, for JSON."""
        return {"frames": self.first[0].frames, "first": _described(self.first), "again": _described(self.again)}


def command_runs(
    folder: Path, frames: int, repeats: int, flags: tuple[str, ...], on_run: Callable[[int, int], None]
) -> CommandRuns:
    """Render the inputs into `folder` and run the command; `flags`: more options of `run`.

    The results that the second run finds lie among the user's own, which `mcld-anim cache clear` removes.
    """
    photo, dance = folder / "person.png", folder / "dance.mp4"
    write_picture(photo, sample_photo(size=320))
    pictures = sample_dance(seconds=RENDERED / FRAMES_PER_SECOND, size=320)
    turning = [*pictures, *pictures[-2:0:-1]]
    with VideoWriter(dance, pictures[0].shape[:2], FRAMES_PER_SECOND, audio=None) as video:
        for index in range(frames):
            video.write(turning[index % len(turning)])
    call = partial(_called, photo, dance, folder, frames)
    total, first, again = 2 * repeats + 1, [], []
    for number in range(repeats):
        on_run(number, total)
        first.append(call(*flags, "--no-cache"))
    on_run(repeats, total)
    call(*flags)  # keeps what the next ones find
    for number in range(repeats):
        on_run(repeats + 1 + number, total)
        again.append(call(*flags))
    on_run(total, total)
    return CommandRuns(tuple(first), tuple(again))


def _called(photo: Path, dance: Path, folder: Path, frames: int, *flags: str) -> CommandTimes:
    output = folder / "made.mp4"
    given = ("--source", str(photo), "--driving", str(dance), "--output", str(output), "--overwrite", "--no-resume")
    began = time.perf_counter()
    with _lines((*COMMAND, *given, *flags)) as lines:
        told = [(time.perf_counter() - began, parse_json(line)) for line in lines]
    whole = time.perf_counter() - began
    if told[-1][1]["event"] != "done":
        raise UnfinishedError(f"mcld-anim run failed in the benchmark: {told[-1][1].get('message')}")
    record = read_json(output.with_suffix(".run.json"))
    progress = [(when, event) for when, event in told if event["event"] == "progress"]
    return CommandTimes(
        first_progress=progress[0][0],
        first_frame=next(when for when, event in progress if event["stage"] == "frames"),
        whole=whole,
        stages={stage: seconds for stage, seconds in record["seconds"].items() if stage != "total"},
        peak_bytes=record["peak_memory_bytes"],
        frames=frames,
    )


@contextmanager
def _lines(command: tuple[str, ...]) -> Iterator[Iterator[str]]:
    """The lines of a process's stderr, as they come."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment
    ) as process:
        assert process.stderr is not None
        yield iter(process.stderr)


def _described(runs: tuple[CommandTimes, ...]) -> dict[str, Any]:
    stages, points = {stage for run in runs for stage in run.stages}, ("first_progress", "first_frame", "whole")
    return {
        "seconds": {name: median(getattr(run, name) for run in runs) for name in points},
        "stages": {stage: median(run.stages.get(stage, 0.0) for run in runs) for stage in sorted(stages)},
        "keeping_share": median(run.keeping_share for run in runs),
        "peak_bytes": {kind: max(run.peak_bytes[kind] for run in runs) for kind in runs[0].peak_bytes},
        "repeats": [run.whole for run in runs],
    }
