"""The story of a batch: rows are checked, queued, run by an executor and recorded.

Rows that share a source follow one another, so that a worker keeps it encoded.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcld_anim.batch.executor import LOST, Executor, Listener, Outcome, Workplace
from mcld_anim.batch.manifest import read_manifest
from mcld_anim.batch.outputs import OutputNames
from mcld_anim.batch.progress import BatchProgress
from mcld_anim.batch.record import BatchRecord
from mcld_anim.batch.rows import Row, product_rows
from mcld_anim.batch.tasks import SplitRows, Task, first_task
from mcld_anim.core.checksums import Checksums
from mcld_anim.core.durable import make_folders
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.stages import Progress, ignore_progress
from mcld_anim.core.temporary_folder import remove_abandoned
from mcld_anim.options.batch import BatchOptions

MOST_LOST = 3
"""Workers that one row may cost: whatever kills them is in the row."""


@dataclass(frozen=True)
class BatchResult:
    """The outcome of a batch."""

    record: Path  # DIR/batch.json, or that of the shard
    index: Path  # the page
    done: int
    skipped: int  # finished earlier
    failed: int
    waiting: int  # to be run: with `check`, or after a failure with `fail_fast`


def run_batch(options: BatchOptions, progress: Progress = ignore_progress, on_event: EventSink = warn) -> BatchResult:
    """Run every row that is not finished yet; results, `batch.json` and `index.html` go to `output_dir`.

    All rows are checked before the first one runs (ManifestError). A row that fails later is recorded, and the others
    still run. After an interruption, even by SIGKILL, the same command continues from there.
    """
    given = (options.output_dir, options.overwrite, options.offline, options.config)
    if options.manifest is not None:
        rows = read_manifest(options.manifest, *given)
    else:
        assert options.sources is not None
        assert options.drivings is not None
        rows = product_rows(options.sources, options.drivings, *given)
    part = options.part
    if part is not None:
        rows = [row for place, row in enumerate(rows) if part.has(place)]
    record, names, checksums = BatchRecord.open(options.output_dir, part), OutputNames(), Checksums()
    todo = [row for row in rows if not record.is_finished(row, names, checksums)]
    OutputNames().check_writable(todo)  # listed again: publishing that was cut off is finished by now
    page = record.path.with_name(record.path.name.replace("batch", "index", 1)).with_suffix(".html")
    if options.check:
        return BatchResult(record.path, page, 0, len(rows) - len(todo), 0, len(todo))
    from mcld_anim.batch.index import write_index  # not for a check, which is quick

    batch = _Batch(options, rows, todo, record, progress, on_event)
    batch.run()
    write_index(page, rows, record)
    left = len(todo) - batch.done - batch.failed
    return BatchResult(record.path, page, batch.done, len(rows) - len(todo), batch.failed, left)


class _Batch:
    """The queue of one batch, and its record."""

    def __init__(
        self,
        options: BatchOptions,
        rows: Sequence[Row],
        todo: Sequence[Row],
        record: BatchRecord,
        progress: Progress,
        on_event: EventSink,
    ) -> None:
        self._options, self._rows, self._record, self._on_event = options, rows, record, on_event
        self._todo = _grouped(todo)
        self._queue = deque(first_task(row, options.ranges) for row in self._todo)
        self._split = SplitRows()
        self._progress = BatchProgress(len(todo), progress)
        self._tries: Counter[str] = Counter()  # repetitions of each row's tasks
        self._lost: Counter[str] = Counter()  # those of them whose worker died
        self._failed: set[str] = set()
        self._running = 0
        self.done = 0

    @property
    def failed(self) -> int:
        """How many rows failed."""
        return len(self._failed)

    def run(self) -> None:
        """Run the queue to its end, with the record always up to date."""
        try:
            if self._queue:
                self._run_queue()
            else:
                self._workplace()
                self._record.save(self._rows)
        finally:
            if self._options.shard is None:  # else other shards work here, whose locks not every network drive shows
                remove_abandoned(self._options.output_dir)  # of killed workers

    def _run_queue(self) -> None:
        most = len(self._queue) * self._options.ranges
        with _executor(self._options, most, self._workplace, self._listen) as executor:
            for row in self._todo:
                self._record.put(row, "waiting")
            self._record.save(self._rows)
            self._progress.start(shows_stages=executor.workers == 1)
            try:
                while self._queue or self._running:
                    self._step(executor)
            finally:
                self._record.save(self._rows)

    def _step(self, executor: Executor) -> None:
        while self._queue and executor.has_free():
            executor.submit(self._queue.popleft())
            self._running += 1
        for outcome in executor.outcomes():
            self._running -= 1
            if outcome.task.row.output not in self._failed:  # by another of its tasks
                self._take(outcome)
                self._record.save_if_due(self._rows)

    def _take(self, outcome: Outcome) -> None:
        task, details = outcome.task, outcome.details
        if outcome.status == "done":
            self._go_on(task, details)
        elif self._runs_again(outcome):
            self._listen(task, Event("row_repeated", f"{details['error']}; it runs again"))
            self._queue.append(task)
            self._progress.restart(task)
        else:
            self._fail(task, details)

    def _go_on(self, task: Task, details: Mapping[str, Any]) -> None:
        following = self._split.next_tasks(task, details)
        if following is not None:
            self._queue.extendleft(reversed(following))
            return
        self.done += 1
        self._record.put(task.row, "done", **details, **self._repeated(task))
        self._progress.end(task.row)

    def _fail(self, task: Task, details: Mapping[str, Any]) -> None:
        row = task.row
        self._failed.add(row.output)
        self._record.put(row, "failed", **{"exit_code": 1, **details}, **self._repeated(task))
        self._listen(task, Event("row_failed", details["error"]))
        self._queue = deque(other for other in self._queue if other.row is not row and not self._options.fail_fast)
        self._progress.end(row)

    def _repeated(self, task: Task) -> dict[str, Any]:
        tries = self._tries[task.row.output]
        return {"tries": tries + 1} if tries else {}

    def _runs_again(self, outcome: Outcome) -> bool:
        """Whether the task is done again; counts it."""
        name, lost = outcome.task.row.output, outcome.status == LOST
        if lost:
            again = self._lost[name] < MOST_LOST - 1
        else:
            again = outcome.details["exit_code"] == 1 and self._tries[name] - self._lost[name] < self._options.retries
        self._tries[name] += again
        self._lost[name] += again and lost
        return again

    def _workplace(self) -> Workplace:
        """Make the output folder."""
        folder = self._options.output_dir.absolute()
        make_folders(folder)
        return Workplace(folder, self._options.cache)

    def _listen(self, task: Task, heard: Event | tuple[str, int, int | None]) -> None:
        if isinstance(heard, Event):
            self._on_event(Event(heard.kind, f"{task.row.title}: {heard.message}"))
        else:
            self._progress.hear(task, *heard)


def _executor(options: BatchOptions, most: int, place: Callable[[], Workplace], listen: Listener) -> Executor:
    """The executor that the options ask for, of at most `most` workers; `place` is called once they can be met."""
    if options.executor == "ray":
        from mcld_anim.batch.ray_executor import RayWorkers

        return RayWorkers(options.address, options.workers, most, place(), listen)
    from mcld_anim.batch.in_process import InProcess
    from mcld_anim.batch.processes import Processes, gpus_for

    gpus = gpus_for(options.workers)[:most]
    return InProcess(place(), listen) if len(gpus) == 1 else Processes(gpus, place(), listen)


def _grouped(rows: Sequence[Row]) -> list[Row]:
    """The rows in order, except that rows sharing models and source follow the first of them."""

    def shared(row: Row) -> tuple[object, ...]:
        options = row.options
        return (options.photos, options.model, options.device, options.dtype, options.densepose, options.face)

    first_seen: dict[tuple[object, ...], int] = {}
    for place, row in enumerate(rows):
        first_seen.setdefault(shared(row), place)
    return sorted(rows, key=lambda row: first_seen[shared(row)])
