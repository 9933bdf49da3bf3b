"""Multi-condition feature aggregation (MFCA): which tokens each stage of the denoiser's cross attention sees.

Cao et al. 2025, section 3.3: the source picture's embedding guides the down blocks, the UV texture's the up
blocks, both the middle block; face tokens are seen everywhere, through their own keys and values.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from mcld_anim.options.model import Aggregation, Condition


@dataclass(frozen=True)
class FocalTokens:
    """Tokens (B, tokens, D) of the three stages and of the face branch; None where there is nothing to see.

    Unconditional rows are not among them: to those every token is zero, which the denoiser does by itself.
    """

    down: Tensor | None
    mid: Tensor | None
    up: Tensor | None
    face: Tensor | None

    def stage(self, layer: str) -> Tensor | None:
        """The tokens of the stage that a layer such as "down_blocks.0.attentions.0..." belongs to."""
        return {"down": self.down, "mid": self.mid, "up": self.up}[layer.split("_")[0]]

    @property
    def rows(self) -> int | None:
        """B, or None if there are no tokens at all."""
        return next((len(part) for part in (self.mid, self.face) if part is not None), None)


def route_tokens(
    image: Tensor | None,
    texture: Tensor | None,
    face: Tensor | None,
    conditions: Collection[Condition] = ("image", "texture", "face"),
    aggregation: Aggregation = "mfca",
) -> FocalTokens:
    """Choose the tokens of each stage.

    image, texture: (B, n, D) tokens of the source picture and of its UV texture; CLIP embeddings have n = 1.
    face: (B, T, D) face tokens. A condition that is not in `conditions` is left out, not replaced by zeros.
    """
    seen_image = image if "image" in conditions else None
    seen_texture = texture if "texture" in conditions else None
    both = _join(seen_image, seen_texture)
    return FocalTokens(
        down=both if aggregation == "concat" else seen_image,
        mid=both,
        up=both if aggregation == "concat" else seen_texture,
        face=face if "face" in conditions else None,
    )


def _join(*tokens: Tensor | None) -> Tensor | None:
    present = [part for part in tokens if part is not None]
    return torch.cat(present, dim=1) if present else None
