"""CLIP's input against transformers' own processor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from mcld_anim.options.model import ImageEncoderOptions
from mcld_anim.source.clip import clip_pixels

SIZES = [(512, 512), (256, 256), (200, 300), (301, 200), (333, 64), (65, 77), (224, 225), (40, 33)]


@pytest.mark.parametrize("side", [224, 64])
@pytest.mark.parametrize("size", SIZES)
def test_pixels_are_bit_equal_to_transformers(side: int, size: tuple[int, int]) -> None:
    picture = np.random.default_rng(side).integers(0, 256, (*size, 3), dtype=np.uint8)
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    theirs = processor.preprocess(Image.fromarray(picture), return_tensors="pt")["pixel_values"]
    ours = clip_pixels(picture, replace(ImageEncoderOptions(), image_size=side))
    assert ours.dtype == torch.float32
    assert torch.equal(ours, theirs)
