"""Opening video files with PyAV and refusing unusable ones; the only file that imports it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from mcld_anim.core.errors import VideoError
from mcld_anim.core.photo_formats import is_photo

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

LONGEST_SIDE = 16384
"""Longest side of a frame, in pixels, beyond the limits of H.264 and VP9."""

MOST_PIXELS = 40_000_000
"""Of a frame as shown; an 8K frame has 33 million, and one of `LONGEST_SIDE` squared would take 805 MB."""

FORMATS = (
    *("mov", "matroska", "avi", "mpegts", "mpeg", "mpegvideo", "flv", "asf", "ogg", "gif", "apng", "mxf", "nut", "ivf"),
    *("h264", "hevc", "obu", "m4v", "h263", "mjpeg", "yuv4mpegpipe", "dv", "wtv", "rm", "gxf", "vc1", "dirac"),
    *("mp3", "aac", "loas", "ac3", "eac3", "dts", "flac", "wav", "w64", "aiff", "caf", "au", "amr", "ape", "wv"),
)
"""FFmpeg's names of the containers and streams that are opened: those that hold pictures or sound themselves. Others
name further files or addresses (HLS, DASH, concat, SDP, numbered pictures), or draw any text as a picture."""

GIVE_A_VIDEO = "give a video file such as MP4, MOV, MKV or WebM"


def pyav() -> ModuleType:
    """The `av` package, imported on first use because that takes longer than `mcld-anim --help` may."""
    import av

    return av


def seconds(ticks: int, time_base: Fraction | None) -> Fraction:
    """A time on a stream's clock in seconds; PyAV types the time base as optional, though every open stream has one."""
    return ticks * (time_base or Fraction(1, pyav().time_base))


def ticks(time: Fraction, time_base: Fraction | None) -> int:
    """Seconds as the nearest time on a stream's clock."""
    return round(time / (time_base or Fraction(1, pyav().time_base)))


def codec_name(stream: Stream) -> str:
    """The format's canonical name, such as "mp3"; its decoder may be called "mp3float"."""
    return stream.codec_context.codec.canonical_name if stream.codec_context is not None else "unknown"


def ffmpeg_errors() -> tuple[type[BaseException], ...]:
    """The exceptions that PyAV raises for FFmpeg's errors; some of them are built-in ones."""
    return (pyav().error.FFmpegError, OSError, ValueError, EOFError)


def reason(error: BaseException) -> str:
    """FFmpeg's reason for an error, in one line."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__).splitlines()[0]


def check_file(path: str | os.PathLike[str]) -> Path:
    """Refuse, from the file system alone, a path that cannot be a video file."""
    path = Path(path)
    try:
        if path.is_dir():
            raise VideoError(f"{path} is a folder; {GIVE_A_VIDEO}")
        if not path.exists():
            raise VideoError(f"{path} does not exist; check the path of the video")
        if not path.is_file():
            raise VideoError(f"{path} is a device or a pipe; {GIVE_A_VIDEO}")
        if path.stat().st_size == 0:
            raise VideoError(f"{path} is empty (0 bytes); {GIVE_A_VIDEO}")
        with path.open("rb"):
            pass
    except OSError as error:
        raise VideoError(f"{path} cannot be read ({error.strerror}); check the path and its permissions") from error
    return path


@contextmanager
def open_input(path: str | os.PathLike[str]) -> Iterator[InputContainer]:
    """Open a media file for reading; only local files are opened, whatever the content refers to."""
    from mcld_anim.video.animated_webp import is_animated_webp, webp_as_video

    path = check_file(path)
    readable = webp_as_video(path) if is_animated_webp(path) else path
    limits = {"protocol_whitelist": "file", "format_whitelist": ",".join(FORMATS)}  # before the content is interpreted
    try:
        # "file:" prevents a name with a colon from being read as an address
        container = pyav().open(f"file:{readable.absolute()}", options=limits)
    except ffmpeg_errors() as error:
        if is_photo(path):
            raise VideoError(f"{path} is a picture, not a video; {GIVE_A_VIDEO}") from error
        raise VideoError(
            f"{path} is not a video, or not of a kind that is read, or damaged ({reason(error)}); {GIVE_A_VIDEO}"
        ) from error
    with container:
        yield container


@contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[tuple[InputContainer, VideoStream]]:
    """Open a video: the container and its main video stream, checked but not yet decoded."""
    with open_input(path) as container:
        stream = _video_stream(container, Path(path))
        check_size(stream.codec_context.width, stream.codec_context.height, f"{path} has frames of")
        stream.thread_type = "AUTO"
        yield container, stream


def check_size(width: int, height: int, what: str) -> None:
    """Refuse frames that are too large; `what` begins the message."""
    if max(width, height) > LONGEST_SIDE or width * height > MOST_PIXELS:
        most = f"more than {LONGEST_SIDE} on a side or {MOST_PIXELS // 10**6} million"
        raise VideoError(f"{what} {width}x{height} pixels, {most}; scale the video down")


def video_streams(container: InputContainer) -> list[VideoStream]:
    """The video streams but the cover picture of a song, which is stored as one of one frame."""
    cover = pyav().stream.Disposition.attached_pic
    return [stream for stream in container.streams.video if not stream.disposition & cover]


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    streams = video_streams(container)
    if not streams:
        found = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
        raise VideoError(f"{path} has no video stream (found: {found}); {GIVE_A_VIDEO}")
    stream = container.streams.best("video")
    chosen = stream if stream in streams else streams[0]
    if chosen.codec_context is None:
        raise VideoError(f"{path} holds a video in a format that cannot be decoded here; convert it to H.264 first")
    return chosen
