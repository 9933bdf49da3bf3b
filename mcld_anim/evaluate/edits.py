"""`mcld-anim synth edit`: edits of held-out rendered people against the truth, which can be rendered for them.

Each person wears the next one's clothes, or has the next one's head. The truth of a swap is a third person with the
identity of one and the outfit, or the head and skin, of the other. Two makers of frames are measured: the networks, in
held-out poses with exact IUV, and the photo's own pixels, in the photo's pose, with a body fitted by BlazePose.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.body.garments import USUAL_HEM, on_texels
from mcld_anim.body.texels import texel_index
from mcld_anim.core.arrays import Iuv, Mask, Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.evaluate.embedded import load_embedded_models
from mcld_anim.evaluate.held_out import Metrics, Subject, default_settings, draw_subject, render_shot
from mcld_anim.metrics.pictures import psnr
from mcld_anim.model.appearance import encode_source
from mcld_anim.model.load import LoadedModels
from mcld_anim.model.worn import worn
from mcld_anim.options.edits import GARMENTS
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.run.photo import fit_other, fit_photo
from mcld_anim.sampling.frame_maker import FrameMaker
from mcld_anim.sampling.photo_pixels import PhotoPixels
from mcld_anim.source.edited_warp import Fitted, edited
from mcld_anim.source.fitted_photo import FittedPhoto
from mcld_anim.source.look import make_look
from mcld_anim.source.photo_warp import PhotoWarp
from mcld_anim.source.shown import Shown, region_share
from mcld_anim.synthetic.identity import FIRST_EVALUATION_SEED, check_held_out
from mcld_anim.synthetic.person import Person, person_of
from mcld_anim.synthetic.views import Shot, draw_shots

PHOTO_SIDE = 512
"""Side of the photos with fitted bodies, in pixels."""
OTHER = Path("other")
"""Stands for the other person's photo."""
OWNERS: dict[str, dict[str, Path]] = {"garment": dict.fromkeys(GARMENTS, OTHER), "face": {"head": OTHER}}
"""What the edits take from it."""


@dataclass(frozen=True)
class EditEvaluationOptions:
    """What `synth edit` measures."""

    people: int = 8  # each wears the next one's clothes, and has the next one's head
    poses: int = 4  # of each, for the networks' frames
    first_seed: int = FIRST_EVALUATION_SEED

    def __post_init__(self) -> None:
        check_held_out(self.first_seed)
        if self.people < 2 or self.poses < 1:
            raise UsageError("--people must be 2 or more (each is edited with the next), --poses 1 or more")


