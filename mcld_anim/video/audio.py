"""The sound of an output video: copied bit by bit if browsers play it from MP4, otherwise re-encoded as AAC."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcld_anim.core.errors import VideoError
from mcld_anim.core.events import Event, EventSink
from mcld_anim.options.run import AudioCodec
from mcld_anim.video.audio_aac import aac_frames, add_aac
from mcld_anim.video.audio_times import SoundLog, rising
from mcld_anim.video.clock import STEADY, Clock, read_clock
from mcld_anim.video.container import codec_name, ffmpeg_errors, open_input, pyav, reason, seconds, ticks, video_streams
from mcld_anim.video.probe import VideoInfo

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet

PLAYED_CODECS = frozenset({"aac", "mp3", "opus", "flac"})
"""Codecs that browsers play from MP4. AC-3, E-AC-3 and ALAC are silent in most, as are Vorbis, DTS and PCM there."""

LEAD_IN = Fraction(1, 10)
"""Sound kept before the cut, in seconds, and marked as inaudible: Opus needs 80 ms to settle (RFC 7845, 4.6), AAC one
to three packets of 21 ms."""

TRIAL_PACKETS = 4
"""Packets written to memory to test whether MP4 accepts this sound."""


@dataclass(frozen=True)
class AudioSource:
    """The sound of an output video."""

    path: Path
    start: Fraction = Fraction(0)  # position in the file's own clock, in seconds, of the output's time 0
    clock: Clock = STEADY
    codec: AudioCodec = "auto"


def audio_source(info: VideoInfo, start: float = 0.0, codec: AudioCodec = "auto") -> AudioSource | None:
    """The sound of a video from `start` (seconds since its first frame) on; None if it has no sound."""
    if not info.has_audio:
        return None
    return AudioSource(info.path, info.first_time + Fraction(start).limit_denominator(1_000_000), info.clock, codec)


def file_sound(path: Path, codec: AudioCodec = "auto") -> AudioSource:
    """The sound of a file from its beginning, which is that of its pictures if it has some."""
    with open_input(path) as container:
        first = next(iter(video_streams(container)), None) or container.streams.best("audio")
        begin = Fraction(0) if first is None else seconds(first.start_time or 0, first.time_base)
        return AudioSource(path, max(begin, Fraction(0)), read_clock(container, None), codec)


def writable_sound(source: AudioSource, until: Fraction, container: str) -> AudioSource:
    """The same sound with the codec in which all of it up to `until` (seconds of the output) can be written.

    It is written to nowhere, as MP4 (`container` "mp4") or MOV. Raises VideoError if not even AAC can be written.
    """
    codecs: tuple[AudioCodec, ...] = (source.codec, "aac")
    for codec in dict.fromkeys(codecs):
        tried = replace(source, codec=codec)
        try:
            with pyav().open(_Nowhere(), "w", format=container) as out:
                track = add_sound(tried, out, lambda event: None)
                if track is not None:
                    with closing(track):
                        track.write(until)
                        track.flush()
            return tried
        except ffmpeg_errors() as error:
            failure = error
    raise VideoError(
        f"the sound of {source.path} cannot be written ({reason(failure)}); leave it out with --audio none, or give "
        "--audio a file with the same sound"
    ) from failure


def add_sound(source: AudioSource, out: OutputContainer, on_event: EventSink) -> AudioTrack | None:
    """Add a sound track from `source` to `out`; None, with an event, if its format is unknown here."""
    with open_input(source.path) as container:
        stream = container.streams.best("audio")
        if stream is None:
            raise VideoError(f"{source.path} has no sound to copy; leave the sound out")
        if stream.codec_context is None:
            on_event(Event("audio_dropped", f"sound of {source.path} was dropped: it is in a format unknown here"))
            return None
        tracks = len(container.streams.audio)
    if tracks > 1:
        on_event(Event("audio_tracks", f"{source.path} has {tracks} sound tracks; only the main one was kept"))
    return AudioTrack(source, out, on_event)


class AudioTrack:
    """Writes sound to an output slightly ahead of the pictures, so that neither waits in memory."""

    def __init__(self, source: AudioSource, out: OutputContainer, on_event: EventSink) -> None:
        self._source = source
        self._out = out
        self._on_event = on_event
        self._log = SoundLog()
        self._written = Fraction(0)  # seconds of the output
        with ExitStack() as stack:
            container = stack.enter_context(open_input(source.path))
            stream: Any = container.streams.best("audio")
            self._stream = stream
            self._container = container
            self._target: Any
            self._units: Generator[tuple[Fraction, Any], None, None]
            if _may_copy(source):
                self._target = out.add_stream_from_template(stream)
                self._units = self._copied()
            else:
                self._target = add_aac(stream, out)
                self._units = aac_frames(self._packets(with_flush=True), source.start, self._target, self._log)
                on_event(_transcoded(source, stream, self._target))
            if source.start > LEAD_IN and not source.clock.jumps:
                target = ticks(source.start - LEAD_IN, stream.time_base)
                container.seek(target, stream=stream, backward=True)
            self._stack = stack.pop_all()
        self._waiting = next(self._units, None)

    def feed(self, until: Fraction) -> None:
        """Write the sound that begins before `until` (seconds of the output); an error ends it, with an event."""
        try:
            self.write(until)
        except ffmpeg_errors() as error:
            self._give_up(error)

    def finish(self) -> None:
        """Flush the encoder. Sound that was not fed is later than the pictures and is left out."""
        try:
            self.flush()
        except ffmpeg_errors() as error:
            self._give_up(error)
        for event in self._log.events(self._source.path):
            self._on_event(event)

    def write(self, until: Fraction) -> None:
        """As `feed`, but FFmpeg's errors are raised."""
        while self._waiting is not None and self._waiting[0] < until:
            self._write(self._waiting[1])
            self._written, self._waiting = self._waiting[0], next(self._units, None)

    def flush(self) -> None:
        """As `finish`, but FFmpeg's errors are raised."""
        if self._target.codec_context.is_encoder:
            for packet in self._target.encode(None):
                self._out.mux(packet)

    def close(self) -> None:
        """Close the input."""
        self._units.close()
        self._stack.close()

    def _give_up(self, error: BaseException) -> None:
        self._waiting = None
        message = f"sound of {self._source.path} ends at {float(self._written):.2f} s of the result"
        self._on_event(Event("audio_cut_short", f"{message} ({reason(error)}): the pictures are complete"))

    def _write(self, unit: Any) -> None:
        if self._target.codec_context.is_encoder:
            for packet in self._target.encode(unit):
                self._out.mux(packet)
        else:
            unit.stream = self._target
            self._out.mux(unit)

    def _copied(self) -> Generator[tuple[Fraction, Packet], None, None]:
        """(output time, packet), with timestamps shifted so that `start` is 0."""
        for packet in rising(self._packets(), self._log):
            assert packet.pts is not None  # `rising` gives each a time
            packet.pts -= ticks(self._source.start, packet.time_base)
            packet.dts = packet.pts  # sound is never reordered
            yield seconds(packet.pts, packet.time_base), packet

    def _packets(self, with_flush: bool = False) -> Generator[Packet, None, None]:
        """Sound packets from shortly before `start`."""
        earliest = self._source.start - LEAD_IN
        errors = ffmpeg_errors()
        try:
            for packet in self._source.clock.mended(self._container.demux(self._stream), self._stream):
                if not packet.size:
                    if with_flush:
                        yield packet
                elif packet.is_corrupt:
                    self._log.damaged += 1
                elif packet.pts is None or (packet.pts + (packet.duration or 0)) * packet.time_base > earliest:
                    yield packet
        except errors as error:
            message = f"sound of {self._source.path} could be read only in part ({reason(error)})"
            self._on_event(Event("audio_cut_short", message))


