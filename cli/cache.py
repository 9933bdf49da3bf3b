"""`mcld-anim cache`: what runs keep on disk for later ones."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.core.names import printable

app = typer.Typer(
    help="Driving poses and encoded sources that runs keep on disk for later ones: at most $MCLD_ANIM_CACHE_GB "
    "gigabytes (5; 0 keeps nothing), beside pulled weights. Those not used for the longest time make room.",
    no_args_is_help=True,
)

Outputs = Annotated[
    Path, typer.Option("--outputs", help="Folder of results, in which killed runs may have left work folders.")
]


@app.command("where")
def where() -> None:
    """Print the folder."""
    from mcld_anim.run.kept import cache_folder

    typer.echo(cache_folder())


@app.command("list")
def listing() -> None:
    """Print every result: when it was last used, its size, its kind and the input that it was made from."""
    from mcld_anim.run.kept import list_kept

    kept = list_kept()
    for one in kept.states:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used))
        what = "damaged" if one.entry is None else f"{one.entry.kind}  {printable(one.entry.about['input'])}"
        typer.echo(f"{used}  {one.bytes / 1e6:8.1f} MB  {what}")
    total = sum(one.bytes for one in kept.states)
    typer.echo(f"{len(kept.states)} results, {total / 1e6:.1f} MB of at most {kept.limit / 1e9:g} GB", err=True)


@app.command("clear")
def clear(outputs: Outputs = Path(".")) -> None:
    """Remove every kept result, and the work folders of killed runs: the same run then begins anew."""
    from mcld_anim.run.kept import clear_kept

    typer.echo(f"{clear_kept(outputs) / 1e6:.1f} MB removed", err=True)
