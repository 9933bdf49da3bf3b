"""What an edited person shows to the networks: the atlas and the texture of a look, and the photo with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mcld_anim.body.texels import texel_index
from mcld_anim.model.appearance import Worn
from mcld_anim.options.model import TextureFill
from mcld_anim.source.joined_photos import Photos, texture_atlas
from mcld_anim.source.look import Look
from mcld_anim.source.shown import Shown
from mcld_anim.source.texture import smpl_texture

VISIBLE = 8
"""Difference in levels from which a texel of the photo counts as edited."""


def worn(look: Look, photos: Mapping[Path | None, Photos], fill: TextureFill) -> Worn:
    """From everybody's photos with their IUV, the source's under None; `fill`: see `atlas_from_picture`."""
    seen = {path: Shown.of_photos(own) for path, own in photos.items()}
    atlas, valid = look.dressed({path: (one.atlas, one.valid) for path, one in seen.items()})
    flat, _ = look.dressed({path: texture_atlas(own, fill) for path, own in photos.items()})
    changed = (np.abs(atlas.astype(np.int16) - seen[None].atlas).max(-1) > VISIBLE).ravel()
    picture, iuv = photos[None][0]
    picture = picture.copy()
    inside, index = iuv[..., 0] > 0, texel_index(iuv)
    picture[inside] = np.where(changed[index][:, None], atlas.reshape(-1, 3)[index], picture[inside])
    return Worn(picture, smpl_texture(flat), atlas, valid)
