"""`mcld-anim models`: what models there are, and whether they compute what they should."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def models() -> None:
    """List models and check that they compute what they should."""


@app.command("list")
def list_command() -> None:
    """Show every weight file of the embedded model: part, parameters, size, licence, and whether it is here."""
    from rich.console import Console
    from rich.table import Table

    from mcld_anim.weights.table import verify_embedded

    table = Table("model", "part", "parameters", "MB", "licence", "state")
    for result in verify_embedded():
        row = result.row
        state = result.problem or "present"
        table.add_row("tiny", row.part, f"{row.parameters:,}", f"{row.bytes / 1e6:.1f}", row.licence, state)
    Console().print(table)


@app.command()
def verify(
    golden: Annotated[
        Path | None,
        typer.Option("--golden", metavar="DIR", help="Replay this folder's recorded runs of the published code."),
    ] = None,
    case: Annotated[str, typer.Option("--case", help="Of --golden only cases whose name matches, e.g. 'e_*'.")] = "*",
) -> None:
    """Check the embedded weights' checksums or, with --golden, what the networks compute; exit 1 on any difference."""
    if golden is None:
        verify_checksums()
    else:
        verify_recordings(golden, case)


def verify_checksums() -> None:
    """Compare every embedded file with the table of weights."""
    from mcld_anim.weights.table import verify_embedded

    results = verify_embedded()
    failed = [result for result in results if result.problem]
    for result in failed:
        typer.echo(f"failed: {result.row.file}: {result.problem}; install mcld-anim again")
    typer.echo(f"{len(results)} files, {len(failed)} failed")
    if failed:
        raise typer.Exit(1)


def verify_recordings(golden: Path, case: str) -> None:
    """Replay recorded runs of the published MCLD code and compare."""
    from rich.console import Console
    from rich.table import Table

    from mcld_anim.parity.golden import verify_golden

    results = verify_golden(golden, only=case)
    table = Table("case", "max difference", "tolerance", "verdict")
    table.columns[0].overflow = "fold"  # a name is never cut off, however narrow the terminal
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
