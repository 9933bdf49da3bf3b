"""Faces as embeddings: what every face embedder offers, and the way to get one by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float

from mcld_anim.arrays import Iuv, Picture
from mcld_anim.errors import UsageError
from mcld_anim.metrics.faces import cosine_similarity

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, x to the right and y down."""


@dataclass(frozen=True, eq=False)
class Face:
    """One face of a picture."""

    embedding: Float[np.ndarray, " dimensions"]
    """float32 as the embedder gives it: its length carries no meaning, its direction is who it is."""
    box: Box


class FaceBackend(Protocol):
    """Finds and embeds faces; embeddings of two backends cannot be compared."""

    @property
    def name(self) -> str:
        """As in `--face`."""

    @property
    def threshold(self) -> float:
        """Two faces of at least this cosine similarity are one person's, by this backend's own measure."""

    def largest(self, picture: Picture, iuv: Iuv | None = None) -> Face | None:
        """The largest face in a picture (H, W, 3) uint8 RGB, None if there is none. `iuv` says where the
        head is."""


def load_face_backend(name: str, device: torch.device | str = "cpu", weights: Path | None = None) -> FaceBackend | None:
    """The embedder called `name`: "tiny" is embedded, "insightface" needs a package and models, "none" is
    None."""
    if name == "none":
        return None
    if name == "tiny":
        from mcld_anim.source.tiny_face import load_tiny_face_backend

        return load_tiny_face_backend(device=device, weights=weights)
    if name == "insightface":
        from mcld_anim.source.insightface_backend import load_insightface_backend

        return load_insightface_backend(weights, device)
    raise UsageError(f"--face {name} is not known: choose tiny, insightface or none")


def similarity(first: Face, second: Face) -> float:
    """Cosine of the angle between two embeddings of one backend, -1..1."""
    a, b = first.embedding, second.embedding
    if a.shape != b.shape:
        raise UsageError(f"embeddings of {len(a)} and {len(b)} numbers come from two face backends: use one for both")
    return cosine_similarity(a, b)
