"""Harmonic maps of a part onto a chart with a pinned outline; build time only."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.linalg import splu

from mcld_anim.body.rig import FloatArray, IntArray


def pin_by_arc_length(
    pinned: dict[int, FloatArray], vertices: list[int], positions: FloatArray, points: FloatArray
) -> None:
    """Pin a run of boundary vertices to the polyline `points` (n, 2) by relative arc length."""

    def shares(line: FloatArray) -> FloatArray:
        length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
        return length / length[-1]

    goal = shares(points)
    for vertex, share in zip(vertices, shares(positions[vertices]), strict=True):
        pinned.setdefault(
            int(vertex),
            np.array([np.interp(share, goal, points[:, 0]), np.interp(share, goal, points[:, 1])]),
        )


def harmonic_map(vertices: FloatArray, faces: IntArray, pinned: dict[int, FloatArray]) -> FloatArray:
    """Harmonic U, V (vertices, 2) with cotangent weights; NaN outside the part."""
    used = np.unique(faces)
    local = np.searchsorted(used, faces)
    rows, columns, values = [], [], []
    for k in range(3):
        a, b, c = faces[:, k], faces[:, (k + 1) % 3], faces[:, (k + 2) % 3]
        first, second = vertices[a] - vertices[c], vertices[b] - vertices[c]
        cotangent = 0.5 * (first * second).sum(1) / (np.linalg.norm(np.cross(first, second), axis=1) + 1e-12)
        cotangent = np.maximum(cotangent, 0.05)  # obtuse triangles would make weights negative and fold the map
        i, j = local[:, k], local[:, (k + 1) % 3]
        rows += [i, j]
        columns += [j, i]
        values += [cotangent / 2, cotangent / 2]
    shape = (len(used), len(used))
    weights = sparse.coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape)
    weights = weights.tocsr()
    laplacian = sparse.diags(np.asarray(weights.sum(1)).ravel()) - weights
    strength, right = np.zeros(len(used)), np.zeros((len(used), 2))
    for vertex, uv in pinned.items():
        k = int(np.searchsorted(used, vertex))
        strength[k], right[k] = 1e6, 1e6 * uv
    result = np.full((len(vertices), 2), np.nan)
    result[used] = splu((laplacian + sparse.diags(strength)).tocsc()).solve(right)
    return result
