"""A job: what one browser session asked for, its state, and its folder with inputs and results."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mcld_anim.core.durable import durable_file
from mcld_anim.core.names import write_json
from mcld_anim.core.tables import read_json

State = Literal["waiting", "running", "done", "failed", "cancelled"]
Verb = Literal["run", "pose", "report"]

RECORD, THUMBNAIL = "job.json", "thumbnail.jpg"
RESERVED = (RECORD, THUMBNAIL)
LONGEST_NAME = 60
"""Letters of an input's name that are kept; results are named after two of them."""


@dataclass(eq=False)
class Job:
    """One piece of work. What the page shows of a running one is kept in memory, the rest in job.json too."""

    id: str
    folder: Path
    verb: Verb
    options: Mapping[str, Any]  # plain data; files by their names in `folder`
    created: float  # seconds since the epoch
    state: State = "waiting"
    error: str = ""  # why it failed, in one sentence
    result: str = ""  # name of the video or picture
    files: tuple[str, ...] = ()  # names of all results
    seconds: float = 0.0  # that it took
    frames: int = 0  # of the result
    notices: list[str] = field(default_factory=list)  # what was lost or replaced
    stage: str = ""
    done: int = 0
    total: int | None = None
    preview: bytes | None = None  # the last frame, JPEG
    preview_index: int = 0
    _stage_began: float = 0.0
    _advanced: float = 0.0

    @property
    def owner(self) -> str:
        """The session's folder."""
        return self.folder.parent.name

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.state in ("waiting", "running")

    @property
    def title(self) -> str:
        """What it makes, for people."""
        names = [Path(str(self.options[name])).name for name in ("driving", "pose", "video") if name in self.options]
        source = self.options.get("source", "")
        first = Path(str(source[0] if isinstance(source, list | tuple) else source)).name
        joint = {"run": "in the motion of", "pose": "in the pose of", "report": "compared with"}[self.verb]
        return f"{first} {joint} {names[0]}" if names else first

    @property
    def page(self) -> str | None:
        """Name of the report page."""
        return next((name for name in self.files if name.endswith(".report.html")), None)

    @property
    def seconds_left(self) -> float | None:
        """Of the stage, by its speed so far; None while that is unknown."""
        if not self.total or not self.done or self.done >= self.total:
            return None
        each = (self._advanced - self._stage_began) / self.done
        return max(0.0, each * (self.total - self.done) - (time.monotonic() - self._advanced))

    def begin(self, stage: str) -> None:
        """A new stage."""
        self.stage, self._stage_began, self.done, self.total = stage, time.monotonic(), 0, None

    def advance(self, stage: str, done: int, total: int | None) -> None:
        """The progress of a stage."""
        if stage != self.stage:
            self.begin(stage)
        self.done, self.total, self._advanced = done, total, time.monotonic()

    def file(self, name: str) -> Path | None:
        """One of the files that the page may show; None if there is no such."""
        shown = {*self.files, *self.input_names, THUMBNAIL}
        path = self.folder / name
        return path if name in shown and path.is_file() else None

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs in the folder."""
        values = [
            item
            for value in self.options.values()
            for item in (value if isinstance(value, list | tuple) else (value,))
            if isinstance(item, str)
        ]
        return tuple(item for item in values if (self.folder / item).is_file())

    def save(self) -> None:
        """Write job.json."""
        kept = ("verb", "created", "state", "error", "result", "seconds", "frames", "notices")
        content = {name: getattr(self, name) for name in kept}
        with durable_file(self.folder / RECORD, overwrite=True) as partial:
            write_json(partial, content | {"options": dict(self.options), "files": list(self.files)})

    def remove(self) -> None:
        """Delete everything of it."""
        shutil.rmtree(self.folder, ignore_errors=True)


def read_job(folder: Path) -> Job | None:
    """The job of a folder; None if it is none, or a damaged one."""
    try:
        content = read_json(folder / RECORD)
        files = tuple(str(name) for name in content.pop("files"))
        job = Job(folder.name, folder, files=files, **content)
        ends = ("done", "failed", "waiting", "running")
        return job if job.state in ends and job.verb in ("run", "pose", "report") and job.options else None
    except (OSError, ValueError, TypeError, KeyError, AttributeError, json.JSONDecodeError):
        return None


def take_in(path: Path, shown_name: str, folder: Path) -> str:
    """Copy an uploaded file into a job's folder; returns its name there, which resembles the one it had."""
    plain = re.sub(r"[^\w.-]+", "_", Path(shown_name.replace("\\", "/")).name).lstrip(".-") or "file"
    suffix = Path(plain).suffix[-10:]
    stem = plain[: len(plain) - len(suffix)][:LONGEST_NAME] or "file"
    name, number = f"{stem}{suffix}", 1
    while (folder / name).exists() or name in RESERVED:
        number += 1
        name = f"{stem}-{number}{suffix}"
    shutil.copyfile(path, folder / name)
    return name
