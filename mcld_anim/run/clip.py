"""A clip whose frames are to be made: its inputs, loaded, encoded and estimated, or taken from the cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcld_anim.core.stages import Stages
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import RunPlan
from mcld_anim.run.driving import DrivingClip
from mcld_anim.run.edited import Edits
from mcld_anim.run.makers import maker_in_crops, maker_in_photo, weighted_source
from mcld_anim.run.memory import within_memory
from mcld_anim.run.scene import CropScene, PhotoScene, check_no_body
from mcld_anim.run.source import SourcePhoto
from mcld_anim.sampling.photo_pixels import PhotoPixels
from mcld_anim.sampling.settings import SamplingSettings, sampling_settings

if TYPE_CHECKING:
    from mcld_anim.model.appearance import SourceAppearance
    from mcld_anim.sampling.frame_maker import FrameMaker


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
    def looks_back(self) -> bool:
        """Whether a frame needs the one before: to blend with it, or for the matte that is cut out of its picture."""
        return self.blends or (isinstance(self.scene, CropScene) and self.options.background != "generated")

    @property
    def synthesises_ahead(self) -> bool:
        """Whether the next batch may be synthesised while the last one is finished: nothing makes frames of that one
        again, and synthesis does not take all of the CPU anyway."""
        on_cpu = self.source is not None and self.models.device.type == "cpu"
        return not on_cpu and self.options.min_face_similarity is None

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
        motion, stage = cache.motion(plan, backend, stages), cache.stage(options, photo, models, stages)
        scene = PhotoScene.of(stage if edits is None else edits.stage(stage, len(motion)), motion)
    else:
        check_no_body(options, backend.name, options.framing)
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
