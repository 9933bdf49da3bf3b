"""The matte of a frame: the opacity of the person in each pixel, hair and loose clothes included.

The IUV covers the body without clothes. It seeds GrabCut (Rother et al. 2004): pixels deep inside are person, pixels
far outside are background, and those between start as person where their colour differs from the background's. At the
edge, the alpha of a pixel C between person F and background B follows from C = alpha F + (1 - alpha) B.
"""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import UInt8

from mcld_anim.body.clip import ClipFrame
from mcld_anim.body.correspondence import carried, surface_motion
from mcld_anim.core.arrays import Alpha, Iuv, Mask, Picture
from mcld_anim.core.push_pull import push_pull

# Lengths are fractions of the longer side of the person's box.
CORE = 0.005  # distance inside the IUV's edge from which a pixel is certainly person: the frame follows the IUV
HAIR_REACH = 0.10  # distance outside the IUV's edge at which hair and skirts end
SURROUNDINGS = 0.12  # width of the band beyond, from which the background's colours are learnt
FEATHER = 0.008  # half the width of the soft edge
LOOSE_PART = 0.02  # least area of a patch without a core that is kept, as a fraction of the person's area

DIFFERENT = 22.0
"""Difference from the continued background, in grey levels (mean over R, G, B), from which a pixel starts as person."""
ITERATIONS = 3
CERTAIN = 0.9
"""Alpha from which a pixel's colour is the person's own."""
EDGE_STIFFNESS = 300.0
"""Squared colour distance, in grey levels squared, below which GrabCut's decision outweighs the pixel's own colour."""

SURE, UNLIKELY = 204, 89
"""Levels of an estimator's matte, 0..255, from which a pixel of a photo is certainly and possibly person."""
# Fractions of the whole person's height.
ROUGH = 0.008  # width of the band on both sides of the rough outline in which GrabCut decides
RAGGED = 0.002  # radius of specks and notches that are smoothed away
PHOTO_FEATHER = 0.0025  # half the width of the soft edge in a photo

COLOUR_CHANGE = 30.0
"""Colour change, in grey levels (mean of 3x3 pixels), from which the previous matte does not apply to a pixel."""


def person_alpha(picture: Picture, iuv: Iuv, before: Alpha | None = None) -> Alpha:
    """The matte of one frame; `picture` and `iuv` (H, W, 3) uint8 of one size.

    `before`: the previous matte, moved along with the surface, NaN where it is unreliable.
    """
    body = iuv[..., 0] > 0
    alpha = np.zeros(body.shape, np.float32)
    if not body.any():
        return alpha
    side, window = _window(body)
    previous = np.full(body.shape, np.nan, np.float32) if before is None else before
    alpha[window] = _alpha_inside(np.ascontiguousarray(picture[window]), body[window], previous[window], side)
    return alpha


