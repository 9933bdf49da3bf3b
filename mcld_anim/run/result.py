"""The file of a run's result: which writer it needs, and how a frame is laid out in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.stages import Stages
from mcld_anim.report.side_by_side import side_by_side
from mcld_anim.run.checks import RunPlan
from mcld_anim.run.compositor import Finished
from mcld_anim.run.encode import DrivingPoses
from mcld_anim.video.audio import AudioSource
from mcld_anim.video.write import VideoWriter
from mcld_anim.video.write_alpha import FrameSink, open_transparent

PREVIEW_NAME = "preview.mp4"
"""Beside an unfinished transparent result: what the report shows, since browsers play no ProRes."""


class ResultWriter:
    """Takes the finished frames of one clip; made by `open_result`."""

    def __init__(self, sink: FrameSink, preview: FrameSink | None, source: Picture, beside: bool) -> None:
        self._sink, self._preview, self._source, self._beside = sink, preview, source, beside

    def write(self, frame: Finished, pose: Iuv) -> None:
        """Add the next frame, made for `pose`."""
        if self._preview is not None:
            self._preview.write(frame.shown)
        if frame.rgba is not None:
            self._sink.write(frame.rgba)
        elif frame.whole is not None:
            self._sink.write(frame.whole)
        else:
            self._sink.write(side_by_side(self._source, pose, frame.shown) if self._beside else frame.shown)


@contextmanager
def open_result(
    path: Path, plan: RunPlan, driving: DrivingPoses, source: Picture, sound: AudioSource | None, stages: Stages
) -> Iterator[ResultWriter]:
    """The writer of the result's kind; `source` is the photo at the size of the frames."""
    options, fps, (height, width) = plan.options, driving.fps, source.shape[:2]
    with ExitStack() as stack:
        if options.background == "transparent":
            sink = stack.enter_context(open_transparent(path, (height, width), fps, sound, stages.tell))
            preview = VideoWriter(path.with_name(PREVIEW_NAME), (height, width), fps, audio=None, on_event=stages.tell)
            yield ResultWriter(sink, stack.enter_context(preview), source, False)
        else:
            shape = (height, width * (3 if options.side_by_side else 1))
            if options.paste_back:
                shape = (plan.info.height, plan.info.width)
            video = VideoWriter(path, shape, fps, options.crf, audio=sound, on_event=stages.tell)
            yield ResultWriter(stack.enter_context(video), None, source, options.side_by_side)


def playable(result: Path) -> Path:
    """The MP4 that shows an unfinished result."""
    preview = result.with_name(PREVIEW_NAME)
    return preview if result.suffix.lower() != ".mp4" else result
