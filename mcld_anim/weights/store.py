"""Storage of pulled weights, and the record of every pulled file's size, checksum and origin."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from mcld_anim.core.checksums import Checksums
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import WeightsError
from mcld_anim.core.home import expanded
from mcld_anim.core.tables import read_json
from mcld_anim.weights.published import MODELS, PublishedModel

WEIGHTS_RECORD = "record.json"
NOT_PULLED = "not pulled"
NO_HOME = "no home folder is known: set HOME or MCLD_ANIM_HOME"


@dataclass(frozen=True)
class PulledFile:
    """One file as recorded at its first pull."""

    file: str  # its name in the model's folder
    bytes: int
    sha256: str
    source_bytes: int  # size of the published file, before conversion
    source_sha256: str
    origin: str
    more: Mapping[str, str]  # other files from the same download -> their SHA-256


def models_folder() -> Path:
    """`$MCLD_ANIM_HOME`; otherwise `mcld-anim` in `$HF_HOME`, where large files go, or in the user's cache.

    Raises WeightsError where the user has no home folder, as in some containers.
    """
    cache = os.environ.get("HF_HOME") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = expanded(os.environ.get("MCLD_ANIM_HOME") or Path(cache) / "mcld-anim")
    if folder.parts[:1] == ("~",):
        raise WeightsError(f"pulled weights have no place: {NO_HOME}")
    return folder


def has_models_folder() -> bool:
    """Whether `models_folder` is known; where it is not, nothing is pulled."""
    try:
        models_folder()
    except WeightsError:
        return False
    return True


def model_folder(name: str) -> Path:
    """The folder of a pulled model's files."""
    return models_folder() / name


def read_record(folder: Path) -> dict[str, PulledFile]:
    """The pulled files of a folder by part; empty if none was pulled."""
    path = folder / WEIGHTS_RECORD
    if not path.is_file():
        return {}
    try:
        rows = read_json(path)
        return {part: PulledFile(**row) for part, row in rows.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path} is damaged ({error}): remove {folder} and pull the model again") from error


def add_to_record(folder: Path, part: str, pulled: PulledFile) -> None:
    """Record one file, replacing its earlier entry."""
    rows = {name: asdict(row) for name, row in {**read_record(folder), part: pulled}.items()}
    with durable_file(folder / WEIGHTS_RECORD, overwrite=True) as path:
        path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def find_problem(folder: Path, pulled: PulledFile | None, checksum: bool = True) -> str | None:
    """What is wrong with a pulled file, by its size and, with `checksum`, its SHA-256; None if it is intact."""
    if pulled is None:
        return NOT_PULLED
    for name, digest in {pulled.file: pulled.sha256, **pulled.more}.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if name == pulled.file and path.stat().st_size != pulled.bytes:
            return f"{name} has {path.stat().st_size} bytes, expected {pulled.bytes}"
        if checksum and Checksums().of(path) != digest:
            return f"the checksum of {name} differs"
    return None


def is_pulled(model: PublishedModel) -> bool:
    """Whether every file of a published model is here with its recorded size."""
    if not has_models_folder():
        return False
    folder = model_folder(model.name)
    record = read_record(folder)
    return all(find_problem(folder, record.get(file.part), checksum=False) is None for file in model.files)


def first_pulled(use: str) -> PublishedModel | None:
    """The first complete model of that use; the table lists the best first."""
    return next((model for model in MODELS if model.use == use and is_pulled(model)), None)


def recorded_checksum(path: Path) -> str | None:
    """A pulled file's SHA-256 from its record if its size still matches; gigabytes need not be read again."""
    for pulled in read_record(path.parent).values():
        if pulled.file == path.name and path.stat().st_size == pulled.bytes:
            return pulled.sha256
    return None


def remove(name: str) -> int:
    """Delete a pulled model's folder, including its recorded checksums; return the bytes freed."""
    folder = model_folder(name)
    if not folder.is_dir():
        raise WeightsError(f"{name} is not here: {folder} does not exist")
    freed = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return freed


def check_free_space(folder: Path, needed: int, what: str) -> None:
    """Raise WeightsError if the disk of `folder` has fewer than `needed` bytes free."""
    existing = folder.absolute()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise WeightsError(
            f"{what} needs {_size(needed)} on the disk of {existing}, which has {_size(free)} left: "
            "make room, or set MCLD_ANIM_HOME to a folder on another disk"
        )


def _size(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
