"""A source photo with a fitted body becomes the stage of its result: `--framing photo`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import UInt8

from mcld_anim.background.matte import foreground, photo_alpha
from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import BodyMotion
from mcld_anim.body.outline import outline_offsets
from mcld_anim.body.smooth_mesh import stretched_over
from mcld_anim.core.arrays import Alpha, AnySizePicture, Picture
from mcld_anim.pose.backends import EstimatedBody
from mcld_anim.pose.matte_alignment import Matte
from mcld_anim.source.background import filled_background, widened
from mcld_anim.source.edited_warp import Fitted
from mcld_anim.source.fitted_photo import FittedPhoto
from mcld_anim.source.front import in_front
from mcld_anim.source.joined_warps import joined_warps
from mcld_anim.source.person_colours import ear_vertices, ears_under_hair
from mcld_anim.source.photo_warp import PhotoWarp
from mcld_anim.video.framing import SteadyCrop, resize_picture

LONG_SIDE, LARGEST_SIDE = 512, 1024
"""Longer side of the result, in pixels: usually, and at most where the photo shows somebody small."""
LEAST_HEIGHT = 240
"""Height of a standing person in pixels up to which the result is larger, as far as the photo is."""
CELL = 8
"""Both sides are multiples of it, as encoders and networks want."""
WINDOW_MARGIN = 0.15
"""Space around the person's landmarks in the networks' window, as a fraction of the longer side of their box."""
WINDOW_STEP = 64
"""The window's side in pixels is a multiple of it: of both models' latent grids."""
TRACE, HOLE_MARGIN = 0.02, 0.025
"""Matte, 0..1, from which a pixel of the photo is not background, and how much further the hole behind the person
reaches, as a fraction of its longer side."""


@dataclass(frozen=True)
class PhotoSize:
    """How a photo becomes a frame of the result: scaled, and cut by less than a cell."""

    scale: float
    size: tuple[int, int]  # height and width of the frame

    @classmethod
    def of(cls, picture: AnySizePicture, person: BodyMotion, long_side: int | None = None) -> PhotoSize:
        """For the frames of a photo, in which this body was fitted to its person; `long_side`: in pixels, if chosen."""
        side, height = max(picture.shape[:2]), float(person.heights[0])
        larger = min(LEAST_HEIGHT / height, LARGEST_SIDE / side, 1.0)
        scale = max(LONG_SIDE / side, larger) if long_side is None else long_side / side
        height, width = (max(CELL, round(side * scale) // CELL * CELL) for side in picture.shape[:2])
        return cls(scale, (height, width))

    def picture(self, picture: AnySizePicture) -> Picture:
        """The photo, or another picture of its size, as a frame."""
        return _middle(resize_picture(picture, self._scaled(picture)), self.size)

    def matte(self, matte: UInt8[np.ndarray, "_height _width"]) -> Matte:
        """A matte of the photo in the frame."""
        how = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        return _middle(cv2.resize(matte, self._scaled(matte)[::-1], interpolation=how), self.size)

    def motion(self, motion: BodyMotion) -> BodyMotion:
        """A body fitted in the photo, in the frame: the middle of both is the same."""
        return replace(motion.scaled(self.scale), size=self.size)

    def places(self, xy: np.ndarray, picture: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the photo, in pixels of the frame."""
        cut = (np.array(self._scaled(picture)) - self.size)[::-1] / 2
        return xy * self.scale - cut

    def _scaled(self, planes: np.ndarray) -> tuple[int, int]:
        return round(planes.shape[0] * self.scale), round(planes.shape[1] * self.scale)


