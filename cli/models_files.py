"""`mcld-anim models pull`, `remove` and `convert`: the verbs that write or delete weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

Dtype = Annotated[str, typer.Option(help="Number format of the stored networks: float32, float16 or bfloat16.")]


def pull_command(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME]...",
            help="Names from `models list`; if absent, mcld-sd15 with the DensePose and face models it needs.",
        ),
    ] = None,
    from_folder: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="Use files you already have; nothing is downloaded.")
    ] = None,
    dtype: Dtype = "float32",
    accept_licences: Annotated[
        bool, typer.Option("--accept-licences", help="Do not ask about licences that forbid commercial use.")
    ] = False,
) -> None:
    """Fetch published weights, verify them, and convert them to safetensors; run it again to resume."""
    from mcld_anim.model.choose import default_pulls
    from mcld_anim.setup.convert import check_saved_dtype
    from mcld_anim.setup.pull import PullOptions, pull

    saved = check_saved_dtype(dtype)
    # Every name is checked before the first download.
    pulls = [PullOptions(name, saved, from_folder, accept_licences) for name in names or default_pulls()]
    for options in pulls:
        with DownloadBar() as bar:
            folder = pull(options, confirm, on_file=bar.begin, progress=bar.update)
        typer.echo(folder)


def remove_command(
    name: Annotated[str, typer.Argument(help="Name from `models list`.")],
) -> None:
    """Delete a pulled model and its remembered checksums."""
    from mcld_anim.weights.published import published_model
    from mcld_anim.weights.store import remove

    typer.echo(f"{remove(published_model(name).name) / 1e9:.2f} GB freed")


def convert_command(
    source: Annotated[Path, typer.Argument(help="Folder of checkpoints, a .pkl or .pth file, or antelopev2.zip.")],
    target: Annotated[Path, typer.Argument(help="Folder for --model, or a .safetensors file.")],
    config: Annotated[str, typer.Option(help="Architecture: a name in configs/model or a YAML file.")] = "mcld_sd15",
    dtype: Dtype = "float32",
) -> None:
    """Convert weights in the published layout to safetensors and check their keys; no pickled code is run."""
    from mcld_anim.options.model import load_model_options
    from mcld_anim.setup.convert import check_saved_dtype, convert

    options, saved = load_model_options(config), check_saved_dtype(dtype)
    for path in convert(source, target, options, saved, lambda text: typer.echo(text, err=True)):
        typer.echo(path)


def confirm(text: str) -> bool:
    """Show licences and ask for consent; the answer is no if stdin is not a terminal."""
    typer.echo(text, err=True)
    return sys.stdin.isatty() and typer.confirm("Continue?", err=True)


class DownloadBar:
    """A progress bar on stderr in bytes, one per file; a context manager."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
        from rich.progress import TransferSpeedColumn as Speed

        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:<13}"),
            BarColumn(),
            DownloadColumn(),
            Speed(),
            TimeRemainingColumn(),
            console=self._console,
        )
        self._task: int | None = None

    def __enter__(self) -> DownloadBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._console.is_terminal:  # elsewhere they were never started, and stopping prints an empty line
            self._bars.stop()

    def begin(self, text: str) -> None:
        """Announce the next file."""
        self._console.print(text, highlight=False, soft_wrap=True)
        self._task = None

    def update(self, done: int, total: int | None) -> None:
        """Set the bytes received so far."""
        if self._task is None:
            if self._console.is_terminal:
                self._bars.start()
            self._task = int(self._bars.add_task("download", total=total))
        self._bars.update(self._task, completed=done, total=total)  # type: ignore[arg-type]
