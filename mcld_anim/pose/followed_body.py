"""One person through a clip, as `--densepose body` sees them: landmarks, the body fitted to them, its IUV drawn."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import BinaryIO

import cv2
import numpy as np

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import BodyMotion, ClipLandmarks
from mcld_anim.body.outline import mean_offsets
from mcld_anim.core.arrays import Iuv
from mcld_anim.core.events import Event
from mcld_anim.pose.blazepose import Region
from mcld_anim.pose.matte_alignment import PERSON, Matte, aligned
from mcld_anim.pose.precomputed import resize_iuv

DRAWN_SIDE = 512
"""Longer side of the landmarks' box, in pixels, up to which a person is drawn at full size: a result's frame is no
larger."""
CLOTHED_FRAMES, CLOTHED_SIDE = 8, 256
"""Frames of a clip whose outlines say how far clothes and hair reach, and the side of a person in them, in pixels."""
HIDDEN_WRIST, HIDDEN_ELBOW = 0.3, 0.6
"""Visibilities, 0..1, of wrist and elbow below which the arm of a portrait is not drawn: its place is only guessed.
Where arms are crossed wrists are hardly seen, but elbows are."""


@dataclass(frozen=True, eq=False)
class BodyFrame:
    """The followed person in one frame of a clip."""

    iuv: Iuv
    found: bool  # False: a neighbour's pose is held
    cut: bool  # another scene begins here


@dataclass(frozen=True, eq=False)
class FollowedBody:
    """One person through a clip: the landmarks, and the body fitted to them.

    A frame without the person shows the nearest frame with the person. Masks lie in an open file.
    """

    seen: ClipLandmarks
    motion: BodyMotion
    hidden: Sequence[str]  # of each frame: sides ("L", "R") whose forearm and hand are not drawn
    cuts: Sequence[bool]  # where another scene begins
    events: Sequence[Event]  # about the choice of the person
    crops: Sequence[tuple[Region, int, int]]  # of each frame: region, and start and length of its mask in the file
    masks: BinaryIO

    def __len__(self) -> int:
        return len(self.cuts)

    def region(self, index: int) -> Region:
        """The region of the frame that the landmark networks saw."""
        return self.crops[index][0]

    def matte(self, index: int) -> Matte:
        """The person's matte, as large as the frame."""
        return self.region(index).matte(self._mask(index), self.seen.size)

    def mesh_iuv(self, index: int) -> Iuv:
        """The IUV of the fitted mesh, before it is aligned to the matte."""
        return self._painter.iuv(self.motion, index, self.hidden[index])

    def frames(self) -> Iterator[BodyFrame]:
        """Every frame, its IUV aligned to the matte."""
        for index, cut in enumerate(self.cuts):
            hidden, xy, region = self.hidden[index], self.seen.xy[index], self.region(index)
            iuv = drawn_iuv(self._painter, self.motion, index, hidden, xy, region, self._mask(index))
            yield BodyFrame(iuv, bool(self.seen.found[index]), cut)

    def _mask(self, index: int) -> np.ndarray:
        _, start, length = self.crops[index]
        self.masks.seek(start)
        return np.asarray(cv2.imdecode(np.frombuffer(self.masks.read(length), np.uint8), cv2.IMREAD_GRAYSCALE))

    @cached_property
    def _painter(self) -> BodyPainter:
        """Of the body in its clothes: some frames' mattes say how far hair and cloth reach."""
        naked, found = BodyPainter(self.motion.shape), np.flatnonzero(self.seen.found)
        spread = np.linspace(0, len(found) - 1, min(len(found), CLOTHED_FRAMES)).round().astype(int)
        frames: list[int] = found[spread].tolist()
        extent = max(float(np.ptp(self.seen.xy[index], axis=0).max()) for index in frames)
        scale = min(1.0, CLOTHED_SIDE / max(extent, 1.0))
        small = self.motion.scaled(scale)
        mattes = [self.region(index).matte(self._mask(index), small.size, scale) > PERSON for index in frames]
        return naked.bent(mean_offsets(naked, small, mattes, frames, [self.hidden[index] for index in frames]))


def drawn_iuv(
    painter: BodyPainter,
    motion: BodyMotion,
    index: int,
    hidden: str,
    xy: np.ndarray,
    region: Region,
    mask: np.ndarray,
) -> Iuv:
    """The IUV of a frame without the arms of `hidden` sides, aligned to the matte.

    People whose landmarks `xy` span more than `DRAWN_SIDE` are drawn smaller and scaled up by the nearest pixel.
    """
    scale = min(1.0, DRAWN_SIDE / max(float(np.ptp(xy, axis=0).max()), 1.0))
    small = motion.scaled(scale)
    iuv = painter.iuv(small, index, hidden)
    return resize_iuv(aligned(iuv, region.matte(mask, small.size, scale)), motion.size)


def hidden_sides(seen: ClipLandmarks) -> list[str]:
    """Of each frame of a scene: sides whose forearm and hand are not seen, where the picture ends above the knees."""
    portrait = np.all(seen.xy[:, [25, 26], 1] > seen.size[0], axis=1)
    hidden = []
    for index in range(len(portrait)):
        around = np.median(seen.visibility[max(0, index - 7) : index + 8, 13:17], 0)
        lost = (around[2:] < HIDDEN_WRIST) & (around[:2] < HIDDEN_ELBOW)
        sides = [side for side, gone in zip("LR", lost, strict=True) if gone]
        hidden.append("".join(sides) if portrait[index] else "")
    return hidden


def scenes_between(cuts: Sequence[bool]) -> list[slice]:
    """The ranges of frames between cuts."""
    starts = [0, *(index for index, cut in enumerate(cuts) if cut and index)]
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], len(cuts)], strict=True)]
