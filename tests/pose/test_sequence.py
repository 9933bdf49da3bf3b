"""Estimating a video's poses: frames without a person hold another frame's pose and are marked; memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcld_anim.core.errors import PoseError, UsageError
from mcld_anim.core.events import Event
from mcld_anim.options.person import PersonChoice
from mcld_anim.pose.backends import PoseEstimate, estimate_of, load_pose_backend
from mcld_anim.pose.iuv_file import write_iuv_sequence
from mcld_anim.pose.iuv_picture import iuv_box
from mcld_anim.pose.precomputed import precomputed_iuv, precomputed_poses
from mcld_anim.pose.sequence import estimate_sequence
from mcld_anim.video.cuts import FLASH_FRAMES
from mcld_anim.video.read import VideoFrame, read_frames


class BrightPixels:
    """Detects bright pixels as a person's front torso, with the brightness as U."""

    name = "bright"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def estimate(self, pictures: Sequence[np.ndarray]) -> list[list[PoseEstimate]]:
        self.batches.append(len(pictures))
        return [self._one(picture) for picture in pictures]

    def _one(self, picture: np.ndarray) -> list[PoseEstimate]:
        bright = picture[..., 0] > 100
        iuv = np.stack([bright * np.uint8(2), picture[..., 0] * bright, bright * np.uint8(0)], axis=-1)
        one = estimate_of(iuv.astype(np.uint8), 0.9)
        return [] if one is None else [one]


def video(*levels: int) -> Iterator[VideoFrame]:
    """Frames with a rectangle of each brightness; below 101 there is no person."""
    for index, level in enumerate(levels):
        picture = np.zeros((20, 16, 3), np.uint8)
        picture[2 + index : 10 + index, 3:9] = level
        yield VideoFrame(index, 2.0 + index / 10, picture)


@pytest.mark.parametrize("batch_size", [1, 2, 4, 100])
@pytest.mark.parametrize("name", ["poses", "poses.zip"])
def test_frames_without_a_person_hold_a_pose_and_are_marked(tmp_path: Path, batch_size: int, name: str) -> None:
    done: list[int] = []
    sequence = estimate_sequence(
        video(0, 0, 150, 0, 170, 180, 0),
        BrightPixels(),
        tmp_path / name,
        Fraction(10),
        batch_size,
        on_frame=done.append,
    )
    assert [int(iuv[..., 1].max()) for iuv in sequence] == [150, 150, 150, 150, 170, 180, 180]
    assert sequence.person_found.tolist() == [False, False, True, False, True, True, False]
    assert done == [1, 2, 3, 4, 5, 6, 7]
    assert (sequence.fps, sequence.start, sequence.meta["densepose"]) == (10, 2.0, "bright")
    boxes = [sequence.box(index) for index in range(len(sequence))]
    assert [box for box in boxes if box is not None] == [(3, 4, 9, 12), (3, 6, 9, 14), (3, 7, 9, 15)]


def test_a_video_without_anybody_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(PoseError, match=r"any of 3 frames .*bright"):
        estimate_sequence(video(0, 50, 100), BrightPixels(), tmp_path / "poses")
    with pytest.raises(PoseError, match="no frame"):
        estimate_sequence(video(), BrightPixels(), tmp_path / "poses")
    assert not list(tmp_path.iterdir())


def test_only_one_batch_of_frames_and_those_ahead_are_alive(tmp_path: Path) -> None:
    alive: list[int] = []

    class Counting(BrightPixels):
        def estimate(self, pictures: Sequence[np.ndarray]) -> list[list[PoseEstimate]]:
            alive.append(len(given) - self.total)
            self.total += len(pictures)
            return super().estimate(pictures)

        total = 0

    given: list[int] = []

    def frames() -> Iterator[VideoFrame]:
        for frame in video(*[200] * 12):
            given.append(frame.index)
            yield frame

    estimate_sequence(frames(), Counting(), tmp_path / "poses", batch_size=3)
    assert max(alive) <= 3 + FLASH_FRAMES


def test_the_box_is_tight() -> None:
    iuv = np.zeros((9, 9, 3), np.uint8)
    assert iuv_box(iuv) is None
    assert estimate_of(iuv, 0.7) is None
    iuv[2:5, 7] = 1
    assert iuv_box(iuv) == (7, 2, 8, 5)


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(UsageError, match="tiny, body, detectron2"):
        load_pose_backend("openpose")


def stored(tmp_path: Path, fps: Fraction | None, count: int = 10) -> Path:
    frames = []
    for index in range(count):
        iuv = np.zeros((20, 10, 3), np.uint8)
        iuv[4:8, 2:6] = 2, index, 9
        frames.append(iuv)
    write_iuv_sequence(tmp_path / "poses.zip", frames, fps)
    return tmp_path / "poses.zip"