@dataclass(frozen=True, eq=False)
class PhotoPerson:
    """The person of a photo, at the result's size."""

    frame: PhotoSize
    photo: Picture
    motion: BodyMotion
    alpha: Alpha  # their opacity
    hidden: str  # sides ("L", "R") whose forearm and hand are not seen

    @classmethod
    def of(cls, picture: AnySizePicture, body: EstimatedBody, long_side: int | None = None) -> PhotoPerson:
        """The person to whom a body was fitted in a photo."""
        frame = PhotoSize.of(picture, body.motion, long_side)
        photo, motion = frame.picture(picture), frame.motion(body.motion)
        alpha = photo_alpha(photo, frame.matte(body.matte), float(motion.heights[0]))
        return cls(frame, photo, motion, alpha, body.hidden)

    def fitted(self) -> tuple[BodyPainter, PhotoWarp]:
        """Their body, bent to their outline, and their pixels."""
        colours, naked = foreground(self.photo, self.alpha), BodyPainter(self.motion.shape)
        covered = ears_under_hair(colours, self.alpha, naked.drawn(self.motion, 0, self.hidden))
        if covered:  # an ear would pierce the hair that is drawn out of the head around it
            naked = naked.dressed(stretched_over(naked.rest, ear_vertices(covered)))
        painter = naked.bent(outline_offsets(naked, self.motion, self.alpha > 0.5, self.hidden))
        drawn = painter.drawn(self.motion, 0, self.hidden)
        return painter, PhotoWarp.of(colours, self.alpha, drawn, covered)


def fit_photo(picture: AnySizePicture, body: EstimatedBody, long_side: int | None = None) -> FittedPhoto:
    """The photo at the result's size, its person bent to their outline, and the background without them."""
    person = PhotoPerson.of(picture, body, long_side)
    photo, alpha = person.photo, person.alpha
    hole, others = widened(alpha > TRACE, HOLE_MARGIN), widened(person.frame.matte(body.others) > 127, HOLE_MARGIN)
    with ThreadPoolExecutor(1, "mcld-anim fill") as beside:
        background = beside.submit(filled_background, photo, hole, others)
        painter, warp = person.fitted()
    front = in_front(warp.drawn.person, alpha, float(person.motion.heights[0]))
    return FittedPhoto(photo, background.result(), front, painter, person.motion, warp)


def fit_photos(photos: Sequence[tuple[AnySizePicture, EstimatedBody]], long_side: int | None = None) -> FittedPhoto:
    """The photos of one person with the bodies fitted to them: the first one's stage, with its person as all photos
    show them."""
    stage = fit_photo(*photos[0], long_side)
    if len(photos) == 1:
        return stage
    assert isinstance(stage.warp, PhotoWarp)
    others = [PhotoPerson.of(picture, body, long_side).fitted()[1] for picture, body in photos[1:]]
    return replace(stage, warp=joined_warps([stage.warp, *others]))


def fit_other(picture: AnySizePicture, body: EstimatedBody, long_side: int | None = None) -> Fitted:
    """The person of another photo, for their clothes or their face."""
    return Fitted(*PhotoPerson.of(picture, body, long_side).fitted())


def window_around(motion: BodyMotion, least: int) -> SteadyCrop:
    """The square window that holds the person in every frame of a motion as far as they are in the picture, at least
    `least` pixels wide and no larger than the picture needs."""
    height, width = motion.size
    xy = motion.landmarks()[0].reshape(-1, 2)
    space = WINDOW_MARGIN * float(np.ptp(xy, axis=0).max())
    low, high = (np.clip(edge, 0, [width, height]) for edge in (xy.min(0) - space, xy.max(0) + space))
    side = max(least, WINDOW_STEP * math.ceil(max(high - low) / WINDOW_STEP))
    x, y = np.rint((low + high - side) / 2).astype(int).tolist()
    return SteadyCrop(_kept(x, side, width), _kept(y, side, height), side, side)


def _kept(start: int, side: int, length: int) -> int:
    """The start of the window inside the picture, or, where it is larger, around it."""
    return (length - side) // 2 if side >= length else min(max(start, 0), length - side)


def _middle(planes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The middle of planes that are up to a cell larger than `size`; smaller ones are continued."""
    missing = [max(0, wanted - side) for wanted, side in zip(size, planes.shape[:2], strict=True)]
    if any(missing):
        planes = cv2.copyMakeBorder(planes, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
    top, left = ((side - wanted) // 2 for side, wanted in zip(planes.shape[:2], size, strict=True))
    return np.ascontiguousarray(planes[top : top + size[0], left : left + size[1]])
