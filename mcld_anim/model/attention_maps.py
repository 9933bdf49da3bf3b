"""Where in a frame the conditions act, read off the denoiser's attention while it predicts.

texture: share of self attention that reads the reference features of the UV texture, and not the frame's own.
image: share of cross attention that reads the photo's token, and not the texture's, where it has both.
face: share of the face branch in what cross attention adds, by the norms of both.

A single token gets all of the attention everywhere, so where a stage reads one only, that has no map.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isqrt

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

MOST_CELLS = 1024
"""Cells of the finest layers whose self attention is recorded: its matrix grows with their square."""

AttentionMap = Float[np.ndarray, "_height _width"]
"""A share, 0..1, at each latent cell."""


@dataclass(frozen=True, eq=False)
class AttentionRecord:
    """Collects the maps of one frame over layers and steps."""

    size: tuple[int, int]  # height and width of the frame's latents
    found: dict[str, list[Tensor]] = field(default_factory=dict)

    def self_attention(self, queries: Tensor, own: Tensor, reference: Tensor) -> None:
        """Queries and keys, each (rows, heads, tokens, width), of the last row."""
        if queries.shape[2] > MOST_CELLS:
            return
        scale = queries.shape[-1] ** -0.5
        sums = [torch.logsumexp(queries[-1].float() @ keys[-1].float().mT * scale, -1) for keys in (own, reference)]
        self._add("texture", torch.sigmoid(sums[1] - sums[0]).mean(0))

    def tokens(self, queries: Tensor, keys: Tensor) -> None:
        """Queries of the cells and keys of the stage's tokens, the image's first."""
        if keys.shape[2] == 2:
            scores = queries[-1].float() @ keys[-1].float().mT * queries.shape[-1] ** -0.5
            self._add("image", scores.softmax(-1)[..., 0].mean(0))

    def face(self, states: Tensor, face: Tensor) -> None:
        """What the stage's tokens and the face branch add, each (rows, heads, cells, width)."""
        both, alone = (one[-1].float().square().sum((0, 2)).sqrt() for one in (states, face))
        self._add("face", alone / (both + alone).clamp_min(1e-6))

    def maps(self) -> dict[str, AttentionMap]:
        """The mean map of each condition that has one."""
        return {name: torch.stack(maps).mean(0).cpu().numpy() for name, maps in self.found.items()}

    def _add(self, name: str, cells: Float[Tensor, " cells"]) -> None:
        height, width = self.size
        rows = isqrt(len(cells) * height // width)
        plane = cells.reshape(1, 1, rows, len(cells) // rows)
        self.found.setdefault(name, []).append(interpolate(plane, self.size, mode="bilinear")[0, 0])
