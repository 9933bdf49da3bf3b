"""Writing a run's result: the choice of the writer, and the layout of a frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mcld_anim.run.clip import Clip
from mcld_anim.run.frame_log import KeptFrame
from mcld_anim.run.frames import Frame
from mcld_anim.video.audio import AudioSource
from mcld_anim.video.write import VideoWriter
from mcld_anim.video.write_alpha import FrameSink, open_transparent

PREVIEW_NAME = "preview.mp4"
"""Name of the video in the report of a transparent result, since browsers play no ProRes."""


class ResultWriter:
    """Writes the finished frames of one clip; created by `open_result`."""

    def __init__(self, sink: FrameSink, preview: FrameSink | None = None) -> None:
        self._sink, self._preview = sink, preview

    def write(self, frame: Frame | KeptFrame) -> None:
        """Add the next frame."""
        if self._preview is not None:
            self._preview.write(frame.shown)
        self._sink.write(frame.picture)


@contextmanager
def open_result(path: Path, clip: Clip, sound: AudioSource | None) -> Iterator[ResultWriter]:
    """The writer for the kind of result."""
    options, fps, emit, size = clip.options, clip.driving.fps, clip.stages.emit, result_size(clip)
    with ExitStack() as stack:
        if options.background == "transparent":
            sink = stack.enter_context(open_transparent(path, size, fps, sound, emit))
            preview = VideoWriter(path.with_name(PREVIEW_NAME), size, fps, audio=None, on_event=emit)
            yield ResultWriter(sink, stack.enter_context(preview))
            return
        video = VideoWriter(path, size, fps, options.crf, audio=sound, on_event=emit)
        yield ResultWriter(stack.enter_context(video))


def result_size(clip: Clip) -> tuple[int, int]:
    """Height and width of the result's frames."""
    if clip.options.paste_back:
        return clip.plan.info.height, clip.plan.info.width
    height, width = clip.scene.picture.shape[:2]
    return height, width * (3 if clip.options.side_by_side else 1)


def playable(result: Path) -> Path:
    """The MP4 to play for an unfinished result."""
    preview = result.with_name(PREVIEW_NAME)
    return preview if result.suffix.lower() != ".mp4" else result
