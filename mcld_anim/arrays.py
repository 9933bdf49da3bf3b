"""The legend of every array kind that passes between rooms: shape, dtype, range, channel order.

Pictures and maps are numpy, height first; network tensors are torch, channels first.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

Picture = UInt8[np.ndarray, "height width 3"]
"""RGB in 0..255, upright: EXIF or rotation metadata has been applied."""

Iuv = UInt8[np.ndarray, "height width 3"]
"""DensePose in the order I, U, V. I is the part in 0..24 (0 = background); U and V are round(coordinate * 255)."""

Atlas = UInt8[np.ndarray, "24 200 200 3"]
"""RGB texels of the 24 DensePose parts; part p of an IUV is index p - 1. Row = (1 - V), column = U, times 199."""

AtlasMask = Bool[np.ndarray, "24 200 200"]
"""True where an atlas texel holds a colour."""

Texture = UInt8[np.ndarray, "512 512 3"]
"""RGB UV texture in the SMPL layout; texels that no chart covers are 0."""

Latents = Float[Tensor, "frames channels height_8 width_8"]
"""Scaled latents of the autoencoder, one row per frame, an eighth of the picture's height and width."""

PART_COUNT = 24
ATLAS_SIZE = 200
TEXTURE_SIZE = 512
HEAD_PARTS = (23, 24)
"""DensePose's right and left half of the head; together they are the face region of the face-focused loss."""
