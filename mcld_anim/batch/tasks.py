"""What workers are given: a row, or a part of one that several of them make.

A clip that is split becomes a task that finds its ranges, a task for each range, and one that joins them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcld_anim.batch.rows import Row
from mcld_anim.options.run import RunOptions
from mcld_anim.run.frame_range import FrameRange


@dataclass(frozen=True)
class Split:
    """Find at most `count` ranges of the row's frames."""

    count: int


@dataclass(frozen=True)
class Join:
    """Publish the row's result from its ranges."""

    ranges: tuple[FrameRange, ...]


@dataclass(frozen=True)
class Task:
    """A row, or a part of it."""

    row: Row
    part: Split | FrameRange | Join | None = None  # None: the whole row


def first_task(row: Row, ranges: int) -> Task:
    """The first task of a row that may be split into so many ranges."""
    return Task(row, Split(ranges) if ranges > 1 and isinstance(row.options, RunOptions) else None)


class SplitRows:
    """Which ranges of split rows are not made yet."""

    def __init__(self) -> None:
        self._ranges: dict[str, tuple[FrameRange, ...]] = {}
        self._left: dict[str, set[FrameRange]] = {}

    def next_tasks(self, task: Task, details: Mapping[str, Any]) -> Sequence[Task] | None:
        """What follows on a task that is done, with the `ranges` among its `details`; None: its row is done."""
        row, part = task.row, task.part
        if isinstance(part, Split):
            ranges = details["ranges"]
            if len(ranges) == 1:
                return [Task(row)]
            self._ranges[row.output], self._left[row.output] = ranges, set(ranges)
            return [Task(row, each) for each in ranges]
        if isinstance(part, FrameRange):
            left = self._left[row.output]
            left.discard(part)
            return [] if left else [Task(row, Join(self._ranges[row.output]))]
        return None
