"""Sound whose times do not rise strictly, as where segments of a stream were joined."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest

from mcld_anim.video.audio import audio_source
from mcld_anim.video.audio_times import SoundLog, rising
from mcld_anim.video.probe import probe
from mcld_anim.video.read import read_frames
from mcld_anim.video.write import VideoWriter


def packets(*times: int | None, length: int = 20):
    for time in times:
        packet = av.Packet(b"sound")
        packet.pts, packet.duration, packet.time_base = time, length, Fraction(1, 1000)
        yield packet


@pytest.mark.parametrize(
    ("given", "kept", "overlapping", "placed"),
    [
        ([0, 20, 40], [0, 20, 40], 0, 0),
        ([0, 20, 39, 60], [0, 20, 39, 60], 0, 0),  # rounding
        ([0, 20, 40, 25, 45, 65], [0, 20, 40, 65], 2, 0),  # an overlap of 35 ms
        ([0, 20, 20, 60], [0, 20, 40, 60], 0, 1),
        ([0, None, None, 60], [0, 20, 40, 60], 0, 2),
        ([7, 7, 7, 7], [7, 27, 47, 67], 0, 3),  # a clock that stands still
    ],
)
def test_times_rise_and_nothing_but_repeated_sound_is_left_out(given, kept, overlapping, placed):
    log = SoundLog()
    assert [packet.pts for packet in rising(packets(*given), log)] == kept
    assert (log.overlapping, log.placed, log.damaged) == (overlapping, placed, 0)


def test_a_packet_without_a_time_at_the_beginning_is_left_out():
    log = SoundLog()
    assert [packet.pts for packet in rising(packets(None, 20, 40), log)] == [20, 40]
    assert log.damaged == 1


def test_times_rise_without_lengths():
    assert [packet.pts for packet in rising(packets(5, 5, 5, length=0), SoundLog())] == [5, 6, 7]


@pytest.mark.parametrize("codec", ["auto", "aac"])
@pytest.mark.parametrize(("start", "frames"), [(0.0, 75), (0.9, 12), (1.3, 30)])
def test_joined_segments_stay_in_time_and_are_told(tmp_path, recording, codec, start, frames):
    """Each segment's sound begins some ms before its pictures, and so before the end of the segment before."""
    path, out, events = recording.joined(tmp_path / "a.ts", 1.28), tmp_path / "out.mp4", []
    info = probe(path)
    sound = audio_source(info, start, codec)
    with VideoWriter(out, (128, 128), info.fps, audio=sound, on_event=events.append) as writer:
        for frame in read_frames(info, start=start, max_frames=frames, on_event=events.append):
            writer.write(frame.picture)
    assert probe(out).frames == frames
    repaired = ["audio_repaired"] if start < 1.2 else []
    assert [event.kind for event in events] == ["audio_transcoded"] * (codec == "aac") + repaired
    offsets = recording.offsets(out, start)
    assert len(offsets) >= frames // 12
    assert np.abs(offsets).max() < 1
    with av.open(str(out)) as file:
        times = [packet.dts for packet in file.demux(audio=0) if packet.size]
    assert all(later > earlier for earlier, later in pairwise(times))
