"""Texture made anew out of patches of what is seen of it.

Patches that overlap are blended so that contrast stays, by the root of their weights' squares: Heitz and Neyret,
"High-Performance By-Example Noise using a Histogram-Preserving Blending Operator", HPG 2018.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

PATCHES, KNOWN, LEAST_PATCHES = (24, 16, 10), 0.9, 20
"""Sides of the patches, in pixels, the largest of which there are enough; the share of one that has to be known; and
how many are enough."""


def standing_out(
    grey: Float[np.ndarray, "rows columns"], known: Bool[np.ndarray, "rows columns"], coarse: float
) -> Float[np.ndarray, "rows columns"]:
    """What stands out of the mean brightness around it, 0 where nothing is known.

    coarse: standard deviation, in pixels, of the blur that makes the mean.
    """
    weight = cv2.GaussianBlur(known.astype(np.float32), (0, 0), coarse)
    mean = cv2.GaussianBlur((grey * known).astype(np.float32), (0, 0), coarse) / np.maximum(weight, 1e-3)
    return np.where(known, grey - mean, 0.0).astype(np.float32)


def made_anew(
    texture: Float[np.ndarray, "rows columns"], known: Bool[np.ndarray, "rows columns"]
) -> Float[np.ndarray, "rows columns"] | None:
    """As much texture like that where it is `known`; None where too little is."""
    for side in PATCHES:
        places = _whole_patches(known, side)
        if len(places) >= LEAST_PATCHES:
            return _blended(texture, places, side)
    return None


def _whole_patches(known: Bool[np.ndarray, "rows columns"], side: int) -> Int[np.ndarray, "patches 2"]:
    """The first row and column of every square in which nearly all is known."""
    rows, columns = known.shape
    share = cv2.boxFilter(known.astype(np.float32), -1, (side, side), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT)
    return np.argwhere(share[: rows - side, : columns - side] >= KNOWN)


def _blended(
    texture: Float[np.ndarray, "rows columns"], places: Int[np.ndarray, "patches 2"], side: int
) -> Float[np.ndarray, "rows columns"]:
    """Patches drawn at random, each over half of its neighbours."""
    (rows, columns), generator, step = texture.shape, np.random.default_rng(0), side // 2
    ramp = np.sin(np.pi * (np.arange(side) + 0.5) / side) ** 2
    window = np.outer(ramp, ramp)
    total, squares = (np.zeros((rows + 2 * side, columns + 2 * side)) for _ in range(2))
    for top in range(0, rows + side, step):
        for left in range(0, columns + side, step):
            row, column = places[generator.integers(len(places))]
            total[top : top + side, left : left + side] += window * texture[row : row + side, column : column + side]
            squares[top : top + side, left : left + side] += window**2
    made = total / np.sqrt(np.maximum(squares, 1e-6))
    return made[side : side + rows, side : side + columns].astype(np.float32)
