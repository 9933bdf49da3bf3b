"""The types of arrays that pass between rooms: shape, dtype, range, channel order.

Pictures and maps are numpy, height first; for network tensors see `core.tensors`. Axes of the same name have the
same length wherever one function or dataclass names them; tests check that, dtypes and ranks (jaxtyping's import hook).
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, UInt8

Picture = UInt8[np.ndarray, "height width 3"]
"""RGB in 0..255, upright: EXIF or rotation metadata has been applied."""

Rgba = UInt8[np.ndarray, "height width 4"]
"""Red, green, blue and opacity in 0..255, with straight (not premultiplied) alpha."""

Iuv = UInt8[np.ndarray, "height width 3"]
"""DensePose output in the order I, U, V. I is the part in 0..24 (0 = background); U, V are round(coordinate * 255)."""

AnySizePicture = UInt8[np.ndarray, "_height _width 3"]
AnySizeIuv = UInt8[np.ndarray, "_height _width 3"]
"""The same where sizes differ: of several pictures, or from the other arrays of a function."""

SizedPicture = UInt8[np.ndarray, "{size[0]} {size[1]} 3"]
SizedIuv = UInt8[np.ndarray, "{size[0]} {size[1]} 3"]
"""What a function returns that has an argument `size` (height, width)."""

Alpha = Float[np.ndarray, "height width"]
"""A matte: float32, 1 where a pixel is entirely person, 0 where it is entirely background."""

Mask = Bool[np.ndarray, "height width"]
"""True where a pixel is the person's."""

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels, x to the right and y down; x1 and y1 are exclusive."""

Atlas = UInt8[np.ndarray, "24 200 200 3"]
"""RGB texels of the 24 DensePose parts; part p of an IUV is index p - 1. Row = (1 - V), column = U, times 199."""

AtlasMask = Bool[np.ndarray, "24 200 200"]
"""True where an atlas texel has a colour."""

Texture = UInt8[np.ndarray, "512 512 3"]
"""RGB UV texture in the SMPL layout; texels that no chart covers are 0."""

PART_COUNT = 24
ATLAS_SIZE = 200
TEXTURE_SIZE = 512
HEAD_PARTS = (23, 24)
"""DensePose parts of the right and left half of the head; together the face region of the face-focused loss."""
MIRROR_PART = (1, 2, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15, 18, 17, 20, 19, 22, 21, 24, 23)
"""Left-right partner of parts 1..24; each of the two torso charts is its own."""
MIRRORED_V = (1, 2)
MIRRORED_U = (3, 4, 5, 6, 23, 24)
"""Parts whose chart is flipped along V or U relative to its partner's; the others have the same orientation."""
