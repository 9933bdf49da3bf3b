"""`mcld-anim batch`: many rows of `run` and `pose` with the models loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import streams
from mcld_anim.cli.progress import StageBars

Manifest = Annotated[Path, typer.Argument(help="JSONL, CSV or YAML file, one row per result.")]
OutputDir = Annotated[Path, typer.Option("--output-dir", help="Folder that every output lies in.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist and are not finished rows.")]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing, in rows that do not say.")]


def command(manifest: Manifest, output_dir: OutputDir, overwrite: Overwrite = False, offline: Offline = False) -> None:
    """Run every row of a manifest; finished rows are skipped, failed ones recorded."""
    from mcld_anim.batch.job import run_batch

    with StageBars() as bars:
        result = run_batch(manifest, output_dir, overwrite, bars.update, bars.show, offline)
    typer.echo(f"{result.done} done, {result.skipped} skipped, {result.failed} failed", err=True)
    streams.tell(result.record)
    if result.failed:
        raise typer.Exit(1)
