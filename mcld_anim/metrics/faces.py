"""Distances between face embeddings, as float vectors (E,) of any length scale."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

Embedding = Float[np.ndarray, " dimensions"]


def cosine_similarity(first: Embedding, second: Embedding) -> float:
    """<a, b> / (|a| |b|) in -1..1; nan if one of them is zero."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / norms) if norms > 0 else float("nan")


def euclidean_distance(first: Embedding, second: Embedding) -> float:
    """|a - b| of the raw embeddings; it grows with their length, which the embedder does not normalise."""
    return float(np.linalg.norm(first.astype(np.float64) - second.astype(np.float64)))


def equal_error(own: Float[np.ndarray, " pairs"], others: Float[np.ndarray, " pairs"]) -> tuple[float, float]:
    """How well a threshold tells similarities of one person's pairs from those of two: (accuracy, threshold).

    The threshold (-1..1) is that of equal error, where as many own pairs are missed as other pairs are taken.
    """
    thresholds = np.linspace(-1, 1, 801)
    missed = np.searchsorted(np.sort(own), thresholds) / len(own)
    taken = 1 - np.searchsorted(np.sort(others), thresholds) / len(others)
    equal = int(np.abs(missed - taken).argmin())
    return float(1 - (missed[equal] + taken[equal]) / 2), float(thresholds[equal])


def pair_similarities(
    embeddings: Float[np.ndarray, "faces dimensions"], people: Int[np.ndarray, " faces"]
) -> tuple[Float[np.ndarray, " own"], Float[np.ndarray, " others"]]:
    """Cosine similarities of all pairs of faces: those of one person, and those of two."""
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.triu_indices(len(people), 1)
    cosines = np.einsum("pd,pd->p", directions[first], directions[second])
    same = people[first] == people[second]
    return cosines[same], cosines[~same]
