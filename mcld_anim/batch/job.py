"""Running the rows of a manifest in turn, with `batch.json` always up to date.

Models are loaded once. Rows that share a source run one after another, so only one encoded source is in memory.
DensePose sequences are kept on disk until the batch ends.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcld_anim.animator import Animator
from mcld_anim.batch.manifest import Row, read_manifest
from mcld_anim.batch.record import BatchRecord
from mcld_anim.core.checksums import Checksums
from mcld_anim.core.durable import make_folders
from mcld_anim.core.errors import ManifestError, McldAnimError, OutputError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.outputs import OutputFiles, check_writable
from mcld_anim.core.stages import Progress, ignore_progress
from mcld_anim.options.load import to_mapping

ROWS_STAGE = "rows"


@dataclass(frozen=True)
class BatchResult:
    """The outcome of a batch."""

    record: Path  # DIR/batch.json
    done: int
    skipped: int
    failed: int


def run_batch(
    manifest: Path,
    output_dir: Path,
    overwrite: bool = False,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
    offline: bool = False,
    cache: bool = True,
) -> BatchResult:
    """Run every row of `manifest` that is not finished yet; results and `batch.json` go to `output_dir`.

    All rows are checked before the first one runs (ManifestError). A row that fails later is recorded, and the others
    still run. After an interruption `batch.json` is correct, and the same command continues from there. `cache`: see
    `Animator`.
    """
    rows = read_manifest(manifest, output_dir, overwrite, offline)
    record = BatchRecord.open(output_dir)
    with Animator(folder=output_dir, cache=cache) as animator:
        return _run_rows(rows, manifest, record, animator, progress, on_event)


def _run_rows(
    rows: list[Row],
    manifest: Path,
    record: BatchRecord,
    animator: Animator,
    progress: Progress,
    on_event: EventSink,
) -> BatchResult:
    prints = {row.output: _fingerprint(row, animator.checksums) for row in rows}
    waiting = [row for row in rows if not record.is_finished(row, prints[row.output], _result(row))]
    _check_outputs(waiting, manifest)
    make_folders(record.path.absolute().parent)
    for row in waiting:
        record.put(row, "waiting", prints[row.output])
    record.save(rows)
    failed = 0
    for number, row in enumerate(_grouped(waiting, prints)):
        progress(ROWS_STAGE, number, len(waiting))
        status, details = _run_row(row, animator, progress, on_event)
        failed += status == "failed"
        record.put(row, status, prints[row.output], **details)
        record.save(rows)
    if waiting:
        progress(ROWS_STAGE, len(waiting), len(waiting))
    return BatchResult(record.path, len(waiting) - failed, len(rows) - len(waiting), failed)


def _run_row(row: Row, animator: Animator, progress: Progress, on_event: EventSink) -> tuple[str, dict[str, Any]]:
    """Run one row; returns its status and its details for batch.json."""
    began = time.perf_counter()

    def name_row(event: Event) -> None:
        on_event(Event(event.kind, f"line {row.line}: {event.message}"))

    try:
        result = animator.run(row.options, progress, name_row)
    except Exception as error:  # a failing row must not stop the others
        text = str(error) if isinstance(error, McldAnimError) else f"{type(error).__name__}: {error}"
        name_row(Event("row_failed", text))
        exit_code = error.exit_code if isinstance(error, McldAnimError) else 1
        return "failed", {
            "error": text,
            "exit_code": exit_code,
            "seconds": round(time.perf_counter() - began, 3),
        }
    return "done", {"summary": result.summary, "seconds": round(time.perf_counter() - began, 3)}


def _fingerprint(row: Row, checksums: Checksums) -> dict[str, Any]:
    """Everything that the result depends on: the options but `overwrite` and `offline`, the content of the inputs."""
    options = to_mapping(row.options)
    del options["overwrite"], options["offline"], options["output"]
    return {"options": options, "inputs": {str(path): checksums.of(path) for path in row.options.inputs}}


def _grouped(rows: list[Row], prints: dict[str, dict[str, Any]]) -> list[Row]:
    """The rows in order, except that rows sharing models and source follow the first of them."""

    def shared(row: Row) -> tuple[str, ...]:
        options = row.options
        source = prints[row.output]["inputs"][str(options.source)]
        return (source, options.model, options.device, options.dtype, options.densepose, options.face)

    first_seen: dict[tuple[str, ...], int] = {}
    for place, row in enumerate(rows):
        first_seen.setdefault(shared(row), place)
    return sorted(rows, key=lambda row: first_seen[shared(row)])


def _result(row: Row) -> Path:
    assert row.options.output is not None
    return row.options.output


def _check_outputs(rows: list[Row], manifest: Path) -> None:
    errors = []
    for row in rows:
        try:
            check_writable(OutputFiles(_result(row)), row.options.overwrite)
        except OutputError as error:
            errors.append(f"{manifest.name} line {row.line}: {error}")
    if errors:
        raise ManifestError("\n".join(errors))
