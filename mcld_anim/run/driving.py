"""The driving video of a run: the pose of every frame, on disk, and the crop of each frame in the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Bool

from mcld_anim.body.fit import BodyMotion
from mcld_anim.core.arrays import Box, Picture
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import Event
from mcld_anim.core.stages import Stages
from mcld_anim.pose.backends import PoseBackend
from mcld_anim.pose.body_backend import BodyBackend
from mcld_anim.pose.cleanup import RawPose
from mcld_anim.pose.followed_body import FollowedBody, scenes_between
from mcld_anim.pose.precomputed import PrecomputedPoses, precomputed_poses
from mcld_anim.pose.sequence import PoseSequence, estimate_sequence
from mcld_anim.pose.track import named_ranges, runs_of
from mcld_anim.run.checks import RunPlan
from mcld_anim.run.source import PERSON_MARGIN
from mcld_anim.video.cuts import with_cuts
from mcld_anim.video.framing import SteadyCrop, apply_iuv, full_crop, steady_crop, tracking_crops
from mcld_anim.video.probe import frame_count
from mcld_anim.video.read import FrameGrid, VideoFrame, frame_grid, read_frames

DRIVING_STAGE = "driving poses"

TRACK_SECONDS = 0.4
"""Sigma of the smoothing of a following crop's path, in seconds, like that of a shoulder camera."""


@dataclass(frozen=True, eq=False)
class DrivingClip:
    """The chosen frames of a driving video."""

    fps: Fraction  # of the result
    start: float  # time of frame 0 in the driving video, in seconds
    person_found: Bool[np.ndarray, " frames"]  # False: another frame's pose is held
    cuts: tuple[bool, ...]  # where a new scene begins
    reader: str  # decoder of the video: "pyav" or "decord"

    def __len__(self) -> int:
        return len(self.cuts)

    def time(self, index: int) -> float:
        """Time of frame `index` in the driving video, in seconds."""
        return float(self.start + index / self.fps)


@dataclass(frozen=True, eq=False)
class DrivingMotion(DrivingClip):
    """The body fitted to the person of a driving video."""

    motion: BodyMotion

    @property
    def scenes(self) -> list[slice]:
        """The ranges of frames between cuts."""
        return scenes_between(self.cuts)


@dataclass(frozen=True, eq=False)
class DrivingPoses(DrivingClip):
    """The poses of the chosen frames of a driving video, on disk, at the size of its frames."""

    poses: PoseSequence | PrecomputedPoses
    boxes: tuple[Box | None, ...]  # of the person in each frame, None where nobody was found

    def framed(self, size: tuple[int, int], framing: str = "fixed", first: int = 0) -> Iterator[RawPose]:
        """Of each frame from `first` on the IUV cropped to `size` (height, width), whether the person was found, and
        whether it is a cut."""
        for index, crop in enumerate(self.crops(size, framing)[first:], first):
            yield apply_iuv(self.poses[index], crop, size), bool(self.person_found[index]), self.cuts[index]

    def crops(self, size: tuple[int, int], framing: str = "fixed") -> list[SteadyCrop]:
        """Each frame's crop for the result, at the aspect ratio of `size` (height, width).

        "fixed": one crop around the person in all frames; "track": one that follows; "full": the whole frame.
        """
        shape, aspect = (self.poses[0].shape[0], self.poses[0].shape[1]), size[1] / size[0]
        if framing == "full":
            return [full_crop(shape, aspect)] * len(self)
        if framing == "track":
            smoothing = TRACK_SECONDS * float(self.fps)
            return tracking_crops(self.boxes, shape, aspect, smoothing, PERSON_MARGIN, self.cuts)
        return [steady_crop(self.boxes, shape, aspect, PERSON_MARGIN)] * len(self)


def encode_driving(plan: RunPlan, backend: PoseBackend, folder: Path, stages: Stages) -> DrivingPoses:
    """The DensePose sequence of the driving video, estimated into `folder` or read from a precomputed one."""
    options = plan.options
    poses: PoseSequence | PrecomputedPoses
    with _reading(plan, stages) as reading:
        if options.precomputed is not None:
            poses, cuts = _precomputed(plan, options.precomputed, reading.frames, stages)
        else:
            estimated = estimate_sequence(
                reading.frames,
                backend,
                folder,
                reading.grid.fps,
                on_frame=reading.on_frame,
                person=options.person_choice,
                on_event=stages.emit,
            )
            poses, cuts = estimated, tuple(bool(cut) for cut in estimated.cuts)
        boxes = tuple(poses.box(index) for index in range(len(poses)))
    if not any(boxes):
        raise PoseError(f"no frame of --densepose {options.densepose} shows a person: give poses of a person")
    driving = DrivingPoses(**reading.clip(poses.person_found, cuts), poses=poses, boxes=boxes)
    _emit_end(driving, options.driving, stages)
    return driving


