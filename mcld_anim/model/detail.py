"""The detail decoder: puts back into a decoded frame what its latents could not hold and the hint picture shows.

Eyes, prints and seams of a small model are finer than its latents. As in an asymmetric autoencoder (Zhu et al. 2023,
arXiv 2306.04632) the decoder's end therefore also sees the known pixels: the source's colours in the target's pose.
It chooses per pixel between them and the decoded frame, and adds a correction. The published model has none.
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mcld_anim.options.model import DetailOptions

PATCH = 2
"""Side of the pixel blocks that one cell of the finest level stands for."""
INPUT_CHANNELS = 8
"""Decoded frame (3), hint (3), validity (1), person (1)."""
FIRST_GATE = -2.0
"""Logit of the share of the hint before training: a little, so that the decoded frame comes first."""


class DetailDecoder(nn.Module):
    """A U-Net on blocks of 2x2 pixels; the identity on decoded frames, up to `FIRST_GATE`, until it is trained."""

    def __init__(self, options: DetailOptions) -> None:
        super().__init__()
        widths = options.widths
        self.enter = nn.Conv2d(INPUT_CHANNELS * PATCH**2, widths[0], 3, padding=1)
        self.down = nn.ModuleList(nn.Sequential(*(_Residual(width) for _ in range(options.blocks))) for width in widths)
        steps = list(itertools.pairwise(widths))
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.grow = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in steps)
        self.up = nn.ModuleList(nn.Sequential(*(_Residual(width) for _ in range(options.blocks))) for width in widths)
        self.leave = nn.Conv2d(widths[0], 4 * PATCH**2, 3, padding=1)
        with torch.no_grad():
            nn.init.zeros_(self.leave.weight)
            assert self.leave.bias is not None
            self.leave.bias.zero_()
            self.leave.bias[3 * PATCH**2 :] = FIRST_GATE

    def forward(
        self,
        decoded: Float[Tensor, "batch 3 height width"],
        hint: Float[Tensor, "batch 3 height width"],
        validity: Float[Tensor, "batch 1 height width"],
        person: Float[Tensor, "batch 1 height width"],
    ) -> Float[Tensor, "batch 3 height width"]:
        """The finished frames in [-1, 1], not clamped.

        decoded, hint: pictures (B, 3, H, W) in [-1, 1]; H and W multiples of 8.
        validity: (B, 1, H, W), 1 where the hint's colour was seen in the source photo.
        person: (B, 1, H, W), 1 inside the target's IUV.
        """
        inputs = torch.cat([decoded, hint, 2 * validity - 1, 2 * person - 1], dim=1)
        features = self.enter(functional.pixel_unshuffle(inputs, PATCH))
        passed = []
        for level, blocks in enumerate(self.down):
            features = blocks(features)
            if level < len(self.shrink):
                passed.append(features)
                features = self.shrink[level](features)
        for level in reversed(range(len(self.grow))):
            features = self.up[level](self.grow[level](features) + passed[level])
        changes = functional.pixel_shuffle(self.leave(features), PATCH)
        correction, gate = changes[:, :3], torch.sigmoid(changes[:, 3:])
        return decoded + gate * (hint - decoded) + correction


class _Residual(nn.Module):
    """x + two convolutions of x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(functional.silu(self.first(functional.silu(features))))
