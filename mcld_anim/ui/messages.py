"""What is told of an error: one sentence, without a path of the server and without a traceback."""

from __future__ import annotations

import re
from pathlib import Path

from mcld_anim.core.errors import McldAnimError
from mcld_anim.core.names import printable

_FOLDERS = re.compile(r"(?<![\w.:/\\<])(?:[A-Za-z]:)?[/\\](?:[^/\\\s'\":;,()]+[/\\])+")
"""The folders of an absolute path, up to its last separator."""


def told(error: BaseException, folder: Path) -> str:
    """An error for the page; `folder` holds the files that the user gave."""
    if isinstance(error, McldAnimError):
        return without_folders(str(error), folder)
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError):
        return "The machine has no memory for a single frame: choose another dtype, model or device under More"
    if isinstance(error, ImportError):
        return without_folders(f"{error}: run `mcld-anim doctor` on the server for the remedy", folder)
    if isinstance(error, OSError):
        return f"The server could not work with its files ({error.strerror or type(error).__name__}): try again"
    return f"The work failed by a defect of this program ({type(error).__name__}); the server's log says more"


def without_folders(text: str, folder: Path) -> str:
    """A message in which files have names only."""
    line = printable(" ".join(text.split()))
    for known in {str(folder), str(folder.resolve())}:
        line = line.replace(f"{known}/", "").replace(f"{known}\\", "")
    line = _FOLDERS.sub("", line)
    return line[:1].upper() + line[1:] if not line.startswith("--") else line
