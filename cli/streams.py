"""Standard streams that cannot be written: a full disk, a reader that is gone, a closed descriptor.

What a command says never stops its work, and where its files are whole it ends with 0.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from pathlib import Path

import typer

from mcld_anim.core.names import printable


class _Lossy(io.RawIOBase):
    """A descriptor; what cannot be written to it is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, content: object) -> int:
        block = memoryview(content)  # type: ignore[arg-type]
        try:
            return os.write(self._descriptor, block)
        except OSError:
            return block.nbytes


def prepare() -> None:
    """Make stderr drop what it cannot write, and let stdout take every file name: in UTF-8 byte by byte, so that a pipe
    gets the very name; else with "?" for what the encoding lacks. Python's stderr escapes such characters by itself."""
    for descriptor in range(3):  # a closed one would be taken by the next file that is opened
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if isinstance(sys.stdout, io.TextIOWrapper):  # not None, as without a console
        utf8 = codecs.lookup(sys.stdout.encoding).name == "utf-8"
        sys.stdout.reconfigure(errors="surrogateescape" if utf8 else "replace")
    if isinstance(sys.stderr, io.TextIOWrapper):
        raw, encoding = io.BufferedWriter(_Lossy(sys.stderr.fileno())), sys.stderr.encoding
        sys.stderr = io.TextIOWrapper(raw, encoding=encoding, errors="backslashreplace", line_buffering=True)


def tell(output: Path) -> None:
    """Print the name of a finished output; on stderr, if stdout cannot take it."""
    try:
        typer.echo(output)
    except OSError as error:
        drop_stdout()
        why = error.strerror or type(error).__name__
        typer.echo(f"mcld-anim: {printable(output)} is whole; standard output cannot be written: {why}", err=True)


def end_stdout() -> bool:
    """Flush stdout before the process ends; False, with a line on stderr, if it cannot be written."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        drop_stdout()
        typer.echo(f"mcld-anim: standard output cannot be written: {error.strerror}", err=True)
        return False
    return True


def drop_stdout() -> None:
    """Let what waits in stdout's buffer go nowhere, so that Python does not fail on it at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
