"""Data sets of rendered people: shards of memory-mappable arrays; a killed writer resumes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mcld_anim.core.array_files import mapped_array
from mcld_anim.core.durable import sync
from mcld_anim.core.errors import InputError, OutputError, UsageError
from mcld_anim.core.tables import read_json
from mcld_anim.core.version import __version__
from mcld_anim.options.load import from_mapping
from mcld_anim.synthetic.faces import render_face_views
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED
from mcld_anim.synthetic.person import Person
from mcld_anim.synthetic.views import render_views

PEOPLE_PER_SHARD = 50
DESCRIPTION = "dataset.json"
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class DatasetOptions:
    """Contents of a folder of shards. `kind` is "people" (whole bodies) or "faces" (close-ups)."""

    kind: str
    first_seed: int
    people: int
    views: int
    size: int
    people_per_shard: int = PEOPLE_PER_SHARD
    code_version: str = __version__

    def shards(self) -> int:
        return -(-self.people // self.people_per_shard)

    def seeds(self, shard: int) -> range:
        first = self.first_seed + shard * self.people_per_shard
        return range(first, min(first + self.people_per_shard, self.first_seed + self.people))

    def paths(self, folder: Path, shard: int) -> tuple[Path, Path]:
        """The files of pictures and of IUVs of one shard."""
        prefix = "faces_" if self.kind == "faces" else ""
        return (
            folder / f"{prefix}shard_{shard:05d}_pictures.npy",
            folder / f"{prefix}shard_{shard:05d}_iuv.npy",
        )


def write_shards(
    folder: Path,
    first_seed: int,
    people: int,
    views: int,
    size: int = 256,
    workers: int = 1,
    on_person: Callable[[int, int], None] = lambda done, total: None,
    people_per_shard: int = PEOPLE_PER_SHARD,
) -> None:
    """Render `views` pictures each of `people` people into `folder`, in the order of their seeds from `first_seed` on.

    A shard holds uint8 arrays (people, views, size, size, 3) of RGB pictures and of IUVs. Complete shards are kept, and
    a killed and repeated call ends with the same bytes. `on_person(done, total)` is called after every shard.
    """
    _write(folder, DatasetOptions("people", first_seed, people, views, size, people_per_shard), workers, on_person)


def write_face_shards(
    folder: Path,
    first_seed: int,
    people: int,
    views: int,
    size: int = 96,
    workers: int = 1,
    on_person: Callable[[int, int], None] = lambda done, total: None,
    people_per_shard: int = PEOPLE_PER_SHARD,
) -> None:
    """Like `write_shards`, with close-ups of the head."""
    _write(folder, DatasetOptions("faces", first_seed, people, views, size, people_per_shard), workers, on_person)


def check_options(options: DatasetOptions) -> None:
    if min(options.people, options.views, options.people_per_shard) < 1 or options.size < 16:
        raise UsageError(
            f"{options.people} people x {options.views} views of {options.size} pixels cannot be rendered: "
            "people, views and people per shard must be 1 or more, the size 16 or more."
        )
    last = options.first_seed + options.people - 1
    if options.first_seed < 0 or last >= FIRST_EVALUATION_SEED:
        raise UsageError(
            f"Seeds {options.first_seed} to {last} were asked for, but training data uses seeds 0 to "
            f"{FIRST_EVALUATION_SEED - 1}: later ones are reserved for evaluation. "
            "Choose a smaller --seed or --people."
        )


def _write(folder: Path, options: DatasetOptions, workers: int, on_person: Callable[[int, int], None]) -> None:
    check_options(options)
    if workers < 1:
        raise UsageError(f"--workers is {workers}, but at least one is needed.")
    folder.mkdir(parents=True, exist_ok=True)
    describe(folder, options)
    done = 0
    for shard, seeds, rendered in _rendered_shards(folder, options, workers):
        if rendered is not None:
            for path, array in zip(options.paths(folder, shard), rendered, strict=True):
                save_durably(path, array)
        done += len(seeds)
        on_person(done, options.people)


def _rendered_shards(
    folder: Path, options: DatasetOptions, workers: int
) -> Iterator[tuple[int, range, tuple[Pictures, Pictures] | None]]:
    """Shards in order; the arrays are None for shards that exist already.

    Workers share the people of a shard, and start on the next shard before it is complete.
    """
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn")) if workers > 1 else None

    def started(shard: int) -> Iterable[tuple[Pictures, Pictures]]:
        jobs = [(options.kind, seed, options.views, options.size) for seed in options.seeds(shard)]
        return pool.map(render_person, jobs) if pool else map(render_person, jobs)

    shards = range(options.shards())
    missing = [shard for shard in shards if not all(path.is_file() for path in options.paths(folder, shard))]
    coming = iter([*missing[1:], None])
    rendering = started(missing[0]) if missing else None
    try:
        for shard in shards:
            if shard not in missing:
                yield shard, options.seeds(shard), None
                continue
            people, following = rendering, next(coming)
            rendering = None if following is None else started(following)
            assert people is not None
            pictures, iuvs = (np.stack(arrays) for arrays in zip(*people, strict=True))
            yield shard, options.seeds(shard), (pictures, iuvs)
    finally:
        if pool:
            pool.shutdown(cancel_futures=True)


def render_person(job: tuple[str, int, int, int]) -> tuple[Pictures, Pictures]:
    """(kind, seed, views, size) -> pictures and IUVs of one person, each uint8 (views, size, size, 3)."""
    kind, seed, views, size = job
    person = Person.from_seed(seed)
    if kind == "faces":
        return render_face_views(person, np.random.default_rng([seed, 5]), views, size)
    renderings = render_views(person, views, size)
    return np.stack([item.picture for item in renderings]), np.stack([item.iuv for item in renderings])


def save_durably(path: Path, array: Pictures) -> None:
    """Write to a temporary name, flush to disk, then rename, so that `path` never holds half a file."""
    temporary = path.with_name(path.name + ".part")
    with open(temporary, "wb") as file:
        np.save(file, array, allow_pickle=False)
    sync(temporary)
    os.replace(temporary, path)


def describe(folder: Path, options: DatasetOptions) -> None:
    """Write dataset.json, or check that the existing one is the same."""
    path = folder / DESCRIPTION
    text = json.dumps(asdict(options), indent=2) + "\n"
    if path.is_file():
        if path.read_text() != text:
            raise OutputError(
                f"{folder} holds another data set ({path.name} differs from what was asked for): "
                "give the same options to resume it, or another --output."
            )
        return
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text)
    os.replace(temporary, path)


class SyntheticShards:
    """Reader of a folder of shards, which may still be being written; it has the people of the complete shards."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        path = self.folder / DESCRIPTION
        if not path.is_file():
            raise InputError(f"{self.folder} has no {DESCRIPTION}: make a data set there with `mcld-anim synth data`.")
        try:
            self.options = from_mapping(DatasetOptions, read_json(path), path.name)
        except (ValueError, UsageError) as error:
            raise InputError(
                f"{path} describes no data set ({error}): make it again with `mcld-anim synth data`."
            ) from error
        self._arrays: dict[Path, Pictures] = {}
        complete = 0
        while complete < self.options.shards() and all(p.is_file() for p in self.options.paths(self.folder, complete)):
            complete += 1
        self._people = min(complete * self.options.people_per_shard, self.options.people)

    def __len__(self) -> int:
        return self._people

    def seed(self, person: int) -> int:
        """The seed of a person by index, for `Person.from_seed`."""
        return self.options.first_seed + self._checked(person)

    def picture(self, person: int, view: int) -> Pictures:
        """uint8 (size, size, 3) RGB."""
        return self._array(self._checked(person), 0)[person % self.options.people_per_shard, view]

    def iuv(self, person: int, view: int) -> Pictures:
        """uint8 (size, size, 3): I, U, V."""
        return self._array(self._checked(person), 1)[person % self.options.people_per_shard, view]

    def _checked(self, person: int) -> int:
        if not 0 <= person < self._people:
            raise IndexError(f"person {person} of {self._people}")
        return person

    def _array(self, person: int, which: int) -> Pictures:
        path = self.options.paths(self.folder, person // self.options.people_per_shard)[which]
        if path not in self._arrays:
            array = mapped_array(path)
            expected = (self.options.views, self.options.size, self.options.size, 3)
            if array.shape[1:] != expected or array.dtype != np.uint8:
                raise InputError(f"{path} holds {array.dtype} {array.shape}, expected uint8 (people, {expected}).")
            self._arrays[path] = array
        return self._arrays[path]
