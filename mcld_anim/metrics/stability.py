"""Temporal stability of a person's surface in any pose; correspondences come from the IUV, not from optical flow.

Every frame's colours are backprojected to a UV texture of 24 parts by its IUV: c_t(x) is the mean colour of the pixels
that show texel x in frame t. Over the texels X_t that frames t - 1 and t both show,

    texel_change_t = mean over x in X_t and over R, G, B of |c_t(x) - c_{t-1}(x)|          (grey levels, 0..255)
    warp_error_t   = mean over the pixels p of frame t that show an x in X_t of
                     |I_t(p) - c_{t-1}(x)|^2 / 255^2                                         (0..1)

The first is this project's measure; the second is the warping error of Lai et al. 2018 (arXiv 1808.00449, section
4.1) with exact correspondences instead of estimated flow. Both are small but not zero for a person who only moves in
constant light: pixels are not texels, and shading does not follow a turning limb. Compare with a real video's values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from mcld_anim.body.clip import ClipFrame
from mcld_anim.body.texels import mean_colours
from mcld_anim.core.arrays import AnySizeIuv, Picture
from mcld_anim.core.chosen_pixels import ChosenPixels
from mcld_anim.core.errors import UsageError

PART_SIZE = 64
"""Side of a part's texture in texels, about the width in pixels of a torso in a 256-pixel frame."""


@dataclass(frozen=True)
class Stability:
    """The change from the previous frame, over the `texels` texels that both frames show."""

    texel_change: float
    warp_error: float
    texels: int


class StabilityMeter:
    """Measures frames in sequence; holds only the previous frame's texture."""

    def __init__(self) -> None:
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, frame: ClipFrame) -> Stability | None:
        """The change of the next frame, which shows a picture; None for the first frame, after a cut, or without a
        common texel."""
        assert frame.picture is not None
        picture, iuv = frame.picture, frame.iuv
        colours, seen, index = backproject(picture, iuv)
        before, self._before = self._before, (colours, seen)
        if before is None or frame.link is None:
            return None
        both = np.flatnonzero(before[1] & seen)
        if not len(both):
            return None
        change = np.abs(colours.take(both, 0) - before[0].take(both, 0)).mean()
        shown = np.flatnonzero(before[1].take(index))
        pixels = ChosenPixels(iuv[..., 0] > 0).of(picture).take(shown, 0)
        error = (pixels - before[0].take(index.take(shown), 0)) / 255
        return Stability(float(change), float((error**2).mean()), len(both))


def backproject(
    picture: Picture, iuv: AnySizeIuv
) -> tuple[Float[np.ndarray, "texels 3"], Bool[np.ndarray, " texels"], np.ndarray]:
    """Mean colour of every texel (24 * 64 * 64, 3), which texels are visible, and each person pixel's texel index.

    `picture` and `iuv` (H, W, 3) uint8 must have the same size; pixels are in row-major order.
    """
    if picture.shape != iuv.shape:
        raise UsageError(f"picture {picture.shape} and IUV {iuv.shape} differ in size: resize one to the other")
    colours, count, index = mean_colours(picture, iuv, PART_SIZE)
    return colours, count > 0, index
