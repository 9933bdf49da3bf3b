"""The picture of `--side-by-side`: source, driving pose and result next to each other."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

from mcld_anim.core.arrays import PART_COUNT, Iuv, Picture


def side_by_side(source: Picture, pose: Iuv, result: Picture) -> UInt8[np.ndarray, "height 3*width 3"]:
    """uint8 (H, 3 W, 3) RGB from three pictures of (H, W, 3)."""
    return np.concatenate([source, pose_colours(pose), result], axis=1)


def pose_colours(iuv: Iuv) -> Picture:
    """An IUV for display: one colour per part, darker towards U = 0, on black."""
    parts = iuv[..., 0].astype(np.float32) * (255 / PART_COUNT)
    colours = cv2.applyColorMap(parts.astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1].astype(np.float32)
    shade = 0.6 + 0.4 * iuv[..., 1:2].astype(np.float32) / 255
    return np.where(iuv[..., :1] > 0, colours * shade, 0).astype(np.uint8)
