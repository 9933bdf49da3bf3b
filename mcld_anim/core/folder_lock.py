"""A lock on a folder, which ends with its process however that ends, and a note of who holds it.

POSIX locks the note by `flock`, Windows by `msvcrt.locking` of a byte far behind it. On file systems without locks the
note alone counts, as long as its process lives on this machine. The caches' locks, which say nothing and stay, are
filelock's; it has no note that others can read while the lock is held, and keeps the folder from being removed with it.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

import psutil

NOTE_NAME = "holder.json"
LOCKED_BYTE = 1 << 30
"""Offset of the byte that Windows locks; the note before it stays readable."""
MOST_NOTE_BYTES = 1000
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
"""Error numbers by which a file system says that it has no locks."""


@dataclass(frozen=True)
class Holder:
    """A process that holds a folder."""

    pid: int = 0
    host: str = "an unknown machine"
    since: str = "an unknown time"  # local time

    def __str__(self) -> str:
        return f"process {self.pid or 'unknown'} on {self.host} since {self.since}"

    @property
    def lives_here(self) -> bool:
        """Whether the process runs on this machine and is not this one."""
        return self.host == socket.gethostname() and self.pid != os.getpid() and psutil.pid_exists(self.pid)


class FolderLock:
    """Holds a folder for this process from `take` to `release`."""

    def __init__(self, folder: Path) -> None:
        self._note = folder / NOTE_NAME
        self._handle: int | None = None

    def take(self) -> Holder | None:
        """Make the folder if it is missing, and hold it: None; or leave it and return its other holder."""
        while True:
            self._note.parent.mkdir(exist_ok=True)
            try:
                handle = os.open(self._note, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # its last holder removed the folder meanwhile
                continue
            holder = _other_holder(handle)
            if holder is None and _is_at(handle, self._note):
                self._handle = handle
                me = Holder(os.getpid(), socket.gethostname(), datetime.now().strftime("%Y-%m-%d %H:%M:%S"))
                os.ftruncate(handle, 0)
                os.lseek(handle, 0, os.SEEK_SET)
                os.write(handle, json.dumps(asdict(me)).encode())
                return None
            os.close(handle)
            if holder is not None:
                return holder

    def release(self) -> None:
        """Let go, and remove the note and the folder if nothing else is in it."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        if sys.platform == "win32":  # where an open file cannot be removed
            os.close(handle)
        for remove in (self._note.unlink, self._note.parent.rmdir):
            try:
                remove()
            except OSError:  # something is kept in it, or it is gone
                break
        if sys.platform != "win32":
            os.close(handle)


def _other_holder(handle: int) -> Holder | None:
    """Lock the open note: None; or who has locked it."""
    try:
        if _lock(handle):
            return None
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        found = _read(handle)
        return found if found.lives_here else None
    return _read(handle)


def _lock(handle: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(handle, LOCKED_BYTE, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def _read(handle: int) -> Holder:
    try:
        os.lseek(handle, 0, os.SEEK_SET)
        found = json.loads(os.read(handle, MOST_NOTE_BYTES))
        return Holder(int(found["pid"]), str(found["host"]), str(found["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Holder()


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one at `path`: its last holder may have removed that."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