def photo_alpha(picture: Picture, matte: UInt8[np.ndarray, "height width"], height: float) -> Alpha:
    """The matte of a photo from an estimator's rough one, both (H, W), uint8: GrabCut decides near its outline only.

    height: of the whole person, in pixels, also where the photo shows a part of them.
    """
    sure = cv2.erode((matte > SURE).astype(np.uint8), _disc(ROUGH * height)).astype(bool)
    reach = cv2.dilate((matte > UNLIKELY).astype(np.uint8), _disc(ROUGH * height)).astype(bool)
    if reach.all() or not sure.any():
        return np.asarray(matte / np.float32(255), np.float32)
    marks = np.where(matte > 127, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[sure], marks[~reach] = cv2.GC_FGD, cv2.GC_BGD
    person = _attached(_grab_cut(picture, marks), sure).astype(np.uint8)
    disc = _disc(RAGGED * height)
    smooth = cv2.morphologyEx(cv2.morphologyEx(person, cv2.MORPH_OPEN, disc), cv2.MORPH_CLOSE, disc) > 0
    return _soften(picture, smooth, sure, max(1.5, PHOTO_FEATHER * height))


def foreground(picture: Picture, alpha: Alpha) -> Picture:
    """The person's own colours, continued from inside at the edge, where pixels are mixed."""
    certain = (alpha >= CERTAIN).astype(np.float32)
    if not certain.any():
        return picture
    inner = push_pull(picture.astype(np.float32), certain)
    return np.rint(np.where(alpha[..., None] >= CERTAIN, picture, inner)).clip(0, 255).astype(np.uint8)


def composite(picture: Picture, alpha: Alpha, behind: Picture) -> Picture:
    """alpha F + (1 - alpha) B, uint8."""
    share = alpha[..., None]
    return np.rint(foreground(picture, alpha) * share + behind * (1 - share)).clip(0, 255).astype(np.uint8)


class SteadyMatte:
    """Mattes of consecutive frames.

    Where GrabCut now disagrees with the previous matte, the colour decides, so patches do not flicker. The edge itself
    is found anew in every frame and stays sharp. Only the frame before is read, so batches do not matter.
    """

    def __init__(self) -> None:
        self._before: tuple[Picture, Alpha] | None = None

    def carried(self) -> dict[str, np.ndarray]:
        """What the next frame needs of the last one: its picture and its matte."""
        return {} if self._before is None else dict(zip(("picture", "alpha"), self._before, strict=True))

    def carry(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from what another instance has `carried`."""
        if arrays:
            self._before = arrays["picture"], arrays["alpha"]

    def add(self, frame: ClipFrame) -> Alpha:
        """The matte of the next frame, which shows a picture; the first frame after a cut starts anew."""
        assert frame.picture is not None
        picture, previous = frame.picture, None
        body = frame.iuv[..., 0] > 0
        if frame.link is not None and self._before is not None and body.any():
            earlier, alpha = self._before
            side, _ = _window(body)
            motion, weight = surface_motion(frame.link.correspondence, HAIR_REACH * side)
            change = np.abs(cv2.blur(carried(earlier, motion).astype(np.float32) - picture, (3, 3))).mean(-1)
            previous = np.where((weight > 0) & (change < COLOUR_CHANGE), carried(alpha, motion), np.nan)
        made = person_alpha(picture, frame.iuv, previous)
        self._before = picture, made
        return made


def _alpha_inside(picture: Picture, body: np.ndarray, before: np.ndarray, side: float) -> Alpha:
    """The matte of a window around the person, whose box's longer side is `side` pixels."""
    core = cv2.erode(body.astype(np.uint8), _disc(CORE * side)).astype(bool)
    core = core if core.any() else body
    reach = cv2.dilate(body.astype(np.uint8), _disc(HAIR_REACH * side)).astype(bool)
    if reach.all():  # no background pixels to learn from
        return body.astype(np.float32)
    behind = push_pull(picture.astype(np.float32), (~reach).astype(np.float32))
    differs = np.abs(cv2.blur(picture - behind, (3, 3))).mean(-1) > DIFFERENT
    marks = np.where(body | (reach & differs), cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[core], marks[~reach] = cv2.GC_FGD, cv2.GC_BGD
    person = _grab_cut(picture, marks)
    disputed = np.isfinite(before) & (person != (before > 0.5)) & reach & ~core
    person = _attached(np.where(disputed, differs, person), core)
    return _soften(picture, person, core, max(1.0, FEATHER * side))


def _grab_cut(picture: Picture, marks: np.ndarray) -> Mask:
    """The person by GrabCut, from marks (H, W), which change."""
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # GrabCut's clusters are initialised at random
    cv2.grabCut(np.ascontiguousarray(picture), marks, (0, 0, 1, 1), *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    return np.asarray((marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD))


def _soften(picture: Picture, person: np.ndarray, core: np.ndarray, feather: float) -> Alpha:
    """A binary mask as alpha, which at its edge is the colour's position between the person's and the background's."""
    disc = _disc(feather)
    inside = cv2.erode(person.astype(np.uint8), disc).astype(bool) | core
    outside = ~cv2.dilate(person.astype(np.uint8), disc).astype(bool) & ~core
    colours = picture.astype(np.float32)
    front = push_pull(colours, inside.astype(np.float32))
    back = push_pull(colours, outside.astype(np.float32))
    line = front - back
    along, length = ((colours - back) * line).sum(-1), (line**2).sum(-1)
    soft = cv2.GaussianBlur(person.astype(np.float32), (0, 0), feather / 2)
    alpha = (along + EDGE_STIFFNESS * soft) / (length + EDGE_STIFFNESS)
    alpha[inside], alpha[outside] = 1, 0
    return np.asarray(alpha.clip(0, 1), np.float32)


def _attached(person: np.ndarray, core: np.ndarray) -> np.ndarray:
    """The patches of a mask that contain core pixels or are large, with small holes closed."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(person.astype(np.uint8), connectivity=8)
    least = LOOSE_PART * core.sum()
    large = 1 + np.flatnonzero(statistics[1:, cv2.CC_STAT_AREA] >= least) if count > 1 else np.empty(0, int)
    kept = np.isin(labels, np.union1d(np.setdiff1d(np.unique(labels[core]), 0), large)) | core
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((~kept).astype(np.uint8), connectivity=4)
    specks = 1 + np.flatnonzero(statistics[1:, cv2.CC_STAT_AREA] < least / 8) if count > 1 else np.empty(0, int)
    return kept | np.isin(labels, specks)


def _window(body: np.ndarray) -> tuple[float, tuple[slice, slice]]:
    """The longer side of the person's box in pixels, and the window that the matte is computed in."""
    rows, columns = np.flatnonzero(body.any(1)), np.flatnonzero(body.any(0))
    side = float(max(np.ptp(rows), np.ptp(columns)) + 1)
    space = round((HAIR_REACH + SURROUNDINGS) * side) + 2
    top, left = max(0, rows[0] - space), max(0, columns[0] - space)
    return side, (slice(top, rows[-1] + space + 1), slice(left, columns[-1] + space + 1))


def _disc(radius: float) -> np.ndarray:
    """A disc for dilation and erosion, with a radius of at least one pixel."""
    side = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
