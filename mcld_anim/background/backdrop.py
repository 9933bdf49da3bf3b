"""The pictures behind the person, one per frame, in order."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import repeat
from pathlib import Path

import numpy as np

from mcld_anim.core.arrays import Picture, SizedPicture
from mcld_anim.core.errors import PictureError, VideoError
from mcld_anim.core.events import Event, EventSink
from mcld_anim.core.photo_formats import is_photo
from mcld_anim.core.pictures import check_picture, read_picture
from mcld_anim.video.framing import resize_picture
from mcld_anim.video.probe import probe
from mcld_anim.video.read import frame_grid, read_frames

CHECKER = 16
"""Side of a square of the checkerboard, in pixels."""


def one_colour(colour: tuple[int, int, int], size: tuple[int, int]) -> Iterator[Picture]:
    """One colour, endlessly; `size` is (height, width)."""
    return repeat(np.full((*size, 3), colour, np.uint8))


def one_picture(picture: Picture, size: tuple[int, int]) -> Iterator[Picture]:
    """One picture, endlessly."""
    return repeat(cover(picture, size))


def checkerboard(size: tuple[int, int]) -> Picture:
    """Grey squares, uint8 (height, width, 3), that stand for transparency."""
    rows, columns = np.arange(size[0]) // CHECKER, np.arange(size[1]) // CHECKER
    light = (rows[:, None] + columns) % 2 == 0
    return np.repeat(np.where(light, 200, 150).astype(np.uint8)[..., None], 3, -1)


def check_file(path: Path) -> None:
    """Refuse, from its header alone, a file that `from_file` would refuse."""
    if not path.is_file():
        problem = "is no file" if path.exists() else "does not exist"
        raise PictureError(f"--background {path} {problem}: give a name, a colour (#rrggbb) or the path of a file")
    if is_photo(path):
        check_picture(path, "--background")
    else:
        frame_grid(probe(path), "source", 0.0, None, None)


def from_file(path: Path, size: tuple[int, int], fps: Fraction, on_event: EventSink) -> Iterator[Picture]:
    """A picture, or the frames of a video, which is looped if it is shorter than the result."""
    if is_photo(path):
        return one_picture(read_picture(path, "--background", on_event), size)
    return _looped(path, size, fps, on_event)


def cover(picture: Picture, size: tuple[int, int]) -> SizedPicture:
    """The largest central crop of a picture with the aspect of `size` (height, width), scaled to it."""
    height, width = picture.shape[:2]
    scale = max(size[0] / height, size[1] / width)
    down, across = min(height, round(size[0] / scale)), min(width, round(size[1] / scale))
    top, left = (height - down) // 2, (width - across) // 2
    return resize_picture(picture[top : top + down, left : left + across], size)


def _looped(path: Path, size: tuple[int, int], fps: Fraction, on_event: EventSink) -> Iterator[Picture]:
    while True:
        count = 0
        for frame in read_frames(path, float(fps), on_event=on_event):
            yield cover(frame.picture, size)
            count += 1
        if not count:
            raise VideoError(f"--background {path} has no frame that can be decoded: give another video")
        on_event(Event("background_looped", f"--background {path} is shorter than the result and starts again"))
