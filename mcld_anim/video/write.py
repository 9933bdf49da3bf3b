"""Writing MP4: H.264, BT.709, ready to stream, with sound. The file appears only once it is complete."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

import cv2
import numpy as np

from mcld_anim.core.arrays import Picture
from mcld_anim.core.durable import check_output, durable_file
from mcld_anim.core.errors import OutputError, UsageError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.video.audio import AudioSource
from mcld_anim.video.container import LONGEST_SIDE, ffmpeg_errors, pyav, reason
from mcld_anim.video.join import join
from mcld_anim.video.rates import exact_rate

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.frame import VideoFrame as StoredFrame
    from av.video.stream import VideoStream

__all__ = ["X264_PRESETS", "VideoWriter", "check_output", "to_yuv420"]

X264_PRESETS = (
    *("ultrafast", "superfast", "veryfast", "faster", "fast"),
    *("medium", "slow", "slower", "veryslow", "placebo"),
)
"""x264's trade-offs between time and size."""

LOSSLESS_BELOW = 1
"""Constant rate factor below which x264 encodes without loss, in High 4:4:4 Predictive, which most players refuse."""

FINEST_QP = 1
"""x264's lowest quantiser in the profile High, which plays everywhere; it stands for constant rate factors below 1."""

SHORT_PARTS = {"movflags": "+empty_moov+default_base_moof", "frag_duration": "1000000"}
"""FFmpeg's options for a file in parts of 1 s, in microseconds, whose index does not grow in memory with its length."""

BT709 = 1
"""ITU-T H.273: the code of BT.709 as primaries, transfer characteristics and matrix alike."""

LIMITED_RANGE = 1
"""FFmpeg's code for Y in 16..235 and C in 16..240."""

RED, GREEN, BLUE = 0.2126, 0.7152, 0.0722
"""Weight of each primary in luma (ITU-R BT.709-6, 3.2)."""

TO_LUMA = np.array([[RED, GREEN, BLUE]]) * 219 / 255
TO_CHROMA = (
    np.array(
        [
            [-RED / (1 - BLUE), -GREEN / (1 - BLUE), 1],
            [1, -GREEN / (1 - RED), -BLUE / (1 - RED)],
        ]
    )
    * (0.5 * 224)
    / 255
)
"""RGB in 0..255 to the 8-bit Y and (Cb, Cr), before the offsets 16 and 128 (ITU-R BT.709-6, 3.3 to 3.5)."""


