"""The story of `mcld-anim run`: one photo and one driving video become one video and its report."""

from __future__ import annotations

from contextlib import nullcontext

from mcld_anim.core.events import EventSink, warn
from mcld_anim.core.publishing import publish
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.options.run import RunOptions
from mcld_anim.run.cache import RunCache
from mcld_anim.run.finished import published_before
from mcld_anim.run.rehearsed import rehearsed
from mcld_anim.run.request import request_of
from mcld_anim.run.result import Result


def animate(
    options: RunOptions,
    cache: RunCache,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
    profile: bool = False,
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
        from mcld_anim.run.files import write_files
        from mcld_anim.run.profile import profiled
        from mcld_anim.run.resume import KeptFrames

        kept = KeptFrames(clip, work, cache.checksums)
        profiling = profiled(work.outputs.result, kept.batches_left, stages) if profile else nullcontext(lambda: None)
        with kept.told(), profiling as after_batch:
            summary = write_files(clip, sound, kept.frames(after_batch), work, cache.checksums, kept.resumed_from)
            request = request_of(options, cache.checksums)
            publish(work.folder, work.outputs.all, options.overwrite, request, ends_run=True)
    return Result(work.outputs, summary)
