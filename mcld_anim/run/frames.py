"""The frames of a result, in order: synthesised in batches, composited over their background, and measured."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from mcld_anim.body.clip import ClipFrame, clip_frames
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.model.appearance import SourceAppearance
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.report.faces import FaceMeter
from mcld_anim.report.frames import FrameRow, frame_row
from mcld_anim.report.side_by_side import side_by_side
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import RunPlan
from mcld_anim.run.compositor import Compositor, compositor
from mcld_anim.run.driving import DrivingClip
from mcld_anim.run.identity_guard import IdentityGuard
from mcld_anim.run.scene import CropScene, PhotoScene, check_no_body, tell_unused
from mcld_anim.sampling.frame_maker import FrameMaker, SamplingSettings, sampling_settings
from mcld_anim.source.face import Face

FRAMES_STAGE = "frames"


@dataclass(frozen=True, eq=False)
class Frame:
    """One finished frame of a result."""

    picture: np.ndarray
    """The frame of the video, uint8 (H, W, 3) RGB; (H, W, 4) RGBA with `background="transparent"`."""
    row: FrameRow
    """Its row of the report."""
    iuv: Iuv
    """Its pose."""
    shown: Picture
    """The person's crop for display, with transparency as a checkerboard."""
    face: Face | None
    """The face in `shown`; None if none was found or looked for."""


@dataclass(frozen=True, eq=False)
class Clip:
    """The inputs of one result's frames."""

    plan: RunPlan
    models: LoadedModels
    source: SourceAppearance
    scene: CropScene | PhotoScene
    settings: SamplingSettings
    stages: Stages

    @property
    def options(self) -> RunOptions:
        """The options of the run."""
        return self.plan.options

    @property
    def driving(self) -> DrivingClip:
        """The chosen frames of the driving video."""
        return self.scene.driving


def open_clip(plan: RunPlan, cache: RunCache, stages: Stages) -> Clip:
    """Load the models, encode the source and estimate the driving poses, or take them from the cache."""
    options, models = plan.options, cache.models(plan.options, stages)
    source = cache.source(options.source, models, stages)
    settings = sampling_settings(options, models.mcld.options)
    scene: CropScene | PhotoScene
    backend = models.pose_backend
    if options.may_keep_photo and isinstance(backend, BodyBackend) and source.body is not None:
        motion = cache.motion(plan, backend, stages)
        photo = cache.stage(options.source, source, models, stages)
        scene = PhotoScene.of(photo, motion, models.mcld.options)
    else:
        check_no_body(options.retarget, backend.name, options.framing)
        poses = cache.driving(plan, models, stages)
        scene = CropScene(plan, source.appearance, poses, models.mcld.options.frame_size)
    tell_unused(options, scene.views, stages)
    stages.readers["driving poses"] = scene.driving.reader
    return Clip(plan, models, source.appearance, scene, settings, stages)


def make_frames(clip: Clip, folder: Path) -> Generator[Frame]:
    """Every frame in order; a batch is synthesised when its first frame is requested. `folder` is for working files."""
    options, stages, total, repaired = clip.options, clip.stages, len(clip.driving), 0
    maker = FrameMaker(clip.models.mcld, clip.source, clip.settings, clip.scene.views)
    finishing = _Finishing(clip, maker)
    frames = clip_frames(clip.scene.poses(folder, stages))
    stages.progress(FRAMES_STAGE, 0, total)
    while batch := list(islice(frames, options.batch_size)):
        with stages.timed("synthesis"):
            made = maker.make(batch)
        for place, (frame, picture) in enumerate(zip(batch, made, strict=True)):
            repaired += frame.pose.status in ("replaced", "filled")
            yield finishing.finish(place, frame.showing(picture))
        stages.progress(FRAMES_STAGE, batch[-1].index + 1, total)
    finishing.guard.emit(stages)
    if repaired:
        message = f"the poses of {repaired} of {total} frames were repaired from their neighbours"
        stages.emit(Event("poses_repaired", message))


class _Finishing:
    """From a synthesised picture to a finished frame, in order, each batch right after its synthesis."""

    def __init__(self, clip: Clip, maker: FrameMaker) -> None:
        options = clip.options
        self._clip, self._meter = clip, FaceMeter(clip.models.face_backend, clip.source.face)
        self.guard = IdentityGuard(maker, self._meter, options.min_face_similarity, options.retries)
        self._compositor: Compositor = compositor(clip.options, clip.scene, clip.stages)
        self._stability = StabilityMeter()

    def finish(self, place: int, frame: ClipFrame) -> Frame:
        """The frame at `place` of the last batch."""
        clip, stages, pose = self._clip, self._clip.stages, frame.pose
        with stages.timed("identity guard"):
            kept = self.guard.keep(place, frame)
        with stages.timed("background"):
            made = self._compositor.finish(frame.showing(kept.picture))
        with stages.timed("face similarity"):
            face, similarity = self._meter.measure(made.shown, frame.iuv)
        with stages.timed("stability"):
            change = self._stability.add(frame.showing(made.shown))
        time = clip.driving.time(frame.index)
        row = replace(
            frame_row(frame.index, time, pose.person_found, face, similarity, change),
            pose=pose.status,
            cut=pose.cut,
            tries=len(kept.similarities),
            tried_similarities=kept.described,
        )
        picture = made.picture
        if clip.options.side_by_side:
            picture = side_by_side(clip.scene.picture, frame.iuv, made.shown)
        return Frame(picture, row, frame.iuv, made.shown, face)
