"""The z-buffer against a plain loop over pixels and triangles."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mcld_anim.body.raster import rasterize


def nearest_triangle(points, faces, x, y):
    """Index of the nearest triangle that faces the camera at (x, y), -1 for none, None if it is ambiguous."""
    found, nearest = -1, np.inf
    for number, face in enumerate(faces):
        (x0, y0, z0), (x1, y1, z1), (x2, y2, z2) = points[face].astype(float)
        area = (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)
        if abs(area) < 1e-3:
            return None
        second = ((x - x0) * (y2 - y0) - (x2 - x0) * (y - y0)) / area
        third = ((x1 - x0) * (y - y0) - (x - x0) * (y1 - y0)) / area
        weights = np.array([1 - second - third, second, third])
        if np.abs(weights).min() < 1e-3:
            return None
        depth = weights @ (z0, z1, z2)
        if area < 0 and weights.min() > 0:
            if abs(depth - nearest) < 1e-3:
                return None
            if depth < nearest:
                found, nearest = number, depth
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_agrees_with_a_plain_loop(seed):
    generator = np.random.default_rng(seed)
    points = generator.uniform(-4, 14, (12, 3)).astype(np.float32)
    faces = generator.permuted(np.tile(np.arange(12), (8, 1)), axis=1)[:, :3].astype(np.int32)
    index, barycentric = rasterize(points, faces, 10, 11)
    for row in range(10):
        for column in range(11):
            expected = nearest_triangle(points, faces, column + 0.5, row + 0.5)
            assert expected is None or index[row, column] == expected
    seen = index >= 0
    assert np.allclose(barycentric[seen].sum(1), 1, atol=1e-5)
    assert (barycentric[~seen] == 0).all()


def test_barycentric_coordinates_give_the_pixel_back():
    points = np.array([[1, 1, 3], [2, 15, 4], [14, 2, 5]], np.float32)
    index, barycentric = rasterize(points, np.array([[0, 1, 2]], np.int32), 16, 16)
    rows, columns = np.nonzero(index >= 0)
    assert len(rows) > 50
    where = barycentric[rows, columns] @ points[:, :2]
    assert np.allclose(where, np.stack([columns + 0.5, rows + 0.5], 1), atol=1e-3)


def test_nothing_to_draw():
    points = np.array([[-9, -9, 1], [-8, -9, 1], [-9, -8, 1]], np.float32)
    index, barycentric = rasterize(points, np.array([[0, 1, 2], [0, 2, 1]], np.int32), 4, 4)
    assert (index == -1).all()
    assert not barycentric.any()
