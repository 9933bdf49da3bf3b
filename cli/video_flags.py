"""The flags that only `run` has: what `mcld_anim.options.video` knows."""

from __future__ import annotations

from typing import Annotated

import typer

Person = Annotated[
    str | None,
    typer.Option(help="Whom of the driving video to follow: largest, N (from the left, from 1) or x,y (pixels)."),
]
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
Framing = Annotated[
    str | None, typer.Option(help="fixed (one crop around the person), track (it follows) or full (the whole frame).")
]
PasteBack = Annotated[
    bool | None,
    typer.Option(
        "--paste-back", help="With --background driving: the whole driving frame, at its size, instead of a crop."
    ),
]
PoseCleanup = Annotated[
    float | None, typer.Option(help="How far poses are put right from their neighbours, 0 (untouched) to 1.")
]
