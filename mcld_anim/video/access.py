"""Reading frames with decord where its pixels are identical to PyAV's.

decord 0.6.0 seeks to key frames. It is therefore faster than PyAV's sequential decoding if the frames to be read are
farther apart than the key frames, and slower otherwise. Seconds for H.264 on two busy CPU cores with PyAV 18.1,
including the examination for decord (0.2 to 0.6 s):

| frames read | key frame every | PyAV decodes all | decord | PyAV seeks for each |
|---|---|---|---|---|
| all of 6,000, 512x512 | 30 | 2.6 | 3.9 | |
| all of 1,052, 1080x1920 | 30 | 3.4 | 7.3 | |
| every 5th of 1,052, 1080x1920 | 30 | 2.6 | 5.0 | |
| every 30th of 6,000, 512x512 | 30 | 1.8 | 1.1 | 1.0 |
| every 30th of 6,000, 512x512 | 250 | 2.1 | 3.2 | 9.1 |
| every 30th of 1,052, 1080x1920 | 30 | 4.2 | 3.0 | 2.1 |
| every 30th of 1,052, 1080x1920 | 60 | 4.2 | 4.9 | 3.5 |
| every 60th of 1,052, 1080x1920 | 60 | 4.0 | 2.0 | 0.7 |

For 8-bit 4:2:0 and 4:4:4 video both convert colours by the same path of swscale, and decord's own quarter turns equal
this package's, so the pixels are identical. They differ for 10-bit video, HD video without colour tags (decord assumes
BT.601) and mirrored video; decord also returns wrong frames after a seek into an open group of pictures and in MPEG-TS.
It cannot read AV1 and some VP9 files, and it hangs on damaged ones. Each file is therefore examined first: its packets,
decord's times, and a sample of frames. If anything differs, PyAV reads it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from itertools import count, pairwise
from typing import Any

import numpy as np

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import MissingDependencyError
from mcld_anim.core.events import Event, EventSink
from mcld_anim.video.container import open_video, pyav, seconds
from mcld_anim.video.decode import DecodeLog, read_packets
from mcld_anim.video.probe import VideoInfo
from mcld_anim.video.read import FrameGrid, VideoFrame, stream_frames
from mcld_anim.video.read_events import MISSING_PERIODS, report_properties

FRAMES_PER_FETCH = 8
"""Frames fetched together: 50 MB at 1080p."""

SAME_TIME = 1e-4
"""Largest difference of equal times, in seconds: a tenth of the coarsest clock in use (1 ms)."""


def decord_frames(
    info: VideoInfo, grid: FrameGrid, every: int, asked_for: bool, on_event: EventSink
) -> Iterator[VideoFrame] | None:
    """Every `every`-th frame of `grid`; None if decord is missing, slower, or would return other frames than PyAV.

    If decord was `asked_for`, speed does not matter, a missing package is an error and a difference is an event.
    """
    if find_spec("decord") is None:
        if asked_for:
            raise MissingDependencyError("decord is not installed; run: pip install 'mcld-anim[decord]'")
        return None
    try:
        frames = _open_decord(info, None if asked_for else every / grid.fps)
    except _Unsuitable as difference:
        if asked_for:
            message = f"{info.path} is read with PyAV: decord would return other frames ({difference})"
            on_event(Event("decord_not_used", message))
        return None
    return _stream(frames, grid, every, on_event)


def _stream(frames: _DecordFrames, grid: FrameGrid, every: int, on_event: EventSink) -> Iterator[VideoFrame]:
    report_properties(frames.info, on_event)
    waiting: list[tuple[int, int]] = []  # (index, stored frame)
    for index in count(step=every):
        stored = frames.shown_at(grid, index) if grid.wants(index) else None
        if stored is not None:
            waiting.append((index, stored))
        if waiting and (stored is None or len(waiting) == FRAMES_PER_FETCH):
            try:
                pictures = frames.pictures([each for _, each in waiting])
            except _Unsuitable:  # decord failed midway; PyAV returns the same frames
                yield from stream_frames(frames.info, grid, on_event, first=waiting[0][0], every=every)
                return
            for (shown, _), picture in zip(waiting, pictures, strict=True):
                yield VideoFrame(shown, float(grid.time(shown)), picture, "decord")
            waiting = []
        if stored is None:
            return


class _Unsuitable(Exception):
    """decord cannot read a file as PyAV does; the text gives the reason."""


@dataclass(frozen=True)
class _DecordFrames:
    reader: Any
    times: list[Fraction]  # of the stored frames, seconds since the first
    end: Fraction  # of the last
    info: VideoInfo

    def shown_at(self, grid: FrameGrid, index: int) -> int | None:
        """The stored frame shown at an instant, by the same rule as `read.resample`; None after the end."""
        instant = grid.time(index) + grid.tolerance
        if instant > self.end and not (index == 0 and grid.start < self.end):
            return None
        return max(bisect_left(self.times, instant) - 1, 0)

    def pictures(self, stored: Sequence[int]) -> list[Picture]:
        """Upright pictures that share no memory; raises `_Unsuitable` if decord fails."""
        import decord

        distinct = sorted(set(stored))  # a repeated frame is decoded once
        try:
            frames = self.reader.get_batch(distinct).asnumpy()
        except (decord.DECORDError, IndexError) as error:
            raise _Unsuitable(_first_line(error)) from error
        return [self.info.upright.scale(frames[distinct.index(each)].copy()) for each in stored]


def _open_decord(info: VideoInfo, least_spacing: Fraction | None) -> _DecordFrames:
    """Examine and open a file; decord is slower if key frames are farther apart than `least_spacing` (seconds)."""
    times, end, key_frames = _closed_times(info)
    if least_spacing is not None and end / key_frames > least_spacing:
        raise _Unsuitable("its key frames are farther apart than the frames to be read")
    pyav()  # before decord, whose older libvpx would otherwise replace PyAV's and break it
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(info.path), ctx=decord.cpu(0))
        starts = reader.get_frame_timestamp(range(len(reader)))[:, 0]
        if len(starts) != len(times):
            raise _Unsuitable(f"it counts {len(starts)} frames, not {len(times)}")
        if max(abs(starts - [float(time + info.first_time) for time in times])) > SAME_TIME:
            raise _Unsuitable("its times differ")
        frames = _DecordFrames(reader, times, end, info)
        _compare(frames, info)
    except (decord.DECORDError, IndexError, UnicodeEncodeError) as error:  # the last: it takes UTF-8 names only
        raise _Unsuitable(_first_line(error)) from error
    return frames


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _closed_times(info: VideoInfo) -> tuple[list[Fraction], Fraction, int]:
    """Times of the stored frames, the end of the last, and the number of key frames, if all groups of pictures are
    closed and nothing is damaged."""
    if info.decoding_times:
        raise _Unsuitable("the container has no presentation times")
    if info.clock.jumps:
        raise _Unsuitable("its clock jumps")
    times: list[Fraction] = []
    last = end = key_time = Fraction(0)
    key_frames = 0
    log = DecodeLog()
    with open_video(info.path) as (container, stream):
        for packet in read_packets(container, stream, log):
            if not packet.size:
                continue
            if packet.pts is None or packet.is_corrupt or packet.is_discard:
                raise _Unsuitable("some frames are damaged, hidden or without a time")
            time = seconds(packet.pts, packet.time_base) - info.first_time
            if packet.is_keyframe:
                key_time = time
                key_frames += 1
            elif time < key_time:
                raise _Unsuitable("a frame before a key frame needs it: an open group of pictures")
            times.append(time)
            length = seconds(packet.duration, packet.time_base) if packet.duration else 1 / info.fps
            last, end = max((last, end), (time, time + length))
        missing = (info.duration - float(end)) * info.fps > MISSING_PERIODS
        if log.ended_by or missing or (stream.frames and stream.frames != len(times)):
            raise _Unsuitable("the file is damaged or cut short")
    times.sort()
    if not key_frames or times[0] != 0 or any(later == earlier for earlier, later in pairwise(times)):
        raise _Unsuitable("the times of its frames are not distinct")
    return times, end, key_frames


def _compare(frames: _DecordFrames, info: VideoInfo) -> None:
    """Raise `_Unsuitable` if a sample of frames, fetched in an order that requires seeking, is not identical."""
    last = len(frames.times) - 1
    # Instants in the middle of a stored frame, so that rounding cannot change which one is shown
    for stored in dict.fromkeys((0, last, last // 2)):
        instant = FrameGrid(info.fps, frames.times[stored], None, 1, Fraction(1, 1_000_000))
        (expected,) = stream_frames(info, instant, lambda event: None)
        (picture,) = frames.pictures([stored])
        if picture.shape != expected.picture.shape or not np.array_equal(picture, expected.picture):
            raise _Unsuitable(f"frame {stored} has other pixels")
