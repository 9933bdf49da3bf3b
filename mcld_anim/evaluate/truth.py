"""The frames of a real clip as its own reenactment shows them: pictures, masks, regions, warped source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

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


class Warped(NamedTuple):
    """The source's colours in another frame, without networks, light or background."""

    shown: Picture  # only what the source shows, the mean colour elsewhere
    completed: Picture  # with its guesses


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

    def warped(self, _index: int, iuv: Iuv, colour: UInt8[np.ndarray, " 3"]) -> Warped:
        """The warped source of a frame with this IUV, on a plane of the person's mean `colour`."""
        source = self.scene.source
        warp, seen = uv_warp(source.atlas, source.valid, iuv)
        completed = np.where(iuv[..., :1] > 0, warp, colour)
        return Warped(np.where(seen[..., None] > 0, completed, colour), completed)

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

    def warped(self, index: int, _iuv: Iuv, colour: UInt8[np.ndarray, " 3"]) -> Warped:
        """The warped source of a frame, on a plane of the person's mean `colour`."""
        photo = self.scene.photo
        layer, plane = photo.warp.layer(self.scene.drawn(index)), np.broadcast_to(colour, photo.picture.shape)
        seen = layer.validity[..., None]
        shown = replace(layer, colours=seen * layer.colours + (1 - seen) * colour)
        return Warped(shown.before(plane), layer.before(plane))


def cropped_mask(mask: AnySizeMask, crop: SteadyCrop, size: tuple[int, int]) -> Bool[np.ndarray, "{size[0]} {size[1]}"]:
    """A frame's mask as the crop of `size` (height, width) shows it."""
    return apply_iuv(np.repeat(mask[..., None], 3, -1).astype(np.uint8), crop, size)[..., 0] > 0


def cropped_region(region: Region, crop: SteadyCrop, size: tuple[int, int]) -> Region:
    """A frame's region in pixels of the crop of `size` (height, width)."""
    scale = size[0] / crop.h
    return Region((region.centre - [crop.x, crop.y]) * scale, region.side * scale, region.angle)
