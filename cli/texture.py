"""`mcld-anim texture`: the UV texture of a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    photo: Annotated[Path, typer.Argument(help="Photo of a person.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG to write, 512x512 in the SMPL layout.")],
    iuv: Annotated[Path | None, typer.Option(help="IUV of the photo; estimated if absent.")] = None,
    densepose: Annotated[
        str, typer.Option(help="auto (the best one present), tiny (embedded), detectron2 or torchscript.")
    ] = "auto",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
) -> None:
    """Write the UV texture of the person in a photo, in the SMPL layout."""
    from mcld_anim.core.device import choose_device
    from mcld_anim.model.choose import choose_alone
    from mcld_anim.run.extract import extract_texture

    chosen = choose_alone(densepose)
    extract_texture(photo, output, iuv, chosen, str(choose_device(device)), overwrite)
    if iuv is None:
        typer.echo(f"densepose {chosen}", err=True)
    typer.echo(output)
