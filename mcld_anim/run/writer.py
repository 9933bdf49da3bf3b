"""Writing a run's result: the choice of the writer, and the layout of a frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mcld_anim.run.frames import Clip, Frame
from mcld_anim.video.audio import AudioSource, audio_source
from mcld_anim.video.write import VideoWriter
from mcld_anim.video.write_alpha import FrameSink, open_transparent

PREVIEW_NAME = "preview.mp4"
"""Name of the video in the report of a transparent result, since browsers play no ProRes."""


class ResultWriter:
    """Writes the finished frames of one clip; created by `open_result`."""

    def __init__(self, sink: FrameSink, preview: FrameSink | None = None) -> None:
        self._sink, self._preview = sink, preview

    def write(self, frame: Frame) -> None:
        """Add the next frame."""
        if self._preview is not None:
            self._preview.write(frame.shown)
        self._sink.write(frame.picture)


@contextmanager
def open_result(path: Path, clip: Clip) -> Iterator[ResultWriter]:
    """The writer for the kind of result."""
    options, info, fps, emit = clip.options, clip.plan.info, clip.driving.fps, clip.stages.emit
    sound, (height, width) = _sound(clip), clip.scene.picture.shape[:2]
    with ExitStack() as stack:
        if options.background == "transparent":
            sink = stack.enter_context(open_transparent(path, (height, width), fps, sound, emit))
            preview = VideoWriter(path.with_name(PREVIEW_NAME), (height, width), fps, audio=None, on_event=emit)
            yield ResultWriter(sink, stack.enter_context(preview))
            return
        shape = (height, width * (3 if options.side_by_side else 1))
        if options.paste_back:
            shape = (info.height, info.width)
        video = VideoWriter(path, shape, fps, options.crf, audio=sound, on_event=emit)
        yield ResultWriter(stack.enter_context(video))


def playable(result: Path) -> Path:
    """The MP4 to play for an unfinished result."""
    preview = result.with_name(PREVIEW_NAME)
    return preview if result.suffix.lower() != ".mp4" else result


def _sound(clip: Clip) -> AudioSource | None:
    """The driving video's sound from the first chosen frame, a file's from its beginning, or none."""
    if clip.options.audio == "driving":
        return audio_source(clip.plan.info, clip.driving.start)
    file = clip.options.audio_file
    return None if file is None else AudioSource(file)
