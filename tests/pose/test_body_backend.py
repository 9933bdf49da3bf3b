"""`--densepose body` with the real networks: against exact IUV, held frames, cuts, and the choice of a person."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from mcld_anim.body.draw import BodyPainter
from mcld_anim.body.fit import ClipLandmarks
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import Event
from mcld_anim.evaluate.densepose import compare_iuv
from mcld_anim.model.choose import choose_densepose, find_model
from mcld_anim.options.person import PersonChoice
from mcld_anim.pose import body_follower, track
from mcld_anim.pose.backends import load_pose_backend
from mcld_anim.pose.blazepose import BlazePose, BodyLook
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.pose.body_follower import BodyFollower, looks_shown
from mcld_anim.pose.followed_body import BodyFrame, hidden_sides
from mcld_anim.pose.sequence import estimate_sequence
from mcld_anim.synthetic.dance import dance_pose
from mcld_anim.synthetic.person import Person, Rendering, render
from mcld_anim.synthetic.scene import Light, View, draw_background
from mcld_anim.video.read import VideoFrame

CPU = torch.device("cpu")
SIZE, FRAMES = 256, 9
EMPTY = (4, 5)
"""Frames of `clip` that show the wall only."""
ARMS = {3, 4, 19, 20, 21, 22}
"""DensePose's parts of hands and forearms."""


def rendered(seed: int, seconds: float, zoom: float = 0.8, wall: int | None = None) -> Rendering:
    background = draw_background(np.random.default_rng(wall or seed), SIZE, "floor")
    return render(Person.from_seed(seed), dance_pose(seconds), View(zoom=zoom), Light(), background, SIZE, 1)


def wall_of(seed: int) -> np.ndarray:
    return np.rint(draw_background(np.random.default_rng(seed), SIZE, "floor") * 255).astype(np.uint8)


def video(pictures: Sequence[np.ndarray]) -> list[VideoFrame]:
    return [VideoFrame(index, index / 10, picture) for index, picture in enumerate(pictures)]


def followed(backend: BodyBackend, pictures: Sequence[np.ndarray], number: int | None = None) -> list[BodyFrame]:
    """One person through a video: the largest, or the n-th from the left."""
    with tempfile.TemporaryFile() as masks:
        return list(backend.fit(video(pictures), PersonChoice(number=number), masks).frames())


@pytest.fixture(scope="module")
def truth() -> list[Rendering]:
    return [rendered(12, 0.2 + index / 10) for index in range(FRAMES)]


@pytest.fixture(scope="module")
def clip(truth: list[Rendering], body_backend: BodyBackend) -> list[BodyFrame]:
    """A dance; the dancer is away in `EMPTY`."""
    pictures = [wall_of(12) if index in EMPTY else one.picture for index, one in enumerate(truth)]
    return followed(body_backend, pictures)


def test_a_dance_is_close_to_the_exact_iuv(clip: list[BodyFrame], truth: list[Rendering]) -> None:
    measured = [
        compare_iuv(one.iuv, exact.iuv)
        for index, (one, exact) in enumerate(zip(clip, truth, strict=True))
        if index not in EMPTY
    ]
    assert min(one["densepose_foreground_iou"] for one in measured) > 0.94
    assert min(one["densepose_part_accuracy"] for one in measured) > 0.88
    assert max(one["densepose_uv_error"] for one in measured) < 0.04


def test_the_mesh_of_a_clip_wears_its_clothes(body_backend: BodyBackend, truth: list[Rendering]) -> None:
    with tempfile.TemporaryFile() as masks:
        body = body_backend.fit(video([one.picture for one in truth]), PersonChoice(), masks)
        naked = BodyPainter(body.motion.shape)
        worn, bare = (
            [compare_iuv(drawn(index), one.iuv)["densepose_foreground_iou"] for index, one in enumerate(truth)]
            for drawn in (body.mesh_iuv, lambda index: naked.iuv(body.motion, index))
        )
    assert np.mean(worn) > np.mean(bare) + 0.03
    assert min(worn) > 0.85


def test_frames_without_the_person_are_held_and_marked(clip: list[BodyFrame], truth: list[Rendering]) -> None:
    assert [index for index, one in enumerate(clip) if not one.found] == list(EMPTY)
    assert not any(one.cut for one in clip)
    for index, neighbour in zip(EMPTY, (EMPTY[0] - 1, EMPTY[1] + 1), strict=True):
        assert compare_iuv(clip[index].iuv, truth[neighbour].iuv)["densepose_foreground_iou"] > 0.85


