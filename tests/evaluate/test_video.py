"""`eval video`: frames of one time, other rates and sizes, faces, stability, FVD, refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from mcld_anim.cli.main import app
from mcld_anim.core.errors import UsageError, VideoError
from mcld_anim.core.events import Event
from mcld_anim.evaluate.judge import Judge
from mcld_anim.evaluate.video import VideoOptions, evaluate_video
from mcld_anim.metrics.frechet import frechet_distance
from mcld_anim.metrics.video_distance import FEATURES, load_i3d, video_features, windows_of
from mcld_anim.source.face import FaceBackend
from mcld_anim.synthetic.person import Rendering
from mcld_anim.video.read import read_frames
from mcld_anim.weights.store import PulledFile, add_to_record

Writer = Callable[..., None]


def judge_with(faces: FaceBackend | None = None) -> Judge:
    return Judge(torch.device("cpu"), None, None, faces, {"lpips": "not here"})


def frames_of(path: Path) -> list[np.ndarray]:
    return [frame.picture for frame in read_frames(path)]


def test_a_video_is_like_itself(media: Path, known_poses, small_models) -> None:
    options = VideoOptions(generated=media / "dance.mp4", target=media / "dance.mp4", max_frames=4)
    figures = evaluate_video(options, judge=judge_with(small_models.face_backend), poses=known_poses)
    ((size, found),) = figures["sets"].items()
    metrics = found["metrics"]
    assert (size, found["pairs"], found["fps"]) == ("128x128", 4, "10")
    assert (metrics["ssim"]["mean"], metrics["psnr"]["infinite"]) == (pytest.approx(1), 4)
    assert metrics["face_target_cosine"]["mean"] == pytest.approx(1)
    assert metrics["stability"] == metrics["target_stability"]
    assert metrics["stability"]["count"] == 3  # the first frame has none before it
    assert metrics["warp_error"]["mean"] > 0
    assert figures["missing"]["lpips"] == "not here"
    assert "20 are needed" in figures["missing"]["fvd"]


def test_a_worse_video_is_measured_frame_by_frame(
    media: Path,
    tmp_path: Path,
    clip_writer: Writer,
    dance: list[Rendering],
    photo: Rendering,
    known_poses,
    small_models,
) -> None:
    flicker = [np.clip(one.picture.astype(int) + 6 * (n % 2), 0, 255).astype(np.uint8) for n, one in enumerate(dance)]
    clip_writer(tmp_path / "made.mp4", flicker[:5])
    told: list[Event] = []
    options = VideoOptions(
        generated=tmp_path / "made.mp4", target=media / "dance.mp4", source=media / "person.png", max_frames=8
    )
    judge = judge_with(small_models.face_backend)
    judge.faces.largest = lambda picture, iuv=None: type(judge.faces).largest(  # the photo comes without its IUV
        judge.faces, picture, photo.iuv if iuv is None else iuv
    )
    figures = evaluate_video(options, on_event=told.append, judge=judge, poses=known_poses)
    (found,) = figures["sets"].values()
    assert found["pairs"] == 5
    assert [event.message for event in told if event.kind == "video_longer"] == [
        f"5 frames are compared: {media / 'dance.mp4'} goes on when the other video has ended"
    ]
    made, real = frames_of(tmp_path / "made.mp4"), frames_of(media / "dance.mp4")
    for row, one, other in zip(found["rows"], made, real, strict=False):
        assert row["psnr"] == pytest.approx(peak_signal_noise_ratio(other, one, data_range=255))
    metrics = found["metrics"]
    assert metrics["stability"]["mean"] > metrics["target_stability"]["mean"] + 2
    assert metrics["warp_error"]["mean"] > metrics["target_warp_error"]["mean"]
    assert metrics["face_source_cosine"]["mean"] < metrics["face_target_cosine"]["mean"]
    assert found["faces"] == {"generated_without_face": 0, "target_without_face": 0, "source_without_face": 0}


def test_another_rate_and_size_are_compared_at_the_targets_times(
    media: Path, tmp_path: Path, clip_writer: Writer, dance: list[Rendering], known_poses
) -> None:
    large = [cv2.resize(one.picture, (192, 192), interpolation=cv2.INTER_CUBIC) for one in dance[:6] for _ in range(2)]
    clip_writer(tmp_path / "fast.mp4", large, fps=20)
    options = VideoOptions(generated=tmp_path / "fast.mp4", target=media / "dance.mp4")
    figures = evaluate_video(options, on_event=lambda event: None, judge=judge_with(), poses=known_poses)
    found = figures["sets"]["128x128"]
    assert found["pairs"] == 6
    assert min(row["psnr"] for row in found["rows"]) > 30  # each frame is beside its own
    assert "the generated video has 20" in figures["protocol"][0]
    assert (
        "128x128 (height x width), the smaller size of 192x192 generated and 128x128 target" in figures["protocol"][0]
    )


def test_other_proportions_are_refused(media: Path, tmp_path: Path, clip_writer: Writer) -> None:
    clip_writer(tmp_path / "wide.mp4", [np.zeros((64, 128, 3), np.uint8)] * 3)
    with pytest.raises(VideoError, match=r"is 128x64, .* 128x128: frames of other proportions"):
        evaluate_video(VideoOptions(generated=tmp_path / "wide.mp4", target=media / "dance.mp4"))
    clip_writer(tmp_path / "small.mp4", [np.zeros((32, 32, 3), np.uint8)] * 3)
    with pytest.raises(VideoError, match="at least 52 on each side"):
        evaluate_video(VideoOptions(generated=tmp_path / "small.mp4", target=media / "dance.mp4"))
    with pytest.raises(UsageError, match="--max-frames"):
        VideoOptions(generated=media, target=media, max_frames=0)


class Colours(torch.nn.Module):
    """Called as I3D is; the features are means of colours in time."""

    def forward(self, x: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        means = x.mean((3, 4)).flatten(1)
        return torch.cat([means, torch.zeros(len(x), 400 - means.shape[1])], 1)


def test_fvd_is_the_distance_of_windows(
    tmp_path: Path, clip_writer: Writer, known_poses, monkeypatch: pytest.MonkeyPatch
) -> None:
    shade = [np.full((64, 64, 3), 40 + 5 * index, np.uint8) for index in range(25)]
    clip_writer(tmp_path / "target.mp4", shade)
    clip_writer(tmp_path / "made.mp4", [one + 20 for one in shade])
    monkeypatch.setenv("MCLD_ANIM_HOME", str(tmp_path))
    path = tmp_path / "i3d" / "i3d.torchscript"
    path.parent.mkdir()
    torch.jit.script(Colours()).save(str(path))
    add_to_record(path.parent, "i3d", PulledFile(path.name, path.stat().st_size, "", 0, "", "a test", {}))
    options = VideoOptions(generated=tmp_path / "made.mp4", target=tmp_path / "target.mp4")
    figures = evaluate_video(options, on_event=lambda event: None, judge=judge_with(), poses=known_poses)
    fvd = figures["sets"]["64x64"]["metrics"]["fvd"]
    features = [video_features(load_i3d(), windows_of(frames_of(tmp_path / f"{n}.mp4"))) for n in ("target", "made")]
    assert features[0].shape == (3, FEATURES)
    assert (fvd["count"], fvd["low"]) == (3, None)
    assert fvd["mean"] == pytest.approx(frechet_distance(*features), rel=1e-6)
    assert fvd["mean"] > 0.1


def test_the_command_compares_videos(media: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    videos = ["--generated", str(media / "room.mp4"), "--target", str(media / "room.mp4")]
    flags = ["--max-frames", "1", "--densepose", "tiny", "--face", "none", "--device", "cpu"]
    with pytest.raises(SystemExit) as caught:
        app(["eval", "video", *videos, *flags, "--json", str(tmp_path / "figures.json")])
    assert not caught.value.code
    out = " ".join(capsys.readouterr().out.split())
    figures = json.loads((tmp_path / "figures.json").read_text(), parse_constant=pytest.fail)
    assert figures["sets"]["128x128"]["pairs"] == 1
    assert "PSNR↑ inf (1 equal)" in out
    assert "FVD: 1 frames are too few" in out
    assert "LPIPS: its weights are not here" in out
    assert "texel change" not in out.split("FVD:")[0]  # nobody is in the room
