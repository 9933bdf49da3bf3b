"""Frames whose face is too little like the source's are tried again, and the best try is kept.

Tries after the first, in this order: the face branch with 1.5 times its weight; the same from other noise; then twice
the weight, other noise and twice the steps, each time from new noise. It ends when a try is good enough.
"""

from __future__ import annotations

from dataclasses import dataclass

from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.report.faces import FaceMeter
from mcld_anim.sampling.frame_maker import Attempt, FrameMaker
from mcld_anim.source.tiny_face import face_box

ATTEMPTS = (Attempt(1.5, 0, 1), Attempt(1.5, 1, 1), Attempt(2.0, 2, 2))
"""The second, third and fourth try; later ones are like the last, each from new noise."""


def attempt(number: int) -> Attempt:
    """Try `number` after the first, 1, 2, ..."""
    if number <= len(ATTEMPTS):
        return ATTEMPTS[number - 1]
    last = ATTEMPTS[-1]
    return Attempt(last.face_weight, number, last.step_factor)


@dataclass(frozen=True, eq=False)
class Kept:
    """The best try at a frame."""

    picture: Picture
    similarities: tuple[float | None, ...]  # of every try, in order; None: no face was found, or none was looked for

    @property
    def described(self) -> str:
        """The similarities for the report; empty where there was one try."""
        if len(self.similarities) < 2:
            return ""
        return " ".join("-" if one is None else f"{one:.4f}" for one in self.similarities)


class IdentityGuard:
    """Watches the frames of one clip, right after the batch that a frame is in was made."""

    def __init__(self, maker: FrameMaker, meter: FaceMeter, least: float | None, retries: int) -> None:
        self._maker, self._meter, self._least, self._retries = maker, meter, least, retries
        self._below = self._helped = 0

    def keep(self, place: int, index: int, pose: Iuv, picture: Picture) -> Kept:
        """The best try at the frame at `place` of the last batch; `picture` is the first."""
        if self._least is None or self._maker.source.face is None or face_box(pose) is None:
            return Kept(picture, (None,))
        pictures, found = [picture], [self._meter.measure(picture, pose)[1]]
        if self._rank(found[0]) >= self._least:
            return Kept(picture, tuple(found))
        self._below += 1
        while len(found) <= self._retries and self._rank(found[-1]) < self._least:
            pictures.append(self._maker.again(place, index, pose, attempt(len(found))))
            found.append(self._meter.measure(pictures[-1], pose)[1])
        best = max(range(len(found)), key=lambda number: self._rank(found[number]))  # the earliest of equals
        self._helped += self._rank(found[best]) >= self._least
        return Kept(pictures[best], tuple(found))

    def tell(self, stages: Stages) -> None:
        """Say at the end how it went."""
        if self._below:
            message = f"{self._below} frames had a face similarity below {self._least:g} and were tried up to "
            message += f"{self._retries} times again: {self._helped} reached it, of the others the best try was kept"
            stages.tell(Event("frames_tried_again", message))

    @staticmethod
    def _rank(similarity: float | None) -> float:
        """A missing face is worse than any."""
        return -2.0 if similarity is None else similarity
