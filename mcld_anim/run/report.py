"""The story of `mcld-anim report`: a report on any video of a person, compared with a photo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mcld_anim.body.clip import ClipFrame, FrameLink, FramePose
from mcld_anim.core.arrays import Picture
from mcld_anim.core.device import choose_device
from mcld_anim.core.durable import check_output
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.outputs import OutputFiles
from mcld_anim.core.pictures import check_picture, read_picture
from mcld_anim.core.publishing import publish
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.core.work_folder import recover, working_folder
from mcld_anim.metrics.stability import StabilityMeter
from mcld_anim.model.choose import choose_standalone_face
from mcld_anim.options.estimators import DENSEPOSE_BACKENDS
from mcld_anim.options.extract import ReportOptions
from mcld_anim.pose.backends import PoseBackend, estimate_of, load_pose_backend
from mcld_anim.pose.iuv_file import read_iuv_sequence
from mcld_anim.pose.precomputed import precomputed_poses
from mcld_anim.pose.sequence import FollowedFrame, follow_person
from mcld_anim.pose.track import PersonTracker
from mcld_anim.report.faces import FaceMeter
from mcld_anim.report.frames import FrameReport, frame_row
from mcld_anim.report.page import Page, write_page
from mcld_anim.report.thumbnails import Thumbnails
from mcld_anim.run.record import describe_events, versions
from mcld_anim.run.result import ReportResult
from mcld_anim.run.source import frame_person
from mcld_anim.setup.first_need import ready_densepose
from mcld_anim.source.face import Face, FaceBackend, load_face_backend
from mcld_anim.video.cuts import with_cuts
from mcld_anim.video.probe import VideoInfo, frame_count, probe
from mcld_anim.video.read import frame_grid, read_frames

FRAMES_PER_BATCH = 4
PHOTO_SIZE = (512, 512)
"""Height and width of the photo's crop that is shown and in which the face is detected."""
FRAMES_STAGE = "frames"

MP4_CODECS, WEBM_CODECS = ("h264", "hevc", "av1", "vp9"), ("vp8", "vp9", "av1")
"""Codecs that browsers play in MP4 and in WebM. The page of any other video has metrics and thumbnails only."""


@dataclass(frozen=True)
class Estimators:
    """The estimators of a report."""

    pose: PoseBackend
    face: FaceBackend | None


def load_estimators(options: ReportOptions, on_event: EventSink = warn) -> Estimators:
    """The estimators chosen by the options."""
    device = choose_device(options.device)
    named = "auto" if options.precomputed is not None else options.densepose
    densepose = ready_densepose(named, device, options.offline, on_event)
    face = choose_standalone_face(options.face)
    return Estimators(load_pose_backend(densepose, device), load_face_backend(face, device))


def report(
    options: ReportOptions,
    estimators: Estimators | None = None,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
) -> ReportResult:
    """Write the page, the JSON and the CSV of a video."""
    files, stages = report_files(options), Stages(progress, on_event)
    for looked_at in (OutputFiles(options.video), files):
        recover(looked_at)
    info = probe(options.video)
    frame_grid(info, "source", 0.0, None, None)  # as all of it is read
    check_picture(options.source, "--source")
    if options.precomputed is not None and not options.precomputed.exists():
        raise PoseError(
            f"--densepose {options.densepose} does not exist: name a backend ({', '.join(DENSEPOSE_BACKENDS)}) or "
            "give the path of the video's IUV"
        )
    if options.precomputed is not None:
        read_iuv_sequence(options.precomputed)
    wanted = (files.report_json, files.report_csv, files.report_html)
    for path in wanted:
        check_output(path, options.overwrite)
    estimators = estimators or load_estimators(options, stages.emit)
    picture, face = _source(options, estimators, stages)
    thumbnails = Thumbnails(frame_count(info), picture, face)
    with working_folder(files) as work:
        made = work.made
        with FrameReport(made.report_json, made.report_csv) as rows:
            _measure(options, info, estimators, FaceMeter(estimators.face, face), rows, thumbnails, stages)
            summary = rows.finish(_summary(estimators, face, stages))
        write_page(made.report_html, made.report_csv, _page(options, info, thumbnails, summary))
        publish(work.folder, wanted, options.overwrite)
    return ReportResult(files, summary)


def report_files(options: ReportOptions) -> OutputFiles:
    """The files of the report; the video itself is not written."""
    if options.output is None:
        return OutputFiles(options.video)
    return OutputFiles(options.output.with_name(options.output.name.removesuffix(".report.html") + ".mp4"))


