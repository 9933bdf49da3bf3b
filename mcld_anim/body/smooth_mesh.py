"""Values that are smooth over the body's mesh."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.sparse as sparse
from jaxtyping import Bool, Float
from scipy.sparse.linalg import splu

from mcld_anim.body.rig import load_body


@lru_cache(maxsize=1)
def laplacian() -> sparse.csr_matrix:
    """Graph Laplacian (V, V) of the mesh's edges."""
    body = load_body()
    a, b = np.concatenate([body.faces[:, [0, 1]], body.faces[:, [1, 2]], body.faces[:, [2, 0]]]).T
    count = len(body.mean_vertices)
    linked = sparse.csr_matrix((np.ones(2 * len(a)), (np.r_[a, b], np.r_[b, a])), shape=(count, count))
    linked.data[:] = 1
    return sparse.csr_matrix(sparse.diags(np.asarray(linked.sum(1)).ravel()) - linked)


def stretched_over(
    values: Float[np.ndarray, "vertices channels"], free: Bool[np.ndarray, " vertices"]
) -> Float[np.ndarray, "vertices channels"]:
    """Values that are the mean of their neighbours' wherever they are `free`, like a film held by the rest."""
    held = ~free
    system = laplacian()[free]
    result = values.copy()
    result[free] = splu(system[:, free].tocsc()).solve(-(system[:, held] @ values[held]))
    return result
