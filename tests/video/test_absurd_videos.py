"""Videos whose numbers are absurd: refused within seconds, or only what is really there is read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mcld_anim.cli.main import app
from mcld_anim.core.errors import PictureError, VideoError
from mcld_anim.core.pictures import check_picture
from mcld_anim.video import animated_webp
from mcld_anim.video.probe import probe
from mcld_anim.video.rates import nominal_rate
from mcld_anim.video.read import read_frames

YEARS = 3 * 365 * 24 * 3600 * 1000
"""Three years in ms."""
HOUR = 3600 * 1000
SECONDS = 10


def write(path: Path, times: Sequence[int], size: tuple[int, int] = (64, 64), codec: str = "mjpeg") -> Path:
    """A video with frames at `times` (ms), each of one grey, of `size` (height, width)."""
    with av.open(str(path), "w") as out:
        video = out.add_stream(codec, rate=25)
        video.height, video.width = size
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "bgr0"
        video.time_base = video.codec_context.time_base = Fraction(1, 1000)
        for number, moment in enumerate(times):
            picture = np.full((*size, 3), number % 250, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=video.pix_fmt)
            frame.pts, frame.time_base = moment, Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


SHORT = [index * 40 for index in range(9)]


@pytest.mark.parametrize(
    ("times", "size", "codec", "words"),
    [
        ([*SHORT, YEARS], (64, 64), "mjpeg", "shows one frame from 0.32 s on, for 26280.0 hours"),
        ([0, YEARS, YEARS + 40, YEARS + 80], (64, 64), "mjpeg", "shows one frame from 0.00 s on"),
        (SHORT, (64, 16384), "ffv1", "16384x64 pixels, strips"),
        (SHORT, (16384, 64), "ffv1", "64x16384 pixels, strips"),
        (SHORT[:1], (7000, 7000), "mjpeg", "7000x7000 pixels"),
    ],
)
def test_refused_at_once(
    times: list[int], size: tuple[int, int], codec: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = str(write(tmp_path / "absurd.mkv", times, size, codec))
    person = str(Path(__file__).parents[2] / "samples" / "person.png")
    own = ["--densepose", "tiny", "--offline"]
    for arguments in (
        ["run", "--source", person, "--driving", video, *own],
        ["run", "--source", person, "--driving", str(Path(person).with_name("dance.mp4")), "--background", video, *own],
        ["densepose", video, *own],
        ["report", video, "--source", person, *own],
    ):
        began = time.process_time()
        with pytest.raises(SystemExit) as caught:
            app(arguments)
        assert time.process_time() - began < SECONDS
        (line,) = capsys.readouterr().err.splitlines()
        assert (caught.value.code, words in line) == (3, True), line
    assert [path.name for path in tmp_path.iterdir()] == ["absurd.mkv"]


def test_the_part_before_a_false_time_can_be_read(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mkv", [*SHORT, YEARS])
    assert len(list(read_frames(video, end=0.32))) == 8
    assert len(list(read_frames(video, max_frames=20))) == 20
    with pytest.raises(VideoError, match="shows one frame"):
        read_frames(video, fps=1)


def test_a_false_time_behind_the_first_frames_is_refused_before_it_is_shown(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mkv", [*(index * 40 for index in range(600)), YEARS], (32, 32))
    frames = read_frames(video)
    assert [next(frames).index for _ in range(599)] == list(range(599))
    with pytest.raises(VideoError, match=r"shows one frame from 23\.96 s on"):
        next(frames)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("period", [HOUR, 2 * HOUR, 36 * HOUR])
def test_a_clock_of_hours_gives_the_frames_there_are(tmp_path: Path, name: str, period: int) -> None:
    video = write(tmp_path / name, [index * period for index in range(6)])
    info = probe(video)
    assert info.fps == Fraction(1000, period)
    began = time.process_time()
    assert [round(float(frame.picture.mean())) for frame in read_frames(video)] == pytest.approx(range(5), abs=1)
    assert time.process_time() - began < SECONDS


def test_a_long_pause_is_no_error(tmp_path: Path) -> None:
    video = write(tmp_path / "a.mkv", [0, 40, 80, 60_000, 60_040], (32, 32))
    assert len(list(read_frames(video, fps=1))) == 61


@pytest.mark.parametrize("period", [Fraction(1), Fraction(10), Fraction(3600), Fraction(10**8), Fraction(1, 10**6)])
def test_every_rate_is_one(period: Fraction) -> None:
    rate = nominal_rate([index * period for index in range(5)], [None, Fraction(0)])
    assert 0 < rate <= 240
    if period >= 1:
        assert rate == 1 / period


def test_a_strip_is_no_photo(tmp_path: Path) -> None:
    Image.new("RGB", (16384, 64)).save(tmp_path / "strip.png")
    with pytest.raises(PictureError, match="16384x64 pixels, a strip"):
        check_picture(tmp_path / "strip.png")


def test_an_animation_that_grows_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = [Image.new("RGB", (64, 64), (level, 0, 0)) for level in (0, 120, 240)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=40)
    monkeypatch.setattr(animated_webp, "MOST_PIXELS", 3 * 64 * 64)
    assert len(list(read_frames(tmp_path / "a.webp"))) == 3
    frames[0].save(tmp_path / "b.webp", save_all=True, append_images=[*frames[1:], frames[0]], duration=40)
    with pytest.raises(VideoError, match="4 frames of 64x64 pixels"):
        probe(tmp_path / "b.webp")
    large = Image.new("RGB", (8000, 6000))
    large.save(
        tmp_path / "c.webp", save_all=True, append_images=[Image.new("RGB", (8000, 6000), "red")], quality=1, method=0
    )
    with pytest.raises(VideoError, match="8000x6000 pixels"):
        probe(tmp_path / "c.webp")
