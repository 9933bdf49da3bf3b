"""From the two inputs of a run to what the networks need, each once: source appearance and driving poses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from mcld_anim.arrays import Iuv, Picture
from mcld_anim.errors import PoseError
from mcld_anim.events import Event
from mcld_anim.inputs import RunPlan, is_sequence
from mcld_anim.pictures import read_picture
from mcld_anim.pose.backends import Box, PoseBackend, PoseEstimate, estimate_of
from mcld_anim.pose.iuv_file import read_iuv
from mcld_anim.pose.iuv_picture import decode_iuv
from mcld_anim.pose.precomputed import PrecomputedPoses, precomputed_poses
from mcld_anim.pose.sequence import PoseSequence, estimate_sequence
from mcld_anim.report.stages import Stages
from mcld_anim.source.appearance import SourceAppearance, encode_source
from mcld_anim.video.framing import SteadyCrop, apply_iuv, apply_picture, full_crop, steady_crop, tracking_crops
from mcld_anim.video.probe import frame_count
from mcld_anim.video.read import frame_grid, read_frames
from mcld_anim.weights.load import LoadedModels

DRIVING_STAGE = "driving poses"
SOURCE_STAGE = "source"

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

MARGIN = 0.06
"""Of the person's larger side, kept free on every side: a standing person then fills 0.89 of the frame's
height, as in the training pictures of the embedded model (0.85 to 0.92, `mcld_anim.synthetic.views`)."""


TRACK_SECONDS = 0.4
"""Over which a following crop's path is smoothed: a camera on a shoulder, not on the dancer."""


@dataclass(frozen=True)
class DrivingPoses:
    """The poses of the chosen frames of a driving video, on disk, as large as its frames."""

    poses: PoseSequence | PrecomputedPoses
    fps: Fraction  # of the result
    start: float  # seconds of the driving video at frame 0
    boxes: tuple[Box | None, ...]  # around the person of each frame, None where nobody was found

    def __len__(self) -> int:
        return len(self.poses)

    def time(self, index: int) -> float:
        """Seconds of the driving video at frame `index`."""
        return float(self.start + index / self.fps)

    def framed(self, size: tuple[int, int], framing: str = "fixed") -> Iterator[tuple[Iuv, bool]]:
        """Each frame's IUV cropped to `size` (height, width), and whether a person was found."""
        for index, crop in enumerate(self.crops(size, framing)):
            yield apply_iuv(self.poses[index], crop, size), bool(self.poses.person_found[index])

    def crops(self, size: tuple[int, int], framing: str = "fixed") -> list[SteadyCrop]:
        """What each frame of the result, of the shape of `size` (height, width), shows of its driving frame.

        "fixed": one crop around the person in all frames; "track": one that follows; "full": the whole frame.
        """
        shape, aspect = (self.poses[0].shape[0], self.poses[0].shape[1]), size[1] / size[0]
        if framing == "full":
            return [full_crop(shape, aspect)] * len(self)
        if framing == "track":
            return tracking_crops(self.boxes, shape, aspect, TRACK_SECONDS * float(self.fps), MARGIN)
        return [steady_crop(self.boxes, shape, aspect, MARGIN)] * len(self)


def encode_photo(path: Path, models: LoadedModels, stages: Stages) -> SourceAppearance:
    """The source photo, framed around the person and encoded: once per run, whatever the number of frames."""
    with stages.timed(SOURCE_STAGE):
        stages.progress(SOURCE_STAGE, 0, 2)
        picture = read_picture(path, "--source")
        estimate = models.pose_backend.estimate([picture])[0]
        if estimate.box is None:
            raise PoseError(
                f"no person was found in --source {path} (densepose: {models.pose_backend.name}): give a "
                "photo of one person, best in full length and from the front"
            )
        stages.progress(SOURCE_STAGE, 1, 2)
        framed = frame_person(picture, estimate, models.mcld.options.frame_size)
        appearance = encode_source(*framed, models.mcld, models.condition_backend)
        if models.only_measures and models.face_backend is not None:  # frames are compared with what it sees
            appearance = replace(appearance, face=models.face_backend.largest(*framed))
        stages.progress(SOURCE_STAGE, 2, 2)
    if models.face_backend is not None and appearance.face is None:
        stages.tell(
            Event(
                "source_face_missing",
                f"no face was found in --source {path}: the report has no face similarity",
            )
        )
    return appearance


