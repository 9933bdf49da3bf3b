"""Which person of each frame is the one that is followed: by place and by look, through crossings and over cuts.

Everybody in the picture has a track: where they were last, how fast they move, and what they look like (`likeness`). In
each frame the people found are dealt out to the tracks so that the sum of the scores is largest (Hungarian method):

    score = IoU(box expected, box found) * FADE ^ frames missing + LOOKS * (1 - unlikeness / OTHER)

A pair may only meet if the look is the same, or if it is not another's and the place fits a moment later.
So whoever stands before the followed person is known as somebody else; while the followed person is hidden the track
waits, and looks for the look, not for the nearest box. At a cut places are forgotten and looks stay: the person
followed first is looked for, then the last one, and if neither is there the largest person is followed.

Frames come one by one and memory does not grow with them; nothing depends on batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from mcld_anim.core.arrays import Box, Picture
from mcld_anim.core.events import Event
from mcld_anim.options.person import LARGEST, PersonChoice
from mcld_anim.pose.backends import PoseEstimate
from mcld_anim.pose.likeness import Likeness, likeness, unlikeness
from mcld_anim.pose.select import described, from_left, selected
from mcld_anim.video.framing import overlap

SAME = 24.0
"""Levels of unlikeness. Of six rendered people in four turning poses, by true IUV and by the embedded estimator alike,
two looks of one person were 8 to 23 apart, looks of two people 26 to 81."""
OTHER = 32.0
"""From here on two looks are two people's; a tenth of two people's were less apart."""
LOOKS = 1.5
"""Weight of the look beside the place."""
FADE = 0.7
"""Per frame: how much less a place is worth when nobody was seen there."""
PLACE = 0.3
"""Intersection over union of boxes that says "the same place"."""
RATE = 0.06
"""Of a new look that the known one takes over per frame: it follows the light, not a frame's errors."""
SPEED_RATE = 0.5
MOST_TRACKS = 8
"""People who are remembered; those not seen for longest are forgotten."""
PROBATION = 3
"""Frames for which a place is good, and for which somebody who may be the lost person is watched."""
PATIENCE = 25
"""Frames after which whoever came in since may take a lost person's place; about a second."""
NEVER = -1e6  # score of a pair that must not meet
SHOWN = 8  # ranges of frames in one event


@dataclass(frozen=True, eq=False)
class _Track:
    """What is known of one person."""

    look: Likeness
    box: Box | None  # where they were last seen in this scene
    speed: np.ndarray  # (2,) pixels per frame of the box's middle
    born: int  # frame
    seen: int  # frame of the last sight

    def expected(self, index: int) -> Box | None:
        """The box in frame `index` if the person goes on as before; what is long ago is not carried on for ever."""
        if self.box is None:
            return None
        across, down = self.speed * min(index - self.seen, PROBATION)
        return self.box[0] + across, self.box[1] + down, self.box[2] + across, self.box[3] + down

    def moved(self, index: int, one: PoseEstimate, look: Likeness) -> _Track:
        """The track with one more sight."""
        speed = self.speed
        if self.box is not None:
            step = (_middle(one.box) - _middle(self.box)) / (index - self.seen)
            speed = speed + SPEED_RATE * (step - speed)
        apart = unlikeness(self.look, look)
        known = self.look.updated(look, RATE) if apart is None or apart <= SAME else self.look
        return replace(self, look=known, box=one.box, speed=speed, seen=index)


