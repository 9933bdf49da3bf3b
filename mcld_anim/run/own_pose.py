"""`mcld-anim edit` with the photo's own pixels: what the edits do not change is the photo itself.

The fitted body is not the person's outline to the pixel, and some of its surface is not where it is drawn: hands in a
pocket, crossed arms. There the nearest surface that can be trusted says whether a pixel is edited.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float

from mcld_anim.background.matte import photo_alpha
from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.body.draw import DrawnBody
from mcld_anim.body.garments import bare_share
from mcld_anim.body.part_labels import HAND_PART
from mcld_anim.core.arrays import Alpha, AnySizePicture, Mask, Picture
from mcld_anim.pose.backends import EstimatedBody
from mcld_anim.run.photo import PhotoSize
from mcld_anim.sampling.photo_pixels import PhotoPixels
from mcld_anim.source.edited_warp import EditedWarp
from mcld_anim.source.fitted_photo import FittedPhoto
from mcld_anim.source.photo_warp import PhotoWarp
from mcld_anim.source.recolour import Tone, bareness

CHANGE = 3
"""Difference in levels between edited and unedited pixels from which an edit shows."""
REACH, SOFT = 5, 1.2
"""Width and softness, in pixels, by which what an edit changes reaches beyond it."""
OWN = 0.5
"""Opacity in the photo from which its pixel shows the surface that is drawn there."""
HIDDEN = 0.3
"""Matte below which a pixel of the body is hidden by a thing in front, which stays."""
REPLACED = 0.3
"""Share of somebody else's surface from which a pixel near it is not the photo's: a morph in a picture has a half."""
MISTAKEN, LEAST_PIXELS = 0.4, 20
"""Share of a drawn hand that the photo shows below which the hand is somewhere else, and pixels of a hand."""


@dataclass(frozen=True, eq=False)
class OwnPose:
    """Makes the one picture of an edited person in the photo's pose."""

    plain: FittedPhoto  # without edits
    edited: FittedPhoto
    photo: AnySizePicture
    body: EstimatedBody  # in the photo
    long_side: int | None = None  # of the picture in pixels, if chosen

    @property
    def pose(self) -> FramePose:
        """The pose of the edited person."""
        return _pose(self.edited)

    def make(self, frames: Sequence[ClipFrame], _on_step: Callable[[int, int], None] | None = None) -> list[Picture]:
        """The picture, uint8 (H, W, 3) RGB, of the frame that has this `pose`."""
        return [self._made(frame) for frame in frames]

    def _made(self, frame: ClipFrame) -> Picture:
        warp, drawn = self.edited.at(0).warp, _drawn(self.plain)
        if not isinstance(warp, EditedWarp):  # only options without effect were given
            return self.plain.picture
        skin = warp.look.parts[0].tone
        skin = warp.look.tone if skin is None else skin
        own = self._own(drawn, skin)
        mistaken = _mistaken(drawn, own)
        trusted, matte = own & ~np.isin(drawn.iuv[..., 0], [HAND_PART[side] for side in mistaken]), self._matte()
        doubtful = ~trusted & (matte >= HIDDEN)
        unedited = replace(warp.look, parts=warp.look.parts[:1], paint=None)
        dyed = _pixels(replace(self.plain, warp=EditedWarp(unedited, (self.plain.warp,))), frame)
        after = _pixels(self.edited, frame)
        for side in mistaken:  # what is behind it
            hand = _drawn(self.edited).iuv[..., 0] == HAND_PART[side]
            after = np.where(hand[..., None], _pixels(self.edited, frame, side), after)
        shares = [share for _, share in unedited.dyes] + [_replaced(warp), bare_share()]
        *dyes, replaced, bare = np.moveaxis(_nearest(drawn, np.stack(shares, 1), trusted), -1, 0)
        person = self.plain.picture.astype(np.float32)
        for (dye, _), share in zip(unedited.dyes, dyes, strict=True):
            person = dye.laid(person, share * matte, np.where(doubtful, 1, bare))
        bare = np.zeros_like(matte) if skin is None else bareness(self.plain.picture.astype(np.float32), skin)
        changed = np.abs(after.astype(np.int16) - dyed).max(-1) >= CHANGE
        changed &= ~(drawn.person & (matte < HIDDEN))
        changed = np.where(doubtful, (replaced > REPLACED) & (bare < 0.5), changed)
        near = cv2.dilate(changed.astype(np.float32), np.ones((REACH, REACH)))
        share = cv2.GaussianBlur(near, (0, 0), SOFT)[..., None]
        return np.rint(after * share + person * (1 - share)).clip(0, 255).astype(np.uint8)

    def _matte(self) -> Alpha:
        """The person's opacity in the photo."""
        frame = PhotoSize.of(self.photo, self.body.motion, self.long_side)
        height = float(self.plain.motion.heights[0])
        return photo_alpha(self.plain.picture, frame.matte(self.body.matte), height)

    def _own(self, drawn: DrawnBody, skin: Tone | None) -> Mask:
        """Where the photo shows the surface that is drawn there; a hand only where it has the colour of skin."""
        assert isinstance(self.plain.warp, PhotoWarp)
        own = drawn.person & (self.plain.warp.own > OWN)
        if skin is not None:
            hands = np.isin(drawn.iuv[..., 0], list(HAND_PART.values()))
            own &= ~hands | (bareness(self.plain.picture.astype(np.float32), skin) > 0.5)
        return np.asarray(own)


def _mistaken(drawn: DrawnBody, own: Mask) -> str:
    """Sides whose hand is drawn where the photo does not show it."""
    parts, mistaken = drawn.iuv[..., 0], ""
    for side, part in HAND_PART.items():
        hand = parts == part
        if np.count_nonzero(hand) >= LEAST_PIXELS and own[hand].mean() < MISTAKEN:
            mistaken += side
    return mistaken


def _pixels(photo: FittedPhoto, frame: ClipFrame, hidden: str = "") -> Picture:
    """A photo's person in its pose."""
    (picture,) = PhotoPixels(photo).make([replace(frame, pose=_pose(photo, hidden))])
    return picture


def _pose(photo: FittedPhoto, hidden: str = "") -> FramePose:
    drawn = _drawn(photo, hidden)
    return FramePose(drawn.iuv, drawn=drawn)


def _drawn(photo: FittedPhoto, hidden: str = "") -> DrawnBody:
    """The body in the photo's pose; `hidden`: sides ("L", "R") whose forearm and hand are left out."""
    return photo.at(0).painter.drawn(photo.motion, 0, hidden)


def _replaced(warp: EditedWarp) -> Float[np.ndarray, " vertices"]:
    """How much of each vertex's surface comes from another photo."""
    return np.max([np.zeros(len(bare_share())), *(part.share for part in warp.look.parts[1:])], axis=0)


def _nearest(
    drawn: DrawnBody, values: Float[np.ndarray, "vertices n"], trusted: Mask
) -> Float[np.ndarray, "height width n"]:
    """Values of the surface at every pixel: where it is not trusted, of the nearest that is."""
    planes = drawn.whole(drawn.over(values.astype(np.float32)))
    if not trusted.any():
        return planes
    _, label = cv2.distanceTransformWithLabels(
        (~trusted).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    known = np.zeros((label.max() + 1, planes.shape[-1]), np.float32)
    known[label[trusted]] = planes[trusted]
    return known[label]
