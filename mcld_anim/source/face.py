"""Faces as embeddings: the interface of face embedders, loading one by name, and the similarity of faces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float

from mcld_anim.core.arrays import Box, Iuv, Picture
from mcld_anim.core.errors import UsageError
from mcld_anim.core.events import EventSink, warn
from mcld_anim.metrics.faces import cosine_similarity


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a picture."""

    embedding: Float[np.ndarray, " dimensions"]
    """float32, as the embedder returns it."""
    box: Box
    backend: str = "tiny"
    """Name of its embedder for `--face`; embeddings of two backends are never compared."""


@runtime_checkable
class FaceBackend(Protocol):
    """Finds and embeds faces; embeddings of two backends cannot be compared."""

    @property
    def name(self) -> str:
        """Its name for `--face`."""

    @property
    def scale(self) -> str:
        """The measure of similarity, in words for the report."""

    @property
    def threshold(self) -> float:
        """Least similarity of two faces of one person, on this backend's scale."""

    def largest(self, picture: Picture, iuv: Iuv | None = None) -> Face | None:
        """The largest face in a picture (H, W, 3) uint8 RGB; None if there is none. `iuv` locates the head."""


COSINE_SCALE = "cosine of the angle between embeddings, -1..1"
CLOSENESS = "1 - Euclidean distance between embeddings, at most 1"
DISTANCE_BACKENDS = frozenset({"dlib"})
"""Backends whose embeddings all have about the same direction, so distance tells people apart, not angle."""


def load_face_backend(
    name: str, device: torch.device | str = "cpu", weights: Path | None = None, on_event: EventSink = warn
) -> FaceBackend | None:
    """Load an embedder: "tiny" is embedded, "insightface" and "dlib" need packages, "none" is None."""
    if name == "none":
        return None
    if name == "tiny":
        from mcld_anim.source.tiny_face import load_tiny_face_backend

        return load_tiny_face_backend(device=device, weights=weights)
    if name == "insightface":
        from mcld_anim.source.insightface_backend import load_insightface_backend

        return load_insightface_backend(weights, device, on_event)
    if name == "dlib":
        from mcld_anim.source.dlib_backend import load_dlib_backend

        return load_dlib_backend()
    raise UsageError(f"--face {name} is not known: choose tiny, insightface, dlib or none")


def similarity(first: Face, second: Face) -> float:
    """The similarity of two faces of one backend, on its scale."""
    a, b = first.embedding, second.embedding
    if first.backend != second.backend or a.shape != b.shape:
        raise UsageError(
            f"embeddings of {first.backend} ({len(a)} numbers) and {second.backend} ({len(b)}) come from two face "
            "backends: use one for both"
        )
    if first.backend in DISTANCE_BACKENDS:
        return 1.0 - float(np.linalg.norm(a.astype(np.float64) - b.astype(np.float64)))
    return cosine_similarity(a, b)
