"""A fitted body against the landmarks that it was fitted to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float

from mcld_anim.body.fit import SEEN, BodyMotion, ClipLandmarks
from mcld_anim.pose.blazepose import LIMBS, sides_exchanged


def side_jumps(motion: BodyMotion, found: Bool[np.ndarray, " frames"], cuts: Sequence[bool]) -> int:
    """Frames in which the fitted body's left and right are exchanged against the frame before."""
    xy, heights = motion.landmarks()[0], motion.heights
    return sum(
        sides_exchanged(xy[index], xy[index - 1], float(heights[index]))
        for index in range(1, len(xy))
        if found[index] and found[index - 1] and not cuts[index]
    )


def joint_error(seen: ClipLandmarks, motion: BodyMotion) -> float | None:
    """Mean distance of the fitted limbs' landmarks from the visible ones, as a fraction of the person's height.

    The height is that of the standing body at its distance from the camera. None where no limb is visible.
    """
    apart = np.linalg.norm(motion.landmarks()[0] - seen.xy, axis=-1)[:, LIMBS]
    counted = visible_limbs(seen)
    return float((apart / motion.heights[:, None])[counted].mean()) if counted.any() else None


def jitter_ratio(seen: ClipLandmarks, motion: BodyMotion, cuts: Sequence[bool]) -> float | None:
    """Mean absolute second difference in time of the fitted limbs' landmarks over that of the visible ones.

    1: as jittery as the network's landmarks. A term takes three frames of one scene in which the limb is visible. None
    where there are none, or nothing moves.
    """
    visible, cut = visible_limbs(seen), np.asarray(cuts, bool)
    counted = visible[:-2] & visible[1:-1] & visible[2:] & ~(cut[1:-1] | cut[2:])[:, None]
    fitted, raw = (_bends(xy[:, LIMBS])[counted].sum() for xy in (motion.landmarks()[0], seen.xy))
    return float(fitted / raw) if raw > 0 else None


def visible_limbs(seen: ClipLandmarks) -> Bool[np.ndarray, "frames 12"]:
    """The landmarks of `LIMBS` that are seen, inside the picture, in frames in which the person is found."""
    height, width = seen.size
    inside = ((seen.xy >= 0) & (seen.xy < [width, height])).all(-1)
    return ((seen.visibility >= SEEN) & inside & seen.found[:, None])[:, LIMBS]


def _bends(xy: Float[np.ndarray, "frames points 2"]) -> Float[np.ndarray, "bends points"]:
    """Lengths of the second differences, pixels."""
    return np.asarray(np.linalg.norm(xy[2:] - 2 * xy[1:-1] + xy[:-2], axis=-1))
