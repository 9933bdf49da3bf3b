"""`mcld-anim report`: the report of any video of a person, from any program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import flags, streams
from mcld_anim.cli.progress import stage_display
from mcld_anim.options.extract import ReportOptions


def command(
    video: Annotated[Path, typer.Argument(help="Video of one person, made by any program.")],
    source: Annotated[Path, flags.flag(flags.INPUT, "Photo of the person that it should show.", "--source", "-s")],
    densepose: flags.Densepose = None,
    output: Annotated[
        Path | None, flags.flag(flags.OUTPUT, "NAME.report.html; beside the video if absent.", "--output", "-o")
    ] = None,
    overwrite: flags.Overwrite = None,
    face: flags.Face = None,
    offline: flags.Offline = None,
    device: flags.Device = None,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Report face similarity and stability of every frame of an existing video, as HTML, JSON and CSV."""
    options = flags.resolved(ReportOptions, locals())
    from mcld_anim import Animator

    with stage_display() as shown, Animator(cache=False) as animator:
        result = animator.run(options, shown.update, shown.show)
    streams.tell(result.output)
