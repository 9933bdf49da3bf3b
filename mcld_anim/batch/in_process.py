"""Running rows in this process, which is also what every worker elsewhere does."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

from mcld_anim.animator import Animator
from mcld_anim.batch.executor import Listener, Outcome, Workplace
from mcld_anim.batch.tasks import Split, Task
from mcld_anim.batch.thumbnail import write_thumbnail
from mcld_anim.core.errors import McldAnimError
from mcld_anim.core.events import Event
from mcld_anim.options.run import RunOptions
from mcld_anim.run.frame_range import FrameRange


class TaskRunner:
    """What every worker has: an animator whose models stay loaded from task to task."""

    def __init__(self, place: Workplace) -> None:
        self._output_dir = place.output_dir
        self._animator = Animator(folder=place.output_dir, cache=place.cache)

    def run(self, task: Task, listen: Listener) -> Outcome:
        """Do one task; whatever goes wrong with it is its outcome."""
        began = time.perf_counter()
        try:
            details = self._done(task, lambda heard: listen(task, heard))
        except Exception as error:  # a failing row must not stop the others
            known = isinstance(error, McldAnimError)
            text = str(error) if known else f"{type(error).__name__}: {error}"
            code = error.exit_code if isinstance(error, McldAnimError) else 1
            details = {"error": text, "exit_code": code}
        details["seconds"] = round(time.perf_counter() - began, 3)
        return Outcome(task, "failed" if "error" in details else "done", details)

    def _done(self, task: Task, tell: Callable[[Event | tuple[str, int, int | None]], None]) -> dict[str, Any]:
        """Do a task; the details of its outcome."""
        animator, row, part = self._animator, task.row, task.part

        def progress(*done: Any) -> None:
            tell(done)

        if part is None:
            result = animator.run(row.options, progress, tell)
        else:
            assert isinstance(row.options, RunOptions)
            if isinstance(part, Split):
                return {"ranges": animator.split(row.options, part.count, progress, tell)}
            if isinstance(part, FrameRange):
                animator.make_range(row.options, part, progress, tell)
                return {}
            result = animator.join(row.options, part.ranges, progress, tell)
        inputs = animator.checksums.of_all(row.options.inputs)
        try:
            write_thumbnail(row, self._output_dir)
        except (McldAnimError, OSError) as error:
            tell(Event("thumbnail_missing", f"the batch's page shows no picture of {row.output}: {error}"))
        return {"summary": result.summary, "inputs": inputs}

    def close(self) -> None:
        """Delete working files and forget the models."""
        self._animator.close()


class InProcess:
    """Does one task at a time in this process."""

    workers = 1

    def __init__(self, place: Workplace, listen: Listener) -> None:
        self._runner, self._listen = TaskRunner(place), listen
        self._task: Task | None = None

    def has_free(self) -> bool:
        """Whether no task waits."""
        return self._task is None

    def submit(self, task: Task) -> None:
        """Keep the task for `outcomes`."""
        self._task = task

    def outcomes(self) -> list[Outcome]:
        """Do the task."""
        assert self._task is not None
        task, self._task = self._task, None
        return [self._runner.run(task, self._listen)]

    def __enter__(self) -> InProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runner.close()
