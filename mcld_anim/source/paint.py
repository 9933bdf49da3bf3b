"""What somebody painted on a UV texture, found by comparing it with the photo's own, and laid on the atlas."""

from __future__ import annotations

import cv2
import numpy as np

from mcld_anim.body.uv_tables import atlas_texel_sources
from mcld_anim.core.arrays import TEXTURE_SIZE, AnySizePicture, Texture
from mcld_anim.core.errors import PictureError
from mcld_anim.source.look import Paint

UNCHANGED, CHANGED = 6.0, 16.0
"""Difference in levels up to which a texel is as the photo has it, and from which it is painted: editors that save JPEG
change every texel a little."""


def paint_on(own: Texture, edited: AnySizePicture, name: str) -> Paint:
    """The paint of an edited texture, over the photo's own one; black texels are not painted, as nothing is there.

    `name` is the file in messages.
    """
    height, width = edited.shape[:2]
    if height != width or height % TEXTURE_SIZE:
        raise PictureError(
            f"--texture {name} is {width}x{height}, expected {TEXTURE_SIZE}x{TEXTURE_SIZE} (or a multiple of it) in "
            "the SMPL layout: `mcld-anim texture` writes one to paint on"
        )
    small = (
        cv2.resize(edited, (TEXTURE_SIZE, TEXTURE_SIZE), interpolation=cv2.INTER_AREA)
        if height > TEXTURE_SIZE
        else edited
    )
    difference = np.abs(small.astype(np.float32) - own).max(-1)
    share = ((difference - UNCHANGED) / (CHANGED - UNCHANGED)).clip(0, 1) * small.any(-1)
    sources = atlas_texel_sources()
    return Paint(
        small.reshape(-1, 3)[sources].astype(np.float32), (share.ravel()[sources] * (sources >= 0)).astype(np.float32)
    )
