"""Vectorised z-buffer: all pixels of all triangles' bounding boxes at once."""

from __future__ import annotations

import numpy as np

from mcld_anim.body.rig import FloatArray, IntArray


def rasterize(points: FloatArray, faces: IntArray, height: int, width: int) -> tuple[IntArray, FloatArray]:
    """Nearest triangle at each pixel centre.

    `points` (V, 3) float32: x to the right and y down in pixels, z away from the camera. Triangles (F, 3)
    that are counter-clockwise as seen (y up) face the camera; others are not drawn.
    Returns the triangle index (height, width) int32, -1 for none, and the barycentric coordinates (height, width, 3)
    float32.
    """
    # Contiguous rows (3, F): much faster in numpy than strided (F, 3).
    x, y, z = (np.ascontiguousarray(points[:, k], np.float32)[faces.T] for k in range(3))
    area = (x[1] - x[0]) * (y[2] - y[0]) - (x[2] - x[0]) * (y[1] - y[0])
    left = np.maximum(np.ceil(np.minimum(np.minimum(x[0], x[1]), x[2]) - 0.5), 0).astype(np.int32)
    right = np.minimum(np.floor(np.maximum(np.maximum(x[0], x[1]), x[2]) - 0.5), width - 1).astype(np.int32)
    top = np.maximum(np.ceil(np.minimum(np.minimum(y[0], y[1]), y[2]) - 0.5), 0).astype(np.int32)
    bottom = np.minimum(np.floor(np.maximum(np.maximum(y[0], y[1]), y[2]) - 0.5), height - 1).astype(np.int32)
    drawn = np.flatnonzero((right >= left) & (bottom >= top) & (area < -1e-9))
    x, y, z, scale = x[:, drawn], y[:, drawn], z[:, drawn], 1 / area[drawn]

    box_width = (right - left + 1)[drawn]
    pixels = box_width * (bottom - top + 1)[drawn]
    which = np.repeat(np.arange(len(drawn), dtype=np.int32), pixels)
    inside_box = np.arange(len(which), dtype=np.int32) - (np.cumsum(pixels) - pixels).astype(np.int32).take(which)
    row = ((inside_box + 0.5) * (1 / box_width).take(which)).astype(np.int32)  # faster than a division of integers
    column = inside_box - row * box_width.take(which) + left[drawn].take(which)
    row += top[drawn].take(which)

    # Barycentric coordinates are linear in x and y; their coefficients are computed once per triangle, not per pixel.
    dx = column + np.float32(0.5) - x[0].take(which)
    dy = row + np.float32(0.5) - y[0].take(which)
    second = ((y[2] - y[0]) * scale).take(which) * dx - ((x[2] - x[0]) * scale).take(which) * dy
    third = ((x[1] - x[0]) * scale).take(which) * dy - ((y[1] - y[0]) * scale).take(which) * dx
    first = 1 - second - third
    hit = np.flatnonzero(np.minimum(np.minimum(first, second), third) >= 0)
    which, first, second, third = (one.take(hit) for one in (which, first, second, third))
    pixel = row.take(hit) * width + column.take(hit)
    depth = z[0].take(which) * first + z[1].take(which) * second + z[2].take(which) * third

    winner = np.full(height * width, -1, np.int32)
    hits = np.arange(len(hit), dtype=np.int32)
    winner[pixel] = hits
    # Few pixels are covered twice. Only there, depths are sorted, so that the last write is the nearest.
    contested = np.zeros(height * width, bool)
    contested[pixel[winner.take(pixel) != hits]] = True
    among = np.flatnonzero(contested.take(pixel))
    order = among[np.argsort(-depth[among], kind="stable")]
    winner[pixel[order]] = order
    winner[winner < 0] = len(hit)  # the row for no triangle
    index = np.append(drawn.take(which), -1).astype(np.int32)
    barycentric = np.concatenate([np.stack([first, second, third], 1), np.zeros((1, 3))]).astype(np.float32)
    return index.take(winner).reshape(height, width), barycentric.take(winner, 0).reshape(height, width, 3)
