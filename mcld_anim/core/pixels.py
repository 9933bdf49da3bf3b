"""Conversion between picture bytes and network values."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def to_signed(pixels: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Map levels 0..255 to -1..1; dtype and device stay the same."""
    return pixels / 127.5 - 1


def to_levels(signed: Float[Tensor, "*shape"]) -> UInt8[Tensor, "*shape"]:
    """Map -1..1 to levels 0..255, rounded and clipped."""
    return ((signed.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
