"""IUV on disk: one lossless PNG per frame and `sequence.json`, in a folder or in one `.zip` archive.

Each PNG holds the planes V, U, I as red, green, blue, like the published DensePose pictures (written with I, U, V as
blue, green, red). Those load too, one by one or as a folder without a `sequence.json`.
"""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from mcld_anim.core.archives import ArchiveError, open_archive, read_member
from mcld_anim.core.arrays import Box, Iuv
from mcld_anim.core.bounded_files import UnboundedError, read_bytes
from mcld_anim.core.durable import check_output, durable_file, partial_name
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import Event
from mcld_anim.core.plain_data import parse_json, shown
from mcld_anim.pose.iuv_picture import decode_iuv, encode_iuv, iuv_box

HEADER_NAME = "sequence.json"
FORMAT = "mcld-anim iuv 1"
FRAME_NAME = "{:06d}.png"

ZIP_SIGNATURE = b"PK\x03\x04"
"""Beginning of a ZIP archive that holds a file."""

MOST_BYTES = 200_000_000
"""Largest uncompressed size of one frame, in bytes, which bounds the memory it can claim."""
MOST_HEADER_BYTES = 32_000_000
"""Largest header, in bytes: that of 300,000 frames."""
MOST_SIDE = 100_000
"""Largest coordinate of a box, in pixels."""
RATE = re.compile(r"\d{1,9}(/[1-9]\d{0,8})?")
"""A frame rate as a text: that of `Fraction`, which would also compute 1e999999999."""


class IuvSequence:
    """An IUV sequence on disk; frames are read on demand, so memory does not depend on the length."""

    def __init__(self, path: Path, names: list[str], header: Mapping[str, Any]) -> None:
        self.path = path
        self._names = names
        self._is_archive = is_archive(path)
        self._archive: zipfile.ZipFile | None = None
        self.meta: dict[str, Any] = dict(header.get("meta", {}))
        """Metadata given by the writer."""
        self.fps: Fraction | None = Fraction(header["fps"]) if header.get("fps") else None
        self.start: float = float(header.get("start", 0.0))
        """Time of frame 0 in the video, in seconds."""
        found = header.get("person_found")
        self.person_found = (
            np.array([mark == "1" for mark in found]) if found is not None else np.ones(len(names), bool)
        )
        """(frames,) bool: False where a frame holds the pose of another frame."""
        self.cuts = np.array([mark == "1" for mark in header.get("cuts", "0" * len(names))])
        """(frames,) bool: True where a new scene begins."""
        self.events = [Event(kind, message) for kind, message in header.get("events", ())]
        """Events of the estimation."""
        boxes = header.get("boxes")
        self._boxes: list[Box | None] | None = (
            None if boxes is None else [None if box is None else (box[0], box[1], box[2], box[3]) for box in boxes]
        )

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, index: int) -> Iuv:
        """Frame `index`, uint8 (H, W, 3) in the order I, U, V."""
        name = self._names[index]
        return decode_iuv(self._read(name), f"{self.path} frame {name}")

    def __iter__(self) -> Iterator[Iuv]:
        return (self[index] for index in range(len(self)))

    def box(self, index: int) -> Box | None:
        """The box of the person in frame `index`; None if the frame holds the pose of another frame."""
        if not self.person_found[index]:
            return None
        return self._boxes[index] if self._boxes is not None else iuv_box(self[index])

    def _read(self, name: str) -> bytes:
        try:
            if self._is_archive:
                self._archive = self._archive or open_archive(self.path)
                return read_member(self._archive, name, MOST_BYTES)
            return read_bytes(self.path / name if self.path.is_dir() else self.path, MOST_BYTES)
        except (OSError, ArchiveError, UnboundedError) as error:
            raise PoseError(f"{self.path} lacks frame {name} ({error}): write it again with densepose") from error


