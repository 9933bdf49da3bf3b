"""One generated picture against its target and source, by every metric whose weights are here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.errors import MissingDependencyError, WeightsError
from mcld_anim.core.events import EventSink
from mcld_anim.metrics.faces import cosine_similarity, euclidean_distance
from mcld_anim.metrics.inception import Inception, load_inception
from mcld_anim.metrics.lpips import Lpips, load_lpips
from mcld_anim.metrics.pictures import psnr, ssim, ssim_256_published, ssim_published
from mcld_anim.model.choose import choose_standalone_face
from mcld_anim.source.face import Face, FaceBackend, load_face_backend

Network = TypeVar("Network")

FACE_KEYS = ("cosine", "euclidean")


@dataclass(frozen=True, eq=False)
class Judge:
    """The networks that measure; `missing` says of a metric's key why it is not measured."""

    device: torch.device
    lpips: Lpips | None
    inception: Inception | None
    faces: FaceBackend | None
    missing: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, device: torch.device, face: str, on_event: EventSink, fid: bool = True) -> Judge:
        """Load what is here; `face` as `--face`."""
        missing: dict[str, str] = {}

        def loaded(key: str, load: Callable[[torch.device], Network]) -> Network | None:
            try:
                return load(device)
            except (WeightsError, MissingDependencyError) as error:
                missing[key] = str(error)
                return None

        backend = load_face_backend(choose_standalone_face(face), device, on_event=on_event)
        inception = loaded("fid", load_inception) if fid else None
        return cls(device, loaded("lpips", load_lpips), inception, backend, missing)

    def compared(self, generated: Picture, target: Picture) -> dict[str, float]:
        """Metrics of two pictures of one size; what cannot be computed is absent."""
        found = {
            "ssim": ssim_published(generated, target),
            "ssim_standard": ssim(generated, target),
            "psnr": psnr(generated, target),
        }
        if generated.min() < generated.max():  # of one colour, the published one divides by 0
            found["ssim_256"] = ssim_256_published(generated, target)
        if self.lpips is not None:
            found["lpips"] = float(self.lpips(self._planes(generated), self._planes(target))[0])
        return found

    def features(self, picture: Picture) -> np.ndarray | None:
        """Inception's (1, 2048) features of a picture; None without the network."""
        return None if self.inception is None else self.inception(self._planes(picture)).double().cpu().numpy()

    def face(self, picture: Picture, iuv: Iuv | None = None) -> Face | None:
        """The largest face; None without one, or without an embedder."""
        return None if self.faces is None else self.faces.largest(picture, iuv)

    def _planes(self, picture: Picture) -> Tensor:
        return torch.from_numpy(np.array(picture)).to(self.device).permute(2, 0, 1)[None].float() / 255


def face_metrics(key: str, generated: Face | None, other: Face | None) -> dict[str, float]:
    """face_KEY_cosine and face_KEY_euclidean of two raw embeddings; empty where a face is missing."""
    if generated is None or other is None:
        return {}
    one, two = generated.embedding, other.embedding
    return {f"face_{key}_cosine": cosine_similarity(one, two), f"face_{key}_euclidean": euclidean_distance(one, two)}


def shown_path(path: Path | None) -> str | None:
    """A path as results name it."""
    return None if path is None else path.as_posix()
