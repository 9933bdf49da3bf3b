"""The story of `mcld-anim densepose`: the DensePose of a video or photo, as an IUV file."""

from __future__ import annotations

from pathlib import Path

from mcld_anim.core.device import choose_device
from mcld_anim.core.durable import check_output, durable_file
from mcld_anim.core.errors import PoseError, UsageError
from mcld_anim.core.events import Event, EventSink, warn
from mcld_anim.core.photo_formats import is_photo
from mcld_anim.core.pictures import check_picture, read_picture
from mcld_anim.core.stages import Progress, ignore_progress
from mcld_anim.options.extract import DensePoseOptions
from mcld_anim.pose.backends import PoseBackend, load_pose_backend
from mcld_anim.pose.iuv_file import read_iuv_sequence, write_iuv_sequence
from mcld_anim.pose.iuv_picture import encode_iuv
from mcld_anim.pose.select import described, selected
from mcld_anim.pose.sequence import estimate_sequence
from mcld_anim.run.result import DensePoseResult
from mcld_anim.setup.first_need import ready_densepose
from mcld_anim.video.probe import frame_count, probe
from mcld_anim.video.read import frame_grid, read_frames

DENSEPOSE_STAGE = "densepose"


def densepose(
    options: DensePoseOptions, progress: Progress = ignore_progress, on_event: EventSink = warn
) -> DensePoseResult:
    """Write the IUV of every frame of a video, or of a photo."""
    still = is_photo(options.input)
    output = options.output or Path(f"{options.input.stem}_iuv{'.png' if still else '.zip'}")
    if output.suffix.lower() == ".png" and not still:
        raise UsageError(f"--output {output} is a single picture, but a video needs a .zip archive or a folder")
    if not (options.overwrite and output.is_dir()):  # a sequence folder may be replaced, see `iuv_writer`
        check_output(output, options.overwrite)
    return _photo(options, output, on_event) if still else _video(options, output, progress, on_event)


def no_person(path: Path, densepose: str) -> PoseError:
    """The error for a photo in which an estimator finds nobody."""
    return PoseError(
        f"no person was found in {path} (densepose: {densepose}): "
        "use a photo that shows one person in full, or another --densepose"
    )


def _video(options: DensePoseOptions, output: Path, progress: Progress, on_event: EventSink) -> DensePoseResult:
    info = probe(options.input)
    options.person_choice.check_inside(info.width, info.height, str(options.input))
    grid, expected = frame_grid(info, *options.grid), frame_count(info, *options.grid)
    backend = _backend(options, on_event)
    sequence = estimate_sequence(
        read_frames(info, *options.grid, on_event=on_event),
        backend,
        output,
        grid.fps,
        meta={"input": options.input.name},
        on_frame=lambda done: progress(DENSEPOSE_STAGE, done, expected),
        overwrite=options.overwrite,
        person=options.person_choice,
        on_event=on_event,
    )
    frames, found = len(sequence), int(sequence.person_found.sum())
    progress(DENSEPOSE_STAGE, frames, frames)
    if found < frames:
        message = f"no person was found in {frames - found} of {frames} frames: they hold a neighbouring frame's pose"
        on_event(Event("person_missing", message))
    return DensePoseResult(output, frames, found, backend.name)


def _photo(options: DensePoseOptions, output: Path, on_event: EventSink) -> DensePoseResult:
    check_picture(options.input)
    picture = read_picture(options.input, on_event=on_event)
    options.person_choice.check_inside(picture.shape[1], picture.shape[0], str(options.input))
    backend = _backend(options, on_event)
    (people,) = backend.estimate([picture])
    if not people:
        raise no_person(options.input, backend.name)
    estimate = selected(people, options.person_choice, str(options.input))
    if len(people) > 1:
        message = f"{options.input} shows {described(people)}: --person {options.person_choice} was used"
        on_event(Event("several_people", message))
    if output.suffix.lower() == ".png":
        with durable_file(output, options.overwrite) as partial:
            partial.write_bytes(encode_iuv(estimate.iuv))
    else:
        write_iuv_sequence(output, [estimate.iuv], overwrite=options.overwrite)
    return DensePoseResult(output, len(read_iuv_sequence(output)), 1, backend.name)


def _backend(options: DensePoseOptions, on_event: EventSink) -> PoseBackend:
    device = choose_device(options.device)
    name = ready_densepose(options.densepose, device, options.offline, on_event)
    return load_pose_backend(name, device, options.weights)
