"""Frames without a network: the photo's own pixels, moved with its person's body and lit by their pose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mcld_anim.body.clip import ClipFrame
from mcld_anim.core.arrays import Picture
from mcld_anim.source.fitted_photo import FittedPhoto


class PhotoPixels:
    """Makes the frames of a clip in the photo. Each is a function of its own pose, so nothing is carried over."""

    def __init__(self, photo: FittedPhoto) -> None:
        self._photo = photo

    def carried(self) -> dict[str, np.ndarray]:
        """Nothing, see `FrameMaker.carried`."""
        return {}

    def carry(self, _arrays: Mapping[str, np.ndarray]) -> None:
        """Nothing, see `FrameMaker.carry`."""

    def make(self, frames: Sequence[ClipFrame], _on_step: Callable[[int, int], None] | None = None) -> list[Picture]:
        """The pictures of the clip's next frames, uint8 (H, W, 3) RGB."""
        return [self._made(frame) for frame in frames]

    def _made(self, frame: ClipFrame) -> Picture:
        drawn = frame.pose.drawn
        assert drawn is not None  # frames of the photo are drawn from the fitted body
        layer = self._photo.at(frame.index).warp.layer(drawn).lit()
        return self._photo.with_front(layer.before(self._photo.background).astype(np.float32))
