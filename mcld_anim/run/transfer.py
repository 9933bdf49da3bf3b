"""The story of `mcld-anim pose`: a photo and a pose become a picture, like `run` with one frame. `mcld-anim edit` is
the same in the photo's own pose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcld_anim.body.clip import ClipFrame, FramePose
from mcld_anim.core.arrays import AnySizePicture, Iuv, Picture, Texture
from mcld_anim.core.bounded_files import UnboundedError, read_bytes
from mcld_anim.core.durable import check_output, durable_file
from mcld_anim.core.errors import PoseError
from mcld_anim.core.events import EventSink, warn
from mcld_anim.core.names import write_json
from mcld_anim.core.pictures import read_picture, write_picture
from mcld_anim.core.publishing import publish
from mcld_anim.core.stages import Progress, Stages, ignore_progress
from mcld_anim.core.work_folder import working_folder
from mcld_anim.model.load import LoadedModels
from mcld_anim.options.run import EditOptions, PoseOptions, SynthesisOptions
from mcld_anim.pose.backends import PoseBackend, PoseEstimate, estimate_of
from mcld_anim.pose.driving_change import driving_change
from mcld_anim.pose.iuv_file import MOST_BYTES, read_iuv
from mcld_anim.pose.iuv_picture import decode_iuv
from mcld_anim.pose.retarget import retargeted
from mcld_anim.report.attention import attention_picture
from mcld_anim.report.faces import FaceMeter
from mcld_anim.report.frames import FrameReport, FrameRow
from mcld_anim.report.side_by_side import side_by_side
from mcld_anim.run.cache import RunCache
from mcld_anim.run.checks import check_outputs, check_pose, check_source, is_sequence
from mcld_anim.run.edited import Edits
from mcld_anim.run.finished import published_before
from mcld_anim.run.frames import FRAMES_STAGE
from mcld_anim.run.makers import maker_in_crops, maker_in_photo, weighted_source
from mcld_anim.run.own_pose import OwnPose
from mcld_anim.run.record import describe_run, describe_summary
from mcld_anim.run.request import request_of
from mcld_anim.run.result import Result
from mcld_anim.run.scene import check_no_body, posed
from mcld_anim.run.source import SourcePhoto, person_crop
from mcld_anim.sampling.photo_pixels import PhotoPixels
from mcld_anim.sampling.settings import SamplingSettings, sampling_settings
from mcld_anim.video.framing import apply_iuv

if TYPE_CHECKING:
    from mcld_anim.model.appearance import SourceAppearance
    from mcld_anim.sampling.frame_maker import FrameMaker

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True, eq=False)
class Transferred:
    """A picture with the contents of its report."""

    picture: Picture
    row: FrameRow
    summary: dict[str, Any]  # without the totals of the rows
    record: dict[str, Any]  # the content of OUT.run.json
    texture: Texture | None = None  # of the edited person, if it is to be saved
    attention: AnySizePicture | None = None  # maps, if they are wanted and networks made the picture


def transfer(
    options: PoseOptions | EditOptions,
    cache: RunCache,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
) -> Result:
    """Show the person of `options.source` in the pose of `options.pose`, or with edits in their own; a failure leaves
    nothing behind."""
    if (before := published_before(options, cache.checksums, Stages(progress, on_event))) is not None:
        return replace(before, picture=read_picture(before.output))
    outputs, texture = check_outputs(options), options.save_texture if isinstance(options, EditOptions) else None
    if texture is not None:
        check_output(texture, options.overwrite)
    _check(options)
    with working_folder(outputs) as work:
        done, made = make_picture(options, cache, progress, on_event, outputs.result), work.made
        write_picture(made.result, done.picture)
        with FrameReport(made.report_json, made.report_csv) as report:
            report.add(done.row)
            summary = report.finish(done.summary)
        write_json(made.run_json, done.record)
        more: tuple[Path, ...] = ()
        if done.attention is not None:
            write_picture(made.attention, done.attention)
            more = (outputs.attention,)
        if texture is not None and done.texture is not None:
            with durable_file(texture, options.overwrite) as partial:
                write_picture(partial, done.texture)
        publish(work.folder, (*more, *outputs.all), options.overwrite, request_of(options, cache.checksums))
    return Result(outputs, summary, done.picture)


def make_picture(
    options: PoseOptions | EditOptions,
    cache: RunCache,
    progress: Progress = ignore_progress,
    on_event: EventSink = warn,
    output: Path | None = None,
) -> Transferred:
    """The picture, without writing a file; `output` is its name in the record."""
    _check(options)
    stages = Stages(progress, on_event)
    models = cache.models(options, stages)
    photo, settings = cache.photo(options.photos, models, stages), sampling_settings(options, models.options)
    edits = Edits.opened(options, models, cache, stages)
    with stages.timed("driving poses"):
        estimate = (
            read_pose(options.pose, models.pose_backend, stages.emit) if isinstance(options, PoseOptions) else None
        )
    fitted = photo.body is not None and (estimate is None or estimate.body is not None)
    if options.retarget in ("auto", "body") and fitted:
        scene = _in_photo(estimate, photo, options, models, cache, edits, settings, stages)
    else:
        check_no_body(options, models.pose_backend.name)
        scene = _in_crops(estimate, photo, options, models, cache, edits, settings, stages)
    with stages.timed("synthesis"):
        frame = ClipFrame(0, scene.pose)
        (picture,) = scene.maker.make([frame], lambda done, steps: stages.progress(FRAMES_STAGE, done, steps))
    photo, iuv = photo if edits is None else edits.shown(photo), scene.pose.iuv
    face, similarity = FaceMeter(models.face_backend, photo.faced.face).measure(picture, iuv)
    weights = models.weights_read(networks=scene.source is not None)
    return Transferred(
        side_by_side(scene.shown, iuv, picture) if options.side_by_side else picture,
        FrameRow(0, 0.0, True, face is not None, similarity, None, None),
        describe_summary(models, photo.faced.face, stages),
        describe_run(options, output, models, weights, settings, cache.checksums, stages, {"retarget": scene.retarget}),
        edits.texture() if edits is not None and isinstance(options, EditOptions) and options.save_texture else None,
        scene.attention(frame) if options.attention_maps else None,
    )


@dataclass(frozen=True, eq=False)
class _Scene:
    """Where the picture is made, and by whom."""

    source: SourceAppearance | None  # for networks
    pose: FramePose
    maker: FrameMaker | PhotoPixels | OwnPose
    shown: Picture  # the source, at the picture's size
    retarget: str

    def attention(self, frame: ClipFrame) -> AnySizePicture | None:
        """The attention maps of the frame; None where no network makes it."""
        if isinstance(self.maker, PhotoPixels | OwnPose):
            return None
        return attention_picture([self.maker.attention(frame)])


def _in_photo(
    estimate: PoseEstimate | None,
    photo: SourcePhoto,
    options: PoseOptions | EditOptions,
    models: LoadedModels,
    cache: RunCache,
    edits: Edits | None,
    settings: SamplingSettings,
    stages: Stages,
) -> _Scene:
    """In the source's photo; in its own pose without an `estimate`."""
    source = cache.source_in_photo(options, photo, models, stages, edits)
    if source is not None:
        source = _finished_source(source, options, models, edits, stages)
    plain = cache.stage(options, photo, models, stages)
    stage = plain if edits is None else edits.stage(plain, 1)
    if estimate is not None:
        assert estimate.body is not None
        pose, motion = posed(stage, estimate.body.motion)
        return _Scene(source, pose, maker_in_photo(stage, motion, models, source, settings), stage.picture, "body")
    assert photo.body is not None
    own = OwnPose(plain, stage, photo.opened(options.source), photo.body, options.long_side)
    maker = own if source is None else maker_in_photo(stage, plain.motion, models, source, settings)
    return _Scene(source, own.pose, maker, stage.picture, "body")


