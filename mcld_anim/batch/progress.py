"""The progress of a whole batch, in rows and in per cent, with rows that run counted by their frames."""

from __future__ import annotations

from mcld_anim.batch.rows import Row
from mcld_anim.core.stages import Progress

ROWS_STAGE, SHARE_STAGE = "rows", "batch, %"

FRAMES_STAGE = "frames"
"""The stage of a row that takes most of its time."""


class BatchProgress:
    """Adds up the progress of rows that may run side by side."""

    def __init__(self, rows: int, progress: Progress) -> None:
        self._rows, self._progress = rows, progress
        self._shares: dict[str, float] = {}  # of the rows that run, 0..1
        self._ended = 0
        self._shows_stages = False

    def start(self, shows_stages: bool) -> None:
        """Report the beginning; `shows_stages`: rows run one at a time, so that their stages can be reported too."""
        self._shows_stages = shows_stages
        self._report()

    def hear(self, row: Row, stage: str, done: int, total: int | None) -> None:
        """Take in the progress of a row."""
        if self._shows_stages:
            self._progress(stage, done, total)
        if stage == FRAMES_STAGE and total:
            self._shares[row.output] = done / total
            self._report()

    def restart(self, row: Row) -> None:
        """A row runs again."""
        self._shares.pop(row.output, None)

    def end(self, row: Row) -> None:
        """A row is done or failed."""
        self._shares.pop(row.output, None)
        self._ended += 1
        self._report()

    def _report(self) -> None:
        self._progress(ROWS_STAGE, self._ended, self._rows)
        self._progress(SHARE_STAGE, int(100 * (self._ended + sum(self._shares.values())) / self._rows), 100)
