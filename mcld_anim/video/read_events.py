"""The events about a video that is read: its losses, and properties that its frames do not show."""

from __future__ import annotations

from fractions import Fraction

from mcld_anim.core.events import Event, EventSink
from mcld_anim.video.decode import DecodeLog
from mcld_anim.video.probe import VideoInfo
from mcld_anim.video.rates import HIGHEST_RATE
from mcld_anim.video.tone_map import hdr_event

MISSING_PERIODS = 2
"""Missing time before the declared end, in frames, from which a file was cut; the last frame's length is often not
stored. Where fewer frames come than were declared, half a frame is enough, but some time must be missing: the frames
that capture cards dropped are counted by AVI too, as empty packets."""

NAMED_JUMPS = 3
"""Jumps of a clock that an event names; the others are counted."""


def report_loss(info: VideoInfo, log: DecodeLog, on_event: EventSink) -> None:
    """Report losses of a damaged or truncated file in the part that was read."""
    fewer = log.from_beginning and info.frames is not None and log.packets < info.frames
    missing = (info.duration - float(log.end)) * float(info.fps)
    cut = log.at_end and missing > (1 / 2 if fewer else MISSING_PERIODS)
    if cut or log.ended_by:
        why = f" ({log.ended_by})" if log.ended_by else ""
        message = f"{info.path} is cut short or damaged{why}: only {float(log.end):.2f} s"
        message += f" of {info.duration:.2f} s could be read; the frames before that were used"
        on_event(Event("video_cut_short", message))
    elif log.damaged:
        message = f"{info.path} is damaged: {log.damaged} of {log.packets} stored frames could not be decoded"
        on_event(Event("video_damaged", message + "; the frames before them were repeated"))


def report_properties(info: VideoInfo, on_event: EventSink) -> None:
    """Report properties of a video that its frames do not show."""
    if info.hdr is not None:
        on_event(hdr_event(info))
    if info.clock.jumps:
        on_event(_clock_event(info))
    if info.transparent:
        message = f"{info.path} has transparent parts: they were shown in the colours that are stored there"
        on_event(Event("video_transparent", message))
    if info.video_streams > 1:
        message = f"{info.path} has {info.video_streams} video streams; only the main one was used"
        on_event(Event("video_streams", f"{message} ({info.width}x{info.height})"))
    if info.interlaced:
        on_event(Event("video_interlaced", f"{info.path} is interlaced: its frames were used as they are stored"))


def report_skipped(info: VideoInfo, fps: Fraction, log: DecodeLog, on_event: EventSink) -> None:
    """Report stored frames that are not shown at `fps`, unless a lower rate than the video's own was asked for."""
    if not log.skipped or fps < info.fps:
        return
    message = f"{log.skipped} of {log.shown + log.skipped} stored frames of {info.path} are not shown, because they"
    message += f" follow one another faster than {float(fps):g} per second"
    if fps < HIGHEST_RATE:
        message += "; a higher --fps shows them"
    on_event(Event("frames_skipped", message))


def _clock_event(info: VideoInfo) -> Event:
    places = [f"{float(jump.time - info.first_time):.2f} s by {float(jump.step):+.2f} s" for jump in info.clock.jumps]
    more = f" and {len(places) - NAMED_JUMPS} more" if len(places) > NAMED_JUMPS else ""
    message = f"the clock of {info.path} jumps at {', '.join(places[:NAMED_JUMPS])}{more}: the parts were joined there"
    return Event("video_clock", message)
