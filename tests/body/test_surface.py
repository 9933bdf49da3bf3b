"""Positions on the mean body, compared with the renderer's own geometry."""

from __future__ import annotations

import numpy as np

from mcld_anim.body.raster import rasterize
from mcld_anim.body.rig import load_body
from mcld_anim.body.surface import GRID, PARENTS, SEGMENTS, rest_body
from mcld_anim.body.texels import cell_index
from mcld_anim.synthetic.scene import View


def test_pixels_of_the_mean_body_lie_where_the_table_says() -> None:
    """Both sides of the mean body at rest are rendered with exact positions, which the IUV must reproduce."""
    body, size = load_body(), 256
    for yaw in (0.0, np.pi):
        vertices = body.mean_vertices.astype(np.float32)
        index, weight = rasterize(View(yaw=yaw).project(vertices, size), body.faces, size, size)
        seen = np.nonzero(index >= 0)
        triangle, corner = index[seen], weight[seen]
        uv = np.einsum("nk,nkc->nc", corner, body.uv[triangle])
        iuv = np.zeros((size, size, 3), np.uint8)
        iuv[seen] = np.concatenate([body.part[triangle][:, None], np.rint(uv * 255)], 1)
        truth = np.einsum("nk,nkc->nc", corner, vertices[body.faces[triangle]])
        off = np.linalg.norm(rest_body().places[cell_index(iuv[seen], GRID)] - truth, axis=1)
        assert np.median(off) < 0.006  # under a pixel of 7 millimetres
        assert np.quantile(off, 0.95) < 0.02


def test_the_chain_is_whole_and_symmetric() -> None:
    body = rest_body()
    assert body.places.shape == (24 * GRID * GRID, 3)
    assert np.allclose(body.shares.sum(1), 1)
    assert body.shares.min() >= 0
    assert all(parent < index for index, parent in enumerate(PARENTS))
    assert np.allclose(np.linalg.norm(body.axes, axis=1), 1)
    for left, right in zip(range(3, 9), range(9, 15), strict=True):
        assert (SEGMENTS[left].side, SEGMENTS[right].side) == ("L", "R")
        assert SEGMENTS[left].name == SEGMENTS[right].name
        assert np.allclose(body.joints[left] * [-1, 1, 1], body.joints[right], atol=0.002)
        assert np.isclose(body.lengths[left], body.lengths[right], rtol=0.01)
