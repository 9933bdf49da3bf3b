"""Multi-condition feature aggregation (MFCA): which tokens each stage of the denoiser's cross attention reads.

Cao et al. 2025, section 3.3: the source picture's embedding guides the down blocks, the UV texture's the up blocks,
and both guide the middle block. Every block reads the face tokens, through their own key and value projections.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from mcld_anim.options.model import Aggregation, Condition


@dataclass(frozen=True)
class FocalTokens:
    """Tokens (B, tokens, D) of the three stages and of the face branch; None where a condition is left out.

    They have no unconditional rows: for those every token is zero, which the denoiser handles itself.
    """

    down: Tensor | None
    mid: Tensor | None
    up: Tensor | None
    face: Tensor | None

    def stage(self, layer: str) -> Tensor | None:
        """The tokens of a layer's stage; the layer's name is as in "down_blocks.0.attentions.0..."."""
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
    face: (B, T, D) face tokens.
    A condition that is not in `conditions` is left out, not replaced by zeros.
    """
    image = image if "image" in conditions else None
    texture = texture if "texture" in conditions else None
    both = _concat(image, texture)
    return FocalTokens(
        down=both if aggregation == "concat" else image,
        mid=both,
        up=both if aggregation == "concat" else texture,
        face=face if "face" in conditions else None,
    )


def _concat(*tokens: Tensor | None) -> Tensor | None:
    present = [part for part in tokens if part is not None]
    return torch.cat(present, dim=1) if present else None
