"""Reading a video as upright frames with square pixels at a constant rate, one at a time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import UsageError, VideoError
from mcld_anim.core.events import EventSink, warn
from mcld_anim.video.container import ffmpeg_errors, open_video, ticks
from mcld_anim.video.decode import DecodeLog, TimedFrame, timed_frames
from mcld_anim.video.frame_pictures import FramePictures
from mcld_anim.video.probe import VideoInfo, probe
from mcld_anim.video.rates import exact_rate
from mcld_anim.video.read_events import report_loss, report_properties, report_skipped

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

Reader = Literal["pyav", "decord"]

SPARSE = 30
"""Least distance, in frames, between frames to be read from which a file is examined for decord. Phones and x264 place
key frames 30 to 250 frames apart, and decord is faster only if they are closer than the frames read (see `access`)."""

LONGEST_STILL, MOST_REPEATS = 600, 100
"""Time in seconds for which one frame may be shown, and how often it may always be. A time that is wrong by years would
fill the disk with it."""

LEAST_SEEK = 1
"""Least time from the beginning, in seconds, for which seeking is faster than decoding."""


@dataclass(frozen=True)
class VideoFrame:
    """One frame at a constant rate."""

    index: int  # 0, 1, ... from `start`
    time: float  # seconds since the video's first frame
    picture: Picture
    reader: Reader = "pyav"  # what decoded it


@dataclass(frozen=True)
class FrameGrid:
    """The instants at which a video is sampled."""

    fps: Fraction
    start: Fraction  # seconds since the video's first frame
    end: Fraction | None
    max_frames: int | None
    tolerance: Fraction
    """Time by which a frame may be shown early, in seconds: half a period, so rounding and jitter have no effect."""

    def time(self, index: int) -> Fraction:
        """Seconds since the video's first frame."""
        return self.start + index / self.fps

    def wants(self, index: int) -> bool:
        """Whether `index` lies within the limits, if the video lasts that long."""
        if self.max_frames is not None and index >= self.max_frames:
            return False
        return self.end is None or self.time(index) < self.end


def frame_grid(
    info: VideoInfo, fps: str | float | Fraction, start: float, end: float | None, max_frames: int | None
) -> FrameGrid:
    """The instants for the options, checked against each other and the video."""
    if isinstance(fps, str) and fps != "source":
        raise UsageError(f'--fps {fps} is not a frame rate; give frames per second or "source"')
    rate = info.fps if isinstance(fps, str) else exact_rate(fps)
    if not 0 <= start < float("inf"):
        raise UsageError(f"--start {start} is not a time in the video; give seconds from 0")
    if end is not None and not end > start:
        raise UsageError(f"--end {end} is not after --start {start}; give a later time in seconds")
    if max_frames is not None and max_frames < 1:
        raise UsageError(f"--max-frames {max_frames} leaves nothing to read; give 1 or more")
    if start >= info.duration:
        raise VideoError(f"{info.path} is {info.duration:.3f} s long; --start {start} must lie before its end")
    grid = FrameGrid(
        fps=rate,
        start=_seconds(start),
        end=None if end is None else _seconds(end),
        max_frames=max_frames,
        tolerance=1 / (2 * max(rate, info.fps)),
    )
    for begin, until in info.pauses:
        _check_still(info, grid, begin, until)
    return grid


def read_frames(
    path: str | os.PathLike[str] | VideoInfo,
    fps: str | float | Fraction = "source",
    start: float = 0.0,
    end: float | None = None,
    max_frames: int | None = None,
    backend: Literal["auto", "pyav", "decord"] = "auto",
    on_event: EventSink = warn,
    every: int = 1,
) -> Iterator[VideoFrame]:
    """Frames of a video from `start` up to `end` (seconds), `fps` per second ("source": the nominal rate).

    Each instant shows the last frame that began before it (or less than half a period after it), until the last frame
    ends. A variable rate thus becomes constant, and the frames stay in sync with the sound. Arguments are checked at
    once; memory is that of a few frames. VideoError for a frame that is shown for longer than `LONGEST_STILL`.

    `every` n yields every n-th of these frames only, with its own index. High dynamic range is tone-mapped to BT.709 if
    imageio-ffmpeg is installed (see `tone_map`).

    "auto" reads with PyAV, which is faster in order (2.6 s against decord's 3.9 s for 6,000 frames of 512x512), and
    with decord if `every` is at least `SPARSE`, key frames are closer, and it is installed and returns the same pixels
    (see `access`). Each frame names its reader.
    """
    info = path if isinstance(path, VideoInfo) else probe(path)
    grid = frame_grid(info, fps, start, end, max_frames)
    if backend == "decord" or (backend == "auto" and every >= SPARSE):
        from mcld_anim.video.access import decord_frames

        frames = decord_frames(info, grid, every, backend == "decord", on_event)
        if frames is not None:
            return frames
    return stream_frames(info, grid, on_event, every=every)


