"""Re-encoded sound: every channel in its place, gaps and overlaps at their times, and browsers' codecs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mcld_anim.core.errors import VideoError
from mcld_anim.video.audio import AudioSource, audio_source, file_sound, writable_sound
from mcld_anim.video.audio_aac import AAC_LAYOUTS, aac_layout
from mcld_anim.video.probe import probe
from mcld_anim.video.write import VideoWriter


def with_sound(recording, out: Path, source: AudioSource, frames: int = 75) -> list[str]:
    """The dance's frames with a sound; returns the kinds of events."""
    events: list[str] = []
    with VideoWriter(
        out, (128, 128), 25, preset="ultrafast", audio=source, on_event=lambda event: events.append(event.kind)
    ) as writer:
        for index in range(frames):
            writer.write(recording.pictures[index])
    return events


def of(path: Path, codec: str = "auto") -> AudioSource:
    source = audio_source(probe(path), codec=codec)
    assert source is not None
    return source


@pytest.mark.parametrize("codec", ["ac3", "eac3", "flac", "pcm_s16le"])
def test_surround_is_kept_channel_by_channel(tmp_path, recording, codec):
    path, out = recording.part(tmp_path / "a.mkv", codecs=("libx264", codec), layout="5.1"), tmp_path / "out.mp4"
    assert with_sound(recording, out, of(path, "aac")) == ["audio_transcoded"]
    with av.open(str(out)) as file:
        sound = file.streams.audio[0].codec_context
        assert (sound.name, sound.layout.name, sound.sample_rate) == ("aac", "5.1", 48000)
    heard, played = recording.heard(out)[4800:-4800], recording.heard(path)[4800:-4800]
    # Each channel resembles its own source and no other: left and right are independent, the others one mixture
    likeness = np.corrcoef(heard.T, played[: len(heard)].T)[:6, 6:]
    assert likeness[0, 0] > 0.9
    assert likeness[1, 1] > 0.9
    assert abs(likeness[0, 1]) < 0.1
    assert min(likeness[2, 2], likeness[4, 4], likeness[5, 5]) > 0.9
    assert np.abs(recording.offsets(out)).max() < 1


@pytest.mark.parametrize(
    ("channels", "layout"),
    [
        ("FC", "mono"),
        ("FL FR", "stereo"),
        ("DL DR", "stereo"),
        ("FL FR LFE", "5.1"),
        ("FL FR SL SR", "5.0"),
        ("FL FR FC LFE SL SR", "5.1"),
        ("FL FR FC LFE BL BR SL SR", "7.1"),
        ("FL FR FC LFE BC SL SR", "7.1"),
        ("NONE NONE NONE NONE NONE NONE", "5.1"),
    ],
)
def test_no_loudspeaker_is_lost(channels, layout):
    assert aac_layout(channels.split()) == layout
    assert len(AAC_LAYOUTS[layout]) >= len(channels.split())


def test_eight_channels_stay_eight(tmp_path, recording):
    path = recording.part(tmp_path / "a.mkv", codecs=("libx264", "pcm_s16le"), layout="7.1")
    assert with_sound(recording, tmp_path / "out.mp4", of(path)) == ["audio_transcoded"]
    assert recording.heard(tmp_path / "out.mp4").shape[1] == 8


def test_sound_that_browsers_play_is_re_encoded_on_request_only(tmp_path, recording):
    path = recording.part(tmp_path / "a.mp4")
    assert with_sound(recording, tmp_path / "copy.mp4", of(path)) == []
    assert with_sound(recording, tmp_path / "aac.mp4", of(path, "aac")) == ["audio_transcoded"]
    assert np.abs(recording.offsets(tmp_path / "aac.mp4")).max() < 1


def test_a_gap_becomes_silence_and_the_sound_after_it_stays_in_time(tmp_path, recording):
    path, gapped = recording.part(tmp_path / "a.mkv", codecs=("libx264", "pcm_s16le")), tmp_path / "gapped.mkv"
    with av.open(str(path)) as source, av.open(str(gapped), "w") as out:
        targets = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
        for packet in source.demux():
            sound = packet.stream.type == "audio"
            if packet.size and not (sound and 1.0 <= packet.pts * packet.time_base < 1.6):
                packet.stream = targets[packet.stream.index]
                out.mux(packet)
    out = tmp_path / "out.mp4"
    with_sound(recording, out, of(gapped))
    heard = recording.heard(out)
    assert np.abs(heard[round(1.1 * 48000) : round(1.5 * 48000)]).max() < 0.01
    offsets = recording.offsets(out)
    assert np.abs([offsets[index] for index in (0, 1, 4, 5, 6)]).max() < 1  # not at 0.9 and 1.3 s


def test_sound_is_tried_in_full_before_it_is_needed(tmp_path, recording, monkeypatch):
    path = recording.part(tmp_path / "a.mp4")
    source = of(path)
    assert writable_sound(source, Fraction(3), "mp4") == source
    with monkeypatch.context() as patch:
        patch.setattr("mcld_anim.video.audio.rising", unwritable)
        assert writable_sound(source, Fraction(3), "mp4").codec == "aac"
        patch.setattr("mcld_anim.video.audio.aac_frames", unwritable)
        with pytest.raises(VideoError, match="--audio none"):
            writable_sound(source, Fraction(3), "mp4")


def unwritable(*_: object):
    raise av.error.ArgumentError(22, "Invalid argument")
    yield


def test_sound_that_fails_nevertheless_leaves_the_pictures(tmp_path, recording, monkeypatch):
    """The container refuses a packet in the middle."""
    source, out = of(recording.part(tmp_path / "a.mp4")), tmp_path / "out.mp4"
    from mcld_anim.video import audio

    def failing(packets, log, rising=audio.rising):
        for number, packet in enumerate(rising(packets, log)):
            if number == 60:
                raise av.error.ArgumentError(22, "Invalid argument")
            yield packet

    monkeypatch.setattr("mcld_anim.video.audio.rising", failing)
    assert with_sound(recording, out, source) == ["audio_cut_short"]
    assert probe(out).frames == 75
    assert len(recording.heard(out)) / 48000 == pytest.approx(60 * 1024 / 48000, abs=0.06)
    assert np.abs(recording.offsets(out)).max() < 1


@pytest.mark.parametrize("name", ["a.ts", "a.mkv", "a.mp4"])
@pytest.mark.parametrize("codec", ["auto", "aac"])
def test_the_sound_of_another_file_begins_with_its_pictures(tmp_path, recording, name, codec):
    """MPEG-TS begins at 1.4 s."""
    path = recording.part(tmp_path / name)
    with_sound(recording, tmp_path / "out.mp4", file_sound(path, codec))
    assert np.abs(recording.offsets(tmp_path / "out.mp4")).max() < 1
