"""Transparent video: opacity and colours survive both formats."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from mcld_anim.core.errors import OutputError
from mcld_anim.video.audio import AudioSource
from mcld_anim.video.write_alpha import ProResWriter, open_transparent


def clip(height: int = 34, width: int = 50) -> list[np.ndarray]:
    """Smooth colours and opacities that move."""
    rows, columns = np.mgrid[:height, :width]
    return [
        np.stack([rows * 5 + 9 * k, columns * 4, rows * 0 + 128, (rows + columns + 8 * k) * 2], -1).astype(np.uint8)
        for k in range(3)
    ]


def test_prores_4444_keeps_opacity_and_colours(tmp_path: Path) -> None:
    frames = clip()
    with ProResWriter(tmp_path / "x.mov", (34, 50), Fraction(25)) as video:
        for frame in frames:
            video.write(frame)
    with av.open(str(tmp_path / "x.mov")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.average_rate) == ("prores", Fraction(25))
        assert stream.codec_context.codec_tag == "ap4h"  # ProRes 4444
        decoded = list(container.decode(video=0))
    assert decoded[0].format.name.startswith("yuva444p")
    assert len(decoded) == 3
    for frame, stored in zip(frames, decoded, strict=True):
        shift = {"yuva444p10le": 4, "yuva444p12le": 16}[stored.format.name]
        planes = [np.frombuffer(plane, "<u2").reshape(plane.height, -1)[:, :50] / shift for plane in stored.planes]
        opacity = planes[3] * (shift * 255 / (1024 * shift / 4 - 1))
        assert np.abs(opacity - frame[..., 3]).max() < 1
        light = 16 + frame[..., :3] @ [0.2126, 0.7152, 0.0722] * 219 / 255
        assert np.abs(planes[0] - light).mean() < 1


def test_sound_goes_along(tmp_path: Path, clip_writer: Callable[..., None]) -> None:
    frames = clip()
    clip_writer(tmp_path / "sound.mp4", [np.zeros((32, 32, 3), np.uint8)] * 5, sound=True)
    with open_transparent(tmp_path / "x.mov", (34, 50), Fraction(10), AudioSource(tmp_path / "sound.mp4")) as video:
        for frame in frames:
            video.write(frame)
    with av.open(str(tmp_path / "x.mov")) as container:
        assert len(container.streams.audio) == 1


def test_pictures_in_an_archive(tmp_path: Path) -> None:
    frames = clip(33, 51)
    with open_transparent(tmp_path / "x.zip", (33, 51), Fraction(25)) as video:
        for frame in frames:
            video.write(frame)
        assert not (tmp_path / "x.zip").exists()
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert archive.namelist() == ["000000.png", "000001.png", "000002.png"]
        stored = cv2.imdecode(np.frombuffer(archive.read("000001.png"), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(stored[..., [2, 1, 0, 3]], frames[1])


@pytest.mark.parametrize("name", ["x.mov", "x.zip"])
def test_a_failure_leaves_nothing(tmp_path: Path, name: str) -> None:
    def fail() -> None:
        with open_transparent(tmp_path / name, (34, 50), Fraction(25)) as video:
            video.write(clip()[0])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert not list(tmp_path.iterdir())


def test_another_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.mov"):
        ProResWriter(tmp_path / "x.mp4", (34, 50), Fraction(25))
