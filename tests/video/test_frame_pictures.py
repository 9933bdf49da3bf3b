"""Pictures whose size, orientation or pixels change in the stream: each part keeps its own shape."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from mcld_anim.video.read import read_frames
from mcld_anim.video.upright import fitted


def disc(size: tuple[int, int], aspect: float = 1.0) -> np.ndarray:
    """A white disc of 0.8 of the shorter side on grey, as stored in pixels that are `aspect` times as wide as high."""
    height, width = size
    rows, columns = np.mgrid[:height, :width] + 0.5
    inside = np.hypot(rows - height / 2, (columns - width / 2) * aspect) < 0.4 * min(height, width * aspect)
    return np.repeat(np.where(inside, 235, 90).astype(np.uint8)[..., None], 3, -1)


def extent(picture: np.ndarray) -> tuple[int, int]:
    """Width and height of the disc, in pixels."""
    rows, columns = np.nonzero(picture[..., 1] > 160)
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def recorded(path: Path, size: tuple[int, int], codec: str, aspect: Fraction = Fraction(1)) -> Path:
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        stream.bit_rate = 2_000_000
        stream.codec_context.sample_aspect_ratio = aspect
        for _ in range(25):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(disc(size, float(aspect)), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def in_one_stream(path: Path, *parts: Path) -> Path:
    """The packets of several files of 1 s as one stream."""
    with av.open(str(path), "w") as out:
        target: Any = None
        for number, part in enumerate(parts):
            with av.open(str(part)) as source:
                stream = source.streams.video[0]
                target = target or out.add_stream_from_template(stream)
                for packet in source.demux(stream):
                    if packet.size:
                        assert packet.pts is not None
                        assert packet.dts is not None
                        packet.pts += round(number / packet.time_base)
                        packet.dts += round(number / packet.time_base)
                        packet.stream = target
                        out.mux(packet)
    return path


def test_a_phone_that_is_turned_while_it_records(tmp_path):
    wide = recorded(tmp_path / "wide.webm", (144, 256), "libvpx")
    tall = recorded(tmp_path / "tall.webm", (256, 144), "libvpx")
    path, events = in_one_stream(tmp_path / "turned.webm", wide, tall, wide), []
    pictures = [frame.picture for frame in read_frames(path, on_event=events.append)]
    assert {picture.shape for picture in pictures} == {(144, 256, 3)}
    for picture, side in ((pictures[5], 115), (pictures[40], 65), (pictures[60], 115)):
        assert extent(picture) == pytest.approx((side, side), abs=2)
    assert pictures[40][:, :80].mean() < 2  # the border
    assert pictures[40][:20, 100:150].mean() == pytest.approx(90, abs=3)  # above the disc
    (event,) = events
    assert event.kind == "video_shape_changes"
    assert "at 1.00 s to 144x256" in event.message
    late = [frame.picture for frame in read_frames(path, start=1.2, max_frames=3, on_event=events.append)]
    assert extent(late[0]) == pytest.approx((65, 65), abs=2)


def test_a_broadcast_that_changes_between_4_3_and_16_9(tmp_path):
    """The stored size stays, and the shape of its pixels changes."""
    square = recorded(tmp_path / "4_3.ts", (144, 176), "libx264", Fraction(12, 11))
    wide = recorded(tmp_path / "16_9.ts", (144, 176), "libx264", Fraction(16, 11))
    path, events = tmp_path / "a.ts", []
    path.write_bytes(square.read_bytes() + wide.read_bytes())
    pictures = [frame.picture for frame in read_frames(path, on_event=events.append)]
    assert len(pictures) == 50
    assert {picture.shape for picture in pictures} == {(144, 192, 3)}
    for index, picture in enumerate(pictures):
        side = 115 if index < 25 else 86  # 256 columns in 192
        assert extent(picture) == pytest.approx((side, side), abs=2), index
    assert [event.kind for event in events] == ["video_clock", "video_shape_changes"]


def test_every_frame_of_a_turned_video_is_turned(media):
    path, events = media.video("turned.mp4", frames=12, rotation=(90, False)), []
    for frame in read_frames(path, on_event=events.append):
        assert media.corners(frame.picture) == [1, 3, 0, 2]
    assert events == []


@pytest.mark.parametrize(("size", "whole"), [((10, 40), (40, 40)), ((40, 10), (20, 60)), ((400, 300), (30, 30))])
def test_a_fitted_picture_keeps_its_shape(size, whole):
    picture = fitted(np.full((*size, 3), 200, np.uint8), *whole)
    assert picture.shape == (*whole, 3)
    rows, columns = np.nonzero(picture[..., 0])
    height, width = int(np.ptp(rows)) + 1, int(np.ptp(columns)) + 1
    assert (height == whole[0]) or (width == whole[1])
    assert width / height == pytest.approx(size[1] / size[0], rel=0.1)
    assert (picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == 200).all()
    mirrored = cv2.flip(picture, -1)
    assert np.abs(picture.astype(int) - mirrored).mean() <= 200 / min(whole)  # in the middle, but for a pixel