def test_a_single_picture_is_close_too(body_backend: BodyBackend, truth: list[Rendering]) -> None:
    first, second = body_backend.estimate([truth[0].picture, wall_of(12)])
    assert second == []
    (one,) = first
    measured = compare_iuv(one.iuv, truth[0].iuv)
    assert measured["densepose_foreground_iou"] > 0.93
    assert measured["densepose_part_accuracy"] > 0.86
    assert 0.9 < one.score <= 1
    rows, columns = np.nonzero(one.iuv[..., 0])
    assert one.box == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)


def test_a_video_of_nobody_is_refused_and_nothing_written(body_backend: BodyBackend, tmp_path: Path) -> None:
    with pytest.raises(PoseError, match=r"no person was found in any of 3 frames \(densepose: body\)"):
        estimate_sequence(video([wall_of(12)] * 3), body_backend, tmp_path / "poses.zip")
    with pytest.raises(PoseError, match="no frame"):
        estimate_sequence([], body_backend, tmp_path / "poses.zip")
    assert not list(tmp_path.iterdir())


def test_the_chosen_one_of_two_is_followed(body_backend: BodyBackend) -> None:
    frames = [
        np.concatenate([rendered(31, moment, 0.85, 3).picture, rendered(40, moment, 0.75, 3).picture], 1)
        for moment in (0.2, 0.3)
    ]

    second = followed(body_backend, frames, 2)
    assert min(np.nonzero(one.iuv[..., 0])[1].mean() for one in second) > SIZE
    with pytest.raises(PoseError, match=r"--person 3: frame 0 shows 2 people"):
        followed(body_backend, frames[:1], 3)
    (people,) = body_backend.estimate(frames[:1])
    assert [one.box[0] > SIZE for one in people] == [False, True]  # the larger one is first
    assert all(one.iuv.shape == (SIZE, 2 * SIZE, 3) for one in people)
    first, second = (one.body for one in people)
    assert first is not None
    assert second is not None
    assert np.array_equal(first.others, second.matte)
    assert np.array_equal(second.others, first.matte)


def test_the_file_has_the_cut_and_each_scene_its_own_poses(body_backend: BodyBackend, tmp_path: Path) -> None:
    dark = np.random.default_rng(0).integers(0, 60, (8, 20, 3)).repeat(32, 0).repeat(32, 1).astype(np.uint8)
    light = np.concatenate([wall_of(12), wall_of(12)[:, ::-1], wall_of(12)[:, :128]], 1)
    first, second = [light.copy() for _ in range(5)], [dark.copy() for _ in range(6)]
    dancer, singer = ([rendered(seed, 0.2 + index / 10) for index in range(6)] for seed in (12, 31))
    for index in range(4):  # in the fifth frame the dancer is away
        first[index][:, :SIZE] = dancer[index].picture
    for index in range(2, 6):  # the singer comes in the third frame of the new scene, on the other side
        person = singer[index].iuv[..., 0] > 0
        second[index][:, 384:][person] = singer[index].picture[person]
    done: list[int] = []
    made = estimate_sequence(
        video([*first, *second]), body_backend, tmp_path / "poses.zip", Fraction(10), on_frame=done.append
    )
    assert done == list(range(1, 12))
    assert (made.fps, made.start, made.meta["densepose"], made.meta["person"]) == (10, 0.0, "body", "largest")
    assert np.flatnonzero(made.cuts).tolist() == [5]
    assert np.flatnonzero(~made.person_found).tolist() == [4, 5, 6]
    sides = [float(np.nonzero(iuv[..., 0])[1].mean()) > 320 for iuv in made]
    assert sides == [False] * 5 + [True] * 6  # a pose is held in its own scene
    shown = compare_iuv(made[5][:, 384:], singer[2].iuv)
    assert shown["densepose_foreground_iou"] > 0.85


def walkers(places: Sequence[dict[int, int]]) -> list[np.ndarray]:
    """Frames (SIZE, 3 SIZE, 3) of people by seed, each with the left edge of their picture; later ones in front."""
    wall = np.concatenate([wall_of(12), wall_of(12)[:, ::-1], wall_of(12)], 1)
    frames = []
    for index, shown in enumerate(places):
        frame = wall.copy()
        for seed, left in shown.items():
            one = rendered(seed, 0.2 + index / 15)
            person = one.iuv[..., 0] > 0
            frame[:, left : left + SIZE][person] = one.picture[person]
        frames.append(frame)
    return frames


def middles(frames: Sequence[BodyFrame]) -> list[float]:
    """Column of each frame's person."""
    return [float(np.nonzero(one.iuv[..., 0])[1].mean()) - SIZE / 2 for one in frames]


