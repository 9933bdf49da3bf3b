"""The one interface of whatever runs rows: tasks in, outcomes out.

An executor keeps no record and knows no other task: `mcld_anim.batch.job` holds the queue, and writes `batch.json`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, runtime_checkable

from mcld_anim.batch.tasks import Task
from mcld_anim.core.events import Event

LOST: Literal["lost"] = "lost"
"""Status of a task whose worker died; it runs again elsewhere."""

Listener = Callable[[Task, Event | tuple[str, int, int | None]], None]
"""Called with a task and its event, or its progress (stage, done, total)."""


@dataclass(frozen=True)
class Workplace:
    """What every worker of a batch is told when it starts."""

    output_dir: Path  # absolute
    cache: bool  # see `Animator`


@dataclass(frozen=True)
class Outcome:
    """How one attempt at a task ended."""

    task: Task
    status: Literal["done", "failed", "lost"]
    details: dict[str, Any] = field(default_factory=dict)
    """For batch.json: summary, inputs (path -> SHA-256), seconds; or error, exit_code, seconds; or the error alone. The
    `ranges` of a split clip."""


@runtime_checkable
class Executor(Protocol):
    """Runs tasks, each in a worker that keeps its models; a context manager, which ends the workers."""

    @property
    def workers(self) -> int:
        """How many tasks may run at once."""

    def has_free(self) -> bool:
        """Whether `submit` may be called."""

    def submit(self, task: Task) -> None:
        """Give a task to a free worker."""

    def outcomes(self) -> list[Outcome]:
        """Wait for a second at most; the tasks that ended meanwhile, in the order in which they ended."""

    def __enter__(self) -> Executor:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers; tasks that still run are given up."""


def threads_each(cores: int, workers: int) -> int:
    """The CPU threads of each of several workers, so that they do not fight: $OMP_NUM_THREADS, or an equal share."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdigit() and int(stated) else max(1, cores // workers)


class Quieted:
    """Passes every event on, and progress at most once a second: it crosses processes and machines."""

    def __init__(self, listen: Listener) -> None:
        self._listen, self._last = listen, 0.0

    def __call__(self, task: Task, heard: Event | tuple[str, int, int | None]) -> None:
        """Pass on what was heard, or leave it out."""
        now = time.monotonic()
        if isinstance(heard, Event) or now - self._last >= 1:
            if not isinstance(heard, Event):
                self._last = now
            self._listen(task, heard)
