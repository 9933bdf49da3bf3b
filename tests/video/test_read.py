"""Reading: upright frames, square pixels, a constant rate, the chosen range, and reports of damage."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcld_anim.core.errors import UsageError, VideoError
from mcld_anim.video.decode import TimedFrame
from mcld_anim.video.probe import probe
from mcld_anim.video.read import FrameGrid, read_frames, resample
from mcld_anim.video.upright import orientation


def read(path: Path, **chosen):
    return list(read_frames(path, **chosen))


@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_frames_are_turned_and_mirrored_upright(media, degrees, mirror):
    path = media.video("turned.mp4", frames=2, size=(96, 128), rotation=(degrees, mirror))
    stored = media.picture(0, (96, 128))
    upright = np.rot90(stored, degrees // 90)
    upright = upright[:, ::-1] if mirror else upright
    info = probe(path)
    frame = read(path)[0].picture
    assert frame.shape == upright.shape == (info.height, info.width, 3)
    assert media.corners(frame) == media.corners(upright)
    assert np.abs(frame.astype(int) - upright).mean() < 4


def test_a_matrix_that_turns_between_quarters_takes_the_nearest():
    nearly = np.radians(80)
    matrix = (np.cos(nearly), -np.sin(nearly), np.sin(nearly), np.cos(nearly))  # counter-clockwise, y downwards
    assert orientation(matrix) == (False, 1)


@pytest.mark.parametrize(
    ("sample_aspect", "rotation", "size"),
    [
        (Fraction(4, 3), None, (96, 171)),
        (Fraction(3, 4), None, (128, 128)),
        (Fraction(2), (90, False), (256, 96)),
    ],
)
def test_pixels_become_square(media, sample_aspect, rotation, size):
    path = media.video("wide.mp4", frames=2, size=(96, 128), sample_aspect=sample_aspect, rotation=rotation)
    frame = read(path)[0].picture
    assert frame.shape[:2] == size
    assert sorted(media.corners(frame)) == [0, 1, 2, 3]


def test_odd_sizes_are_read_whole(media):
    path = media.video("odd.mp4", frames=2, size=(95, 127), pixels="yuv444p")
    assert read(path)[0].picture.shape == (95, 127, 3)


def test_each_frame_comes_once_and_in_order(media):
    frames = read(media.video("plain.mp4", frames=30))
    assert [frame.index for frame in frames] == list(range(30))
    assert [media.number(frame.picture) for frame in frames] == list(range(30))
    assert [frame.time for frame in frames] == pytest.approx([index / 25 for index in range(30)])


@pytest.mark.parametrize("rate", [30, Fraction(24000, 1001), 60])
@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4", "a.avi"])
def test_rounded_times_and_late_starts_neither_repeat_nor_drop_a_frame(media, rate, name):
    """Matroska rounds to 1 ms; MPEG-TS begins at an arbitrary time; AVI has only decoding times."""
    options = {"crf": "20", "x264-params": "bframes=3:keyint=16"}
    frames = read(media.video(name, frames=40, rate=rate, options=options))
    assert [media.number(frame.picture) for frame in frames] == list(range(40))


def test_a_variable_rate_becomes_constant_by_holding(media):
    times = [0, 40, 80, 400, 440, 480, 520, 560, 600, 1000, 1040, 1080]
    path = media.video("phone.mp4", frames=12, times=times)
    shown = [media.number(frame.picture) for frame in read(path)]
    expected = [max(index for index, time in enumerate(times) if time <= 40 * slot) for slot in range(28)]
    assert shown == expected


@pytest.mark.parametrize(("fps", "expected"), [(12.5, list(range(0, 30, 2))), (50, [i // 2 for i in range(60)])])
def test_another_rate_keeps_the_speed(media, fps, expected):
    frames = read(media.video("plain.mp4", frames=30), fps=fps)
    assert [media.number(frame.picture) for frame in frames] == expected


def test_a_held_frame_is_not_shared_memory(media):
    first, second, *_ = read(media.video("plain.mp4", frames=4), fps=50)
    first.picture[:] = 0
    assert second.picture.any()


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"start": 0.4}, range(10, 30)),
        ({"end": 0.4}, range(10)),
        ({"start": 0.4, "end": 0.8}, range(10, 20)),
        ({"start": 0.4, "max_frames": 3}, range(10, 13)),
        ({"end": 99.0}, range(30)),
        ({"start": 1.16}, range(29, 30)),
    ],
)
def test_only_the_chosen_part(media, chosen, expected):
    frames = read(media.video("plain.mp4", frames=30), **chosen)
    assert [media.number(frame.picture) for frame in frames] == list(expected)
    assert frames[0].index == 0
    assert frames[0].time == pytest.approx(chosen.get("start", 0.0))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts", "a.avi"])
def test_seeking_gives_the_same_pixels(media, name):
    options = {"crf": "23", "x264-params": "keyint=12:min-keyint=12:open-gop=1:bframes=2:scenecut=0"}
    path = media.video(name, frames=50, options=options)
    whole = read(path)
    for start in (26, 38, 47):
        part = read(path, start=start / 25)
        assert len(part) == len(whole) - start
        assert all(np.array_equal(one.picture, other.picture) for one, other in zip(part, whole[start:], strict=True))


@pytest.mark.parametrize(
    "chosen",
    [{"start": -1.0}, {"end": 0.0}, {"start": 0.5, "end": 0.4}, {"max_frames": 0}, {"fps": "fast"}, {"fps": 0}],
)
def test_impossible_choices_are_refused_at_once(media, chosen):
    path = media.video("plain.mp4", frames=30)
    with pytest.raises(UsageError, match="--"):
        read_frames(path, **chosen)


def test_a_start_behind_the_end_is_refused_at_once(media):
    path = media.video("plain.mp4", frames=30)
    with pytest.raises(VideoError, match=r"1\.200 s long"):
        read_frames(path, start=1.2)


def test_memory_does_not_grow_with_the_video(media):
    frames, size = 150, (240, 320)
    path = media.video("long.mp4", frames=frames, size=size)
    process = psutil.Process(os.getpid())
    for _ in read_frames(path, max_frames=20):  # whatever the decoder allocates once
        pass
    before = process.memory_info().rss
    highest = max(process.memory_info().rss for _ in read_frames(path))
    assert highest - before < frames * size[0] * size[1] * 3 / 2


@pytest.mark.parametrize(("name", "container"), [("a.mp4", {"movflags": "+faststart"}), ("a.mkv", {})])
def test_a_cut_file_gives_its_frames_and_says_what_is_lost(media, tmp_path, name, container):
    path = media.video(name, frames=60, noise=True, container=container)
    whole = read(path)
    cut = tmp_path / name
    cut.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    events = []
    frames = read(cut, on_event=events.append)
    assert 20 < len(frames) < 50
    # The last one may miss the packet that it was predicted from
    assert all(np.array_equal(one.picture, other.picture) for one, other in zip(frames[:-4], whole, strict=False))
    assert [event.kind for event in events] == ["video_cut_short"]
    assert "of 2.40 s" in events[0].message


def test_nothing_is_said_of_a_whole_file_or_of_a_part_that_was_chosen(media):
    events = []
    path = media.video("plain.mp4", frames=30)
    read(path, on_event=events.append)
    read(path, end=0.4, on_event=events.append)
    read(path, start=1.04, on_event=events.append)
    assert events == []


def dropped(path: Path, media, rate: int = 25) -> Path:
    """60 frames of which a capture card dropped seven; AVI counts those as empty packets."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=rate)
        stream.height, stream.width, stream.pix_fmt, stream.bit_rate = 96, 128, "yuv420p", 4_000_000
        for index in range(60):
            if not (10 <= index < 15 or 40 <= index < 42):
                frame = av.VideoFrame.from_ndarray(media.picture(index, (96, 128)), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, rate)
                out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", ["a.avi", "a.mkv", "a.mp4"])
