"""The detail decoder: restores detail that a frame's latents cannot hold from the warped source.

Eyes, prints and seams are finer than a small model's latents. As in an asymmetric autoencoder (Zhu et al. 2023, arXiv
2306.04632), the decoder's end therefore also reads known pixels: the source's colours in the target's pose. It blends
them with the decoded frame by a gate per pixel and adds a correction. The published model has none.
"""

from __future__ import annotations

import itertools

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mcld_anim.options.model import DetailOptions

PATCH = 2
"""Side in pixels of the block under one cell of the finest level."""
INPUT_CHANNELS = 8
"""Channels per pixel: decoded frame (3), warped source (3), validity (1), person (1)."""
INITIAL_GATE_LOGIT = -2.0
"""Logit of the warped source's weight before training; it is small, so that the decoded frame dominates."""


class DetailDecoder(nn.Module):
    """A U-Net on blocks of 2x2 pixels; before training the identity on decoded frames, up to `INITIAL_GATE_LOGIT`."""

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
            self.leave.bias[3 * PATCH**2 :] = INITIAL_GATE_LOGIT

    def forward(
        self,
        decoded: Float[Tensor, "batch 3 height width"],
        warped_source: Float[Tensor, "batch 3 height width"],
        validity: Float[Tensor, "batch 1 height width"],
        person: Float[Tensor, "batch 1 height width"],
    ) -> Float[Tensor, "batch 3 height width"]:
        """The final frames in [-1, 1], not clamped.

        decoded, warped_source: pictures (B, 3, H, W) in [-1, 1]; H and W multiples of 8.
        validity: (B, 1, H, W), 1 where the warped source's colour is visible in the source photo.
        person: (B, 1, H, W), 1 inside the target's IUV.
        """
        inputs = torch.cat([decoded, warped_source, 2 * validity - 1, 2 * person - 1], dim=1)
        features = self.enter(functional.pixel_unshuffle(inputs, PATCH))
        skips = []
        for level, blocks in enumerate(self.down):
            features = blocks(features)
            if level < len(self.shrink):
                skips.append(features)
                features = self.shrink[level](features)
        for level in reversed(range(len(self.grow))):
            features = self.up[level](self.grow[level](features) + skips[level])
        outputs = functional.pixel_shuffle(self.leave(features), PATCH)
        correction, gate = outputs[:, :3], torch.sigmoid(outputs[:, 3:])
        return decoded + gate * (warped_source - decoded) + correction


class _Residual(nn.Module):
    """A residual block: x plus two convolutions of x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, features: Tensor) -> Tensor:
        return features + self.second(functional.silu(self.first(functional.silu(features))))
