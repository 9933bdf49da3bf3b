"""Distances between face embeddings, as float vectors (E,) of any length scale."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

Embedding = Float[np.ndarray, " dimensions"]


def cosine_similarity(first: Embedding, second: Embedding) -> float:
    """<a, b> / (|a| |b|) in -1..1; nan if one of them is zero."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norms) if norms > 0 else float("nan")


def euclidean_distance(first: Embedding, second: Embedding) -> float:
    """|a - b| of the raw embeddings; it grows with their length, which the embedder does not normalise."""
    return float(np.linalg.norm(first.astype(np.float64) - second.astype(np.float64)))
