"""The source photo of a run: read, framed around its largest person, and encoded once where networks make frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mcld_anim.core.arrays import AnySizePicture, Box, Iuv, Picture, SizedIuv, SizedPicture
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import Event
from mcld_anim.core.pictures import read_picture
from mcld_anim.core.stages import Stages
from mcld_anim.model.load import LoadedModels
from mcld_anim.pose.backends import EstimatedBody, PoseEstimate
from mcld_anim.pose.select import described
from mcld_anim.source.face import Face
from mcld_anim.video.framing import SteadyCrop, apply_iuv, apply_picture, steady_crop

if TYPE_CHECKING:
    from mcld_anim.model.appearance import SourceAppearance

SOURCE_STAGE = "source"

PERSON_MARGIN = 0.06
"""Margin around the person, as a fraction of the box's longer side. A standing person then fills 0.89 of the frame's
height, as in the embedded model's training pictures (0.85 to 0.92, `mcld_anim.synthetic.views`)."""

LEAST_SHOWN = 0.9
"""Share of the body that a photo has to show for nothing to be said: mattes of whole people cover 0.95 of it."""


@dataclass(frozen=True, eq=False)
class SourcePhoto:
    """The source photo of a run, seen by the estimators and not by the model's networks."""

    picture: AnySizePicture | None  # the photo itself; None if an earlier run read it
    crop: Picture  # the person's crop, at the model's frame size
    iuv: Iuv  # of the crop
    face: Face | None  # in the crop, for the report
    body: EstimatedBody | None  # in the photo, by estimators that fit one
    more: tuple[SourcePhoto, ...] = ()  # further photos of the same person, of which this one is the first
    face_from: int = 0  # the photo whose face is the person's: 0 for this one, else the place in `more` plus 1

    def opened(self, path: Path, flag: str = "--source") -> AnySizePicture:
        """The photo itself, read again from its `path` if an earlier run read it."""
        return read_picture(path, flag) if self.picture is None else self.picture

    @property
    def all(self) -> tuple[SourcePhoto, ...]:
        """This photo and the others."""
        return (self, *self.more)

    @property
    def faced(self) -> SourcePhoto:
        """The photo that shows the face best."""
        return self.all[self.face_from]


def read_photo(path: Path, models: LoadedModels, stages: Stages, flag: str = "--source") -> SourcePhoto:
    """The source photo, or another one given by `flag`, framed around its largest person. Raises PoseError if it shows
    nobody."""
    with stages.timed(SOURCE_STAGE):
        stages.progress(SOURCE_STAGE, 0, 2)
        picture = read_picture(path, flag, stages.emit)
        (people,) = models.pose_backend.estimate([picture])
        if not people:
            raise PoseError(
                f"no person was found in {flag} {path} (densepose: {models.pose_backend.name}): give a "
                "photo of one person, best in full length and from the front"
            )
        if len(people) > 1:
            message = f"{flag} {path} shows {described(people)}: the largest one is used; crop the photo to use another"
            stages.emit(Event("several_people", message))
        body = people[0].body
        shown = 1.0 if body is None else body.shown
        if shown < LEAST_SHOWN:
            message = f"{flag} {path} shows {shown:.0%} of the person, the rest is hidden behind others or things"
            stages.emit(Event("source_hidden", f"{message} and guessed: a photo with nothing before them looks better"))
        crop, iuv = frame_person(picture, people[0], models.options.frame_size)
        face = models.face_in(crop, iuv)
        stages.progress(SOURCE_STAGE, 1, 2)  # the second is its encoding, or its stage
    return SourcePhoto(picture, crop, iuv, face, body)


def tell_missing_face(photo: SourcePhoto, paths: Sequence[Path], models: LoadedModels, stages: Stages) -> None:
    """Emit an event if a face is looked for, and none of the person's photos shows one."""
    if models.face_backend is not None and photo.faced.face is None:
        names = " and ".join(map(str, paths))
        message = f"no face was found in --source {names}: the report has no face similarity"
        stages.emit(Event("source_face_missing", message))


def encode_photo(photo: SourcePhoto, models: LoadedModels, stages: Stages) -> SourceAppearance:
    """The source photo, encoded by the model's networks."""
    from mcld_anim.model.appearance import encode_source

    shown, embedder = photo.faced, models.native_embedder
    face = shown.face
    with stages.timed(SOURCE_STAGE):
        if models.measures_only:  # the model does not know embeddings of the report's backend
            face = None if embedder is None else embedder.largest(shown.crop, shown.iuv)
        more = [(other.crop, other.iuv) for other in photo.more]
        source = encode_source(photo.crop, photo.iuv, models.mcld, face, more=more)
        stages.progress(SOURCE_STAGE, 2, 2)
    return source


def frame_person(picture: Picture, estimate: PoseEstimate, size: tuple[int, int]) -> tuple[SizedPicture, SizedIuv]:
    """A picture and its IUV, cropped alike around the person and scaled to `size` (height, width)."""
    crop = person_crop([estimate.box], estimate.iuv, size)
    return apply_picture(picture, crop, size), apply_iuv(estimate.iuv, crop, size)


def person_crop(boxes: Sequence[Box | None], iuv: Iuv, size: tuple[int, int]) -> SteadyCrop:
    """The crop around the boxes, in pictures of the size of `iuv`, at the aspect ratio of `size` (height, width)."""
    return steady_crop(boxes, (iuv.shape[0], iuv.shape[1]), size[1] / size[0], PERSON_MARGIN)