def edit_metrics(
    options: EditEvaluationOptions,
    models: LoadedModels | None = None,
    backend: BodyBackend | None = None,
    on_person: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """Means of PSNR in dB, named MAKER_EDIT_REGION and MAKER_EDIT_REGION_unedited.

    MAKER: networks, or photo, with a `backend`. EDIT: garment (all of the other's clothes) or face. REGION: clothes or
    face, of the truth's body. "unedited" is the frame without the edit against the same truth. photos: how many photos
    of two people a body was fitted to.
    """
    models, metrics = models or load_embedded_models(), Metrics()
    size = models.options.frame_size[0]
    subjects = [draw_subject(options.first_seed + number, options.poses, size) for number in range(options.people)]
    photos = 0
    for number, subject in enumerate(subjects):
        other = subjects[(number + 1) % len(subjects)]
        for edit in OWNERS:
            truth = swapped(edit, subject.person, other.person)
            for name, made in _by_networks(edit, subject, other, truth, models, size):
                metrics.add(**{f"networks_{edit}_{name}": made})
        if backend is not None:
            photos += _add_photo(metrics, subject.person, other.person, backend)
        on_person(number + 1, len(subjects))
    return metrics.means() | ({"photos": float(photos)} if backend is not None else {})


def swapped(edit: str, person: Person, other: Person) -> Person:
    """The truth: the person in the other's clothes, or with the other's head and skin."""
    own, theirs = person.identity, other.identity
    if edit == "garment":
        return person_of(replace(own, outfit=theirs.outfit))
    head = {name: getattr(theirs, name) for name in ("face_shape", "skin", "hair", "face")}
    return person_of(replace(own, **head))


def _by_networks(
    edit: str, subject: Subject, other: Subject, truth: Person, models: LoadedModels, size: int
) -> Iterator[tuple[str, float]]:
    """PSNR by region, in each of the subject's shots."""
    own, theirs = ((one.photo.picture, one.photo.iuv) for one in (subject, other))
    look = make_look(Shown.of(*own), {OTHER: Shown.of(*theirs)}, OWNERS[edit], ())
    dressed = worn(look, {None: [own], OTHER: [theirs]}, models.options.texture_fill)
    own_face = models.face_in(*own)
    face = models.face_in(*theirs) if edit == "face" else own_face
    sources = {
        "_unedited": encode_source(*own, models.mcld, own_face),
        "": encode_source(*own, models.mcld, face, worn=dressed),
    }
    truths = [render_shot(truth, subject.person, shot, size) for shot in subject.shots]
    for suffix, source in sources.items():
        maker = FrameMaker(models.mcld, source, default_settings(models.mcld))
        for index, shown in enumerate(truths):
            (made,) = maker.make([ClipFrame(index, FramePose(shown.iuv))])
            for region, value in _regions(made, shown.picture, shown.iuv):
                yield region + suffix, value


def _add_photo(metrics: Metrics, person: Person, other: Person, backend: BodyBackend) -> bool:
    """Add the figures of a photo's own pixels; False if no body was fitted to one of the two photos."""
    shots = [draw_shots(one, 0, 1)[0] for one in (person, other)]
    pictures = [
        render_shot(one, one, shot, PHOTO_SIDE).picture for one, shot in zip((person, other), shots, strict=True)
    ]
    bodies = [found[0].body if found else None for found in backend.estimate(pictures)]
    if bodies[0] is None or bodies[1] is None:
        return False
    photo, theirs = fit_photo(pictures[0], bodies[0]), fit_other(pictures[1], bodies[1])
    assert isinstance(photo.warp, PhotoWarp)
    assert isinstance(theirs.warp, PhotoWarp)
    for edit, owners in OWNERS.items():
        look = make_look(Shown.of_warp(photo.warp), {OTHER: Shown.of_warp(theirs.warp)}, owners, ())
        mine = Fitted(photo.painter, photo.warp)
        dressed = edited(mine, [theirs] * (len(look.parts) - 1), look)
        stages = {"_unedited": photo, "": replace(photo, painter=dressed.painter, warp=dressed.warp)}
        truth = _truth(edit, person, other, shots[0])
        for suffix, stage in stages.items():
            for region, value in _regions(_in_own_pose(stage), *truth):
                metrics.add(**{f"photo_{edit}_{region}{suffix}": value})
    return True


def _truth(edit: str, person: Person, other: Person, shot: Shot) -> tuple[Picture, Iuv]:
    rendered = render_shot(swapped(edit, person, other), person, shot, PHOTO_SIDE)
    return rendered.picture, rendered.iuv


def _in_own_pose(photo: FittedPhoto) -> Picture:
    drawn = photo.painter.drawn(photo.motion, 0)
    (made,) = PhotoPixels(photo).make([ClipFrame(0, FramePose(drawn.iuv, drawn=drawn))])
    return made


def _regions(made: Picture, truth: Picture, iuv: Iuv) -> Iterator[tuple[str, float]]:
    """PSNR in the regions that the truth shows."""
    clothes = np.max([region_share(name, USUAL_HEM) for name in GARMENTS], axis=0)
    for name, share in (("clothes", clothes), ("face", region_share("head", USUAL_HEM))):
        mask: Mask = np.zeros(iuv.shape[:2], bool)
        mask[iuv[..., 0] > 0] = (on_texels(share) > 0.5).ravel()[texel_index(iuv)]
        if mask.any():
            yield name, psnr(made, truth, mask)
