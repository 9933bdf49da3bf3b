"""Re-encoding sound as AAC: its channels are kept, gaps become silence, and overlaps are cut."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32

from mcld_anim.video.audio_times import SoundLog
from mcld_anim.video.container import ffmpeg_errors, pyav, seconds

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import OutputContainer
    from av.packet import Packet

Samples = Float32[np.ndarray, "samples channels"]
"""Sound in -1..1, one column a channel."""

AAC_RATES = (48000, 44100, 96000, 88200, 64000, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
"""Sample rates of AAC in Hz (ISO/IEC 14496-3, table 1.18); the first replaces all others."""

AAC_LAYOUTS = {
    "mono": {"FC"},
    "stereo": {"FL", "FR"},
    "3.0": {"FL", "FR", "FC"},
    "4.0": {"FL", "FR", "FC", "BC"},
    "5.0": {"FL", "FR", "FC", "BL", "BR"},
    "5.1": {"FL", "FR", "FC", "LFE", "BL", "BR"},
    "7.1": {"FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"},
}
"""Loudspeakers of AAC's channel configurations 1 to 7 (ISO/IEC 14496-3, table 1.19), which every decoder knows."""

LARGEST = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""Layouts for other loudspeakers, by the largest number of channels that they take."""

AAC_BITS_PER_CHANNEL = 96_000
"""Bits per second and channel: 192 kbit/s for stereo, where AAC is transparent to most listeners."""

BLOCK = 1024
"""Samples of an AAC packet (ISO/IEC 14496-3, 4.5.2.1)."""

SAME_TIME = Fraction(2, 1000)
"""Largest difference, in seconds, between a packet's time and its predecessor's end that is rounding: containers round
both to 1 ms."""


def add_aac(stream: Any, out: OutputContainer) -> Any:
    """Add an AAC stream for the sound of `stream` to `out`."""
    context = stream.codec_context
    rate = context.sample_rate if context.sample_rate in AAC_RATES else AAC_RATES[0]
    target: Any = out.add_stream("aac", rate=rate, layout=aac_layout([one.name for one in context.layout.channels]))
    target.bit_rate = AAC_BITS_PER_CHANNEL * target.layout.nb_channels
    return target


def aac_layout(channels: list[str]) -> str:
    """The smallest layout of AAC in which no loudspeaker of `channels` (FFmpeg's names) is lost."""
    placed = {*channels}
    if len(channels) <= 6:  # at the sides or behind: 5.1 has one pair of both
        placed = {{"SL": "BL", "SR": "BR"}.get(name, name) for name in channels}
    for layout, loudspeakers in AAC_LAYOUTS.items():
        if placed <= loudspeakers:
            return layout
    return next((layout for most, layout in LARGEST.items() if len(channels) <= most), "7.1")


def aac_frames(
    packets: Iterable[Packet], start: Fraction, target: Any, log: SoundLog
) -> Generator[tuple[Fraction, AudioFrame], None, None]:
    """(output time, frame for the encoder `target`) of the packets' sound; `start` (seconds) becomes time 0."""
    context = target.codec_context
    rate, layout = context.sample_rate, context.layout.name
    sound = _resampled(_decoded(packets, log), layout, rate)
    pieces = _contiguous(((round((time - start) * rate), samples) for time, samples in sound), rate, log)
    for first, samples in _blocks(pieces):
        frame = pyav().AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
        yield Fraction(first, rate), frame


def _decoded(packets: Iterable[Packet], log: SoundLog) -> Iterator[AudioFrame]:
    errors = ffmpeg_errors()
    for packet in packets:
        try:
            frames: list[Any] = packet.decode()
        except errors:
            log.damaged += 1
            continue
        yield from (frame for frame in frames if frame.pts is not None)


def _resampled(frames: Iterable[AudioFrame], layout: str, rate: int) -> Iterator[tuple[Fraction, Samples]]:
    """(time in seconds, samples) at one rate and layout; those of a broadcast may change on the way."""
    kind: tuple[str, str, int] | None = None
    resampler: Any = None
    for frame in frames:
        if kind != (frame.format.name, frame.layout.name, frame.sample_rate):
            kind = (frame.format.name, frame.layout.name, frame.sample_rate)
            if resampler is not None:
                yield from _samples(resampler.resample(None))
            resampler = pyav().AudioResampler("flt", layout, rate)
        yield from _samples(resampler.resample(frame))
    if resampler is not None:
        yield from _samples(resampler.resample(None))


def _samples(frames: Iterable[Any]) -> Iterator[tuple[Fraction, Samples]]:
    for frame in frames:
        yield seconds(frame.pts, frame.time_base), frame.to_ndarray().reshape(frame.samples, -1)


def _contiguous(sound: Iterable[tuple[int, Samples]], rate: int, log: SoundLog) -> Iterator[tuple[int, Samples]]:
    """(number of the first sample, samples) from sample 0 on, each piece after the other."""
    end: int | None = None
    for first, samples in sound:
        if end is None:
            end = max(first, 0)
        missing = first - end
        if missing > SAME_TIME * rate:
            while first > end:
                silence = np.zeros((min(first - end, rate), samples.shape[1]), np.float32)
                yield end, silence
                end += len(silence)
        elif -missing > SAME_TIME * rate:
            log.overlapping += end > 0  # what lies before the cut is no overlap
            samples = samples[-missing:]
        if len(samples):
            yield end, samples
            end += len(samples)


def _blocks(pieces: Iterable[tuple[int, Samples]]) -> Iterator[tuple[int, Samples]]:
    """(number of the first sample, samples) in blocks of the encoder's size, the last one shorter."""
    first, waiting = 0, None
    for place, samples in pieces:
        if waiting is None or not len(waiting):
            first, waiting = place, samples
        else:
            waiting = np.concatenate([waiting, samples])
        while len(waiting) >= BLOCK:
            yield first, waiting[:BLOCK]
            first, waiting = first + BLOCK, waiting[BLOCK:]
    if waiting is not None and len(waiting):
        yield first, waiting
