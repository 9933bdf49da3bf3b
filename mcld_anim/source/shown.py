"""What photos show of their person's surface: the atlas, the tone of bare skin, and the hem of the upper garment."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
from jaxtyping import Float

from mcld_anim.body.garments import (
    Share,
    garment_share,
    head_share,
    on_texels,
    texel_heights,
    torso_and_legs,
)
from mcld_anim.core.arrays import AnySizeIuv, Atlas, AtlasMask, Picture
from mcld_anim.core.cielab import to_lab
from mcld_anim.source.fill import complete_atlas, fill_atlas
from mcld_anim.source.joined_photos import Photos, joined_atlas
from mcld_anim.source.person_colours import cheeks
from mcld_anim.source.photo_warp import PhotoWarp, seen_iuv
from mcld_anim.source.recolour import Tone
from mcld_anim.source.surface_views import JoinedSurface, surface_views

CHEST, THIGHS = (0.33, 0.58), (-0.15, 0.0)
"""Heights at rest, in metres, at which the upper and the lower garment are looked at."""
HEMS = (-0.15, 0.30)
"""Heights at rest, in metres, between which the hem may be."""
STEP = 0.01
"""Height of the bands, in metres, in which the hem is looked for."""
LEAST_TEXELS = 60
"""Texels of a place from which its colour counts."""
PLAIN = 5.0
"""Standard deviation in L*, a* and b* that even a plain garment is taken to have."""
MOST_SCORE = 3.0
"""Largest vote of a texel for one of the garments, as a logarithm."""
ALIKE = 1.0
"""Mean vote of both garments for themselves below which they are alike, and no hem is seen."""


@dataclass(frozen=True, eq=False)
class Shown:
    """The person of one photo, or of several."""

    atlas: Atlas  # complete
    valid: AtlasMask  # texels that a photo shows

    @classmethod
    def of(cls, picture: Picture, iuv: AnySizeIuv) -> Shown:
        """From a picture and its IUV of the same size."""
        return cls(*complete_atlas(picture, np.asarray(iuv)))

    @classmethod
    def of_photos(cls, photos: Photos) -> Shown:
        """From all photos of one person."""
        if len(photos) == 1:
            return cls.of(*photos[0])
        views = surface_views(photos)
        atlas, valid = joined_atlas(views, JoinedSurface.of(views))
        return cls(fill_atlas(atlas, valid), valid)

    @classmethod
    def of_warp(cls, warp: PhotoWarp) -> Shown:
        """From a photo with a fitted body."""
        return cls.of(warp.colours, seen_iuv(warp.own, warp.drawn))

    @cached_property
    def tone(self) -> Tone | None:
        """Median colour of the cheeks; None where the photo hardly shows them."""
        cheeks = self.atlas[_cheeks() & self.valid]
        return None if len(cheeks) < LEAST_TEXELS else np.median(cheeks, axis=0).round().astype(np.uint8)

    @cached_property
    def hem(self) -> float | None:
        """Height at rest, in metres, where the upper garment ends; None where the photo does not show it."""
        place = self.valid & (on_texels(torso_and_legs().astype(np.float32)) > 0.5)
        heights = texel_heights()
        lab = to_lab(self.atlas)
        upper, lower = (lab[place & (heights > low) & (heights < high)] for low, high in (CHEST, THIGHS))
        if min(len(upper), len(lower)) < LEAST_TEXELS:
            return None
        if min(_votes(upper, upper, lower).mean(), -_votes(lower, upper, lower).mean()) < ALIKE:
            return None
        band = place & (heights > HEMS[0]) & (heights < HEMS[1])
        number = ((heights[band] - HEMS[0]) / STEP).astype(int)
        count = np.bincount(number)
        votes = np.bincount(number, weights=_votes(lab[band], upper, lower)) / np.maximum(count, 1)
        above = np.concatenate([votes[::-1].cumsum()[::-1], [0.0]])  # of a hem at each band's lower edge
        return float(HEMS[0] + STEP * np.argmax(above - (votes.sum() - above)))

    def shows(self, share: Share) -> float:
        """The share of a region, 0..1, of which the photo shows anything."""
        texels = on_texels(share) > 0.5
        return float(self.valid[texels].mean()) if texels.any() else 0.0


def region_share(name: str, hem: float) -> Share:
    """The region of "head" or of a garment."""
    return head_share() if name == "head" else garment_share(name, hem)


def _votes(
    lab: Float[np.ndarray, "n 3"], upper: Float[np.ndarray, "u 3"], lower: Float[np.ndarray, "l 3"]
) -> Float[np.ndarray, " n"]:
    """How much rather a colour is the upper garment's (above 0) than the lower one's."""
    far_upper, far_lower = (
        (((lab - np.median(one, axis=0)) / np.hypot(one.std(0), PLAIN)) ** 2).sum(-1) for one in (upper, lower)
    )
    return np.asarray(((far_lower - far_upper) / 2).clip(-MOST_SCORE, MOST_SCORE))


@cache
def _cheeks() -> AtlasMask:
    """Texels of the cheeks."""
    return on_texels(cheeks().astype(np.float32)) > 0.5
