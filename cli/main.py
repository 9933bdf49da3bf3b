"""`mcld-anim`: the verbs, and the one place where errors become a line on stderr and an exit code.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 input refused (nothing was written), 129 hung up, 130 interrupted, 143
terminated.
No module imported here may import a heavy package: `mcld-anim --help` answers in a fraction of a second.
"""

from __future__ import annotations

import signal
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from mcld_anim.cli import (
    batch,
    bench,
    cache,
    comfyui,
    densepose,
    doctor,
    edit,
    eval,
    models,
    pose,
    report,
    run,
    streams,
    synth,
    texture,
    train,
    ui,
)
from mcld_anim.cli.progress import json_lines, report_error, wants_json
from mcld_anim.cli.signals import SIGNALS, WORDS
from mcld_anim.core.errors import McldAnimError
from mcld_anim.core.names import printable
from mcld_anim.core.version import __version__


class OneLineErrors(TyperGroup):
    """Turns deliberate errors and signals into one line on stderr and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the verb."""
        as_json = wants_json(ctx.args)
        with json_lines(as_json):
            try:
                with SIGNALS.raised():
                    return self._invoke(ctx, as_json)
            except (KeyboardInterrupt, SystemExit, Exception) as error:  # libraries turn a signal's into others
                number = SIGNALS.received or (signal.SIGINT if isinstance(error, KeyboardInterrupt) else None)
                if number is None:
                    raise
                report_error(WORDS[signal.Signals(number)], 128 + number)
                raise typer.Exit(128 + number) from None

    def _invoke(self, ctx: Any, as_json: bool) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, BrokenPipeError):
            raise  # typer exits quietly if stdout is closed
        except Exception as error:
            reported = None if SIGNALS.received else _described(error, as_json)
            if reported is None:
                raise
            report_error(*reported)
            raise typer.Exit(reported[1]) from None


def _described(error: Exception, as_json: bool) -> tuple[str, int] | None:
    """What is told of an error, and the exit code; None for a defect, whose traceback is shown unless `as_json`."""
    if isinstance(error, McldAnimError):
        return str(error), error.exit_code
    if isinstance(error, ImportError):  # a package that is broken or incompatible
        return f"{' '.join(str(error).split())}: run `mcld-anim doctor` for the remedy", 1
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {printable(error.filename or 'while working')}", 1
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):  # torch's own is a RuntimeError
        return "out of memory: close other programs, or choose --batch-size 1 or --dtype bfloat16", 1
    if type(error).__name__ == "OutOfMemoryError":  # torch's, of an accelerator; not to be imported here
        return "out of memory for a single frame: choose --dtype bfloat16, another --model or --device cpu", 1
    if not as_json:
        return None
    wrong_usage = getattr(error, "format_message", None)  # typer's own, which it shows in a box
    if wrong_usage is not None:
        return wrong_usage(), int(getattr(error, "exit_code", 2))
    return f"{type(error).__name__}: {error}", 1


app = typer.Typer(
    cls=OneLineErrors,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.command)
app.command("pose")(pose.command)
app.command("edit")(edit.command)
app.command("batch")(batch.command)
app.command("densepose")(densepose.command)
app.command("report")(report.command)
app.command("texture")(texture.command)
app.command("ui")(ui.command)
app.command("doctor")(doctor.command)
app.command("bench")(bench.command)
app.add_typer(models.app, name="models")
app.add_typer(cache.app, name="cache")
app.add_typer(comfyui.app, name="comfyui")
app.add_typer(train.app, name="train")
app.add_typer(synth.app, name="synth")
app.add_typer(eval.app, name="eval")


def _show_version(wanted: bool) -> bool:
    if wanted:
        typer.echo(f"mcld-anim {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Animate one photo of a person with the motion of a driving video, by MCLD (CVPR 2025)."""


def main() -> None:
    """The command line, from signals and streams to the exit code."""
    SIGNALS.install()
    streams.prepare()
    code: object = 0
    try:
        app()
    except SystemExit as end:
        code = end.code
    except OSError as error:  # of a help or a version, which no verb prints
        streams.drop_stdout()
        typer.echo(f"mcld-anim: standard output cannot be written: {error.strerror}", err=True)
        code = 1
    SIGNALS.ignore()
    whole = streams.end_stdout()
    sys.exit(code if whole or code else 1)