class _Nowhere:
    """A file that keeps only its length."""

    def __init__(self) -> None:
        self._place = self._length = 0

    def write(self, content: bytes) -> int:
        self._place += len(content)
        self._length = max(self._length, self._place)
        return len(content)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._length}[whence]
        return self._place

    def tell(self) -> int:
        return self._place


def _may_copy(source: AudioSource) -> bool:
    """Whether the sound is to be copied and MP4 accepts it as it is, tested on its first packets."""
    with open_input(source.path) as container:
        stream = container.streams.best("audio")
        if stream is None or source.codec == "aac":
            return False
        if source.codec == "auto" and codec_name(stream) not in PLAYED_CODECS:
            return False
        return _mp4_holds(container, stream)


def _mp4_holds(container: Any, stream: Any) -> bool:
    try:
        with pyav().open(io.BytesIO(), "w", format="mp4") as trial:
            target = trial.add_stream_from_template(stream)
            for packet in islice(container.demux(stream), TRIAL_PACKETS):
                if packet.size:
                    packet.stream = target
                    trial.mux(packet)
    except ffmpeg_errors():
        return False
    return True


def _transcoded(source: AudioSource, stream: Any, target: Any) -> Event:
    """The event about sound that is re-encoded."""
    name, context = codec_name(stream), target.codec_context
    message = f"sound of {source.path} ({name}) was re-encoded: AAC, {context.sample_rate} Hz, {context.layout.name}"
    if source.codec == "auto":
        message += "; browsers do not play the original from MP4"
    return Event("audio_transcoded", message)
