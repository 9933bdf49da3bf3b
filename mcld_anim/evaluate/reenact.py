"""`mcld-anim eval reenact`: real clips against themselves.

One frame of a clip is the source, or several are its photos, the clip drives, and every other frame is the truth of its
own pose. Frames are compared as `run` makes them: with `--densepose body` the whole frame at the result's size, else
cropped around the person. The person's true mask is BlazePose's matte of the clip's frame; the silhouette of a made
frame is the matte of the same network, looking at the same region. Baselines are the source frame standing still, the
person's mean colour, and the warped source alone, without and with a guess where it does not show the surface.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from mcld_anim.core.arrays import Mask, Picture
from mcld_anim.core.errors import MissingDependencyError, PoseError, UsageError, WeightsError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.pictures import write_picture
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.evaluate.landmarks import jitter_ratio, joint_error, side_jumps
from mcld_anim.evaluate.truth import CropTruth, OwnScene, PhotoTruth, Warped
from mcld_anim.metrics.pictures import psnr, ssim
from mcld_anim.model.appearance import SourceAppearance
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.checks import check_choice, check_range
from mcld_anim.options.estimators import DENSEPOSE_BACKENDS, DeviceName
from mcld_anim.options.person import LARGEST
from mcld_anim.options.photos import check_photos
from mcld_anim.options.run import RunOptions
from mcld_anim.pose.body_backend import BodyBackend, load_body_backend
from mcld_anim.pose.followed_body import FollowedBody
from mcld_anim.pose.matte_alignment import PERSON
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import RunPlan, check_run
from mcld_anim.run.clip import Clip
from mcld_anim.run.driving import DRIVING_STAGE, driving_frames, encode_driving, encode_motion
from mcld_anim.run.frames import make_frames
from mcld_anim.run.photo import PhotoSize, fit_photos
from mcld_anim.run.scene import CropScene
from mcld_anim.run.several_photos import one_person
from mcld_anim.run.source import SOURCE_STAGE, SourcePhoto, encode_photo, read_photo, tell_missing_face
from mcld_anim.sampling.settings import sampling_settings
from mcld_anim.source.dlib_backend import load_dlib_backend
from mcld_anim.source.face import Face, FaceBackend, similarity
from mcld_anim.video.probe import probe
from mcld_anim.video.read import read_frames

FRAME_METRICS = (
    "person_psnr",
    "person_ssim",
    "silhouette_iou",
    "face_same_rate",
    "mean_colour_person_psnr",
    "still_person_psnr",
    "warp_person_psnr",
    "completed_person_psnr",
)
"""Means over the frames that show the person, without the source frames."""


@dataclass(frozen=True, kw_only=True)
class ReenactOptions:
    """What `eval reenact` measures."""

    videos: tuple[Path, ...]
    source_frame: int = 0  # index among the chosen frames
    more_source_frames: tuple[int, ...] = ()  # further frames that are photos of the person, too
    start: float = 0.0  # seconds of each video to skip
    end: float | None = None  # second of each video to stop at; None: its end
    max_frames: int | None = None  # of each video; None: no limit
    densepose: str = "body"  # estimator of the driving poses; masks and landmarks are always BlazePose's
    model: str = "auto"  # as in `run`
    device: DeviceName = "auto"

    def __post_init__(self) -> None:
        if not self.videos:
            raise UsageError("eval reenact has no video: name one or more")
        for frame in self.frames:
            check_range("--source-frame", frame, 0, None)
        check_photos("--source-frame", self.more_source_frames)
        check_choice("--densepose", self.densepose, DENSEPOSE_BACKENDS)

    @property
    def frames(self) -> tuple[int, ...]:
        """Every frame that is a source."""
        return (self.source_frame, *self.more_source_frames)

    def run(self, video: Path, sources: Sequence[Path]) -> RunOptions:
        """The run that is measured."""
        return RunOptions(
            source=sources[0],
            more_sources=tuple(sources[1:]),
            driving=video,
            start=self.start,
            end=self.end,
            max_frames=self.max_frames,
            densepose=self.densepose,
            model=self.model,
            device=self.device,
        )


@dataclass(frozen=True, eq=False)
class _Task:
    """One clip to measure."""

    plan: RunPlan
    still: Picture  # the first source frame, as large as the clip's frames
    source_frames: tuple[int, ...]


def reenact(
    options: ReenactOptions, progress: Progress = ignore_progress, on_event: EventSink = warn
) -> dict[str, Any]:
    """`clips`, a dictionary of metrics per video, and `mean`, their mean over the videos that have the metric.

    frames, frames_with_person: numbers of frames. person_psnr (dB), person_ssim: inside the true mask; mean_colour_,
    still_, warp_, completed_: the same for the baselines, the last two the warped source where it shows the surface and
    with its guesses. silhouette_iou: true mask and the made person's. body_iou: true mask and
    the driving IUV, for `--densepose body` before the mask is used. joint_error, jitter_ratio, side_jumps: see
    `evaluate.landmarks`, None without `body`. face_same_rate: share of the frames whose truth shows a face in which
    dlib takes the made face for the source's; None without dlib or faces. poses_per_second: speed of the driving poses.
    seconds_per_frame: by stage; the models' loading and the measuring do not count.
    """
    with closing(RunCache()) as cache:
        tasks = [_checked(video, options, cache.folder) for video in options.videos]
        models = cache.load(
            options.model, options.device, "auto", options.densepose, "auto", Stages(progress, on_event)
        )
        backend = models.pose_backend
        judge = backend if isinstance(backend, BodyBackend) else load_body_backend()
        faces = _face_judge(on_event)
        clips = [_measured(task, models, judge, faces, cache.folder, Stages(progress, on_event)) for task in tasks]
    return {"clips": clips, "mean": mean_over_clips(clips)}


def mask_iou(one: Mask, other: Mask) -> float:
    """Intersection over union; 1 where both are empty."""
    union = np.count_nonzero(one | other)
    return float(np.count_nonzero(one & other) / union) if union else 1.0


def mean_over_clips(clips: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The mean of every number, without the clips that do not have it; of seconds, stage by stage."""
    means: dict[str, Any] = {}
    for name in (name for name in clips[0] if name != "clip"):
        values = [clip[name] for clip in clips]
        means[name] = mean_over_clips(values) if isinstance(values[0], Mapping) else _mean(values)
    return means


