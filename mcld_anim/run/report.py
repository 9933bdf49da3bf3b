"""The story of `mcld-anim report`: the report of any video of a person, from any program, beside a photo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mcld_anim.core.arrays import Picture
from mcld_anim.core.device import choose_device
from mcld_anim.core.durable import check_output
from mcld_anim.core.errors import PoseError, UsageError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.outputs import OutputFiles, publish_files, working_folder
from mcld_anim.core.pictures import check_picture, read_picture
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.pose.backends import PoseBackend, estimate_of, load_pose_backend
from mcld_anim.pose.precomputed import precomputed_poses
from mcld_anim.pose.sequence import FollowedFrame, follow_person
from mcld_anim.pose.track import PersonTracker
from mcld_anim.report.faces import FaceMeter
from mcld_anim.report.frames import FrameReport, frame_row
from mcld_anim.report.page import Page, write_page
from mcld_anim.report.thumbnails import Thumbnails
from mcld_anim.run.encode import frame_person
from mcld_anim.run.record import describe_events, versions
from mcld_anim.source.face import Face, FaceBackend, load_face_backend
from mcld_anim.video.cuts import with_cuts
from mcld_anim.video.probe import VideoInfo, frame_count, probe
from mcld_anim.video.read import read_frames

BATCH = 4
PHOTO_SIZE = (512, 512)
"""Height and width at which the person of the photo is shown and its face is looked at."""
FRAMES_STAGE = "frames"

PLAYED = (".mp4", ".m4v", ".webm")
"""What browsers play; a page about anything else shows its numbers and thumbnails only."""


@dataclass(frozen=True)
class ReportRequest:
    """What `mcld-anim report` is asked to do."""

    video: Path
    source: Path  # photo of the person that the video should show
    output: Path | None = None  # the page; None: <video>.report.html beside the video
    densepose: str = "tiny"  # backend, or the path of an IUV sequence of the video
    face: str = "tiny"  # face embedder, or "none"
    device: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.output is not None and not self.output.name.endswith(".report.html"):
            raise UsageError(f"--output {self.output} does not end in .report.html: name the page")

    @property
    def files(self) -> OutputFiles:
        """Where the report goes; the result itself is not among what is written."""
        if self.output is None:
            return OutputFiles(self.video)
        return OutputFiles(self.output.with_name(self.output.name.removesuffix(".report.html") + ".mp4"))


@dataclass(frozen=True)
class Backends:
    """The estimators that a report needs."""

    pose: PoseBackend
    face: FaceBackend | None


def load_backends(request: ReportRequest) -> Backends:
    """The estimators of a request."""
    device = torch.device(choose_device(request.device))
    name = "tiny" if Path(request.densepose).exists() else request.densepose
    return Backends(load_pose_backend(name, device), load_face_backend(request.face, device))


def report_video(
    request: ReportRequest,
    backends: Backends | None = None,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
) -> Path:
    """Write the page, the JSON and the CSV of a video; returns the page's path."""
    files, info, stages = request.files, probe(request.video), Stages(progress, on_event)
    check_picture(request.source, "--source")
    wanted = (files.report_json, files.report_csv, files.report_html)
    for path in wanted:
        check_output(path, request.overwrite)
    backends = backends or load_backends(request)
    picture, face = _source(request, backends, stages)
    thumbnails = Thumbnails(frame_count(info), picture, face)
    with working_folder(files) as work:
        made = files.inside(work)
        with FrameReport(made.report_json, made.report_csv) as report:
            _measure(request, info, backends, FaceMeter(backends.face, face), report, thumbnails, stages)
            summary = report.finish(_summary(backends, face, stages))
        write_page(made.report_html, made.report_csv, _page(request, info, thumbnails, summary))
        finished = (made.report_json, made.report_csv, made.report_html)
        publish_files(list(zip(finished, wanted, strict=True)), request.overwrite)
    return files.report_html


def _source(request: ReportRequest, backends: Backends, stages: Stages) -> tuple[Picture, Face | None]:
    """The person of the photo, and its face."""
    photo = read_picture(request.source, "--source")
    (people,) = backends.pose.estimate([photo])
    if not people:
        raise PoseError(f"no person was found in --source {request.source}: give a photo of the person in the video")
    picture, iuv = frame_person(photo, people[0], PHOTO_SIZE)
    face = None if backends.face is None else backends.face.largest(picture, iuv)
    if backends.face is not None and face is None:
        message = f"no face was found in --source {request.source}: the report has no face similarity"
        stages.tell(Event("source_face_missing", message))
    return picture, face


def _measure(
    request: ReportRequest,
    info: VideoInfo,
    backends: Backends,
    meter: FaceMeter,
    report: FrameReport,
    thumbnails: Thumbnails,
    stages: Stages,
) -> None:
    """One row and perhaps one thumbnail for each frame, a batch in memory at a time."""
    total, stability = frame_count(info), StabilityMeter()
    stages.progress(FRAMES_STAGE, 0, total)
    for one in _followed(request, info, backends, stages):
        frame, iuv = one.frame, np.zeros_like(one.frame.picture) if one.person is None else one.person.iuv
        found, similarity = meter.measure(frame.picture, iuv)
        change = stability.add(frame.picture, iuv, one.cut)
        row = frame_row(frame.index, frame.time, one.person is not None, found, similarity, change)
        row = replace(row, cut=one.cut)
        report.add(row)
        thumbnails.add(row, frame.picture, found)
        stages.progress(FRAMES_STAGE, frame.index + 1, total)
    lost = report.totals.without_person
    if lost:
        message = f"no person was found in {lost} of {report.totals.frames} frames of {request.video}"
        stages.tell(Event("person_missing", message))


def _followed(request: ReportRequest, info: VideoInfo, backends: Backends, stages: Stages) -> Iterator[FollowedFrame]:
    """Each frame with the largest person of the video, estimated and followed or read from a file."""
    frames = read_frames(info, on_event=stages.tell)
    given = Path(request.densepose)
    if given.exists():
        times = [frame.time for frame in read_frames(info, on_event=stages.tell)]
        poses = precomputed_poses(given, times, (info.height, info.width))
        for frame, cut in with_cuts(frames):
            yield FollowedFrame(frame, estimate_of(poses[frame.index], float(poses.person_found[frame.index])), cut)
        return
    tracker = PersonTracker()
    yield from follow_person(frames, backends.pose, tracker, BATCH)
    for event in tracker.events():
        stages.tell(event)


def _summary(backends: Backends, face: Face | None, stages: Stages) -> dict[str, Any]:
    return {
        "source_face_found": face is not None,
        "face_backend": None if backends.face is None else backends.face.name,
        "face_scale": None if backends.face is None else backends.face.scale,
        "face_threshold": None if backends.face is None else backends.face.threshold,
        "densepose_backend": backends.pose.name,
        "events": describe_events(stages),
    }


def _page(request: ReportRequest, info: VideoInfo, thumbnails: Thumbnails, summary: dict[str, Any]) -> Page:
    shown = {"width": info.width, "height": info.height, "frames per second": str(info.fps), "codec": info.codec}
    return Page(
        title=request.video.name,
        origin=f"beside {request.source.name}; the pose was estimated on the video itself",
        video=request.video if request.video.suffix.lower() in PLAYED else None,
        video_name=request.video.name,
        fps=info.fps,
        thumbnails=thumbnails,
        summary=summary,
        settings={
            "Video": shown,
            "Options": {"densepose": request.densepose, "face": request.face},
            "Versions": versions(),
        },
    )
