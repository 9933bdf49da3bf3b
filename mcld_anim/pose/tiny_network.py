"""The small DensePose network: a U-Net at a quarter of the picture's resolution that predicts part, U and V.

As in DensePose (Güler et al. 2018) a pixel is classified as background or one of 24 parts, and U and V are regressed
for every part; the predicted part selects the regression. A quarter of a person's pixels lie within a pixel and a half
of a part's border, so a few convolutions at half resolution sharpen the classes at the end.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mcld_anim.core.arrays import MIRROR_PART, MIRRORED_U, MIRRORED_V, PART_COUNT

INPUT_SIZE = 256
"""Side of the network's square input, in pixels."""
CELLS = 128
"""Side of the U and V maps; cell (i, j) covers input pixels 2i, 2i+1 and 2j, 2j+1."""
CELL_CHANNELS = 1 + 3 * PART_COUNT

Window = tuple[slice, slice]
"""Rows and columns of the cells."""


@dataclass(frozen=True)
class TinyDensePoseOptions:
    """Widths at 64x64, 32x32, 16x16 and 8x8, and residual blocks at each on the way down."""

    widths: tuple[int, ...] = (48, 80, 112, 128)
    blocks: tuple[int, ...] = (2, 3, 3, 2)
    heads: int = 4
    """Heads of the attention at the lowest resolution, which tells left from right across the whole body."""
    sharp_width: int = 32
    """Width of the convolutions at half resolution that sharpen the classes."""


@dataclass(frozen=True)
class DensePoseMaps:
    """The network's output for B pictures."""

    parts: Float[Tensor, "batch 25 height width"]
    """Logits per pixel; 0 = background. With a window, of its pixels only."""
    u: Float[Tensor, "batch 24 128 128"]
    """U per part and cell, in 0..1 up to the network's error."""
    v: Float[Tensor, "batch 24 128 128"]
    cell_parts: Float[Tensor, "batch 25 128 128"]
    """Logits per cell, before they are sharpened."""


class TinyDensePose(nn.Module):
    """Pictures (B, 3, 256, 256) in [-1, 1] -> DensePoseMaps."""

    def __init__(self, options: TinyDensePoseOptions | None = None) -> None:
        super().__init__()
        options = options or TinyDensePoseOptions()
        widths = options.widths
        self.enter = nn.Sequential(nn.PixelUnshuffle(4), nn.Conv2d(48, widths[0], 3, padding=1))
        self.down = nn.ModuleList(
            nn.Sequential(*(_Residual(width) for _ in range(count)))
            for width, count in zip(widths, options.blocks, strict=True)
        )
        steps = list(itertools.pairwise(widths))
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 4, stride=2, padding=1) for fine, coarse in steps)
        self.attention = _Attention(widths[-1], options.heads)
        self.middle = _Residual(widths[-1])
        self.grow = nn.ModuleList(nn.Conv2d(coarse, 4 * fine, 1) for fine, coarse in steps)
        self.merge = nn.ModuleList(nn.Sequential(nn.Conv2d(2 * fine, fine, 1), _Residual(fine)) for fine, _ in steps)
        self.leave = nn.Conv2d(widths[0], 4 * CELL_CHANNELS, 1)
        self.sharpen = _Sharpen(widths[0], options.sharp_width)

    def forward(self, pictures: Float[Tensor, "batch 3 256 256"], window: Window | None = None) -> DensePoseMaps:
        """All maps; with a `window`, as in training, pixel classes inside it only."""
        features = self.down[0](self.enter(pictures))
        passed = [features]
        for shrink, blocks in zip(self.shrink, list(self.down)[1:], strict=True):
            features = blocks(shrink(features))
            passed.append(features)
        features = self.middle(self.attention(features))
        for level in reversed(range(len(self.grow))):
            finer = functional.pixel_shuffle(self.grow[level](features), 2)
            features = self.merge[level](torch.cat([finer, passed[level]], 1))
        maps = functional.pixel_shuffle(self.leave(features), 2)
        cells, u, v = maps.split([1 + PART_COUNT, PART_COUNT, PART_COUNT], 1)
        parts = self.sharpen(cells, features, pictures, window or (slice(None), slice(None)))
        return DensePoseMaps(parts, u, v, cells)


