"""What the stories return."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcld_anim.core.arrays import Picture, Texture
from mcld_anim.core.outputs import OutputFiles


@dataclass(frozen=True, eq=False)
class Result:
    """What `run` or `pose` wrote."""

    files: OutputFiles
    summary: dict[str, Any]
    """As in OUT.report.json."""
    picture: Picture | None = None
    """Of `pose`: the picture itself."""

    @property
    def output(self) -> Path:
        """The video, or the picture."""
        return self.files.result


@dataclass(frozen=True)
class DensePoseResult:
    """What `densepose` wrote."""

    output: Path
    frames: int
    with_person: int  # frames in which the person was found; the others hold a neighbouring pose
    densepose: str  # the estimator that was used


@dataclass(frozen=True, eq=False)
class TextureResult:
    """What `texture` found."""

    texture: Texture
    output: Path | None  # the PNG, where one was asked for
    densepose: str | None  # the estimator that was used; None where the IUV was given


@dataclass(frozen=True)
class ReportResult:
    """What `report` wrote."""

    files: OutputFiles
    summary: dict[str, Any]
    """As in NAME.report.json."""

    @property
    def output(self) -> Path:
        """The page."""
        return self.files.report_html
