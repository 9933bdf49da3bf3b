"""Cuts in real videos are found at the exact frame, and none in dances, pans and flashes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from mcld_anim.core.arrays import Picture
from mcld_anim.synthetic.backdrops import make_backgrounds
from mcld_anim.synthetic.person import Rendering
from mcld_anim.video.cuts import FLASH_FRAMES, LOST, lost, thumbnail, with_cuts
from mcld_anim.video.read import VideoFrame, read_frames

SIZE = 128


def cuts(pictures: Sequence[Picture]) -> list[int]:
    """The frames with which a new scene begins."""
    frames = [VideoFrame(index, index / 25, picture) for index, picture in enumerate(pictures)]
    found = list(with_cuts(frames))
    assert [frame for frame, _ in found] == frames
    return [frame.index for frame, cut in found if cut]


@pytest.fixture(scope="module")
def rooms() -> list[Picture]:
    """Wide pictures without people."""
    return [cv2.resize(room, (5 * SIZE, SIZE)) for room in make_backgrounds(4, 77)]


def pan(room: Picture, step: int, frames: int = 9) -> list[Picture]:
    """A camera that pans by `step` pixels per frame along a wide room."""
    return [np.ascontiguousarray(room[:, k * step : k * step + SIZE]) for k in range(frames)]


def test_a_dance_has_no_cuts(dance: list[Rendering]) -> None:
    """At ten frames a second, where limbs move far."""
    assert cuts([one.picture for one in dance]) == []


@pytest.mark.parametrize("step", [3, 12, 22])
def test_a_pan_has_no_cuts(rooms: list[Picture], step: int) -> None:
    for room in rooms:
        assert cuts(pan(room, step)) == []


def test_where_every_frame_is_unlike_the_last_nothing_is_a_cut(rooms: list[Picture]) -> None:
    """A shaking camera, which loses more than many cuts, but in every frame."""
    views = [np.ascontiguousarray(room[:, left : left + SIZE]) for left in (0, 250, 500) for room in rooms]
    assert all(lost(thumbnail(one), thumbnail(other)) >= LOST for one, other in pairwise(views))
    assert cuts(views) == []


@pytest.mark.parametrize("gain", [1.4, 2.5, 8.0])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_flash_is_no_cut(dance: list[Rendering], gain: float, frames: int) -> None:
    pictures = [one.picture for one in dance]
    for index in range(4, 4 + frames):
        pictures[index] = np.clip(pictures[index] * gain + 10 * gain, 0, 255).astype(np.uint8)
    assert cuts(pictures) == []


def test_light_that_comes_and_goes_slowly_is_no_cut(dance: list[Rendering]) -> None:
    light = [1, 1, 1.2, 1.4, 1.6, 1.4, 1.2, 1, 0.7, 0.5, 0.5]
    assert cuts([np.clip(one.picture * k, 0, 255).astype(np.uint8) for one, k in zip(dance, light, strict=True)]) == []


def test_cuts_are_noticed_at_their_frame(dance: list[Rendering], rooms: list[Picture]) -> None:
    """To other rooms and back, to a closer view of the same dance, and to the last frame of all."""
    near = [cv2.resize(one.picture[8:72, 32:96], (SIZE, SIZE)) for one in dance[:6]]
    clip = [one.picture for one in dance[:6]]
    assert cuts([*clip, *pan(rooms[0], 4, 7), *clip]) == [6, 13]
    assert cuts([*clip, *near]) == [6]
    assert cuts([*pan(rooms[1], 4, 5), rooms[2][:, :SIZE]]) == [5]


def test_cuts_are_noticed_in_a_video_file(
    dance: list[Rendering], rooms: list[Picture], tmp_path: Path, clip_writer: Callable[..., None]
) -> None:
    clip_writer(tmp_path / "cut.mp4", [*pan(rooms[3], 4, 7), *(one.picture for one in dance)])
    assert [frame.index for frame, cut in with_cuts(read_frames(tmp_path / "cut.mp4")) if cut] == [7]


def test_frames_of_any_shape_are_looked_at() -> None:
    for shape in ((40, 700, 3), (700, 40, 3), (8, 8, 3)):
        random = np.random.default_rng(0)
        first, second = (random.integers(0, 256, shape).astype(np.uint8) for _ in range(2))
        assert cuts([first] * 3) == []
        assert lost(thumbnail(first), thumbnail(first)) == 0
        assert cuts([np.zeros(shape, np.uint8)] * 2 + [np.full(shape, (250, 0, 0), np.uint8)] * 2) == [2]
        assert len(cuts([first, second])) <= 1


def test_only_a_few_frames_are_read_ahead(dance: list[Rendering]) -> None:
    read = []

    def frames() -> Iterator[VideoFrame]:
        for index, one in enumerate(dance):
            read.append(index)
            yield VideoFrame(index, index / 25, one.picture)

    for given, _ in enumerate(with_cuts(frames())):
        assert len(read) <= given + 1 + FLASH_FRAMES


@pytest.mark.parametrize("shape", [(1, 400), (400, 1), (1, 1)])
def test_a_picture_a_pixel_wide_has_a_thumbnail(shape: tuple[int, int]) -> None:
    assert thumbnail(np.full((*shape, 3), 90, np.uint8)).mean() == 90
