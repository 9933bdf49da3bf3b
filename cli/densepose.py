"""`mcld-anim densepose`: the DensePose IUV of a video or photo, as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import flags, streams
from mcld_anim.cli.progress import say, stage_display
from mcld_anim.options.extract import DensePoseOptions

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
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Write the DensePose IUV of every frame of a video, or of a photo."""
    options = flags.resolved(DensePoseOptions, locals())
    from mcld_anim import Animator

    with stage_display() as shown, Animator(cache=False) as animator:
        result = animator.run(options, shown.update, shown.show)
    say(f"densepose {result.densepose}", output=str(result.output))
    streams.tell(result.output)
