"""Bytes of pictures as the numbers that networks take, and back."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def to_signed(pixels: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Levels 0..255 as -1..1, in the dtype and on the device they come in."""
    return pixels / 127.5 - 1


def to_levels(signed: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """-1..1 as levels 0..255, rounded; what lies beyond is clipped."""
    return ((signed.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
