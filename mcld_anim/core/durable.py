"""Atomic writes: a file appears under its name complete or not at all."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcld_anim.core.errors import OutputError

MAX_NAME_BYTES = 255
"""Limit in bytes of a file name on the usual file systems."""

CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""Error numbers of `fsync` by which a file system says that it does not do this; EIO and ENOSPC are losses."""
CANNOT_SYNC_FOLDER = frozenset({errno.EACCES, errno.EPERM, errno.EBADF, errno.EISDIR})
"""Those of folders that cannot be opened or flushed: on Windows, on some network drives, or without the right to list
them."""


def check_output(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Refuse an output that cannot be written, before any work starts and without leaving a trace.

    If its folder does not exist, the nearest existing parent must be writable.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise OutputError(f"output {path} is a folder; give the name of a file in it")
        if path.exists() and not overwrite:
            raise OutputError(f"output {path} exists already; choose another name or give --overwrite")
        folder = path.absolute().parent
        while not folder.exists():
            folder = folder.parent
    except OSError as error:
        raise OutputError(f"output {path} cannot be used as a file name: {error.strerror}") from error
    if len(os.fsencode(path.name)) > MAX_NAME_BYTES:
        raise OutputError(f"output name is longer than {MAX_NAME_BYTES} bytes: {path.name}; choose a shorter one")
    if not folder.is_dir():
        raise OutputError(f"output {path} cannot be written: {folder} is a file, not a folder; choose another path")
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OutputError(
            f"output {path} cannot be written: no file can be made in {folder} ({error.strerror}); "
            "choose a folder you may write to"
        ) from error
    return path


def partial_name(path: Path) -> Path:
    """The temporary name of `path` in the same folder, so that the final rename never copies."""
    ending = f".partial-{os.getpid()}{path.suffix}"
    stem = os.fsencode(path.stem)[: MAX_NAME_BYTES - 1 - len(os.fsencode(ending))]
    return path.with_name("." + stem.decode(sys.getfilesystemencoding(), errors="ignore") + ending)


@contextmanager
def durable_file(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to; on success it is synced and renamed to `path`.

    On any exception, including Ctrl-C, the temporary file and the folders created for it are removed.
    """
    path = check_output(path, overwrite)
    made = make_folders(path.absolute().parent)
    partial = partial_name(path)
    try:
        yield partial
        _publish(partial, path, overwrite)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        for folder in reversed(made):
            with suppress(OSError):
                folder.rmdir()
        raise


def _publish(partial: Path, path: Path, overwrite: bool) -> None:
    """Sync the finished file and rename it to its final name."""
    if path.exists() and not overwrite:
        raise OutputError(f"output {path} was made by something else meanwhile and was left as it is; choose another")
    try:
        sync(partial)
        os.replace(partial, path)
        sync(path.absolute().parent)
    except OSError as error:
        raise OutputError(
            f"output {path} could not be written ({error.strerror}); free some space or choose another folder"
        ) from error


def make_folders(folder: Path) -> list[Path]:
    """Create `folder` with its parents; return those that were created, outermost first."""
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    made: list[Path] = []
    for each in reversed(missing):
        try:
            each.mkdir(exist_ok=True)
        except OSError as error:
            for earlier in reversed(made):
                with suppress(OSError):
                    earlier.rmdir()
            raise OutputError(
                f"output folder {each} cannot be made ({error.strerror}); choose a folder you may write to"
            ) from error
        made.append(each)
    return made


def sync(path: Path) -> None:
    """Flush `path` (a file or a folder) to disk, as far as its file system can.

    Network drives, FUSE and WSL refuse it for folders, some for files as well: what was written there is complete, and
    only a crash of the machine could lose it.
    """
    folder = path.is_dir()
    ignored = CANNOT_SYNC | (CANNOT_SYNC_FOLDER if folder else frozenset())
    try:
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)  # Windows flushes what is open for writing only
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in ignored:
            raise