class IuvWriter:
    """Writes the frames of one sequence; created by `iuv_writer`."""

    def __init__(self, folder: Path | None, archive: zipfile.ZipFile | None) -> None:
        self._folder, self._archive = folder, archive
        self._size: tuple[int, ...] | None = None
        self._found: list[str] = []
        self._cuts: list[str] = []
        self.events: list[Event] = []
        """Events to be stored in the header."""
        self._boxes: list[Box | None] = []

    def write(self, iuv: Iuv, person_found: bool = True, cut: bool = False) -> None:
        """Append one frame (H, W, 3) uint8 I, U, V; `person_found` False marks the held pose of another frame, `cut`
        the first frame of a new scene."""
        if self._size is not None and iuv.shape != self._size:
            raise PoseError(
                f"frame {len(self._found)} has shape {iuv.shape}, those before it {self._size}: give frames of one size"
            )
        self._size = iuv.shape
        self._put(FRAME_NAME.format(len(self._found)), encode_iuv(iuv))
        self._found.append("1" if person_found else "0")
        self._cuts.append("1" if cut else "0")
        self._boxes.append(iuv_box(iuv) if person_found else None)

    def close(self, fps: Fraction | None, start: float, meta: Mapping[str, Any]) -> None:
        """Write the header, which completes the sequence."""
        if self._size is None:
            raise PoseError("there is no frame to write: an IUV sequence needs at least one")
        header = {
            "format": FORMAT,
            "frames": len(self._found),
            "height": self._size[0],
            "width": self._size[1],
            "fps": None if fps is None else str(Fraction(fps)),
            "start": start,
            "person_found": "".join(self._found),
            "cuts": "".join(self._cuts),
            "events": [[event.kind, event.message] for event in self.events],
            "boxes": self._boxes,
            "meta": dict(meta),
        }
        self._put(HEADER_NAME, json.dumps(header).encode())

    def _put(self, name: str, content: bytes) -> None:
        if self._archive is not None:
            self._archive.writestr(name, content)
        elif self._folder is not None:
            (self._folder / name).write_bytes(content)


