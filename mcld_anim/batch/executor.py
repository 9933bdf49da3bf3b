"""The one interface of whatever runs rows: rows in, outcomes out.

An executor keeps no record and knows no other row: `mcld_anim.batch.job` holds the queue, and writes `batch.json`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, runtime_checkable

from mcld_anim.animator import Animator
from mcld_anim.batch.rows import Row
from mcld_anim.batch.thumbnail import write_thumbnail
from mcld_anim.core.errors import McldAnimError
from mcld_anim.core.events import Event

LOST: Literal["lost"] = "lost"
"""Status of a row whose worker died; it runs again elsewhere."""

Listener = Callable[[Row, Event | tuple[str, int, int | None]], None]
"""Called with a row and its event, or its progress (stage, done, total)."""


@dataclass(frozen=True)
class Outcome:
    """How one attempt at a row ended."""

    row: Row
    status: Literal["done", "failed", "lost"]
    details: dict[str, Any] = field(default_factory=dict)
    """For batch.json; done: summary, inputs (path -> SHA-256), seconds; failed: error, exit_code, seconds; lost: error"""


@runtime_checkable
class Executor(Protocol):
    """Runs rows, each in a worker that keeps its models; a context manager, which ends the workers."""

    @property
    def workers(self) -> int:
        """How many rows may run at once."""

    def has_free(self) -> bool:
        """Whether `submit` may be called."""

    def submit(self, row: Row) -> None:
        """Give a row to a free worker."""

    def outcomes(self) -> list[Outcome]:
        """Wait for a second at most; the rows that ended meanwhile, in the order in which they ended."""

    def __enter__(self) -> Executor:
        """Itself."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers; rows that still run are given up."""


class RowRunner:
    """What every worker has: an animator whose models stay loaded from row to row."""

    def __init__(self, output_dir: Path) -> None:
        self._output_dir = output_dir
        self._animator = Animator(folder=output_dir)

    def run(self, row: Row, listen: Listener) -> Outcome:
        """Run one row; whatever goes wrong with it is its outcome."""
        began = time.perf_counter()

        def seconds() -> float:
            return round(time.perf_counter() - began, 3)

        try:
            result = self._animator.run(row.options, lambda *done: listen(row, done), lambda event: listen(row, event))
            inputs = {str(path): self._animator.checksums.of(path) for path in row.options.inputs}
        except Exception as error:  # a failing row must not stop the others
            known = isinstance(error, McldAnimError)
            text = str(error) if known else f"{type(error).__name__}: {error}"
            code = error.exit_code if isinstance(error, McldAnimError) else 1
            return Outcome(row, "failed", {"error": text, "exit_code": code, "seconds": seconds()})
        try:
            write_thumbnail(row, self._output_dir)
        except (McldAnimError, OSError) as error:
            listen(row, Event("thumbnail_missing", f"the batch's page shows no picture of {row.output}: {error}"))
        return Outcome(row, "done", {"summary": result.summary, "inputs": inputs, "seconds": seconds()})

    def close(self) -> None:
        """Delete working files and forget the models."""
        self._animator.close()


class InProcess:
    """Runs one row at a time in this process."""

    workers = 1

    def __init__(self, output_dir: Path, listen: Listener) -> None:
        self._runner, self._listen = RowRunner(output_dir), listen
        self._row: Row | None = None

    def has_free(self) -> bool:
        """Whether no row waits."""
        return self._row is None

    def submit(self, row: Row) -> None:
        """Keep the row for `outcomes`."""
        self._row = row

    def outcomes(self) -> list[Outcome]:
        """Run the row."""
        assert self._row is not None
        row, self._row = self._row, None
        return [self._runner.run(row, self._listen)]

    def __enter__(self) -> InProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()


def threads_each(cores: int, workers: int) -> int:
    """The CPU threads of each of several workers, so that they do not fight: $OMP_NUM_THREADS, or an equal share."""
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdigit() and int(stated) else max(1, cores // workers)


class Quieted:
    """Passes every event on, and progress at most once a second: it crosses processes and machines."""

    def __init__(self, listen: Listener) -> None:
        self._listen, self._last = listen, 0.0

    def __call__(self, row: Row, heard: Event | tuple[str, int, int | None]) -> None:
        """Pass on what was heard, or leave it out."""
        now = time.monotonic()
        if isinstance(heard, Event) or now - self._last >= 1:
            if not isinstance(heard, Event):
                self._last = now
            self._listen(row, heard)
