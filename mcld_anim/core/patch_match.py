"""The most similar patches of a picture: PatchMatch (Barnes et al., SIGGRAPH 2009, section 3), all targets at once.

Patches are compared by their mean colour and the principal components of their detail, by how much texture is around
them, and by their place in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int64
from numpy.lib.stride_tricks import sliding_window_view

from mcld_anim.core.arrays import Mask

REACH = 3
"""Patches are squares of 2 * REACH + 1 = 7 pixels, as in Newson et al., IPOL 2017."""
COMPONENTS = 20
"""Principal components that stand for a patch's detail, of 147 values."""
TEXTURE_WEIGHT = 8.0
"""Weight of a texture feature, which is a mean absolute gradient, against a colour."""
PLACE_WEIGHT = (10_000.0, 1_000.0)
"""Cost of a source as far away as the picture is high, or wide, in squared grey levels: floors and skies stay apart."""

SIDE = 2 * REACH + 1
_CHUNK = 1 << 15  # patches described at a time

Planes = Float32[np.ndarray, "height width 5"]
"""R, G, B and two texture features: absolute gradients down and across, averaged over a sixteenth of the picture."""
Places = Int64[np.ndarray, "_places"]
"""Flat indices of patch centres."""
Rows = Float32[np.ndarray, "_rows _columns"]
Flags = Bool[np.ndarray, "_rows"]
Values = Float32[np.ndarray, "_rows"]


@dataclass(frozen=True, eq=False)
class Level:
    """One level of the pyramid. Patches lie inside the picture: targets touch the hole, sources do not."""

    planes: Planes
    hole: Mask

    @cached_property
    def is_source(self) -> Mask:
        return self._inner & ~self._touched

    @cached_property
    def sources(self) -> Places:
        return np.flatnonzero(self.is_source)

    @cached_property
    def targets(self) -> Places:
        return np.flatnonzero(self._inner & self._touched)

    @cached_property
    def target_row(self) -> Places:
        """Place -> its index in `targets`, -1 for none."""
        rows = np.full(self.hole.size, -1)
        rows[self.targets] = np.arange(len(self.targets))
        return rows

    @cached_property
    def basis(self) -> Rows:
        """Principal components (147, COMPONENTS) of the detail of some 3,000 sources."""
        some = self.sources[:: len(self.sources) // 3000 + 1]
        detail = patches_at(self.planes[..., :3], some).reshape(-1, 3, SIDE**2)
        detail = (detail - detail.mean(-1, keepdims=True)).reshape(len(detail), -1)
        return np.linalg.eigh(detail.T @ detail)[1][:, : -COMPONENTS - 1 : -1] / np.float32(SIDE)

    @cached_property
    def source_rows(self) -> Rows:
        """`described` at every place; 0 where there is no source."""
        rows = np.zeros((self.hole.size, COMPONENTS + 7), np.float32)
        rows[self.sources] = described(self.planes, self.sources, self.basis)
        return rows

    @property
    def _touched(self) -> Mask:
        return cv2.dilate(self.hole.astype(np.uint8), np.ones((SIDE, SIDE))) > 0

    @property
    def _inner(self) -> Mask:
        inner = np.zeros_like(self.hole)
        inner[REACH:-REACH, REACH:-REACH] = min(self.hole.shape) >= SIDE
        return inner


def described(planes: Planes, places: Places, basis: Rows) -> Rows:
    """What patches are compared by, such that costs are squared distances: mean colour, texture, place, detail."""
    rows = np.empty((len(places), COMPONENTS + 7), np.float32)
    rows[:, 3:5] = planes.reshape(-1, 5)[places, 3:] * TEXTURE_WEIGHT**0.5
    rows[:, 5:7] = positions(places, planes.shape[:2])
    for start in range(0, len(places), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        patches = patches_at(planes[..., :3], places[chunk]).reshape(-1, 3, SIDE**2)
        mean = patches.mean(-1)
        rows[chunk, :3] = mean
        rows[chunk, 7:] = (patches - mean[..., None]).reshape(len(patches), -1) @ basis
    return rows


def compared(level: Level, targets: Rows) -> tuple[Places, Values]:
    """The best source of every target, and its cost; `targets` are described in the order of `level.targets`."""
    candidates = level.source_rows[level.sources]
    cost = (targets**2).sum(1)[:, None] - 2 * targets @ candidates.T + (candidates**2).sum(1)
    best = cost.argmin(1)
    return level.sources[best], cost[np.arange(len(best)), best].clip(0)


def searched(
    level: Level, targets: Rows, start: Places, radius: int, generator: np.random.Generator
) -> tuple[Places, Values]:
    """One iteration of PatchMatch, all targets at once: offsets of neighbours, then random ones nearer and nearer."""
    (height, width), best = level.hole.shape, start.copy()
    cost = ((level.source_rows[best] - targets) ** 2).sum(1)
    for step in (2, 1):
        for delta in (-step, step, -step * width, step * width):
            neighbour = level.target_row[(level.targets + delta).clip(0, height * width - 1)]
            _attempt(level, targets, best[neighbour] - delta, neighbour >= 0, best, cost)
    while radius:
        rows, columns = np.divmod(best, width) + generator.integers(-radius, radius + 1, (2, len(best)))
        inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
        _attempt(level, targets, rows * width + columns, inside, best, cost)
        radius //= 2
    return best, cost


def _attempt(level: Level, targets: Rows, candidate: Places, possible: Flags, best: Places, cost: Values) -> None:
    """Change `best` and `cost` in place where a possible candidate is a source and costs less."""
    rows = np.flatnonzero(possible & (candidate >= 0) & (candidate < level.hole.size) & (candidate != best))
    rows = rows[level.is_source.ravel()[candidate[rows]]]
    difference = level.source_rows[candidate[rows]] - targets[rows]
    new = np.einsum("nk,nk->n", difference, difference)
    rows, new = rows[new < cost[rows]], new[new < cost[rows]]
    best[rows], cost[rows] = candidate[rows], new


def positions(places: Places, shape: tuple[int, ...]) -> Rows:
    """(places, 2) rows and columns, weighted by `PLACE_WEIGHT`."""
    rows, columns = np.divmod(places, shape[1])
    scaled = np.stack([rows / shape[0], columns / shape[1]], 1) * np.sqrt(PLACE_WEIGHT)
    return scaled.astype(np.float32)


def patches_at(planes: Float32[np.ndarray, "_height _width _channels"], places: Places) -> Rows:
    """(places, channels * 49)."""
    rows, columns = np.divmod(places, planes.shape[1])
    windows = sliding_window_view(planes, (SIDE, SIDE), (0, 1))
    return windows[rows - REACH, columns - REACH].reshape(len(places), -1)
