"""Crops around a person, steady over a clip, and pasting a crop back into its frame.

Coordinates are continuous: pixel i covers i to i + 1, so (0, 0) is the picture's outer corner. x grows to the
right, y downwards.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Shaped, UInt8
from scipy.ndimage import gaussian_filter1d

from mcld_anim.core.arrays import Alpha, Box, Iuv, Picture, SizedIuv, SizedPicture
from mcld_anim.core.errors import PoseError

WholeFrame = UInt8[np.ndarray, "frame_height frame_width 3"]
"""RGB in 0..255, a frame that a crop was cut out of."""

FRAMING_MARGIN = 0.1
"""Margin around the person, as a fraction of the box's longer side: detectors and DensePose cut off hair and
fingers."""

MEDIAN_FRAMES = 7
"""Frames whose median box gives the expected place: a quarter of a second. It survives three wrong detections in a
row."""

STRAY_OVERLAP = 0.1
"""Intersection over union with the expected box below which a box is a wrong detection."""

MOST_STRAYS = 0.2
"""Largest share of stray boxes. If more seem stray, the person really moves that fast, and all boxes count."""


@dataclass(frozen=True)
class SteadyCrop:
    """A rectangle in whole pixels, the same for every frame; it may reach outside the picture."""

    x: int
    y: int
    w: int
    h: int


def steady_crop(
    boxes: Sequence[Box | None], frame_size: tuple[int, int], aspect: float, margin: float = FRAMING_MARGIN
) -> SteadyCrop:
    """The smallest crop of `aspect` (width / height) around the person in all frames, with a margin.

    `boxes` has one entry per frame, None where nobody was found. Boxes that jump away from their neighbours in time
    are wrong detections and are ignored. All others lie inside the crop, as far as they lie inside the frame of
    `frame_size` (height, width).
    """
    height, width = frame_size
    found = np.array([box for box in boxes if box is not None], dtype=float).reshape(-1, 4)
    found = found[np.isfinite(found).all(axis=1)].clip(0, [width, height, width, height])
    found = found[(found[:, 2:] > found[:, :2]).all(axis=1)]
    if not len(found):
        raise PoseError("no person was found in any frame; use a driving video that shows one whole person")
    kept = found[~_strays(found)]
    x0, y0 = kept[:, :2].min(axis=0)
    x1, y1 = kept[:, 2:].max(axis=0)
    space = margin * max(x1 - x0, y1 - y0)
    return _around(x0 - space, y0 - space, x1 + space, y1 + space, aspect)


def full_crop(frame_size: tuple[int, int], aspect: float) -> SteadyCrop:
    """The smallest crop of `aspect` (width / height) that holds the whole frame."""
    height, width = frame_size
    h = max(height, math.ceil(width / aspect))
    w = round(h * aspect)
    return SteadyCrop(round((width - w) / 2), round((height - h) / 2), w, h)


def tracking_crops(
    boxes: Sequence[Box | None],
    frame_size: tuple[int, int],
    aspect: float,
    smoothing: float,
    margin: float = FRAMING_MARGIN,
    cuts: Sequence[bool] = (),
) -> list[SteadyCrop]:
    """Crops of one size that follow the person along a path smoothed by a Gaussian (sigma `smoothing`, in frames).

    Every box lies inside its crop as far as it lies inside the frame. The path is interpolated where boxes are missing.
    It jumps at `cuts`, the frames with which a new scene begins.
    """
    height, width = frame_size
    found = np.array([index for index, box in enumerate(boxes) if box is not None])
    if not len(found):
        raise PoseError("no person was found in any frame; use a driving video that shows one whole person")
    known = np.array([box for box in boxes if box is not None], float).clip(0, [width, height, width, height])
    everywhere, path = np.empty((len(boxes), 4)), np.empty((len(boxes), 2))
    for scene in np.split(np.arange(len(boxes)), np.flatnonzero(cuts)):
        own = np.isin(found, scene) if np.isin(found, scene).any() else np.full(len(found), True)
        everywhere[scene] = np.stack([np.interp(scene, found[own], edge) for edge in known[own].T], -1)
        centre = (everywhere[scene, :2] + everywhere[scene, 2:]) / 2
        path[scene] = gaussian_filter1d(centre, smoothing, axis=0, mode="nearest")
    reach = np.maximum(everywhere[:, 2:] - path, path - everywhere[:, :2]).max(0)
    space = margin * 2 * float(reach.max())
    size = _around(-reach[0] - space, -reach[1] - space, reach[0] + space, reach[1] + space, aspect)
    return [SteadyCrop(round(x - size.w / 2), round(y - size.h / 2), size.w, size.h) for x, y in path]


def apply_picture(picture: Picture, crop: SteadyCrop, size: tuple[int, int]) -> SizedPicture:
    """Cut `crop` out and resize it to `size` (height, width); the picture's edge is repeated outside it."""
    height, width = picture.shape[:2]
    rows = np.arange(crop.y, crop.y + crop.h).clip(0, height - 1)
    columns = np.arange(crop.x, crop.x + crop.w).clip(0, width - 1)
    return resize_picture(picture[rows[:, None], columns], size)


