"""The edits of a run: other people's photos are read, and the source's person gets their face, clothes or shape.

The same edits hold for both kinds of frames: `Edits.stage` edits the pixels of a photo with a fitted body, and
`Edits.encoded` the atlas and texture that the model's networks get.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mcld_anim.body.garments import USUAL_HEM
from mcld_anim.core.arrays import Iuv, Picture, Texture
from mcld_anim.core.checksums import Checksums
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import Event
from mcld_anim.core.pictures import read_picture
from mcld_anim.core.stages import Stages
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.edits import GARMENTS, MIDDLE, AppearanceOptions
from mcld_anim.options.run import SynthesisOptions
from mcld_anim.run.source import SOURCE_STAGE, SourcePhoto
from mcld_anim.source.edited_warp import Fitted, edited
from mcld_anim.source.fitted_photo import FittedPhoto
from mcld_anim.source.joined_photos import Photos, texture_atlas
from mcld_anim.source.look import Look, Paint, make_look
from mcld_anim.source.morphed_photo import MorphedPhoto
from mcld_anim.source.paint import paint_on
from mcld_anim.source.photo_warp import PhotoWarp
from mcld_anim.source.shown import Shown, region_share
from mcld_anim.source.texture import smpl_texture

if TYPE_CHECKING:
    from mcld_anim.model.appearance import SourceAppearance
    from mcld_anim.run.cache import RunCache

HARDLY, PARTLY = 0.01, 0.12
"""Share of a region that a photo shows below which it cannot give it, and up to which most of it is guessed."""


def edits_of(options: AppearanceOptions, checksums: Checksums) -> dict[str, str]:
    """The edits by name, with the content of their files; empty without edits."""
    given = {
        "face_from": [] if options.face_from is None else [checksums.of(options.face_from)],
        "garment_from": sorted(f"{one.group} {checksums.of(one.photo)}" for one in options.garments),
        "tint": sorted(f"{tint.group} {tint.colour}" for tint in options.tints),
        "texture": [] if options.texture is None else [checksums.of(options.texture)],
        "morph_to": [] if options.morph_to is None else [checksums.of(options.morph_to)],
    }
    return {name: ", ".join(values) for name, values in given.items() if values}


@dataclass(frozen=True, eq=False)
class Edits:
    """The edits of one run, with the photos of other people as the estimators see them."""

    options: SynthesisOptions
    photos: Mapping[Path, SourcePhoto]
    models: LoadedModels
    cache: RunCache
    stages: Stages

    @classmethod
    def opened(cls, options: SynthesisOptions, models: LoadedModels, cache: RunCache, stages: Stages) -> Edits | None:
        """Read the photos; None without edits."""
        if not options.edits_person:
            return None
        photos = {path: cache.other_photo(path, flag, models, stages) for path, flag in options.edit_photos.items()}
        return cls(options, photos, models, cache, stages)

    @property
    def owners(self) -> dict[str, Path]:
        """Whose photo gives a garment, or the "head"."""
        owners: dict[str, Path] = {
            name: choice.photo
            for choice in self.options.garments
            for name in (GARMENTS if choice.group == "all" else (choice.group,))
        }
        return owners if self.options.face_from is None else {**owners, "head": self.options.face_from}

    def shown(self, photo: SourcePhoto) -> SourcePhoto:
        """The photo with the face that frames are compared with, in the crop that shows it."""
        if self.options.face_from is None:
            return photo
        other = self.photos[self.options.face_from]
        return replace(photo, face=other.face, crop=other.crop, face_from=0)

    def stage(self, photo: FittedPhoto, total: int) -> FittedPhoto:
        """The edited person in the photo, for a clip of `total` frames."""
        assert isinstance(photo.warp, PhotoWarp)
        with self.stages.timed(SOURCE_STAGE):
            people = {path: self._fitted(path) for path in self.photos}
            seen = {path: Shown.of_warp(one.warp) for path, one in people.items() if isinstance(one.warp, PhotoWarp)}
            look = self._look(Shown.of_warp(photo.warp), seen)
            others = [people[part.photo] for part in look.parts if part.photo is not None]
            person = edited(Fitted(photo.painter, photo.warp), others, look)
            stage = replace(photo, painter=person.painter, warp=person.warp)
            if self.options.morph_to is None:
                return stage
            return MorphedPhoto.of(stage, people[self.options.morph_to], morph_shares(total))

    def encoded(self, photo: SourcePhoto) -> SourceAppearance:
        """The edited person, encoded by the model's networks."""
        from mcld_anim.model.appearance import encode_source
        from mcld_anim.model.worn import worn

        models, embedder = self.models, self.models.native_embedder
        with self.stages.timed(SOURCE_STAGE):
            pictures: dict[Path | None, Photos] = {None: [(one.crop, one.iuv) for one in photo.all]}
            pictures |= {path: [(one.crop, one.iuv)] for path, one in self.photos.items()}
            seen = {path: Shown.of_photos(pictures[path]) for path in self.photos}
            look = self._look(Shown.of_photos(pictures[None]), seen)
            faced = photo.faced if self.options.face_from is None else self.photos[self.options.face_from]
            face = faced.face
            if models.measures_only:  # the model does not know embeddings of the report's backend
                face = None if embedder is None else embedder.largest(faced.crop, faced.iuv)
            dressed = worn(look, pictures, models.options.texture_fill)
            source = encode_source(photo.crop, photo.iuv, models.mcld, face, worn=dressed)
            self.stages.progress(SOURCE_STAGE, 2, 2)
        return source

    def over_time(self, source: SourceAppearance, total: int) -> SourceAppearance:
        """The encoded source for a clip of `total` frames, which becomes somebody else with `--morph-to`."""
        to = self.options.morph_to
        if to is None:
            return source
        from mcld_anim.model.appearance import with_weights
        from mcld_anim.model.morph import MorphedAppearance

        last = self.cache.source([to], self.photos[to], self.models, self.stages)
        last = with_weights(last, self.options.condition_weights, self.models.options)
        return MorphedAppearance.of(source, last, morph_shares(total))

    def texture(self) -> Texture:
        """The edited person's UV texture, (512, 512, 3), of the photos at their own size."""
        estimated: dict[Path | None, Photos] = {None: self._own}
        estimated |= {path: [self._estimated(path, flag)] for path, flag in self.options.edit_photos.items()}
        seen = {path: Shown.of_photos(photos) for path, photos in estimated.items()}
        look = self._look(seen[None], {path: one for path, one in seen.items() if path is not None})
        atlas, valid = look.dressed({path: texture_atlas(photos) for path, photos in estimated.items()})
        return smpl_texture(np.where(valid[..., None], atlas, np.uint8(0)))

    def _look(self, source: Shown, seen: Mapping[Path, Shown]) -> Look:
        """The look, once the photos are known to show what they give."""
        for name, path in self.owners.items():
            self._check_shows(name, path, seen[path])
        look = make_look(source, seen, self.owners, self.options.tints)
        return look if self._paint is None else replace(look, paint=self._paint)

    def _check_shows(self, name: str, path: Path, seen: Shown) -> None:
        flag = "--face-from" if name == "head" else "--garment-from"
        what = {"upper": "upper garment", "lower": "lower garment"}.get(name, name)
        share = seen.shows(region_share(name, USUAL_HEM if seen.hem is None else seen.hem))
        if share < HARDLY:
            raise PoseError(f"{flag} {path} does not show the person's {what}: give a photo that does")
        if share < PARTLY:
            message = f"{flag} {path} shows little of the person's {what}: most of it is a guess"
            self.stages.emit(Event("edit_guessed", message))

    @cached_property
    def _paint(self) -> Paint | None:
        if self.options.texture is None:
            return None
        own, name = smpl_texture(texture_atlas(self._own)[0]), str(self.options.texture)
        return paint_on(own, read_picture(self.options.texture, "--texture", self.stages.emit), name)

    @cached_property
    def _own(self) -> Photos:
        """The source's photos at their own sizes, with their IUV."""
        return [self._estimated(path, "--source") for path in self.options.photos]

    def _estimated(self, path: Path, flag: str) -> tuple[Picture, Iuv]:
        """A photo at its own size with its IUV."""
        picture = read_picture(path, flag)
        (people,) = self.models.pose_backend.estimate([picture])
        return picture, people[0].iuv

    def _fitted(self, path: Path) -> Fitted:
        return self.cache.fitted(
            *(path, self.options.edit_photos[path], self.photos[path]), self.models, self.stages, self.options.long_side
        )


def morph_shares(total: int) -> tuple[float, ...]:
    """The share of the second person in each frame: from none in the first to all in the last, the middle in a single
    picture."""
    return (MIDDLE,) if total == 1 else tuple(index / (total - 1) for index in range(total))