def encode_motion(
    plan: RunPlan, backend: BodyBackend, masks: BinaryIO, stages: Stages
) -> tuple[DrivingMotion, FollowedBody]:
    """The body fitted to the driving video's person, and what it was fitted to; `masks` is an open file for masks."""
    with _reading(plan, stages) as reading:
        body = backend.fit(reading.frames, plan.options.person_choice, masks, reading.on_frame)
    for event in body.events:
        stages.emit(event)
    driving = DrivingMotion(**reading.clip(body.seen.found, body.cuts), motion=body.motion)
    _emit_end(driving, plan.options.driving, stages)
    return driving, body


@dataclass(frozen=True, eq=False)
class _Reading:
    """The frames of a driving video while its poses are estimated."""

    frames: Iterator[VideoFrame]
    grid: FrameGrid
    on_frame: Callable[[int], None]  # reports how many are done
    readers: set[str]

    def clip(self, found: np.ndarray, cuts: Sequence[bool]) -> dict[str, Any]:
        """The fields of `DrivingClip`."""
        return {
            "fps": self.grid.fps,
            "start": float(self.grid.start),
            "person_found": np.asarray(found, bool),
            "cuts": tuple(bool(cut) for cut in cuts),
            "reader": " and ".join(sorted(self.readers)),
        }


@contextmanager
def _reading(plan: RunPlan, stages: Stages) -> Iterator[_Reading]:
    """The chosen frames, with their stage's time and progress."""
    info, chosen = plan.info, plan.options.grid
    expected, readers = frame_count(info, *chosen), set[str]()

    def on_frame(done: int) -> None:
        stages.progress(DRIVING_STAGE, done, expected)

    with stages.timed(DRIVING_STAGE):
        on_frame(0)
        frames = _noted(read_frames(info, *chosen, on_event=stages.emit), readers)
        yield _Reading(frames, frame_grid(info, *chosen), on_frame, readers)


def driving_frames(plan: RunPlan, stages: Stages, every: int = 1) -> Iterator[Picture]:
    """The chosen frames of the driving video, or every n-th of them, in the order of its poses."""
    purpose = "background samples" if every > 1 else "background"
    for frame in read_frames(plan.info, *plan.options.grid, on_event=stages.emit, every=every):
        stages.readers[purpose] = frame.reader
        yield frame.picture


def _noted(frames: Iterator[VideoFrame], readers: set[str]) -> Iterator[VideoFrame]:
    """The same frames; their decoders are added to `readers`."""
    for frame in frames:
        readers.add(frame.reader)
        yield frame


def _precomputed(
    plan: RunPlan, file: Path, frames: Iterator[VideoFrame], stages: Stages
) -> tuple[PrecomputedPoses, tuple[bool, ...]]:
    """Stored poses at the times of the chosen frames, and the cuts of the video itself."""
    seen = [(frame.time, cut) for frame, cut in with_cuts(frames)]
    poses = precomputed_poses(file, [time for time, _ in seen], (plan.info.height, plan.info.width))
    for event in poses.events:
        stages.emit(Event(event.kind, f"--densepose {plan.options.densepose}: {event.message}"))
    return poses, tuple(cut for _, cut in seen)


def _emit_end(driving: DrivingClip, video: Path, stages: Stages) -> None:
    """Report the end, the frames without the person, and the cuts."""
    stages.progress(DRIVING_STAGE, len(driving), len(driving))
    missing = ~driving.person_found
    if missing.any():
        message = (
            f"the person was not found in {int(missing.sum())} of {len(driving)} frames of {video} "
            f"({named_ranges(runs_of(missing))}): they hold a neighbouring frame's pose and are marked in the report"
        )
        stages.emit(Event("person_missing", message))
    if any(driving.cuts):
        places = named_ranges([(index, index) for index, cut in enumerate(driving.cuts) if cut])
        message = f"{video} cuts to another scene at {places}: nothing is smoothed across a cut"
        stages.emit(Event("cuts", message))
