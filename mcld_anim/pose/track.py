"""Tracking of the followed person by place and appearance, through crossings and over cuts.

Every person has a track: last box, speed and appearance (`PersonAppearance`). In each frame the people found are
assigned to the tracks so that the sum of the scores is largest (Hungarian method):

    score = IoU(expected box, box) * MISSING_DECAY ^ frames missing
            + APPEARANCE_WEIGHT * (1 - appearance distance / DIFFERENT_PERSON)

A detection joins a track if its appearance matches, or if it is ambiguous and its box overlaps the prediction.
So a person in front of the followed one has a track of their own. While the followed person is hidden, the track waits
for a matching appearance and does not take the nearest box. A cut resets boxes and keeps appearances: the person
followed first is preferred, then the last one, then the largest.

Frames come one by one; memory does not grow with them, and nothing depends on batches.
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
from mcld_anim.pose.person_appearance import PersonAppearance, appearance_distance, person_appearance
from mcld_anim.pose.select import described, from_left, selected
from mcld_anim.video.framing import overlap

SAME_APPEARANCE = 24.0
"""Appearance distance, in levels, up to which two appearances match. For six rendered people in four turning poses, by
true IUV and by the embedded estimator alike, it was 8 to 23 within a person and 26 to 81 between people."""
DIFFERENT_PERSON = 32.0
"""Appearance distance, in levels, above which two people differ; a tenth of the pairs of people were below it."""
APPEARANCE_WEIGHT = 1.5
"""Weight of the appearance in the score; that of the box is 1."""
MISSING_DECAY = 0.7
"""Factor on the box overlap for every frame in which the person was missing."""
SAME_BOX_OVERLAP = 0.3
"""Intersection over union of two boxes from which they count as the same place."""
APPEARANCE_RATE = 0.06
"""Share of a new appearance that the track takes over per frame: enough for changing light, too little for errors of
one frame."""
SPEED_RATE = 0.5
"""Share of a new speed that the track takes over per frame."""
MOST_TRACKS = 8
"""People who are remembered; those not seen for longest are forgotten."""
PROBATION = 3
"""Frames for which an expected box is valid, and for which somebody who may be the lost person is watched."""
PATIENCE = 25
"""Frames without the followed person after which a newcomer may replace them, from anywhere; about a second."""
REACH = 0.75
"""Distance, in longer sides of the box, from where a person was lost, in which they are expected until then."""
FORBIDDEN = -1e6  # score of a pair that must not be assigned
SHOWN_RANGES = 8  # ranges of frames in one event


@dataclass(frozen=True, eq=False)
class _Track:
    """One person: appearance, last box and speed."""

    appearance: PersonAppearance
    box: Box | None  # last one in this scene
    speed: np.ndarray  # (2,) of the box's centre, in pixels per frame
    born: int  # first frame
    seen: int  # last frame with this person

    def expected(self, index: int) -> Box | None:
        """The box expected in frame `index`, at constant speed for at most `PROBATION` frames."""
        if self.box is None:
            return None
        across, down = self.speed * min(index - self.seen, PROBATION)
        return self.box[0] + across, self.box[1] + down, self.box[2] + across, self.box[3] + down

    def updated(self, index: int, one: PoseEstimate, appearance: PersonAppearance) -> _Track:
        """The track after one more detection."""
        speed = self.speed
        if self.box is not None:
            step = (_centre(one.box) - _centre(self.box)) / (index - self.seen)
            speed = speed + SPEED_RATE * (step - speed)
        distance = appearance_distance(self.appearance, appearance)
        matches = distance is None or distance <= SAME_APPEARANCE
        known = self.appearance.updated(appearance, APPEARANCE_RATE) if matches else self.appearance
        return replace(self, appearance=known, box=one.box, speed=speed, seen=index)


class PersonTracker:
    """Follows one person through the frames of one video, given in order."""

    def __init__(self, choice: PersonChoice = LARGEST) -> None:
        self._choice = choice
        self._tracks: dict[int, _Track] = {}
        self._wanted = self._followed = -1  # keys of the track chosen first, and of the one followed now
        self._searching = True  # nobody is chosen yet in this scene
        self._next_key = 0
        self._several: str | None = None  # message about the choice in the first frame with people
        self._hidden: list[tuple[int, int]] = []  # first and last frames in which only others are seen
        self._replaced: list[tuple[int, int]] = []

    def follow(
        self, index: int, picture: Picture, people: Sequence[PoseEstimate], cut: bool = False
    ) -> PoseEstimate | None:
        """The followed person among `people` (the largest first) of frame `index`; None where they are hidden.

        `cut`: a new scene begins with this frame. Raises PoseError if nobody among the first people fits the choice.
        """
        if cut:
            self._tracks = {k: replace(one, box=None, speed=np.zeros(2)) for k, one in self._tracks.items()}
            self._searching = True
        appearances = [person_appearance(picture, one.iuv) for one in people]
        assigned = self._assign(index, people, appearances)
        if self._searching and people:
            self._choose(index, people, assigned)
        elif self._followed not in assigned and people:
            self._take_over(index, assigned)
        place = assigned.get(self._followed)
        self._forget()
        if place is None and people:
            hidden = self._hidden.pop() if self._hidden and self._hidden[-1][1] == index - 1 else (index, index)
            self._hidden.append((hidden[0], index))
        return None if place is None else people[place]

    def confirm(self, index: int, picture: Picture, one: PoseEstimate, certain: bool = False) -> bool:
        """Learn of the followed person in frame `index`, who was found there by other means than `follow`.

        False, and nothing is learned, where the appearance is another known person's and not the followed one's; with
        `certain` it is then taken as theirs from now on.
        """
        track, appearance = self._tracks[self._followed], person_appearance(picture, one.iuv)
        distance = appearance_distance(track.appearance, appearance)
        if distance is not None and distance > DIFFERENT_PERSON:
            others = [known.appearance for key, known in self._tracks.items() if key != self._followed]
            apart = [appearance_distance(other, appearance) for other in others]
            if any(other is not None and other <= SAME_APPEARANCE for other in apart):
                if not certain:
                    return False
                track = replace(track, appearance=appearance)
        self._tracks[self._followed] = track.updated(index, one, appearance)
        return True

    def events(self) -> list[Event]:
        """The events of the whole clip, after its last frame."""
        events = []
        if self._several is not None:
            events.append(Event("several_people", self._several))
        if self._hidden:
            message = (
                f"only others were found in {named_ranges(self._hidden)}: the followed person's pose is held there"
            )
            events.append(Event("person_hidden", message))
        if self._replaced:
            message = f"another person is followed from {named_ranges(self._replaced)} on: the followed person was gone"
            events.append(Event("person_replaced", message))
        return events

    def _assign(
        self, index: int, people: Sequence[PoseEstimate], appearances: Sequence[PersonAppearance]
    ) -> dict[int, int]:
        """The index in `people` of every track that is seen, by key; newcomers get new tracks."""
        keys = list(self._tracks)
        scores = np.array([[self._score(index, k, people, appearances, j) for j in range(len(people))] for k in keys])
        pairs = zip(*linear_sum_assignment(scores, maximize=True), strict=True) if scores.size else []
        assigned = {keys[row]: int(column) for row, column in pairs if scores[row, column] > FORBIDDEN / 2}
        for key, place in assigned.items():
            self._tracks[key] = self._tracks[key].updated(index, people[place], appearances[place])
        for place in sorted(set(range(len(people))) - set(assigned.values())):
            self._tracks[self._next_key] = _Track(appearances[place], people[place].box, np.zeros(2), index, index)
            assigned[self._next_key] = place
            self._next_key += 1
        return assigned

    def _score(
        self, index: int, key: int, people: Sequence[PoseEstimate], appearances: Sequence[PersonAppearance], place: int
    ) -> float:
        """Score of a detection for a track; `FORBIDDEN` where it is another person."""
        track = self._tracks[key]
        expected = track.expected(index)
        shared = 0.0 if expected is None else float(overlap(np.array([expected]), np.array([people[place].box]))[0])
        distance = appearance_distance(track.appearance, appearances[place])
        near = index - track.seen <= PROBATION and shared >= SAME_BOX_OVERLAP
        alone = len(self._tracks) == 1 and len(people) == 1  # no confusion is possible
        if distance is None:
            fits = near or alone
        else:
            fits = distance <= SAME_APPEARANCE or (near and (distance <= DIFFERENT_PERSON or alone))
        if not fits:
            return FORBIDDEN
        similarity = 0.0 if distance is None else 1 - distance / DIFFERENT_PERSON
        return shared * MISSING_DECAY ** (index - track.seen - 1) + APPEARANCE_WEIGHT * similarity

    def _choose(self, index: int, people: Sequence[PoseEstimate], assigned: dict[int, int]) -> None:
        """Choose whom to follow in a new scene: by `--person` in the first, then by appearance, else the largest."""
        self._searching = False
        by_place = {place: key for key, place in assigned.items()}
        if self._wanted < 0:
            one = selected(people, self._choice, f"frame {index}")
            self._wanted = self._followed = by_place[_place_of(people, one)]
            if len(people) > 1:
                number = _place_of(from_left(people), one) + 1
                self._several = (
                    f"frame {index} shows {described(people)}: person {number} is followed; --person chooses another"
                )
        elif self._wanted in assigned:
            self._followed = self._wanted
        elif self._followed not in assigned:
            self._followed = by_place[0]
            self._replaced.append((index, index))

    def _take_over(self, index: int, assigned: dict[int, int]) -> None:
        """Follow a newcomer in place of the lost person.

        A newcomer who appeared after the person was lost may be the same person, badly detected. The tracks are merged
        if the appearances match, or stay ambiguous for `PROBATION` frames near the place of the loss. With `--person
        largest` a stranger replaces the lost person after `PATIENCE` frames, so that the rest of the video is not one
        held pose.
        """
        lost = self._tracks[self._followed]
        for key in sorted(assigned, key=lambda key: assigned[key]):
            newcomer = self._tracks[key]
            if newcomer.born <= lost.seen:
                continue
            distance = appearance_distance(lost.appearance, newcomer.appearance)
            watched = index - newcomer.born >= PROBATION
            ambiguous = watched and (distance is None or distance <= DIFFERENT_PERSON) and self._is_stranger(newcomer)
            ambiguous = ambiguous and (index - lost.seen >= PATIENCE or _in_reach(lost.box, newcomer.box))
            if ambiguous or (distance is not None and distance <= SAME_APPEARANCE):
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
        """Whether the newcomer differs from everybody who was known before the followed person was lost."""
        lost = self._tracks[self._followed]
        known = [one for one in self._tracks.values() if one.born <= lost.seen and one is not lost]
        distances = [appearance_distance(one.appearance, newcomer.appearance) for one in known]
        return all(distance is not None and distance > DIFFERENT_PERSON for distance in distances)

    def _forget(self) -> None:
        """Drop the tracks not seen for longest, but never the wanted or the followed one."""
        others = [key for key in self._tracks if key not in (self._wanted, self._followed)]
        others.sort(key=lambda key: self._tracks[key].seen)
        for key in others[: max(0, len(self._tracks) - MOST_TRACKS)]:
            del self._tracks[key]


def named_ranges(pairs: Sequence[tuple[int, int]]) -> str:
    """Ranges of frames (first and last) in words: "frames 3, 7-12 and 4 more ranges"."""
    shown = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in pairs[:SHOWN_RANGES])
    more = f" and {len(pairs) - SHOWN_RANGES} more ranges" if len(pairs) > SHOWN_RANGES else ""
    one = len(pairs) == 1 and pairs[0][0] == pairs[0][1]
    return f"frame{'' if one else 's'} {shown}{more}"


def runs_of(marks: np.ndarray) -> list[tuple[int, int]]:
    """First and last index of every run of True in (n,) bool."""
    steps = np.diff(np.concatenate([[0], marks.astype(np.int8), [0]]))
    return [(int(a), int(b) - 1) for a, b in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)]


def _place_of(people: Sequence[PoseEstimate], one: PoseEstimate) -> int:
    return next(place for place, other in enumerate(people) if other is one)


def _in_reach(last: Box | None, box: Box | None) -> bool:
    """Whether a box may be that of a person who was last seen in another; True where either place is unknown."""
    if last is None or box is None:
        return True
    return bool(np.hypot(*(_centre(box) - _centre(last))) <= REACH * max(last[2] - last[0], last[3] - last[1]))


def _centre(box: Box) -> np.ndarray:
    return np.array([box[0] + box[2], box[1] + box[3]]) / 2
