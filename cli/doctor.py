"""`mcld-anim doctor`: the state of this installation on one screen, with the remedy for every problem."""

from __future__ import annotations

import json
from typing import Annotated

import typer

MARKS = {"ok": "[green]ok[/]", "note": "[dim]-[/]", "bad": "[red]bad[/]"}


def command(
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Check Python, torch, codecs, packages, conflicts and weights; exit 1 if `run` cannot work."""
    from mcld_anim.health import findings as report
    from mcld_anim.health.doctor import diagnose

    found = diagnose()
    if as_json:
        typer.echo(json.dumps(report.as_json(found), indent=2))
    else:
        show(found)
    if not report.can_run(found):
        raise typer.Exit(1)


def show(found: list) -> None:
    """Print a table of the findings with their remedies."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from mcld_anim.health.findings import can_run

    table = Table(box=None, padding=(0, 1), show_header=False)
    table.add_column()
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in found:
        table.add_row(MARKS[one.level], f"{one.section}: {one.name}", escape(one.text))
        if one.level == "bad":
            table.add_row("", "", f"[red]fix:[/] {escape(one.remedy)}")
    console = Console()
    console.print(table)
    bad = sum(one.level == "bad" for one in found)
    state = "mcld-anim can run" if can_run(found) else "mcld-anim cannot run"
    console.print(f"{state}; {bad} to fix", highlight=False)
