"""`mcld-anim texture`: the UV texture of a photo."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    photo: Annotated[Path, typer.Argument(help="Photo of a person.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG to write, 512x512 in the SMPL layout.")],
    iuv: Annotated[Path | None, typer.Option(help="IUV of the photo; estimated if absent.")] = None,
    densepose: Annotated[str, typer.Option(help="tiny (embedded) or detectron2.")] = "tiny",
    device: Annotated[str, typer.Option(help="auto, cuda, mps or cpu.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")] = False,
) -> None:
    """Write the UV texture of the person in a photo, in the SMPL layout."""
    from mcld_anim.device import choose_device
    from mcld_anim.extract import extract_texture

    extract_texture(photo, output, iuv, densepose, str(choose_device(device)), overwrite)
    typer.echo(output)
