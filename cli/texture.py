"""`mcld-anim texture`: the UV texture of a photo, or of several photos of one person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import flags, streams
from mcld_anim.cli.progress import say, stage_display
from mcld_anim.core.errors import UsageError
from mcld_anim.options.extract import TextureOptions


def command(
    output: Annotated[Path, flags.flag(flags.OUTPUT, "PNG to write, 512x512 in the SMPL layout.", "--output", "-o")],
    photo: Annotated[
        list[Path] | None, typer.Argument(metavar="PHOTO...", help="Photo of a person, or several of the same.")
    ] = None,
    source: Annotated[
        list[Path] | None, flags.flag(flags.INPUT, "Another way to name a photo, as in `run`.", "--source", "-s")
    ] = None,
    iuv: Annotated[Path | None, flags.flag(flags.INPUT, "IUV of the photo; estimated if absent.")] = None,
    densepose: flags.Estimator = None,
    overwrite: flags.Overwrite = None,
    offline: flags.Offline = None,
    device: flags.Device = None,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Write the UV texture of the person in a photo, or in several, in the SMPL layout."""
    given = locals()
    photos = [*(given.pop("source") or ()), *(photo or ())]
    if not photos:
        raise UsageError("texture has no photo: name one, or several of the same person")
    options = flags.resolved(TextureOptions, {**given, "photo": photos})
    from mcld_anim import Animator

    with stage_display() as shown, Animator(cache=False) as animator:
        result = animator.run(options, on_event=shown.show)
    if result.densepose is not None:
        say(f"densepose {result.densepose}", output=str(result.output))
    streams.tell(result.output)
