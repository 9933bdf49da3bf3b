"""The identity guard: frames whose face is not similar enough to the source's are made again, and the best is kept.

Attempts after the first: 1.5 times the weight of the face branch; the same from other noise; then twice the weight and
twice the steps, each time from new noise. They end when one is good enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mcld_anim.body.clip import ClipFrame
from mcld_anim.core.arrays import Picture
from mcld_anim.core.events import Event
from mcld_anim.report.faces import FaceMeter
from mcld_anim.sampling.photo_pixels import PhotoPixels
from mcld_anim.sampling.settings import Attempt
from mcld_anim.source.tiny_face import face_box

if TYPE_CHECKING:
    from mcld_anim.sampling.frame_maker import FrameMaker

RETRY_ATTEMPTS = (Attempt(1.5, 0, 1), Attempt(1.5, 1, 1), Attempt(2.0, 2, 2))
"""The second, third and fourth attempt; later ones repeat the last, each from new noise."""

NO_FACE = -2.0
"""Rank of an attempt without a face, below every cosine."""


def attempt(number: int) -> Attempt:
    """Attempt `number` after the first, 1, 2, ..."""
    if number <= len(RETRY_ATTEMPTS):
        return RETRY_ATTEMPTS[number - 1]
    last = RETRY_ATTEMPTS[-1]
    return Attempt(last.face_weight, number, last.step_factor)


@dataclass(frozen=True, eq=False)
class Kept:
    """The best attempt at a frame."""

    picture: Picture
    similarities: tuple[float | None, ...]  # of every attempt, in order; None: no face was found or looked for

    @property
    def described(self) -> str:
        """The similarities for the report; empty if there was one attempt."""
        if len(self.similarities) < 2:
            return ""
        return " ".join("-" if one is None else f"{one:.4f}" for one in self.similarities)


class IdentityGuard:
    """Checks the frames of one clip, each batch right after its synthesis."""

    def __init__(self, maker: FrameMaker | PhotoPixels, meter: FaceMeter, least: float | None, retries: int) -> None:
        self._maker, self._meter, self._least, self._retries = maker, meter, least, retries
        self.below = self.helped = 0
        """Frames whose first attempt was not similar enough, and those of them that another attempt mended."""

    def keep(self, place: int, frame: ClipFrame) -> Kept:
        """The best attempt at the frame at `place` of the last batch, whose picture is the first attempt."""
        assert frame.picture is not None
        first, pose = frame.picture, frame.iuv
        if self._least is None or isinstance(self._maker, PhotoPixels) or not self._meter.knows_face:
            return Kept(first, (None,))
        if face_box(pose) is None:
            return Kept(first, (None,))
        pictures, found = [first], [self._meter.measure(first, pose)[1]]
        if self._rank(found[0]) >= self._least:
            return Kept(first, tuple(found))
        self.below += 1
        while len(found) <= self._retries and self._rank(found[-1]) < self._least:
            pictures.append(self._maker.again(place, frame, attempt(len(found))))
            found.append(self._meter.measure(pictures[-1], pose)[1])
        best = max(range(len(found)), key=lambda number: self._rank(found[number]))  # ties go to the earliest
        self.helped += self._rank(found[best]) >= self._least
        return Kept(pictures[best], tuple(found))

    @staticmethod
    def _rank(similarity: float | None) -> float:
        return NO_FACE if similarity is None else similarity


def tried_again(below: int, helped: int, least: float, retries: int) -> Event | None:
    """That `below` frames were less similar than `least` at first, of which new attempts mended `helped`; None of no
    frame."""
    if not below:
        return None
    message = f"{below} frames had a face similarity below {least:g} and were made again up to {retries} times: "
    return Event("frames_tried_again", f"{message}{helped} reached it, and the best try of the others was kept")
