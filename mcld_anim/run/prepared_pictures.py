"""What a model is told about each picture of a list of pairs (one person in two poses, as in DeepFashion), made once.

Preparation estimates each picture's IUV and computes its UV texture and face embedding. It writes one `.npz` per
picture, under a temporary name that is then renamed, so it can resume and run in several processes. A picture without
a person leaves an empty `.none` file instead.
"""

from __future__ import annotations

import csv
import multiprocessing
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath

import numpy as np

from mcld_anim.core.array_files import read_arrays
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import InputError, PictureError, PoseError
from mcld_anim.core.pictures import read_picture
from mcld_anim.core.tables import read_text, separator_of, table_rows
from mcld_anim.model.appearance import resized
from mcld_anim.options.model import ModelOptions
from mcld_anim.pose.backends import largest_iuv, load_pose_backend
from mcld_anim.pose.precomputed import precomputed_iuv, resize_iuv
from mcld_anim.source.face import load_face_backend
from mcld_anim.source.texture import source_texture

COLUMNS = (("source", "target"), ("from", "to"))
"""Accepted column names of a list of pairs; the second are DeepFashion's."""
PAIRS_NAME = "pairs.csv"


@dataclass(frozen=True)
class PairPreparationOptions:
    """Options of `mcld-anim train prepare-pairs`."""

    pairs: Path  # CSV with the columns source,target (or from,to): paths relative to `images`
    images: Path
    output: Path
    model: ModelOptions = field(default_factory=ModelOptions)
    densepose: str = "detectron2"  # a backend, or a folder of IUV pictures named as the images are, with .png
    face: str = "insightface"
    device: str = "cpu"
    workers: int = 1  # processes; each loads the networks


@dataclass(frozen=True)
class PreparationResult:
    """Counts of a preparation. Pairs with a picture that shows no person are left out of the training."""

    pairs: int
    made: int
    without_person: int
    refused: tuple[str, ...]  # "picture: reason"


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """The (source, target) paths of a list. InputError names the line of an entry outside the folder of images."""
    try:
        text = read_text(path)
        (_, header), *rows = [*table_rows(text, separator_of(text))] or [(1, [])]
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read as a list of pairs: {error}") from error
    columns = next((c for c in COLUMNS if set(c) <= set(header)), None)
    if columns is None:
        raise InputError(f"{path} has the columns {header}; expected source,target (or from,to)")
    pairs = []
    for line, cells in rows:
        row = dict(zip(header, cells, strict=False))
        source, target = (row.get(column, "") for column in columns)
        for name in (source, target):
            parts = PurePosixPath(name)
            if not name or parts.is_absolute() or ".." in parts.parts:
                raise InputError(f"{path}, line {line}: {name!r} is not a path inside the folder of images")
        pairs.append((source, target))
    return pairs


def prepare_pairs(
    options: PairPreparationOptions, on_picture: Callable[[int, int], None] = lambda done, total: None
) -> PreparationResult:
    """Prepare the pictures of the list that are not prepared yet, and write the list itself."""
    pairs = read_pairs(options.pairs)
    names = sorted({name for pair in pairs for name in pair})
    missing = [name for name in names if not is_prepared(options.output, name)]
    options.output.mkdir(parents=True, exist_ok=True)
    refused = []
    for done, problem in enumerate(_prepared(options, missing), start=len(names) - len(missing) + 1):
        refused += [problem] if problem else []
        on_picture(done, len(names))
    with (
        durable_file(options.output / PAIRS_NAME, overwrite=True) as path,
        path.open("w", newline="", encoding="utf-8") as file,
    ):
        csv.writer(file).writerows([COLUMNS[0], *pairs])
    empty = sum(none_path(options.output, name).exists() for name in names)
    return PreparationResult(len(pairs), len(missing) - len(refused), empty, tuple(refused))


def example_path(folder: Path, name: str) -> Path:
    """Path of a picture's prepared file."""
    return folder / "pictures" / f"{name}.npz"


def none_path(folder: Path, name: str) -> Path:
    """Path of the empty file that replaces it for a picture without a person."""
    return example_path(folder, name).with_suffix(".none")


def is_prepared(folder: Path, name: str) -> bool:
    """Whether a picture was prepared, or shows no person."""
    return example_path(folder, name).exists() or none_path(folder, name).exists()


@dataclass(frozen=True, eq=False)
class PreparedPicture:
    """The expensive results for one picture, at the model's frame size (H, W)."""

    iuv: Iuv
    """uint8 (H, W, 3)."""
    texture: np.ndarray
    """uint8 (512, 512, 3) RGB in the SMPL layout."""
    face: np.ndarray
    """float32 (E,); zeros if no face was found."""

    @classmethod
    def read(cls, path: Path) -> PreparedPicture:
        return cls(**read_arrays(path, "iuv", "texture", "face"))

    def write(self, path: Path) -> None:
        with durable_file(path, overwrite=True) as partial, partial.open("wb") as file:
            np.savez_compressed(file, iuv=self.iuv, texture=self.texture, face=self.face)


def _prepared(options: PairPreparationOptions, names: list[str]) -> Iterable[str | None]:
    """Prepare pictures in order; yields None for each, or the reason for refusing it."""
    if options.workers <= 1 or len(names) < 2:
        yield from (prepare_picture(options, name) for name in names)
        return
    # Spawned, not forked: a forked process must not use the parent's threads and devices.
    with ProcessPoolExecutor(options.workers, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(prepare_picture, [options] * len(names), names)


def prepare_picture(options: PairPreparationOptions, name: str, path: Path | None = None) -> str | None:
    """Prepare one picture; the reason if it is refused. `path` None: it lies in the folder of images."""
    size = options.model.frame_size
    try:
        photo = read_picture(path or options.images / name)
        picture = resized(photo, size)
        iuv = resize_iuv(_estimate(options, name, photo), size)
    except (PictureError, PoseError) as error:
        return f"{name}: {error}"
    if not iuv[..., 0].any():
        with durable_file(none_path(options.output, name), overwrite=True) as partial:
            partial.touch()
        return None
    texture = source_texture(picture, iuv, options.model.texture_fill)
    backend = _face_backend(options.face, options.device)
    face = None if backend is None else backend.largest(photo, resize_iuv(iuv, photo.shape[:2]))
    embedding = np.zeros(options.model.face.embedding_dim, np.float32) if face is None else face.embedding
    PreparedPicture(iuv, texture, embedding).write(example_path(options.output, name))
    return None


def _estimate(options: PairPreparationOptions, name: str, photo: Picture) -> Iuv:
    folder = Path(options.densepose)
    if folder.is_dir():
        return precomputed_iuv(folder / PurePosixPath(name).with_suffix(".png"), photo.shape[:2])
    return largest_iuv(_pose_backend(options.densepose, options.device), photo)


_pose_backend = cache(load_pose_backend)
_face_backend = cache(load_face_backend)
