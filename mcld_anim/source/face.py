"""Faces as embeddings: what every face embedder offers, and the way to get one by name."""

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
    """float32 as the embedder gives it."""
    box: Box
    backend: str = "tiny"
    """Who embedded it, as in `--face`: embeddings of two backends are never compared."""


@runtime_checkable
class FaceBackend(Protocol):
    """Finds and embeds faces; embeddings of two backends cannot be compared."""

    @property
    def name(self) -> str:
        """As in `--face`."""

    @property
    def scale(self) -> str:
        """What a similarity of this backend's faces is, in words for the report."""

    @property
    def threshold(self) -> float:
        """Two faces of at least this similarity are one person's, on this backend's own scale."""

    def largest(self, picture: Picture, iuv: Iuv | None = None) -> Face | None:
        """The largest face in a picture (H, W, 3) uint8 RGB, None if there is none. `iuv` says where the
        head is."""


COSINE = "cosine of the angle between embeddings, -1..1"
CLOSENESS = "1 - Euclidean distance between embeddings, at most 1"
DISTANCE_BACKENDS = frozenset({"dlib"})
"""Their embeddings all point about the same way; how far apart they are tells people apart."""


def load_face_backend(
    name: str, device: torch.device | str = "cpu", weights: Path | None = None, on_event: EventSink = warn
) -> FaceBackend | None:
    """The embedder called `name`: "tiny" is embedded, "insightface" and "dlib" need packages, "none" is None."""
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
    """How alike two faces of one backend are, on that backend's scale."""
    a, b = first.embedding, second.embedding
    if first.backend != second.backend or a.shape != b.shape:
        raise UsageError(
            f"embeddings of {first.backend} ({len(a)} numbers) and {second.backend} ({len(b)}) come from two face "
            "backends: use one for both"
        )
    if first.backend in DISTANCE_BACKENDS:
        return 1.0 - float(np.linalg.norm(a.astype(np.float64) - b.astype(np.float64)))
    return cosine_similarity(a, b)
