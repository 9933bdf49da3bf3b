"""Folders for working files, each locked by its process: a folder without a lock on it was left by a killed one."""

from __future__ import annotations

import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize

if TYPE_CHECKING:
    from filelock import FileLock

PREFIX, SUFFIX = ".mcld-anim-", ".work"
LOCK = "lock"
DAY = 86_400.0
"""Seconds since its last change up to which a folder without a lock file may be in use."""


class TemporaryFolder:
    """A new folder inside `parent` (None: the system's for temporary files), with whatever is put into it."""

    def __init__(self, parent: Path | None = None) -> None:
        from filelock import FileLock

        self.path = Path(tempfile.mkdtemp(prefix=PREFIX, suffix=SUFFIX, dir=parent))
        lock = FileLock(self.path / LOCK)
        with suppress(OSError, NotImplementedError):  # a file system without locks
            lock.acquire()
        self.remove = finalize(self, _remove, self.path, lock)
        """Deletes it; the end of the process does so too."""


def _remove(folder: Path, lock: FileLock) -> None:
    with suppress(OSError):
        lock.release()
    shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned(parent: Path) -> int:
    """Remove the folders of killed processes in a folder; returns the bytes freed.

    Files that cannot be removed, such as other users', are left.
    """
    freed = 0
    for folder in parent.glob(f"{PREFIX}*{SUFFIX}"):
        if folder.is_symlink() or not folder.is_dir() or _in_use(folder):
            continue
        size = bytes_in(folder)
        shutil.rmtree(folder, ignore_errors=True)
        freed += size - bytes_in(folder)
    return freed


def _in_use(folder: Path) -> bool:
    from filelock import FileLock

    try:
        if not (folder / LOCK).is_file():
            return time.time() - folder.stat().st_mtime < DAY
        with FileLock(folder / LOCK, timeout=0):
            return False
    except (OSError, NotImplementedError):  # locked (TimeoutError), or not to be told
        return True


def bytes_in(folder: Path) -> int:
    """The size of all files in a folder and below; those that vanish meanwhile count nothing."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(OSError):
            total += path.lstat().st_size if path.is_file() else 0
    return total