def person_metrics(
    made: Picture, warped: Warped, truth: Picture, mask: Mask, colour: UInt8[np.ndarray, " 3"]
) -> dict[str, Any]:
    """Metrics of one frame, of the warped source and of the person's mean `colour`; all pictures of one size."""
    plain = np.broadcast_to(colour, truth.shape).copy()
    return {
        "person_psnr": psnr(made, truth, mask),
        "person_ssim": ssim(made, truth, mask),
        "mean_colour_person_psnr": psnr(plain, truth, mask),
        "warp_person_psnr": psnr(warped.shown, truth, mask),
        "completed_person_psnr": psnr(warped.completed, truth, mask),
    }


def _checked(video: Path, options: ReenactOptions, folder: Path) -> _Task:
    """Refuse, before a network is loaded, a video that cannot be measured."""
    info = probe(video)
    count, place, still = 0, Path(tempfile.mkdtemp(dir=folder)), None
    photos = {index: place / f"{video.stem}-frame-{index}.png" for index in options.frames}
    for frame in read_frames(info, "source", options.start, options.end, options.max_frames, on_event=_ignore):
        count += 1
        if frame.index in photos:
            write_picture(photos[frame.index], frame.picture)
            still = frame.picture if frame.index == options.source_frame else still
        if count > max(photos):
            break
    missing = [index for index, photo in photos.items() if not photo.exists()]
    if missing or still is None:
        raise UsageError(f"--source-frame {missing[0]} is not in {video}: give 0 to {count - 1}")
    return _Task(check_run(options.run(video, list(photos.values()))), still, options.frames)


