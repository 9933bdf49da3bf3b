"""A clip made in three ranges is the clip made in one piece: every frame, row and event."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from mcld_anim.core.errors import UnfinishedError
from mcld_anim.core.events import Event
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import RunOptions
from mcld_anim.run.animate import animate
from mcld_anim.run.cache import RunCache
from mcld_anim.run.frame_range import FrameRange
from mcld_anim.run.ranges import join, make_range, split

CLIP_SIZE = 128

Given = Callable[..., tuple[RunOptions, RunCache]]


@pytest.fixture
def given(tmp_path: Path, media: Path, small_models: LoadedModels) -> Given:
    """Options for the sample clip in batches of 2, and a cache."""
    cache = RunCache(load=lambda *_: small_models)

    def make(name: str, **change: Any) -> tuple[RunOptions, RunCache]:
        usual: dict[str, Any] = {"source": media / "person.png", "driving": media / "dance.mp4", "densepose": "tiny"}
        usual |= {"batch_size": 2, "steps": 2, "guidance": 1.0, "crf": 0, "output": tmp_path / name / "x.mp4"}
        return RunOptions(**{**usual, **change}), cache

    return make


def ignore(_event: Event) -> None:
    """What the clip lost is of no interest here."""


def made(folder: Path) -> tuple[np.ndarray, list[list[str]], Any]:
    """The frames (F, H, W, 3), the rows of the report, and its summary."""
    with av.open(str(folder / "x.mp4")) as video:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])
    with (folder / "x.report.csv").open(newline="") as stream:
        return frames, list(csv.reader(stream)), json.loads((folder / "x.report.json").read_text())["summary"]


def check_same(tmp_path: Path) -> None:
    one, three = made(tmp_path / "one"), made(tmp_path / "three")
    np.testing.assert_array_equal(one[0], three[0])
    assert one[1] == three[1]
    assert one[2] == three[2]
    assert [path.name for path in (tmp_path / "three").iterdir() if path.name.startswith(".")] == []


def test_three_ranges_are_one_clip(given: Given, tmp_path: Path) -> None:
    change = {"min_face_similarity": 0.999, "retries": 1}  # which is counted over all frames
    animate(*given("one", blend=0.0, **change), on_event=ignore)
    ranges = split(*given("three", blend=0.0, **change), 3, on_event=ignore)
    assert ranges == (FrameRange(0, 4), FrameRange(4, 8), FrameRange(8, 11))
    for frames in reversed(ranges):
        make_range(*given("three", blend=0.0, **change), frames, on_event=ignore)
    join(*given("three", blend=0.0, **change), ranges, on_event=ignore)
    check_same(tmp_path)


def test_blended_frames_are_split_at_cuts(
    given: Given, tmp_path: Path, dance: list[Any], other_photo: Any, clip_writer: Callable[..., None]
) -> None:
    other = cv2.resize(other_photo.picture, (CLIP_SIZE, CLIP_SIZE), interpolation=cv2.INTER_AREA)
    clip_writer(tmp_path / "cut.mp4", [one.picture for one in dance[:5]] + [other] * 5)
    driving = tmp_path / "cut.mp4"
    told: list[Event] = []
    ranges = split(*given("three", driving=driving), 3, on_event=told.append)
    assert ranges == (FrameRange(0, 6), FrameRange(6, 10)), told
    animate(*given("one", driving=driving), on_event=ignore)
    for frames in ranges:
        make_range(*given("three", driving=driving), frames, on_event=ignore)
    join(*given("three", driving=driving), ranges, on_event=ignore)
    check_same(tmp_path)


def test_frames_that_depend_on_each_other_stay_together(given: Given) -> None:
    told: list[Event] = []
    assert split(*given("three"), 3, on_event=told.append) == (FrameRange(0, 11),)
    (why,) = [event.message for event in told if event.kind == "not_split"]
    assert why == "dance.mp4 is made by one worker: every frame is blended with the one before and there is no cut"


def test_a_range_goes_on_and_what_is_missing_is_told(given: Given, tmp_path: Path, small_models: LoadedModels) -> None:
    class Stop(Exception):
        pass

    def stop(stage: str, done: int, _total: int | None) -> None:
        if (stage, done) == ("frames", 8):
            raise Stop

    animate(*given("one", blend=0.0), on_event=ignore)
    ranges = (FrameRange(0, 4), FrameRange(4, 11))
    make_range(*given("three", blend=0.0), ranges[0], on_event=ignore)
    with pytest.raises(Stop):
        make_range(*given("three", blend=0.0), ranges[1], stop, ignore)
    with pytest.raises(UnfinishedError, match="the frames 4 to 11 are not all kept: run the same command again"):
        join(*given("three", blend=0.0), ranges, on_event=ignore)
    batches: list[int] = []
    small_models.mcld.pose_guider.register_forward_hook(lambda *_: batches.append(1))
    for frames in ranges:
        make_range(*given("three", blend=0.0), frames, on_event=ignore)
    assert len(batches) == 2  # frames 8 and 9, 10; the first range is whole
    join(*given("three", blend=0.0), ranges, on_event=ignore)
    check_same(tmp_path)