def shown(poses: object) -> list[int]:
    return [int(iuv[..., 1].max()) for iuv in (poses[index] for index in range(len(poses)))]  # type: ignore


def test_precomputed_poses_are_found_by_time(tmp_path: Path) -> None:
    path = stored(tmp_path, Fraction(10))
    assert shown(precomputed_poses(path, [0.0, 0.1, 0.2])) == [0, 1, 2]
    assert shown(precomputed_poses(path, [0.2, 0.4, 0.6])) == [2, 4, 6]
    assert shown(precomputed_poses(path, [0.0, 0.05 - 1e-9, 0.9 + 0.04])) == [0, 0, 9]
    with pytest.raises(PoseError, match=r"covers 0\.00 to 1\.00 s"):
        precomputed_poses(path, [0.0, 1.5])


def test_precomputed_poses_without_a_rate_need_one_per_frame(tmp_path: Path) -> None:
    path = stored(tmp_path, None)
    assert shown(precomputed_poses(path, [7.0 + index for index in range(10)])) == list(range(10))
    with pytest.raises(PoseError, match="10 frames and no frame rate"):
        precomputed_poses(path, [0.0, 1.0])


def test_precomputed_poses_are_scaled_to_the_video_but_not_squashed(tmp_path: Path) -> None:
    path = stored(tmp_path, Fraction(10))
    poses = precomputed_poses(path, [0.3], (40, 20))
    assert poses[0].shape == (40, 20, 3)
    assert set(np.unique(poses[0][..., 0])) == {0, 2}
    assert poses.box(0) == (4, 8, 12, 16) == iuv_box(poses[0])
    assert precomputed_iuv(path, (10, 5)).shape == (10, 5, 3)
    with pytest.raises(PoseError, match="another picture or video"):
        precomputed_poses(path, [0.0], (20, 20))


class KnowsEverybody:
    """Returns the true people of a clip's frames, which are requested in order, in an order of its own."""

    name = "true"

    def __init__(self, clip: Sequence[Any]) -> None:
        self.clip, self.asked = clip, 0

    def estimate(self, pictures: Sequence[np.ndarray]) -> list[list[PoseEstimate]]:
        self.asked += len(pictures)
        return [self.clip[k].shuffled(k) for k in range(self.asked - len(pictures), self.asked)]


@pytest.mark.parametrize("batch_size", [1, 3, 8])
def test_one_person_is_followed_through_a_real_video(
    tmp_path: Path, crossing: Any, people_frame: Any, clip_writer: Any, batch_size: int
) -> None:
    """Two people cross, then the video cuts to a room where they have swapped places."""
    back, front = 960_001, 960_002
    clip = [*crossing(back, front), *[people_frame([("front", front, 60), ("back", back, 190)], 1, wall=40)] * 6]
    clip_writer(tmp_path / "two.mp4", [shown.picture for shown in clip])
    told: list[Event] = []
    sequence = estimate_sequence(
        read_frames(tmp_path / "two.mp4"),
        KnowsEverybody(clip),
        tmp_path / "poses.zip",
        batch_size=batch_size,
        person=PersonChoice(number=1),
        on_event=told.append,
    )
    assert np.flatnonzero(sequence.cuts).tolist() == [29]
    assert sequence.meta["person"] == "1"
    assert [event.kind for event in sequence.events] == ["several_people", "person_hidden"]
    assert sequence.events == told
    held = None
    for shown, iuv, found in zip(clip, sequence, sequence.person_found, strict=True):
        held = shown.people["back"].iuv if found else held
        np.testing.assert_array_equal(iuv, held)
    hidden = [index for index, shown in enumerate(clip) if "back" not in shown.people]
    assert set(np.flatnonzero(~sequence.person_found)) >= set(hidden)
    assert (~sequence.person_found).sum() <= len(hidden) + 3


def test_a_scene_that_begins_without_the_person_takes_the_first_pose_of_its_own(tmp_path: Path) -> None:
    """No pose is held across a cut, from a black room to a red one."""
    frames = list(video(150, 150, 150, 150, 150))
    for frame in video(100, 100, 105, 110, 110, 110):
        picture = frame.picture.copy()
        picture[..., 2] = 255
        frames.append(VideoFrame(len(frames), len(frames) / 10, picture))
    sequence = estimate_sequence(frames, BrightPixels(), tmp_path / "poses", Fraction(10))
    assert np.flatnonzero(sequence.cuts).tolist() == [5]
    assert [int(iuv[..., 1].max()) for iuv in sequence] == [150] * 5 + [105] * 3 + [110] * 3
    assert np.flatnonzero(~sequence.person_found).tolist() == [5, 6]
