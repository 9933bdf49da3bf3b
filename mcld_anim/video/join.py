"""Finished pictures and their sound become one file, ready to stream; nothing is encoded again but the sound."""

from __future__ import annotations

from contextlib import ExitStack, closing
from fractions import Fraction
from pathlib import Path

from mcld_anim.core.events import EventSink
from mcld_anim.video.audio import AudioSource, add_sound
from mcld_anim.video.container import pyav, seconds


def join(
    pictures: Path, sound: AudioSource | None, length: Fraction, path: Path, container: str, on_event: EventSink
) -> None:
    """Copy the video of `pictures`, and `length` seconds of `sound`, into a new file: "mp4" or "mov".

    Raises FFmpeg's errors if the pictures cannot be copied. Sound that fails is left out from there on, with an event.
    """
    with ExitStack() as stack:
        source = stack.enter_context(pyav().open(f"file:{pictures.absolute()}"))
        options = {"movflags": "+faststart"}
        out = stack.enter_context(pyav().open(f"file:{path.absolute()}", "w", format=container, options=options))
        stored = source.streams.video[0]
        video = out.add_stream_from_template(stored)
        video.codec_context.codec_tag = stored.codec_context.codec_tag  # which tells ProRes 4444 from 422
        track = None if sound is None else add_sound(sound, out, on_event)
        if track is not None:
            stack.enter_context(closing(track))
        out.start_encoding()
        first: int | None = None
        for packet in source.demux(stored):
            if not packet.size:
                continue
            assert packet.pts is not None
            assert packet.dts is not None
            # With frames that are reordered, a file written piece by piece begins late
            first = packet.pts if first is None else first
            packet.pts, packet.dts = packet.pts - first, packet.dts - first
            if track is not None:
                track.feed(min(seconds(packet.dts, packet.time_base), length))
            packet.stream = video
            out.mux(packet)
        if track is not None:
            track.feed(length)
            track.finish()
