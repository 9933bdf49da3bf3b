"""The story of `mcld-anim run`: one photo and one driving video become one video and its report."""

from __future__ import annotations

from contextlib import closing

from mcld_anim.core.events import EventSink, warn
from mcld_anim.core.names import write_json
from mcld_anim.core.outputs import publish, working_folder
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.options.run import RunOptions
from mcld_anim.report.frames import FrameReport
from mcld_anim.report.page import write_page
from mcld_anim.report.thumbnails import Thumbnails
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_outputs, check_run
from mcld_anim.run.result import Result


def animate(
    options: RunOptions, cache: RunCache, progress: Progress = ignore_progress, on_event: EventSink = warn
) -> Result:
    """Animate `options.source` with the motion of `options.driving`; a failure leaves nothing behind.

    Models, source and driving poses used before come from `cache`.
    """
    outputs, plan = check_outputs(options), check_run(options)
    stages = Stages(progress, on_event)
    with working_folder(outputs) as work:
        cache.check_driving(plan, stages)
        # After the check: they import the diffusion model, which takes seconds.
        from mcld_anim.run.frames import make_frames, open_clip
        from mcld_anim.run.page import run_page
        from mcld_anim.run.record import describe_run, describe_summary
        from mcld_anim.run.writer import open_result

        clip, made = open_clip(plan, cache, stages), outputs.inside(work)
        thumbnails = Thumbnails(len(clip.driving), clip.scene.picture, clip.source.face)
        with FrameReport(made.report_json, made.report_csv) as report:
            with open_result(made.result, clip) as video, closing(make_frames(clip, work)) as frames:
                for frame in frames:
                    with stages.timed("video"):
                        video.write(frame)
                    report.add(frame.row)
                    thumbnails.add(frame.row, frame.shown, frame.face)
            summary = report.finish(describe_summary(clip.models, clip.source, stages))
        record = describe_run(
            options, outputs.result, clip.models, clip.settings, cache.checksums, stages, clip.scene.chosen
        )
        write_json(made.run_json, record)
        page = run_page(options, outputs, made.result, clip.driving.fps, thumbnails, summary, record)
        write_page(made.report_html, made.report_csv, page)
        publish(made, outputs, options.overwrite)
    return Result(outputs, summary)
