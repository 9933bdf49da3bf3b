"""Rendered people for training, read from shards of pictures and IUVs and split into training and development."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mcld_anim.core.array_files import mapped_array
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import InputError
from mcld_anim.evaluate.densepose import is_from_behind

Bytes = NDArray[np.uint8]
SILHOUETTE_DIFFERENCE = 6
"""Difference from the background, in grey levels, above which a pixel counts as skirt or hair."""
SHARD_NAME = re.compile(r"shard_(\d+)_pictures\.npy")


@dataclass(frozen=True)
class ViewsOptions:
    """Split of the people; all others are for training."""

    development: tuple[tuple[int, int], ...] = ((1900, 2000),)
    """Ranges [first, end) of the numbers of people that are only for measuring."""
    people_per_shard: int = 50


class PeopleViews:
    """Rendered views (256, 256, 3) of many people, memory-mapped; person p is row p % 50 of shard p // 50."""

    def __init__(self, folder: Path, options: ViewsOptions | None = None) -> None:
        self.folder, self.options = folder, options or ViewsOptions()
        self.shards: dict[int, tuple[Bytes, Bytes]] = {}
        self._outlines: dict[int, Bytes] = {}
        self.refresh()
        if not self.training:
            raise InputError(
                f"{folder} holds no shard_NNNNN_pictures.npy to learn from; render some with `synth` first"
            )

    def refresh(self) -> None:
        """Add shards written since; a shard counts once both of its files exist."""
        for path in sorted(self.folder.glob("shard_*_pictures.npy")):
            match = SHARD_NAME.fullmatch(path.name)
            iuv = path.with_name(path.name.replace("_pictures", "_iuv"))
            if match and int(match[1]) not in self.shards and iuv.exists():
                self.shards[int(match[1])] = mapped_array(path), mapped_array(iuv)
        held_out = {p for first, end in self.options.development for p in range(first, end)}
        everyone = [
            shard * self.options.people_per_shard + row
            for shard, (pictures, _) in sorted(self.shards.items())
            for row in range(len(pictures))
        ]
        self.training = [person for person in everyone if person not in held_out]
        self.development = [person for person in everyone if person in held_out]

    @property
    def views(self) -> int:
        """Number of views per person."""
        return int(next(iter(self.shards.values()))[0].shape[1])

    def view(self, person: int, view: int) -> tuple[Picture, Iuv]:
        """One rendered picture and its IUV."""
        shard, row = divmod(person, self.options.people_per_shard)
        pictures, iuv = self.shards[shard]
        return np.asarray(pictures[row, view]), np.asarray(iuv[row, view])

    def silhouette(self, person: int, view: int) -> NDArray[np.bool_]:
        """Mask (256, 256) of the person, including skirts and loose hair, which the IUV does not cover.

        All views of a person have the same background: it is the median over the views without an IUV nearby.
        """
        if person not in self._outlines:
            shard, row = divmod(person, self.options.people_per_shard)
            pictures, iuv = (np.asarray(array[row]) for array in self.shards[shard])
            self._outlines[person] = np.packbits(silhouettes(pictures, iuv[..., 0] > 0), axis=-1)
        return np.unpackbits(self._outlines[person][view], axis=-1).astype(bool)

    def from_behind(self) -> list[tuple[int, int]]:
        """(person, view) of every training view that shows more of the torso's back than of its front."""
        found = []
        for person in self.training:
            shard, row = divmod(person, self.options.people_per_shard)
            parts = np.asarray(self.shards[shard][1][row, :, ::4, ::4, 0])
            found += [(person, view) for view, seen in enumerate(parts) if is_from_behind(seen)]
        return found

    def draw_index(self, rng: np.random.Generator) -> tuple[int, int]:
        """(person, view) of a random view of a random training person."""
        return self.training[int(rng.integers(len(self.training)))], int(rng.integers(self.views))

    def draw(self, rng: np.random.Generator) -> tuple[Picture, Iuv]:
        """A random view of a random training person."""
        return self.view(*self.draw_index(rng))

    def development_views(self, count: int) -> tuple[Bytes, Bytes]:
        """Pictures and IUVs (count, 256, 256, 3) of `count` views spread over the development people.

        They are the same every time, so that metrics are comparable.
        """
        if not self.development:
            raise InputError(f"{self.folder} holds none of the development people {self.options.development}")
        pairs = [self.view(*index) for index in self.development_index(count)]
        return np.stack([pair[0] for pair in pairs]), np.stack([pair[1] for pair in pairs])

    def development_index(self, count: int) -> list[tuple[int, int]]:
        """(person, view) of each of the `development_views`."""
        people = np.linspace(0, len(self.development) - 1, count).round().astype(int)
        return [(self.development[p], k % self.views) for k, p in enumerate(people)]


def silhouettes(pictures: Bytes, person: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels that differ from the common background of `pictures` (n, H, W, 3) and connect to `person` (n, H, W)."""
    cross = np.ones((3, 3), np.uint8)
    near = np.stack([cv2.dilate(mask.astype(np.uint8), cross, iterations=3) > 0 for mask in person])
    # Median over the uncovered pixels: covered ones sort last, and the middle of the rest is taken.
    ordered = np.sort(np.where(near[..., None], np.int16(999), pictures), axis=0)
    free = (~near).sum(0)
    values = np.take_along_axis(ordered, np.maximum(free - 1, 0)[None, ..., None] // 2, axis=0)[0]
    known = free > 0
    result = person.copy()
    for k, picture in enumerate(pictures):
        differs = (np.abs(picture.astype(np.int16) - values).max(-1) > SILHOUETTE_DIFFERENCE) & known | person[k]
        _, labels = cv2.connectedComponents(differs.astype(np.uint8))
        result[k] = np.isin(labels, np.unique(labels[person[k]])) & differs
    return result
