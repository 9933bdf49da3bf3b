"""`batch.json`: the outcome of every row. It is replaced as a whole, so it is always readable.

Each shard writes its own, `batch.2-of-4.json`, so that none overwrites another's. All are read, and a batch without
`--shard` merges them into `batch.json`.

A record may be behind: the process can be killed after a row's files were published, before the record was. Such a row
is recognised by its files.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mcld_anim.batch.outputs import OutputNames
from mcld_anim.batch.rows import Row
from mcld_anim.core.checksums import Checksums
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import InputError, OutputError
from mcld_anim.core.names import write_json
from mcld_anim.core.tables import read_json
from mcld_anim.core.version import __version__
from mcld_anim.core.work_folder import Work
from mcld_anim.options.batch import Shard
from mcld_anim.options.load import to_mapping
from mcld_anim.run.request import NOT_ASKED

RECORD_NAME = re.compile(r"batch(\.\d+-of-\d+)?\.json")

SAVING_SHARE = 0.05
"""Largest share of the time that is spent on saving: to write 10,000 rows after each row would take hours."""

STATUSES = ("done", "failed", "waiting")


def row_options(row: Row) -> dict[str, Any]:
    """The options that determine a row's result, as JSON gives them back."""
    options = {name: value for name, value in to_mapping(row.options).items() if name not in NOT_ASKED}
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

    def is_finished(self, row: Row, names: OutputNames, checksums: Checksums) -> bool:
        """Whether this row's result exists, with the same options and inputs.

        A result that was made and not recorded is recorded by this; a publishing that was cut off is finished.
        """
        if self._has_done(row, names, checksums):
            return True
        if not (names.has(row.files.result) or names.has(Work(row.files).folder)):
            return False
        from mcld_anim.run.finished import finished_result  # not for a check of new rows, which is quick

        found = finished_result(row.options, checksums)
        if found is None:
            return False
        self.put(row, "done", checksums.of_all(row.options.inputs), summary=found.summary)
        return True

    def _has_done(self, row: Row, names: OutputNames, checksums: Checksums) -> bool:
        known = self.rows.get(row.output, {})
        if known.get("status") != "done" or not names.has(row.files.result):
            return False
        made_from = known.get("fingerprint", {})
        if made_from.get("options") != row_options(row):
            return False
        try:
            return bool(made_from.get("inputs") == checksums.of_all(row.options.inputs))
        except InputError:
            return False

    def put(self, row: Row, status: str, inputs: dict[str, str] | None = None, **details: Any) -> None:
        """Replace the entry of a row; `inputs`: the SHA-256 of what a result was made from."""
        fingerprint = {"options": row_options(row)} | ({} if inputs is None else {"inputs": inputs})
        entry = {"line": row.line, "output": row.output, "status": status, **details}
        if status != "waiting":
            entry["ended"] = round(time.time(), 3)
        self.rows[row.output] = {**entry, "fingerprint": fingerprint}

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


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        rows = {row["output"]: row for row in read_json(path)["rows"]}
        if not all(row["status"] in STATUSES for row in rows.values()):
            raise ValueError("a status is unknown")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{path} is not a batch record ({error}): move it away to start over") from error
    return rows
