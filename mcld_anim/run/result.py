"""The results of the stories."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcld_anim.core.arrays import Picture, Texture
from mcld_anim.core.outputs import OutputFiles


@dataclass(frozen=True, eq=False)
class Result:
    """The result of `run` or `pose`."""

    files: OutputFiles
    summary: dict[str, Any]
    """The summary in OUT.report.json."""
    picture: Picture | None = None
    """The picture of `pose`."""

    @property
    def output(self) -> Path:
        """The video, or the picture."""
        return self.files.result


@dataclass(frozen=True)
class DensePoseResult:
    """The result of `densepose`."""

    output: Path
    frames: int
    with_person: int  # frames in which the person was found; the others hold a neighbouring frame's pose
    densepose: str  # name of the estimator


@dataclass(frozen=True, eq=False)
class TextureResult:
    """The result of `texture`."""

    texture: Texture
    output: Path | None  # the PNG, if one was requested
    densepose: str | None  # name of the estimator; None if the IUV was given


@dataclass(frozen=True)
class ReportResult:
    """The result of `report`."""

    files: OutputFiles
    summary: dict[str, Any]
    """The summary in NAME.report.json."""

    @property
    def output(self) -> Path:
        """The page."""
        return self.files.report_html
