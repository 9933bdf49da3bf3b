"""From the two inputs of a run to what the networks need, each once: source appearance and driving poses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from mcld_anim.core.arrays import Box, Iuv, Picture
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import Event
from mcld_anim.core.pictures import read_picture
from mcld_anim.core.stages import Stages
from mcld_anim.model.appearance import SourceAppearance, encode_source
from mcld_anim.model.load import LoadedModels
from mcld_anim.pose.backends import PoseBackend, PoseEstimate, estimate_of
from mcld_anim.pose.cleanup import RawPose
from mcld_anim.pose.iuv_file import read_iuv
from mcld_anim.pose.iuv_picture import decode_iuv
from mcld_anim.pose.precomputed import PrecomputedPoses, precomputed_poses
from mcld_anim.pose.select import described
from mcld_anim.pose.sequence import PoseSequence, estimate_sequence
from mcld_anim.pose.track import named_ranges, runs_of
from mcld_anim.run.checks import RunPlan, is_sequence
from mcld_anim.video.cuts import with_cuts
from mcld_anim.video.framing import SteadyCrop, apply_iuv, apply_picture, full_crop, steady_crop, tracking_crops
from mcld_anim.video.probe import frame_count
from mcld_anim.video.read import frame_grid, read_frames

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
    cuts: tuple[bool, ...]  # where another scene begins

    def __len__(self) -> int:
        return len(self.poses)

    def time(self, index: int) -> float:
        """Seconds of the driving video at frame `index`."""
        return float(self.start + index / self.fps)

    def framed(self, size: tuple[int, int], framing: str = "fixed") -> Iterator[RawPose]:
        """Each frame's IUV cropped to `size` (height, width), whether the person was found, and whether it is a cut."""
        for index, crop in enumerate(self.crops(size, framing)):
            yield apply_iuv(self.poses[index], crop, size), bool(self.poses.person_found[index]), self.cuts[index]

    def crops(self, size: tuple[int, int], framing: str = "fixed") -> list[SteadyCrop]:
        """What each frame of the result, of the shape of `size` (height, width), shows of its driving frame.

        "fixed": one crop around the person in all frames; "track": one that follows; "full": the whole frame.
        """
        shape, aspect = (self.poses[0].shape[0], self.poses[0].shape[1]), size[1] / size[0]
        if framing == "full":
            return [full_crop(shape, aspect)] * len(self)
        if framing == "track":
            return tracking_crops(self.boxes, shape, aspect, TRACK_SECONDS * float(self.fps), MARGIN, self.cuts)
        return [steady_crop(self.boxes, shape, aspect, MARGIN)] * len(self)


def encode_photo(path: Path, models: LoadedModels, stages: Stages) -> SourceAppearance:
    """The source photo, framed around its largest person and encoded: once per run, whatever the number of frames."""
    with stages.timed(SOURCE_STAGE):
        stages.progress(SOURCE_STAGE, 0, 2)
        picture = read_picture(path, "--source")
        (people,) = models.pose_backend.estimate([picture])
        if not people:
            raise PoseError(
                f"no person was found in --source {path} (densepose: {models.pose_backend.name}): give a "
                "photo of one person, best in full length and from the front"
            )
        if len(people) > 1:
            message = (
                f"--source {path} shows {described(people)}: the largest is taken; cut the others off if it is wrong"
            )
            stages.tell(Event("several_people", message))
        stages.progress(SOURCE_STAGE, 1, 2)
        framed = frame_person(picture, people[0], models.mcld.options.frame_size)
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
            seen = [(frame.time, cut) for frame, cut in with_cuts(frames)]
            poses = precomputed_poses(options.precomputed, [time for time, _ in seen], (info.height, info.width))
            cuts = tuple(cut for _, cut in seen)
            for event in poses.events:
                stages.tell(Event(event.kind, f"--densepose {options.densepose}: {event.message}"))
        else:
            poses = estimate_sequence(
                frames,
                backend,
                folder,
                grid.fps,
                on_frame=lambda done: stages.progress(DRIVING_STAGE, done, expected),
                person=options.person_choice,
                on_event=stages.tell,
            )
            cuts = tuple(bool(cut) for cut in poses.cuts)
        stages.progress(DRIVING_STAGE, len(poses), len(poses))
        boxes = tuple(poses.box(index) for index in range(len(poses)))
    if not any(boxes):
        raise PoseError(f"no person is in any frame of --densepose {options.densepose}: give poses of a person")
    driving = DrivingPoses(poses, grid.fps, float(grid.start), boxes, cuts)
    _tell_gaps(driving, options.driving, stages)
    return driving


def _tell_gaps(driving: DrivingPoses, video: Path, stages: Stages) -> None:
    """Say in which frames the person is missing, and where the video cuts."""
    missing = ~driving.poses.person_found
    if missing.any():
        message = (
            f"the person was not found in {int(missing.sum())} of {len(driving)} frames of {video} "
            f"({named_ranges(runs_of(missing))}): they hold a neighbouring frame's pose and are marked in the report"
        )
        stages.tell(Event("person_missing", message))
    if any(driving.cuts):
        places = named_ranges([(index, index) for index, cut in enumerate(driving.cuts) if cut])
        message = f"{video} cuts to another scene at {places}: nothing is smoothed over a cut"
        stages.tell(Event("cuts", message))


def driving_frames(plan: RunPlan, stages: Stages, every: int = 1) -> Iterator[Picture]:
    """Each `every`-th of the chosen frames of the driving video, which are as many as its poses."""
    options = plan.options
    chosen = (options.fps, options.start, options.end, options.max_frames)
    for frame in read_frames(plan.info, *chosen, on_event=stages.tell, every=every):
        yield frame.picture


def read_pose(path: Path, backend: PoseBackend) -> PoseEstimate:
    """The pose of `--pose`: from an IUV picture, folder or archive, or the largest person's, estimated on a photo."""
    iuv = _iuv_of(path)
    if iuv is not None:
        estimate = estimate_of(iuv, 1.0)
        if estimate is None:
            raise PoseError(f"the IUV in --pose {path} shows no person: all of it is background")
        return estimate
    picture = read_picture(path, "--pose")
    (people,) = backend.estimate([picture])
    if not people:
        raise PoseError(
            f"no person was found in --pose {path} (densepose: {backend.name}): give a picture of one "
            "person, best in full length, or an IUV file"
        )
    return people[0]


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