def frame_person(picture: Picture, estimate: PoseEstimate, size: tuple[int, int]) -> tuple[Picture, Iuv]:
    """The person of a picture and the IUV, cropped alike at the aspect ratio of `size` and scaled to it."""
    crop = _crop([estimate.box], estimate.iuv, size)
    return apply_picture(picture, crop, size), apply_iuv(estimate.iuv, crop, size)


def encode_driving(plan: RunPlan, backend: PoseBackend, folder: Path, stages: Stages) -> DrivingPoses:
    """The DensePose sequence of the driving video, estimated into `folder` or read from a precomputed one."""
    options, info = plan.options, plan.info
    chosen = (options.fps, options.start, options.end, options.max_frames)
    grid = frame_grid(info, *chosen)
    expected = frame_count(info, *chosen)
    frames = read_frames(info, *chosen, on_event=stages.tell)
    with stages.timed(DRIVING_STAGE):
        stages.progress(DRIVING_STAGE, 0, expected)
        poses: PoseSequence | PrecomputedPoses
        if options.precomputed is not None:
            times = [frame.time for frame in frames]
            poses = precomputed_poses(options.precomputed, times, (info.height, info.width))
        else:
            poses = estimate_sequence(
                frames,
                backend,
                folder,
                grid.fps,
                on_frame=lambda done: stages.progress(DRIVING_STAGE, done, expected),
            )
        stages.progress(DRIVING_STAGE, len(poses), len(poses))
        boxes = tuple(poses.box(index) for index in range(len(poses)))
    if not any(boxes):
        raise PoseError(f"no person is in any frame of --densepose {options.densepose}: give poses of a person")
    lost = len(poses) - int(poses.person_found.sum())
    if lost:
        stages.tell(
            Event(
                "person_missing",
                f"no person was found in {lost} of {len(poses)} frames of {options.driving}: they hold the "
                "pose of a neighbouring frame and are marked in the report",
            )
        )
    return DrivingPoses(poses, grid.fps, float(grid.start), boxes)


def driving_frames(plan: RunPlan, stages: Stages) -> Iterator[Picture]:
    """The chosen frames of the driving video, as many and in the order of its poses."""
    options = plan.options
    chosen = (options.fps, options.start, options.end, options.max_frames)
    for frame in read_frames(plan.info, *chosen, on_event=stages.tell):
        yield frame.picture


def read_pose(path: Path, backend: PoseBackend) -> PoseEstimate:
    """The one pose of `--pose`: from an IUV picture, folder or archive, or estimated on a photo."""
    iuv = _iuv_of(path)
    if iuv is not None:
        estimate = estimate_of(iuv, 1.0)
        if estimate.box is None:
            raise PoseError(f"the IUV in --pose {path} shows no person: all of it is background")
        return estimate
    picture = read_picture(path, "--pose")
    estimate = backend.estimate([picture])[0]
    if estimate.box is None:
        raise PoseError(
            f"no person was found in --pose {path} (densepose: {backend.name}): give a picture of one "
            "person, best in full length, or an IUV file"
        )
    return estimate


def frame_pose(pose: PoseEstimate, size: tuple[int, int]) -> Iuv:
    """A pose's IUV, framed around the person as a driving video's is and scaled to `size` (height, width)."""
    return apply_iuv(pose.iuv, _crop([pose.box], pose.iuv, size), size)


def _crop(boxes: Sequence[Box | None], iuv: Iuv, size: tuple[int, int]) -> SteadyCrop:
    """The crop around the boxes in pictures as large as `iuv`, in the aspect of `size` (height, width)."""
    return steady_crop(boxes, (iuv.shape[0], iuv.shape[1]), size[1] / size[0], MARGIN)


def _iuv_of(path: Path) -> Iuv | None:
    """The IUV in `path`, or None where it is an ordinary picture: an IUV's blue plane holds parts, 0..24."""
    if is_sequence(path):
        return read_iuv(path)
    with path.open("rb") as stream:
        if stream.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
            return None
    try:
        return decode_iuv(path.read_bytes(), str(path))
    except PoseError:
        return None
