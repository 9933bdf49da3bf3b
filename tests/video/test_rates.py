"""Variable rates: the nominal rate shows every frame, and frames that are not shown are told."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate, repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcld_anim.video.decode import DecodeLog, TimedFrame
from mcld_anim.video.probe import probe
from mcld_anim.video.rates import lost, nominal_rate
from mcld_anim.video.read import FrameGrid, read_frames, resample


def times_of(*parts: tuple[int, Fraction | int]) -> list[Fraction]:
    """Times of frames, in seconds: (how many, at which rate), one part after the other."""
    steps = [1 / Fraction(rate) for count, rate in parts for _ in repeat(None, count)]
    return list(accumulate(steps[:-1], initial=Fraction(0)))


@pytest.mark.parametrize(
    ("parts", "rate"),
    [
        ([(45, 10), (30, 60)], 60),  # a screen recorder writes a frame when something changes
        ([(45, 10), (30, Fraction(60000, 1001))], Fraction(60000, 1001)),
        ([(60, 24), (40, 30)], 30),  # a phone in little light
        ([(40, 30), (60, 24)], 30),
        ([(50, 20), (30, 40)], 40),
        ([(40, 12), (3, 1), (40, 25)], 25),
        ([(100, 25), (1, 100), (100, 25)], 25),  # one misplaced time
        ([(100, 25), (20, 1), (100, 25)], 25),  # pauses
        ([(20, 10), (60, 480)], 240),
    ],
)
def test_the_nominal_rate_is_the_lowest_that_shows_every_frame(parts, rate):
    times = times_of(*parts)
    assert nominal_rate(times, [Fraction(17)]) == rate


def test_jitter_raises_no_rate():
    random = np.random.default_rng(0)
    times = sorted(Fraction(index, 30) + Fraction(float(random.uniform(-0.006, 0.006))) for index in range(300))
    assert nominal_rate(times, []) in (30, Fraction(30000, 1001))  # jitter hides a thousandth


@given(steps=st.lists(st.integers(1, 400), min_size=1, max_size=40), rate=st.sampled_from([5, 24, 25, 60]))
def test_frames_that_are_not_shown_are_counted(steps, rate):
    times = [Fraction(time, 1000) for time in accumulate(steps, initial=0)]
    grid = FrameGrid(Fraction(rate), Fraction(0), None, None, Fraction(1, 2 * rate))
    ends = [*times[1:], times[-1] + Fraction(1, rate)]
    stored = [TimedFrame(time, end, index) for index, (time, end) in enumerate(zip(times, ends, strict=True))]
    log = DecodeLog()
    shown = {timed.frame for _, timed in resample(stored, grid, 0, log)}
    assert len(times) - len(shown) == log.skipped == lost(times, grid.fps)


def test_a_screen_recording_loses_no_frame(media):
    times = [index * 100 for index in range(45)] + [4500 + round(index * 1000 / 60) for index in range(30)]
    path, events = media.video("screen.mp4", frames=75, times=times), []
    assert probe(path).fps == 60
    frames = list(read_frames(path, start=4.4, on_event=events.append))
    assert list(dict.fromkeys(media.number(frame.picture) for frame in frames)) == [*range(44, 55), *range(20)]
    assert len(frames) == 37  # 0.6 s, and the last frame is stored with 40 ms
    assert events == []


def test_frames_that_follow_too_fast_are_told(media):
    times = [index * 40 for index in range(600)] + [24_000 + index * 10 for index in range(100)]
    path, events = media.video("late.mp4", frames=700, size=(32, 32), times=times), []
    assert probe(path).fps == 25  # which the first 500 frames say
    list(read_frames(path, on_event=events.append))
    (event,) = events
    assert event.kind == "frames_skipped"
    assert "74 of 700 stored frames" in event.message
    assert "faster than 25 per second; a higher --fps shows them" in event.message
    list(read_frames(path, fps=10, on_event=events.append))
    assert len(events) == 1  # a lower rate was asked for


def test_a_rate_above_the_highest_is_told(media):
    path, events = media.video("fast.mkv", frames=200, size=(32, 32), rate=480), []
    assert probe(path).fps == 240
    frames = list(read_frames(path, on_event=events.append))
    (event,) = events
    assert event.kind == "frames_skipped"
    assert f"{200 - len(frames)} of 200 stored frames" in event.message
    assert event.message.endswith("faster than 240 per second")


def test_steps_of_which_none_is_near_the_middle_have_a_rate():
    assert nominal_rate([Fraction(time, 1000) for time in (0, 100, 150, 350, 390)], []) == Fraction(200, 9)
