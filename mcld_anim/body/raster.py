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
    index = np.full(height * width, -1, np.int32)
    barycentric = np.zeros((height * width, 3), np.float32)
    if len(drawn) == 0:
        return index.reshape(height, width), barycentric.reshape(height, width, 3)

    box_width = (right - left + 1)[drawn]
    pixels = box_width * (bottom - top + 1)[drawn]
    which = np.repeat(np.arange(len(drawn), dtype=np.int32), pixels)
    inside_box = np.arange(len(which), dtype=np.int32) - (np.cumsum(pixels) - pixels).astype(np.int32)[which]
    row = inside_box // box_width[which]
    column = inside_box - row * box_width[which] + left[drawn][which]
    row += top[drawn][which]

    # Barycentric coordinates are linear in x and y; their coefficients are computed once per triangle, not per pixel.
    x, y, z, scale = x[:, drawn], y[:, drawn], z[:, drawn], 1 / area[drawn]
    dx = column + np.float32(0.5) - x[0][which]
    dy = row + np.float32(0.5) - y[0][which]
    second = ((y[2] - y[0]) * scale)[which] * dx - ((x[2] - x[0]) * scale)[which] * dy
    third = ((x[1] - x[0]) * scale)[which] * dy - ((y[1] - y[0]) * scale)[which] * dx
    first = 1 - second - third
    hit = np.flatnonzero(np.minimum(np.minimum(first, second), third) >= 0)
    which, first, second, third = which[hit], first[hit], second[hit], third[hit]
    pixel = row[hit] * width + column[hit]
    depth = z[0][which] * first + z[1][which] * second + z[2][which] * third

    winner = np.full(height * width, -1, np.int32)
    hits = np.arange(len(hit), dtype=np.int32)
    winner[pixel] = hits
    # Few pixels are covered twice. Only there, depths are sorted, so that the last write is the nearest.
    contested = np.zeros(height * width, bool)
    contested[pixel[winner[pixel] != hits]] = True
    among = np.flatnonzero(contested[pixel])
    order = among[np.argsort(-depth[among], kind="stable")]
    winner[pixel[order]] = order
    seen = np.flatnonzero(winner >= 0)
    winner = winner[seen]
    index[seen] = drawn[which[winner]]
    barycentric[seen] = np.stack([first[winner], second[winner], third[winner]], 1)
    return index.reshape(height, width), barycentric.reshape(height, width, 3)
