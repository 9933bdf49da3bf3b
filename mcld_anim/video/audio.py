"""The sound of an output video: copied bit by bit if MP4 allows it, otherwise re-encoded as AAC."""

from __future__ import annotations

import io
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcld_anim.core.errors import VideoError
from mcld_anim.core.events import Event, EventSink
from mcld_anim.video.container import codec_name, ffmpeg_errors, open_input, pyav, reason, seconds, ticks
from mcld_anim.video.probe import VideoInfo

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.packet import Packet

COPIED_CODECS = frozenset({"aac", "ac3", "eac3", "mp3", "opus", "flac", "alac"})
"""Codecs that MP4 players support. FFmpeg would also store Vorbis and PCM, which most players do not play."""

AAC_RATES = (48000, 44100, 96000, 88200, 64000, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Sample rates of AAC in Hz (ISO/IEC 14496-3, table 1.18); the first replaces all others."""

AAC_BITS_PER_CHANNEL = 96_000
"""Bits per second and channel: 192 kbit/s for stereo, where AAC is transparent to most listeners."""

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


def audio_source(info: VideoInfo, start: float = 0.0) -> AudioSource | None:
    """The sound of a video from `start` (seconds since its first frame) on; None if it has no sound."""
    if not info.has_audio:
        return None
    return AudioSource(info.path, info.first_time + Fraction(start).limit_denominator(1_000_000))


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
        self._damaged = 0
        with ExitStack() as stack:
            container = stack.enter_context(open_input(source.path))
            stream: Any = container.streams.best("audio")
            self._stream = stream
            self._container = container
            self._target: Any
            self._units: Generator[tuple[Fraction, Any], None, None]
            if _may_copy(source.path):
                self._target = out.add_stream_from_template(stream)
                self._units = self._copied()
            else:
                self._target = self._add_aac()
                self._units = self._decoded()
                name, rate = codec_name(stream), self._target.codec_context.sample_rate
                on_event(Event("audio_transcoded", f"sound of {source.path} ({name}) was re-encoded: AAC, {rate} Hz"))
            if source.start > LEAD_IN:
                target = ticks(source.start - LEAD_IN, stream.time_base)
                container.seek(target, stream=stream, backward=True)
            self._stack = stack.pop_all()
        self._waiting = next(self._units, None)

    def feed(self, until: Fraction) -> None:
        """Write the sound that begins before `until` (seconds of the output)."""
        while self._waiting is not None and self._waiting[0] < until:
            self._write(self._waiting[1])
            self._waiting = next(self._units, None)

    def finish(self) -> None:
        """Flush the encoder. Sound that was not fed is later than the pictures and is left out."""
        if self._target.codec_context.is_encoder:
            for packet in self._target.encode(None):
                self._out.mux(packet)
        if self._damaged:
            message = f"sound of {self._source.path} is damaged: {self._damaged} packets were left out"
            self._on_event(Event("audio_damaged", message))

    def close(self) -> None:
        """Close the input."""
        self._units.close()
        self._stack.close()

    def _write(self, unit: Any) -> None:
        if self._target.codec_context.is_encoder:
            for packet in self._target.encode(unit):
                self._out.mux(packet)
        else:
            unit.stream = self._target
            self._out.mux(unit)

    def _copied(self) -> Generator[tuple[Fraction, Packet], None, None]:
        """(output time, packet), with timestamps shifted so that `start` is 0."""
        for packet in self._packets():
            if packet.pts is None:
                self._damaged += 1
                continue
            packet.pts -= ticks(self._source.start, packet.time_base)
            packet.dts = packet.pts  # sound is never reordered
            yield seconds(packet.pts, packet.time_base), packet

    def _decoded(self) -> Generator[tuple[Fraction, Any], None, None]:
        """(output time, frame), with timestamps shifted so that `start` is 0."""
        errors = ffmpeg_errors()
        for packet in self._packets(with_flush=True):
            try:
                frames: list[Any] = packet.decode()
            except errors:
                self._damaged += 1
                continue
            for frame in frames:
                if frame.pts is None:
                    continue
                frame.pts -= ticks(self._source.start, frame.time_base)
                time = seconds(frame.pts, frame.time_base)
                if time + Fraction(frame.samples, frame.sample_rate) > 0:
                    yield time, frame

    def _packets(self, with_flush: bool = False) -> Generator[Packet, None, None]:
        """Sound packets from shortly before `start`."""
        earliest = self._source.start - LEAD_IN
        errors = ffmpeg_errors()
        try:
            for packet in self._container.demux(self._stream):
                if not packet.size:
                    if with_flush:
                        yield packet
                elif packet.is_corrupt:
                    self._damaged += 1
                elif packet.pts is None or (packet.pts + (packet.duration or 0)) * packet.time_base > earliest:
                    yield packet
        except errors as error:
            message = f"sound of {self._source.path} could be read only in part ({reason(error)})"
            self._on_event(Event("audio_cut_short", message))

    def _add_aac(self) -> Any:
        context = self._stream.codec_context
        rate = context.sample_rate if context.sample_rate in AAC_RATES else AAC_RATES[0]
        channels = context.layout.nb_channels
        layout = {1: "mono", 6: "5.1"}.get(channels, "stereo")
        target = self._out.add_stream("aac", rate=rate, layout=layout)
        target.bit_rate = AAC_BITS_PER_CHANNEL * target.layout.nb_channels
        return target


def _may_copy(path: Path) -> bool:
    """Whether MP4 accepts this sound as it is, tested on its first packets."""
    with open_input(path) as container:
        stream = container.streams.best("audio")
        if stream is None or codec_name(stream) not in COPIED_CODECS:
            return False
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
