"""What a run reports while it works: the progress and seconds of each stage, and every event."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from threading import RLock

from mcld_anim.core.events import Event, EventSink, warn

Progress = Callable[[str, int, int | None], None]
"""Called with (stage, done, total); total is None while unknown."""


def ignore_progress(_stage: str, _done: int, _total: int | None) -> None:
    """A progress callback that shows nothing."""


class Stages:
    """Collects a run's seconds and events, and forwards progress and events as they occur, one at a time.

    Stages may overlap in threads; their seconds are then more than the total.
    """

    def __init__(self, progress: Progress = ignore_progress, on_event: EventSink = warn) -> None:
        self.seconds: dict[str, float] = {}
        self.events: list[Event] = []
        self.readers: dict[str, str] = {}
        """Which library decoded the driving video, by purpose."""
        self.reused: list[str] = []
        """Names of the kinds of results that were not made in this run."""
        self.synthesis_share: float | None = None
        """Share of the time from the first frame to the last in which frames were synthesised: where it is 1, nobody
        waited for anything else."""
        self.around: Callable[[str], AbstractContextManager[object]] = nullcontext
        """Entered with a stage's name whenever its time is taken; a profiler's ranges."""
        self._began = time.perf_counter()
        self._before = 0.0  # seconds of earlier runs
        self._progress = progress
        self._on_event = on_event
        self._lock = RLock()  # a callback may report as well

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to the stage; a stage may be entered many times."""
        began = time.perf_counter()
        try:
            with self.around(stage):
                yield
        finally:
            self.add({stage: time.perf_counter() - began})

    def add(self, seconds: Mapping[str, float]) -> None:
        """Add what was spent on stages, or by an earlier run, as its `rounded_seconds`."""
        with self._lock:
            for stage, spent in seconds.items():
                if stage == "total":
                    self._before += spent
                else:
                    self.seconds[stage] = self.seconds.get(stage, 0.0) + spent

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Report the progress of a stage."""
        with self._lock:
            self._progress(stage, done, total)

    def emit(self, event: Event) -> None:
        """Record an event for the report and forward it; an equal event only once."""
        with self._lock:
            if event not in self.events:
                self.events.append(event)
                self._on_event(event)

    def rounded_seconds(self) -> dict[str, float]:
        """Seconds per stage and in total, to the millisecond."""
        with self._lock:
            spent = {stage: round(seconds, 3) for stage, seconds in self.seconds.items()}
        return spent | {"total": round(time.perf_counter() - self._began + self._before, 3)}
