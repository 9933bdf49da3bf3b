"""From a generated frame to the one that is shown: the person cut out and put before something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import tee

import numpy as np

from mcld_anim.background.backdrop import checkerboard, from_file, one_colour, one_picture
from mcld_anim.background.clean_background import CleanPlate
from mcld_anim.background.matte import SteadyMatte, composite, foreground
from mcld_anim.body.clip import ClipFrame
from mcld_anim.core.arrays import AnySizePicture, Iuv, Picture
from mcld_anim.core.stages import Stages
from mcld_anim.model.appearance import SourceAppearance
from mcld_anim.run.checks import RunPlan
from mcld_anim.run.driving import DrivingPoses, driving_frames
from mcld_anim.video.framing import SteadyCrop, apply_picture, paste_back
from mcld_anim.video.write_alpha import Rgba

BACKGROUND_STAGE = "background"


@dataclass(frozen=True, eq=False)
class Finished:
    """One frame of the result."""

    picture: Picture | Rgba
    """What the result shows: RGBA where it is transparent, the whole driving frame where the person is pasted back."""
    shown: AnySizePicture
    """The person's crop for people to look at and for the report; transparency shows as a checkerboard."""


class Compositor:
    """Finishes the frames of one clip in their order; frame i does not depend on batches."""

    def __init__(
        self,
        behind: Iterator[Picture] | None,
        transparent: bool = False,
        around: Iterator[tuple[Picture, SteadyCrop]] | None = None,
    ) -> None:
        """`behind` None: frames stay as they were generated. `around`: the whole frame each is pasted back into, and
        where."""
        self._behind = behind
        self._transparent = transparent
        self._around = around
        self._matte = SteadyMatte()

    def finish(self, frame: ClipFrame) -> Finished:
        """The next frame, which shows its generated picture."""
        assert frame.picture is not None
        picture = frame.picture
        if self._behind is None:
            return Finished(picture, picture)
        alpha = self._matte.add(frame)
        shown = composite(picture, alpha, next(self._behind))
        if self._around is not None:
            whole, crop = next(self._around)
            return Finished(paste_back(foreground(picture, alpha), alpha, crop, whole), shown)
        if not self._transparent:
            return Finished(shown, shown)
        opacity = np.rint(alpha * 255).astype(np.uint8)[..., None]
        return Finished(np.concatenate([foreground(picture, alpha), opacity], -1), shown)


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
        return _before_driving(_driving(plan, driving, size, stages), size, options.paste_back)
    if options.background_colour is not None:
        return Compositor(one_colour(options.background_colour, size))
    assert options.background_file is not None
    return Compositor(from_file(options.background_file, size, driving.fps, stages.emit))


def _before_driving(frames: Iterator[tuple[Picture, SteadyCrop]], size: tuple[int, int], paste: bool) -> Compositor:
    whole: Iterator[tuple[Picture, SteadyCrop]] | None = None
    if paste:
        frames, whole = tee(frames)  # both are taken from in step, so that no frame waits
    return Compositor((apply_picture(frame, crop, size) for frame, crop in frames), around=whole)


def _driving(
    plan: RunPlan, driving: DrivingPoses, size: tuple[int, int], stages: Stages
) -> Iterator[tuple[Picture, SteadyCrop]]:
    """The frames of the driving video without its person, and what the poses show of each."""
    total = len(driving)

    def frames(every: int) -> Iterator[tuple[Picture, Iuv]]:
        for index, picture in enumerate(driving_frames(plan, stages, every)):
            yield picture, driving.poses[index * every]

    with stages.timed(BACKGROUND_STAGE):
        stages.progress(BACKGROUND_STAGE, 0, total)
        plate = CleanPlate(frames, total, stages.emit)
        stages.progress(BACKGROUND_STAGE, total, total)
    yield from zip(plate.frames(), driving.crops(size, plan.options.framing), strict=True)
