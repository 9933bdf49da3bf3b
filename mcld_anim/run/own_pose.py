"""`mcld-anim edit` with the photo's own pixels: what the edits do not change is the photo itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.core.arrays import AnySizePicture, Picture
from mcld_anim.pose.backends import EstimatedBody
from mcld_anim.run.photo import PhotoSize
from mcld_anim.sampling.photo_pixels import PhotoPixels
from mcld_anim.source.fitted_photo import FittedPhoto

CHANGE = 3
"""Difference in levels between edited and unedited pixels from which an edit shows."""
REACH, SOFT = 5, 1.2
"""Width and softness, in pixels, by which what an edit changes reaches beyond it."""
HIDDEN = 0.3
"""Matte below which a pixel of the body is hidden by a thing in front, which stays."""


@dataclass(frozen=True, eq=False)
class OwnPose:
    """Makes the one picture of an edited person in the photo's pose."""

    plain: FittedPhoto  # without edits
    edited: PhotoPixels
    photo: AnySizePicture
    body: EstimatedBody  # in the photo

    def make(self, frames: Sequence[ClipFrame], on_step: Callable[[int, int], None] | None = None) -> list[Picture]:
        """The picture, uint8 (H, W, 3) RGB, of the frame that has `own_pose`."""
        return [
            self._made(frame, after) for frame, after in zip(frames, self.edited.make(frames, on_step), strict=True)
        ]

    def _made(self, frame: ClipFrame, after: Picture) -> Picture:
        pose = own_pose(self.plain, self.body.hidden)
        (before,) = PhotoPixels(self.plain).make([ClipFrame(frame.index, pose)])
        matte = PhotoSize.of(self.photo, self.body.motion).matte(self.body.matte) / np.float32(255)
        assert pose.drawn is not None
        changed = np.abs(after.astype(np.int16) - before).max(-1) >= CHANGE
        changed &= ~(pose.drawn.person & (matte < HIDDEN))
        near = cv2.dilate(changed.astype(np.float32), np.ones((REACH, REACH)))
        share = cv2.GaussianBlur(near, (0, 0), SOFT)[..., None]
        mixed = after * share + self.plain.picture * (1 - share)
        return np.rint(mixed).clip(0, 255).astype(np.uint8)


def own_pose(photo: FittedPhoto, hidden: str) -> FramePose:
    """The pose of the photo; `hidden`: sides ("L", "R") whose forearm and hand it does not show."""
    drawn = photo.at(0).painter.drawn(photo.motion, 0, hidden)
    return FramePose(drawn.iuv, drawn=drawn)
