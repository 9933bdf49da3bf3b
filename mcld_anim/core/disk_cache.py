"""Results on disk that later runs use again: `DiskCache`.

An entry is a folder: its files, and `entry.json` with their sizes and SHA-256, the key's fields and a checksum of
itself. It appears under its name by one rename, complete and flushed to disk. One process at a time writes or removes,
under a lock that a killed process lets go of; reading needs no lock. Beyond the limit, the entries that were not used
for the longest time are removed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from mcld_anim.core.checksums import file_sha256
from mcld_anim.core.durable import sync
from mcld_anim.core.names import JSON_ERRORS
from mcld_anim.core.temporary_folder import bytes_in

HEADER, LOCK, UNFINISHED = "entry.json", "lock", ".unfinished-"
LOCK_SECONDS = 60.0
"""Seconds to wait for another process that writes."""


class DamagedEntry(Exception):
    """An entry whose bytes are not those that were written."""


@dataclass(frozen=True)
class CacheKey:
    """What identifies a result."""

    kind: str  # letters and hyphens
    fields: Mapping[str, Any]  # plain data: everything that the result depends on

    @cached_property
    def name(self) -> str:
        """The entry's name: the kind, and SHA-256 of the fields."""
        return f"{self.kind}-{hashlib.sha256(_canonical(dict(self.fields))).hexdigest()}"


@dataclass(frozen=True)
class Entry:
    """An entry that was found; its files are checked when they are read."""

    folder: Path
    kind: str
    fields: Mapping[str, Any]
    about: Mapping[str, Any]  # plain data of whoever wrote the entry
    files: Mapping[str, tuple[int, str]]  # name -> bytes, SHA-256

    def read(self, name: str) -> bytes:
        """The content of a file. Raises DamagedEntry, or FileNotFoundError if the entry was removed meanwhile."""
        with self._still_here(name):
            content = (self.folder / name).read_bytes()
        self._check(name, hashlib.sha256(content).hexdigest())
        return content

    def path(self, name: str) -> Path:
        """The path of a file whose content is intact. Raises as `read` does."""
        with self._still_here(name):
            self._check(name, file_sha256(self.folder / name))
        return self.folder / name

    def _check(self, name: str, digest: str) -> None:
        if digest != self.files[name][1]:
            raise DamagedEntry(f"the checksum of {name} differs")

    @contextmanager
    def _still_here(self, name: str) -> Iterator[None]:
        """Entries vanish as a whole: a file that is missing alone is damage."""
        try:
            yield
        except FileNotFoundError:
            if self.folder.is_dir():
                raise DamagedEntry(f"{name} is missing") from None
            raise


@dataclass(frozen=True)
class EntryState:
    """An entry as it is listed."""

    name: str
    bytes: int
    used: float  # seconds since the epoch
    entry: Entry | None  # None: damaged


