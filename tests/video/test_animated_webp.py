"""Animations of the web drive like videos: WebP as GIF and APNG; and what their opacity becomes is told."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mcld_anim.core.errors import VideoError
from mcld_anim.video.animated_webp import _converted, webp_as_video
from mcld_anim.video.probe import probe
from mcld_anim.video.read import read_frames

NAMES = ["a.gif", "a.png", "a.webp"]


def animation(path: Path, media, lengths: list[int], opacity: int | None = None) -> Path:
    """A frame of each length, in ms."""
    pictures = [Image.fromarray(media.picture(index, (48, 64))) for index in range(len(lengths))]
    for picture in pictures:
        if opacity is not None:
            picture.putalpha(Image.fromarray(np.full((48, 64), opacity, np.uint8)))
    options = {"lossless": True} if path.suffix == ".webp" else {}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=lengths, **options)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_animations_drive(media, tmp_path, name):
    path, events = animation(tmp_path / name, media, [40] * 12), []
    info = probe(path)
    assert (info.width, info.height, info.fps) == (64, 48, 25)
    assert info.duration == pytest.approx(0.48)
    frames = list(read_frames(info, on_event=events.append))
    assert [media.number(frame.picture) for frame in frames] == list(range(12))
    assert all(media.corners(frame.picture) == [0, 1, 2, 3] for frame in frames)
    late = list(read_frames(path, start=0.2, max_frames=2, on_event=events.append))
    assert [media.number(frame.picture) for frame in late] == [5, 6]
    assert events == []


@pytest.mark.parametrize("name", NAMES)
def test_frames_of_several_lengths_are_held(media, tmp_path, name):
    frames = list(read_frames(animation(tmp_path / name, media, [100, 50, 200, 50, 100]), fps=20))
    assert [media.number(frame.picture) for frame in frames] == [0, 0, 1, 2, 2, 2, 2, 3, 4, 4]


def test_frames_without_a_length_last_as_long_as_in_browsers(media, tmp_path):
    info = probe(animation(tmp_path / "a.webp", media, [0] * 6))
    assert (info.fps, info.duration) == (10, pytest.approx(0.6))


def test_the_suffix_decides_nothing(media, tmp_path):
    path = animation(tmp_path / "a.webp", media, [40] * 5).rename(tmp_path / "a.mp4")
    assert len(list(read_frames(path))) == 5


def test_a_still_webp_is_a_picture(media, tmp_path):
    Image.fromarray(media.picture(0, (48, 64))).save(tmp_path / "still.webp")
    with pytest.raises(VideoError, match="is a picture"):
        probe(tmp_path / "still.webp")


def test_a_cut_animation_is_refused_and_leaves_nothing(media, tmp_path, monkeypatch):
    path = animation(tmp_path / "a.webp", media, [40] * 12)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    with pytest.raises(VideoError, match="damaged"):
        probe(path)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_it_is_decoded_once_and_removed(media, tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    path = animation(tmp_path / "a.webp", media, [40] * 5)
    list(read_frames(path))
    list(read_frames(path))
    assert list((tmp_path / "temporary").iterdir()) == [webp_as_video(path)]
    animation(path, media, [40] * 7)
    assert len(list(read_frames(path))) == 7  # another content is another video
    _converted.cache_clear()
    gc.collect()
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("name", ["a.png", "a.webp"])
def test_opacity_is_told(media, tmp_path, name):
    events = []
    frames = list(read_frames(animation(tmp_path / name, media, [40] * 4, opacity=128), on_event=events.append))
    assert [media.number(frame.picture) for frame in frames] == [0, 1, 2, 3]
    assert [event.kind for event in events] == ["video_transparent"]
    list(read_frames(animation(tmp_path / f"opaque{name}", media, [40] * 4, opacity=255), on_event=events.append))
    assert len(events) == 1


def test_the_opacity_of_webm_is_told(media):
    """Its decoder leaves the opacity out, and only a tag is left of it."""
    options = {"auto-alt-ref": "0"}  # as libvpx demands
    path = media.video("a.webm", codec="libvpx", pixels="yuva420p", options=options, tagged=False)
    events = []
    assert probe(path).pixel_format == "yuv420p"
    list(read_frames(path, on_event=events.append))
    assert [event.kind for event in events] == ["video_transparent"]


def test_a_second_video_stream_is_told(media, tmp_path):
    first, second = media.video("first.mp4", frames=5), media.video("second.mp4", frames=5, size=(64, 64))
    both, events = tmp_path / "both.mkv", []
    with av.open(str(first)) as one, av.open(str(second)) as two, av.open(str(both), "w") as out:
        targets = [(file, out.add_stream_from_template(file.streams.video[0])) for file in (one, two)]
        for file, target in targets:
            for packet in file.demux(video=0):
                if packet.size:
                    packet.stream = target
                    out.mux(packet)
    frames = list(read_frames(both, on_event=events.append))
    assert [media.number(frame.picture) for frame in frames] == list(range(5))
    (event,) = events
    assert event.kind == "video_streams"
    assert "2 video streams; only the main one was used (128x96)" in event.message
