"""The published evaluation's preprocessing of pictures, kept so that numbers are comparable."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

INCEPTION_SIZE = 299
"""Side of the Inception-v3 input, in pixels."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def evaluation_pictures(
    pictures: Float[Tensor, "batch 3 H W"], size: tuple[int, int]
) -> UInt8[Tensor, "batch 3 height width"]:
    """Generated pictures in 0..1 as the published script saves them: bicubic with antialiasing, truncated to bytes."""
    resized = functional.interpolate(pictures, size, mode="bicubic", antialias=True, align_corners=False)
    return (resized * 255).clamp(0, 255).to(torch.uint8)


def published_inception_input(pictures: Float[Tensor, "batch 3 H W"]) -> Float[Tensor, "batch 3 299 299"]:
    """Pictures in 0..1 as the published FID feeds them to Inception: resized bilinearly without antialiasing.

    The change of value range wrongly assumes ImageNet-normalised pictures. These FID values are therefore comparable
    only with each other, not with standard FID.
    """
    resized = functional.interpolate(pictures, (INCEPTION_SIZE, INCEPTION_SIZE), mode="bilinear", align_corners=False)
    scale = pictures.new_tensor(IMAGENET_STD)[:, None, None] / 0.5
    shift = (pictures.new_tensor(IMAGENET_MEAN)[:, None, None] - 0.5) / 0.5
    return resized * scale + shift
