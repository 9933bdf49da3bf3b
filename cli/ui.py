"""`mcld-anim ui`: a page in the browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import flags, run
from mcld_anim.cli.progress import say, stage_display
from mcld_anim.options.load import from_mapping
from mcld_anim.options.ui import UiOptions

OutputDir = Annotated[Path, typer.Option("--output-dir", help="Folder that every result lies in.")]
Host = Annotated[str, typer.Option(help="Address to listen at; 0.0.0.0 is every one of this machine.")]
Port = Annotated[int, typer.Option(help="Port to listen at.")]
Share = Annotated[bool, typer.Option("--share", help="Also serve it at a public address, through Gradio's servers.")]
Auth = Annotated[
    Path | None,
    typer.Option(
        help="FILE that holds user:password, which the page asks for. Absent: $MCLD_ANIM_UI_AUTH, or nobody is asked.",
        metavar="FILE",
        show_default=False,
    ),
]
MaxUpload = Annotated[int, typer.Option("--max-upload", help="Largest file that may be uploaded, in MB.")]
Gallery = Annotated[
    str, typer.Option(help="Who sees a result: session (the browser that made it) or shared (everybody).")
]
Mcp = Annotated[bool, typer.Option("--mcp", help="Also serve animate, transfer and report as tools of an MCP server.")]


def command(
    host: Host = UiOptions.host,
    port: Port = UiOptions.port,
    share: Share = False,
    auth: Auth = None,
    max_upload: MaxUpload = UiOptions.max_upload,
    output_dir: OutputDir = UiOptions.output_dir,
    gallery: Gallery = UiOptions.gallery,
    mcp: Mcp = False,
) -> None:
    """Animate photos in the browser: drop a photo and a video on a page that this command serves.

    A job goes on when the page is closed, and after a restart of this command; its results stay in the output folder.
    """
    options = from_mapping(UiOptions, dict(locals()), "command line")
    from mcld_anim.ui.start import start

    with stage_display() as shown:
        start(options, flags.described(run.command), lambda address: say(f"the page is at {address}"), shown.show)
