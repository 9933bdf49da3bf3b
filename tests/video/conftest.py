"""Real media files, made with PyAV, whose content encodes the frame number and the orientation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from mcld_anim.core.arrays import Picture

LEVEL_STEP = 4  # grey levels between the centres of neighbouring frames: several times what video coding changes
CORNERS = ((220, 30, 30), (30, 200, 30), (40, 40, 220), (230, 230, 230))
BURST_LENGTH = 0.05  # seconds


class Media:
    """Makes media files in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def picture(self, index: int, size: tuple[int, int]) -> Picture:
        """Frame `index`: its number as the grey of the middle, one colour per corner."""
        height, width = size
        picture = np.full((height, width, 3), 20 + LEVEL_STEP * (index % 55), np.uint8)
        picture[: height // 4, : width // 4] = CORNERS[0]
        picture[: height // 4, -(width // 4) :] = CORNERS[1]
        picture[-(height // 4) :, : width // 4] = CORNERS[2]
        picture[-(height // 4) :, -(width // 4) :] = CORNERS[3]
        return picture

    def number(self, picture: Picture) -> int:
        """The number of a decoded frame."""
        height, width = picture.shape[:2]
        level = picture[height * 2 // 5 : height * 3 // 5, width * 2 // 5 : width * 3 // 5].mean()
        return round((level - 20) / LEVEL_STEP)

    def corners(self, picture: Picture) -> list[int]:
        """Which of `CORNERS` are top left, top right, bottom left, bottom right."""
        height, width = picture.shape[:2]
        rows, columns = (height // 10, height - height // 10), (width // 10, width - width // 10)
        seen = [picture[row, column].astype(int) for row in rows for column in columns]
        return [int(np.argmin([np.abs(colour - np.array(one)).sum() for one in CORNERS])) for colour in seen]

    def video(
        self,
        name: str,
        frames: int = 12,
        size: tuple[int, int] = (96, 128),
        rate: Fraction | int = 25,
        times: Sequence[int] | None = None,
        codec: str = "libx264",
        pixels: str = "yuv420p",
        options: dict[str, str] | None = None,
        tagged: bool = True,
        transfer: int = 1,
        sample_aspect: Fraction | None = None,
        rotation: tuple[int, bool] | None = None,
        container: dict[str, str] | None = None,
        audio: str | None = None,
        audio_rate: int = 48000,
        burst: float = 0.5,
        noise: bool = False,
    ) -> Path:
        """Write a video; `times` in ms make its rate variable, `rotation` is (degrees counter-clockwise, mirrored)."""
        path = self.folder / name
        random = np.random.default_rng(0)
        with av.open(str(path), "w", options=container or {}) as out:
            stream: Any = out.add_stream(codec, rate=rate)
            stream.height, stream.width = size
            stream.pix_fmt = pixels
            stream.options = options or ({"crf": "10", "preset": "ultrafast"} if codec == "libx264" else {})
            context = stream.codec_context
            if sample_aspect is not None:
                context.sample_aspect_ratio = sample_aspect
            if tagged:
                context.colorspace = context.color_primaries = context.color_range = 1
                context.color_trc = transfer
            if rotation is not None:
                stream.set_display_rotation(rotation[0], hflip=rotation[1])
            if times is not None:
                context.time_base = Fraction(1, 1000)
            sound = self._add_sound(out, audio, audio_rate) if audio else None
            for index in range(frames):
                picture = self.picture(index, size)
                if noise:
                    picture = random.integers(0, 255, picture.shape, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
                    format=pixels,
                    dst_colorspace=Colorspace.ITU709 if tagged else None,
                    dst_color_range=ColorRange.MPEG if tagged else None,
                    dst_color_trc=transfer if tagged else None,
                )
                if times is not None:
                    frame.pts, frame.time_base = times[index], Fraction(1, 1000)
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
            if sound is not None:
                self._play(out, sound, audio_rate, frames / Fraction(rate), burst)
        return path

    def sound(self, name: str, codec: str, seconds: float = 1.0, rate: int = 48000) -> Path:
        """Write a file that holds sound alone."""
        path = self.folder / name
        with av.open(str(path), "w") as out:
            self._play(out, self._add_sound(out, codec, rate), rate, Fraction(seconds), burst=0.5)
        return path

    def _add_sound(self, out: Any, codec: str, rate: int) -> Any:
        return out.add_stream(codec, rate=rate, layout="stereo", options={"strict": "-2"})

    def _play(self, out: Any, stream: Any, rate: int, seconds: Fraction, burst: float) -> None:
        """A faint hum, and a loud burst from `burst` seconds."""
        time = np.arange(round(seconds * rate)) / rate
        loud = (time >= burst) & (time < burst + BURST_LENGTH)
        wave = np.sin(2 * np.pi * 440 * time) * np.where(loud, 0.8, 0.01)
        samples = np.repeat((wave * 32767).astype(np.int16), 2)[None]
        for start in range(0, len(wave), 960):
            frame = av.AudioFrame.from_ndarray(samples[:, 2 * start : 2 * start + 1920], format="s16", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@pytest.fixture
def media(tmp_path: Path) -> Media:
    """A maker of files in a folder of its own."""
    folder = tmp_path / "media"
    folder.mkdir()
    return Media(folder)


@pytest.fixture(scope="module")
def shared_media(tmp_path_factory: pytest.TempPathFactory) -> Media:
    """The same for files that several tests of a module read."""
    return Media(tmp_path_factory.mktemp("media"))
