"""Training of the small DensePose network on varied renders of people with exact IUV."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mcld_anim.arrays import PART_COUNT, Iuv, Picture
from mcld_anim.pose.tiny_network import DensePoseMaps, TinyDensePose, TinyDensePoseOptions, chosen_uv
from mcld_anim.train.autoencoder import to_network
from mcld_anim.train.body_augment import BodyAugmentOptions, View, augment, make_backgrounds, photo_backgrounds
from mcld_anim.train.loop import LoopOptions, device_of
from mcld_anim.train.parts import load_into
from mcld_anim.train.views import PeopleViews, ViewsOptions


@dataclass(frozen=True)
class DensePoseTraining:
    """Everything a training of the DensePose network depends on."""

    network: TinyDensePoseOptions = field(default_factory=TinyDensePoseOptions)
    loop: LoopOptions = field(default_factory=lambda: LoopOptions(minutes=100, learning_rate=2e-3, batch_size=12))
    data: ViewsOptions = field(default_factory=ViewsOptions)
    augment: BodyAugmentOptions = field(default_factory=BodyAugmentOptions)
    backgrounds: int = 240
    """Procedural scenes that people are put before."""
    photos: int = 480
    """Cuts of photographs beside them, where a folder of such is given."""
    foreground_weight: float = 3.0
    """Weight of a part's cross entropy against the background's."""
    uv_weight: float = 4.0
    """Weight of the mean L1 distance of U plus V against the cross entropy."""
    back_views: float = 0.35
    """Part of the samples drawn from views that show more of the back than of the chest; few do by themselves."""
    measured_views: int = 96

    def __post_init__(self) -> None:
        if not 0.0 <= self.back_views <= 1.0:
            raise ValueError(f"back_views is {self.back_views}, expected 0 to 1")


class DensePoseTask:
    """The network, its batches and its measures (a `train.loop.Task`)."""

    def __init__(
        self,
        options: DensePoseTraining,
        data: Path,
        start_from: Path | None = None,
        photos: Path | None = None,
    ) -> None:
        self.options = options
        self.views = PeopleViews(data, options.data)
        self.backgrounds = make_backgrounds(options.backgrounds, options.loop.seed)
        if photos is not None:
            self.backgrounds += photo_backgrounds(photos, options.photos, options.loop.seed)
        torch.manual_seed(options.loop.seed)
        self.network: nn.Module = TinyDensePose(options.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start_from is not None:
            load_into(self.network, start_from)
        self.from_behind = self.views.from_behind()
        weight = torch.full((1 + PART_COUNT,), options.foreground_weight)
        weight[0] = 1.0
        self.class_weight = weight

    def loss(self, rng: np.random.Generator, progress: float) -> tuple[Tensor, dict[str, float]]:
        """Cross entropy of the part plus L1 of U and V in the true part's maps, inside the person."""
        pictures, labels = (tensor.to(device_of(self.network)) for tensor in self.batch(rng))
        maps: DensePoseMaps = self.network(pictures)
        parts = labels[..., 0].long()
        inside = (parts > 0).float()
        u, v = (plane.float() for plane in chosen_uv(maps, parts))
        distance = (u - labels[..., 1] / 255.0).abs() + (v - labels[..., 2] / 255.0).abs()
        uv = (distance * inside).sum() / inside.sum().clamp(min=1.0)
        classes = functional.cross_entropy(maps.parts.float(), parts, weight=self.class_weight.to(pictures.device))
        return classes + self.options.uv_weight * uv, {
            "parts": float(classes.detach()),
            "uv": float(uv.detach()),
        }

    def batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Pictures (B, 3, 256, 256) in [-1, 1] and labels (B, 128, 128, 3) uint8 in the order I, U, V."""
        pairs = [self._varied(*self._draw_index(rng), rng) for _ in range(self.options.loop.batch_size)]
        return to_network(np.stack([p for p, _ in pairs])), torch.from_numpy(np.stack([x for _, x in pairs]))

    def _draw_index(self, rng: np.random.Generator) -> tuple[int, int]:
        if self.from_behind and rng.random() < self.options.back_views:
            return self.from_behind[int(rng.integers(len(self.from_behind)))]
        return self.views.draw_index(rng)

    def _varied(self, person: int, view: int, rng: np.random.Generator) -> tuple[Picture, Iuv]:
        options = self.options.augment
        companion = self._view(*self.views.draw_index(rng)) if rng.random() < options.companion else None
        return augment(self._view(person, view), rng, options, self.backgrounds, companion)

    def _view(self, person: int, view: int) -> View:
        return View(*self.views.view(person, view), self.views.silhouette(person, view))

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Figures on development people as rendered, and varied (always in the same way)."""
        self.views.refresh()
        pictures, iuv = self.views.development_views(self.options.measured_views)
        rng = np.random.default_rng(7)
        varied = [self._varied(*index, rng) for index in self.views.development_index(self.options.measured_views)]
        figures = measure(network, pictures, iuv[:, 1::2, 1::2])
        hard = measure(network, np.stack([p for p, _ in varied]), np.stack([x for _, x in varied]))
        return figures | {f"varied_{name}": value for name, value in hard.items()}

    def export(self, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, object]]:
        return dict(network.state_dict()), {"network": "densepose", "options": asdict(self.options.network)}


def measure(network: nn.Module, pictures: np.ndarray, iuv: np.ndarray) -> dict[str, float]:
    """Part accuracy inside the person, foreground IoU, median error of U and V where the part is right.

    `pictures` (B, 256, 256, 3) uint8, `iuv` (B, 128, 128, 3) uint8; all cells pooled.
    """
    right = inside = overlap = union = 0
    device = device_of(network)
    errors: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(pictures), 12):
            maps = network(to_network(pictures[start : start + 12]).to(device))
            labels = torch.from_numpy(np.ascontiguousarray(iuv[start : start + 12])).to(device)
            truth, found = labels[..., 0].long(), maps.parts.argmax(1)
            person, correct = truth > 0, (found == truth) & (truth > 0)
            right, inside = right + int(correct.sum()), inside + int(person.sum())
            overlap += int((person & (found > 0)).sum())
            union += int((person | (found > 0)).sum())
            for value, plane in zip(chosen_uv(maps, found), (1, 2), strict=True):
                errors.append((value.clamp(0, 1) - labels[..., plane] / 255.0).abs()[correct])
    return {
        "part_accuracy": right / max(1, inside),
        "foreground_iou": overlap / max(1, union),
        "uv_error": float(torch.cat(errors).median()) if right else 1.0,
    }
