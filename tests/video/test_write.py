"""Writing: accurate colours, standard MP4, and a file that appears only once it is complete."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from mcld_anim.core.errors import OutputError, UsageError, VideoError
from mcld_anim.video.audio import audio_source
from mcld_anim.video.probe import probe
from mcld_anim.video.read import read_frames
from mcld_anim.video.write import VideoWriter, check_output, to_yuv420
from mcld_anim.video.write_lossless import LosslessWriter

COLOURS = [
    *((0, 0, 0), (255, 255, 255), (128, 128, 128), (255, 0, 0), (0, 255, 0), (0, 0, 255)),
    *((224, 172, 140), (90, 56, 37), (30, 60, 120), (200, 180, 20), (10, 150, 140), (60, 20, 90)),
]


def write(path: Path, pictures, fps=25, **options) -> Path:
    with VideoWriter(path, pictures[0].shape[:2], fps, preset=options.pop("preset", "ultrafast"), **options) as out:
        for picture in pictures:
            out.write(picture)
    return path


def write_and_fail(path: Path, pictures, error, **options) -> None:
    with VideoWriter(path, pictures[0].shape[:2], 25, **options) as out:
        for picture in pictures:
            out.write(picture)
        raise error


def exact_rgb(frame: av.VideoFrame) -> np.ndarray:
    """The centre pixel, converted by the equations of BT.709 without a library."""
    planes = [np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, -1) for plane in frame.planes]
    y, cb, cr = (float(plane[plane.shape[0] // 2, 8]) for plane in planes)
    luma, blue, red = (y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224
    r, b = luma + 1.5748 * red, luma + 1.8556 * blue
    g = (luma - 0.2126 * r - 0.0722 * b) / 0.7152
    return np.clip(np.array([r, g, b]) * 255, 0, 255)


def test_flat_colours_come_back(tmp_path):
    path = write(tmp_path / "flat.mp4", [np.full((64, 64, 3), colour, np.uint8) for colour in COLOURS])
    with av.open(str(path)) as file:
        exact = [exact_rgb(frame) for frame in file.decode(video=0)]
    assert np.abs(np.array(exact) - COLOURS).max() <= 2
    # swscale, by which most programs read, is up to a level less exact than the equations
    seen = [frame.picture[32, 32].astype(int) for frame in read_frames(path)]
    assert np.abs(np.array(seen) - COLOURS).max() <= 3


def test_a_picture_comes_back(tmp_path, media):
    pictures = [media.picture(index, (96, 128)) for index in range(10)]
    frames = [frame.picture for frame in read_frames(write(tmp_path / "a.mp4", pictures))]
    assert len(frames) == 10
    assert [media.number(frame) for frame in frames] == list(range(10))
    assert max(np.abs(one.astype(int) - two).mean() for one, two in zip(frames, pictures, strict=True)) < 3


def test_is_standard_mp4(tmp_path, media):
    path = write(tmp_path / "a.mp4", [media.picture(0, (96, 128))] * 7, fps=Fraction(30000, 1001))
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        context = stream.codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (1, 1, 1, 1)
        assert stream.average_rate == Fraction(30000, 1001)
        assert (stream.frames, stream.start_time) == (7, 0)
    content = path.read_bytes()
    assert content.find(b"moov") < content.find(b"mdat")
    assert probe(path).fps == Fraction(30000, 1001)


@pytest.mark.parametrize("size", [(95, 127), (96, 127), (95, 128), (33, 35)])
def test_odd_sizes_are_padded_by_their_edge(tmp_path, media, size):
    picture = media.picture(3, size)
    events = []
    path = write(tmp_path / "odd.mp4", [picture] * 2, on_event=events.append, crf=5)
    frame = next(iter(read_frames(path))).picture
    height, width = (side + side % 2 for side in size)
    assert frame.shape == (height, width, 3)
    padded = np.pad(picture, ((0, height - size[0]), (0, width - size[1]), (0, 0)), mode="edge")
    assert np.abs(frame.astype(int) - padded)[-1].mean() < 6
    assert np.abs(frame.astype(int) - padded)[:, -1].mean() < 6
    assert [event.kind for event in events] == ["video_padded"]


def test_planes_of_a_height_that_four_does_not_divide():
    assert to_yuv420(np.zeros((98, 130, 3), np.uint8)).shape == (147, 130)


def test_quality_and_preset_are_used(tmp_path):
    pictures = list(np.random.default_rng(0).integers(0, 255, (5, 96, 128, 3), dtype=np.uint8))
    good = write(tmp_path / "good.mp4", pictures, crf=10).stat().st_size
    small = write(tmp_path / "small.mp4", pictures, crf=45).stat().st_size
    assert small < good / 3
    slow = write(tmp_path / "slow.mp4", pictures, preset="slow").read_bytes()
    assert b"subme=8" in slow  # x264 notes its settings in the stream


@pytest.mark.parametrize("crf", [0, 0.5])
def test_the_best_quality_plays_everywhere(tmp_path, recording, crf):
    """Lossless H.264 is High 4:4:4 Predictive, which browsers and phones do not play."""
    path = write(tmp_path / "a.mp4", recording.pictures[:10], crf=crf, preset="medium")
    with av.open(str(path)) as file:
        assert (file.streams.video[0].profile, file.streams.video[0].pix_fmt) == ("High", "yuv420p")
        stored = [frame.to_ndarray() for frame in file.decode(video=0)]
    for frame, picture in zip(stored, recording.pictures, strict=False):
        assert np.abs(frame.astype(int) - to_yuv420(picture)).max() <= 3


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path, media, error):
    pictures = [media.picture(index, (96, 128)) for index in range(5)]
    with pytest.raises(error):
        write_and_fail(tmp_path / "new" / "folder" / "a.mp4", pictures, error)
    assert list(tmp_path.iterdir()) == [media.folder]


def test_a_failure_keeps_what_was_there(tmp_path, media):
    path = write(tmp_path / "a.mp4", [media.picture(0, (96, 128))])
    before = path.read_bytes()
    with pytest.raises(RuntimeError):
        write_and_fail(path, [media.picture(1, (96, 128))], RuntimeError, overwrite=True)
    assert path.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [path, media.folder]


def test_the_name_appears_at_the_end(tmp_path, media):
    path = tmp_path / "a.mp4"
    with VideoWriter(path, (96, 128), 25) as out:
        out.write(media.picture(0, (96, 128)))
        assert len(list(tmp_path.glob(".*"))) == 1  # the pictures
        assert not path.exists()
    assert path.exists()
    assert not list(tmp_path.glob(".*"))


def test_no_frame_is_no_video(tmp_path):
    with pytest.raises(OutputError, match="no frame"), VideoWriter(tmp_path / "a.mp4", (96, 128), 25):
        pass
    assert list(tmp_path.iterdir()) == []


def test_an_existing_output_is_kept_unless_overwriting(tmp_path, media):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="--overwrite"):
        VideoWriter(path, (96, 128), 25)
    assert path.read_bytes() == b"precious"
    write(path, [media.picture(0, (96, 128))], overwrite=True)
    assert probe(path).frames == 1


def test_an_output_that_appears_meanwhile_is_kept(tmp_path, media):
    path = tmp_path / "a.mp4"
    out = VideoWriter(path, (96, 128), 25).__enter__()
    out.write(media.picture(0, (96, 128)))
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="meanwhile"):
        out.__exit__(None, None, None)
    assert path.read_bytes() == b"precious"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"path": "a.mkv"}, OutputError, "does not end in .mp4"),
        ({"path": "file/a.mp4"}, OutputError, "is a file, not a folder"),
        ({"path": "."}, OutputError, "does not end in .mp4"),
        ({"path": "folder.mp4"}, OutputError, "is a folder"),
        ({"path": "x" * 300 + ".mp4"}, OutputError, "longer than|file name"),
        ({"path": "/proc/none/a.mp4"}, OutputError, "/proc"),
        ({"crf": 60}, UsageError, "crf 60"),
        ({"preset": "warp"}, UsageError, "'warp'"),
        ({"fps": 0}, UsageError, "fps 0"),
        ({"size": (0, 128)}, OutputError, "128x0"),
        ({"size": (96, 20000)}, OutputError, "20000x96"),
    ],
)
def test_wrong_requests_are_refused_before_any_work(tmp_path, wrong, error, says):
    (tmp_path / "file").touch()
    (tmp_path / "folder.mp4").mkdir()
    before = sorted(tmp_path.rglob("*"))
    request = {"path": "a.mp4", "size": (96, 128), "fps": 25} | wrong
    request["path"] = tmp_path / request["path"]
    with pytest.raises(error, match=says) as refusal:
        VideoWriter(**request)
    assert "\n" not in str(refusal.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_checking_an_output_leaves_nothing_and_accepts_new_folders(tmp_path):
    assert check_output(tmp_path / "new" / "folder" / "a.mp4") == tmp_path / "new" / "folder" / "a.mp4"
    assert list(tmp_path.iterdir()) == []


def test_the_longest_name_is_possible(tmp_path, media):
    name = "x" * 251 + ".mp4"
    assert write(tmp_path / name, [media.picture(0, (96, 128))]).exists()


@pytest.mark.parametrize("shape", [(96, 127, 3), (96, 128), (96, 128, 4)])
def test_pictures_of_another_size_are_refused(tmp_path, shape):
    with pytest.raises(ValueError, match="expected uint8"), VideoWriter(tmp_path / "a.mp4", (96, 128), 25) as out:
        out.write(np.zeros(shape, np.uint8))
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, sys, numpy as np
from mcld_anim.core.errors import OutputError
from mcld_anim.video.write import VideoWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (900_000, 900_000))  # stands for a full disk
try:
    with VideoWriter(sys.argv[1], (96, 128), 25) as out:
        for picture in np.random.default_rng(0).integers(0, 255, (160, 96, 128, 3), dtype=np.uint8):
            out.write(picture)
except OutputError as error:
    print(error)
"""


def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path / "a.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "could not be encoded" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_broken_sound_source_leaves_nothing(tmp_path, media):
    source = audio_source(probe(media.video("in.mp4", audio="aac")))
    assert source is not None
    source.path.write_text("no longer a video")
    with pytest.raises(VideoError, match="not a video"):
        write(tmp_path / "out.mp4", [media.picture(0, (96, 128))], audio=source)
    assert list(tmp_path.iterdir()) == [media.folder]


@pytest.mark.parametrize("size", [(48, 64), (127, 125)])
def test_working_copies_lose_nothing(tmp_path, size):
    random = np.random.default_rng(0)
    pictures = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for _ in range(3)]
    with LosslessWriter(tmp_path / "x.mkv", size, 12.5) as writer:
        for picture in pictures:
            writer.write(picture)
    read = list(read_frames(tmp_path / "x.mkv"))
    assert [frame.time for frame in read] == [0, 0.08, 0.16]
    assert all(np.array_equal(frame.picture, picture) for frame, picture in zip(read, pictures, strict=True))
