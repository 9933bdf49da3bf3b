"""Real media files, made with PyAV, whose content encodes the frame number and the orientation."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace

from mcld_anim.core.arrays import Picture

LEVEL_STEP = 4  # grey levels between the centres of neighbouring frames: several times what video coding changes
CORNERS = ((220, 30, 30), (30, 200, 30), (40, 40, 220), (230, 230, 230))
BURST_LENGTH = 0.05  # seconds
SAMPLES = Path(__file__).resolve().parents[2] / "samples"


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


class Recording:
    """The sample dance with noise as its sound, so that frames and the offset of the sound can be recognised."""

    FPS, SOUND_RATE = 25, 48_000

    def __init__(self) -> None:
        with av.open(str(SAMPLES / "dance.mp4")) as file:
            stored = [frame.reformat(128, 128, "rgb24").to_ndarray() for frame in file.decode(video=0)]
        self.pictures = np.stack(stored)
        random = np.random.default_rng(7)
        noise = random.normal(0, 0.3, (self.SOUND_RATE * len(stored) // self.FPS, 2))
        self.sound = cv2.blur(noise, (1, 8)).astype(np.float32)  # up to 6 kHz, which codecs keep as waves

    def part(
        self,
        path: Path,
        first: int = 0,
        last: int = 75,
        begin: float = 0.0,
        codecs: tuple[str, str | None] = ("libx264", "aac"),
        layout: str = "stereo",
        **options: Any,
    ) -> Path:
        """Frames `first` up to `last` and their sound, which a container of the path's suffix has from `begin` s on."""
        with av.open(str(path), "w", **options) as out:
            video: Any = out.add_stream(codecs[0], rate=self.FPS, options={"g": "12"})
            video.bit_rate = 4_000_000  # for codecs other than H.264
            video.height, video.width, video.pix_fmt = *self.pictures.shape[1:3], "yuv420p"
            sound: Any = None if codecs[1] is None else out.add_stream(codecs[1], rate=self.SOUND_RATE, layout=layout)
            for index in range(first, last):
                frame = av.VideoFrame.from_ndarray(self.pictures[index], format="rgb24")
                frame.pts, frame.time_base = index - first + round(begin * self.FPS), Fraction(1, self.FPS)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
            if sound is not None:
                self._play(out, sound, first, last, begin, layout)
        return path

    def _play(self, out: Any, stream: Any, first: int, last: int, begin: float, layout: str) -> None:
        per_frame = self.SOUND_RATE // self.FPS
        stereo = self.sound[first * per_frame : last * per_frame]
        # Left, then right, then both together in whatever other channels there are
        more = np.repeat(stereo.mean(1, keepdims=True), stream.layout.nb_channels - 2, axis=1)
        samples = np.ascontiguousarray(np.concatenate([stereo, more], 1, dtype=np.float32))
        for start in range(0, len(samples), per_frame):
            piece = samples[start : start + per_frame].reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(piece, format="flt", layout=layout)
            frame.sample_rate, frame.time_base = self.SOUND_RATE, Fraction(1, self.SOUND_RATE)
            frame.pts = start + round(begin * self.SOUND_RATE)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))

    def joined(self, path: Path, second: float, codecs: tuple[str, str] = ("libx264", "aac")) -> Path:
        """Segments of a stream, joined byte by byte: frames 0 to 29 from 0 s, and the others from `second` s."""
        one = self.part(path.with_name(f"one{path.suffix}"), 0, 30, 0.0, codecs)
        two = self.part(path.with_name(f"two{path.suffix}"), 30, 75, second, codecs)
        path.write_bytes(one.read_bytes() + two.read_bytes())
        return path

    def numbers(self, pictures: Sequence[Picture]) -> list[int]:
        """The number of the most similar frame, for each picture of 128x128."""
        differences = [np.abs(self.pictures.astype(np.int16) - one).mean((1, 2, 3)) for one in pictures]
        return [int(difference.argmin()) for difference in differences]

    def offsets(self, path: Path, start: float = 0.0, channel: int = 0) -> list[float]:
        """By how many ms a file's sound is late, every 0.4 s; its first frame is that at `start` s of the dance."""
        heard = self.heard(path)[:, channel]
        window, reach = self.SOUND_RATE // 10, self.SOUND_RATE // 10
        found = []
        for begin in range(reach, len(heard) - window, 4 * window):
            place = begin + round(start * self.SOUND_RATE)
            around = self.sound[place - reach : place + window + reach, channel]
            if len(around) == window + 2 * reach:
                likeness = np.correlate(around, heard[begin : begin + window], "valid")
                found.append((reach - int(likeness.argmax())) * 1000 / self.SOUND_RATE)
        return found

    def heard(self, path: Path) -> np.ndarray:
        """The decoded sound since the first frame, (samples, channels)."""
        with av.open(str(path)) as file:
            first = next(file.decode(video=0)).time
        with av.open(str(path)) as file:
            stream = file.streams.audio[0]
            resampler = av.AudioResampler("flt", stream.layout.name, self.SOUND_RATE)
            heard, end = np.zeros((len(self.sound), stream.layout.nb_channels), np.float32), -self.SOUND_RATE
            for decoded in file.decode(stream):
                for frame in resampler.resample(decoded):
                    samples = frame.to_ndarray().reshape(frame.samples, -1)
                    place = round((frame.time - first) * self.SOUND_RATE)
                    if abs(place - end) < self.SOUND_RATE / 500:  # containers round to 1 ms
                        place = end
                    end = place + len(samples)
                    samples, place = samples[max(-place, 0) :], max(place, 0)
                    heard[place : place + len(samples)] = samples[: max(len(heard) - place, 0)]
        used = np.nonzero(heard.any(1))[0]
        return heard[: used[-1] + 1]


@pytest.fixture(scope="session")
def recording() -> Recording:
    """The sample dance as recordings of any kind."""
    return Recording()
