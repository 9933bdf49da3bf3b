"""From stored frames, whose shape may change in the stream, to pictures of one size."""

from __future__ import annotations

from fractions import Fraction

from mcld_anim.core.arrays import AnySizePicture
from mcld_anim.core.events import Event, EventSink
from mcld_anim.video.decode import TimedFrame
from mcld_anim.video.probe import VideoInfo
from mcld_anim.video.tone_map import rgb_converter
from mcld_anim.video.upright import Upright, fitted, upright_of


class FramePictures:
    """Converts the stored frames of one video to pictures of one size, the first frame's."""

    def __init__(self, info: VideoInfo, on_event: EventSink) -> None:
        self._info, self._on_event = info, on_event
        self._convert = rgb_converter(info)
        self._shape: tuple[int, int, int, Fraction] | None = None
        self._upright = info.upright
        self._told = False

    def __call__(self, timed: TimedFrame) -> AnySizePicture:
        """The upright picture of a frame, with borders where its shape is not the first frame's."""
        info, upright = self._info, self._upright_of(timed)
        picture = upright.apply(self._convert(timed.frame))
        if upright != info.upright and not self._told:
            self._told = True
            message = f"frames of {info.path} change their size or orientation, at {float(timed.time):.2f} s to"
            message += f" {upright.width}x{upright.height}: they were turned upright and fitted into {info.width}x"
            self._on_event(Event("video_shape_changes", f"{message}{info.height}, with black borders"))
        if (upright.height, upright.width) == (info.height, info.width):
            return picture
        return fitted(picture, info.height, info.width)

    def _upright_of(self, timed: TimedFrame) -> Upright:
        """The steps for a frame. Its side data are read only if its shape has changed: they keep frames in memory."""
        info, frame, aspect = self._info, timed.frame, self._info.sample_aspect
        # The container's word on the pixels holds until the stream says something else
        if timed.coded_aspect is not None and timed.coded_aspect != info.coded_aspect:
            aspect = timed.coded_aspect
        shape = (frame.width, frame.height, frame.rotation, aspect)
        if shape != self._shape:
            self._shape, self._upright = shape, upright_of(frame, aspect)
        return self._upright
