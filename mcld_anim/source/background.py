"""Removing the person from a picture and filling the hole: smoothly for frames, with patches for one photo."""

from __future__ import annotations

import cv2
import numpy as np

from mcld_anim.core.arrays import Iuv, Mask, Picture
from mcld_anim.core.patch_fill import patch_fill
from mcld_anim.core.push_pull import push_pull

MASK_MARGIN = 0.03
"""Margin around the IUV, as a fraction of the box's longer side, for hair and loose clothes."""


def without_person(picture: Picture, iuv: Iuv, margin: float = MASK_MARGIN) -> Picture:
    """`picture` (H, W, 3) uint8 RGB without the person of `iuv` (H, W, 3); pixels away from the person are unchanged.

    The hole is filled by a push-pull pyramid (Gortler et al., "The Lumigraph", SIGGRAPH 1996, section 3.4): known
    pixels are averaged down until no hole is left, and the averages fill the holes on the way up.
    """
    hole = person_mask(iuv, margin)
    if not hole.any():
        return picture.copy()
    known = (~hole).astype(np.float32)
    filled = push_pull(picture.astype(np.float32), known)
    # The fill fades in across the edge of the dilated mask, so that no line shows there.
    blur = max(3, round(max(picture.shape[:2]) / 128) * 2 + 1)
    fade = cv2.GaussianBlur(hole.astype(np.float32), (blur, blur), 0)[..., None]
    fade[hole] = 1.0
    return np.rint(picture + (filled - picture) * fade).clip(0, 255).astype(np.uint8)


def filled_background(picture: Picture, hole: Mask, others: Mask | None = None) -> Picture:
    """`picture` (H, W, 3) uint8 RGB with `hole` (H, W) bool filled; the other pixels are unchanged.

    The filling (`core.patch_fill`) goes on with what is around the hole and takes seconds: for one photo, not for every
    frame. `hole` should be wider than the person (`widened`): rests of the outline would be taken for background.
    `others`, (H, W) bool, are other people: nobody comes again in the hole, unless they reach into it.
    """
    if others is None or not others.any():
        return patch_fill(picture, hole)
    _, labels = cv2.connectedComponents(others.astype(np.uint8))
    apart = others & ~np.isin(labels, np.unique(labels[hole & others]))
    return np.where(hole[..., None], patch_fill(picture, hole | apart), picture)


def person_mask(iuv: Iuv, margin: float = MASK_MARGIN) -> np.ndarray:
    """(H, W) bool: the person, dilated by `margin` of the box's longer side."""
    return widened(iuv[..., 0] > 0, margin)


def widened(mask: Mask, margin: float = MASK_MARGIN) -> Mask:
    """`mask` (H, W) bool dilated by `margin` of its box's longer side, at least 2 pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return mask
    pixels = max(2, round(margin * max(np.ptp(rows), np.ptp(columns))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * pixels + 1, 2 * pixels + 1))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)
