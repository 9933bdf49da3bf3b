"""What each of several photos shows of one person's surface, and the photos joined texel by texel.

A texel comes from the photo that shows it best: the one with most pixels on it. Their number falls with the distance
and with the cosine of the viewing angle, and blurred pixels count less. Exposure and white balance are matched over the
clothes that two photos show, and across the seams between photos colours are mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import cv2
import numpy as np
from jaxtyping import Float

from mcld_anim.body.surface import GRID, rest_body
from mcld_anim.body.texels import texel_index
from mcld_anim.body.uv_tables import chart_islands
from mcld_anim.core.arrays import ATLAS_SIZE, HEAD_PARTS, PART_COUNT, AnySizeIuv, AnySizePicture, Atlas, AtlasMask
from mcld_anim.source.fill import seen_atlas

Texels = Float[np.ndarray, "24 200 200"]
Weights = Float[np.ndarray, "photos 24 200 200"]
Gain = Float[np.ndarray, " 3"]
Gains = Float[np.ndarray, "photos 3"]

SPREAD = 8.0
"""Standard deviation, in texels of 200, of the blur by which pixels are counted: they lie several texels apart."""
CHOICE = 6
"""Exponent of the quality in the mixture of photos: at twice the quality a photo has 98 % of the weight."""
SEAM = 12.0
"""Width, in texels of 200, over which a photo fades in from the edge of what it shows."""
BLUR_WINDOW = 9
"""Width of the low-pass filter of the blur measure, in pixels: Crete et al., "The blur effect", 2007, section 3."""
SHARP = 0.7
"""Share of the sharpest photo's measure from which another is as sharp: the measure depends on what is shown, too."""
LEAST_SHARED = 400
"""Pixels of a photo that other photos show too, from which its sharpness is compared with theirs."""
FACE_DEPTH = 0.5
"""Extent of the face in U from the seam of the head's parts, as in `source.tiny_face`."""
FACE_LEAD = 50.0
"""Factor on the quality of the face in the photo that shows it best: two expressions are not mixed."""
GARMENTS = ((1, 2), (15, 17), (16, 18), (19, 21), (20, 22), (7, 9), (8, 10), (11, 13), (12, 14), (5,), (6,))
"""DensePose parts that have one garment, with their front and back: torso, upper and lower arms, upper and lower legs,
feet. The head differs between its sides, and hands are small."""
LEAST_TEXELS = 200
"""Texels of a garment from which its colour counts."""
GOOD_PART = 0.3
"""Share of what one photo shows of a garment from which the texels that another shows too stand for it."""
DARK = 4.0
"""Levels added to colours before their logarithm: dark ones are noise."""
MOST_GAIN = 0.7
"""Largest change of exposure, as a natural logarithm: a factor of two."""
MOST_TINT = 0.2
"""Largest change of a channel against the others, as a natural logarithm."""
SURE = 20.0
"""Sum of weights, each the root of a garment's texels, at which half of a measured difference is believed."""


@dataclass(frozen=True, eq=False)
class SurfaceView:
    """What one photo shows of its person's surface."""

    atlas: Atlas  # 0 where nothing is seen
    valid: AtlasMask
    density: Texels  # pixels of the photo per square centimetre of skin, 0 where not valid
    sharpness: float = 1.0  # 0 (all blur) .. 1 (as sharp as the sharpest of the photos), see `sharpness`

    @classmethod
    def of(cls, picture: AnySizePicture, iuv: AnySizeIuv) -> SurfaceView:
        """From a photo and its IUV, of the same size."""
        atlas, valid = seen_atlas(picture, iuv)
        pixels = np.bincount(texel_index(iuv), minlength=valid.size).reshape(valid.shape).astype(np.float32)
        density = np.zeros(valid.shape, np.float32)
        for part in np.flatnonzero(valid.any((1, 2))):
            density[part] = cv2.GaussianBlur(pixels[part], (0, 0), SPREAD) / _texel_areas()[part]
        return cls(atlas, valid, density * valid)

    @property
    def quality(self) -> Texels:
        """How well each texel is shown."""
        return self.density * np.float32(self.sharpness**2)

    @property
    def face_pixels(self) -> float:
        """How large the photo shows the face, in pixels of the same sharpness: the geometric mean of both halves, which
        is largest from the front."""
        seen = self.quality * _texel_areas() * face_texels()
        return float(np.sqrt(np.prod([seen[part - 1].sum() + 1 for part in HEAD_PARTS])))

    @property
    def shown(self) -> float:
        """Share of the body's surface that the photo shows, 0..1."""
        areas = _texel_areas() * chart_islands()
        return float((areas * self.valid).sum() / areas.sum())


