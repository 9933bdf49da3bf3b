"""Running rows in this process, which is also what every worker elsewhere does."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from mcld_anim.animator import Animator
from mcld_anim.batch.executor import Listener, Outcome
from mcld_anim.batch.rows import Row
from mcld_anim.batch.thumbnail import write_thumbnail
from mcld_anim.core.errors import McldAnimError
from mcld_anim.core.events import Event


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
