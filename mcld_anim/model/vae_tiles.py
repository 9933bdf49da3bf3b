"""`--vae-tiling`: a picture decoded in tiles takes the memory of one tile."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from mcld_anim.model.vae import LatentMaps, Pictures
from mcld_anim.options.model import LATENT_STRIDE

TILE = 32
"""Side of a tile in latent pixels: 256 pixels, a quarter of the memory of 512x512."""
OVERLAP = 8
"""Latent pixels that neighbouring tiles share, over which one fades into the other. A tile's statistics (group norms)
are its own, so without the fade its edges would show."""


def decode_in_tiles(
    decode: Callable[[LatentMaps], Pictures], latents: LatentMaps, tile: int = TILE, overlap: int = OVERLAP
) -> Pictures:
    """Pictures (B, 3, 8 h, 8 w) from latents (B, C, h, w), by `decode` of tiles of at most `tile` latent pixels."""
    height, width = latents.shape[-2:]
    if max(height, width) <= tile:
        return decode(latents)
    size = LATENT_STRIDE * height, LATENT_STRIDE * width
    made, weight = latents.new_zeros((len(latents), 3, *size)), latents.new_zeros(size)
    for top in _starts(height, tile, overlap):
        for left in _starts(width, tile, overlap):
            part = decode(latents[..., top : top + tile, left : left + tile])
            fade = _fade(part, top, height, overlap, -2)[:, None] * _fade(part, left, width, overlap, -1)
            rows, columns = (
                slice(LATENT_STRIDE * start, LATENT_STRIDE * start + length)
                for start, length in zip((top, left), part.shape[-2:], strict=True)
            )
            made[..., rows, columns] += part * fade
            weight[rows, columns] += fade
    return made / weight


def _starts(side: int, tile: int, overlap: int) -> Iterator[int]:
    """Where tiles begin along a side; the last one ends with it."""
    for start in range(0, max(1, side - overlap), tile - overlap):
        yield max(0, min(start, side - tile))


def _fade(part: Tensor, start: int, side: int, overlap: int, axis: int) -> Tensor:
    """Weights along one axis of a decoded tile: rising over the overlap, except at the picture's own edges."""
    length, band = part.shape[axis], LATENT_STRIDE * overlap
    place = torch.arange(length, dtype=part.dtype, device=part.device) + 0.5
    weights = torch.ones_like(place)
    if start > 0:
        weights = torch.minimum(weights, place / band)
    if LATENT_STRIDE * start + length < LATENT_STRIDE * side:
        weights = torch.minimum(weights, (length - place) / band)
    return weights
