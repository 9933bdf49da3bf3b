"""The story of `mcld-anim run`: one photo and one driving video become one video and its report."""

from __future__ import annotations

from mcld_anim.core.events import EventSink, warn
from mcld_anim.core.outputs import publish, working_folder
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.options.run import RunOptions
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_outputs, check_run
from mcld_anim.run.result import Result
from mcld_anim.run.sound import chosen_sound


def animate(
    options: RunOptions, cache: RunCache, progress: Progress = ignore_progress, on_event: EventSink = warn
) -> Result:
    """Animate `options.source` with the motion of `options.driving`.

    Whatever may fail at the end is tried before the first frame is made; a failure until then leaves nothing behind. If
    the end fails nevertheless, the frames are kept: UnfinishedError. Models, source and driving poses used before come
    from `cache`.
    """
    outputs, plan = check_outputs(options), check_run(options)
    sound, stages = chosen_sound(plan), Stages(progress, on_event)
    with working_folder(outputs) as work:
        cache.check_driving(plan, stages)
        # After the check: they import the diffusion model, which takes seconds.
        from mcld_anim.run.files import rehearse, write_files
        from mcld_anim.run.frames import make_frames, open_clip
        from mcld_anim.run.kept_frames import frames_kept

        clip = open_clip(plan, cache, stages)
        rehearse(clip, sound, outputs, work, cache.checksums)
        with frames_kept(clip, outputs, work):
            summary = write_files(clip, sound, make_frames(clip, work), outputs, work, cache.checksums)
            publish(outputs.inside(work), outputs, options.overwrite)
    return Result(outputs, summary)
