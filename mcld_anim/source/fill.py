"""Completing a body from one photo: every atlas texel gets a colour, visible or filled in from related texels.

People are nearly symmetric, so an unseen texel takes the first available of: the left/right mirrored texel, the texel
on the other side of the limb or torso (front for back), the nearest coloured texel of the part, the mean colour of the
next visible part towards the torso (forearm for hand, upper arm for forearm).
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

from mcld_anim.body.uv_tables import chart_table
from mcld_anim.core.arrays import (
    ATLAS_SIZE,
    MIRROR_PART,
    MIRRORED_U,
    MIRRORED_V,
    PART_COUNT,
    Atlas,
    AtlasMask,
    Iuv,
    Picture,
)
from mcld_anim.core.push_pull import push_pull
from mcld_anim.source.texture import atlas_from_picture

OTHER_SIDE = {1: 2, 7: 9, 8: 10, 11: 13, 12: 14, 15: 17, 16: 18, 19: 21, 20: 22}
OTHER_SIDE |= {front: back for back, front in OTHER_SIDE.items()}
"""Front and back charts of the torso and of each limb."""

TORSO = (1, 2)
"""Its back and its front."""

NEIGHBOUR = {3: 20, 4: 19, 5: 14, 6: 13}
NEIGHBOUR |= {19: 15, 20: 16, 21: 17, 22: 18, 11: 7, 12: 8, 13: 9, 14: 10, 15: 2, 16: 2, 17: 1, 18: 1}
NEIGHBOUR |= {7: 1, 8: 1, 9: 2, 10: 2}
"""The part whose mean colour fills one that is not visible: the next one towards the torso."""

SEEN_REACH = 20.0
"""Distance from a seen texel, in texels of 200, within which its colour is preferred to the mirrored one."""

_UNKNOWN = np.uint8(128)  # colour of a body of which nothing is visible


SILHOUETTE = 1 / 256
"""Width of the silhouette, as a fraction of the picture's longer side; its pixels mix with the background and are not
sampled."""


def complete_atlas(picture: Picture, iuv: Iuv) -> tuple[Atlas, AtlasMask]:
    """The complete atlas of one photo for `pose.condition.warped_source`, and which of its texels the photo shows."""
    atlas, valid = seen_atlas(picture, iuv)
    return fill_atlas(atlas, valid), valid


def seen_atlas(picture: Picture, iuv: Iuv) -> tuple[Atlas, AtlasMask]:
    """The atlas of what one photo shows, and which of its texels hold a colour.

    Unlike the texture's atlas it has no dark seams (the published inpainting bleeds black in from outside the charts),
    and it excludes the mixed colours of the silhouette.
    """
    return atlas_from_picture(picture, _inner(iuv), fill="nearest")


def _inner(iuv: Iuv) -> Iuv:
    """`iuv` without its silhouette, except for parts that would lose most of their pixels, such as fingers."""
    inside = (iuv[..., 0] > 0).astype(np.uint8)
    width = max(1, round(SILHOUETTE * max(inside.shape)))
    inner = cv2.erode(inside, np.ones((2 * width + 1, 2 * width + 1), np.uint8)) > 0
    before = np.bincount(iuv[..., 0].ravel(), minlength=PART_COUNT + 1)
    after = np.bincount(iuv[..., 0][inner], minlength=PART_COUNT + 1)
    thin = after < before / 4
    return np.where((inner | thin[iuv[..., 0]])[..., None], iuv, np.uint8(0))


def fill_atlas(atlas: Atlas, valid: AtlasMask) -> Atlas:
    """(24, 200, 200, 3) uint8 RGB: `atlas` with every texel coloured; texels in `valid` are unchanged."""
    texels, known = atlas.copy(), valid.copy()
    for part in range(1, PART_COUNT + 1):
        mirror = MIRROR_PART[part - 1] - 1
        _borrow(texels[part - 1], known[part - 1], turned(atlas[mirror], part), turned(valid[mirror], part))
    sided, sided_known = texels.copy(), known.copy()
    for part, other in OTHER_SIDE.items():
        fold = _fold(part, other)
        colours, there = sided[other - 1].reshape(-1, 3)[fold], sided_known[other - 1].ravel()[fold]
        _borrow(texels[part - 1], known[part - 1], colours, there)
    for part in range(1, PART_COUNT + 1):
        texels[part - 1] = _filled_part(part, texels, known)
    return texels


def _borrow(texels: np.ndarray, known: np.ndarray, others: np.ndarray, others_known: np.ndarray) -> None:
    """Copy known texels of another chart to where `texels` (200, 200, 3) has none nearby. Works in place."""
    take = others_known & ~known
    if known.any():
        take &= cv2.distanceTransform((~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5) > SEEN_REACH
    texels[take] = others[take]
    known |= take


def _filled_part(part: int, texels: Atlas, known: AtlasMask) -> np.ndarray:
    """All texels (200, 200, 3) of `part`, from its known ones or else from the mean of a related part."""
    own = part - 1
    if known[own].any():
        return _continued(texels[own], known[own])
    while part in NEIGHBOUR:
        part = NEIGHBOUR[part]
        if known[part - 1].any():
            return np.full_like(texels[own], texels[part - 1][known[part - 1]].mean(axis=0))
    return np.full_like(texels[own], texels[known].mean(axis=0) if known.any() else _UNKNOWN)


def folded_torso(valid: AtlasMask) -> AtlasMask:
    """The texels of the torso that `fill_atlas` takes from its other side: neither they nor those mirrored to them are
    in `valid`."""
    folded = np.zeros_like(valid)
    for part in TORSO:
        folded[part - 1] = ~(valid[part - 1] | turned(valid[MIRROR_PART[part - 1] - 1], part))
    return folded


def _continued(texels: np.ndarray, known: np.ndarray) -> np.ndarray:
    smooth = push_pull(texels.astype(np.float32), known.astype(np.float32))
    return np.where(known[..., None], texels, np.rint(smooth).clip(0, 255).astype(np.uint8))


def turned(chart: np.ndarray, part: int) -> np.ndarray:
    """The chart of the part on the other side of the body, (200, 200, ...), as it lies on `part`."""
    if part in MIRRORED_V:
        return chart[::-1]
    return chart[:, ::-1] if part in MIRRORED_U else chart


@cache
def _fold(part: int, other: int) -> np.ndarray:
    """(200, 200) int: for each texel of `part` the flat index of the opposite texel in `other`.

    The two charts share the vertices of their seams. An affine map fitted to these vertices folds the whole chart
    over.
    """
    charts = chart_table()
    points, others = charts.points(part), charts.points(other)
    _, mine, theirs = np.intersect1d(charts.smpl[points], charts.smpl[others], return_indices=True)
    here, there = points[mine], others[theirs]
    ones = np.ones(len(here))
    affine, *_ = np.linalg.lstsq(
        np.stack([charts.u[here], charts.v[here], ones], axis=1),
        np.stack([charts.u[there], charts.v[there]], axis=1),
        rcond=None,
    )
    row, column = np.mgrid[:ATLAS_SIZE, :ATLAS_SIZE] / (ATLAS_SIZE - 1.0)
    u, v = np.moveaxis(np.stack([column, 1 - row, np.ones_like(row)], axis=-1) @ affine, -1, 0)
    to_texel = lambda share: np.rint(share.clip(0, 1) * (ATLAS_SIZE - 1)).astype(np.int64)  # noqa: E731
    return to_texel(1 - v) * ATLAS_SIZE + to_texel(u)
