"""From a generated frame to the one that is shown: the person cut out and put before something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mcld_anim.arrays import Iuv, Picture
from mcld_anim.background.backdrop import checkerboard, from_file, one_colour, one_picture
from mcld_anim.background.clean_plate import CleanPlate
from mcld_anim.background.matte import SteadyMatte, composite, foreground
from mcld_anim.encode import DrivingPoses, driving_frames
from mcld_anim.inputs import RunPlan
from mcld_anim.report.stages import Stages
from mcld_anim.source.appearance import SourceAppearance
from mcld_anim.video.framing import apply_picture
from mcld_anim.video.write_alpha import Rgba

BACKGROUND_STAGE = "background"


@dataclass(frozen=True, eq=False)
class Finished:
    """One frame of the result."""

    shown: Picture
    """For people to look at and for the report; transparency shows as a checkerboard."""
    rgba: Rgba | None = None
    """The frame itself where the result is transparent."""


class Compositor:
    """Finishes the frames of one clip in their order; frame i does not depend on batches."""

    def __init__(self, behind: Iterator[Picture] | None, transparent: bool = False) -> None:
        """`behind` None: frames stay as they were generated."""
        self._behind = behind
        self._transparent = transparent
        self._matte = SteadyMatte()

    def finish(self, picture: Picture, pose: Iuv) -> Finished:
        """The next frame; `pose` is the IUV that it was made for."""
        if self._behind is None:
            return Finished(picture)
        alpha = self._matte.add(picture, pose)
        shown = composite(picture, alpha, next(self._behind))
        if not self._transparent:
            return Finished(shown)
        opacity = np.rint(alpha * 255).astype(np.uint8)[..., None]
        return Finished(shown, np.concatenate([foreground(picture, alpha), opacity], -1))


def compositor(plan: RunPlan, source: SourceAppearance, driving: DrivingPoses, stages: Stages) -> Compositor:
    """What `--background` asks for, at the size of the generated frames."""
    options, size = plan.options, (source.picture.shape[0], source.picture.shape[1])
    if options.background == "generated":
        return Compositor(None)
    if options.background == "transparent":
        return Compositor(one_picture(checkerboard(size), size), transparent=True)
    if options.background == "source":
        return Compositor(one_picture(source.plate, size))
    if options.background == "driving":
        return Compositor(_driving(plan, driving, size, stages))
    if options.background_colour is not None:
        return Compositor(one_colour(options.background_colour, size))
    assert options.background_file is not None
    return Compositor(from_file(options.background_file, size, driving.fps, stages.tell))


def _driving(plan: RunPlan, driving: DrivingPoses, size: tuple[int, int], stages: Stages) -> Iterator[Picture]:
    """The driving video without its person, cropped as the poses are."""
    total = len(driving)

    def frames() -> Iterator[tuple[Picture, Iuv]]:
        for index, picture in enumerate(driving_frames(plan, stages)):
            yield picture, driving.poses[index]

    with stages.timed(BACKGROUND_STAGE):
        stages.progress(BACKGROUND_STAGE, 0, total)
        plate = CleanPlate(frames, total, stages.tell)
        stages.progress(BACKGROUND_STAGE, total, total)
    for picture, crop in zip(plate.frames(), driving.crops(size, plan.options.framing), strict=True):
        yield apply_picture(picture, crop, size)