def _measured(
    task: _Task,
    models: LoadedModels,
    judge: BodyBackend,
    faces: FaceBackend | None,
    folder: Path,
    stages: Stages,
) -> dict[str, Any]:
    """The metrics of one clip."""
    plan, video = task.plan, task.plan.options.driving
    fitted = models.pose_backend is judge
    with tempfile.TemporaryFile() as masks, tempfile.TemporaryDirectory(dir=folder) as work:
        photo = _source(task, models, stages)
        views: CropTruth | PhotoTruth
        source: SourceAppearance | None
        if fitted:
            motion, body = encode_motion(plan, judge, masks, stages)
            fitted_photos = []
            for one in photo.all:
                assert one.picture is not None
                assert one.body is not None  # fitted by the same estimator
                fitted_photos.append((one.picture, one.body))
            with stages.timed(SOURCE_STAGE):
                fitted_photo = fit_photos(fitted_photos)
            frame = PhotoSize.of(fitted_photos[0][0], fitted_photos[0][1].motion)
            views = PhotoTruth(OwnScene.of_clip(fitted_photo, frame, motion, body))
            source = None if models.options.photo_pixels else encode_photo(photo, models, stages)
        else:
            driving = encode_driving(plan, models.pose_backend, Path(work) / "iuv", stages)
            body = judge.fit(read_frames(plan.info, *plan.options.grid, on_event=_ignore), LARGEST, masks)
            source = encode_photo(photo, models, stages)
            views = CropTruth(CropScene(plan, source, driving, models.options.frame_size))
        clip = Clip(plan, models, photo, source, views.scene, sampling_settings(plan.options, models.options), stages)
        rows = list(_rows(clip, views, body, task, judge, faces, Path(work)))
        found, count = np.flatnonzero(body.seen.found).tolist(), len(body)
        drawn = body.mesh_iuv if fitted else driving.poses.__getitem__
        return {
            "clip": video.name,
            "frames": count,
            "frames_with_person": len(found),
            **{name: _mean([row.get(name) for row in rows]) for name in FRAME_METRICS},
            "body_iou": _mean([mask_iou(drawn(i)[..., 0] > 0, body.matte(i) > PERSON) for i in found]),
            "joint_error": joint_error(body.seen, body.motion) if fitted else None,
            "jitter_ratio": jitter_ratio(body.seen, body.motion, body.cuts) if fitted else None,
            "side_jumps": side_jumps(body.motion, body.seen.found, body.cuts) if fitted else None,
            "poses_per_second": count / stages.seconds[DRIVING_STAGE],
            "seconds_per_frame": {stage: seconds / count for stage, seconds in stages.seconds.items()},
        }


def _source(task: _Task, models: LoadedModels, stages: Stages) -> SourcePhoto:
    """The source frames as one person."""
    paths, photos = task.plan.options.photos, []
    for frame, path in zip(task.source_frames, paths, strict=True):
        try:
            photos.append(read_photo(path, models, stages))
        except PoseError as error:
            message = f"frame {frame} of {task.plan.options.driving} shows no person: choose another --source-frame"
            raise PoseError(message) from error
    photo = photos[0] if len(photos) == 1 else one_person(photos, paths, models.face_backend, stages)
    tell_missing_face(photo, paths, models, stages)
    return photo


def _rows(
    clip: Clip,
    views: CropTruth | PhotoTruth,
    body: FollowedBody,
    task: _Task,
    judge: BodyBackend,
    faces: FaceBackend | None,
    work: Path,
) -> Iterator[dict[str, Any]]:
    """The metrics of every frame that shows the person, but the source frames."""
    known = None if faces is None else faces.largest(task.still)
    photo = clip.photo
    colour = photo.crop[photo.iuv[..., 0] > 0].mean(0).round().astype(np.uint8)
    with closing(make_frames(clip, work)) as frames:
        for frame, picture in zip(frames, driving_frames(task.plan, clip.stages), strict=True):
            index = frame.row.index
            mask = views.mask(index, body.matte(index) > PERSON)
            if index in task.source_frames or not body.seen.found[index] or not mask.any():
                continue
            truth, still = views.picture(index, picture), views.picture(index, task.still)
            silhouette = judge.matte(frame.picture, views.region(index, body.region(index), picture)) > PERSON
            yield {
                **person_metrics(frame.picture, views.warped(index, frame.iuv, colour), truth, mask, colour),
                "still_person_psnr": psnr(still, truth, mask),
                "silhouette_iou": mask_iou(silhouette, mask),
                "face_same_rate": is_same_face(faces, known, frame.picture, truth),
            }


def is_same_face(backend: FaceBackend | None, known: Face | None, made: Picture, truth: Picture) -> bool | None:
    """Whether a made frame shows the known face; None where its truth shows none."""
    if backend is None or known is None or backend.largest(truth) is None:
        return None
    face = backend.largest(made)
    return face is not None and similarity(known, face) >= backend.threshold


def _face_judge(on_event: EventSink) -> FaceBackend | None:
    """dlib, or None with an event where it is not installed."""
    try:
        return load_dlib_backend()
    except (MissingDependencyError, WeightsError) as error:
        message = f"faces are not compared ({error}): the embedded embedder's number on a photograph is no likeness"
        on_event(Event("faces_not_compared", message))
        return None


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean of the known values; None where there are none, or where a perfect copy's PSNR makes it infinite."""
    known = [float(value) for value in values if value is not None and not math.isnan(value)]
    mean = sum(known) / len(known) if known else math.inf
    return mean if math.isfinite(mean) else None


def _ignore(_event: Event) -> None:
    """An event sink for a second reading of a video."""
