"""The story of `mcld-anim run`: one photo and one driving video become one video and its report."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, nullcontext
from typing import TYPE_CHECKING

from mcld_anim.core.events import EventSink, warn
from mcld_anim.core.publishing import publish
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.options.run import RunOptions
from mcld_anim.run.cache import RunCache
from mcld_anim.run.finished import published_before
from mcld_anim.run.rehearsed import rehearsed
from mcld_anim.run.request import request_of
from mcld_anim.run.result import Result

if TYPE_CHECKING:
    from mcld_anim.run.frame_log import KeptFrame
    from mcld_anim.run.frames import Frame

FrameSink = Callable[["Frame | KeptFrame"], None]
"""Called with each frame of a result, in order, as soon as it is made; first with those kept of an earlier run."""


def ignore_frame(_frame: Frame | KeptFrame) -> None:
    """A frame callback that shows nothing."""


def animate(
    options: RunOptions,
    cache: RunCache,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
    profile: bool = False,
    on_frame: FrameSink = ignore_frame,
) -> Result:
    """Animate `options.source` with the motion of `options.driving`.

    Whatever may fail at the end is tried before the first frame is made; a failure until then leaves nothing behind.
    After that finished frames are kept beside the output, and the same call goes on from them, whatever ended the run.
    A failure is then an UnfinishedError. Models, source and driving poses used before come from `cache`. `profile`:
    write where the time of new frames goes, see `mcld_anim.run.profile`.
    """
    stages = Stages(progress, on_event)
    if (done := published_before(options, cache.checksums, stages)) is not None:
        return done
    with rehearsed(options, cache, stages) as (clip, sound, work):
        # Torch is imported by now, not before the inputs were checked.
        from mcld_anim.run.attention import write_attention
        from mcld_anim.run.files import write_files
        from mcld_anim.run.profile import profiled
        from mcld_anim.run.resume import KeptFrames

        kept = KeptFrames(clip, work, cache.checksums)
        profiling = profiled(work.outputs.result, kept.batches_left, stages) if profile else nullcontext()
        with kept.told(), profiling as after_batch:
            frames = _shown(kept.frames(after_batch), on_frame)
            summary = write_files(clip, sound, frames, work, cache.checksums, kept.resumed_from)
            more, request = write_attention(clip, work), request_of(options, cache.checksums)
            publish(work.folder, (*more, *work.outputs.all), options.overwrite, request, ends_run=True)
    return Result(work.outputs, summary)


def _shown(frames: Generator[Frame | KeptFrame], on_frame: FrameSink) -> Generator[Frame | KeptFrame]:
    with closing(frames):
        for frame in frames:
            on_frame(frame)
            yield frame
