"""`mcld-anim eval video`: a generated video against a target, frame by frame, whatever program made it.

Both are read at the target's frame rate from their beginnings, and frames of one time are compared at the smaller of
the two sizes. Where one video ends, the comparison ends, and what is left over is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mcld_anim.body.clip import ClipFrame, FrameLink, FramePose
from mcld_anim.core.arrays import Iuv, Picture
from mcld_anim.core.device import choose_device
from mcld_anim.core.errors import VideoError, WeightsError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.pictures import check_picture, read_picture
from mcld_anim.core.stages import Progress, ignore_progress
from mcld_anim.evaluate.columns import PROTOCOL, described
from mcld_anim.evaluate.judge import Judge, face_metrics, shown_path
from mcld_anim.evaluate.pairs import estimates
from mcld_anim.metrics.bootstrap import Estimate
from mcld_anim.metrics.frechet import frechet_distance
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.metrics.video_distance import STRIDE, WINDOW, load_i3d, video_features, windows_of
from mcld_anim.model.appearance import resized
from mcld_anim.options.checks import check_choice, check_range
from mcld_anim.options.estimators import DENSEPOSE_BACKENDS, FACE_BACKENDS, DeviceName, FaceName
from mcld_anim.pose.backends import PoseBackend, load_pose_backend
from mcld_anim.pose.precomputed import ASPECT_TOLERANCE
from mcld_anim.pose.sequence import FollowedFrame, follow_person
from mcld_anim.pose.track import PersonTracker
from mcld_anim.setup.first_need import ready_densepose
from mcld_anim.video.probe import VideoInfo, probe
from mcld_anim.video.read import VideoFrame, read_frames

STAGE = "frames"
BATCH = 4
LEAST_SIDE = 52
"""Shortest side of compared frames, pixels: SSIM's published windows are 51 wide."""
WARP_SCALE = 1000
"""Warp errors are shown times this, as in papers."""
LEAST_WINDOWS = 2
"""Of each video, for FVD: one has no covariance."""


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """What `eval video` measures."""

    generated: Path
    target: Path
    source: Path | None = None  # photo; None: no face similarity to it
    max_frames: int | None = None  # None: all
    densepose: str = "auto"  # estimator of the poses that stability follows
    face: FaceName = "auto"
    device: DeviceName = "auto"
    offline: bool = False
    seed: int = 0  # of the bootstrap

    def __post_init__(self) -> None:
        check_choice("--face", self.face, FACE_BACKENDS)
        check_choice("--densepose", self.densepose, DENSEPOSE_BACKENDS)
        check_range("--max-frames", self.max_frames, 1, None)


@dataclass(frozen=True)
class _Grid:
    """What of the two videos is compared."""

    generated: VideoInfo
    target: VideoInfo
    size: tuple[int, int]  # height, width
    max_frames: int | None

    def frames(self, info: VideoInfo, on_event: EventSink) -> Iterator[VideoFrame]:
        """Frames of one of them at the target's rate."""
        return read_frames(info, self.target.fps, max_frames=self.max_frames, on_event=on_event)


def evaluate_video(
    options: VideoOptions,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
    judge: Judge | None = None,
    poses: PoseBackend | None = None,
) -> dict[str, Any]:
    """Figures of the frames, as `--json` writes them. `judge` and `poses` replace the networks of the options."""
    if options.source is not None:
        check_picture(options.source, "--source")
    grid = _grid(options)
    device = choose_device(options.device)
    judge = judge or Judge.load(device, options.face, on_event, fid=False)
    missing = dict(judge.missing)
    poses = poses or load_pose_backend(ready_densepose(options.densepose, device, options.offline, on_event), device)
    rows, faces = _rows(options, grid, judge, poses, progress, on_event)
    metrics = estimates([row for _, row in rows], options.seed)
    fvd = _fvd(grid, len(rows), device, missing)
    if fvd is not None:
        metrics["fvd"] = described(Estimate(fvd[0], None, None, fvd[1]))
    return {
        "kind": "video",
        "name": options.generated.stem,
        "unit": "frames",
        "generated": _described(options.generated, grid.generated),
        "target": _described(options.target, grid.target),
        "source": shown_path(options.source),
        "face_backend": None if judge.faces is None else judge.faces.name,
        "densepose_backend": poses.name,
        "protocol": _protocol(grid),
        "missing": missing,
        "seed": options.seed,
        "sets": {
            f"{grid.size[0]}x{grid.size[1]}": {
                "pairs": len(rows),
                "fps": str(grid.target.fps),
                "faces": faces,
                "metrics": metrics,
                "rows": [
                    {"frame": index, **{key: value if math.isfinite(value) else None for key, value in row.items()}}
                    for index, row in rows
                ],
            }
        },
    }


def _grid(options: VideoOptions) -> _Grid:
    """The common size; VideoError for shapes that cannot be compared."""
    generated, target = probe(options.generated), probe(options.target)
    aspects = [info.width / info.height for info in (generated, target)]
    if abs(math.log(aspects[0] / aspects[1])) > ASPECT_TOLERANCE:
        raise VideoError(
            f"--generated {options.generated} is {generated.width}x{generated.height}, --target {options.target} "
            f"{target.width}x{target.height}: frames of other proportions show other things; crop one like the other"
        )
    small = min(generated, target, key=lambda info: info.width * info.height)
    if min(small.width, small.height) < LEAST_SIDE:
        raise VideoError(f"{small.path} is {small.width}x{small.height}: at least {LEAST_SIDE} on each side are needed")
    return _Grid(generated, target, (small.height, small.width), options.max_frames)


