"""The frames of a real clip as its own reenactment shows them: pictures, masks, regions, warped source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, UInt8

from mcld_anim.body.draw import BodyPainter, DrawnBody
from mcld_anim.core.arrays import AnySizePicture, Iuv, Mask, Picture
from mcld_anim.pose.blazepose import Region
from mcld_anim.pose.condition import uv_warp
from mcld_anim.pose.followed_body import FollowedBody
from mcld_anim.pose.matte_alignment import PERSON, aligned_body
from mcld_anim.run.driving import DrivingMotion
from mcld_anim.run.photo import PhotoSize
from mcld_anim.run.scene import CropScene, PhotoScene
from mcld_anim.source.fitted_photo import FittedPhoto
from mcld_anim.video.framing import SteadyCrop, apply_iuv, apply_picture

AnySizeMask = Bool[np.ndarray, "_height _width"]


@dataclass(frozen=True, eq=False)
class CropTruth:
    """The clip's frames as crops show them."""

    scene: CropScene

    def picture(self, index: int, picture: AnySizePicture) -> Picture:
        """A picture of the clip's size as frame `index` shows it."""
        return apply_picture(picture, self._crops[index], self.scene.size)

    def mask(self, index: int, mask: AnySizeMask) -> Mask:
        """A mask of the clip's size as frame `index` shows it."""
        return cropped_mask(mask, self._crops[index], self.scene.size)

    def region(self, index: int, region: Region, _picture: Picture) -> Region:
        """A region of the clip's frame in frame `index`."""
        return cropped_region(region, self._crops[index], self.scene.size)

    def warped(self, _index: int, iuv: Iuv, colour: UInt8[np.ndarray, " 3"]) -> Picture:
        """The warped source alone; the mean colour where it shows nothing."""
        source = self.scene.source
        return np.where(iuv[..., :1] > 0, uv_warp(source.atlas, source.valid, iuv)[0], colour)

    @cached_property
    def _crops(self) -> list[SteadyCrop]:
        return self.scene.crops()


@dataclass(frozen=True, eq=False)
class OwnScene(PhotoScene):
    """A clip's frame in which the clip's own person moves: nothing is retargeted, and poses fit the clip's mattes."""

    body: FollowedBody
    frame: PhotoSize

    @classmethod
    def of_clip(cls, photo: FittedPhoto, frame: PhotoSize, driving: DrivingMotion, body: FollowedBody) -> OwnScene:
        """The scene of a photo that is a frame of the clip."""
        return cls(photo, driving, frame.motion(driving.motion), body, frame)

    def drawn(self, index: int) -> DrawnBody:
        """The body in a frame, in the photo's clothes."""
        mesh = self._painter.drawn(self.motion, index, self.body.hidden[index])
        return aligned_body(mesh, self.frame.matte(self.body.matte(index)))

    @cached_property
    def _painter(self) -> BodyPainter:
        return BodyPainter(self.motion.shape).bent(self.photo.painter.offsets)


@dataclass(frozen=True, eq=False)
class PhotoTruth:
    """The clip's frames as frames of the photo."""

    scene: OwnScene

    def picture(self, _index: int, picture: AnySizePicture) -> Picture:
        """A picture of the clip's size as a frame shows it."""
        return self.scene.frame.picture(picture)

    def mask(self, _index: int, mask: AnySizeMask) -> Mask:
        """A mask of the clip's size as a frame shows it."""
        return self.scene.frame.matte(mask.astype(np.uint8) * 255) > PERSON

    def region(self, _index: int, region: Region, picture: Picture) -> Region:
        """A region of the clip's frame in a frame."""
        frame = self.scene.frame
        return Region(frame.places(region.centre, picture), region.side * frame.scale, region.angle)

    def warped(self, index: int, _iuv: Iuv, colour: UInt8[np.ndarray, " 3"]) -> Picture:
        """The warped source alone; the mean colour where it shows nothing."""
        photo = self.scene.photo
        return photo.warp.layer(self.scene.drawn(index)).before(np.broadcast_to(colour, photo.picture.shape).copy())


def cropped_mask(mask: AnySizeMask, crop: SteadyCrop, size: tuple[int, int]) -> Bool[np.ndarray, "{size[0]} {size[1]}"]:
    """A frame's mask as the crop of `size` (height, width) shows it."""
    return apply_iuv(np.repeat(mask[..., None], 3, -1).astype(np.uint8), crop, size)[..., 0] > 0


def cropped_region(region: Region, crop: SteadyCrop, size: tuple[int, int]) -> Region:
    """A frame's region in pixels of the crop of `size` (height, width)."""
    scale = size[0] / crop.h
    return Region((region.centre - [crop.x, crop.y]) * scale, region.side * scale, region.angle)
