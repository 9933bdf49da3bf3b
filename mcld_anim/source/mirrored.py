"""People are nearly symmetric: what a photo shows of one side of them, where it does not show the other."""

from __future__ import annotations

import cv2
import numpy as np

from mcld_anim.core.arrays import MIRROR_PART, PART_COUNT, Atlas, AtlasMask
from mcld_anim.core.cielab import alike
from mcld_anim.core.push_pull import push_pull
from mcld_anim.source.fill import turned

SAME = (25.0, 12.0, 12.0)
"""Differences of L*, a* and b* between the two sides up to which they are of one material in different light."""
LEAST_OVERLAP = 30
"""Texels of a part that both sides have to show for the difference of their light to be known."""
REACH = 40.0
"""Distance from what is seen, in texels of 200, at which the other side's light is a third its own."""


def mirrored(shown: Atlas, seen: AtlasMask) -> tuple[Atlas, AtlasMask]:
    """The atlas of what is `shown`, with the mirror image of `seen` texels where there are none, and which these are.

    Near what is seen, the other side comes in the light of this one, which is known from texels that both show.
    """
    atlas, taken = shown.copy(), np.zeros_like(seen)
    for part in range(1, PART_COUNT + 1):
        mirror, own = MIRROR_PART[part - 1] - 1, seen[part - 1]
        other, there = turned(shown[mirror], part).astype(np.float32), turned(seen[mirror], part)
        taken[part - 1] = there & ~own
        both = there & own & alike(shown[part - 1], other, SAME)
        if np.count_nonzero(both) >= LEAST_OVERLAP:
            lighter = push_pull((shown[part - 1] - other) * both[..., None], both.astype(np.float32))
            away = cv2.distanceTransform((~own).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
            other += lighter * np.exp(-away / REACH)[..., None]
        atlas[part - 1][taken[part - 1]] = np.rint(other[taken[part - 1]]).clip(0, 255)
    return atlas, taken
