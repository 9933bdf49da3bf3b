"""Photos and driving frames given as arrays, which become lossless files and are handled like other files."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import numpy as np

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.core.pictures import write_picture
from mcld_anim.video.write_lossless import LosslessWriter


def picture_file(picture: np.ndarray, what: str, folder: Path) -> Path:
    """A PNG of the picture in `folder`, named by its content; `what` is the keyword's name."""
    checked = check_picture_array(picture, what)
    path = folder / f"{what}-{hashlib.sha256(repr(checked.shape).encode() + checked.tobytes()).hexdigest()[:16]}.png"
    if not path.exists():
        write_picture(path, checked)
    return path


def video_file(frames: Iterable[np.ndarray], fps: object, folder: Path) -> Path:
    """A lossless video of the frames in `folder`; the frames are read one at a time."""
    if isinstance(fps, bool) or not isinstance(fps, int | float | Fraction) or not 0.1 <= fps <= 240:
        raise UsageError(f"fps={fps!r}: frames given as arrays need their rate, 0.1 to 240 frames per second")
    pictures = (check_picture_array(frame, f"driving frame {number}") for number, frame in enumerate(frames))
    first = next(pictures, None)
    if first is None:
        raise UsageError("driving has no frames: give at least one")
    path = Path(tempfile.mkdtemp(prefix="driving-", dir=folder)) / "frames.mkv"
    with LosslessWriter(path, (first.shape[0], first.shape[1]), fps) as writer:
        for number, picture in enumerate(chain([first], pictures)):
            if picture.shape != first.shape:
                raise UsageError(
                    f"driving frame {number} has shape {picture.shape}, frame 0 {first.shape}: give frames of one size"
                )
            writer.write(picture)
    return path


def check_picture_array(picture: np.ndarray, what: str) -> Picture:
    """Refuse anything but a uint8 (H, W, 3) array."""
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        given = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise UsageError(f"{what} is {given}: give a path, or a uint8 array (height, width, 3) in RGB order")
    return picture
