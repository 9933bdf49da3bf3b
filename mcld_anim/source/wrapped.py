"""Hair and cloth around the back of a head and torso that a photo shows from the front.

The surface is unrolled onto a label, a column per angle around the vertical axis and a row per height, or on a head per
angle from the crown. Two things go around: the usual colour of each height, and the texture of what is seen (strands,
folds), made anew from patches of it, so that neither a face nor a badge nor a tie comes again on the other side.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from mcld_anim.body.surface import GRID, rest_body
from mcld_anim.core.arrays import ATLAS_SIZE, PART_COUNT, Atlas, AtlasMask
from mcld_anim.core.cielab import alike
from mcld_anim.core.push_pull import push_pull
from mcld_anim.source.patch_texture import made_anew, standing_out

COLUMNS, ROWS = 240, 120
"""Size of the unrolled surface: columns of 1.5 degrees."""
GAP = 5
"""Width of the gaps between texels, in pixels of the label, that are closed."""
HEIGHTS, LEAST_COLOURS = 6, 60
"""Rows above and below whose colours tell the usual one of a height, and pixels from which they do; others have that of
their neighbours."""
BRIGHTNESS = (0.75, 1.1)
"""Range of the brightness of a given colour at each height, as a factor on it."""
LEAST_BESIDE = 0.1
"""Least distance from the middle of the front, in quarter turns, for the weight of a colour."""


@dataclass(frozen=True)
class Material:
    """What goes around, and how it is told from the rest."""

    same: tuple[float, float, float]  # differences of L*, a* and b* from the usual colour up to which it is that
    coarse: float  # standard deviation, in pixels of the label, of the blur from which its texture stands out
    deepest: float  # share of the usual brightness by which it does at most: more is a print or an edge
    on_head: bool


HAIR = Material((28.0, 14.0, 18.0), 16.0, 0.5, on_head=True)
CLOTH = Material((22.0, 10.0, 10.0), 12.0, 0.06, on_head=False)


def wrapped(
    parts: tuple[int, ...],
    atlas: Atlas,
    source: AtlasMask,
    material: Material,
    colour: UInt8[np.ndarray, " 3"] | None = None,
) -> UInt8[np.ndarray, "parts 200 200 3"] | None:
    """The texels of charts all around, from those in `source`; None if these are too few.

    colour: the usual one at all heights; None: it is found for each height.
    """
    place = _places(parts, material.on_head)
    charts = [part - 1 for part in parts]
    used = source[charts].ravel()
    label, seen = _mean(atlas[charts].reshape(-1, 3)[used], place[used])
    base = _usual(label, seen) if colour is None else _lit(label, seen, material, colour)
    same = seen & alike(label, base, material.same)
    same = cv2.erode(same.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    most = material.deepest * float(base.mean())
    texture = made_anew(standing_out(label.mean(-1), same, material.coarse).clip(-most, most), same)
    if texture is None:
        return None
    whole = _levels(base + texture[..., None])
    return whole.reshape(-1, 3)[place].reshape(len(parts), ATLAS_SIZE, ATLAS_SIZE, 3)


def _lit(
    label: Float[np.ndarray, "rows columns 3"],
    seen: Bool[np.ndarray, "rows columns"],
    material: Material,
    colour: UInt8[np.ndarray, " 3"],
) -> Float[np.ndarray, "rows 1 3"]:
    """A colour as bright as it is at each height: light comes from above."""
    usual = _usual(label, seen & alike(label, colour, material.same))
    brighter = usual.mean(-1, keepdims=True) / max(float(colour.mean()), 1.0)
    return colour * brighter.clip(*BRIGHTNESS)


def _mean(
    colours: UInt8[np.ndarray, "texels 3"], place: Int[np.ndarray, " texels"]
) -> tuple[Float[np.ndarray, "rows columns 3"], Bool[np.ndarray, "rows columns"]]:
    """The label, and which of its pixels texels lie in, or between."""
    count = np.bincount(place, minlength=ROWS * COLUMNS)
    sums = np.stack([np.bincount(place, weights=channel, minlength=len(count)) for channel in colours.T], -1)
    label = (sums / np.maximum(count, 1)[:, None]).astype(np.float32).reshape(ROWS, COLUMNS, 3)
    hit = (count > 0).reshape(ROWS, COLUMNS).astype(np.uint8)
    seen = cv2.morphologyEx(hit, cv2.MORPH_CLOSE, np.ones((GAP, GAP), np.uint8)) > 0
    return push_pull(label, hit.astype(np.float32)), seen


def _usual(
    label: Float[np.ndarray, "rows columns 3"], seen: Bool[np.ndarray, "rows columns"]
) -> Float[np.ndarray, "rows 1 3"]:
    """The usual colour of each height: the weighted median of those around it.

    The further to the side, the more a colour counts: ties, zips and what an open jacket shows are in the middle.
    """
    beside = np.abs(np.arange(COLUMNS) + 0.5 - COLUMNS / 2) / (COLUMNS / 4)
    weight = np.where(seen, beside.clip(LEAST_BESIDE, 1) ** 2, 0.0)
    known, medians = [], []
    for row in range(ROWS):
        window = slice(max(0, row - HEIGHTS), row + HEIGHTS + 1)
        there = seen[window]
        if seen[row].any() and np.count_nonzero(there) >= LEAST_COLOURS:
            known.append(row)
            medians.append(_weighted_median(label[window][there], weight[window][there]))
    if not known:
        return np.zeros((ROWS, 1, 3), np.float32)
    rows = np.stack([np.interp(np.arange(ROWS), known, channel) for channel in np.stack(medians, 1)], -1)
    return cv2.GaussianBlur(rows[:, None].astype(np.float32), (1, 0), 0, sigmaY=2.0).reshape(ROWS, 1, 3)


def _weighted_median(values: Float[np.ndarray, "n 3"], weight: Float[np.ndarray, " n"]) -> Float[np.ndarray, " 3"]:
    """Of each channel."""
    order = np.argsort(values, axis=0)
    share = np.cumsum(weight[order], axis=0) / weight.sum()
    middle = (share < 0.5).sum(0)
    return np.take_along_axis(np.take_along_axis(values, order, 0), middle[None], 0)[0]


def _levels(colours: np.ndarray) -> UInt8[np.ndarray, "rows columns 3"]:
    return np.rint(colours).clip(0, 255).astype(np.uint8)


@cache
def _places(parts: tuple[int, ...], on_head: bool) -> Int[np.ndarray, " texels"]:
    """The pixel of the label, as a flat index, of each texel of these charts; the front is in the middle."""
    cells = rest_body().places.reshape(PART_COUNT, GRID, GRID, 3)[[part - 1 for part in parts]].astype(np.float32)
    texels = np.stack([cv2.resize(one[::-1], (ATLAS_SIZE, ATLAS_SIZE)) for one in cells]).reshape(-1, 3)
    low, high = texels.min(0), texels.max(0)
    x, y, z = (texels - (low + high) / 2).T
    angle = np.arctan2(x, -y)  # the body looks along -y
    down = np.arctan2(np.hypot(x, y), z) / np.pi if on_head else (high[2] - texels[:, 2]) / (high[2] - low[2])
    column, row = ((angle / (2 * np.pi) + 0.5) * COLUMNS).astype(int), (down * ROWS).astype(int)
    return row.clip(0, ROWS - 1) * COLUMNS + column.clip(0, COLUMNS - 1)