class _Sharpen(nn.Module):
    """Logits per cell -> logits per pixel, as a correction to those of the pixel's cell."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.from_features = nn.Conv2d(features, 4 * width, 1)
        self.from_picture = nn.Conv2d(12, width, 3, padding=1)
        self.blocks = nn.Sequential(_Residual(width), _Residual(width))
        self.leave = nn.Conv2d(width, 4 * (1 + PART_COUNT), 1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # type: ignore[arg-type]

    def forward(self, cells: Tensor, features: Tensor, pictures: Tensor, window: Window) -> Tensor:
        finer = functional.pixel_shuffle(self.from_features(features), 2)
        mixed = (finer + self.from_picture(functional.pixel_unshuffle(pictures, 2)))[..., window[0], window[1]]
        change = self.leave(self.blocks(functional.relu(mixed)))
        return functional.pixel_shuffle(cells[..., window[0], window[1]].repeat_interleave(4, 1) + change, 2)


class _Residual(nn.Module):
    """x -> relu(x + two normalised convolutions), the identity at the start of training."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width, momentum=0.03),
            nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width, momentum=0.03),
        )
        last = self.body[-1]
        assert isinstance(last, nn.BatchNorm2d)
        nn.init.zeros_(last.weight)

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(features + self.body(features))


class _Attention(nn.Module):
    """Self-attention over all cells of the coarsest map (B, C, h, w), added to it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(1, width)
        self.project = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, features: Tensor) -> Tensor:
        projected = self.project(self.norm(features))
        split = "batch (three heads d) h w -> three batch heads (h w) d"
        query, key, value = rearrange(projected, split, three=3, heads=self.heads)
        seen = functional.scaled_dot_product_attention(query, key, value)
        return features + self.out(rearrange(seen, "batch heads (h w) d -> batch (heads d) h w", h=features.shape[2]))


def chosen_uv(
    u: Float[Tensor, "batch 24 height width"], v: Float[Tensor, "batch 24 height width"], parts: Tensor
) -> tuple[Tensor, Tensor]:
    """U and V (B, h, w) of the given part (B, h, w) int64 in 0..24; meaningless where it is 0."""
    index = (parts - 1).clamp(min=0)[:, None]
    return u.gather(1, index)[:, 0], v.gather(1, index)[:, 0]


def seen_both_ways(network: nn.Module, pictures: Float[Tensor, "batch 3 256 256"]) -> DensePoseMaps:
    """The network's output averaged over pictures and their mirror images: more accurate, at twice the cost.

    Classes are averaged as logits, which are log probabilities up to a constant.
    """
    seen: DensePoseMaps = network(pictures)
    other = turned_back(network(pictures.flip(-1)))
    pairs = ((seen.parts, other.parts), (seen.u, other.u), (seen.v, other.v), (seen.cell_parts, other.cell_parts))
    return DensePoseMaps(*((one + two) / 2 for one, two in pairs))


def turned_back(maps: DensePoseMaps) -> DensePoseMaps:
    """The maps of mirrored pictures, mirrored back: left and right parts are swapped, and some charts are flipped."""
    classes, partner = [0, *MIRROR_PART], [part - 1 for part in MIRROR_PART]
    u, v = (plane.flip(-1)[:, partner] for plane in (maps.u, maps.v))
    for plane, turned in ((u, MIRRORED_U), (v, MIRRORED_V)):
        index = [part - 1 for part in turned]
        plane[:, index] = 1 - plane[:, index]
    return DensePoseMaps(maps.parts.flip(-1)[:, classes], u, v, maps.cell_parts.flip(-1)[:, classes])