class VideoWriter:
    """Writes pictures of one size as frames of an MP4. Use it in a `with` block.

    The file appears at the end of the block; an exception in it, Ctrl-C included, leaves nothing behind. Until then the
    pictures are in a file of their own, which is joined with the sound at the end.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".mp4", ".m4v")
    container: ClassVar[str] = "mp4"
    channels: ClassVar[int] = 3

    def __init__(
        self,
        path: str | os.PathLike[str],
        size: tuple[int, int],
        fps: float | Fraction,
        crf: float = 18,
        preset: str = "medium",
        audio: AudioSource | None = None,
        overwrite: bool = False,
        on_event: EventSink = warn,
    ) -> None:
        """Check the arguments; `size` is (height, width). Nothing is written before the block is entered."""
        self.path = Path(path)
        if self.path.suffix.lower() not in self.suffixes:
            raise OutputError(f"output {self.path} does not end in {self.suffixes[0]}, the format that is written")
        if preset not in X264_PRESETS:
            raise UsageError(f"preset {preset!r} is unknown; choose one of {', '.join(X264_PRESETS)}")
        if not 0 <= crf <= 51:
            raise UsageError(f"crf {crf} is outside 0 (best) to 51 (worst); 18 looks like the original")
        if min(size) < 1 or max(size) > LONGEST_SIDE:
            raise OutputError(f"frames of {size[1]}x{size[0]} pixels cannot be H.264; stay within {LONGEST_SIDE}")
        self.size = size
        self.fps = exact_rate(fps, "fps")
        self.frames = 0
        self._crf = crf
        self._preset = preset
        self._audio = audio
        self._overwrite = overwrite
        self._on_event = on_event
        check_output(self.path, overwrite)

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            # Callbacks run last to first: the container is closed before its file is renamed or removed
            self._partial = stack.enter_context(durable_file(self.path, self._overwrite))
            self._made = _temporary_file(self._partial)
            stack.callback(self._made.unlink, missing_ok=True)
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def write(self, picture: np.ndarray) -> None:
        """Add one frame: uint8 (height, width, channels) RGB of the writer's size, RGBA where it has 4."""
        if picture.shape != (*self.size, self.channels) or picture.dtype != np.uint8:
            raise ValueError(f"expected uint8 {(*self.size, self.channels)}, got {picture.dtype} {picture.shape}")
        frame = self._frame(picture)
        frame.colorspace = frame.color_primaries = frame.color_trc = BT709
        frame.color_range = LIMITED_RANGE
        frame.pts = self.frames
        frame.time_base = 1 / self.fps
        try:
            for packet in self._video.encode(frame):
                self._out.mux(packet)
            self.frames += 1
        except ffmpeg_errors() as error:
            raise self._failure(error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            with self._stack:
                self._finish()
        else:
            self._stack.__exit__(kind, error, traceback)

    def _finish(self) -> None:
        if self.frames == 0:
            raise OutputError(f"output {self.path} was not written: there was no frame for it")
        try:
            for packet in self._video.encode(None):
                self._out.mux(packet)
            self._out.close()
            length = self.frames / self.fps
            join(self._made, self._audio, length, self._partial, self.container, self._on_event)
            self._made.unlink()
        except ffmpeg_errors() as error:
            raise self._failure(error) from error

    def _open(self, stack: ExitStack) -> None:
        height, width = (side + side % 2 for side in self.size)
        if (height, width) != self.size:
            message = f"{self.path}: H.264 in 4:2:0 needs even sides, so the last row or column was repeated"
            self._on_event(Event("video_padded", f"{message}: {width}x{height}"))
        try:
            self._out: OutputContainer = pyav().open(
                f"file:{self._made.absolute()}", "w", format=self.container, options=SHORT_PARTS
            )
            stack.callback(self._discard)
            self._video: VideoStream = self._add_video()
            self._video.width, self._video.height = width, height
            context = self._video.codec_context
            context.time_base = 1 / self.fps
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = LIMITED_RANGE
            self._out.start_encoding()
        except ffmpeg_errors() as error:
            raise self._failure(error) from error

    def _add_video(self) -> VideoStream:
        """The video stream, its size not yet set."""
        video = self._out.add_stream("libx264", rate=self.fps)
        video.pix_fmt = "yuv420p"
        video.options = {"preset": self._preset, "crf": str(self._crf)}
        if self._crf < LOSSLESS_BELOW:
            video.options = {"preset": self._preset, "qp": str(FINEST_QP)}
        return video

    def _frame(self, picture: np.ndarray) -> StoredFrame:
        """One picture in the stream's format."""
        return pyav().VideoFrame.from_ndarray(to_yuv420(picture), format="yuv420p")

    def _discard(self) -> None:
        """Close the container in whatever state it is; after a success it is already closed."""
        with suppress(*ffmpeg_errors()):
            for packet in self._video.encode(None):  # those that fit are kept
                self._out.mux(packet)
        with suppress(*ffmpeg_errors()):
            self._out.close()

    def _failure(self, error: BaseException) -> OutputError:
        return OutputError(f"output {self.path} could not be encoded ({reason(error)}); check the free space there")


def _temporary_file(path: Path) -> Path:
    """A new hidden file beside `path`, of the same format."""
    handle, name = tempfile.mkstemp(prefix=".mcld-anim-", suffix=path.suffix, dir=path.absolute().parent)
    os.close(handle)
    return Path(name)


def to_yuv420(picture: Picture) -> np.ndarray:
    """uint8 (H, W, 3) RGB -> uint8 (3/2 H', W') planes Y, Cb, Cr of 4:2:0, BT.709 limited range; H', W' are even.

    swscale is not used because its fast path is off by up to three levels, and one level too dark on average.
    """
    height, width = picture.shape[:2]
    if height % 2 or width % 2:
        picture = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        height, width = picture.shape[:2]
    # cv2.transform computes in float32 and rounds to the nearest
    luma = cv2.transform(picture, np.hstack([TO_LUMA, [[16]]]))
    quarter = cv2.resize(picture.astype(np.float32), (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    chroma = np.rint(cv2.transform(quarter, np.hstack([TO_CHROMA, [[128], [128]]]))).astype(np.uint8)
    return np.concatenate([luma.ravel(), chroma[..., 0].ravel(), chroma[..., 1].ravel()]).reshape(-1, width)
