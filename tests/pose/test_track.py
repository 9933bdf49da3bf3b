"""Following one person by place and appearance, with the true IUV of everybody, given in changing order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mcld_anim.core.errors import PoseError
from mcld_anim.options.person import LARGEST, PersonChoice, parse_person
from mcld_anim.pose.backends import PoseEstimate
from mcld_anim.pose.track import MOST_TRACKS, PROBATION, PersonTracker, named_ranges, runs_of
from mcld_anim.video.framing import overlap

Shown = Any  # a frame of tests/pose/conftest.py
Crossing = Callable[[int, int], list[Shown]]
Frame = Callable[..., Shown]
PAIRS = [(960_001, 960_002), (960_003, 960_004), (960_005, 960_001), (960_002, 960_006)]


def followed(clip: Sequence[Shown], choice: PersonChoice, cuts: Sequence[int] = ()) -> tuple[list[str], PersonTracker]:
    """The name of the followed person in each frame, "-" for nobody; the order of people changes every time."""
    tracker, names = PersonTracker(choice), []
    for index, shown in enumerate(clip):
        one = tracker.follow(index, shown.picture, shown.shuffled(index), index in cuts)
        names.append(next((name for name, other in shown.people.items() if other is one), "-"))
    return names, tracker


def nearest_box(clip: Sequence[Shown], name: str) -> list[str]:
    """The result of a tracker that always follows the nearest box."""
    box, names = clip[0].people[name].box, []
    for shown in clip:
        one = max(shown.people.values(), key=lambda one: overlap(np.array([one.box]), np.array([box]))[0])
        box = one.box
        names.append(next(name for name, other in shown.people.items() if other is one))
    return names


@pytest.mark.parametrize(("back", "front"), PAIRS)
def test_a_person_who_is_hidden_in_a_crossing_is_found_again(crossing: Crossing, back: int, front: int) -> None:
    clip = crossing(back, front)
    hidden = [index for index, shown in enumerate(clip) if "back" not in shown.people]
    assert len(hidden) >= 5
    assert "front" in nearest_box(clip, "back")  # so this clip is a real test
    names, tracker = followed(clip, PersonChoice(number=1))
    assert names[: hidden[0]] == ["back"] * hidden[0]
    assert set(names[hidden[0] : hidden[-1] + 1 + PROBATION]) <= {"back", "-"}
    assert names[hidden[-1] + 1 + PROBATION :] == ["back"] * (len(clip) - hidden[-1] - 1 - PROBATION)
    hidden_event = next(event for event in tracker.events() if event.kind == "person_hidden")
    assert f"{hidden[0]}-" in hidden_event.message


def test_the_nearest_box_alone_ends_with_the_wrong_person(crossing: Crossing) -> None:
    """For some pairs: after the crossing the result is random."""
    assert "front" in [nearest_box(crossing(back, front), "back")[-1] for back, front in PAIRS]


@pytest.mark.parametrize(("back", "front"), PAIRS)
def test_the_person_in_front_is_never_lost(crossing: Crossing, back: int, front: int) -> None:
    names, tracker = followed(crossing(back, front), PersonChoice(number=2))
    assert set(names) == {"front"}
    assert [event.kind for event in tracker.events()] == ["several_people"]
    assert "person 2 is followed" in tracker.events()[0].message


def test_after_a_cut_the_same_person_is_followed_wherever_it_is(people_frame: Frame) -> None:
    back, front = PAIRS[0]
    clip = [people_frame([("back", back, 60), ("front", front, 190)], 0)] * 3
    swapped = [people_frame([("front", front, 70), ("back", back, 180)], 2, wall=60)] * 3
    names, tracker = followed([*clip, *swapped], PersonChoice(number=1), cuts=[3])
    assert names == ["back"] * 6
    assert [event.kind for event in tracker.events()] == ["several_people"]


def test_somebody_else_after_a_cut_is_told_and_the_first_person_is_preferred_later(people_frame: Frame) -> None:
    first, other = 960_001, 960_002
    here = [people_frame([("first", first, 60)], 0)] * 3
    away = [people_frame([("other", other, 190)], 1, wall=60)] * 3
    both = [people_frame([("other", other, 60), ("first", first, 190)], 2, wall=110)] * 3
    names, tracker = followed([*here, *away, *both], LARGEST, cuts=[3, 6])
    assert names == ["first"] * 3 + ["other"] * 3 + ["first"] * 3
    (event,) = tracker.events()
    assert (event.kind, "frame 3" in event.message) == ("person_replaced", True)


def test_without_a_cut_a_stranger_is_not_taken_for_the_person_who_left(people_frame: Frame) -> None:
    first, other = 960_001, 960_002
    clip = [people_frame([("first", first, 100)], 0)] * 4 + [people_frame([("other", other, 210)], 0)] * 10
    for choice in (LARGEST, PersonChoice(number=1)):
        names, _ = followed(clip, choice)
        assert names == ["first"] * 4 + ["-"] * 10
    long = clip + [people_frame([("other", other, 210)], 0)] * 30
    assert followed(long, PersonChoice(number=1))[0][-1] == "-"
    names, tracker = followed(long, LARGEST)
    assert names[-1] == "other"
    assert [event.kind for event in tracker.events()] == ["person_hidden", "person_replaced"]


def test_one_person_is_followed_through_gaps_and_jumps(people_frame: Frame) -> None:
    places = [60, 64, None, None, 180, 176, 100, 104]
    clip = [people_frame([] if x is None else [("only", 960_003, x)], i // 2) for i, x in enumerate(places)]
    names, tracker = followed(clip, LARGEST)
    assert names == ["-" if x is None else "only" for x in places]
    assert tracker.events() == []


@pytest.mark.parametrize(
    ("given", "name"), [("largest", "near"), ("1", "far"), ("2", "near"), ("60,70", "far"), ("215,60", "near")]
)
def test_whom_to_follow_is_chosen_in_the_first_frame_with_people(given: str, name: str, people_frame: Frame) -> None:
    shown = people_frame([("far", 960_004, 60), ("near", 960_005, 190)], 0)
    people = sorted(shown.people.values(), key=lambda one: one is not shown.people["near"])
    tracker = PersonTracker(parse_person(given))
    assert tracker.follow(0, shown.picture, []) is None
    assert tracker.follow(1, shown.picture, people) is shown.people[name]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("3", r"--person 3: frame 0 shows 2 people \(1: x \d+ to \d+, y \d+ to \d+; 2: x .*\); give a number up to 2"),
        ("250,5", r"--person 250,5: nobody is at that point of frame 0, which shows 2 people"),
    ],
)
def test_who_is_there_is_said_where_the_choice_does_not_fit(given: str, words: str, people_frame: Frame) -> None:
    shown = people_frame([("left", 960_004, 50), ("right", 960_005, 150)], 0)
    with pytest.raises(PoseError, match=words):
        PersonTracker(parse_person(given)).follow(0, shown.picture, list(shown.people.values()))


def test_a_confirmed_person_is_known_where_they_went_and_another_is_noticed(people_frame: Frame) -> None:
    first, other = 960_001, 960_002
    both = people_frame([("first", first, 60), ("other", other, 190)], 0)
    tracker = PersonTracker(PersonChoice(number=1))
    assert tracker.follow(0, both.picture, both.shuffled(0)) is both.people["first"]
    moved = people_frame([("first", first, 100), ("other", other, 190)], 1)
    assert tracker.confirm(3, moved.picture, moved.people["first"])
    assert not tracker.confirm(4, moved.picture, moved.people["other"])
    sure = PersonTracker(PersonChoice(number=1))
    sure.follow(0, both.picture, both.shuffled(0))
    assert sure.confirm(3, moved.picture, moved.people["other"], certain=True)
    assert sure.confirm(4, moved.picture, moved.people["other"])  # that is what they look like now
    assert tracker.follow(5, moved.picture, moved.shuffled(5)) is moved.people["first"]
    assert [event.kind for event in tracker.events()] == ["several_people"]


def test_memory_does_not_grow_with_strangers(people_frame: Frame) -> None:
    """A new person of random colours in every frame, beside the followed person."""
    tracker, shown = PersonTracker(PersonChoice(number=1)), people_frame([("only", 960_001, 60)], 0)
    (one,) = shown.people.values()
    for index in range(30):
        picture, iuv = shown.picture.copy(), np.zeros_like(one.iuv)
        picture[20:100, 150 + 2 * index : 180 + 2 * index] = np.random.default_rng(index).integers(0, 256, 3)
        grid = np.mgrid[0:80, 0:30].astype(np.uint8)
        iuv[20:100, 150 + 2 * index : 180 + 2 * index] = np.stack([grid[0] // 4 + 1, grid[1] * 8, grid[0] * 3], -1)
        stranger = PoseEstimate(iuv, (150.0 + 2 * index, 20.0, 180.0 + 2 * index, 100.0), 0.9)
        assert tracker.follow(index, picture, [stranger, one]) is one
    assert len(tracker._tracks) <= MOST_TRACKS


def test_ranges_are_named_briefly() -> None:
    assert named_ranges([(3, 3)]) == "frame 3"
    assert named_ranges([(3, 3), (7, 12)]) == "frames 3, 7-12"
    assert named_ranges([(k, k) for k in range(0, 40, 2)]) == "frames 0, 2, 4, 6, 8, 10, 12, 14 and 12 more ranges"
    assert runs_of(np.array([True, False, True, True])) == [(0, 0), (2, 3)]
