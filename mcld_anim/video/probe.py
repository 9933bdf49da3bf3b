"""Properties of a video at little cost: from its header, the times of its first frames, and one decoded frame."""

from __future__ import annotations

import math
import os
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from mcld_anim.core.errors import VideoError
from mcld_anim.core.pictures import MOST_ASPECT
from mcld_anim.video.clock import Clock, read_clock
from mcld_anim.video.container import (
    GIVE_A_VIDEO,
    check_file,
    check_size,
    codec_name,
    open_video,
    pyav,
    seconds,
    video_streams,
)
from mcld_anim.video.decode import DecodeLog, coded_aspect, decoded_frames, read_packets, times_are_of_decoding
from mcld_anim.video.rates import exact_rate, nominal_rate
from mcld_anim.video.upright import HDR_TRANSFERS, Upright, upright_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame as StoredFrame
    from av.video.stream import VideoStream

RATE_PACKETS = 500
"""Frames whose times give the frame rate: enough to reduce rounding to 1 ms to 0.01 % on average."""

PAUSE = 60
"""Seconds between two frames that are a long pause, perhaps by a false time."""

ROUNDING = 1e-3
"""Rounding error of times, in frames: more than that of decimal seconds and of durations rounded to 1 µs."""


@dataclass(frozen=True)
class VideoInfo:
    """A video that was opened, with one frame decoded."""

    path: Path
    width: int  # as shown: upright, in square pixels
    height: int
    fps: Fraction  # nominal frames per second
    variable_rate: bool
    pauses: tuple[tuple[Fraction, Fraction], ...]
    """(begin, end) of the longest pauses between the first frames, in seconds since the first: see `PAUSE`."""
    duration: float  # of the video stream, in seconds
    frames: int | None  # stored frames; None if the container does not say
    clock: Clock  # of the container
    first_time: Fraction  # of the first frame on the container's clock, in seconds; time 0 of this program
    decoding_times: bool  # the container has no presentation times, so seeking is impossible
    sample_aspect: Fraction  # width over height of a stored pixel of the first frame
    coded_aspect: Fraction | None  # the same according to its stream, which the container may overrule
    upright: Upright  # rotation and scale of stored frames
    codec: str
    pixel_format: str
    container: str
    hdr: str | None  # "PQ" or "HLG", else None
    primaries: int  # ITU-T H.273, ColourPrimaries; 2 if the file does not say
    interlaced: bool
    transparent: bool  # whether some pixels of the first frame are
    video_streams: int
    audio_codec: str | None
    audio_streams: int

    @property
    def rotation(self) -> int:
        """Clockwise rotation of stored frames, in degrees: 0, 90, 180 or 270."""
        return (-self.upright.quarter_turns % 4) * 90

    @property
    def mirrored(self) -> bool:
        """Whether stored frames are mirrored left to right before the rotation."""
        return self.upright.mirrored

    @property
    def has_audio(self) -> bool:
        """Whether there is a sound track."""
        return self.audio_streams > 0


def probe(path: str | os.PathLike[str]) -> VideoInfo:
    """Open a video and describe it. Raises VideoError if no frame can be read."""
    path = check_file(path)
    with open_video(path) as (container, stream):
        clock = read_clock(container, stream)
    with open_video(path) as (container, stream):
        frame = _first_frame(container, stream, path)
        sample_aspect, aspect = Fraction(stream.sample_aspect_ratio or 1), coded_aspect(stream)
        upright = upright_of(frame, sample_aspect)
        wide = f"{path}, whose pixels are {float(sample_aspect):.3g} times as wide as high, is shown at"
        check_size(upright.width, upright.height, wide)
        if max(upright.width, upright.height) > MOST_ASPECT * min(upright.width, upright.height):
            size = f"{upright.width}x{upright.height}"
            raise VideoError(f"{path} has frames of {size} pixels, strips in which nobody can be seen; {GIVE_A_VIDEO}")
        unknown = frame.pts is None or times_are_of_decoding(container)
        first_time = Fraction(0) if unknown else seconds(frame.pts or 0, frame.time_base)
        audio = container.streams.best("audio")
        duration = declared_duration(container, stream, first_time)
        if clock.jumps:  # no header knows of them
            duration = clock.end - first_time
        times, length = _packet_times(path, clock, all_of_them=duration is None)
        fps = nominal_rate(times, [stream.average_rate, stream.guessed_rate, stream.base_rate])
        return VideoInfo(
            path=path,
            width=upright.width,
            height=upright.height,
            fps=fps,
            variable_rate=_is_variable(times, fps),
            pauses=tuple(
                (one - times[0], two - times[0]) for one, two in pairwise(times[:RATE_PACKETS]) if two - one > PAUSE
            ),
            duration=float(length + 1 / fps if duration is None else duration),
            frames=stream.frames or None,
            clock=clock,
            first_time=first_time,
            decoding_times=times_are_of_decoding(container),
            sample_aspect=sample_aspect,
            coded_aspect=aspect,
            upright=upright,
            codec=codec_name(stream),
            pixel_format=frame.format.name,
            container=container.format.name,
            hdr=HDR_TRANSFERS.get(int(frame.color_trc)),
            primaries=int(frame.color_primaries),
            interlaced=bool(frame.interlaced_frame),
            transparent=_is_transparent(frame, stream),
            video_streams=len(video_streams(container)),
            audio_codec=None if audio is None else codec_name(audio),
            audio_streams=len(container.streams.audio),
        )


