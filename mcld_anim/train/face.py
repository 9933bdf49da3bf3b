"""Training of the face embedder on close-ups of rendered heads, with the ArcFace loss (Deng et al. 2019).

The crops are those of a run (`source.tiny_face`), augmented in position, light, sharpness and above all resolution: a
head is 20 to 60 pixels high in a frame that shows the whole body.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mcld_anim.core.arrays import Picture
from mcld_anim.core.errors import InputError
from mcld_anim.core.pixels import to_signed
from mcld_anim.metrics.faces import equal_error_rate, pair_similarities
from mcld_anim.source.tiny_face import CROP_SIZE, EMBEDDING_SIZE, FaceEmbedder, face_box, face_crop
from mcld_anim.synthetic.dataset import SyntheticShards
from mcld_anim.train.loop import LoopOptions, device_of


@dataclass(frozen=True)
class FaceTrainingOptions:
    """Options of the face embedder's training."""

    loop: LoopOptions = field(default_factory=lambda: LoopOptions(minutes=6, learning_rate=1e-3, batch_size=64))
    held_out: int = 150
    """Number of people, the last ones, that are only for measuring."""
    margin: float = 0.35
    """ArcFace's additive angular margin, radians, reached after a third of the budget."""
    scale: float = 24.0
    """ArcFace's scale of the cosines."""
    least_side: int = 14
    """Smallest side, in pixels, to which a crop is reduced before it is enlarged again."""


class FaceTask:
    """The embedder with its class centres, its batches and its evaluation (a `train.loop.Task`)."""

    def __init__(self, options: FaceTrainingOptions, data: Path) -> None:
        self.options = options
        people = load_crops(SyntheticShards(data))
        if len(people) <= options.held_out + 1:
            raise InputError(
                f"{data} holds {len(people)} people, of which {options.held_out} are held out: render more"
            )
        self.training, self.held_out = people[: -options.held_out], people[-options.held_out :]
        torch.manual_seed(options.loop.seed)
        self.network: nn.Module = _WithCentres(len(self.training))

    def batch(self, rng: np.random.Generator, progress: float) -> tuple[Tensor, Tensor]:
        """Crops (B, 3, 64, 64) as the embedder takes them, and their people (B,) int64."""
        numbers = rng.integers(len(self.training), size=self.options.loop.batch_size)
        crops = [self._augmented(self.training[n][rng.integers(len(self.training[n]))], rng) for n in numbers]
        return to_crops(crops), torch.from_numpy(numbers)

    def loss(
        self, batch: tuple[Tensor, Tensor], rng: np.random.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """ArcFace loss of one batch of crops."""
        crops, labels = (tensor.to(device_of(self.network)) for tensor in batch)
        cosines = self.network(crops)
        margin = self.options.margin * min(1.0, 3 * progress)
        angles = torch.acos(cosines.clamp(-0.999, 0.999))
        own = functional.one_hot(labels, cosines.shape[1]).bool()
        logits = torch.where(own, torch.cos(angles + margin), cosines) * self.options.scale
        right = (cosines.detach().argmax(1) == labels).float().mean()
        return functional.cross_entropy(logits, labels), {"right": right}

    def _augmented(self, crop: Picture, rng: np.random.Generator) -> Picture:
        """A crop shifted, rotated, scaled, mirrored, at lower resolution, brighter or darker, with noise."""
        scale, angle = rng.uniform(0.88, 1.12), rng.normal(0, 5)
        middle = CROP_SIZE / 2 - 0.5
        matrix = np.asarray(cv2.getRotationMatrix2D((middle, middle), angle, scale), np.float64)
        matrix[:, 2] += rng.uniform(-4, 4, 2)
        varied = cv2.warpAffine(crop, matrix, (CROP_SIZE, CROP_SIZE), borderMode=cv2.BORDER_REPLICATE)
        if rng.random() < 0.7:
            side = int(rng.integers(self.options.least_side, CROP_SIZE))
            small = cv2.resize(varied, (side, side), interpolation=cv2.INTER_AREA)
            varied = cv2.resize(small, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_LINEAR)
        light = varied * rng.uniform(0.8, 1.2, 3 if rng.random() < 0.3 else 1) + rng.uniform(-15, 15)
        light = light + rng.normal(0, rng.uniform(0, 8), light.shape)
        bright = light.clip(0, 255).astype(np.uint8)
        return bright[:, ::-1] if rng.random() < 0.5 else bright

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Verification of held-out people at the equal-error threshold, at full resolution and at that of a frame."""
        assert isinstance(network, _WithCentres)
        metrics: dict[str, float] = {}
        for name, side in (("", CROP_SIZE), ("coarse_", 24)):
            accuracy, threshold = verification(network.embedder, [[_coarse(c, side) for c in p] for p in self.held_out])
            metrics |= {f"{name}accuracy": accuracy, f"{name}threshold": threshold}
        return metrics

    def export(self, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, object]]:
        """The embedder without its class centres, and the equal-error threshold at a frame's resolution."""
        assert isinstance(network, _WithCentres)
        tensors = dict(network.embedder.state_dict())
        tensors["threshold"] = torch.tensor(self.evaluate(network)["coarse_threshold"])
        return tensors, {"network": "face"}


class _WithCentres(nn.Module):
    """The embedder and one direction per training person; returns the cosines to all of them, (B, people)."""

    def __init__(self, people: int) -> None:
        super().__init__()
        self.embedder = FaceEmbedder()
        self.centres = nn.Parameter(torch.randn(people, EMBEDDING_SIZE) * 0.05)

    def forward(self, crops: Tensor) -> Tensor:
        return functional.normalize(self.embedder(crops)) @ functional.normalize(self.centres).T


def load_crops(shards: SyntheticShards) -> list[list[Picture]]:
    """Crops (64, 64, 3) of the views that show the face, per person; people with fewer than two are left out."""
    people = []
    for person in range(len(shards)):
        crops = []
        for view in range(shards.options.views):
            box = face_box(shards.iuv(person, view))
            if box is not None:
                crops.append(face_crop(np.asarray(shards.picture(person, view)), box))
        if len(crops) > 1:
            people.append(crops)
    return people


def verification(embedder: FaceEmbedder, people: list[list[Picture]]) -> tuple[float, float]:
    """Verification accuracy at the equal-error threshold over all pairs of crops, and that threshold (a cosine)."""
    numbers = np.repeat(np.arange(len(people)), [len(crops) for crops in people])
    with torch.no_grad():
        crops = to_crops([crop for person in people for crop in person])
        embeddings = torch.cat([embedder(part) for part in crops.to(device_of(embedder)).split(128)]).cpu().numpy()
    return equal_error_rate(*pair_similarities(embeddings, numbers))


def to_crops(crops: list[Picture]) -> Tensor:
    """Crops (64, 64, 3) uint8 -> (B, 3, 64, 64) in [-1, 1]."""
    return to_signed(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float())


def _coarse(crop: Picture, side: int) -> Picture:
    small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (CROP_SIZE, CROP_SIZE), interpolation=cv2.INTER_LINEAR), np.uint8)
