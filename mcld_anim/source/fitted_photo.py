"""A source photo whose person a body was fitted to: the stage of `--framing photo`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import BodyMotion
from mcld_anim.body.place import NOSE
from mcld_anim.body.rig import load_body
from mcld_anim.core.arrays import Alpha, Picture
from mcld_anim.source.edited_warp import Warp


@dataclass(frozen=True, eq=False)
class FittedPhoto:
    """The photo at the result's size, and everything that is known of its person."""

    picture: Picture
    background: Picture  # the same without the person
    front: Alpha  # opacity of what stands before the person, and stays before them
    painter: BodyPainter  # of the body in its clothes
    motion: BodyMotion  # one frame: the photo's pose
    warp: Warp

    def at(self, _index: int) -> FittedPhoto:
        """The photo in a frame, with that frame's person."""
        return self

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.picture.shape[0], self.picture.shape[1]

    def with_front(self, behind: Float[np.ndarray, "height width 3"]) -> Picture:
        """A picture of the person in front of the background, colours 0..255, behind what stays before them."""
        front = self.front[..., None]
        return np.rint(self.picture * front + behind * (1 - front)).clip(0, 255).astype(np.uint8)

    @property
    def head(self) -> float:
        """How far the head with its hair reaches above the nose, in pixels."""
        top = self.warp.drawn.points[load_body().weight("head") > 0.5, 1].min()
        return max(0.0, float(self.motion.landmarks()[0][0, NOSE, 1] - top))
