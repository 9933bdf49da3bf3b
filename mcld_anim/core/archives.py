"""ZIP archives from anywhere: what a member unpacks to is bounded by what is asked for, whatever the archive claims."""

from __future__ import annotations

import shutil
import struct
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from mcld_anim.core.errors import reason_of

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compressions that are read. Python unpacks bzip2 and LZMA at once and in full, before it looks at the size."""

_DAMAGE = (
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, struct.error),
    *(NotImplementedError, RuntimeError, EOFError, ValueError, OverflowError, KeyError),
)
"""What `zipfile` raises for archives that are damaged or made to do harm."""


class ArchiveError(ValueError):
    """An archive cannot be used; the message is the reason."""


def open_archive(path: Path) -> zipfile.ZipFile:
    """A ZIP archive for reading. Raises ArchiveError, and OSError."""
    try:
        return zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise ArchiveError(reason_of(error)) from error


def check_members(members: Iterable[zipfile.ZipInfo], most: int) -> None:
    """Refuse members that are encrypted or compressed in an unusual way, or have more than `most` bytes in all."""
    total = 0
    for member in members:
        if member.flag_bits & 1:
            raise ArchiveError(f"{member.filename} is encrypted")
        if member.compress_type not in METHODS:
            raise ArchiveError(f"{member.filename} is compressed by method {member.compress_type}, not by deflate")
        total += member.file_size
        if total > most:
            raise ArchiveError(f"it unpacks to more than {most / 1e6:g} MB")


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The content of a member of at most `most` bytes. Raises ArchiveError, and OSError."""
    try:
        member = archive.getinfo(name)
        check_members([member], most)
        with archive.open(member) as packed:
            return packed.read(member.file_size)  # a size lets it unpack no more than that; none, all there is
    except KeyError:
        raise ArchiveError(f"it has no {name}") from None
    except _DAMAGE as error:
        raise ArchiveError(reason_of(error)) from error


def copy_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, file: BinaryIO) -> None:
    """Unpack a member that `check_members` accepted. Raises ArchiveError, and OSError."""
    try:
        with archive.open(member) as packed:
            shutil.copyfileobj(packed, file)
    except _DAMAGE as error:
        raise ArchiveError(reason_of(error)) from error
