"""The finished frames of a run on disk, without loss: what it goes on from after a kill, a power cut or a full disk.

    identity.json       what the frames depend on
    frames.log          a record for each batch: rows of the report and pictures
    border.0, border.1  the last two borders, in turn; the record before a border is durable before it is

A record or border counts if its checksum is right, so one that was cut short is as if it had not been begun. Nothing is
written before the first batch is finished.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mcld_anim.core.arrays import AnySizePicture, Box
from mcld_anim.core.durable import durable_file, sync
from mcld_anim.core.errors import McldAnimError
from mcld_anim.core.names import write_json
from mcld_anim.core.tables import read_json
from mcld_anim.report.frames import FrameRow
from mcld_anim.run.border import Border
from mcld_anim.run.frames import Frame
from mcld_anim.video.lossless_pictures import LosslessPictures, read_pictures

HEAD = struct.Struct(">4sIQ")
"""Before each block of bytes: MARK, its CRC-32, its length."""
MARK = b"MCLD"
PART = struct.Struct(">Q")  # length of a part of a record

IDENTITY, SECONDS = "identity.json", "seconds"


@dataclass(frozen=True, eq=False)
class KeptFrame:
    """A frame that an earlier run has finished; the fields are those of `mcld_anim.run.frames.Frame`."""

    picture: np.ndarray
    row: FrameRow
    shown: AnySizePicture
    box: Box | None


class FrameLog:
    """The log in a folder, opened for going on after its last border."""

    def __init__(self, folder: Path, identity: Mapping[str, str], first: int = 0) -> None:
        """Go on in `folder` if its frames have this identity; else `differences` says why not, and the log is empty.

        `first`: the index of the log's first frame.
        """
        self._folder, self._identity, self._first = folder, dict(identity), first
        self._path, self._slots = folder / "frames.log", (folder / "border.0", folder / "border.1")
        self.start, self.seconds = Border(first), dict[str, float]()
        """The border to go on from, and the seconds per stage that the kept frames took."""
        self.differences: list[str] = []
        self._size, self._next = 0, 0  # bytes of the records before `start`; the slot of the next border
        self._rows: list[dict[str, Any]] = []
        self._pictures, self._shown = LosslessPictures(), LosslessPictures()
        self._stream: BinaryIO | None = None
        known = _read_identity(folder / IDENTITY)
        if known == identity:
            self._find_start()
        elif known is not None:
            self.differences = differences(known, identity)
        self.count = self.start.index
        """How many frames of the clip are durable, up to the end of this log."""

    def frames(self) -> Iterator[KeptFrame]:
        """The frames before `start`, with one batch of them in memory at a time."""
        for record in _blocks(self._path, self._size):
            parts = _parts(record)
            rows = json.loads(parts[0])["frames"]
            pictures = read_pictures(parts[1])
            shown = read_pictures(parts[2]) if parts[2] else None
            for row, picture in zip(rows, pictures, strict=True):
                box = row.pop("box")
                yield KeptFrame(picture, FrameRow(**row), picture if shown is None else next(shown), box and tuple(box))

    def add(self, frame: Frame) -> None:
        """Encode the next frame, which counts after `commit`."""
        self._rows.append({**asdict(frame.row), "box": None if frame.box is None else [float(x) for x in frame.box]})
        self._pictures.add(frame.picture)
        if frame.shown is not frame.picture:
            self._shown.add(frame.shown)

    def commit(self, border: Border, seconds: Mapping[str, float]) -> None:
        """Make the added frames durable, with the border after them and the seconds that all frames took until now.

        Raises McldAnimError if the folder is gone, OSError if the disk is full.
        """
        text = json.dumps({"frames": self._rows, SECONDS: dict(seconds)}).encode()
        parts = (text, self._pictures.finish(), self._shown.finish())
        try:
            if self._stream is None:
                self._stream = self._begin()
            _write_block(self._stream, b"".join(piece for part in parts for piece in (PART.pack(len(part)), part)))
            sync(self._path)
            with self._slots[self._next].open("wb") as slot:
                _write_block(slot, border.to_bytes())
            sync(self._slots[self._next])
        except FileNotFoundError as error:
            self.count = 0
            raise McldAnimError(f"{self._folder} was removed while the run was working: run it again") from error
        self._rows, self.count, self._next = [], border.index, 1 - self._next

    def close(self) -> None:
        """Close the files, and remove them if no batch is whole."""
        if self._stream is not None:
            self._stream.close()
            if self.count <= self._first:
                shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> BinaryIO:
        """The file for records, which go on after the last border; frames of another identity make way."""
        self._folder.mkdir(exist_ok=True)
        if self.start.index == self._first:
            for path in (self._path, *self._slots):
                path.unlink(missing_ok=True)
            with durable_file(self._folder / IDENTITY, overwrite=True) as partial:
                write_json(partial, self._identity)
        stream = self._path.open("ab")
        stream.truncate(self._size)
        sync(self._folder)
        return stream

    def _find_start(self) -> None:
        """The later border whose records are all whole."""
        ends, count, size = {}, self._first, 0
        for record in _blocks(self._path):
            content = json.loads(_parts(record)[0])
            count, size = count + len(content["frames"]), size + HEAD.size + len(record)
            ends[count] = size, content[SECONDS]
        borders = [_read_border(slot) for slot in self._slots]
        for slot, border in enumerate(borders):
            if border is not None and border.index in ends and border.index > self.start.index:
                self.start, self._next = border, 1 - slot
                self._size, self.seconds = ends[border.index]
        if self.start.index == self._first and any(borders):
            self.differences = [f"{self._path} is damaged"]


def differences(known: Mapping[str, str], identity: Mapping[str, str]) -> list[str]:
    """What differs between two identities, field by field, for people."""

    def short(value: str | None) -> str:
        return "absent" if value is None else f"{value[:8]}…" if len(value) == 64 else value

    names = [*identity, *(name for name in known if name not in identity)]
    pairs = ((name, known.get(name), identity.get(name)) for name in names)
    return [f"{name} was {short(before)} and is {short(now)}" for name, before, now in pairs if before != now]


def _read_identity(path: Path) -> dict[str, str] | None:
    try:
        content = read_json(path)
        return {str(name): str(value) for name, value in content.items()}
    except (OSError, ValueError, AttributeError):
        return None


def _read_border(path: Path) -> Border | None:
    content = next(_blocks(path), None)
    return None if content is None else Border.from_bytes(content)


def _write_block(stream: BinaryIO, content: bytes) -> None:
    stream.write(HEAD.pack(MARK, zlib.crc32(content), len(content)))
    stream.write(content)
    stream.flush()


def _blocks(path: Path, most: int | None = None) -> Iterator[bytes]:
    """The whole blocks at the beginning of a file, or of its first `most` bytes."""
    try:
        stream = path.open("rb")
    except FileNotFoundError:
        return
    with stream:
        size = os.fstat(stream.fileno()).st_size if most is None else most
        while stream.tell() + HEAD.size <= size:
            mark, checksum, length = HEAD.unpack(stream.read(HEAD.size))
            if mark != MARK or stream.tell() + length > size:
                return
            content = stream.read(length)
            if zlib.crc32(content) != checksum:
                return
            yield content


def _parts(record: bytes) -> list[bytes]:
    parts, place = [], 0
    while place < len(record):
        (length,) = PART.unpack_from(record, place)
        place += PART.size
        parts.append(record[place : place + length])
        place += length
    return parts