class DiskCache:
    """Entries in one folder, at most `limit` bytes of them; the folder is made when something is first kept."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit

    def find(self, key: CacheKey) -> Entry | None:
        """The entry of a key, which now counts as used; None without one. Raises DamagedEntry, OSError."""
        folder = self.folder / key.name
        try:
            entry = _read_header(folder)
        except FileNotFoundError:
            if folder.is_dir():
                raise DamagedEntry(f"{HEADER} is missing") from None
            return None
        with suppress(OSError):  # a folder of somebody else's
            os.utime(folder / HEADER)
        return entry

    def holds(self, key: CacheKey) -> bool:
        """Whether there is an entry, perhaps a damaged one."""
        return (self.folder / key.name).is_dir()

    def keep(self, key: CacheKey, about: Mapping[str, Any], write: Callable[[Path], None]) -> None:
        """Add an entry whose files `write` makes in a folder, unless there is one or it is larger than the limit.

        Raises OSError if the folder cannot be written; then no part of the entry is left.
        """
        with self._alone():
            final = self.folder / key.name
            if final.exists():
                return  # another process was quicker
            work = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self.folder))
            try:
                write(work)
                _write_header(work, key, about)
                if bytes_in(work) <= self.limit:
                    for file in work.iterdir():
                        sync(file)
                    work.rename(final)
                    sync(self.folder)
            finally:
                shutil.rmtree(work, ignore_errors=True)
            self._shrink(final)

    def remove(self, key: CacheKey) -> None:
        """Remove the entry of a key, if there is one. Raises OSError."""
        with self._alone():
            self._drop(self.folder / key.name)

    def clear(self) -> int:
        """Remove all entries, and what killed processes left unfinished; returns the bytes freed. Raises OSError."""
        if not self.folder.is_dir():
            return 0
        with self._alone():
            return sum(self._drop(folder) for folder in self._folders())

    def states(self) -> list[EntryState]:
        """All entries, the last used first."""
        return sorted(map(_state, self._folders()), key=lambda state: -state.used)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes from writing, and remove what killed ones left unfinished."""
        from filelock import FileLock

        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = FileLock(self.folder / LOCK, timeout=LOCK_SECONDS)
            lock.acquire()
        except NotImplementedError as error:
            raise OSError(f"its file system has no locks: {error}") from error
        try:
            for left in self.folder.glob(f"{UNFINISHED}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
        finally:
            lock.release()

    def _shrink(self, newest: Path) -> None:
        """Remove the entries that were not used for the longest time until all fit, `newest` last."""
        states = self.states()
        total = sum(state.bytes for state in states)
        for state in sorted(states, key=lambda state: (state.name == newest.name, state.used)):
            if total <= self.limit:
                return
            total -= self._drop(self.folder / state.name)

    def _drop(self, folder: Path) -> int:
        """Remove an entry's folder at once for other processes; returns the bytes freed."""
        if not folder.is_dir():
            return 0
        size = bytes_in(folder)
        gone = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=self.folder))
        with suppress(PermissionError):  # on Windows, where another process has a file of it open
            folder.rename(gone / folder.name)
        shutil.rmtree(gone, ignore_errors=True)
        return 0 if folder.exists() else size

    def _folders(self) -> list[Path]:
        try:
            return [path for path in self.folder.iterdir() if path.is_dir() and not path.name.startswith(UNFINISHED)]
        except FileNotFoundError:
            return []


def _state(folder: Path) -> EntryState:
    entry: Entry | None = None
    with suppress(DamagedEntry, OSError):
        entry = _read_header(folder)
    try:
        used = (folder / HEADER).stat().st_mtime
    except OSError:
        used = 0.0  # removed first
    return EntryState(folder.name, bytes_in(folder), used, entry)


def _write_header(folder: Path, key: CacheKey, about: Mapping[str, Any]) -> None:
    files = {file.name: (file.stat().st_size, file_sha256(file)) for file in sorted(folder.iterdir())}
    content = {"kind": key.kind, "fields": dict(key.fields), "about": dict(about), "files": files, "made": time.time()}
    checked = {"sha256": hashlib.sha256(_canonical(content)).hexdigest(), "content": content}
    (folder / HEADER).write_bytes(_canonical(checked))


def _read_header(folder: Path) -> Entry:
    """The entry in a folder. Raises DamagedEntry, or FileNotFoundError without a header."""
    written = (folder / HEADER).read_bytes()
    try:
        checked = json.loads(written)
        content = checked["content"]
        intact = checked["sha256"] == hashlib.sha256(_canonical(content)).hexdigest()
    except (ValueError, KeyError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise DamagedEntry(f"the checksum of {HEADER} differs")
    files = {name: (size, digest) for name, (size, digest) in content["files"].items()}
    return Entry(folder, content["kind"], content["fields"], content["about"], files)


def _canonical(content: Any) -> bytes:
    """JSON of plain data, the same for equal data."""
    return json.dumps(content, sort_keys=True, ensure_ascii=False).encode("utf-8", JSON_ERRORS)
