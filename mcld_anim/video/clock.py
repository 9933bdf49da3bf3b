"""The clock of a file that was joined or streamed: where it jumps or begins anew, and what makes it run on.

Segments of a stream that are joined byte by byte keep their own clocks. The packets of sound and pictures are therefore
read once, in the order of the file, and divided into parts in which the clock runs on. Each part follows the one before
it without a gap, and its sound is moved with its pictures, so they stay together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from mcld_anim.video.container import ffmpeg_errors, pyav, seconds

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

FORWARD = Fraction(10)
"""Step from which a clock has jumped ahead, in seconds: FFmpeg's `-dts_delta_threshold`. Shorter ones are pauses."""

BACKWARD = Fraction(1, 10)
"""Step back from which a clock begins anew, in seconds, as in FFmpeg's `ts_discontinuity_process`. Shorter ones are
overlaps, such as the encoder's delay at the beginning of each segment's sound."""

REORDERED = Fraction(1)
"""The same for pictures that are not key frames, which follow later ones in the file: 16 frames at 16 per second."""

TABLED_FORMATS = frozenset({"mov", "avi", "gif", "apng"})
"""Formats whose times are steps in one table, and so cannot begin anew; they are not read for this."""


@dataclass(frozen=True)
class Jump:
    """A place where a clock was mended."""

    time: Fraction  # mended, in seconds on the file's first clock
    step: Fraction  # by which the clock jumped there, in seconds; negative if it began anew


@dataclass(frozen=True)
class Clock:
    """The mended clock of a file's main streams."""

    jumps: tuple[Jump, ...] = ()
    shifts: tuple[tuple[int, int, Fraction], ...] = ()
    """(stream, number of a packet, seconds to add from this packet on), in order."""
    end: Fraction = Fraction(0)  # of the pictures if there are jumps, mended, in seconds

    def mended(self, packets: Iterable[Packet], stream: Stream) -> Iterator[Packet]:
        """The packets of a stream, read from the beginning of the file, with mended times."""
        due = [(number, shift) for index, number, shift in self.shifts if index == stream.index]
        count, shift = 0, Fraction(0)
        for packet in packets:
            if packet.size:
                while due and due[0][0] <= count:
                    shift = due.pop(0)[1]
                count += 1
            if shift and packet.time_base:
                ticks = round(shift / packet.time_base)
                packet.pts = None if packet.pts is None else packet.pts + ticks
                packet.dts = None if packet.dts is None else packet.dts + ticks
            yield packet


STEADY = Clock()
"""The clock of a file without jumps."""


def read_clock(container: InputContainer, video: VideoStream | None) -> Clock:
    """The clock of a file's pictures and main sound; all packets are read, unless the format excludes jumps."""
    if TABLED_FORMATS & set(container.format.name.split(",")):
        return STEADY
    streams = [stream for stream in (video, container.streams.best("audio")) if stream is not None]
    parts = _Parts(bool(container.format.flags & pyav().format.Flags.ts_discont.value))
    try:
        for packet in container.demux(streams):
            if packet.size:
                parts.add(packet)
    except ffmpeg_errors():
        pass  # the readable part has a clock too; whoever reads the frames reports the damage
    return parts.clock(streams[0].index) if streams else STEADY


@dataclass
class _Span:
    """The packets of one stream in one part."""

    number: int  # of the first, in its stream
    begin: Fraction  # in seconds on the file's own clock
    latest: Fraction  # beginning of the last picture or packet
    end: Fraction

    def add(self, time: Fraction, length: Fraction) -> None:
        self.begin = min(self.begin, time)
        if time >= self.latest:
            # A packet may lack its length, then it is that of its predecessor
            step = length or time - self.latest
            self.latest, self.end = time, time + step

    def continued_by(self, time: Fraction, tolerance: Fraction) -> bool:
        return self.latest - tolerance <= time <= self.end + FORWARD


@dataclass
class _Parts:
    """Divides packets, in the order of the file, into parts in which the clock runs on."""

    discontinuous: bool  # the format's clock may jump, as that of broadcasts
    parts: list[dict[int, _Span]] = field(default_factory=lambda: [{}])  # stream -> its span
    counts: dict[int, int] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)  # stream -> its current part

    def add(self, packet: Packet) -> None:
        stream = packet.stream.index
        number = self.counts[stream] = self.counts.get(stream, -1) + 1
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is None:
            return
        time, length = seconds(stamp, packet.time_base), seconds(packet.duration or 0, packet.time_base)
        tolerance = BACKWARD if packet.is_keyframe else REORDERED
        place = self.places[stream] = self._place(stream, time, tolerance)
        span = self.parts[place].get(stream)
        if span is None:
            self.parts[place][stream] = _Span(number, time, time, time + length)
        else:
            span.add(time, length)

    def _place(self, stream: int, time: Fraction, tolerance: Fraction) -> int:
        """The part of a packet: its stream's current one, a later one that another stream began, or a new one."""
        current = self.places.get(stream, 0)
        own = self.parts[current].get(stream)
        if own is None or own.continued_by(time, tolerance):
            return current
        for later in range(current + 1, len(self.parts)):
            if any(span.begin - FORWARD <= time <= span.end + FORWARD for span in self.parts[later].values()):
                return later
        self.parts.append({})
        return len(self.parts) - 1

    def clock(self, leader: int) -> Clock:
        """The clock; the parts are joined where those of the stream `leader` are. Without it, sound merely overlaps."""
        jumps: list[Jump] = []
        shifts: list[tuple[int, int, Fraction]] = []
        shift, before = Fraction(0), None
        for place, part in enumerate(self.parts):
            if leader not in part:
                continue
            if before is not None and self._jumps(place, before, part[leader]):
                step = part[leader].begin - before.end
                jumps.append(Jump(before.end + shift, step))
                shift -= step
                shifts += [(stream, span.number, shift) for stream, span in part.items()]
            before = part[leader]
        return Clock(tuple(jumps), tuple(shifts), before.end + shift) if jumps and before is not None else STEADY

    def _jumps(self, place: int, before: _Span, span: _Span) -> bool:
        """Whether the clock jumps at the beginning of a part, and not the pictures pause while the sound goes on."""
        if span.begin < before.end:
            return True
        others = [stream for stream in self.places if stream not in self.parts[place]]
        went_on = any(self.places[stream] < place and self._last(stream) > span.begin for stream in others)
        return not went_on and (self.discontinuous or len(self.parts[place]) > 1)

    def _last(self, stream: int) -> Fraction:
        return self.parts[self.places[stream]][stream].end
