"""Cheap checks of inputs and outputs, before a network is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mcld_anim.background.backdrop import check_file
from mcld_anim.core.durable import check_output
from mcld_anim.core.errors import PictureError, PoseError, UsageError, VideoError
from mcld_anim.core.outputs import OutputFiles, check_writable, name_output
from mcld_anim.core.pictures import check_picture
from mcld_anim.model.choose import check_model
from mcld_anim.options.estimators import DENSEPOSE_BACKENDS
from mcld_anim.options.run import EditOptions, PoseOptions, RunOptions, SynthesisOptions
from mcld_anim.pose.iuv_file import is_archive, read_iuv_sequence
from mcld_anim.video.container import open_input
from mcld_anim.video.probe import VideoInfo, probe
from mcld_anim.video.read import frame_grid


@dataclass(frozen=True)
class RunPlan:
    """The checked inputs of `run`."""

    options: RunOptions
    info: VideoInfo  # of the driving video


def check_source(options: SynthesisOptions) -> None:
    """Refuse an unusable model, photo or edit at once."""
    check_model(options.model)
    for photo in options.photos:
        check_picture(photo, "--source")
    for photo, flag in options.edit_photos.items():
        check_picture(photo, flag)
    if options.texture is not None:
        check_picture(options.texture, "--texture")


def check_run(options: RunOptions) -> RunPlan:
    """Refuse unusable inputs of `run` at once."""
    check_source(options)
    info = probe(options.driving)
    options.person_choice.check_inside(info.width, info.height, str(options.driving))
    frame_grid(info, *options.grid)
    sound = options.audio_file
    if sound not in (None, options.driving) and not sound.is_file():
        raise VideoError(f"--audio {sound} does not exist: give driving, none or the path of a file with sound")
    if sound not in (None, options.driving):
        with open_input(sound) as container:
            if container.streams.best("audio") is None:
                raise VideoError(f"--audio {sound} has no sound: give driving, none or a file with a sound track")
    if options.background_file is not None:
        check_file(options.background_file)
    if options.precomputed is not None and not options.precomputed.exists():
        raise PoseError(
            f"--densepose {options.densepose} does not exist: name a backend ({', '.join(DENSEPOSE_BACKENDS)}) or "
            "give the path of an IUV sequence written by `mcld-anim densepose`"
        )
    if options.precomputed is not None:
        read_iuv_sequence(options.precomputed)
    return RunPlan(options, info)


def check_pose(options: PoseOptions) -> None:
    """Refuse unusable inputs of `pose` at once."""
    check_source(options)
    if not options.pose.exists():
        raise PictureError(f"--pose {options.pose} does not exist: check the path")
    if not is_sequence(options.pose):
        check_picture(options.pose, "--pose")


def named_outputs(options: RunOptions | PoseOptions | EditOptions) -> OutputFiles:
    """The files to be written, unchecked."""
    if isinstance(options, EditOptions):
        return name_output(options.output, options.source, Path("edited"), ".png")
    if isinstance(options, RunOptions):
        return name_output(options.output, options.source, options.driving, *options.suffixes)
    return name_output(options.output, options.source, options.pose, ".png")


def check_outputs(options: RunOptions | PoseOptions | EditOptions) -> OutputFiles:
    """The files to be written. Raises an error if one cannot be written or would replace an input."""
    outputs = named_outputs(options)
    check_writable(outputs, options.overwrite)
    if options.attention_maps:
        check_output(outputs.attention, options.overwrite)
    for path in outputs.all:
        for given in options.inputs:
            if path.exists() and given.exists() and path.samefile(given):
                raise UsageError(f"--output {outputs.result} would replace the input {given}: choose another name")
    return outputs


def is_sequence(path: Path) -> bool:
    """Whether a pose is given as an IUV folder or archive, not as a picture file."""
    return path.is_dir() or is_archive(path)