@dataclass(frozen=True, eq=False)
class JoinedSurface:
    """Several photos of one person as one surface."""

    weights: Weights  # of each photo at each texel; their sum is 1 where one of them shows it, else 0
    gains: Gains  # factors on the R, G and B of each photo that give it the first one's exposure and white balance
    face: int  # the photo that shows the face best

    @classmethod
    def of(cls, views: Sequence[SurfaceView]) -> JoinedSurface:
        """From what the photos show, the first being the one that the others are matched to."""
        sizes = [view.face_pixels for view in views]
        face = int(np.argmax(sizes))
        return cls(_weights(views, face), matched_gains(views), face)

    def mixed(self, atlases: Sequence[Atlas], valid: Sequence[AtlasMask]) -> tuple[Atlas, AtlasMask]:
        """One atlas of those of the photos, and which of its texels hold a colour."""
        # A texel that an atlas has beyond the photo's own ones keeps a weight, however small
        weights = np.stack([(part + 1e-6) * known for part, known in zip(self.weights, valid, strict=True)])
        total = weights.sum(0)
        colours = np.zeros((*total.shape, 3), np.float32)
        for weight, atlas, gain in zip(weights, atlases, self.gains, strict=True):
            colours += weight[..., None] * (atlas * gain.astype(np.float32)).clip(0, 255)
        known = total > 0
        colours /= np.where(known, total, 1)[..., None]
        return np.rint(colours).astype(np.uint8), known


def surface_views(photos: Sequence[tuple[AnySizePicture, AnySizeIuv]]) -> list[SurfaceView]:
    """What several photos with their IUV show of one person, each as sharp as it is where others show it too.

    Sharpness is measured at the scale of the coarsest photo: a near one shows smooth skin over more pixels.
    """
    views = [SurfaceView.of(*photo) for photo in photos]
    masks, scales = [], []
    for number, (_, iuv) in enumerate(photos):
        shared = np.any([other.valid for place, other in enumerate(views) if place != number], 0)
        mask = iuv[..., 0] > 0
        mask[mask] = shared.ravel()[texel_index(iuv)]
        if np.count_nonzero(mask) < LEAST_SHARED:
            return views
        masks.append(mask.astype(np.float32))
        scales.append(float(np.median(views[number].density[shared & views[number].valid])))
    found = []
    for (picture, _), shown, density in zip(photos, masks, scales, strict=True):
        factor = min(1.0, float(np.sqrt(min(scales) / density)))
        small = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        there = cv2.resize(shown, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        found.append(sharpness(small, there > 0.5))
    least = SHARP * max(found)
    return [replace(view, sharpness=min(1.0, one / least)) for view, one in zip(views, found, strict=True)]


def with_gain(picture: AnySizePicture, gain: Gain) -> AnySizePicture:
    """A picture with each channel multiplied by its factor."""
    return np.rint(picture * gain.astype(np.float32)).clip(0, 255).astype(np.uint8)


def sharpness(picture: AnySizePicture, mask: np.ndarray) -> float:
    """1 minus the blur of a picture inside a mask (H, W) bool, as Crete et al. measure it (equations 1 to 7).

    It compares the differences of neighbouring pixels with those after a low-pass filter: a sharp picture loses most.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    worst = 1.0
    for axis, size in ((1, (BLUR_WINDOW, 1)), (0, (1, BLUR_WINDOW))):
        before, after = (np.abs(np.diff(one, axis=axis)) for one in (grey, cv2.blur(grey, size)))
        inside = mask[:, 1:] & mask[:, :-1] if axis else mask[1:] & mask[:-1]
        varied = float(before[inside].sum())
        lost = float(np.maximum(0, before - after)[inside].sum())
        worst = min(worst, lost / varied if varied > 0 else 1.0)
    return worst


def matched_gains(views: Sequence[SurfaceView]) -> Gains:
    """Factors on R, G and B that give every photo the exposure and white balance of the first.

    The logarithms x of the factors minimise sum n_ij (x_i - x_j + d_ij)^2 + N sum x_i^2 with x_0 = 0, where d_ij is the
    difference of the photos' logarithms over the garments that both show, n_ij the sum of their weights, N = `SURE`.
    """
    count = len(views)
    system, right = np.eye(count) * SURE, np.zeros((count, 3))
    for first in range(count):
        for second in range(first):
            colours, others, weights = compared_colours(views[first], views[second])
            if not len(weights):
                continue
            shared, difference = float(weights.sum()), usual_change(colours, others, weights)
            system[[first, second], [first, second]] += shared
            system[[first, second], [second, first]] -= shared
            right[first] -= shared * difference
            right[second] += shared * difference
    logs = np.zeros((count, 3))
    if count > 1:
        logs[1:] = np.linalg.solve(system[1:, 1:], right[1:])
    exposure = logs.mean(1, keepdims=True)
    tint = (logs - exposure).clip(-MOST_TINT, MOST_TINT)
    return np.exp(exposure.clip(-MOST_GAIN, MOST_GAIN) + tint)


def compared_colours(
    one: SurfaceView, other: SurfaceView
) -> tuple[Float[np.ndarray, "garments 3"], Float[np.ndarray, "garments 3"], Float[np.ndarray, " garments"]]:
    """Mean colours, in two photos, of the garments that both show, and their weights.

    Over the texels that both show if these are a good part of the garment, else over all that each shows of it.
    """
    found = []
    for garment in GARMENTS:
        parts = np.array(garment) - 1
        first, second = one.valid[parts], other.valid[parts]
        least = min(np.count_nonzero(first), np.count_nonzero(second))
        if least < LEAST_TEXELS:
            continue
        both = first & second
        if np.count_nonzero(both) >= GOOD_PART * least:
            first = second = both
        means = (view.atlas[parts][seen].mean(0) for view, seen in ((one, first), (other, second)))
        found.append((*means, np.sqrt(least)))
    colours, others, weights = zip(*found, strict=True) if found else ([], [], [])
    return np.reshape(colours, (-1, 3)), np.reshape(others, (-1, 3)), np.array(weights, np.float64)


def usual_change(
    colours: Float[np.ndarray, "garments 3"],
    others: Float[np.ndarray, "garments 3"],
    weights: Float[np.ndarray, " garments"],
) -> Float[np.ndarray, " 3"]:
    """By which natural logarithms the garments' colours differ, in R, G and B: weighted medians of exposure, the
    mean of the channels, and of each channel's tint, its difference from that."""
    changes = np.log((colours + DARK) / (others + DARK))
    exposures = changes.mean(1)
    bright = weights * np.minimum(colours, others).mean(1)
    tints = [_weighted_median(tint, bright) for tint in (changes - exposures[:, None]).T]
    return _weighted_median(exposures, weights) + np.array(tints)


def _weighted_median(values: Float[np.ndarray, " garments"], weights: Float[np.ndarray, " garments"]) -> float:
    order = np.argsort(values)
    reached = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(reached, reached[-1] / 2)])


