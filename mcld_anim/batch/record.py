"""`batch.json`: the outcome of every row. It is replaced as a whole, so it is always readable."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mcld_anim.batch.manifest import Row
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import OutputError
from mcld_anim.core.names import write_json
from mcld_anim.core.version import __version__

BATCH_RECORD = "batch.json"


class BatchRecord:
    """The rows of one output folder by output name, each with its status: waiting, done or failed."""

    def __init__(self, path: Path, rows: dict[str, dict[str, Any]]) -> None:
        self.path = path
        self.rows = rows

    @classmethod
    def open(cls, output_dir: Path) -> BatchRecord:
        """The record of an earlier batch in this folder, or an empty one."""
        path = output_dir / BATCH_RECORD
        if not path.exists():
            return cls(path, {})
        try:
            rows = {row["output"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise OutputError(f"{path} is not a batch record ({error}): move it away to start over") from error
        return cls(path, rows)

    def is_finished(self, row: Row, fingerprint: dict[str, Any], result: Path) -> bool:
        """Whether this row is done with the same options and inputs, and its result still exists."""
        known = self.rows.get(row.output, {})
        return known.get("status") == "done" and known.get("fingerprint") == fingerprint and result.is_file()

    def put(self, row: Row, status: str, fingerprint: dict[str, Any], **details: Any) -> None:
        """Replace the entry of a row."""
        known = {
            "line": row.line,
            "output": row.output,
            "status": status,
            **details,
            "fingerprint": fingerprint,
        }
        self.rows[row.output] = known

    def save(self, order: Iterable[Row]) -> None:
        """Write the rows of `order`, then those of earlier batches; the file is durable on return."""
        names = [row.output for row in order]
        rows = [self.rows[name] for name in dict.fromkeys([*names, *self.rows])]
        counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "failed", "waiting")}
        content = {"mcld_anim": __version__, "summary": counts, "rows": rows}
        with durable_file(self.path, overwrite=True) as partial:
            write_json(partial, content)
