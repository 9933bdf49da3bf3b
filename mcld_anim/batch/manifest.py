"""Reading a batch manifest, whose content shows its format, and checking every row before the first one runs.

A manifest is untrusted data: its rows can name any input, but outputs stay inside the output folder.
"""

from __future__ import annotations

import csv
import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcld_anim.core.errors import ManifestError, McldAnimError, UsageError
from mcld_anim.core.outputs import OutputFiles, name_output
from mcld_anim.core.plain_data import PlainDataError, parse_json, parse_yaml, shown, yaml_items
from mcld_anim.core.tables import read_text, separator_of, table_rows
from mcld_anim.options.checks import check_file_name
from mcld_anim.options.estimators import DENSEPOSE_BACKENDS
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import PoseOptions, RunOptions, SynthesisOptions
from mcld_anim.options.video import BACKGROUND_NAMES

PATH_KEYS = ("source", "driving", "pose", "config")
"""Keys whose value is a path relative to the manifest; values of `audio`, `densepose` and `background` may be one."""

OPTION_KINDS = {field.name: str(field.type) for cls in (RunOptions, PoseOptions) for field in dataclasses.fields(cls)}
"""The type of each option of a row, as it is annotated."""

FORMATS = "give JSONL, CSV or YAML"
YAML_BEGINNING = re.compile(r"[-\[#%]|\w+\s*:(\s|$)")
"""How YAML begins: a list, a comment, a directive, or a mapping, which is refused by name."""
DECIMAL_COMMA = re.compile(r"[-+]?\d*,\d+")
"""A number of a spreadsheet in a language with decimal commas, which separates cells by something else."""


@dataclass(frozen=True)
class Row:
    """A valid row: its position in the manifest and its complete options."""

    line: int  # in the manifest, from 1
    options: RunOptions | PoseOptions  # input paths are relative to the current folder; `output` is absolute
    output: str  # relative to the output folder, with forward slashes; identifies the row in batch.json


def read_manifest(path: Path, output_dir: Path, overwrite: bool = False, offline: bool = False) -> list[Row]:
    """The rows of a JSONL, CSV or YAML manifest; raises ManifestError with one line per error.

    `overwrite` and `offline` are the batch's options, for rows without their own.
    """
    rows: list[Row] = []
    errors: list[str] = []
    taken: dict[Path, int] = {}
    for line, content in _read_rows(path):
        try:
            if isinstance(content, str):
                raise UsageError(content)
            given = {"overwrite": overwrite, "offline": offline, **content}
            row = _check_row(line, given, path.parent, output_dir)
            files = OutputFiles(_inside(output_dir, row.output)).all
            earlier = next((taken[file] for file in files if file in taken), None)
            if earlier is not None:
                raise UsageError(f"output {row.output} is already written by line {earlier}; name another file")
            taken.update(dict.fromkeys(files, line))
            rows.append(row)
        except McldAnimError as error:
            errors.append(f"{path.name} line {line}: {error}")
    if errors:
        raise ManifestError("\n".join(errors))
    if not rows:
        raise ManifestError(f"{path} has no rows: each needs source, driving or pose, and output")
    return rows


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    """(line, row) of every row; an unreadable row is represented by its error message."""
    try:
        text = read_text(path)
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
                yield line, {name: _cell(name, cell, separator) for name, cell in pairs if cell}
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


def _yaml(text: str, path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    try:
        for line, row in yaml_items(text):
            if isinstance(row, PlainDataError):
                yield line, str(row)
            else:
                yield line, row if isinstance(row, dict) else "expected a mapping of option names and values"
    except PlainDataError as error:
        raise ManifestError(f"{path}: not readable as YAML ({error}); each row is '- source: ...'") from error


def _check_row(line: int, given: Mapping[str, Any], base: Path, output_dir: Path) -> Row:
    if ("driving" in given) == ("pose" in given):
        raise UsageError("give either driving (a video) or pose (a picture or IUV)")
    cls: type[SynthesisOptions] = RunOptions if "driving" in given else PoseOptions
    values = dict(given)
    for key in PATH_KEYS:
        if isinstance(values.get(key), str):
            values[key] = str(base / values[key])
    for key, names in (
        ("audio", ("driving", "none")),
        ("densepose", DENSEPOSE_BACKENDS),
        ("background", BACKGROUND_NAMES),
    ):
        if isinstance(values.get(key), str) and values[key] not in names and not values[key].startswith("#"):
            values[key] = str(base / values[key])
    written = values.pop("output", None)
    if not (written is None or (isinstance(written, str) and written)):
        raise UsageError(f"output is {shown(written)}, expected a path inside the output folder")
    if written:
        check_file_name("output", written)
    options = resolve_options(cls, values, "this row")
    assert isinstance(options, RunOptions | PoseOptions)
    second = options.driving if isinstance(options, RunOptions) else options.pose
    suffixes = options.suffixes if isinstance(options, RunOptions) else (".png",)
    name = name_output(Path(written) if written else None, options.source, second, *suffixes).result
    output = _inside(output_dir, str(name))
    _check_inputs_exist(options, second)
    placed = dataclasses.replace(options, output=output)
    return Row(line, placed, output.relative_to(output_dir.resolve()).as_posix())


def _inside(output_dir: Path, name: str) -> Path:
    """The absolute path of an output. Raises UsageError if it leaves the output folder, even through a link."""
    root = output_dir.resolve()
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise UsageError(f"output {name} leaves the output folder; give a path inside it, without ..")
    place = (root / name).resolve()
    if not place.is_relative_to(root):
        raise UsageError(f"output {name} leaves the output folder through a link; remove the link or name another")
    return place


def _check_inputs_exist(options: RunOptions | PoseOptions, second: Path) -> None:
    files = {"source": options.source, "pose" if isinstance(options, PoseOptions) else "driving": second}
    if options.precomputed is not None:
        files["densepose"] = options.precomputed
    if isinstance(options, RunOptions) and options.audio not in ("driving", "none"):
        files["audio"] = Path(options.audio)
    if isinstance(options, RunOptions) and options.background_file is not None:
        files["background"] = options.background_file
    for key, file in files.items():
        if not file.exists():
            raise UsageError(f"{key} {file} does not exist; paths are relative to the manifest")
        if not (file.is_file() or file.is_dir()):
            raise UsageError(f"{key} {file} is a device or a pipe; give a file")
