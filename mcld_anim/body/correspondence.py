"""Which pixel of one frame shows the same skin or cloth as a pixel of another: the two IUV say it, no optical flow."""

from __future__ import annotations

import os
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial import cKDTree

from mcld_anim.body.draw import DrawnBody
from mcld_anim.core.arrays import Iuv
from mcld_anim.core.push_pull import push_pull

SAME_PLACE = 6.0
"""Largest distance in the U,V plane (levels, 0..255) at which two pixels show the same place: about one pixel of a limb
in a frame of 256 pixels, where a chart of 255 levels covers some 40 pixels."""

MATCHES_PER_PIXEL = 4
"""Number of pixels of the other frame that are averaged. U and V are whole numbers, so several pixels of a large part
share one value."""

PART_GAP = 1000.0
"""Distance between parts in the search space, so that a neighbour never belongs to another part."""

MOST_THREADS = 4
"""Threads that look for neighbours: they find the same, and a GPU must not wait for it."""

OFFSET_WINDOW = 5
"""Side of the square over which offsets are averaged, in pixels. Rounded U and V make offsets jitter by a pixel."""

Offsets = Float[np.ndarray, "height width 2"]
"""x, y in pixels: add them to a pixel of a frame to get to the same surface in the frame before."""


@dataclass(frozen=True)
class Correspondence:
    """Where each pixel of a frame was in the frame before."""

    offset: Offsets  # float32, 0 where nothing was found
    found: Bool[np.ndarray, "height width"]


def correspond(iuv: Iuv, before: Iuv, tolerance: float = SAME_PLACE) -> Correspondence:
    """For each pixel of the person in `iuv`, where `before` (of the same size) shows the same place of the surface."""
    height, width = iuv.shape[:2]
    offset, found = np.zeros((height, width, 2), np.float32), np.zeros((height, width), bool)
    here, there = np.argwhere(iuv[..., 0] > 0), np.argwhere(before[..., 0] > 0)
    if not len(here) or not len(there):
        return Correspondence(offset, found)
    count = min(MATCHES_PER_PIXEL, len(there))
    tree = cKDTree(_points(before, there), balanced_tree=False, compact_nodes=False)
    threads = min(MOST_THREADS, os.cpu_count() or 1)
    distance, index = tree.query(_points(iuv, here), k=count, distance_upper_bound=tolerance, workers=threads)
    distance, index = distance.reshape(len(here), count), index.reshape(len(here), count)
    near = np.isfinite(distance)
    weight = np.where(near, 1 / (distance + 0.5), 0.0)  # a distance of half a level is no difference
    total = weight.sum(1)
    places = np.append(there, [[0, 0]], 0)[np.where(near, index, len(there))]
    place = np.einsum("nk,nkd->nd", weight, places) / np.maximum(total, 1e-9)[:, None]
    match = total > 0
    rows, columns = here[match].T
    offset[rows, columns] = (place[match] - here[match])[:, ::-1]
    found[rows, columns] = True
    return Correspondence(offset, found)


def correspond_bodies(drawn: DrawnBody, before: DrawnBody) -> Correspondence:
    """The same from two drawings of one mesh in pictures of one size, exact and quicker."""
    inside = drawn.inside
    places, seen = drawn.seen_in(before)
    rows, columns = np.nonzero(inside)
    here = np.stack([columns, rows], 1) + 0.5 + drawn.corner
    match = seen > 0
    offset, found = np.zeros((*inside.shape, 2), np.float32), np.zeros(inside.shape, bool)
    offset[rows[match], columns[match]] = (places - here)[match]
    found[rows, columns] = match
    return Correspondence(drawn.whole(offset), drawn.whole(found))


def surface_motion(
    known: Correspondence, reach: float, smoothing: int = OFFSET_WINDOW
) -> tuple[Offsets, Float[np.ndarray, "height width"]]:
    """Offsets, smoothed and continued up to `reach` pixels beyond the person, and their weight (0..1).

    Hair, skirts and pixels with a wrong IUV move roughly like the surface beside them.
    """
    if not known.found.any():
        return known.offset, np.zeros(known.found.shape, np.float32)
    mask = known.found.astype(np.float32)
    near = cv2.blur(mask, (smoothing, smoothing))
    offset = (
        cv2.blur(robust_offsets(known) * mask[..., None], (smoothing, smoothing)) / np.maximum(near, 1e-6)[..., None]
    )
    beyond = push_pull(np.dstack([offset, mask]), mask)[..., :2]
    distance = cv2.distanceTransform((~known.found).astype(np.uint8), cv2.DIST_L2, 3)
    return np.where(known.found[..., None], offset, beyond), np.clip(1 - distance / reach, 0, 1)


def robust_offsets(known: Correspondence) -> Offsets:
    """Offsets without those that jump away from their neighbourhood's median, as wrong labels make them."""
    smooth = np.stack([cv2.medianBlur(np.ascontiguousarray(known.offset[..., axis]), 5) for axis in (0, 1)], -1)
    stray = np.abs(known.offset - smooth).max(-1) > 4
    return np.where((stray & known.found)[..., None], smooth, known.offset).astype(np.float32)


def carried(planes: np.ndarray, offset: Offsets, nearest: bool = False) -> np.ndarray:
    """`planes` (H, W) or (H, W, C) of the frame before, moved to where this frame shows the same surface."""
    height, width = planes.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    how = cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR
    return np.asarray(
        cv2.remap(planes, columns + offset[..., 0], rows + offset[..., 1], how, borderMode=cv2.BORDER_REPLICATE)
    )


def _points(iuv: Iuv, pixels: np.ndarray) -> np.ndarray:
    """(n, 3) float64: the part, far apart, and U, V of the given pixels (n, 2) row, column."""
    values = iuv[pixels[:, 0], pixels[:, 1]].astype(np.float64)
    values[:, 0] *= PART_GAP
    return values
