"""Sound: copied bit by bit if browsers play it from MP4, in sync with the pictures, and every loss is reported."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from mcld_anim.video.audio import AudioSource, audio_source
from mcld_anim.video.probe import probe
from mcld_anim.video.read import read_frames
from mcld_anim.video.write import VideoWriter

COPIED = [
    ("a.mp4", "aac"),
    ("a.mkv", "aac"),
    ("a.mkv", "libmp3lame"),
    ("a.webm", "libopus"),
    ("a.mkv", "flac"),
]
UNPLAYED = [
    ("a.mkv", "ac3"),
    ("a.mkv", "eac3"),
    ("a.mp4", "alac"),
    ("a.ts", "ac3"),
]  # by browsers, though MP4 holds them
TRANSCODED = [("a.mkv", "pcm_s16le"), ("a.mkv", "vorbis"), ("a.avi", "pcm_s16le"), *UNPLAYED]


def make(media, name, codec, **options) -> Path:
    video = {"codec": "libvpx", "tagged": False} if name.endswith(".webm") else {}
    return media.video(name, audio=codec, **video, **options)


def revoice(path: Path, out: Path, start: float = 0.0, codec: str = "auto", **options) -> list[str]:
    """Rewrite the frames of a video with its sound; returns the kinds of events."""
    info = probe(path)
    events: list[str] = []
    source = audio_source(info, start, codec)

    def note(event):
        events.append(event.kind)

    with VideoWriter(
        out, (info.height, info.width), info.fps, preset="ultrafast", audio=source, on_event=note
    ) as writer:
        for frame in read_frames(info, start=start, **options):
            writer.write(frame.picture)
    return events


def packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as file:
        return [bytes(packet) for packet in file.demux(file.streams.audio[0]) if packet.size]


def burst_time(path: Path) -> float:
    """Start of the loud part, in seconds since the first frame of the video."""
    with av.open(str(path)) as file:
        for frame in file.decode(file.streams.audio[0]):
            samples = np.atleast_2d(frame.to_ndarray().astype(float))
            if not frame.format.is_planar:
                samples = samples.reshape(-1, frame.layout.nb_channels).T
            scale = 32768 if frame.format.name.startswith("s16") else 2**31 if "32" in frame.format.name else 1
            loud = np.nonzero(np.abs(samples[0]) / scale > 0.2)[0]
            if len(loud):
                return frame.time + loud[0] / frame.sample_rate - float(probe(path).first_time)
    raise AssertionError("the loud part is missing")


@pytest.mark.parametrize(
    ("name", "codec", "wanted"), [*((*one, "auto") for one in COPIED), *((*one, "copy") for one in UNPLAYED)]
)
def test_sound_is_copied_bit_by_bit(media, tmp_path, name, codec, wanted):
    path = make(media, name, codec, frames=25)
    out = tmp_path / "out.mp4"
    assert revoice(path, out, codec=wanted) == []
    assert probe(out).audio_codec == probe(path).audio_codec
    copied, original = packets(out), packets(path)
    assert len(original) > 5
    assert copied == original[: len(copied)]
    assert len(copied) >= len(original) - 2  # encoders pad the end beyond the last frame
    assert burst_time(out) == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize(("name", "codec"), TRANSCODED)
def test_other_sound_becomes_aac_and_is_told(media, tmp_path, name, codec):
    path = make(media, name, codec, frames=25)
    out = tmp_path / "out.mp4"
    assert revoice(path, out) == ["audio_transcoded"]
    assert probe(out).audio_codec == "aac"
    assert burst_time(out) == pytest.approx(0.5, abs=0.015)
    with av.open(str(out)) as file:
        assert float(file.streams.audio[0].duration * file.streams.audio[0].time_base) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("rate", [44100, 22050, 12345])
def test_any_sampling_rate_becomes_one_that_aac_has(media, tmp_path, rate):
    out = tmp_path / "out.mp4"
    assert revoice(media.video("a.mkv", frames=25, audio="pcm_s16le", audio_rate=rate), out) == ["audio_transcoded"]
    with av.open(str(out)) as file:
        assert file.streams.audio[0].rate == (rate if rate != 12345 else 48000)
    assert burst_time(out) == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize(("name", "codec"), [*COPIED, *TRANSCODED, ("a.ts", "aac")])
def test_a_cut_keeps_sound_and_pictures_together(media, tmp_path, name, codec):
    path = make(media, name, codec, frames=60, burst=1.5)
    out = tmp_path / "out.mp4"
    revoice(path, out, start=1.2, max_frames=20)
    assert burst_time(out) == pytest.approx(burst_time(path) - 1.2, abs=0.015)
    with av.open(str(out)) as file:
        stream = file.streams.audio[0]
        assert float(stream.duration * stream.time_base) < 20 / 25 + 0.15  # the lead-in, and one packet
    assert probe(out).duration == pytest.approx(0.8, abs=0.01)


def test_sound_from_a_late_start_of_the_clock_is_in_time(media, tmp_path):
    """MPEG-TS begins at 1.4 s; the sound must not."""
    out = tmp_path / "out.mp4"
    path = make(media, "a.ts", "aac", frames=25)
    assert probe(path).first_time > 0
    revoice(path, out)
    assert burst_time(out) == pytest.approx(burst_time(path), abs=0.015)


def test_sound_ends_with_the_pictures(media, tmp_path):
    out = tmp_path / "out.mp4"
    revoice(make(media, "a.mp4", "aac", frames=50), out, end=0.6)
    with av.open(str(out)) as file:
        stream = file.streams.audio[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(0.6, abs=0.03)


def test_a_video_without_sound_has_none(media):
    assert audio_source(probe(media.video("silent.mp4"))) is None


def test_a_file_of_sound_alone_can_accompany_a_video(media, tmp_path):
    song, out = media.sound("song.mp3", "libmp3lame"), tmp_path / "out.mp4"
    with VideoWriter(out, (96, 128), 25, preset="ultrafast", audio=AudioSource(song)) as writer:
        for index in range(20):
            writer.write(media.picture(index, (96, 128)))
    assert probe(out).audio_codec == "mp3"
    assert burst_time(out) == pytest.approx(0.5, abs=0.06)  # the encoder's delay is part of a bare MP3 file


def test_further_sound_tracks_are_told(media, tmp_path):
    first = media.video("first.mp4", frames=25, audio="aac")
    second = media.sound("second.m4a", "aac")
    both = tmp_path / "both.mkv"
    with av.open(str(first)) as one, av.open(str(second)) as two, av.open(str(both), "w") as out:
        pairs = [(stream, out.add_stream_from_template(stream)) for stream in (*one.streams, *two.streams)]
        targets = {id(stream): target for stream, target in pairs}
        for file in (one, two):
            for packet in file.demux():
                if packet.size:
                    packet.stream = targets[id(packet.stream)]
                    out.mux(packet)
    assert revoice(both, tmp_path / "out.mp4") == ["audio_tracks"]


def test_sound_that_cannot_be_decoded_is_dropped_and_told(media, tmp_path):
    path = media.video("a.mp4", frames=25, audio="aac")
    strange = tmp_path / "strange.mp4"
    # The two places that name the sound's format
    strange.write_bytes(path.read_bytes().replace(b"mp4a", b"zzzz").replace(b"esds", b"free"))
    assert probe(strange).audio_codec == "unknown"
    out = tmp_path / "out.mp4"
    assert revoice(strange, out) == ["audio_dropped"]
    assert not probe(out).has_audio
    assert probe(out).frames == 25
