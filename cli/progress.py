"""Progress bars on stderr, one per stage, fed by the library's callbacks."""

from __future__ import annotations

from types import TracebackType

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
