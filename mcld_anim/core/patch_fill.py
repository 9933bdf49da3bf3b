"""Hole filling with patches of the picture itself, so that texture and structure go on where a blur would end them.

Every patch of the hole shall resemble a known patch: the coherence of Wexler, Shechtman and Irani, "Space-Time
Completion of Video", PAMI 2007, section 3, is raised from coarse to fine by turns. The most similar known patch of each
patch is searched (PatchMatch: Barnes et al., SIGGRAPH 2009, section 3), then all patches that cover a pixel vote for
its colour. Texture features and the start layer by layer follow Newson et al., "Non-Local Patch-Based Image
Inpainting", IPOL 2017; patches may be lighter or darker than their source, as in Darabi et al., "Image Melding",
SIGGRAPH 2012. The coarsest level decides what goes where, so two of them are tried and the more coherent fill is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from jaxtyping import Float32
from numpy.lib.stride_tricks import sliding_window_view

from mcld_anim.core.arrays import Mask, Picture
from mcld_anim.core.patch_match import (
    REACH,
    SIDE,
    TEXTURE_WEIGHT,
    Level,
    Places,
    Planes,
    Rows,
    Values,
    compared,
    described,
    patches_at,
    positions,
    searched,
)
from mcld_anim.core.push_pull import push_pull

Rgb = Float32[np.ndarray, "_height _width 3"]

COARSEST_SIDE = 20
"""Least shorter side of a level, pixels: three patches, so that structure is seen whole."""
FINEST_SIDE = 768
"""Longer side up to which levels are searched, pixels. Larger ones copy what the largest searched one found."""
STARTS, CHOICE = 2, 2
"""How many of the coarsest levels are started from, and the level, from the coarsest, at which the starts compete."""
ROUNDS, LATER_ROUNDS, LAST_ROUNDS = 5, 4, 2
"""Turns of search and vote at each level up to `CHOICE`, at each later one, and at the largest searched one."""
RADIUS, LATER_RADIUS = 64, 16
"""Largest random step of the search at the same levels, pixels."""
MOST_BIAS = 10.0
"""Most that a vote is lightened or darkened to meet the mean colour of its target, grey levels: seams fade."""
INWARDS = 1.3
"""A vote weighs this much less per pixel of distance from the known part: Wexler et al., section 3.2."""
SHARPNESS, LAST_REACH = 8.0, 1
"""How much narrower the weights of the last votes are, and their patches' reach: the best win, no blur is left."""
MOST_PAIRS = 50_000_000
"""Most comparisons at a first level, 0.2 GB. A strip too thin to show on it asks for more: the fill is smooth."""


@dataclass(frozen=True, eq=False)
class _Match:
    """The source of every target, what its vote adds to the colours, how much it weighs, and the mean cost."""

    source: Places
    bias: Rows
    weight: Values
    cost: float


def patch_fill(picture: Picture, hole: Mask) -> Picture:
    """`picture` with the pixels of `hole` made from patches of the others, which stay as they are.

    Equal arguments give equal pictures. Where too little is known for patches, the fill is that of `push_pull`.
    """
    levels = _pyramid(picture, hole)
    if _is_start(levels[0]):
        filled = _filled(levels)
    else:
        filled = push_pull(picture.astype(np.float32), (~hole).astype(np.float32))
    return np.where(hole[..., None], np.rint(filled).clip(0, 255).astype(np.uint8), picture)


def _filled(levels: list[Level]) -> Rgb:
    """The colours of the last and largest level."""
    last = max(k for k, level in enumerate(levels) if k == 0 or max(level.hole.shape) <= FINEST_SIDE)
    choice = min(CHOICE, last)
    tried = []
    for start in range(min(STARTS, choice + 1)):
        if _is_start(levels[start]):
            planes, match = _improved(levels[start], _peeled(levels[start]), None, start == last)
            for k in range(start + 1, choice + 1):
                match = _enlarged(match, levels[k - 1], levels[k])
                planes, match = _improved(levels[k], _voted(levels[k], match), match, k == last)
            tried.append((planes, match))
    planes, match = min(tried, key=lambda one: one[1].cost)
    for k in range(choice + 1, len(levels)):
        match = _enlarged(match, levels[k - 1], levels[k])
        planes = _voted(levels[k], match, REACH if k <= last else LAST_REACH)
        if k <= last:
            planes, match = _improved(levels[k], planes, match, k == last, later=True)
    return planes[..., :3]


