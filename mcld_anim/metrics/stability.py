"""How steady a person's surface stays from frame to frame, whatever the pose: no optical flow, the IUV says it all.

Every frame's colours are read back into a UV texture of 24 parts by its IUV: c_t(x) is the mean colour of the pixels
that show texel x in frame t. Over the texels X_t that frames t - 1 and t both show,

    texel_change_t = mean over x in X_t and over R, G, B of |c_t(x) - c_{t-1}(x)|          (grey levels, 0..255)
    warp_error_t   = mean over the pixels p of frame t that show an x in X_t of
                     |I_t(p) - c_{t-1}(x)|^2 / 255^2                                         (0..1)

The first is this project's measure; the second is the warping error of Lai et al. 2018 (arXiv 1808.00449, section
4.1) with exact correspondences in the place of estimated flow. A person in still light who only moves has small ones,
but not zero: pixels are not texels, and light stays behind when a limb turns. Compare with a true video's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from mcld_anim.body.clip import ClipFrame
from mcld_anim.body.texels import mean_colours
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import UsageError

TEXELS = 64
"""Side of a part's texture here. In a frame of 256 pixels a torso has about as many pixels across."""


@dataclass(frozen=True)
class Stability:
    """The change from the frame before, over `texels` texels that both frames show."""

    texel_change: float
    warp_error: float
    texels: int


class StabilityMeter:
    """Measures frame after frame; holds the previous frame's texture only."""

    def __init__(self) -> None:
        self._before: tuple[np.ndarray, np.ndarray] | None = None

    def add(self, frame: ClipFrame) -> Stability | None:
        """The change of the next frame, which shows a picture; None for the first one, after a cut, and where both
        frames have no texel in common."""
        assert frame.picture is not None
        picture, iuv = frame.picture, frame.iuv
        colours, seen, index = read_back(picture, iuv)
        before, self._before = self._before, (colours, seen)
        if before is None or frame.link is None:
            return None
        both = before[1] & seen
        if not both.any():
            return None
        change = np.abs(colours[both] - before[0][both]).mean()
        shown = both[index]
        error = (picture[iuv[..., 0] > 0][shown] - before[0][index[shown]]) / 255
        return Stability(float(change), float((error**2).sum(1).mean() / 3), int(both.sum()))


def read_back(
    picture: Picture, iuv: Iuv
) -> tuple[Float[np.ndarray, "texels 3"], Bool[np.ndarray, " texels"], np.ndarray]:
    """Mean colour of every texel (24 * 64 * 64, 3), which of them are seen, and each person pixel's texel number.

    `picture` and `iuv` (H, W, 3) uint8 must have one size; pixels count in row-major order.
    """
    if picture.shape != iuv.shape:
        raise UsageError(f"picture {picture.shape} and IUV {iuv.shape} differ in size: resize one to the other")
    colours, count, index = mean_colours(picture, iuv, TEXELS)
    return colours, count > 0, index
