"""The frames of the driving video without the person."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import cv2
import numpy as np

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.events import Event, EventSink
from mcld_anim.core.push_pull import push_pull
from mcld_anim.source.background import person_mask, without_person

HOLE_MARGIN = 0.07
"""Margin around the IUV, as a fraction of the box's longer side, for hair, skirts and shadows."""

MOST_SAMPLES = 200
"""Frames averaged to the background of a still camera, evenly spread."""

STILL = 10.0
"""Largest mean difference between visible background and its average, in grey levels, with a still camera. Coding noise
causes 1 to 3, a panning camera tens."""

FADE = 5  # width in pixels of the fade at the hole's edge, in a frame of 512

Shown = tuple[Picture, Iuv]
"""A frame and its person's IUV, of one size."""


class CleanBackground:
    """The background behind the person: from other frames if the camera stands still, else filled in from around."""

    def __init__(self, frames: Callable[[int], Iterator[Shown]], count: int, on_event: EventSink) -> None:
        """Read the video once; `frames(n)` yields every n-th of its `count` frames, beginning with the first."""
        self._frames = frames
        total: np.ndarray | None = None
        squares = seen = np.zeros(0)
        step = max(1, count // MOST_SAMPLES)
        for picture, iuv in frames(step):
            free = (~person_mask(iuv, HOLE_MARGIN)).astype(np.float32)
            if total is None:
                total, squares, seen = np.zeros(picture.shape, np.float32), np.zeros_like(free), np.zeros_like(free)
            total += picture * free[..., None]
            squares += (picture.astype(np.float32) ** 2).mean(-1) * free
            seen += free
        assert total is not None  # a driving video has frames
        mean = total / np.maximum(seen, 1)[..., None]
        spread = np.sqrt(np.maximum(squares / np.maximum(seen, 1) - (mean**2).mean(-1), 0))
        self.still = bool(spread[seen > 1].mean() <= STILL) if (seen > 1).any() else False
        self._background = np.rint(push_pull(mean, (seen > 0).astype(np.float32))).clip(0, 255).astype(np.uint8)
        if not self.still:
            message = "the driving video's background moves, so it was filled in behind the person from around it"
            on_event(Event("background_moves", message))
        elif not seen.all():
            share = 100 * float((seen == 0).mean())
            message = f"{share:.1f} % of the driving background is never visible and was filled in from around it"
            on_event(Event("background_guessed", message))

    def frames(self, first: int = 0) -> Iterator[Picture]:
        """Every frame from `first` on, without its person."""
        for picture, iuv in islice(self._frames(1), first, None):
            yield self._filled(picture, iuv)

    def _filled(self, picture: Picture, iuv: Iuv) -> Picture:
        if not self.still:
            return without_person(picture, iuv, HOLE_MARGIN)
        hole = person_mask(iuv, HOLE_MARGIN)
        blur = max(3, round(FADE * max(hole.shape) / 512) * 2 + 1)
        fade = cv2.GaussianBlur(cv2.dilate(hole.astype(np.float32), np.ones((blur, blur))), (blur, blur), 0)[..., None]
        return np.rint(picture + (self._background.astype(np.float32) - picture) * fade).clip(0, 255).astype(np.uint8)
