"""Who makes the frames of a clip: the model's networks, or the photo's own pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcld_anim.body.fit import BodyMotion
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.edits import CONDITIONS, Weights
from mcld_anim.options.run import SynthesisOptions
from mcld_anim.run.photo import window_around
from mcld_anim.sampling.photo_pixels import PhotoPixels
from mcld_anim.sampling.settings import SamplingSettings
from mcld_anim.source.fitted_photo import FittedPhoto

if TYPE_CHECKING:
    from mcld_anim.model.appearance import SourceAppearance
    from mcld_anim.sampling.frame_maker import FrameMaker


def maker_in_crops(models: LoadedModels, source: SourceAppearance, settings: SamplingSettings) -> FrameMaker:
    """The networks, for frames of their own size."""
    from mcld_anim.sampling.frame_maker import FrameMaker

    return FrameMaker(models.mcld, source, settings)


def weighted_source(
    source: SourceAppearance, options: SynthesisOptions, models: LoadedModels, stages: Stages
) -> SourceAppearance:
    """The encoded source with `--weights`; those of conditions that the model lacks are told."""
    from mcld_anim.model.appearance import with_weights

    weights = options.condition_weights
    if weights == Weights():
        return source
    lacking = [name for name in CONDITIONS if name not in models.options.conditions and getattr(weights, name) != 1]
    if lacking:
        message = f"--weights {', '.join(lacking)} without effect: the model {models.name} has no such condition"
        stages.emit(Event("options_without_effect", message))
    return with_weights(source, weights, models.options)


def maker_in_photo(
    photo: FittedPhoto,
    motion: BodyMotion,
    models: LoadedModels,
    source: SourceAppearance | None,
    settings: SamplingSettings,
) -> FrameMaker | PhotoPixels:
    """The networks, for a window of the photo that holds a motion; without a `source` for them the photo's pixels."""
    if source is None:
        return PhotoPixels(photo)
    from mcld_anim.sampling.frame_maker import FrameMaker
    from mcld_anim.sampling.frame_views import PhotoViews

    window = window_around(motion, max(models.options.frame_size))
    return FrameMaker(models.mcld, source, settings, PhotoViews(photo, window))
