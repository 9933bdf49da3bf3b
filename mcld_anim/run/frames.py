"""The frames of a result, in order: synthesised in batches, composited over their background, and measured."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from mcld_anim.body.clip import ClipFrame, clip_frames
from mcld_anim.core.arrays import Box, Iuv, Picture
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.report.faces import FaceMeter
from mcld_anim.report.frames import FrameRow, frame_row
from mcld_anim.report.side_by_side import side_by_side
from mcld_anim.run.border import BEGINNING, Border
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import RunPlan
from mcld_anim.run.compositor import Compositor, compositor
from mcld_anim.run.driving import DrivingClip
from mcld_anim.run.edited import Edits
from mcld_anim.run.identity_guard import IdentityGuard, tried_again
from mcld_anim.run.makers import maker_in_crops, maker_in_photo, weighted_source
from mcld_anim.run.scene import CropScene, PhotoScene, check_no_body
from mcld_anim.run.source import SourcePhoto
from mcld_anim.sampling.photo_pixels import PhotoPixels
from mcld_anim.sampling.settings import SamplingSettings, sampling_settings
from mcld_anim.source.face import Face

if TYPE_CHECKING:
    from mcld_anim.model.appearance import SourceAppearance
    from mcld_anim.sampling.frame_maker import FrameMaker

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

    @property
    def box(self) -> Box | None:
        """The face's box in `shown`."""
        return None if self.face is None else self.face.box


@dataclass(frozen=True, eq=False)
class Clip:
    """The inputs of one result's frames."""

    plan: RunPlan
    models: LoadedModels
    photo: SourcePhoto
    source: SourceAppearance | None  # the photo, encoded for networks; None: the frames are made of its own pixels
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

    @property
    def blends(self) -> bool:
        """Whether a frame is blended with the one before."""
        return self.source is not None and self.options.blend > 0

    @property
    def weights(self) -> dict[str, str]:
        """SHA-256 of the weights that the frames depend on, by file name."""
        return self.models.weights_read(networks=self.source is not None)

    def maker(self) -> FrameMaker | PhotoPixels:
        """What makes the pictures of the frames."""
        models, scene, source, settings = self.models, self.scene, self.source, self.settings
        if isinstance(scene, PhotoScene):
            return maker_in_photo(scene.photo, scene.motion, models, source, settings)
        assert source is not None
        return maker_in_crops(models, source, settings)


def open_clip(plan: RunPlan, cache: RunCache, stages: Stages) -> Clip:
    """Load the models, encode the source and estimate the driving poses, or take them from the cache."""
    options, models = plan.options, cache.models(plan.options, stages)
    photo, backend = cache.photo(options.photos, models, stages), models.pose_backend
    edits = Edits.opened(options, models, cache, stages)
    scene: CropScene | PhotoScene
    if options.may_keep_photo and isinstance(backend, BodyBackend) and photo.body is not None:
        source = cache.source_in_photo(options, photo, models, stages, edits)
        motion, stage = cache.motion(plan, backend, stages), cache.stage(options.photos, photo, models, stages)
        scene = PhotoScene.of(stage if edits is None else edits.stage(stage, len(motion)), motion)
    else:
        check_no_body(options.retarget, backend.name, options.framing)
        source = cache.source(options.photos, photo, models, stages, edits)
        scene = CropScene(plan, source, cache.driving(plan, models, stages), models.options.frame_size)
    stages.readers["driving poses"] = scene.driving.reader
    if source is not None:
        source = weighted_source(source, options, models, stages)
        source = source if edits is None else edits.over_time(source, len(scene.driving))
    photo = photo if edits is None else edits.shown(photo)
    settings = sampling_settings(options, models.options)
    if options.memory_bytes is not None and source is not None:
        plan, settings = within_memory(plan, settings, models, stages)
    return Clip(plan, models, photo, source, scene, settings, stages)


def within_memory(
    plan: RunPlan, settings: SamplingSettings, models: LoadedModels, stages: Stages
) -> tuple[RunPlan, SamplingSettings]:
    """The plan and the settings with as many frames at a time as `--memory` holds, which is told."""
    from mcld_anim.sampling.memory import plan_memory  # it imports diffusers

    options, guided = plan.options, settings.guidance > 1
    assert options.memory_bytes is not None
    fitting = plan_memory(
        options.memory_bytes, models.options, models.dtype, guided, options.batch_size, options.vae_tiling
    )
    stages.emit(Event("memory_plan", f"--memory {options.memory}: {fitting}"))
    chosen = replace(options, batch_size=fitting.batch_size)
    return replace(plan, options=chosen), replace(settings, decoded=fitting.decoded, vae_tiling=fitting.vae_tiling)