def test_whoever_is_hidden_by_another_comes_back_as_themselves(body_backend: BodyBackend, tmp_path: Path) -> None:
    steps = np.linspace(0, 2 * SIZE, 13).astype(int)
    pictures = walkers([{31: SIZE, 12: left} for left in steps])  # the first passes in front of the second, who stands
    events: list[Event] = []
    made = estimate_sequence(
        video(pictures), body_backend, tmp_path / "poses.zip", person=PersonChoice(number=2), on_event=events.append
    )
    found = np.array([bool(one) for one in made.person_found])
    places = np.array([np.nonzero(iuv[..., 0])[1].mean() for iuv in made]) - SIZE / 2
    assert found[:4].all()
    assert found[-4:].all()
    assert np.abs(places[found] - SIZE).max() < 0.25 * SIZE  # never the other's pose
    assert [event.kind for event in events][:1] == ["several_people"]
    assert "person 2 is followed" in events[0].message


def test_who_left_is_known_by_their_look_and_no_other_takes_their_place(
    body_backend: BodyBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    patience = 5
    for module in (track, body_follower):
        monkeypatch.setattr(module, "PATIENCE", patience)
    away = [{31: 2 * SIZE}] * patience
    pictures = walkers([{12: 0, 31: 2 * SIZE}] * 3 + away + [{31: SIZE // 4, 12: 2 * SIZE}] * 6)
    with tempfile.TemporaryFile() as masks:
        body = body_backend.fit(video(pictures), PersonChoice(number=1), masks)
        places = middles(list(body.frames()))
    found = body.seen.found.tolist()
    assert found[: 3 + patience] == [True] * 3 + [False] * patience
    assert found[-3:] == [True] * 3  # sooner where the appearance is unmistakable
    assert max(places[:3]) < 0.3 * SIZE
    assert min(places[-3:]) > 1.7 * SIZE
    assert [event.kind for event in body.events] == ["several_people", "person_hidden"]


def test_a_person_without_pixels_is_not_chosen(body_backend: BodyBackend) -> None:
    (one,) = body_backend.networks.find(rendered(12, 0.2).picture)
    unseen = replace(one, mask=np.zeros_like(one.mask))

    class Networks(BlazePose):
        found = iter([[unseen], [one]])
        hands = body_backend.networks.hands

        def __init__(self) -> None:
            """There is no network."""

        def find(self, picture: np.ndarray, small: bool = True) -> list[BodyLook]:
            return next(self.found)

    with tempfile.TemporaryFile() as masks:
        clip = BodyFollower(Networks(), PersonChoice(number=1), masks)
        for frame in video([np.zeros((SIZE, SIZE, 3), np.uint8)] * 2):
            clip.add(frame, cut=False)
        assert clip.fitted().seen.found.tolist() == [False, True]


def test_each_frame_shows_the_nearest_look_of_its_scene() -> None:
    found = np.array([0, 1, 0, 0, 1, 0, 0, 0, 1, 0], bool)
    whole = looks_shown(found, [slice(0, 10)])
    assert whole.tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]
    assert looks_shown(found, [slice(0, 5), slice(5, 10)]).tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2, 2]
    assert looks_shown(found, [slice(0, 5), slice(5, 8), slice(8, 10)]).tolist() == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2]


def test_a_portrait_has_no_arms_that_it_does_not_show(body_backend: BodyBackend) -> None:
    ((one,),) = body_backend.estimate([data.astronaut()])
    parts = set(np.unique(one.iuv[..., 0]).tolist()) - {0}
    assert not parts & ARMS
    assert parts >= {2, 15, 16, 23, 24}  # chest, upper arms, head
    assert one.iuv[125, 220, 0] in (23, 24)
    assert one.iuv[400, 200, 0] == 2
    assert one.iuv[20, 20, 0] == 0


def test_arms_are_hidden_only_in_portraits_and_only_where_wrists_are_not_seen() -> None:
    xy, visibility = np.full((20, 33, 2), 50.0), np.ones((20, 33))
    seen = ClipLandmarks(xy, visibility, np.zeros((20, 33, 3)), np.ones(20, bool), (100, 100))
    visibility[:, [13, 15]] = 0.1
    assert hidden_sides(seen) == [""] * 20  # the knees are in the picture
    xy[:, [25, 26], 1] = 130
    assert hidden_sides(seen) == ["L"] * 20
    visibility[:, [14, 16]] = 0.1
    visibility[9, 13:17] = 1  # a single frame does not let an arm flicker
    assert hidden_sides(seen) == ["LR"] * 20
    visibility[:, 14] = 0.7  # as where arms are crossed
    assert hidden_sides(seen) == ["L"] * 20


def test_auto_takes_the_body_where_the_networks_are_pulled(
    blazepose_home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MCLD_ANIM_HOME", str(blazepose_home))
    assert choose_densepose("auto", CPU, find_model("tiny")) == choose_densepose("auto", CPU) == "body"
    assert choose_densepose("tiny", CPU, find_model("tiny")) == "tiny"
    assert isinstance(load_pose_backend("body"), BodyBackend)
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path))
    assert choose_densepose("auto", CPU, find_model("tiny")) == "tiny"
