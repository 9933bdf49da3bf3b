"""`mcld-anim comfyui`: nodes for ComfyUI."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import streams
from mcld_anim.cli.progress import say

app = typer.Typer(no_args_is_help=True, help="Nodes for ComfyUI.")


@app.callback()
def group() -> None:
    """Nodes for ComfyUI."""


@app.command("install")
def install_command(
    path: Annotated[Path, typer.Argument(help="Folder that ComfyUI is installed in.", show_default=False)],
) -> None:
    """Write the nodes and an example workflow into ComfyUI's custom_nodes; mcld-anim must be installed in its
    environment."""
    from mcld_anim.comfyui.install import install

    folder = install(path)
    say("restart ComfyUI: the nodes are in the category mcld-anim, the example is among its templates")
    streams.tell(folder)
