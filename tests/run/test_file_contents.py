"""The content of a file decides what it is, whatever its name: photos, videos, backgrounds, IUV, reports."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from mcld_anim.animator import Animator
from mcld_anim.background.backdrop import check_file, from_file
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.extract import DensePoseOptions, ReportOptions
from mcld_anim.options.run import RunOptions
from mcld_anim.pose.iuv_file import read_iuv_sequence, write_iuv_sequence
from mcld_anim.run.checks import check_run, is_sequence
from mcld_anim.run.densepose import densepose
from mcld_anim.run.report import Estimators, report
from mcld_anim.synthetic.person import Rendering


@pytest.mark.parametrize("name", ["person.jfif", "person.JPG_large", "person", "person.mp4"])
def test_densepose_of_a_photo_under_any_name(
    tmp_path: Path, media: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(media / "person.png", name)
    made = densepose(DensePoseOptions(input=Path(name), densepose="tiny"))
    assert (made.output, made.frames) == (Path("person_iuv.png"), 1)
    expected = densepose(DensePoseOptions(input=media / "person.png", densepose="tiny", output=Path("expected.zip")))
    assert np.array_equal(read_iuv_sequence(made.output)[0], read_iuv_sequence(expected.output)[0])


def test_densepose_of_a_video_that_is_called_a_photo(tmp_path: Path, media: Path) -> None:
    shutil.copy(media / "dance.mp4", tmp_path / "dance.jpg")
    options = DensePoseOptions(input=tmp_path / "dance.jpg", densepose="tiny", output=tmp_path / "d.zip", max_frames=2)
    assert densepose(options).frames == 2


def test_photo_and_video_of_a_run_under_wrong_names(tmp_path: Path, media: Path) -> None:
    shutil.copy(media / "person.png", tmp_path / "person.mov")
    shutil.copy(media / "dance.mp4", tmp_path / "dance.heic")
    plan = check_run(RunOptions(source=tmp_path / "person.mov", driving=tmp_path / "dance.heic"))
    assert plan.info.frames == 11


def test_backgrounds_under_wrong_names(tmp_path: Path, media: Path, clip_writer: Callable[..., None]) -> None:
    Image.new("RGB", (40, 40), (10, 200, 30)).save(tmp_path / "wall.mp4", "PNG")
    clip_writer(tmp_path / "film.mp4", [np.full((64, 64, 3), level, np.uint8) for level in (40, 200)])
    (tmp_path / "film.mp4").rename(tmp_path / "film.jpg")
    means = {}
    for name in ("wall.mp4", "film.jpg"):
        check_file(tmp_path / name)
        frames = list(islice(from_file(tmp_path / name, (32, 32), Fraction(10), lambda event: None), 2))
        means[name] = [frame.mean((0, 1)) for frame in frames]
    assert means["wall.mp4"] == [pytest.approx((10, 200, 30))] * 2
    assert means["film.jpg"] == [pytest.approx([level] * 3, abs=3) for level in (40, 200)]


def test_iuv_archives_under_other_names(tmp_path: Path) -> None:
    iuv = np.zeros((40, 30, 3), np.uint8)
    iuv[10:30, 10:20] = (2, 100, 200)
    write_iuv_sequence(tmp_path / "poses.zip", [iuv, iuv])
    (tmp_path / "poses.zip").rename(tmp_path / "poses.iuv")
    assert is_sequence(tmp_path / "poses.iuv")
    sequence = read_iuv_sequence(tmp_path / "poses.iuv")
    assert len(sequence) == 2
    assert np.array_equal(sequence[1], iuv)


@pytest.mark.parametrize(
    ("container", "codec", "pixels", "played"),
    [
        ("mov", "libx264", "yuv420p", "video/mp4"),
        ("webm", "libvpx", "yuv420p", "video/webm"),
        ("matroska", "libx264", "yuv420p", None),
        ("avi", "mjpeg", "yuvj420p", None),
    ],
)
def test_a_report_plays_what_browsers_play(
    tmp_path: Path,
    media: Path,
    small_models: LoadedModels,
    dance: list[Rendering],
    container: str,
    codec: str,
    pixels: str,
    played: str | None,
) -> None:
    """Under the name of another format."""
    with av.open(str(tmp_path / "dance.mp4"), "w", format=container) as file:
        stream = file.add_stream(codec, rate=10)
        stream.height, stream.width, stream.pix_fmt = *dance[0].picture.shape[:2], pixels
        for one in dance[:3]:
            file.mux(stream.encode(av.VideoFrame.from_ndarray(one.picture, format="rgb24")))
        file.mux(stream.encode(None))
    estimators = Estimators(small_models.pose_backend, small_models.face_backend)
    options = ReportOptions(video=tmp_path / "dance.mp4", source=media / "person.png")
    page = report(options, estimators, on_event=lambda _: None).output.read_text("utf-8")
    assert re.findall(r'src="data:(video/\w+);base64,', page) == ([] if played is None else [played])


def test_the_library_takes_them_too(tmp_path: Path, media: Path) -> None:
    shutil.copy(media / "person.png", tmp_path / "person.mp4")
    with Animator(densepose="tiny") as animator:
        made = animator.densepose(tmp_path / "person.mp4", output=tmp_path / "iuv.png")
    assert made.output == tmp_path / "iuv.png"
