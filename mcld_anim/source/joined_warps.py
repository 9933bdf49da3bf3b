"""Several photos of one person, each with its fitted body, as one person who is sampled from all of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from mcld_anim.body.draw import DrawnBody
from mcld_anim.core.arrays import Alpha, Picture
from mcld_anim.source.guessed_texture import guessed_texture
from mcld_anim.source.joined_photos import joined_atlas
from mcld_anim.source.person_colours import hair_colour, skin_colour
from mcld_anim.source.photo_view import PhotoView
from mcld_anim.source.photo_warp import PhotoWarp, seen_iuv
from mcld_anim.source.surface_views import JoinedSurface, surface_views, with_gain
from mcld_anim.source.whole_atlas import whole_atlas

Colour = UInt8[np.ndarray, " 3"]


def joined_warps(warps: Sequence[PhotoWarp]) -> PhotoWarp:
    """The first photo's person, with what the other photos show of their surface, in the first one's light."""
    views = surface_views([(warp.colours, seen_iuv(warp.own, warp.drawn)) for warp in warps])
    joined = JoinedSurface.of(views)
    atlas, valid = joined_atlas(views, joined)
    hair, skin = (_first_known(find, warps, joined) for find in (hair_colour, skin_colour))
    covered = "".join(side for side in "LR" if any(side in warp.covered_ears for warp in warps))
    whole, painted = whole_atlas(atlas, valid, hair, skin, covered)
    return replace(
        warps[0],
        atlas=whole,
        painted=painted,
        texture=guessed_texture(atlas, valid),
        views=tuple(
            PhotoView(with_gain(warp.colours, gain), warp.own, warp.drawn, weights)
            for warp, gain, weights in zip(warps, joined.gains, joined.weights, strict=True)
        ),
    )


def _first_known(
    find: Callable[[Picture, Alpha, DrawnBody], Colour | None], warps: Sequence[PhotoWarp], joined: JoinedSurface
) -> Colour | None:
    """A colour of the person from the first photo that shows it."""
    for warp, gain in zip(warps, joined.gains, strict=True):
        colour = find(warp.colours, warp.own, warp.drawn)
        if colour is not None:
            return with_gain(colour[None, None], gain)[0, 0]
    return None
