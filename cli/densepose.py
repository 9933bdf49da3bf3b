"""`mcld-anim densepose`: the DensePose IUV of a video or photo, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import flags, streams
from mcld_anim.cli.progress import StageBars
from mcld_anim.options.extract import DensePoseOptions
from mcld_anim.options.resolve import resolve_options

Output = Annotated[
    Path | None,
    flags.flag(flags.OUTPUT, "A .zip archive or a folder; for a photo also .png.", "--output", "-o"),
]
Weights = Annotated[
    Path | None, flags.flag(flags.SPEED, "Weights file of the estimator, if not the embedded or pulled one.")
]


def command(
    input: Annotated[Path, typer.Argument(help="Video or photo of a person.")],
    start: flags.Start = None,
    end: flags.End = None,
    max_frames: flags.MaxFrames = None,
    fps: flags.Fps = None,
    person: flags.Person = None,
    densepose: flags.Estimator = None,
    output: Output = None,
    overwrite: flags.Overwrite = None,
    weights: Weights = None,
    offline: flags.Offline = None,
    device: flags.Device = None,
) -> None:
    """Write the DensePose IUV of every frame of a video, or of a photo."""
    options = resolve_options(DensePoseOptions, locals())
    from mcld_anim import Animator

    with StageBars() as bars, Animator() as animator:
        result = animator.run(options, bars.update, bars.show)
    typer.echo(f"densepose {result.densepose}", err=True)
    streams.tell(result.output)
