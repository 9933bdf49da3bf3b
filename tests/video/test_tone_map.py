"""High dynamic range: levels of known luminance in BT.709, and the behaviour without the package."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import psutil
import pytest

from mcld_anim.core.events import Event
from mcld_anim.video import tone_map
from mcld_anim.video.probe import probe
from mcld_anim.video.read import VideoFrame, read_frames

FRAMES = 12
NITS = (0, 5, 20, 50, 100, 203, 400, 1000)
"""Luminance of eight grey columns."""
CODES = {"PQ": 16, "HLG": 18}


def signal(hdr: str, nits: np.ndarray) -> np.ndarray:
    """Luminance -> PQ (SMPTE ST 2084) or HLG (ITU-R BT.2100, display of 1,000 nit, grey) in 0..1."""
    if hdr == "PQ":
        power = (nits / 10000) ** (2610 / 16384)
        return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)
    scene = (nits / 1000) ** (1 / 1.2)
    bright = 0.17883277 * np.log(np.maximum(12 * scene - 0.28466892, 1e-6)) + 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), bright)


def hdr_video(path: Path, hdr: str, tagged: bool = True, rotation: int = 0) -> Path:
    """Columns of `NITS` in 10 bits, BT.2020."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx265", rate=25, options={"x265-params": "log-level=none:qp=4"})
        stream.width, stream.height, stream.pix_fmt = 256, 64, "yuv420p10le"
        context = stream.codec_context
        context.color_trc, context.color_range = CODES[hdr], 1
        if tagged:
            context.colorspace = context.color_primaries = 9
        if rotation:
            stream.set_display_rotation(rotation)
        for _ in range(FRAMES):
            luma = np.rint(64 + 876 * signal(hdr, np.array(NITS, float))).astype("<u2").repeat(32)
            frame = av.VideoFrame(256, 64, "yuv420p10le")
            for plane, row in zip(frame.planes, (luma, np.full(128, 512), np.full(128, 512)), strict=True):
                rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
                rows[:, : len(row)] = row
                plane.update(rows.tobytes())
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def expected(hdr: str) -> np.ndarray:
    """Levels of `NITS`: mobius (j = 0.3) after white, then BT.1886."""
    light = np.array(NITS) / tone_map.WHITE[hdr]
    peak, knee = tone_map.PEAK / tone_map.WHITE[hdr], 0.3
    a = -(knee**2) * (peak - 1) / (knee**2 - 2 * knee + peak)
    b = (knee**2 - 2 * knee * peak + peak) / (peak - 1)
    bent = (b**2 + 2 * b * knee + knee**2) / (b - a) * (light + a) / (light + b)
    return 255 * np.where(light > knee, bent, light) ** (1 / 2.4)


def columns(frame: VideoFrame) -> np.ndarray:
    return frame.picture[:, 16::32].mean(0)


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize("hdr", CODES)
def test_levels_of_known_luminance(tmp_path: Path, hdr: str, tagged: bool) -> None:
    told: list[Event] = []
    path = hdr_video(tmp_path / "a.mp4", hdr, tagged)
    assert probe(path).hdr == hdr
    frames = list(read_frames(path, on_event=told.append))
    assert [frame.index for frame in frames] == list(range(FRAMES))
    assert [event.kind for event in told] == ["video_tone_mapped"]
    for frame in frames:
        assert frame.picture.dtype == np.uint8
        assert np.abs(columns(frame) - expected(hdr)[:, None]).max() < 2.5


def test_hlg_of_75_percent_becomes_level_235() -> None:
    table = np.loadtxt(tone_map.tone_table("HLG", 9).splitlines()[1:])
    grey = table[:: 33**2 + 33 + 1, 0]  # R = G = B
    assert np.interp(0.75, np.linspace(0, 1, 33), grey) * 255 == pytest.approx(235, abs=1)


def test_a_turned_video_is_turned(tmp_path: Path) -> None:
    (frame, *_) = read_frames(hdr_video(tmp_path / "a.mp4", "HLG", rotation=90), on_event=lambda event: None)
    assert frame.picture.shape == (256, 64, 3)
    assert np.abs(frame.picture[16::32][::-1].mean(1) - expected("HLG")[:, None]).max() < 2.5


def test_a_file_name_is_never_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hdr_video(tmp_path / "-y $(touch x).mp4", "HLG")
    monkeypatch.chdir(tmp_path)
    assert len(list(read_frames("-y $(touch x).mp4", on_event=lambda event: None))) == FRAMES
    assert [one.name for one in tmp_path.iterdir()] == ["-y $(touch x).mp4"]


def test_no_process_stands_beside_the_reader(tmp_path: Path) -> None:
    before = psutil.Process().children()  # such as the resource tracker of another test's worker processes
    frames = read_frames(hdr_video(tmp_path / "a.mp4", "PQ"), on_event=lambda event: None)
    next(frames)
    assert psutil.Process().children() == before
    frames.close()


def check_left_as_it_is(path: Path, reason: str) -> None:
    tone_map.tone_table.cache_clear()
    told: list[Event] = []
    frames = list(read_frames(path, on_event=told.append))
    assert len(frames) == FRAMES
    assert [event.kind for event in told] == ["video_hdr"]
    assert "look flat" in told[0].message
    assert reason in told[0].message
    assert np.abs(columns(frames[0]) - 255 * signal("HLG", np.array(NITS, float))[:, None]).max() < 3
    tone_map.tone_table.cache_clear()


def test_without_the_package_its_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tone_map, "find_spec", lambda name: None)
    check_left_as_it_is(hdr_video(tmp_path / "a.mp4", "HLG"), "pip install 'mcld-anim[ffmpeg]'")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (lambda *_, **__: SimpleNamespace(stdout=b"", stderr=b"No such filter: 'zscale'\nmore"), "No such filter"),
        (lambda *_, **__: SimpleNamespace(stdout=b"", stderr=b""), "gave no table"),
        (lambda *_, **__: Path("/nowhere/ffmpeg").read_bytes(), "cannot be run"),
    ],
)
def test_a_program_that_fails_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour, reason: str) -> None:
    monkeypatch.setattr(tone_map.subprocess, "run", behaviour)
    check_left_as_it_is(hdr_video(tmp_path / "a.mp4", "HLG"), reason)


def test_a_package_without_the_program_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("No ffmpeg exe could be found.")

    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", missing)
    check_left_as_it_is(hdr_video(tmp_path / "a.mp4", "HLG"), "no FFmpeg program")
