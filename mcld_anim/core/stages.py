"""What a run tells while it works: progress of each stage, seconds per stage, and every event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mcld_anim.core.events import Event, EventSink, warn

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total); total is None while it is not known."""


def ignore_progress(_stage: str, _done: int, _total: int | None) -> None:
    """For callers that show nothing."""


class Stages:
    """Collects seconds and events of one run, and passes progress and events on as they come."""

    def __init__(self, progress: Progress = ignore_progress, on_event: EventSink = warn) -> None:
        self.seconds: dict[str, float] = {}
        self.events: list[Event] = []
        self._began = time.perf_counter()
        self._progress = progress
        self._on_event = on_event

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to the stage; a stage may be entered many times."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - began

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Say how far a stage is."""
        self._progress(stage, done, total)

    def emit(self, event: Event) -> None:
        """Remember an event for the report and pass it on; the same one only once."""
        if event not in self.events:
            self.events.append(event)
            self._on_event(event)

    def rounded(self) -> dict[str, float]:
        """Seconds per stage and in all, to the millisecond."""
        return {stage: round(seconds, 3) for stage, seconds in self.seconds.items()} | {
            "total": round(time.perf_counter() - self._began, 3)
        }
