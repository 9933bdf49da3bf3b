"""The progress of a whole batch, in rows and in per cent, with rows that run counted by their frames."""

from __future__ import annotations

from mcld_anim.batch.rows import Row
from mcld_anim.batch.tasks import Task
from mcld_anim.core.stages import Progress
from mcld_anim.run.frame_range import FrameRange

ROWS_STAGE, SHARE_STAGE = "rows", "batch, %"

FRAMES_STAGE = "frames"
"""The stage of a row that takes most of its time."""


class BatchProgress:
    """Adds up the progress of rows that may run side by side."""

    def __init__(self, rows: int, progress: Progress) -> None:
        self._rows, self._progress = rows, progress
        self._shares: dict[str, dict[int, float]] = {}  # of the rows that run: first frame of each part -> 0..1
        self._ended = 0
        self._shows_stages = False

    def start(self, shows_stages: bool) -> None:
        """Report the beginning; `shows_stages`: rows run one at a time, so that their stages can be reported too."""
        self._shows_stages = shows_stages
        self._report()

    def hear(self, task: Task, stage: str, done: int, total: int | None) -> None:
        """Take in the progress of a task; that of a range counts the frames before it as done."""
        if self._shows_stages:
            self._progress(stage, done, total)
        if stage == FRAMES_STAGE and total:
            first = task.part.first if isinstance(task.part, FrameRange) else 0
            self._shares.setdefault(task.row.output, {})[first] = max(0, done - first) / total
            self._report()

    def restart(self, task: Task) -> None:
        """A task is done again."""
        if not isinstance(task.part, FrameRange):
            self._shares.pop(task.row.output, None)

    def end(self, row: Row) -> None:
        """A row is done or failed."""
        self._shares.pop(row.output, None)
        self._ended += 1
        self._report()

    def _report(self) -> None:
        self._progress(ROWS_STAGE, self._ended, self._rows)
        running = sum(sum(parts.values()) for parts in self._shares.values())
        self._progress(SHARE_STAGE, int(100 * (self._ended + running) / self._rows), 100)
