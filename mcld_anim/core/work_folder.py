"""The work folder of one set of outputs: `.NAME.mcld-anim` beside them, held by one process at a time.

    holder.json       who works here, locked while they do
    new/              unfinished files, removed when their run ends, however it ends
    kept/             what a later run goes on from, see `mcld_anim.run.resume`
    publishing.json   see `mcld_anim.core.publishing`, with the old files in replaced/

The folder goes with its holder unless something is kept in it. After a kill it stays whole, for the next run.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from mcld_anim.core.durable import MAX_NAME_BYTES, make_folders
from mcld_anim.core.errors import OutputError
from mcld_anim.core.folder_lock import FolderLock
from mcld_anim.core.outputs import OutputFiles
from mcld_anim.core.publishing import JOURNAL_NAME, KEPT, NEW, finish

ENDING = ".mcld-anim"


@dataclass(frozen=True)
class Work:
    """The work folder of a set of outputs."""

    outputs: OutputFiles

    @property
    def folder(self) -> Path:
        """Beside the outputs, on the same disk; named after what the names of the whole set begin with."""
        stem = self.outputs.result.stem
        name = f".{stem}{ENDING}"
        if len(os.fsencode(name)) > MAX_NAME_BYTES:
            digest = hashlib.sha256(os.fsencode(stem)).hexdigest()[:16]
            room = MAX_NAME_BYTES - len(f".-{digest}{ENDING}")
            stem = os.fsencode(stem)[:room].decode(sys.getfilesystemencoding(), errors="ignore")
            name = f".{stem}-{digest}{ENDING}"
        return self.outputs.result.absolute().parent / name

    @property
    def new(self) -> Path:
        """Unfinished files."""
        return self.folder / NEW

    @property
    def kept(self) -> Path:
        """What a later run goes on from."""
        return self.folder / KEPT

    @property
    def made(self) -> OutputFiles:
        """The set in `new`."""
        return self.outputs.inside(self.new)


@contextmanager
def working_folder(outputs: OutputFiles) -> Iterator[Work]:
    """Hold the work folder of `outputs`, with an empty `new`. Raises OutputError if another process holds it.

    The outputs' folder is created if missing, and removed again if the run fails and nothing is kept.
    """
    work = Work(outputs)
    made = make_folders(work.folder.parent)
    try:
        lock = _hold(work)
        try:
            finish(work.folder)
            shutil.rmtree(work.new, ignore_errors=True)
            work.new.mkdir()
            yield work
        finally:
            _leave(work, lock)
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):  # not empty: something is kept, or someone else uses it meanwhile
                folder.rmdir()
        raise


def recover(outputs: OutputFiles) -> str | None:
    """Finish a publishing into `outputs` that was interrupted, unless its process still works on it.

    Returns the `request` of that publishing; None if there was nothing to finish.
    """
    work = Work(outputs)
    if not (work.folder / JOURNAL_NAME).exists():
        return None
    lock = FolderLock(work.folder)
    if lock.take() is not None:
        return None
    try:
        return finish(work.folder)
    finally:
        lock.release()


def abandoned_work(folder: Path) -> list[Path]:
    """The work folders directly in `folder` that no process holds: of runs that were killed, and nobody went on with.

    `remove_work` removes one. What is kept in it is lost then: the same command makes every frame anew.
    """
    found = []
    for path in sorted(folder.glob(f".*{ENDING}")):
        lock = FolderLock(path)
        with suppress(OSError):  # a file of this name, or a folder of somebody else
            if lock.take() is None:
                lock.release()
                found.append(path)
    return [path for path in found if path.exists()]


def remove_work(path: Path) -> bool:
    """Remove a work folder, but first finish a publishing in it; False if a process holds it."""
    lock = FolderLock(path)
    if lock.take() is not None:
        return False
    try:
        finish(path)
        for below in (NEW, KEPT):
            shutil.rmtree(path / below, ignore_errors=True)
    finally:
        lock.release()
    return not path.exists()


def _hold(work: Work) -> FolderLock:
    lock, result = FolderLock(work.folder), work.outputs.result
    try:
        holder = lock.take()
    except OSError as error:
        raise OutputError(
            f"cannot write into {work.folder.parent} ({error.strerror}): choose another --output"
        ) from error
    if holder is not None:
        raise OutputError(f"{result} is being made by {holder}: wait for it, or choose another --output")
    return lock


def _leave(work: Work, lock: FolderLock) -> None:
    if not (work.folder / JOURNAL_NAME).exists():  # which still needs the new files
        shutil.rmtree(work.new, ignore_errors=True)
    lock.release()
