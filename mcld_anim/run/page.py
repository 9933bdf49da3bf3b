"""The report page of a run, with its settings, versions, checksums and times."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from mcld_anim.core.outputs import OutputFiles
from mcld_anim.options.run import RunOptions
from mcld_anim.report.page import Page
from mcld_anim.report.thumbnails import Thumbnails
from mcld_anim.run.writer import playable

SECTIONS = {
    "options": "Options",
    "versions": "Versions",
    "weights": "Weights (SHA-256)",
    "inputs": "Inputs (SHA-256)",
    "seconds": "Seconds per stage",
    "peak_memory_bytes": "Peak memory (bytes)",
}
"""Parts of OUT.run.json that the page shows, with their headings."""


def run_page(
    options: RunOptions,
    outputs: OutputFiles,
    made: Path,
    fps: Fraction,
    thumbnails: Thumbnails,
    summary: Mapping[str, Any],
    record: Mapping[str, Any],
) -> Page:
    """The page of a run whose unfinished result is `made` and whose OUT.run.json holds `record`."""
    name = outputs.result.name
    return Page(
        title=name,
        origin=f"{' and '.join(photo.name for photo in options.photos)} in the motion of {options.driving.name}",
        video=playable(made),
        video_name=name,
        fps=fps,
        thumbnails=thumbnails,
        summary=summary,
        settings={heading: record[key] for key, heading in SECTIONS.items() if key in record},
    )
