"""Frames of a video in any order, by batches: decord where it gives exactly PyAV's pixels, PyAV elsewhere.

What was found with decord 0.6.0 and PyAV 18.1: for 8-bit 4:2:0 and 4:4:4 video both convert colours by the
same path of swscale, and decord's own rotation by quarters equals ours, so the pixels are identical. They
differ for 10-bit video, for HD video without colour tags (decord takes BT.601), for mirrored video, and in
wrong frames after a seek into an open group of pictures and in MPEG-TS. decord cannot read AV1 and some VP9
files, and it stalls on damaged ones. So each file is examined first: its packets, decord's times, and a sample
of frames. Where anything differs, PyAV reads it.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib.util import find_spec
from itertools import count, pairwise
from types import TracebackType
from typing import Any, Literal

import numpy as np

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import MissingDependencyError, VideoError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.video.container import open_video, pyav, seconds
from mcld_anim.video.decode import DecodeLog, read_packets
from mcld_anim.video.probe import VideoInfo, probe
from mcld_anim.video.read import MISSING_PERIODS, FrameGrid, VideoFrame, frame_grid, stream_frames

Backend = Literal["auto", "pyav", "decord"]

STREAM_BATCH = 8
"""Frames fetched together when everything is read in order: 50 MB at 1080p."""

READ_ON = 48
"""Frames. A request up to this far ahead is reached by decoding on; key frames are usually farther apart."""

SAME_TIME = 1e-4
"""Seconds, a tenth of the coarsest clock in use (1 ms)."""


def open_frames(
    path: str | os.PathLike[str] | VideoInfo,
    fps: str | float | Fraction = "source",
    start: float = 0.0,
    end: float | None = None,
    max_frames: int | None = None,
    backend: Backend = "auto",
    on_event: EventSink = warn,
) -> FrameAccess:
    """Random access to the same frames, under the same indices, as `read_frames` with the same arguments."""
    info = path if isinstance(path, VideoInfo) else probe(path)
    return FrameAccess(info, frame_grid(info, fps, start, end, max_frames), backend, on_event)


class FrameAccess:
    """Batches of frames by index. Use it in a `with` block."""

    backend: Literal["pyav", "decord"]

    def __init__(self, info: VideoInfo, grid: FrameGrid, backend: Backend = "auto", on_event: EventSink = warn) -> None:
        self.info = info
        self.grid = grid
        self._on_event = on_event
        self._decord: _DecordFrames | None = None
        self._ahead: Iterator[VideoFrame] | None = None
        self._next_index = 0
        if backend != "pyav":
            self._try_decord(asked_for=backend == "decord")
        self.backend = "pyav" if self._decord is None else "decord"

    def batch(self, indices: Sequence[int]) -> list[VideoFrame]:
        """The frames at `indices`, in that order; VideoError if the video has no such frame."""
        wanted = sorted(set(indices))
        if wanted and (wanted[0] < 0 or not self.grid.wants(wanted[-1])):
            wrong = wanted[0] if wanted[0] < 0 else wanted[-1]
            raise VideoError(f"{self.info.path}: frame {wrong} was not asked for; give indices inside the chosen part")
        found = self._decord_batch(wanted)
        if found is None:
            found = {index: self._decode(index) for index in wanted}
        return [found[index] for index in indices]

    def _decord_batch(self, wanted: list[int]) -> dict[int, VideoFrame] | None:
        if self._decord is None:
            return None
        stored = [self._stored(index) for index in wanted]
        try:
            pictures = self._decord.pictures(stored)
        except _Differs:  # decord failed in the middle; PyAV gives the same frames
            self._decord, self.backend = None, "pyav"
            return None
        times = (float(self.grid.time(index)) for index in wanted)
        return dict(zip(wanted, map(VideoFrame, wanted, times, pictures), strict=True))

    def stream(self) -> Iterator[VideoFrame]:
        """All frames in order."""
        frames = self._decord
        if frames is None:
            yield from stream_frames(self.info, self.grid, self._on_event)
            return
        waiting: list[int] = []
        for index in count():
            more = self.grid.wants(index) and frames.shown_at(self.grid, index) is not None
            if more:
                waiting.append(index)
            if waiting and (not more or len(waiting) == STREAM_BATCH):
                yield from self.batch(waiting)
                waiting = []
            if not more:
                return

    def close(self) -> None:
        """Free the decoders."""
        self._decord = None
        self._ahead = None

    def __enter__(self) -> FrameAccess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _try_decord(self, asked_for: bool) -> None:
        if find_spec("decord") is None:
            if asked_for:
                raise MissingDependencyError("decord is not installed; run: pip install 'mcld-anim[decord]'")
            return
        try:
            self._decord = _open_decord(self.info)
        except _Differs as difference:
            if asked_for:
                message = f"{self.info.path} is read with PyAV: decord would give other frames ({difference})"
                self._on_event(Event("decord_not_used", message))

    def _stored(self, index: int) -> int:
        assert self._decord is not None
        stored = self._decord.shown_at(self.grid, index)
        if stored is None:
            raise self._past_end(index)
        return stored

    def _decode(self, index: int) -> VideoFrame:
        if self._ahead is None or not 0 <= index - self._next_index <= READ_ON:
            self._ahead = stream_frames(self.info, self.grid, self._on_event, first=index)
            self._next_index = index
        for frame in self._ahead:
            self._next_index = frame.index + 1
            if frame.index == index:
                return frame
        self._ahead = None
        raise self._past_end(index)

    def _past_end(self, index: int) -> VideoError:
        return VideoError(f"{self.info.path} ends before frame {index} ({float(self.grid.time(index)):.3f} s)")


class _Differs(Exception):
    """decord would not give the frames that PyAV gives; the text says why."""


@dataclass(frozen=True)
class _DecordFrames:
    reader: Any
    times: list[Fraction]  # of the stored frames, seconds since the first
    end: Fraction  # of the last
    info: VideoInfo

    def shown_at(self, grid: FrameGrid, index: int) -> int | None:
        """Which stored frame the instant shows, by the same rule as `read.resample`; None after the end."""
        instant = grid.time(index) + grid.tolerance
        if instant > self.end and not (index == 0 and grid.start < self.end):
            return None
        return max(bisect_left(self.times, instant) - 1, 0)

    def pictures(self, stored: Sequence[int]) -> list[Picture]:
        """Upright pictures, each with memory of its own; raises `_Differs` where decord fails."""
        import decord

        distinct = sorted(set(stored))  # a frame that is held is decoded once
        try:
            frames = self.reader.get_batch(distinct).asnumpy()
        except (decord.DECORDError, IndexError) as error:
            raise _Differs(_first_line(error)) from error
        return [self.info.upright.scale(frames[distinct.index(each)].copy()) for each in stored]


def _open_decord(info: VideoInfo) -> _DecordFrames:
    times, end = _closed_times(info)
    pyav()  # before decord: the other way round its older libvpx takes the place of PyAV's, which then fails
    import decord

    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(info.path), ctx=decord.cpu(0))
        starts = reader.get_frame_timestamp(range(len(reader)))[:, 0]
        if len(starts) != len(times):
            raise _Differs(f"it counts {len(starts)} frames, not {len(times)}")
        if max(abs(starts - [float(time + info.first_time) for time in times])) > SAME_TIME:
            raise _Differs("it gives other times")
        frames = _DecordFrames(reader, times, end, info)
        _compare(frames, info)
    except (decord.DECORDError, IndexError) as error:
        raise _Differs(_first_line(error)) from error
    return frames


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _closed_times(info: VideoInfo) -> tuple[list[Fraction], Fraction]:
    """Times of the stored frames and the end of the last, if every key frame begins anew and nothing is
    damaged."""
    if info.decoding_times:
        raise _Differs("the container does not say when frames are shown")
    times: list[Fraction] = []
    last = end = key_time = Fraction(0)
    log = DecodeLog()
    with open_video(info.path) as (container, stream):
        for packet in read_packets(container, stream, log):
            if not packet.size:
                continue
            if packet.pts is None or packet.is_corrupt or packet.is_discard:
                raise _Differs("some frames are damaged, hidden or without a time")
            time = seconds(packet.pts, packet.time_base) - info.first_time
            if packet.is_keyframe:
                key_time = time
            elif time < key_time:
                raise _Differs("a frame before a key frame needs it: an open group of pictures")
            times.append(time)
            length = seconds(packet.duration, packet.time_base) if packet.duration else 1 / info.fps
            last, end = max((last, end), (time, time + length))
        missing = (info.duration - float(end)) * info.fps > MISSING_PERIODS
        if log.ended_by or missing or (stream.frames and stream.frames != len(times)):
            raise _Differs("the file is damaged or cut short")
    times.sort()
    if not times or times[0] != 0 or any(later == earlier for earlier, later in pairwise(times)):
        raise _Differs("the times of its frames are not distinct")
    return times, end


def _compare(frames: _DecordFrames, info: VideoInfo) -> None:
    """Raise if a sample of frames, fetched in an order that makes both seek, is not identical."""
    last = len(frames.times) - 1
    # Instants in the middle of a stored frame, so that no rounding decides which one is shown
    for stored in dict.fromkeys((0, last, last // 2)):
        instant = FrameGrid(info.fps, frames.times[stored], None, 1, Fraction(1, 1_000_000))
        (expected,) = stream_frames(info, instant, lambda event: None)
        (picture,) = frames.pictures([stored])
        if picture.shape != expected.picture.shape or not np.array_equal(picture, expected.picture):
            raise _Differs(f"frame {stored} has other pixels")
