"""Animated WebP, which FFmpeg does not read: Pillow decodes it into a lossless video in the temporary folder."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import numpy as np

from mcld_anim.core.arrays import Rgba
from mcld_anim.core.errors import VideoError
from mcld_anim.video.container import check_size, pyav

ANIMATED = 0b10
"""The bit of an animation in the flags of a WebP file (the WebP container specification, "Extended File Format")."""

MOST_PIXELS = 20_000_000_000
"""Of all frames: ten minutes of 1,300,000 pixels at 25 frames per second. A frame of one colour takes 20 bytes."""

SHORTEST, REPLACEMENT = 11, 100
"""Frames shorter than this many ms are shown for 100 ms, as in all browsers: 0 stands for "not said"."""


def is_animated_webp(path: Path) -> bool:
    """Whether a file is a WebP with more than one frame, according to its header."""
    with path.open("rb") as file:
        header = file.read(21)
    return len(header) == 21 and header[:4] == b"RIFF" and header[8:16] == b"WEBPVP8X" and bool(header[20] & ANIMATED)


def webp_as_video(path: Path) -> Path:
    """The animation as Matroska with FFV1, made once and removed with this process. Raises VideoError."""
    state = path.stat()
    return _converted(path.absolute(), state.st_size, state.st_mtime_ns).path


class _TemporaryVideo:
    """A video that is deleted with this object."""

    def __init__(self) -> None:
        handle, name = tempfile.mkstemp(prefix="mcld-anim-", suffix=".mkv")
        os.close(handle)
        self.path = Path(name)
        self.delete = weakref.finalize(self, self._unlink, self.path)

    @staticmethod
    def _unlink(path: Path) -> None:
        with suppress(OSError):
            path.unlink()


@lru_cache(maxsize=4)
def _converted(path: Path, _size: int, _modified: int) -> _TemporaryVideo:
    video = _TemporaryVideo()
    try:
        _write(_frames(path), video.path)
    except VideoError:
        video.delete()
        raise
    except Exception as error:  # Pillow raises many error types on damaged files
        video.delete()
        raise VideoError(f"{path} is a damaged animation ({error}); make it again, or give a video file") from error
    return video


def _write(frames: Iterator[tuple[Rgba, int]], path: Path) -> None:
    """Write (RGBA, length in ms) as FFV1 in Matroska."""
    clock, time = Fraction(1, 1000), 0
    with pyav().open(f"file:{path.absolute()}", "w", format="matroska") as out:
        video = out.add_stream("ffv1")
        video.pix_fmt, video.codec_context.time_base = "bgra", clock  # FFV1's 8-bit RGB with opacity
        for picture, milliseconds in frames:
            if time == 0:
                video.height, video.width = picture.shape[:2]
            frame = pyav().VideoFrame.from_ndarray(picture, format="rgba").reformat(format="bgra")
            frame.pts, frame.time_base, frame.duration = time, clock, milliseconds
            time += milliseconds
            for packet in video.encode(frame):
                packet.duration = milliseconds
                out.mux(packet)


def _frames(path: Path) -> Iterator[tuple[Rgba, int]]:
    """(RGBA, length in ms) of each frame."""
    from PIL import Image

    with Image.open(path, formats=["WEBP"]) as image:
        frames = getattr(image, "n_frames", 1)
        check_size(*image.size, f"{path} has frames of")
        if frames * image.width * image.height > MOST_PIXELS:
            raise VideoError(f"{path} has {frames} frames of {image.width}x{image.height} pixels: give a video file")
        for index in range(frames):
            image.seek(index)
            picture = np.asarray(image.convert("RGBA"))
            milliseconds = int(image.info.get("duration") or 0)
            yield picture, milliseconds if milliseconds >= SHORTEST else REPLACEMENT