@contextmanager
def iuv_writer(
    path: str | os.PathLike[str],
    fps: Fraction | None = None,
    start: float = 0.0,
    meta: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Iterator[IuvWriter]:
    """Write a sequence frame by frame to `path`, an archive if it ends in `.zip`, else a folder.

    It appears at `path` only once it is complete.
    """
    path = Path(path)
    if path.suffix.lower() == ".zip":
        # PNGs are already compressed, so the archive stores them as they are.
        with (
            durable_file(path, overwrite) as partial,
            zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive,
        ):
            writer = IuvWriter(None, archive)
            yield writer
            writer.close(fps, start, meta or {})
        return
    if not (overwrite and _is_sequence(path)):
        check_output(path)
    partial = partial_name(path)
    partial.mkdir(parents=True)
    try:
        writer = IuvWriter(partial, None)
        yield writer
        writer.close(fps, start, meta or {})
        if path.is_dir():
            shutil.rmtree(path)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def write_iuv_sequence(
    path: str | os.PathLike[str],
    frames: Iterable[Iuv],
    fps: Fraction | None = None,
    meta: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write all `frames`, one in memory at a time; see `iuv_writer`."""
    with iuv_writer(path, fps, meta=meta, overwrite=overwrite) as writer:
        for iuv in frames:
            writer.write(iuv)


def read_iuv_sequence(path: str | os.PathLike[str]) -> IuvSequence:
    """Open a folder, an archive or one picture; its header and first frame are checked at once."""
    path = Path(path)
    if not path.exists():
        raise PoseError(f"IUV file {path} does not exist: check the path")
    if not (path.is_dir() or path.is_file()):
        raise PoseError(f"IUV file {path} is a device or a pipe: give a picture, a folder or a .zip archive")
    if path.is_dir():
        sequence = _open_folder(path)
    elif is_archive(path):
        sequence = _open_archive(path)
    else:
        sequence = IuvSequence(path, [path.name], {})
    first = sequence[0]
    if not first.shape[0]:
        raise PoseError(f"{path} is empty: write it again with densepose")
    return sequence


def is_archive(path: Path) -> bool:
    """Whether the content of a file is a ZIP archive, perhaps damaged; False for a folder."""
    try:
        if path.is_file():  # a pipe would be waited for
            with path.open("rb") as file:
                return file.read(len(ZIP_SIGNATURE)) == ZIP_SIGNATURE
    except OSError:
        pass
    return False


def read_iuv(path: str | os.PathLike[str]) -> Iuv:
    """The first frame of an IUV picture, folder or archive, uint8 (H, W, 3) I, U, V."""
    return read_iuv_sequence(path)[0]


def _open_folder(folder: Path) -> IuvSequence:
    try:
        names = {entry.name for entry in os.scandir(folder) if entry.is_file()}
    except OSError as error:
        raise PoseError(f"{folder} cannot be read ({error.strerror}): check its permissions") from error
    header = None
    if HEADER_NAME in names:
        try:
            header = _header(read_bytes(folder / HEADER_NAME, MOST_HEADER_BYTES), folder)
        except (OSError, UnboundedError) as error:
            raise PoseError(
                f"{folder / HEADER_NAME} cannot be read ({error}): write it again with densepose"
            ) from error
    return IuvSequence(folder, _frame_names(folder, names, header), header or {})


def _open_archive(path: Path) -> IuvSequence:
    header = None
    try:
        with open_archive(path) as archive:
            names = {name for name in archive.namelist() if "/" not in name}
            if HEADER_NAME in names:
                header = _header(read_member(archive, HEADER_NAME, MOST_HEADER_BYTES), path)
    except (OSError, ArchiveError) as error:
        raise PoseError(
            f"{path} is not an archive that can be read ({error}): write it again with densepose"
        ) from error
    return IuvSequence(path, _frame_names(path, names, header), header or {})


def _header(content: bytes, path: Path) -> dict[str, Any]:
    try:
        header = parse_json(content.decode(), MOST_HEADER_BYTES)
        if header["format"] != FORMAT:
            raise ValueError(f'format is {shown(header["format"])}, expected "{FORMAT}"')
        frames, marks, boxes = header["frames"], header["person_found"], header["boxes"]
        if not isinstance(frames, int) or not isinstance(boxes, list):
            raise ValueError("frames must be a whole number, boxes a list")
        if not isinstance(marks, str) or len(marks) != frames or len(boxes) != frames:
            raise ValueError(f"person_found and boxes need {frames} entries")
        cuts, events = header.get("cuts", marks), header.get("events", [])  # sequences of older versions have neither
        if not isinstance(cuts, str) or len(cuts) != frames:
            raise ValueError(f"cuts needs {frames} entries")
        if not all(len(event) == 2 and all(isinstance(text, str) for text in event) for event in events):
            raise ValueError("events must be pairs of texts")
        if not all(box is None or _is_box(box) for box in boxes):
            raise ValueError("boxes must hold left, top, right and bottom in pixels, or null")
        if header["fps"] is not None and not _is_rate(header["fps"]):
            raise ValueError(f"fps is {shown(header['fps'])}")
        if not _is_number(header["start"]) or not isinstance(header["meta"], dict):
            raise ValueError("start must be a number, meta an object")
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        detail = f"{error} is missing" if isinstance(error, KeyError) else " ".join(str(error).split())
        raise PoseError(f"{path}: {HEADER_NAME} cannot be used ({detail}): write it again with densepose") from error
    return header


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_box(box: object) -> bool:
    if not (isinstance(box, list) and len(box) == 4 and all(_is_number(side) for side in box)):
        return False
    return 0 <= box[0] < box[2] <= MOST_SIDE and 0 <= box[1] < box[3] <= MOST_SIDE


def _is_rate(value: object) -> bool:
    if isinstance(value, str):
        return RATE.fullmatch(value) is not None and Fraction(value) > 0
    return _is_number(value) and 0 < float(value) < MOST_SIDE  # type: ignore[arg-type]


def _frame_names(path: Path, names: set[str], header: Mapping[str, Any] | None) -> list[str]:
    if header is None:
        # Natural order: 10.png comes after 9.png.
        found = sorted(
            (name for name in names if name.lower().endswith(".png")),
            key=lambda name: [part.zfill(12) for part in re.split(r"(\d+)", name)],
        )
    else:
        found = [FRAME_NAME.format(index) for index in range(int(header["frames"]))]
        missing = [name for name in found if name not in names]
        if missing:
            raise PoseError(f"{path} lacks {len(missing)} of {len(found)} frames, first {missing[0]}: write it again")
    if not found:
        raise PoseError(f"{path} holds no IUV frame: expected PNG pictures, as written by densepose")
    return found


def _is_sequence(path: Path) -> bool:
    return path.is_dir() and (path / HEADER_NAME).is_file()
