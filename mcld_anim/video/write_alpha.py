"""Writing transparent video: Apple ProRes 4444 in a .mov, or RGBA pictures in a .zip archive."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import cv2
import numpy as np

from mcld_anim.core.arrays import Rgba
from mcld_anim.core.durable import durable_file
from mcld_anim.core.errors import OutputError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.video.audio import AudioSource
from mcld_anim.video.container import pyav
from mcld_anim.video.write import TO_CHROMA, TO_LUMA, VideoWriter

if TYPE_CHECKING:
    from av.video.frame import VideoFrame as StoredFrame
    from av.video.stream import VideoStream

PICTURE_NAME = "{:06d}.png"


@runtime_checkable
class FrameSink(Protocol):
    """Writes frames in order."""

    def write(self, picture: np.ndarray) -> None:
        """Add one frame."""


class ProResWriter(VideoWriter):
    """RGBA pictures as ProRes 4444, which editors import directly: 10 bits per channel, 16 for the opacity."""

    suffixes: ClassVar[tuple[str, ...]] = (".mov",)
    container: ClassVar[str] = "mov"
    channels: ClassVar[int] = 4

    def _add_video(self) -> VideoStream:
        video = self._out.add_stream("prores_ks", rate=self.fps)
        video.pix_fmt = "yuva444p10le"
        video.options = {"profile": "4444", "alpha_bits": "16", "vendor": "apl0"}
        return video

    def _frame(self, picture: np.ndarray) -> StoredFrame:
        padded = cv2.copyMakeBorder(picture, 0, picture.shape[0] % 2, 0, picture.shape[1] % 2, cv2.BORDER_REPLICATE)
        frame = pyav().VideoFrame(padded.shape[1], padded.shape[0], "yuva444p10le")
        for plane, values in zip(frame.planes, to_yuva444(padded), strict=True):
            stored = np.zeros((plane.height, plane.line_size // 2), "<u2")
            stored[:, : values.shape[1]] = values
            plane.update(stored.tobytes())
        return frame


class PngSequenceWriter:
    """RGBA pictures as numbered PNG files in an archive; created by `open_transparent`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.frames = 0

    def write(self, picture: np.ndarray) -> None:
        """Add one frame: uint8 (H, W, 4) RGBA."""
        done, content = cv2.imencode(".png", np.ascontiguousarray(picture[..., [2, 1, 0, 3]]))
        if not done:
            raise OutputError(f"a picture of {picture.shape} cannot be written as PNG")
        self._archive.writestr(PICTURE_NAME.format(self.frames), content.tobytes())
        self.frames += 1


@contextmanager
def open_transparent(
    path: Path,
    size: tuple[int, int],
    fps: Fraction,
    audio: AudioSource | None = None,
    on_event: EventSink = warn,
) -> Iterator[FrameSink]:
    """The writer for `path`, a `.mov` or a `.zip`; the complete file appears at the end of the block."""
    if path.suffix.lower() == ".mov":
        with ProResWriter(path, size, fps, audio=audio, on_event=on_event) as video:
            yield video
        return
    if audio is not None:
        on_event(Event("audio_dropped", f"sound of {audio.path} was dropped: a .zip holds pictures only; choose .mov"))
    with durable_file(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        yield PngSequenceWriter(archive)


def to_yuva444(picture: Rgba) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """uint16 planes Y, Cb, Cr (BT.709, limited range, 10 bits) and A (full range, 10 bits), each (H, W)."""
    matrix = np.vstack([TO_LUMA, TO_CHROMA]) * 4  # 10 bits hold four times the levels of 8
    offset = np.array([[16], [128], [128]]) * 4
    planes = np.rint(cv2.transform(picture[..., :3].astype(np.float32), np.hstack([matrix, offset])))
    alpha = np.rint(picture[..., 3].astype(np.float32) * (1023 / 255))
    luma, blue, red = (planes[..., channel].astype(np.uint16) for channel in range(3))
    return luma, blue, red, alpha.astype(np.uint16)
