"""Prepared pairs of pictures (see `run.prepared_pictures`), read as training examples.

Warped sources and CLIP pixels are computed when an example is drawn, and latents in the loss, on the training's device:
at 512x512 all of these would be larger than the pictures.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mcld_anim.core.array_files import read_arrays
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import InputError
from mcld_anim.core.pictures import read_picture
from mcld_anim.model.appearance import resized
from mcld_anim.options.model import ModelOptions
from mcld_anim.pose.condition import warped_source
from mcld_anim.run.prepared_pictures import PAIRS_NAME, PreparedPicture, example_path, read_pairs
from mcld_anim.source.background import without_person
from mcld_anim.source.clip import clip_pixels
from mcld_anim.source.fill import complete_atlas
from mcld_anim.train.prepared_people import PreparedPerson


class PreparedPairs:
    """The pairs of a prepared list as training examples; example i is pair i, with one source and one target."""

    def __init__(self, folder: Path, images: Path, options: ModelOptions, development: int = 64) -> None:
        """Open a prepared list. Its last `development` usable pairs are only for measuring.

        Raises InputError if `folder` was not prepared or holds too few usable pairs.
        """
        if not (folder / PAIRS_NAME).is_file():
            raise InputError(f"{folder} holds no prepared pairs: run `mcld-anim train prepare-pairs` first")
        self.folder, self.images, self.options = folder, images, options
        self.pairs = read_pairs(folder / PAIRS_NAME)
        names = {name for pair in self.pairs for name in pair}
        usable = {name for name in names if example_path(folder, name).exists()}
        numbers = [number for number, pair in enumerate(self.pairs) if usable.issuperset(pair)]
        if len(numbers) <= development:
            raise InputError(
                f"{folder} holds {len(numbers)} usable pairs, of which {development} are kept for measuring: "
                "prepare more, or keep fewer"
            )
        self.training, self.development = numbers[: len(numbers) - development], numbers[len(numbers) - development :]

    def refresh(self) -> None:
        """Do nothing: no pairs are added later."""

    def source(self, number: int, source: int) -> tuple[Picture, Iuv]:
        """Picture and IUV of the pair's source."""
        name = self.pairs[number][0]
        return self._picture(name), self._iuv(name)

    def target(self, number: int, view: int) -> tuple[Picture, Iuv]:
        """Picture and IUV of the pair's target."""
        name = self.pairs[number][1]
        return self._picture(name), self._iuv(name)

    def pose(self, number: int, view: int) -> Iuv:
        """The IUV of the pair's target."""
        return self._iuv(self.pairs[number][1])

    def person(self, number: int) -> PreparedPerson:
        """The pair's arrays: one view (the target) and one source, as pictures instead of latents."""
        options, (source, target) = self.options, self.pairs[number]
        prepared, picture = PreparedPicture.read(example_path(self.folder, source)), self._picture(source)
        warped = options.pose_guider.warped_source != "none"
        return PreparedPerson(
            views=self._picture(target)[None],
            warped_sources=_warped_source(picture, prepared.iuv, self._iuv(target))[None] if warped else None,
            textures=resized(prepared.texture, options.texture_size)[None],
            photo_pixels=clip_pixels(picture, options.image_encoder).numpy(),
            texture_pixels=clip_pixels(prepared.texture, options.image_encoder).numpy(),
            faces=prepared.face[None],
        )

    def _picture(self, name: str) -> Picture:
        return resized(read_picture(self.images / name), self.options.frame_size)

    def _iuv(self, name: str) -> Iuv:
        return read_arrays(example_path(self.folder, name), "iuv")["iuv"]  # the texture takes as long to unpack


def _warped_source(picture: Picture, iuv: Iuv, target: Iuv) -> np.ndarray:
    """One of `PreparedPerson.warped_sources`, uint8 (H, W, 4): RGB, and 255 where the colour was seen."""
    atlas, valid = complete_atlas(picture, iuv)
    colours, seen = warped_source(atlas, valid, target, without_person(picture, iuv))
    return np.dstack([colours, np.where(seen > 0, 255, 0).astype(np.uint8)])
