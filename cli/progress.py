"""Progress bars on stderr, one per stage, fed by the library's callbacks."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeftColumn

from mcld_anim.events import Event


class StageBars:
    """Shows one bar per stage while a command runs; a context manager. `update` and `tell` are the callbacks."""

    def __init__(self) -> None:
        self._bars = Progress(
            TextColumn("{task.description:<16}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeLeftColumn(),
            console=Console(stderr=True),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> StageBars:
        self._bars.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for task in self._bars.tasks:
            if kind is None and task.total is None:
                self._bars.update(task.id, total=task.completed)
        self._bars.stop()

    def update(self, stage: str, done: int, total: int | None) -> None:
        """Move the stage's bar; a stage that has not been seen yet gets a new one."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(stage, total=total)
        self._bars.update(self._tasks[stage], completed=done, total=total)

    def tell(self, event: Event) -> None:
        """Print an event as one line above the bars."""
        self.notice(event.message)

    def notice(self, text: str) -> None:
        """Print one line above the bars."""
        self._bars.console.print(f"mcld-anim: {text}", markup=False, highlight=False, soft_wrap=True)
