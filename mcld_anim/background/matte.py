"""The matte of a frame: how much of each pixel is the person, hair and loose clothes included.

The IUV covers the naked body. It seeds GrabCut (Rother et al. 2004): deep inside is the person, far outside is not,
and what lies in between counts as the person at first where its colour is not the background's. At the edge the
share alpha of a pixel C between person F and background B follows from C = alpha F + (1 - alpha) B.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mcld_anim.body.correspondence import carried, surface_motion
from mcld_anim.core.arrays import Alpha, Iuv, Picture
from mcld_anim.core.push_pull import push_pull

# Lengths below are shares of the person's larger side.
CORE = 0.005  # inside the IUV's edge by this: the person for certain; the frame was made to follow the IUV
REACH = 0.10  # outside the IUV's edge by this: hair and skirts end
SURROUNDINGS = 0.12  # beyond that, looked at to learn the background's colours
FEATHER = 0.008  # half the width of the edge in which pixels are shared
LOOSE_PART = 0.02  # of the person's area: a patch of person without core inside is kept if it is as large

DIFFERENT = 22.0
"""Grey levels, mean over R, G, B, by which a pixel must differ from the continued background to start as person."""
ITERATIONS = 3
CERTAIN = 0.9
"""Alpha from which a pixel's colour is taken for the person's own."""
EDGE_STIFFNESS = 300.0
"""Grey levels squared: where person and background differ by less, GrabCut's yes or no counts more than C."""

COLOUR_CHANGE = 30.0
"""Grey levels, mean of 3x3 pixels, from which a pixel shows something else than it did: the frame before is no
witness."""


def person_alpha(picture: Picture, iuv: Iuv, before: Alpha | None = None) -> Alpha:
    """The matte of one frame; `picture` and `iuv` (H, W, 3) uint8 of one size.

    `before`: the matte of the frame before, moved along to where its surfaces are now, NaN where it is no witness.
    """
    body = iuv[..., 0] > 0
    alpha = np.zeros(body.shape, np.float32)
    if not body.any():
        return alpha
    side, window = _window(body)
    witness = np.full(body.shape, np.nan, np.float32) if before is None else before
    alpha[window] = _alpha_inside(np.ascontiguousarray(picture[window]), body[window], witness[window], side)
    return alpha


def foreground(picture: Picture, alpha: Alpha) -> Picture:
    """The person's own colours: at the edge, where pixels are mixed, continued from inside."""
    certain = (alpha >= CERTAIN).astype(np.float32)
    if not certain.any():
        return picture
    inner = push_pull(picture.astype(np.float32), certain)
    return np.rint(np.where(alpha[..., None] >= CERTAIN, picture, inner)).clip(0, 255).astype(np.uint8)


def composite(picture: Picture, alpha: Alpha, behind: Picture) -> Picture:
    """alpha F + (1 - alpha) B, uint8."""
    share = alpha[..., None]
    return np.rint(foreground(picture, alpha) * share + behind * (1 - share)).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class MatteState:
    """What the matte of the next frame looks back at."""

    picture: Picture
    iuv: Iuv
    alpha: Alpha


class SteadyMatte:
    """Mattes of consecutive frames: what GrabCut says now and what it said before must agree, or the colour decides.

    So patches do not come and go, while the edge itself is found anew in every frame and stays sharp. Looks one frame
    back and nowhere else, so that batches do not matter.
    """

    def __init__(self, state: MatteState | None = None) -> None:
        self.state = state

    def add(self, picture: Picture, iuv: Iuv, cut: bool = False) -> Alpha:
        """The matte of the next frame; after a cut the frame before is no witness."""
        before, witness = None if cut else self.state, None
        body = iuv[..., 0] > 0
        if before is not None and before.alpha.shape == body.shape and body.any():
            side, _ = _window(body)
            motion, weight = surface_motion(iuv, before.iuv, REACH * side)
            change = np.abs(cv2.blur(carried(before.picture, motion).astype(np.float32) - picture, (3, 3))).mean(-1)
            witness = np.where((weight > 0) & (change < COLOUR_CHANGE), carried(before.alpha, motion), np.nan)
        alpha = person_alpha(picture, iuv, witness)
        self.state = MatteState(picture, iuv, alpha)
        return alpha


def _alpha_inside(picture: Picture, body: np.ndarray, before: np.ndarray, side: float) -> Alpha:
    """The matte of a window around the person whose larger side is `side` pixels."""
    core = cv2.erode(body.astype(np.uint8), _disc(CORE * side)).astype(bool)
    core = core if core.any() else body
    reach = cv2.dilate(body.astype(np.uint8), _disc(REACH * side)).astype(bool)
    if reach.all():  # nothing to learn the background from
        return body.astype(np.float32)
    behind = push_pull(picture.astype(np.float32), (~reach).astype(np.float32))
    differs = np.abs(cv2.blur(picture - behind, (3, 3))).mean(-1) > DIFFERENT
    marks = np.where(body | (reach & differs), cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    marks[core], marks[~reach] = cv2.GC_FGD, cv2.GC_BGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)  # GrabCut's clusters begin at random places
    cv2.grabCut(picture, marks, (0, 0, 1, 1), *models, ITERATIONS, cv2.GC_INIT_WITH_MASK)
    person = (marks == cv2.GC_FGD) | (marks == cv2.GC_PR_FGD)
    disputed = np.isfinite(before) & (person != (before > 0.5)) & reach & ~core
    person = _attached(np.where(disputed, differs, person), core)
    return _soften(picture, person, core, max(1.0, FEATHER * side))


def _soften(picture: Picture, person: np.ndarray, core: np.ndarray, feather: float) -> Alpha:
    """A yes-or-no mask as shares: at its edge, where the colour lies between the person's and the background's."""
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
    """The patches of a mask that hold a part of the core, or are large by themselves; small holes are closed."""
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(person.astype(np.uint8), connectivity=8)
    least = LOOSE_PART * core.sum()
    large = 1 + np.flatnonzero(statistics[1:, cv2.CC_STAT_AREA] >= least) if count > 1 else np.empty(0, int)
    kept = np.isin(labels, np.union1d(np.setdiff1d(np.unique(labels[core]), 0), large)) | core
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((~kept).astype(np.uint8), connectivity=4)
    specks = 1 + np.flatnonzero(statistics[1:, cv2.CC_STAT_AREA] < least / 8) if count > 1 else np.empty(0, int)
    return kept | np.isin(labels, specks)


def _window(body: np.ndarray) -> tuple[float, tuple[slice, slice]]:
    """The person's larger side in pixels, and the window around the person that holds all that is looked at."""
    rows, columns = np.flatnonzero(body.any(1)), np.flatnonzero(body.any(0))
    side = float(max(np.ptp(rows), np.ptp(columns)) + 1)
    space = round((REACH + SURROUNDINGS) * side) + 2
    top, left = max(0, rows[0] - space), max(0, columns[0] - space)
    return side, (slice(top, rows[-1] + space + 1), slice(left, columns[-1] + space + 1))


def _disc(radius: float) -> np.ndarray:
    """A disc for dilation and erosion, at least one pixel in radius."""
    side = 2 * max(1, round(radius)) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)))
