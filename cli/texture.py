"""`mcld-anim texture`: the UV texture of a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import flags, streams
from mcld_anim.cli.progress import say, stage_display
from mcld_anim.options.extract import TextureOptions


def command(
    photo: Annotated[Path, typer.Argument(help="Photo of a person.")],
    output: Annotated[Path, flags.flag(flags.OUTPUT, "PNG to write, 512x512 in the SMPL layout.", "--output", "-o")],
    iuv: Annotated[Path | None, flags.flag(flags.INPUT, "IUV of the photo; estimated if absent.")] = None,
    densepose: flags.Estimator = None,
    overwrite: flags.Overwrite = None,
    offline: flags.Offline = None,
    device: flags.Device = None,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Write the UV texture of the person in a photo, in the SMPL layout."""
    options = flags.resolved(TextureOptions, locals())
    from mcld_anim import Animator

    with stage_display() as shown, Animator(cache=False) as animator:
        result = animator.run(options, on_event=shown.show)
    if result.densepose is not None:
        say(f"densepose {result.densepose}", output=str(result.output))
    streams.tell(result.output)
