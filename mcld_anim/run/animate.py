"""The story of `mcld-anim run`: one photo and one driving video become one video and its report."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from mcld_anim.core.events import EventSink, warn
from mcld_anim.core.outputs import publish, working_folder
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.model.appearance import SourceAppearance
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.pose.cleanup import CleanPose, cleaned
from mcld_anim.pose.driving_change import driving_change
from mcld_anim.pose.retarget import retargeted
from mcld_anim.report.faces import FaceMeter
from mcld_anim.report.frames import FrameReport, frame_row, tell_repairs
from mcld_anim.report.page import write_page
from mcld_anim.report.thumbnails import Thumbnails
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import RunPlan, check_run
from mcld_anim.run.compositor import compositor
from mcld_anim.run.encode import DrivingPoses
from mcld_anim.run.identity_guard import IdentityGuard
from mcld_anim.run.page import run_page
from mcld_anim.run.record import describe_run, describe_summary, write_json
from mcld_anim.run.result import open_result
from mcld_anim.sampling.frame_maker import FrameMaker, sampling_settings
from mcld_anim.video.audio import AudioSource, audio_source

FRAMES_STAGE = "frames"


@dataclass(frozen=True)
class RunResult:
    """What was made."""

    output: Path
    summary: dict[str, Any]  # as in OUT.report.json


def animate(
    options: RunOptions,
    cache: RunCache | None = None,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
) -> RunResult:
    """Animate `options.source` with the motion of `options.driving`; a failure leaves nothing behind.

    `cache` is for callers with several runs: models, source and driving poses used before are used again.
    """
    plan = check_run(options)
    stages = Stages(progress, on_event)
    with working_folder(plan.outputs) as work:
        cache = cache or RunCache(work)
        models = cache.models(options, stages)
        source = cache.source(options.source, models, stages)
        driving = cache.driving(plan, models, stages)
        settings = sampling_settings(options, models.mcld.options)
        maker = FrameMaker(models.mcld, source, settings)
        made = plan.outputs.inside(work)
        thumbnails = Thumbnails(len(driving), source.picture, source.face)
        with FrameReport(made.report_json, made.report_csv) as report:
            make_video(plan, maker, models, driving, made.result, report, thumbnails, stages)
            summary = report.finish(describe_summary(models, source, stages))
        record = describe_run(options, plan.outputs.result, models, settings, cache.checksums, stages)
        write_json(made.run_json, record)
        write_page(made.report_html, made.report_csv, run_page(plan, made.result, driving, thumbnails, summary, record))
        publish(made, plan.outputs, options.overwrite)
    return RunResult(plan.outputs.result, summary)


def make_video(
    plan: RunPlan,
    maker: FrameMaker,
    models: LoadedModels,
    driving: DrivingPoses,
    path: Path,
    report: FrameReport,
    thumbnails: Thumbnails,
    stages: Stages,
) -> None:
    """Make every frame, a batch at a time, and write it with its row of the report as soon as it exists."""
    options, size, total = plan.options, models.mcld.options.frame_size, len(driving)
    source, index = maker.source, 0
    poses = _poses(options, source, driving, size, stages)
    meter, stability = FaceMeter(models.face_backend, source.face), StabilityMeter()
    guard = IdentityGuard(maker, meter, options.min_face_similarity, options.retries)
    finisher = compositor(plan, source, driving, stages)
    stages.progress(FRAMES_STAGE, 0, total)
    with open_result(path, plan, driving, source.picture, _sound(plan, driving), stages) as video:
        while batch := list(islice(poses, options.batch_size)):
            with stages.timed("synthesis"):
                indices, cuts = range(index, index + len(batch)), [pose.cut for pose in batch]
                pictures = maker.make(indices, [pose.iuv for pose in batch], cuts)
            for place, (picture, pose) in enumerate(zip(pictures, batch, strict=True)):
                with stages.timed("identity guard"):
                    kept = guard.keep(place, index, pose.iuv, picture)
                with stages.timed("background"):
                    frame = finisher.finish(kept.picture, pose.iuv, pose.cut)
                with stages.timed("face similarity"):
                    face, similarity = meter.measure(frame.shown, pose.iuv)
                with stages.timed("video"):
                    video.write(frame, pose.iuv)
                with stages.timed("stability"):
                    change = stability.add(frame.shown, pose.iuv, pose.cut)
                row = frame_row(index, driving.time(index), pose.person_found, face, similarity, change)
                row = replace(
                    row, pose=pose.status, cut=pose.cut, tries=len(kept.similarities), tried_similarities=kept.described
                )
                report.add(row)
                thumbnails.add(row, frame.shown, face)
                index += 1
            stages.progress(FRAMES_STAGE, index, total)
    guard.tell(stages)
    tell_repairs(report.totals, stages)


def _poses(
    options: RunOptions, source: SourceAppearance, driving: DrivingPoses, size: tuple[int, int], stages: Stages
) -> Iterator[CleanPose]:
    """Each frame's pose at `size` (height, width): framed, put right, and made that of the source's body."""
    poses = cleaned(driving.framed(size, options.framing), options.pose_cleanup)
    seen = (iuv for iuv, found, _ in driving.framed(size, options.framing) if found)
    change = driving_change(options.retarget, source.iuv, seen, options.background == "driving", stages)
    if change is None:
        return poses
    return (replace(pose, iuv=retargeted(pose.iuv, change)) for pose in poses)


def _sound(plan: RunPlan, driving: DrivingPoses) -> AudioSource | None:
    """The driving video's sound from the first chosen frame on, a file's from its beginning, or none."""
    options = plan.options
    if options.audio == "driving":
        return audio_source(plan.info, driving.start)
    return None if options.audio_file is None else AudioSource(options.audio_file)
