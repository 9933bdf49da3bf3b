"""The photo's own pixels in another pose: each pixel of the drawn body samples the photo where the photo shows it.

Two drawings of one mesh, in the photo's pose and in the target's, give the place in the photo and whether it is seen
there. Surface that the photo does not show comes from the completed atlas (`source.fill`): symmetry and neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Bool, Float

from mcld_anim.body.draw import DrawnBody
from mcld_anim.body.fit import STATURE
from mcld_anim.body.rig import load_body
from mcld_anim.body.surface import GRID, rest_body
from mcld_anim.body.texels import texel_index
from mcld_anim.core.arrays import ATLAS_SIZE, HEAD_PARTS, PART_COUNT, Alpha, Atlas, Iuv, Picture
from mcld_anim.source.fill import complete_atlas

OWN = 0.3
"""Matte of the photo, 0..1, from which a pixel is the person's and may be sampled."""
SEAM = 5
"""Width in pixels over which seen and guessed colours are mixed."""
ARMS = (3, 4, *range(15, 23))
"""DensePose parts of hands and arms."""
DOUBT, IN_FRONT = 0.02, 0.05
"""Reach of the doubt beside an arm, as a fraction of the person's height, and the distance between arm and surface from
which it holds, in metres."""
HANDS = (3, 4)
"""DensePose parts of the right and left hand."""
CHEEKS = (0.01, 0.05)
"""Distance below the eyes, in metres, in which the face shows skin: no hair and no beard."""
CROWN = 0.07
"""Height above the eyes, in metres, from which the head has the colour of its back: hair, or none."""
BEHIND_EARS, NAPE = 0.01, 0.06
"""Where the back of the head begins: metres before the ears' middle, and down from it."""
FACING, LEAST_PIXELS = 0.25, 20
"""Cosine between normal and line of sight, and pixels of a surface, from which it gives a colour."""


@dataclass(frozen=True, eq=False)
class PersonLayer:
    """The person in one pose, without a background, in the box (h, w) of a drawn body."""

    drawn: DrawnBody
    colours: Float[np.ndarray, "h w 3"]  # RGB in 0..255, continued beyond the soft edge
    validity: Float[np.ndarray, "h w"]  # 1 where the photo shows the colour, 0 where it is a guess; 1 outside

    def before(self, background: Picture) -> Picture:
        """The layer in front of a background of the picture's size."""
        picture = background.copy()
        behind, share = picture[self.drawn.box], self.drawn.alpha[..., None]
        behind[:] = np.rint(self.colours * share + behind * (1 - share)).clip(0, 255)
        return picture


class PhotoWarp:
    """One photo's person."""

    def __init__(self, colours: Picture, alpha: Alpha, drawn: DrawnBody) -> None:
        """`colours`: the photo, with the person's colours continued across their edge; `alpha`: its matte; `drawn`: the
        body in the photo's pose."""
        self._colours, self._drawn = colours, drawn
        self._own = alpha * drawn.whole(~_beside_arm(drawn), True)
        self._atlas = _whole_atlas(
            colours, alpha, np.where((self._own > 0.5)[..., None], drawn.iuv, np.uint8(0)), drawn
        )

    def layer(self, drawn: DrawnBody) -> PersonLayer:
        """The person in the pose of a drawing of the same mesh."""
        inside = drawn.inside
        places, seen = drawn.seen_in(self._drawn)
        maps = np.full((*inside.shape, 2), -1, np.float32)
        maps[inside] = places - 0.5
        x, y = maps[..., 0], maps[..., 1]
        sampled = cv2.remap(self._colours, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        own = cv2.remap(self._own, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        known = np.zeros(inside.shape, np.float32)
        known[inside] = seen * (own[inside] > OWN)
        safe = cv2.erode(np.where(inside, known, 1), np.ones((3, 3), np.uint8))
        share = (cv2.blur(safe, (SEAM, SEAM)) * (known > 0))[..., None]
        guessed = np.zeros((*inside.shape, 3), np.uint8)
        guessed[inside] = self._atlas.reshape(-1, 3)[texel_index(drawn.iuv[drawn.box])]
        colours = sampled * share + guessed * (1 - share)
        body = inside.astype(np.float32)
        near = cv2.blur(body, (SEAM, SEAM))[..., None]
        beyond = cv2.blur(colours * body[..., None], (SEAM, SEAM)) / np.maximum(near, 1e-3)
        continued = np.where(inside[..., None], colours, beyond).astype(np.float32)
        return PersonLayer(drawn, continued, np.where(inside, share[..., 0], 1).astype(np.float32))


def _whole_atlas(colours: Picture, alpha: Alpha, seen: Iuv, drawn: DrawnBody) -> Atlas:
    """The atlas of what is `seen`, completed; hands and the back of the head that are not take their usual colours."""
    atlas, valid = complete_atlas(colours, seen)
    body = load_body()
    below = body.joint("eye.L")[2] - body.mean_vertices[:, 2]
    face = np.zeros(len(below), bool)
    face[body.face_vertices] = True
    bare = face & ~(body.eyes | (body.lips >= 0.1) | (body.ears >= 0.1))
    skin = _colour_of(bare & (below > CHEEKS[0]) & (below < CHEEKS[1]), colours, alpha, drawn)
    hair = _colour_of(-below > CROWN, colours, alpha, drawn)
    for part in HANDS:
        if skin is not None and not valid[part - 1].any():
            atlas[part - 1] = skin
    for part in HEAD_PARTS:
        if hair is not None:
            atlas[part - 1][_back_of_head(part) & ~valid[part - 1]] = hair
    return atlas


def _beside_arm(drawn: DrawnBody) -> Bool[np.ndarray, "h w"]:
    """Where the box shows a surface right beside an arm in front of it, such as a chest beside crossed arms: the fit is
    not so exact that its colours are its own."""
    radius = max(1, round(DOUBT * drawn.focal * STATURE / float(np.median(drawn.away))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    arms = np.isin(drawn.iuv[drawn.box][..., 0], ARMS)
    nearest = cv2.erode(np.where(arms, drawn.depth, np.float32(1e3)), disc)
    return np.asarray(drawn.inside & ~arms & (drawn.depth - nearest > IN_FRONT))


def _colour_of(
    vertices: Bool[np.ndarray, " vertices"], colours: Picture, alpha: Alpha, drawn: DrawnBody
) -> np.ndarray | None:
    """Median colour of some vertices' surface in the photo; None where it hardly shows it."""
    facing = vertices[load_body().faces].all(1) & (drawn.facing > FACING)
    shown = drawn.inside & facing[drawn.triangle] & (alpha[drawn.box] > 0.9)
    if np.count_nonzero(shown) < LEAST_PIXELS:
        return None
    return np.median(colours[drawn.box][shown], axis=0).round().astype(np.uint8)


@cache
def _back_of_head(part: int) -> Bool[np.ndarray, "200 200"]:
    """Texels of a head part that lie behind the ears, down to the nape."""
    ears = load_body().mean_vertices[load_body().ears > 0.5].mean(0)
    places = rest_body().places.reshape(PART_COUNT, GRID, GRID, 3)[part - 1]  # V is the row
    behind = (places[..., 1] > ears[1] - BEHIND_EARS) & (places[..., 2] > ears[2] - NAPE)
    cell = np.arange(ATLAS_SIZE) * GRID // ATLAS_SIZE
    return np.asarray(behind[::-1][cell[:, None], cell])