def _in_crops(
    estimate: PoseEstimate | None,
    photo: SourcePhoto,
    options: PoseOptions | EditOptions,
    models: LoadedModels,
    cache: RunCache,
    edits: Edits | None,
    settings: SamplingSettings,
    stages: Stages,
) -> _Scene:
    """In a frame of the networks' size."""
    source = cache.source(options.photos, photo, models, stages, edits)
    source = _finished_source(source, options, models, edits, stages)
    pose = FramePose(photo.iuv) if estimate is None else _framed(estimate, photo, options, models, stages)
    retarget = "off" if options.retarget == "auto" else options.retarget
    return _Scene(source, pose, maker_in_crops(models, source, settings), photo.crop, retarget)


def _finished_source(
    source: SourceAppearance,
    options: SynthesisOptions,
    models: LoadedModels,
    edits: Edits | None,
    stages: Stages,
) -> SourceAppearance:
    """The encoded source with its weights, and half way to somebody else if that is asked for."""
    source = weighted_source(source, options, models, stages)
    return source if edits is None else edits.over_time(source, 1)


def _check(options: PoseOptions | EditOptions) -> None:
    """Refuse unusable inputs at once."""
    if isinstance(options, PoseOptions):
        check_pose(options)
    else:
        check_source(options)


def _framed(
    estimate: PoseEstimate, photo: SourcePhoto, options: SynthesisOptions, models: LoadedModels, stages: Stages
) -> FramePose:
    """The pose in a crop around its person, with the source's proportions if they are asked for."""
    iuv = frame_pose(estimate, models.options.frame_size)
    if options.retarget not in ("scale", "limbs"):
        return FramePose(iuv)
    change = driving_change(options.retarget, photo.iuv, [iuv], False, stages)
    return FramePose(iuv if change is None else retargeted(iuv, change))


def read_pose(path: Path, backend: PoseBackend, on_event: EventSink = warn) -> PoseEstimate:
    """The pose in `--pose`: read from an IUV picture, folder or archive, or estimated on a photo's largest person."""
    iuv = _iuv_of(path)
    if iuv is not None:
        estimate = estimate_of(iuv, 1.0)
        if estimate is None:
            raise PoseError(f"the IUV in --pose {path} shows no person, only background: give the IUV of a person")
        return estimate
    picture = read_picture(path, "--pose", on_event)
    (people,) = backend.estimate([picture])
    if not people:
        raise PoseError(
            f"no person was found in --pose {path} (densepose: {backend.name}): give a picture of one "
            "person, best in full length, or an IUV file"
        )
    return people[0]


def frame_pose(pose: PoseEstimate, size: tuple[int, int]) -> Iuv:
    """A pose's IUV, framed around the person like a driving video and scaled to `size` (height, width)."""
    return apply_iuv(pose.iuv, person_crop([pose.box], pose.iuv, size), size)


def _iuv_of(path: Path) -> Iuv | None:
    """The IUV in `path`; None for an ordinary picture, whose blue plane exceeds an IUV's parts 0..24."""
    if is_sequence(path):
        return read_iuv(path)
    with path.open("rb") as stream:
        if stream.read(len(PNG_SIGNATURE)) != PNG_SIGNATURE:
            return None
    try:
        return decode_iuv(read_bytes(path, MOST_BYTES), str(path))
    except (PoseError, UnboundedError):
        return None
