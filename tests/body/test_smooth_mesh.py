"""Values over the body's mesh: held ones stay, free ones lie between them."""

from __future__ import annotations

import numpy as np

from mcld_anim.body.rig import load_body
from mcld_anim.body.smooth_mesh import laplacian, stretched_over


def test_the_laplacian_is_of_the_edges() -> None:
    links = laplacian()
    body = load_body()
    assert not np.asarray(links.sum(1)).any()
    assert (links != links.T).nnz == 0
    a, b, _ = body.faces[0]
    assert links[a, b] == -1


def test_a_film_over_an_ear_is_as_flat_as_its_rim() -> None:
    body = load_body()
    ears = body.ears > 0.02
    flat = stretched_over(body.mean_vertices, ears)
    np.testing.assert_array_equal(flat[~ears], body.mean_vertices[~ears])
    ends = np.abs(flat[ears, 0]).max(), np.abs(body.mean_vertices[ears, 0]).max()
    assert ends[0] < ends[1] - 0.01  # metres: they stand out no longer
    neighbours = laplacian()[ears] @ flat
    assert np.abs(neighbours).max() < 1e-4
