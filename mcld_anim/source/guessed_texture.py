"""The texture of clothes where a photo does not show them: what is guessed has no more than their colours."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Int8, UInt8

from mcld_anim.core.arrays import ATLAS_SIZE, HEAD_PARTS, MIRROR_PART, PART_COUNT, Atlas, AtlasMask
from mcld_anim.core.cielab import alike
from mcld_anim.source.fill import NEIGHBOUR, OTHER_SIDE
from mcld_anim.source.patch_texture import made_anew, standing_out

Texture = Int8[np.ndarray, "24 200 200"]
"""What each texel is brighter by, in levels."""

COARSE = 5.0
"""Standard deviation, in texels of 200, of the blur from which texture stands out: larger folds belong to a pose."""
SAME = (30.0, 14.0, 14.0)
"""Differences of L*, a* and b* from a part's median colour up to which a texel is the garment's."""
DEEPEST = 2.5
"""By how many standard deviations texture stands out at most: more is an edge or a crease."""
CONTRAST = 0.7
"""Contrast of guessed texture, as a share of what is seen: folds in other places look rougher than they are."""
NORMAL = 1.48
"""Standard deviation of normally distributed values over their median distance from the mean."""
CLOTHED = tuple(part for part in range(1, PART_COUNT + 1) if part not in (*HEAD_PARTS, 3, 4, 5, 6))
"""Parts that clothes are on: neither heads nor hands and feet, whose small forms are no texture."""


def guessed_texture(shown: Atlas, seen: AtlasMask) -> Texture:
    """The texture of each part's garment all over it, from the texels in `seen`; 0 where too little is seen."""
    own = {part: _texture(shown[part - 1], seen[part - 1]) for part in CLOTHED if seen[part - 1].any()}
    texture = np.zeros((PART_COUNT, ATLAS_SIZE, ATLAS_SIZE), np.int8)
    for part in CLOTHED:
        found = next((own[like] for like in _alike(part) if own.get(like) is not None), None)
        if found is not None:
            texture[part - 1] = found
    return texture


def _texture(
    texels: UInt8[np.ndarray, "200 200 3"], seen: Bool[np.ndarray, "200 200"]
) -> Int8[np.ndarray, "200 200"] | None:
    """That of one part all over its chart; None where too little of it is seen."""
    usual = np.median(texels[seen], axis=0).astype(np.float32)
    same = cv2.erode((seen & alike(texels, usual, SAME)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    if not same.any():
        return None
    texture = standing_out(texels.mean(-1), same, COARSE)
    most = DEEPEST * NORMAL * float(np.median(np.abs(texture[same])))
    made = made_anew(texture.clip(-most, most), same)
    return None if made is None else np.rint(CONTRAST * made).clip(-127, 127).astype(np.int8)


def _alike(part: int) -> list[int]:
    """Parts of the same garment, the likeliest first."""
    parts = [part]
    while part in NEIGHBOUR:
        part = NEIGHBOUR[part]
        parts.append(part)
    return [like for one in parts for like in (one, MIRROR_PART[one - 1], OTHER_SIDE.get(one, one))]