def test_dropped_frames_are_held_and_are_no_loss(media, tmp_path, name):
    path, events = dropped(tmp_path / name, media), []
    shown = [media.number(frame.picture) for frame in read(path, on_event=events.append)]
    expected = [9 if 10 <= index < 15 else 39 if 40 <= index < 42 else index % 55 for index in range(60)]
    assert shown == expected
    assert events == []


def test_a_cut_avi_says_what_is_lost(media, tmp_path):
    whole, cut, events = dropped(tmp_path / "a.avi", media), tmp_path / "cut.avi", []
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])
    assert 20 < len(read(cut, on_event=events.append)) < 50
    assert [event.kind for event in events] == ["video_cut_short"]


def test_interlaced_video_is_told(media):
    events = []
    read(media.video("a.mp4", options={"crf": "20", "x264-params": "interlaced=1"}), on_event=events.append)
    assert [event.kind for event in events] == ["video_interlaced"]


def test_damage_in_the_middle_is_bridged_and_told(media, tmp_path):
    path = media.video("a.mp4", frames=60, noise=True)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 30000] = bytes(30000)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(content)
    events = []
    frames = read(damaged, on_event=events.append)
    assert len(frames) == 60
    assert [event.kind for event in events] == ["video_damaged"]


def test_without_a_listener_damage_is_a_warning(media, tmp_path):
    path = media.video("a.mkv", frames=40, noise=True)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.warns(UserWarning, match="cut short"):
        read(cut)


@given(
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=25),
    rate=st.sampled_from([5, 24, 25, 60]),
    start=st.integers(0, 500),
    skipped=st.integers(0, 5),
)
def test_every_instant_shows_the_last_frame_before_it(steps, rate, start, skipped):
    times = [Fraction(sum(steps[:index]), 1000) for index in range(len(steps))]
    end = times[-1] + Fraction(steps[-1], 1000)
    grid = FrameGrid(Fraction(rate), Fraction(start, 1000), None, None, Fraction(1, 120))
    ends = [*times[1:], end]
    stored = [TimedFrame(time, until, index) for index, (time, until) in enumerate(zip(times, ends, strict=True))]
    shown = [(index, timed.frame) for index, timed in resample(stored, grid)]
    expected = []
    for index in range(10_000):
        instant = grid.time(index) + grid.tolerance
        if instant > end and not (index == 0 and grid.start < end):
            break
        expected.append((index, max(i for i, time in enumerate(times) if time < instant)))
    assert shown == expected
    assert list(resample(stored, grid, first=skipped))[1:] == list(resample(stored, grid))[skipped + 1 :]
