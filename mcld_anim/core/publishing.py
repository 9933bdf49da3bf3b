"""Publishing: the finished files of a set take their final names as one, as far as a file system can do that.

All new files are durable in `new/` before a journal is, and the journal before the first of them is moved; the result
is moved last. A process that dies in between leaves the journal, and whoever looks at the set next finishes what it
says (`finish`): then the set is the new one. If a file cannot be moved, those before it go back: the old set stays.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from mcld_anim.core.durable import check_output, durable_file, sync
from mcld_anim.core.errors import OutputError
from mcld_anim.core.names import write_json
from mcld_anim.core.tables import read_json

JOURNAL_NAME = "publishing.json"
NEW, OLD, KEPT = "new", "replaced", "kept"


def publish(folder: Path, finals: Sequence[Path], overwrite: bool, request: str = "", ends_run: bool = False) -> None:
    """Move the files of these names in `folder/new` beside `folder`, in this order; on return they are durable.

    `request` identifies what was asked for, see `finish`. `ends_run`: what is kept in `folder` goes too. Raises
    OutputError, with the old set in its place, if a file cannot be moved.
    """
    for final in reversed(finals):
        check_output(final, overwrite)
    names, moved = [final.name for final in finals], list[str]()
    try:
        for name in names:
            sync(folder / NEW / name)
        sync(folder / NEW)
        _set_aside(folder, names)
        with durable_file(folder / JOURNAL_NAME, overwrite=True) as partial:
            write_json(partial, {"files": names, "request": request, "ends_run": ends_run})
        for name in names:
            os.replace(folder / NEW / name, folder.parent / name)
            moved.append(name)
        sync(folder.parent)
    except OSError as error:
        _roll_back(folder, moved)
        raise OutputError(
            f"{finals[-1]} and the files beside it could not take their names ({error.strerror}); free some space or "
            "check the rights of the folder, and run the same command again"
        ) from error
    _clear(folder, ends_run)


def finish(folder: Path) -> str | None:
    """Finish the publishing that was interrupted in `folder`: its `request`; None if there was none."""
    journal = folder / JOURNAL_NAME
    try:
        content = read_json(journal)
        names, request, ends_run = content["files"], str(content["request"]), bool(content["ends_run"])
    except FileNotFoundError:
        shutil.rmtree(folder / OLD, ignore_errors=True)  # killed before the journal was written, or while it was
        for partial in folder.glob(f".{journal.stem}.partial-*"):
            partial.unlink(missing_ok=True)
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{journal} is damaged ({error}): remove the folder {folder} and run it again") from error
    if not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise OutputError(f"{journal} names files outside its folder: remove the folder {folder} and run it again")
    try:
        for name in names:
            with suppress(FileNotFoundError):  # moved before the interruption
                os.replace(folder / NEW / name, folder.parent / name)
        sync(folder.parent)
    except OSError as error:
        raise OutputError(
            f"an earlier run's files in {folder / NEW} could not take their names ({error.strerror}): check the rights "
            "and the free space of that folder, and run the command again"
        ) from error
    _clear(folder, ends_run)
    return request


def _clear(folder: Path, ends_run: bool) -> None:
    """Remove what the publishing needed; the journal last, so that an interruption here is finished too."""
    shutil.rmtree(folder / OLD, ignore_errors=True)
    if ends_run:
        shutil.rmtree(folder / KEPT, ignore_errors=True)
    shutil.rmtree(folder / NEW, ignore_errors=True)
    with suppress(FileNotFoundError):
        (folder / JOURNAL_NAME).unlink()


def _set_aside(folder: Path, names: Iterable[str]) -> None:
    """A second name in `folder/replaced` for each old file, or a copy where the file system has no second names."""
    shutil.rmtree(folder / OLD, ignore_errors=True)
    (folder / OLD).mkdir()
    for name in names:
        final = folder.parent / name
        if not final.exists():
            continue
        try:
            os.link(final, folder / OLD / name)
        except OSError:
            shutil.copy2(final, folder / OLD / name)


def _roll_back(folder: Path, moved: Iterable[str]) -> None:
    """Put the old set back. If that fails too, the journal stays: the next run moves the whole new set."""
    try:
        for name in moved:
            os.replace(folder.parent / name, folder / NEW / name)
            if (folder / OLD / name).exists():
                os.replace(folder / OLD / name, folder.parent / name)
        (folder / JOURNAL_NAME).unlink(missing_ok=True)
    except OSError:
        return
    shutil.rmtree(folder / OLD, ignore_errors=True)
