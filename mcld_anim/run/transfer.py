"""The story of `mcld-anim pose`: a photo and a pose become a picture, by the path of `run` with one frame."""

from __future__ import annotations

from mcld_anim.core.events import EventSink, warn
from mcld_anim.core.outputs import publish, working_folder
from mcld_anim.core.pictures import write_picture
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.options.run import PoseOptions
from mcld_anim.pose.driving_change import driving_change
from mcld_anim.pose.retarget import retargeted
from mcld_anim.report.faces import FaceMeter
from mcld_anim.report.frames import FrameReport, FrameRow
from mcld_anim.report.side_by_side import side_by_side
from mcld_anim.run.animate import FRAMES_STAGE, RunResult
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_pose
from mcld_anim.run.encode import frame_pose, read_pose
from mcld_anim.run.record import describe_run, describe_summary, write_json
from mcld_anim.sampling.frame_maker import FrameMaker, sampling_settings


def transfer(
    options: PoseOptions,
    cache: RunCache | None = None,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
) -> RunResult:
    """Show the person of `options.source` in the pose of `options.pose`; a failure leaves nothing behind."""
    outputs = check_pose(options)
    stages = Stages(progress, on_event)
    with working_folder(outputs) as work:
        cache = cache or RunCache(work)
        models = cache.models(options, stages)
        source = cache.source(options.source, models, stages)
        settings = sampling_settings(options, models.mcld.options)
        with stages.timed("driving poses"):
            pose = frame_pose(read_pose(options.pose, models.pose_backend), models.mcld.options.frame_size)
        change = driving_change(options.retarget, source.iuv, [pose], False, stages)
        pose = pose if change is None else retargeted(pose, change)
        with stages.timed("synthesis"):
            (picture,) = FrameMaker(models.mcld, source, settings).make(
                [0], [pose], on_step=lambda done, steps: stages.progress(FRAMES_STAGE, done, steps)
            )
        made = outputs.inside(work)
        write_picture(made.result, side_by_side(source.picture, pose, picture) if options.side_by_side else picture)
        face, similarity = FaceMeter(models.face_backend, source.face).measure(picture, pose)
        with FrameReport(made.report_json, made.report_csv) as report:
            report.add(FrameRow(0, 0.0, True, face is not None, similarity, None, None))
            summary = report.finish(describe_summary(models, source, stages))
        write_json(made.run_json, describe_run(options, outputs.result, models, settings, cache.checksums, stages))
        publish(made, outputs, options.overwrite)
    return RunResult(outputs.result, summary)
