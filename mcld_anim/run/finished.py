"""Results that an earlier run has finished already: what makes a command that was killed at its end go on."""

from __future__ import annotations

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.errors import McldAnimError
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.core.tables import read_json
from mcld_anim.core.work_folder import recover
from mcld_anim.options.run import EditOptions, PoseOptions, RunOptions
from mcld_anim.run.checks import named_outputs
from mcld_anim.run.request import request_of
from mcld_anim.run.result import Result

MOST_REPORT_BYTES = 500_000_000
"""Largest report that is read again, in bytes: that of two million frames."""


def published_before(
    options: RunOptions | PoseOptions | EditOptions, checksums: Checksums, stages: Stages
) -> Result | None:
    """Finish an earlier run's publishing that was interrupted; its result if it was asked for the same, else None."""
    outputs = named_outputs(options)
    request = recover(outputs)
    if request is None or request != request_of(options, checksums):
        return None
    message = f"{outputs.result}: an earlier run had made every file; they have their names now"
    stages.emit(Event("published", message))
    return finished_result(options, checksums)


def finished_result(options: RunOptions | PoseOptions | EditOptions, checksums: Checksums) -> Result | None:
    """The result of `options` if its set of files is there, was asked for exactly the same and made by this version of
    the program; None otherwise. A publishing that was interrupted is finished first."""
    outputs = named_outputs(options)
    recover(outputs)
    if not all(path.is_file() for path in outputs.all):
        return None
    try:
        record = read_json(outputs.run_json)
        if record.get("request") != request_of(options, checksums):
            return None
        summary = read_json(outputs.report_json, MOST_REPORT_BYTES)["summary"]
    except (OSError, ValueError, KeyError, AttributeError, McldAnimError):
        return None
    return Result(outputs, summary)
