"""The types of tensors that pass between rooms, channels first: apart from `core.arrays`, since torch takes seconds."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

Latents = Float[Tensor, "frames channels height_8 width_8"]
"""Scaled latents of the autoencoder, one row per frame, an eighth of the picture's height and width."""
