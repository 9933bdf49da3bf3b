"""The flags that only `run` has: what `mcld_anim.options.video` knows."""

from __future__ import annotations

from typing import Annotated

import typer

Background = Annotated[
    str | None,
    typer.Option(help="generated, source, driving, transparent (.mov or .zip), #rrggbb, or the PATH of a file."),
]
Blending = Annotated[
    str | None, typer.Option(help="What --blend follows: surface (by UV correspondence) or neighbour (in place).")
]
MinFaceSimilarity = Annotated[
    float | None, typer.Option(help="Frames whose face is less like the source's (cosine) are tried again.")
]
Retries = Annotated[
    int | None, typer.Option(help="Tries at most: stronger face weight, then other noise, then more steps.")
]
