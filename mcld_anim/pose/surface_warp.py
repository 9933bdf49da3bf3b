"""Rendering an IUV after its surface moved: pixels become a mesh, which is rasterised to an IUV again.

Neighbouring pixels of one surface stay connected, so stretching leaves no gaps. Where one part occludes another, the
mesh is torn. The rear surface is continued behind the front one if it faced the camera at the edge. Parts come from
the nearest corner; U and V are interpolated only within a part.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from mcld_anim.body.raster import rasterize
from mcld_anim.core.arrays import Iuv

TORN = 0.04
"""Distance on the body, in metres, beyond which neighbouring pixels show two surfaces; `TORN_PIXELS` is added."""
TORN_PIXELS = 5.0
"""The same in pixels: near its outline a surface turns away, and neighbouring pixels are further apart on the body."""
FACING = 0.35
"""Cosine between normal and line of sight from which a surface is continued behind the one that occludes it."""
CLOSED = 2.2
"""Largest gap that is closed between surfaces that were adjacent, in pixels times the growth; a pixel's diagonal is
1.4."""
MIXED = 24
"""Largest difference of U or V between corners that are interpolated, in levels; more is a seam of the chart."""


@dataclass(frozen=True, eq=False)
class Moved:
    """The n person pixels of an IUV and their new positions."""

    rows: Int[np.ndarray, " n"]  # of the pixels
    columns: Int[np.ndarray, " n"]
    positions: Float[np.ndarray, "n 2"]  # new x, y of their centres, pixels
    growth: Float[np.ndarray, " n"]  # local scale factor of the surface
    depth: Float[np.ndarray, " n"]  # away from the camera, pixels
    facing: Float[np.ndarray, " n"]  # cosine between normal and line of sight
    places: Float[np.ndarray, "n 3"]  # on the body, metres
    scale: float  # pixels per metre


def draw_moved(iuv: Iuv, moved: Moved) -> Iuv:
    """The IUV (H, W, 3) after the move, cut off at the frame."""
    height, width = iuv.shape[:2]
    owner, points = _vertices((height, width), moved)
    corners = _triangles(owner >= 0)
    pixel = owner.ravel()[corners]  # (t, 3) rows of `moved`
    place = moved.places[pixel]
    apart = np.linalg.norm(place - np.roll(place, 1, axis=1), axis=2).max(1)
    torn = apart > TORN + TORN_PIXELS / moved.scale
    rear = moved.depth[pixel].argmax(1)
    behind = np.take_along_axis(pixel, rear[:, None], 1)[:, 0]
    reach = np.linalg.norm(points[corners] - np.roll(points[corners], 1, axis=1), axis=2).max(1)
    closed = reach <= CLOSED * moved.growth[behind]
    kept = ~torn | closed | (moved.facing[behind] >= FACING)
    corners, pixel, torn, rear, behind = corners[kept], pixel[kept], torn[kept], rear[kept], behind[kept]
    depth = np.where(torn[:, None], moved.depth[behind][:, None] + 1, moved.depth[pixel])
    mesh = np.concatenate([points[corners], depth[..., None]], 2).reshape(-1, 3).astype(np.float32)
    index, weight = rasterize(mesh, np.arange(len(mesh)).reshape(-1, 3), height, width)
    made = np.zeros_like(iuv)
    seen = np.nonzero(index >= 0)
    triangle, weight = index[seen], weight[seen]
    corner = weight.argmax(1)
    hidden = torn[triangle]
    corner[hidden] = _before_or_behind(points[corners[triangle[hidden]]], weight[hidden], rear[triangle[hidden]])
    values = iuv[moved.rows, moved.columns]
    made[seen] = _mixed(values[pixel[triangle]], weight, corner, ~hidden)
    return made


def _vertices(size: tuple[int, int], moved: Moved) -> tuple[Int[np.ndarray, "h w"], Float[np.ndarray, "hw 2"]]:
    """The mesh's vertices on the pixel grid, padded by one: each one's row of `moved` (-1 without one), and its x, y.

    A ring of copies half a pixel further out surrounds the person, because a pixel extends beyond its centre.
    """
    person = np.zeros((size[0] + 2, size[1] + 2), np.uint8)
    person[moved.rows + 1, moved.columns + 1] = 1
    _, nearest = cv2.distanceTransformWithLabels(1 - person, cv2.DIST_L2, 3, labelType=cv2.DIST_LABEL_PIXEL)
    by_label = np.full(int(nearest.max()) + 1, -1)
    by_label[nearest[moved.rows + 1, moved.columns + 1]] = np.arange(len(moved.rows))
    near = cv2.dilate(person, np.ones((3, 3), np.uint8)) > 0
    owner = np.where(near, by_label[nearest], -1)
    points = np.zeros((*owner.shape, 2))
    rows, columns = np.nonzero(near)
    mine = owner[rows, columns]
    outward = np.stack([columns - 1 - moved.columns[mine], rows - 1 - moved.rows[mine]], 1) / 2
    points[rows, columns] = moved.positions[mine] + outward * moved.growth[mine][:, None]
    return owner, points.reshape(-1, 2)


def _triangles(known: np.ndarray) -> Int[np.ndarray, "t 3"]:
    """Two triangles per square of four known vertices, one per square of three, with the winding of `rasterize`."""
    number = np.arange(known.size).reshape(known.shape)
    square = np.stack([number[:-1, :-1], number[:-1, 1:], number[1:, 1:], number[1:, :-1]], -1).reshape(-1, 4)
    inside = known.ravel()[square]
    full, three = square[inside.all(1)], inside.sum(1) == 3
    pieces = [full[:, (0, 2, 1)], full[:, (0, 3, 2)]]
    for left_out in range(4):
        corners = [corner for corner in (0, 3, 2, 1) if corner != left_out]
        pieces.append(square[three & ~inside[:, left_out]][:, corners])
    return np.concatenate(pieces)


def _before_or_behind(points: np.ndarray, weight: np.ndarray, rear: np.ndarray) -> Int[np.ndarray, " n"]:
    """Which corner (n,) a torn triangle shows: the front part within half a pixel of its corner, else the rear."""
    each = np.arange(len(rear))
    place = np.einsum("nk,nkc->nc", weight, points)
    distance = np.linalg.norm(points - place[:, None], axis=2)
    distance[each, rear] = np.inf
    front = distance.argmin(1)
    return np.where(distance[each, front] <= 0.5, front, rear)


def _mixed(values: np.ndarray, weight: np.ndarray, corner: np.ndarray, may_mix: np.ndarray) -> UInt8[np.ndarray, "n 3"]:
    """I, U, V (n, 3) from three corners (n, 3, 3): the part of `corner`, with U and V interpolated where all agree."""
    chosen = np.take_along_axis(values, corner[:, None, None], 1)[:, 0]
    spread = np.ptp(values[..., 1:].astype(np.int64), axis=1).max(1)
    alike = may_mix & (values[..., 0] == chosen[:, None, 0]).all(1) & (spread <= MIXED)
    mixed = np.rint(np.einsum("nk,nkc->nc", weight, values[..., 1:].astype(np.float32)))
    chosen[alike, 1:] = mixed[alike]
    return chosen
