"""Text and tables as people's programs save them: UTF-8 or UTF-16, with commas, semicolons or tabs."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mcld_anim.core.bounded_files import read_bytes
from mcld_anim.core.plain_data import parse_json

MOST_TEXT_BYTES = 64_000_000
"""Largest text file that is read, in bytes: a manifest of 300,000 rows."""

SEPARATORS = ",;\t|"
"""What spreadsheets put between cells: semicolons where the comma is the decimal sign, tabs in UTF-16."""

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_STATED = re.compile(r"sep=(.)\r?\n?", re.IGNORECASE)  # a first line of Excel's


def read_text(path: Path) -> str:
    """The text of a file: UTF-8, or UTF-16 with a byte order mark. Raises UnicodeDecodeError for any other,
    UnboundedError for what is no file or too large (both are ValueErrors), and OSError."""
    return decoded(read_bytes(path, MOST_TEXT_BYTES))


def read_json(path: Path, most: int = MOST_TEXT_BYTES) -> Any:
    """The value of a JSON file of at most `most` bytes. Raises ValueError for any other, and OSError."""
    return parse_json(decoded(read_bytes(path, most)), most)


def decoded(content: bytes) -> str:
    """The text of a file's content. Raises UnicodeDecodeError."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    return content.decode(encoding)


def separator_of(text: str) -> str:
    """What separates the cells of a table: stated by `sep=;`, else the first such sign of the header, whose names have
    none. A comma for a table of one column."""
    stated = _STATED.match(text)
    if stated:
        return stated[1]
    header = next((line for line in re.split(r"[\r\n]", text) if line.strip()), "")
    return next((sign for sign in header if sign in SEPARATORS), ",")


def table_rows(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of every row, the header first; without white space around cells, empty cells at the end, and
    empty rows. Raises csv.Error for a row that is not readable."""
    reader, began = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True), 0
    for number, cells in enumerate(reader):
        line, began = began + 1, reader.line_num
        row = [cell.strip() for cell in cells]
        while row and not row[-1]:
            row.pop()
        if row and not (number == 0 and _STATED.match(text)):
            yield line, row
