"""What a command shows on stderr while it works: bars and lines for people, or JSON lines for programs."""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from types import TracebackType
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from mcld_anim.core.events import Event
from mcld_anim.core.names import printable

FLAG, STYLES = "--progress", ("bars", "json")


def stage_display() -> StageBars | JsonLines:
    """Bars, or JSON lines under `--progress json`."""
    return _JSON.get() or StageBars()


def say(text: str, **facts: Any) -> None:
    """The outcome of a command: a line for people; for programs an object with these facts."""
    lines = _JSON.get()
    if lines is None:
        typer.echo(text, err=True)
    else:
        lines.write("done", message=text, **facts)


def report_error(text: str, exit_code: int) -> None:
    """The error that ends a command: one line, or one for each wrong row of a manifest."""
    lines = _JSON.get()
    for line in text.split("\n"):
        if lines is None:
            typer.echo(f"mcld-anim: {printable(line)}", err=True)
        else:
            lines.write("error", message=line, exit_code=exit_code)


def wants_json(arguments: Sequence[str]) -> bool:
    """Whether a command's arguments ask for JSON lines; they are not parsed yet, and may be wrong."""
    given = list(arguments)
    return f"{FLAG}=json" in given or (FLAG, "json") in itertools.pairwise(given)


@contextlib.contextmanager
def json_lines(wanted: bool) -> Iterator[None]:
    """Inside, if `wanted`, stderr holds JSON lines only: whatever else is written to it, by C libraries too, becomes
    the message of one."""
    if not wanted:
        yield
        return
    with _Stderr() as stderr:
        lines = JsonLines(stderr)
        token = _JSON.set(lines)
        try:
            yield
        finally:
            _JSON.reset(token)
            lines.forward()


SPEED_SECONDS = 3600.0
"""Seconds over which speed is measured for the time left: rows of a batch take minutes."""


class StageBars:
    """Shows one bar per stage while a command runs; a context manager.

    `update` and `show` are the callbacks. If stderr is not a terminal, the bars are printed once after a success, so a
    log holds no fragments of bars and, after a failure, only its message.
    """

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<13}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            speed_estimate_period=SPEED_SECONDS,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> StageBars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._tasks:
            return
        if self._console.is_terminal:
            self._bars.stop()
        elif error is None:
            self._console.print(self._bars)

    def update(self, stage: str, done: int, total: int | None) -> None:
        """Advance the stage's bar, which is created on first use."""
        if stage not in self._tasks:
            if not self._tasks and self._console.is_terminal:
                self._bars.start()
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def show(self, event: Event) -> None:
        """Print an event as one line above the bars."""
        self._console.print(f"mcld-anim: {printable(event.message)}", markup=False, highlight=False, soft_wrap=True)


class JsonLines:
    """Writes one JSON object a line; each has "event" and "seconds" since the command began.

    "progress": stage, done, total (null while unknown). "notice": kind, message. "done": message, and facts of the
    command. "error": message, exit_code.
    """

    def __init__(self, stderr: _Stderr) -> None:
        self._stderr, self._began = stderr, time.perf_counter()

    def __enter__(self) -> JsonLines:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def update(self, stage: str, done: int, total: int | None) -> None:
        """Write the progress of a stage."""
        self.write("progress", stage=stage, done=done, total=total)

    def show(self, event: Event) -> None:
        """Write an event."""
        self.write("notice", kind=event.kind, message=event.message)

    def write(self, event: str, **fields: Any) -> None:
        """Write an object, after what others have written to stderr since the last one."""
        self.forward()
        self._put(event, **fields)

    def forward(self) -> None:
        """Write what others have written to stderr as notices of the kind "stderr"."""
        for line in self._stderr.taken():
            self._put("notice", kind="stderr", message=line)

    def _put(self, event: str, **fields: Any) -> None:
        content = {"event": event, "seconds": round(time.perf_counter() - self._began, 3), **fields}
        self._stderr.write(json.dumps(content) + "\n")


class _Stderr:
    """The process's stderr. Meanwhile both Python's stream and file descriptor 2 lead to an unnamed file; a pipe would
    stop a writer who holds Python's lock."""

    def __enter__(self) -> _Stderr:
        self._others, self._read, self._stream = tempfile.TemporaryFile(), 0, sys.stderr
        self._own: int | None = None
        with contextlib.suppress(OSError):  # a process without stderr
            self._own = os.dup(2)
            os.dup2(self._others.fileno(), 2)
        others = os.fdopen(os.dup(self._others.fileno()), "wb", buffering=0)
        sys.stderr = io.TextIOWrapper(others, "utf-8", "backslashreplace", write_through=True)
        return self

    def __exit__(self, *_: object) -> None:
        sys.stderr.close()
        sys.stderr = self._stream
        if self._own is not None:
            os.dup2(self._own, 2)
            os.close(self._own)
        self._others.close()

    def write(self, text: str) -> None:
        """Write to the real stderr; nobody may read it any more, and the work goes on."""
        with contextlib.suppress(OSError):
            if self._own is None or not self._is_descriptor_2:
                print(text, end="", file=self._stream, flush=True)
                return
            content = text.encode()
            while content:
                content = content[os.write(self._own, content) :]

    def taken(self) -> list[str]:
        """The lines that others have written since the last call."""
        size = os.fstat(self._others.fileno()).st_size
        content = os.pread(self._others.fileno(), size - self._read, self._read)
        self._read = size
        return [line for line in content.decode(errors="backslashreplace").splitlines() if line.strip()]

    @property
    def _is_descriptor_2(self) -> bool:
        try:
            return self._stream.fileno() == 2
        except (OSError, ValueError, AttributeError):  # a stream of Python's own, or none
            return False


_JSON: ContextVar[JsonLines | None] = ContextVar("_JSON", default=None)
