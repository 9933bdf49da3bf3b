"""A first look at a video: it ends at the first person, and looks closely at few frames of an empty one."""

from __future__ import annotations

import numpy as np
import pytest

from mcld_anim.core.arrays import Picture
from mcld_anim.pose.blazepose import BlazePose, BodyLook, Region
from mcld_anim.pose.first_sight import SPARSE, shows_person
from mcld_anim.video.read import VideoFrame

FRAMES = 2 * SPARSE + 10
PERSON = BodyLook(
    np.zeros((33, 2)),
    np.ones(33),
    np.zeros((33, 3)),
    1.0,
    np.zeros((256, 256), np.uint8),
    *(Region(np.zeros(2), 9.0, 0.0),) * 2,
)


class Networks(BlazePose):
    """Sees a person in pictures whose first pixel is 2, and one who is small where it is 1; counts its looks."""

    def __init__(self) -> None:
        self.whole, self.close = 0, 0

    def find(self, picture: Picture, small: bool = True) -> list[BodyLook]:
        self.whole += not small
        self.close += small
        return [PERSON] if picture[0, 0, 0] >= (1 if small else 2) else []


def video(shown: dict[int, int]) -> list[VideoFrame]:
    return [VideoFrame(index, index / 10, np.full((2, 2, 3), shown.get(index, 0), np.uint8)) for index in range(FRAMES)]


def test_an_empty_video_is_looked_at_closely_in_few_frames_and_in_its_last() -> None:
    networks, told = Networks(), list[int]()
    assert not shows_person(video({}), networks, told.append)
    assert (networks.whole, networks.close) == (FRAMES - 3, 3 + 1)
    assert told == list(range(1, FRAMES + 1))


@pytest.mark.parametrize("index", [0, 1, SPARSE - 1, SPARSE, FRAMES - 1])
def test_a_person_in_a_single_frame_is_enough_and_ends_the_look(index: int) -> None:
    told: list[int] = []
    assert shows_person(video({index: 2, FRAMES - 1: 2}), Networks(), told.append)
    assert len(told) == index


@pytest.mark.parametrize("first", [0, 1, 3, SPARSE, FRAMES - SPARSE])
def test_somebody_small_is_seen_who_stays_for_a_moment(first: int) -> None:
    assert shows_person(video(dict.fromkeys(range(first, first + SPARSE), 1)), Networks())


def test_somebody_small_is_seen_in_the_last_frame() -> None:
    assert shows_person(video({FRAMES - 1: 1}), Networks())


def test_small_people_are_looked_for_as_often_where_frames_are_left_out() -> None:
    networks, told = Networks(), list[int]()
    assert not shows_person(video({})[::4], networks, told.append)
    assert (networks.whole, networks.close) == (len(video({})[::4]) - 3, 3 + 1)
    assert told == list(range(1, FRAMES + 1, 4))


def test_a_video_without_frames_shows_nobody() -> None:
    assert not shows_person([], Networks())