def _rows(
    options: VideoOptions, grid: _Grid, judge: Judge, poses: PoseBackend, progress: Progress, on_event: EventSink
) -> tuple[list[tuple[int, dict[str, float]]], dict[str, int]]:
    """(index, metrics) of every compared frame, and how many show no face, by picture."""
    source = None if options.source is None else judge.face(read_picture(options.source, "--source", on_event))
    made = _followed(grid, grid.generated, poses, on_event)
    real = _followed(grid, grid.target, poses, on_event)
    meters = _Meter("", WARP_SCALE), _Meter("target_", WARP_SCALE)
    rows, faces = [], {f"{key}_without_face": 0 for key in ("generated", "target") if judge.faces is not None}
    if judge.faces is not None and options.source is not None:
        faces["source_without_face"] = int(source is None)
    for one, other in _together(made, real, options, on_event):
        pictures = tuple(resized(followed.frame.picture, grid.size) for followed in (one, other))
        row = judge.compared(*pictures) | meters[0].add(one) | meters[1].add(other)
        found = [judge.face(followed.frame.picture, _iuv(followed)) for followed in (one, other)]
        for key, face in zip(("generated_without_face", "target_without_face"), found, strict=True):
            if key in faces:
                faces[key] += face is None
        rows.append((one.frame.index, row | face_metrics("target", *found) | face_metrics("source", found[0], source)))
        progress(STAGE, len(rows), options.max_frames)
    return rows, faces


def _followed(grid: _Grid, info: VideoInfo, poses: PoseBackend, on_event: EventSink) -> Iterator[FollowedFrame]:
    return follow_person(grid.frames(info, on_event), poses, PersonTracker(), BATCH)


def _together(
    made: Iterator[FollowedFrame], real: Iterator[FollowedFrame], options: VideoOptions, on_event: EventSink
) -> Iterator[tuple[FollowedFrame, FollowedFrame]]:
    """Frames of one time, until one video ends; an event says which is longer."""
    count = 0
    while True:
        one, other = next(made, None), next(real, None)
        if one is None or other is None:
            break
        count += 1
        yield one, other
    if one is not other:
        longer = options.generated if other is None else options.target
        message = f"{count} frames are compared: {longer} goes on when the other video has ended"
        on_event(Event("video_longer", message))


class _Meter:
    """The change of a person's surface from frame to frame, of one video."""

    def __init__(self, prefix: str, scale: float) -> None:
        self._prefix, self._scale = prefix, scale
        self._meter = StabilityMeter()
        self._before: Iuv | None = None

    def add(self, one: FollowedFrame) -> dict[str, float]:
        """stability and warp_error of the next frame; empty where there is nothing to compare with."""
        iuv: Iuv = _iuv(one)
        link = None if self._before is None or one.cut else FrameLink(iuv, self._before)
        pose = FramePose(iuv, one.person is not None, cut=one.cut)
        change = self._meter.add(ClipFrame(one.frame.index, pose, link, one.frame.picture))
        self._before = iuv
        if change is None:
            return {}
        return {
            f"{self._prefix}stability": change.texel_change,
            f"{self._prefix}warp_error": change.warp_error * self._scale,
        }


def _iuv(one: FollowedFrame) -> Iuv:
    return np.zeros_like(one.frame.picture) if one.person is None else one.person.iuv


def _fvd(grid: _Grid, frames: int, device: Any, missing: dict[str, str]) -> tuple[float, int] | None:
    """FVD of the compared frames and its number of windows; None, with the reason in `missing`, if it has none."""
    windows = max(0, (frames - WINDOW) // STRIDE + 1)
    if windows < LEAST_WINDOWS:
        least = WINDOW + STRIDE * (LEAST_WINDOWS - 1)
        missing["fvd"] = f"{frames} frames are too few: at least {least} are needed"
        return None
    try:
        network = load_i3d(device)
    except WeightsError as error:
        missing["fvd"] = str(error)
        return None
    features = [
        video_features(network, windows_of(_pictures(grid, info, frames))) for info in (grid.target, grid.generated)
    ]
    return frechet_distance(*features), windows


def _pictures(grid: _Grid, info: VideoInfo, frames: int) -> Iterator[Picture]:
    for frame in read_frames(info, grid.target.fps, max_frames=frames, on_event=lambda event: None):
        yield resized(frame.picture, grid.size)


def _described(path: Path, info: VideoInfo) -> Mapping[str, Any]:
    return {"file": shown_path(path), "width": info.width, "height": info.height, "fps": str(info.fps)}


def _protocol(grid: _Grid) -> list[str]:
    """What is compared, then the notes of all measurements that concern videos."""
    made, target = grid.generated, grid.target
    what = f"Frames of one time are compared at {float(target.fps):g} frames a second, the target's rate"
    if made.fps != target.fps:
        what += f" (the generated video has {float(made.fps):g})"
    what += f", and at {grid.size[0]}x{grid.size[1]} (height x width), the smaller size"
    if (made.width, made.height) != (target.width, target.height):
        what += f" of {made.height}x{made.width} generated and {target.height}x{target.width} target"
    return [
        f"{what}.",
        "Texel change (grey levels) and warp error: of the body's surface from one frame to the next, by each video's "
        "own IUV, see mcld_anim/metrics/stability.py; the target's own beside it.",
        f"FVD: I3D on windows of {WINDOW} frames, one every {STRIDE}; of two videos, so only for comparing methods on "
        "the same frames.",
        *(line for line in PROTOCOL if not line.startswith(("Pictures", "FID"))),
    ]