def _is_start(level: Level) -> bool:
    """Whether all pairs of patches can be compared."""
    return 0 < len(level.sources) * len(level.targets) <= MOST_PAIRS


def _pyramid(picture: Picture, hole: Mask) -> list[Level]:
    """The levels, coarsest first; colours of the hole never mix with the others."""
    known = (~hole).astype(np.float32)
    colours = picture.astype(np.float32)
    grey, planes = colours.mean(-1), [*np.moveaxis(colours, -1, 0)]
    window = (max(hole.shape) // 16 | 1,) * 2
    for axis in (0, 1):
        pair = known * np.roll(known, -1, axis)
        gradient = np.abs(np.diff(grey, axis=axis, append=np.take(grey, [-1], axis))) * pair
        planes.append(cv2.blur(gradient, window) / np.maximum(cv2.blur(pair, window), 1e-3))
    levels = [Level(np.dstack(planes), hole)]
    while len(levels[0].sources) and min(levels[0].hole.shape) >= 2 * COARSEST_SIDE:
        level = _halved(levels[0])
        if not len(level.sources) or not level.hole.any():
            break
        levels.insert(0, level)
    return levels


def _halved(level: Level) -> Level:
    """Half the size, odd sides rounded up; a pixel is known if half of it is."""
    (height, width), odd = level.hole.shape, [(0, side % 2) for side in level.hole.shape]
    size = ((width + 1) // 2, (height + 1) // 2)
    known = np.pad((~level.hole).astype(np.float32), odd, "edge")
    share = cv2.resize(known, size, interpolation=cv2.INTER_AREA)
    sums = [
        cv2.resize(np.pad(plane, odd, "edge") * known, size, interpolation=cv2.INTER_AREA)
        for plane in np.moveaxis(level.planes, -1, 0)
    ]
    return Level(np.dstack(sums) / np.maximum(share, 1e-3)[..., None], share < 0.5)


def _peeled(level: Level) -> Planes:
    """A level filled layer by layer, each pixel from the patch that agrees best with what is known by then."""
    planes, known = level.planes * ~level.hole[..., None], ~level.hole
    weights = np.repeat(np.array([1, 1, 1, TEXTURE_WEIGHT, TEXTURE_WEIGHT], np.float32), SIDE**2)
    sources = patches_at(planes, level.sources)
    there, squares = positions(level.sources, known.shape), (sources**2).T
    while not known.all():
        ring = np.flatnonzero((cv2.dilate(known.astype(np.uint8), np.ones((3, 3))) > 0) & ~known)
        rows, columns = np.divmod(ring, known.shape[1])
        window = (SIDE, SIDE)
        around = sliding_window_view(np.pad(planes, [(REACH, REACH), (REACH, REACH), (0, 0)]), window, (0, 1))
        seen = sliding_window_view(np.pad(known, REACH), window)[rows, columns].reshape(len(ring), -1)
        mask = np.tile(seen, (1, 5)) * weights
        values = mask * around[rows, columns].reshape(len(ring), -1)
        distance = (mask @ squares - 2 * values @ sources.T) / seen.sum(1, keepdims=True)
        distance += ((positions(ring, known.shape)[:, None] - there) ** 2).sum(-1)
        planes.reshape(-1, 5)[ring] = planes.reshape(-1, 5)[level.sources[distance.argmin(1)]]
        known.flat[ring] = True
    return planes


def _improved(
    level: Level, planes: Planes, match: _Match | None, last: bool, later: bool = False
) -> tuple[Planes, _Match]:
    """Turns of search and vote at one level; without a match, all pairs of patches are compared."""
    generator = np.random.default_rng(0)
    depth = cv2.distanceTransform(level.hole.astype(np.uint8), cv2.DIST_L2, 5).ravel()[level.targets]
    rounds = LAST_ROUNDS if last else LATER_ROUNDS if later else ROUNDS
    for turn in range(rounds):
        targets = described(planes, level.targets, level.basis)
        if match is None:
            found, cost = compared(level, targets)
        else:
            radius = LATER_RADIUS if later else RADIUS
            found, cost = searched(level, targets, match.source, radius, generator)
        bias = np.zeros((len(found), 5), np.float32)
        bias[:, :3] = (targets[:, :3] - level.source_rows[found, :3]).clip(-MOST_BIAS, MOST_BIAS)
        # Wexler et al., section 3.2: sigma is the 75th percentile of the distances
        final = last and turn == rounds - 1
        exponent = cost / (2 * np.percentile(cost, 75) + 1e-3) * (SHARPNESS if final else 1)
        weight = np.exp(-exponent.clip(max=60)) * INWARDS**-depth
        match = _Match(found, bias, weight.clip(1e-12).astype(np.float32), float(cost.mean()))
        planes = _voted(level, match, LAST_REACH if final else REACH)
    assert match is not None
    return planes, match


def _voted(level: Level, match: _Match, reach: int = REACH) -> Planes:
    """The planes with the hole filled by the weighted mean of what the patches around each pixel say.

    Wexler et al., equation 4. The inner 2 * reach + 1 pixels of a patch vote; all of them where no other vote is, since
    no patch is centred near the picture's border.
    """
    width, filled = level.hole.shape[1], np.flatnonzero(level.hole)
    flat = np.concatenate([level.planes.reshape(-1, 5), np.ones((level.hole.size, 1), np.float32)], 1)
    # Where no target is, nor beyond the picture, nobody votes: that is the row after the last one, of no weight
    row = np.where(level.target_row < 0, len(match.source), level.target_row)
    source, weight = np.append(match.source, 0), np.append(match.weight, np.float32(0))
    bias = np.pad(match.bias, ((0, 1), (0, 1)))
    votes = np.zeros((len(filled), 6), np.float32)
    for reaches in (range(reach + 1), range(reach + 1, REACH + 1)):
        lacking = np.flatnonzero(votes[:, 5] == 0)
        heard = np.zeros((len(lacking), 6), np.float32)
        for down, across in product(range(-REACH, REACH + 1), repeat=2):
            if len(lacking) and max(abs(down), abs(across)) in reaches:
                delta = down * width + across
                voter = row.take(filled.take(lacking) - delta, mode="clip")
                said = flat.take(source.take(voter) + delta, 0, mode="clip") + bias.take(voter, 0)
                heard += said * weight.take(voter)[:, None]
        votes[lacking] = heard
    flat[filled, :5] = votes[:, :5] / votes[:, 5:]
    return np.ascontiguousarray(flat[:, :5]).reshape(level.planes.shape)


def _enlarged(match: _Match, coarse: Level, level: Level) -> _Match:
    """The match of a level from that of half its size: offsets are doubled, impossible sources moved to the nearest."""
    (height, width), (low_height, low_width) = level.hole.shape, coarse.hole.shape
    rows, columns = np.divmod(level.targets, width)
    below = (rows // 2).clip(REACH, low_height - 1 - REACH) * low_width
    parent = coarse.target_row[below + (columns // 2).clip(REACH, low_width - 1 - REACH)]
    offsets = np.array(np.divmod(match.source, low_width)) - np.divmod(coarse.targets, low_width)
    offsets = np.where(parent >= 0, offsets[:, parent], 0)
    rows = (rows + 2 * offsets[0]).clip(REACH, height - 1 - REACH)
    columns = (columns + 2 * offsets[1]).clip(REACH, width - 1 - REACH)
    _, label = cv2.distanceTransformWithLabels(
        (~level.is_source).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(label.max() + 1, np.int64)
    nearest[label.ravel()[level.sources]] = level.sources
    source = nearest[label[rows, columns]]
    bias = match.bias[parent] * (parent >= 0)[:, None]
    return _Match(source, bias, match.weight[parent], match.cost)