def apply_iuv(iuv: Iuv, crop: SteadyCrop, size: tuple[int, int]) -> SizedIuv:
    """Cut `crop` out and resize it to `size` (height, width) by nearest neighbour; outside is background, 0."""
    height, width = iuv.shape[:2]
    rows = crop.y + _nearest(crop.h, size[0])
    columns = crop.x + _nearest(crop.w, size[1])
    cut = iuv[rows.clip(0, height - 1)[:, None], columns.clip(0, width - 1)]
    cut[(rows < 0) | (rows >= height)] = 0
    cut[:, (columns < 0) | (columns >= width)] = 0
    return cut


def cut_out(planes: Shaped[np.ndarray, "frame_height frame_width *planes"], crop: SteadyCrop) -> np.ndarray:
    """The pixels of `crop`, (crop.h, crop.w, ...); 0 outside the frame."""
    height, width = planes.shape[:2]
    cut = np.zeros((crop.h, crop.w, *planes.shape[2:]), planes.dtype)
    top, bottom = max(crop.y, 0), min(crop.y + crop.h, height)
    left, right = max(crop.x, 0), min(crop.x + crop.w, width)
    if top < bottom and left < right:
        cut[top - crop.y : bottom - crop.y, left - crop.x : right - crop.x] = planes[top:bottom, left:right]
    return cut


def paste_back(picture: Picture, alpha: Alpha, crop: SteadyCrop, frame: WholeFrame) -> WholeFrame:
    """A copy of `frame` with `picture`, which shows `crop`, at its place; parts outside the frame are cut off.

    `alpha` (H, W): opacity of `picture`, 0..1, at its size.
    """
    height, width = frame.shape[:2]
    top, bottom = max(crop.y, 0), min(crop.y + crop.h, height)
    left, right = max(crop.x, 0), min(crop.x + crop.w, width)
    result = frame.copy()
    if top < bottom and left < right:
        shown = slice(top - crop.y, bottom - crop.y), slice(left - crop.x, right - crop.x)
        full = resize_picture(picture, (crop.h, crop.w))[shown]
        shrinks = crop.h * crop.w < alpha.size
        share = cv2.resize(alpha, (crop.w, crop.h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        share = share[shown][..., None]
        place = result[top:bottom, left:right]
        place[:] = np.rint(full * share + place * (1 - share)).clip(0, 255)
    return result


def resize_picture(picture: Picture, size: tuple[int, int]) -> SizedPicture:
    """Resize to (height, width): by area averaging where it shrinks, to avoid aliasing, by Lanczos where it grows."""
    height, width = size
    if picture.shape[:2] == (height, width):
        return np.ascontiguousarray(picture)
    shrinks = height * width < picture.shape[0] * picture.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    return cv2.resize(np.ascontiguousarray(picture), (width, height), interpolation=interpolation)


def _nearest(length: int, new_length: int) -> np.ndarray:
    """For each of `new_length` pixels, the one of `length` pixels in which its centre lies."""
    return ((2 * np.arange(new_length) + 1) * length) // (2 * new_length)


def _strays(boxes: np.ndarray) -> np.ndarray:
    """Which of the (N, 4) boxes are far from the median of their neighbours in time."""
    reach = MEDIAN_FRAMES // 2
    expected = np.array([np.median(boxes[max(0, i - reach) : i + reach + 1], axis=0) for i in range(len(boxes))])
    stray = overlap(boxes, expected) < STRAY_OVERLAP
    return stray if stray.mean() <= MOST_STRAYS else np.zeros_like(stray)


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of (N, 4) boxes, pair by pair."""
    low, high = np.maximum(first[:, :2], second[:, :2]), np.minimum(first[:, 2:], second[:, 2:])
    shared = (high - low).clip(0).prod(axis=1)
    union = (first[:, 2:] - first[:, :2]).prod(axis=1) + (second[:, 2:] - second[:, :2]).prod(axis=1) - shared
    return shared / np.maximum(union, 1e-9)


def _around(x0: float, y0: float, x1: float, y1: float, aspect: float) -> SteadyCrop:
    """The smallest rectangle of `aspect` around this one, with the same centre, in whole pixels."""
    # Two pixels are added, because rounding may take half a pixel from the width and half from the corner.
    h = math.ceil(max(y1 - y0 + 2, (x1 - x0 + 2) / aspect))
    w = round(h * aspect)
    return SteadyCrop(round((x0 + x1 - w) / 2), round((y0 + y1 - h) / 2), w, h)
