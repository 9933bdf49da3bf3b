"""`mcld-anim batch`: many rows of `run` and `pose` with the models loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import flags
from mcld_anim.cli.progress import say, stage_display

Manifest = Annotated[Path, typer.Argument(help="JSONL, CSV or YAML file, one row per result.")]
OutputDir = Annotated[Path, typer.Option("--output-dir", help="Folder that every output lies in.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist and are not finished rows.")]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing, in rows that do not say.")]


def command(
    manifest: Manifest,
    output_dir: OutputDir,
    overwrite: Overwrite = False,
    offline: Offline = False,
    no_cache: flags.NoCache = False,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Run every row of a manifest; finished rows are skipped, failed ones recorded."""
    from mcld_anim.batch.job import run_batch

    with stage_display() as shown:
        result = run_batch(manifest, output_dir, overwrite, shown.update, shown.show, offline, cache=not no_cache)
    counts = {"done": result.done, "skipped": result.skipped, "failed": result.failed}
    say(", ".join(f"{count} {name}" for name, count in counts.items()), rows=counts, record=str(result.record))
    typer.echo(result.record)
    if result.failed:
        raise typer.Exit(1)
