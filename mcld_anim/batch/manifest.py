"""Reading a batch manifest, whose content shows its format."""

from __future__ import annotations

import csv
import dataclasses
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mcld_anim.batch.rows import Row, RowChecks
from mcld_anim.core.errors import ManifestError, McldAnimError, UsageError
from mcld_anim.core.plain_data import PlainDataError, parse_json, parse_yaml, yaml_items
from mcld_anim.core.tables import MOST_TEXT_BYTES, decoded, read_text, separator_of, table_rows
from mcld_anim.options.photos import MOST_PHOTOS
from mcld_anim.options.run import PoseOptions, RunOptions

STANDARD_INPUT = Path("-")
"""The manifest that is read from standard input; its paths are relative to the current folder."""

OPTION_KINDS = {field.name: str(field.type) for cls in (RunOptions, PoseOptions) for field in dataclasses.fields(cls)}
"""The type of each option of a row, as it is annotated."""

FORMATS = "give JSONL, CSV or YAML"
YAML_BEGINNING = re.compile(r"[-\[#%]|\w+\s*:(\s|$)")
"""How YAML begins: a list, a comment, a directive, or a mapping, which is refused by name."""
MORE_SOURCES = tuple(f"source_{number}" for number in range(2, MOST_PHOTOS + 1))
"""Columns of a CSV for further photos of the person in `source`; an empty cell is none."""
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+")
"""A number of a spreadsheet in a language with decimal commas, which separates cells by something else."""


def read_manifest(
    path: Path, output_dir: Path, overwrite: bool = False, offline: bool = False, config: Path | None = None
) -> list[Row]:
    """The rows of a JSONL, CSV or YAML manifest, `-` for standard input; raises ManifestError with one line per error.

    `overwrite`, `offline` and `config` are the batch's options, for rows without their own.
    """
    checks = RowChecks(path.parent, output_dir, {"overwrite": overwrite, "offline": offline, "config": config})
    rows: list[Row] = []
    errors: list[str] = []
    for line, content in _read_rows(path):
        try:
            if isinstance(content, str):
                raise UsageError(content)
            rows.append(checks.row(content, line))
        except McldAnimError as error:
            errors.append(f"{named(path)} line {line}: {error}")
    if errors:
        raise ManifestError("\n".join(errors))
    if not rows:
        raise ManifestError(f"{path} has no rows: each needs source, driving or pose, and output")
    return rows


def named(path: Path) -> str:
    """The manifest's name in messages."""
    return "standard input" if path == STANDARD_INPUT else path.name


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(line, row) of every row; an unreadable row is represented by its error message."""
    try:
        text = decoded(_standard_input()) if path == STANDARD_INPUT else read_text(path)
    except FileNotFoundError:
        raise ManifestError(f"manifest {path} does not exist: check the path") from None
    except OSError as error:
        raise ManifestError(f"manifest {path} cannot be read ({error.strerror}): check the path") from error
    except UnicodeDecodeError:
        text = "\0"
    except ValueError as error:
        raise ManifestError(f"manifest {path} cannot be read ({error}): give a JSONL, CSV or YAML file") from error
    if "\0" in text:
        raise ManifestError(f"manifest {path} is not UTF-8 text: {FORMATS}; a spreadsheet is saved as CSV UTF-8")
    return _reader(text)(text, path)


def _standard_input() -> bytes:
    content = sys.stdin.buffer.read(MOST_TEXT_BYTES + 1)
    if len(content) > MOST_TEXT_BYTES:
        raise ValueError(f"it has more than {MOST_TEXT_BYTES} bytes")
    return content


def _reader(text: str) -> Callable[[str, Path], Iterator[tuple[int, dict[str, Any] | str]]]:
    """The reader for the format, which the first line with text shows."""
    first = next((line.strip() for line in text.split("\n") if line.strip()), "")
    if first.startswith("{"):
        return _jsonl
    return _yaml if YAML_BEGINNING.match(first) else _csv


def _jsonl(text: str, _path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    # A string may hold U+2028 and other ends of lines, which `splitlines` would split at
    for line, content in enumerate(text.split("\n"), 1):
        if not content.strip():
            continue
        try:
            row = parse_json(content, unique_keys=True)
        except PlainDataError as error:
            yield line, f"not readable as JSON ({error}); each line is one object"
            continue
        yield line, row if isinstance(row, dict) else "expected an object of option names and values"


def _csv(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    separator, line = separator_of(text), 0
    header: list[str] | None = None
    try:
        for line, cells in table_rows(text, separator):
            if header is None:
                header = cells
                _check_header(header, line, path)
            elif len(cells) > len(header):
                yield line, f"{len(cells)} cells, but the header has {len(header)}"
            else:
                pairs = zip(header, cells, strict=False)
                yield line, _joined({name: _cell(name, cell, separator) for name, cell in pairs if cell})
    except csv.Error as error:
        yield line + 1, f"not readable as CSV ({error})"


def _check_header(header: list[str], line: int, path: Path) -> None:
    if not OPTION_KINDS.keys() & set(header):
        raise ManifestError(
            f"{path.name} line {line}: no column of the header is known ({', '.join(header)[:80]}): {FORMATS}; a "
            "table's columns are source, driving or pose, output and other options, separated by commas, semicolons "
            "or tabs"
        )
    if len(set(header)) != len(header):
        raise ManifestError(f"{path.name} line {line}: a column is named twice")


def _cell(name: str, text: str, separator: str) -> Any:
    """A CSV cell as the option's type: numbers and booleans parsed as YAML, text unchanged."""
    if not any(kind in OPTION_KINDS.get(name, "") for kind in ("int", "float", "bool")):
        return text
    if separator != "," and DECIMAL_COMMA.fullmatch(text):
        text = text.replace(",", ".")
    try:
        return parse_yaml(text)
    except PlainDataError:
        return text


def _joined(row: dict[str, Any]) -> dict[str, Any] | str:
    """A row whose columns `source`, `source_2`, `source_3`, ... have become one list, where there are several; an error
    message without the first."""
    more = {name: row.pop(name) for name in MORE_SOURCES if name in row}
    if not more:
        return row
    if "source" not in row:
        return f"{next(iter(more))} is given without source: the first photo is in the column source"
    return {**row, "source": [row["source"], *more.values()]}


def _yaml(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    try:
        for line, row in yaml_items(text):
            if isinstance(row, PlainDataError):
                yield line, str(row)
            else:
                yield line, row if isinstance(row, dict) else "expected a mapping of option names and values"
    except PlainDataError as error:
        raise ManifestError(f"{path}: not readable as YAML ({error}); each row is '- source: ...'") from error
