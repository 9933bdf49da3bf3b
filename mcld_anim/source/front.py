"""What stands before the person in a photo: a desk, a balustrade. It stays there while they move behind it."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float

from mcld_anim.core.arrays import Alpha, Mask

HIDDEN = 0.1
"""Matte, 0..1, below which a pixel of the body is hidden by something."""
FIT_ERROR = 0.012
"""Distance, as a fraction of the person's height, by which a fitted body may reach over the person's outline: what is
thinner is no thing in front."""
EDGE_ERROR, MOST_TILT = 0.01, 0.2
"""Median distance of the upper edge from a straight line, as a fraction of the person's height, and the line's slope,
up to which a thing goes on beside the person."""
SOFT = 0.8
"""Standard deviation of its soft edge, in pixels."""


def in_front(body: Mask, alpha: Alpha, height: float) -> Float[np.ndarray, "height width"]:
    """Opacity, 0..1, of what hides the lower end of the person; all 0 where nothing does.

    body: where the photo would show the fitted body; alpha: the person's matte; height: the person's, in pixels. Only
    what the picture's lower edge cuts counts: things that are held move with the hands.
    """
    hidden = body & (alpha < HIDDEN)
    radius = max(1, round(FIT_ERROR * height))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    _, labels = cv2.connectedComponents(cv2.erode(hidden.astype(np.uint8), disc))
    cut = np.setdiff1d(labels[-1], 0)
    kept = np.isin(labels, cut) & (labels > 0)
    front = (cv2.dilate(kept.astype(np.uint8), disc) > 0) & hidden
    front |= _beside(front, height) & (alpha < HIDDEN)
    return np.asarray(cv2.GaussianBlur(front.astype(np.float32), (0, 0), SOFT))


def _beside(front: Mask, height: float) -> Mask:
    """All below the line that continues a straight upper edge; nothing where the edge is not straight."""
    columns = np.flatnonzero(front.any(0))
    if len(columns) < 2:
        return np.zeros_like(front)
    top = front[:, columns].argmax(0)
    slope, start = np.polyfit(columns, top, 1)
    off = np.median(np.abs(slope * columns + start - top))
    if off > EDGE_ERROR * height or abs(slope) > MOST_TILT:
        return np.zeros_like(front)
    rows, every = np.mgrid[: front.shape[0], : front.shape[1]]
    return np.asarray(rows >= slope * every + start)
