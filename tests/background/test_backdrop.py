"""Backgrounds: colours, files, and the driving video without its person."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest

from mcld_anim.background import clean_background
from mcld_anim.background.backdrop import check_file, checkerboard, cover, from_file, one_colour
from mcld_anim.background.clean_background import CleanBackground
from mcld_anim.core.errors import InputError
from mcld_anim.core.events import Event
from mcld_anim.video.read import SPARSE, read_frames


def test_a_colour_and_a_board() -> None:
    assert next(one_colour((1, 2, 3), (4, 6))).tolist() == [[[1, 2, 3]] * 6] * 4
    board = checkerboard((40, 50))
    assert board.shape == (40, 50, 3)
    assert len(np.unique(board)) == 2


@pytest.mark.parametrize("shape", [(40, 100, 3), (100, 40, 3), (64, 64, 3), (7, 9, 3)])
def test_a_picture_covers_the_frame_and_is_not_stretched(shape: tuple[int, int, int]) -> None:
    picture = np.zeros(shape, np.uint8)
    picture[shape[0] // 2, shape[1] // 2] = 255
    made = cover(picture, (64, 64))
    assert made.shape == (64, 64, 3)
    rows, columns = np.nonzero(made[..., 0] > made.max() / 2)
    assert abs(rows.mean() - 31.5) < 6
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1


def test_a_short_video_begins_again_and_says_so(media: Path) -> None:
    told: list[Event] = []
    frames = list(islice(from_file(media / "room.mp4", (32, 32), Fraction(10), told.append), 12))
    assert [frame.shape for frame in frames] == [(32, 32, 3)] * 12
    assert np.array_equal(frames[0], frames[5])
    assert {event.kind for event in told} == {"background_looped"}


def test_what_cannot_be_a_background_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no video")
    (tmp_path / "x.png").write_bytes(b"no picture")
    for name in ("x.mp4", "x.png", "none.png"):
        with pytest.raises(InputError):
            check_file(tmp_path / name)


def walker(count: int, pan: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    """A box that walks through a room of random tiles, with its IUV, and optionally a panning camera."""
    tiles = np.random.default_rng(3).integers(0, 255, (8, 40, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    shown = []
    for index in range(count):
        picture, iuv = tiles[:, index * pan : index * pan + 96].copy(), np.zeros((64, 96, 3), np.uint8)
        place = slice(10 + 6 * index, 22 + 6 * index)
        picture[20:50, place], iuv[20:50, place] = (255, 0, 0), (2, 9, 9)
        shown.append((picture, iuv))
    return shown


def test_a_still_camera_shows_what_was_behind() -> None:
    clip = walker(10)
    told: list[Event] = []
    clean = CleanBackground(lambda every: iter(clip[::every]), len(clip), told.append)
    assert clean.still
    assert not told
    empty = np.random.default_rng(3).integers(0, 255, (8, 40, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)[:, :96]
    for frame in clean.frames():
        assert np.abs(frame.astype(int) - empty).max() <= 1  # the room itself, not a guess


@pytest.mark.skipif(find_spec("decord") is None, reason="decord has no build for this machine")
def test_a_long_video_is_looked_at_through_decord_and_looks_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 4 * SPARSE
    monkeypatch.setattr(clean_background, "MOST_SAMPLES", 4)
    clip = walker(count)
    with av.open(str(tmp_path / "long.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25, options={"g": "15"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for picture, _ in clip:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    readers: set[str] = set()

    def clean(backend: Literal["auto", "pyav"]) -> CleanBackground:
        def frames(every: int) -> Iterator[clean_background.Shown]:
            for frame in read_frames(tmp_path / "long.mp4", backend=backend, every=every):
                readers.add(frame.reader)
                yield frame.picture, clip[frame.index][1]

        return CleanBackground(frames, count, lambda event: None)

    first, second = clean("pyav"), clean("auto")
    assert readers == {"pyav", "decord"}
    for one, other in zip(first.frames(), second.frames(), strict=True):
        assert np.array_equal(one, other)


def test_a_moving_camera_is_noticed() -> None:
    clip = walker(10, pan=5)
    told: list[Event] = []
    clean = CleanBackground(lambda every: iter(clip[::every]), len(clip), told.append)
    assert [event.kind for event in told] == ["background_moves"]
    frames = list(clean.frames())
    assert len(frames) == 10
    assert not (frames[4][35, 34:46] == (255, 0, 0)).all(-1).any()
    assert np.array_equal(frames[4][:10, :20], clip[4][0][:10, :20])
