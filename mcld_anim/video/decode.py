"""Decoding of damaged files: frames that can be decoded are returned, those that cannot are counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from mcld_anim.video.clock import STEADY, Clock
from mcld_anim.video.container import codec_name, ffmpeg_errors, reason, seconds

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame as StoredFrame
    from av.video.stream import VideoStream

SELF_CHECKING = frozenset({"h264"})
"""Codecs whose decoders mark damaged pictures. MPEG-TS marks packets only by a counter, which also differs where whole
streams were joined; there these decoders decide."""


@dataclass
class DecodeLog:
    """A record of the decoding, filled while `decoded_frames` is consumed."""

    packets: int = 0
    damaged: int = 0
    key_stamp: int | None = None  # presentation time of the last key frame that was read
    shown: int = 0  # stored frames that are shown at the chosen rate
    skipped: int = 0  # and that are not, because the next one comes before the next instant
    ended_by: str | None = None  # error that stopped reading before the end of the file
    from_beginning: bool = True
    at_end: bool = False  # of the file, or of its readable part
    end: Fraction = Fraction(0)  # of the last decoded frame, in seconds since the video's first

    def restart(self) -> None:
        """Reset the record, because the file is read again."""
        self.packets = self.damaged = self.shown = self.skipped = 0
        self.ended_by = self.key_stamp = None
        self.from_beginning, self.at_end = True, False
        self.end = Fraction(0)


@dataclass(frozen=True)
class TimedFrame:
    """A stored frame and its time, in seconds since the video's first frame."""

    time: Fraction
    end: Fraction
    frame: StoredFrame
    coded_aspect: Fraction | None = None  # width over height of a stored pixel, if the stream says it here


def read_packets(
    container: InputContainer, stream: VideoStream, log: DecodeLog, clock: Clock = STEADY
) -> Iterator[Packet]:
    """The packets of `stream` to the end of the file or of its readable part; the last one flushes the decoder.

    Their times are those of `clock`; if it has jumps, they must be read from the beginning.
    """
    errors = ffmpeg_errors()
    try:
        for packet in clock.mended(container.demux(stream), stream):
            if packet.size:  # the flushing packet at the end is empty
                log.packets += 1
                log.key_stamp = packet.pts if packet.is_keyframe else log.key_stamp
            yield packet
    except errors as error:
        log.ended_by = reason(error)
    log.at_end = True


def decoded_frames(
    container: InputContainer, stream: VideoStream, log: DecodeLog, clock: Clock = STEADY
) -> Iterator[StoredFrame]:
    """Decode `stream` from the container's position, without damaged packets and frames."""
    errors = ffmpeg_errors()
    marks_count = codec_name(stream) not in SELF_CHECKING or container.format.name != "mpegts"
    for packet in read_packets(container, stream, log, clock):
        if packet.is_corrupt and marks_count:  # such as the last one of a truncated file
            log.damaged += 1
            continue
        try:
            frames = packet.decode()
        except errors:
            log.damaged += 1
            continue
        yield from _undamaged(frames, log)
    try:
        frames = stream.codec_context.decode(None)  # flushes the decoder if reading ended early
    except errors:  # already flushed
        return
    yield from _undamaged(frames, log)


def timed_frames(
    container: InputContainer,
    stream: VideoStream,
    log: DecodeLog,
    first_time: Fraction,
    period: Fraction,
    clock: Clock = STEADY,
) -> Iterator[TimedFrame]:
    """Decoded frames with their times; a frame without one follows the last after one `period`.

    Times never decrease: a frame with an earlier time than its predecessor gets that one's time.
    """
    previous: Fraction | None = None
    aspects = _CodedAspects(stream, log)
    in_decoding_order = times_are_of_decoding(container)
    for frame in decoded_frames(container, stream, log, clock):
        if in_decoding_order and previous is None and frame.dts is not None:
            first_time = seconds(frame.dts, frame.time_base)  # frames leave the decoder with a constant delay
        stamp = frame.dts if in_decoding_order else frame.pts
        if stamp is not None:
            time = seconds(stamp, frame.time_base) - first_time
        else:
            time = Fraction(0) if previous is None else previous + period
        if previous is not None:
            time = max(time, previous)
        length = seconds(frame.duration, frame.time_base) if frame.duration else period
        log.end = time + length
        yield TimedFrame(time, time + length, frame, aspects.of(frame))
        previous = time


class _CodedAspects:
    """The shape of the pixels of each frame: the stream's, which is ahead of the frame by the decoder's delay."""

    def __init__(self, stream: VideoStream, log: DecodeLog) -> None:
        self._stream, self._log = stream, log
        self._before: Fraction | None = None
        self._now: Fraction | None = None
        self._since: int | None = None  # presentation time of the key frame that brought it

    def of(self, frame: StoredFrame) -> Fraction | None:
        """As `coded_aspect`, for a frame that was just decoded."""
        now = coded_aspect(self._stream)
        if now != self._now:
            self._before, self._now, self._since = self._now or now, now, self._log.key_stamp
        early = frame.pts is not None and self._since is not None and frame.pts < self._since
        return self._before if early else self._now


def coded_aspect(stream: VideoStream) -> Fraction | None:
    """Width over height of a stored pixel of the frame that was decoded last; None if its stream does not say."""
    return stream.codec_context.sample_aspect_ratio or None


def times_are_of_decoding(container: InputContainer) -> bool:
    """Whether a container stores decoding times only, as AVI does; after B-frames they are out of display order."""
    return container.format.name == "avi"


def _undamaged(frames: list[StoredFrame], log: DecodeLog) -> Iterator[StoredFrame]:
    for frame in frames:
        if frame.is_corrupt:
            log.damaged += 1
        else:
            yield frame
