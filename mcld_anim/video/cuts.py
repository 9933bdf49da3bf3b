"""Detection of cuts between scenes.

Each frame becomes a thumbnail, divided into blocks. A block of frame b is found in frame a if it matches a somewhere
within a block's side of its place, up to a change in brightness of the whole frame:

    e(block) = min over shifts of the root mean square of (block - g a at the shifted place), with g = mean(b) / mean(a)
    found: e^2 <= NOISE^2 + (DETAIL s)^2, with s the standard deviation of the block's pixels
    lost(a, b) = share of the blocks of b that are not found in a, and of those of a in b

The shifts make the measure insensitive to pans and moving people. There is a cut before frame i if, with
n = FLASH_FRAMES,

    lost(i - 1, i) >= LOST, and >= AHEAD + the mean of lost over the n pairs of frames before and after this one
    lost(j, k) >= LOST for every j of the n frames before i and every k of i and the n frames after it,
    where j = i - 1 or k = i

The first condition excludes motion too fast for the search, which loses many blocks in every pair of frames; a cut
does so in one. The second excludes flashes, which are over n frames later. Fades, dissolves and cuts that keep most of
the picture (one person replaced by another in front of a still camera) are not detected. A pan by more than a seventh
of the frame between frames may be taken for cuts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from einops import rearrange
from jaxtyping import Float

from mcld_anim.core.arrays import Picture
from mcld_anim.video.read import VideoFrame

SIDE = 96
"""Longer side of a thumbnail, in pixels."""
BLOCK = 12
"""Side of a block and radius of its search, in pixels: an eighth of the frame."""
NOISE = 9.0
"""Allowed error, in levels 0..255. Coding noise and shadows on a wall are below it, walls of different colour above."""
DETAIL = 0.6
"""Allowed error as a fraction of the block's own contrast: a correlation of 0.82 at equal contrast."""
MOST_GAIN = 3.0
"""Largest ratio of two frames' brightness that counts as one scene in other light."""
LOST = 0.3
"""Least share of lost blocks at a cut. 32 clips of dances, pans and the like lost up to 0.10 between frames; of 40 cuts
between scenes and views, all but those to a person's mirror image lost 0.33 or more."""
AHEAD = 0.2
"""Least difference, in share of lost blocks, between a cut and the frames around it."""
FLASH_FRAMES = 4
"""Frames after which a camera's flash is over; it lasts one to three at 25 frames per second."""

Thumbnail = Float[np.ndarray, "rows columns 3"]
"""float32 RGB 0..255, its sides multiples of BLOCK."""


def with_cuts(frames: Iterable[VideoFrame]) -> Iterator[tuple[VideoFrame, bool]]:
    """Each frame, and whether a new scene begins with it; reads `FLASH_FRAMES` frames ahead."""
    waiting: deque[tuple[VideoFrame, Thumbnail, float]] = deque()
    before: deque[tuple[Thumbnail, float]] = deque(maxlen=FLASH_FRAMES)
    last: Thumbnail | None = None
    for frame in _then_none(frames, FLASH_FRAMES):
        if frame is not None:
            seen = thumbnail(frame.picture)
            waiting.append((frame, seen, 0.0 if last is None else lost(last, seen)))
            last = seen
        if waiting and (frame is None or len(waiting) > FLASH_FRAMES):
            shown, seen, share = waiting.popleft()
            cut = bool(before) and _is_cut(list(before), seen, share, [(later, more) for _, later, more in waiting])
            if cut:
                before.clear()
            before.append((seen, 0.0 if cut else share))
            yield shown, cut


def _is_cut(
    before: list[tuple[Thumbnail, float]], seen: Thumbnail, share: float, after: list[tuple[Thumbnail, float]]
) -> bool:
    """Whether a cut lies before `seen`; each thumbnail comes with the share of blocks lost since the one before it."""
    usual = float(np.mean([one for _, one in (*before, *after)] or [0.0]))
    if share < max(LOST, AHEAD + usual):
        return False
    earlier = all(lost(one, seen) >= LOST for one, _ in before[:-1])
    return earlier and all(lost(before[-1][0], one) >= LOST for one, _ in after)


def thumbnail(picture: Picture) -> Thumbnail:
    """A picture scaled down to whole blocks."""
    height, width = picture.shape[:2]
    rows, columns = (max(1, round(side * SIDE / max(height, width) / BLOCK)) * BLOCK for side in (height, width))
    if max(height, width) >= 4 * SIDE:  # to a half is fast, and to the rest from there
        half = max(1, width // 2), max(1, height // 2)
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    return cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA).astype(np.float32)


def lost(first: Thumbnail, second: Thumbnail) -> float:
    """Share of the blocks of each that are not found in the other, 0 (one scene) .. 1."""
    brightness = float(second.mean() + 1) / float(first.mean() + 1)
    gain = np.float32(np.clip(brightness, 1 / MOST_GAIN, MOST_GAIN))
    first = first * gain
    missing = np.concatenate([_not_found(second, first), _not_found(first, second)])
    return float(missing.mean())


def _not_found(blocks: Thumbnail, searched: Thumbnail) -> np.ndarray:
    """(n,) bool: which blocks of one thumbnail are not found in another."""
    tiles = _tiles(blocks)
    allowed = NOISE**2 + DETAIL**2 * tiles.var((2, 3)).mean(-1)
    missing = ((tiles - _tiles(searched)) ** 2).mean((2, 3, 4)) > allowed
    padded = cv2.copyMakeBorder(searched, BLOCK, BLOCK, BLOCK, BLOCK, cv2.BORDER_REPLICATE)
    for row, column in np.argwhere(missing):  # most are at their place
        y, x = row * BLOCK, column * BLOCK
        area = padded[y : y + 3 * BLOCK, x : x + 3 * BLOCK]
        error = cv2.matchTemplate(area, blocks[y : y + BLOCK, x : x + BLOCK], cv2.TM_SQDIFF).min() / (BLOCK**2 * 3)
        missing[row, column] = error > allowed[row, column]
    return np.asarray(missing.ravel())


def _tiles(planes: Thumbnail) -> np.ndarray:
    """(rows, columns, BLOCK, BLOCK, 3)."""
    return rearrange(planes, "(rows y) (columns x) rgb -> rows columns y x rgb", y=BLOCK, x=BLOCK)


def _then_none(frames: Iterable[VideoFrame], count: int) -> Iterator[VideoFrame | None]:
    yield from frames
    yield from [None] * (count + 1)
