"""`mcld-anim models`: what models there are, and whether they compute what they should."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def models() -> None:
    """List models and check that they compute what they should."""


@app.command()
def verify(
    golden: Annotated[
        Path, typer.Option("--golden", metavar="DIR", help="Folder of recorded runs of the published code.")
    ],
    case: Annotated[str, typer.Option("--case", help="Only cases whose name matches, e.g. 'e_*'.")] = "*",
) -> None:
    """Replay recorded runs of the published MCLD code and compare; exit code 1 if anything differs."""
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
