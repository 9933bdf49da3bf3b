"""`mcld-anim batch`: many rows of `run` and `pose` with the models loaded once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import flags, streams
from mcld_anim.cli.progress import say, stage_display

ROWS, WHO, ORDER = "Rows", "Who runs them", "What happens"

Manifest = Annotated[
    Path | None,
    typer.Argument(
        help="JSONL, CSV or YAML, a row per result; - is standard input. Paths in it are relative to it.",
        show_default=False,
    ),
]
OutputDir = Annotated[Path, typer.Option("--output-dir", help="Folder that every output lies in.")]
Glob = Annotated[
    str | None,
    typer.Option(
        "--glob", help="Instead of a manifest: each photo of this pattern, 'people/*.png' ...", rich_help_panel=ROWS
    ),
]
Driving = Annotated[
    str | None,
    typer.Option("--driving", "-d", help="... with each video of this pattern, 'dances/*.mp4'.", rich_help_panel=ROWS),
]
Config = Annotated[
    Path | None, typer.Option("--config", help="YAML file of options for rows that name none.", rich_help_panel=ROWS)
]
Offline = Annotated[
    bool, typer.Option("--offline", help="Fetch nothing, in rows that do not say.", rich_help_panel=ROWS)
]
ShardOption = Annotated[
    str | None,
    typer.Option(
        "--shard",
        help="I/N: only every N-th row from the I-th, with a record of its own, for schedulers that start N processes.",
        rich_help_panel=ROWS,
    ),
]
ExecutorName = Annotated[
    str,
    typer.Option("--executor", help="local (processes of this machine) or ray (a cluster).", rich_help_panel=WHO),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--workers",
        help="Rows at a time, each with its own models; as many as there are GPUs if absent, or one per machine.",
        rich_help_panel=WHO,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        help="Ray cluster: HOST:PORT, or auto for the one of this machine. Absent: $RAY_ADDRESS, or one of its own.",
        rich_help_panel=WHO,
    ),
]
Ranges = Annotated[
    int,
    typer.Option(
        "--ranges",
        help="Split each clip into at most so many parts, made by several workers at once, with the same frames. Parts "
        "begin at cuts; anywhere in photo framing without networks, or with --blend 0 and a generated background.",
        rich_help_panel=WHO,
    ),
]
Check = Annotated[bool, typer.Option("--check", help="Check all rows, and run none.", rich_help_panel=ORDER)]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace outputs that exist and are not finished rows.", rich_help_panel=ORDER),
]
Retries = Annotated[
    int,
    typer.Option(
        "--retries", help="New attempts at a row that failed, unless its input was refused.", rich_help_panel=ORDER
    ),
]
FailFast = Annotated[
    bool,
    typer.Option("--fail-fast", help="Begin no row after one has failed.", rich_help_panel=ORDER),
]


def command(
    output_dir: OutputDir,
    manifest: Manifest = None,
    sources: Glob = None,
    drivings: Driving = None,
    config: Config = None,
    offline: Offline = False,
    shard: ShardOption = None,
    executor: ExecutorName = "local",
    workers: Workers = None,
    address: Address = None,
    ranges: Ranges = 1,
    check: Check = False,
    overwrite: Overwrite = False,
    retries: Retries = 0,
    fail_fast: FailFast = False,
    no_cache: flags.NoCache = False,
    progress: flags.ProgressStyle = "bars",
) -> None:
    """Run every row of a manifest; finished rows are skipped, failed ones recorded.

    Leaves batch.json and a page, index.html, in the output folder. After any interruption the same command goes on.
    """
    from mcld_anim.options.batch import BatchOptions
    from mcld_anim.options.load import from_mapping

    given = {name: value for name, value in locals().items() if name not in ("BatchOptions", "from_mapping")}
    given["cache"] = not given.pop("no_cache")
    del given["progress"]
    options = from_mapping(BatchOptions, given, "command line")

    from mcld_anim.batch.job import run_batch

    with stage_display() as shown:
        result = run_batch(options, shown.update, shown.show)
    counts = {name: getattr(result, name) for name in ("done", "skipped", "failed", "waiting")}
    if check:
        say(f"{result.waiting} to run, {result.skipped} finished", rows=counts)
        return
    left = f", {result.waiting} not begun" if result.waiting else ""
    outcome = f"{result.done} done, {result.skipped} skipped, {result.failed} failed{left}"
    say(outcome, rows=counts, record=str(result.record), index=str(result.index))
    streams.tell(result.record)
    if result.failed:
        raise typer.Exit(1)
