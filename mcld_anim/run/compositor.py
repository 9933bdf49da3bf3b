"""From a generated frame to a finished one: the person is cut out and composited over another background."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, tee

import numpy as np

from mcld_anim.background.backdrop import checkerboard, from_file, one_colour, one_picture
from mcld_anim.background.clean_background import CleanBackground
from mcld_anim.background.matte import SteadyMatte, composite, foreground
from mcld_anim.body.clip import ClipFrame
from mcld_anim.core.arrays import AnySizePicture, Iuv, Picture, Rgba
from mcld_anim.core.stages import Stages
from mcld_anim.options.run import RunOptions
from mcld_anim.run.driving import driving_frames
from mcld_anim.run.scene import CropScene, PhotoScene
from mcld_anim.video.framing import SteadyCrop, apply_picture, paste_back

BACKGROUND_STAGE = "background"


@dataclass(frozen=True, eq=False)
class Finished:
    """One frame of the result."""

    picture: Picture | Rgba
    """The result's frame: RGBA if it is transparent, the whole driving frame if the person is pasted back."""
    shown: AnySizePicture
    """The person's crop for display and the report, with transparency as a checkerboard."""


class Compositor:
    """Finishes the frames of one clip in order; frame i does not depend on batches."""

    def __init__(
        self,
        behind: Iterator[Picture] | None,
        transparent: bool = False,
        around: Iterator[tuple[Picture, SteadyCrop]] | None = None,
    ) -> None:
        """`behind` None: frames stay as generated. `around`: the whole frame that each is pasted back into, and its
        crop."""
        self._behind = behind
        self._transparent = transparent
        self._around = around
        self._matte = SteadyMatte()

    def carried(self) -> dict[str, np.ndarray]:
        """What the next frame needs of the last one; empty where no matte is cut out of pictures."""
        return self._matte.carried()

    def carry(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what another compositor of the same clip has `carried`."""
        self._matte.carry(arrays)

    def finish(self, frame: ClipFrame) -> Finished:
        """Finish the next frame, which holds its generated picture."""
        assert frame.picture is not None
        picture = frame.picture
        if self._behind is None:
            return Finished(picture, picture)
        drawn = frame.pose.drawn
        alpha = self._matte.add(frame) if drawn is None else drawn.whole(drawn.alpha)
        shown = composite(picture, alpha, next(self._behind))
        if self._around is not None:
            whole, crop = next(self._around)
            return Finished(paste_back(foreground(picture, alpha), alpha, crop, whole), shown)
        if not self._transparent:
            return Finished(shown, shown)
        opacity = np.rint(alpha * 255).astype(np.uint8)[..., None]
        return Finished(np.concatenate([foreground(picture, alpha), opacity], -1), shown)


def compositor(options: RunOptions, scene: CropScene | PhotoScene, stages: Stages, first: int = 0) -> Compositor:
    """The compositor for `--background`, at the size of the generated frames, which begin with frame `first`."""
    size = scene.picture.shape[0], scene.picture.shape[1]
    if options.background == "generated":
        return Compositor(None)
    if options.background == "transparent":
        return Compositor(one_picture(checkerboard(size), size), transparent=True)
    if options.background == "source":
        return Compositor(one_picture(scene.background, size))
    if options.background == "driving":
        assert isinstance(scene, CropScene)  # guaranteed by RunOptions
        return _before_driving(_driving(scene, stages, first), size, options.paste_back)
    if options.background_colour is not None:
        return Compositor(one_colour(options.background_colour, size))
    assert options.background_file is not None
    behind = from_file(options.background_file, size, scene.driving.fps, stages.emit)
    return Compositor(islice(behind, first, None))


def _before_driving(frames: Iterator[tuple[Picture, SteadyCrop]], size: tuple[int, int], paste: bool) -> Compositor:
    whole: Iterator[tuple[Picture, SteadyCrop]] | None = None
    if paste:
        frames, whole = tee(frames)  # both are consumed in step, so no frame waits in memory
    return Compositor((apply_picture(frame, crop, size) for frame, crop in frames), around=whole)


def _driving(scene: CropScene, stages: Stages, first: int) -> Iterator[tuple[Picture, SteadyCrop]]:
    """The frames of the driving video from `first` on without its person, and the crop of each."""
    driving, total = scene.driving, len(scene.driving)

    def frames(every: int) -> Iterator[tuple[Picture, Iuv]]:
        for index, picture in enumerate(driving_frames(scene.plan, stages, every)):
            yield picture, driving.poses[index * every]

    with stages.timed(BACKGROUND_STAGE):
        stages.progress(BACKGROUND_STAGE, 0, total)
        clean = CleanBackground(frames, total, stages.emit)
        stages.progress(BACKGROUND_STAGE, total, total)
    yield from zip(clean.frames(first), scene.crops()[first:], strict=True)
