"""The story of `mcld-anim run`: one photo and one driving video become one video and its report."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from mcld_anim.arrays import Iuv, Picture
from mcld_anim.background.compositor import Finished, compositor
from mcld_anim.cache import RunCache
from mcld_anim.encode import DrivingPoses
from mcld_anim.events import EventSink, warn
from mcld_anim.frames import FrameMaker, sampling_settings
from mcld_anim.inputs import RunPlan, check_run
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.options.run import RunOptions
from mcld_anim.outputs import publish, working_folder
from mcld_anim.report.faces import FaceMeter
from mcld_anim.report.frames import FrameReport, FrameRow
from mcld_anim.report.record import describe_run, describe_summary, write_json
from mcld_anim.report.side_by_side import side_by_side
from mcld_anim.report.stages import Progress, Stages, ignore_progress
from mcld_anim.video.audio import AudioSource, audio_source
from mcld_anim.video.write import VideoWriter
from mcld_anim.video.write_alpha import FrameSink, open_transparent
from mcld_anim.weights.load import LoadedModels

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
        with FrameReport(made.report_json, made.report_csv) as report:
            make_video(plan, maker, models, driving, made.result, report, stages)
            summary = report.finish(describe_summary(models, source, stages))
        record = describe_run(options, plan.outputs.result, models, settings, cache.checksums, stages)
        write_json(made.run_json, record)
        publish(made, plan.outputs, options.overwrite)
    return RunResult(plan.outputs.result, summary)


def make_video(
    plan: RunPlan,
    maker: FrameMaker,
    models: LoadedModels,
    driving: DrivingPoses,
    path: Path,
    report: FrameReport,
    stages: Stages,
) -> None:
    """Make every frame, a batch at a time, and write it with its row of the report as soon as it exists."""
    options, size, total = plan.options, models.mcld.options.frame_size, len(driving)
    source, poses, index = maker.source, driving.framed(size), 0
    meter, stability = FaceMeter(models.face_backend, source.face), StabilityMeter()
    finisher = compositor(plan, source, driving, stages)
    stages.progress(FRAMES_STAGE, 0, total)
    with _open_result(plan, path, driving, size, stages) as video:
        while batch := list(islice(poses, options.batch_size)):
            with stages.timed("synthesis"):
                pictures = maker.make(range(index, index + len(batch)), [pose for pose, _ in batch])
            for picture, (pose, person_found) in zip(pictures, batch, strict=True):
                with stages.timed("background"):
                    frame = finisher.finish(picture, pose)
                with stages.timed("face similarity"):
                    face_found, similarity = meter.measure(frame.shown, pose)
                with stages.timed("video"):
                    video.write(_layout(frame, source.picture, pose, options.side_by_side))
                with stages.timed("stability"):
                    change = stability.add(frame.shown, pose)
                steady = None if change is None else change.texel_change
                report.add(FrameRow(index, driving.time(index), person_found, face_found, similarity, steady))
                index += 1
            stages.progress(FRAMES_STAGE, index, total)


def _open_result(
    plan: RunPlan, path: Path, driving: DrivingPoses, size: tuple[int, int], stages: Stages
) -> AbstractContextManager[FrameSink]:
    """The writer of the result's kind, for frames of `size` or three of them side by side."""
    options, sound = plan.options, _sound(plan, driving)
    if options.background == "transparent":
        return open_transparent(path, size, driving.fps, sound, stages.tell)
    shape = (size[0], size[1] * (3 if options.side_by_side else 1))
    return VideoWriter(path, shape, driving.fps, options.crf, audio=sound, on_event=stages.tell)


def _layout(frame: Finished, source: Picture, pose: Iuv, beside: bool) -> np.ndarray:
    """The frame as it is written."""
    if frame.rgba is not None:
        return frame.rgba
    return side_by_side(source, pose, frame.shown) if beside else frame.shown


def _sound(plan: RunPlan, driving: DrivingPoses) -> AudioSource | None:
    """The driving video's sound from the first chosen frame on, a file's from its beginning, or none."""
    options = plan.options
    if options.audio == "driving":
        return audio_source(plan.info, driving.start)
    return None if options.audio_file is None else AudioSource(options.audio_file)
