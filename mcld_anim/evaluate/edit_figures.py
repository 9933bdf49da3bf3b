"""`mcld-anim synth edit-figures`: the README's pictures of edits, made from the samples alone."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from mcld_anim.animator import Animator
from mcld_anim.core.arrays import AnySizePicture, Picture
from mcld_anim.core.events import Event
from mcld_anim.core.pictures import read_picture, write_picture
from mcld_anim.video.read import read_frames

HEIGHT, CAPTION = 360, 26
"""Heights of a picture and of its title, in pixels."""
QUALITY = 82
"""Of the JPEG files."""
STAMP = (240, 200, 40)
CHEST = slice(285, 330), slice(135, 180)
"""RGB of the square that is painted onto a texture's chest, and where that is in the SMPL layout."""
UPRIGHT = (0.22, 0.78)
"""Part of the width of pictures of whole people that is shown."""


def write_edit_figures(samples: Path, output: Path) -> list[Path]:
    """Write edit.jpg, of the rendered person with the head and clothes of the dancer, and edit-photo.jpg, of the
    portrait; returns their paths. The folder is made if it is missing."""
    output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, Animator(densepose="body") as animator:
        dancer = Path(work) / "dancer.png"
        write_picture(dancer, next(iter(read_frames(samples / "dance.mp4"))).picture)
        person, portrait = samples / "person.png", samples / "astronaut.jpg"
        figures = {
            "edit.jpg": (
                (title, _narrow(picture)) for title, picture in _rendered(animator, person, dancer, Path(work))
            ),
            "edit-photo.jpg": _photographed(animator, portrait, person, samples / "dance.mp4"),
        }
        paths = []
        for name, cells in figures.items():
            paths.append(output / name)
            Image.fromarray(np.hstack([_titled(*cell) for cell in cells])).save(paths[-1], quality=QUALITY)
    return paths


def _rendered(animator: Animator, person: Path, dancer: Path, work: Path) -> Iterator[tuple[str, Picture]]:
    yield "photo", read_picture(person)
    yield "another", read_picture(dancer)
    yield "--face-from", _edit(animator, person, face_from=dancer)
    yield "--garment-from :all", _edit(animator, person, garment_from=f"{dancer}:all")
    yield "--tint upper", _edit(animator, person, tint="upper=#aa2233")
    texture = work / "texture.png"
    painted = animator.texture(person, output=texture, on_event=_quiet).texture.copy()
    painted[CHEST] = STAMP
    write_picture(texture, painted)
    yield "--texture", _edit(animator, person, texture=texture)
    yield "--morph-to", _edit(animator, person, morph_to=dancer)


def _photographed(animator: Animator, portrait: Path, person: Path, dance: Path) -> Iterator[tuple[str, Picture]]:
    yield "photo", read_picture(portrait)
    yield "--tint upper=#2266cc", _edit(animator, portrait, tint="upper=#2266cc")
    yield "--garment-from :upper", _edit(animator, portrait, garment_from=f"{person}:upper")
    edits: dict[str, Any] = {"tint": "upper=#2266cc", "max_frames": 12, "fps": 6, "on_event": _quiet}
    frames = [frame.shown for frame in animator.frames(portrait, dance, **edits)]
    yield "the same, driven", frames[3]
    yield "", frames[-1]


def _edit(animator: Animator, photo: Path, **edits: Any) -> Picture:
    return animator.edit(photo, on_event=_quiet, **edits)


def _quiet(_event: Event) -> None:
    """Nothing is told: what the pictures show is what there is."""


def _narrow(picture: AnySizePicture) -> AnySizePicture:
    """The middle of a picture, in which somebody stands."""
    width = picture.shape[1]
    return picture[:, round(UPRIGHT[0] * width) : round(UPRIGHT[1] * width)]


def _titled(title: str, picture: AnySizePicture) -> AnySizePicture:
    width = round(picture.shape[1] * HEIGHT / picture.shape[0])
    small = cv2.resize(picture, (width, HEIGHT), interpolation=cv2.INTER_AREA)
    cell = np.full((HEIGHT + CAPTION, width, 3), 255, np.uint8)
    cell[CAPTION:] = small
    cv2.putText(cell, title, (6, CAPTION - 9), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return cell
