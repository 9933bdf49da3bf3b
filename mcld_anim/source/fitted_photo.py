"""A source photo whose person a body was fitted to: the stage of `--framing photo`."""

from __future__ import annotations

from dataclasses import dataclass

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import BodyMotion
from mcld_anim.core.arrays import Picture
from mcld_anim.source.photo_warp import PhotoWarp


@dataclass(frozen=True, eq=False)
class FittedPhoto:
    """The photo at the result's size, and everything that is known of its person."""

    picture: Picture
    background: Picture  # the same without the person
    painter: BodyPainter  # of the body in its clothes
    motion: BodyMotion  # one frame: the photo's pose
    warp: PhotoWarp

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[0], self.picture.shape[1]