def _weights(views: Sequence[SurfaceView], face: int) -> Weights:
    """The weights of `JoinedSurface`."""
    quality = np.stack([view.quality for view in views])
    quality[face] *= 1 + (FACE_LEAD - 1) * face_texels()
    best = quality.max(0)
    share = np.stack([(one / np.where(best > 0, best, 1)) ** CHOICE for one in quality])
    for number, view in enumerate(views):
        for part in np.flatnonzero(view.valid.any((1, 2))):
            inside = cv2.distanceTransform(view.valid[part].astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
            share[number, part] *= (inside / SEAM).clip(1e-3, 1)
    total = share.sum(0)
    return share / np.where(total > 0, total, 1)


@cache
def face_texels() -> Texels:
    """1 on the front of the head, fading to 0 beside it."""
    u = np.arange(ATLAS_SIZE, dtype=np.float32) / (ATLAS_SIZE - 1)
    right, left = HEAD_PARTS
    face = np.zeros((PART_COUNT, ATLAS_SIZE, ATLAS_SIZE), np.float32)
    edge = SEAM / ATLAS_SIZE
    face[right - 1] = ((u - (1 - FACE_DEPTH)) / edge + 0.5).clip(0, 1)
    face[left - 1] = ((FACE_DEPTH - u) / edge + 0.5).clip(0, 1)
    return face


@cache
def _texel_areas() -> Texels:
    """Skin of the mean body on each texel, in square centimetres."""
    places = rest_body().places.reshape(PART_COUNT, GRID, GRID, 3) * 100
    down, across = np.gradient(places, axis=1), np.gradient(places, axis=2)
    areas = np.linalg.norm(np.cross(down, across), axis=-1) * (GRID / ATLAS_SIZE) ** 2
    areas = np.maximum(areas, np.median(areas, axis=(1, 2), keepdims=True) / 10)  # charts have folds at their edges
    return np.stack([cv2.resize(part[::-1], (ATLAS_SIZE, ATLAS_SIZE)) for part in areas.astype(np.float32)])
