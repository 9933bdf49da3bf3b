"""The types of tensors that pass between rooms, channels first, and their way to the device: apart from `core.arrays`,
since torch takes seconds."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

Latents = Float[Tensor, "frames channels height_8 width_8"]
"""Scaled latents of the autoencoder, one row per frame, an eighth of the picture's height and width."""


def placed(tensor: Tensor, like: Tensor) -> Tensor:
    """A tensor of the CPU on the device and in the dtype of `like`.

    It crosses in its own dtype, bytes as bytes, and on CUDA from pinned memory, so that the CPU goes on meanwhile.
    """
    if like.is_cuda:
        tensor = tensor.pin_memory().to(like.device, non_blocking=True)
    return tensor.to(like)
