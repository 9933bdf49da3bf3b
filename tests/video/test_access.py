"""decord returns the same frames as PyAV, or PyAV is used."""

from __future__ import annotations

import os
import shutil
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mcld_anim.core.errors import MissingDependencyError
from mcld_anim.video import access
from mcld_anim.video.read import SPARSE, VideoFrame, read_frames

needs_decord = pytest.mark.skipif(find_spec("decord") is None, reason="decord has no build for this machine")

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


def check_same_frames(path: Path, reader: str, **chosen) -> None:
    expected = list(read_frames(path, backend="pyav", on_event=lambda event: None, **chosen))
    for every in (1, 7, SPARSE):
        frames = list(read_frames(path, backend="decord", on_event=lambda event: None, every=every, **chosen))
        check_equal(frames, expected[::every])
        assert {frame.reader for frame in frames} == {reader}


def check_equal(frames: list[VideoFrame], expected: list[VideoFrame]) -> None:
    assert [(one.index, one.time) for one in frames] == [(one.index, one.time) for one in expected]
    assert all(np.array_equal(one.picture, two.picture) for one, two in zip(frames, expected, strict=True))


@needs_decord
@pytest.mark.parametrize("name", ALIKE)
def test_decord_reads_what_it_reads_identically(media, name):
    path = media.video(name, frames=40, **ALIKE[name])
    check_same_frames(path, "decord")
    check_same_frames(path, "decord", fps=10, start=0.3)
    check_same_frames(path, "decord", fps=60, start=0.4, max_frames=20)


@needs_decord
@pytest.mark.parametrize("name", DIFFERENT)
def test_pyav_reads_what_decord_would_read_differently(media, name):
    check_same_frames(media.video(name, frames=40, **DIFFERENT[name]), "pyav")


@needs_decord
def test_pyav_reads_what_decord_cannot_name(media, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    shutil.copy(media.video("closed.mp4", frames=40, options=CLOSED), path)
    check_same_frames(path, "pyav")


@pytest.mark.parametrize("every", [1, 7, SPARSE])
def test_every_nth_frame_is_one_of_all_frames(media, every):
    path = media.video("pauses.mp4", frames=40, times=PAUSES)
    check_equal(list(read_frames(path, every=every)), list(read_frames(path))[::every])


@needs_decord
def test_decord_reads_where_frames_lie_far_apart(media):
    path = media.video("closed.mp4", frames=2 * SPARSE, options=CLOSED)
    for every, reader in ((1, "pyav"), (SPARSE - 1, "pyav"), (SPARSE, "decord")):
        assert {frame.reader for frame in read_frames(path, every=every)} == {reader}
    far = media.video("far.mp4", frames=2 * SPARSE)  # one key frame
    assert {frame.reader for frame in read_frames(far, every=SPARSE)} == {"pyav"}


@needs_decord
def test_pyav_goes_on_where_decord_fails_in_the_middle(media, monkeypatch):
    path = media.video("closed.mp4", frames=40, options=CLOSED)
    pictures, calls = access._DecordFrames.pictures, []

    def fails(self, stored):
        calls.append(stored)
        if 16 in stored and len(stored) > 1:  # the third batch; the comparison at the beginning takes single frames
            raise access._Unsuitable("broken")
        return pictures(self, stored)

    monkeypatch.setattr(access._DecordFrames, "pictures", fails)
    frames = list(read_frames(path, backend="decord"))
    check_equal(frames, list(read_frames(path)))
    assert [frame.reader for frame in frames] == ["decord"] * 16 + ["pyav"] * 24


@needs_decord
def test_a_cut_file_is_left_to_pyav(media, tmp_path):
    path = media.video("a.mkv", frames=40, noise=True)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    check_same_frames(cut, "pyav")


@needs_decord
def test_decord_that_was_asked_for_and_is_not_used_is_told(media):
    events = []
    path = media.video("mirrored.mp4", rotation=(0, True))
    read_frames(path, backend="decord", on_event=events.append)
    assert [event.kind for event in events] == ["decord_not_used"]


def test_without_decord_pyav_reads_and_asking_for_it_teaches(media, monkeypatch):
    monkeypatch.setattr(access, "find_spec", lambda name: None)
    path = media.video("plain.mp4", frames=40)
    assert {frame.reader for frame in read_frames(path, every=SPARSE)} == {"pyav"}
    with pytest.raises(MissingDependencyError, match="pip install"):
        read_frames(path, backend="decord")
