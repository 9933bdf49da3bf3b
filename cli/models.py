"""`mcld-anim models`: listing, fetching and verifying models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mcld_anim.cli import models_files

app = typer.Typer(no_args_is_help=True)
app.command("pull")(models_files.pull_command)
app.command("remove")(models_files.remove_command)
app.command("convert")(models_files.convert_command)


@app.callback()
def models() -> None:
    """List, fetch, convert, remove and verify models."""


@app.command("list")
def list_command() -> None:
    """Show every weight file: model, part, size, licence, origin and state."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from mcld_anim.weights.inventory import EMBEDDED_MODEL, inventory

    table = Table("model", "part", "MB", "licence", "from", "state", box=SIMPLE_HEAD, pad_edge=False)
    table.columns[0].no_wrap = True  # the argument of `pull` and `remove`
    for column in table.columns:
        column.overflow = "fold"  # nothing is cut off in narrow terminals
    for file in inventory(checksums=False):
        digits = 1 if file.model == EMBEDDED_MODEL else 0
        size = f"{'about ' if file.estimated else ''}{file.bytes / 1e6:,.{digits}f}"
        table.add_row(file.model, file.part, size, file.licence, file.origin, file.problem or "present")
    Console().print(table)


@app.command()
def where() -> None:
    """Print the folder of the pulled models, which MCLD_ANIM_HOME or HF_HOME can change."""
    from mcld_anim.weights.store import models_folder

    typer.echo(models_folder())


@app.command()
def verify(
    golden: Annotated[
        Path | None,
        typer.Option("--golden", metavar="DIR", help="Replay this folder's recorded runs of the published code."),
    ] = None,
    case: Annotated[str, typer.Option("--case", help="With --golden: only cases whose name matches, as 'e_*'.")] = "*",
    random: Annotated[
        str | None,
        typer.Option(
            "--random", metavar="NAME", help="Rehearse mcld-sd15 at full size with random weights: 9 to 18 GB of disk."
        ),
    ] = None,
    dtype: Annotated[
        str, typer.Option(help="With --random: float32, bfloat16, or auto (the faster one on this CPU).")
    ] = "auto",
) -> None:
    """Verify the checksums of all installed weights, or the networks' results; exit 1 on any difference."""
    if golden is not None:
        verify_recordings(golden, case)
    elif random is not None:
        verify_random(random, dtype)
    else:
        verify_checksums()


def verify_checksums() -> None:
    """Compare every embedded file with the table of weights, and every pulled file with its record."""
    from mcld_anim.weights.inventory import inventory

    installed = [file for file in inventory(checksums=True) if file.installed]
    failed = [file for file in installed if file.problem]
    for file in failed:
        typer.echo(f"failed: {file.label}: {file.problem}; {file.remedy}")
    typer.echo(f"{len(installed)} files, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


def verify_random(name: str, dtype: str) -> None:
    """Build, write, pull, load and run a published model with random weights."""
    from rich.console import Console
    from rich.table import Table

    from mcld_anim.setup.rehearsal import rehearse

    result = rehearse(name, dtype, on_stage=lambda text: typer.echo(f"{text} ...", err=True))
    table = Table("part", "parameters", "in the table", "of these read", "verdict")
    for count in result.counts:
        verdict = "pass" if count.matches else "fail"
        table.add_row(count.part, f"{count.written:,}", f"{count.expected or 0:,}", f"{count.loaded:,}", verdict)
    console = Console()
    console.print(table)
    for stage, seconds in result.seconds.items():
        typer.echo(f"{seconds:7.1f} s  {stage}")
    limit = "" if result.limit_bytes is None else f", at most {result.limit_bytes / 1e9:.0f} GB allowed"
    typer.echo(f"peak memory {result.peak_bytes / 1e9:.2f} GB in {result.dtype}{limit}")
    typer.echo(f"{name} with random weights: {'pass' if result.passed else 'fail'}")
    if not result.passed:
        raise typer.Exit(1)


def verify_recordings(golden: Path, case: str) -> None:
    """Replay recorded runs of the published MCLD code and compare the results."""
    from rich.console import Console
    from rich.table import Table

    from mcld_anim.parity.golden import verify_golden

    results = verify_golden(golden, only=case)
    table = Table("case", "max difference", "tolerance", "verdict")
    table.columns[0].overflow = "fold"  # names are not cut off in narrow terminals
    for result in results:
        found = "" if result.max_difference is None else f"{result.max_difference:.2e}"
        allowed = "" if result.tolerance is None else f"{result.tolerance:g}"
        table.add_row(result.case, found, allowed, "pass" if result.passed else "fail")
    Console().print(table)
    failed = [result for result in results if not result.passed]
    for result in failed:
        typer.echo(f"failed: {result.case}{result.reason and f' ({result.reason})'}")
    typer.echo(f"{len(results)} comparisons, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)
