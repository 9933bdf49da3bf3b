"""Tiles: without statistics of its own a decoder gives the same picture in tiles, and seams do not show."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import interpolate

from mcld_anim.evaluate.embedded import load_embedded_models
from mcld_anim.model.vae_tiles import decode_in_tiles


@pytest.mark.parametrize("size", [(8, 8), (20, 13), (33, 64), (64, 16)])
def test_tiles_make_one_picture(size: tuple[int, int]) -> None:
    latents = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    sizes = []

    def decode(part: torch.Tensor) -> torch.Tensor:
        sizes.append(max(part.shape[-2:]))
        return interpolate(part, scale_factor=8)

    torch.testing.assert_close(
        decode_in_tiles(decode, latents, tile=16, overlap=4), interpolate(latents, scale_factor=8)
    )
    assert max(sizes) <= 16


@torch.inference_mode()
def test_the_embedded_decoder_in_tiles_is_near_its_own() -> None:
    vae = load_embedded_models().mcld.vae
    smooth = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    latents = vae.encode(interpolate(smooth, size=(256, 256), mode="bicubic").clamp(-1, 1))
    whole, tiled = vae.decode(latents), decode_in_tiles(vae.decode, latents, tile=16, overlap=4)
    assert 0 < float((whole - tiled).abs().mean()) < 0.03
