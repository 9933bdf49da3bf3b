"""The input of the CLIP image encoder, bit-identical to transformers' CLIPImageProcessorPil."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from mcld_anim.core.arrays import Picture
from mcld_anim.options.model import ImageEncoderOptions


def clip_pixels(picture: Picture, options: ImageEncoderOptions) -> Float[Tensor, "1 3 side side"]:
    """`picture` (H, W, 3) uint8 RGB as normalised float32 (1, 3, S, S) in R, G, B; S = `options.image_size`.

    The shorter side is resized to S (bicubic, on bytes), the centre cropped, then (x / 255 - mean) / std.
    """
    cropped = clip_crop(picture, options.image_size)
    scaled = (cropped.transpose(2, 0, 1).astype(np.float64) * (1 / 255)).astype(np.float32)
    mean, std = (np.array(values, np.float32)[:, None, None] for values in (options.image_mean, options.image_std))
    return torch.from_numpy((scaled - mean) / std)[None]


def clip_crop(picture: Picture, side: int) -> UInt8[np.ndarray, "{side} {side} 3"]:
    """The (S, S, 3) uint8 centre of `picture` after its shorter side was resized to `side`."""
    height, width = picture.shape[:2]
    # The longer side is truncated and the crop's corner rounded down, as in transformers.
    if height <= width:
        height, width = side, int(side * width / height)
    else:
        height, width = int(side * height / width), side
    resized = np.asarray(Image.fromarray(picture).resize((width, height), Image.Resampling.BICUBIC))
    top, left = (height - side) // 2, (width - side) // 2
    return resized[top : top + side, left : left + side]
