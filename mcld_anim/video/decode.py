"""Decoding that outlives damage: whatever can be decoded comes out, whatever cannot is counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from mcld_anim.video.container import ffmpeg_errors, reason, seconds

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame as StoredFrame
    from av.video.stream import VideoStream


@dataclass
class DecodeLog:
    """What was met while decoding; it fills while `decoded_frames` is consumed."""

    packets: int = 0
    damaged: int = 0
    ended_by: str | None = None  # why reading stopped before the end of the file
    from_beginning: bool = True
    at_end: bool = False  # of the file, or of what can be read of it
    end: Fraction = Fraction(0)  # of the last frame that was decoded, in seconds since the video's first

    def restart(self) -> None:
        """Forget everything: the file is read anew."""
        self.packets = self.damaged = 0
        self.ended_by = None
        self.from_beginning, self.at_end = True, False
        self.end = Fraction(0)


@dataclass(frozen=True)
class TimedFrame:
    """A stored frame and when it is shown, in seconds since the video's first frame."""

    time: Fraction
    end: Fraction
    frame: StoredFrame


def read_packets(container: InputContainer, stream: VideoStream, log: DecodeLog) -> Iterator[Packet]:
    """The packets of `stream` up to the end of the file or of what can be read of it; the last flushes the
    decoder."""
    errors = ffmpeg_errors()
    try:
        for packet in container.demux(stream):
            if packet.size:  # the flushing packet at the end is empty
                log.packets += 1
            yield packet
    except errors as error:
        log.ended_by = reason(error)
    log.at_end = True


def decoded_frames(container: InputContainer, stream: VideoStream, log: DecodeLog) -> Iterator[StoredFrame]:
    """Decode `stream` from where the container stands; packets and frames that are damaged are left out."""
    errors = ffmpeg_errors()
    for packet in read_packets(container, stream, log):
        if packet.is_corrupt:  # the last one of a file that was cut off
            log.damaged += 1
            continue
        try:
            frames = packet.decode()
        except errors:
            log.damaged += 1
            continue
        yield from _undamaged(frames, log)
    try:
        frames = stream.codec_context.decode(None)  # what the decoder still holds, if reading ended early
    except errors:  # already flushed
        return
    yield from _undamaged(frames, log)


def timed_frames(
    container: InputContainer, stream: VideoStream, log: DecodeLog, first_time: Fraction, period: Fraction
) -> Iterator[TimedFrame]:
    """Decoded frames with the time at which each is shown; where the file does not say, one `period` after
    the last.

    Times never run backwards: a frame that claims to be earlier than the one before is shown with it.
    """
    previous: Fraction | None = None
    in_decoding_order = times_are_of_decoding(container)
    for frame in decoded_frames(container, stream, log):
        if in_decoding_order and previous is None and frame.dts is not None:
            first_time = seconds(frame.dts, frame.time_base)  # frames leave the decoder late, but evenly
        stamp = frame.dts if in_decoding_order else frame.pts
        if stamp is not None:
            time = seconds(stamp, frame.time_base) - first_time
        else:
            time = Fraction(0) if previous is None else previous + period
        if previous is not None:
            time = max(time, previous)
        length = seconds(frame.duration, frame.time_base) if frame.duration else period
        log.end = time + length
        yield TimedFrame(time, time + length, frame)
        previous = time


def times_are_of_decoding(container: InputContainer) -> bool:
    """AVI stores when frames are decoded, not when they are shown: its times are out of order after B-frames."""
    return container.format.name == "avi"


def _undamaged(frames: list[StoredFrame], log: DecodeLog) -> Iterator[StoredFrame]:
    for frame in frames:
        if frame.is_corrupt:
            log.damaged += 1
        else:
            yield frame