def make_frames(
    clip: Clip,
    folder: Path,
    start: Border = BEGINNING,
    end: int | None = None,
    on_border: Callable[[Callable[[], Border]], None] | None = None,
    tells_counts: bool = True,
) -> Generator[Frame]:
    """The frames from `start` on in order, up to before `end` (None: all); a batch is synthesised when its first frame
    is requested. `folder` is for working files.

    After each batch `on_border(border)` is called; `border()` is what another call, in another process too, needs as
    its `start` to make exactly the frames that this one would make from there. So ranges that meet at borders are one
    clip, frame by frame, as long as `end` is a multiple of the batch size. Without a border, see `first_needed`.
    `tells_counts`: emit the events of `emit_counts` at the end.
    """
    options, stages, total, first = clip.options, clip.stages, len(clip.driving), start.index
    end, before = total if end is None else min(end, total), min(first, 1)
    finishing = _Finishing(clip, start)
    frames = clip_frames(clip.scene.poses(folder, stages, first - before), first - before)
    for last in islice(frames, before):
        finishing.look_back(last)
    stages.progress(FRAMES_STAGE, first, total)
    size, waiting = options.batch_size, list[ClipFrame]()
    while True:
        waiting += islice(frames, max(0, min(size, end - finishing.index) - len(waiting)))
        if not waiting:
            break
        batch = waiting[:size]
        try:
            with stages.timed("synthesis"):
                made = finishing.maker.make(batch)
        except torch.OutOfMemoryError:
            if len(batch) == 1:
                raise
            size = len(batch) // 2
            stages.emit(batch_halved(len(batch), size))
            torch.cuda.empty_cache()  # does nothing without CUDA
            continue
        waiting = waiting[size:]
        for place, (frame, picture) in enumerate(zip(batch, made, strict=True)):
            yield finishing.finish(place, frame.showing(picture))
        if on_border is not None:
            on_border(finishing.border)
        stages.progress(FRAMES_STAGE, finishing.index, total)
    if tells_counts:
        emit_counts(clip, [finishing.border()])


def batch_halved(tried: int, size: int) -> Event:
    """That the device's memory does not hold so many frames at a time."""
    message = f"the device has no memory for {tried} frames at a time: going on with {size}"
    return Event("batch_halved", f"{message}; --batch-size {size} begins so")


def emit_counts(clip: Clip, ends: Sequence[Border]) -> None:
    """Report, at the end of a clip, the frames that were made again and the poses that were repaired, as counted at the
    ends of its ranges."""
    options, stages, total = clip.options, clip.stages, len(clip.driving)
    below, helped, repaired = (sum(getattr(end, count) for end in ends) for count in ("below", "helped", "repaired"))
    again = tried_again(below, helped, options.min_face_similarity or 0.0, options.retries)
    if again is not None:
        stages.emit(again)
    if repaired:
        message = f"the poses of {repaired} of {total} frames were repaired from their neighbours"
        stages.emit(Event("poses_repaired", message))


def first_needed(clip: Clip, index: int) -> int:
    """The frame from which `make_frames(clip, folder, Border(first_needed(clip, index)))` makes frame `index` and those
    after it exactly; the frames before it are not exact, and are to be dropped.

    Without blending (where no network makes the frames there is none) and without a matte that is one batch earlier;
    else the last cut, over which nothing is carried, or the beginning. It is a multiple of the batch size.
    """
    options, size = clip.options, clip.options.batch_size
    has_matte = isinstance(clip.scene, CropScene) and options.background != "generated"
    if not clip.blends and not has_matte:
        return max(0, (index - 1) // size * size)
    cuts = [place for place, cut in enumerate(clip.driving.cuts[: index + 1]) if cut]
    return max(cuts, default=0) // size * size


class _Finishing:
    """From a synthesised picture to a finished frame, in order, each batch right after its synthesis."""

    def __init__(self, clip: Clip, start: Border) -> None:
        options = clip.options
        self._clip, self._meter = clip, FaceMeter(clip.models.face_backend, clip.photo.faced.face)
        self.maker = clip.maker()
        self.maker.carry(start.blending)
        self._guard = IdentityGuard(self.maker, self._meter, options.min_face_similarity, options.retries)
        self._guard.below, self._guard.helped = start.below, start.helped
        self._compositor: Compositor = compositor(clip.options, clip.scene, clip.stages, start.index)
        self._compositor.carry(start.matte)
        self._stability = StabilityMeter()
        self._repaired, self._shown, self.index = start.repaired, start.shown, start.index

    def look_back(self, last: ClipFrame) -> None:
        """Measure the next frame against the last one before the start."""
        if self._shown is not None:
            self._stability.add(last.showing(self._shown))

    def border(self) -> Border:
        """The border after the last frame."""
        guard, blending, matte = self._guard, self.maker.carried(), self._compositor.carried()
        return Border(self.index, self._shown, blending, matte, guard.below, guard.helped, self._repaired)

    def finish(self, place: int, frame: ClipFrame) -> Frame:
        """The frame at `place` of the last batch."""
        clip, stages, pose = self._clip, self._clip.stages, frame.pose
        with stages.timed("identity guard"):
            kept = self._guard.keep(place, frame)
        with stages.timed("background"):
            made = self._compositor.finish(frame.showing(kept.picture))
        with stages.timed("face similarity"):
            face, similarity = self._meter.measure(made.shown, frame.iuv)
        with stages.timed("stability"):
            change = self._stability.add(frame.showing(made.shown))
        self._repaired += pose.status in ("replaced", "filled")
        self._shown, self.index = made.shown, frame.index + 1
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