def _source(options: ReportOptions, estimators: Estimators, stages: Stages) -> tuple[Picture, Face | None]:
    """The person of the photo, and its face."""
    photo = read_picture(options.source, "--source", stages.emit)
    (people,) = estimators.pose.estimate([photo])
    if not people:
        raise PoseError(f"no person was found in --source {options.source}: give a photo of the person in the video")
    picture, iuv = frame_person(photo, people[0], PHOTO_SIZE)
    face = None if estimators.face is None else estimators.face.largest(picture, iuv)
    if estimators.face is not None and face is None:
        message = f"no face was found in --source {options.source}: the report has no face similarity"
        stages.emit(Event("source_face_missing", message))
    return picture, face


def _measure(
    options: ReportOptions,
    info: VideoInfo,
    estimators: Estimators,
    meter: FaceMeter,
    rows: FrameReport,
    thumbnails: Thumbnails,
    stages: Stages,
) -> None:
    """Measure every frame, for its row and perhaps a thumbnail, with one batch in memory at a time."""
    total, stability, before = frame_count(info), StabilityMeter(), None
    stages.progress(FRAMES_STAGE, 0, total)
    for one in _followed(options, info, estimators, stages):
        frame, iuv = one.frame, np.zeros_like(one.frame.picture) if one.person is None else one.person.iuv
        found, similarity = meter.measure(frame.picture, iuv)
        link = None if before is None or one.cut else FrameLink(iuv, before)
        pose = FramePose(iuv, one.person is not None, cut=one.cut)
        change, before = stability.add(ClipFrame(frame.index, pose, link, frame.picture)), iuv
        row = frame_row(frame.index, frame.time, one.person is not None, found, similarity, change)
        row = replace(row, cut=one.cut)
        rows.add(row)
        thumbnails.add(row, frame.picture, None if found is None else found.box)
        stages.progress(FRAMES_STAGE, frame.index + 1, total)
    lost = rows.totals.without_person
    if lost:
        message = f"no person was found in {lost} of {rows.totals.frames} frames of {options.video}"
        stages.emit(Event("person_missing", message))


def _followed(
    options: ReportOptions, info: VideoInfo, estimators: Estimators, stages: Stages
) -> Iterator[FollowedFrame]:
    """Each frame with the followed person, estimated or read from a file."""
    frames = read_frames(info, on_event=stages.emit)
    given = options.precomputed
    if given is not None:
        times = [frame.time for frame in read_frames(info, on_event=stages.emit)]
        poses = precomputed_poses(given, times, (info.height, info.width))
        for frame, cut in with_cuts(frames):
            yield FollowedFrame(frame, estimate_of(poses[frame.index], float(poses.person_found[frame.index])), cut)
        return
    tracker = PersonTracker()
    yield from follow_person(frames, estimators.pose, tracker, FRAMES_PER_BATCH)
    for event in tracker.events():
        stages.emit(event)


def _summary(estimators: Estimators, face: Face | None, stages: Stages) -> dict[str, Any]:
    return {
        "source_face_found": face is not None,
        "face_backend": None if estimators.face is None else estimators.face.name,
        "face_scale": None if estimators.face is None else estimators.face.scale,
        "face_threshold": None if estimators.face is None else estimators.face.threshold,
        "densepose_backend": estimators.pose.name,
        "events": describe_events(stages),
    }


def _page(options: ReportOptions, info: VideoInfo, thumbnails: Thumbnails, summary: dict[str, Any]) -> Page:
    shown = {"width": info.width, "height": info.height, "frames per second": str(info.fps), "codec": info.codec}
    media_type = _media_type(info)
    return Page(
        title=options.video.name,
        origin=f"compared with {options.source.name}; the pose was estimated on the video itself",
        video=None if media_type is None else options.video,
        video_name=options.video.name,
        media_type=media_type or "",
        fps=info.fps,
        thumbnails=thumbnails,
        summary=summary,
        settings={
            "Video": shown,
            "Options": {"densepose": options.densepose, "face": options.face},
            "Versions": versions(),
        },
    )


def _media_type(info: VideoInfo) -> str | None:
    """The MIME type of a video that browsers play, by its content; None for any other."""
    formats = info.container.split(",")
    if "mp4" in formats and info.codec in MP4_CODECS:
        return "video/mp4"
    return "video/webm" if "webm" in formats and info.codec in WEBM_CODECS else None
