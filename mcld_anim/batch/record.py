"""`batch.json`: the outcome of every row. It is replaced as a whole, so it is always readable.

Each shard writes its own, `batch.2-of-4.json`, so that none overwrites another's. All are read, and a batch without
`--shard` merges them into `batch.json`.

A record may be behind: the process can be killed after a row's files were published, before the record was. Such a row
is recognised by its files, see `made_since`.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mcld_anim.batch.rows import Row
from mcld_anim.core.checksums import Checksums
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import InputError, OutputError
from mcld_anim.core.names import write_json
from mcld_anim.core.version import __version__
from mcld_anim.options.batch import Shard
from mcld_anim.options.load import to_mapping

RECORD_NAME = re.compile(r"batch(\.\d+-of-\d+)?\.json")

SAVING_SHARE = 0.05
"""Largest share of the time that is spent on saving: to write 10,000 rows after each row would take hours."""

STATUSES = ("done", "failed", "waiting")

NOT_THE_RESULT = ("overwrite", "offline", "output")
"""Options on which the result does not depend."""

RESOLVED = ("model", "densepose", "face", "device", "dtype", "steps", "step_scale", "guidance")
"""Options for which OUT.run.json may have another name or value than the row."""


def row_options(row: Row) -> dict[str, Any]:
    """The options that determine a row's result, as JSON gives them back."""
    options = {name: value for name, value in to_mapping(row.options).items() if name not in NOT_THE_RESULT}
    return json.loads(json.dumps(options))


class BatchRecord:
    """The rows of one output folder by output name, each with its status: waiting, done or failed."""

    def __init__(self, path: Path, rows: dict[str, dict[str, Any]]) -> None:
        self.path = path
        self.rows = rows
        self._saved, self._cost = 0.0, 0.0  # when, and the seconds that it took

    @classmethod
    def open(cls, output_dir: Path, shard: Shard | None = None) -> BatchRecord:
        """The record of this folder, with what all earlier batches and shards did there."""
        rows: dict[str, dict[str, Any]] = {}
        names = (path for path in output_dir.glob("batch*.json") if RECORD_NAME.fullmatch(path.name))
        for path in sorted(names):
            for name, row in _read(path).items():
                if row.get("ended", 0) >= rows.get(name, {}).get("ended", 0):
                    rows[name] = row
        name = "batch.json" if shard is None else f"batch.{shard.index}-of-{shard.count}.json"
        return cls(output_dir / name, rows)

    def is_finished(self, row: Row, checksums: Checksums) -> bool:
        """Whether this row is done with the same options and inputs, and its result still exists.

        A row whose result was made, but not recorded, is recorded by this.
        """
        known = self.rows.get(row.output, {})
        if known.get("fingerprint", {}).get("options") != row_options(row) or not row.files.result.is_file():
            return False
        if known["status"] == "waiting":
            made = made_since(known, row)
            if made is None:
                return False
            self.put(row, "done", **made)
        return self.rows[row.output]["status"] == "done" and self._has_inputs(row, checksums)

    def _has_inputs(self, row: Row, checksums: Checksums) -> bool:
        known = self.rows[row.output]["fingerprint"].get("inputs")
        try:
            return known == {str(path): checksums.of(path) for path in row.options.inputs}
        except InputError:
            return False

    def put(self, row: Row, status: str, inputs: dict[str, str] | None = None, **details: Any) -> None:
        """Replace the entry of a row; `inputs`: the SHA-256 of what a result was made from."""
        fingerprint = {"options": row_options(row)} | ({} if inputs is None else {"inputs": inputs})
        entry = {"line": row.line, "output": row.output, "status": status, **details}
        if status != "waiting":
            entry["ended"] = round(time.time(), 3)
        self.rows[row.output] = {**entry, "fingerprint": fingerprint}

    def wait(self, row: Row) -> None:
        """Enter a row that is to be run, with the time of the result that it replaces."""
        result = row.files.result
        if result.exists():
            self.put(row, "waiting", replaces=result.stat().st_mtime_ns)
        else:
            self.put(row, "waiting")

    def save(self, order: Iterable[Row]) -> None:
        """Write the rows of `order`, and without shards those of earlier batches; the file is durable on return."""
        began = time.monotonic()
        names = [row.output for row in order]
        if self.path.name == "batch.json":
            names += self.rows
        rows = [self.rows[name] for name in dict.fromkeys(names)]
        with durable_file(self.path, overwrite=True) as partial:
            write_json(partial, {"mcld_anim": __version__, "summary": counts(rows), "rows": rows})
        self._saved = time.monotonic()
        self._cost = self._saved - began

    def save_if_due(self, order: Iterable[Row]) -> None:
        """Save, unless that would take more than `SAVING_SHARE` of the time."""
        if time.monotonic() - self._saved >= self._cost / SAVING_SHARE:
            self.save(order)


def counts(rows: Iterable[dict[str, Any]]) -> dict[str, int]:
    """How many rows have each status."""
    found = [row["status"] for row in rows]
    return {status: found.count(status) for status in STATUSES}


def made_since(known: dict[str, Any], row: Row) -> dict[str, Any] | None:
    """The details of a result that was published after its row was entered as waiting in `known`; None for another.

    The result is the last of its files to be published, so the others belong to it.
    """
    files = row.files
    if files.result.stat().st_mtime_ns == known.get("replaces"):
        return None
    try:
        run = json.loads(files.run_json.read_text(encoding="utf-8"))
        summary = json.loads(files.report_json.read_text(encoding="utf-8"))["summary"]
        given, used, inputs = row_options(row), run["options"], run["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    told = {name: value for name, value in given.items() if value not in (None, "auto") and name not in RESOLVED}
    if any(used.get(name) != value for name, value in told.items()):
        return None
    return {"summary": summary, "inputs": inputs}


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        rows = {row["output"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]}
        if not all(row["status"] in STATUSES for row in rows.values()):
            raise ValueError("a status is unknown")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is not a batch record ({error}): move it away to start over") from error
    return rows
