"""The clock of joined and streamed files: it jumps or begins anew, and frames and sound run on."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from mcld_anim.video.audio import audio_source
from mcld_anim.video.probe import frame_count, probe
from mcld_anim.video.read import read_frames
from mcld_anim.video.write import VideoWriter

STREAMS = [
    ("a.ts", ("libx264", "aac")),
    ("a.mkv", ("libx264", "aac")),
    ("a.mpg", ("mpeg2video", "mp2")),
]


@pytest.mark.parametrize("second", [0.0, 41.2, 36_001.2])
@pytest.mark.parametrize(("name", "codecs"), STREAMS)
def test_a_clock_that_jumps_or_begins_anew_runs_on(tmp_path, recording, name, codecs, second):
    """By 40 s, by 10 hours, and back to 0."""
    path, events = recording.joined(tmp_path / name, second, codecs), []
    info = probe(path)
    frames = list(read_frames(info, on_event=events.append))
    assert [event.kind for event in events] == ["video_clock"]
    assert recording.numbers([frame.picture for frame in frames]) == list(range(75))
    assert info.duration == pytest.approx(3.0, abs=0.001)
    assert frame_count(info) == 75
    late = list(read_frames(info, start=1.4, max_frames=5, on_event=events.append))
    assert recording.numbers([frame.picture for frame in late]) == list(range(35, 40))


@pytest.mark.parametrize("start", [0.0, 0.8, 1.6])
@pytest.mark.parametrize("second", [0.0, 41.2])
@pytest.mark.parametrize(("name", "codecs"), STREAMS)
def test_the_sound_runs_on_with_the_frames(tmp_path, recording, name, codecs, second, start):
    path, out = recording.joined(tmp_path / name, second, codecs), tmp_path / "out.mp4"
    info = probe(path)
    sound = audio_source(info, start)
    with VideoWriter(out, (128, 128), info.fps, preset="ultrafast", audio=sound, on_event=lambda event: None) as writer:
        for frame in read_frames(info, start=start, on_event=lambda event: None):
            writer.write(frame.picture)
    offsets = recording.offsets(out, start)
    assert len(offsets) == {0.0: 8, 0.8: 6, 1.6: 4}[start] - 1
    assert np.abs(offsets).max() < 1


def test_many_jumps_are_counted(tmp_path, recording):
    parts = [recording.part(tmp_path / f"{first}.ts", first, first + 15, first * 100.0) for first in range(0, 75, 15)]
    path, events = tmp_path / "a.ts", []
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    frames = list(read_frames(path, on_event=events.append))
    assert recording.numbers([frame.picture for frame in frames]) == list(range(75))
    (event,) = events
    assert "jumps at 0.60 s by +" in event.message
    assert "and 1 more" in event.message


def test_pictures_that_pause_while_the_sound_goes_on_are_held(media):
    times = [index * 40 + (index >= 10) * 12_000 for index in range(20)]
    path, events = media.video("pause.mkv", frames=20, rate=1, times=times, audio="aac"), []
    frames = list(read_frames(path, fps=25, on_event=events.append))
    assert len(frames) == 19 + 300 + 25  # the last frame is as long as the declared rate says, 1 s
    assert [media.number(frame.picture) for frame in frames[9:310:100]] == [9, 9, 9, 9]
    assert "video_clock" not in [event.kind for event in events]


def test_a_file_without_jumps_is_as_it_was(tmp_path, recording):
    for name, codecs in STREAMS:
        assert not probe(recording.part(tmp_path / f"plain{name}", codecs=codecs)).clock.jumps


def damaged(path: Path, packets: int) -> Path:
    """The same MPEG-TS without some of its packets of 188 bytes."""
    content = path.read_bytes()
    place = len(content) // 188 // 3 * 188
    path.write_bytes(content[:place] + content[place + packets * 188 :])
    return path


def test_the_joint_of_two_streams_is_no_damage(tmp_path, recording):
    """MPEG-TS counts its packets, and the count begins anew there."""
    path, events = recording.joined(tmp_path / "a.ts", 1.28), []  # as FFmpeg delays the first
    with av.open(str(path)) as file:
        assert any(packet.is_corrupt for packet in file.demux(video=0))
    assert len(list(read_frames(path, on_event=events.append))) == 75
    assert events == []
    list(read_frames(damaged(recording.part(tmp_path / "b.ts"), 6), on_event=events.append))
    assert [event.kind for event in events] == ["video_damaged"]
