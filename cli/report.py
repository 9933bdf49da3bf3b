"""`mcld-anim report`: the report of any video of a person, from any program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli.progress import StageBars


def command(
    video: Annotated[Path, typer.Argument(help="Video of one person, made by any program.")],
    source: Annotated[Path, typer.Option("--source", "-s", help="Photo of the person that it should show.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="NAME.report.html; beside the video if absent.")
    ] = None,
    densepose: Annotated[str, typer.Option(help="tiny, detectron2, or the PATH of the video's IUV.")] = "tiny",
    face: Annotated[str, typer.Option(help="tiny, insightface or none.")] = "tiny",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a report that exists.")] = False,
) -> None:
    """Write a report on an existing video: face similarity and stability of every frame, as HTML, JSON and CSV."""
    from mcld_anim.run.report import ReportRequest, report_video

    request = ReportRequest(video, source, output, densepose, face, device, overwrite)
    with StageBars() as bars:
        page = report_video(request, progress=bars.update, on_event=bars.tell)
    typer.echo(page)
