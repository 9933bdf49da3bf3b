"""Several source photos become one person: which one has the face, what each adds, and which shows somebody else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.run.source import SourcePhoto
from mcld_anim.source.face import FaceBackend
from mcld_anim.source.same_person import other_clothes, other_colours, other_face
from mcld_anim.source.surface_views import SurfaceView, matched_gains, surface_views


def one_person(
    photos: Sequence[SourcePhoto], paths: Sequence[Path], backend: FaceBackend | None, stages: Stages
) -> SourcePhoto:
    """The first photo with the others. What they show, and a photo of somebody else, is told."""
    views = surface_views([(photo.crop, photo.iuv) for photo in photos])
    face = _face(photos, views)
    for view, photo, path in zip(views, photos, paths, strict=True):
        by_face = other_face(backend, photos[face].face, photo.face)
        if by_face:
            stages.emit(other_person(path, paths[face], "face"))
        elif other_clothes(views[0], view):
            stages.emit(other_person(path, paths[0], "clothes"))
        elif other_colours(views[0], view):
            stages.emit(_other_colours(path, paths[0]))
    stages.emit(Event("photos_joined", _described(views, paths, face)))
    return replace(photos[0], more=tuple(photos[1:]), face_from=face)


def other_person(path: Path, than: Path, told_by: str) -> Event:
    """That a photo seems to be of somebody else."""
    message = f"{path} seems to show somebody else than {than}, by the {told_by}"
    return Event("other_person", f"{message}: it is joined all the same; leave it out if they are two people")


def _other_colours(path: Path, than: Path) -> Event:
    message = f"{path} shows other colours than {than} where both show the same surface"
    cause = "the body was not seen right in one of them, or they are two people"
    return Event("other_colours", f"{message}: {cause}; it is joined all the same, try the result without it")


def _face(photos: Sequence[SourcePhoto], views: Sequence[SurfaceView]) -> int:
    """The photo that shows the face best: of those in which a face was found, if there are any."""
    sizes = [view.face_pixels for view in views]
    found = [number for number, photo in enumerate(photos) if photo.face is not None]
    return max(found or range(len(photos)), key=sizes.__getitem__)


def _described(views: Sequence[SurfaceView], paths: Sequence[Path], face: int) -> str:
    """What each photo shows and adds, for the user."""
    gains, known, parts = matched_gains(views), np.zeros_like(views[0].valid), []
    for number, (view, path) in enumerate(zip(views, paths, strict=True)):
        before = replace(views[0], valid=known).shown
        known = known | view.valid
        share = replace(views[0], valid=known).shown - before
        brighter = "" if number == 0 else f", made {gains[number].mean():.2f} times as bright"
        parts.append(f"{path.name} {'shows' if number == 0 else 'adds'} {share:.0%} of the surface{brighter}")
    return f"{len(paths)} photos are joined: {'; '.join(parts)}; the face is that of {paths[face].name}"
