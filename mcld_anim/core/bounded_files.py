"""Whole files in memory, up to a size; never a device or a pipe, which may have no end or be waited for."""

from __future__ import annotations

import stat
from pathlib import Path


class UnboundedError(ValueError):
    """Something is no regular file, or too large to be read at once; the message is the reason."""


def check_regular(path: Path) -> int:
    """The size of a regular file, in bytes. Raises UnboundedError for anything else, and OSError."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise UnboundedError("it is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise UnboundedError("it is a device or a pipe")
    return status.st_size


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a file of at most `most` bytes. Raises UnboundedError, and OSError."""
    check_regular(path)
    with path.open("rb") as file:
        content = file.read(most + 1)  # files of /proc have size 0 and content
    if len(content) > most:
        raise UnboundedError(f"it has more than {most // 10**6} MB")
    return content