class PersonTracker:
    """Follows one person through the frames of one video, given in order."""

    def __init__(self, choice: PersonChoice = LARGEST) -> None:
        self._choice = choice
        self._tracks: dict[int, _Track] = {}
        self._wanted = self._followed = -1  # the track chosen first, and the one followed now
        self._searching = True  # nobody was chosen yet in this scene
        self._made = 0
        self._several: str | None = None
        self._waited: list[tuple[int, int]] = []
        self._replaced: list[tuple[int, int]] = []

    def follow(
        self, index: int, picture: Picture, people: Sequence[PoseEstimate], cut: bool = False
    ) -> PoseEstimate | None:
        """The followed person among `people` (the largest first) of frame `index`; None where they are not to be seen.

        `cut`: another scene begins with this frame. PoseError where the first people seen do not fit the choice.
        """
        if cut:
            self._tracks = {k: replace(one, box=None, speed=np.zeros(2)) for k, one in self._tracks.items()}
            self._searching = True
        looks = [likeness(picture, one.iuv) for one in people]
        dealt = self._deal(index, people, looks)
        if self._searching and people:
            self._choose(index, people, dealt)
        elif self._followed not in dealt and people:
            self._take_over(index, dealt)
        place = dealt.get(self._followed)
        self._forget()
        if place is None and people:
            waited = self._waited.pop() if self._waited and self._waited[-1][1] == index - 1 else (index, index)
            self._waited.append((waited[0], index))
        return None if place is None else people[place]

    def events(self) -> list[Event]:
        """What there is to tell after the last frame."""
        told = []
        if self._several is not None:
            told.append(Event("several_people", self._several))
        if self._waited:
            message = (
                f"others were seen, but not the followed person, in {named_ranges(self._waited)}: poses are held there"
            )
            told.append(Event("person_hidden", message))
        if self._replaced:
            message = (
                f"somebody else is followed from {named_ranges(self._replaced)} on: the person was not there any more"
            )
            told.append(Event("person_replaced", message))
        return told

    def _deal(self, index: int, people: Sequence[PoseEstimate], looks: Sequence[Likeness]) -> dict[int, int]:
        """Each track that is seen, and the place of its person among `people`; newcomers get tracks of their own."""
        keys = list(self._tracks)
        scores = np.array([[self._score(index, k, people, looks, j) for j in range(len(people))] for k in keys])
        pairs = zip(*linear_sum_assignment(scores, maximize=True), strict=True) if scores.size else []
        dealt = {keys[row]: int(column) for row, column in pairs if scores[row, column] > NEVER / 2}
        for key, place in dealt.items():
            self._tracks[key] = self._tracks[key].moved(index, people[place], looks[place])
        for place in sorted(set(range(len(people))) - set(dealt.values())):
            self._tracks[self._made] = _Track(looks[place], people[place].box, np.zeros(2), index, index)
            dealt[self._made] = place
            self._made += 1
        return dealt

    def _score(
        self, index: int, key: int, people: Sequence[PoseEstimate], looks: Sequence[Likeness], place: int
    ) -> float:
        """How well a person found fits a track; `NEVER` where it is somebody else."""
        track = self._tracks[key]
        expected = track.expected(index)
        shared = 0.0 if expected is None else float(overlap(np.array([expected]), np.array([people[place].box]))[0])
        apart = unlikeness(track.look, looks[place])
        near = index - track.seen <= PROBATION and shared >= PLACE
        alone = len(self._tracks) == 1 and len(people) == 1  # then there is nobody to be taken for
        fits = near or alone if apart is None else apart <= SAME or (near and (apart <= OTHER or alone))
        if not fits:
            return NEVER
        likely = 0.0 if apart is None else LOOKS * (1 - apart / OTHER)
        return shared * FADE ** (index - track.seen - 1) + likely

    def _choose(self, index: int, people: Sequence[PoseEstimate], dealt: dict[int, int]) -> None:
        """Whom to follow in a scene that begins: by the rule at first, then by look, else the largest."""
        self._searching = False
        by_place = {place: key for key, place in dealt.items()}
        if self._wanted < 0:
            one = selected(people, self._choice, f"frame {index}")
            self._wanted = self._followed = by_place[_place_of(people, one)]
            if len(people) > 1:
                number = _place_of(from_left(people), one) + 1
                self._several = (
                    f"frame {index} shows {described(people)}: person {number} is followed; --person chooses another"
                )
        elif self._wanted in dealt:
            self._followed = self._wanted
        elif self._followed not in dealt:
            self._followed = by_place[0]
            self._replaced.append((index, index))

    def _take_over(self, index: int, dealt: dict[int, int]) -> None:
        """A lost person and somebody who came since, whom no frame shows together, may be one person seen badly.

        Taken for one if the looks are the same, or do not speak against it for a few frames. With `--person largest` a
        stranger takes a lost person's place after a second, so that the rest of the video is not one held pose.
        """
        lost = self._tracks[self._followed]
        for key in sorted(dealt, key=lambda key: dealt[key]):
            newcomer = self._tracks[key]
            if newcomer.born <= lost.seen:
                continue
            apart = unlikeness(lost.look, newcomer.look)
            watched = index - newcomer.born >= PROBATION
            unsure = watched and (apart is None or apart <= OTHER) and self._is_stranger(newcomer)
            if unsure or (apart is not None and apart <= SAME):
                del self._tracks[self._followed]
            elif watched and self._choice == LARGEST and index - lost.seen >= PATIENCE and self._is_stranger(newcomer):
                self._replaced.append((index, index))
            else:
                continue
            if self._wanted == self._followed and self._wanted not in self._tracks:
                self._wanted = key
            self._followed = key
            return

    def _is_stranger(self, newcomer: _Track) -> bool:
        """Whether nobody known from before the followed person was lost looks like this."""
        lost = self._tracks[self._followed]
        known = [one for one in self._tracks.values() if one.born <= lost.seen and one is not lost]
        apart = [unlikeness(one.look, newcomer.look) for one in known]
        return all(one is not None and one > OTHER for one in apart)

    def _forget(self) -> None:
        """Drop those not seen for longest, but never the person who is wanted or followed."""
        others = [key for key in self._tracks if key not in (self._wanted, self._followed)]
        others.sort(key=lambda key: self._tracks[key].seen)
        for key in others[: max(0, len(self._tracks) - MOST_TRACKS)]:
            del self._tracks[key]


def named_ranges(pairs: Sequence[tuple[int, int]]) -> str:
    """Ranges of frames, first and last, as people write them: "frames 3, 7-12 and 4 more ranges"."""
    shown = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs[:SHOWN])
    more = f" and {len(pairs) - SHOWN} more ranges" if len(pairs) > SHOWN else ""
    one = len(pairs) == 1 and pairs[0][0] == pairs[0][1]
    return f"frame{'' if one else 's'} {shown}{more}"


def runs_of(marks: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every run of True in (n,) bool."""
    steps = np.diff(np.concatenate([[0], marks.astype(np.int8), [0]]))
    return [(int(a), int(b) - 1) for a, b in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)]


def _place_of(people: Sequence[PoseEstimate], one: PoseEstimate) -> int:
    return next(place for place, other in enumerate(people) if other is one)


def _middle(box: Box) -> np.ndarray:
    return np.array([box[0] + box[2], box[1] + box[3]]) / 2
