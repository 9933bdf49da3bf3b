"""A run's output files: named, and checked early."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcld_anim.core.durable import check_output
from mcld_anim.core.errors import UsageError
from mcld_anim.core.home import expanded


@dataclass(frozen=True)
class OutputFiles:
    """The result and the files beside it that document it."""

    result: Path  # .mp4 of `run` (.mov or .zip if transparent), .png of `pose`

    @property
    def report_json(self) -> Path:
        """Summary and one row per frame."""
        return self.result.with_suffix(".report.json")

    @property
    def report_csv(self) -> Path:
        """One row per frame."""
        return self.result.with_suffix(".report.csv")

    @property
    def run_json(self) -> Path:
        """Resolved options, versions, checksums, seconds per stage, peak memory."""
        return self.result.with_suffix(".run.json")

    @property
    def report_html(self) -> Path:
        """The report as an HTML page; a single picture has none."""
        return self.result.with_suffix(".report.html")

    @property
    def attention(self) -> Path:
        """Attention maps of some frames, if they were asked for and networks made the frames."""
        return self.result.with_suffix(".attention.png")

    @property
    def all(self) -> tuple[Path, ...]:
        """All files, the result last: if it exists, the others do too."""
        page = () if self.result.suffix.lower() == ".png" else (self.report_html,)
        return (self.report_json, self.report_csv, *page, self.run_json, self.result)

    def inside(self, folder: Path) -> OutputFiles:
        """The same files in another folder."""
        return OutputFiles(folder / self.result.name)


def name_output(output: Path | None, first: Path, second: Path, *suffixes: str) -> OutputFiles:
    """The files of a run: named after `output`, by default <first>_<second><first suffix> in the current folder."""
    if output is None:
        output = Path(f"{first.stem}_{second.stem}{suffixes[0]}")
    output = expanded(output)
    if output.suffix.lower() not in suffixes:
        raise UsageError(
            f"--output {output} does not end in {' or '.join(suffixes)}: that is the format which is written"
        )
    return OutputFiles(output)


def check_writable(outputs: OutputFiles, overwrite: bool) -> None:
    """Refuse outputs that cannot be written, and existing ones unless `overwrite`."""
    for path in reversed(outputs.all):
        check_output(path, overwrite)