def stream_frames(
    info: VideoInfo, grid: FrameGrid, on_event: EventSink, first: int = 0, every: int = 1
) -> Iterator[VideoFrame]:
    """Every `every`-th frame of `grid` from index `first`, decoded with PyAV."""
    if first == 0:
        report_properties(info, on_event)
    picture_of = FramePictures(info, on_event)
    given = 0
    log = DecodeLog()
    shown: TimedFrame | None = None
    stored = _checked(info, grid, _stored_frames(info, grid.time(first), log))
    for index, timed in resample(stored, grid, first, log):
        if (index - first) % every:
            continue
        if timed is not shown:
            picture, shown = picture_of(timed), timed
        else:
            picture = picture.copy()  # a repeated frame, whose first copy the caller may have drawn on
        yield VideoFrame(index, float(grid.time(index)), picture)
        given += 1
    report_loss(info, log, on_event)
    report_skipped(info, grid.fps, log, on_event)
    if given == 0:
        raise VideoError(f"{info.path} has no frame at {float(grid.time(first)):.3f} s: it ends earlier, check --start")


def resample(
    stored: Iterable[TimedFrame], grid: FrameGrid, first: int = 0, log: DecodeLog | None = None
) -> Iterator[tuple[int, TimedFrame]]:
    """The stored frame shown at each instant of the grid, from index `first`; frames are ordered by time.

    `log` counts the stored frames that are shown, and those after the first instant that are not.
    """
    log = log or DecodeLog()
    index = first
    held: TimedFrame | None = None
    for timed in stored:
        if held is not None:
            before = index
            while grid.wants(index) and grid.time(index) + grid.tolerance <= timed.time:
                yield index, held
                index += 1
            log.shown += index > before
            log.skipped += index == before and held.time >= grid.time(first)
        if not grid.wants(index):
            return
        held = timed
    if held is None:
        return
    before = index
    while grid.wants(index) and (
        grid.time(index) + grid.tolerance <= held.end or (index == 0 and grid.time(0) < held.end)
    ):
        yield index, held
        index += 1
    log.shown += index > before
    log.skipped += index == before and grid.wants(index) and held.time >= grid.time(first)


def _checked(info: VideoInfo, grid: FrameGrid, stored: Iterable[TimedFrame]) -> Iterator[TimedFrame]:
    """The same frames; refuses one that is shown for longer than `LONGEST_STILL`."""
    held: TimedFrame | None = None
    for timed in stored:
        if held is not None:
            _check_still(info, grid, held.time, timed.time)
        yield timed
        held = timed
    if held is not None:
        _check_still(info, grid, held.time, held.end)


def _check_still(info: VideoInfo, grid: FrameGrid, begin: Fraction, until: Fraction) -> None:
    """Refuse a frame that is shown from `begin` to `until` (seconds), as far as the grid has instants there."""
    last = until if grid.end is None else min(until, grid.end)
    if grid.max_frames is not None:
        last = min(last, grid.time(grid.max_frames))
    still = last - max(begin, grid.start)
    if still > LONGEST_STILL and still * grid.fps > MOST_REPEATS:
        raise VideoError(
            f"{info.path} shows one frame from {float(begin):.2f} s on, for {float(until - begin) / 3600:.1f} hours: "
            "choose the part before with --end, or make the video again"
        )


def _stored_frames(info: VideoInfo, from_time: Fraction, log: DecodeLog) -> Iterator[TimedFrame]:
    """Stored frames in order, from a key frame at or before `from_time` to the end."""
    period = 1 / info.fps
    if from_time >= LEAST_SEEK and not info.decoding_times and not info.clock.jumps:
        with open_video(info.path) as (container, stream):
            frames = _frames_near(container, stream, info, from_time, log)
            timed = next(frames, None)
            # Some containers seek beyond the target or have no times; then only the beginning is safe
            if timed is not None and timed.frame.pts is not None and timed.time <= from_time:
                log.from_beginning = timed.time == 0
                yield timed
                yield from frames
                return
        log.restart()
    with open_video(info.path) as (container, stream):
        yield from timed_frames(container, stream, log, info.first_time, period, info.clock)


def _frames_near(
    container: InputContainer, stream: VideoStream, info: VideoInfo, from_time: Fraction, log: DecodeLog
) -> Iterator[TimedFrame]:
    """Stored frames from the key frame that the container seeks to for `from_time`; none if it cannot seek."""
    errors = ffmpeg_errors()
    try:
        target = ticks(info.first_time + from_time, stream.time_base)
        container.seek(target, stream=stream, backward=True)
    except errors:
        return
    yield from timed_frames(container, stream, log, info.first_time, 1 / info.fps)


def _seconds(value: float) -> Fraction:
    """Seconds as the exact decimal: 0.1 is 1/10."""
    return Fraction(value).limit_denominator(1_000_000)
