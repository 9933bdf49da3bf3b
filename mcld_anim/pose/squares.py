"""Square crops for the embedded network: cut out at its input size, and put back into the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np
from jaxtyping import UInt8

from mcld_anim.core.arrays import Picture
from mcld_anim.pose.tiny_network import INPUT_SIZE

Square = tuple[float, float, float]
"""x, y of the upper left corner and side, in pixels of the picture; may extend beyond it."""


def whole(picture: Picture) -> Square:
    """The smallest square around a picture."""
    height, width = picture.shape[:2]
    side = float(max(height, width))
    return (width - side) / 2, (height - side) / 2, side


def tiles(picture: Picture) -> list[Square]:
    """Squares with the picture's shorter side and with half of it, each overlapping its neighbours by half."""
    height, width = picture.shape[:2]
    tiles = []
    for side in (min(height, width), min(height, width) / 2):
        rows, columns = (np.linspace(0, length - side, round(2 * length / side) - 1) for length in (height, width))
        tiles += [(float(x), float(y), float(side)) for y in rows for x in columns]
    return tiles


def cut(picture: Picture, square: Square, size: int = INPUT_SIZE) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """The square of a picture as (size, size, 3); the picture's edge is repeated outside it."""
    x, y, side = square
    scale = size / side
    height, width = picture.shape[:2]
    left, top = (int(np.clip(edge - 2, 0, length - 1)) for edge, length in ((x, width), (y, height)))
    picture = picture[top : math.ceil(y + side) + 2, left : math.ceil(x + side) + 2]  # saves shrinking the rest
    x, y = x - left, y - top
    if scale < 1:  # area averaging, because warping alone would alias
        shrink = max(int(1 / scale), 1)
        height, width = picture.shape[:2]
        small = (max(round(width / shrink), 1), max(round(height / shrink), 1))
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        across, down = small[0] / width, small[1] / height
        x, y, scale_x, scale_y = x * across, y * down, scale / across, scale / down
    else:
        scale_x = scale_y = scale
    # Pixel centres lie at half-integers: output (u + 0.5) = ((p + 0.5) - x) * scale.
    matrix = np.array([[scale_x, 0, (0.5 - x) * scale_x - 0.5], [0, scale_y, (0.5 - y) * scale_y - 0.5]], np.float64)
    made = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(made, np.uint8)


def place(planes: np.ndarray, square: Square, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The grid (256, 256, C) of a square, sampled at rows and columns of the picture by nearest cell; 0 outside it."""
    x, y, side = square
    scale = INPUT_SIZE / side
    across = np.floor((columns - x) * scale).astype(int)
    down = np.floor((rows - y) * scale).astype(int)
    shown = ((down >= 0) & (down < INPUT_SIZE))[:, None] & ((across >= 0) & (across < INPUT_SIZE))
    placed = planes[down.clip(0, INPUT_SIZE - 1)[:, None], across.clip(0, INPUT_SIZE - 1)]
    return np.asarray(placed * shown[..., None], np.uint8)


def grid(square: Square) -> tuple[np.ndarray, np.ndarray]:
    """The rows and columns of the picture at the centres of a square's 256x256 cells."""
    x, y, side = square
    middles = (np.arange(INPUT_SIZE) + 0.5) * side / INPUT_SIZE
    return y + middles, x + middles
