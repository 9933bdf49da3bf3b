"""Probing: a video's properties, and refusals before it is decoded in full."""

from __future__ import annotations

import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mcld_anim.core.errors import UsageError, VideoError
from mcld_anim.video.probe import frame_count, probe
from mcld_anim.video.rates import exact_rate, nominal_rate
from mcld_anim.video.read import read_frames


def test_describes_a_plain_video(media):
    info = probe(media.video("plain.mp4", frames=30, size=(96, 128), rate=25, audio="aac"))
    assert (info.width, info.height, info.fps, info.frames) == (128, 96, 25, 30)
    assert info.duration == pytest.approx(1.2)
    assert (info.rotation, info.mirrored, info.sample_aspect) == (0, False, 1)
    assert info.has_audio
    assert info.audio_codec == "aac"
    assert not info.variable_rate


@pytest.mark.parametrize("rate", [Fraction(30000, 1001), Fraction(24000, 1001), 24, 30, 60, Fraction(25, 2)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_finds_the_nominal_rate_through_rounded_times(media, rate, name):
    """Matroska rounds times to 1 ms, so 30 frames per second come as 33, 34, 33 ms."""
    assert probe(media.video(name, frames=40, rate=rate)).fps == rate


def test_pauses_do_not_change_the_nominal_rate(media):
    times = [index * 40 + (index // 10) * 700 for index in range(40)]
    info = probe(media.video("pauses.mp4", frames=40, times=times))
    assert info.fps == 25
    assert info.variable_rate


def test_a_stream_without_times_has_its_declared_rate():
    assert nominal_rate([], [None, Fraction(24)]) == 24
    assert nominal_rate([Fraction(0)], [Fraction(90000)]) == 25


@pytest.mark.parametrize(
    ("given", "meant"),
    [(29.97, Fraction(30000, 1001)), (23.976, Fraction(24000, 1001)), (25, 25), (12.5, Fraction(25, 2))],
)
def test_rates_are_understood_as_people_write_them(given, meant):
    assert exact_rate(given) == meant


@pytest.mark.parametrize("given", [0, -1, 1000, float("nan"), float("inf")])
def test_absurd_rates_are_refused(given):
    with pytest.raises(UsageError, match="--fps"):
        exact_rate(given)


@pytest.mark.parametrize(
    "chosen",
    [{}, {"fps": 10}, {"fps": 60}, {"start": 0.31}, {"end": 0.7}, {"start": 0.2, "end": 9.0}, {"max_frames": 5}],
)
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_frame_count_is_what_is_read(media, name, chosen):
    info = probe(media.video(name, frames=33))
    assert frame_count(info, **chosen) == len(list(read_frames(info, **chosen)))


def _missing(folder: Path, media) -> Path:
    return folder / "missing.mp4"


def _folder(folder: Path, media) -> Path:
    return folder


def _empty(folder: Path, media) -> Path:
    (folder / "empty.mp4").touch()
    return folder / "empty.mp4"


def _text(folder: Path, media) -> Path:
    (folder / "text.mp4").write_text("This is not a video.\n" * 200)
    return folder / "text.mp4"


def _shown_text(folder: Path, media) -> Path:
    (folder / "letter.txt").write_text("FFmpeg would show this text as a picture.\n" * 200)
    return folder / "letter.txt"


def _playlist(folder: Path, media) -> Path:
    video = media.video("inner.ts")
    (folder / "list.mp4").write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:1.0,\n{video}\n#EXT-X-ENDLIST\n")
    return folder / "list.mp4"


def _picture(folder: Path, media) -> Path:
    with av.open(str(folder / "photo.png"), "w", format="image2") as out:
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "rgb24"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(media.picture(0, (64, 64)), format="rgb24")))
    return folder / "photo.png"


def _sound_only(folder: Path, media) -> Path:
    return media.sound("sound.m4a", "aac")


def _no_frames(folder: Path, media) -> Path:
    with av.open(str(folder / "none.mp4"), "w") as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        out.start_encoding()
    return folder / "none.mp4"


def _too_wide(folder: Path, media) -> Path:
    return media.video("wide.mkv", frames=1, size=(16, 16400), codec="ffv1", pixels="gray", tagged=False)


def _too_wide_as_shown(folder: Path, media) -> Path:
    return media.video("squeezed.mp4", frames=1, size=(32, 2064), sample_aspect=Fraction(8))


def _cut_header(folder: Path, media) -> Path:
    whole = media.video("whole.mp4", frames=60, noise=True).read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 2])  # the index at the end is lost
    return folder / "cut.mp4"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_missing, "does not exist"),
        (_folder, "is a folder"),
        (_empty, "is empty"),
        (_text, "not a video"),
        (_shown_text, "not a video"),
        (_playlist, "not a video"),
        (_picture, "is a picture"),
        (_sound_only, "no video stream"),
        (_no_frames, "no frame|no video stream|not a video"),
        (_too_wide, "16400x16 pixels"),
        (_too_wide_as_shown, "16512x32 pixels"),
        (_cut_header, "damaged"),
    ],
)
def test_refuses_what_is_no_video(tmp_path, media, make, says):
    path = make(tmp_path, media)
    began = time.process_time()
    with pytest.raises(VideoError, match=says) as refusal:
        read_frames(path)  # refused at once, not at the first frame
    assert time.process_time() - began < 2
    message = str(refusal.value)
    assert str(path) in message
    assert "\n" not in message
    assert ";" in message  # what to do about it follows


def test_the_cover_of_a_song_is_no_video(media, tmp_path):
    song = media.sound("song.mp3", "libmp3lame")
    covered = tmp_path / "covered.mp3"
    with av.open(str(song)) as source, av.open(str(covered), "w") as out:
        sound = out.add_stream_from_template(source.streams.audio[0])
        cover = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")))
        for packet in source.demux():
            if packet.size:
                packet.stream = sound
                out.mux(packet)
    with av.open(str(covered)) as made:
        assert made.streams.video, "the file under test must have a cover"
    with pytest.raises(VideoError, match="no video stream"):
        probe(covered)
