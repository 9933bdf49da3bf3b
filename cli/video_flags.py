"""The flags that only `run` has: what `mcld_anim.options.video` knows."""

from __future__ import annotations

from typing import Annotated

import typer

Background = Annotated[
    str | None,
    typer.Option(help="generated, source, driving, transparent (.mov or .zip), #rrggbb, or the PATH of a file."),
]
