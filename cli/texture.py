"""`mcld-anim texture`: the UV texture of a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import flags, streams
from mcld_anim.cli.progress import StageBars
from mcld_anim.options.extract import TextureOptions
from mcld_anim.options.resolve import resolve_options


def command(
    photo: Annotated[Path, typer.Argument(help="Photo of a person.")],
    output: Annotated[Path, flags.flag(flags.OUTPUT, "PNG to write, 512x512 in the SMPL layout.", "--output", "-o")],
    iuv: Annotated[Path | None, flags.flag(flags.INPUT, "IUV of the photo; estimated if absent.")] = None,
    densepose: flags.Estimator = None,
    overwrite: flags.Overwrite = None,
    offline: flags.Offline = None,
    device: flags.Device = None,
) -> None:
    """Write the UV texture of the person in a photo, in the SMPL layout."""
    options = resolve_options(TextureOptions, locals())
    from mcld_anim import Animator

    with StageBars() as bars, Animator() as animator:
        result = animator.run(options, on_event=bars.show)
    if result.densepose is not None:
        typer.echo(f"densepose {result.densepose}", err=True)
    streams.tell(result.output)
