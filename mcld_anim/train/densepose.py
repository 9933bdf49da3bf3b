"""Training of the small DensePose network on augmented renders of people with exact IUV."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional

from mcld_anim.core.arrays import PART_COUNT, Iuv, Picture
from mcld_anim.pose.tiny_network import CELLS, DensePoseMaps, TinyDensePose, TinyDensePoseOptions, Window, chosen_uv
from mcld_anim.synthetic.backdrops import make_backgrounds, photo_backgrounds
from mcld_anim.train.autoencoder import to_network
from mcld_anim.train.body_augment import BodyAugmentOptions, View, augment
from mcld_anim.train.loop import LoopOptions, device_of
from mcld_anim.train.views import PeopleViews, ViewsOptions
from mcld_anim.train.widen import widen_into
from mcld_anim.weights.trained import read_weights


@dataclass(frozen=True)
class DensePoseTrainingOptions:
    """Options of the DensePose network's training."""

    network: TinyDensePoseOptions = field(default_factory=TinyDensePoseOptions)
    loop: LoopOptions = field(default_factory=lambda: LoopOptions(minutes=100, learning_rate=2e-3, batch_size=12))
    data: ViewsOptions = field(default_factory=ViewsOptions)
    augment: BodyAugmentOptions = field(default_factory=BodyAugmentOptions)
    backgrounds: int = 240
    """Number of procedural scenes used as backgrounds."""
    photos: int = 480
    """Number of photograph crops used as well, if a folder of photographs is given."""
    foreground_weight: float = 1.5
    """Weight of a part's cross entropy relative to the background's; a larger one makes people fatter."""
    window: int = 64
    """Side, in cells, of the window whose pixels are refined and learned in each step."""
    uv_weight: float = 4.0
    """Weight of the mean L1 distance of U plus V relative to the cross entropy."""
    back_views: float = 0.35
    """Fraction of the samples drawn from views that show more back than chest; few views do."""
    measured_views: int = 96

    def __post_init__(self) -> None:
        if not 0.0 <= self.back_views <= 1.0:
            raise ValueError(f"back_views is {self.back_views}, expected 0 to 1")


