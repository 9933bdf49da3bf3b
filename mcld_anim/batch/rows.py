"""The rows of a batch: complete options, checked before the first one runs.

Rows are untrusted data: they can name any input, but outputs stay inside the output folder. Ten thousand rows often
share a few inputs, folders and configurations; each is looked up once.
"""

from __future__ import annotations

import dataclasses
import glob
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mcld_anim.core.errors import ManifestError, McldAnimError, UsageError
from mcld_anim.core.outputs import OutputFiles, name_output
from mcld_anim.core.plain_data import shown
from mcld_anim.options.checks import check_file_name
from mcld_anim.options.estimators import DENSEPOSE_BACKENDS
from mcld_anim.options.resolve import resolve_options
from mcld_anim.options.run import PoseOptions, RunOptions, SynthesisOptions
from mcld_anim.options.video import BACKGROUND_NAMES

PATH_KEYS = ("source", "driving", "pose", "config", "face_from", "texture", "morph_to")
"""Keys whose value is a path relative to the manifest, of `source` also a list of them; values of `audio`, `densepose`
and `background` may be one."""


@dataclass(frozen=True)
class Row:
    """A valid row: its position in the manifest and its complete options."""

    line: int | None  # in the manifest, from 1; None without a manifest
    options: RunOptions | PoseOptions  # input paths are relative to the current folder; `output` is absolute
    output: str  # relative to the output folder, with forward slashes; identifies the row in batch.json

    @property
    def title(self) -> str:
        """The row in messages."""
        return self.output if self.line is None else f"line {self.line}"

    @cached_property
    def files(self) -> OutputFiles:
        """Its output files."""
        assert self.options.output is not None
        return OutputFiles(self.options.output)


def product_rows(
    sources: str, drivings: str, output_dir: Path, overwrite: bool = False, offline: bool = False, config: Any = None
) -> list[Row]:
    """A row for every file of the pattern `sources` with every file of the pattern `drivings` (`**` for any depth).

    Raises ManifestError with one line per error.
    """
    found = {flag: _matches(flag, pattern) for flag, pattern in (("--glob", sources), ("--driving", drivings))}
    checks = RowChecks(Path(), output_dir, {"overwrite": overwrite, "offline": offline, "config": config})
    rows, errors = [], []
    for source in found["--glob"]:
        for driving in found["--driving"]:
            try:
                rows.append(checks.row({"source": source, "driving": driving}))
            except McldAnimError as error:
                errors.append(f"{source} with {driving}: {error}")
    if errors:
        raise ManifestError("\n".join(errors))
    return rows


def _matches(flag: str, pattern: str) -> list[str]:
    found = sorted(name for name in glob.glob(pattern, recursive=True) if not Path(name).is_dir())
    if not found:
        raise ManifestError(f"{flag} {pattern} matches no file: check the pattern, and quote it against the shell")
    return found


class RowChecks:
    """Checks rows one by one, and remembers what it looked up for the next."""

    def __init__(self, base: Path, output_dir: Path, usual: Mapping[str, Any]) -> None:
        """`base`: the folder that input paths are relative to; `usual`: options for rows that do not say."""
        self._base, self._root, self._usual = base, output_dir.resolve(), usual
        self._kinds: dict[Path, str] = {}  # "ours": a file or folder; "device"; "none"
        self._taken: dict[Path, Row] = {}

    def row(self, content: Mapping[str, Any], line: int | None = None) -> Row:
        """The row of these keys and values. Raises UsageError; an output that an earlier row has is one."""
        row = self._row({**self._usual, **content}, line)
        earlier = next((self._taken[file] for file in row.files.all if file in self._taken), None)
        if earlier is not None:
            by = earlier.title if earlier.line else f"{earlier.options.source} with {earlier.options.inputs[-1]}"
            raise UsageError(f"output {row.output} is already written by {by}; name another file")
        self._taken.update(dict.fromkeys(row.files.all, row))
        return row

    def _row(self, given: dict[str, Any], line: int | None) -> Row:
        if ("driving" in given) == ("pose" in given):
            raise UsageError("give either driving (a video) or pose (a picture or IUV)")
        cls: type[SynthesisOptions] = RunOptions if "driving" in given else PoseOptions
        written = given.pop("output", None)
        if not (written is None or (isinstance(written, str) and written)):
            raise UsageError(f"output is {shown(written)}, expected a path inside the output folder")
        if written:
            check_file_name("output", written)
        options = resolve_options(cls, self._with_paths(given), "this row")
        assert isinstance(options, RunOptions | PoseOptions)
        second = options.driving if isinstance(options, RunOptions) else options.pose
        suffixes = options.suffixes if isinstance(options, RunOptions) else (".png",)
        name = name_output(Path(written) if written else None, options.source, second, *suffixes).result
        output = self._inside(str(name))
        self._check_inputs_exist(options, second)
        placed = dataclasses.replace(options, output=output)
        return Row(line, placed, output.relative_to(self._root).as_posix())

    def _with_paths(self, values: dict[str, Any]) -> dict[str, Any]:
        """The values with their paths relative to the current folder."""
        for key in PATH_KEYS:
            if isinstance(values.get(key), str):
                values[key] = str(self._base / values[key])
        if isinstance(values.get("source"), list):
            photos = values["source"]
            values["source"] = [str(self._base / photo) if isinstance(photo, str) else photo for photo in photos]
        for key, names in (
            ("audio", ("driving", "none")),
            ("densepose", DENSEPOSE_BACKENDS),
            ("background", BACKGROUND_NAMES),
        ):
            if isinstance(values.get(key), str) and values[key] not in names and not values[key].startswith("#"):
                values[key] = str(self._base / values[key])
        garments = values.get("garment_from")  # PHOTO:GROUP, once or several times
        if isinstance(garments, str):
            values["garment_from"] = str(self._base / garments)
        elif isinstance(garments, list):
            values["garment_from"] = [str(self._base / one) if isinstance(one, str) else one for one in garments]
        return values

    def _inside(self, name: str) -> Path:
        """The absolute path of an output. Raises UsageError if it leaves the output folder, even through a link."""
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise UsageError(f"output {name} leaves the output folder; give a path inside it, without ..")
        place = (self._root / name).resolve()
        if not place.is_relative_to(self._root):
            raise UsageError(f"output {name} leaves the output folder through a link; remove the link or name another")
        return place

    def _check_inputs_exist(self, options: RunOptions | PoseOptions, second: Path) -> None:
        photos = {f"source {number}": photo for number, photo in enumerate(options.more_sources, 2)}
        files = {"source": options.source, **photos, "pose" if isinstance(options, PoseOptions) else "driving": second}
        if options.precomputed is not None:
            files["densepose"] = options.precomputed
        if isinstance(options, RunOptions) and options.audio not in ("driving", "none"):
            files["audio"] = Path(options.audio)
        if isinstance(options, RunOptions) and options.background_file is not None:
            files["background"] = options.background_file
        files |= {flag.removeprefix("--"): photo for photo, flag in options.edit_photos.items()}
        if options.texture is not None:
            files["texture"] = options.texture
        for key, file in files.items():
            if file not in self._kinds:
                self._kinds[file] = "ours" if file.is_file() or file.is_dir() else "device" if file.exists() else "none"
            if self._kinds[file] == "none":
                raise UsageError(f"{key} {file} does not exist; paths are relative to the manifest")
            if self._kinds[file] == "device":
                raise UsageError(f"{key} {file} is a device or a pipe; give a file")
