"""Distances between face embeddings, float vectors (E,) of any norm."""

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
    """|a - b| of the raw embeddings; it scales with their norm, which the embedder does not normalise."""
    return float(np.linalg.norm(first.astype(np.float64) - second.astype(np.float64)))


def equal_error_rate(
    genuine: Float[np.ndarray, " genuine"], impostor: Float[np.ndarray, " impostor"]
) -> tuple[float, float]:
    """Verification (accuracy, threshold) at the equal error rate, from similarities of genuine and impostor pairs.

    At this threshold (-1..1) the false rejection rate of genuine pairs equals the false acceptance rate of impostors.
    """
    thresholds = np.linspace(-1, 1, 801)
    rejected = np.searchsorted(np.sort(genuine), thresholds) / len(genuine)
    accepted = 1 - np.searchsorted(np.sort(impostor), thresholds) / len(impostor)
    equal = int(np.abs(rejected - accepted).argmin())
    return float(1 - (rejected[equal] + accepted[equal]) / 2), float(thresholds[equal])


def pair_similarities(
    embeddings: Float[np.ndarray, "faces dimensions"], people: Int[np.ndarray, " faces"]
) -> tuple[Float[np.ndarray, " genuine"], Float[np.ndarray, " impostor"]]:
    """Cosine similarities of all pairs of faces: genuine pairs (same person) and impostor pairs (two people)."""
    directions = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    first, second = np.triu_indices(len(people), 1)
    cosines = np.einsum("pd,pd->p", directions[first], directions[second])
    same = people[first] == people[second]
    return cosines[same], cosines[~same]