class DensePoseTask:
    """The network, its batches and its evaluation (a `train.loop.Task`)."""

    def __init__(
        self,
        options: DensePoseTrainingOptions,
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
        network = TinyDensePose(options.network)
        if start_from is not None:
            widen_into(network, read_weights(start_from)[0])
        self.network: nn.Module = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.from_behind = self.views.from_behind()
        weight = torch.full((1 + PART_COUNT,), options.foreground_weight)
        weight[0] = 1.0
        self.class_weight = weight

    def loss(
        self, batch: tuple[Tensor, Tensor], rng: np.random.Generator, progress: float
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross entropy of the part, over all cells and over the pixels of a window, plus the L1 distance of U and V
        inside the person, read from the true part's maps."""
        shown, labels = (tensor.to(device_of(self.network)) for tensor in batch)
        window = draw_window(rng, self.options.window)
        maps: DensePoseMaps = self.network(to_network(shown), window)
        cells = cell_labels(labels)
        parts = cells[..., 0].long()
        inside = (parts > 0).float()
        u, v = (plane.float() for plane in chosen_uv(maps.u, maps.v, parts))
        distance = (u - cells[..., 1]).abs() + (v - cells[..., 2]).abs()
        uv = (distance * inside).sum() / inside.sum().clamp(min=1.0)
        rows, columns = (slice(2 * part.start, 2 * part.stop) for part in window)
        coarse = self._class_loss(maps.cell_parts, parts)
        fine = self._class_loss(maps.parts, labels[:, rows, columns, 0].long())
        metrics = {"cells": coarse.detach(), "parts": fine.detach(), "uv": uv.detach()}
        return coarse + fine + self.options.uv_weight * uv, metrics

    def _class_loss(self, logits: Tensor, parts: Tensor) -> Tensor:
        return functional.cross_entropy(logits.float(), parts, weight=self.class_weight.to(logits.device))

    def batch(self, rng: np.random.Generator, progress: float) -> tuple[Tensor, Tensor]:
        """Pictures and labels (order I, U, V), both (B, 256, 256, 3) uint8."""
        pairs = [self._augmented(*self._draw_index(rng), rng) for _ in range(self.options.loop.batch_size)]
        return torch.from_numpy(np.stack([p for p, _ in pairs])), torch.from_numpy(np.stack([x for _, x in pairs]))

    def _draw_index(self, rng: np.random.Generator) -> tuple[int, int]:
        if self.from_behind and rng.random() < self.options.back_views:
            return self.from_behind[int(rng.integers(len(self.from_behind)))]
        return self.views.draw_index(rng)

    def _augmented(self, person: int, view: int, rng: np.random.Generator) -> tuple[Picture, Iuv]:
        options = self.options.augment
        companion = self._view(*self.views.draw_index(rng)) if rng.random() < options.companion else None
        return augment(self._view(person, view), rng, options, self.backgrounds, companion)

    def _view(self, person: int, view: int) -> View:
        return View(*self.views.view(person, view), self.views.silhouette(person, view))

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Metrics on development people as rendered, and augmented (the same way every time)."""
        self.views.refresh()
        pictures, iuv = self.views.development_views(self.options.measured_views)
        rng = np.random.default_rng(7)
        augmented = [
            self._augmented(*index, rng) for index in self.views.development_index(self.options.measured_views)
        ]
        metrics = measure(network, pictures, iuv)
        hard = measure(network, np.stack([p for p, _ in augmented]), np.stack([x for _, x in augmented]))
        return metrics | {f"varied_{name}": value for name, value in hard.items()}

    def export(self, network: nn.Module) -> tuple[dict[str, Tensor], dict[str, object]]:
        return dict(network.state_dict()), {"network": "densepose", "options": asdict(self.options.network)}


def draw_window(rng: np.random.Generator, side: int) -> Window:
    """A random square of `side` cells in the frame."""
    first = rng.integers(0, CELLS - side + 1, 2)
    return slice(int(first[0]), int(first[0]) + side), slice(int(first[1]), int(first[1]) + side)


def cell_labels(labels: UInt8[Tensor, "batch 256 256 3"]) -> Float[Tensor, "batch 128 128 3"]:
    """Labels of the cells of 2x2 pixels: the part of the last pixel, and the mean U and V (0..1) over the cell's pixels
    with that part."""
    split = "batch (h down) (w across) plane -> batch h down w across plane"
    blocks = rearrange(labels, split, down=2, across=2).float()
    part = blocks[:, :, 1, :, 1, :1]
    same = (blocks[..., :1] == part[:, :, None, :, None]).float()
    coordinates = (blocks[..., 1:] * same).sum((2, 4)) / same.sum((2, 4)) / 255.0
    return torch.cat([part, coordinates], -1)


def measure(network: nn.Module, pictures: np.ndarray, iuv: np.ndarray) -> dict[str, float]:
    """Part accuracy inside the person, foreground IoU, and median error of U and V where the part is right.

    `pictures` and `iuv` are (B, 256, 256, 3) uint8. Values are pooled over all pixels, for U and V over all cells.
    """
    right = inside = overlap = union = 0
    device = device_of(network)
    errors: list[Tensor] = []
    with torch.no_grad():
        for start in range(0, len(pictures), 12):
            maps = network(to_network(torch.from_numpy(pictures[start : start + 12]).to(device)))
            labels = torch.from_numpy(np.ascontiguousarray(iuv[start : start + 12])).to(device)
            truth, found = labels[..., 0].long(), maps.parts.argmax(1)
            person, correct = truth > 0, (found == truth) & (truth > 0)
            right, inside = right + int(correct.sum()), inside + int(person.sum())
            overlap += int((person & (found > 0)).sum())
            union += int((person | (found > 0)).sum())
            cells = cell_labels(labels)
            agreed = (found[:, 1::2, 1::2] == cells[..., 0]) & (cells[..., 0] > 0)
            for value, plane in zip(chosen_uv(maps.u, maps.v, found[:, 1::2, 1::2]), (1, 2), strict=True):
                errors.append((value.clamp(0, 1) - cells[..., plane]).abs()[agreed])
    return {
        "part_accuracy": right / max(1, inside),
        "foreground_iou": overlap / max(1, union),
        "uv_error": float(torch.cat(errors).median()) if right else 1.0,
    }
