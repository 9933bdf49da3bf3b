"""Random access: the same frames as reading in order, from decord or from PyAV."""

from __future__ import annotations

import random
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mcld_anim.core.errors import MissingDependencyError, VideoError
from mcld_anim.video import access
from mcld_anim.video.access import open_frames
from mcld_anim.video.read import read_frames

DECORD = "decord" if find_spec("decord") else "pyav"
"""What reads a file that both read alike; decord has no build for every machine."""

CLOSED = {"crf": "20", "x264-params": "keyint=9:min-keyint=9:bframes=2:scenecut=0:open-gop=0"}
OPEN = {"crf": "20", "x264-params": "keyint=9:min-keyint=9:bframes=2:scenecut=0:open-gop=1"}
PAUSES = [index * 40 + (index // 10) * 300 for index in range(40)]

ALIKE = {
    "closed.mp4": {"options": CLOSED},
    "closed.mkv": {"options": CLOSED},
    "turned.mp4": {"rotation": (90, False), "options": CLOSED},
    "upside_down.mp4": {"rotation": (180, False)},
    "odd.mp4": {"size": (98, 130), "rotation": (270, False)},
    "wide.mp4": {"sample_aspect": Fraction(4, 3)},
    "pauses.mp4": {"times": PAUSES},
    "untagged.mp4": {"tagged": False},
    "full_chroma.mp4": {"pixels": "yuv444p"},
}
DIFFERENT = {
    "open.mp4": {"options": OPEN},
    "mirrored.mp4": {"rotation": (0, True)},
    "ten_bit.mp4": {"pixels": "yuv420p10le"},
    "untagged_hd.mp4": {"size": (720, 64), "tagged": False},
    "stream.ts": {"codec": "mpeg2video", "options": {"bf": "2", "g": "9"}},
    "ordered.avi": {"options": CLOSED},
}


def check_same_frames(path: Path, backend: str, **chosen) -> None:
    expected = list(read_frames(path, **chosen))
    order = list(range(len(expected)))
    random.Random(1).shuffle(order)
    with open_frames(path, backend=backend, on_event=lambda event: None, **chosen) as frames:
        for start in range(0, len(order), 7):
            for index, frame in zip(order[start:], frames.batch(order[start : start + 7]), strict=False):
                assert (frame.index, frame.time) == (index, expected[index].time)
                assert np.array_equal(frame.picture, expected[index].picture)
        streamed = list(frames.stream())
        assert len(streamed) == len(expected)
        assert all(np.array_equal(one.picture, two.picture) for one, two in zip(streamed, expected, strict=True))
        with pytest.raises(VideoError):
            frames.batch([len(expected)])


@pytest.mark.parametrize("name", ALIKE)
def test_decord_reads_what_it_reads_identically(media, name):
    path = media.video(name, frames=40, **ALIKE[name])
    with open_frames(path) as frames:
        assert frames.backend == DECORD
    check_same_frames(path, "auto")
    check_same_frames(path, "auto", fps=10, start=0.3)


@pytest.mark.parametrize("name", DIFFERENT)
def test_pyav_reads_what_decord_would_read_differently(media, name):
    path = media.video(name, frames=40, **DIFFERENT[name])
    with open_frames(path) as frames:
        assert frames.backend == "pyav"
    check_same_frames(path, "auto")


def test_pyav_alone_gives_the_same_frames(media):
    path = media.video("closed.mp4", frames=60, options=CLOSED)
    check_same_frames(path, "pyav")
    check_same_frames(path, "pyav", fps=60, start=1.1, max_frames=20)


def test_reading_in_order_with_decord_is_the_same(media):
    path = media.video("pauses.mp4", frames=40, times=PAUSES)
    alone, together = read_frames(path), read_frames(path, backend="decord" if DECORD == "decord" else "auto")
    assert all(np.array_equal(one.picture, two.picture) for one, two in zip(alone, together, strict=True))


def test_an_index_may_repeat_and_come_in_any_order(media):
    path = media.video("plain.mp4", frames=30)
    with open_frames(path) as frames:
        batch = frames.batch([7, 29, 7, 0])
    assert [frame.index for frame in batch] == [7, 29, 7, 0]
    assert [media.number(frame.picture) for frame in batch] == [7, 29, 7, 0]


@pytest.mark.parametrize("wrong", [-1, 5])
def test_an_index_outside_the_chosen_part_is_refused(media, wrong):
    with (
        open_frames(media.video("plain.mp4", frames=30), max_frames=5) as frames,
        pytest.raises(VideoError, match=f"frame {wrong}"),
    ):
        frames.batch([0, wrong])


def test_a_cut_file_is_left_to_pyav(media, tmp_path):
    path = media.video("a.mkv", frames=40, noise=True)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with open_frames(cut, on_event=lambda event: None) as frames:
        assert frames.backend == "pyav"


def test_decord_that_was_asked_for_and_is_not_used_is_told(media):
    events = []
    path = media.video("mirrored.mp4", rotation=(0, True))
    if DECORD == "pyav":
        with pytest.raises(MissingDependencyError):
            open_frames(path, backend="decord")
        return
    open_frames(path, backend="decord", on_event=events.append).close()
    assert [event.kind for event in events] == ["decord_not_used"]


def test_without_decord_pyav_reads_and_asking_for_it_teaches(media, monkeypatch):
    monkeypatch.setattr(access, "find_spec", lambda name: None)
    path = media.video("plain.mp4", frames=10)
    check_same_frames(path, "auto")
    with pytest.raises(MissingDependencyError, match="pip install"):
        open_frames(path, backend="decord")