def frame_count(
    info: VideoInfo,
    fps: str | float | Fraction = "source",
    start: float = 0.0,
    end: float | None = None,
    max_frames: int | None = None,
) -> int:
    """Number of frames that `read_frames` yields with the same arguments; exact unless the container is wrong."""
    rate = info.fps if isinstance(fps, str) else exact_rate(fps)
    until = info.duration if end is None else min(end, info.duration)
    instants = float((Fraction(until) - Fraction(start)) * rate)
    if end is not None and end <= info.duration:
        count = math.ceil(instants - ROUNDING)  # every instant before `end`
    else:
        # The last instant is the one of which the video still covers at least half a source or output period
        count = math.floor(instants - float(rate / max(rate, info.fps)) / 2 + ROUNDING) + 1
    count = max(1, count)
    return count if max_frames is None else min(count, max_frames)


def declared_duration(container: InputContainer, stream: VideoStream, first_time: Fraction) -> Fraction | None:
    """Seconds from the first frame to the end of the last, according to the header; None if it does not say."""
    if stream.duration is not None and stream.duration > 0:
        return seconds(stream.duration, stream.time_base)
    end: Fraction | None = None
    tag = stream.metadata.get("DURATION")  # Matroska: "00:00:03.040000000"
    if tag and tag.count(":") == 2:
        with suppress(ValueError):
            hours, minutes, rest = tag.split(":")
            end = (int(hours) * 60 + int(minutes)) * 60 + Fraction(rest)
    elif container.duration is not None and not container.streams.audio:  # else it may be the sound's
        end = Fraction(container.duration, pyav().time_base)
    return end - first_time if end is not None and end > first_time else None


def _first_frame(container: InputContainer, stream: VideoStream, path: Path) -> StoredFrame:
    log = DecodeLog()
    frame = next(decoded_frames(container, stream, log), None)
    if frame is None:
        why = "it is damaged" if log.damaged or log.ended_by else "it has 0 frames"
        raise VideoError(f"{path} holds no frame that can be decoded: {why}; {GIVE_A_VIDEO}")
    return frame


def _is_transparent(frame: StoredFrame, stream: VideoStream) -> bool:
    """Whether a frame has pixels that are not opaque; decoders of VP8 and VP9 leave out the opacity of WebM."""
    if stream.metadata.get("alpha_mode") == "1":
        return True
    if not any(component.is_alpha for component in frame.format.components):
        return False
    return bool(frame.reformat(format="rgba").to_ndarray()[..., 3].min() < 255)


def _packet_times(path: Path, clock: Clock, all_of_them: bool) -> tuple[list[Fraction], Fraction]:
    """Times of the frames (seconds, sorted; the first `RATE_PACKETS` or all), and the time between first and last."""
    with open_video(path) as (container, stream):
        packets = read_packets(container, stream, DecodeLog(), clock)
        shown = (
            seconds(packet.pts, packet.time_base)
            for packet in packets
            if packet.pts is not None and not packet.is_discard
        )
        times = sorted(shown if all_of_them else islice(shown, RATE_PACKETS))
    return times, (times[-1] - times[0] if times else Fraction(0))


def _is_variable(times: list[Fraction], fps: Fraction) -> bool:
    """Whether some frame is longer or shorter than the period by half of it."""
    steps = (later - earlier for earlier, later in pairwise(times))
    return any(abs(step * fps - 1) > Fraction(1, 2) for step in steps)
